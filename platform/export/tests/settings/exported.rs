//! What is written for each agent, and what is listed as lost.

use crate::common::{EVERYTHING, alone, context, exported, managed};
use chaperone_export::{Agent, Effect, ExportError, Exported, Lost, Mode, export};
use chaperone_policy::{HostSet, Layer, SourceKind, merge};

/// The files under their names, and the losses one a line.
fn shown(exported: &Exported) -> String {
    let Exported { files, lost } = exported;
    let mut out = String::new();
    for file in files {
        out.push_str(&format!("==> {}\n{}", file.name, file.text));
    }
    out.push_str("\n==> lost\n");
    for Lost { key, value, origins, effect, loosens, why } in lost {
        let mark = if *loosens { "!" } else { " " };
        let origins = origins.len();
        out.push_str(&format!("{mark} {key} {effect:?} {value} ({origins}) {why}\n"));
    }
    out
}

#[test]
fn everything_that_a_policy_can_say_is_written_or_listed() {
    let policy = alone(EVERYTHING);
    for agent in Agent::ALL {
        for mode in [Mode::Standalone, Mode::Inside] {
            let name = format!("{} {mode:?}", agent.title()).to_lowercase().replace(' ', "-");
            let exported = exported(agent, &policy, mode);
            insta::assert_snapshot!(name, shown(&exported));
        }
    }
}

#[test]
fn every_key_that_is_set_and_not_fully_said_has_an_entry_with_an_origin() {
    let policy = alone(EVERYTHING);
    for agent in Agent::ALL {
        let Exported { files: _, lost } = exported(agent, &policy, Mode::Standalone);
        for lost in &lost {
            let values = lost.value.as_array().map_or(1, Vec::len);
            assert!(!lost.origins.is_empty() && !lost.why.is_empty(), "{lost:?}");
            assert!(lost.origins.len() <= values.max(1), "{lost:?}");
        }
        for key in ["sandbox.minimum_tier", "limits.memory", "filesystem.deny", "commands.rule"] {
            assert!(lost.iter().any(|lost| lost.key == key), "{} {key}", agent.title());
        }
    }
}

#[test]
fn inside_nothing_is_lost_because_chaperone_holds_it() {
    let policy = managed(EVERYTHING);
    for agent in Agent::ALL {
        let Exported { files, lost } = exported(agent, &policy, Mode::Inside);
        assert!(!files.is_empty());
        let about_chaperone = ["revision", "organisation"];
        for lost in lost.iter().filter(|lost| !about_chaperone.contains(&lost.key)) {
            assert_eq!(lost.effect, Effect::Held, "{lost:?}");
        }
    }
}

#[test]
fn a_closed_list_stays_closed_or_the_loss_is_named() {
    let text = "[commands]\nclosed = true\n[[commands.rule]]\nprefix = [\"ls\"]\n\
                decision = \"allow\"\n[network]\nmode = \"proxy\"\nclosed = true\n";
    let policy = alone(text);
    for agent in Agent::ALL {
        let Exported { files, lost } = exported(agent, &policy, Mode::Standalone);
        let all: String = files.iter().map(|file| file.text.as_str()).collect();
        let said = match agent {
            Agent::ClaudeCode => "\"denyInsteadOfPrompting\": true",
            Agent::Codex => "allowed_approval_policies = [\"untrusted\"]",
            Agent::GeminiCli => "commandRegex = \".\"\ndecision = \"deny\"\npriority = 600",
            Agent::VsCode => "\"ChatToolsTerminalEnableAutoApprove\": false",
        };
        assert!(all.contains(said), "{all}");
        let loses = lost.iter().any(|lost| lost.key == "commands.closed" && lost.loosens);
        assert_eq!(loses, agent != Agent::GeminiCli, "{}", agent.title());
    }
    // Its other half: nothing of it where the lists are open.
    for agent in Agent::ALL {
        let Exported { files: _, lost } = exported(agent, &managed(""), Mode::Standalone);
        assert!(!lost.iter().any(|lost| lost.key.ends_with(".closed")), "{}", agent.title());
    }
}

#[test]
fn a_host_set_is_written_as_its_hosts() {
    let [npm, go] = ["npm", "go"].map(|name| HostSet::named(name).unwrap());
    let policy = alone("[network]\nmode = \"proxy\"\nallow = [\"npm\"]\ndeny = [\"go\"]\n");
    for agent in Agent::ALL {
        let Exported { files, lost } = exported(agent, &policy, Mode::Standalone);
        let all: String = files.iter().map(|file| file.text.replace('\\', "")).collect();
        for host in go.hosts {
            assert!(all.contains(host), "{} does not deny {host}: {all}", agent.title());
        }
        for host in npm.hosts {
            let loses = |lost: &Lost| {
                let value = lost.value.to_string();
                lost.key == "network.allow" && (value.contains(host) || value.contains("\"npm\""))
            };
            let written = all.contains(host);
            assert!(written || lost.iter().any(loses), "{} {host}: {lost:?}", agent.title());
        }
    }
}

#[test]
fn a_policy_that_nobody_knows_whole_is_not_handed_on() {
    let layer = Layer::unreadable(SourceKind::ManagedFile, "/etc/chaperone/policy.d/a.toml", "No.");
    let policy = merge(vec![layer], &context());
    let error = export(Agent::Codex, &policy, &context(), Mode::Standalone).unwrap_err();
    let ExportError::Blocked(blocked) = &error;
    assert_eq!(blocked.origin.locator, "/etc/chaperone/policy.d/a.toml");
    assert!(error.to_string().contains("/etc/chaperone/policy.d/a.toml"), "{error}");
}
