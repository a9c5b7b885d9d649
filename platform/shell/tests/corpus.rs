//! What texts would start, case by case: `tests/corpus/*.txt`, to be read as a specification.
//!
//! A case is a text behind `$` (`>` for each further line) and what is read from it, a line each:
//! how it is reached, who carries it out unless it is a program, its variables, words and files. A
//! word that is only known when it runs stands as it is written, in ‹…›; `?` says what cannot be
//! told, and why. `UPDATE_PAGES=1` writes what is read now.

#![allow(clippy::unwrap_used, reason = "a test may fail where it likes")]

use chaperone_shell::{Dialect, Reading, What, Word, read};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// One case: its text, and the lines that stand below it.
struct Case {
    text: String,
    expected: String,
}

/// A case, or a line that is none.
enum Part {
    Case(Case),
    Line(String),
}

fn parts(page: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for line in page.lines() {
        match (parts.last_mut(), line.split_at_checked(2)) {
            (_, Some(("$ ", text))) => {
                parts.push(Part::Case(Case { text: text.to_owned(), expected: String::new() }));
            }
            (Some(Part::Case(case)), Some(("> ", more))) if case.expected.is_empty() => {
                case.text.push('\n');
                case.text.push_str(more);
            }
            (Some(Part::Case(case)), _) if line == ">" => case.text.push('\n'),
            (Some(Part::Case(case)), Some(("  ", _))) => {
                case.expected.push_str(line);
                case.expected.push('\n');
            }
            _ => parts.push(Part::Line(line.to_owned())),
        }
    }
    parts
}

fn word(word: &Word) -> String {
    match word.known() {
        Some(text) if !text.is_empty() && !text.contains([' ', '\n', '\t', '\'', '"', '‹']) => {
            text.to_owned()
        }
        Some(text) => format!("{text:?}"),
        None => format!("‹{}›", word.written.replace('\n', "\\n")),
    }
}

/// The reading as lines.
fn lines(reading: &Reading) -> String {
    let mut out = String::new();
    for found in &reading.commands {
        out.push_str("  ");
        if !found.reached.is_empty() {
            let ways: Vec<String> = found.reached.iter().map(ToString::to_string).collect();
            write!(out, "{}: ", ways.join(" > ")).unwrap();
        }
        out.push_str(match found.what {
            What::Program => "",
            What::Builtin => "(shell) ",
            What::Function => "(function) ",
        });
        let variables =
            found.variables.iter().map(|(name, value)| format!("{name}={}", word(value)));
        let files = found
            .redirections
            .iter()
            .map(|own| format!("{}{}", if own.writes { '>' } else { '<' }, word(&own.file)));
        let words: Vec<String> =
            variables.chain(found.words.iter().map(word)).chain(files).collect();
        writeln!(out, "{}", words.join(" ")).unwrap();
    }
    for unread in &reading.unread {
        let text = &reading.text[unread.at.clone()];
        writeln!(out, "  ? {}: {}", text.replace('\n', "\\n"), unread.why).unwrap();
    }
    out
}

fn hold(name: &str, dialect: Dialect, least: usize) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let page = fs::read_to_string(&file).unwrap();
    let (mut now, mut cases, mut wrong) = (String::new(), 0, String::new());
    for part in parts(&page) {
        match part {
            Part::Line(line) => writeln!(now, "{line}").unwrap(),
            Part::Case(Case { text, expected }) => {
                cases += 1;
                let found = lines(&read(&text, dialect));
                if found != expected {
                    writeln!(wrong, "{text}\nis read as\n{found}and not as\n{expected}").unwrap();
                }
                write!(now, "$ {}\n{found}", text.replace('\n', "\n> ")).unwrap();
            }
        }
    }
    if std::env::var_os("UPDATE_PAGES").is_some() {
        fs::write(&file, now).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(cases >= least, "{cases} cases");
}

#[test]
fn bash() {
    hold("bash.txt", Dialect::Bash, 150);
}

#[test]
fn sh() {
    hold("sh.txt", Dialect::Sh, 10);
}

#[test]
fn zsh() {
    hold("zsh.txt", Dialect::Zsh, 5);
}

#[test]
fn powershell() {
    hold("powershell.txt", Dialect::PowerShell, 200);
}

#[test]
fn cmd() {
    hold("cmd.txt", Dialect::Cmd, 40);
}
