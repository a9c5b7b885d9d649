//! Codex's `requirements.toml`, `managed_config.toml` and rules, checked with 0.169.0.

use crate::commands::{self, Rule, in_some_workspaces};
use crate::losses::Effect::{Missing, Narrower, Wider};
use crate::paths::{self, Base, Named};
use crate::quote::{comment, toml, toml_array, toml_lines};
use crate::{File, Job, Places, hosts};
use chaperone_policy::{HostSpec, NetworkMode, Scope, Sourced, Verdict};
use std::collections::BTreeMap;
use std::path::Path;

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
    text.extend(filesystem(job));
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
    job.lost.whole("limits.memory", Missing, "Codex limits no resources.");
    job.lost.whole("limits.processes", Missing, "Codex limits no resources.");
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

/// A profile's table: what each path may be used for, the strictest word for it.
#[derive(Default)]
struct Access {
    anywhere: BTreeMap<String, Use>,
    workspace: BTreeMap<String, Use>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Write,
    Read,
    Deny,
}

impl Use {
    fn word(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Deny => "deny",
        }
    }
}

impl Access {
    /// Notes what a path may be used for; `false` where Codex has no word for the path.
    fn put(&mut self, named: &Named, text: &str, access: Use) -> bool {
        let (table, path) = match (named.base, text.is_empty()) {
            (Base::Workspace, true) if access == Use::Deny => {
                (&mut self.workspace, "**".to_owned())
            }
            (Base::Workspace, true) => (&mut self.workspace, ".".to_owned()),
            (Base::Workspace, false) => (&mut self.workspace, text.to_owned()),
            // Codex itself starts from there.
            (Base::Home | Base::Root, true) => return false,
            (Base::Home, false) => (&mut self.anywhere, format!("~/{text}")),
            (Base::Root, false) if text.contains(':') => (&mut self.anywhere, text.to_owned()),
            (Base::Root, false) => (&mut self.anywhere, format!("/{text}")),
        };
        let entry = table.entry(path).or_insert(access);
        *entry = (*entry).max(access);
        true
    }
}

fn filesystem(job: &mut Job<'_>) -> Vec<String> {
    job.lost.done(&[
        "filesystem.read",
        "filesystem.write",
        "filesystem.deny",
        "filesystem.deny_write",
    ]);
    let files = job.policy.filesystem();
    let mut access = Access::default();
    for Sourced { value, origin } in &files.deny {
        let named = paths::name(value, job.context);
        let mut said = true;
        for text in denied_texts(&named) {
            said &= access.put(&named, &text, Use::Deny);
        }
        if !said {
            job.lost.part(
                "filesystem.deny",
                value.as_str(),
                origin,
                Missing,
                "Codex itself starts from there.",
            );
        } else if named.glob {
            job.lost.part(
                "filesystem.deny",
                value.as_str(),
                origin,
                Narrower,
                "Codex looks for what the pattern names when a command starts; what is made \
                 later is not covered.",
            );
        }
    }
    for Sourced { value, origin } in &files.deny_write {
        let named = paths::name(value, job.context);
        let text = if named.glob || named.is_odd() {
            let beginning = beginning(&named.rest);
            (!beginning.is_empty()).then_some(beginning)
        } else {
            Some(named.rest.clone())
        };
        match text {
            Some(text) if access.put(&named, &text, Use::Read) => {
                if named.glob || named.is_odd() {
                    job.lost.part(
                        "filesystem.deny_write",
                        value.as_str(),
                        origin,
                        Wider,
                        "Codex knows no patterns here: the whole folder before the pattern is \
                         not written.",
                    );
                }
            }
            Some(_) | None => job.lost.part(
                "filesystem.deny_write",
                value.as_str(),
                origin,
                Missing,
                "Codex keeps paths from being written, not patterns.",
            ),
        }
    }
    let grants = [
        ("filesystem.read", &files.read, Use::Read),
        ("filesystem.write", &files.write, Use::Write),
    ];
    for (key, list, access_for) in grants {
        for Sourced { value, origin } in list {
            let named = paths::name(value, job.context);
            if named.base == Base::Workspace && !named.glob {
                continue;
            }
            // To Codex the nearer entry wins, to the policy every denial does.
            let covered = |denials: &[Sourced<chaperone_policy::PathPattern>]| {
                let path = value.as_literal().unwrap_or(Path::new(""));
                denials.iter().any(|denial| denial.value.covers(path))
            };
            let denied =
                covered(&files.deny) || access_for == Use::Write && covered(&files.deny_write);
            let plain = !named.glob && !named.is_odd() && !in_some_workspaces(job.policy, origin);
            if denied || !plain || !access.put(&named, &named.rest, access_for) {
                job.lost.part(
                    key,
                    value.as_str(),
                    origin,
                    Missing,
                    "Codex grants plain paths only, in every workspace, and lets the nearer \
                     entry win.",
                );
            }
        }
    }
    let mut lines = Vec::new();
    let tables = [("", access.anywhere), (".\":workspace_roots\"", access.workspace)];
    for (name, table) in tables.into_iter().filter(|(_, table)| !table.is_empty()) {
        lines.extend([String::new(), format!("[permissions.{PROFILE}.filesystem{name}]")]);
        for (path, access) in table {
            lines.push(format!("{} = {}", toml(&path), toml(access.word())));
        }
    }
    lines
}

/// A pattern and what lies beneath it, without alternatives. Characters that are none of a pattern
/// stand as `?`.
fn denied_texts(named: &Named) -> Vec<String> {
    let blurred = |text: String| {
        if named.is_odd() {
            text.chars().map(|c| if "*?[]".contains(c) { '?' } else { c }).collect()
        } else {
            text
        }
    };
    let texts = named.plain().unwrap_or_else(|| vec![beginning(&named.rest)]);
    texts
        .into_iter()
        .map(blurred)
        .flat_map(|text: String| {
            let beneath = (text.contains(['*', '?', '[']) && !text.ends_with("/**"))
                .then(|| format!("{text}/**"));
            std::iter::once(text).chain(beneath)
        })
        .collect()
}

/// The folders before the first part that holds a glob character.
fn beginning(text: &str) -> String {
    let plain = |part: &&str| !part.contains(['*', '?', '[', '{']);
    let parts: Vec<&str> = text.split('/').take_while(plain).collect();
    parts.join("/")
}

fn network(job: &mut Job<'_>) -> Vec<String> {
    job.lost.done(&["network.mode", "network.allow", "network.deny", "network.closed"]);
    let network = job.policy.network();
    let closed = network.closed.is_some();
    let any =
        network.deny.iter().any(|own| own.value.host == HostSpec::Any && own.value.port.is_none());
    let none = network.mode.value == NetworkMode::None || any;
    let mut lines = vec![
        String::new(),
        format!("[permissions.{PROFILE}.network]"),
        format!("enabled = {}", !none),
    ];
    let mut domains: BTreeMap<String, &str> = BTreeMap::new();
    for Sourced { value, origin } in &network.allow {
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
    for Sourced { value, origin } in &network.deny {
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

/// The words that a rule's program may be written as: agents name it, or its place.
fn programs(first: &str) -> Vec<String> {
    match first.rsplit_once('/') {
        Some((_, name)) => vec![first.to_owned(), name.to_owned()],
        None => ["", "/usr/bin/", "/bin/", "/usr/local/bin/", "/opt/homebrew/bin/"]
            .iter()
            .map(|folder| format!("{folder}{first}"))
            .collect(),
    }
}

/// Each position of a rule's pattern with its alternatives.
fn pattern(words: &[String]) -> Vec<Vec<String>> {
    let program = words.first().map(String::as_str).unwrap_or_default();
    words
        .iter()
        .enumerate()
        .map(|(at, word)| match at {
            0 => programs(word),
            1 => std::iter::once(word.as_str())
                .chain(commands::abbreviations(program, word))
                .map(str::to_owned)
                .collect(),
            _ => vec![word.clone()],
        })
        .collect()
}

fn decision(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Deny => "forbidden",
        Verdict::Ask => "prompt",
        Verdict::Allow => "allow",
    }
}

fn prefix_rules(rules: &[&Rule]) -> Vec<String> {
    let rules: Vec<&&Rule> = rules.iter().filter(|rule| !rule.words.is_empty()).collect();
    if rules.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), "[rules]".to_owned(), "prefix_rules = [".to_owned()];
    for rule in rules {
        let tokens: Vec<String> = pattern(&rule.words)
            .iter()
            .map(|words| match words.as_slice() {
                [word] => format!("{{ token = {} }}", toml(word)),
                words => format!("{{ any_of = {} }}", toml_array(words)),
            })
            .collect();
        lines.push(format!(
            "  {{ pattern = [{}], decision = {}, justification = {} }},",
            tokens.join(", "),
            toml(decision(rule.verdict)),
            toml(&rule.why()),
        ));
    }
    lines.push("]".to_owned());
    lines
}

/// The same rules in the form that `codex execpolicy check` tries on a command, with an example.
fn rules_file(rules: &[&Rule]) -> Option<File> {
    let mut lines = vec![comment("The rules of requirements.toml, for `codex execpolicy check`.")];
    let before = lines.len();
    let mut rules: Vec<&&Rule> = rules.iter().filter(|rule| !rule.words.is_empty()).collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.verdict));
    for rule in rules {
        let tokens: Vec<String> = pattern(&rule.words)
            .iter()
            .map(|words| match words.as_slice() {
                [word] => toml(word),
                words => toml_array(words),
            })
            .collect();
        lines.push("prefix_rule(".to_owned());
        lines.push(format!("    pattern = [{}],", tokens.join(", ")));
        lines.push(format!("    decision = {},", toml(decision(rule.verdict))));
        lines.push(format!("    justification = {},", toml(&rule.why())));
        lines.push(format!("    match = [{}],", toml_array(&rule.words)));
        lines.push(")".to_owned());
    }
    (lines.len() > before).then(|| File {
        name: "rules/chaperone.rules",
        places: RULES,
        text: joined(lines),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_restricted_by_its_name_and_in_its_usual_places() {
        let words = ["npm", "pub", "x"].map(str::to_owned);
        let [programs, subcommands, rest] = &pattern(&words)[..] else { panic!() };
        assert_eq!(programs[..2], ["npm", "/usr/bin/npm"]);
        assert_eq!(subcommands, &["pub", "pu"]);
        assert_eq!(rest, &["x"]);
    }
}
