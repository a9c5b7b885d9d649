//! The escape suite: every attempt is proved outside of a session first, and then made inside, in
//! both tiers, with earlier versions of Landlock, by whoever runs the tests and, if that is root,
//! by an ordinary user as well.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "failing is how tests tell"
)]
#![allow(clippy::print_stdout, reason = "who counts reads it")]

mod inside;
mod outside;
mod users;

use chaperone_escape::stage::BESIDE;
use chaperone_escape::{Attempt, Group, Known, Needs, Outcome};
use chaperone_sandbox::{Machine, Status, Tier, probe};
use inside::{hold, read_beside};
use outside::{prove, prove_together};
use std::collections::BTreeSet;
use std::fs;
use users::{as_each_user, is_root, who};

/// A group's attempts, but for those that mean nothing to root.
fn makeable(group: Group) -> Vec<&'static Attempt> {
    let all = group.attempts().iter();
    all.filter(|attempt| !(is_root() && attempt.needs == Needs::User)).collect()
}

/// Each attempt succeeds where nothing holds it, or says what it would take.
fn succeeds_outside(group: Group) {
    as_each_user(|| {
        let (mut proved, mut not_applicable) = (0, Vec::new());
        let mut wrong = Vec::new();
        // One attempt's success may be in another's way, such as a hook in the same place: what did
        // not succeed beside the others has a world of its own.
        for (attempt, together) in prove_together(makeable(group)) {
            let explained = match attempt.needs {
                Needs::Root => !is_root(),
                Needs::Nothing | Needs::User | Needs::Machine(_) => false,
            };
            let outcome = match together {
                Outcome::Held(_) if !explained => prove(attempt),
                outcome => outcome,
            };
            match (outcome, attempt.needs) {
                (Outcome::Out, _) => proved += 1,
                (Outcome::Held(why), Needs::Root) if !is_root() => {
                    not_applicable.push(format!("{} ({why})", attempt.name));
                }
                (Outcome::Held(why), Needs::Machine(what)) => {
                    not_applicable.push(format!("{}: needs {what} ({why})", attempt.name));
                }
                (Outcome::Held(why), _) => wrong.push(format!("{}: {why}", attempt.name)),
            }
        }
        let others = group.attempts().len() - makeable(group).len();
        if others > 0 {
            not_applicable.push(format!("{others} that root gains nothing by"));
        }
        println!(
            "{group} outside, {}: {proved} proved, {} not applicable: {not_applicable:#?}",
            who(),
            not_applicable.len()
        );
        assert_eq!(wrong, [""; 0], "{group}, {}: do not succeed outside", who());
    });
}

/// Nothing gets out but what the plan's losses name or the policy gives, and that does.
fn is_held(group: Group, machine: &Machine) {
    is_held_with(group, machine, "none");
    if group == Group::Network {
        is_held_with(group, machine, "proxy");
    }
    // There the session shares the machine's network, and with it abstract names of sockets.
    if matches!(group, Group::Network | Group::Sockets) {
        is_held_with(group, machine, "direct");
    }
}

/// Of the group of the network, what is no way to an address: `network.mode = "direct"` gives the
/// others, and none of these.
const NO_ADDRESS: [&str; 12] = [
    "raw",
    "frames",
    "shared-memory-streams",
    "to-the-host",
    "ciphers",
    "bluetooth",
    "express",
    "sockets-listed",
    "device-events",
    "generic-netlink",
    "audit-netlink",
    "address-added",
];

/// Whether the policy gives what this attempt is after.
fn is_given(group: Group, attempt: &Attempt, network: &str) -> bool {
    group == Group::Network && network == "direct" && !NO_ADDRESS.contains(&attempt.name)
}

fn is_held_with(group: Group, machine: &Machine, network: &str) {
    let (losses, outcomes) = hold(makeable(group), machine, network);
    let mut wrong = Vec::new();
    let mut lost = Vec::new();
    for (attempt, outcome) in &outcomes {
        let named = attempt.is_known(&losses) || is_given(group, attempt, network);
        match (outcome, named) {
            (Outcome::Held(_), false) => {}
            (Outcome::Out, true) => lost.push(attempt.name),
            (Outcome::Out, false) => wrong.push(format!("{} gets out", attempt.name)),
            // A race may be lost, and what does not succeed outside shows nothing inside either.
            (Outcome::Held(_), true)
                if attempt.name.starts_with("race-") || prove(attempt) != Outcome::Out => {}
            // A busy machine may keep it waiting for longer than it has.
            (Outcome::Held(_), true) if gets_out_alone(attempt, machine, network) => {
                lost.push(attempt.name);
            }
            (Outcome::Held(why), true) => {
                wrong.push(format!("{} is held, though known to get out: {why}", attempt.name));
            }
        }
        if matches!(outcome, Outcome::Held(why) if why == "it was not made") {
            wrong.push(format!("{} was not made", attempt.name));
        }
    }
    if std::env::var_os("ESCAPE_SHOW").is_some() {
        println!("{outcomes:#?}");
    }
    println!(
        "{group}, {} tier, network.mode {network}, Landlock {}, {}: {} held, {} known to get out: \
         {lost:?}",
        machine.tier(),
        machine.landlock_abi,
        who(),
        outcomes.len() - lost.len() - wrong.len(),
        lost.len(),
    );
    let place = format!("{group}, {} tier, network.mode {network}", machine.tier());
    assert_eq!(wrong, [""; 0], "{place}, Landlock {}, {}", machine.landlock_abi, who());
}

/// The same in a session of its own.
fn gets_out_alone(attempt: &'static Attempt, machine: &Machine, network: &str) -> bool {
    let (_, outcomes) = hold(vec![attempt], machine, network);
    outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Out)
}

const EPERM: i32 = 1;

/// This machine, held at a tier.
fn machine(tier: Tier) -> Machine {
    let found = probe();
    let machine = match tier {
        Tier::Full => found,
        _ => Machine { user_namespaces: Status::Fails { errno: EPERM }, ..found },
    };
    assert_eq!(machine.tier(), tier, "{machine:?}");
    machine
}

fn is_held_in(group: Group, tier: Tier) {
    as_each_user(|| is_held(group, &machine(tier)));
}

fn is_held_with_earlier_landlock(group: Group) {
    as_each_user(|| {
        for tier in [Tier::Full, Tier::Reduced] {
            let machine = machine(tier);
            for landlock_abi in [2, 4, 6].into_iter().filter(|abi| *abi <= machine.landlock_abi) {
                is_held(group, &Machine { landlock_abi, ..machine.clone() });
            }
        }
    });
}

macro_rules! groups {
    ($($module:ident $group:ident;)*) => {
        $(mod $module {
            use chaperone_escape::Group;
            use chaperone_sandbox::Tier;

            #[test]
            fn succeed_outside() {
                super::succeeds_outside(Group::$group);
            }

            #[test]
            fn are_held_in_the_full_tier() {
                super::is_held_in(Group::$group, Tier::Full);
            }

            #[test]
            fn are_held_in_the_reduced_tier() {
                super::is_held_in(Group::$group, Tier::Reduced);
            }

            #[test]
            fn are_held_with_earlier_landlock() {
                super::is_held_with_earlier_landlock(Group::$group);
            }
        })*
    };
}

groups! {
    files Files;
    persistence Persistence;
    processes Processes;
    sockets Sockets;
    kernel Kernel;
    terminal Terminal;
    network Network;
    commands Commands;
    identity Identity;
    inherited Inherited;
    limits Limits;
    signing Signing;
}

/// So what is held of it is held by its denial.
#[test]
fn what_lies_beside_a_denied_folder_is_read() {
    as_each_user(|| {
        for tier in [Tier::Full, Tier::Reduced] {
            assert_eq!(read_beside(&machine(tier)), BESIDE, "{tier}");
        }
    });
}

#[test]
fn the_threat_model_says_what_is_known_to_be_left() {
    let page = include_str!("../../../../docs/threat-model.md");
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for (_, attempt) in chaperone_escape::attempts() {
        if let Some(Known::Left(words)) = attempt.known {
            assert!(page.contains(words), "{}: {words}", attempt.name);
        }
    }
}

/// `UPDATE_PAGES=1` writes the page anew.
#[test]
fn the_page_is_the_table() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/escape-suite.md");
    if std::env::var_os("UPDATE_PAGES").is_some() {
        fs::write(page, chaperone_escape::page()).unwrap();
    }
    assert_eq!(fs::read_to_string(page).unwrap(), chaperone_escape::page());
}

#[test]
fn there_are_enough_and_each_says_what_it_does() {
    let all: Vec<(Group, &Attempt)> = chaperone_escape::attempts().collect();
    assert!(all.len() >= 150, "{}", all.len());
    let distinct = |of: fn(&Attempt) -> &str| {
        all.iter().map(|(_, attempt)| of(attempt)).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(distinct(|attempt| attempt.name), all.len(), "names");
    assert_eq!(distinct(|attempt| attempt.technique), all.len(), "techniques");
    for name in NO_ADDRESS {
        assert!(all.iter().any(|(_, attempt)| attempt.name == name), "{name}");
    }
    for (_, attempt) in all {
        let sentence = attempt.technique;
        assert!(sentence.ends_with('.') && sentence.starts_with(char::is_uppercase), "{sentence}");
    }
}
