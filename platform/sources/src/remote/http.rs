//! Files of a repository over HTTP: from one host, bounded in size and in time.
//!
//! What they say is not judged here. TLS only keeps others from seeing and delaying what is
//! fetched: a bundle is trusted for its signatures.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::config::RedirectAuthHeaders;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Proxy};
use url::{Host, Url};

/// The largest file that is fetched, in bytes: a policy file, or a role's metadata.
pub(crate) const LARGEST_BODY: u64 = crate::LARGEST;

/// How many redirects within the host are followed.
const MOST_HOPS: usize = 4;

/// The largest head of an answer, in bytes.
const LARGEST_HEAD: usize = 16 << 10;

/// How long fetching may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For one file.
    pub file: Duration,
    /// For all files of a refresh together.
    pub all: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { file: Duration::from_secs(15), all: Duration::from_secs(60) }
    }
}

/// Why a file could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The host has no such file. Hosts of files in the cloud say 403 where a list is private.
    #[error("{url} is not there (HTTP status {status})")]
    Missing {
        /// The file.
        url: String,
        /// 403, 404 or 410.
        status: u16,
    },
    /// The host answered with something else than the file.
    #[error("{url} is answered with HTTP status {status}")]
    Status {
        /// The file.
        url: String,
        /// As the host said it.
        status: u16,
    },
    /// A redirect to another host, port or scheme, or to nowhere.
    #[error("{url} leads elsewhere, to {to}, which is not followed: name the host itself")]
    Elsewhere {
        /// The file.
        url: String,
        /// Where it leads.
        to: String,
    },
    /// Redirects without an end.
    #[error("{url} leads on and on, more than {MOST_HOPS} times")]
    Astray {
        /// The file.
        url: String,
    },
    /// More than is ever read.
    #[error("{url} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        url: String,
        /// In bytes.
        limit: u64,
    },
    /// The host was too slow.
    #[error("{url} did not arrive in time")]
    TooSlow {
        /// The file.
        url: String,
    },
    /// No connection, or a broken one.
    #[error("{url} cannot be reached: {why}")]
    Unreachable {
        /// The file.
        url: String,
        /// What the network or TLS said.
        why: String,
    },
    /// `HTTPS_PROXY` is no proxy's address.
    #[error("{variable} is no address of an HTTP proxy, such as http://proxy.example:3128")]
    Proxy {
        /// Its name.
        variable: String,
    },
}

/// The address of a repository, or why it is none.
///
/// # Errors
/// What is wrong with it, as the end of a sentence.
pub(crate) fn address(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    match (url.scheme(), is_loopback(&url)) {
        ("https", _) | ("http", true) => {}
        _ => return Err("must begin with https://".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a name or password: the bundle is public and signed".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not hold a `?` or `#`".to_owned());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}

/// Fetches files until its time is up.
pub(crate) struct Client {
    agent: Agent,
    patience: Patience,
    until: Instant,
}

impl Client {
    /// For one refresh of the repository at `base`, beginning now. `environment` is asked for the
    /// variables that name a proxy.
    ///
    /// # Errors
    /// When a variable names a proxy that cannot be one.
    pub(crate) fn new(
        base: &Url,
        patience: Patience,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, FetchError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .proxy(proxy(base, environment)?)
            .https_only(!is_loopback(base))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::Never)
            .max_response_header_size(LARGEST_HEAD)
            .user_agent("chaperone")
            .build()
            .new_agent();
        Ok(Self { agent, patience, until: Instant::now() + patience.all })
    }

    /// A file, whole.
    ///
    /// # Errors
    /// When it is not there, too large, too slow, elsewhere or cannot be reached.
    pub(crate) fn get(&self, asked: &Url) -> Result<Vec<u8>, FetchError> {
        let name = || asked.to_string();
        let until = self.until.min(Instant::now() + self.patience.file);
        let mut url = asked.clone();
        for _ in 0..=MOST_HOPS {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(FetchError::TooSlow { url: name() });
            }
            let request = self.agent.get(url.as_str()).config().timeout_global(Some(left)).build();
            let mut answer = request.call().map_err(|error| failed(asked, &error))?;
            match answer.status().as_u16() {
                200 => {
                    let body = answer.body_mut().with_config().limit(LARGEST_BODY);
                    return body.read_to_vec().map_err(|error| failed(asked, &error));
                }
                301 | 302 | 303 | 307 | 308 => {
                    let to = answer.headers().get("location").and_then(|to| to.to_str().ok());
                    let to = to.unwrap_or_default();
                    let next = url.join(to).ok().filter(|_| !to.is_empty());
                    let next = next.filter(|next| next.origin() == url.origin());
                    url = next.ok_or_else(|| FetchError::Elsewhere {
                        url: name(),
                        to: if to.is_empty() { "nowhere".to_owned() } else { to.to_owned() },
                    })?;
                }
                status @ (403 | 404 | 410) => {
                    return Err(FetchError::Missing { url: name(), status });
                }
                status => return Err(FetchError::Status { url: name(), status }),
            }
        }
        Err(FetchError::Astray { url: name() })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a client with {:?}", self.patience)
    }
}

fn failed(url: &Url, error: &ureq::Error) -> FetchError {
    let url = url.to_string();
    match error {
        ureq::Error::Timeout(_) => FetchError::TooSlow { url },
        ureq::Error::BodyExceedsLimit(limit) => FetchError::TooLarge { url, limit: *limit },
        other => FetchError::Unreachable { url, why: other.to_string() },
    }
}

/// The proxy that the environment names for this host, as curl and most others read it: the
/// variable for HTTPS before the one for everything, and none for a host in `NO_PROXY`.
fn proxy(
    base: &Url,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, FetchError> {
    let host = base.host_str().unwrap_or_default();
    let exempt = ["NO_PROXY", "no_proxy"].into_iter().find_map(&environment).unwrap_or_default();
    if is_loopback(base) || exempt.split(',').any(|entry| is_exempt(host, entry.trim())) {
        return Ok(None);
    }
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let Some(value) = environment(variable).filter(|value| !value.is_empty()) else { continue };
        // Without the sentence about which variable it was, nobody would find it; and what it
        // holds may be a password.
        let proxy =
            Proxy::new(&value).map_err(|_| FetchError::Proxy { variable: variable.to_owned() })?;
        return Ok(Some(proxy));
    }
    Ok(None)
}

/// Whether an entry of `NO_PROXY` names the host or a domain above it.
fn is_exempt(host: &str, entry: &str) -> bool {
    let domain = entry.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
    match entry {
        "*" => true,
        "" => false,
        _ => {
            host == domain
                || host
                    .strip_suffix(domain.as_str())
                    .is_some_and(|rest| rest.ends_with('.') && !domain.is_empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_on_https_or_on_this_machine() {
        let whole = |text| address(text).map(|url| url.to_string());
        assert_eq!(whole("https://policy.acme.example").unwrap(), "https://policy.acme.example/");
        assert_eq!(
            whole("https://policy.acme.example:8443/ring-0").unwrap(),
            "https://policy.acme.example:8443/ring-0/"
        );
        assert_eq!(whole("http://127.0.0.1:8080/").unwrap(), "http://127.0.0.1:8080/");
        assert_eq!(whole("http://[::1]/x").unwrap(), "http://[::1]/x/");
        for (text, why) in [
            ("http://policy.acme.example/", "must begin with https://"),
            ("http://localhost/", "must begin with https://"),
            ("http://127.0.0.1.acme.example/", "must begin with https://"),
            ("file:///etc/policy", "must begin with https://"),
            ("policy.acme.example", "is no URL"),
            ("https://ada:secret@policy.acme.example/", "name or password"),
            ("https://policy.acme.example/?ring=0", "`?` or `#`"),
            ("https://policy.acme.example/#top", "`?` or `#`"),
        ] {
            let error = address(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    fn proxy_of(base: &str, set: &[(&str, &str)]) -> Result<Option<String>, FetchError> {
        let environment = |name: &str| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let found = proxy(&address(base).unwrap(), environment)?;
        Ok(found.map(|proxy| format!("{}:{}", proxy.host(), proxy.port())))
    }

    #[test]
    fn the_environment_names_the_proxy_and_who_is_exempt_from_it() {
        let base = "https://policy.acme.example/";
        let all = ("ALL_PROXY", "http://all.example:1");
        let https = ("HTTPS_PROXY", "http://ada:pw@proxy.example:3128");
        assert_eq!(proxy_of(base, &[]).unwrap(), None);
        assert_eq!(proxy_of(base, &[("HTTP_PROXY", "http://p.example:1")]).unwrap(), None);
        assert_eq!(proxy_of(base, &[all]).unwrap().as_deref(), Some("all.example:1"));
        assert_eq!(proxy_of(base, &[all, https]).unwrap().as_deref(), Some("proxy.example:3128"));
        assert_eq!(proxy_of("http://127.0.0.1:1/", &[https]).unwrap(), None);
        for (exempt, direct) in [
            ("policy.acme.example", true),
            ("other.example, acme.example", true),
            (".acme.example", true),
            ("*.acme.example", true),
            ("*", true),
            ("me.example", false),
            ("policy.acme.example.evil.example", false),
            ("", false),
        ] {
            let found = proxy_of(base, &[https, ("NO_PROXY", exempt)]).unwrap();
            assert_eq!(found.is_none(), direct, "{exempt}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_one_is_told_without_its_password() {
        let error = proxy_of(
            "https://policy.acme.example/",
            &[("https_proxy", "gopher://ada:secret@proxy.example")],
        )
        .unwrap_err();
        assert_eq!(error, FetchError::Proxy { variable: "https_proxy".to_owned() });
        assert!(!error.to_string().contains("secret"));
    }
}
