//! Asks another proxy for a tunnel (RFC 9110, section 9.3.6), in TLS where it speaks that, and logs
//! in at it (RFC 7617).

use crate::Question;
use crate::dial::{Failure, Way, unreachable};
use crate::open::{Fetch, Key, Scrub, basic};
use crate::outside::Outside;
use crate::target::Target;
use crate::trust::Trust;
use bytes::Bytes;
use hyper::Request;
use hyper::header::{ACCEPT_ENCODING, HeaderValue, PROXY_AUTHORIZATION, RANGE};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// How long it may take to make the connection that it is asked for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of the head of its answer.
const LONGEST_HEAD: usize = 16 * 1024;
/// What people read of its answer.
const LONGEST_LINE: usize = 200;
/// A shorter password is covered in no answer: it would be found in what has nothing to do with it.
const SHORTEST: usize = 8;
/// The ways to log in that proxies ask for (RFC 9110, section 11.1, and what Windows adds).
const SCHEMES: [&str; 6] = ["Basic", "Digest", "NTLM", "Negotiate", "Kerberos", "Bearer"];

/// What a proxy lets in: a user and a password.
pub struct Login {
    credential: String,
    fetch: Arc<Fetch>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Option<Arc<Known>>,
    /// The proxy did not take it.
    is_refused: bool,
}

/// A login that was fetched.
struct Known {
    /// `USER:PASSWORD`.
    value: Arc<Key>,
    /// `Basic …`, as it is sent.
    field: HeaderValue,
    /// What may not come back: all of it, and the password.
    keys: Vec<Arc<Key>>,
}

impl Login {
    /// The credential of this name, whose value is `USER:PASSWORD`. It is fetched when the first
    /// connection needs it. One that the proxy does not take is not tried again before it is
    /// another: directories lock accounts of which the password is guessed.
    pub fn new(credential: &str, fetch: Arc<Fetch>) -> Self {
        Self { credential: credential.to_owned(), fetch, state: Mutex::default() }
    }

    /// The name of the credential.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// The login.
    ///
    /// # Errors
    /// Why there is none, as a sentence.
    async fn known(&self, proxy: &Target) -> Result<Arc<Known>, String> {
        let usable = |state: &State| state.known.clone().filter(|_| !state.is_refused);
        if let Some(known) = usable(&self.state()) {
            return Ok(known);
        }
        let fetch = Arc::clone(&self.fetch);
        let fetched = spawn_blocking(move || fetch()).await;
        let fetched = fetched.unwrap_or_else(|_| Err("The session has ended.".to_owned()));
        let value = fetched.map_err(|why| {
            format!(
                "The login at the upstream proxy {proxy}, {:?}, is not to be had: {why}",
                self.credential
            )
        })?;
        let mut state = self.state();
        match &state.known {
            Some(known) if *known.value == value && state.is_refused => {
                return Err(self.refused(proxy));
            }
            Some(known) if *known.value == value => return Ok(Arc::clone(known)),
            Some(_) | None => {}
        }
        let known = Known::new(value).ok_or_else(|| {
            format!(
                "The login at the upstream proxy {proxy}, {0:?}, is not USER:PASSWORD: `chaperone \
                 secret set {0}` takes both, with a colon between them.",
                self.credential
            )
        })?;
        let known = Arc::new(known);
        *state = State { known: Some(Arc::clone(&known)), is_refused: false };
        Ok(known)
    }

    /// What a person can do about a login that the proxy did not take.
    fn refused(&self, proxy: &Target) -> String {
        format!(
            "The upstream proxy {proxy} does not take the login {0:?}: `chaperone secret set {0}` \
             takes USER:PASSWORD anew. Until then it is not tried again.",
            self.credential
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("credential", &self.credential).finish_non_exhaustive()
    }
}

impl Known {
    fn new(value: Key) -> Option<Self> {
        let colon = value.iter().position(|byte| *byte == b':').filter(|at| *at > 0)?;
        let mut field = HeaderValue::from_maybe_shared(Bytes::from_owner(basic(&value))).ok()?;
        field.set_sensitive(true);
        let password = value.get(colon + 1..).filter(|own| own.len() >= SHORTEST);
        let password = password.map(|own| Arc::new(Key::new(own.to_vec())));
        let value = Arc::new(value);
        let keys = [Arc::clone(&value)].into_iter().chain(password).collect();
        Some(Self { value, field, keys })
    }
}

/// Speaks TLS with a proxy, which has to prove itself before it hears anything.
pub(crate) async fn verified(
    trust: &Arc<Trust>,
    target: &Target,
    proxy: &Target,
    stream: TcpStream,
) -> Result<Outside, Failure> {
    let stream = trust.connect(&proxy.host, stream, &[b"http/1.1"]).await.map_err(|why| {
        let what = format!("No TLS with the upstream proxy {proxy} that could be verified: {why}");
        unreachable(target, &what)
    })?;
    Ok(Outside::within_tls(stream))
}

/// A proxy that a connection leads to, and what it is told to let in.
pub(crate) struct Hop {
    proxy: Target,
    login: Option<(Arc<Login>, Arc<Known>)>,
}

impl Hop {
    /// Fetches the login, if it takes one. That it goes there is recorded before it does.
    pub(crate) async fn new(
        way: &Way,
        target: &Target,
        proxy: Target,
        login: Option<Arc<Login>>,
    ) -> Result<Self, Failure> {
        let login = match login {
            None => None,
            Some(login) => {
                let known = login.known(&proxy).await;
                let known = known.map_err(|why| unreachable(target, &why))?;
                way.ask(&proxy, Question::Credential(login.credential.clone())).await?;
                Some((login, known))
            }
        };
        Ok(Self { proxy, login })
    }

    /// Turns a connection to the proxy into one to the target.
    pub(crate) async fn tunnel(
        &self,
        outside: &mut Outside,
        target: &Target,
    ) -> Result<(), Failure> {
        let failed = |why: &str| {
            let what = format!("The upstream proxy {} makes no tunnel to it: {why}.", self.proxy);
            unreachable(target, &what)
        };
        // It does not move while it grows: nothing of a login stays behind.
        let mut ask = Zeroizing::new(Vec::with_capacity(LONGEST_HEAD));
        ask.extend(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").bytes());
        if let Some((_, known)) = &self.login {
            ask.extend_from_slice(b"Proxy-Authorization: ");
            ask.extend_from_slice(known.field.as_bytes());
            ask.extend_from_slice(b"\r\n");
        }
        ask.extend_from_slice(b"\r\n");
        let answered = timeout(PATIENCE, async {
            outside.write_all(&ask).await?;
            outside.flush().await?;
            outside.head(LONGEST_HEAD).await
        });
        let head = match answered.await {
            Ok(head) => head.map_err(|error| failed(&error.to_string()))?,
            Err(_) => return Err(failed("it did not answer in time")),
        };
        let line = first_line(&head);
        // Any of these makes one (RFC 9110, section 9.3.6).
        match line.split(' ').nth(1).map(str::as_bytes) {
            Some([b'2', _, _]) if line.starts_with("HTTP/1.") => Ok(()),
            Some(b"407") => Err(self.not_let_in(target, challenges(&head))),
            _ => {
                // A proxy may repeat what it was sent.
                let covered = Scrub::new(&self.keys()).covered(line.as_bytes());
                let line = covered.map_or(line, |own| String::from_utf8_lossy(&own).into_owned());
                Err(failed(&format!("{line:?}")))
            }
        }
    }

    /// Puts the login into a request to the proxy.
    pub(crate) fn log_in<B>(&self, request: &mut Request<B>) {
        let Some((_, known)) = &self.login else { return };
        let headers = request.headers_mut();
        headers.insert(PROXY_AUTHORIZATION, known.field.clone());
        // What is compressed, and what comes in parts, cannot be looked through.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.remove(RANGE);
    }

    /// What may not come back.
    pub(crate) fn keys(&self) -> Vec<Arc<Key>> {
        self.login.as_ref().map(|(_, known)| known.keys.clone()).unwrap_or_default()
    }

    /// Why there is no connection: the proxy asks for a login in these ways. Nothing else that it
    /// says is told, since it may repeat what it was sent.
    pub(crate) fn not_let_in<'c>(
        &self,
        target: &Target,
        challenges: impl Iterator<Item = &'c [u8]>,
    ) -> Failure {
        let (proxy, schemes) = (&self.proxy, schemes(challenges));
        let what = match &self.login {
            _ if !schemes.is_empty() && !schemes.contains(&"Basic") => format!(
                "The upstream proxy {proxy} wants a login by {}, which Chaperone does not speak: \
                 run a local proxy that does, such as px or cntlm, and name that in \
                 network.upstream.",
                schemes.join(" or ")
            ),
            None => format!(
                "The upstream proxy {proxy} wants a login: `chaperone secret set NAME` takes \
                 USER:PASSWORD, and network.upstream_login = \"NAME\" names it."
            ),
            Some((login, known)) => {
                let mut state = login.state();
                // It may have been set anew meanwhile.
                if state.known.as_ref().is_some_and(|own| Arc::ptr_eq(own, known)) {
                    state.is_refused = true;
                }
                login.refused(proxy)
            }
        };
        unreachable(target, &what)
    }
}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hop").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

/// The values of the fields in which a head asks for a login.
fn challenges(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        name.eq_ignore_ascii_case(b"proxy-authenticate").then(|| value.get(1..))?
    })
}

/// The known ways to log in that are asked for. A field may ask for several.
fn schemes<'c>(challenges: impl Iterator<Item = &'c [u8]>) -> Vec<&'static str> {
    let text: Vec<String> =
        challenges.map(|own| String::from_utf8_lossy(own).into_owned()).collect();
    let parts = || text.iter().flat_map(|own| own.split(','));
    let words = || parts().filter_map(|part| part.split_whitespace().next());
    let is_asked = |scheme: &&str| words().any(|word| word.eq_ignore_ascii_case(scheme));
    SCHEMES.into_iter().filter(is_asked).collect()
}

/// The first line, as far as people read it.
fn first_line(head: &[u8]) -> String {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    line.iter()
        .take(LONGEST_LINE)
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_a_user_and_a_password_and_no_form_of_it_may_come_back() {
        let known = |text: &str| Known::new(Key::new(text.as_bytes().to_vec()));
        let ada = known("ada:open sesame").unwrap();
        assert_eq!(ada.field, "Basic YWRhOm9wZW4gc2VzYW1l");
        assert!(ada.field.is_sensitive());
        let keys: Vec<_> = ada.keys.iter().map(|key| String::from_utf8_lossy(key)).collect();
        assert_eq!(keys, ["ada:open sesame", "open sesame"]);
        assert_eq!(known("ada:short").unwrap().keys.len(), 1);
        for text in ["no-colon-at-all", ":no-user"] {
            assert!(known(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_ways_to_log_in_are_told_from_what_else_a_proxy_says() {
        let head = b"HTTP/1.1 407 Who\r\nVia: NTLM\r\nProxy-Authenticate: Negotiate\r\n\
            proxy-authenticate:NTLM, basic realm=\"Acme, Digest\"\r\n\r\n";
        assert_eq!(schemes(challenges(head)), ["Basic", "NTLM", "Negotiate"]);
        assert_eq!(schemes(challenges(b"HTTP/1.1 407 Who\r\n\r\n")), [""; 0]);
    }
}
