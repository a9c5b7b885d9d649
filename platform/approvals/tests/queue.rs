//! The queue as a specification: who wins, what expires, what collapses, what is refused.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod support;

use chaperone_approvals::{
    AnswerMsg, AnswerOutcome, AnswerVerdict, Effect, NewRequest, Outcome, Queue, QueueLimits,
    Request, Scope, State, Ticket,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use support::{allow, answer, asked, at, connects, deny, push, session};

const BOTH: [Scope; 2] = [Scope::Once, Scope::Session];
const MINUTE: Duration = Duration::from_secs(60);

fn queue() -> Queue {
    Queue::new(session("s1"), &BOTH, 10 * MINUTE)
}

/// What the effects settle, by ticket.
fn settled(effects: &[Effect]) -> Vec<(Ticket, Outcome)> {
    let mut all = Vec::new();
    for effect in effects {
        if let Effect::Settled { tickets, outcome } = effect {
            all.extend(tickets.iter().map(|ticket| (*ticket, (**outcome).clone())));
        }
    }
    all
}

fn only(queue: &Queue) -> Request {
    let all: Vec<_> = queue.requests().cloned().collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

#[test]
fn a_request_waits_until_it_is_answered_and_its_asker_is_told() {
    let mut queue = queue();
    let (ticket, effects) = queue.ask(push(), at(0));
    assert_eq!(effects, [Effect::Asked("s1.1".into())]);
    assert_eq!(only(&queue).state, State::Waiting);
    assert_eq!(only(&queue).expires, at(600));

    let (outcome, effects) = queue.answer(&allow("s1.1", "ada in the window"), at(5));
    assert_eq!(outcome, AnswerOutcome::Accepted);
    let expected = Outcome {
        request: Some("s1.1".into()),
        verdict: AnswerVerdict::Allow,
        scope: Scope::Once,
        by: "ada in the window".into(),
        state: State::Answered,
        note: None,
        approval: None,
    };
    assert_eq!(settled(&effects), [(ticket, expected)]);
}

#[test]
fn the_first_answer_wins_and_the_second_is_told_who_won() {
    let mut queue = queue();
    queue.ask(push(), at(0));
    queue.answer(&deny("s1.1", "ada in the window"), at(5));
    let (late, effects) = queue.answer(&allow("s1.1", "ada in another terminal"), at(6));
    let expected = AnswerOutcome::Late {
        state: State::Answered,
        by: "ada in the window".into(),
        verdict: AnswerVerdict::Deny,
        at: at(5),
    };
    assert_eq!((late, effects), (expected.clone(), vec![]));
    assert_eq!(expected.to_string(), "Too late: ada in the window had denied it already.");
    // Also long after it is shown no more.
    assert_eq!(queue.answer(&allow("s1.1", "ada"), at(3600)).0, expected);
}

#[test]
fn nobody_answers_in_time_and_it_is_denied() {
    let mut queue = queue();
    let (ticket, _) = queue.ask(push(), at(0));
    assert_eq!(queue.next_deadline(), Some(at(600)));
    assert_eq!(queue.tick(at(599)), []);
    let effects = queue.tick(at(600));
    let told = settled(&effects);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].0, told[0].1.verdict, told[0].1.state),
        (ticket, AnswerVerdict::Deny, State::Expired)
    );
    assert!(told[0].1.words().contains("Nobody answered in time"));
    assert_eq!(queue.next_deadline(), None);
}

#[test]
fn what_waits_follows_limits_that_are_tighter_and_none_that_are_looser() {
    let mut queue = queue();
    queue.ask(push(), at(0));
    assert_eq!(queue.limit(&BOTH, 60 * MINUTE), []);
    assert_eq!((only(&queue).scopes, only(&queue).expires), (BOTH.to_vec(), at(600)));

    assert_eq!(queue.limit(&[Scope::Once], 5 * MINUTE), [Effect::Updated("s1.1".into())]);
    assert_eq!((only(&queue).scopes, only(&queue).expires), (vec![Scope::Once], at(300)));
    let session = answer("s1.1", AnswerVerdict::Allow, Scope::Session, "ada");
    let (outcome, effects) = queue.answer(&session, at(1));
    assert!(matches!(outcome, AnswerOutcome::Refused { .. }), "{outcome:?}");
    assert_eq!(effects, []);

    assert_eq!(queue.limit(&BOTH, 10 * MINUTE), [], "what was taken away stays so");
    assert_eq!(settled(&queue.tick(at(300)))[0].1.state, State::Expired);
}

#[test]
fn a_ticket_names_its_request_until_it_is_settled() {
    let mut queue = queue();
    let (first, _) = queue.ask(push(), at(0));
    let (second, _) = queue.ask(push(), at(0));
    let named = |queue: &Queue, ticket| queue.request_of(ticket).map(|own| own.id.clone());
    assert_eq!(named(&queue, first), named(&queue, second));
    assert_eq!(named(&queue, first).as_deref(), Some("s1.1"));
    queue.withdraw(second, at(1));
    assert_eq!(named(&queue, second), None);
    queue.answer(&allow("s1.1", "ada"), at(2));
    assert_eq!(named(&queue, first), None);
}

#[test]
fn an_answer_after_the_deadline_is_late_even_if_the_clock_was_not_looked_at() {
    let mut queue = queue();
    queue.ask(push(), at(0));
    let (outcome, effects) = queue.answer(&allow("s1.1", "ada"), at(600));
    assert!(matches!(outcome, AnswerOutcome::Late { state: State::Expired, .. }), "{outcome:?}");
    assert_eq!(settled(&effects)[0].1.verdict, AnswerVerdict::Deny);
}

#[test]
fn equal_requests_are_one_card_and_one_answer_resolves_all() {
    let mut queue = queue();
    let (first, _) = queue.ask(push(), at(0));
    let mut from_elsewhere = push();
    from_elsewhere.chain = vec!["claude".into(), "make".into(), "git".into()];
    let (second, effects) = queue.ask(from_elsewhere, at(1));
    assert_eq!(effects, [Effect::Updated("s1.1".into())]);
    assert_eq!(only(&queue).count, 2);
    let (_, effects) = queue.answer(&allow("s1.1", "ada"), at(2));
    let told: Vec<Ticket> = settled(&effects).into_iter().map(|(ticket, _)| ticket).collect();
    assert_eq!(told, [first, second]);
}

#[test]
fn requests_that_differ_in_what_would_happen_stay_apart() {
    let mut queue = queue();
    queue.ask(push(), at(0));
    queue.ask(asked(&["git", "push", "origin", "main", "--force"]), at(0));
    let mut elsewhere = push();
    if let chaperone_policy::Action::Run(command) = &mut elsewhere.action {
        command.environment.push(("GIT_SSH_COMMAND".into(), "/tmp/x".into()));
    }
    queue.ask(elsewhere, at(0));
    assert_eq!(queue.requests().count(), 3);
}

#[test]
fn an_equal_request_after_the_answer_is_a_new_one() {
    let mut queue = queue();
    queue.ask(push(), at(0));
    queue.answer(&allow("s1.1", "ada"), at(1));
    let (_, effects) = queue.ask(push(), at(2));
    assert_eq!(effects, [Effect::Asked("s1.2".into())]);
}

#[test]
fn a_scope_that_the_policy_does_not_offer_is_refused_and_the_request_still_waits() {
    let mut queue = Queue::new(session("s1"), &[Scope::Once], 10 * MINUTE);
    queue.ask(push(), at(0));
    let for_session = answer("s1.1", AnswerVerdict::Allow, Scope::Session, "ada");
    let (outcome, effects) = queue.answer(&for_session, at(1));
    let reason = "The scope session is not offered for this request. Offered: once.";
    assert_eq!(outcome, AnswerOutcome::Refused { reason: reason.into() });
    assert_eq!(effects, []);
    assert_eq!((only(&queue).scopes, only(&queue).session_scope), (vec![Scope::Once], None));
    assert_eq!(queue.answer(&allow("s1.1", "ada"), at(2)).0, AnswerOutcome::Accepted);
}

#[test]
fn a_command_without_a_prefix_offers_no_session_scope() {
    let mut queue = queue();
    let mut request = push();
    request.session_scope = None;
    queue.ask(request, at(0));
    assert_eq!(only(&queue).scopes, [Scope::Once]);
    let for_session = answer("s1.1", AnswerVerdict::Allow, Scope::Session, "ada");
    assert!(matches!(queue.answer(&for_session, at(1)).0, AnswerOutcome::Refused { .. }));
}

#[test]
fn a_denial_is_for_once() {
    let mut queue = queue();
    queue.ask(push(), at(0));
    let for_session = answer("s1.1", AnswerVerdict::Deny, Scope::Session, "ada");
    assert!(matches!(queue.answer(&for_session, at(1)).0, AnswerOutcome::Refused { .. }));
    assert!(only(&queue).waiting);
}

#[test]
fn an_approval_for_the_session_is_kept_answers_what_it_covers_and_can_be_taken_back() {
    let mut queue = queue();
    queue.ask(push(), at(0));
    let (covered, _) = queue.ask(asked(&["git", "push", "origin", "topic"]), at(0));
    let (other, _) = queue.ask(asked(&["git", "push", "backup", "main"]), at(0));
    let (_, effects) =
        queue.answer(&answer("s1.1", AnswerVerdict::Allow, Scope::Session, "ada"), at(1));
    let told: Vec<Ticket> = settled(&effects).iter().map(|(ticket, _)| *ticket).collect();
    assert!(told.contains(&covered) && !told.contains(&other));
    assert!(settled(&effects).iter().all(|(_, o)| o.approval.as_ref().unwrap().id == "s1.1"));

    let kept: Vec<_> = queue.approvals(at(2)).cloned().collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].prefix, ["git", "push", "origin"]);
    // A decision to ask that was taken just before the approval came.
    let (ticket, effects) = queue.ask(asked(&["git", "push", "origin", "late"]), at(2));
    assert_eq!(settled(&effects)[0].0, ticket);
    assert_eq!(settled(&effects)[0].1.by, "ada");

    assert!(queue.revoke("s1.1").is_some());
    assert!(queue.revoke("s1.1").is_none());
    let (_, effects) = queue.ask(asked(&["git", "push", "origin", "later"]), at(3));
    assert_eq!(settled(&effects), []);
}

fn names(request: &Request) -> Vec<(&str, Option<AnswerVerdict>)> {
    request.hosts.iter().map(|host| (host.name.as_str(), host.verdict)).collect()
}

#[test]
fn what_one_command_connects_to_is_one_card_that_grows() {
    let mut queue = queue();
    let (_, effects) = queue.ask(connects(Some(7), "a.example"), at(0));
    assert_eq!(effects, [Effect::Asked("s1.1".into())]);
    let one = only(&queue);
    assert_eq!(one.sentence, "It connects to a.example on port 443.");
    assert_eq!(one.session_scope, Some(vec!["tcp://a.example:443".to_owned()]));
    for (at_second, host) in (1..).zip(["b.example", "b.example", "c.example"]) {
        let (_, effects) = queue.ask(connects(Some(7), host), at(at_second));
        assert_eq!(effects, [Effect::Updated("s1.1".into())]);
    }
    let grown = only(&queue);
    assert_eq!(grown.sentence, "npm install connects to 3 hosts.");
    assert_eq!(grown.display, "a.example:443, b.example:443, c.example:443");
    assert_eq!((grown.count, grown.expires), (2, at(600)));
    assert_eq!(
        names(&grown),
        [("a.example:443", None), ("b.example:443", None), ("c.example:443", None)]
    );
    // Another command, and one of which nobody knows who asks, have cards of their own.
    for command in [Some(8), None, None] {
        queue.ask(connects(command, "a.example"), at(4));
    }
    let cards: Vec<_> = queue.requests().map(|r| (r.id.as_str(), r.hosts.len(), r.count)).collect();
    assert_eq!(cards, [("s1.1", 3, 2), ("s1.2", 1, 1), ("s1.3", 1, 2)]);
}

#[test]
fn an_answer_is_for_the_hosts_that_it_names_and_no_others() {
    let mut queue = queue();
    let mut ask = |host: &str| queue.ask(connects(Some(7), host), at(0)).0;
    let (a, b, c) = (ask("a.example"), ask("b.example"), ask("c.example"));
    // Who has seen one host has not allowed three.
    let (outcome, effects) = queue.answer(&allow("s1.1", "ada"), at(1));
    let AnswerOutcome::Refused { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("3 hosts"), "{reason}");
    assert_eq!(effects, []);
    let (outcome, effects) = queue
        .answer(&AnswerMsg { hosts: vec!["d.example:443".into()], ..allow("s1.1", "ada") }, at(1));
    assert!(matches!(outcome, AnswerOutcome::Refused { .. }), "{outcome:?}");
    assert_eq!(effects, []);

    let some = AnswerMsg {
        hosts: vec!["a.example:443".into()],
        denied: vec!["c.example:443".into()],
        note: Some("not c".into()),
        ..allow("s1.1", "ada")
    };
    let (outcome, effects) = queue.answer(&some, at(2));
    assert_eq!(outcome, AnswerOutcome::Accepted);
    let told: Vec<_> = settled(&effects).into_iter().map(|(t, o)| (t, o.verdict)).collect();
    assert_eq!(told, [(c, AnswerVerdict::Deny), (a, AnswerVerdict::Allow)]);
    assert_eq!(effects.last(), Some(&Effect::Updated("s1.1".into())), "b waits on");
    let left = only(&queue);
    assert!(left.waiting);
    assert_eq!(left.sentence, "It connects to b.example on port 443.");
    let (allowed, denied) = (Some(AnswerVerdict::Allow), Some(AnswerVerdict::Deny));
    assert_eq!(
        names(&left),
        [("a.example:443", allowed), ("b.example:443", None), ("c.example:443", denied)]
    );
    // A host that is wanted once more is asked about once more.
    let (again, _) = queue.ask(connects(Some(7), "c.example"), at(3));
    let all = AnswerMsg {
        denied: vec!["b.example:443".into(), "c.example:443".into()],
        ..deny("s1.1", "ada")
    };
    let (outcome, effects) = queue.answer(&all, at(4));
    assert_eq!(outcome, AnswerOutcome::Accepted);
    let told: Vec<_> = settled(&effects).into_iter().map(|(t, o)| (t, o.verdict)).collect();
    assert_eq!(told, [(b, AnswerVerdict::Deny), (again, AnswerVerdict::Deny)]);
    assert_eq!(effects.last(), Some(&Effect::Answered("s1.1".into())));
    let ended = only(&queue);
    assert_eq!(ended.state, State::Answered);
    assert_eq!(ended.answer.unwrap().verdict, AnswerVerdict::Allow, "some of it was allowed");
}

#[test]
fn a_host_that_is_denied_by_its_card_is_settled_when_its_time_is_over() {
    let mut queue = queue();
    let (a, _) = queue.ask(connects(Some(7), "a.example"), at(0));
    let (b, _) = queue.ask(connects(Some(7), "b.example"), at(30));
    let one = AnswerMsg { hosts: vec!["a.example:443".into()], ..allow("s1.1", "ada") };
    let (_, effects) = queue.answer(&one, at(40));
    assert_eq!(settled(&effects)[0].0, a);
    let told = settled(&queue.tick(at(600)));
    assert_eq!((told[0].0, told[0].1.verdict), (b, AnswerVerdict::Deny));
    assert_eq!(only(&queue).state, State::Answered);
}

#[test]
fn a_card_shrinks_with_what_is_wanted_no_more() {
    let mut queue = queue();
    let (a, _) = queue.ask(connects(Some(7), "a.example"), at(0));
    let (b, _) = queue.ask(connects(Some(7), "b.example"), at(0));
    assert_eq!(queue.withdraw(a, at(1)), [Effect::Updated("s1.1".into())]);
    assert_eq!(names(&only(&queue)), [("b.example:443", None)]);
    assert_eq!(only(&queue).sentence, "It connects to b.example on port 443.");
    assert_eq!(queue.withdraw(b, at(1)), [Effect::Withdrawn("s1.1".into())]);
}

#[test]
fn an_approval_until_a_command_exits_is_for_it_alone() {
    let all = [Scope::Once, Scope::Command, Scope::Session, Scope::Workspace];
    let mut queue = Queue::new(session("s1"), &all, 10 * MINUTE);
    queue.ask(connects(Some(7), "a.example"), at(0));
    queue.ask(connects(Some(7), "b.example"), at(0));
    queue.ask(connects(Some(8), "a.example"), at(0));
    let both = vec!["a.example:443".to_owned(), "b.example:443".to_owned()];
    let msg =
        AnswerMsg { hosts: both, ..answer("s1.1", AnswerVerdict::Allow, Scope::Command, "ada") };
    let (outcome, effects) = queue.answer(&msg, at(1));
    assert_eq!((outcome, settled(&effects).len()), (AnswerOutcome::Accepted, 2));
    let kept: Vec<_> = queue.approvals(at(2)).map(|k| (k.id.clone(), k.scope)).collect();
    assert_eq!(
        kept,
        [
            ("s1.1/a.example:443".to_owned(), Scope::Command),
            ("s1.1/b.example:443".to_owned(), Scope::Command)
        ]
    );
    let waiting: Vec<_> = queue.requests().filter(|r| r.waiting).map(|r| r.id.clone()).collect();
    assert_eq!(waiting, ["s1.2"], "the other command's waits on");
    let (_, effects) = queue.ask(connects(Some(7), "b.example"), at(2));
    assert_eq!(settled(&effects)[0].1.verdict, AnswerVerdict::Allow);
    let (_, effects) = queue.ask(connects(Some(9), "b.example"), at(2));
    assert_eq!(settled(&effects), []);
    // What nobody knows the command of cannot be allowed until it exits.
    queue.ask(connects(None, "c.example"), at(2));
    let unknown = queue.requests().last().unwrap();
    assert!(!unknown.scopes.contains(&Scope::Command) && unknown.scopes.contains(&Scope::Session));
}

#[test]
fn further_hosts_are_those_of_the_same_command_that_nothing_speaks_against() {
    let all = [Scope::Once, Scope::Command, Scope::Session, Scope::Workspace];
    let mut queue = Queue::new(session("s1"), &all, 10 * MINUTE);
    let doubtful = |host: &str| {
        let mut new = connects(Some(7), host);
        new.host.as_mut().unwrap().chosen = false;
        new
    };
    let (seen, _) = queue.ask(connects(Some(7), "a.example"), at(0));
    // These came before the answer, which was given by somebody who had seen the first alone.
    let (since, _) = queue.ask(connects(Some(7), "b.example"), at(0));
    queue.ask(doubtful("x.example"), at(0));
    let one = AnswerMsg {
        hosts: vec!["a.example:443".into()],
        further: true,
        ..answer("s1.1", AnswerVerdict::Allow, Scope::Command, "ada")
    };
    let (refused, _) = queue.answer(&AnswerMsg { scope: Scope::Session, ..one.clone() }, at(1));
    assert!(matches!(refused, AnswerOutcome::Refused { .. }), "{refused:?}");
    let (outcome, effects) = queue.answer(&one, at(1));
    assert_eq!(outcome, AnswerOutcome::Accepted);
    let told: Vec<_> = settled(&effects).into_iter().map(|(t, o)| (t, o.verdict)).collect();
    assert_eq!(told, [(seen, AnswerVerdict::Allow), (since, AnswerVerdict::Allow)]);
    assert_eq!(only(&queue).sentence, "It connects to x.example on port 443.");
    let settles = |queue: &mut Queue, new| !settled(&queue.ask(new, at(2)).1).is_empty();
    assert!(settles(&mut queue, connects(Some(7), "c.example")));
    assert!(!settles(&mut queue, doubtful("y.example")));
    assert!(!settles(&mut queue, connects(Some(8), "c.example")));
    assert!(!settles(&mut queue, connects(None, "c.example")));
}

#[test]
fn what_is_allowed_for_the_workspace_is_kept_by_others_for_thirty_days() {
    let all = [Scope::Once, Scope::Command, Scope::Session, Scope::Workspace];
    let mut queue = Queue::new(session("s1"), &all, 10 * MINUTE);
    queue.ask(connects(Some(7), "a.example"), at(0));
    let (other, _) = queue.ask(connects(Some(8), "a.example"), at(0));
    let msg = answer("s1.1", AnswerVerdict::Allow, Scope::Workspace, "ada");
    let (_, effects) = queue.answer(&msg, at(1));
    let told = settled(&effects);
    assert!(told.iter().any(|(ticket, _)| *ticket == other), "whoever waits for the same");
    let approval = told[0].1.approval.clone().unwrap();
    assert_eq!((approval.scope, approval.command), (Scope::Workspace, None));
    assert_eq!(approval.expires, Some(at(1 + 30 * 24 * 3600)));
    assert_eq!(queue.approvals(at(2)).count(), 0);
}

#[test]
fn a_note_reaches_the_agent_clean() {
    let mut queue = queue();
    queue.ask(push(), at(0));
    let msg = AnswerMsg {
        note: Some("open a\npull request\u{1b}[2J\u{202e}".into()),
        ..deny("s1.1", "ada in the window")
    };
    let (_, effects) = queue.answer(&msg, at(1));
    let outcome = &settled(&effects)[0].1;
    assert_eq!(outcome.words(), "Denied by ada in the window: open a pull request[2J");
}

#[test]
fn with_its_last_waiter_a_request_is_withdrawn_and_says_so() {
    let mut queue = queue();
    let (first, _) = queue.ask(push(), at(0));
    let (second, _) = queue.ask(push(), at(0));
    assert_eq!(queue.withdraw(first, at(1)), [Effect::Updated("s1.1".into())]);
    assert_eq!(only(&queue).count, 1);
    assert_eq!(queue.withdraw(second, at(2)), [Effect::Withdrawn("s1.1".into())]);
    assert_eq!((only(&queue).waiting, only(&queue).state), (false, State::Withdrawn));
    let (outcome, effects) = queue.answer(&allow("s1.1", "ada"), at(3));
    assert!(outcome.to_string().contains("the agent has moved on"), "{outcome}");
    assert_eq!(effects, []);
    // Withdrawing twice, or after an answer, changes nothing.
    assert_eq!(queue.withdraw(second, at(3)), []);
}

#[test]
fn ended_requests_stay_visible_for_a_minute() {
    let mut queue = queue();
    queue.ask(push(), at(0));
    queue.answer(&allow("s1.1", "ada"), at(10));
    queue.tick(at(69));
    assert_eq!(only(&queue).answer.unwrap().by, "ada");
    queue.tick(at(70));
    assert_eq!(queue.requests().count(), 0);
}

#[test]
fn what_nobody_could_read_is_denied_at_once_with_words_for_the_agent() {
    let limits = QueueLimits { waiting: 2, text: 100, ..QueueLimits::default() };
    let mut queue = Queue::with_limits(session("s1"), &BOTH, MINUTE, limits);
    let long = "x".repeat(200);
    let (ticket, effects) = queue.ask(asked(&["git", "push", &long]), at(0));
    let told = settled(&effects);
    assert_eq!((told[0].0, told[0].1.verdict), (ticket, AnswerVerdict::Deny));
    assert!(told[0].1.words().contains("bytes long"), "{}", told[0].1.words());

    queue.ask(asked(&["git", "push", "a"]), at(0));
    queue.ask(asked(&["git", "push", "b"]), at(0));
    let (_, effects) = queue.ask(asked(&["git", "push", "c"]), at(0));
    assert!(settled(&effects)[0].1.words().starts_with("2 requests"));
    // One more of the same is no further card.
    assert_eq!(settled(&queue.ask(asked(&["git", "push", "b"]), at(0)).1), []);
}

#[test]
fn the_end_of_the_session_denies_what_waits() {
    let mut queue = queue();
    let (ticket, _) = queue.ask(push(), at(0));
    let told = settled(&queue.end(at(1)));
    assert_eq!((told[0].0, told[0].1.verdict), (ticket, AnswerVerdict::Deny));
    assert_eq!(settled(&queue.end(at(2))), []);
}

#[test]
fn a_request_of_another_session_is_unknown() {
    let mut queue = queue();
    queue.ask(push(), at(0));
    assert!(matches!(queue.answer(&allow("s2.1", "ada"), at(1)).0, AnswerOutcome::Refused { .. }));
}

#[test]
fn a_card_shows_everything_and_hides_nothing() {
    let mut queue = queue();
    let mut request: NewRequest = asked(&["git", "push", "origin", "a\u{202e}b c"]);
    request.reported = Some("publish\u{1b}[1m it".into());
    if let chaperone_policy::Action::Run(command) = &mut request.action {
        command.executable = "/tmp/evil\n".into();
        command.environment.push(("GIT_DIR".into(), "x\u{7}".into()));
    }
    queue.ask(request, at(0));
    insta::assert_json_snapshot!(only(&queue));
}

/// One step of a random life.
#[derive(Debug, Clone)]
enum Step {
    Ask(usize),
    Answer { request: u64, allow: bool, session: bool, by: usize },
    Withdraw(usize),
    Pass(i64),
    Revoke(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..6).prop_map(Step::Ask),
        6 => (1u64..12, any::<bool>(), any::<bool>(), 0usize..3)
            .prop_map(|(request, allow, session, by)| Step::Answer { request, allow, session, by }),
        2 => (0usize..20).prop_map(Step::Withdraw),
        3 => (0i64..40).prop_map(Step::Pass),
        1 => (1u64..12).prop_map(Step::Revoke),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// Whatever happens in whatever order: at most one answer wins, every waiter is told exactly
    /// once or has gone, nothing is allowed that nobody allowed, and nothing after its time.
    #[test]
    fn at_most_one_answer_ever_wins(steps in steps(), session_offered in any::<bool>()) {
        let scopes: &[Scope] = if session_offered { &BOTH } else { &[Scope::Once] };
        let mut queue = Queue::new(session("s1"), scopes, MINUTE);
        let mut now = 0;
        let mut tickets: Vec<Ticket> = Vec::new();
        let mut gone: BTreeSet<Ticket> = BTreeSet::new();
        let mut told: BTreeMap<Ticket, Outcome> = BTreeMap::new();
        let mut won: BTreeMap<String, AnswerVerdict> = BTreeMap::new();
        let words = [
            ["git", "push", "origin", "main"],
            ["git", "push", "origin", "topic"],
            ["git", "push", "backup", "main"],
            ["npm", "publish", "--tag", "next"],
        ];
        let mut ended = BTreeMap::new();
        for step in steps.into_iter().map(Some).chain([None]) {
            let effects = match step {
                Some(Step::Ask(kind)) => {
                    let new = match words.get(kind) {
                        Some(words) => asked(words),
                        None => connects(Some(7), ["a.example", "b.example"][kind % 2]),
                    };
                    let (ticket, effects) = queue.ask(new, at(now));
                    tickets.push(ticket);
                    effects
                }
                Some(Step::Answer { request, allow, session, by }) => {
                    let id = format!("s1.{request}");
                    let verdict = if allow { AnswerVerdict::Allow } else { AnswerVerdict::Deny };
                    let scope = if session { Scope::Session } else { Scope::Once };
                    let (outcome, effects) =
                        queue.answer(&answer(&id, verdict, scope, &format!("person {by}")), at(now));
                    if outcome == AnswerOutcome::Accepted {
                        prop_assert!(session_offered || !session);
                        prop_assert_eq!(won.insert(id, verdict), None, "two answers won");
                    }
                    effects
                }
                Some(Step::Withdraw(index)) => match tickets.get(index) {
                    Some(ticket) => {
                        if !told.contains_key(ticket) {
                            gone.insert(*ticket);
                        }
                        queue.withdraw(*ticket, at(now))
                    }
                    None => vec![],
                },
                Some(Step::Pass(seconds)) => {
                    now += seconds;
                    queue.tick(at(now))
                }
                Some(Step::Revoke(id)) => {
                    queue.revoke(&format!("s1.{id}")).map(|(_, effects)| effects).unwrap_or_default()
                }
                None => queue.end(at(now)),
            };
            for (ticket, outcome) in settled(&effects) {
                // A withdrawal may come too late: time passes within the call first.
                gone.remove(&ticket);
                if outcome.verdict == AnswerVerdict::Allow {
                    prop_assert!(outcome.by.starts_with("person "), "nobody allowed this");
                    prop_assert_eq!(outcome.state, State::Answered);
                }
                prop_assert_eq!(told.insert(ticket, outcome), None, "a waiter was told twice");
            }
            for request in queue.requests() {
                // Final states are final.
                if let Some(state) = ended.get(&request.id) {
                    prop_assert_eq!(state, &request.state);
                }
                if !request.waiting {
                    ended.insert(request.id.clone(), request.state);
                }
                prop_assert!(!request.waiting || request.expires > at(now), "it waits too long");
                prop_assert!(session_offered || request.session_scope.is_none());
            }
            prop_assert!(session_offered || queue.approvals(at(now)).next().is_none());
        }
        for ticket in tickets {
            prop_assert!(told.contains_key(&ticket) ^ gone.contains(&ticket), "a waiter was forgotten");
        }
    }
}
