//! The policy for a support ticket: every source, value, loser and finding, but not whose machine
//! it is. Names become placeholders that stay the same throughout.

use crate::load::Loaded;
use crate::paths::Paths;
use chaperone_policy::{
    Blocked, Finding, HostSet, LayerSummary, Loser, Origin, Said, Show, SourceKind, Value,
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;

/// What `chaperone policy show --redacted --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Of Chaperone.
    pub version: String,
    /// The operating system and the processor: `linux x86_64`.
    pub system: String,
    /// When it was made.
    pub time: Timestamp,
    /// The policy, with names replaced.
    #[serde(flatten)]
    pub shown: Show,
}

/// Makes the report of a policy as it is shown; `hosts` leaves host names as they are.
pub fn report(shown: Show, loaded: &Loaded, paths: &Paths, hosts: bool) -> Report {
    let organisation = loaded.policy.organisation().unwrap_or_default().to_owned();
    let names = Names {
        workspace: loaded.workspace.display().to_string(),
        home: paths.home.display().to_string(),
        people: vec![
            (crate::user_name(), "<user>"),
            (machine_name(), "<machine>"),
            (organisation, "<organisation>"),
        ],
        hosts: if hosts { Vec::new() } else { hosts_of(&shown) },
    };
    Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        time: Timestamp::now(),
        shown: names.replace(shown),
    }
}

/// What is replaced.
#[derive(Debug, Default)]
struct Names {
    workspace: String,
    home: String,
    /// Each with its placeholder.
    people: Vec<(String, &'static str)>,
    /// The longest first: the place of each in this list is its number.
    hosts: Vec<String>,
}

/// Too common to say anything about anybody, and too short to be replaced wherever it stands.
fn says_nothing(name: &str) -> bool {
    name.chars().count() < 2 || matches!(name, "root" | "localhost" | "user")
}

impl Names {
    fn replace(&self, shown: Show) -> Show {
        let Show { layers, values, findings, blocked } = shown;
        let blocked = blocked.into_iter().map(|Blocked { origin, reason }| Blocked {
            origin: self.origin(origin),
            reason: self.text(&reason),
        });
        Show {
            layers: layers.into_iter().map(|layer| self.layer(layer)).collect(),
            values: values.into_iter().map(|value| self.value(value)).collect(),
            findings: findings.into_iter().map(|finding| self.finding(finding)).collect(),
            blocked: blocked.collect(),
        }
    }

    fn layer(&self, layer: LayerSummary) -> LayerSummary {
        LayerSummary {
            locator: self.text(&layer.locator),
            detail: self.text(&layer.detail),
            revision: layer.revision.map(|text| self.text(&text)),
            when: layer.when.map(|text| self.text(&text)),
            ..layer
        }
    }

    fn value(&self, value: Value) -> Value {
        let json = |said: &Said| Said::from(self.json(&said.json()));
        let mut running = value.running;
        for one in &mut running {
            one.value = json(&one.value);
        }
        Value {
            value: json(&value.value),
            origins: value.origins.into_iter().map(|origin| self.origin(origin)).collect(),
            losers: value
                .losers
                .into_iter()
                .map(|Loser { value, origin, reason }| Loser {
                    value: json(&value),
                    origin: self.origin(origin),
                    reason: self.text(&reason).into(),
                })
                .collect(),
            findings: value.findings.into_iter().map(|finding| self.finding(finding)).collect(),
            running,
            ..value
        }
    }

    fn finding(&self, finding: Finding) -> Finding {
        Finding {
            file: self.text(&finding.file),
            expected: self.text(&finding.expected),
            found: self.text(&finding.found),
            ..finding
        }
    }

    fn origin(&self, Origin { kind, locator }: Origin) -> Origin {
        Origin { kind, locator: self.text(&locator) }
    }

    fn json(&self, value: &Json) -> Json {
        match value {
            Json::String(text) => Json::String(self.text(text)),
            Json::Array(entries) => entries.iter().map(|entry| self.json(entry)).collect(),
            Json::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.json(value))).collect()
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => value.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (folder, placeholder) in [(&self.workspace, "<workspace>"), (&self.home, "~")] {
            if folder.len() > 1 {
                text = replace(&text, folder, placeholder, |c| !is_of_a_name(c));
            }
        }
        for (number, host) in self.hosts.iter().enumerate() {
            let placeholder = format!("<host-{}>", number + 1);
            text = replace(&text, host, &placeholder, |c| !is_of_a_name(c));
        }
        for (name, placeholder) in &self.people {
            if !says_nothing(name) {
                text = replace(&text, name, placeholder, |c| !c.is_alphanumeric());
            }
        }
        text
    }
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_'
}

/// Replaces a name wherever it stands whole, in capitals or not; `ends` tells what may follow and
/// precede it.
fn replace(text: &str, name: &str, by: &str, ends: impl Fn(char) -> bool) -> String {
    let lower = text.to_lowercase();
    let name = name.to_lowercase();
    // Letters whose small form has another length would move every place behind them.
    if lower.len() != text.len() {
        return text.replace(&name, by);
    }
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in lower.match_indices(&name) {
        let to = at + name.len();
        let whole =
            text.get(..at).is_some_and(|before| before.chars().next_back().is_none_or(&ends))
                && text.get(to..).is_some_and(|behind| behind.chars().next().is_none_or(&ends));
        if whole && at >= from {
            out.push_str(text.get(from..at).unwrap_or_default());
            out.push_str(by);
            from = to;
        }
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// The hosts that somebody configured: those that Chaperone brings tell nothing.
fn hosts_of(shown: &Show) -> Vec<String> {
    let configured = |kind| !matches!(kind, SourceKind::BuiltIn | SourceKind::AgentFile);
    let mut hosts: Vec<String> = Vec::new();
    let mut add = |value: &Json| {
        let host = value.as_str().and_then(host_in).unwrap_or_default();
        let loopback = host == "localhost" || host == "::1" || host.starts_with("127.");
        // The name of a set is in everybody's policy.
        let set = HostSet::named(&host).is_some();
        if !host.is_empty() && !loopback && !set && !hosts.contains(&host) {
            hosts.push(host);
        }
    };
    for Value { key, value, origins, losers, .. } in &shown.values {
        if !matches!(*key, "network.allow" | "network.deny" | "remote.url") {
            continue;
        }
        let value = value.json();
        match value.as_array() {
            Some(entries) => {
                let own = entries.iter().zip(origins).filter(|(_, own)| configured(own.kind));
                own.for_each(|(entry, _)| add(entry));
            }
            None => add(&value),
        }
        losers
            .iter()
            .filter(|lost| configured(lost.origin.kind))
            .for_each(|lost| add(&lost.value.json()));
    }
    hosts.sort_by_key(|host| (std::cmp::Reverse(host.len()), host.clone()));
    hosts
}

/// `acme.example` of `*.acme.example:443` and of `https://acme.example/policy/`.
fn host_in(text: &str) -> Option<String> {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let text = text.strip_prefix("*.").unwrap_or(text);
    let host = match text.strip_prefix('[') {
        Some(address) => address.split(']').next()?,
        // An address of version 6 has colons of its own, and no port without brackets.
        None if text.matches(':').count() > 1 => text.split('/').next()?,
        None => text.split(['/', ':']).next()?,
    };
    Some(host.to_owned())
}

/// The name that this machine has on its network, as far as it is known.
#[cfg(unix)]
fn machine_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The name that this machine has on its network, as far as it is known.
#[cfg(windows)]
fn machine_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaperone_policy::{Context, Layer, Os, merge};

    fn names(hosts: Vec<String>) -> Names {
        Names {
            workspace: "/home/ada/work/api".into(),
            home: "/home/ada".into(),
            people: vec![
                ("ada".into(), "<user>"),
                ("ada-laptop".into(), "<machine>"),
                ("Acme".into(), "<organisation>"),
            ],
            hosts,
        }
    }

    #[test]
    fn names_go_and_what_they_say_stays() {
        let hosts = ["api.acme.example", "acme.example", "10.0.0.7"].map(String::from).to_vec();
        let table = [
            ("/home/ada/.kube", "~/.kube"),
            ("/home/ada", "~"),
            ("/home/ada/work/api/.chaperone.toml:3", "<workspace>/.chaperone.toml:3"),
            ("/home/adam/x", "/home/adam/x"),
            ("/srv/ada/x", "/srv/<user>/x"),
            ("HKCU\\Software of ADA", "HKCU\\Software of <user>"),
            (
                "/etc/chaperone/policy.d/20-acme.toml:4",
                "/etc/chaperone/policy.d/20-<organisation>.toml:4",
            ),
            ("*.acme.example", "*.<host-2>"),
            ("api.acme.example:8443", "<host-1>:8443"),
            ("wiki.acme.example", "wiki.<host-2>"),
            ("Ask at acme.example.", "Ask at <host-2>."),
            ("10.0.0.70", "10.0.0.70"),
            ("git push", "git push"),
            ("Publishes work.", "Publishes work."),
        ];
        for (text, expected) in table {
            assert_eq!(names(hosts.clone()).text(text), expected);
        }
        assert_eq!(names(Vec::new()).text("*.other.example:443"), "*.other.example:443");
    }

    #[test]
    fn a_name_that_says_nothing_stays() {
        let names = Names { people: vec![("root".into(), "<user>")], ..Names::default() };
        assert_eq!(names.text("remote.root of root"), "remote.root of root");
    }

    #[test]
    fn configured_hosts_are_found_and_those_of_agents_stay() {
        let context = Context {
            home: "/home/ada".into(),
            workspace: "/home/ada/work/api".into(),
            agent: None,
            os: Os::Linux,
        };
        let layer = |kind, text: &str| Layer::from_toml(kind, "/f.toml", text);
        let policy = merge(
            vec![
                layer(SourceKind::AgentFile, "[network]\nallow = [\"api.agent.example:443\"]"),
                layer(
                    SourceKind::ManagedFile,
                    "[network]\nallow = [\"*.acme.example\", \"localhost:4000\", \"[2001:db8::7]:443\"]\n\
                     [remote]\nurl = \"https://policy.acme.example/chaperone/\"\n",
                ),
                layer(SourceKind::WorkspaceFile, "[network]\nallow = [\"lost.example\"]"),
            ],
            &context,
        );
        assert_eq!(
            hosts_of(&policy.show()),
            ["policy.acme.example", "acme.example", "lost.example", "2001:db8::7"]
        );
    }
}
