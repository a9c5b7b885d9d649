//! Times what a session's start pays for its policy: `cargo run --release -p chaperone-policy
//! --example many_rules -- 500 20` (rules, rounds).
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use chaperone_policy::{
    Action, Command, Context, Facts, Layer, Os, SourceKind, built_in, decide, merge,
};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

fn main() {
    let rules: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(500);
    let rounds: usize = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(20);
    let mut text = String::from("revision = \"1\"\n");
    for n in 0..rules {
        let _ = write!(
            text,
            "\n[[commands.rule]]\nprefix = [\"tool-{n}\", \"publish\"]\ndecision = \"ask\"\n\
             reason = \"It publishes work of kind {n}.\"\n\
             match = [[\"tool-{n}\", \"publish\", \"now\"]]\n\
             not_match = [[\"tool-{n}\", \"status\"]]\n"
        );
    }
    let context = Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/work".into(),
        agent: None,
        os: Os::Linux,
    };
    let command = Command::from_tokens(&["/usr/bin/git", "-C", "x", "push", "origin", "main"]);
    let facts = Facts::at(jiff::Timestamp::now());
    let action = Action::Run(command);
    let [mut parsed, mut built, mut merged, mut decided] = [Duration::MAX; 4];
    let mut first = None;
    for _ in 0..rounds {
        let start = Instant::now();
        let layer = Layer::from_toml(SourceKind::ManagedFile, "/etc/x.toml", &text);
        let after_parse = start.elapsed();
        let start = Instant::now();
        let defaults = built_in();
        let after_build = start.elapsed();
        let start = Instant::now();
        let policy = merge(vec![defaults, layer], &context);
        let after_merge = start.elapsed();
        let start = Instant::now();
        let decision = decide(&policy, &facts, &action);
        let after_decision = start.elapsed();
        std::hint::black_box(decision);
        first.get_or_insert((after_parse, after_build, after_merge, after_decision));
        parsed = parsed.min(after_parse);
        built = built.min(after_build);
        merged = merged.min(after_merge);
        decided = decided.min(after_decision);
    }
    println!("{rules} rules, {} KiB of TOML", text.len() / 1024);
    if let Some((parse, build, merge, decide)) = first {
        println!("first: parse {parse:?}, built-in {build:?}, merge {merge:?}, decide {decide:?}");
    }
    println!("best:  parse {parsed:?}, built-in {built:?}, merge {merged:?}, decide {decided:?}");
}
