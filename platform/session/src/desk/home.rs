//! The first page: whether agents on this machine are held, and by what.

use super::rules::{managed, sentence};
use super::watch::locked;
use super::{
    Agent, Away, Desk, Failure, Governed, Home, Loss, Machine, Protection, ProtectionLevel, Remedy,
    Tier, Unreachable,
};
use chaperone_audit::SessionSummary;
use chaperone_policy::{Class, LayerStatus, Mode, Policy, Problem};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long an examination of the machine holds.
const EXAMINED_FOR: Duration = Duration::from_secs(30);

/// Workspaces that are offered again.
const RECENT: usize = 10;

/// What `chaperone doctor --json` says.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Examination {
    tier: String,
    checks: Vec<Check>,
}

#[derive(Debug, Clone, Deserialize)]
struct Check {
    id: String,
    status: String,
    detail: String,
    fix: String,
}

impl Desk {
    /// The first page.
    ///
    /// # Errors
    /// When the history or the sessions cannot be looked at.
    pub fn home(&self) -> Result<Home, Failure> {
        self.home_of(false)
    }

    /// The same for root, who answers for everybody: the managed policy is judged as it holds for
    /// those who could not have written it.
    ///
    /// # Errors
    /// As [`Self::home`].
    pub fn home_for_others(&self) -> Result<Home, Failure> {
        self.home_of(true)
    }

    fn home_of(&self, for_others: bool) -> Result<Home, Failure> {
        let examined = self.examination();
        let policy = self.policy_for(for_others)?.policy;
        let summaries = self.summaries()?;
        let last: BTreeMap<String, Timestamp> = summaries
            .iter()
            .rev()
            .filter_map(|one| Some((one.agent.clone()?, one.started)))
            .collect();
        let agents = self.agents(&last);
        let listing = self.listing()?;
        let unreachable = listing
            .unreachable
            .into_iter()
            .map(|session| Unreachable { session: session.session, reason: session.reason });
        let mut sessions: Vec<_> = listing
            .sessions
            .iter()
            .map(|known| {
                let waiting = known.requests.iter().filter(|request| request.waiting).count();
                self.session(&known.info, waiting)
            })
            .collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.started));
        Ok(Home {
            protection: protection(&examined, &agents, weakness(&policy, Timestamp::now())),
            managed: managed(&policy, Timestamp::now()),
            machine: machine(&examined),
            agents,
            sessions,
            away: self.away()?,
            findings: policy.findings(),
            unreachable: unreachable.collect(),
            recent_workspaces: self.recent_workspaces(&summaries),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    /// Of earlier sessions, the latest first.
    pub(super) fn recent_workspaces(&self, summaries: &[SessionSummary]) -> Vec<String> {
        let demos = self.paths.cache.join("demo");
        let mut recent: Vec<String> = Vec::new();
        for workspace in summaries.iter().filter_map(|one| one.workspace.as_ref()) {
            let folder = Path::new(workspace);
            if !recent.contains(workspace) && folder.is_dir() && !folder.starts_with(&demos) {
                recent.push(workspace.clone());
            }
        }
        recent.truncate(RECENT);
        recent
    }

    fn away(&self) -> Result<Option<Away>, Failure> {
        let Some(since) = self.remembered().looked_away else { return Ok(None) };
        let (counts, latest) = self.since(since)?;
        Ok(Some(Away { since, counts, latest }))
    }

    /// Examines the machine in a process of its own: setting a sandbox up once forks, and a window
    /// has threads.
    fn examination(&self) -> Result<Examination, String> {
        let mut kept = locked(&self.examined);
        if let Some((at, examined)) = &*kept
            && at.elapsed() < EXAMINED_FOR
        {
            return Ok(examined.clone());
        }
        let examined = examine(&self.program)?;
        *kept = Some((Instant::now(), examined.clone()));
        Ok(examined)
    }
}

fn examine(program: &Path) -> Result<Examination, String> {
    let mut doctor = Command::new(program);
    let output = doctor
        .args(["doctor", "--json"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("it said nothing");
        format!("{} doctor failed: {last}", program.display())
    })
}

/// What keeps the managed policy from being enforced as it was deployed, and what to do about it.
fn weakness(policy: &Policy, now: Timestamp) -> Option<(String, &'static str)> {
    let managed = policy.layers().iter().filter(|layer| layer.class() == Class::Managed);
    let mut weak = managed.filter_map(|layer| {
        let remedy = match layer.status {
            LayerStatus::Untrusted => {
                "Let root alone own and write it and the folders above it, and nobody work as root"
            }
            LayerStatus::Expired => {
                "Publish the bundle anew, or find out why this machine does not reach it"
            }
            LayerStatus::Present
            | LayerStatus::Absent
            | LayerStatus::Unreadable
            | LayerStatus::Invalid => return None,
        };
        let why = layer.findings().iter().rfind(|finding| finding.problem == Problem::Source)?;
        let status = layer.status.word();
        Some((format!("{} is {status}: {}", layer.locator, why.found), remedy))
    });
    weak.next().or_else(|| {
        let until = policy.observed_until().filter(|_| policy.mode(now) == Mode::Observe)?;
        let because = format!(
            "what would be asked about or denied is only recorded until {} ({})",
            until.value, until.origin
        );
        Some((because, "Read `chaperone history report observed`, then deploy mode = \"enforce\""))
    })
}

fn protection(
    examined: &Result<Examination, String>,
    agents: &[Agent],
    weakness: Option<(String, &str)>,
) -> Protection {
    let not = |because: &str, remedy: &str| Protection {
        level: ProtectionLevel::Not,
        sentence: format!("Not protected, because {}.", lower(because)),
        remedy: Some(Remedy { text: sentence(remedy), command: None }),
    };
    let examined = match examined {
        Ok(examined) => examined,
        Err(error) => return not(error, "Install the chaperone command beside the window"),
    };
    if let Some(check) = examined.checks.iter().find(|check| check.status == "fail") {
        return not(&check.detail, &check.fix);
    }
    if let Some((because, remedy)) = weakness {
        return Protection {
            level: ProtectionLevel::Partly,
            sentence: format!("Partly protected: {because}."),
            remedy: Some(Remedy { text: sentence(remedy), command: None }),
        };
    }
    if tier(examined) != Tier::Full {
        let lost = examined.checks.iter().find(|check| check.status == "warn");
        return Protection {
            level: ProtectionLevel::Partly,
            sentence: "Partly protected: the sandbox here is not at full strength.".to_owned(),
            remedy: lost
                .filter(|check| !check.fix.is_empty())
                .map(|check| Remedy { text: check.fix.clone(), command: None }),
        };
    }
    let loose: Vec<&Agent> =
        agents.iter().filter(|agent| agent.governed != Governed::Sandboxed).collect();
    match loose.as_slice() {
        [] => Protection {
            level: ProtectionLevel::Protected,
            sentence: "Protected.".to_owned(),
            remedy: None,
        },
        [first, rest @ ..] => Protection {
            level: ProtectionLevel::Partly,
            sentence: match rest.len() {
                0 => format!("Partly protected: {} runs outside the sandbox.", first.title),
                more => format!(
                    "Partly protected: {} and {more} more run outside the sandbox.",
                    first.title
                ),
            },
            remedy: Some(Remedy {
                text: "Start it through Chaperone.".to_owned(),
                command: Some(first.command_to_start.clone()),
            }),
        },
    }
}

fn machine(examined: &Result<Examination, String>) -> Machine {
    let Ok(examined) = examined else { return Machine { tier: Tier::None, losses: Vec::new() } };
    let losses = examined.checks.iter().filter_map(|check| {
        Some(Loss {
            id: check.id.strip_prefix("lost-")?.to_owned(),
            detail: check.detail.clone(),
            fix: check.fix.clone(),
        })
    });
    Machine { tier: tier(examined), losses: losses.collect() }
}

fn tier(examined: &Examination) -> Tier {
    match examined.tier.as_str() {
        "full" => Tier::Full,
        "reduced" => Tier::Reduced,
        _ => Tier::None,
    }
}

/// As the middle of a sentence.
fn lower(words: &str) -> String {
    let mut letters = words.trim_end_matches('.').chars();
    let first = letters.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    // `HOME is …` keeps its capitals.
    if letters.as_str().starts_with(char::is_uppercase) {
        return words.trim_end_matches('.').to_owned();
    }
    format!("{first}{}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaperone_policy::{Context, Layer, Os, SourceKind, merge};

    const PLACE: &str = "/etc/chaperone/policy.d/10.toml";
    const OBSERVE: &str = "mode = \"observe\"\nuntil = \"2026-12-31\"\n";

    fn weak(layer: Layer, now: &str) -> Option<String> {
        let context = Context {
            home: "/home/ada".into(),
            workspace: "/home/ada/work".into(),
            agent: None,
            os: Os::Linux,
        };
        let policy = merge(vec![layer], &context);
        weakness(&policy, now.parse().unwrap()).map(|(because, _)| because)
    }

    #[test]
    fn a_managed_policy_that_is_not_enforced_as_it_was_deployed_is_a_weakness() {
        const NOW: &str = "2026-11-22T09:00:00Z";
        let file = |text| Layer::from_toml(SourceKind::ManagedFile, PLACE, text);
        assert_eq!(weak(file("[network]\nmode = \"none\"\n"), NOW), None);
        let untrusted = file("[network]\nmode = 1\n").untrusted("Everybody can write it.");
        let expected = format!("{PLACE} is untrusted: Everybody can write it");
        assert_eq!(weak(untrusted, NOW), Some(expected));
        let bundle = Layer::from_toml(SourceKind::ManagedBundle, "10.toml", "revision = \"1\"\n");
        assert_eq!(weak(bundle.clone(), NOW), None);
        assert_eq!(
            weak(bundle.expired("It ended yesterday.", false), NOW).as_deref(),
            Some("10.toml is expired: It ended yesterday")
        );
        let observed = format!(
            "what would be asked about or denied is only recorded until 2027-01-01T00:00:00Z \
             (managed-file {PLACE}:2)"
        );
        assert_eq!(weak(file(OBSERVE), NOW), Some(observed));
        assert_eq!(weak(file(OBSERVE), "2027-01-01T00:00:00Z"), None, "it is over");
    }

    #[test]
    fn what_is_wrong_with_a_layer_that_is_not_managed_is_none() {
        let own = Layer::from_toml(SourceKind::UserFile, PLACE, OBSERVE);
        let now = "2026-11-22T09:00:00Z";
        assert_eq!(weak(own.clone(), now), None);
        assert_eq!(weak(own.untrusted("Everybody can write it."), now), None);
    }
}
