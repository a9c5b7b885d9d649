//! Shells, and what else is given a text: where in their arguments it stands.

use super::{Starts, base_name, joined, made, span, unclear};
use crate::{Dialect, Word};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chaperone_policy::{ShellReads, shell_reads};

/// bash, sh and zsh.
pub(super) fn posix(dialect: Dialect, arguments: &[Word]) -> Option<Starts> {
    let tokens: Vec<String> = arguments.iter().map(|word| word.token().to_owned()).collect();
    match shell_reads(&tokens) {
        ShellReads::Text(at) => Some(Starts::Text(dialect, arguments.get(at)?.clone())),
        ShellReads::Input => Some(Starts::Input(dialect)),
        ShellReads::Nothing => None,
        ShellReads::Script(at) => {
            let word = arguments.get(at)?;
            let known = base_name(word).is_some();
            (!known).then(|| {
                Starts::Unread(word.at.clone(), "a script that is only known when it runs".into())
            })
        }
        ShellReads::Unclear(at) => arguments.get(at).map(unclear),
    }
}

pub(super) fn other_shell(name: &str, arguments: &[Word]) -> Option<Starts> {
    let text = arguments.iter().find(|word| {
        let token = word.token();
        token.contains('\0')
            || token == "--command"
            || token
                .strip_prefix('-')
                .is_some_and(|rest| !rest.starts_with('-') && rest.contains('c'))
    });
    let script = arguments.iter().any(|word| !word.token().starts_with('-'));
    match (text, arguments.first()) {
        (Some(text), _) => {
            Some(Starts::Unread(span(text, arguments), format!("a text for `{name}`")))
        }
        (None, Some(first)) if !script => {
            Some(Starts::Unread(first.at.clone(), format!("a text for `{name}`")))
        }
        _ => None,
    }
}

/// What follows an option of PowerShell's.
#[derive(Clone, Copy)]
enum Follows {
    /// Nothing that belongs to it.
    Nothing,
    /// A value.
    Value,
    /// The text, to the last word.
    Text,
    /// The text, in one word.
    TextWithArguments,
    /// The text in base64.
    Encoded,
    /// A script and its arguments.
    Script,
}

/// The options, with the shortest form of each. What is left out here starts something else (as
/// `-ServerMode` and `-ConfigurationFile` do), and is unclear.
const POWERSHELL: &[(&str, &str, Follows)] = &[
    ("commandwithargs", "commandwithargs", Follows::TextWithArguments),
    ("cwa", "cwa", Follows::TextWithArguments),
    ("command", "c", Follows::Text),
    ("encodedcommand", "e", Follows::Encoded),
    ("ec", "ec", Follows::Encoded),
    ("file", "f", Follows::Script),
    ("custompipename", "cus", Follows::Value),
    ("executionpolicy", "ex", Follows::Value),
    ("ep", "ep", Follows::Value),
    ("inputformat", "inp", Follows::Value),
    ("if", "if", Follows::Value),
    ("outputformat", "o", Follows::Value),
    ("of", "of", Follows::Value),
    ("settingsfile", "settings", Follows::Value),
    ("version", "v", Follows::Value),
    ("windowstyle", "w", Follows::Value),
    ("workingdirectory", "wo", Follows::Value),
    ("wd", "wd", Follows::Value),
    ("interactive", "i", Follows::Nothing),
    ("login", "l", Follows::Nothing),
    ("mta", "mta", Follows::Nothing),
    ("noexit", "noe", Follows::Nothing),
    ("nologo", "nol", Follows::Nothing),
    ("noninteractive", "noni", Follows::Nothing),
    ("noprofile", "nop", Follows::Nothing),
    ("noprofileloadtime", "noprofileloadtime", Follows::Nothing),
    ("sta", "sta", Follows::Nothing),
];

/// PowerShell's options may be cut short as long as they are clear, in either case and with any
/// dash.
pub(super) fn powershell(name: &str, arguments: &[Word]) -> Option<Starts> {
    let mut rest = arguments;
    while let [word, after @ ..] = rest {
        let Some(token) = word.known() else { return Some(unclear(word)) };
        if token == "-" {
            return Some(Starts::Input(Dialect::PowerShell));
        }
        let dashes = ['-', '\u{2013}', '\u{2014}', '\u{2015}'];
        let option = token.strip_prefix(dashes).map(|rest| rest.trim_start_matches(dashes));
        // Where there is a folder in it, it is a path.
        let option = option.or_else(|| token.strip_prefix('/').filter(|own| !own.contains('/')));
        let Some(option) = option.map(str::to_ascii_lowercase) else { break };
        let found = POWERSHELL.iter().find(|(whole, shortest, _)| {
            whole.starts_with(&option) && option.starts_with(shortest)
        });
        let Some((_, _, follows)) = found else { return Some(unclear(word)) };
        match (follows, after.first().and_then(Word::known)) {
            (Follows::Nothing, _) => rest = after,
            (Follows::Value, _) => rest = after.get(1..).unwrap_or_default(),
            (Follows::Text | Follows::Script, Some("-")) => {
                return Some(Starts::Input(Dialect::PowerShell));
            }
            (Follows::Text, _) => return joined(Dialect::PowerShell, after),
            (Follows::TextWithArguments, _) => {
                return joined(Dialect::PowerShell, after.get(..1).unwrap_or_default());
            }
            (Follows::Encoded, _) => return after.first().map(encoded),
            (Follows::Script, _) => return script(after.first()),
        }
    }
    match rest {
        [] if arguments.iter().any(|word| word.token().eq_ignore_ascii_case("-version")) => None,
        [] => Some(Starts::Input(Dialect::PowerShell)),
        // Windows PowerShell takes what is left for commands, pwsh for a file.
        rest if name.eq_ignore_ascii_case("powershell") => joined(Dialect::PowerShell, rest),
        rest => script(rest.first()),
    }
}

fn script(file: Option<&Word>) -> Option<Starts> {
    let file = file.filter(|file| base_name(file).is_none())?;
    Some(Starts::Unread(file.at.clone(), "a script that is only known when it runs".into()))
}

/// Base64 of UTF-16: `-EncodedCommand`.
fn encoded(word: &Word) -> Starts {
    let text = word.known().and_then(|text| STANDARD.decode(text).ok()).and_then(|bytes| {
        let (pairs, odd) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().copied().map(u16::from_le_bytes).collect();
        String::from_utf16(&units).ok().filter(|_| odd.is_empty())
    });
    match text {
        Some(text) => Starts::Text(Dialect::PowerShell, made(text, word.at.clone())),
        None => Starts::Unread(word.at.clone(), "an encoded text that cannot be decoded".into()),
    }
}

/// `cmd /d /s /c TEXT`: what follows `/c` is the text, whatever it holds.
pub(super) fn cmd(arguments: &[Word]) -> Option<Starts> {
    for (at, word) in arguments.iter().enumerate() {
        let Some(token) = word.known() else { return Some(unclear(word)) };
        if !token.starts_with('/') {
            return Some(unclear(word));
        }
        let lower = token.to_ascii_lowercase();
        let mut from = 0;
        // `/d/c` are two options in one word.
        while let Some(slash) = lower.get(from..).and_then(|rest| rest.find('/')) {
            let start = from + slash + 1;
            if matches!(lower.as_bytes().get(start), Some(b'c' | b'k' | b'r')) {
                let mut rest = arguments.get(at + 1..).unwrap_or_default().to_vec();
                let inside = token.get(start + 1..).unwrap_or_default();
                if !inside.is_empty() {
                    rest.insert(0, made(inside.to_owned(), word.at.clone()));
                }
                return joined(Dialect::Cmd, &rest);
            }
            from = start;
        }
    }
    Some(Starts::Input(Dialect::Cmd))
}

/// `su -c TEXT`, `script -qc TEXT`.
pub(super) fn by_text(arguments: &[Word]) -> Option<Starts> {
    for (at, word) in arguments.iter().enumerate() {
        let token = word.token();
        if token == "\0" {
            return Some(unclear(word));
        }
        if let Some(text) = token.strip_prefix("--command=") {
            return Some(Starts::Text(Dialect::Sh, made(text.to_owned(), word.at.clone())));
        }
        let letters = token.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
        if token == "--command" || letters.is_some_and(|letters| letters.ends_with('c')) {
            return arguments.get(at + 1).map(|text| Starts::Text(Dialect::Sh, text.clone()));
        }
    }
    None
}
