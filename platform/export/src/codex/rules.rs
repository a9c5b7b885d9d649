//! Command rules: in the requirements, which enforce them, and as a file that can be checked.

use super::{RULES, joined};
use crate::File;
use crate::commands::{self, Rule};
use crate::quote::{comment, toml, toml_array};
use chaperone_policy::Verdict;

/// The words that a rule's program may be written as: agents name it, or its place.
fn programs(first: &str) -> Vec<String> {
    match first.rsplit_once('/') {
        Some((_, name)) => vec![first.to_owned(), name.to_owned()],
        None => ["", "/usr/bin/", "/bin/", "/usr/local/bin/", "/opt/homebrew/bin/"]
            .iter()
            .map(|folder| format!("{folder}{first}"))
            .collect(),
    }
}

/// Each position of a rule's pattern with its alternatives.
fn pattern(words: &[String]) -> Vec<Vec<String>> {
    let program = words.first().map(String::as_str).unwrap_or_default();
    words
        .iter()
        .enumerate()
        .map(|(at, word)| match at {
            0 => programs(word),
            1 => std::iter::once(word.as_str())
                .chain(commands::abbreviations(program, word))
                .map(str::to_owned)
                .collect(),
            _ => vec![word.clone()],
        })
        .collect()
}

fn decision(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Deny => "forbidden",
        Verdict::Ask => "prompt",
        Verdict::Allow => "allow",
    }
}

pub(super) fn prefix_rules(rules: &[&Rule]) -> Vec<String> {
    let rules: Vec<&&Rule> = rules.iter().filter(|rule| !rule.words.is_empty()).collect();
    if rules.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), "[rules]".to_owned(), "prefix_rules = [".to_owned()];
    for rule in rules {
        let tokens: Vec<String> = pattern(&rule.words)
            .iter()
            .map(|words| match words.as_slice() {
                [word] => format!("{{ token = {} }}", toml(word)),
                words => format!("{{ any_of = {} }}", toml_array(words)),
            })
            .collect();
        lines.push(format!(
            "  {{ pattern = [{}], decision = {}, justification = {} }},",
            tokens.join(", "),
            toml(decision(rule.verdict)),
            toml(&rule.why()),
        ));
    }
    lines.push("]".to_owned());
    lines
}

/// The same rules in the form that `codex execpolicy check` tries on a command, with an example.
pub(super) fn rules_file(rules: &[&Rule]) -> Option<File> {
    let mut lines = vec![comment("The rules of requirements.toml, for `codex execpolicy check`.")];
    let before = lines.len();
    let mut rules: Vec<&&Rule> = rules.iter().filter(|rule| !rule.words.is_empty()).collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.verdict));
    for rule in rules {
        let tokens: Vec<String> = pattern(&rule.words)
            .iter()
            .map(|words| match words.as_slice() {
                [word] => toml(word),
                words => toml_array(words),
            })
            .collect();
        lines.push("prefix_rule(".to_owned());
        lines.push(format!("    pattern = [{}],", tokens.join(", ")));
        lines.push(format!("    decision = {},", toml(decision(rule.verdict))));
        lines.push(format!("    justification = {},", toml(&rule.why())));
        lines.push(format!("    match = [{}],", toml_array(&rule.words)));
        lines.push(")".to_owned());
    }
    (lines.len() > before).then(|| File {
        name: "rules/chaperone.rules",
        places: RULES,
        text: joined(lines),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_restricted_by_its_name_and_in_its_usual_places() {
        let words = ["npm", "pub", "x"].map(str::to_owned);
        let [programs, subcommands, rest] = &pattern(&words)[..] else { panic!() };
        assert_eq!(programs[..2], ["npm", "/usr/bin/npm"]);
        assert_eq!(subcommands, &["pub", "pu"]);
        assert_eq!(rest, &["x"]);
    }
}
