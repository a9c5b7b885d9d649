//! VS Code's device policies (from 1.116 on), and the managed settings of GitHub Copilot that its
//! sessions follow. There is no command that checks them; the keys are those of VS Code's policy
//! reference and of GitHub's reference of enterprise managed settings.

use crate::commands::{self, Rule, in_some_workspaces};
use crate::losses::Effect::{Missing, Narrower, Wider};
use crate::paths::{self, Base, Named, PathList};
use crate::{File, Job, Places, hosts, permission};
use chaperone_policy::{HostSpec, NetworkMode, Scope, Sourced, Verdict};
use serde_json::{Map, Value as Json, json};

const POLICY: Places = Places {
    linux: "/etc/vscode/policy.json",
    macos: "the keys of a configuration profile for com.microsoft.VSCode",
    windows: r"the values below HKLM\SOFTWARE\Policies\Microsoft\VSCode",
};
const COPILOT: Places = Places {
    linux: "/etc/github-copilot/managed-settings.json",
    macos: "/Library/Application Support/GitHubCopilot/managed-settings.json",
    windows: r"C:\Program Files\GitHubCopilot\managed-settings.json",
};

pub(crate) fn standalone(job: &mut Job<'_>) -> Vec<File> {
    let rules = commands::rules(job.policy);
    let mut policy = Map::new();
    policy.insert("ChatToolsAutoApprove".to_owned(), json!(false));
    let mut by_hand = Map::new();
    let restricted = rules.iter().any(|rule| rule.verdict != Verdict::Allow)
        || job.policy.commands_closed().is_some();
    if restricted {
        policy.insert("ChatToolsTerminalEnableAutoApprove".to_owned(), json!(false));
        by_hand.insert("runInTerminal".to_owned(), json!(false));
    }
    let mut permissions = Permissions::default();
    commands_of(job, &rules, &mut permissions);
    files(job, &mut permissions);
    hosts_of(job, &mut policy, &mut by_hand, &mut permissions);
    if !by_hand.is_empty() {
        let text = Json::Object(by_hand).to_string();
        policy.insert("ChatToolsEligibleForAutoApproval".to_owned(), json!(text));
    }
    policy.insert("ChatAgentSandboxEnabled".to_owned(), json!("on"));
    policy.insert("ChatAgentSandboxAllowUnsandboxedCommands".to_owned(), json!(false));

    job.lost.done(&["approvals.scopes", "approvals.unattended"]);
    let approvals = job.policy.approvals();
    if !approvals.scopes.value.contains(Scope::Session) {
        job.lost.part(
            "approvals.scopes",
            "once",
            &approvals.scopes.origin,
            Narrower,
            "What a rule of Copilot asks about is asked about each time; other answers may be \
             remembered.",
        );
    }
    if approvals.unattended.value == Verdict::Allow {
        job.lost.part(
            "approvals.unattended",
            "allow",
            &approvals.unattended.origin,
            Wider,
            "VS Code has no sessions that nobody attends.",
        );
    }
    job.lost.whole(
        "sandbox.minimum_tier",
        Narrower,
        "VS Code has a sandbox of its own for some of its sessions; how strong it is cannot be \
         asked for.",
    );
    job.lost.whole("approvals.expires", Missing, "VS Code waits for an answer without end.");
    for key in crate::LIMITS {
        job.lost.whole(key, Missing, "VS Code limits no resources.");
    }
    job.credentials();
    job.signing();
    job.lost.whole("environment.pass", Missing, "VS Code hands every variable on.");
    job.lost.whole("environment.deny", Missing, "VS Code hands every variable on.");
    job.lost.defaults(
        "VS Code reads what is not denied; that the rest of the home is not read, and which \
         files of a workspace are not written, is Chaperone's own doing.",
    );
    vec![policy_file(policy), copilot_file(permissions)]
}

pub(crate) fn inside(job: &mut Job<'_>) -> Vec<File> {
    job.hold("VS Code would ask about everything else as soon as it is told of one denial");
    let mut policy = Map::new();
    policy.insert("ChatAgentSandboxEnabled".to_owned(), json!("off"));
    vec![policy_file(policy)]
}

fn policy_file(policy: Map<String, Json>) -> File {
    let text = format!("{:#}\n", Json::Object(policy));
    File { name: "policy.json", places: POLICY, text }
}

/// Copilot's permission rules.
#[derive(Default)]
struct Permissions {
    deny: Vec<String>,
    ask: Vec<String>,
    allow: Vec<String>,
}

impl Permissions {
    fn list(&mut self, verdict: Verdict) -> &mut Vec<String> {
        match verdict {
            Verdict::Deny => &mut self.deny,
            Verdict::Ask => &mut self.ask,
            Verdict::Allow => &mut self.allow,
        }
    }
}

fn copilot_file(permissions: Permissions) -> File {
    let Permissions { deny, ask, allow } = permissions;
    let mut out = Map::new();
    out.insert("disableBypassPermissionsMode".to_owned(), json!("disable"));
    for (name, list) in [("deny", deny), ("ask", ask), ("allow", allow)] {
        if !list.is_empty() {
            out.insert(name.to_owned(), json!(list));
        }
    }
    let text = format!("{:#}\n", json!({ "permissions": out }));
    File { name: "managed-settings.json", places: COPILOT, text }
}

/// A command and everything that begins with it. What has to be quoted in a shell, and whatever
/// follows, is `*`.
fn shell(words: &[String]) -> Vec<String> {
    let plain: Vec<&str> =
        words.iter().take_while(|word| commands::is_plain(word)).map(String::as_str).collect();
    let text = plain.join(" ");
    if plain.len() == words.len() {
        vec![format!("Shell({text})"), format!("Shell({text} *)")]
    } else {
        vec![format!("Shell({text} *)")]
    }
}

fn commands_of(job: &mut Job<'_>, rules: &[Rule], permissions: &mut Permissions) {
    job.lost.done(&["commands.rule", "commands.closed"]);
    for rule in rules.iter().filter(|rule| rule.verdict != Verdict::Allow) {
        let words = rule.words.join(" ");
        if rule.words.is_empty() {
            continue;
        }
        if commands::is_plain(rule.words.first().map(String::as_str).unwrap_or_default()) {
            permissions.list(rule.verdict).extend(shell(&rule.words));
            if let [program, subcommand, ..] = rule.words.as_slice() {
                for short in commands::abbreviations(program, subcommand) {
                    let line = [program.clone(), short.to_owned()];
                    permissions.list(rule.verdict).extend(shell(&line));
                }
            }
            job.lost.part(
                "commands.rule",
                words.clone(),
                &rule.origin,
                Narrower,
                "Copilot compares the beginning of a command: options before the subcommand, \
                 another path to the program and what it starts in turn escape.",
            );
        } else {
            job.lost.part(
                "commands.rule",
                words.clone(),
                &rule.origin,
                Missing,
                "Copilot compares a command as it is written, and this one's program would be \
                 quoted.",
            );
        }
        if rule.verdict == Verdict::Deny {
            job.lost.part(
                "commands.rule",
                words,
                &rule.origin,
                Narrower,
                "In sessions that do not follow Copilot's rules (Local ones), VS Code asks \
                 about every command and denies none.",
            );
        }
    }
    if let Some(rule) = rules.iter().find(|rule| rule.verdict != Verdict::Allow) {
        let why = "VS Code asks about every command.";
        job.lost.part("commands.rule", "(everything else)", &rule.origin, Wider, why);
    }
    for rule in rules.iter().filter(|rule| rule.verdict == Verdict::Allow) {
        let why = "Copilot does not say whether it reads a chain of commands part by part.";
        job.lost.allow(&rule.words, &rule.origin, why);
    }
    if let Some(origin) = job.policy.commands_closed().cloned() {
        job.lost.part(
            "commands.closed",
            true,
            &origin,
            Narrower,
            "What is not listed is asked about, not denied.",
        );
    }
}

/// The paths of a rule: `//` is the file system's root, `/` the workspace's.
fn path_rules(tool: &str, named: &Named) -> Vec<String> {
    let start = match named.base {
        Base::Root => "//",
        Base::Home => "~/",
        Base::Workspace => "/",
    };
    let texts = named.plain().unwrap_or_else(|| vec![String::new()]);
    texts
        .iter()
        .flat_map(|text| {
            let odd = named.is_odd(&permission::SPECIAL);
            let text = if odd { permission::blurred(text) } else { text.clone() };
            if text.is_empty() {
                return vec![format!("{tool}({start}**)")];
            }
            vec![format!("{tool}({start}{text})"), format!("{tool}({start}{text}/**)")]
        })
        .collect()
}

fn files(job: &mut Job<'_>, permissions: &mut Permissions) {
    job.lost.done(&paths::KEYS);
    let files = job.policy.filesystem();
    let both: &[&str] = &["Read", "Edit"];
    let lists = [
        (Verdict::Deny, PathList { key: "filesystem.deny", list: &files.deny, tools: both }),
        (
            Verdict::Deny,
            PathList { key: "filesystem.deny_write", list: &files.deny_write, tools: &["Edit"] },
        ),
        (Verdict::Allow, PathList { key: "filesystem.read", list: &files.read, tools: &["Read"] }),
        (Verdict::Allow, PathList { key: "filesystem.write", list: &files.write, tools: both }),
    ];
    for (verdict, PathList { key, list, tools }) in lists {
        for Sourced { value, origin } in list {
            let named = paths::name(value, job.context);
            if verdict == Verdict::Allow
                && (named.is_odd(&permission::SPECIAL)
                    || named.plain().is_none()
                    || named.base == Base::Workspace
                    || in_some_workspaces(job.policy, origin))
            {
                job.lost.part(
                    key,
                    value.as_str(),
                    origin,
                    Missing,
                    "Copilot would read the path more widely, or it holds in some workspaces only.",
                );
                continue;
            }
            for tool in tools {
                permissions.list(verdict).extend(path_rules(tool, &named));
            }
            if verdict == Verdict::Deny {
                job.lost.part(
                    key,
                    value.as_str(),
                    origin,
                    Narrower,
                    "Copilot's file tools are kept from it, in sessions that follow its rules; \
                     commands are not.",
                );
            }
        }
    }
}

fn hosts_of(
    job: &mut Job<'_>,
    policy: &mut Map<String, Json>,
    by_hand: &mut Map<String, Json>,
    permissions: &mut Permissions,
) {
    job.lost.done(&["network.mode", "network.allow", "network.deny", "network.closed"]);
    hosts::unfamiliar(job);
    let network = job.policy.network();
    let closed = hosts::closed(network).is_some();
    let any =
        network.deny.iter().any(|own| own.value.host == HostSpec::Any && own.value.port.is_none());
    let none = network.mode.value == NetworkMode::None || any;
    let mut denied = Vec::new();
    for Sourced { value, origin } in &hosts::each(&network.deny) {
        match hosts::host(value) {
            Some(host) => {
                permissions.deny.push(format!("Domain({host})"));
                denied.push(host);
                if value.port.is_some() || !hosts::is_single(value) {
                    job.lost.part(
                        "network.deny",
                        value.to_string(),
                        origin,
                        Wider,
                        "VS Code knows no ports, and counts a domain among what lies beneath it.",
                    );
                }
            }
            None if any => {}
            None => job.lost.part(
                "network.deny",
                value.to_string(),
                origin,
                Missing,
                "VS Code names no ranges of addresses.",
            ),
        }
    }
    let mut allowed = Vec::new();
    for Sourced { value, origin } in &hosts::each(&network.allow) {
        let host = hosts::host(value)
            .filter(|_| hosts::is_single(value) && !in_some_workspaces(job.policy, origin));
        match host {
            Some(host) if !none && value.port.is_none() => {
                permissions.allow.push(format!("Domain({host})"));
                allowed.push(host);
            }
            // To Copilot a bare host is its HTTPS origin.
            Some(host) if !none && value.port == Some(443) => {
                permissions.allow.push(format!("Domain({host})"));
                job.lost.part(
                    "network.allow",
                    value.to_string(),
                    origin,
                    Missing,
                    "VS Code's own list knows no ports, and would let every port through; \
                     Copilot's has it.",
                );
            }
            Some(_) | None => job.lost.part(
                "network.allow",
                value.to_string(),
                origin,
                Missing,
                "VS Code knows no ports and no ranges, and would count a domain among what \
                 lies beneath it.",
            ),
        }
    }
    let direct = network.mode.value == NetworkMode::Direct && !closed;
    policy.insert("ChatAgentSandboxAllowNetwork".to_owned(), json!(direct && denied.is_empty()));
    if !direct {
        by_hand.insert("fetch".to_owned(), json!(false));
    }
    // A list of denials alone lets everything else through, and two empty ones nothing.
    let (allowed, denied) = if none || closed && allowed.is_empty() {
        (Vec::new(), Vec::new())
    } else if closed {
        (allowed, denied)
    } else {
        (Vec::new(), denied)
    };
    if none || closed || !denied.is_empty() {
        policy.insert("ChatAgentNetworkFilter".to_owned(), json!(true));
        for (name, list) in
            [("ChatAgentAllowedNetworkDomains", allowed), ("ChatAgentDeniedNetworkDomains", denied)]
        {
            policy.insert(name.to_owned(), json!(json!(list).to_string()));
        }
    }
    job.lost.part(
        "network.mode",
        json!(network.mode.value),
        &network.mode.origin,
        Narrower,
        "VS Code's lists hold for what it fetches itself; its commands are held to them in \
         sandboxed Local sessions only.",
    );
}
