//! The organisation's own proxy, which a session's connections go through, and what goes past it.

use crate::{Decision, HostPattern, HostSpec, Policy, Sourced, Verdict};
use std::fmt;
use std::net::IpAddr;

/// A proxy that is asked for tunnels (RFC 9110, section 9.3.6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Upstream {
    /// This one.
    Proxy {
        /// A name or an address, an address of IPv6 without brackets.
        host: String,
        /// Its TCP port.
        port: u16,
        /// TLS is spoken with it, in which it has to prove itself.
        tls: bool,
    },
    /// A managed layer names one that cannot be read: nothing goes out but past it.
    Unread,
}

/// What was expected of a text that is no proxy.
pub(crate) const EXPECTED: &str =
    "`http://HOST:PORT` or `https://HOST:PORT`, without a user, a password or a path";

/// The same where it names a user, who perhaps has a password.
pub(crate) const EXPECTED_BARE: &str = "a proxy without a user or a password: keep USER:PASSWORD \
    with `chaperone secret set NAME`, and name that in network.upstream_login";

/// The same of what is no name of a login.
pub(crate) const EXPECTED_LOGIN: &str = "the name of a credential, such as \"acme-proxy\", which \
    `chaperone secret set` keeps: its value is USER:PASSWORD";

/// What is told in place of a text in which a password may stand.
pub(crate) const NOT_REPEATED: &str = "a text that could hold a password, and is not repeated";

impl Upstream {
    /// Reads `http://proxy.acme.example:3128`, or with `https`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let pattern = HostPattern::parse(authority).ok()?;
        let (host, port) = pattern.pair()?;
        Some(Self::Proxy { host, port, tls })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxy { host, port, tls } => {
                let scheme = if *tls { "https" } else { "http" };
                match host.contains(':') {
                    true => write!(f, "{scheme}://[{host}]:{port}"),
                    false => write!(f, "{scheme}://{host}:{port}"),
                }
            }
            Self::Unread => f.write_str("unreadable"),
        }
    }
}

/// How a connection leaves this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// By itself: its name is resolved here.
    Direct,
    /// Through this proxy, which resolves its name.
    Through {
        /// The proxy's name or address.
        host: String,
        /// The proxy's TCP port.
        port: u16,
        /// TLS is spoken with it, in which it has to prove itself.
        tls: bool,
        /// The credential that it lets in, and whose layer says so.
        login: Option<Sourced<String>>,
        /// The policy denies addresses: the name has to resolve here, too, to addresses that it
        /// does not deny.
        resolved: bool,
    },
}

/// How a connection that may be made leaves this machine. What is on loopback is not another
/// machine's to reach.
pub fn route(policy: &Policy, host: &str, port: u16) -> Route {
    let network = policy.network();
    let Some(Sourced { value: Upstream::Proxy { host: proxy, port: at, tls }, .. }) =
        &network.upstream
    else {
        return Route::Direct;
    };
    let here = || host == "localhost" || address(host).is_some_and(|it| it.is_loopback());
    if here() || bypasses(policy, host, port) {
        return Route::Direct;
    }
    let is_address = |spec: &HostSpec| matches!(spec, HostSpec::Address(_) | HostSpec::Range(..));
    let resolved = network.deny.iter().any(|denied| is_address(&denied.value.host));
    let (host, login) = (proxy.clone(), network.login.clone());
    Route::Through { host, port: *at, tls: *tls, login, resolved }
}

fn bypasses(policy: &Policy, host: &str, port: u16) -> bool {
    policy.network().bypass.iter().any(|own| own.value.matches(host, port))
}

fn address(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}

/// Names that mean something else on every network (RFC 6761, RFC 6762, RFC 8375, and `internal`,
/// which ICANN has set aside for it).
const NEAR: [&str; 5] = ["localhost", "local", "internal", "home.arpa", "localdomain"];

/// What speaks against a connection because of the proxy that it would go through: where that leads
/// cannot be seen from here, so a name of the near network is not for it to resolve. `None` where
/// nothing does.
pub(crate) fn refused(policy: &Policy, host: &str, port: u16) -> Option<Decision> {
    let Sourced { value, origin } = policy.network().upstream.as_ref()?;
    if host == "localhost" || bypasses(policy, host, port) {
        return None;
    }
    let (rule, reason) = match (value, address(host)) {
        (_, Some(address)) if address.is_loopback() => return None,
        (Upstream::Unread, _) => (
            "network.upstream".to_owned(),
            format!("The proxy that connections have to go through cannot be read ({origin})."),
        ),
        (Upstream::Proxy { .. }, None) if is_near(host) => (
            "names near this machine".to_owned(),
            format!(
                "{host} is a name of the network that it is asked in, and {value} ({origin}) would \
                 answer it in its own. It is reached only where network.upstream_bypass names it."
            ),
        ),
        (Upstream::Proxy { .. }, _) => return None,
    };
    Some(Decision { verdict: Verdict::Deny, rule: Some(rule), origin: origin.clone(), reason })
}

fn is_near(name: &str) -> bool {
    !name.contains('.')
        || NEAR.iter().any(|near| {
            name.strip_suffix(near).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Context, Facts, Layer, Os, SourceKind, decide, merge};

    fn policy(managed: &str, own: &str) -> Policy {
        let context = Context {
            home: "/home/ada".into(),
            workspace: "/home/ada/work".into(),
            agent: None,
            os: Os::Linux,
        };
        let layers = [
            Layer::from_toml(SourceKind::ManagedFile, "/etc/chaperone/policy.d/10.toml", managed),
            Layer::from_toml(SourceKind::UserFile, "/home/ada/config.toml", own),
        ];
        merge(layers.to_vec(), &context)
    }

    fn through(resolved: bool) -> Route {
        let host = "proxy.acme.example".to_owned();
        Route::Through { host, port: 3128, tls: false, login: None, resolved }
    }

    #[test]
    fn a_proxy_is_read_strictly() {
        let read = |text| Upstream::parse(text).map(|it| it.to_string());
        for (text, expected) in [
            ("http://proxy.acme.example:3128", "http://proxy.acme.example:3128"),
            ("HTTP://10.0.0.1:8080/", "http://10.0.0.1:8080"),
            ("http://[fd00::1]:8080", "http://[fd00::1]:8080"),
            ("https://proxy.acme.example:443", "https://proxy.acme.example:443"),
            ("HTTPS://[fd00::1]:443/", "https://[fd00::1]:443"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "proxy.acme.example:3128",
            "http://proxy.acme.example",
            "https://proxy.acme.example",
            "socks5://proxy.acme.example:1080",
            "http://ada:secret@proxy.acme.example:3128",
            "http://proxy.acme.example:3128/pac",
            "http://*.acme.example:3128",
            "http://10.0.0.0/8:3128",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_goes_past_the_proxy_is_what_the_policy_says_and_loopback() {
        let upstream =
            "[network]\nmode = \"proxy\"\nupstream = \"http://proxy.acme.example:3128\"\n";
        let bypass =
            "upstream_bypass = [\"*.corp.example\", \"10.0.0.0/8\", \"git.acme.example:22\"]\n";
        let both = policy("", &format!("{upstream}{bypass}"));
        for (host, port, expected) in [
            ("api.example", 443, through(false)),
            ("corp.example", 443, through(false)),
            ("git.acme.example", 443, through(false)),
            ("192.0.2.1", 443, through(false)),
            ("wiki.corp.example", 443, Route::Direct),
            ("10.1.2.3", 443, Route::Direct),
            ("git.acme.example", 22, Route::Direct),
            ("127.0.0.1", 80, Route::Direct),
            ("::1", 80, Route::Direct),
            ("localhost", 80, Route::Direct),
        ] {
            assert_eq!(route(&both, host, port), expected, "{host}:{port}");
        }
        assert_eq!(route(&policy("", ""), "api.example", 443), Route::Direct);
    }

    #[test]
    fn denied_addresses_have_names_resolved_here_too() {
        let text = "[network]\nmode = \"proxy\"\nupstream = \"http://proxy.acme.example:3128\"\n";
        let denied = policy("[network]\ndeny = [\"192.0.2.0/24\"]\n", text);
        assert_eq!(route(&denied, "api.example", 443), through(true));
    }

    #[test]
    fn only_a_managed_layer_turns_aside_what_one_sends_through_its_proxy() {
        let managed = "[network]\nupstream = \"http://proxy.acme.example:3128\"\n\
                       upstream_bypass = [\"wiki.acme.example\"]\n";
        let own = "[network]\nmode = \"proxy\"\nupstream = \"http://127.0.0.1:1\"\n\
                   upstream_bypass = [\"*\"]\n";
        let both = policy(managed, own);
        assert_eq!(route(&both, "api.example", 443), through(false));
        assert_eq!(route(&both, "wiki.acme.example", 443), Route::Direct);
        let closed = policy("[network]\nclosed = true\nallow = [\"api.example\"]\n", own);
        assert_eq!(closed.network().upstream, None, "it could lead anywhere");
    }

    #[test]
    fn a_login_is_named_by_any_layer_that_may_and_a_managed_one_goes_to_a_managed_proxy_alone() {
        let login = |policy: &Policy| match route(policy, "api.example", 443) {
            Route::Through { login, .. } => login.map(|own| (own.value, own.origin.to_string())),
            Route::Direct => panic!("it goes past the proxy"),
        };
        let proxy = "[network]\nmode = \"proxy\"\nupstream = \"https://proxy.acme.example:443\"\n";
        let named = |name: &str| format!("upstream_login = \"{name}\"\n");
        let (managed, own) = (format!("{proxy}{}", named("acme")), named("mine"));
        let by = |name: &str, origin: &str| Some((name.to_owned(), origin.to_owned()));
        let from = "managed-file /etc/chaperone/policy.d/10.toml";
        let user = "user-file /home/ada/config.toml";
        let with = |own: &str| format!("[network]\n{own}");
        assert_eq!(login(&policy(&managed, "")), by("acme", &format!("{from}:4")));
        assert_eq!(login(&policy(proxy, &with(&own))), by("mine", &format!("{user}:2")));
        assert_eq!(login(&policy("", &format!("{proxy}{own}"))), by("mine", &format!("{user}:4")));
        assert_eq!(login(&policy(proxy, "")), None);
        let astray = policy(&with(&named("acme")), proxy);
        assert_eq!(login(&astray), None);
        let shown = astray.explain("network.upstream_login").unwrap();
        assert!(shown.losers[0].reason.contains("no managed layer names"), "{shown:?}");
    }

    #[test]
    fn what_could_hold_a_password_is_refused_without_being_repeated() {
        for text in [
            "upstream = \"http://ada:hunter2@proxy.acme.example:3128\"",
            "upstream_login = \"ada:hunter2\"",
            "upstream_login = \"hunter2 \"",
        ] {
            let text = format!("[network]\n{text}\n");
            let layer = Layer::from_toml(SourceKind::ManagedFile, "/etc/10.toml", &text);
            let [finding] = layer.findings() else { panic!("{layer:?}") };
            let said = finding.to_string();
            assert!(said.contains("chaperone secret set"), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
            let shown = serde_json::to_string(&policy(&text, "").show()).unwrap();
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn the_login_goes_into_no_request() {
        let inject = |name: &str| {
            format!(
                "[network]\nupstream_login = \"acme-proxy\"\n[[credentials.inject]]\n\
                 secret = \"{name}\"\nhost = \"api.example\"\nheader = \"x-key\"\n"
            )
        };
        let bound = |name: &str| crate::injections(&policy("", &inject(name))).len();
        assert_eq!((bound("acme"), bound("acme-proxy")), (1, 0));
        let policy = policy("", &inject("acme-proxy"));
        let lost = policy.explain("credentials.inject").unwrap().losers;
        assert!(lost[0].reason.contains("upstream proxy"), "{lost:?}");
    }

    #[test]
    fn names_of_the_near_network_are_not_for_a_far_proxy_to_resolve() {
        let own = "[network]\nmode = \"proxy\"\nallow = [\"*\"]\n\
                   upstream = \"http://proxy.acme.example:3128\"\n\
                   upstream_bypass = [\"git.internal\"]\n";
        let policy = policy("", own);
        let verdict = |host: &str| {
            let action = Action::Connect { host: host.to_owned(), port: 443 };
            decide(&policy, &Facts::at(jiff::Timestamp::UNIX_EPOCH), &action).verdict
        };
        for host in ["intranet", "printer.local", "metadata.google.internal", "a.localhost"] {
            assert_eq!(verdict(host), Verdict::Deny, "{host}");
        }
        for host in ["api.example", "git.internal", "notlocal.example", "192.0.2.1"] {
            assert_eq!(verdict(host), Verdict::Allow, "{host}");
        }
        assert_eq!(verdict("10.0.0.1"), Verdict::Deny, "an address near this machine");
    }

    #[test]
    fn a_managed_proxy_that_cannot_be_read_lets_nothing_past_it() {
        let policy = policy(
            "[network]\nupstream = \"proxy.acme.example\"\nupstream_bypass = [\"a.example\"]\n",
            "[network]\nmode = \"proxy\"\nallow = [\"*\"]\n",
        );
        let decide = |host: &str| {
            let action = Action::Connect { host: host.to_owned(), port: 443 };
            decide(&policy, &Facts::at(jiff::Timestamp::UNIX_EPOCH), &action)
        };
        assert_eq!(decide("api.example").rule.as_deref(), Some("network.upstream"));
        assert_eq!(decide("api.example").verdict, Verdict::Deny);
        assert_eq!(decide("a.example").verdict, Verdict::Allow);
    }
}
