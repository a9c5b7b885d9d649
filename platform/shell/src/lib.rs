//! What a shell string would start, told without running anything: bash and its relatives,
//! PowerShell and cmd. A text for another shell is told as one that is not read.
//!
//! A pure function from a text to the commands in it. What cannot be told is never left out: it
//! stands in [`Reading::unread`], with its place and the reason.

mod bash;
mod cmd;
mod powershell;

mod walk;
mod wrappers;

use std::fmt;
use std::ops::Range;

/// The longest text that is read, in bytes.
pub const LONGEST: usize = 64 * 1024;

/// Which shell a text is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `sh`, whichever that is: only what every one of them reads alike.
    Sh,
    /// bash, and ksh as far as it is the same.
    Bash,
    /// zsh, as far as it is the same as bash.
    Zsh,
    /// Windows PowerShell and pwsh.
    PowerShell,
    /// `cmd.exe`.
    Cmd,
}

/// What a text would start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The text that the places refer to.
    pub text: String,
    /// The commands, in the order in which they are written.
    pub commands: Vec<Found>,
    /// What could not be told.
    pub unread: Vec<Unread>,
}

impl Reading {
    /// The programs: what is judged when it starts, and no builtin of the shell or function.
    pub fn programs(&self) -> impl Iterator<Item = &Found> {
        self.commands.iter().filter(|found| found.what == What::Program)
    }
}

/// One command in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Who carries it out.
    pub what: What,
    /// Its words, the name first.
    pub words: Vec<Word>,
    /// The variables that it starts with: those that stand before it, and those that were set
    /// earlier and change what a command means.
    pub variables: Vec<(String, Word)>,
    /// Its redirections to and from files, here-documents left out.
    pub redirections: Vec<Redirection>,
    /// Where it stands, in bytes of [`Reading::text`].
    pub at: Range<usize>,
    /// How it is reached, from the outside in; empty where it is simply run.
    pub reached: Vec<Way>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.words.iter().enumerate() {
            let between = if at == 0 { "" } else { " " };
            write!(f, "{between}{}", word.written)?;
        }
        Ok(())
    }
}

/// Who carries a command out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A program that is started.
    Program,
    /// The shell itself: nothing is started.
    Builtin,
    /// A function of the same text, whose own commands are listed where it is defined.
    Function,
}

/// The value of what can stand for any number of words.
pub(crate) const MANY: &str = "\0";
/// The value of one word of which nothing is known.
pub(crate) const ONE: &str = "\0\0";

/// One word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its value; a NUL, which no argument can hold, stands for what only running it would tell.
    value: String,
    /// As it is written.
    pub written: String,
    /// Where it stands.
    pub at: Range<usize>,
    /// Its value stands in the text as it is, from here on.
    verbatim: Option<usize>,
}

impl Word {
    /// The value, where the text alone tells it.
    pub fn known(&self) -> Option<&str> {
        (!self.value.contains('\0')).then_some(&self.value)
    }

    /// The value as `chaperone_policy` takes it: each part that is not known is a NUL. A word that
    /// is a single NUL can stand for any number of words.
    pub fn token(&self) -> &str {
        &self.value
    }
}

/// A file that a command reads or writes because the shell opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirection {
    /// Whether the file is written.
    pub writes: bool,
    /// The file.
    pub file: Word,
}

/// One step of how a command is reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// It reads what the one before writes: `a | b`.
    Pipe,
    /// Where the one before succeeds: `a && b`.
    And,
    /// Where the one before fails: `a || b`.
    Or,
    /// Beside what follows: `a &`.
    Background,
    /// In a shell of its own: `( a )`.
    Subshell,
    /// What it writes becomes part of a word: `$( a )`.
    Substitution,
    /// A file stands for what it reads or writes: `<( a )`.
    ProcessSubstitution,
    /// In a here-document.
    HereDocument,
    /// In a function of this name, called or not.
    Function(String),
    /// In a loop, or in its condition.
    Loop,
    /// In `if` or `case`: its condition, or one of its branches.
    Branch,
    /// Its result is turned round: `! a`.
    Negated,
    /// It is measured: `time a`.
    Timed,
    /// Beside the shell: `coproc a`.
    Coprocess,
    /// In place of the shell: `exec a`.
    Exec,
    /// By the name alone, functions left out: `command a`.
    Command,
    /// From a text that the shell reads once more: `eval a`.
    Eval,
    /// When a signal arrives, or the shell ends: `trap a EXIT`.
    Trap,
    /// From a text that another shell reads: `bash -c a`.
    Shell(String),
    /// By a program that starts another: `env a`.
    Wrapper(String),
    /// A block that somebody else runs: PowerShell's `{ a }`.
    Block,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipe => f.write_str("pipe"),
            Self::And => f.write_str("and"),
            Self::Or => f.write_str("or"),
            Self::Background => f.write_str("background"),
            Self::Subshell => f.write_str("subshell"),
            Self::Substitution => f.write_str("substitution"),
            Self::ProcessSubstitution => f.write_str("process substitution"),
            Self::HereDocument => f.write_str("here-document"),
            Self::Function(name) => write!(f, "function {name}"),
            Self::Loop => f.write_str("loop"),
            Self::Branch => f.write_str("branch"),
            Self::Negated => f.write_str("negated"),
            Self::Timed => f.write_str("timed"),
            Self::Coprocess => f.write_str("coprocess"),
            Self::Exec => f.write_str("exec"),
            Self::Command => f.write_str("command"),
            Self::Eval => f.write_str("eval"),
            Self::Trap => f.write_str("trap"),
            Self::Shell(name) | Self::Wrapper(name) => f.write_str(name),
            Self::Block => f.write_str("block"),
        }
    }
}

/// Something whose commands cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Where it stands, in bytes of [`Reading::text`].
    pub at: Range<usize>,
    /// Why, without a full stop.
    pub why: String,
}

/// Reads a text as the shell of this dialect would.
pub fn read(text: &str, dialect: Dialect) -> Reading {
    let mut walker = walk::Walker::new(text);
    walker.text(text, dialect, walk::Base::Exact(0));
    walker.finish()
}

/// Reads what a command would start beyond itself: the text of `bash -c TEXT`, what `env`, `xargs`
/// or `find -exec` run. `None` where it starts nothing that can be told from its arguments.
pub fn read_command<T: AsRef<str>>(argv: &[T]) -> Option<Reading> {
    let argv: Vec<&str> = argv.iter().map(AsRef::as_ref).collect();
    let mut walker = walk::Walker::new(&argv.join(" "));
    walker.argv(&argv);
    let reading = walker.finish();
    (!reading.commands.is_empty() || !reading.unread.is_empty()).then_some(reading)
}
