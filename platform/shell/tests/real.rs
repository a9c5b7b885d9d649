//! The real bash as the judge: whatever it starts stands in what was read, and what it calls a
//! syntax error is told.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may fail where it likes")]

mod pages;
mod started;

use chaperone_shell::{Dialect, read};
use proptest::prelude::*;
use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

/// Programs that only write down how they were called. After so many calls they fail, so that
/// loops end.
const STUB: &str = "#!/bin/bash
line=\"${0##*/}\"
for word; do line+=$'\\037'\"$word\"; done
printf '%s\\036' \"$line\" >>\"$LOG\" # in one piece, as others write beside
[ \"$(wc -c <\"$LOG\" | /usr/bin/tr -d ' ')\" -lt 600 ]
";

const NAMES: [&str; 16] = [
    "git", "make", "a", "b", "c", "d", "e", "tee", "head", "cat", "curl", "diff", "grep", "ls",
    "rm", "sleep",
];

/// Programs that start others as they are told.
const REAL: [&str; 8] = ["bash", "sh", "env", "nice", "nohup", "setsid", "timeout", "stdbuf"];

struct Stage {
    folder: tempfile::TempDir,
    /// How many texts were run.
    runs: Cell<usize>,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir_all(folder.path().join("work")).unwrap();
        fs::create_dir(&bin).unwrap();
        for name in NAMES {
            fs::write(bin.join(name), STUB).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for name in REAL {
            let found = ["/usr/bin", "/bin"].iter().map(|dir| Path::new(dir).join(name));
            symlink(found.clone().find(|path| path.exists()).unwrap(), bin.join(name)).unwrap();
        }
        symlink("/usr/bin/wc", bin.join("wc")).unwrap();
        Self { folder, runs: Cell::new(0) }
    }

    /// What bash starts for the text: each a list of words. What it leaves running writes to that
    /// text's own log, and not to the next one's.
    fn started(&self, text: &str) -> Vec<Vec<String>> {
        self.runs.set(self.runs.get() + 1);
        let log = self.folder.path().join(format!("log-{}", self.runs.get()));
        fs::write(&log, "").unwrap();
        let status = Command::new("/usr/bin/timeout")
            .args(["-s", "KILL", "2", "/bin/bash", "-c", "--", text])
            .env_clear()
            .env("PATH", self.folder.path().join("bin"))
            .env("HOME", self.folder.path())
            .env("LOG", &log)
            .current_dir(self.folder.path().join("work"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let _ = status; // what the text ends with is its own
        let log = String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
        log.split_terminator('\u{1e}')
            .map(|call| call.split('\u{1f}').map(str::to_owned).collect())
            .collect()
    }
}

/// Whether bash takes the text at all.
fn is_bash(text: &str) -> bool {
    Command::new("/bin/bash")
        .args(["-n", "-c", "--", text])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

/// Reads the text and lets bash run it.
fn compare(stage: &Stage, text: &str) -> Result<(), String> {
    let reading = read(text, Dialect::Bash);
    if !reading.unread.is_empty() {
        return Ok(());
    }
    if !is_bash(text) {
        return Err(format!("bash does not take {text:?}, read as {}", started::shown(&reading)));
    }
    match stage.started(text).into_iter().find(|started| !started::is_told(&reading, started)) {
        Some(started) => {
            Err(format!("{text:?} started {started:?}, read as {}", started::shown(&reading)))
        }
        None => Ok(()),
    }
}

#[test]
fn what_bash_starts_for_the_corpus_was_read() {
    let stage = Stage::new();
    let texts = pages::texts("bash.txt");
    let wrong: Vec<String> = texts.iter().filter_map(|text| compare(&stage, text).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let started = stage.started("git push; X=git; $X pull | cat");
    assert!(started.contains(&vec!["git".into(), "pull".into()]), "the stage works: {started:?}");
}

/// A piece of a text.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "git",
        "a",
        "b",
        "cat",
        "push",
        " ",
        " ",
        " ",
        " ",
        "\n",
        ";",
        ";",
        "&&",
        "||",
        "|",
        "&",
        "(",
        ")",
        "{ ",
        "; }",
        "$(",
        ")",
        "`",
        "\"",
        "'",
        "$'",
        "\\",
        "\\\n",
        "$X",
        "${X:-",
        "}",
        "<<E\n",
        "\nE\n",
        "<<-'E'\n",
        "<<<",
        ">f",
        "2>&1",
        "<(",
        "$((",
        "))",
        "((",
        "[[ ",
        " ]]",
        "if ",
        "then ",
        "else ",
        "fi",
        "for x in ",
        "do ",
        "done",
        "while ",
        "case x in ",
        "esac",
        "x) ",
        ";;",
        "f() ",
        "function g ",
        "f",
        "!",
        "time ",
        "eval ",
        "exec ",
        "command ",
        "X=",
        "X=1 ",
        "a[",
        "]",
        "=",
        "#",
        "~",
        "*",
        "{a,b}",
        "$",
        "[",
        "\t",
        "x",
        "1",
        "env ",
        "-c ",
        "bash -c ",
        "sh -c ",
        "trap ",
        " EXIT",
        "echo ",
        "=~",
        "coproc ",
        "select x in ",
        "@'\n",
        "\n'@",
        "@\"",
        "@{",
        "<#",
        "#>",
        "[int]",
        "::A(",
        ".B(",
        "--%",
        "\u{201c}",
        "\u{2018}",
        "\u{2013}",
        "^",
        "%X%",
        "!X!",
        "for %i in (",
        ") do ",
        ") else ",
        "if a==a ",
        "if exist x ",
        "start ",
        "call ",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_text_can_be_read(text in ".{0,400}") {
        for dialect in [Dialect::Sh, Dialect::Bash, Dialect::Zsh, Dialect::PowerShell, Dialect::Cmd] {
            holds(&text, dialect);
        }
    }

    #[test]
    fn any_pieces_can_be_read(pieces in prop::collection::vec(piece(), 0..60)) {
        let text = pieces.concat();
        for dialect in [Dialect::Sh, Dialect::Bash, Dialect::Zsh, Dialect::PowerShell, Dialect::Cmd] {
            holds(&text, dialect);
        }
    }

    #[test]
    fn what_bash_starts_was_read(pieces in prop::collection::vec(piece(), 1..16)) {
        let stage = Stage::new();
        let text = pieces.concat();
        prop_assert_eq!(compare(&stage, &text), Ok(()));
    }
}

/// Places lie within the text, at characters.
fn holds(text: &str, dialect: Dialect) {
    let reading = read(text, dialect);
    let places = reading.commands.iter().map(|found| &found.at);
    for at in places.chain(reading.unread.iter().map(|unread| &unread.at)) {
        assert!(text.get(at.clone()).is_some(), "{at:?} of {text:?}");
    }
}
