//! Permission rules of the form `Tool(specifier)`, as Claude Code and Copilot write them.

use super::layer::List;
use super::node::Node;
use super::{NO_KEY, Reading};
use chaperone_policy::Verdict;

/// Whose rules they are, where the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `Bash(git push:*)`, `WebFetch(domain:x)`; `/x` begins at the settings file.
    ClaudeCode,
    /// `Shell(git push *)`, `Domain(x)`; `/x` begins at the workspace.
    Copilot,
}

/// `deny`, `ask` and `allow` of a table of permissions; the rest of it is the caller's.
pub(super) fn permissions(reading: &mut Reading, table: &Node, dialect: Dialect) {
    reading.unwritten = table
        .get("deny")
        .map(Node::texts)
        .unwrap_or_default()
        .iter()
        .filter_map(|item| item.text()?.trim().strip_prefix("Edit(")?.strip_suffix(')'))
        .filter_map(|path| path_text(path, dialect))
        .collect();
    // Restrictions first: an allow or an optional spelling may be covered by one.
    for (key, verdict) in
        [("deny", Verdict::Deny), ("ask", Verdict::Ask), ("allow", Verdict::Allow)]
    {
        let Some(list) = table.get(key) else { continue };
        let items = list.texts();
        let (gapped, plain): (Vec<&Node>, Vec<&Node>) = items
            .into_iter()
            .partition(|item| item.text().is_some_and(|text| text.contains(" -* ")));
        for item in plain.into_iter().chain(gapped) {
            rule(reading, item, verdict, dialect);
        }
        reading.rest_of(list);
    }
}

fn rule(reading: &mut Reading, node: &Node, verdict: Verdict, dialect: Dialect) {
    let text = node.text().unwrap_or_default().trim();
    let (tool, specifier) = match text.split_once('(') {
        Some((tool, rest)) => match rest.strip_suffix(')') {
            Some(specifier) => (tool.trim(), Some(specifier)),
            None => return reading.lose(node, "It is no permission rule: `)` is missing."),
        },
        None => (text, None),
    };
    match (tool, specifier) {
        ("Bash" | "PowerShell" | "Shell", specifier) => shell(reading, node, specifier, verdict),
        ("Read", Some(path)) => file(reading, node, path, verdict, false, dialect),
        ("Edit", Some(path)) => file(reading, node, path, verdict, true, dialect),
        ("Write", Some(path)) if dialect == Dialect::Copilot => {
            file(reading, node, path, verdict, true, dialect);
        }
        ("WebFetch", Some(domain)) => match domain.strip_prefix("domain:") {
            Some(host) => self::host(reading, node, host, verdict, dialect),
            None => reading.lose(node, "The host of a page is expected, as `domain:HOST`."),
        },
        ("Domain", Some(host)) => self::host(reading, node, host, verdict, dialect),
        ("WebFetch", None) => reading.lose(
            node,
            "Chaperone does not tell what fetches: network.mode and network.closed say it for all.",
        ),
        ("Read" | "Edit", None) => reading.lose(node, "A policy names paths, not every file."),
        ("Write" | "NotebookEdit" | "MultiEdit" | "Glob", Some(_)) => {
            reading.lose(node, "The agent itself never compares paths with a rule of this tool.");
        }
        _ => reading.lose(node, NO_KEY),
    }
}

fn shell(reading: &mut Reading, node: &Node, specifier: Option<&str>, verdict: Verdict) {
    let Some(specifier) = specifier.map(str::trim).filter(|text| !matches!(*text, "*" | "")) else {
        return match verdict {
            Verdict::Deny => {
                reading.layer.close_commands(&node.place);
                reading.widen(node, "No command runs but those that a managed layer allows.");
            }
            Verdict::Ask => {
                reading.lose(node, "A policy asks about commands by their first words.");
            }
            Verdict::Allow => {
                reading.lose(node, "Inside the sandbox every command runs that no rule stops.");
            }
        };
    };
    let (text, open) = match specifier.strip_suffix(":*").or_else(|| specifier.strip_suffix(" *")) {
        Some(text) => (text, true),
        None => (specifier, false),
    };
    let gapped = text.contains(" -* ");
    let words: Vec<String> =
        text.split_whitespace().filter(|word| *word != "-*").map(str::to_owned).collect();
    if gapped && reading.layer.holds(&words, verdict) {
        // Options before a subcommand never matter to a policy.
        return;
    }
    if words.iter().any(|word| word.contains(['*', '"', '\'', '$', '`', '\\'])) {
        return reading.lose(
            node,
            "A rule of a policy is a list of first words; this one has a pattern or a quoted word \
             in it.",
        );
    }
    if !open && verdict == Verdict::Allow {
        return reading.lose(
            node,
            "It allows this command alone; a rule of a policy allows whatever begins with it.",
        );
    }
    match reading.layer.rule(words, verdict, None, &node.place) {
        Err(expected) => reading.lose(node, format!("A rule expects {expected}.")),
        Ok(()) if !open && !gapped => {
            reading.widen(node, "A rule of a policy holds for whatever begins with its words.");
        }
        Ok(()) => {}
    }
}

fn host(reading: &mut Reading, node: &Node, host: &str, verdict: Verdict, dialect: Dialect) {
    let host = host.trim();
    let list = match verdict {
        Verdict::Deny => List::DenyHost,
        Verdict::Allow => List::AllowHost,
        Verdict::Ask => {
            return reading.lose(
                node,
                "With network.mode = \"proxy\" every host is asked about that is not allowed.",
            );
        }
    };
    reading.put(list, host, node);
    // To Copilot `*.x` is x as well.
    if let Some(rest) = host.strip_prefix("*.").filter(|_| dialect == Dialect::Copilot) {
        reading.put(list, rest, node);
    }
}

fn file(
    reading: &mut Reading,
    node: &Node,
    path: &str,
    verdict: Verdict,
    writes: bool,
    dialect: Dialect,
) {
    let Some(text) = path_text(path.trim(), dialect) else {
        return reading.lose(
            node,
            "Where the path begins is known to the agent alone, or it takes something away from \
             other rules.",
        );
    };
    let list = match (verdict, writes) {
        (Verdict::Deny, true) => List::DenyWrite,
        (Verdict::Deny, false) => List::Deny,
        (Verdict::Allow, true) => List::Write,
        (Verdict::Allow, false) => List::Read,
        (Verdict::Ask, _) => {
            return reading
                .lose(node, "Files are allowed or denied by Chaperone, not asked about.");
        }
    };
    reading.put(list, &text, node);
    if list == List::Deny && !reading.unwritten.contains(&text) {
        reading.widen(node, "What a policy denies is not written either.");
    }
}

/// The path as a policy writes it. `None` where it has no such path.
fn path_text(path: &str, dialect: Dialect) -> Option<String> {
    if path == "/**" && dialect == Dialect::Copilot {
        return Some(".".to_owned());
    }
    let path = path.strip_suffix("/**").filter(|path| !path.is_empty()).unwrap_or(path);
    if path.starts_with('!') || path.is_empty() {
        return None;
    }
    if let Some(rest) = path.strip_prefix("//") {
        return Some(format!("/{}", rest.trim_start_matches('/')));
    }
    if path == "/" && dialect == Dialect::ClaudeCode {
        // `//**` without its end.
        return Some("/".to_owned());
    }
    if path == "~" || path.starts_with("~/") {
        return Some(path.to_owned());
    }
    if let Some(rest) = path.strip_prefix('/') {
        let workspace = dialect == Dialect::Copilot;
        return workspace.then(|| if rest.is_empty() { ".".to_owned() } else { rest.to_owned() });
    }
    let rest = path.strip_prefix("./").unwrap_or(path);
    // As in .gitignore: what has no slash in it is meant at any depth.
    let anywhere = dialect == Dialect::ClaudeCode && !rest.contains('/') && rest != ".";
    Some(if anywhere { format!("**/{rest}") } else { rest.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_where_its_agent_says() {
        use Dialect::{ClaudeCode, Copilot};
        let table = [
            (ClaudeCode, "//etc/**", Some("/etc")),
            (ClaudeCode, "//**", Some("/")),
            (ClaudeCode, "/x", None),
            (Copilot, "/src/**", Some("src")),
            (Copilot, "/**", Some(".")),
            (ClaudeCode, "~/.ssh/**", Some("~/.ssh")),
            (ClaudeCode, "*.env", Some("**/*.env")),
            (ClaudeCode, "./src/**", Some("**/src")),
            (ClaudeCode, "a/b", Some("a/b")),
            (ClaudeCode, "!x", None),
        ];
        for (dialect, path, expected) in table {
            assert_eq!(path_text(path, dialect).as_deref(), expected, "{path}");
        }
    }
}
