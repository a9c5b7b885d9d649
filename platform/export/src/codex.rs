//! Codex's `requirements.toml`, `managed_config.toml` and rules, checked with 0.169.0.

mod files;
mod rules;

use crate::commands::{self, Rule, in_some_workspaces};
use crate::losses::Effect::{Missing, Narrower, Wider};
use crate::quote::{comment, toml, toml_array, toml_lines};
use crate::{File, Job, Places, hosts};
use chaperone_policy::{HostSpec, NetworkMode, Scope, Sourced, Verdict};
use rules::{prefix_rules, rules_file};
use std::collections::BTreeMap;

const REQUIREMENTS: Places = Places {
    linux: "/etc/codex/requirements.toml",
    macos: "/etc/codex/requirements.toml",
    windows: r"%ProgramData%\OpenAI\Codex\requirements.toml",
};
const CONFIG: Places = Places {
    linux: "/etc/codex/managed_config.toml",
    macos: "/etc/codex/managed_config.toml",
    windows: r"%USERPROFILE%\.codex\managed_config.toml",
};
const RULES: Places = Places {
    linux: "/etc/codex/rules/chaperone.rules",
    macos: "/etc/codex/rules/chaperone.rules",
    windows: r"%ProgramData%\OpenAI\Codex\rules\chaperone.rules",
};

/// The name of the permission profile that is written; it is the only one that may be chosen.
const PROFILE: &str = "chaperone";

pub(crate) fn standalone(job: &mut Job<'_>) -> Vec<File> {
    let rules = commands::rules(job.policy);
    let restrictions: Vec<&Rule> =
        rules.iter().filter(|rule| rule.verdict != Verdict::Allow).collect();
    let mut text = vec![
        comment("The policy, as requirements that no user of Codex can loosen."),
        format!("default_permissions = {}", toml(PROFILE)),
        format!("allowed_approval_policies = {}", toml_array(&approval_policies(job, &rules))),
        String::new(),
        "[allowed_permission_profiles]".to_owned(),
        format!("{PROFILE} = true"),
        String::new(),
        format!("[permissions.{PROFILE}]"),
        "description = \"What the organisation's policy allows.\"".to_owned(),
        "extends = \":workspace\"".to_owned(),
    ];
    text.extend(files::filesystem(job));
    text.extend(network(job));
    text.extend(prefix_rules(&restrictions));
    for rule in &restrictions {
        if rule.words.is_empty() {
            continue;
        }
        let words = rule.words.join(" ");
        job.lost.part(
            "commands.rule",
            words.clone(),
            &rule.origin,
            Narrower,
            "Codex compares words: options before the subcommand, interpreters (`node …/npm \
             publish`), redirections and variables in the line escape, and so does what a \
             program starts in turn.",
        );
        if rule.verdict == Verdict::Ask {
            job.lost.part(
                "commands.rule",
                words,
                &rule.origin,
                Narrower,
                "What a person approves, Codex runs outside its sandbox.",
            );
        }
    }
    for rule in rules.iter().filter(|rule| rule.verdict == Verdict::Allow) {
        job.lost.allow(
            &rule.words,
            &rule.origin,
            "Codex runs what a rule allows outside its sandbox, without asking.",
        );
    }
    job.lost.done(&["commands.rule", "approvals.scopes", "approvals.unattended"]);
    let approvals = job.policy.approvals();
    if !approvals.scopes.value.contains(Scope::Session) {
        job.lost.part(
            "approvals.scopes",
            "once",
            &approvals.scopes.origin,
            Missing,
            "Codex offers to remember answers.",
        );
    }
    if approvals.unattended.value == Verdict::Allow {
        job.lost.part(
            "approvals.unattended",
            "allow",
            &approvals.unattended.origin,
            Wider,
            "Where nobody answers, Codex denies.",
        );
    }
    job.lost.whole(
        "sandbox.minimum_tier",
        Narrower,
        "Codex has a sandbox of its own, which may not be switched off; how strong it is \
         cannot be asked for.",
    );
    job.lost.whole("approvals.expires", Missing, "Codex waits for an answer without end.");
    for key in crate::LIMITS {
        job.lost.whole(key, Missing, "Codex limits no resources.");
    }
    job.credentials();
    job.signing();
    job.lost.defaults(
        "Codex reads what is not denied; that the rest of the home is not read, and which \
         files of a workspace are not written, is Chaperone's own doing.",
    );
    let mut files = vec![
        File { name: "requirements.toml", places: REQUIREMENTS, text: joined(text) },
        File { name: "managed_config.toml", places: CONFIG, text: joined(environment(job)) },
    ];
    files.extend(rules_file(&restrictions));
    files
}

pub(crate) fn inside(job: &mut Job<'_>) -> Vec<File> {
    let rules = commands::rules(job.policy);
    let denied: Vec<&Rule> = rules
        .iter()
        .filter(|rule| rule.verdict == Verdict::Deny && !rule.words.is_empty())
        .collect();
    job.hold("the files tell the agent of denied commands only, so that it need not try");
    let config = vec![
        comment("Codex's own sandbox is off, because Chaperone's holds around it."),
        "sandbox_mode = \"danger-full-access\"".to_owned(),
    ];
    let mut files =
        vec![File { name: "managed_config.toml", places: CONFIG, text: joined(config) }];
    if !denied.is_empty() {
        let mut text = vec![comment("What the policy denies; the rest is Chaperone's.")];
        text.extend(prefix_rules(&denied));
        files.insert(
            0,
            File { name: "requirements.toml", places: REQUIREMENTS, text: joined(text) },
        );
        files.extend(rules_file(&denied));
    }
    files
}

fn joined(lines: Vec<String>) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// Which approval policies may be chosen. `on-failure` is not: it runs what failed once more,
/// outside the sandbox.
fn approval_policies(job: &mut Job<'_>, rules: &[Rule]) -> Vec<&'static str> {
    job.lost.done(&["commands.closed"]);
    let every = rules.iter().find(|rule| rule.words.is_empty());
    let closed = job.policy.commands_closed().cloned();
    if let Some(origin) = &closed {
        job.lost.part(
            "commands.closed",
            true,
            origin,
            Narrower,
            "Codex asks about every command but those that only read, instead of denying what \
             is not listed.",
        );
    }
    if let Some(rule) = every {
        job.lost.part(
            "commands.rule",
            "",
            &rule.origin,
            Narrower,
            "Codex runs commands that only read without asking.",
        );
    }
    if closed.is_some() || every.is_some() {
        vec!["untrusted"]
    } else {
        vec!["on-request", "untrusted", "never"]
    }
}

fn network(job: &mut Job<'_>) -> Vec<String> {
    job.lost.done(&["network.mode", "network.allow", "network.deny", "network.closed"]);
    hosts::unfamiliar(job);
    let network = job.policy.network();
    let closed = hosts::closed(network).is_some();
    let any =
        network.deny.iter().any(|own| own.value.host == HostSpec::Any && own.value.port.is_none());
    let none = network.mode.value == NetworkMode::None || any;
    let mut lines = vec![
        String::new(),
        format!("[permissions.{PROFILE}.network]"),
        format!("enabled = {}", !none),
    ];
    let mut domains: BTreeMap<String, &str> = BTreeMap::new();
    for Sourced { value, origin } in &hosts::each(&network.allow) {
        let part = |why: &str, job: &mut Job<'_>| {
            job.lost.part("network.allow", value.to_string(), origin, Missing, why);
        };
        if none {
            part("Codex's sandbox has no network then, and knows no relays.", job);
        } else if value.port.is_some() {
            part("Codex knows no ports, and would let every port through.", job);
        } else if in_some_workspaces(job.policy, origin) {
            part("It holds in some workspaces, and the files hold in all.", job);
        } else if let Some(host) = hosts::host(value) {
            domains.insert(unbracketed(&host), "allow");
        } else {
            part("Codex names no ranges, and not every host.", job);
        }
    }
    for Sourced { value, origin } in &hosts::each(&network.deny) {
        match hosts::host(value) {
            Some(host) => {
                domains.insert(unbracketed(&host), "deny");
                if value.port.is_some() {
                    job.lost.part(
                        "network.deny",
                        value.to_string(),
                        origin,
                        Wider,
                        "Codex knows no ports, and denies every port.",
                    );
                }
            }
            None if value.host == HostSpec::Any && any => {}
            None => job.lost.part(
                "network.deny",
                value.to_string(),
                origin,
                Missing,
                "Codex names no ranges of addresses, and no ports.",
            ),
        }
    }
    if none {
        return lines;
    }
    // Its network without a list is the machine's own; with one, what is not listed is asked about.
    if network.mode.value == NetworkMode::Direct && !closed {
        if domains.values().all(|word| *word == "allow") {
            return lines;
        }
        job.lost.part(
            "network.mode",
            "direct",
            &network.mode.origin,
            Wider,
            "With hosts that are denied, Codex asks about every host that is not listed.",
        );
    }
    lines.extend([String::new(), "[experimental_network]".to_owned(), "enabled = true".to_owned()]);
    if closed {
        lines.push("managed_allowed_domains_only = true".to_owned());
    }
    if !domains.is_empty() {
        lines.extend([String::new(), "[experimental_network.domains]".to_owned()]);
        lines.extend(domains.iter().map(|(host, word)| format!("{} = {}", toml(host), toml(word))));
    }
    lines
}

fn unbracketed(host: &str) -> String {
    host.trim_matches(['[', ']']).to_owned()
}

/// `[shell_environment_policy]`: what Codex hands on to commands.
fn environment(job: &mut Job<'_>) -> Vec<String> {
    job.lost.done(&["environment.pass", "environment.deny"]);
    let environment = job.policy.environment();
    let mut pass: Vec<&str> = Vec::new();
    for Sourced { value, origin } in &environment.pass {
        if in_some_workspaces(job.policy, origin) {
            job.lost.part(
                "environment.pass",
                value.as_str(),
                origin,
                Wider,
                "It holds in some workspaces, and the files hold in all.",
            );
            continue;
        }
        pass.push(value.as_str());
        let dropped = |own: &&Sourced<chaperone_policy::NamePattern>| {
            own.value.matches_any_case(value.as_str())
        };
        let passes = value.is_exact() && environment.passes(value.as_str());
        if let Some(denial) = environment.deny.iter().find(dropped).filter(|_| passes) {
            let why =
                format!("Codex drops it, because it matches {} of environment.deny.", denial.value);
            job.lost.part("environment.pass", value.as_str(), origin, Wider, why);
        }
    }
    let deny: Vec<&str> = environment.deny.iter().map(|own| own.value.as_str()).collect();
    let mut lines = vec![
        comment("What commands receive of the environment: names that match in any case."),
        "[shell_environment_policy]".to_owned(),
        "inherit = \"all\"".to_owned(),
    ];
    if !deny.is_empty() {
        lines.push(format!("exclude = {}", toml_lines(&deny)));
    }
    // An empty list would mean everything.
    if pass.is_empty() {
        pass.push("PATH");
    }
    lines.push(format!("include_only = {}", toml_lines(&pass)));
    lines
}
