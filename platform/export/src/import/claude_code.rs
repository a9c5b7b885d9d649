//! Claude Code's `managed-settings.json`, and any other settings file of its.

use super::layer::List;
use super::node::Node;
use super::specifier::{self, Dialect};
use super::{ImportError, NO_KEY, Reading, table};
use crate::Agent;

const EXPECTED: &str = "managed-settings.json, an object";

/// Settings that keep people from switching off what Chaperone's own sandbox and requests hold in
/// any case.
const IMPLIED: [(&str, &str); 4] = [
    ("permissions", "disableBypassPermissionsMode"),
    ("sandbox", "enabled"),
    ("sandbox", "failIfUnavailable"),
    ("sandbox", "allowUnsandboxedCommands"),
];

pub(super) fn read(reading: &mut Reading, file: &str, text: &str) -> Result<(), ImportError> {
    let node = Node::json(file, text)?;
    let entries = table(&node, file, Agent::ClaudeCode, EXPECTED)?;
    let managed_rules_only =
        node.get("allowManagedPermissionRulesOnly").and_then(Node::boolean) == Some(true);
    for (key, value) in entries {
        match key.as_str() {
            "permissions" => permissions(reading, value, managed_rules_only),
            "sandbox" => sandbox(reading, value),
            "$schema" | "disableAutoMode" | "allowManagedPermissionRulesOnly" => {}
            _ => reading.lose(value, NO_KEY),
        }
    }
    Ok(())
}

fn permissions(reading: &mut Reading, node: &Node, managed_rules_only: bool) {
    specifier::permissions(reading, node, Dialect::ClaudeCode);
    for (key, value) in node.table().unwrap_or_default() {
        match key.as_str() {
            "deny" | "ask" | "allow" => {}
            "denyInsteadOfPrompting" if value.boolean() == Some(true) && managed_rules_only => {
                // What no managed rule allows is denied.
                reading.layer.close_commands(&value.place);
            }
            key if IMPLIED.contains(&("permissions", key)) => {}
            _ => reading.lose(value, NO_KEY),
        }
    }
}

fn sandbox(reading: &mut Reading, node: &Node) {
    let on = node.get("enabled").and_then(Node::boolean) == Some(true);
    for (key, value) in node.table().unwrap_or_default() {
        match key.as_str() {
            "network" => network(reading, value, on),
            "filesystem" => filesystem(reading, value),
            "credentials" => credentials(reading, value),
            key if IMPLIED.contains(&("sandbox", key)) => {}
            _ => reading.lose(value, NO_KEY),
        }
    }
    // With the sandbox on, hosts are reached by its proxy alone.
    if on && node.get("network").is_none() {
        reading.layer.mode("proxy", &node.place);
    }
}

fn network(reading: &mut Reading, node: &Node, on: bool) {
    let set = |key: &str| node.get(key).filter(|value| value.boolean() == Some(true));
    let strict = set("strictAllowlist");
    let empty = node.get("allowedDomains").and_then(Node::list).is_none_or(<[Node]>::is_empty);
    match strict {
        Some(strict) if empty => reading.layer.mode("none", &strict.place),
        _ if on => reading.layer.mode("proxy", &node.place),
        _ => {}
    }
    if let Some(closes) = strict.or(set("allowManagedDomainsOnly")) {
        reading.layer.close_hosts(&closes.place);
    }
    for (key, value) in node.table().unwrap_or_default() {
        match key.as_str() {
            "allowedDomains" => reading.put_all(List::AllowHost, value),
            "deniedDomains" => reading.put_all(List::DenyHost, value),
            "strictAllowlist" | "allowManagedDomainsOnly" => {}
            _ => reading.lose(value, NO_KEY),
        }
    }
}

fn filesystem(reading: &mut Reading, node: &Node) {
    for (key, value) in node.table().unwrap_or_default() {
        let list = match key.as_str() {
            "allowRead" => List::Read,
            "allowWrite" => List::Write,
            "denyRead" => List::Deny,
            "denyWrite" => List::DenyWrite,
            _ => {
                reading.lose(value, NO_KEY);
                continue;
            }
        };
        for item in value.texts() {
            let text = item.text().unwrap_or_default();
            // A rule of the file tools is written with two slashes, a path of the sandbox with one.
            let text = text.strip_prefix("//").map_or(text.to_owned(), |rest| format!("/{rest}"));
            if text.starts_with(['/', '~']) {
                reading.put(list, &text, item);
            } else {
                reading.lose(item, "Where the path begins is known to the agent alone.");
            }
        }
        reading.rest_of(value);
    }
}

fn credentials(reading: &mut Reading, node: &Node) {
    for (key, value) in node.table().unwrap_or_default() {
        let (list, name) = match key.as_str() {
            "envVars" => (List::DenyVariable, "name"),
            "files" => (List::Deny, "path"),
            _ => {
                reading.lose(value, NO_KEY);
                continue;
            }
        };
        for item in value.list().unwrap_or_default() {
            let denied = item.get("mode").and_then(Node::text) == Some("deny");
            match item.get(name).and_then(Node::text).filter(|_| denied) {
                Some(text) => reading.put(list, text, item),
                None => {
                    reading.lose(item, "Chaperone puts no stand-in in the place of a secret here.")
                }
            }
        }
    }
}
