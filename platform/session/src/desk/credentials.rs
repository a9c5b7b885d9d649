//! Credentials by name: where each may go and who says so, which are missing, and which session used
//! each last. Nothing here reads a value, and none is ever shown.

use super::rules::sentence;
use super::{Desk, Failure};
use crate::credentials::{Credentials as Kept, Entry, Name, Secret};
use crate::credentials_of;
use crate::unlisted::Sessions;
pub use crate::unlisted::Unlisted;
use chaperone_audit::{CredentialUse, Index, SessionSummary};
use chaperone_policy::{
    Class, Injection, InjectionPlace, NetworkMode, Origin, Os, Policy, Sourced, Upstream,
    injections,
};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// What is kept, and what a policy does with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Credentials {
    /// By name: those that were set here, and those that a policy binds and nobody has set.
    pub rows: Vec<CredentialRow>,
    /// What the policy binds and does not hold, because another layer stands above it.
    pub lost: Vec<LostBinding>,
    /// Who says that only managed bindings count.
    pub closed: Option<Origin>,
    /// Why no session uses any now, where that is so.
    pub unused: Option<Unused>,
}

/// One credential. Its value is nowhere in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct CredentialRow {
    /// What it is called.
    pub name: String,
    /// `false`: a policy binds it, and nobody has set it.
    pub kept: bool,
    /// When its value was set; `None` where that is not known.
    pub set: Option<Timestamp>,
    /// The last use of this value.
    pub used: Option<LastUse>,
    /// Where it may go.
    pub bindings: Vec<CredentialBinding>,
}

/// When a credential was used, and by which session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct LastUse {
    /// When that session used it first.
    pub time: Timestamp,
    /// The session's id; `None` where the history does not tell.
    pub session: Option<String>,
    /// The agent's title.
    pub agent: Option<String>,
    /// The session's workspace.
    pub workspace: Option<String>,
    /// `HOST:PORT`.
    pub host: Option<String>,
}

/// One entry of `[[credentials.inject]]`, or the login at the upstream proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct CredentialBinding {
    /// The hosts, as the policy writes them; or the proxy.
    pub host: String,
    /// Where in a request, as it is sent: `x-api-key: {}`, `?key={}`.
    pub places: Vec<String>,
    /// The variable in which the agent finds its stand-in.
    pub env: Option<String>,
    /// Empty: every method.
    pub methods: Vec<String>,
    /// Empty: every path.
    pub paths: Vec<String>,
    /// In which sessions it holds; `None`: in all.
    pub when: Option<String>,
    /// Who set it.
    pub origin: Origin,
    /// Whether a managed layer did.
    pub managed: bool,
    /// What becomes of requests to its host that no list lets pass, and what to do; `None` where they
    /// pass.
    pub unlisted: Option<Unlisted>,
}

/// An entry that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct LostBinding {
    /// The credential's name.
    pub name: String,
    /// The hosts.
    pub host: String,
    /// Who set it.
    pub origin: Origin,
    /// Why it does not hold, without a full stop.
    pub reason: String,
}

/// Why no credential goes anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Unused {
    /// A sentence.
    pub reason: String,
    /// Who set what it follows from.
    pub origin: Origin,
}

impl Desk {
    /// Every credential that is kept or bound. The keychain is not asked.
    ///
    /// # Errors
    /// When what is known of them cannot be read.
    pub fn credentials(&self) -> Result<Credentials, Failure> {
        let loaded = self.policy(None)?;
        let kept = self.kept().list().map_err(|error| failure(&error))?;
        // A history that cannot be read says so on its own page.
        let uses = self.with_index(Vec::new(), Index::credentials).unwrap_or_default();
        let sessions = self.summaries().unwrap_or_default();
        let context = &loaded.ground.context;
        let reach = Sessions::new(&loaded.policy, context, &self.paths, Timestamp::now());
        let unlisted = |own: &Sourced<Injection>| reach.unlisted(own);
        Ok(told(&loaded.policy, context.os, &unlisted, kept, uses, &sessions))
    }

    /// Keeps a value under a name, in place of the one before. Nothing of it is left in memory.
    ///
    /// # Errors
    /// When either cannot be what it is to be, or the keychain does not take it.
    pub fn set_credential(&self, name: &str, value: String) -> Result<(), Failure> {
        let secret = Secret::take(value.into_bytes()).map_err(|error| failure(&error))?;
        let name = Name::parse(name).map_err(|error| failure(&error))?;
        let kept = self.kept().set(&name, &secret, Timestamp::now());
        kept.map_err(|error| failure(&error))
    }

    /// Takes one out of the keychain.
    ///
    /// # Errors
    /// When there is none of this name, or the keychain does not give it up.
    pub fn remove_credential(&self, name: &str) -> Result<(), Failure> {
        let name = Name::parse(name).map_err(|error| failure(&error))?;
        self.kept().remove(&name).map_err(|error| failure(&error))
    }

    /// A keychain that was not there may be by now: it is connected to each time.
    fn kept(&self) -> Kept {
        credentials_of(&self.paths)
    }
}

/// What may go where in some session on this system: of any agent, in any workspace.
pub(crate) fn bindings(policy: &Policy, os: Os) -> impl Iterator<Item = &Sourced<Injection>> {
    let rules = policy.credentials();
    rules.inject.iter().chain(&rules.elsewhere).filter(move |own| {
        own.value.when.as_ref().is_none_or(|when| when.os.is_empty() || when.os.contains(&os))
    })
}

/// What logs in at the upstream proxy, with the proxy as the policy writes it.
pub(crate) fn login(policy: &Policy) -> Option<(String, &Sourced<String>)> {
    let network = policy.network();
    let proxy = network.upstream.as_ref().filter(|own| own.value != Upstream::Unread)?;
    Some((proxy.value.to_string(), network.login.as_ref()?))
}

fn told(
    policy: &Policy,
    os: Os,
    unlisted: &dyn Fn(&Sourced<Injection>) -> Option<Unlisted>,
    kept: Vec<Entry>,
    uses: Vec<CredentialUse>,
    sessions: &[SessionSummary],
) -> Credentials {
    let rules = policy.credentials();
    let unused = unused(policy);
    let mut bound: BTreeMap<String, Vec<CredentialBinding>> = BTreeMap::new();
    for own in bindings(policy, os) {
        // Where none is used, that alone is said.
        let unlisted = if unused.is_none() { unlisted(own) } else { None };
        bound.entry(own.value.secret.clone()).or_default().push(binding(own, unlisted));
    }
    if let Some((proxy, own)) = login(policy) {
        bound.entry(own.value.clone()).or_default().push(CredentialBinding {
            host: proxy,
            places: vec!["proxy-authorization: Basic {}".to_owned()],
            env: None,
            methods: Vec::new(),
            paths: Vec::new(),
            when: None,
            origin: own.origin.clone(),
            managed: own.origin.kind.class() == Class::Managed,
            unlisted: None,
        });
    }
    let mut uses: HashMap<String, CredentialUse> =
        uses.into_iter().map(|one| (one.name.clone(), one)).collect();
    let mut rows: Vec<CredentialRow> = kept
        .into_iter()
        .map(|Entry { name, set, used }| {
            let name = name.to_string();
            let recorded = uses.remove(&name).filter(|one| is_of(one, set));
            let used = match recorded {
                Some(one) => Some(last(one, sessions)),
                // The history may have been removed since.
                None => used.map(|time| LastUse {
                    time,
                    session: None,
                    agent: None,
                    workspace: None,
                    host: None,
                }),
            };
            let bindings = bound.remove(&name).unwrap_or_default();
            CredentialRow { name, kept: true, set, used, bindings }
        })
        .collect();
    rows.extend(bound.into_iter().map(|(name, bindings)| CredentialRow {
        name,
        kept: false,
        set: None,
        used: None,
        bindings,
    }));
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    Credentials { rows, lost: lost(policy), closed: rules.closed.clone(), unused }
}

/// Whether a use was of the value that was set then. The history counts in milliseconds.
fn is_of(one: &CredentialUse, set: Option<Timestamp>) -> bool {
    set.is_none_or(|set| one.time.as_millisecond() >= set.as_millisecond())
}

fn last(one: CredentialUse, sessions: &[SessionSummary]) -> LastUse {
    let CredentialUse { name: _, session, host, time } = one;
    let known = sessions.iter().find(|own| own.id == session);
    LastUse {
        time,
        agent: known.map(|own| super::activity::title(own.agent.as_deref())),
        workspace: known.and_then(|own| own.workspace.clone()),
        session: Some(session),
        host,
    }
}

fn binding(own: &Sourced<Injection>, unlisted: Option<Unlisted>) -> CredentialBinding {
    let Injection { secret: _, host, places, env, methods, paths, when } = &own.value;
    let place = |place: &InjectionPlace| match place {
        InjectionPlace::Header { name, template } => format!("{name}: {template}"),
        InjectionPlace::Basic(login) => format!("authorization: Basic {login}"),
        InjectionPlace::Query(name) => format!("?{name}={{}}"),
    };
    CredentialBinding {
        host: host.to_string(),
        places: places.iter().map(place).collect(),
        env: env.clone(),
        methods: methods.clone(),
        paths: paths.iter().map(|path| path.as_str().to_owned()).collect(),
        when: when.as_ref().map(ToString::to_string),
        origin: own.origin.clone(),
        managed: own.origin.kind.class() == Class::Managed,
        unlisted,
    }
}

/// What lost, but for what only holds elsewhere.
fn lost(policy: &Policy) -> Vec<LostBinding> {
    let elsewhere = &policy.credentials().elsewhere;
    let value = policy.explain("credentials.inject").ok();
    let losers = value.iter().flat_map(|value| &value.losers);
    losers
        .filter(|own| elsewhere.iter().all(|other| other.origin != own.origin))
        .map(|own| {
            let said = own.value.json();
            let text = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
            LostBinding {
                name: text("secret"),
                host: text("host"),
                origin: own.origin.clone(),
                reason: own.reason.to_string(),
            }
        })
        .collect()
}

fn unused(policy: &Policy) -> Option<Unused> {
    if let Some(blocked) = policy.blocked().first() {
        let reason = format!("No session starts: {}", sentence(&blocked.reason));
        return Some(Unused { reason, origin: blocked.origin.clone() });
    }
    let mode = &policy.network().mode;
    let goes_anywhere = !injections(policy).is_empty() || login(policy).is_some();
    (mode.value == NetworkMode::Direct && goes_anywhere).then(|| Unused {
        reason: "With network.mode = \"direct\" nothing that leaves a session passes Chaperone, \
                 and no credential goes into it."
            .to_owned(),
        origin: mode.origin.clone(),
    })
}

/// What happened on the first line of an error, what to do on those after it.
fn failure(error: &dyn std::error::Error) -> Failure {
    let text = error.to_string();
    match text.split_once('\n') {
        Some((what, remedy)) => Failure::new(sentence(what), remedy.trim()),
        None => Failure::plain(sentence(&text)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::credentials::Error;
    use chaperone_policy::{Context, Layer, SourceKind, built_in, merge};

    /// Of no agent, on Linux.
    pub(crate) fn context() -> Context {
        let home = "/home/ada";
        Context { home: home.into(), workspace: home.into(), agent: None, os: Os::Linux }
    }

    /// What a managed and a user's layer make, there.
    pub(crate) fn policy(managed: &str, user: &str) -> Policy {
        let managed = Layer::from_toml(SourceKind::ManagedFile, "10.toml", managed);
        let user = Layer::from_toml(SourceKind::UserFile, "config.toml", user);
        merge(vec![built_in(), managed, user], &context())
    }

    fn entry(name: &str, host: &str, rest: &str) -> String {
        format!("[[credentials.inject]]\nsecret = {name:?}\nhost = {host:?}\n{rest}\n")
    }

    /// No host is on a list.
    fn nowhere(own: &Sourced<Injection>) -> Option<Unlisted> {
        Some(Unlisted { what: format!("No {}.", own.value.host), remedy: String::new() })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn kept(name: &str, set: i64, used: Option<i64>) -> Entry {
        Entry { name: Name::parse(name).unwrap(), set: Some(at(set)), used: used.map(at) }
    }

    fn used(name: &str, session: &str, second: i64) -> CredentialUse {
        CredentialUse {
            name: name.into(),
            session: session.into(),
            host: Some("api.example:443".into()),
            time: at(second),
        }
    }

    #[test]
    fn each_is_told_with_where_it_may_go_and_what_is_missing_is_among_them() {
        let managed = entry(
            "acme",
            "api.acme.example",
            "header = \"authorization\"\ntemplate = \"Bearer {}\"\nquery = \"key\"\n\
             env = \"ACME_KEY\"\nmethods = [\"get\"]\npaths = [\"/v1\"]",
        );
        let user = entry("mine", "m.example", "header = \"x\"\nwhen = { agent = \"codex\" }")
            + &entry("mac", "mac.example", "header = \"x\"\nwhen = { os = \"macos\" }")
            + &entry("acme", "evil.example", "header = \"x\"");
        let policy = policy(&managed, &user);
        let all = told(&policy, Os::Linux, &nowhere, vec![kept("loose", 5, None)], Vec::new(), &[]);
        let names: Vec<_> = all.rows.iter().map(|own| (own.name.as_str(), own.kept)).collect();
        assert_eq!(names, [("acme", false), ("loose", true), ("mine", false)]);
        let [binding] = all.rows[0].bindings.as_slice() else { panic!("{all:?}") };
        let expected = CredentialBinding {
            host: "api.acme.example".into(),
            places: vec!["authorization: Bearer {}".into(), "?key={}".into()],
            env: Some("ACME_KEY".into()),
            methods: vec!["GET".into()],
            paths: vec!["/v1".into()],
            when: None,
            origin: binding.origin.clone(),
            managed: true,
            unlisted: Some(Unlisted { what: "No api.acme.example.".into(), remedy: String::new() }),
        };
        assert_eq!(binding, &expected);
        assert_eq!(binding.origin.to_string(), "managed-file 10.toml:1");
        assert_eq!(all.rows[1].bindings, []);
        assert_eq!(all.rows[2].bindings[0].when.as_deref(), Some("agent = codex"));
        let [lost] = all.lost.as_slice() else { panic!("{all:?}") };
        assert_eq!((lost.name.as_str(), lost.host.as_str()), ("acme", "evil.example"));
        assert!(lost.reason.contains("10.toml:1 binds"), "{}", lost.reason);
        assert_eq!((all.closed, all.unused), (None, None));
    }

    #[test]
    fn the_login_at_the_upstream_proxy_is_told_with_the_proxy_and_goes_nowhere_else() {
        let login = "[network]\nupstream = \"https://proxy.example:443\"\n\
                     upstream_login = \"acme-proxy\"\n";
        let user = entry("acme-proxy", "evil.example", "header = \"x\"");
        let all = told(&policy(login, &user), Os::Linux, &nowhere, Vec::new(), Vec::new(), &[]);
        let [row] = all.rows.as_slice() else { panic!("{all:?}") };
        assert_eq!((row.name.as_str(), row.kept), ("acme-proxy", false));
        let [own] = row.bindings.as_slice() else { panic!("{row:?}") };
        assert_eq!(own.host, "https://proxy.example:443");
        assert_eq!(own.places, ["proxy-authorization: Basic {}"]);
        assert_eq!(
            (own.origin.to_string().as_str(), own.managed),
            ("managed-file 10.toml:3", true)
        );
        let [lost] = all.lost.as_slice() else { panic!("{all:?}") };
        assert!(lost.reason.contains("10.toml:3 makes it the login"), "{}", lost.reason);
        // Without a proxy it goes nowhere.
        let idle = policy("[network]\nupstream_login = \"acme-proxy\"\n", "");
        assert_eq!(told(&idle, Os::Linux, &nowhere, Vec::new(), Vec::new(), &[]).rows, []);
    }

    #[test]
    fn the_last_use_is_of_the_value_that_is_kept_now() {
        let uses = || vec![used("a", "s1", 50), used("b", "s2", 60), used("gone", "s3", 70)];
        let kept = vec![kept("a", 10, Some(51)), kept("b", 61, None), kept("c", 1, Some(2))];
        let all = told(&policy("", ""), Os::Linux, &nowhere, kept, uses(), &[]);
        let told: Vec<_> = all
            .rows
            .iter()
            .map(|own| {
                let used = own.used.as_ref();
                let session = used.and_then(|used| used.session.as_deref());
                (own.name.as_str(), used.map(|used| used.time), session)
            })
            .collect();
        let expected =
            [("a", Some(at(50)), Some("s1")), ("b", None, None), ("c", Some(at(2)), None)];
        assert_eq!(told, expected);
    }

    #[test]
    fn that_no_session_uses_any_is_said_with_who_set_it() {
        let bound = entry("acme", "api.acme.example", "header = \"x\"");
        let direct = format!("[network]\nmode = \"direct\"\n{bound}");
        let all = told(&policy("", &direct), Os::Linux, &nowhere, Vec::new(), Vec::new(), &[]);
        let unused = all.unused.unwrap();
        assert!(unused.reason.contains("network.mode = \"direct\""), "{}", unused.reason);
        assert_eq!(unused.origin.to_string(), "user-file config.toml:2");
        assert_eq!(all.rows[0].bindings[0].unlisted, None);
        let closed = policy("[credentials]\nclosed = true\n", &bound);
        let all = told(&closed, Os::Linux, &nowhere, Vec::new(), Vec::new(), &[]);
        assert_eq!((all.rows.len(), all.lost.len()), (0, 1));
        assert!(all.closed.is_some());
    }

    #[test]
    fn an_error_of_the_keychain_says_what_happened_and_the_way_out() {
        let error = Error::NoKeychain { why: "no bus".into() };
        let Failure { message, remedy } = failure(&error);
        assert_eq!(message, "This machine's keychain cannot be reached: no bus.");
        assert!(remedy.is_some_and(|remedy| !remedy.is_empty() && !remedy.starts_with(' ')));
        let bad = Secret::take(b"short".to_vec()).unwrap_err();
        let Failure { message, remedy } = failure(&bad);
        assert!(message.starts_with("The value has fewer than 8") && remedy.is_none());
    }
}
