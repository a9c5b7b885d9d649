//! Credentials that are bound to a host which no list lets requests through to: what becomes of those
//! requests, and what to do. The window, `chaperone secret list` and `chaperone doctor` say it in
//! these words.

use crate::agents;
use crate::grants::Grants;
use crate::known::Known;
use crate::paths::Paths;
use crate::would::change;
use chaperone_policy::{
    Action, Context, Decision, Facts, HostPattern, HostSpec, Injection, NetworkMode, Policy,
    SourceKind, Sourced, Verdict, decide, merge, observed,
};
use jiff::Timestamp;
use serde::Serialize;
use std::cell::OnceCell;

/// What becomes of connections to the host of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Unlisted {
    /// A sentence.
    pub what: String,
    /// What to do, in a sentence.
    pub remedy: String,
}

/// The port of a binding that names none.
const HTTPS: u16 = 443;

/// What sessions on this machine decide about connections: of no agent, and of each that is known.
/// What only a workspace's own file says is not among it.
pub(crate) struct Sessions<'a> {
    policy: &'a Policy,
    context: &'a Context,
    known: Known,
    facts: Facts,
    agents: OnceCell<Vec<(&'static str, Policy)>>,
}

impl<'a> Sessions<'a> {
    /// `policy` is that of no agent, or of the one in `context`.
    pub(crate) fn new(
        policy: &'a Policy,
        context: &'a Context,
        paths: &Paths,
        now: Timestamp,
    ) -> Self {
        let approvals = Grants::new(paths).of(&context.workspace, now);
        let facts = Facts { approvals, ..Facts::at(now) };
        let known = Known::new(&paths.history(), None);
        Self { policy, context, known, facts, agents: OnceCell::new() }
    }

    /// What becomes of connections to the host of a binding; nothing where they pass in some session
    /// that the binding is for.
    pub(crate) fn unlisted(&self, own: &Sourced<Injection>) -> Option<Unlisted> {
        let pattern = &own.value.host;
        let named = own.value.when.as_ref().map(|when| when.agent.as_slice()).unwrap_or_default();
        let is_for = |agent: &str| named.is_empty() || named.iter().any(|own| own == agent);
        let mut stands = None;
        if named.is_empty() {
            stands = Some(self.refused(self.policy, pattern)?);
        }
        for (_, policy) in self.agents().iter().filter(|(agent, _)| is_for(agent)) {
            let decision = self.refused(policy, pattern)?;
            stands.get_or_insert(decision);
        }
        stands.map(|decision| told(self.policy, pattern, &decision))
    }

    fn agents(&self) -> &[(&'static str, Policy)] {
        self.agents.get_or_init(|| {
            let policy = |agent: &'static agents::AgentFile| {
                let layers = self.policy.layers().iter();
                let layers = layers.filter(|own| own.kind != SourceKind::AgentFile).cloned();
                let context = Context { agent: Some(agent.name.clone()), ..self.context.clone() };
                let layers = layers.chain([agents::layer(agent)]).collect();
                (agent.name.as_str(), merge(layers, &context))
            };
            agents::all().map(policy).collect()
        })
    }

    /// What stands against the pattern's own host, where no host that it names passes.
    fn refused(&self, policy: &Policy, pattern: &HostPattern) -> Option<Decision> {
        let port = pattern.port.unwrap_or(HTTPS);
        let listed = policy.network().allow.iter().flat_map(|own| own.value.each());
        let listed = listed.map(|own| (example(&own), own.port.unwrap_or(port)));
        let listed = listed.filter(|(host, port)| pattern.matches(host, *port));
        let own = pattern.each().into_iter().map(|own| (example(&own), own.port.unwrap_or(port)));
        let mut refused = None;
        for (host, port) in own.chain(listed) {
            let action = Action::Connect { host, port };
            let decision = decide(policy, &self.facts, &action);
            let (decision, _) =
                self.known.decide(policy, self.facts.clone(), &action, None, decision);
            let is_observed = observed(policy, self.facts.now, &action, &decision).is_some();
            if decision.verdict == Verdict::Allow || is_observed {
                return None;
            }
            refused = refused.or(Some(decision));
        }
        refused
    }
}

/// A host that a pattern names.
fn example(pattern: &HostPattern) -> String {
    match &pattern.host {
        HostSpec::Name(name) => name.clone(),
        HostSpec::Beneath(name) => format!("any.{name}"),
        HostSpec::Address(address) | HostSpec::Range(address, _) => address.to_string(),
        HostSpec::Set(set) => set.name.to_owned(),
        HostSpec::Any => "any.example".to_owned(),
    }
}

fn told(policy: &Policy, pattern: &HostPattern, decision: &Decision) -> Unlisted {
    let what = match decision.verdict {
        Verdict::Ask => "are asked about",
        Verdict::Allow | Verdict::Deny => "are refused",
    };
    let rule = decision.rule.as_deref().unwrap_or_default();
    // Of these rules it is what no list has.
    let unlisted = matches!(rule, "network.unfamiliar" | "network.closed" | "network.mode");
    let why = if unlisted { "it is not in network.allow." } else { &decision.reason };
    let remedy = if unlisted && rule != "network.closed" {
        let none = policy.network().mode.value == NetworkMode::None;
        let entry = match (&pattern.host, none) {
            // Without a proxy only a pair can be relayed.
            (HostSpec::Name(_), true) if pattern.port.is_none() => format!("{pattern}:{HTTPS}"),
            _ => pattern.to_string(),
        };
        format!("Add it to your configuration: network.allow = [{entry:?}].")
    } else {
        let port = pattern.port.unwrap_or(HTTPS);
        change(&Action::Connect { host: example(pattern), port }, decision)
    };
    Unlisted { what: format!("Requests to {pattern} {what}: {why}"), remedy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::credentials::bindings;
    use crate::desk::credentials::tests::{context, policy};

    /// What is said of each binding of these policies.
    fn told(managed: &str, user: &str) -> Vec<Option<String>> {
        let (context, policy) = (context(), policy(managed, user));
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::from_environment(|_| Some(home.path().into())).unwrap();
        let sessions = Sessions::new(&policy, &context, &paths, Timestamp::UNIX_EPOCH);
        let told = |own| {
            let Unlisted { what, remedy } = sessions.unlisted(own)?;
            Some(format!("{what} {remedy}"))
        };
        bindings(&policy, context.os).map(told).collect()
    }

    fn entry(host: &str, rest: &str) -> String {
        format!(
            "[[credentials.inject]]\nsecret = \"acme\"\nhost = {host:?}\nheader = \"x\"\n{rest}\n"
        )
    }

    #[test]
    fn what_no_list_has_is_told_with_what_becomes_of_it_and_what_to_do() {
        let proxy = |allow: &str| format!("[network]\nmode = \"proxy\"\nallow = {allow}\n");
        let asked = |host: &str| {
            format!(
                "Requests to {host} are asked about: it is not in network.allow. Add it to your \
                 configuration: network.allow = [\"{host}\"]."
            )
        };
        for (host, lets) in [
            ("api.acme.example", "api.acme.example"),
            ("api.acme.example", "*.acme.example:443"),
            ("api.acme.example", "api.acme.example:8443"),
            ("api.acme.example:8443", "api.acme.example"),
            ("*.acme.example", "api.acme.example"),
            ("*.acme.example", "*.eu.acme.example"),
            ("127.0.0.1:4000", "127.0.0.1"),
        ] {
            let with = proxy(&format!("[{lets:?}]"));
            assert_eq!(told("", &(with + &entry(host, ""))), [None], "{host} by {lets}");
        }
        for host in ["api.acme.example", "api.acme.example:8443", "*.acme.example"] {
            let other = r#"["acme.example", "api.acme.example:99"]"#;
            let other = if host == "*.acme.example" { r#"["acme.example"]"# } else { other };
            let other = if host == "api.acme.example" { r#"["acme.example"]"# } else { other };
            let with = proxy(other) + &entry(host, "");
            assert_eq!(told("", &with), [Some(asked(host))]);
        }
    }

    #[test]
    fn a_refusal_is_told_as_one_and_by_whom() {
        let own = entry("api.acme.example", "");
        let none = "[network]\nmode = \"none\"\n";
        let without = told("", &format!("{none}{own}"));
        assert_eq!(
            without,
            [Some(
                "Requests to api.acme.example are refused: it is not in network.allow. Add it to \
                 your configuration: network.allow = [\"api.acme.example:443\"]."
                    .to_owned()
            )]
        );
        let relayed = format!("{none}allow = [\"api.acme.example:443\"]\n{own}");
        assert_eq!(told("", &relayed), [None]);
        let closed = told("[network]\nmode = \"proxy\"\nclosed = true\n", &own);
        let said = closed[0].as_deref().unwrap();
        assert!(said.contains("are refused: it is not in network.allow. This is set by"), "{said}");
        let denied = told("[network]\nmode = \"proxy\"\ndeny = [\"*.acme.example\"]\n", &own);
        let said = denied[0].as_deref().unwrap();
        assert!(said.contains("is never reached. This is set by"), "{said}");
        // The machine's own network has no list.
        assert_eq!(told("", &format!("[network]\nmode = \"direct\"\n{own}")), [None]);
    }

    #[test]
    fn the_lists_of_agents_count_for_bindings_that_are_for_them() {
        let proxy = "[network]\nmode = \"proxy\"\n";
        let host = "api.anthropic.com";
        let own = |rest: &str| format!("{proxy}{}", entry(host, rest));
        assert_eq!(told("", &own("")), [None]);
        assert_eq!(told("", &own("when = { agent = \"claude-code\" }")), [None]);
        assert!(told("", &own("when = { agent = \"codex\" }"))[0].is_some());
        // Where managed lists alone count, theirs do not.
        let closed = "[network]\nmode = \"proxy\"\nclosed = true\n";
        assert!(told(closed, &own(""))[0].is_some());
    }
}
