//! Whatever an agent's files say is at least as strict as the policy: tried on policies that
//! nobody would write, with small readers of the agents' own rules.

use crate::common::context;
use chaperone_export::{Agent, Exported, Mode, export};
use chaperone_policy::{
    Action, Command, Facts, Layer, Policy, SourceKind, Verdict, built_in, decide, merge,
};
use proptest::prelude::*;
use serde_json::Value as Json;

const PROGRAMS: [&str; 7] = ["git", "npm", "gh", "env", "sh", "/usr/bin/git", "make"];
const WORDS: [&str; 9] = ["push", "status", "publish", "pub", "pr", "merge", "-C", "x", "test"];

/// How strict an agent is: what it does with a command that no rule is about is to ask.
fn strictest(found: impl Iterator<Item = Verdict>) -> Verdict {
    found.max().unwrap_or(Verdict::Ask)
}

/// Claude Code's reading: `words:*` is a prefix, any other `*` is any text.
fn claude_code(settings: &Json, command: &str) -> Verdict {
    let covers = |rule: &Json| {
        let Some(text) = rule.as_str().and_then(|rule| rule.strip_prefix("Bash(")) else {
            return rule == "Bash";
        };
        let text = text.strip_suffix(')').unwrap();
        match text.strip_suffix(":*") {
            Some(prefix) => {
                command == prefix
                    || command.strip_prefix(prefix).is_some_and(|r| r.starts_with(' '))
            }
            None => glob(text, command),
        }
    };
    let lists = [("deny", Verdict::Deny), ("ask", Verdict::Ask), ("allow", Verdict::Allow)];
    strictest(lists.into_iter().filter_map(|(name, verdict)| {
        let rules = settings["permissions"][name].as_array()?;
        rules.iter().any(covers).then_some(verdict)
    }))
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && glob(after, &rest[at..]))
        }),
    }
}

/// Codex's reading of its requirements: every position is one of the alternatives.
fn codex(requirements: &toml::Table, command: &[&str]) -> Option<Verdict> {
    let rules = requirements.get("rules")?["prefix_rules"].as_array()?;
    let is = |token: &toml::Value, word: &str| match token.get("any_of") {
        Some(any) => any.as_array().unwrap().iter().any(|one| one.as_str() == Some(word)),
        None => token["token"].as_str() == Some(word),
    };
    let matching = rules.iter().filter(|rule| {
        let pattern = rule["pattern"].as_array().unwrap();
        pattern.len() <= command.len() && pattern.iter().zip(command).all(|(t, w)| is(t, w))
    });
    matching
        .map(|rule| match rule["decision"].as_str() {
            Some("forbidden") => Verdict::Deny,
            Some("prompt") => Verdict::Ask,
            other => panic!("{other:?}"),
        })
        .max()
}

/// Gemini CLI's reading, as far as it is words: the highest priority wins.
fn gemini_cli(policy: &toml::Table, command: &str) -> Verdict {
    let Some(rules) = policy.get("rule").and_then(|rules| rules.as_array()) else {
        return Verdict::Ask;
    };
    let first = rules
        .iter()
        .filter(|rule| {
            let prefix = rule.get("commandPrefix").and_then(|prefix| prefix.as_str());
            let any = rule.get("commandRegex").and_then(|regex| regex.as_str()) == Some(".");
            any || prefix.is_some_and(|prefix| {
                command == prefix
                    || command.strip_prefix(prefix).is_some_and(|r| r.starts_with(' '))
            })
        })
        .max_by_key(|rule| rule["priority"].as_integer().unwrap());
    match first.and_then(|rule| rule["decision"].as_str()) {
        Some("deny") => Verdict::Deny,
        Some("allow") => Verdict::Allow,
        _ => Verdict::Ask,
    }
}

fn rule() -> impl Strategy<Value = String> {
    let words = prop::collection::vec(prop::sample::select(&WORDS[..]), 0..3);
    let program = prop::sample::select(&PROGRAMS[..]);
    let decision = prop::sample::select(&["allow", "ask", "deny"][..]);
    (program, words, decision).prop_map(|(program, words, decision)| {
        let prefix: Vec<&str> = [program].into_iter().chain(words).collect();
        format!("[[commands.rule]]\nprefix = {prefix:?}\ndecision = \"{decision}\"\n")
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let layer = || prop::collection::vec(rule(), 0..5).prop_map(|rules| rules.concat());
    (layer(), layer(), any::<bool>(), any::<bool>()).prop_map(
        |(managed, user, closed, defaults)| {
            let managed = format!("[commands]\nclosed = {closed}\n{managed}");
            let mut layers = vec![
                Layer::from_toml(SourceKind::ManagedFile, "/etc/a.toml", &managed),
                Layer::from_toml(SourceKind::UserFile, "/home/ada/b.toml", &user),
            ];
            layers.extend(defaults.then(built_in));
            merge(layers, &context())
        },
    )
}

fn command() -> impl Strategy<Value = Vec<&'static str>> {
    let words = prop::collection::vec(prop::sample::select(&WORDS[..]), 0..4);
    (prop::sample::select(&PROGRAMS[..]), words)
        .prop_map(|(program, words)| [program].into_iter().chain(words).collect())
}

fn decided(policy: &Policy, command: &[&str]) -> Verdict {
    let action = Action::Run(Command::from_tokens(command));
    decide(policy, &Facts::at(jiff::Timestamp::UNIX_EPOCH), &action).verdict
}

fn text<'e>(exported: &'e Exported, name: &str) -> &'e str {
    let file = exported.files.iter().find(|file| file.name == name);
    file.map_or("", |file| file.text.as_str())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_an_agent_lets_run_unasked_the_policy_allows(policy in policy(), command in command()) {
        let line = command.join(" ");
        let verdict = decided(&policy, &command);
        for agent in [Agent::ClaudeCode, Agent::Codex, Agent::GeminiCli] {
            let exported = export(agent, &policy, &context(), Mode::Standalone).unwrap();
            let agents = match agent {
                Agent::ClaudeCode => {
                    let settings = text(&exported, "managed-settings.json");
                    claude_code(&serde_json::from_str(settings).unwrap(), &line)
                }
                Agent::GeminiCli => {
                    let policy = text(&exported, "policies/chaperone.toml");
                    gemini_cli(&policy.parse().unwrap(), &line)
                }
                _ => {
                    let requirements = text(&exported, "requirements.toml");
                    // What no rule is about runs in its sandbox, as in Chaperone's.
                    codex(&requirements.parse().unwrap(), &command).unwrap_or(verdict)
                }
            };
            if agents == Verdict::Allow {
                prop_assert_eq!(verdict, Verdict::Allow, "{} {}", agent.title(), &line);
            }
        }
    }

    #[test]
    fn what_a_rule_says_in_its_own_words_every_agent_is_told(policy in policy()) {
        let files = |agent| export(agent, &policy, &context(), Mode::Standalone).unwrap();
        let (claude, codexs) = (files(Agent::ClaudeCode), files(Agent::Codex));
        let gemini = files(Agent::GeminiCli);
        let settings = serde_json::from_str(text(&claude, "managed-settings.json")).unwrap();
        let requirements = text(&codexs, "requirements.toml").parse().unwrap();
        let rules = text(&gemini, "policies/chaperone.toml").parse().unwrap();
        let value = policy.explain("commands.rule").unwrap().value.json();
        for rule in value.as_array().unwrap() {
            let words = rule["prefix"].as_array().unwrap();
            let words: Vec<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
            let line = words.join(" ");
            let own = match rule["decision"].as_str() {
                Some("deny") => Verdict::Deny,
                Some("ask") => Verdict::Ask,
                _ => continue,
            };
            // A rule of the base may be overridden by a wider one; handing it on is stricter.
            prop_assert!(claude_code(&settings, &line) >= own, "Claude Code: {}", &line);
            prop_assert!(codex(&requirements, &words) >= Some(own), "Codex: {}", &line);
            prop_assert!(gemini_cli(&rules, &line) >= own, "Gemini CLI: {}", &line);
        }
    }
}
