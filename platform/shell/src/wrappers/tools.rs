//! Programs that start another one by rules of their own: `env`, `find`, `xargs`, `flock`, `watch`.

use super::options::{Wrapper, plain};
use super::{Starts, joined, made, span, unclear};
use crate::{Dialect, MANY, ONE, Word};
use chaperone_policy::env_command;

/// `env` names the program, or a text of its own words.
pub(super) fn env(arguments: &[Word]) -> Vec<Starts> {
    // A word that can be many before the program could be anything.
    let tokens: Vec<String> = arguments.iter().map(|word| word.token().to_owned()).collect();
    let Some(command) = env_command(&tokens) else { return Vec::new() };
    let ahead = arguments.len().saturating_sub(command.len());
    if let Some(word) = arguments.iter().take(ahead).find(|word| word.token() == MANY) {
        return vec![unclear(word)];
    }
    let same = arguments.get(ahead..).filter(|rest| {
        rest.len() == command.len() && rest.iter().map(Word::token).eq(command.iter())
    });
    let command = match same {
        Some(rest) => rest.to_vec(),
        None => {
            // From `-S TEXT`.
            let Some(first) = arguments.first() else { return Vec::new() };
            let at = span(first, arguments);
            command.into_iter().map(|value| made(value, at.clone())).collect()
        }
    };
    vec![Starts::Command(command)]
}

/// `find … -exec CMD ;`, and its relatives.
pub(super) fn find(arguments: &[Word]) -> Vec<Starts> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(word) = arguments.get(at) {
        at += 1;
        if word.token() == MANY {
            out.push(unclear(word));
        }
        if !matches!(word.token(), "-exec" | "-execdir" | "-ok" | "-okdir") {
            continue;
        }
        let rest = arguments.get(at..).unwrap_or_default();
        let end = rest.iter().position(|word| matches!(word.token(), ";" | "+"));
        let end = end.unwrap_or(rest.len());
        let mut command = rest.get(..end).unwrap_or_default().to_vec();
        replace(&mut command, "{}");
        if !command.is_empty() {
            out.push(Starts::Command(command));
        }
        at += end;
    }
    out
}

/// Where this stands, a word is put in that only running it would tell.
fn replace(words: &mut [Word], text: &str) {
    for word in words {
        word.value = word.value.replace(text, "\0");
        if word.value == MANY {
            word.value = ONE.to_owned();
        }
    }
}

const XARGS: Wrapper = Wrapper {
    long_valued: &[
        "--arg-file",
        "--delimiter",
        "--max-lines",
        "--max-args",
        "--max-procs",
        "--max-chars",
        "--process-slot-var",
    ],
    long_flags: &[
        "--null",
        "--interactive",
        "--no-run-if-empty",
        "--verbose",
        "--exit",
        "--show-limits",
        "--open-tty",
    ],
    ..plain(&["xargs"], "IEadLnPsJR", "0rtpxoile", 0)
};

/// `xargs [-I TEXT] CMD`: its input becomes arguments.
pub(super) fn xargs(arguments: &[Word]) -> Option<Starts> {
    let rest = match XARGS.skip_options(arguments) {
        Err(word) => return Some(unclear(word)),
        Ok(rest) => rest,
    };
    let first = rest.first()?;
    let options = arguments.get(..arguments.len() - rest.len()).unwrap_or_default();
    let replaced = options.iter().zip(options.iter().skip(1)).find_map(|(option, value)| {
        (option.token() == "-I" || option.token() == "-J").then(|| value.token().to_owned())
    });
    let joined = options.iter().find_map(|option| match option.token() {
        "-i" | "--replace" => Some("{}".to_owned()),
        token => token
            .strip_prefix("-I")
            .or_else(|| token.strip_prefix("--replace="))
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
    });
    let mut command = rest.to_vec();
    match replaced.or(joined) {
        Some(text) if !text.is_empty() => {
            replace(&mut command, &text);
        }
        _ => command.push(Word {
            value: MANY.to_owned(),
            written: "…".to_owned(),
            at: first.at.clone(),
            verbatim: None,
        }),
    }
    Some(Starts::Command(command))
}

/// `flock FILE CMD` or `flock FILE -c TEXT`.
pub(super) fn flock(arguments: &[Word]) -> Option<Starts> {
    const FLOCK: Wrapper = Wrapper {
        long_valued: &["--timeout", "--wait", "--conflict-exit-code"],
        long_flags: &[
            "--shared",
            "--exclusive",
            "--unlock",
            "--nonblock",
            "--nb",
            "--close",
            "--no-fork",
            "--verbose",
        ],
        ..plain(&["flock"], "wE", "sxeunoF", 1)
    };
    match FLOCK.starts(arguments)? {
        Starts::Command(rest) => match rest.as_slice() {
            [option, text] if matches!(option.token(), "-c" | "--command") => {
                Some(Starts::Text(Dialect::Sh, text.clone()))
            }
            _ => Some(Starts::Command(rest)),
        },
        other => Some(other),
    }
}

/// `watch CMD` gives its words to a shell, unless `-x` says otherwise.
pub(super) fn watch(arguments: &[Word]) -> Option<Starts> {
    const WATCH: Wrapper = Wrapper {
        long_valued: &["--interval"],
        long_flags: &["--differences", "--no-title", "--color", "--exec", "--errexit", "--chgexit"],
        ..plain(&["watch"], "nq", "bcdegprtwx", 0)
    };
    let rest = match WATCH.skip_options(arguments) {
        Err(word) => return Some(unclear(word)),
        Ok(rest) => rest,
    };
    let options = arguments.get(..arguments.len() - rest.len()).unwrap_or_default();
    let directly = options.iter().any(|option| {
        let token = option.token();
        token == "--exec" || (!token.starts_with("--") && token.contains('x'))
    });
    if directly {
        return (!rest.is_empty()).then(|| Starts::Command(rest.to_vec()));
    }
    joined(Dialect::Sh, rest)
}
