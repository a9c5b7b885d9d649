//! The policy as a fleet wants to know it: in which mode, how old, and how each of its sources was
//! found on this machine.

use crate::print::{BAD, CAUTION, STRONG, visible};
use chaperone_policy::{Class, Layer, LayerStatus, LayerSummary, Mode, Policy, SourceKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::io::Write;

/// What IT deployed, as it is in force.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Deployed {
    /// "enforce" or "observe"; `None` where nothing is known.
    pub(super) mode: Option<String>,
    /// Until when decisions are only recorded; also where that is over by now.
    pub(super) observe_until: Option<Timestamp>,
    /// The keys with which git may sign in sessions, as they are named.
    #[serde(default)]
    pub(super) signing: Vec<String>,
    /// `None` where there is no source of policy.
    pub(super) policy: Option<Managed>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Managed {
    /// The organisation, where a managed source names one.
    pub(super) by: Option<String>,
    pub(super) revision: Option<String>,
    /// Of what was read or fetched longest ago.
    pub(super) read_at: Option<Timestamp>,
    /// The same in seconds.
    pub(super) age: Option<i64>,
    /// How many values in the sources could not be taken as written.
    pub(super) findings: usize,
    pub(super) sources: Vec<Source>,
}

/// A layer that IT supplies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) kind: SourceKind,
    pub(super) locator: String,
    pub(super) status: String,
    pub(super) detail: String,
    pub(super) revision: Option<String>,
    /// What it is limited to, where it is.
    pub(super) when: Option<String>,
    pub(super) digest: Option<String>,
    pub(super) read_at: Option<Timestamp>,
    /// Seconds since then.
    pub(super) age: Option<i64>,
}

pub(super) fn deployed(policy: &Policy, now: Timestamp) -> Deployed {
    let mode = match policy.mode(now) {
        Mode::Observe => "observe",
        Mode::Enforce => "enforce",
    };
    Deployed {
        mode: Some(mode.to_owned()),
        observe_until: policy.observed_until().map(|until| until.value),
        signing: policy.signing().ssh_keys.iter().map(|own| own.value.to_string()).collect(),
        policy: managed(policy, now),
    }
}

fn managed(policy: &Policy, now: Timestamp) -> Option<Managed> {
    let sources: Vec<Source> = policy
        .show()
        .layers
        .into_iter()
        .filter(|layer| layer.status != LayerStatus::Absent && is_deployed(layer.kind))
        .map(|layer| source(layer, now))
        .collect();
    if sources.is_empty() {
        return None;
    }
    let deployed = policy.layers().iter().filter(|layer| is_deployed(layer.kind));
    let read_at = sources.iter().filter_map(|source| source.read_at).min();
    Some(Managed {
        by: policy.organisation().map(str::to_owned),
        revision: policy.revision().map(str::to_owned),
        read_at,
        age: read_at.map(|at| age(at, now)),
        findings: deployed.map(|layer: &Layer| layer.findings().len()).sum(),
        sources,
    })
}

/// Whether IT, and not whoever works here, supplies layers of this kind.
fn is_deployed(kind: SourceKind) -> bool {
    match kind.class() {
        Class::Managed | Class::UserPolicy => true,
        Class::Base => matches!(
            kind,
            SourceKind::RecommendedFile
                | SourceKind::RecommendedProfile
                | SourceKind::RecommendedRegistry
        ),
        Class::Workspace => false,
    }
}

fn source(layer: LayerSummary, now: Timestamp) -> Source {
    let LayerSummary { kind, locator, status, detail, revision, when, digest, read_at, .. } = layer;
    let status = status.word().to_owned();
    let age = read_at.map(|at| age(at, now));
    Source { kind, locator, status, detail, revision, when, digest, read_at, age }
}

/// Whole seconds; none where the clock was set back.
fn age(at: Timestamp, now: Timestamp) -> i64 {
    now.duration_since(at).as_secs().max(0)
}

impl Deployed {
    /// A line on who manages this machine, one for each source that is not as it should be, and one
    /// on keys that sign.
    pub(super) fn show(&self, out: &mut impl Write) -> std::io::Result<()> {
        self.show_policy(out)?;
        if !self.signing.is_empty() {
            let keys: Vec<_> = self.signing.iter().map(|key| visible(key)).collect();
            let keys = keys.join(", ");
            writeln!(out, "Git may sign in sessions with {keys}: see `chaperone doctor`.")?;
        }
        Ok(())
    }

    fn show_policy(&self, out: &mut impl Write) -> std::io::Result<()> {
        let Some(Managed { by, revision, findings, sources, .. }) = &self.policy else {
            return writeln!(out, "Not managed: the built-in rules and your own apply.");
        };
        let managed = sources.iter().any(|source| source.kind.class() != Class::Base);
        let mut line = match (managed, by) {
            (true, Some(by)) => format!("Managed by {}", visible(by)),
            (true, None) => "Managed".to_owned(),
            (false, _) => "Not managed, but with recommendations".to_owned(),
        };
        if let Some(revision) = revision {
            line += &format!(", revision {}", visible(revision));
        }
        if *findings > 0 {
            let values = if *findings == 1 { "finding" } else { "findings" };
            line += &format!(", with {findings} {values}: see `chaperone policy show`");
        }
        writeln!(out, "{line}.")?;
        if self.mode.as_deref() == Some("observe") {
            let until = self.observe_until.map(|until| until.to_string()).unwrap_or_default();
            writeln!(out, "{CAUTION}{STRONG}Observe mode{STRONG:#}{CAUTION:#} until {until}.")?;
        }
        for source in sources.iter().filter(|source| source.status != "present") {
            let style = match source.status.as_str() {
                "unreadable" | "invalid" => BAD,
                _ => CAUTION,
            };
            let (status, kind) = (&source.status, source.kind);
            writeln!(out, "{style}{status}{style:#}  {kind} {}", visible(&source.locator))?;
            writeln!(out, "      {}", visible(&source.detail))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaperone_policy::{Context, Os, Reading, merge};
    use serde_json::json;

    fn told(layers: Vec<Layer>) -> Deployed {
        let context = Context {
            home: "/home/ada".into(),
            workspace: "/home/ada".into(),
            agent: None,
            os: Os::Linux,
        };
        deployed(&merge(layers, &context), "2026-11-22T09:00:00Z".parse().unwrap())
    }

    fn words(deployed: &Deployed) -> String {
        let mut words = Vec::new();
        deployed.show(&mut words).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(words).unwrap()).to_string()
    }

    fn at(layer: Layer, read_at: &str) -> Layer {
        layer.with_reading(Reading::new(b"abc".to_vec(), read_at.parse().unwrap()))
    }

    const FILE: &str = "/etc/chaperone/policy.d/10.toml";

    #[test]
    fn nobodys_machine_has_no_policy() {
        let own = Layer::from_toml(SourceKind::UserFile, "/home/ada/config.toml", "nonsense = 1");
        let told = told(vec![Layer::absent(SourceKind::ManagedFile, FILE), own]);
        assert_eq!(
            serde_json::to_value(&told).unwrap(),
            json!({"mode": "enforce", "observe_until": null, "signing": [], "policy": null})
        );
        assert_eq!(words(&told), "Not managed: the built-in rules and your own apply.\n");
    }

    #[test]
    fn each_source_tells_how_it_was_found_and_how_old_it_is() {
        let text = "revision = \"42\"\norganisation = \"Somebody\"\nnonsense = 1\n";
        let file = Layer::from_toml(SourceKind::ManagedFile, FILE, text);
        let text = "revision = \"7\"\norganisation = \"Acme\"\n";
        let bundle = Layer::from_toml(SourceKind::ManagedBundle, "20.toml", text);
        let told = told(vec![
            at(file.untrusted("Everybody can write it."), "2026-11-22T09:00:00Z"),
            at(bundle, "2026-11-21T09:00:00Z"),
            Layer::unreadable(SourceKind::ManagedFile, "/etc/chaperone/policy.d/30.toml", "No."),
        ]);
        // FIPS 180-4, appendix B.1.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let finding = "/etc/chaperone/policy.d/10.toml:3:1: nonsense";
        let detail = |layer: &serde_json::Value| layer["detail"].as_str().unwrap().to_owned();
        let mut json = serde_json::to_value(&told).unwrap();
        let untrusted = detail(&json["policy"]["sources"][0]);
        assert!(untrusted.starts_with("Everybody can write it. One finding: "), "{untrusted}");
        assert!(untrusted.contains(finding), "{untrusted}");
        json["policy"]["sources"][0]["detail"] = "".into();
        assert_eq!(
            json,
            json!({"mode": "enforce", "observe_until": null, "signing": [], "policy": {
                "by": "Acme",
                "revision": "7",
                "read_at": "2026-11-21T09:00:00Z",
                "age": 86_400,
                "findings": 3,
                "sources": [
                    {"kind": "managed-file", "locator": FILE, "status": "untrusted", "detail": "",
                     "revision": "42", "when": null, "digest": digest,
                     "read_at": "2026-11-22T09:00:00Z", "age": 0},
                    {"kind": "managed-file", "locator": "/etc/chaperone/policy.d/30.toml",
                     "status": "unreadable", "detail": "No.", "revision": null, "when": null,
                     "digest": null, "read_at": null, "age": null},
                    {"kind": "managed-bundle", "locator": "20.toml", "status": "present",
                     "detail": "", "revision": "7", "when": null, "digest": digest,
                     "read_at": "2026-11-21T09:00:00Z", "age": 86_400},
                ],
            }})
        );
        let said = words(&told);
        let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("  ")).collect();
        assert_eq!(
            lines,
            [
                "Managed by Acme, revision 7, with 3 findings: see `chaperone policy show`.",
                "untrusted  managed-file /etc/chaperone/policy.d/10.toml",
                "unreadable  managed-file /etc/chaperone/policy.d/30.toml",
            ]
        );
    }

    #[test]
    fn keys_that_sign_are_said() {
        let text = "[signing]\nssh_keys = [\"~/.ssh/id_ed25519.pub\"]\n";
        let told = told(vec![Layer::from_toml(SourceKind::ManagedFile, FILE, text)]);
        assert_eq!(told.signing, ["~/.ssh/id_ed25519.pub"]);
        let said = "Git may sign in sessions with ~/.ssh/id_ed25519.pub: see `chaperone doctor`.";
        assert_eq!(words(&told), format!("Managed.\n{said}\n"));
    }

    #[test]
    fn observing_is_said_until_it_is_over() {
        let observe = |until: &str| {
            let text = format!("mode = \"observe\"\nuntil = \"{until}\"\n");
            told(vec![Layer::from_toml(SourceKind::ManagedFile, FILE, &text)])
        };
        let now = observe("2026-12-31");
        assert_eq!(now.mode.as_deref(), Some("observe"));
        assert_eq!(words(&now), "Managed.\nObserve mode until 2027-01-01T00:00:00Z.\n");
        let over = observe("2026-10-31");
        assert_eq!(over.mode.as_deref(), Some("enforce"));
        assert_eq!(over.observe_until, Some("2026-11-01T00:00:00Z".parse().unwrap()));
        assert_eq!(words(&over), "Managed.\n");
    }
}
