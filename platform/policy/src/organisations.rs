//! Which organisation's accounts a session may use at a provider that has a header for it: who the
//! providers are, and how each wants to be told.
//!
//! The table is data, compiled in. What it says was learned from the pages that each entry names.

use crate::effective::Sourced;
use crate::host::HostPattern;
use crate::nearest::nearest;
use crate::{Origin, Policy};
use std::borrow::Cow;
use std::fmt;

/// A provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    /// As `identity.organisations` names it.
    pub name: &'static str,
    /// What an organisation is called by there, as one noun.
    pub by: &'static str,
    /// Whether that may have a colon in it, no more than one.
    pub colon: bool,
    /// How many organisations it takes.
    pub most: usize,
    /// What its hosts are told.
    pub headers: &'static [PinnedHeader],
    /// The pages that say so, the provider's own first.
    pub sources: &'static [&'static str],
}

/// A header that a provider's hosts are told.
#[derive(Debug, PartialEq, Eq)]
pub struct PinnedHeader {
    /// In lower case.
    pub name: &'static str,
    /// Patterns as in `network.allow`.
    pub hosts: &'static [&'static str],
    /// What it says.
    pub says: Says,
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Every organisation, with this between them.
    All(&'static str),
    /// The first.
    First,
    /// The first that is named with a policy that the provider keeps, after a colon. No other header
    /// of the provider is then said. Without one, this.
    Policy(Option<&'static str>),
}

/// Which hosts take which of these headers, by a vendor whose proxy says them.
const MICROSOFT_PROXY: &str =
    "https://learn.microsoft.com/entra/global-secure-access/how-to-configure-custom-headers";
/// Hosts where people sign in to Microsoft's directory. Not those beneath them, where machines prove
/// themselves by certificates of their own.
const ENTRA: &[&str] = &["login.microsoftonline.com", "login.microsoft.com", "login.windows.net"];
const SLACK: &[&str] = &["slack.com", "*.slack.com"];

/// Every provider, in the order of their names.
pub const PROVIDERS: [Provider; 8] = [
    Provider {
        name: "anthropic",
        by: "the organisation's UUID",
        colon: false,
        most: 64,
        headers: &[PinnedHeader {
            name: "anthropic-allowed-org-ids",
            hosts: &[
                "anthropic.com",
                "*.anthropic.com",
                "claude.ai",
                "*.claude.ai",
                "claude.com",
                "*.claude.com",
            ],
            says: Says::All(","),
        }],
        sources: &[
            "https://support.claude.com/en/articles/13198485-enforce-network-level-access-control-with-tenant-restrictions",
            MICROSOFT_PROXY,
        ],
    },
    // How several teams would stand in the header, nobody says.
    Provider {
        name: "dropbox",
        by: "the team's ID",
        colon: true,
        most: 1,
        headers: &[PinnedHeader {
            name: "x-dropbox-allowed-team-ids",
            hosts: &["dropbox.com", "*.dropbox.com", "*.dropboxapi.com"],
            says: Says::First,
        }],
        sources: &[
            "https://help.dropbox.com/security/network-control",
            "https://help.dropbox.com/security/official-domains",
            MICROSOFT_PROXY,
        ],
    },
    Provider {
        name: "github",
        by: "the enterprise's ID",
        colon: false,
        most: 20,
        headers: &[PinnedHeader {
            name: "sec-github-allowed-enterprise",
            hosts: &["github.com", "api.github.com", "*.githubcopilot.com"],
            says: Says::All(", "),
        }],
        sources: &[
            "https://docs.github.com/enterprise-cloud@latest/admin/configuring-settings/hardening-security-for-your-enterprise/restricting-access-to-githubcom-using-a-corporate-proxy",
        ],
    },
    Provider {
        name: "google",
        by: "the Workspace's domain",
        colon: false,
        most: 64,
        headers: &[
            PinnedHeader {
                name: "x-googapps-allowed-domains",
                hosts: &["google.com", "*.google.com"],
                says: Says::All(","),
            },
            PinnedHeader {
                name: "x-geminicodeassist-allowed-domains",
                hosts: &["cloudcode-pa.googleapis.com"],
                says: Says::All(","),
            },
        ],
        sources: &[
            "https://support.google.com/a/answer/1668854",
            "https://developers.google.com/gemini-code-assist/docs/network-access",
        ],
    },
    // Of the two versions of its restrictions Microsoft takes one at a time.
    Provider {
        name: "microsoft",
        by: "the tenant's domain or directory ID, or its directory ID and that of its policy with a \
             colon between them",
        colon: true,
        most: 64,
        headers: &[
            PinnedHeader { name: "restrict-access-to-tenants", hosts: ENTRA, says: Says::All(",") },
            PinnedHeader { name: "restrict-access-context", hosts: ENTRA, says: Says::First },
            PinnedHeader {
                name: "sec-restrict-tenant-access-policy",
                hosts: ENTRA,
                says: Says::Policy(None),
            },
            // Accounts of nobody's tenant.
            PinnedHeader {
                name: "sec-restrict-tenant-access-policy",
                hosts: &["login.live.com"],
                says: Says::Policy(Some("restrict-msa")),
            },
        ],
        sources: &[
            "https://learn.microsoft.com/entra/identity/enterprise-apps/tenant-restrictions",
            "https://learn.microsoft.com/entra/external-id/tenant-restrictions-v2",
        ],
    },
    Provider {
        name: "openai",
        by: "the workspace's ID, of ChatGPT and what signs in with it",
        colon: false,
        most: 1,
        headers: &[PinnedHeader {
            name: "chatgpt-allowed-workspace-id",
            hosts: &["chatgpt.com", "*.chatgpt.com"],
            says: Says::First,
        }],
        sources: &["https://help.openai.com/articles/8798594", MICROSOFT_PROXY],
    },
    Provider {
        name: "openai-api",
        by: "the organisation's ID",
        colon: false,
        most: 64,
        headers: &[PinnedHeader {
            name: "openai-allowed-organization-ids",
            hosts: &["api.openai.com"],
            says: Says::All(","),
        }],
        sources: &["https://developers.openai.com/api/docs/guides/organization-blocking"],
    },
    Provider {
        name: "slack",
        by: "the workspace's or organisation's ID; the first is whose restriction it is",
        colon: false,
        most: 64,
        headers: &[
            PinnedHeader {
                name: "x-slack-allowed-workspaces-requester",
                hosts: SLACK,
                says: Says::First,
            },
            PinnedHeader { name: "x-slack-allowed-workspaces", hosts: SLACK, says: Says::All(",") },
        ],
        sources: &["https://slack.com/help/articles/360024821873"],
    },
];

/// An organisation has no longer name.
const LONGEST: usize = 128;

/// An entry of `identity.organisations`: `PROVIDER:ORGANISATION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// At which provider.
    pub provider: &'static Provider,
    /// As the provider calls it.
    pub id: String,
}

impl Organisation {
    /// Reads an entry.
    ///
    /// # Errors
    /// Says what was expected.
    pub(crate) fn parse(text: &str) -> Result<Self, Cow<'static, str>> {
        let (name, id) = text.split_once(':').unwrap_or((text, ""));
        let Some(provider) = PROVIDERS.iter().find(|own| own.name == name) else {
            let known: Vec<&str> = PROVIDERS.iter().map(|own| own.name).collect();
            return Err(format!("`PROVIDER:ORGANISATION`, of {}", known.join(", ")).into());
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let mut parts = id.splitn(if provider.colon { 2 } else { 1 }, ':');
        if id.len() > LONGEST || !parts.all(|own| !own.is_empty() && own.bytes().all(fits)) {
            return Err(format!("`{name}:` and {}", provider.by).into());
        }
        Ok(Self { provider, id: id.to_owned() })
    }

    /// The same of a provider whose name is nearly right.
    pub(crate) fn salvage(text: &str) -> Option<Self> {
        let (name, id) = text.split_once(':')?;
        let name = name.trim().to_ascii_lowercase();
        let name = nearest(&name, PROVIDERS.iter().map(|own| own.name))?;
        Self::parse(&format!("{name}:{}", id.trim())).ok()
    }
}

impl fmt::Display for Organisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider.name, self.id)
    }
}

/// The organisations of one provider that every layer names which names any of it. Where these are
/// none, no account may be used there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// At which provider.
    pub provider: &'static Provider,
    /// The strongest layer's first.
    pub organisations: Vec<Sourced<String>>,
    /// Who restricts it first.
    pub origin: Origin,
}

impl Pinned {
    /// What a host of the provider is told; nothing where it is none. A header without a value is not
    /// to be said, by nobody.
    pub fn headers(&self, host: &str, port: u16) -> Vec<(&'static str, Option<String>)> {
        let ids = || self.organisations.iter().map(|own| own.value.as_str());
        let of_policy = |own: &PinnedHeader| matches!(own.says, Says::Policy(_));
        let has_policies = self.provider.headers.iter().any(of_policy);
        let policy = ids().find(|id| has_policies && id.contains(':'));
        let say = |own: &PinnedHeader| match (own.says, policy) {
            (Says::Policy(without), policy) => policy.or(without).map(str::to_owned),
            (_, Some(_)) => None,
            (Says::All(between), None) => Some(ids().collect::<Vec<_>>().join(between)),
            (Says::First, None) => ids().next().map(str::to_owned),
        };
        let told = self.provider.headers.iter().filter(|own| own.is_for(host, port));
        told.map(|own| (own.name, say(own))).collect()
    }

    /// Who they are, in words.
    pub fn sentence(&self) -> String {
        let ids: Vec<&str> = self.organisations.iter().map(|own| own.value.as_str()).collect();
        let name = self.provider.name;
        match ids.as_slice() {
            [] => format!("the policy's layers name no organisation at {name} in common"),
            ids => format!("only accounts of {} may be used at {name}", ids.join(", ")),
        }
    }
}

impl PinnedHeader {
    fn is_for(&self, host: &str, port: u16) -> bool {
        let matches = |text: &&str| {
            HostPattern::parse_host(text).is_ok_and(|pattern| pattern.matches(host, port))
        };
        self.hosts.iter().any(matches)
    }
}

/// What the policy says of the provider that a host belongs to.
pub fn pinned<'p>(policy: &'p Policy, host: &str, port: u16) -> Option<&'p Pinned> {
    let is_told = |own: &&Pinned| own.provider.headers.iter().any(|own| own.is_for(host, port));
    policy.organisations().iter().find(is_told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Context, Facts, Layer, Os, SourceKind, Verdict, built_in, decide, merge};
    use std::collections::BTreeSet;

    fn policy(layers: &[(SourceKind, &str)]) -> Policy {
        let context = Context {
            home: "/home/ada".into(),
            workspace: "/home/ada/work".into(),
            agent: None,
            os: Os::Linux,
        };
        let read = layers.iter().enumerate().map(|(at, (kind, text))| {
            let text = format!("[identity]\norganisations = {text}");
            Layer::from_toml(*kind, &format!("/{at}.toml"), &text)
        });
        merge(read.chain([built_in()]).collect(), &context)
    }

    type Told = Vec<(&'static str, Option<String>)>;

    fn told(layers: &[(SourceKind, &str)], host: &str) -> Option<Told> {
        pinned(&policy(layers), host, 443).map(|own| own.headers(host, 443))
    }

    const MANAGED: SourceKind = SourceKind::ManagedFile;

    /// Headers with their values; an empty one is not to be said.
    fn said(headers: &[(&'static str, &str)]) -> Told {
        let value = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        headers.iter().map(|(name, text)| (*name, value(text))).collect()
    }

    #[test]
    fn a_policy_that_microsoft_keeps_is_told_alone_and_no_layer_below_brings_its_own() {
        let managed = (MANAGED, r#"["microsoft:t:p"]"#);
        let table: &[(&str, &[(&str, &str)])] = &[
            (
                "login.microsoft.com",
                &[
                    ("restrict-access-to-tenants", ""),
                    ("restrict-access-context", ""),
                    ("sec-restrict-tenant-access-policy", "t:p"),
                ],
            ),
            ("login.live.com", &[("sec-restrict-tenant-access-policy", "t:p")]),
        ];
        for (host, expected) in table {
            assert_eq!(told(&[managed], host), Some(said(expected)), "{host}");
        }
        for (above, below) in [("microsoft:t:p", "microsoft:t"), ("microsoft:t", "microsoft:x:p")] {
            let (above, below) = (format!("[\"{above}\"]"), format!("[\"{below}\"]"));
            let both = policy(&[(MANAGED, &above), (SourceKind::UserFile, &below)]);
            let left = pinned(&both, "login.microsoft.com", 443).unwrap();
            assert_eq!(left.organisations, [], "{below}");
        }
    }

    #[test]
    fn every_provider_is_told_at_its_hosts_and_nobody_else_is() {
        let all = r#"["anthropic:a", "anthropic:b", "dropbox:dbtid:d", "github:1", "github:2", "google:acme.example",
            "microsoft:t", "microsoft:acme.example", "openai:w", "openai-api:org-1", "openai-api:org-2", "slack:T1", "slack:T2"]"#;
        let table: &[(&str, &[(&str, &str)])] = &[
            ("api.anthropic.com", &[("anthropic-allowed-org-ids", "a,b")]),
            ("claude.ai", &[("anthropic-allowed-org-ids", "a,b")]),
            ("platform.claude.com", &[("anthropic-allowed-org-ids", "a,b")]),
            ("www.dropbox.com", &[("x-dropbox-allowed-team-ids", "dbtid:d")]),
            ("api.dropboxapi.com", &[("x-dropbox-allowed-team-ids", "dbtid:d")]),
            ("github.com", &[("sec-github-allowed-enterprise", "1, 2")]),
            ("API.github.com.", &[("sec-github-allowed-enterprise", "1, 2")]),
            ("accounts.google.com", &[("x-googapps-allowed-domains", "acme.example")]),
            (
                "cloudcode-pa.googleapis.com",
                &[("x-geminicodeassist-allowed-domains", "acme.example")],
            ),
            (
                "login.microsoftonline.com",
                &[
                    ("restrict-access-to-tenants", "t,acme.example"),
                    ("restrict-access-context", "t"),
                    ("sec-restrict-tenant-access-policy", ""),
                ],
            ),
            ("login.live.com", &[("sec-restrict-tenant-access-policy", "restrict-msa")]),
            ("chatgpt.com", &[("chatgpt-allowed-workspace-id", "w")]),
            ("api.openai.com", &[("openai-allowed-organization-ids", "org-1,org-2")]),
            (
                "acme.slack.com",
                &[
                    ("x-slack-allowed-workspaces-requester", "T1"),
                    ("x-slack-allowed-workspaces", "T1,T2"),
                ],
            ),
        ];
        for (host, expected) in table {
            assert_eq!(told(&[(MANAGED, all)], host), Some(said(expected)), "{host}");
        }
        for host in [
            "gist.github.com",
            "notgithub.com",
            "storage.googleapis.com",
            "device.login.microsoftonline.com",
            "example.com",
            "10.0.0.1",
        ] {
            assert_eq!(told(&[(MANAGED, all)], host), None, "{host}");
        }
        assert_eq!(told(&[(MANAGED, r#"["google:acme.example"]"#)], "github.com"), None);
    }

    #[test]
    fn layers_leave_what_all_name_and_nobody_below_adds_one() {
        let managed = (MANAGED, r#"["github:1", "github:2", "google:acme.example"]"#);
        let user = (SourceKind::UserFile, r#"["github:2", "github:3", "slack:T1"]"#);
        let value = |host| told(&[managed, user], host).unwrap().remove(0).1.unwrap();
        assert_eq!(value("github.com"), "2");
        assert_eq!(value("google.com"), "acme.example");
        assert_eq!(value("slack.com"), "T1");
        let apart = policy(&[managed, (SourceKind::WorkspaceFile, r#"["github:3"]"#)]);
        let none = pinned(&apart, "github.com", 443).unwrap();
        assert_eq!(none.organisations, []);
        let connect = Action::Connect { host: "github.com".into(), port: 443 };
        let denied = decide(&apart, &Facts::at(jiff::Timestamp::UNIX_EPOCH), &connect);
        assert_eq!(
            (denied.verdict, &*denied.reason),
            (
                Verdict::Deny,
                "github.com is not reached: the policy's layers name no organisation at github in \
                 common."
            )
        );
        let one = policy(&[(MANAGED, r#"["openai:a", "openai:b"]"#)]);
        assert_eq!(pinned(&one, "chatgpt.com", 443).unwrap().organisations.len(), 1);
    }

    #[test]
    fn an_unknown_provider_is_an_error_that_names_those_known_and_is_never_looser() {
        let error = Organisation::parse("acme:1").unwrap_err();
        assert!(error.contains("anthropic, dropbox, github"), "{error}");
        for text in [
            "github",
            "github:",
            "github:a b",
            "github:a,b",
            "github:a:b",
            "github:a\r\nx: y",
            "microsoft:t:",
            "microsoft::p",
            "microsoft:t:p:q",
        ] {
            assert!(Organisation::parse(text).is_err(), "{text:?}");
        }
        let near = (MANAGED, r#"["githbu:1"]"#);
        assert_eq!(
            told(&[near], "github.com"),
            Some(said(&[("sec-github-allowed-enterprise", "1")]))
        );
        // Nobody knows which was meant: of none is an account used.
        let none = policy(&[(MANAGED, r#"["acme:1"]"#)]);
        assert_eq!(none.organisations().len(), PROVIDERS.len());
        assert!(none.organisations().iter().all(|own| own.organisations.is_empty()));
        let user = policy(&[(SourceKind::UserFile, r#"["acme:1"]"#)]);
        assert_eq!(user.organisations(), []);
    }

    #[test]
    fn the_table_is_sound() {
        assert!(PROVIDERS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for provider in &PROVIDERS {
            let pages = provider.sources;
            assert!(!pages.is_empty() && pages.iter().all(|own| own.starts_with("https://")));
            assert!(provider.most > 0);
            let mut said = BTreeSet::new();
            for header in provider.headers {
                assert!(header.hosts.iter().all(|host| said.insert((header.name, host))));
                assert_eq!(header.name, header.name.to_ascii_lowercase());
                assert!(header.hosts.iter().all(|own| HostPattern::parse_host(own).is_ok()));
            }
        }
    }
}
