//! Claude Code's `managed-settings.json`, checked with 2.1.330.

use crate::commands::{self, Rule, in_some_workspaces};
use crate::losses::Effect::{Missing, Narrower, Wider};
use crate::paths::{self, PathList};
use crate::{File, Job, Places, allows, hosts, permission};
use chaperone_policy::{HostSpec, NetworkMode, Os, Scope, Sourced, Verdict};
use serde_json::{Map, Value as Json, json};

const PLACES: Places = Places {
    linux: "/etc/claude-code/managed-settings.json",
    macos: "/Library/Application Support/ClaudeCode/managed-settings.json",
    windows: r"C:\Program Files\ClaudeCode\managed-settings.json",
};

/// The permission rules that are being written.
#[derive(Default)]
struct Permissions {
    deny: Vec<Json>,
    ask: Vec<Json>,
    allow: Vec<Json>,
}

impl Permissions {
    fn list(&mut self, verdict: Verdict) -> &mut Vec<Json> {
        match verdict {
            Verdict::Deny => &mut self.deny,
            Verdict::Ask => &mut self.ask,
            Verdict::Allow => &mut self.allow,
        }
    }

    /// The lists that hold anything.
    fn into_map(self) -> Map<String, Json> {
        let Self { deny, ask, allow } = self;
        [("deny", deny), ("ask", ask), ("allow", allow)]
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(name, list)| (name.to_owned(), json!(list)))
            .collect()
    }
}

pub(crate) fn standalone(job: &mut Job<'_>) -> Vec<File> {
    let mut permissions = Permissions::default();
    let mut network = Map::new();
    let rules = commands::rules(job.policy);
    restrict_commands(job, &rules, &mut permissions);
    for rule in allows::exportable(job, &rules) {
        let specifier = permission::exact(&rule.words);
        permissions.allow.extend(shell_rules(job, &specifier));
    }
    files(job, &mut permissions, true);
    job.lost.defaults(
        "Claude Code reads what is not denied; that the rest of the home is not read, and \
         which files of a workspace are not written, is Chaperone's own doing.",
    );
    hosts_of(job, &mut permissions, &mut network);
    let credentials = credentials(job);

    let mut lists = permissions.into_map();
    lists.insert("disableBypassPermissionsMode".to_owned(), json!("disable"));
    let mut settings = Map::new();
    let closed = job.policy.commands_closed().cloned();
    job.lost.done(&["commands.rule", "commands.closed"]);
    if let Some(origin) = &closed {
        lists.insert("denyInsteadOfPrompting".to_owned(), json!(true));
        job.lost.part(
            "commands.closed",
            true,
            origin,
            Narrower,
            "Claude Code runs commands that only read (`ls`, `git status`) by itself, whoever \
             closes the list.",
        );
        job.lost.part(
            "commands.closed",
            true,
            origin,
            Wider,
            "Whatever Claude Code would ask about is denied: other tools and commands with a \
             rule that asks, too.",
        );
    }
    let approvals = job.policy.approvals();
    let once = !approvals.scopes.value.contains(Scope::Session);
    if closed.is_some() || once {
        settings.insert("allowManagedPermissionRulesOnly".to_owned(), json!(true));
    }
    job.lost.done(&["approvals.scopes", "approvals.unattended"]);
    if once {
        job.lost.part(
            "approvals.scopes",
            "once",
            &approvals.scopes.origin,
            Narrower,
            "A command that a rule asks about is asked about each time; anything else may be \
             allowed for the session.",
        );
    }
    if approvals.unattended.value == Verdict::Allow {
        job.lost.part(
            "approvals.unattended",
            "allow",
            &approvals.unattended.origin,
            Wider,
            "Where nobody answers, Claude Code denies.",
        );
    }
    job.lost.whole(
        "sandbox.minimum_tier",
        Narrower,
        "Claude Code has a sandbox of its own, and starts no session without it; how strong it \
         is cannot be asked for.",
    );
    job.lost.whole("approvals.expires", Missing, "Claude Code waits for an answer without end.");
    for key in crate::LIMITS {
        job.lost.whole(key, Missing, "Claude Code limits no resources.");
    }
    job.credentials();
    job.signing();

    settings.insert("permissions".to_owned(), json!(lists));
    // In auto mode a model answers what a rule asks.
    settings.insert("disableAutoMode".to_owned(), json!("disable"));
    let mut sandbox = Map::new();
    sandbox.insert("enabled".to_owned(), json!(true));
    sandbox.insert("failIfUnavailable".to_owned(), json!(true));
    sandbox.insert("allowUnsandboxedCommands".to_owned(), json!(false));
    if !network.is_empty() {
        sandbox.insert("network".to_owned(), json!(network));
    }
    if !credentials.is_empty() {
        sandbox.insert("credentials".to_owned(), json!({ "envVars": credentials }));
    }
    settings.insert("sandbox".to_owned(), json!(sandbox));
    vec![file(settings)]
}

pub(crate) fn inside(job: &mut Job<'_>) -> Vec<File> {
    let mut permissions = Permissions::default();
    for rule in commands::rules(job.policy) {
        if rule.verdict == Verdict::Deny && rule.words.iter().all(|word| commands::is_plain(word)) {
            let specifier = permission::exact(&rule.words);
            permissions.deny.extend(shell_rules(job, &specifier));
        }
    }
    files(job, &mut permissions, false);
    for Sourced { value, .. } in &hosts::each(&job.policy.network().deny) {
        if let Some(host) = hosts::host_and_port(value) {
            permissions.deny.push(json!(format!("WebFetch(domain:{host})")));
        }
    }
    job.hold("the file tells the agent of denials only, so that it need not try");
    let mut settings = Map::new();
    settings.insert("permissions".to_owned(), json!(permissions.into_map()));
    settings.insert("sandbox".to_owned(), json!({ "enabled": false }));
    vec![file(settings)]
}

fn file(settings: Map<String, Json>) -> File {
    let text = format!("{:#}\n", Json::Object(settings));
    File { name: "managed-settings.json", places: PLACES, text }
}

/// The rule for the shell that this system's Claude Code uses; on Windows it has two.
fn shell_rules(job: &Job<'_>, specifier: &str) -> Vec<Json> {
    let tools: &[&str] =
        if job.context.os == Os::Windows { &["Bash", "PowerShell"] } else { &["Bash"] };
    tools.iter().map(|tool| json!(format!("{tool}({specifier})"))).collect()
}

fn restrict_commands(job: &mut Job<'_>, rules: &[Rule], permissions: &mut Permissions) {
    for rule in rules.iter().filter(|rule| rule.verdict != Verdict::Allow) {
        if rule.words.is_empty() {
            permissions.list(rule.verdict).push(json!("Bash"));
            continue;
        }
        for specifier in permission::covering(rule) {
            permissions.list(rule.verdict).extend(shell_rules(job, &specifier));
        }
        let words = rule.words.join(" ");
        job.lost.part(
            "commands.rule",
            words.clone(),
            &rule.origin,
            Narrower,
            "Claude Code reads the line that it runs: what a program starts in turn, what \
             stands behind `sh -c`, `eval` or an interpreter (`node …/npm publish`) is not \
             seen.",
        );
        if rule.words.len() > 1 {
            job.lost.part(
                "commands.rule",
                words,
                &rule.origin,
                Wider,
                "Where options stand before the subcommand, any later word counts as the \
                 subcommand.",
            );
        }
    }
}

/// `filesystem.*`: rules of the file tools, which Claude Code's sandbox takes up as well.
fn files(job: &mut Job<'_>, permissions: &mut Permissions, with_grants: bool) {
    job.lost.done(&paths::KEYS);
    let files = job.policy.filesystem();
    let denials = [
        PathList { key: "filesystem.deny", list: &files.deny, tools: &["Read", "Edit"] },
        PathList { key: "filesystem.deny_write", list: &files.deny_write, tools: &["Edit"] },
    ];
    for PathList { key, list, tools } in denials {
        for Sourced { value, origin } in list {
            let named = paths::name(value, job.context);
            let specifiers = permission::files(&named, true).unwrap_or_default();
            for tool in tools {
                permissions.deny.extend(specifiers.iter().map(|s| json!(format!("{tool}({s})"))));
            }
            if !with_grants {
                continue;
            }
            if named.glob {
                job.lost.part(
                    key,
                    value.as_str(),
                    origin,
                    Narrower,
                    "Commands are kept from what the pattern names when they start, not from \
                     what they make themselves.",
                );
            }
            if named.base == paths::Base::Workspace && !named.rest.contains('/') {
                job.lost.part(
                    key,
                    value.as_str(),
                    origin,
                    Wider,
                    "A path without a slash in it is meant at any depth of the folder that \
                     Claude Code is started in.",
                );
            }
        }
    }
    if !with_grants {
        return;
    }
    let grants = [
        PathList { key: "filesystem.read", list: &files.read, tools: &["Read"] },
        PathList { key: "filesystem.write", list: &files.write, tools: &["Read", "Edit"] },
    ];
    for PathList { key, list, tools } in grants {
        for Sourced { value, origin } in list {
            let named = paths::name(value, job.context);
            let specifiers = match named.base {
                paths::Base::Workspace => None,
                paths::Base::Root | paths::Base::Home => permission::files(&named, false),
            };
            let Some(specifiers) = specifiers.filter(|_| !in_some_workspaces(job.policy, origin))
            else {
                job.lost.part(
                    key,
                    value.as_str(),
                    origin,
                    Missing,
                    "Claude Code would read the path more widely, or it holds in some \
                     workspaces only.",
                );
                continue;
            };
            for tool in tools {
                permissions.allow.extend(specifiers.iter().map(|s| json!(format!("{tool}({s})"))));
            }
        }
    }
}

/// `network.*`: the sandbox's lists for commands, and rules of the tool that fetches.
fn hosts_of(job: &mut Job<'_>, permissions: &mut Permissions, out: &mut Map<String, Json>) {
    job.lost.done(&["network.mode", "network.allow", "network.deny", "network.closed"]);
    hosts::unfamiliar(job);
    let network = job.policy.network();
    let mode = network.mode.value;
    let mut allowed = Vec::new();
    for Sourced { value, origin } in &hosts::each(&network.allow) {
        let host = hosts::host_and_port(value)
            .filter(|_| !in_some_workspaces(job.policy, origin) && mode != NetworkMode::None);
        match host {
            Some(host) => allowed.push(host),
            None if mode == NetworkMode::None => job.lost.part(
                "network.allow",
                value.to_string(),
                origin,
                Missing,
                "Claude Code's sandbox has no network then, and knows no relays.",
            ),
            None => job.lost.part(
                "network.allow",
                value.to_string(),
                origin,
                Missing,
                "Claude Code names no ranges and not every host, and its lists hold in every \
                 workspace.",
            ),
        }
    }
    let mut denied = Vec::new();
    let mut any = false;
    for Sourced { value, origin } in &hosts::each(&network.deny) {
        match (hosts::host_and_port(value), &value.host) {
            (Some(host), _) => {
                permissions.deny.push(json!(format!("WebFetch(domain:{host})")));
                denied.push(host);
            }
            (None, HostSpec::Any) => any = true,
            (None, _) => job.lost.part(
                "network.deny",
                value.to_string(),
                origin,
                Missing,
                "Claude Code names no ranges of addresses.",
            ),
        }
    }
    // What nobody allows: asked about, denied, or let through.
    let closed = hosts::closed(network).is_some();
    let none = mode == NetworkMode::None || any;
    if none {
        allowed.clear();
    }
    if none || closed {
        out.insert("strictAllowlist".to_owned(), json!(true));
        out.insert("allowManagedDomainsOnly".to_owned(), json!(true));
    }
    if none {
        permissions.deny.push(json!("WebFetch"));
    } else if closed {
        permissions.ask.push(json!("WebFetch"));
        if let Some((key, value, origin)) = hosts::closed(network) {
            job.lost.part(
                key,
                value,
                origin,
                Narrower,
                "What Claude Code fetches by itself is asked about; commands are held to the list.",
            );
        }
    }
    if !allowed.is_empty() || none || closed {
        out.insert("allowedDomains".to_owned(), json!(allowed));
    }
    if !denied.is_empty() {
        out.insert("deniedDomains".to_owned(), json!(denied));
    }
    if mode == NetworkMode::Direct && !closed {
        job.lost.part(
            "network.mode",
            "direct",
            &network.mode.origin,
            Wider,
            "Claude Code's sandbox asks about every host that is not listed.",
        );
    }
}

/// `environment.*`: variables that the sandbox takes away from commands.
fn credentials(job: &mut Job<'_>) -> Vec<Json> {
    job.lost.done(&["environment.deny"]);
    job.lost.whole(
        "environment.pass",
        Missing,
        "Claude Code hands every variable on that is not denied by its name.",
    );
    let mut out = Vec::new();
    for Sourced { value, origin } in &job.policy.environment().deny {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let text = value.as_str();
        let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if value.is_exact() && begins && text.chars().all(is_name) {
            if !job.policy.environment().passes(text) {
                out.push(json!({ "name": text, "mode": "deny" }));
            }
        } else {
            job.lost.part(
                "environment.deny",
                text,
                origin,
                Missing,
                "Claude Code's sandbox takes variables away by their whole names only.",
            );
        }
    }
    out
}
