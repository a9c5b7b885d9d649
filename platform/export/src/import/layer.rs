//! A layer of a policy as it is put together from an agent's settings: TOML with a comment for
//! each entry that says where it came from.

use crate::gemini_cli::patterns::command;
use crate::quote::{comment, toml, toml_array};
use chaperone_policy::{HostPattern, NamePattern, PathText, Verdict};

/// A text with its place in an agent's file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    text: String,
    from: String,
}

/// A command rule with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    words: Vec<String>,
    verdict: Verdict,
    reason: Option<String>,
    from: String,
}

/// The lists of a layer, by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum List {
    Read,
    Write,
    Deny,
    DenyWrite,
    AllowHost,
    DenyHost,
    PassVariable,
    DenyVariable,
}

/// The layer so far.
#[derive(Debug, Default)]
pub(super) struct LayerText {
    lists: std::collections::BTreeMap<List, Vec<Entry>>,
    rules: Vec<Rule>,
    /// `network.mode`.
    mode: Option<Entry>,
    hosts_closed: Option<String>,
    commands_closed: Option<String>,
}

impl LayerText {
    /// Adds an entry to a list.
    ///
    /// # Errors
    /// What was expected, where the text is none that a policy could hold.
    pub(super) fn put(&mut self, list: List, text: &str, from: &str) -> Result<(), &'static str> {
        let spelled;
        let mut text = text;
        match list {
            List::Read | List::Write | List::Deny | List::DenyWrite => {
                PathText::parse(text)?;
            }
            List::AllowHost | List::DenyHost => {
                spelled = HostPattern::parse_host(text)?.to_string();
                // A word without a dot is a host to an agent; in a policy it could be a set.
                if !text.contains('.') {
                    text = &spelled;
                }
            }
            List::PassVariable | List::DenyVariable => {
                NamePattern::parse(text)?;
            }
        }
        let entries = self.lists.entry(list).or_default();
        if !entries.iter().any(|entry| entry.text == text) {
            entries.push(Entry { text: text.to_owned(), from: from.to_owned() });
        }
        Ok(())
    }

    /// Adds a command rule; of equal ones the strictest stays.
    ///
    /// # Errors
    /// What was expected, where the words are none of a rule's.
    pub(super) fn rule(
        &mut self,
        words: Vec<String>,
        verdict: Verdict,
        reason: Option<&str>,
        from: &str,
    ) -> Result<(), &'static str> {
        let first = words.first().ok_or("at least a program's name")?;
        if words.iter().any(String::is_empty) {
            return Err("tokens that are not empty");
        }
        if first.contains('/') && !first.starts_with('/') {
            return Err("a program's name or its whole path");
        }
        let reason = reason.map(str::trim).filter(|reason| !reason.is_empty()).map(str::to_owned);
        match self.rules.iter_mut().find(|rule| rule.words == words) {
            Some(known) if known.verdict >= verdict => {}
            Some(known) => *known = Rule { words, verdict, reason, from: from.to_owned() },
            None => self.rules.push(Rule { words, verdict, reason, from: from.to_owned() }),
        }
        Ok(())
    }

    /// Whether a rule of these words is at least this strict.
    pub(super) fn holds(&self, words: &[String], verdict: Verdict) -> bool {
        self.rules.iter().any(|rule| rule.words == words && rule.verdict >= verdict)
    }

    /// Whether the regular expression is one that we write beside a rule for its other spellings.
    pub(super) fn covers_regex(&self, regex: &str, verdict: Verdict) -> bool {
        let is_its = |rule: &&Rule| rule.verdict >= verdict && command(&rule.words) == regex;
        self.rules.iter().any(|rule| is_its(&rule))
    }

    pub(super) fn mode(&mut self, mode: &str, from: &str) {
        self.mode.get_or_insert(Entry { text: mode.to_owned(), from: from.to_owned() });
    }

    pub(super) fn close_hosts(&mut self, from: &str) {
        self.hosts_closed.get_or_insert_with(|| from.to_owned());
    }

    pub(super) fn close_commands(&mut self, from: &str) {
        self.commands_closed.get_or_insert_with(|| from.to_owned());
    }

    /// The layer as a policy file. Rules stand from the loosest to the strictest, so that the last
    /// that matches is the strictest in a layer of the base as well.
    pub(super) fn into_toml(mut self, title: &str) -> String {
        let mut lines = vec![comment(title)];
        // What is denied is not written either.
        let denied = self.lists.get(&List::Deny).cloned().unwrap_or_default();
        if let Some(unwritten) = self.lists.get_mut(&List::DenyWrite) {
            unwritten.retain(|entry| !denied.iter().any(|denied| denied.text == entry.text));
        }
        self.lists.retain(|_, entries| !entries.is_empty());
        let closed = |from: &Option<String>| {
            from.iter().flat_map(|from| [comment(from), "closed = true".to_owned()]).collect()
        };
        let network_closed: Vec<String> = closed(&self.hosts_closed);
        let commands_closed: Vec<String> = closed(&self.commands_closed);
        let mode = self
            .mode
            .take()
            .map(|mode| [comment(&mode.from), format!("mode = {}", toml(&mode.text))]);
        let mut filesystem = Vec::new();
        for (name, list) in [
            ("read", List::Read),
            ("write", List::Write),
            ("deny", List::Deny),
            ("deny_write", List::DenyWrite),
        ] {
            filesystem.extend(self.array(name, list));
        }
        let mut network: Vec<String> = mode.into_iter().flatten().collect();
        network.extend(self.array("allow", List::AllowHost));
        network.extend(self.array("deny", List::DenyHost));
        network.extend(network_closed);
        let mut environment = self.array("pass", List::PassVariable);
        environment.extend(self.array("deny", List::DenyVariable));
        for (name, section) in [
            ("filesystem", filesystem),
            ("network", network),
            ("environment", environment),
            ("commands", commands_closed),
        ] {
            if !section.is_empty() {
                lines.extend([String::new(), format!("[{name}]")]);
                lines.extend(section);
            }
        }
        self.rules.sort_by_key(|rule| rule.verdict);
        for Rule { words, verdict, reason, from } in &self.rules {
            lines.extend([String::new(), comment(from), "[[commands.rule]]".to_owned()]);
            lines.push(format!("prefix = {}", toml_array(words)));
            lines.push(format!("decision = {}", toml(&verdict.to_string())));
            lines.extend(reason.iter().map(|reason| format!("reason = {}", toml(reason))));
        }
        let mut text = lines.join("\n");
        text.push('\n');
        text
    }

    fn array(&mut self, name: &str, list: List) -> Vec<String> {
        let Some(entries) = self.lists.remove(&list) else { return Vec::new() };
        let mut lines = vec![format!("{name} = [")];
        for Entry { text, from } in &entries {
            lines.push(format!("  {}, {}", toml(text), comment(from)));
        }
        lines.push("]".to_owned());
        lines
    }
}
