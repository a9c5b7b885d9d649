//! Familiarity: how well a host is known that no list of the policy names, as a score with its
//! reasons. A pure function of facts, which others collect: what people answered before, to whom a
//! name is registered, which command asks.

mod families;
mod lookalike;

use crate::{Class, HostPattern, HostSpec, Policy, Sourced, Verdict};
use jiff::{SignedDuration, Timestamp};
use std::net::IpAddr;

/// From this score on a host is familiar.
pub const FAMILIAR: i32 = 50;

/// For so long an answer is too fresh to make a host familiar elsewhere.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

/// What is known of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The name that somebody registered: the public suffix and one label more. `None` of an address,
    /// and of a name without a dot.
    pub registered: Option<String>,
    /// The name with the letters of other scripts, where it has some.
    pub letters: Option<String>,
    /// What people said before to connections to this host and port.
    pub answers: Answers,
    /// Registered names of hosts that people have allowed.
    pub allowed_names: Vec<String>,
    /// Registered names that others are made to look like: those, and what lists name.
    pub known_names: Vec<String>,
    /// Who asks, where that is known.
    pub asker: Option<Asker>,
}

/// What people answered, in sessions that came before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// In how many sessions somebody allowed it.
    pub allowed: u32,
    /// When first.
    pub first: Option<Timestamp>,
    /// When last.
    pub last: Option<Timestamp>,
    /// In how many sessions somebody denied it.
    pub denied: u32,
}

/// The command that a connection belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// As it is written in a shell: the one that the agent started.
    pub command: String,
    /// A script asks that came along with a package, and not the program that installs it.
    pub is_install_script: bool,
}

/// How well a host is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Familiarity {
    /// The sum of the reasons' points.
    pub score: i32,
    /// What speaks for it, then what speaks against it.
    pub reasons: Vec<Reason>,
}

/// One reason of a score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// For the host where it is positive, against it where it is negative.
    pub points: i32,
    /// A sentence, with its full stop.
    pub text: String,
}

impl Familiarity {
    /// Whether the host is known well enough to be reached without a question.
    pub fn is_familiar(&self) -> bool {
        self.score >= FAMILIAR
    }

    /// Whether anything speaks against the host.
    pub fn is_doubtful(&self) -> bool {
        self.reasons.iter().any(|reason| reason.points < 0)
    }

    /// The reasons, one after the other.
    pub fn words(&self) -> String {
        let texts: Vec<&str> = self.reasons.iter().map(|reason| reason.text.as_str()).collect();
        texts.join(" ")
    }
}

/// How well a host is known that the policy names in no list. `host` is a name in lower case or an
/// address.
pub fn familiarity(policy: &Policy, now: Timestamp, host: &str, facts: &HostFacts) -> Familiarity {
    let HostFacts { registered, letters, answers, allowed_names, known_names, asker } = facts;
    // Who may only choose within the base does not say what others deny.
    let Sourced { value, origin } = &policy.network().unfamiliar;
    let counts_answers = *value != Verdict::Deny || origin.kind.class() == Class::Base;
    let mut reasons = Vec::new();
    let mut say = |points: i32, text: String| reasons.push(Reason { points, text });
    history(answers, now, counts_answers, &mut say);
    if host.parse::<IpAddr>().is_ok() {
        say(-40, "It is an address and no name, so nothing says whose it is.".to_owned());
    } else {
        let own = registered.as_deref().unwrap_or(host);
        if let Some(named) = of_the_same_name(policy, host, own) {
            say(20, format!("The policy names {named}, which belongs to {own} as well."));
        } else if allowed_names.iter().any(|name| name == own) && answers.allowed == 0 {
            say(10, format!("Another host of {own} was allowed before."));
        }
        if let Some(letters) = letters {
            say(-30, format!("It has letters of other scripts, and is shown as {letters}."));
        }
        if let Some(text) = lookalike::of(host, own, letters.as_deref(), known_names) {
            say(-60, text);
        }
        if let Some(text) = families::of(host) {
            say(-60, text.to_owned());
        }
        if let Some(label) = machine_made(host, own) {
            say(-30, format!("`{label}` looks made by a machine: a name can carry data out."));
        }
    }
    if let Some(Asker { command, is_install_script: true }) = asker {
        say(-30, format!("A script that a package brought along asks for it, within `{command}`."));
    }
    let score = reasons.iter().map(|reason| reason.points).sum();
    Familiarity { score, reasons }
}

fn history(answers: &Answers, now: Timestamp, counts: bool, say: &mut impl FnMut(i32, String)) {
    let Answers { allowed, first, last, denied } = answers;
    let sessions = |count: u32| match count {
        1 => "one earlier session".to_owned(),
        count => format!("{count} earlier sessions"),
    };
    match (allowed, last) {
        (0, _) | (_, None) => {
            say(0, "Nobody has allowed it here before, and no list names it.".to_owned());
        }
        (_, Some(last)) if !counts => {
            let when = last.strftime("%Y-%m-%d");
            say(
                0,
                format!(
                    "It was allowed in {}, last on {when}; whoever set this does not let that count.",
                    sessions(*allowed)
                ),
            );
        }
        (_, Some(last)) => {
            let points = match allowed {
                1 => 30,
                2 => 50,
                _ => 60,
            };
            let when = last.strftime("%Y-%m-%d");
            say(points, format!("It was allowed in {}, last on {when}.", sessions(*allowed)));
            if first.is_some_and(|first| now.duration_since(first) < FRESH) {
                say(-40, "All of that was within the last day.".to_owned());
            }
        }
    }
    if *denied > 0 {
        say(-60, format!("It was denied in {}.", sessions(*denied)));
    }
}

/// The names that a pattern is about: of hosts, or of what everything is beneath of.
fn names_of(pattern: &HostPattern) -> Vec<&str> {
    match &pattern.host {
        HostSpec::Name(name) | HostSpec::Beneath(name) => vec![name],
        HostSpec::Set(set) => set.hosts.iter().map(|host| host.trim_start_matches("*.")).collect(),
        HostSpec::Address(_) | HostSpec::Range(..) | HostSpec::Any => Vec::new(),
    }
}

/// Every name that the policy allows or a host set holds: what another may be made to look like.
pub fn listed_names(policy: &Policy) -> impl Iterator<Item = &str> {
    let named = policy.network().allow.iter().flat_map(|entry| names_of(&entry.value));
    let sets = crate::HOST_SETS.iter().flat_map(|set| set.hosts.iter());
    named.chain(sets.map(|host| host.trim_start_matches("*.")))
}

/// A host that the policy allows, of the same registered name.
fn of_the_same_name<'p>(policy: &'p Policy, host: &str, own: &str) -> Option<&'p str> {
    let names = policy.network().allow.iter().flat_map(|entry| names_of(&entry.value));
    let is_of = |name: &&str| *name == own || crate::host::is_beneath(name, own);
    names.filter(|name| *name != host).find(is_of)
}

/// A label of which nobody would think, below the registered name: long and without a pattern, as
/// the names are that carry data (RFC 1035 leaves room for 63 bytes in each).
fn machine_made<'h>(host: &'h str, own: &str) -> Option<&'h str> {
    let below = host.strip_suffix(own).unwrap_or(host);
    below.split('.').find(|label| label.len() >= 16 && entropy(label) >= 3.4)
}

/// Shannon's entropy of the characters, in bits for each.
fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    text.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let all = text.len() as f64;
    let parts = counts.iter().filter(|count| **count > 0).map(|count| {
        let part = f64::from(*count) / all;
        -part * part.log2()
    });
    parts.sum()
}

#[cfg(test)]
mod tests;
