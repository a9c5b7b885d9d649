//! Gemini CLI's system settings, and files of its policy engine.

use super::layer::List;
use super::node::Node;
use super::{ImportError, NO_KEY, Reading, table};
use crate::{Agent, gemini_cli};
use chaperone_policy::Verdict;

const EXPECTED: &str = "settings.json or a policy file that ends with .toml";
const SHELL: [&str; 3] = ["run_shell_command", "ShellTool", "Shell"];

pub(super) fn read(reading: &mut Reading, file: &str, text: &str) -> Result<(), ImportError> {
    if file.ends_with(".toml") {
        return policy(reading, &Node::toml(file, text)?);
    }
    let node = Node::json(file, text)?;
    for (section, value) in table(&node, file, Agent::GeminiCli, EXPECTED)? {
        let Some(entries) = value.table() else {
            reading.lose(value, NO_KEY);
            continue;
        };
        for (key, value) in entries {
            match (section.as_str(), key.as_str()) {
                ("tools", "exclude") => tools(reading, value, Verdict::Deny),
                ("tools", "confirmationRequired") => tools(reading, value, Verdict::Ask),
                ("tools", "allowed") => tools(reading, value, Verdict::Allow),
                ("tools", "sandboxAllowedPaths") => reading.put_all(List::Write, value),
                // Chaperone's sandbox holds whatever these say.
                ("tools", "sandbox") | ("security", "toolSandboxing" | "disableYoloMode") => {}
                ("tools", "sandboxNetworkAccess") if value.boolean() == Some(false) => {
                    reading.layer.mode("proxy", &value.place);
                    reading.lose(
                        value,
                        "With network.mode = \"proxy\" hosts are asked about; \"none\" would \
                         leave the agent without its model.",
                    );
                }
                ("security", "environmentVariableRedaction") => environment(reading, value),
                _ => reading.lose(value, NO_KEY),
            }
        }
    }
    Ok(())
}

/// `run_shell_command(git push)`.
fn tools(reading: &mut Reading, node: &Node, verdict: Verdict) {
    for item in node.texts() {
        let text = item.text().unwrap_or_default();
        let command = text
            .split_once('(')
            .filter(|(tool, _)| SHELL.contains(&tool.trim()))
            .and_then(|(_, rest)| rest.strip_suffix(')'));
        match command {
            Some(command) => prefix(reading, item, command, verdict, None),
            None => reading.lose(item, "It is about a whole tool, of which Chaperone knows none."),
        }
    }
    reading.rest_of(node);
}

fn prefix(
    reading: &mut Reading,
    node: &Node,
    command: &str,
    verdict: Verdict,
    reason: Option<&str>,
) {
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    if words.iter().any(|word| word.contains(['"', '\'', '$', '`', '\\', '*'])) {
        return reading.lose(
            node,
            "A rule of a policy is a list of first words; this one has a quoted word or a \
             pattern in it.",
        );
    }
    if let Err(expected) = reading.layer.rule(words, verdict, reason, &node.place) {
        reading.lose(node, format!("A rule expects {expected}."));
    }
}

fn environment(reading: &mut Reading, node: &Node) {
    for (key, value) in node.table().unwrap_or_default() {
        match key.as_str() {
            "blocked" => reading.put_all(List::DenyVariable, value),
            "enabled" if value.boolean() == Some(true) => {
                for pattern in gemini_cli::ITS_OWN {
                    reading.put(List::DenyVariable, pattern, value);
                }
            }
            "allowed" if value.list().is_some_and(<[Node]>::is_empty) => {}
            _ => reading.lose(value, NO_KEY),
        }
    }
}

/// A file of the policy engine.
fn policy(reading: &mut Reading, node: &Node) -> Result<(), ImportError> {
    let rules = node.get("rule").and_then(Node::list).unwrap_or_default();
    // A regular expression may only repeat, for more spellings, what a rule with words says.
    let is_regex = |rule: &&Node| rule.get("commandRegex").is_some();
    let (regexes, plain): (Vec<&Node>, Vec<&Node>) = rules.iter().partition(is_regex);
    for one in plain.into_iter().chain(regexes) {
        rule(reading, one);
    }
    for (key, value) in node.table().unwrap_or_default() {
        if key != "rule" {
            reading.lose(value, NO_KEY);
        }
    }
    Ok(())
}

fn rule(reading: &mut Reading, node: &Node) {
    let verdict = match node.get("decision").and_then(Node::text) {
        Some("deny") => Verdict::Deny,
        Some("ask_user") => Verdict::Ask,
        Some("allow") => Verdict::Allow,
        _ => return reading.lose(node, "Its decision is none that Gemini CLI knows."),
    };
    let conditions = ["modes", "interactive", "subagent", "mcpName", "toolAnnotations"];
    let condition = conditions.iter().find(|key| node.get(key).is_some());
    if let (Some(condition), Verdict::Allow) = (condition, verdict) {
        let why =
            format!("It allows under a condition (`{condition}`) that a policy has none for.");
        return reading.lose(node, why);
    }
    let tools: Vec<&str> = node
        .get("toolName")
        .map(|tools| tools.texts().iter().filter_map(|tool| tool.text()).collect())
        .unwrap_or_default();
    let shell = tools.iter().any(|tool| SHELL.contains(tool));
    let reason = node.get("denyMessage").and_then(Node::text);
    match (node.get("commandPrefix"), node.get("commandRegex")) {
        (Some(prefixes), None) if shell => {
            for item in prefixes.texts() {
                let command = item.text().unwrap_or_default();
                prefix(reading, item, command, verdict, reason);
            }
            reading.rest_of(prefixes);
        }
        (None, Some(regex)) if shell => match regex.text() {
            Some(".") if verdict == Verdict::Deny => reading.layer.close_commands(&node.place),
            Some(text) if reading.layer.covers_regex(text, verdict) => {}
            _ => reading
                .lose(node, "A rule of a policy is a list of first words, no regular expression."),
        },
        _ if node.get("argsPattern").is_some() => {
            reading.lose(node, "A policy compares no arguments of tools with regular expressions.");
        }
        _ if shell && verdict == Verdict::Deny => {
            reading.layer.close_commands(&node.place);
        }
        _ => reading.lose(node, "It is about a whole tool, of which Chaperone knows none."),
    }
}
