//! Times the merge of ten layers of many command rules, and the explanation of `commands.rule` with
//! every rule that lost. Prints one JSON object a line for `cargo xtask bench`; by hand: `cargo run
//! --release -p chaperone-policy --example ten_layers -- 5000 40` (rules in a layer, rounds).
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use chaperone_policy::{Context, Layer, Os, SourceKind, built_in, merge};
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

const KINDS: [SourceKind; 10] = [
    SourceKind::RecommendedFile,
    SourceKind::RecommendedFile,
    SourceKind::ManagedFile,
    SourceKind::ManagedFile,
    SourceKind::ManagedFile,
    SourceKind::ManagedFile,
    SourceKind::UserFile,
    SourceKind::CommandLine,
    SourceKind::CommandLine,
    SourceKind::WorkspaceFile,
];

/// How the rules of the layers relate, which says how many of them lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// All layers have rules about the same commands: two thirds lose.
    Shared,
    /// Each layer has commands of its own: hardly any loses.
    Distinct,
}

fn main() {
    let mut arguments = std::env::args().skip(1).map_while(|text| text.parse::<usize>().ok());
    let rules = arguments.next().unwrap_or(5000);
    let rounds = arguments.next().unwrap_or(40).max(1);
    measure(rules, Rules::Shared, rounds);
    measure(rules, Rules::Distinct, rounds);
    measure(rules / KINDS.len(), Rules::Shared, rounds);
}

fn measure(rules: usize, relation: Rules, rounds: usize) {
    let files: Vec<_> = KINDS
        .into_iter()
        .enumerate()
        .map(|(at, kind)| {
            (kind, format!("/etc/chaperone/{kind}/{at}.toml"), text(at, rules, relation))
        })
        .collect();
    let context = Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/work".into(),
        agent: None,
        os: Os::Linux,
    };
    let names = ["parse", "merge", "explain", "print", "merge_and_explain"];
    let mut times: [Vec<Time>; 5] = Default::default();
    let (mut holding, mut lost) = (0, 0);
    for _ in 0..rounds {
        let start = Clock::now();
        let mut layers = vec![built_in()];
        let layer = |(kind, place, text): &(SourceKind, String, String)| {
            Layer::from_toml(*kind, place, text)
        };
        layers.extend(files.iter().map(layer));
        let parsed = Clock::now();
        let policy = merge(layers, &context);
        let merged = Clock::now();
        let Ok(value) = policy.explain("commands.rule") else { return };
        let explained = Clock::now();
        let text = serde_json::to_string(black_box(&value)).unwrap_or_default();
        let printed = Clock::now();
        black_box(text);
        let steps = [
            parsed.since(&start),
            merged.since(&parsed),
            explained.since(&merged),
            printed.since(&explained),
            explained.since(&parsed),
        ];
        times.iter_mut().zip(steps).for_each(|(all, own)| all.push(own));
        (holding, lost) = (value.value.entries().unwrap_or_default(), value.losers.len());
    }
    let commands = if relation == Rules::Shared { "the same" } else { "its own" };
    let mut line = serde_json::json!({
        "layers": KINDS.len(), "rules": rules, "commands": commands, "holding": holding,
        "lost": lost,
    });
    for (name, all) in names.into_iter().zip(times) {
        line[name] = serde_json::json!({
            "wall_ms": median(all.iter().map(|time| time.wall)),
            "cpu_ms": median(all.iter().map(|time| time.cpu)),
        });
    }
    println!("{line}");
}

fn median(times: impl Iterator<Item = Duration>) -> f64 {
    let mut all: Vec<Duration> = times.collect();
    all.sort();
    all.get(all.len() / 2).map_or(f64::NAN, Duration::as_secs_f64) * 1000.0
}

/// How long a step took: by the clock, and on a processor, which is less where others wait for one,
/// too.
struct Time {
    wall: Duration,
    cpu: Duration,
}

struct Clock {
    wall: Instant,
    cpu: Duration,
}

impl Clock {
    fn now() -> Self {
        Self { wall: Instant::now(), cpu: on_cpu() }
    }

    fn since(&self, before: &Self) -> Time {
        Time { wall: self.wall - before.wall, cpu: self.cpu.saturating_sub(before.cpu) }
    }
}

/// What this thread has had of a processor.
#[cfg(unix)]
fn on_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap_or_default()
}

/// Not asked of other systems.
#[cfg(not(unix))]
fn on_cpu() -> Duration {
    Duration::ZERO
}

/// A policy file, of which every rule has a reason as IT writes one.
fn text(layer: usize, rules: usize, relation: Rules) -> String {
    let mut text = format!("revision = \"{layer}\"\n");
    for number in 0..rules {
        let decision = ["ask", "deny", "allow"][(layer + number) % 3];
        let tool = match relation {
            Rules::Shared => number,
            Rules::Distinct => layer * rules + number,
        };
        let _ = write!(
            text,
            "\n[[commands.rule]]\nprefix = [\"tool-{tool}\", \"publish\"]\n\
             decision = \"{decision}\"\nreason = \"It publishes work of kind {number}.\"\n"
        );
    }
    text
}
