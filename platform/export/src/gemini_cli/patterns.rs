//! Regular expressions for Gemini CLI's policy engine. They are tried on the JSON of a tool's
//! arguments, and the engine refuses a group with a quantifier in it that is itself quantified.

use crate::commands;
use crate::paths::Named;
use chaperone_policy::{HostPattern, HostSpec};

/// What may stand between two words of a command in a shell, as JSON has it.
const BETWEEN: &str = r#"[\s\\"']+"#;
/// What may stand before a word in the middle of a command.
const BEFORE: &str = r#"[\s"'\\/=(;&|]"#;
/// What may stand after the last word.
const AFTER: &str = r#"[\s"'\\;&|)<>]"#;

/// Commands that begin with these words, wherever in the line: behind a folder, an assignment, a
/// wrapper or a shell's `-c`, with options before each word but the first.
pub(crate) fn command(words: &[String]) -> String {
    let [first, rest @ ..] = words else { return ".".to_owned() };
    let name = first.rsplit('/').next().unwrap_or(first);
    let mut regex = format!("(?:|.*{BEFORE}){}", literal(name));
    for (at, word) in rest.iter().enumerate() {
        let mut spellings = vec![literal(word)];
        if at == 0 {
            spellings.extend(commands::abbreviations(name, word).into_iter().map(literal));
        }
        regex.push_str(&format!(r"(?:{BETWEEN}|\s+-.*[\s\\]['\x22]?)(?:{})", spellings.join("|")));
    }
    regex.push_str(&format!("(?:{AFTER})"));
    regex
}

/// The parts of a path by which it is known in any spelling; `None` where there are none.
pub(super) fn path(named: &Named) -> Option<String> {
    let texts = named.plain().unwrap_or_else(|| vec![named.rest.replace(['{', '}', ','], "?")]);
    let regexes: Vec<String> =
        texts.iter().map(|text| if named.glob { glob(text) } else { literal(text) }).collect();
    let known = regexes.iter().all(|regex| regex.contains(|c: char| c.is_alphanumeric()));
    known.then(|| format!("(?:{})", regexes.join("|")))
}

/// A glob of the policy, without a leading `**/`: a path may begin anywhere.
fn glob(text: &str) -> String {
    let mut text = text;
    while let Some(rest) = text.strip_prefix("**/") {
        text = rest;
    }
    let mut regex = String::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '*' if characters.peek() == Some(&'*') => {
                characters.next();
                regex.push_str(".*");
            }
            '*' => regex.push_str(r#"[^/"]*"#),
            '?' => regex.push('.'),
            '[' => {
                // One character of a set: any will do where a denial may be wider.
                while characters.next_if(|c| *c != ']').is_some() {}
                characters.next();
                regex.push('.');
            }
            c => regex.push_str(&literal(&c.to_string())),
        }
    }
    regex
}

/// The path as the argument of a tool that takes one file.
pub(super) fn file_path(path: &str) -> String {
    format!(r#""file_path":"(?:|[^"]*/){path}(?:["/])"#)
}

/// The path in any argument.
pub(super) fn argument(path: &str) -> String {
    format!(r#"["/]{path}(?:["/])"#)
}

/// The path in a command.
pub(super) fn mentioned(path: &str) -> String {
    format!(r#"(?:|.*["'\\\s/=~:<>]){path}(?:["'\\\s/;&|)<>])"#)
}

/// A host in an address; `None` for a range and for every host.
pub(super) fn host(pattern: &HostPattern) -> Option<String> {
    let name = match &pattern.host {
        HostSpec::Name(name) => literal(name),
        HostSpec::Beneath(name) => format!(r"[\w.-]+\.{}", literal(name)),
        HostSpec::Address(address) => literal(&address.to_string()),
        HostSpec::Range(..) | HostSpec::Set(_) | HostSpec::Any => return None,
    };
    // Names are read in any case.
    let name: String = name
        .chars()
        .scan(false, |escaped, c| {
            let plain = !*escaped;
            *escaped = plain && c == '\\';
            Some(if plain && c.is_ascii_alphabetic() {
                format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase())
            } else {
                c.to_string()
            })
        })
        .collect();
    Some(format!(r#"[\s"'/@\[=]{name}(?:["'\\\s/:?#\]])"#))
}

/// A text that stands for itself, as JSON has it.
fn literal(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    let mut out = String::new();
    for c in inner.chars() {
        if r"\^$.|?*+()[]{}-#".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Base;

    /// The engine's own test for a pattern that could take for ever: a quantified group that holds
    /// a quantifier.
    fn is_refused(regex: &str) -> bool {
        let bytes: Vec<char> = regex.chars().collect();
        let quantifier = |c: &char| "*+?{".contains(*c);
        (0..bytes.len()).filter(|at| bytes[*at] == '(').any(|open| {
            let first = bytes[open + 1..].iter().position(|c| *c == ')');
            let end = first.map_or(bytes.len(), |first| open + 1 + first);
            let Some(inner) = bytes[open + 1..end].iter().position(quantifier) else {
                return false;
            };
            bytes[open + 1 + inner..].windows(2).any(|two| two[0] == ')' && quantifier(&two[1]))
        })
    }

    #[test]
    fn no_pattern_is_one_that_the_engine_refuses() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let named = Named { base: Base::Home, rest: "**/a*[b]/{c,d}?".to_owned(), glob: true };
        let path = path(&named).unwrap();
        for regex in [
            command(&words(&["npm", "publish", "x(y)*"])),
            file_path(&path),
            argument(&path),
            mentioned(&path),
            host(&HostPattern::parse("*.paste.example").unwrap()).unwrap(),
        ] {
            assert!(!is_refused(&regex), "{regex}");
            assert!(regex.len() < 2048, "{regex}");
        }
        assert!(is_refused("(a+)+") && is_refused("(?:a)?"));
    }
}
