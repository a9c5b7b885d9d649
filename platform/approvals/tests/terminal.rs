//! The prompt in a terminal: what it shows, and what a line of input comes to.
#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests are tests.

mod support;

use chaperone_approvals::terminal::{GUARD, Prompt, Step, render};
use chaperone_approvals::{AnswerMsg, AnswerVerdict, NewRequest, Queue, Request, Scope};
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
