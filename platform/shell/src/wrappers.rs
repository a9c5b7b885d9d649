//! Programs that start another one which their arguments name, and shells that are given a text.

use crate::{Dialect, MANY, ONE, Word};
use chaperone_policy::{ShellReads, env_command, shell_reads};
use std::ops::Range;

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

/// A program that starts the one which stands behind its own options.
struct Wrapper {
    names: &'static [&'static str],
    /// Letters of options that take a value, joined to them or in the next word.
    valued: &'static str,
    /// Letters of options that stand alone.
    flags: &'static str,
    /// Long options that take the next word as their value, where they bring none behind `=`.
    long_valued: &'static [&'static str],
    long_flags: &'static [&'static str],
    /// So many words stand between the options and the program.
    operands: usize,
    /// `NAME=value` may stand in front of the program.
    assignments: bool,
}

const fn plain(
    names: &'static [&'static str],
    valued: &'static str,
    flags: &'static str,
    operands: usize,
) -> Wrapper {
    Wrapper {
        names,
        valued,
        flags,
        long_valued: &[],
        long_flags: &[],
        operands,
        assignments: false,
    }
}

const WRAPPERS: [Wrapper; 17] = [
    plain(&["nohup", "dbus-run-session", "winpty"], "", "", 0),
    Wrapper { long_valued: &["--adjustment"], ..plain(&["nice"], "n", "0123456789", 0) },
    Wrapper {
        long_valued: &["--kill-after", "--signal"],
        long_flags: &["--foreground", "--preserve-status", "--verbose"],
        ..plain(&["timeout", "gtimeout"], "ks", "fpv", 1)
    },
    Wrapper {
        long_valued: &[
            "--user",
            "--group",
            "--host",
            "--prompt",
            "--chdir",
            "--chroot",
            "--close-from",
            "--command-timeout",
            "--other-user",
            "--role",
            "--type",
        ],
        long_flags: &[
            "--askpass",
            "--background",
            "--bell",
            "--non-interactive",
            "--preserve-env",
            "--set-home",
            "--stdin",
            "--preserve-groups",
            "--reset-timestamp",
        ],
        assignments: true,
        ..plain(&["sudo"], "ughpCDRTUrtc", "AbBEHknNPS", 0)
    },
    plain(&["doas"], "uC", "nL", 0),
    Wrapper {
        long_valued: &["--class", "--classdata"],
        long_flags: &["--ignore"],
        ..plain(&["ionice"], "cn", "t", 0)
    },
    Wrapper {
        long_valued: &["--input", "--output", "--error"],
        ..plain(&["stdbuf"], "ioe", "", 0)
    },
    Wrapper { long_flags: &["--ctty", "--fork", "--wait"], ..plain(&["setsid"], "", "cfw", 0) },
    plain(&["chrt"], "TPD", "abdfioprv", 1),
    Wrapper { long_flags: &["--cpu-list"], ..plain(&["taskset"], "", "ac", 1) },
    plain(&["strace", "ltrace"], "eoOpsuEaSIbXP", "cCdfFhiknqrtTvVwxyzZD", 0),
    Wrapper {
        long_valued: &["--format", "--output"],
        long_flags: &["--append", "--portability", "--verbose", "--quiet"],
        ..plain(&["time", "gtime"], "fo", "apvqlh", 0)
    },
    plain(&["chroot"], "", "", 1),
    plain(&["unshare"], "SGRw", "mnpuUiCTrcfV", 0),
    Wrapper {
        long_valued: &["--server-args", "--server-num", "--error-file"],
        long_flags: &["--auto-servernum", "--auto-display"],
        ..plain(&["xvfb-run"], "efnspw", "adl", 0)
    },
    plain(&["caffeinate"], "tw", "disum", 0),
    plain(&["busybox", "toybox", "coreutils"], "", "", 0),
];

/// The program's own name, where it is known; without folders and `.exe`.
pub(crate) fn base_name(word: &Word) -> Option<&str> {
    let name = word.token().rsplit('/').next().unwrap_or_default();
    let name = name.rsplit('\\').next().unwrap_or_default();
    let end = name.len().saturating_sub(4);
    let exe = name.get(end..).is_some_and(|end| end.eq_ignore_ascii_case(".exe"));
    let name = if exe { name.get(..end).unwrap_or(name) } else { name };
    (!name.is_empty() && !name.contains('\0')).then_some(name)
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

impl Wrapper {
    fn starts(&self, arguments: &[Word]) -> Option<Starts> {
        match self.skip_options(arguments) {
            Err(word) => Some(unclear(word)),
            Ok(mut rest) => {
                let operands = rest.get(..self.operands.min(rest.len())).unwrap_or_default();
                if let Some(many) = operands.iter().find(|word| word.token() == MANY) {
                    return Some(unclear(many));
                }
                rest = rest.get(self.operands..).unwrap_or_default();
                if self.assignments {
                    while rest.first().is_some_and(|word| word.token().contains('=')) {
                        rest = rest.get(1..).unwrap_or_default();
                    }
                }
                (!rest.is_empty()).then(|| Starts::Command(rest.to_vec()))
            }
        }
    }

    /// What stands behind the options; or the word that could be any.
    fn skip_options<'w>(&self, mut words: &'w [Word]) -> Result<&'w [Word], &'w Word> {
        while let [word, rest @ ..] = words {
            let text = word.token();
            if text == "--" {
                return Ok(rest);
            }
            if text.starts_with('\0') || !text.starts_with('-') || text == "-" {
                return Ok(words);
            }
            let valued = if let Some(long) = text.strip_prefix("--") {
                let (name, value) =
                    long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
                let is = |known: &[&str]| known.iter().any(|own| own.get(2..) == Some(name));
                match value {
                    Some(_) if !name.contains('\0') => false,
                    _ if is(self.long_valued) => true,
                    _ if is(self.long_flags) => false,
                    _ => return Err(word),
                }
            } else {
                self.letters(text.get(1..).unwrap_or_default()).ok_or(word)?
            };
            words = rest;
            if valued {
                match rest {
                    [value, rest @ ..] if value.token() != MANY => words = rest,
                    [value, ..] => return Err(value),
                    [] => {}
                }
            }
        }
        Ok(words)
    }

    /// Whether the next word is a value; `None` where a letter is not known.
    fn letters(&self, letters: &str) -> Option<bool> {
        for (at, letter) in letters.char_indices() {
            if self.valued.contains(letter) {
                return Some(at + letter.len_utf8() == letters.len());
            }
            if !self.flags.contains(letter) {
                return None;
            }
        }
        Some(false)
    }
}

/// `env` names the program, or a text of its own words.
fn env(arguments: &[Word]) -> Vec<Starts> {
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

/// A word that stands nowhere as it is.
fn made(value: String, at: Range<usize>) -> Word {
    Word { written: value.replace('\0', "…"), value, at, verbatim: None }
}

/// bash, sh and zsh.
fn posix(dialect: Dialect, arguments: &[Word]) -> Option<Starts> {
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

fn other_shell(name: &str, arguments: &[Word]) -> Option<Starts> {
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

/// PowerShell's parameters may be cut short as long as they are clear, and in either case.
fn powershell(name: &str, arguments: &[Word]) -> Option<Starts> {
    const VALUED: [&str; 13] = [
        "configurationname",
        "configurationfile",
        "custompipename",
        "executionpolicy",
        "ep",
        "inputformat",
        "outputformat",
        "psconsolefile",
        "settingsfile",
        "version",
        "windowstyle",
        "workingdirectory",
        "wd",
    ];
    const FLAGS: [&str; 9] = [
        "interactive",
        "login",
        "mta",
        "noexit",
        "nologo",
        "noninteractive",
        "noprofile",
        "sta",
        "noprofileloadtime",
    ];
    let mut rest = arguments;
    while let [word, after @ ..] = rest {
        let Some(token) = word.known() else { return Some(unclear(word)) };
        if token == "-" {
            return Some(Starts::Input(Dialect::PowerShell));
        }
        let Some(option) = token.strip_prefix(['-', '/']) else { break };
        let option = option.trim_start_matches('-').to_ascii_lowercase();
        let is = |whole: &str| !option.is_empty() && whole.starts_with(&option);
        let any = |known: &[&str]| known.iter().any(|whole| is(whole));
        if is("command") || option == "cwa" || is("commandwithargs") {
            return joined(Dialect::PowerShell, after);
        }
        if is("encodedcommand") || option == "ec" || option == "enc" {
            return after.first().map(encoded);
        }
        if is("file") {
            return script(after.first());
        }
        if any(&VALUED) && !any(&FLAGS) {
            rest = after.get(1..).unwrap_or_default();
        } else if any(&FLAGS) {
            rest = after;
        } else {
            return Some(unclear(word));
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
    let text = word.known().and_then(base64).and_then(|bytes| {
        let units: Vec<u16> = bytes
            .chunks_exact(2)
            .filter_map(|pair| <[u8; 2]>::try_from(pair).ok().map(u16::from_le_bytes))
            .collect();
        String::from_utf16(&units).ok()
    });
    match text {
        Some(text) => Starts::Text(Dialect::PowerShell, made(text, word.at.clone())),
        None => Starts::Unread(word.at.clone(), "an encoded text that cannot be decoded".into()),
    }
}

/// RFC 4648, section 4.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits = 0u32;
    let mut count = 0;
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(out)
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

/// `cmd /d /s /c TEXT`: what follows `/c` is the text, whatever it holds.
fn cmd(arguments: &[Word]) -> Option<Starts> {
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

/// `find … -exec CMD ;`, and its relatives.
fn find(arguments: &[Word]) -> Vec<Starts> {
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
fn xargs(arguments: &[Word]) -> Option<Starts> {
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
fn flock(arguments: &[Word]) -> Option<Starts> {
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
fn watch(arguments: &[Word]) -> Option<Starts> {
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

/// `su -c TEXT`, `script -qc TEXT`.
fn by_text(arguments: &[Word]) -> Option<Starts> {
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
