//! What is read back, what agents' own files become, and what hostile files come to.

use crate::common::{EVERYTHING, alone, context, exported};
use chaperone_export::{Agent, Exported, ImportError, Imported, Mode, import};
use chaperone_policy::{
    Access, Action, Command, Facts, Layer, Policy, SourceKind, Verdict, decide, decide_file, merge,
};
use proptest::prelude::*;
use std::path::Path;

fn read(agent: Agent, files: &[(&str, &str)]) -> Result<Imported, ImportError> {
    let files: Vec<(String, String)> =
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    import(agent, &files)
}

/// The layer as a managed file; it has nothing that its author would have to be told.
fn layer(imported: &Imported) -> Layer {
    let layer = Layer::from_toml(SourceKind::ManagedFile, "/etc/a.toml", &imported.text);
    assert_eq!(layer.findings(), [], "{}", imported.text);
    layer
}

fn policy(imported: &Imported) -> Policy {
    merge(vec![layer(imported)], &context())
}

fn runs(policy: &Policy, words: &[&str]) -> Verdict {
    let action = Action::Run(Command::from_tokens(words));
    decide(policy, &Facts::at(jiff::Timestamp::UNIX_EPOCH), &action).verdict
}

fn reaches(policy: &Policy, host: &str, port: u16) -> Verdict {
    let action = Action::Connect { host: host.to_owned(), port };
    decide(policy, &Facts::at(jiff::Timestamp::UNIX_EPOCH), &action).verdict
}

fn denied(policy: &Policy, access: Access, path: &str) -> bool {
    decide_file(policy, access, Path::new(path)).is_some_and(|own| own.verdict == Verdict::Deny)
}

/// The layer that the agent's exported files become.
fn round(agent: Agent, text: &str) -> (Exported, Imported) {
    let exported = exported(agent, &alone(text), Mode::Standalone);
    let files: Vec<(&str, &str)> =
        exported.files.iter().map(|file| (file.name, file.text.as_str())).collect();
    let imported = read(agent, &files).unwrap();
    (exported, imported)
}

#[test]
fn a_word_that_an_agent_means_as_a_host_is_not_read_as_a_host_set() {
    let settings = r#"{"permissions": {"allow": ["WebFetch(domain:npm)"]}}"#;
    let policy = policy(&read(Agent::ClaudeCode, &[("managed-settings.json", settings)]).unwrap());
    let shown = policy.explain("network.allow").unwrap().value.json();
    assert_eq!(shown, serde_json::json!(["npm."]));
}

#[test]
fn what_was_exported_is_read_back_at_least_as_strict() {
    for agent in Agent::ALL {
        let (_, imported) = round(agent, EVERYTHING);
        let policy = policy(&imported);
        let title = agent.title();
        assert_eq!(runs(&policy, &["terraform", "destroy", "-x"]), Verdict::Deny, "{title}");
        if agent != Agent::GeminiCli {
            assert_eq!(runs(&policy, &["sh", "-c", "rm -rf /"]), Verdict::Deny, "{title}");
            assert_eq!(reaches(&policy, "paste.example", 443), Verdict::Deny, "{title}");
            assert_eq!(reaches(&policy, "a.exfil.example", 8080), Verdict::Deny, "{title}");
            for path in ["/home/ada/.kube/config", "/home/ada/w/a/secrets/x", "/srv/b/x.pem"] {
                assert!(denied(&policy, Access::Read, path), "{title}: {path}");
                assert!(denied(&policy, Access::Write, path), "{title}: {path}");
            }
            assert!(denied(&policy, Access::Write, "/home/ada/w/infra/x"), "{title}");
            assert!(!denied(&policy, Access::Read, "/home/ada/w/infra/x"), "{title}");
        }
        // Its other half: nothing else became denied.
        assert_ne!(runs(&policy, &["terraform", "plan"]), Verdict::Deny, "{title}");
        assert!(!denied(&policy, Access::Write, "/home/ada/w/src/x"), "{title}");
        let deny: Vec<&str> =
            policy.environment().deny.iter().map(|own| own.value.as_str()).collect();
        assert_eq!(deny.contains(&"MY_TOKEN"), agent != Agent::VsCode, "{title}");
    }
}

#[test]
fn closed_lists_are_read_back_where_the_files_have_them() {
    let text = "[commands]\nclosed = true\n[[commands.rule]]\nprefix = [\"ls\"]\n\
                decision = \"allow\"\n[network]\nmode = \"proxy\"\nclosed = true\n\
                allow = [\"git.acme.example\"]\n";
    for agent in [Agent::ClaudeCode, Agent::GeminiCli] {
        let policy = policy(&round(agent, text).1);
        assert_eq!(runs(&policy, &["ls"]), Verdict::Allow, "{}", agent.title());
        assert_eq!(runs(&policy, &["rm"]), Verdict::Deny, "{}", agent.title());
    }
    for agent in [Agent::ClaudeCode, Agent::Codex, Agent::VsCode] {
        let policy = policy(&round(agent, text).1);
        assert_eq!(reaches(&policy, "git.acme.example", 443), Verdict::Allow, "{}", agent.title());
        assert_eq!(reaches(&policy, "x.example", 443), Verdict::Deny, "{}", agent.title());
    }
}

#[test]
fn every_entry_says_where_it_came_from_and_the_rest_is_listed() {
    let settings = r#"{
      "permissions": {
        "deny": ["Bash(curl *)", "Read(./.env)", "Bash(git * main)", "mcp__x__*"],
        "ask": ["Bash(git push:*)", "Edit(src/**)"],
        "allow": ["Bash(npm run test)", "Bash(ls:*)", "Read(~/ref/**)", "Edit"]
      },
      "sandbox": {
        "enabled": true,
        "network": { "allowedDomains": ["git.acme.example"], "strictAllowlist": true },
        "filesystem": { "denyRead": ["~/.aws", "x"], "allowWrite": ["//srv/out"] },
        "credentials": { "envVars": [
          { "name": "A", "mode": "deny" }, { "name": "B", "mode": "mask" }
        ] }
      },
      "model": "opus"
    }"#;
    let claude = read(Agent::ClaudeCode, &[("managed-settings.json", settings)]).unwrap();
    let requirements = "allowed_approval_policies = [\"untrusted\"]\n\n[rules]\nprefix_rules = [\n\
                        { pattern = [{ any_of = [\"git\", \"/usr/bin/git\"] }, { any_of = [\"push\", \
                        \"send-pack\"] }], decision = \"prompt\", justification = \"Publishes.\" },\n\
                        { pattern = [], decision = \"forbidden\" },\n]\n\n\
                        [permissions.filesystem]\ndeny_read = [\"~/.ssh\", 3]\n\n\
                        [experimental_network.domains]\n\"**.acme.example\" = \"allow\"\n";
    let rules = "prefix_rule(pattern=[\"cargo\", \"publish\"], decision=\"forbidden\")\n\
                 host_executable(name=\"git\", paths=[])\n";
    let codex =
        read(Agent::Codex, &[("requirements.toml", requirements), ("a.rules", rules)]).unwrap();
    let policies = "[[rule]]\ntoolName = \"run_shell_command\"\ncommandPrefix = [\"rm -rf\", \"dd\"]\n\
                    decision = \"deny\"\npriority = 10\ndenyMessage = \"No.\"\n\n\
                    [[rule]]\ntoolName = \"run_shell_command\"\ncommandRegex = \"git (push|x)\"\n\
                    decision = \"deny\"\npriority = 1\n\n[[rule]]\ntoolName = \"web_fetch\"\n\
                    decision = \"deny\"\npriority = 1\n";
    let settings = "{\"tools\": {\"exclude\": [\"run_shell_command(shutdown)\", \"web_fetch\"]}, \
                    \"security\": {\"environmentVariableRedaction\": {\"enabled\": true}}}";
    let gemini =
        read(Agent::GeminiCli, &[("settings.json", settings), ("p.toml", policies)]).unwrap();
    let policy_json = "{\"ChatAgentNetworkFilter\": true, \"ChatAgentDeniedNetworkDomains\": \
                       \"[\\\"*.paste.example\\\"]\", \"UpdateMode\": \"none\"}";
    let copilot = "{\"permissions\": {\"deny\": [\"Shell(rm *)\", \"Domain(x.example)\", \
                   \"Read(/secret/**)\"]}}";
    let vscode =
        read(Agent::VsCode, &[("policy.json", policy_json), ("managed-settings.json", copilot)])
            .unwrap();
    for (name, imported) in
        [("claude-code", claude), ("codex", codex), ("gemini", gemini), ("vscode", vscode)]
    {
        layer(&imported);
        let lost: Vec<String> = imported.lost.iter().map(|lost| format!("{lost:?}\n")).collect();
        insta::assert_snapshot!(name, format!("{}\n==> lost\n{}", imported.text, lost.concat()));
    }
}

#[test]
fn what_is_no_settings_file_is_a_clear_error() {
    let deep = "[".repeat(200);
    let table = [
        (Agent::ClaudeCode, "m.json", "{\n\"a\": ", "m.json, line 2"),
        (Agent::ClaudeCode, "m.json", "[1]", "expected managed-settings.json"),
        (Agent::ClaudeCode, "m.json", "", "m.json, line 1"),
        (Agent::VsCode, "p.json", "\"x\"", "expected policy.json"),
        (Agent::Codex, "requirements.toml", "a = 1\nb = [", "requirements.toml, line 2"),
        (Agent::Codex, "a.rules", "import os", "a.rules, line 1"),
        (Agent::GeminiCli, "p.toml", "[[rule]\n", "p.toml, line 1"),
        (Agent::ClaudeCode, "m.json", &deep, "m.json"),
    ];
    for (agent, name, text, expected) in table {
        let error = read(agent, &[(name, text)]).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

/// JSON of the kinds that settings are made of, with the keys that are known.
fn settings() -> impl Strategy<Value = serde_json::Value> {
    let words = prop::sample::select(
        &[
            "Bash(git push:*)",
            "Bash(",
            "Bash()",
            "Bash(*)",
            "Bash(a b",
            "Read(~bob/x)",
            "Read(../x)",
            "Edit(//**)",
            "Read(//a/[)",
            "WebFetch(domain:)",
            "WebFetch(domain:*)",
            "Domain(a b)",
            "Shell(./x y *)",
            "Shell( *)",
            "Bash(a/b:*)",
            "~/x",
            "*",
            "",
            "\u{0}",
            "a\nb",
            "deny",
            "x.example",
            "[::1]:80",
            "\"\\",
            "é",
            "Bash(\u{7f}:*)",
            "Read(!x)",
            "Bash(git -* push *)",
            "[]",
            "[\"*\"]",
            "mask",
            "PATH",
            "A B",
        ][..],
    )
    .prop_map(serde_json::Value::from);
    let leaf = prop_oneof![
        4 => words,
        1 => any::<bool>().prop_map(serde_json::Value::from),
        1 => any::<i64>().prop_map(serde_json::Value::from),
        1 => Just(serde_json::Value::Null),
    ];
    let keys = prop::sample::select(
        &[
            "permissions",
            "deny",
            "ask",
            "allow",
            "sandbox",
            "enabled",
            "network",
            "filesystem",
            "allowedDomains",
            "deniedDomains",
            "strictAllowlist",
            "denyRead",
            "allowWrite",
            "credentials",
            "envVars",
            "files",
            "name",
            "path",
            "mode",
            "rules",
            "prefix_rules",
            "pattern",
            "token",
            "any_of",
            "decision",
            "experimental_network",
            "domains",
            "rule",
            "toolName",
            "commandPrefix",
            "commandRegex",
            "argsPattern",
            "tools",
            "exclude",
            "security",
            "environmentVariableRedaction",
            "blocked",
            "default_permissions",
            ":workspace_roots",
            "shell_environment_policy",
            "include_only",
            "x",
            "ChatAgentNetworkFilter",
            "ChatAgentDeniedNetworkDomains",
            "denyInsteadOfPrompting",
        ][..],
    );
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::vec((keys.clone(), inner), 0..6).prop_map(|entries| {
                entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn whatever_stands_in_a_file_the_layer_is_whole(value in settings()) {
        let json = value.to_string();
        let toml = toml::to_string(&value).unwrap_or_default();
        for (agent, name, text) in [
            (Agent::ClaudeCode, "m.json", &json),
            (Agent::VsCode, "p.json", &json),
            (Agent::GeminiCli, "s.json", &json),
            (Agent::GeminiCli, "p.toml", &toml),
            (Agent::Codex, "r.toml", &toml),
        ] {
            if let Ok(imported) = read(agent, &[(name, text)]) {
                layer(&imported);
            }
        }
    }

    #[test]
    fn no_text_is_too_strange_to_be_refused(text in "\\PC{0,80}", rules in "[a-z_(\\[\\]\"',=# \\n)\\\\]{0,60}") {
        for agent in Agent::ALL {
            for name in ["a.json", "a.toml", "a.rules"] {
                let _ = read(agent, &[(name, &text)]);
                let _ = read(agent, &[(name, &rules)]);
            }
        }
    }
}
