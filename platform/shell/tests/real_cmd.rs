//! A real cmd as the judge, Windows' own or Wine's: whatever it starts stands in what was read.
//!
//! This program is copied under the names of programs, and then only writes down how it was called.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail where it likes")]

#[cfg(windows)]
mod pages;
#[cfg(windows)]
mod started;

#[cfg(not(windows))]
fn main() {}

#[cfg(windows)]
fn main() {
    let own = std::env::current_exe().unwrap();
    let name = own.file_stem().unwrap().to_string_lossy().to_lowercase();
    if !name.starts_with("real_cmd") {
        return windows::called(&name);
    }
    if std::env::args().any(|word| word == "--list") {
        return;
    }
    let compared = windows::compare_all(&own);
    println!("test result: ok. 1 passed; 0 failed; {compared} texts compared");
}

#[cfg(windows)]
mod windows {
    use super::{pages, started};
    use chaperone_shell::{Dialect, read};
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    use std::cell::Cell;
    use std::fs::{self, File};
    use std::io::Write as _;
    use std::os::windows::process::CommandExt as _;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    const NAMES: [&str; 14] = [
        "git", "sort", "more", "tee", "tool", "findstr", "a", "b", "c", "d", "e", "f", "echo",
        "else",
    ];

    /// One call, written down in one piece.
    pub(super) fn called(name: &str) {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let line = [vec![name.to_owned()], words].concat().join("\u{1f}") + "\u{1e}";
        let log = std::env::var_os("LOG").unwrap();
        let mut log = File::options().append(true).create(true).open(log).unwrap();
        log.write_all(line.as_bytes()).unwrap();
    }

    struct Stage {
        folder: tempfile::TempDir,
        texts: Cell<u32>,
    }

    impl Stage {
        fn new(own: &Path) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("bin")).unwrap();
            for name in NAMES {
                let program = folder.path().join(format!("bin/{name}.exe"));
                fs::hard_link(own, &program)
                    .or_else(|_| fs::copy(own, &program).map(|_| ()))
                    .unwrap();
            }
            Self { folder, texts: Cell::new(0) }
        }

        /// What cmd starts for the text: each a list of words.
        fn started(&self, text: &str) -> Vec<Vec<String>> {
            // Each has its own, since what `start` starts may come late.
            self.texts.set(self.texts.get() + 1);
            let log = self.folder.path().join(format!("log{}", self.texts.get()));
            fs::write(&log, "").unwrap();
            let work = self.folder.path().join(format!("work{}", self.texts.get()));
            fs::create_dir(&work).unwrap();
            let mut cmd = Command::new("cmd.exe")
                .raw_arg("/d /c ")
                .raw_arg(text)
                .env("PATH", self.folder.path().join("bin"))
                .env("PATHEXT", ".EXE")
                .env("LOG", &log)
                .current_dir(&work)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let end = Instant::now() + Duration::from_secs(10);
            while cmd.try_wait().unwrap().is_none() {
                if Instant::now() > end {
                    cmd.kill().unwrap();
                    cmd.wait().unwrap();
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            let log = String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
            log.split_terminator('\u{1e}')
                .map(|call| call.split('\u{1f}').map(str::to_owned).collect())
                .collect()
        }
    }

    fn compare(stage: &Stage, text: &str) -> Result<(), String> {
        let reading = read(text, Dialect::Cmd);
        if !reading.unread.is_empty() {
            return Ok(());
        }
        let started = stage.started(text);
        match started.into_iter().find(|started| !started::is_told(&reading, started)) {
            Some(started) => {
                Err(format!("{text:?} started {started:?}, read as {}", started::shown(&reading)))
            }
            None => Ok(()),
        }
    }

    fn piece() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "git",
            "a",
            "b",
            "push",
            " ",
            " ",
            " ",
            " ",
            "&",
            "&",
            "&&",
            "||",
            "|",
            "(",
            ")",
            "^",
            "\"",
            "\"a b\"",
            ">f",
            "2>&1",
            "@",
            "if a==a ",
            "if exist x ",
            "if not a==b ",
            "if defined X ",
            " else ",
            "for %i in (a b) do ",
            "for /l %i in (1,1,2) do ",
            "for /f %i in ('a') do ",
            "%i",
            "call ",
            "echo ",
            "rem ",
            "set X=",
            "=",
            ",",
            ";",
            "\\",
            "/",
            ".",
            "cmd /c ",
            ":l ",
            "1",
            "cd ",
        ])
    }

    /// Every text of the corpus, and generated ones; how many.
    pub(super) fn compare_all(own: &Path) -> usize {
        let stage = Stage::new(own);
        let started = stage.started("git push & if a==a (a \"b c\")");
        let words = |own: &[&str]| own.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(started, [words(&["git", "push"]), words(&["a", "b c"])], "the stage works");
        // Of several lines `cmd /c` reads the first.
        let mut texts = pages::texts("cmd.txt");
        texts.retain(|text| !text.contains('\n') && text.is_ascii());
        let wrong: Vec<String> =
            texts.iter().filter_map(|text| compare(&stage, text).err()).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let cases = std::env::var("CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60);
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        // The same each time: cmd is slow to start, and Wine's has mistakes of its own.
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        TestRunner::new_with_rng(config, rng)
            .run(&prop::collection::vec(piece(), 1..12), |pieces| {
                let result = compare(&stage, &pieces.concat());
                prop_assert!(result.is_ok(), "{}", result.unwrap_err());
                Ok(())
            })
            .unwrap();
        texts.len() + usize::try_from(cases).unwrap()
    }
}
