//! bash, and sh, ksh and zsh as far as they are read alike: bash(1), POSIX.1-2024 "Shell Command
//! Language".
//!
//! A reader of our own: the published tree-sitter grammar takes `${x//a/$(b)}` and nested
//! backquotes for plain text, joins nothing at a line continuation, and stumbles over `<<<`,
//! `3<>file` and a second here-document. A command that it does not see would be allowed.

mod builtins;
mod compound;
mod expansion;
mod lists;
mod parser;
mod quoting;
mod redirections;
mod simple;
mod syntax;
mod walk;

pub(crate) use walk::walk;

use crate::walk::Base;
