//! Credentials on the wire: a key takes the place of the worthless value that the agent holds, in
//! the one field or parameter that it is bound to, and a host that one is bound to takes no other.

use crate::Question;
use crate::dial::{Failure, Way};
use crate::target::Target;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RANGE};
use hyper::{Request, Uri};
use std::fmt;
use std::sync::Arc;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// A real key: printable ASCII.
pub type Key = Zeroizing<Vec<u8>>;

/// Where a key stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a field, between these texts: `Authorization: Bearer KEY`.
    Header {
        /// The field's name, in lower case.
        name: String,
        /// What comes before the key.
        before: String,
        /// What comes behind it.
        after: String,
    },
    /// As the password of a login (RFC 7617): `Authorization: Basic` and `NAME:KEY` in Base64.
    Password {
        /// The login's name, without a colon.
        name: String,
    },
    /// As the name of a login: `Authorization: Basic` and `KEY:PASSWORD` in Base64.
    Name {
        /// The login's password.
        password: String,
    },
    /// As a parameter of the query: `?key=KEY`.
    Query {
        /// The parameter's name.
        name: String,
    },
}

impl Place {
    /// The field that it stands in, in lower case.
    fn field(&self) -> Option<&str> {
        match self {
            Self::Header { name, .. } => Some(name),
            Self::Password { .. } | Self::Name { .. } => Some(AUTHORIZATION.as_str()),
            Self::Query { .. } => None,
        }
    }

    /// What stands there with this key.
    fn with(&self, key: &[u8]) -> Zeroizing<Vec<u8>> {
        let login = |login: Vec<u8>| basic(&Zeroizing::new(login));
        match self {
            Self::Header { name: _, before, after } => {
                Zeroizing::new([before.as_bytes(), key, after.as_bytes()].concat())
            }
            Self::Password { name } => login([name.as_bytes(), b":", key].concat()),
            Self::Name { password } => login([key, b":", password.as_bytes()].concat()),
            Self::Query { .. } => Zeroizing::new(key.to_vec()),
        }
    }

    /// Whether this is what stands there with a key. The other half of a login is the agent's to
    /// choose: what is sent is the binding's.
    fn is(&self, value: &[u8], key: &[u8]) -> bool {
        // Schemes are the same in any case (RFC 9110, section 11.1).
        let past = |scheme: &str| {
            let (start, rest) = value.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
        };
        let login = || {
            let login = BASE64_STANDARD.decode(past(BASIC)?).ok()?;
            let colon = login.iter().position(|byte| *byte == b':')?;
            Some((login.get(..colon)?.to_vec(), login.get(colon + 1..)?.to_vec()))
        };
        match self {
            Self::Header { name: _, before, after } => {
                past(before).is_some_and(|rest| rest.strip_suffix(after.as_bytes()) == Some(key))
            }
            Self::Password { .. } => login().is_some_and(|(_, password)| password == key),
            Self::Name { .. } => login().is_some_and(|(name, _)| name == key),
            Self::Query { .. } => value == key,
        }
    }
}

/// The field of a login, `NAME:PASSWORD`. Made in one piece, so that nothing of it is left behind.
pub(crate) fn basic(login: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut field = Zeroizing::new(vec![0; BASIC.len() + login.len().div_ceil(3) * 4]);
    let (scheme, token) = field.split_at_mut(BASIC.len());
    scheme.copy_from_slice(BASIC.as_bytes());
    // There is room for all of it.
    let _ = BASE64_STANDARD.encode_slice(login, token);
    field
}

/// Fetches a key; may take its time. What it fails with is for the agent to read.
pub type Fetch = dyn Fn() -> Result<Key, String> + Send + Sync;

/// Whether a request of this method, to this path, is one that the key is for.
pub type Covers = dyn Fn(&str, &str) -> bool + Send + Sync;

/// A credential that is bound to a host.
pub struct Binding {
    credential: String,
    place: Place,
    phantom: Option<String>,
    covers: Box<Covers>,
    fetch: Arc<Fetch>,
    key: OnceCell<Arc<Key>>,
}

impl Binding {
    /// The credential of this name. `phantom` is what the agent holds in its place; where it holds
    /// nothing, every request that the key is for gets it. The key is fetched when the first does.
    pub fn new(
        credential: &str,
        place: Place,
        phantom: Option<String>,
        covers: Box<Covers>,
        fetch: Arc<Fetch>,
    ) -> Self {
        let (credential, key) = (credential.to_owned(), OnceCell::new());
        Self { credential, place, phantom, covers, fetch, key }
    }

    /// What the credential is called.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    async fn key(&self) -> Result<&Arc<Key>, String> {
        let fetch = || async {
            let fetch = Arc::clone(&self.fetch);
            let fetched = spawn_blocking(move || fetch()).await;
            fetched.unwrap_or_else(|_| Err("The session has ended.".to_owned())).map(Arc::new)
        };
        self.key.get_or_try_init(fetch).await
    }

    /// Whether a field or parameter is the agent's stand-in for the key.
    fn is_phantom(&self, value: &[u8]) -> bool {
        self.phantom.as_ref().is_some_and(|phantom| self.place.is(value, phantom.as_bytes()))
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { credential, place, phantom: _, covers: _, fetch: _, key: _ } = self;
        f.debug_struct("Binding").field("credential", credential).field("place", place).finish()
    }
}

/// Words in the names of fields that carry credentials.
const FIELDS: [&str; 10] = [
    "authorization",
    "api-key",
    "apikey",
    "api_key",
    "token",
    "secret",
    "password",
    "credential",
    "cookie",
    "session-key",
];
/// Names that hold one of these words and carry none.
const NO_FIELDS: [&str; 2] = ["x-csrf-token", "x-xsrf-token"];
/// The names of parameters that carry credentials.
const PARAMETERS: [&str; 18] = [
    "key",
    "api_key",
    "api-key",
    "apikey",
    "access_token",
    "accesstoken",
    "token",
    "auth",
    "auth_token",
    "authorization",
    "client_secret",
    "secret",
    "password",
    "private_token",
    "sig",
    "signature",
    "x-amz-credential",
    "x-amz-signature",
];

/// The scheme of a login, and what parts it from that (RFC 7617, section 2).
const BASIC: &str = "Basic ";

/// How gRPC says which compression of messages is understood; without it they come as they are.
const GRPC_ACCEPTED: &str = "grpc-accept-encoding";

/// What is to happen with a request to a host that credentials are bound to.
enum Step<'b> {
    Field(&'b Binding, HeaderName),
    Parameter(&'b Binding, &'b str),
}

impl<'b> Step<'b> {
    fn binding(&self) -> &'b Binding {
        match self {
            Self::Field(binding, _) | Self::Parameter(binding, _) => binding,
        }
    }
}

/// Puts keys in the place of what the agent holds. `is_verified` says that the request goes over TLS
/// to a host that has proved itself: without that there are no keys, and still no others. Gives back
/// the keys that the host has been given, which it may not repeat.
///
/// # Errors
/// What the agent reads: it brought another credential, or the key is not to be had. It was recorded.
pub(crate) async fn inject<B>(
    way: &Way,
    target: &Target,
    bindings: &[Arc<Binding>],
    is_verified: bool,
    request: &mut Request<B>,
) -> Result<Vec<Arc<Key>>, Failure> {
    let steps = match steps(bindings, is_verified, request) {
        Ok(steps) => steps,
        Err(said) => {
            way.ask(target, Question::Foreign(said)).await?;
            return Err(Failure::Refused(format!("chaperone: denied: a request to {target}")));
        }
    };
    for step in &steps {
        let credential = step.binding().credential.clone();
        let key = step.binding().key().await;
        let key = key.map_err(|why| {
            Failure::Refused(format!(
                "chaperone: the credential {credential:?}, which {target} is to get, is not to be \
                 had\n  {why}"
            ))
        })?;
        way.ask(target, Question::Credential(credential)).await?;
        match step {
            Step::Field(binding, name) => {
                // It is overwritten when the last who holds it lets go.
                let value = Bytes::from_owner(binding.place.with(key));
                if let Ok(mut value) = HeaderValue::from_maybe_shared(value) {
                    value.set_sensitive(true);
                    request.headers_mut().insert(name, value);
                }
            }
            Step::Parameter(_, name) => set_parameter(request, name, key),
        }
    }
    // What is compressed, and what comes in parts of the client's choosing, cannot be looked
    // through.
    let headers = request.headers_mut();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.remove(RANGE);
    headers.remove(GRPC_ACCEPTED);
    // Whatever was ever put on the wire to this host, it may have kept.
    Ok(bindings.iter().filter_map(|binding| binding.key.get().cloned()).collect())
}

/// What is to happen; else what the request carries that it may not.
fn steps<'b, B>(
    bindings: &'b [Arc<Binding>],
    is_verified: bool,
    request: &Request<B>,
) -> Result<Vec<Step<'b>>, String> {
    let (method, path) = (request.method(), request.uri().path());
    let mut steps = Vec::new();
    let usable = |binding: &Binding| match (is_verified, (binding.covers)(method.as_str(), path)) {
        (true, true) => Ok(()),
        (false, _) => Err(format!("{:?} goes over TLS alone", binding.credential)),
        (true, false) => {
            Err(format!("{:?} is not for {method} requests to {path}", binding.credential))
        }
    };
    for name in request.headers().keys() {
        let mut bound = bindings.iter().filter(|own| own.place.field() == Some(name.as_str()));
        if !carries_credentials(name.as_str()) && bound.clone().next().is_none() {
            continue;
        }
        let value = only(request.headers(), name);
        let own = value.and_then(|value| bound.find(|own| own.is_phantom(value.as_bytes())));
        let Some(binding) = own else {
            return Err(format!("a request's {name} field carries another"));
        };
        usable(binding)?;
        steps.push(Step::Field(binding, name.clone()));
    }
    for (name, value) in parameters(request.uri()) {
        let bound = bindings.iter().find_map(|binding| match &binding.place {
            Place::Query { name: own } if *own == name => Some((&**binding, own.as_str())),
            _ => None,
        });
        let known = PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known));
        match bound {
            None if !known => {}
            Some((binding, own))
                if binding.is_phantom(value.as_bytes())
                    && !steps
                        .iter()
                        .any(|step| matches!(step, Step::Parameter(_, name) if *name == own)) =>
            {
                usable(binding)?;
                steps.push(Step::Parameter(binding, own));
            }
            Some(_) | None => return Err(format!("the parameter {name:?} carries another")),
        }
    }
    // What the agent holds nothing for goes with every request that it is for.
    for binding in bindings.iter().filter(|own| own.phantom.is_none() && usable(own).is_ok()) {
        match (&binding.place, binding.place.field().map(HeaderName::try_from)) {
            (Place::Query { name }, _) => steps.push(Step::Parameter(binding, name)),
            (_, Some(Ok(name))) => steps.push(Step::Field(binding, name)),
            (_, Some(Err(_)) | None) => {}
        }
    }
    Ok(steps)
}

fn carries_credentials(name: &str) -> bool {
    FIELDS.iter().any(|word| name.contains(word)) && !NO_FIELDS.contains(&name)
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut all = headers.get_all(name).iter();
    all.next().filter(|_| all.next().is_none())
}

/// The parameters of a query, decoded.
fn parameters(uri: &Uri) -> impl Iterator<Item = (String, String)> {
    let query = uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into(), value.into()))
}

fn set_parameter<B>(request: &mut Request<B>, name: &str, key: &Key) {
    let uri = request.uri();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters(uri).filter(|(own, _)| own != name));
    query.append_pair(name, &String::from_utf8_lossy(key));
    let text = Zeroizing::new(format!("{}?{}", uri.path(), query.finish()));
    if let Ok(uri) = Uri::try_from(text.as_str()) {
        *request.uri_mut() = uri;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHANTOM: &str = "sk-ant-phantom";

    fn binding(name: &str, place: Place, phantom: Option<&str>) -> Arc<Binding> {
        let covers = |method: &str, path: &str| {
            ["POST", "GET"].contains(&method) && path.starts_with("/v1/")
        };
        let fetch = || Ok(Key::new(b"sk-ant-real".to_vec()));
        let phantom = phantom.map(str::to_owned);
        Arc::new(Binding::new(name, place, phantom, Box::new(covers), Arc::new(fetch)))
    }

    fn header(name: &str, before: &str) -> Place {
        Place::Header { name: name.into(), before: before.into(), after: String::new() }
    }

    fn judged(
        bindings: &[Arc<Binding>],
        verified: bool,
        request: &str,
    ) -> Result<Vec<String>, String> {
        let mut lines = request.lines();
        let (method, uri) = lines.next().unwrap().split_once(' ').unwrap();
        let mut built = Request::builder().method(method).uri(uri);
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            built = built.header(name, value);
        }
        let request = built.body(()).unwrap();
        let steps = steps(bindings, verified, &request)?;
        Ok(steps.iter().map(|step| step.binding().credential.clone()).collect())
    }

    #[test]
    fn a_host_takes_the_phantom_in_its_place_and_no_other_credential() {
        let bindings = [
            binding("anthropic", header("x-api-key", ""), Some(PHANTOM)),
            binding("bearer", header("authorization", "Bearer "), Some("other-phantom")),
            binding("google", Place::Query { name: "key".into() }, Some("AIzaPhantom")),
            binding("git", Place::Password { name: "bot".into() }, Some("git-phantom")),
            binding("stripe", Place::Name { password: String::new() }, Some("sk-phantom")),
        ];
        let login = |login: &str| {
            format!("POST /v1/x\nAuthorization: basic {}", BASE64_STANDARD.encode(login))
        };
        let logins = [
            ("anyone:git-phantom", Ok("git")),
            (":git-phantom", Ok("git")),
            ("sk-phantom:", Ok("stripe")),
            ("sk-phantom:anything", Ok("stripe")),
            ("git-phantom", Err(())),
            ("git-phantom:", Err(())),
            ("anyone:sk-phantom", Err(())),
            ("anyone:git-phantom:", Err(())),
            ("anyone:mine", Err(())),
            ("other-phantom:", Err(())),
        ];
        for (text, expected) in logins {
            let judged = judged(&bindings, true, &login(text));
            assert_eq!(judged.map_err(|_| ()), expected.map(|own| vec![own.to_owned()]), "{text}");
        }
        assert!(judged(&bindings, true, &format!("{}!", login("anyone:git-phantom"))).is_err());
        let table = [
            ("POST /v1/messages\nX-Api-Key: sk-ant-phantom", Ok(vec!["anthropic"])),
            ("POST /v1/messages\nAuthorization: bearer other-phantom", Ok(vec!["bearer"])),
            ("POST /v1/x?a=1&key=AIzaPhantom", Ok(vec!["google"])),
            ("POST /v1/messages\nContent-Type: text/plain", Ok(vec![])),
            ("POST /v1/messages\nX-Csrf-Token: 1", Ok(vec![])),
            ("GET /v1/models?limit=5", Ok(vec![])),
            (
                "POST /v1/x\nX-Api-Key: sk-ant-mine",
                Err("a request's x-api-key field carries another"),
            ),
            (
                "POST /v1/x\nX-Api-Key: sk-ant-phantomx",
                Err("a request's x-api-key field carries another"),
            ),
            (
                "POST /v1/x\nX-Api-Key: other-phantom",
                Err("a request's x-api-key field carries another"),
            ),
            (
                "POST /v1/x\nX-Api-Key: sk-ant-phantom\nX-Api-Key: mine",
                Err("a request's x-api-key field carries another"),
            ),
            (
                "POST /v1/x\nAuthorization: Bearer sk-ant-phantom",
                Err("a request's authorization field carries another"),
            ),
            (
                "POST /v1/x\nAuthorization: Bearer",
                Err("a request's authorization field carries another"),
            ),
            (
                "POST /v1/x\nAuthorization: Basic b3RoZXItcGhhbnRvbQ==",
                Err("a request's authorization field carries another"),
            ),
            ("POST /v1/x\nCookie: session=mine", Err("a request's cookie field carries another")),
            (
                "POST /v1/x\nX-Auth-Token: mine",
                Err("a request's x-auth-token field carries another"),
            ),
            ("POST /v1/x?key=mine", Err("the parameter \"key\" carries another")),
            ("POST /v1/x?k%65y=mine", Err("the parameter \"key\" carries another")),
            ("POST /v1/x?key=AIzaPhantom&key=mine", Err("the parameter \"key\" carries another")),
            ("POST /v1/x?Access_Token=mine", Err("the parameter \"Access_Token\" carries another")),
            (
                "POST /other\nX-Api-Key: sk-ant-phantom",
                Err("\"anthropic\" is not for POST requests to /other"),
            ),
            (
                "PUT /v1/x\nX-Api-Key: sk-ant-phantom",
                Err("\"anthropic\" is not for PUT requests to /v1/x"),
            ),
        ];
        for (request, expected) in table {
            let expected =
                expected.map(|own: Vec<&str>| own.into_iter().map(str::to_owned).collect());
            assert_eq!(
                judged(&bindings, true, request),
                expected.map_err(str::to_owned),
                "{request}"
            );
        }
        let plain = judged(&bindings, false, "POST /v1/messages\nX-Api-Key: sk-ant-phantom");
        assert_eq!(plain, Err("\"anthropic\" goes over TLS alone".to_owned()));
        assert!(judged(&bindings, false, "POST /v1/x\nX-Api-Key: mine").is_err());
        assert_eq!(judged(&bindings, false, "POST /v1/x"), Ok(vec![]));
    }

    #[test]
    fn what_the_agent_holds_nothing_for_goes_with_every_request_that_it_is_for() {
        let bindings = [binding("token", header("authorization", "Bearer "), None)];
        let judged = |verified, request| judged(&bindings, verified, request);
        assert_eq!(judged(true, "GET /v1/x"), Ok(vec!["token".to_owned()]));
        assert_eq!(judged(true, "GET /x"), Ok(vec![]));
        assert_eq!(judged(false, "GET /v1/x"), Ok(vec![]));
        assert!(judged(true, "GET /v1/x\nAuthorization: Bearer mine").is_err());
    }

    #[test]
    fn a_login_is_the_bindings_but_for_the_half_that_is_the_key() {
        let key = b"real";
        let password = Place::Password { name: "bot".into() }.with(key);
        assert_eq!(*password, b"Basic Ym90OnJlYWw=");
        let name = Place::Name { password: "x".into() }.with(key);
        assert_eq!(*name, b"Basic cmVhbDp4");
    }

    #[test]
    fn a_parameter_is_replaced_where_it_stands_and_the_others_stay() {
        let mut request = Request::builder().uri("/v1/x?a=1&key=phantom&b=%26").body(()).unwrap();
        set_parameter(&mut request, "key", &Key::new(b"a b&c".to_vec()));
        assert_eq!(request.uri(), "/v1/x?a=1&b=%26&key=a+b%26c");
    }
}
