//! The words that the shell carries out itself: bash(1), "SHELL BUILTIN COMMANDS".

use crate::Dialect;

const EVERYWHERE: [&str; 38] = [
    ".", ":", "[", "alias", "bg", "break", "cd", "command", "continue", "echo", "eval", "exec",
    "exit", "export", "false", "fc", "fg", "getopts", "hash", "jobs", "kill", "printf", "pwd",
    "read", "readonly", "return", "set", "shift", "test", "times", "trap", "true", "type",
    "ulimit", "umask", "unalias", "unset", "wait",
];

const BASH: [&str; 23] = [
    "bind",
    "builtin",
    "caller",
    "compgen",
    "complete",
    "compopt",
    "declare",
    "dirs",
    "disown",
    "enable",
    "help",
    "history",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "pushd",
    "readarray",
    "shopt",
    "source",
    "suspend",
    "typeset",
];

const ZSH: [&str; 12] = [
    "-",
    "autoload",
    "foreach",
    "nocorrect",
    "noglob",
    "print",
    "repeat",
    "sched",
    "setopt",
    "unsetopt",
    "whence",
    "zmodload",
];

/// Who carries a word out, in a shell that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// The shell.
    Shell,
    /// The shell, or a program where the shell does not have it.
    Either,
    /// A program.
    Program,
}

pub(super) fn who(name: &str, dialect: Dialect) -> Who {
    if EVERYWHERE.contains(&name) || (name == "local" && dialect == Dialect::Sh) {
        return Who::Shell;
    }
    match dialect {
        Dialect::Bash if BASH.contains(&name) => Who::Shell,
        Dialect::Sh if BASH.contains(&name) => Who::Either,
        Dialect::Zsh if BASH.contains(&name) || ZSH.contains(&name) => Who::Shell,
        _ => Who::Program,
    }
}

/// Variables whose value a shell runs, or reads as a file of commands.
pub(super) fn is_run(variable: &str) -> bool {
    matches!(
        variable,
        "BASH_ENV" | "ENV" | "PROMPT_COMMAND" | "PS0" | "PS1" | "PS2" | "PS4" | "ZDOTDIR"
    )
}
