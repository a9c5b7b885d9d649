//! Budgets of what a session may send: so much to a host, or to all hosts together, within a time. An
//! allowed host is not an open door.

use crate::effective::Sourced;
use crate::host::HostPattern;
use crate::units;
use crate::{HostSpec, Origin, Policy};
use std::fmt;
use std::time::Duration;

/// What an entry of `network.upload` looks like.
const EXPECTED: &str = "`SIZE per TIME` or `HOST SIZE per TIME`, such as \"50 MiB per 1h\" or \
    \"*.acme.example 1 GiB per session\"";
/// Units of a size; `parse_bytes` takes more spellings of them.
const UNITS: [&str; 9] = ["KiB", "MiB", "GiB", "TiB", "KB", "MB", "GB", "TB", "B"];
/// Digits of a size, and of a time.
const DIGITS: (usize, usize) = (6, 4);

/// An entry of `network.upload`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UploadBudget {
    /// The hosts that share it; without one every host has one of its own.
    pub host: Option<HostPattern>,
    /// Bytes.
    pub bytes: u64,
    /// Within which time; without one, as long as the session lasts.
    pub per: Option<Duration>,
}

impl UploadBudget {
    /// Reads an entry.
    ///
    /// # Errors
    /// Says what was expected.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (what, per) = text.rsplit_once(" per ").ok_or(EXPECTED)?;
        let per = time(per).ok_or(EXPECTED)?;
        let (host, bytes) = match (size(what), what.split_once(' ')) {
            (Some(bytes), _) => (None, bytes),
            (None, Some((host, rest))) => {
                (Some(HostPattern::parse(host).map_err(|_| EXPECTED)?), size(rest).ok_or(EXPECTED)?)
            }
            (None, None) => return Err(EXPECTED),
        };
        Ok(Self { host, bytes, per })
    }

    /// What can be read of a broken one: the host that it is about, to which nothing is sent then.
    pub(crate) fn salvage(text: &str) -> Option<Self> {
        let host = HostPattern::salvage(text.split(' ').next()?)?;
        Some(Self { host: Some(host), ..Self::nothing() })
    }

    /// Nothing is sent anywhere.
    pub(crate) fn nothing() -> Self {
        Self { host: Some(HostPattern { host: HostSpec::Any, port: None }), bytes: 0, per: None }
    }

    /// What it is about, in words.
    pub fn sentence(&self, host: &str) -> String {
        let bytes = units::show_bytes(self.bytes);
        let to = match &self.host {
            None => host.to_owned(),
            Some(HostPattern { host: HostSpec::Any, port: None }) => {
                "all hosts together".to_owned()
            }
            Some(pattern) => format!("what {pattern} names"),
        };
        let within = self.per.map_or_else(
            || "in one session".to_owned(),
            |per| format!("within {}", units::show_duration(per)),
        );
        format!("no more than {bytes} may be sent to {to} {within}")
    }
}

impl fmt::Display for UploadBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, bytes, per } = self;
        if let Some(host) = host {
            write!(f, "{host} ")?;
        }
        write!(f, "{} per ", units::show_bytes(*bytes))?;
        match per {
            Some(per) => f.write_str(&units::show_duration(*per)),
            None => f.write_str("session"),
        }
    }
}

fn digits(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn size(text: &str) -> Option<u64> {
    let unit = UNITS.iter().find(|unit| text.ends_with(**unit))?;
    let number = text.strip_suffix(unit)?;
    let number = number.strip_suffix(' ').unwrap_or(number);
    digits(number, DIGITS.0).then(|| units::parse_bytes(text)).flatten()
}

/// A time, or none for a session.
fn time(text: &str) -> Option<Option<Duration>> {
    if text == "session" {
        return Some(None);
    }
    let seconds = match text.as_bytes().last()? {
        b'm' => 60,
        b'h' => 3600,
        _ => return None,
    };
    let number = text.get(..text.len() - 1)?;
    let number = digits(number, DIGITS.1).then(|| number.parse::<u64>().ok()).flatten()?;
    (number > 0).then(|| Some(Duration::from_secs(number * seconds)))
}

/// An entry with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EffectiveUpload {
    pub(crate) budget: Sourced<UploadBudget>,
    /// Its layer's number.
    pub(crate) layer: usize,
}

/// The budgets of a host: of each layer those that name it, else those that name none; and what is
/// said of all hosts together.
pub fn uploads<'p>(policy: &'p Policy, host: &str, port: u16) -> Vec<&'p Sourced<UploadBudget>> {
    let all = &policy.network().uploads;
    let is_named = |own: &EffectiveUpload| {
        own.budget.value.host.as_ref().is_some_and(|pattern| {
            !matches!(pattern.host, HostSpec::Any) && pattern.matches(host, port)
        })
    };
    let holds = |own: &&EffectiveUpload| match &own.budget.value.host {
        Some(pattern) => pattern.matches(host, port),
        None => !all.iter().any(|other| other.layer == own.layer && is_named(other)),
    };
    all.iter().filter(holds).map(|own| &own.budget).collect()
}

/// Who limits what may be sent, if anybody does.
pub(crate) fn limits(uploads: &[EffectiveUpload]) -> Option<(&'static str, &Origin)> {
    Some(("network.upload", &uploads.first()?.budget.origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Layer, Os, SourceKind, built_in, merge};

    #[test]
    fn what_is_read_is_written_back_and_what_is_none_is_refused() {
        for text in [
            "50 MiB per 1h",
            "1 GiB per session",
            "api.acme.example 200 KiB per 24h",
            "*.acme.example:443 5 MiB per 1h 30m",
            "* 0 B per session",
            "github 1 GiB per 48h",
        ] {
            let read = UploadBudget::parse(&text.replace("1h 30m", "90m")).unwrap();
            assert_eq!(read.to_string(), text);
        }
        for text in [
            "",
            "50 MiB",
            "50 per 1h",
            "50MiB/1h",
            "MiB per 1h",
            "50 MiB per hour",
            "50 MiB per 0h",
            "50 MiB per 1d",
            "50  MiB per 1h",
            "50 mib per 1h",
            "unknown 50 MiB per 1h",
            "https://a.example 50 MiB per 1h",
            "a.example b.example 50 MiB per 1h",
            "1234567 MiB per 1h",
        ] {
            assert!(UploadBudget::parse(text).is_err(), "{text:?}");
        }
    }

    fn budgets(layers: &[(SourceKind, &str)], host: &str) -> Vec<String> {
        let context = Context {
            home: "/home/ada".into(),
            workspace: "/home/ada/work".into(),
            agent: None,
            os: Os::Linux,
        };
        let read = layers.iter().enumerate().map(|(at, (kind, text))| {
            Layer::from_toml(*kind, &format!("/{at}.toml"), &format!("[network]\nupload = {text}"))
        });
        let policy = merge(read.chain([built_in()]).collect(), &context);
        uploads(&policy, host, 443).iter().map(|own| own.value.to_string()).collect()
    }

    #[test]
    fn every_layer_holds_and_of_one_layer_what_names_the_host_before_what_names_none() {
        let managed =
            r#"["50 MiB per 1h", "api.acme.example 2 GiB per 1h", "* 4 GiB per session"]"#;
        let managed = (SourceKind::ManagedFile, managed);
        let workspace = (
            SourceKind::WorkspaceFile,
            r#"["9 GiB per session", "api.acme.example 9 GiB per 1h"]"#,
        );
        let (all, own) = ("* 4 GiB per session", "api.acme.example 2 GiB per 1h");
        assert_eq!(budgets(&[managed], "a.example"), ["50 MiB per 1h", all]);
        assert_eq!(budgets(&[managed], "api.acme.example"), [own, all]);
        let both = [managed, workspace];
        assert_eq!(budgets(&both, "a.example"), ["50 MiB per 1h", all, "9 GiB per session"]);
        assert_eq!(budgets(&both, "api.acme.example"), [own, all, "api.acme.example 9 GiB per 1h"]);
        assert_eq!(budgets(&[], "a.example"), [""; 0]);
    }

    #[test]
    fn of_a_broken_entry_of_a_managed_layer_its_host_gets_nothing_or_all_do() {
        let managed = |text| budgets(&[(SourceKind::ManagedFile, text)], "a.example");
        assert_eq!(managed(r#"["a.example 5 parsecs"]"#), ["a.example 0 B per session"]);
        assert_eq!(managed(r#"["b.example 5 parsecs"]"#), [""; 0]);
        assert_eq!(managed(r#"["5 parsecs"]"#), ["* 0 B per session"]);
        assert_eq!(managed("5"), ["* 0 B per session"]);
        assert_eq!(budgets(&[(SourceKind::UserFile, r#"["5 parsecs"]"#)], "a.example"), [""; 0]);
    }
}
