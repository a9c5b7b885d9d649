//! What one session opens TLS for: credentials, of which the agent holds stand-ins and the keychain's
//! go to the hosts that they are bound to, requests that are judged, and providers that are told
//! whose accounts may be used. A session without any pays nothing, and the keychain is asked when
//! the first request needs it.

use crate::credentials::{Credentials, Name};
use chaperone_egress::{Binding, Fetch, Key, OpenError, Opener, Place, Target, Trust};
use chaperone_policy::{
    BasicLogin, Injection, InjectionPlace, NetworkMode, Policy, injections, pinned, sees_requests,
};
use chaperone_sandbox::Plan;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// How the values begin that tools expect in these variables, and how many characters follow.
const SHAPES: [(&str, &str, usize); 9] = [
    ("ANTHROPIC_API_KEY", "sk-ant-api03-", 95),
    ("ANTHROPIC_AUTH_TOKEN", "sk-ant-oat01-", 95),
    ("OPENAI_API_KEY", "sk-proj-", 48),
    ("CODEX_API_KEY", "sk-proj-", 48),
    ("GEMINI_API_KEY", "AIza", 35),
    ("GOOGLE_API_KEY", "AIza", 35),
    ("GITHUB_TOKEN", "ghp_", 36),
    ("GH_TOKEN", "ghp_", 36),
    ("NPM_TOKEN", "npm_", 36),
];
/// Characters of any other: random enough to be nobody's.
const LENGTH: usize = 40;

/// Why a session's credentials cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// TLS cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No random values are to be had.
    #[error("no random values are to be had: {0}")]
    Random(#[from] getrandom::Error),
}

/// What a session that is about to start needs, and what a person should know of it.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) vault: Option<Vault>,
    pub(super) troubles: Vec<String>,
}

/// The credentials of one session.
pub(super) struct Vault {
    opener: Arc<Opener>,
    /// What was bound when the session started; what is bound later is for later sessions.
    started: Vec<(Injection, Vec<Arc<Binding>>)>,
    /// What the agent holds, by variable.
    phantoms: BTreeMap<String, String>,
}

/// Makes what a session with this policy needs; nothing where no credential is bound and no request
/// is judged, nor an organisation pinned. `trust` is whom hosts have to prove themselves to.
pub(super) fn prepare(
    policy: &Policy,
    credentials: &Arc<Credentials>,
    trust: &Arc<Trust>,
) -> Result<Prepared, VaultError> {
    let bound = injections(policy);
    let is_seen =
        policy.network().restricts_requests().is_some() || !policy.organisations().is_empty();
    if bound.is_empty() && !is_seen {
        return Ok(Prepared::default());
    }
    if policy.network().mode.value == NetworkMode::Direct {
        if bound.is_empty() {
            // A policy that judges requests starts no session there, which is said elsewhere.
            return Ok(Prepared::default());
        }
        let mode = &policy.network().mode.origin;
        let trouble = format!(
            "no credential is injected in this session: with network.mode = \"direct\" ({mode}) \
             nothing that leaves it passes Chaperone"
        );
        return Ok(Prepared { vault: None, troubles: vec![trouble] });
    }
    let troubles = missing(credentials, bound.iter().map(|own| own.value.secret.as_str()));
    let mut phantoms = BTreeMap::new();
    let mut started = Vec::new();
    for own in bound {
        let injection = own.value.clone();
        if let Some(name) = injection.env.as_ref().filter(|name| !phantoms.contains_key(*name)) {
            phantoms.insert(name.clone(), phantom(name)?);
        }
        let held = injection.env.as_ref().and_then(|name| phantoms.get(name)).cloned();
        let bindings = bindings(&injection, held.as_deref(), credentials);
        started.push((injection, bindings));
    }
    let opener = Arc::new(Opener::new(Arc::clone(trust))?);
    let vault = Vault { opener, started, phantoms };
    Ok(Prepared { vault: Some(vault), troubles })
}

impl Vault {
    /// Gives a session's programs what they hold.
    pub(super) fn allow_in(&self, plan: &mut Plan) {
        plan.environment.extend(self.phantoms.clone());
    }

    /// The certificate that they have to trust, as PEM.
    pub(super) fn certificate(&self) -> &str {
        self.opener.certificate()
    }

    /// What is bound to a target: by the session's start, and by the policy still.
    pub(super) fn bindings(&self, policy: &Policy, target: &Target) -> Vec<Arc<Binding>> {
        let host = target.host.to_string();
        let holds = |own: &Injection| {
            own.host.matches(&host, target.port)
                && injections(policy).iter().any(|known| known.value == *own)
        };
        let bound = self.started.iter().filter(|(own, _)| holds(own));
        bound.flat_map(|(_, bindings)| bindings.iter().map(Arc::clone)).collect()
    }

    /// What opens TLS to a target that something is bound to, whose requests are judged, or that is
    /// told whose accounts may be used.
    pub(super) fn opener(&self, policy: &Policy, target: &Target) -> Option<Arc<Opener>> {
        let is_opened = sees_requests(policy, &target.host.to_string(), target.port)
            || pinned(policy, &target.host.to_string(), target.port).is_some()
            || !self.bindings(policy, target).is_empty();
        is_opened.then(|| Arc::clone(&self.opener))
    }
}

/// Which credentials went where.
pub(super) struct Uses {
    credentials: Arc<Credentials>,
    recorded: Mutex<HashSet<(String, Target)>>,
}

impl Uses {
    pub(super) fn of(credentials: &Arc<Credentials>) -> Self {
        Self { credentials: Arc::clone(credentials), recorded: Mutex::default() }
    }

    /// Whether that a credential goes to this target is yet to be recorded; notes its use.
    pub(super) fn is_first(&self, credential: &str, target: &Target) -> bool {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = recorded.insert((credential.to_owned(), target.clone()));
        drop(recorded);
        if let Some(name) = Name::parse(credential).ok().filter(|_| is_first) {
            // That it was used is told beside the history, which has the last word.
            let _ = self.credentials.used(&name, Timestamp::now());
        }
        is_first
    }
}

/// What of these was never set, as far as that is known without asking the keychain.
fn missing<'n>(credentials: &Credentials, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let known = credentials.list().unwrap_or_default();
    let unset = names.filter(|name| known.iter().all(|entry| entry.name.as_str() != *name));
    let mut troubles: Vec<String> = unset
        .map(|name| {
            format!(
                "the credential {name:?} was never set, so requests that need it will fail: \
                 chaperone secret set {name}"
            )
        })
        .collect();
    troubles.dedup();
    troubles
}

/// One for each place where a credential may stand. What the agent holds nothing for is put into the
/// first alone.
fn bindings(
    injection: &Injection,
    phantom: Option<&str>,
    credentials: &Arc<Credentials>,
) -> Vec<Arc<Binding>> {
    let fetch = fetching(&injection.secret, credentials);
    let own = Arc::new(injection.clone());
    let places = if phantom.is_some() { usize::MAX } else { 1 };
    let binding = |place: &InjectionPlace| {
        let place = match place {
            InjectionPlace::Header { name, template } => {
                let (before, after) = template.split_once("{}").unwrap_or_default();
                let (name, before, after) = (name.clone(), before.to_owned(), after.to_owned());
                Place::Header { name, before, after }
            }
            InjectionPlace::Basic(BasicLogin::Password(name)) => {
                Place::Password { name: name.clone() }
            }
            InjectionPlace::Basic(BasicLogin::Name(password)) => {
                Place::Name { password: password.clone() }
            }
            InjectionPlace::Query(name) => Place::Query { name: name.clone() },
        };
        let (own, phantom) = (Arc::clone(&own), phantom.map(str::to_owned));
        let covers = Box::new(move |method: &str, path: &str| own.covers(method, path));
        Arc::new(Binding::new(&injection.secret, place, phantom, covers, Arc::clone(&fetch)))
    };
    injection.places.iter().take(places).map(binding).collect()
}

/// What asks the keychain for a credential, when it is called.
pub(super) fn fetching(secret: &str, credentials: &Arc<Credentials>) -> Arc<Fetch> {
    let (secret, credentials) = (secret.to_owned(), Arc::clone(credentials));
    Arc::new(move || {
        let name = Name::parse(&secret).map_err(|error| error.to_string())?;
        let secret = credentials.get(&name).map_err(|error| error.to_string())?;
        Ok(Key::new(secret.reveal().to_vec()))
    })
}

/// A value of the shape that tools expect in this variable, and worth nothing.
fn phantom(variable: &str) -> Result<String, getrandom::Error> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let shape = SHAPES.iter().find(|(name, ..)| *name == variable);
    let (prefix, length) = shape.map_or(("", LENGTH), |(_, prefix, length)| (*prefix, *length));
    let mut random = vec![0; length];
    getrandom::fill(&mut random)?;
    let letter = |byte: u8| char::from(LETTERS[usize::from(byte) % LETTERS.len()]);
    Ok(prefix.chars().chain(random.into_iter().map(letter)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_holds_has_the_shape_that_tools_expect_and_is_another_each_time() {
        for (name, prefix, length) in SHAPES.into_iter().chain([("ACME_KEY", "", LENGTH)]) {
            let (one, other) = (phantom(name).unwrap(), phantom(name).unwrap());
            assert!(one.starts_with(prefix) && one.len() == prefix.len() + length, "{one}");
            assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            assert_ne!(one, other);
        }
    }
}
