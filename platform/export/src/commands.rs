//! The command rules that hold, as agents can be told of them.

use chaperone_policy::{Origin, Policy, Said, Verdict, When};
use std::collections::BTreeMap;

/// A command rule that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The tokens a command begins with; empty means every command.
    pub(crate) words: Vec<String>,
    pub(crate) verdict: Verdict,
    /// Why, in plain words.
    pub(crate) reason: Option<String>,
    pub(crate) origin: Origin,
    /// It holds in some workspaces only.
    pub(crate) in_some_workspaces: bool,
}

impl Rule {
    /// The reason, or a sentence that stands for one.
    pub(crate) fn why(&self) -> String {
        match (&self.reason, self.verdict) {
            (Some(reason), _) if !reason.trim().is_empty() => reason.trim().to_owned(),
            (_, Verdict::Deny) => format!("`{}` is not allowed.", self.words.join(" ")),
            (_, Verdict::Ask) => format!("`{}` is asked about.", self.words.join(" ")),
            (_, Verdict::Allow) => format!("`{}` is allowed.", self.words.join(" ")),
        }
    }
}

/// Every rule that holds, the strictest of those with equal tokens, in the policy's order.
pub(crate) fn rules(policy: &Policy) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut known: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let Ok(value) = policy.explain("commands.rule") else { return rules };
    let Said::Rules(held) = &value.value else { return rules };
    let is_narrow = |when: &When| !when.workspace.is_empty();
    for (held, origin) in held.iter().zip(value.origins) {
        let rule = Rule {
            words: held.prefix.iter().map(str::to_owned).collect(),
            verdict: held.decision,
            reason: held.reason.as_deref().map(str::to_owned),
            in_some_workspaces: held.when.as_deref().is_some_and(is_narrow)
                || in_some_workspaces(policy, &origin),
            origin,
        };
        match known.get(&rule.words) {
            Some(at) => {
                if let Some(before) = rules.get_mut(*at).filter(|own| own.verdict < rule.verdict) {
                    *before = rule;
                }
            }
            None => {
                known.insert(rule.words.clone(), rules.len());
                rules.push(rule);
            }
        }
    }
    rules
}

/// Whether the value stands in a layer that holds in some workspaces only.
pub(crate) fn in_some_workspaces(policy: &Policy, origin: &Origin) -> bool {
    policy.layers().iter().any(|layer| {
        let when = layer.settings.when.as_ref();
        when.is_some_and(|when| !when.workspace.is_empty())
            && layer.kind == origin.kind
            && origin.locator.starts_with(&layer.locator)
    })
}

/// Whether each word stands for itself in every shell, so that agents read it as it is written.
pub(crate) fn is_plain(word: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "_@%+=:,./-".contains(c);
    !word.is_empty() && word.chars().all(plain)
}

/// The shorter spellings of a subcommand that its program takes (`npm pub`), from two letters on.
pub(crate) fn abbreviations<'a>(program: &str, subcommand: &'a str) -> Vec<&'a str> {
    if !matches!(program, "npm" | "gem") || !subcommand.is_ascii() {
        return Vec::new();
    }
    (2..subcommand.len()).filter_map(|length| subcommand.get(..length)).collect()
}

/// The words with one more between some of them: options may stand before each word but the first.
/// `gap` is what an agent writes for them. The words without any gap are not among the results.
pub(crate) fn with_options(words: &[String], gap: &str) -> Vec<Vec<String>> {
    // Three subcommands with options before each are more than any real command has.
    const MOST: usize = 3;
    let gaps = words.len().saturating_sub(1).min(MOST);
    let mut out = Vec::new();
    for chosen in 1_u32..1 << gaps {
        let mut line = Vec::with_capacity(words.len() + gaps);
        for (at, word) in words.iter().enumerate() {
            if at > 0 && at <= gaps && chosen & (1 << (at - 1)) != 0 {
                line.push(gap.to_owned());
            }
            line.push(word.clone());
        }
        out.push(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_may_stand_before_every_word_but_the_first() {
        let words: Vec<String> = ["gh", "pr", "merge"].map(str::to_owned).into();
        let lines: Vec<String> =
            with_options(&words, "-*").iter().map(|line| line.join(" ")).collect();
        assert_eq!(lines, ["gh -* pr merge", "gh pr -* merge", "gh -* pr -* merge"]);
        assert!(with_options(&words[..1], "-*").is_empty());
    }

    #[test]
    fn npm_takes_a_subcommand_from_two_letters_on() {
        assert_eq!(abbreviations("npm", "publish"), ["pu", "pub", "publ", "publi", "publis"]);
        assert!(abbreviations("git", "push").is_empty());
    }
}
