//! The promise that nobody below loosens: no set of recommended, user, workspace, command-line or
//! `HKCU` layers, of grants and of approvals, valid or garbage, permits an action that the managed
//! layers alone forbid.
//!
//! A thousand sets for each test, or `PROPTEST_CASES`; `CONTRIBUTING.md` has the long run.

use crate::garbage::{below, garbage, managed};
use crate::{BUILT_IN, actions, context, merged};
use chaperone_policy::{
    Action, Approval, Class, Command, Decision, Facts, Layer, NetworkMode, Policy, Scope,
    SourceKind, Sourced, Verdict, command_scope, decide, observed, unattended,
};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// Cases without `PROPTEST_CASES`.
const CASES: u32 = 1000;

fn config() -> ProptestConfig {
    let set = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { set.cases } else { CASES };
    // What fails is made small for half a minute, before the test runner ends the test.
    ProptestConfig { cases, failure_persistence: None, max_shrink_time: 30_000, ..set }
}

/// Whether a managed layer's own word says so: a value of its, and not a default that stands in
/// where nobody said anything.
fn is_managed(decision: &Decision) -> bool {
    decision.origin.kind.class() == Class::Managed
}

/// Whether the action takes place when it is decided so and nobody answers.
fn passes(policy: &Policy, action: &Action, decision: &Decision) -> bool {
    observed(policy, NOW, action, decision).is_some()
        || unattended(policy, decision.clone()).verdict == Verdict::Allow
}

/// What holds of every action whatever stands below.
fn holds(ceilings: &[Layer], below: &[Layer], approvals: Vec<Approval>) -> TestCaseResult {
    let alone = merged(ceilings);
    let layers = [ceilings, below, std::slice::from_ref(&*BUILT_IN)].concat();
    let all = merged(&layers);
    let facts = Facts { approvals: approvals.clone(), ..Facts::at(NOW) };
    if !alone.blocked().is_empty() {
        prop_assert!(!all.blocked().is_empty());
    }
    // What mode says is how hosts are reached; which ones is left to the lists, unless closed.
    let by_mode = |decision: &Decision| decision.rule.as_deref() == Some("network.mode");
    for action in actions() {
        let ceiling = decide(&alone, &Facts::at(NOW), &action);
        let is = decide(&all, &facts, &action);
        if !is_managed(&ceiling) || by_mode(&ceiling) {
            continue;
        }
        match ceiling.verdict {
            Verdict::Allow => continue,
            Verdict::Ask if !approvals.is_empty() => {}
            // An approval answers what was asked, and never what was denied.
            Verdict::Ask | Verdict::Deny => {
                prop_assert!(
                    is.verdict >= ceiling.verdict,
                    "{action:?}: {ceiling:?} became {is:?}"
                );
            }
        }
        if ceiling.verdict == Verdict::Deny && !passes(&alone, &action, &ceiling) {
            prop_assert!(!passes(&all, &action, &is), "{action:?}: {ceiling:?} passes as {is:?}");
        }
    }
    lists(&alone, &all)?;
    environment(ceilings, &alone, &all)?;
    values(ceilings, &all)
}

/// What is denied stays denied by its own entry, and a list that is closed stays so.
fn lists(alone: &Policy, all: &Policy) -> TestCaseResult {
    fn keeps<T: PartialEq>(alone: &[Sourced<T>], all: &[Sourced<T>]) -> bool {
        alone.iter().all(|own| all.iter().any(|it| it.value == own.value))
    }
    prop_assert!(keeps(&alone.filesystem().deny, &all.filesystem().deny));
    prop_assert!(keeps(&alone.filesystem().deny_write, &all.filesystem().deny_write));
    prop_assert!(keeps(&alone.network().deny, &all.network().deny));
    prop_assert!(keeps(&alone.environment().deny, &all.environment().deny));
    prop_assert!(alone.network().closed.is_none() || all.network().closed.is_some());
    prop_assert!(alone.commands_closed().is_none() || all.commands_closed().is_some());
    Ok(())
}

/// A variable that a managed layer drops is not passed, whatever names it.
fn environment(ceilings: &[Layer], alone: &Policy, all: &Policy) -> TestCaseResult {
    for name in ["NPM_TOKEN", "RUST_LOG", "PATH", "SECRET", "npm_token"] {
        let dropped = alone.environment().deny.iter().any(|own| own.value.matches_any_case(name));
        prop_assert!(!dropped || !all.environment().passes(name), "{name} passes: {ceilings:?}");
    }
    Ok(())
}

/// Ordered values are at least as strict as any managed layer that holds here says.
fn values(ceilings: &[Layer], all: &Policy) -> TestCaseResult {
    let holding = ceilings
        .iter()
        .filter(|layer| layer.settings.when.as_ref().is_none_or(|when| when.holds(&context())));
    for layer in holding {
        let own = &layer.settings;
        let mode = own.network.mode.as_ref().map(|own| own.value);
        prop_assert!(mode.is_none_or(|mode: NetworkMode| all.network().mode.value >= mode));
        let tier = own.sandbox.minimum_tier.as_ref().map(|own| own.value);
        prop_assert!(tier.is_none_or(|tier| all.minimum_tier() >= tier));
        let scopes = own.approvals.scopes.as_ref().map(|own| own.value);
        prop_assert!(scopes.is_none_or(|scopes| all.approvals().scopes.value <= scopes));
        let expires = own.approvals.expires.as_ref().map(|own| own.value);
        prop_assert!(expires.is_none_or(|expires| all.approvals().expires.value <= expires));
        for (limit, is) in [
            (&own.limits.memory, &all.limits().memory),
            (&own.limits.processes, &all.limits().processes),
        ] {
            let limit = limit.as_ref().map(|own| own.value);
            prop_assert!(limit.is_none_or(|most| is.as_ref().is_some_and(|is| is.value <= most)));
        }
    }
    Ok(())
}

/// Approvals of whatever could be asked for, of more than that, and of nothing.
fn approvals() -> impl Strategy<Value = Vec<(Index, bool)>> {
    vec((any::<Index>(), any::<bool>()), 0..5)
}

fn given(chosen: &[(Index, bool)], layers: &[Layer]) -> Vec<Approval> {
    let policy = merged(layers);
    let commands: Vec<Command> = actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Run(command) => Some(command),
            _ => None,
        })
        .collect();
    let approval = |(index, honest): &(Index, bool)| {
        let command = &commands[index.index(commands.len())];
        let scope = command_scope(&policy, command).filter(|_| *honest);
        Approval {
            id: "7".to_owned(),
            prefix: scope.unwrap_or_else(|| command.argv.clone()),
            scope: Scope::ALL[index.index(Scope::ALL.len())],
            command: None,
            by: "ada".to_owned(),
            expires: None,
        }
    };
    chosen.iter().map(approval).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_layers_below_permit_what_the_managed_layers_alone_forbid(
        ceilings in managed(),
        below in below(),
    ) {
        holds(&ceilings, &below, Vec::new())?;
    }

    #[test]
    fn no_garbage_below_permits_what_the_managed_layers_alone_forbid(
        ceilings in managed(),
        below in garbage(),
    ) {
        holds(&ceilings, &below, Vec::new())?;
    }

    #[test]
    fn no_approval_permits_what_the_managed_layers_alone_deny(
        ceilings in managed(),
        below in prop_oneof![below().boxed(), garbage().boxed()],
        chosen in approvals(),
    ) {
        let layers = [&ceilings[..], &below[..], std::slice::from_ref(&*BUILT_IN)].concat();
        let approvals = given(&chosen, &layers);
        holds(&ceilings, &below, approvals)?;
    }
}

/// Not everything is denied: what is found to hold above would hold of a policy that permits
/// nothing, too.
#[test]
fn what_no_managed_layer_forbids_can_be_permitted() {
    let user = Layer::from_toml(
        SourceKind::UserFile,
        "/user.toml",
        "[filesystem]\nread = [\"/srv\"]\n[network]\nmode = \"direct\"\n\
         [[commands.rule]]\nprefix = [\"git\", \"push\"]\ndecision = \"allow\"\n",
    );
    let policy = merged(&[BUILT_IN.clone(), user]);
    let verdict = |action: &Action| decide(&policy, &Facts::at(NOW), action).verdict;
    let allowed = actions().iter().filter(|action| verdict(action) == Verdict::Allow).count();
    assert!(allowed >= 6, "{allowed}");
}
