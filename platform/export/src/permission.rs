//! Permission rules of the form `Tool(specifier)`, which Claude Code and Copilot share in part.

use crate::commands::{self, Rule};
use crate::paths::{Base, Named};

/// The specifiers of a shell tool that cover the rule's commands and, with options before a
/// subcommand, more; never fewer than the rule's own words do. Of no words there is none: the
/// tool's bare name means every command.
pub(crate) fn covering(rule: &Rule) -> Vec<String> {
    let mut lines: Vec<Vec<String>> = vec![rule.words.clone()];
    lines.extend(abbreviated(&rule.words));
    // A program that is named by its path is started by its name as well.
    if let Some(name) = rule.words.first().and_then(|first| first.rsplit_once('/')) {
        let mut by_name = rule.words.clone();
        if let Some(first) = by_name.first_mut() {
            *first = name.1.to_owned();
        }
        lines.push(by_name);
    }
    let mut out = Vec::new();
    for line in &lines {
        out.extend(specifiers(line));
    }
    for line in lines.iter().take(1).flat_map(|line| commands::with_options(line, "-*")) {
        out.extend(specifiers(&line));
    }
    out.dedup();
    out
}

fn abbreviated(words: &[String]) -> Vec<Vec<String>> {
    let [program, subcommand, rest @ ..] = words else { return Vec::new() };
    let short = |short: &str| {
        let mut line = vec![program.clone(), short.to_owned()];
        line.extend_from_slice(rest);
        line
    };
    commands::abbreviations(program, subcommand).into_iter().map(short).collect()
}

/// The specifiers that cover the commands which begin with these words alone; also what is written
/// without options, as an allow is. Where a word has to be quoted in a shell, `*` stands for it
/// and whatever follows.
fn specifiers(line: &[String]) -> Vec<String> {
    let is_plain = |word: &&String| commands::is_plain(word) || *word == "-*";
    let plain: Vec<&str> = line.iter().take_while(is_plain).map(String::as_str).collect();
    let text = plain.join(" ");
    match (plain.len() == line.len(), plain.contains(&"-*")) {
        _ if plain.is_empty() => vec!["*".to_owned()],
        (true, false) => vec![format!("{text}:*")],
        (false, false) => vec![format!("{text} *")],
        (true, true) => vec![text.clone(), format!("{text} *")],
        (false, true) => vec![format!("{text} *")],
    }
}

/// The specifier that covers exactly the commands which begin with these words, all of them plain.
pub(crate) fn exact(words: &[String]) -> String {
    format!("{}:*", words.join(" "))
}

/// What is a pattern, or the end of a specifier, in a rule about files.
pub(crate) const SPECIAL: [char; 11] = ['*', '?', '[', ']', '{', '}', '(', ')', '!', '#', '\\'];

/// The specifiers of a file tool for a path and what lies beneath it, or more. With `deny`,
/// characters that are no pattern stand as `?`; without, such a path has none.
pub(crate) fn files(named: &Named, deny: bool) -> Option<Vec<String>> {
    let texts = match named.plain() {
        Some(texts) => texts,
        None if deny => vec![beginning(&named.rest)],
        None => return None,
    };
    if named.is_odd(&SPECIAL) && !deny {
        return None;
    }
    let mut out = Vec::new();
    for text in texts {
        let text = if named.is_odd(&SPECIAL) { blurred(&text) } else { text };
        let whole = match (named.base, text.is_empty()) {
            (Base::Root, _) => format!("//{}", drive(&text)),
            (Base::Home, false) => format!("~/{text}"),
            (Base::Home, true) => "~".to_owned(),
            (Base::Workspace, false) => format!("./{text}"),
            (Base::Workspace, true) => ".".to_owned(),
        };
        let beneath = format!("{}/**", whole.trim_end_matches('/'));
        if whole == "//" {
            out.push("//**".to_owned());
        } else {
            out.extend([whole, beneath]);
        }
    }
    Some(out)
}

/// `C:/x` is `c/x`.
fn drive(text: &str) -> String {
    match text.split_once(':') {
        Some((letter, rest)) if letter.len() == 1 => format!("{}{rest}", letter.to_lowercase()),
        _ => text.to_owned(),
    }
}

pub(crate) fn blurred(text: &str) -> String {
    text.chars().map(|c| if SPECIAL.contains(&c) { '?' } else { c }).collect()
}

/// The folders before the first part that holds a glob: they cover all that the pattern names.
fn beginning(text: &str) -> String {
    let plain = |part: &&str| !part.contains(['*', '?', '[', '{']);
    let parts: Vec<&str> = text.split('/').take_while(plain).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaperone_policy::{Origin, Verdict};

    fn covered(words: &[&str]) -> Vec<String> {
        covering(&Rule {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            verdict: Verdict::Deny,
            reason: None,
            origin: Origin::built_in(),
            in_some_workspaces: false,
        })
    }

    #[test]
    fn a_restriction_covers_options_before_the_subcommand() {
        assert_eq!(covered(&["git", "push"]), ["git push:*", "git -* push", "git -* push *"]);
        assert_eq!(covered(&["terraform"]), ["terraform:*"]);
        assert_eq!(
            covered(&["/usr/bin/git"]),
            ["/usr/bin/git:*", "git:*"],
            "a program named by its path is started by its name as well"
        );
        assert_eq!(covered(&["sh", "-c", "rm -rf /"])[0], "sh -c *");
        assert_eq!(covered(&["npm", "pub"])[..2], ["npm pub:*", "npm pu:*"]);
    }

    #[test]
    fn a_path_covers_itself_and_what_lies_beneath() {
        let named = |base, rest: &str, glob| Named { base, rest: rest.to_owned(), glob };
        let table = [
            (named(Base::Home, ".kube", false), true, Some(vec!["~/.kube", "~/.kube/**"])),
            (named(Base::Root, "", false), true, Some(vec!["//**"])),
            (named(Base::Root, "C:/x", false), true, Some(vec!["//c/x", "//c/x/**"])),
            (named(Base::Workspace, "a(b)", false), true, Some(vec!["./a?b?", "./a?b?/**"])),
            (named(Base::Workspace, "a(b)", false), false, None),
            (named(Base::Home, "x/{a,{b,c}}", true), true, Some(vec!["~/x", "~/x/**"])),
            (named(Base::Home, "x/{a,{b,c}}", true), false, None),
        ];
        for (path, deny, expected) in table {
            let expected = expected.map(|list| list.into_iter().map(str::to_owned).collect());
            assert_eq!(files(&path, deny), expected, "{path:?}");
        }
    }
}
