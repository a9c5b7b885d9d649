//! The organisation's own proxy: which connections go through it, whom it has to prove itself to,
//! and what it lets in.

use super::vault::fetching;
use crate::credentials::Credentials;
use chaperone_egress::{Login, Route, Target, Trust};
use chaperone_policy::{Decision, NetworkMode, Policy, Sourced, Upstream as Named, Verdict, route};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The key of the policy that names the login.
const LOGIN: &str = "network.upstream_login";

/// What connections through a proxy are made with.
pub(super) struct Upstream {
    credentials: Arc<Credentials>,
    trust: Arc<Trust>,
    /// By the proxy as well: what one does not take, another may.
    logins: Mutex<HashMap<(String, u16, String), Arc<Login>>>,
}

impl Upstream {
    /// A login is asked of the keychain when the first connection needs it.
    pub(super) fn new(credentials: &Arc<Credentials>, trust: &Arc<Trust>) -> Self {
        let (credentials, trust) = (Arc::clone(credentials), Arc::clone(trust));
        Self { credentials, trust, logins: Mutex::default() }
    }

    /// How a connection to this target leaves the machine.
    pub(super) fn route(&self, policy: &Policy, target: &Target) -> Route {
        match route(policy, &target.host.to_string(), target.port) {
            chaperone_policy::Route::Direct => Route::Direct,
            chaperone_policy::Route::Through { host, port, tls, login, resolved } => {
                let login = login.map(|own| self.login(&host, port, own.value));
                let trust = tls.then(|| Arc::clone(&self.trust));
                Route::Through { host, port, resolved, trust, login }
            }
        }
    }

    fn login(&self, host: &str, port: u16, credential: String) -> Arc<Login> {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Login::new(&credential, fetching(&credential, &self.credentials)));
        let login = logins.entry((host.to_owned(), port, credential.clone()));
        Arc::clone(login.or_insert_with(new))
    }
}

/// What is decided of a credential that goes to a target, where that is the proxy and logs in there.
pub(super) fn logs_in(policy: &Policy, target: &Target, credential: &str) -> Option<Decision> {
    let network = policy.network();
    let Named::Proxy { host, port, tls: _ } = &network.upstream.as_ref()?.value else {
        return None;
    };
    let Sourced { value, origin } = network.login.as_ref()?;
    let proxy = Target::new(host, *port).ok()?;
    (value == credential && proxy == *target).then(|| Decision {
        verdict: Verdict::Allow,
        rule: Some(LOGIN.to_owned()),
        origin: origin.clone(),
        reason: format!("The credential {credential:?} is the login at the upstream proxy."),
    })
}

/// What a person should know before the first connection fails, as far as that is known without
/// asking the keychain.
pub(super) fn trouble(policy: &Policy, credentials: &Credentials) -> Option<String> {
    let network = policy.network();
    let login = network.login.as_ref().filter(|_| network.upstream.is_some())?;
    let is_used = network.mode.value != NetworkMode::Direct;
    let known = credentials.list().unwrap_or_default();
    let name = &login.value;
    let is_set = known.iter().any(|entry| entry.name.as_str() == name);
    (is_used && !is_set).then(|| {
        format!(
            "the login at the upstream proxy, {name:?} ({}), was never set, so connections through \
             it will fail: chaperone secret set {name}",
            login.origin
        )
    })
}
