//! The policy: the effective result of all layers, every value with its origin.

use crate::organisations::Pinned;
use crate::origin::Places;
use crate::rules::{CommandRule, RuleIndex};
use crate::upload::{self, EffectiveUpload};
use crate::{
    Class, CredentialsPolicy, Finding, HostPattern, HttpRule, KEYS, Layer, LayerSummary,
    MinimumTier, Mode, NamePattern, NetworkMode, OnExpiry, Origin, PathPattern, Scopes, Show,
    SourceKind, SshKey, UnknownKey, Upstream, Value, ValueStatus, Verdict, explain,
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A value with where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// A layer without which nobody knows what is forbidden: no session starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct Blocked {
    /// The layer.
    #[serde(flatten)]
    pub origin: Origin,
    /// What is wrong with it and what to do, in plain words.
    pub reason: String,
}

/// The place of a layer in the base; managed layers share one.
pub(crate) type Rank = (SourceKind, usize);

/// The effective policy of one session.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(crate) layers: Vec<Layer>,
    /// Positions in `layers` of those whose condition does not hold here, with the condition.
    pub(crate) inactive: Vec<(usize, String)>,
    pub(crate) blocked: Vec<Blocked>,
    pub(crate) values: Vec<Value>,
    pub(crate) revision: Option<Sourced<String>>,
    pub(crate) organisation: Option<Sourced<String>>,
    /// Until when decisions are only recorded.
    pub(crate) observe: Option<Sourced<Timestamp>>,
    pub(crate) minimum_tier: Sourced<MinimumTier>,
    pub(crate) filesystem: Filesystem,
    pub(crate) network: NetworkPolicy,
    pub(crate) commands: CommandsPolicy,
    pub(crate) environment: EnvironmentPolicy,
    pub(crate) credentials: CredentialsPolicy,
    pub(crate) organisations: Vec<Pinned>,
    pub(crate) signing: SigningPolicy,
    pub(crate) approvals: ApprovalsPolicy,
    pub(crate) limits: LimitsPolicy,
    pub(crate) remote: Option<Remote>,
}

/// What the policy says of files, beyond the sandbox's own defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filesystem {
    /// May be read.
    pub read: Vec<Sourced<PathPattern>>,
    /// May be read and written.
    pub write: Vec<Sourced<PathPattern>>,
    /// Neither read nor written, whatever grants it.
    pub deny: Vec<Sourced<PathPattern>>,
    /// Not written, whatever grants it.
    pub deny_write: Vec<Sourced<PathPattern>>,
    /// Sockets that may be connected to.
    pub sockets: Vec<Sourced<PathPattern>>,
}

/// What the policy says of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// What a session can reach.
    pub mode: Sourced<NetworkMode>,
    /// May be reached; only managed entries where the list is closed.
    pub allow: Vec<Sourced<HostPattern>>,
    /// Never reached.
    pub deny: Vec<Sourced<HostPattern>>,
    /// What becomes of a host that no list names and that is not familiar.
    pub unfamiliar: Sourced<Verdict>,
    /// Set where a managed layer closes the list.
    pub closed: Option<Origin>,
    /// What connections go through.
    pub upstream: Option<Sourced<Upstream>>,
    /// The credential that it lets in, by name: of a managed layer only where one names the proxy.
    pub login: Option<Sourced<String>>,
    /// What goes past that; only managed entries where a managed layer names it.
    pub bypass: Vec<Sourced<HostPattern>>,
    /// Files of certificates that its programs trust, too.
    pub ca: Vec<Sourced<PathPattern>>,
    /// Set where HTTP requests may only read: who says it.
    pub read_only: Option<Origin>,
    /// Budgets of what may be sent, from the weakest layer to the strongest.
    pub(crate) uploads: Vec<EffectiveUpload>,
    /// The rules about HTTP requests, from the weakest layer to the strongest.
    pub(crate) rules: Vec<EffectiveHttpRule>,
}

impl NetworkPolicy {
    /// Who restricts HTTP requests, and with which key, if anybody does.
    pub fn restricts_requests(&self) -> Option<(&'static str, &Origin)> {
        let restricts = |own: &&EffectiveHttpRule| own.rule.decision != Verdict::Allow;
        let rule = self.rules.iter().find(restricts).map(|own| ("network.rule", &own.origin));
        rule.or_else(|| Some(("network.read_only", self.read_only.as_ref()?)))
    }
}

/// A rule about HTTP requests with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EffectiveHttpRule {
    pub(crate) rule: Arc<HttpRule>,
    pub(crate) origin: Origin,
    pub(crate) rank: Rank,
    /// The restrictions of its layer bound the base.
    pub(crate) ceiling: bool,
    /// Its layer's number.
    pub(crate) layer: usize,
}

/// A command rule with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EffectiveRule {
    pub(crate) rule: Arc<CommandRule>,
    pub(crate) place: RulePlace,
}

impl EffectiveRule {
    /// Whether it bounds whatever the base says.
    pub(crate) fn is_ceiling(&self) -> bool {
        self.place.layer.ceiling && self.rule.decision != Verdict::Allow
    }

    /// Its layer's place in the base.
    pub(crate) fn rank(&self) -> Rank {
        self.place.layer.rank
    }
}

/// A command rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LostRule {
    pub(crate) rule: Arc<CommandRule>,
    pub(crate) place: RulePlace,
    pub(crate) reason: Arc<str>,
}

/// Where a rule stands, written out only for the few that anybody asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RulePlace {
    pub(crate) layer: Arc<RuleLayer>,
    pub(crate) line: usize,
}

/// What the rules of a layer share.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RuleLayer {
    pub(crate) places: Places,
    pub(crate) rank: Rank,
    /// Its restrictions bound the base.
    pub(crate) ceiling: bool,
}

impl RulePlace {
    pub(crate) fn origin(&self) -> Origin {
        self.layer.places.origin(self.line)
    }

    /// What the origin displays, behind some words.
    pub(crate) fn behind(&self, words: &str) -> Arc<str> {
        self.layer.places.behind(words, self.line).into()
    }

    pub(crate) fn class(&self) -> Class {
        self.layer.places.whole.kind.class()
    }
}

/// What the policy says of commands.
#[derive(Debug, Clone)]
pub(crate) struct CommandsPolicy {
    pub(crate) rules: Vec<EffectiveRule>,
    pub(crate) lost: Vec<LostRule>,
    pub(crate) index: RuleIndex,
    pub(crate) closed: Option<Origin>,
}

impl PartialEq for CommandsPolicy {
    fn eq(&self, other: &Self) -> bool {
        // The index follows from the rules.
        let Self { rules, lost, index: _, closed } = self;
        *rules == other.rules && *lost == other.lost && *closed == other.closed
    }
}

/// What the policy says of environment variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvironmentPolicy {
    /// Passed, from the weakest layer to the strongest.
    pub pass: Vec<Sourced<NamePattern>>,
    /// Not passed.
    pub deny: Vec<Sourced<NamePattern>>,
    pub(crate) pass_ranks: Vec<Rank>,
    /// `None` for an entry that bounds whatever the base says.
    pub(crate) deny_ranks: Vec<Option<Rank>>,
}

/// What the policy says of signing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SigningPolicy {
    /// Git may sign with these; only managed entries where the list is closed.
    pub ssh_keys: Vec<Sourced<SshKey>>,
    /// Set where a managed layer closes the list.
    pub closed: Option<Origin>,
}

/// What the policy says of approvals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalsPolicy {
    /// How far an approval may reach.
    pub scopes: Sourced<Scopes>,
    /// How long a request waits.
    pub expires: Sourced<Duration>,
    /// What becomes of a request of the base when nobody can answer: `Allow` or `Deny`.
    pub unattended: Sourced<Verdict>,
    /// The same for a request that a managed or workspace layer raised.
    pub unattended_restricted: Sourced<Verdict>,
}

/// What the policy says of resources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsPolicy {
    /// Bytes.
    pub memory: Option<Sourced<u64>>,
    /// Processes and threads.
    pub processes: Option<Sourced<u64>>,
    /// Open files of each process.
    pub open_files: Option<Sourced<u64>>,
    /// Time on processors, of all processes together.
    pub cpu_time: Option<Sourced<Duration>>,
    /// From start to end.
    pub wall_time: Option<Sourced<Duration>>,
}

/// The signed bundle that a managed layer names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Where it lies.
    pub url: Sourced<String>,
    /// A path, or the root's JSON itself; without it nothing can be verified.
    pub root: Option<Sourced<String>>,
    /// What becomes of it when it has expired.
    pub on_expiry: Sourced<OnExpiry>,
    /// Whether its grants count: a layer named it that only its rightful owner could have written.
    pub trusted: bool,
}

impl Policy {
    /// Every layer that was merged, from the weakest kind to the strongest.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The layers for which no session may start; empty is good.
    pub fn blocked(&self) -> &[Blocked] {
        &self.blocked
    }

    /// Every key of the schema, in its order.
    pub fn values(&self) -> Vec<Value> {
        self.values.iter().map(|value| self.whole(value)).collect()
    }

    /// A value as it is shown. The rules are written out only here: a session's start, which reads
    /// thousands of them, shows none.
    fn whole(&self, value: &Value) -> Value {
        let mut value = value.clone();
        if value.key == "commands.rule" {
            (value.value, value.origins, value.losers) = explain::rules(&self.commands);
        }
        if value.status > ValueStatus::Unset {
            let about = |finding: &Finding| finding.concerns(value.key);
            value.findings = self.findings().into_iter().filter(about).collect();
        }
        value.level = value.origins.iter().map(|origin| origin.kind.class()).min();
        if value.level.is_none() && value.status == ValueStatus::Applied {
            value.status = ValueStatus::Unset;
        }
        value.detail = match value.status {
            ValueStatus::Unset if !value.losers.is_empty() => "Nothing that was said holds.",
            status => status.sentence(),
        }
        .to_owned();
        value
    }

    /// One key.
    ///
    /// # Errors
    /// Names the nearest key where there is none of this name.
    pub fn explain(&self, key: &str) -> Result<Value, UnknownKey> {
        let found = self.values.iter().find(|value| value.key == key);
        found.map(|value| self.whole(value)).ok_or_else(|| UnknownKey::new(key, self.findings()))
    }

    /// The keys that are carried out when a session starts, with their values.
    pub fn at_start(&self) -> BTreeMap<&'static str, Json> {
        let at_start = |key: &str| KEYS.iter().any(|known| known.name == key && !known.live);
        let values = self.values.iter().filter(|value| at_start(value.key));
        values.map(|value| (value.key, value.value.json())).collect()
    }

    /// What is wrong with any layer that applies here, from the weakest layer.
    pub fn findings(&self) -> Vec<Finding> {
        let here = |at: &usize| !self.inactive.iter().any(|(inactive, _)| inactive == at);
        let layers = self.layers.iter().enumerate().filter(|(at, _)| here(at));
        layers.flat_map(|(_, layer)| layer.findings().to_vec()).collect()
    }

    /// The whole policy as `policy show --json` prints it.
    pub fn show(&self) -> Show {
        let mut layers: Vec<LayerSummary> = self.layers.iter().map(Layer::summary).collect();
        for (at, condition) in &self.inactive {
            if let Some(summary) = layers.get_mut(*at) {
                let note = format!("It does not apply here: it holds when {condition}.");
                summary.detail = format!("{note} {}", summary.detail).trim_end().to_owned();
            }
        }
        let blocked = self.blocked.clone();
        Show { layers, values: self.values(), findings: self.findings(), blocked }
    }

    /// What holds of files.
    pub fn filesystem(&self) -> &Filesystem {
        &self.filesystem
    }

    /// What holds of the network.
    pub fn network(&self) -> &NetworkPolicy {
        &self.network
    }

    /// Set where a managed layer closes the list of commands.
    pub fn commands_closed(&self) -> Option<&Origin> {
        self.commands.closed.as_ref()
    }

    /// The rules about commands, each with the kind of its source: the strongest layer's first, and
    /// of one layer the first that was written.
    pub fn command_rules(&self) -> impl Iterator<Item = (&CommandRule, SourceKind)> {
        // They stand from the weakest layer to the strongest.
        let layers = self.commands.rules.chunk_by(|one, other| one.rank() == other.rank());
        let rules = layers.rev().flatten();
        rules.map(|own| (&*own.rule, own.place.layer.places.whole.kind))
    }

    /// What holds of environment variables.
    pub fn environment(&self) -> &EnvironmentPolicy {
        &self.environment
    }

    /// What holds of credentials.
    pub fn credentials(&self) -> &CredentialsPolicy {
        &self.credentials
    }

    /// Whose accounts may be used, of each provider of which a layer says it.
    pub fn organisations(&self) -> &[Pinned] {
        &self.organisations
    }

    /// Who restricts what passes the network in a way that only the supervisor can hold, and with
    /// which key, if anybody does.
    pub fn wants_supervisor(&self) -> Option<(&'static str, &Origin)> {
        let pinned = self.organisations.first().map(|own| ("identity.organisations", &own.origin));
        self.network
            .restricts_requests()
            .or_else(|| upload::limits(&self.network.uploads))
            .or(pinned)
    }

    /// What holds of signing.
    pub fn signing(&self) -> &SigningPolicy {
        &self.signing
    }

    /// What holds of approvals.
    pub fn approvals(&self) -> &ApprovalsPolicy {
        &self.approvals
    }

    /// What holds of resources.
    pub fn limits(&self) -> &LimitsPolicy {
        &self.limits
    }

    /// The weakest sandbox in which a session may start.
    pub fn minimum_tier(&self) -> MinimumTier {
        self.minimum_tier.value
    }

    /// The same with its origin.
    pub fn minimum_tier_sourced(&self) -> &Sourced<MinimumTier> {
        &self.minimum_tier
    }

    /// The policy's own name for its version: a managed layer's, else the latest of the base.
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_ref().map(|revision| revision.value.as_str())
    }

    /// The name of whoever manages this machine, where a managed layer says it.
    pub fn organisation(&self) -> Option<&str> {
        self.organisation.as_ref().map(|organisation| organisation.value.as_str())
    }

    /// Whether decisions take effect at this time, or are only recorded.
    pub fn mode(&self, now: Timestamp) -> Mode {
        match &self.observe {
            Some(until) if now < until.value => Mode::Observe,
            Some(_) | None => Mode::Enforce,
        }
    }

    /// Until when decisions are only recorded, and who says so; also where that is over by now.
    pub fn observed_until(&self) -> Option<&Sourced<Timestamp>> {
        self.observe.as_ref()
    }

    /// The signed bundle that a managed layer names.
    pub fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }
}

impl EnvironmentPolicy {
    /// Whether a variable of this name reaches the session. A `pass` that names it in full
    /// overrides a pattern of its own or an earlier layer of the base; one with `*` overrides
    /// nothing; managed and workspace denials hold.
    pub fn passes(&self, name: &str) -> bool {
        let Self { pass, deny, pass_ranks, deny_ranks } = self;
        let matching =
            || pass.iter().zip(pass_ranks).filter(|(pattern, _)| pattern.value.matches(name));
        let named =
            matching().filter(|(pattern, _)| pattern.value.is_exact()).map(|(_, rank)| *rank).max();
        if named.is_none() && matching().next().is_none() {
            return false;
        }
        deny.iter().zip(deny_ranks).filter(|(pattern, _)| pattern.value.matches_any_case(name)).all(
            |(pattern, rank)| match (named, rank) {
                (Some(named), Some(rank)) if pattern.value.is_exact() => named > *rank,
                (Some(named), Some(rank)) => named >= *rank,
                _ => false,
            },
        )
    }
}
