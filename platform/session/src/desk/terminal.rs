//! The user's own terminal emulator, and how it is told what to run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Terminals that are looked for, the user's and the distribution's choice first, each with what
/// stands between its name and the command.
const KNOWN: &[(&str, &[&str])] = &[
    ("x-terminal-emulator", &["-e"]), // Debian's alternative; its policy demands `-e`.
    ("xdg-terminal-exec", &[]),
    ("ptyxis", &["--"]),
    ("kgx", &["--"]),
    ("gnome-terminal", &["--"]),
    ("konsole", &["-e"]),
    ("xfce4-terminal", &["-x"]),
    ("mate-terminal", &["-x"]),
    ("tilix", &["-e"]),
    ("kitty", &[]),
    ("alacritty", &["-e"]),
    ("foot", &[]),
    ("ghostty", &["-e"]),
    ("wezterm", &["start", "--"]),
    ("xterm", &["-e"]),
];

/// The command line that opens a terminal with `command` in it: `None` where there is none.
/// `preferred` is the user's `$TERMINAL`, `path` their `$PATH`.
pub(super) fn open(
    preferred: Option<&str>,
    path: &[PathBuf],
    command: &[OsString],
) -> Option<Vec<OsString>> {
    let (program, between) = preferred
        .and_then(|name| Some((find(name, path)?, between(name))))
        .or_else(|| KNOWN.iter().find_map(|(name, b)| Some((find(name, path)?, *b))))?;
    let mut line = vec![program.into_os_string()];
    line.extend(between.iter().map(OsString::from));
    line.extend_from_slice(command);
    Some(line)
}

/// A terminal that we do not know is taken to follow xterm, as most do.
fn between(name: &str) -> &'static [&'static str] {
    let file = Path::new(name).file_name().unwrap_or_default();
    KNOWN.iter().find(|(known, _)| file == *known).map_or(&["-e"], |(_, between)| between)
}

fn find(name: &str, path: &[PathBuf]) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    path.iter().map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(programs: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for program in programs {
            std::fs::write(dir.path().join(program), "").unwrap();
        }
        dir
    }

    fn opened(preferred: Option<&str>, programs: &[&str]) -> Option<String> {
        let dir = folder(programs);
        let line = open(preferred, &[dir.path().to_owned()], &["claude".into(), "-c".into()])?;
        let line: Vec<String> = line.iter().map(|w| w.to_string_lossy().into_owned()).collect();
        Some(line.join(" ").replace(&format!("{}/", dir.path().display()), ""))
    }

    #[test]
    fn the_users_choice_comes_first() {
        let line = opened(Some("wezterm"), &["xterm", "wezterm"]).unwrap();
        assert_eq!(line, "wezterm start -- claude -c");
        assert_eq!(opened(Some("st"), &["xterm", "st"]).unwrap(), "st -e claude -c");
    }

    #[test]
    fn a_choice_that_is_not_installed_falls_to_what_is() {
        let line = opened(Some("wezterm"), &["xterm", "gnome-terminal"]).unwrap();
        assert_eq!(line, "gnome-terminal -- claude -c");
    }

    #[test]
    fn a_machine_without_a_terminal_has_none() {
        assert_eq!(opened(None, &["vi"]), None);
        assert_eq!(opened(Some(""), &[]), None);
    }
}
