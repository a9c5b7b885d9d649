//! Programs that start another one which their arguments name, and shells that are given a text.

mod options;
mod shells;
mod tools;

use crate::{Dialect, Word};
use options::WRAPPERS;
use shells::{by_text, cmd, other_shell, posix, powershell};
use std::ops::Range;
use tools::{env, find, flock, watch, xargs};

/// What a program starts because its arguments say so.
#[derive(Debug)]
pub(crate) enum Starts {
    /// A program with its arguments.
    Command(Vec<Word>),
    /// What a text says.
    Text(Dialect, Word),
    /// What its standard input says.
    Input(Dialect),
    /// Something that cannot be told.
    Unread(Range<usize>, String),
}

/// The program's own name, where it is known; without folders and `.exe`.
pub(crate) fn base_name(word: &Word) -> Option<&str> {
    let name = word.token().rsplit('/').next().unwrap_or_default();
    let name = name.rsplit('\\').next().unwrap_or_default();
    let end = name.len().saturating_sub(4);
    let exe = name.get(end..).is_some_and(|end| end.eq_ignore_ascii_case(".exe"));
    let name = if exe { name.get(..end).unwrap_or(name) } else { name };
    (!name.is_empty() && !name.contains('\0')).then_some(name)
}

/// A program's name as Windows finds it and policy has it: `GIT`, `C:\x\git.exe` and `git.` are git.
pub(crate) fn windows_name(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('\\', "/");
    let short = name.trim_end_matches(['.', ' ']);
    if short.is_empty() || short.ends_with('/') { name } else { short.to_owned() }
}

/// The shell of this name.
pub(crate) fn dialect(name: &str) -> Option<Dialect> {
    Some(match name.to_ascii_lowercase().as_str() {
        "sh" | "dash" | "ash" => Dialect::Sh,
        "bash" | "rbash" | "ksh" | "ksh93" | "mksh" => Dialect::Bash,
        "zsh" => Dialect::Zsh,
        "pwsh" | "powershell" | "pwsh-preview" => Dialect::PowerShell,
        "cmd" => Dialect::Cmd,
        _ => return None,
    })
}

/// What this program starts; the words begin with its own name.
pub(crate) fn starts(name: &str, words: &[Word]) -> Vec<Starts> {
    let arguments = words.get(1..).unwrap_or_default();
    let one = |starts: Option<Starts>| starts.into_iter().collect();
    if let Some(dialect) = dialect(name) {
        return one(match dialect {
            Dialect::PowerShell => powershell(name, arguments),
            Dialect::Cmd => cmd(arguments),
            Dialect::Sh | Dialect::Bash | Dialect::Zsh => posix(dialect, arguments),
        });
    }
    match name {
        "env" => env(arguments),
        "find" | "gfind" => find(arguments),
        "xargs" | "gxargs" => one(xargs(arguments)),
        "flock" => one(flock(arguments)),
        "watch" => one(watch(arguments)),
        "su" | "runuser" | "script" => one(by_text(arguments)),
        "fish" | "csh" | "tcsh" | "nu" | "elvish" | "xonsh" => one(other_shell(name, arguments)),
        "parallel" | "rush" => one(arguments.first().map(|first| {
            Starts::Unread(span(first, arguments), format!("what `{name}` makes of its input"))
        })),
        // Programs of Windows, each of which has its own way to be told what it starts.
        "conhost" | "forfiles" | "mshta" | "psexec" | "rundll32" | "runas" | "winrs" | "wmic"
        | "wsl" => one(arguments.first().map(|first| {
            Starts::Unread(span(first, arguments), format!("what `{name}` makes of its arguments"))
        })),
        _ => match WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&name)) {
            Some(wrapper) => one(wrapper.starts(arguments)),
            None => Vec::new(),
        },
    }
}

fn span(first: &Word, words: &[Word]) -> Range<usize> {
    first.at.start..words.last().map_or(first.at.end, |last| last.at.end.max(first.at.end))
}

/// Stops where an option could be anything.
fn unclear(word: &Word) -> Starts {
    let why = match word.known() {
        Some(option) => format!("the option `{option}`, which is not known here"),
        None => "an option, or a name, that is only known when it runs".to_owned(),
    };
    Starts::Unread(word.at.clone(), why)
}

/// A word that stands nowhere as it is.
fn made(value: String, at: Range<usize>) -> Word {
    Word { written: value.replace('\0', "…"), value, at, verbatim: None }
}

/// The words as one text.
fn joined(dialect: Dialect, words: &[Word]) -> Option<Starts> {
    let (first, more) = words.split_first()?;
    if more.is_empty() {
        return Some(Starts::Text(dialect, first.clone()));
    }
    let values: Vec<&str> = words.iter().map(Word::token).collect();
    let mut text = made(values.join(" "), span(first, words));
    let together = first.verbatim.is_some()
        && words.windows(2).all(|pair| match pair {
            [a, b] => a.verbatim.is_some_and(|at| b.verbatim == Some(at + a.value.len() + 1)),
            _ => false,
        });
    text.verbatim = first.verbatim.filter(|_| together);
    Some(Starts::Text(dialect, text))
}
