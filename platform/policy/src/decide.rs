//! Decides an action: a pure function of the policy, the facts and the action.

use crate::address::decide_address;
use crate::effective::EffectiveRule;
use crate::identity::{Identity, git_aliases, identities};
use crate::upstream;
use crate::{
    Action, Class, Command, Decision, Familiarity, Mode, NetworkMode, NetworkPolicy, Origin,
    Policy, Scope, SourceKind, Sourced, Verdict, pinned,
};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

mod http;
mod scope;

pub use http::{decide_http, sees_requests};
pub(crate) use scope::overwrites;
pub use scope::{ANY_HOST, command_scope, connection_scope, http_scope, widest_scope};

/// What is true at the time of a decision, beside the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The approvals that hold in this session.
    pub approvals: Vec<Approval>,
    /// The command that asks, where that is known.
    pub command: Option<Process>,
    /// The time of the decision.
    pub now: jiff::Timestamp,
    /// How well the host is known that a connection is for; `None` where nobody has looked.
    pub familiarity: Option<Familiarity>,
}

impl Facts {
    /// A session in which nothing has been approved.
    pub fn at(now: jiff::Timestamp) -> Self {
        Self { approvals: Vec::new(), command: None, now, familiarity: None }
    }
}

/// A process, and no other that has its number later.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Process {
    /// Its number as the supervisor sees it.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did (proc_pid_stat(5), field 22).
    pub started: u64,
}

/// An approval that answers more than the one request that it was given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The approval's id.
    pub id: String,
    /// What [`command_scope`] said of the command that was approved, or [`connection_scope`] of the
    /// connection. It answers all of which they say the same.
    pub prefix: Vec<String>,
    /// How far it reaches.
    pub scope: Scope,
    /// The command that it is for; `None`: for all.
    pub command: Option<Process>,
    /// Who approved.
    pub by: String,
    /// Until when, if that is known.
    pub expires: Option<jiff::Timestamp>,
}

/// How a file is about to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its content is read, or it is listed.
    Read,
    /// It is created, changed or removed.
    Write,
}

/// Decides an action.
///
/// A file that no rule mentions is denied here, with no rule named: what a session needs anyway
/// is granted by the sandbox's plan, and [`decide_file`] tells the two apart.
pub fn decide(policy: &Policy, facts: &Facts, action: &Action) -> Decision {
    if let Some(decision) = blocked(policy) {
        return decision;
    }
    let file = |access, path: &Path| {
        decide_file(policy, access, path).unwrap_or_else(|| Decision {
            verdict: Verdict::Deny,
            rule: None,
            origin: Origin::built_in(),
            reason: "No rule mentions it, and only what a session needs anyway is granted."
                .to_owned(),
        })
    };
    match action {
        Action::Run(command) => decide_command(policy, facts, command),
        Action::Read { path } => file(Access::Read, path),
        Action::Write { path } => file(Access::Write, path),
        Action::Connect { host, port } => decide_connect(policy, facts, host, *port),
        Action::Http(request) => {
            let connection = decide_connect(policy, facts, &request.host, request.port);
            let own = decide_http(policy, facts, request);
            if own.verdict >= connection.verdict { own } else { connection }
        }
    }
}

/// The answer to everything where the policy is not whole.
pub(crate) fn blocked(policy: &Policy) -> Option<Decision> {
    let blocked = policy.blocked().first()?;
    Some(Decision {
        verdict: Verdict::Deny,
        rule: None,
        origin: blocked.origin.clone(),
        reason: blocked.reason.clone(),
    })
}

/// What enforcement would have said to an action that is let pass, because the policy only observes
/// at this time; `None` where the decision takes effect. Files are no part of it: the kernel keeps
/// them, and what it does not refuse it does not report. Neither is a policy that is not whole.
pub fn observed(
    policy: &Policy,
    now: jiff::Timestamp,
    action: &Action,
    decision: &Decision,
) -> Option<Verdict> {
    let judged = match action {
        Action::Run(_) | Action::Connect { .. } | Action::Http(_) => true,
        Action::Read { .. } | Action::Write { .. } => false,
    };
    let passes = judged && policy.blocked().is_empty() && policy.mode(now) == Mode::Observe;
    Some(decision.verdict).filter(|verdict| passes && *verdict != Verdict::Allow)
}

/// What becomes of a decision in a session where nobody answers: an `ask` becomes what the policy
/// says for unattended sessions, anything else stays.
pub fn unattended(policy: &Policy, decision: Decision) -> Decision {
    if decision.verdict != Verdict::Ask {
        return decision;
    }
    let approvals = policy.approvals();
    // Who may only choose within the base does not answer what others ask.
    let restricted = decision.origin.kind.class() != Class::Base;
    let Sourced { value, origin } =
        if restricted { &approvals.unattended_restricted } else { &approvals.unattended };
    Decision {
        verdict: *value,
        rule: decision.rule,
        origin: decision.origin,
        reason: format!(
            "{} Nobody is there to answer, and approvals.unattended is \"{value}\" ({origin}).",
            decision.reason
        ),
    }
}

/// What the policy's own rules say of a file; `None` where none mentions it and the sandbox's
/// default grants decide. Links are not followed here.
pub fn decide_file(policy: &Policy, access: Access, path: &Path) -> Option<Decision> {
    let files = policy.filesystem();
    let (denials, grants): (&[_], &[_]) = match access {
        Access::Read => (
            &[("filesystem.deny", &files.deny)],
            &[("filesystem.read", &files.read), ("filesystem.write", &files.write)],
        ),
        Access::Write => (
            &[("filesystem.deny", &files.deny), ("filesystem.deny_write", &files.deny_write)],
            &[("filesystem.write", &files.write)],
        ),
    };
    let find = |lists: &[(&str, &Vec<Sourced<crate::PathPattern>>)], verdict: Verdict| {
        lists.iter().find_map(|(key, list)| {
            let Sourced { value, origin } = list.iter().find(|own| own.value.covers(path))?;
            let reason = match (verdict, *key) {
                (Verdict::Allow, "filesystem.read") => format!("{value} may be read."),
                (Verdict::Allow, _) => format!("{value} may be read and written."),
                (_, "filesystem.deny") => format!("{value} is neither read nor written."),
                (_, _) => format!("{value} is not written."),
            };
            Some(Decision {
                verdict,
                rule: Some(format!("{key} {value}")),
                origin: origin.clone(),
                reason,
            })
        })
    };
    find(denials, Verdict::Deny).or_else(|| find(grants, Verdict::Allow))
}

fn decide_connect(policy: &Policy, facts: &Facts, host: &str, port: u16) -> Decision {
    let network = policy.network();
    let named = |list: &[Sourced<crate::HostPattern>]| {
        list.iter().find(|own| own.value.matches(host, port)).cloned()
    };
    let decision = |verdict, rule: String, origin: &Origin, reason: String| Decision {
        verdict,
        rule: Some(rule),
        origin: origin.clone(),
        reason,
    };
    if let Some(Sourced { value, origin }) = named(&network.deny) {
        let reason = format!("{} is never reached.", value.naming(host, port));
        return decision(Verdict::Deny, format!("network.deny {value}"), &origin, reason);
    }
    if let Some(none) = pinned(policy, host, port).filter(|own| own.organisations.is_empty()) {
        let reason = format!("{host} is not reached: {}.", none.sentence());
        let rule = "identity.organisations".to_owned();
        return decision(Verdict::Deny, rule, &none.origin, reason);
    }
    let mode = &network.mode;
    if mode.value == NetworkMode::Proxy
        && let Some(address) = literal(host)
        && let Some(decision) = decide_address(policy, address, port, false)
    {
        return decision;
    }
    if mode.value == NetworkMode::Proxy
        && let Some(decision) = upstream::refused(policy, host, port)
    {
        return decision;
    }
    if let Some(Sourced { value, origin }) = named(&network.allow) {
        // Without a proxy only a pair can be relayed.
        if mode.value == NetworkMode::None && !relayed(network, host, port) {
            let reason = format!(
                "The session has no network, and {value} in network.allow ({origin}) names no \
                 single HOST:PORT that could be relayed."
            );
            return decision(Verdict::Deny, "network.mode".to_owned(), &mode.origin, reason);
        }
        let reason = format!("{} may be reached.", value.naming(host, port));
        return decision(Verdict::Allow, format!("network.allow {value}"), &origin, reason);
    }
    if let Some(closed) = &network.closed {
        let reason = "Only hosts that the managed policy allows are reached.".to_owned();
        return decision(Verdict::Deny, "network.closed".to_owned(), closed, reason);
    }
    let rule = "network.mode".to_owned();
    match mode.value {
        NetworkMode::None => decision(
            Verdict::Deny,
            rule,
            &mode.origin,
            format!(
                "The session has no network: only HOST:PORT pairs of network.allow are relayed, \
                 and {host}:{port} is none of them."
            ),
        ),
        NetworkMode::Proxy => decide_unlisted(policy, facts, host, port),
        NetworkMode::Direct => decision(
            Verdict::Allow,
            rule,
            &mode.origin,
            "The session has the machine's own network.".to_owned(),
        ),
    }
}

/// The rule that decides about a host that no list names.
const UNFAMILIAR: &str = "network.unfamiliar";

/// A host that no list names: familiarity decides whether it passes or what is said of unfamiliar
/// ones holds.
fn decide_unlisted(policy: &Policy, facts: &Facts, host: &str, port: u16) -> Decision {
    let Sourced { value, origin } = &policy.network().unfamiliar;
    let known = facts.familiarity.as_ref();
    let decision = |verdict, text: &str| {
        let words = known.map(Familiarity::words).unwrap_or_default();
        let reason = format!("{host} {text} {words}").trim_end().to_owned();
        Decision { verdict, rule: Some(UNFAMILIAR.to_owned()), origin: origin.clone(), reason }
    };
    if known.is_some_and(Familiarity::is_familiar) {
        return decision(Verdict::Allow, "is on no list, and familiar.");
    }
    match value {
        Verdict::Allow => decision(Verdict::Allow, "is on no list, and unfamiliar hosts pass."),
        Verdict::Deny => decision(Verdict::Deny, "is not among the hosts that are allowed."),
        Verdict::Ask => {
            let given =
                scope::approval(policy, facts, origin, || connection_scope(policy, host, port));
            let any = || {
                known.filter(|known| !known.is_doubtful())?;
                let any = || Some(vec![ANY_HOST.to_owned()]);
                // What is for any host is for one command.
                let given = scope::approval(policy, facts, origin, any);
                given.filter(|approval| approval.command.is_some())
            };
            match given.or_else(any) {
                Some(approval) => by_approval(Some(UNFAMILIAR.to_owned()), approval),
                None => decision(Verdict::Ask, "is not among the hosts that are allowed."),
            }
        }
    }
}

/// Whether it depends on how well a host is known what is decided, or what is said of it: this is
/// the decision that was made without.
pub fn wants_familiarity(decision: &Decision) -> bool {
    decision.rule.as_deref() == Some(UNFAMILIAR) && decision.origin.kind != SourceKind::Grant
}

/// The address that a host is by itself (RFC 6761, section 6.3, for `localhost`).
fn literal(host: &str) -> Option<IpAddr> {
    let localhost = || (host == "localhost").then_some(Ipv4Addr::LOCALHOST.into());
    host.parse().ok().or_else(localhost)
}

fn relayed(network: &NetworkPolicy, host: &str, port: u16) -> bool {
    network.allow.iter().any(|own| own.value.pair().is_some() && own.value.matches(host, port))
}

fn decide_command(policy: &Policy, facts: &Facts, command: &Command) -> Decision {
    let readings = identities(command);
    let mut decision = judge(policy, &readings);
    if decision.verdict == Verdict::Allow
        && let Some(floor) = alias_floor(policy, command, &readings)
    {
        decision = floor;
    }
    if decision.verdict == Verdict::Allow
        && let Some(floor) = unknown_floor(policy, command, &readings)
    {
        decision = floor;
    }
    if decision.verdict == Verdict::Ask
        && let Some(approval) =
            scope::approval(policy, facts, &decision.origin, || command_scope(policy, command))
    {
        return by_approval(decision.rule, approval);
    }
    decision
}

fn by_approval(rule: Option<String>, approval: &Approval) -> Decision {
    let Approval { id, prefix, scope, command: _, by, expires: _ } = approval;
    let how_long = match scope {
        Scope::Once => "once",
        Scope::Command => "until this command exits",
        Scope::Session => "for this session",
        Scope::Workspace => "in this workspace",
    };
    Decision {
        verdict: Verdict::Allow,
        rule,
        origin: Origin { kind: SourceKind::Grant, locator: id.clone() },
        reason: format!("{by} allowed `{}` {how_long}.", prefix.join(" ")),
    }
}

/// The strictest of the ceilings, the closed list and the base.
fn judge(policy: &Policy, readings: &[Identity]) -> Decision {
    let commands = &policy.commands;
    let matched = |reading: &Identity| {
        commands
            .index
            .candidates(&commands.rules, reading)
            .filter_map(|at| {
                let rule = commands.rules.get(at)?;
                Some((at, rule))
            })
            .collect::<Vec<_>>()
    };
    // An allow counts where the program file or the script proves it, and then for every reading.
    let proven: Vec<usize> = readings
        .iter()
        .filter(|reading| reading.proven)
        .flat_map(|reading| {
            matched(reading)
                .into_iter()
                .filter(|(_, own)| own.rule.decision == Verdict::Allow && own.rule.matches(reading))
                .map(|(at, _)| at)
        })
        .collect();

    let mut ceiling: Option<&EffectiveRule> = None;
    let mut base: Option<&EffectiveRule> = None;
    let stricter = |a: &EffectiveRule, b: Option<&EffectiveRule>| {
        let key = |own: &EffectiveRule| (own.rule.decision, own.rule.prefix.len());
        b.is_none_or(|b| key(a) > key(b))
    };
    for reading in readings {
        // Within the base the last that matches decides, for each reading.
        let mut last: Option<(usize, &EffectiveRule)> = None;
        for (at, own) in matched(reading) {
            let applies = match own.rule.decision {
                Verdict::Allow => proven.contains(&at) && own.rule.matches(reading),
                Verdict::Ask | Verdict::Deny => own.rule.restricts(reading),
            };
            if !applies {
                continue;
            }
            if own.is_ceiling() {
                if stricter(own, ceiling) {
                    ceiling = Some(own);
                }
            } else if last.is_none_or(|(before, known)| (own.rank(), at) > (known.rank(), before)) {
                last = Some((at, own));
            }
        }
        if let Some((_, own)) = last
            && stricter(own, base)
        {
            base = Some(own);
        }
    }

    let closed = commands.closed.as_ref().filter(|_| {
        !proven
            .iter()
            .filter_map(|at| commands.rules.get(*at))
            .any(|own| own.place.class() == Class::Managed)
    });
    let denied =
        |own: Option<&EffectiveRule>| own.is_some_and(|o| o.rule.decision == Verdict::Deny);
    if let Some(closed) = closed.filter(|_| !denied(ceiling)) {
        return Decision {
            verdict: Verdict::Deny,
            rule: Some("commands.closed".to_owned()),
            origin: closed.clone(),
            reason: "Only commands that the managed policy allows may run.".to_owned(),
        };
    }
    // Of equally strict ones the ceiling is named: changing the base would not help.
    let decisive = match (ceiling, base) {
        (Some(ceiling), Some(base)) if base.rule.decision > ceiling.rule.decision => Some(base),
        (Some(ceiling), _) => Some(ceiling),
        (None, base) => base,
    };
    match decisive {
        Some(own) => by_rule(own),
        None => Decision {
            verdict: Verdict::Allow,
            rule: None,
            origin: Origin::built_in(),
            reason: "No rule mentions it; it runs inside the sandbox.".to_owned(),
        },
    }
}

fn by_rule(own: &EffectiveRule) -> Decision {
    let EffectiveRule { rule, place } = own;
    let words = rule.prefix.join(" ");
    let reason = match (&rule.reason, rule.decision) {
        (Some(reason), _) => reason.to_string(),
        (None, _) if rule.prefix.is_empty() => {
            "A managed rule could not be read, so every command is asked about.".to_owned()
        }
        (None, Verdict::Allow) => format!("`{words}` is allowed."),
        (None, Verdict::Ask) => format!("`{words}` is asked about."),
        (None, Verdict::Deny) => format!("`{words}` is not allowed."),
    };
    let reason = if rule.repaired {
        format!("{reason} The rule is broken, and this is what could be read of it.")
    } else {
        reason
    };
    Decision { verdict: rule.decision, rule: Some(rule.name()), origin: place.origin(), reason }
}

/// A git command that is an alias which it brings itself could be any other: where the policy has
/// rules about git it is at least asked about. Git's own commands cannot be aliased (git-config(1),
/// "alias.*"), so an alias that is only brought along changes nothing, and agents bring some to
/// switch helpers of git off. What git starts in turn is judged by itself, with the same variables.
fn alias_floor(policy: &Policy, command: &Command, readings: &[Identity]) -> Option<Decision> {
    let is_git = |tokens: &[String]| tokens.first().is_some_and(|name| name == "git");
    let aliases = git_aliases(command);
    let is_alias = |used: &String| aliases.iter().any(|(name, _)| name.eq_ignore_ascii_case(used));
    let uses_one =
        |reading: &Identity| is_git(&reading.tokens) && reading.tokens.get(1).is_some_and(is_alias);
    if !readings.iter().any(uses_one) {
        return None;
    }
    let rule = policy
        .commands
        .rules
        .iter()
        .filter(|own| own.rule.decision != Verdict::Allow && own.rule.prefix.first() == Some("git"))
        .max_by_key(|own| own.is_ceiling())?;
    Some(Decision {
        verdict: Verdict::Ask,
        rule: Some(rule.rule.name()),
        origin: rule.place.origin(),
        reason: "It is a git alias that it brings itself, which can be any git command.".to_owned(),
    })
}

/// A command that is only known in part, as one in a shell string: a NUL in a word, which none that
/// is started can hold, stands for what only running it would tell, and a word that is nothing else
/// for any number of words. What a rule could mean of it is at least asked about.
fn unknown_floor(policy: &Policy, command: &Command, readings: &[Identity]) -> Option<Decision> {
    let unknown = |text: &String| text.contains('\0');
    let variables = command.environment.iter().any(|(_, value)| unknown(value));
    let many = |words: &[String]| words.iter().filter(|word| *word == "\0").count();
    let all = many(&command.argv);
    if !variables && !command.argv.iter().any(unknown) {
        return None;
    }
    let could_be = |reading: &Identity| {
        let Identity { tokens, path, proven: _ } = reading;
        let known = tokens.iter().position(unknown).unwrap_or(tokens.len());
        // Where what may be many words was taken for an option's value, the rest may be anything.
        let loose = variables || many(tokens) < all;
        let known = if loose { known.min(1) } else { known };
        let open = loose || known < tokens.len();
        let known = tokens.get(..known).unwrap_or_default();
        policy.commands.rules.iter().find(|own| {
            let prefix = &own.rule.prefix;
            let begins = prefix.iter().zip(known).enumerate().all(|(at, (word, token))| {
                word == token || (at == 0 && path.as_deref() == Some(word))
            });
            open && own.rule.decision != Verdict::Allow && prefix.len() > known.len() && begins
        })
    };
    let rule = readings.iter().filter_map(could_be).max_by_key(|own| own.is_ceiling())?;
    Some(Decision {
        verdict: Verdict::Ask,
        rule: Some(rule.rule.name()),
        origin: rule.place.origin(),
        reason: format!(
            "A part of it is only known when it runs, and could make it `{}`.",
            rule.rule.prefix.join(" ")
        ),
    })
}

#[cfg(test)]
mod tests;
