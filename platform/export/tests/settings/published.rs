//! The files have the shape that the agents' published schemas and references demand: keys, types
//! and the forms of texts, as far as these files use them.

use crate::common::{EVERYTHING, alone, exported, managed};
use chaperone_export::{Agent, Mode};
use serde_json::Value as Json;

/// What a value may be.
enum Shape {
    Flag,
    Text(fn(&str) -> bool),
    Whole,
    List(&'static Self),
    /// Every key with its shape; no others.
    Table(&'static [(&'static str, Self)]),
    /// Any key, each with the same shape.
    Map(&'static Self),
}

use Shape::{Flag, List, Map, Table, Text, Whole};

fn check(shape: &Shape, value: &Json, place: &str) {
    let good = match (shape, value) {
        (Flag, Json::Bool(_)) => true,
        (Whole, Json::Number(number)) => number.as_u64().is_some_and(|number| number <= 999),
        (Text(is), Json::String(text)) => is(text),
        (List(item), Json::Array(items)) => {
            items.iter().for_each(|value| check(item, value, place));
            true
        }
        (Table(known), Json::Object(entries)) => {
            for (key, value) in entries {
                let Some((_, shape)) = known.iter().find(|(name, _)| name == key) else {
                    panic!("{place}/{key} is no key of the agent's");
                };
                check(shape, value, &format!("{place}/{key}"));
            }
            true
        }
        (Map(each), Json::Object(entries)) => {
            entries.iter().for_each(|(key, value)| check(each, value, &format!("{place}/{key}")));
            true
        }
        _ => false,
    };
    assert!(good, "{place} is {value}");
}

fn any(text: &str) -> bool {
    !text.is_empty()
}

fn disable(text: &str) -> bool {
    text == "disable"
}

/// `Tool` or `Tool(specifier)`, of the tools that Claude Code compares with rules.
fn claude_rule(text: &str) -> bool {
    let (tool, specifier) = match text.split_once('(') {
        Some((tool, rest)) => (tool, rest.strip_suffix(')')),
        None => (text, Some("whole")),
    };
    let Some(specifier) = specifier.filter(|specifier| !specifier.is_empty()) else { return false };
    match tool {
        "Bash" | "PowerShell" => {
            specifier != ":*"
                && !(specifier.ends_with(":*")
                    && specifier.contains('*')
                    && specifier.matches('*').count() > 1)
        }
        "Read" | "Edit" => !specifier.contains(":*") && !specifier.contains(['(', ')']),
        "WebFetch" => specifier == "whole" || specifier.starts_with("domain:"),
        _ => false,
    }
}

/// A name, everything beneath one that is not a whole top-level domain, an IPv6 address in
/// brackets; with or without a port.
fn claude_domain(text: &str) -> bool {
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => text,
    };
    let plain = host.strip_prefix("*.").unwrap_or(host);
    let wide = host.starts_with("*.") && !plain.contains('.');
    !wide
        && !plain.contains('*')
        && !host.contains('/')
        && (host.starts_with('[') || !host.contains(':'))
}

fn variable(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

fn deny(text: &str) -> bool {
    text == "deny"
}

const CLAUDE_CODE: Shape = Table(&[
    ("allowManagedPermissionRulesOnly", Flag),
    ("disableAutoMode", Text(disable)),
    (
        "permissions",
        Table(&[
            ("deny", List(&Text(claude_rule))),
            ("ask", List(&Text(claude_rule))),
            ("allow", List(&Text(claude_rule))),
            ("disableBypassPermissionsMode", Text(disable)),
            ("denyInsteadOfPrompting", Flag),
        ]),
    ),
    (
        "sandbox",
        Table(&[
            ("enabled", Flag),
            ("failIfUnavailable", Flag),
            ("allowUnsandboxedCommands", Flag),
            (
                "network",
                Table(&[
                    ("allowedDomains", List(&Text(claude_domain))),
                    ("deniedDomains", List(&Text(claude_domain))),
                    ("strictAllowlist", Flag),
                    ("allowManagedDomainsOnly", Flag),
                ]),
            ),
            (
                "credentials",
                Table(&[(
                    "envVars",
                    List(&Table(&[("name", Text(variable)), ("mode", Text(deny))])),
                )]),
            ),
        ]),
    ),
]);

/// Not `allow`, which requirements refuse.
fn codex_decision(text: &str) -> bool {
    matches!(text, "prompt" | "forbidden")
}

fn codex_access(text: &str) -> bool {
    matches!(text, "read" | "write" | "deny")
}

fn codex_domain(text: &str) -> bool {
    matches!(text, "allow" | "deny")
}

fn codex_approvals(text: &str) -> bool {
    matches!(text, "untrusted" | "on-request" | "never")
}

const PROFILE_FILES: Shape = Map(&Text(codex_access));

const CODEX: Shape = Table(&[
    ("default_permissions", Text(any)),
    ("allowed_approval_policies", List(&Text(codex_approvals))),
    ("allowed_permission_profiles", Map(&Flag)),
    (
        "permissions",
        Map(&Table(&[
            ("description", Text(any)),
            ("extends", Text(|text| text == ":workspace")),
            ("filesystem", PROFILE_FILES),
            ("network", Table(&[("enabled", Flag)])),
        ])),
    ),
    (
        "experimental_network",
        Table(&[
            ("enabled", Flag),
            ("managed_allowed_domains_only", Flag),
            ("domains", Map(&Text(codex_domain))),
        ]),
    ),
    (
        "rules",
        Table(&[(
            "prefix_rules",
            List(&Table(&[
                ("pattern", List(&Table(&[("token", Text(any)), ("any_of", List(&Text(any)))]))),
                ("decision", Text(codex_decision)),
                ("justification", Text(any)),
            ])),
        )]),
    ),
]);

const CODEX_CONFIG: Shape = Table(&[
    ("sandbox_mode", Text(|text| text == "danger-full-access")),
    (
        "shell_environment_policy",
        Table(&[
            ("inherit", Text(|text| text == "all")),
            ("exclude", List(&Text(any))),
            ("include_only", List(&Text(any))),
        ]),
    ),
]);

const GEMINI_CLI: Shape = Table(&[
    (
        "security",
        Table(&[
            ("disableYoloMode", Flag),
            ("disableAlwaysAllow", Flag),
            ("toolSandboxing", Flag),
            (
                "environmentVariableRedaction",
                Table(&[("enabled", Flag), ("blocked", List(&Text(any)))]),
            ),
        ]),
    ),
    (
        "tools",
        Table(&[
            ("sandbox", Flag),
            ("sandboxNetworkAccess", Flag),
            ("sandboxAllowedPaths", List(&Text(any))),
        ]),
    ),
]);

const GEMINI_POLICY: Shape = Table(&[(
    "rule",
    List(&Table(&[
        ("commandPrefix", Text(any)),
        ("commandRegex", Text(any)),
        ("argsPattern", Text(any)),
        ("decision", Text(|text| matches!(text, "allow" | "deny" | "ask_user"))),
        ("priority", Whole),
        ("denyMessage", Text(any)),
    ])),
)]);

/// A list or object, as a policy of that type is delivered: as JSON in a text.
fn json(text: &str) -> bool {
    serde_json::from_str::<Json>(text).is_ok_and(|value| value.is_array() || value.is_object())
}

const VSCODE: Shape = Table(&[
    ("ChatToolsAutoApprove", Flag),
    ("ChatToolsTerminalEnableAutoApprove", Flag),
    ("ChatToolsEligibleForAutoApproval", Text(json)),
    ("ChatAgentNetworkFilter", Flag),
    ("ChatAgentAllowedNetworkDomains", Text(json)),
    ("ChatAgentDeniedNetworkDomains", Text(json)),
    ("ChatAgentSandboxEnabled", Text(|text| matches!(text, "on" | "off"))),
    ("ChatAgentSandboxAllowNetwork", Flag),
    ("ChatAgentSandboxAllowUnsandboxedCommands", Flag),
]);

/// `Selector(…)`, of the four that Copilot has.
fn copilot_rule(text: &str) -> bool {
    let Some((selector, rest)) = text.split_once('(') else { return false };
    let inner = rest.strip_suffix(')').unwrap_or_default();
    let begins = |starts: &[&str]| starts.iter().any(|start| inner.starts_with(start));
    match selector {
        "Shell" => any(inner) && !inner.starts_with('*'),
        "Read" | "Edit" => begins(&["//", "/", "~/", "./"]),
        "Domain" => any(inner) && !inner.contains('/'),
        _ => false,
    }
}

const COPILOT: Shape = Table(&[(
    "permissions",
    Table(&[
        ("disableBypassPermissionsMode", Text(disable)),
        ("deny", List(&Text(copilot_rule))),
        ("ask", List(&Text(copilot_rule))),
        ("allow", List(&Text(copilot_rule))),
    ]),
)]);

fn toml_as_json(text: &str) -> Json {
    let table: toml::Table = text.parse().unwrap();
    serde_json::to_value(table).unwrap()
}

/// A table of a profile's files with its nested one lifted out, which TOML alone tells apart.
fn flat_files(mut value: Json) -> Json {
    if let Some(profiles) = value.get_mut("permissions").and_then(Json::as_object_mut) {
        for profile in profiles.values_mut() {
            let Some(files) = profile.get_mut("filesystem").and_then(Json::as_object_mut) else {
                continue;
            };
            if let Some(roots) = files.remove(":workspace_roots") {
                check(&PROFILE_FILES, &roots, ":workspace_roots");
            }
        }
    }
    value
}

/// The two kinds of tools that a rule of the engine may name.
fn without_tools(mut value: Json) -> Json {
    let rules = value.get_mut("rule").and_then(Json::as_array_mut);
    for rule in rules.into_iter().flatten() {
        let rule = rule.as_object_mut().unwrap();
        let tools = rule.remove("toolName").unwrap();
        let by_command = rule.contains_key("commandPrefix") || rule.contains_key("commandRegex");
        // A command may be compared for the shell alone, named by a text and not by a list.
        assert_eq!(by_command, tools == "run_shell_command", "{rule:?}");
        let conditions = ["commandPrefix", "commandRegex", "argsPattern"];
        assert!(conditions.iter().filter(|key| rule.contains_key(**key)).count() <= 1, "{rule:?}");
    }
    value
}

#[test]
fn the_files_have_the_shape_that_their_agents_publish() {
    let closed = "[network]\nmode = \"none\"\nclosed = true\n[commands]\nclosed = true\n\
                  [[commands.rule]]\nprefix = [\"ls\"]\ndecision = \"allow\"\n";
    let direct = "[network]\nmode = \"direct\"\ndeny = [\"*\", \"::1\"]\n";
    for policy in [alone(EVERYTHING), managed(EVERYTHING), managed(closed), managed(direct)] {
        for agent in Agent::ALL {
            for mode in [Mode::Standalone, Mode::Inside] {
                for file in exported(agent, &policy, mode).files {
                    let json = || serde_json::from_str(&file.text).unwrap();
                    let (shape, value) = match (agent, file.name) {
                        (Agent::ClaudeCode, _) => (CLAUDE_CODE, json()),
                        (Agent::Codex, "requirements.toml") => {
                            (CODEX, flat_files(toml_as_json(&file.text)))
                        }
                        (Agent::Codex, "managed_config.toml") => {
                            (CODEX_CONFIG, toml_as_json(&file.text))
                        }
                        (Agent::GeminiCli, "settings.json") => (GEMINI_CLI, json()),
                        (Agent::GeminiCli, _) => {
                            (GEMINI_POLICY, without_tools(toml_as_json(&file.text)))
                        }
                        (Agent::VsCode, "policy.json") => (VSCODE, json()),
                        (Agent::VsCode, _) => (COPILOT, json()),
                        // Starlark, which the real Codex reads in the tests of real agents.
                        (Agent::Codex, _) => continue,
                    };
                    check(&shape, &value, file.name);
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "settings/foo is no key")]
fn a_key_that_nobody_publishes_is_noticed() {
    check(&CLAUDE_CODE, &serde_json::json!({ "foo": 1 }), "settings");
}
