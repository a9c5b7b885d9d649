//! Combines layers into the effective policy: the strictest of every managed and workspace
//! restriction, the closed lists, and the base.

mod lists;
mod mode;
mod ordered;

use crate::effective::{Blocked, CommandsPolicy, Rank};
use crate::schema::{KEYS, Shape};
use crate::{
    ApprovalsPolicy, ApprovalsSettings, Class, CommandSettings, Context, CredentialsSettings,
    EnvironmentSettings, FilesystemSettings, FindingStatus, IdentitySettings, Layer, LayerStatus,
    LimitsPolicy, LimitsSettings, Located, Loser, MinimumTier, NetworkMode, NetworkPolicy,
    NetworkSettings, OnExpiry, Origin, Policy, Remote, RemoteSettings, SandboxSettings, Scope,
    Scopes, Settings, SigningSettings, SourceKind, Sourced, Value, ValueStatus, Verdict, units,
};
use ordered::{bounded, choose};
use serde_json::{Value as Json, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// One layer that applies in this session, with what it may do.
struct Part<'a> {
    layer: &'a Layer,
    rank: Rank,
    /// Its restrictions bound the base.
    ceiling: bool,
    /// Why its grants do not count; `None` where they do.
    no_grants: Option<&'static str>,
}

/// The layers of one merge.
struct Parts<'a> {
    /// Those that apply, from the weakest kind to the strongest.
    active: Vec<Part<'a>>,
    /// Those that do not, with why.
    elsewhere: Vec<(&'a Layer, Arc<str>)>,
}

impl Part<'_> {
    fn managed(&self) -> bool {
        self.layer.class() == Class::Managed
    }

    fn settings(&self) -> &Settings {
        &self.layer.settings
    }
}

/// Collects the values of the keys as they are merged.
struct Merged {
    values: Vec<Value>,
}

impl Merged {
    fn add(&mut self, key: &'static str, value: Json, origins: Vec<Origin>, losers: Vec<Loser>) {
        let shape = KEYS.iter().find(|known| known.name == key).map(|known| known.shape);
        // One line may say the same twice.
        let mut seen = HashSet::new();
        let mut distinct = losers;
        distinct.retain(|loser| {
            let Loser { value, origin, reason } = loser;
            seen.insert((value.json().to_string(), origin.clone(), Arc::clone(reason)))
        });
        let status = if value.is_null() { ValueStatus::Unset } else { ValueStatus::Applied };
        let merge = shape.unwrap_or(Shape::Preference);
        self.values.push(Value {
            key,
            value: value.into(),
            origins,
            merge,
            status,
            losers: distinct,
            findings: Vec::new(),
            level: None,
            detail: String::new(),
            running: Vec::new(),
        });
    }
}

/// Merges layers for one session. The order in which they are given matters only among
/// `--policy` files, of which a later one overrides an earlier one.
pub fn merge(layers: Vec<Layer>, context: &Context) -> Policy {
    let layers = in_order(layers);
    let mut blocked = Vec::new();
    for layer in layers.iter().filter(|layer| layer.blocks()) {
        blocked.push(Blocked { origin: layer.origin(0), reason: why_blocked(layer) });
    }
    let mut inactive = Vec::new();
    let parts = parts(layers.iter().enumerate(), context, |at, when| inactive.push((at, when)));

    let mut merged = Merged { values: Vec::with_capacity(KEYS.len()) };
    let revision = preference("revision", &parts, &mut merged, |s| s.revision.as_ref());
    let organisation = preference("organisation", &parts, &mut merged, |s| s.organisation.as_ref());
    let observe = mode::observe(&parts, &mut merged);
    let minimum_tier = choose(
        "sandbox.minimum_tier",
        &parts,
        &mut merged,
        |settings| settings.sandbox.minimum_tier.as_ref(),
        MinimumTier::cmp,
        |tier| json!(tier),
    );
    let closed = lists::closed(&parts, |settings| settings.signing.closed.as_ref());
    let keys = lists::ssh_keys(&parts, closed.as_ref());
    let filesystem = lists::filesystem(&parts, context, &keys, &mut merged);
    let network = network(&parts, context, &mut merged);
    let commands = commands(&parts, context, &mut merged);
    let environment = lists::environment(&parts, &mut merged);
    let credentials = lists::credentials(&parts, context, network.login.as_ref(), &mut merged);
    let organisations = lists::organisations(&parts, &mut merged);
    let signing = lists::signing(&parts, keys, closed, &mut merged);
    let approvals = approvals(&parts, &mut merged);
    let limits = limits(&parts, &mut merged);
    let remote = effective_remote(&parts, &mut merged);

    let Merged { mut values } = merged;
    for value in &mut values {
        value.status = status(value, &parts, context, !blocked.is_empty());
    }
    drop(parts);
    Policy {
        layers,
        inactive,
        blocked,
        values,
        revision,
        organisation,
        observe,
        minimum_tier: minimum_tier.unwrap_or_else(|| built_in(MinimumTier::Full)),
        filesystem,
        network,
        commands,
        environment,
        credentials,
        organisations,
        signing,
        approvals,
        limits,
        remote,
    }
}

/// The signed bundle that these layers name, to be read and merged with them.
pub fn remote(layers: &[Layer], context: &Context) -> Option<Remote> {
    let names_one = |layer: &&Layer| layer.settings.remote.url.is_some();
    // Every session's start asks this, and hardly any has a bundle.
    layers.iter().find(names_one)?;
    let mut layers: Vec<&Layer> = layers.iter().collect();
    layers.sort_by_cached_key(|layer| place(layer));
    let parts = parts(layers.into_iter().enumerate(), context, |_, _| ());
    effective_remote(&parts, &mut Merged { values: Vec::new() })
}

/// Which layers take part, and which do not hold here: each of those is told with its condition.
fn parts<'a>(
    layers: impl Iterator<Item = (usize, &'a Layer)>,
    context: &Context,
    mut inactive: impl FnMut(usize, String),
) -> Parts<'a> {
    let mut parts = Parts { active: Vec::new(), elsewhere: Vec::new() };
    for (at, layer) in layers {
        if matches!(layer.status, LayerStatus::Absent | LayerStatus::Unreadable) {
            continue;
        }
        if let Some(when) = layer.settings.when.as_ref().filter(|when| !when.holds(context)) {
            inactive(at, when.to_string());
            parts.elsewhere.push((layer, format!("it holds when {when}").into()));
            continue;
        }
        parts.active.push(part(layer, at));
    }
    parts
}

/// What holds where not even the built-in defaults were merged: the strictest.
fn built_in<T>(value: T) -> Sourced<T> {
    Sourced { value, origin: Origin::built_in() }
}

/// From the weakest kind to the strongest. Files of one folder stand in name order, so that the
/// order of reading does not matter; equal layers count once.
fn in_order(layers: Vec<Layer>) -> Vec<Layer> {
    let mut kept: Vec<Layer> = Vec::with_capacity(layers.len());
    for layer in layers {
        kept.retain(|earlier| *earlier != layer);
        kept.push(layer);
    }
    kept.sort_by_cached_key(place);
    kept
}

fn place(layer: &Layer) -> (SourceKind, String) {
    match layer.kind {
        SourceKind::CommandLine => (layer.kind, String::new()),
        kind => (kind, layer.locator.clone()),
    }
}

fn part(layer: &Layer, at: usize) -> Part<'_> {
    let no_grants = match (layer.status, layer.class()) {
        (_, Class::Workspace) => Some("a workspace file may only restrict"),
        (_, Class::UserPolicy) => Some("its user can write it, so it may only restrict"),
        (LayerStatus::Untrusted, _) => Some("the file is untrusted, so it may only restrict"),
        (LayerStatus::Invalid, _) => Some("the file cannot be read whole, so it may only restrict"),
        (LayerStatus::Expired, _) => Some("the bundle has expired, so it may only restrict"),
        (_, Class::Managed | Class::Base) => layer
            .settings
            .when_unread
            .then_some("the file's `when` could not be read, so it may only restrict"),
    };
    // A layer of the base that may only restrict has no place from which a later one could
    // overrule it: nobody knows what its author meant.
    let ceiling = layer.class() != Class::Base || no_grants.is_some();
    // All managed layers share one place: their order must not matter.
    let rank = match layer.class() {
        Class::Managed => (SourceKind::ManagedFile, 0),
        Class::UserPolicy | Class::Base | Class::Workspace => (layer.kind, at),
    };
    Part { layer, rank, ceiling, no_grants }
}

fn why_blocked(layer: &Layer) -> String {
    // Anybody can fetch a bundle, and its detail says how.
    if layer.kind == SourceKind::ManagedBundle && layer.status != LayerStatus::Present {
        return format!("{} No session starts without it.", layer.detail);
    }
    let refused = layer.findings().iter().find(|f| f.status == FindingStatus::Refused);
    let what = refused.map_or_else(|| layer.detail.clone(), ToString::to_string);
    let who = match layer.class() {
        Class::Managed => "whoever manages this machine repairs it",
        Class::UserPolicy | Class::Base | Class::Workspace => "repair it, or move it away",
    };
    format!("{what}. Nobody can know what it would have forbidden, so no session starts: {who}.")
}

fn status(value: &Value, parts: &Parts<'_>, context: &Context, blocked: bool) -> ValueStatus {
    if blocked {
        return ValueStatus::Refused;
    }
    let configured = value.origins.iter().any(|origin| origin.kind != SourceKind::BuiltIn);
    let key = KEYS.iter().find(|key| key.name == value.key);
    let idle = key.is_some_and(|key| !key.systems.contains(&context.os));
    let own = if configured && idle { ValueStatus::Unsupported } else { value.status };
    parts
        .active
        .iter()
        .flat_map(|part| part.layer.findings())
        .filter(|finding| finding.concerns(value.key))
        .map(|finding| match finding.status {
            FindingStatus::Noted => own,
            FindingStatus::Dropped => ValueStatus::Dropped,
            FindingStatus::Partly => ValueStatus::Partly,
            FindingStatus::Strictest => ValueStatus::Strictest,
            FindingStatus::Refused => ValueStatus::Refused,
        })
        .fold(own, ValueStatus::max)
}

/// A plain preference: a managed layer's, the last by name, else the last of the base.
fn preference(
    key: &'static str,
    parts: &Parts<'_>,
    merged: &mut Merged,
    get: impl Fn(&Settings) -> Option<&Located<String>>,
) -> Option<Sourced<String>> {
    prefer(key, parts, merged, |part| part.no_grants, get)
}

/// The same where `why_not` says whose preference does not count.
fn prefer<T: Clone + ToString>(
    key: &'static str,
    parts: &Parts<'_>,
    merged: &mut Merged,
    why_not: impl Fn(&Part<'_>) -> Option<&'static str>,
    get: impl Fn(&Settings) -> Option<&Located<T>>,
) -> Option<Sourced<T>> {
    let mut chosen: Option<Sourced<T>> = None;
    let mut losers = Vec::new();
    let mut lose = |value: &T, origin: &Origin, reason: Arc<str>| {
        losers.push(Loser::new(json!(value.to_string()), origin.clone(), reason));
    };
    for (layer, reason) in &parts.elsewhere {
        if let Some(own) = get(&layer.settings) {
            lose(&own.value, &layer.origin(own.line), Arc::clone(reason));
        }
    }
    for part in &parts.active {
        let Some(own) = get(part.settings()) else { continue };
        let origin = part.layer.origin(own.line);
        let misspelled = own.restricts_only.then_some("its key is misspelled");
        if let Some(reason) = why_not(part).or(misspelled) {
            lose(&own.value, &origin, reason.into());
            continue;
        }
        match &chosen {
            Some(before) if before.origin.kind.class() == Class::Managed && !part.managed() => {
                lose(&own.value, &origin, format!("{} says it", before.origin).into());
            }
            before => {
                if let Some(before) = before {
                    lose(&before.value, &before.origin, format!("overridden by {origin}").into());
                }
                chosen = Some(Sourced { value: own.value.clone(), origin });
            }
        }
    }
    let value = chosen.as_ref().map_or(Json::Null, |chosen| json!(chosen.value.to_string()));
    let origins = chosen.iter().map(|chosen| chosen.origin.clone()).collect();
    merged.add(key, value, origins, losers);
    chosen
}

/// Where no trusted layer names a bundle, an untrusted one does: its restrictions count as the
/// layer's own do, and so do those of the bundle.
fn effective_remote(parts: &Parts<'_>, merged: &mut Merged) -> Option<Remote> {
    let names_one = |part: &Part<'_>| part.settings().remote.url.is_some();
    let trusted = parts.active.iter().any(|part| part.no_grants.is_none() && names_one(part));
    let why_not = |part: &Part<'_>| {
        let counts = !trusted && part.managed() && part.layer.status == LayerStatus::Untrusted;
        part.no_grants.filter(|_| !counts)
    };
    let url = prefer("remote.url", parts, merged, why_not, |settings| settings.remote.url.as_ref());
    let root =
        prefer("remote.root", parts, merged, why_not, |settings| settings.remote.root.as_ref());
    let on_expiry = choose(
        "remote.on_expiry",
        parts,
        merged,
        |settings| settings.remote.on_expiry.as_ref(),
        OnExpiry::cmp,
        |on_expiry| json!(on_expiry),
    );
    let on_expiry = on_expiry.unwrap_or_else(|| built_in(OnExpiry::Restrict));
    Some(Remote { url: url?, root, on_expiry, trusted })
}

fn network(parts: &Parts<'_>, context: &Context, merged: &mut Merged) -> NetworkPolicy {
    let mode = choose(
        "network.mode",
        parts,
        merged,
        |settings| settings.network.mode.as_ref(),
        NetworkMode::cmp,
        |mode| json!(mode),
    );
    let closed = lists::closed(parts, |settings| settings.network.closed.as_ref());
    let (allow, deny) = lists::hosts(parts, closed.as_ref(), merged);
    lists::show_closed("network.closed", parts, &closed, merged, |settings| {
        settings.network.closed.as_ref()
    });
    let why_not = |part: &Part<'_>| {
        // It could lead a host of the list to anywhere.
        let elsewhere = closed.is_some() && !part.managed();
        part.no_grants.or(elsewhere.then_some("a managed layer closes the list of hosts"))
    };
    let upstream =
        prefer("network.upstream", parts, merged, why_not, |s| s.network.upstream.as_ref());
    let is_managed = |own: &Origin| own.kind.class() == Class::Managed;
    let why_not = |part: &Part<'_>| {
        // What the organisation logs in with is for its own proxy.
        let astray =
            part.managed() && upstream.as_ref().is_some_and(|own| !is_managed(&own.origin));
        part.no_grants.or(astray.then_some("no managed layer names the upstream proxy"))
    };
    let login =
        prefer("network.upstream_login", parts, merged, why_not, |s| s.network.login.as_ref());
    let bypass = lists::bypass(parts, upstream.as_ref().map(|upstream| &upstream.origin), merged);
    let ca = lists::certificates(parts, context, merged);
    let read_only = choose(
        "network.read_only",
        parts,
        merged,
        |settings| settings.network.read_only.as_ref(),
        bool::cmp,
        |read_only| json!(read_only),
    );
    let read_only = read_only.filter(|own| own.value).map(|own| own.origin);
    let uploads = lists::uploads(parts, merged);
    let rules = lists::http_rules(parts, context, merged);
    let mode = mode.unwrap_or_else(|| built_in(NetworkMode::None));
    let unfamiliar = choose(
        "network.unfamiliar",
        parts,
        merged,
        |settings| settings.network.unfamiliar.as_ref(),
        Verdict::cmp,
        |unfamiliar| json!(unfamiliar),
    );
    let unfamiliar = unfamiliar.unwrap_or_else(|| built_in(Verdict::Ask));
    NetworkPolicy {
        mode,
        allow,
        deny,
        unfamiliar,
        closed,
        upstream,
        login,
        bypass,
        ca,
        read_only,
        uploads,
        rules,
    }
}

fn commands(parts: &Parts<'_>, context: &Context, merged: &mut Merged) -> CommandsPolicy {
    let closed = lists::closed(parts, |settings| settings.commands.closed.as_ref());
    let (rules, index, lost) = lists::rules(parts, context, merged);
    lists::show_closed("commands.closed", parts, &closed, merged, |settings| {
        settings.commands.closed.as_ref()
    });
    CommandsPolicy { rules, lost, index, closed }
}

fn approvals(parts: &Parts<'_>, merged: &mut Merged) -> ApprovalsPolicy {
    let scopes = choose(
        "approvals.scopes",
        parts,
        merged,
        |settings| settings.approvals.scopes.as_ref(),
        |a, b| b.cmp(a),
        |scopes| json!(scopes.list()),
    );
    let expires = choose(
        "approvals.expires",
        parts,
        merged,
        |settings| settings.approvals.expires.as_ref(),
        |a, b| b.cmp(a),
        |expires| json!(units::show_duration(*expires)),
    );
    let unattended = choose(
        "approvals.unattended",
        parts,
        merged,
        |settings| settings.approvals.unattended.as_ref(),
        Verdict::cmp,
        |verdict| json!(verdict),
    );
    let unattended = unattended.unwrap_or_else(|| built_in(Verdict::Deny));
    // What a layer of the base says here must not answer what a managed layer asks.
    let managed: Vec<&Part<'_>> = parts.active.iter().filter(|part| part.managed()).collect();
    let by_managed =
        bounded(&managed, |settings| settings.approvals.unattended.as_ref(), Verdict::cmp);
    let unattended_restricted = match by_managed {
        Some(managed) if managed.value < unattended.value => unattended.clone(),
        Some(managed) => managed,
        None if unattended.value == Verdict::Deny => unattended.clone(),
        None => built_in(Verdict::Deny),
    };
    ApprovalsPolicy {
        scopes: scopes.unwrap_or_else(|| built_in(Scopes { widest: Scope::Once })),
        expires: expires.unwrap_or_else(|| built_in(Duration::from_secs(600))),
        unattended,
        unattended_restricted,
    }
}

fn limits(parts: &Parts<'_>, merged: &mut Merged) -> LimitsPolicy {
    let memory = choose(
        "limits.memory",
        parts,
        merged,
        |settings| settings.limits.memory.as_ref(),
        |a, b| b.cmp(a),
        |bytes| json!(units::show_bytes(*bytes)),
    );
    let processes = choose(
        "limits.processes",
        parts,
        merged,
        |settings| settings.limits.processes.as_ref(),
        |a, b| b.cmp(a),
        |count| json!(count),
    );
    let open_files = choose(
        "limits.open_files",
        parts,
        merged,
        |settings| settings.limits.open_files.as_ref(),
        |a, b| b.cmp(a),
        |count| json!(count),
    );
    let mut time = |key, get: fn(&Settings) -> Option<&Located<Duration>>| {
        choose(key, parts, merged, get, |a, b| b.cmp(a), |time| json!(units::show_duration(*time)))
    };
    let cpu_time = time("limits.cpu_time", |settings| settings.limits.cpu_time.as_ref());
    let wall_time = time("limits.wall_time", |settings| settings.limits.wall_time.as_ref());
    LimitsPolicy { memory, processes, open_files, cpu_time, wall_time }
}

/// Does not compile when the schema gains a key that nothing above merges.
fn _every_key_is_merged(settings: &Settings) {
    let Settings {
        revision: _,
        organisation: _,
        min_version: _,
        mode: _,
        until: _,
        when: _,
        when_unread: _,
        sandbox: SandboxSettings { minimum_tier: _ },
        filesystem:
            FilesystemSettings { read: _, write: _, deny: _, deny_write: _, sockets: _, unread: _ },
        network:
            NetworkSettings {
                mode: _,
                allow: _,
                deny: _,
                unfamiliar: _,
                closed: _,
                upstream: _,
                login: _,
                bypass: _,
                ca: _,
                read_only: _,
                upload: _,
                rules: _,
            },
        commands: CommandSettings { rules: _, closed: _ },
        environment: EnvironmentSettings { pass: _, deny: _ },
        credentials: CredentialsSettings { inject: _, closed: _ },
        identity: IdentitySettings { organisations: _, unread: _ },
        signing: SigningSettings { ssh_keys: _, closed: _ },
        approvals: ApprovalsSettings { scopes: _, expires: _, unattended: _ },
        limits: LimitsSettings { memory: _, processes: _, open_files: _, cpu_time: _, wall_time: _ },
        remote: RemoteSettings { url: _, root: _, on_expiry: _ },
    } = settings;
}

#[cfg(test)]
mod tests;
