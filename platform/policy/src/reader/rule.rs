//! `[[commands.rule]]`: prefixes, decisions, and examples that are tested as they load.

use super::values::{scalars, strings};
use super::{Entry, Reader};
use crate::document::{Node, Table, Value, toml_piece};
use crate::{
    Command, CommandPrefix, CommandRule, FindingStatus, Located, Verdict, When, identities,
};
use std::sync::Arc;

const KEY: &str = "commands.rule";
const KNOWN: [&str; 6] = ["prefix", "decision", "reason", "match", "not_match", "when"];

/// What has been read of one rule.
#[derive(Default)]
struct Draft<'v> {
    prefix: CommandPrefix,
    decision: Option<Verdict>,
    reason: Option<Box<str>>,
    matching: Vec<Vec<&'v str>>,
    not_matching: Vec<Vec<&'v str>>,
    when: Option<Box<When>>,
    /// Something in it is not what it should be.
    broken: bool,
    /// It holds a key that nobody knows, which could have been a condition.
    unknown: bool,
}

impl<'t> Reader<'t> {
    pub(super) fn rules(
        &mut self,
        value: &Node<'t>,
        repaired: bool,
    ) -> Vec<Located<Arc<CommandRule>>> {
        let status = if self.managed() { FindingStatus::Partly } else { FindingStatus::Dropped };
        match &value.value {
            Value::Array(items) => {
                let mut rules = Vec::with_capacity(items.len());
                for item in items {
                    match &item.value {
                        Value::Table(table) => self.rule(item, table, repaired, &mut rules),
                        Value::Piece(Some(rule)) => {
                            if !repaired || rule.decision != Verdict::Allow {
                                rules.push(self.located(item, repaired, Arc::clone(rule)));
                            }
                        }
                        Value::Piece(None) => {
                            let table = toml_piece(self.document(), item.at);
                            self.rule(item, &table, repaired, &mut rules);
                        }
                        _ => {
                            self.wrong(item, KEY, "a table with `prefix` and `decision`", status);
                            rules.extend(self.unread_rule(item));
                        }
                    }
                }
                rules
            }
            Value::Table(table) => {
                self.wrong(value, KEY, "`[[commands.rule]]`, with two brackets", status);
                let mut rules = Vec::new();
                if self.managed() {
                    self.rule(value, table, true, &mut rules);
                }
                rules
            }
            _ => {
                self.wrong(value, KEY, "an array of tables", status);
                self.unread_rule(value)
            }
        }
    }

    /// What a managed layer's rule becomes that is no table: its words deny; without any, every
    /// command is asked about.
    pub(super) fn unread_rule(&self, value: &Node<'t>) -> Vec<Located<Arc<CommandRule>>> {
        if !self.managed() {
            return Vec::new();
        }
        let rules: Vec<_> = match &value.value {
            Value::Table(_) | Value::Piece(_) => Vec::new(),
            _ => scalars(value, self.document())
                .into_iter()
                .map(|(text, _)| CommandPrefix::new(text.split_whitespace()))
                .filter(|prefix| !prefix.is_empty())
                .map(|prefix| {
                    self.located(value, true, Arc::new(repaired_rule(prefix, Verdict::Deny)))
                })
                .collect(),
        };
        if rules.is_empty() {
            return vec![self.located(
                value,
                true,
                Arc::new(repaired_rule(CommandPrefix::default(), Verdict::Ask)),
            )];
        }
        rules
    }

    fn rule(
        &mut self,
        at: &Node<'t>,
        table: &Table<'t>,
        restricts_only: bool,
        rules: &mut Vec<Located<Arc<CommandRule>>>,
    ) {
        let first_finding = self.findings.len();
        let draft = self.draft(at, table);
        let Draft { prefix, decision, reason, matching, not_matching: _, when, broken, unknown } =
            draft;
        let allows = decision == Some(Verdict::Allow);
        if !broken && !(allows && (unknown || restricts_only)) {
            let Some(decision) = decision else { return };
            let rule = CommandRule { prefix, decision, reason, when, repaired: false };
            rules.push(self.located(at, restricts_only, Arc::new(rule)));
            return;
        }
        let drop = allows || !self.managed();
        let status = match (drop, prefix.is_empty() && matching.is_empty()) {
            (true, _) => FindingStatus::Dropped,
            (false, false) => FindingStatus::Partly,
            (false, true) => FindingStatus::Strictest,
        };
        for finding in self.findings.get_mut(first_finding..).unwrap_or_default() {
            finding.status = status;
        }
        if drop {
            return;
        }
        // A condition that could be read still narrows the rule; one that could not is gone, and
        // with it the narrowing.
        let verdict = decision.unwrap_or(Verdict::Deny);
        let mut prefixes = vec![prefix];
        prefixes.extend(matching.into_iter().map(CommandPrefix::new));
        prefixes.retain(|prefix| !prefix.is_empty());
        let verdict = if prefixes.is_empty() { Verdict::Ask } else { verdict };
        if prefixes.is_empty() {
            prefixes.push(CommandPrefix::default());
        }
        rules.extend(prefixes.into_iter().map(|prefix| {
            let rule = repaired_rule(prefix, verdict);
            let rule = CommandRule { reason: reason.clone(), when: when.clone(), ..rule };
            self.located(at, true, Arc::new(rule))
        }));
    }

    fn draft<'v>(&mut self, at: &Node<'t>, table: &'v Table<'t>) -> Draft<'v> {
        let mut draft = Draft::default();
        let mut has_prefix = false;
        for own in table.entries() {
            let before = self.findings.len();
            let entry = self.entry(KEY, table, own, &KNOWN);
            draft.unknown |= self.findings.len() > before;
            let Some(Entry { name, repaired, value }) = entry else { continue };
            draft.broken |= repaired;
            match name {
                "prefix" => {
                    has_prefix = true;
                    self.prefix(value, &mut draft);
                }
                "decision" => {
                    draft.decision = verdict(value.value.string());
                    if draft.decision.is_none() {
                        self.part(value, "decision", "\"allow\", \"ask\" or \"deny\"");
                        draft.broken = true;
                    }
                }
                "reason" => match value.value.string() {
                    Some(text) => draft.reason = Some(text.into()),
                    None => {
                        self.part(value, "reason", "a string");
                        draft.broken = true;
                    }
                },
                "match" => draft.matching = self.examples(value, name, &mut draft.broken),
                "not_match" => draft.not_matching = self.examples(value, name, &mut draft.broken),
                _ => {
                    draft.when = self.when("commands.rule.when", value).map(Box::new);
                    draft.broken |= draft.when.is_none();
                }
            }
        }
        if !has_prefix {
            self.part(at, "prefix", "an array of tokens, such as [\"git\", \"push\"]");
            draft.broken = true;
        }
        if draft.decision.is_none() && table.get("decision").is_none() {
            self.part(at, "decision", "\"allow\", \"ask\" or \"deny\"");
            draft.broken = true;
        }
        if !draft.broken {
            self.test_examples(table, &mut draft);
        }
        draft
    }

    /// A finding about a part of a rule; its status is settled when the whole rule is read.
    fn part(&mut self, value: &Node<'t>, name: &str, expected: &str) {
        let found = match &value.value {
            Value::Table(_) | Value::Piece(_) => format!("a rule without `{name}`"),
            other => super::values::describe(other),
        };
        let key = format!("{KEY}.{name}");
        self.find(value.at, key, expected, found, FindingStatus::Dropped);
    }

    fn prefix<'v>(&mut self, value: &'v Node<'t>, draft: &mut Draft<'_>) {
        let expected = "an array of tokens, such as [\"git\", \"push\"]";
        let Value::Array(items) = &value.value else {
            self.part(value, "prefix", expected);
            draft.broken = true;
            let text = value.value.string().unwrap_or_default();
            draft.prefix = CommandPrefix::new(text.split_whitespace());
            return;
        };
        let token = |item: &'v Node<'t>| item.value.string();
        let tokens =
            || items.iter().map_while(token).take_while(|own| CommandPrefix::is_token(own));
        draft.prefix = CommandPrefix::new(tokens());
        if let Some(item) = items.get(tokens().count()) {
            self.part(item, "prefix", "a token that is not empty");
            draft.broken = true;
            // What stands before it is a shorter prefix, which covers more.
            return;
        }
        let Some(first) = draft.prefix.first() else {
            self.part(value, "prefix", expected);
            draft.broken = true;
            return;
        };
        if !is_program(first) {
            let name = first.rsplit('/').next().unwrap_or_default().to_owned();
            let rest = draft.prefix.iter().skip(1);
            draft.prefix = CommandPrefix::new(std::iter::once(name.as_str()).chain(rest));
            self.part(value, "prefix", "a program's name or its whole path as first token");
            draft.broken = true;
        }
    }

    fn examples<'v>(
        &mut self,
        value: &'v Node<'t>,
        name: &str,
        broken: &mut bool,
    ) -> Vec<Vec<&'v str>> {
        let expected = "an array of commands, each an array of tokens";
        let Value::Array(items) = &value.value else {
            self.part(value, name, expected);
            *broken = true;
            return Vec::new();
        };
        let mut examples = Vec::with_capacity(items.len());
        for item in items {
            let tokens = match &item.value {
                Value::Array(_) => strings(item),
                _ => None,
            };
            match tokens {
                Some(tokens) => {
                    examples.push(tokens.into_iter().map(|(text, _)| text).collect());
                }
                None => {
                    self.part(item, name, expected);
                    *broken = true;
                }
            }
        }
        examples
    }

    /// The examples are tests: a rule that fails one says something else than its author meant.
    fn test_examples(&mut self, table: &Table<'t>, draft: &mut Draft<'_>) {
        let Draft { prefix, matching, not_matching, broken, .. } = draft;
        let mut failed = Vec::new();
        for (name, examples, wanted) in
            [("match", matching, true), ("not_match", not_matching, false)]
        {
            for (at, example) in examples.iter().enumerate() {
                if rule_matches(prefix, example) != wanted {
                    failed.push((name, at, wanted));
                }
            }
        }
        for (name, at, wanted) in failed {
            *broken = true;
            let item = table.get(name).and_then(|value| match &value.value {
                Value::Array(items) => items.get(at),
                _ => None,
            });
            let Some(item) = item else { continue };
            let words = scalars(item, self.document());
            let words: Vec<String> = words.into_iter().map(|(text, _)| text).collect();
            let prefix = prefix.join(" ");
            let expected = if wanted {
                format!("an example that `{prefix}` matches")
            } else {
                format!("an example that `{prefix}` does not match")
            };
            let found = format!("`{}`", words.join(" "));
            self.find(item.at, format!("{KEY}.{name}"), expected, found, FindingStatus::Dropped);
        }
    }
}

/// The rule that a table is from its first key to its last, where every word of it is as it should
/// be. What is not, and what has conditions, is read with its findings.
pub(super) fn whole(table: &Table<'_>) -> Option<Arc<CommandRule>> {
    let mut decision = None;
    let mut reason = None;
    let mut prefix = None;
    for (key, node) in table.entries() {
        match &*key.name {
            "prefix" => {
                let Value::Array(items) = &node.value else { return None };
                let tokens = items.iter().map_while(|item| item.value.string());
                prefix = Some(CommandPrefix::new(tokens)).filter(|own| own.len() == items.len());
            }
            "decision" => decision = verdict(node.value.string()),
            "reason" => reason = Some(node.value.string()?),
            "match" | "not_match" => {}
            _ => return None,
        }
    }
    let (prefix, decision) = (prefix?, decision?);
    if !is_program(prefix.first()?) {
        return None;
    }
    for (name, wanted) in [("match", true), ("not_match", false)] {
        let Some(examples) = table.get(name) else { continue };
        let Value::Array(examples) = &examples.value else { return None };
        for example in examples {
            let Value::Array(tokens) = &example.value else { return None };
            let tokens: Option<Vec<&str>> = tokens.iter().map(|item| item.value.string()).collect();
            let tokens = tokens.filter(|tokens| !tokens.is_empty())?;
            if rule_matches(&prefix, &tokens) != wanted {
                return None;
            }
        }
    }
    let reason = reason.map(Box::from);
    Some(Arc::new(CommandRule { prefix, decision, reason, when: None, repaired: false }))
}

pub(super) fn verdict(word: Option<&str>) -> Option<Verdict> {
    match word? {
        "allow" => Some(Verdict::Allow),
        "ask" => Some(Verdict::Ask),
        "deny" => Some(Verdict::Deny),
        _ => None,
    }
}

/// Whether a token names a program: by its name, or by its whole path.
fn is_program(token: &str) -> bool {
    token.starts_with('/') || !token.contains('/')
}

fn begins<'e>(prefix: &CommandPrefix, mut example: impl Iterator<Item = &'e str>) -> bool {
    prefix.iter().all(|word| example.next() == Some(word))
}

/// As `identities` would decide it, without them where the tokens alone do: five hundred rules
/// with two examples each are read at every start.
fn rule_matches(prefix: &CommandPrefix, example: &[&str]) -> bool {
    if begins(prefix, example.iter().copied()) {
        return true;
    }
    // Whatever the example runs, its words are parts of the example's, but for what is quoted.
    let is_there = |word: &str| example.iter().any(|token| token.contains(word));
    let quotes = |token: &&str| token.contains(['\'', '"', '\\']);
    if !prefix.iter().all(is_there) && !example.iter().any(quotes) {
        return false;
    }
    let rule = repaired_rule(prefix.clone(), Verdict::Deny);
    identities(&Command::from_tokens(example)).iter().any(|identity| rule.matches(identity))
}

fn repaired_rule(prefix: CommandPrefix, decision: Verdict) -> CommandRule {
    CommandRule { prefix, decision, reason: None, when: None, repaired: true }
}
