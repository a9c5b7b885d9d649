//! VS Code's device policies, and the managed settings of GitHub Copilot.

use super::layer::List;
use super::node::Node;
use super::specifier::{self, Dialect};
use super::{ImportError, NO_KEY, Reading, table};
use crate::Agent;

const EXPECTED: &str = "policy.json or Copilot's managed-settings.json, an object";

pub(super) fn read(reading: &mut Reading, file: &str, text: &str) -> Result<(), ImportError> {
    let node = Node::json(file, text)?;
    let entries = table(&node, file, Agent::VsCode, EXPECTED)?;
    let filter = node.get("ChatAgentNetworkFilter").and_then(Node::boolean) == Some(true);
    for (key, value) in entries {
        match key.as_str() {
            "permissions" => permissions(reading, value),
            "ChatAgentNetworkFilter" => {}
            "ChatAgentAllowedNetworkDomains" if filter => {
                let allowed = domains(value)?;
                if let Some(list) = allowed.list().filter(|list| !list.is_empty()) {
                    reading.layer.mode("proxy", &value.place);
                    reading.layer.close_hosts(&value.place);
                    for item in list {
                        domain(reading, List::AllowHost, item);
                    }
                }
            }
            "ChatAgentDeniedNetworkDomains" if filter => {
                for item in domains(value)?.list().unwrap_or_default() {
                    domain(reading, List::DenyHost, item);
                }
            }
            // Chaperone's sandbox and its requests hold whatever these say.
            "ChatToolsAutoApprove"
            | "ChatToolsTerminalEnableAutoApprove"
            | "ChatToolsEligibleForAutoApproval"
            | "ChatAgentSandboxEnabled"
            | "ChatAgentSandboxAllowUnsandboxedCommands" => {}
            _ => reading.lose(value, NO_KEY),
        }
    }
    let empty = |key: &str| {
        let list = node.get(key).map(domains).transpose()?;
        Ok::<_, ImportError>(list.is_none_or(|list| list.list().is_none_or(<[Node]>::is_empty)))
    };
    if filter && empty("ChatAgentAllowedNetworkDomains")? && empty("ChatAgentDeniedNetworkDomains")?
    {
        let place = node.get("ChatAgentNetworkFilter").map_or(file, |filter| &filter.place);
        reading.layer.mode("none", place);
    }
    Ok(())
}

/// A list, or a text that holds one in JSON, as policies of that type are delivered.
fn domains(node: &Node) -> Result<Node, ImportError> {
    match node.text() {
        Some(text) => {
            let mut list = Node::json(&node.place, text)?;
            list.place.clone_from(&node.place);
            Ok(list)
        }
        None => Ok(node.clone()),
    }
}

/// A host; beneath a domain, the domain itself is meant as well.
fn domain(reading: &mut Reading, list: List, node: &Node) {
    let Some(text) = node.text() else { return reading.lose(node, "A host is expected here.") };
    reading.put(list, text, node);
    if let Some(rest) = text.strip_prefix("*.") {
        reading.put(list, rest, node);
    }
}

fn permissions(reading: &mut Reading, node: &Node) {
    specifier::permissions(reading, node, Dialect::Copilot);
    for (key, value) in node.table().unwrap_or_default() {
        match key.as_str() {
            "deny" | "ask" | "allow" | "disableBypassPermissionsMode" => {}
            _ => reading.lose(value, NO_KEY),
        }
    }
}
