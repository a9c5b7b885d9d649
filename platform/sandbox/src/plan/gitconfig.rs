//! A reader for git's configuration files, as far as a plan needs them: which values are there
//! and which files they include. It follows git-config(1), "Syntax".

/// One value of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The section, in lower case: `core` of `core.hooksPath`.
    pub(super) section: String,
    /// The name, in lower case: `hookspath`.
    pub(super) name: String,
    /// The value, without quotes. A name without `=` has the value `true`.
    pub(super) value: String,
}

/// Reads what it understands; a line that it does not is passed over, as a plan that failed on
/// one would stop a session for a mistake that git itself will report.
pub(super) fn settings(text: &str) -> Vec<Setting> {
    let mut found = Vec::new();
    let mut section = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut rest = line.trim_start();
        if let Some(header) = rest.strip_prefix('[') {
            let Some((name, after)) = section_header(header) else { continue };
            section = name;
            rest = after.trim_start();
        }
        if rest.is_empty() || rest.starts_with(['#', ';']) {
            continue;
        }
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        if name.is_empty() {
            continue;
        }
        let value = match after.trim_start().strip_prefix('=') {
            Some(raw) => value(raw, &mut lines),
            None => "true".to_owned(),
        };
        found.push(Setting { section: section.clone(), name: name.to_ascii_lowercase(), value });
    }
    found
}

/// `core] …` or `includeIf "gitdir:~/work/"] …`: the section's name and what follows.
fn section_header(header: &str) -> Option<(String, &str)> {
    let end = header.find(|c: char| c == ']' || c.is_whitespace())?;
    let name = header[..end].to_ascii_lowercase();
    // `[branch.main]` is the old form of `[branch "main"]`.
    let name = name.split('.').next().unwrap_or_default().to_owned();
    let rest = header[end..].trim_start();
    if let Some(after) = rest.strip_prefix(']') {
        return Some((name, after));
    }
    let mut escaped = false;
    for (at, c) in rest.strip_prefix('"')?.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some((name, rest[at + 2..].trim_start().strip_prefix(']')?)),
            _ => {}
        }
    }
    None
}

/// The value behind `=`: quotes removed, escapes resolved, comments cut, lines that end in a
/// backslash joined.
fn value<'a>(raw: &str, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let mut value = String::new();
    // Spaces count only when something follows them.
    let mut spaces = String::new();
    let mut quoted = false;
    let mut line = raw.trim_start();
    loop {
        let mut continued = false;
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => quoted = !quoted,
                '#' | ';' if !quoted => break,
                c if c.is_whitespace() && !quoted => spaces.push(c),
                c => {
                    value.push_str(&spaces);
                    spaces.clear();
                    value.push(match (c, c == '\\') {
                        (c, false) => c,
                        _ => match chars.next() {
                            Some('n') => '\n',
                            Some('t') => '\t',
                            Some('b') => '\u{8}',
                            Some(other) => other,
                            None => {
                                continued = true;
                                break;
                            }
                        },
                    });
                }
            }
        }
        match continued.then(|| lines.next()).flatten() {
            Some(next) => line = next,
            None => return value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, String, String)> {
        settings(text).into_iter().map(|s| (s.section, s.name, s.value)).collect()
    }

    #[test]
    fn reads_what_git_reads() {
        let text = "[core]\n\thooksPath = .hooks ; a comment\n bare\n[includeIf \"gitdir:~/w \\\"]/\"] path = \"~/a b\" # no\n[alias]\n x = \"!f() { \\\n  y; }; f\"\n[branch.Main]\nremote=origin\n";
        let expected = [
            ("core", "hookspath", ".hooks"),
            ("core", "bare", "true"),
            ("includeif", "path", "~/a b"),
            ("alias", "x", "!f() {   y; }; f"),
            ("branch", "remote", "origin"),
        ]
        .map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(values(text), expected);
    }

    #[test]
    fn passes_over_what_it_does_not_understand() {
        assert_eq!(
            values("[core\n = 3\n[\"x\nhooksPath = y"),
            [(String::new(), "hookspath".to_owned(), "y".to_owned())]
        );
    }
}
