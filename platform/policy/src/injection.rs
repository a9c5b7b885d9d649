//! Credentials that the agent never holds: which of the keychain's goes into which requests, and
//! what the agent holds in its place. Nothing here knows a value.

use crate::decide::blocked;
use crate::http::{HttpRequest, UrlPath};
use crate::{HostPattern, HostSpec, Origin, Policy, Sourced, When};
use serde_json::{Value as Json, json};
use std::fmt;

/// The longest name of a credential, in characters.
const LONGEST: usize = 64;

/// One entry of `[[credentials.inject]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// The name under which the keychain keeps it.
    pub secret: String,
    /// Which hosts it goes to.
    pub host: HostPattern,
    /// Where in a request: in any of these, of which there is one at least.
    pub places: Vec<InjectionPlace>,
    /// The variable in which the agent finds what it holds in its place.
    pub env: Option<String>,
    /// Which methods, in capitals; empty is every method.
    pub methods: Vec<String>,
    /// Which paths; empty is every path.
    pub paths: Vec<UrlPath>,
    /// Where it holds.
    pub when: Option<Box<When>>,
}

/// Where in a request a credential stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InjectionPlace {
    /// In this field.
    Header {
        /// Its name, in lower case.
        name: String,
        /// What stands there, `{}` for the credential.
        template: String,
    },
    /// In the login of HTTP's Basic authentication (RFC 7617).
    Basic(BasicLogin),
    /// In this parameter of the query.
    Query(String),
}

/// A login, of which a credential is one half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BasicLogin {
    /// The password; this is the name.
    Password(String),
    /// The name; this is the password.
    Name(String),
}

impl fmt::Display for BasicLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password(name) => write!(f, "{name}:{{}}"),
            Self::Name(password) => write!(f, "{{}}:{password}"),
        }
    }
}

impl Injection {
    /// The entry in the policy's own words: `credentials.inject anthropic api.anthropic.com`.
    pub fn name(&self) -> String {
        format!("credentials.inject {} {}", self.secret, self.host)
    }

    /// Whether a request of this method, to this path as it is sent, is one that it goes into: in
    /// every reading that a server may take the path in.
    pub fn covers(&self, method: &str, path: &str) -> bool {
        let Self { methods, paths, .. } = self;
        (methods.is_empty() || methods.iter().any(|own| own == method))
            && (paths.is_empty() || HttpRequest::is_within(path, paths))
    }

    /// The entry as the list of values shows it.
    pub(crate) fn show(&self) -> Json {
        let Self { secret, host, places, env, methods, paths, when: _ } = self;
        let (mut header, mut template, mut basic, mut query) = (None, None, None, None);
        for place in places {
            match place {
                InjectionPlace::Header { name, template: own } => {
                    (header, template) = (Some(name), Some(own));
                }
                InjectionPlace::Basic(login) => basic = Some(login.to_string()),
                InjectionPlace::Query(name) => query = Some(name),
            }
        }
        let paths: Vec<&str> = paths.iter().map(UrlPath::as_str).collect();
        json!({
            "secret": secret, "host": host.to_string(), "header": header, "template": template,
            "basic": basic, "query": query, "env": env, "methods": methods, "paths": paths,
        })
    }

    /// Whether both could send to one host.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let covers = |one: &HostPattern, other: &HostPattern| {
            let sample = match &other.host {
                HostSpec::Name(name) => name.clone(),
                // Whatever is beneath it stands for all that is.
                HostSpec::Beneath(name) => format!("x.{name}"),
                HostSpec::Address(address) => address.to_string(),
                HostSpec::Range(..) | HostSpec::Set(_) | HostSpec::Any => return true,
            };
            let port = one.port.or(other.port).unwrap_or(443);
            one.matches(&sample, port)
        };
        let ports = self.host.port.is_none()
            || other.host.port.is_none()
            || self.host.port == other.host.port;
        ports && (covers(&self.host, &other.host) || covers(&other.host, &self.host))
    }
}

/// What the policy says of credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialsPolicy {
    /// What goes where; only managed entries where the list is closed.
    pub inject: Vec<Sourced<Injection>>,
    /// What would go where in sessions that its condition is for, and this is none.
    pub elsewhere: Vec<Sourced<Injection>>,
    /// Set where a managed layer closes the list.
    pub closed: Option<Origin>,
}

impl CredentialsPolicy {
    /// What is bound to a host.
    pub fn bound_to<'p>(
        &'p self,
        host: &'p str,
        port: u16,
    ) -> impl Iterator<Item = &'p Sourced<Injection>> {
        self.inject.iter().filter(move |own| own.value.host.matches(host, port))
    }
}

/// What may be injected in a session: nothing while a layer cannot be read.
pub fn injections(policy: &Policy) -> &[Sourced<Injection>] {
    if blocked(policy).is_some() { &[] } else { &policy.credentials().inject }
}

/// Reads the name of a credential.
///
/// # Errors
/// Says what was expected.
pub(crate) fn secret(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let begins = text.bytes().next().is_some_and(plain);
    let fits = begins && text.bytes().all(|byte| plain(byte) || b"-_.".contains(&byte));
    if fits && text.len() <= LONGEST {
        return Ok(text.to_owned());
    }
    Err("the name of a credential, such as \"anthropic\": lower-case letters, digits, -, _ and .")
}

/// Reads the hosts that a credential goes to: few enough to be meant.
///
/// # Errors
/// Says what was expected.
pub(crate) fn host(text: &str) -> Result<HostPattern, String> {
    let pattern = HostPattern::parse(text).map_err(|expected| expected.to_string())?;
    match pattern.host {
        HostSpec::Name(_) | HostSpec::Beneath(_) | HostSpec::Address(_) => Ok(pattern),
        HostSpec::Range(..) | HostSpec::Set(_) | HostSpec::Any => {
            Err("a host, `*.domain` or an address: a credential goes to no more".to_owned())
        }
    }
}

/// Reads the name of a field (RFC 9110, section 5.6.2).
///
/// # Errors
/// Says what was expected.
pub(crate) fn header(text: &str) -> Result<String, &'static str> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let name = text.to_ascii_lowercase();
    // These say where a request goes and how long it is.
    let framing = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"];
    if name.is_empty() || !name.bytes().all(token) || framing.contains(&name.as_str()) {
        return Err("the name of a header, such as \"x-api-key\"");
    }
    Ok(name)
}

/// Reads what stands in a field.
///
/// # Errors
/// Says what was expected.
pub(crate) fn template(text: &str) -> Result<String, &'static str> {
    let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let once = text.matches("{}").count() == 1 && text.trim() == text;
    if !(printable && once) {
        return Err("a text with {} once, such as \"Bearer {}\"");
    }
    Ok(text.to_owned())
}

/// Reads a login. Its name has no colon, which parts it from the password (RFC 7617, section 2).
///
/// # Errors
/// Says what was expected.
pub(crate) fn basic(text: &str) -> Result<BasicLogin, &'static str> {
    let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match text.split_once(':') {
        Some((name, "{}")) if printable && !name.is_empty() && !name.contains("{}") => {
            Ok(BasicLogin::Password(name.to_owned()))
        }
        Some(("{}", password)) if printable && !password.contains("{}") => {
            Ok(BasicLogin::Name(password.to_owned()))
        }
        _ => Err("a login with {} for its password or its name, such as \"git:{}\" or \"{}:\""),
    }
}

/// Reads the name of a parameter.
///
/// # Errors
/// Says what was expected.
pub(crate) fn query(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = !text.is_empty() && text.bytes().all(plain);
    fits.then(|| text.to_owned()).ok_or("the name of a parameter, such as \"key\"")
}

/// Reads the name of a variable (POSIX.1-2024, Base Definitions, section 8.1). Those by which a
/// session is held together are not to be had.
///
/// # Errors
/// Says what was expected.
pub(crate) fn env(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = text.bytes().all(plain) && !text.starts_with(|c: char| c.is_ascii_digit());
    let taken = ["PATH", "HOME", "TMPDIR", "SHELL", "USER"].contains(&text)
        || ["CHAPERONE", "LD_", "DYLD_", "GIT_CONFIG"].iter().any(|own| text.starts_with(own))
        || text.to_ascii_uppercase().ends_with("_PROXY");
    if text.is_empty() || !fits || taken {
        return Err("the name of a variable, such as \"ANTHROPIC_API_KEY\"");
    }
    Ok(text.to_owned())
}

/// Reads a method (RFC 9110, section 9.1).
///
/// # Errors
/// Says what was expected.
pub(crate) fn method(text: &str) -> Result<String, &'static str> {
    let fits =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    fits.then(|| text.to_ascii_uppercase()).ok_or("a method, such as \"POST\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Layer, Os, SourceKind, built_in, merge};

    fn policy(managed: &str, user: &str, workspace: &str) -> Policy {
        let context = Context {
            home: "/home/ada".into(),
            workspace: "/home/ada/work".into(),
            agent: None,
            os: Os::Linux,
        };
        let layer = |kind, name, toml: &str| Layer::from_toml(kind, name, toml);
        let layers = vec![
            built_in(),
            layer(SourceKind::ManagedFile, "/etc/10.toml", managed),
            layer(SourceKind::UserFile, "config.toml", user),
            layer(SourceKind::WorkspaceFile, ".chaperone.toml", workspace),
        ];
        merge(layers, &context)
    }

    fn entry(secret: &str, host: &str, rest: &str) -> String {
        format!(
            "[[credentials.inject]]\nsecret = {secret:?}\nhost = {host:?}\n\
             header = \"x-api-key\"\n{rest}"
        )
    }

    fn names(policy: &Policy) -> Vec<String> {
        injections(policy).iter().map(|own| own.value.name()).collect()
    }

    fn lost(policy: &Policy) -> Vec<String> {
        let value = policy.explain("credentials.inject").unwrap();
        value.losers.iter().map(|loser| loser.reason.to_string()).collect()
    }

    #[test]
    fn managed_and_user_layers_bind_and_a_workspace_does_not() {
        let bound = policy(
            &entry("one", "one.example", ""),
            &entry("two", "two.example", ""),
            &entry("three", "three.example", ""),
        );
        let expected = ["credentials.inject one one.example", "credentials.inject two two.example"];
        assert_eq!(names(&bound), expected);
        assert_eq!(lost(&bound), ["a workspace file may only restrict"]);
        let closed = policy(
            &(entry("one", "one.example", "") + "[credentials]\nclosed = true\n"),
            &entry("two", "two.example", ""),
            "",
        );
        assert_eq!(names(&closed), ["credentials.inject one one.example"]);
        let closed = policy("[credentials]\nclosed = true\n", &entry("two", "two.example", ""), "");
        assert_eq!(names(&closed), [] as [&str; 0]);
        assert_eq!(names(&policy("credentials = 1\n", &entry("a", "a.example", ""), "")), [""; 0]);
    }

    #[test]
    fn what_is_for_other_agents_is_known_and_does_not_hold_here() {
        let bound = policy(
            "",
            &(entry("one", "one.example", "when = { agent = \"codex\" }\n")
                + &entry("two", "two.example", "when = { os = \"linux\" }\n")),
            "",
        );
        assert_eq!(names(&bound), ["credentials.inject two two.example"]);
        assert_eq!(lost(&bound), ["it holds when agent = codex"]);
        let elsewhere = &bound.credentials().elsewhere;
        let elsewhere: Vec<String> = elsewhere.iter().map(|own| own.value.name()).collect();
        assert_eq!(elsewhere, ["credentials.inject one one.example"]);
    }

    #[test]
    fn nobody_below_redirects_what_a_managed_layer_binds() {
        let managed = entry("key", "api.acme.example", "env = \"ACME_KEY\"\n");
        for (user, why) in [
            (entry("key", "evil.example", ""), "binds the credential `key`"),
            (entry("mine", "api.acme.example", ""), "binds a credential to that host"),
            (entry("mine", "*.acme.example", ""), "binds a credential to that host"),
            (entry("mine", "api.acme.example:8443", ""), "binds a credential to that host"),
            (entry("mine", "m.example", "env = \"ACME_KEY\"\n"), "binds the variable `ACME_KEY`"),
        ] {
            let policy = policy(&managed, &user, "");
            assert_eq!(names(&policy), ["credentials.inject key api.acme.example"], "{user}");
            assert_eq!(lost(&policy), [format!("managed-file /etc/10.toml:1 {why}")], "{user}");
        }
        let beside = policy(&managed, &entry("mine", "b.acme.example", ""), "");
        assert_eq!(names(&beside).len(), 2);
    }

    #[test]
    fn an_entry_that_is_not_whole_is_dropped_and_says_what_is_missing() {
        for (text, expected) in [
            ("secret = \"a\"\nheader = \"x\"", "a host, such as"),
            ("host = \"a.example\"\nheader = \"x\"", "the name of a credential"),
            ("secret = \"a\"\nhost = \"a.example\"", "`header`, `basic` or `query`"),
            (
                "secret = \"a\"\nhost = \"a.example\"\nquery = \"y\"\ntemplate = \"{}\"",
                "the header that it is for",
            ),
            ("secret = \"a\"\nhost = \"a.example\"\nbasic = \"git\"", "a login with {}"),
            ("secret = \"a\"\nhost = \"a.example\"\nbasic = \"{}:{}\"", "a login with {}"),
            ("secret = \"A/B\"\nhost = \"a.example\"\nheader = \"x\"", "the name of a credential"),
            ("secret = \"a\"\nhost = \"*\"\nheader = \"x\"", "a credential goes to no more"),
            (
                "secret = \"a\"\nhost = \"10.0.0.0/8\"\nheader = \"x\"",
                "a credential goes to no more",
            ),
            ("secret = \"a\"\nhost = \"a.example\"\nheader = \"Host\"", "the name of a header"),
            (
                "secret = \"a\"\nhost = \"a.example\"\nheader = \"x\"\ntemplate = \"Bearer\"",
                "with {} once",
            ),
            (
                "secret = \"a\"\nhost = \"a.example\"\nheader = \"x\"\nenv = \"PATH\"",
                "the name of a variable",
            ),
            (
                "secret = \"a\"\nhost = \"a.example\"\nheader = \"x\"\nenv = \"LD_PRELOAD\"",
                "the name of a variable",
            ),
            ("secret = \"a\"\nhost = \"a.example\"\nheader = \"x\"\nmethods = []", "not empty"),
            (
                "secret = \"a\"\nhost = \"a.example\"\nheader = \"x\"\npaths = [\"v1\"]",
                "begins with /",
            ),
            ("secret = \"a\"\nhost = \"a.example\"\nheader = \"x\"\nport = 1", "one of secret"),
        ] {
            let policy = policy(&format!("[[credentials.inject]]\n{text}\n"), "", "");
            assert_eq!(names(&policy), [] as [&str; 0], "{text}");
            let found = policy.findings();
            assert!(found.iter().any(|own| own.expected.contains(expected)), "{text}: {found:?}");
        }
    }

    #[test]
    fn an_entry_is_for_its_methods_and_paths_in_every_reading_of_them() {
        let narrowed = "methods = [\"post\"]\npaths = [\"/v1\"]\n";
        let policy = policy(&entry("a", "a.example", narrowed), "", "");
        let injection = &injections(&policy)[0].value;
        for (method, path, expected) in [
            ("POST", "/v1/messages", true),
            ("POST", "/v1", true),
            ("GET", "/v1/messages", false),
            ("POST", "/v10", false),
            ("POST", "/v1/../admin", false),
            ("POST", "/v1/%2e%2e/admin", false),
            ("POST", "/v1;/x", false),
        ] {
            assert_eq!(injection.covers(method, path), expected, "{method} {path}");
        }
    }
}
