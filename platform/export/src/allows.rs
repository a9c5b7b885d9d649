//! Which command rules that allow can be handed on: those that no agent reads more widely than
//! the policy does. An allow that is left out is asked about instead.

use crate::commands::{self, Rule};
use crate::{Agent, Job};
use chaperone_policy::{Action, Command, Facts, Policy, Verdict, decide};

/// Programs that run what their arguments name. Chaperone judges that too, when it starts; agents
/// read only the line that they are given.
const RUNNERS: [&str; 58] = [
    "sh",
    "bash",
    "dash",
    "zsh",
    "ksh",
    "fish",
    "ash",
    "csh",
    "tcsh",
    "pwsh",
    "powershell",
    "cmd",
    "env",
    "sudo",
    "doas",
    "su",
    "runuser",
    "xargs",
    "parallel",
    "nohup",
    "setsid",
    "time",
    "timeout",
    "nice",
    "ionice",
    "stdbuf",
    "unbuffer",
    "script",
    "watch",
    "exec",
    "eval",
    "command",
    "builtin",
    "source",
    ".",
    "find",
    "fd",
    "ssh",
    "chroot",
    "unshare",
    "nsenter",
    "busybox",
    "toybox",
    "node",
    "nodejs",
    "bun",
    "deno",
    "python",
    "pypy",
    "ruby",
    "perl",
    "php",
    "lua",
    "luajit",
    "npx",
    "awk",
    "osascript",
    "wsl",
];

/// The allows that may be handed on. The others are listed as left out, with the reason.
pub(crate) fn exportable(job: &mut Job<'_>, rules: &[Rule]) -> Vec<Rule> {
    let restrictions: Vec<&Rule> =
        rules.iter().filter(|rule| rule.verdict != Verdict::Allow).collect();
    let mut out = Vec::new();
    for rule in rules.iter().filter(|rule| rule.verdict == Verdict::Allow) {
        match refused(job.agent, job.policy, rule, &restrictions) {
            Some(why) => job.lost.allow(&rule.words, &rule.origin, why),
            None => out.push(rule.clone()),
        }
    }
    out
}

fn refused(agent: Agent, policy: &Policy, rule: &Rule, restrictions: &[&Rule]) -> Option<String> {
    let agent = agent.title();
    let first = rule.words.first()?;
    let program = program(first);
    if rule.in_some_workspaces {
        return Some("It holds in some workspaces, and the files hold in all.".to_owned());
    }
    if !rule.words.iter().all(|word| commands::is_plain(word)) {
        return Some(format!("{agent} would read its words otherwise than they are meant."));
    }
    if RUNNERS.contains(&program) {
        return Some(format!(
            "`{program}` runs what its arguments name, and {agent} would not judge that."
        ));
    }
    // `git -C x push` is `git push` to the policy: what is allowed is compared up to its first
    // option.
    let plain: Vec<&str> = rule
        .words
        .iter()
        .skip(1)
        .map(String::as_str)
        .take_while(|word| !word.starts_with('-'))
        .collect();
    for restriction in restrictions {
        let Some((own, rest)) = restriction.words.split_first() else {
            return Some("Every command is asked about.".to_owned());
        };
        if self::program(own) != program {
            continue;
        }
        let words = restriction.words.join(" ");
        let covers = rest.len() <= plain.len() && rest.iter().zip(&plain).all(|(a, b)| a == b);
        if covers {
            return Some(format!("`{words}` covers it, and {agent} lets a restriction win."));
        }
        if rest.iter().zip(&plain).all(|(a, b)| a == b) {
            return Some(format!(
                "`{words}` is among what it covers, and {agent} would not see that in every \
                 spelling."
            ));
        }
    }
    let command = Action::Run(Command::from_tokens(&rule.words));
    let facts = Facts::at(jiff::Timestamp::UNIX_EPOCH);
    let decision = decide(policy, &facts, &command);
    (decision.verdict != Verdict::Allow)
        .then(|| format!("The policy does not allow it in every reading: {}", decision.reason))
}

/// The program's name: no folder, no version (`python3.11` is `python`).
fn program(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let plain = plain.trim_end_matches('-');
    if plain.is_empty() { name } else { plain }
}
