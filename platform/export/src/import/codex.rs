//! Codex's `requirements.toml`, `managed_config.toml`, `config.toml` and rule files.

use super::layer::List;
use super::node::{Node, Value};
use super::{ImportError, NO_KEY, Reading, starlark};
use chaperone_policy::Verdict;

/// More commands than one rule of any person stands for.
const MOST: usize = 64;

pub(super) fn read(reading: &mut Reading, file: &str, text: &str) -> Result<(), ImportError> {
    if file.ends_with(".rules") {
        for call in starlark::calls(file, text)? {
            match call.name.as_str() {
                "prefix_rule" => prefix_rule(reading, &call.arguments, true),
                _ => reading.lose(&call.arguments, NO_KEY),
            }
        }
        return Ok(());
    }
    let node = Node::toml(file, text)?;
    let profile = node.get("default_permissions").and_then(Node::text).map(str::to_owned);
    for (key, value) in node.table().unwrap_or_default() {
        match key.as_str() {
            "rules" => rules(reading, value),
            "permissions" => permissions(reading, value, profile.as_deref()),
            "experimental_network" => network(reading, value),
            "shell_environment_policy" => environment(reading, value),
            "default_permissions"
                if profile.as_deref().is_some_and(|name| !name.starts_with(':')) => {}
            // Chaperone's sandbox holds whatever these say.
            "sandbox_mode" | "allowed_sandbox_modes" | "allowed_permission_profiles" => {}
            "approval_policy" | "allowed_approval_policies" => approvals(reading, value),
            _ => reading.lose(value, NO_KEY),
        }
    }
    Ok(())
}

/// Which commands are asked about: by rule only, as Chaperone does, or nearly all.
fn approvals(reading: &mut Reading, node: &Node) {
    let words: Vec<&str> = node.texts().iter().filter_map(|word| word.text()).collect();
    if words == ["untrusted"] {
        reading.lose(node, "A policy asks about commands by their first words, not about all.");
    }
}

fn rules(reading: &mut Reading, node: &Node) {
    for (key, value) in node.table().unwrap_or_default() {
        match (key.as_str(), value.list()) {
            ("prefix_rules", Some(rules)) => {
                for rule in rules {
                    prefix_rule(reading, rule, false);
                }
            }
            _ => reading.lose(value, NO_KEY),
        }
    }
}

/// A prefix rule, whose decision is `allow` where none is said in a rule file.
fn prefix_rule(reading: &mut Reading, node: &Node, may_allow: bool) {
    let verdict = match node.get("decision").map(|decision| decision.text()) {
        Some(Some("forbidden")) => Verdict::Deny,
        Some(Some("prompt")) => Verdict::Ask,
        Some(Some("allow")) => Verdict::Allow,
        None if may_allow => Verdict::Allow,
        _ => return reading.lose(node, "Its decision is none that Codex knows."),
    };
    let Some(positions) = node.get("pattern").and_then(positions) else {
        return reading.lose(node, "Its pattern is no list of words.");
    };
    let reason = node.get("justification").and_then(Node::text);
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    for alternatives in positions {
        let longer = |command: &Vec<String>| {
            let longer = |word: &String| command.iter().chain([word]).cloned().collect();
            alternatives.iter().map(longer).collect::<Vec<_>>()
        };
        commands = commands.iter().flat_map(longer).collect();
        if commands.len() > MOST {
            return reading.lose(node, "It stands for more commands than one rule can list.");
        }
    }
    for words in commands {
        if let Err(expected) = reading.layer.rule(words, verdict, reason, &node.place) {
            reading.lose(node, format!("A rule expects {expected}."));
        }
    }
    for (key, value) in node.table().unwrap_or_default() {
        let known = ["pattern", "decision", "justification", "match", "not_match"];
        if !known.contains(&key.as_str()) {
            reading.lose(value, NO_KEY);
        }
    }
}

/// The alternatives of each position, without those that a policy's rule covers by itself: other
/// paths to the same program, and the abbreviations that it takes.
fn positions(pattern: &Node) -> Option<Vec<Vec<String>>> {
    let mut out: Vec<Vec<String>> = Vec::new();
    for position in pattern.list()? {
        let words = match &position.value {
            Value::Text(word) => vec![word.clone()],
            Value::List(_) => texts(position)?,
            Value::Table(_) => match (position.get("token"), position.get("any_of")) {
                (Some(token), None) => vec![token.text()?.to_owned()],
                (None, Some(any)) => texts(any)?,
                _ => return None,
            },
            _ => return None,
        };
        let program = out.first().and_then(|first| first.first()).cloned();
        let covered = |word: &String| match (&program, out.len()) {
            (None, _) => word
                .rsplit_once('/')
                .is_some_and(|(_, name)| words.iter().any(|other| other == name)),
            (Some(program), 1) if program == "npm" || program == "gem" => words
                .iter()
                .any(|other| other != word && word.len() > 1 && other.starts_with(word.as_str())),
            _ => false,
        };
        let kept: Vec<String> = words.iter().filter(|word| !covered(word)).cloned().collect();
        out.push(if kept.is_empty() { words } else { kept });
    }
    (!out.is_empty()).then_some(out)
}

fn texts(node: &Node) -> Option<Vec<String>> {
    let items = node.list()?;
    let words: Option<Vec<String>> =
        items.iter().map(|item| item.text().map(str::to_owned)).collect();
    words.filter(|words| !words.is_empty())
}

/// `[permissions]`: what no profile may read, and the profile that holds.
fn permissions(reading: &mut Reading, node: &Node, profile: Option<&str>) {
    for (name, table) in node.table().unwrap_or_default() {
        if name == "filesystem" {
            for (key, value) in table.table().unwrap_or_default() {
                match key.as_str() {
                    "deny_read" => reading.put_all(List::Deny, value),
                    _ => reading.lose(value, NO_KEY),
                }
            }
        } else if Some(name.as_str()) == profile {
            self::profile(reading, table);
        } else {
            reading.lose(table, "It is not the profile that holds when Codex starts.");
        }
    }
}

fn profile(reading: &mut Reading, node: &Node) {
    for (key, value) in node.table().unwrap_or_default() {
        match key.as_str() {
            "description" | "extends" => {}
            "filesystem" => profile_files(reading, value, false),
            "network" => network(reading, value),
            _ => reading.lose(value, NO_KEY),
        }
    }
}

fn profile_files(reading: &mut Reading, node: &Node, workspace: bool) {
    for (path, access) in node.table().unwrap_or_default() {
        if path == ":workspace_roots" && access.table().is_some() {
            profile_files(reading, access, true);
            continue;
        }
        let list = match access.text() {
            Some("deny" | "none") => List::Deny,
            Some("read") if workspace => List::DenyWrite,
            Some("read") => List::Read,
            Some("write") => List::Write,
            _ => {
                reading.lose(access, NO_KEY);
                continue;
            }
        };
        if path.starts_with(':') {
            reading.lose(access, "Chaperone's sandbox has folders of its own for it.");
            continue;
        }
        let path = path.strip_suffix("/**").unwrap_or(path);
        let path = if workspace && path == "**" { "." } else { path };
        if list != List::Write || !workspace {
            reading.put(list, path, access);
        }
        if list == List::Read {
            // Outside the workspace `read` may narrow a wider grant as well.
            reading.put(List::DenyWrite, path, access);
        }
    }
}

/// A profile's network, or the requirements' own.
fn network(reading: &mut Reading, node: &Node) {
    for (key, value) in node.table().unwrap_or_default() {
        match (key.as_str(), value.boolean()) {
            ("enabled", Some(true)) => {}
            ("enabled", Some(false)) => reading.layer.mode("none", &value.place),
            ("managed_allowed_domains_only", Some(set)) => {
                if set {
                    reading.layer.mode("proxy", &value.place);
                    reading.layer.close_hosts(&value.place);
                }
            }
            ("domains", _) => {
                reading.layer.mode("proxy", &value.place);
                domains(reading, value);
            }
            ("allowed_domains", _) => {
                reading.layer.mode("proxy", &value.place);
                reading.put_all(List::AllowHost, value);
            }
            ("denied_domains", _) => reading.put_all(List::DenyHost, value),
            _ => reading.lose(value, NO_KEY),
        }
    }
}

fn domains(reading: &mut Reading, node: &Node) {
    for (domain, access) in node.table().unwrap_or_default() {
        let list = match access.text() {
            Some("allow") => List::AllowHost,
            Some("deny") => List::DenyHost,
            _ => {
                reading.lose(access, NO_KEY);
                continue;
            }
        };
        // `**.x` is the domain and what lies beneath it.
        match domain.strip_prefix("**.") {
            Some(rest) => {
                reading.put(list, rest, access);
                reading.put(list, &format!("*.{rest}"), access);
            }
            None => reading.put(list, domain, access),
        }
    }
}

fn environment(reading: &mut Reading, node: &Node) {
    for (key, value) in node.table().unwrap_or_default() {
        match key.as_str() {
            "exclude" => reading.put_all(List::DenyVariable, value),
            "include_only" => reading.put_all(List::PassVariable, value),
            "inherit" if value.text() == Some("all") => {}
            _ => reading.lose(value, NO_KEY),
        }
    }
}
