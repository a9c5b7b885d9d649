//! Programs that start the one behind their own options, as a table of those options.

use super::{Starts, unclear};
use crate::{MANY, Word};

/// A program that starts the one which stands behind its own options.
pub(super) struct Wrapper {
    pub(super) names: &'static [&'static str],
    /// Letters of options that take a value, joined to them or in the next word.
    pub(super) valued: &'static str,
    /// Letters of options that stand alone.
    pub(super) flags: &'static str,
    /// Long options that take the next word as their value, where they bring none behind `=`.
    pub(super) long_valued: &'static [&'static str],
    pub(super) long_flags: &'static [&'static str],
    /// So many words stand between the options and the program.
    pub(super) operands: usize,
    /// `NAME=value` may stand in front of the program.
    pub(super) assignments: bool,
}

pub(super) const fn plain(
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

pub(super) const WRAPPERS: [Wrapper; 17] = [
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

impl Wrapper {
    pub(super) fn starts(&self, arguments: &[Word]) -> Option<Starts> {
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
    pub(super) fn skip_options<'w>(&self, mut words: &'w [Word]) -> Result<&'w [Word], &'w Word> {
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
