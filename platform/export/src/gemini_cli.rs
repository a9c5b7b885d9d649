//! Gemini CLI's system settings and a file of its policy engine, checked with 0.61.0.

pub(crate) mod patterns;

use crate::commands::{self, in_some_workspaces};
use crate::losses::Effect::{Missing, Narrower, Wider};
use crate::paths::{self, Base, Named};
use crate::quote::{comment, toml, toml_array};
use crate::{File, Job, Places, allows, hosts};
use chaperone_policy::{HostSpec, NetworkMode, Scope, Sourced, Verdict};
use serde_json::{Map, Value as Json, json};

const SETTINGS: Places = Places {
    linux: "/etc/gemini-cli/settings.json",
    macos: "/Library/Application Support/GeminiCli/settings.json",
    windows: r"C:\ProgramData\gemini-cli\settings.json",
};
const POLICY: Places = Places {
    linux: "/etc/gemini-cli/policies/chaperone.toml",
    macos: "/Library/Application Support/GeminiCli/policies/chaperone.toml",
    windows: r"C:\ProgramData\gemini-cli\policies\chaperone.toml",
};

/// Names of variables that Gemini CLI takes away by itself where it takes any away.
pub(crate) const ITS_OWN: [&str; 10] = [
    "*TOKEN*",
    "*SECRET*",
    "*PASSWORD*",
    "*PASSWD*",
    "*KEY*",
    "*AUTH*",
    "*CREDENTIAL*",
    "*CREDS*",
    "*PRIVATE*",
    "*CERT*",
];

/// What a rule of the engine is about.
enum Matching {
    /// The shell tool, by a regular expression on the command.
    Command(String),
    /// The shell tool, by the words a command begins with.
    Prefix(String),
    /// These tools, by a regular expression on their arguments.
    Arguments(Vec<&'static str>, String),
    /// These tools, whatever their arguments.
    Tools(Vec<&'static str>),
}

/// The rules in the order of their strictness: in an engine where the highest priority wins, a
/// denial has to be above every allow.
struct Rules(Vec<String>);

impl Rules {
    fn add(&mut self, matching: &Matching, verdict: Verdict, why: &str) {
        let (decision, priority) = match (verdict, matching) {
            (Verdict::Deny, Matching::Command(regex)) if regex == "." => ("deny", 600),
            (Verdict::Deny, _) => ("deny", 900),
            (Verdict::Ask, _) => ("ask_user", 800),
            (Verdict::Allow, _) => ("allow", 700),
        };
        let lines = &mut self.0;
        lines.extend([String::new(), "[[rule]]".to_owned()]);
        match matching {
            Matching::Command(regex) => {
                lines.push("toolName = \"run_shell_command\"".to_owned());
                lines.push(format!("commandRegex = {}", toml(regex)));
            }
            Matching::Prefix(prefix) => {
                lines.push("toolName = \"run_shell_command\"".to_owned());
                lines.push(format!("commandPrefix = {}", toml(prefix)));
            }
            Matching::Arguments(tools, regex) => {
                lines.push(format!("toolName = {}", toml_array(tools)));
                lines.push(format!("argsPattern = {}", toml(regex)));
            }
            Matching::Tools(tools) => lines.push(format!("toolName = {}", toml_array(tools))),
        }
        lines.push(format!("decision = {}", toml(decision)));
        lines.push(format!("priority = {priority}"));
        if verdict == Verdict::Deny {
            lines.push(format!("denyMessage = {}", toml(why)));
        }
    }
}

pub(crate) fn standalone(job: &mut Job<'_>) -> Vec<File> {
    let mut rules = Rules(vec![comment("The policy, above everything that a user can set.")]);
    commands_of(job, &mut rules);
    denied_files(job, &mut rules);
    let network = hosts_of(job, &mut rules);

    let mut security = Map::new();
    security.insert("disableYoloMode".to_owned(), json!(true));
    let approvals = job.policy.approvals();
    job.lost.done(&["approvals.scopes", "approvals.unattended"]);
    if !approvals.scopes.value.contains(Scope::Session) {
        security.insert("disableAlwaysAllow".to_owned(), json!(true));
    }
    if approvals.unattended.value == Verdict::Allow {
        job.lost.part(
            "approvals.unattended",
            "allow",
            &approvals.unattended.origin,
            Wider,
            "Where nobody answers, Gemini CLI denies.",
        );
    }
    security.insert("toolSandboxing".to_owned(), json!(true));
    security.insert("environmentVariableRedaction".to_owned(), environment(job));
    let mut tools = Map::new();
    tools.insert("sandboxNetworkAccess".to_owned(), json!(network));
    let writable = writable(job);
    if !writable.is_empty() {
        tools.insert("sandboxAllowedPaths".to_owned(), json!(writable));
    }
    job.lost.whole(
        "sandbox.minimum_tier",
        Narrower,
        "Gemini CLI has a sandbox of its own for its tools; how strong it is cannot be asked for.",
    );
    job.lost.whole("approvals.expires", Missing, "Gemini CLI waits for an answer without end.");
    for key in crate::LIMITS {
        job.lost.whole(key, Missing, "Gemini CLI limits no resources.");
    }
    job.credentials();
    job.signing();
    job.lost.defaults(
        "Gemini CLI's commands read what they can; that the rest of the home is not read, and \
         which files of a workspace are not written, is Chaperone's own doing.",
    );
    let settings = json!({ "security": security, "tools": tools });
    vec![settings_file(&settings), policy_file(rules)]
}

pub(crate) fn inside(job: &mut Job<'_>) -> Vec<File> {
    let mut rules = Rules(vec![comment("What the policy denies; the rest is Chaperone's.")]);
    let before = rules.0.len();
    for rule in commands::rules(job.policy) {
        if rule.verdict == Verdict::Deny && rule.words.iter().all(|word| commands::is_plain(word)) {
            let words = rule.words.join(" ");
            rules.add(&Matching::Prefix(words), Verdict::Deny, &rule.why());
        }
    }
    job.hold("the files tell the agent of denied commands only, so that it need not try");
    let settings = json!({
        "security": { "toolSandboxing": false },
        "tools": { "sandbox": false },
    });
    let mut files = vec![settings_file(&settings)];
    if rules.0.len() > before {
        files.push(policy_file(rules));
    }
    files
}

fn settings_file(settings: &Json) -> File {
    File { name: "settings.json", places: SETTINGS, text: format!("{settings:#}\n") }
}

fn policy_file(rules: Rules) -> File {
    let mut text = rules.0.join("\n");
    text.push('\n');
    File { name: "policies/chaperone.toml", places: POLICY, text }
}

fn commands_of(job: &mut Job<'_>, out: &mut Rules) {
    job.lost.done(&["commands.rule", "commands.closed"]);
    let rules = commands::rules(job.policy);
    for rule in rules.iter().filter(|rule| rule.verdict != Verdict::Allow) {
        if rule.words.is_empty() {
            out.add(&Matching::Command(".".to_owned()), Verdict::Ask, &rule.why());
            continue;
        }
        if rule.words.iter().all(|word| commands::is_plain(word)) {
            out.add(&Matching::Prefix(rule.words.join(" ")), rule.verdict, &rule.why());
        }
        let regex = patterns::command(&rule.words);
        out.add(&Matching::Command(regex), rule.verdict, &rule.why());
        let words = rule.words.join(" ");
        job.lost.part(
            "commands.rule",
            words.clone(),
            &rule.origin,
            Narrower,
            "Gemini CLI reads the line that it runs: what a program starts in turn, and words \
             that a shell puts together, are not seen.",
        );
        job.lost.part(
            "commands.rule",
            words,
            &rule.origin,
            Wider,
            "The words count wherever they stand in a command, also in a text that it carries.",
        );
    }
    for rule in allows::exportable(job, &rules) {
        out.add(&Matching::Prefix(rule.words.join(" ")), Verdict::Allow, &rule.why());
    }
    if job.policy.commands_closed().is_some() {
        let why = "Only commands that the organisation's policy allows may run.";
        out.add(&Matching::Command(".".to_owned()), Verdict::Deny, why);
    }
}

/// The tools that take one file, those that search, and the shell.
const FILE_TOOLS: [&str; 3] = ["read_file", "write_file", "replace"];
const WRITE_TOOLS: [&str; 2] = ["write_file", "replace"];
const SEARCH_TOOLS: [&str; 4] = ["list_directory", "glob", "grep_search", "read_many_files"];

fn denied_files(job: &mut Job<'_>, out: &mut Rules) {
    job.lost.done(&["filesystem.deny", "filesystem.deny_write"]);
    let files = job.policy.filesystem();
    for Sourced { value, origin } in &files.deny {
        let named = paths::name(value, job.context);
        let why = format!("{} is neither read nor written.", spoken(&named));
        match patterns::path(&named) {
            Some(path) => {
                let file = Matching::Arguments(FILE_TOOLS.into(), patterns::file_path(&path));
                let search = Matching::Arguments(SEARCH_TOOLS.into(), patterns::argument(&path));
                let shell = Matching::Command(patterns::mentioned(&path));
                for matching in [file, search, shell] {
                    out.add(&matching, Verdict::Deny, &why);
                }
            }
            None => job.lost.part(
                "filesystem.deny",
                value.as_str(),
                origin,
                Missing,
                "Gemini CLI compares the path as it is written, and everything has none.",
            ),
        }
        job.lost.part(
            "filesystem.deny",
            value.as_str(),
            origin,
            Narrower,
            "Gemini CLI compares the path as it is written: a program that finds it by itself, \
             or is started in that folder, gets at it.",
        );
        job.lost.part(
            "filesystem.deny",
            value.as_str(),
            origin,
            Wider,
            "The last part of the path counts wherever it stands, also in a command that only \
             names it.",
        );
    }
    for Sourced { value, origin } in &files.deny_write {
        let named = paths::name(value, job.context);
        let why = format!("{} is not written.", spoken(&named));
        if let Some(path) = patterns::path(&named) {
            let file = Matching::Arguments(WRITE_TOOLS.into(), patterns::file_path(&path));
            out.add(&file, Verdict::Deny, &why);
        }
        job.lost.part(
            "filesystem.deny_write",
            value.as_str(),
            origin,
            Narrower,
            "Gemini CLI's file tools are kept from it, its commands are not.",
        );
    }
}

/// The path as people read it.
fn spoken(named: &Named) -> String {
    match (named.base, named.rest.as_str()) {
        (Base::Home, "") => "~".to_owned(),
        (Base::Home, rest) => format!("~/{rest}"),
        (Base::Workspace, "") => "the workspace".to_owned(),
        (Base::Workspace, rest) => rest.to_owned(),
        (Base::Root, rest) => format!("/{rest}"),
    }
}

/// The rules about hosts, and whether commands may use the network.
fn hosts_of(job: &mut Job<'_>, out: &mut Rules) -> bool {
    job.lost.done(&["network.mode", "network.allow", "network.deny", "network.closed"]);
    hosts::unfamiliar(job);
    let network = job.policy.network();
    let any =
        network.deny.iter().any(|own| own.value.host == HostSpec::Any && own.value.port.is_none());
    let none = network.mode.value == NetworkMode::None || any || hosts::closed(network).is_some();
    for Sourced { value, origin } in &hosts::each(&network.deny) {
        let Some(host) = patterns::host(value) else {
            if !any {
                job.lost.part(
                    "network.deny",
                    value.to_string(),
                    origin,
                    Missing,
                    "Gemini CLI compares hosts as they are written, and names no ranges.",
                );
            }
            continue;
        };
        let why = format!("{value} is never reached.");
        out.add(&Matching::Arguments(vec!["web_fetch"], host.clone()), Verdict::Deny, &why);
        out.add(&Matching::Command(format!(".*{host}")), Verdict::Deny, &why);
        job.lost.part(
            "network.deny",
            value.to_string(),
            origin,
            Narrower,
            "Gemini CLI compares the host as it is written in a command or an address.",
        );
        if value.port.is_some() {
            job.lost.part(
                "network.deny",
                value.to_string(),
                origin,
                Wider,
                "Every port is denied.",
            );
        }
    }
    for Sourced { value, origin } in &network.allow {
        job.lost.part(
            "network.allow",
            value.to_string(),
            origin,
            Missing,
            "Gemini CLI has no list of hosts that are allowed: it asks about each page, and \
             its commands have no network or all of it.",
        );
    }
    if none {
        let why = "The policy lets nothing be fetched.";
        let tools = Matching::Tools(vec!["web_fetch", "google_web_search"]);
        out.add(&tools, Verdict::Deny, why);
        if let Some((key, value, origin)) = hosts::closed(network) {
            job.lost.part(
                key,
                value,
                origin,
                Wider,
                "Gemini CLI has no list of hosts, so none is reached.",
            );
        }
        return false;
    }
    if network.mode.value == NetworkMode::Proxy {
        out.add(&Matching::Tools(vec!["web_fetch"]), Verdict::Ask, "");
        job.lost.part(
            "network.mode",
            "proxy",
            &network.mode.origin,
            Wider,
            "Gemini CLI's commands have no network, unless a person lets one of them.",
        );
        return false;
    }
    true
}

fn environment(job: &mut Job<'_>) -> Json {
    job.lost.done(&["environment.deny"]);
    job.lost.whole(
        "environment.pass",
        Missing,
        "Gemini CLI hands every variable on that it does not take away by its name.",
    );
    let environment = job.policy.environment();
    let mut blocked = Vec::new();
    for Sourced { value, origin } in &environment.deny {
        if value.is_exact() {
            if !environment.passes(value.as_str()) {
                blocked.push(value.as_str());
            }
        } else if !ITS_OWN.contains(&value.as_str()) {
            job.lost.part(
                "environment.deny",
                value.as_str(),
                origin,
                Missing,
                "Gemini CLI takes variables away by whole names, and by patterns of its own.",
            );
        }
    }
    json!({ "enabled": true, "blocked": blocked })
}

/// `filesystem.write`: what commands may write beyond the workspace; `read` needs no saying.
fn writable(job: &mut Job<'_>) -> Vec<String> {
    job.lost.done(&["filesystem.read", "filesystem.write"]);
    let files = job.policy.filesystem();
    let mut out = Vec::new();
    for Sourced { value, origin } in &files.write {
        let named = paths::name(value, job.context);
        let denied = value.as_literal().is_some_and(|path| {
            files.deny.iter().chain(&files.deny_write).any(|denial| denial.value.covers(path))
        });
        let plain = named.base == Base::Root && !named.glob && !named.rest.is_empty();
        if plain && !denied && !in_some_workspaces(job.policy, origin) {
            out.push(value.as_str().to_owned());
        } else if named.base != Base::Workspace {
            job.lost.part(
                "filesystem.write",
                value.as_str(),
                origin,
                Missing,
                "Gemini CLI's sandbox takes whole absolute paths, which a home is not on every \
                 machine.",
            );
        }
    }
    out
}
