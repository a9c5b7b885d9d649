//! What people read about a command.

use super::{facts, sentence};
use crate::Command;

fn line(words: &str) -> Command {
    Command::from_tokens(&words.split_whitespace().collect::<Vec<_>>())
}

#[test]
fn a_known_command_is_said_in_plain_words() {
    let table = [
        ("git push", "Publish commits from this repository to its usual place"),
        ("git push origin main", "Publish commits from this repository to origin, branch main"),
        (
            "git -C ../x push -u origin HEAD:refs/heads/topic",
            "Publish commits from this repository to origin, branch topic",
        ),
        (
            "git push --force-with-lease origin main",
            "Replace what is published on origin, branch main with this repository's commits",
        ),
        ("git push origin --delete topic", "Delete branch topic on origin"),
        ("git push origin :topic", "Delete branch topic on origin"),
        ("git push --mirror backup", "Publish every branch of this repository to backup"),
        ("node /usr/bin/npm publish", "Publish this package to the npm registry"),
        ("npm publish --registry https://r.example", "Publish this package to https://r.example"),
        ("cargo +nightly publish -p core", "Publish the crate core to its registry"),
        ("docker push acme/api:1", "Publish the image acme/api:1"),
        ("gh pr merge 7 --squash", "Merge pull request 7"),
        ("gh repo delete acme/api", "Delete the repository acme/api on GitHub"),
        ("kubectl -n prod apply -f x.yaml", "Apply x.yaml to the cluster"),
        ("kubectl delete pod web-1", "Delete pod web-1 from the cluster"),
        ("make deploy", "Run `make deploy`"),
    ];
    for (words, expected) in table {
        assert_eq!(sentence(&line(words)), expected, "{words}");
    }
}

#[test]
fn nothing_in_a_sentence_is_hidden() {
    let command = Command::from_tokens(&["make", "a b", "x\u{202e}y\n", "it's"]);
    assert_eq!(sentence(&command), "Run `make 'a b' 'x\\u{202e}y\\n' 'it'\\''s'`");
    let command = Command::from_tokens(&["git", "push", "origin\u{1b}[2K"]);
    assert!(sentence(&command).contains("origin\\u{1b}[2K"));
    let long = Command::from_tokens(&["make", &"x".repeat(500)]);
    assert!(sentence(&long).chars().count() < 180);
}

#[test]
fn what_is_not_known_is_said_not_to_be() {
    assert_eq!(facts(&line("make deploy")).undoable.holds, None);
    assert_eq!(facts(&line("git push origin main")).leaves_laptop.holds, Some(true));
    assert_eq!(facts(&line("git push --force origin main")).undoable.holds, Some(false));
    assert_eq!(facts(&line("rm -rf build")).leaves_laptop.holds, Some(false));
}
