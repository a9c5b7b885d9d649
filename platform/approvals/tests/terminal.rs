//! The prompt in a terminal: what it shows, and what a line of input comes to.
#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests are tests.

mod support;

use chaperone_approvals::terminal::{GUARD, Prompt, Step, render};
use chaperone_approvals::{AnswerMsg, AnswerVerdict, AskedHost, NewRequest, Queue, Request, Scope};
use std::time::Duration;
use support::{allow, answer, asked, at, deny, push, session};

const LATER: Duration = Duration::from_secs(1);

fn request(new: NewRequest, scopes: &[Scope]) -> Request {
    let mut queue = Queue::new(session("s1"), scopes, Duration::from_secs(600));
    queue.ask(new, at(0));
    queue.requests().next().unwrap().clone()
}

fn prompt(scopes: &[Scope]) -> Prompt {
    Prompt::new(&request(push(), scopes))
}

fn both() -> Prompt {
    prompt(&[Scope::Once, Scope::Session])
}

fn answered(step: Step) -> AnswerMsg {
    match step {
        Step::Answer(msg) => msg,
        other => panic!("no answer: {other:?}"),
    }
}

#[test]
fn a_prompt_shows_the_whole_command_and_hides_nothing() {
    let mut new = asked(&["git", "push", "origin", "a\u{202e}b\u{1b}[2J"]);
    new.reported = Some("publish it\u{7}".into());
    new.chain.push("\u{1b}]0;title\u{7}".into());
    if let chaperone_policy::Action::Run(command) = &mut new.action {
        command.environment.push(("GIT_DIR".into(), "/tmp/x".into()));
    }
    let mut request = request(new, &[Scope::Once, Scope::Session]);
    request.count = 3;
    // A session of another version might send anything.
    request.sentence = "Publish 3 commits.\u{1b}[1A".into();
    let shown = render(&request, at(55));
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_letter_and_enter_answer() {
    assert_eq!(answered(both().line("a", LATER)), allow("s1.1", ""));
    assert_eq!(answered(both().line(" D \n", LATER)), deny("s1.1", ""));
    let for_session = answer("s1.1", AnswerVerdict::Allow, Scope::Session, "");
    assert_eq!(answered(both().line("s", LATER)), for_session);
}

#[test]
fn enter_alone_answers_nothing() {
    for line in ["", "\n", "  \t"] {
        assert_eq!(both().line(line, LATER), Step::Nothing);
    }
}

#[test]
fn what_was_typed_before_the_prompt_could_be_read_answers_nothing() {
    let mut prompt = both();
    assert_eq!(prompt.line("a", GUARD - Duration::from_millis(1)), Step::Nothing);
    assert_eq!(answered(prompt.line("a", GUARD)), allow("s1.1", ""));
}

#[test]
fn the_session_is_offered_only_where_the_policy_offers_it() {
    let mut once = prompt(&[Scope::Once]);
    assert!(!once.choices().contains("session"));
    assert!(matches!(once.line("s", LATER), Step::Say(words) if words.contains("not offered")));
    assert!(both().choices().contains("Allow `git push origin` for this session"));
}

#[test]
fn a_note_comes_on_the_same_line_or_on_the_next() {
    let with_note = AnswerMsg { note: Some("open a pull request".into()), ..deny("s1.1", "") };
    assert_eq!(answered(both().line("n open a pull request", LATER)), with_note);
    let mut prompt = both();
    assert!(matches!(prompt.line("n", LATER), Step::Say(words) if words.contains("note")));
    assert_eq!(answered(prompt.line("open a\u{1b} pull request", LATER)), with_note);
}

#[test]
fn an_empty_note_is_a_change_of_mind() {
    let mut prompt = both();
    prompt.line("n", LATER);
    assert!(matches!(prompt.line("", LATER), Step::Say(words) if words.contains("no answer yet")));
    assert_eq!(answered(prompt.line("a", LATER)), allow("s1.1", ""));
}

#[test]
fn anything_else_shows_the_choices_again_and_allows_nothing() {
    for line in ["y", "yes", "allow", "ad", "a please", "d no", "aa", "1"] {
        assert_eq!(both().line(line, LATER), Step::Say(both().choices()), "{line}");
    }
}

/// Asks about three hosts that wait, of which the second is not marked, and about one that has its
/// answer.
fn of_hosts(scopes: &[Scope]) -> Prompt {
    let host = |name: &str, chosen, verdict| AskedHost {
        name: name.into(),
        known: String::new(),
        chosen,
        verdict,
    };
    let hosts = vec![
        host("old.example:443", true, Some(AnswerVerdict::Allow)),
        host("a.example:443", true, None),
        host("b.example:443", false, None),
        host("c.example:443", true, None),
    ];
    Prompt::new(&Request { hosts, scopes: scopes.to_vec(), ..request(push(), scopes) })
}

/// The hosts that a line allows, and those that it denies.
fn chosen(line: &str) -> (String, String) {
    let answer = answered(of_hosts(&[Scope::Once, Scope::Command]).line(line, LATER));
    let listed = |hosts: Vec<String>| hosts.join(" ").replace(".example:443", "");
    (listed(answer.hosts), listed(answer.denied))
}

#[test]
fn hosts_are_chosen_by_their_numbers_and_else_those_that_are_marked() {
    for (line, allowed, denied) in [
        ("a", "a c", "b"),
        ("a 1 3", "a c", "b"),
        ("a 2", "b", "a c"),
        ("c 3,1", "a c", "b"),
        ("a all", "a b c", ""),
        ("f", "a c", "b"),
        ("f 2", "b", "a c"),
        ("d", "", "a b c"),
        ("n not these", "", "a b c"),
    ] {
        assert_eq!(chosen(line), (allowed.to_owned(), denied.to_owned()), "{line}");
    }
}

#[test]
fn a_host_that_is_none_of_them_answers_nothing() {
    for line in ["a 0", "a 4", "a 1 x", "a a.example", "f 9", "d 1"] {
        let step = of_hosts(&[Scope::Once, Scope::Command]).line(line, LATER);
        assert!(matches!(step, Step::Say(_)), "{line}: {step:?}");
    }
}

#[test]
fn further_hosts_are_allowed_until_the_command_exits_and_only_where_that_is_offered() {
    let answer = answered(of_hosts(&[Scope::Once, Scope::Command]).line("f", LATER));
    assert_eq!((answer.scope, answer.further), (Scope::Command, true));
    assert!(!answered(of_hosts(&[Scope::Once, Scope::Command]).line("c", LATER)).further);
    let step = of_hosts(&[Scope::Once]).line("f", LATER);
    assert!(matches!(step, Step::Say(_)), "{step:?}");
}
