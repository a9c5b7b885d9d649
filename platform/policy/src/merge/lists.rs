//! Keys that are lists of rules: grants add up where they may grant, restrictions always.

use super::{Merged, Parts};
use crate::effective::{EffectiveHttpRule, EffectiveRule, LostRule, Rank, RuleLayer, RulePlace};
use crate::organisations::{PROVIDERS, Pinned};
use crate::rules::RuleIndex;
use crate::upload::EffectiveUpload;
use crate::{
    Class, Context, CredentialsPolicy, EnvironmentPolicy, Filesystem, HostPattern,
    IdentitySettings, Injection, Located, Loser, NamePattern, Origin, PathPattern, Settings,
    SigningPolicy, Sourced, SshKey, Verdict,
};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Why a grant does not count whose key nobody wrote.
const MISSPELLED: &str = "its key is misspelled";

/// One entry of a list with its layer's place.
struct Entry<T> {
    value: T,
    origin: Origin,
    rank: Rank,
    ceiling: bool,
}

/// The entries of a list from every layer whose entries count, and those that do not.
fn gather<T, V>(
    parts: &Parts<'_>,
    get: impl Fn(&Settings) -> &Vec<Located<V>>,
    grants: bool,
    make: impl Fn(&V) -> T,
    show: impl Fn(&V) -> Json,
    losers: &mut Vec<Loser>,
) -> Vec<Entry<T>> {
    let mut out: Vec<Entry<T>> = Vec::new();
    for (layer, reason) in &parts.elsewhere {
        let places = layer.places();
        for Located { value, line, restricts_only: _ } in get(&layer.settings) {
            losers.push(Loser::new(show(value), places.origin(*line), Arc::clone(reason)));
        }
    }
    for part in &parts.active {
        let places = part.layer.places();
        for Located { value, line, restricts_only } in get(part.settings()) {
            let origin = places.origin(*line);
            let refused = match part.no_grants {
                Some(reason) if grants => Some(reason),
                None if grants && *restricts_only => Some(MISSPELLED),
                _ => None,
            };
            match refused {
                Some(reason) => {
                    losers.push(Loser::new(show(value), origin, reason));
                }
                None => {
                    let (rank, ceiling) = (part.rank, part.ceiling);
                    out.push(Entry { value: make(value), origin, rank, ceiling });
                }
            }
        }
    }
    out
}

fn sourced<T>(entries: Vec<Entry<T>>) -> Vec<Sourced<T>> {
    entries
        .into_iter()
        .map(|Entry { value, origin, rank: _, ceiling: _ }| Sourced { value, origin })
        .collect()
}

fn show_list<T: ToString>(
    key: &'static str,
    list: &[Sourced<T>],
    losers: Vec<Loser>,
    merged: &mut Merged,
) {
    let value: Vec<String> = list.iter().map(|entry| entry.value.to_string()).collect();
    let origins = list.iter().map(|entry| entry.origin.clone()).collect();
    merged.add(key, json!(value), origins, losers);
}

/// The strongest grant of each value. Managed ones have their place in the base.
fn grants<T: Hash + Eq>(entries: &[Entry<T>]) -> HashMap<&T, &Entry<T>> {
    let mut strongest: HashMap<&T, &Entry<T>> = HashMap::new();
    for entry in entries {
        let known = strongest.entry(&entry.value).or_insert(entry);
        if entry.rank > known.rank {
            *known = entry;
        }
    }
    strongest
}

/// The later grant of the same value that takes the place of a denial of the base.
fn overruled<'g, T: Hash + Eq>(
    entry: &Entry<T>,
    grants: &HashMap<&T, &'g Entry<T>>,
) -> Option<&'g Origin> {
    let grant = grants.get(&entry.value).filter(|grant| grant.rank > entry.rank)?;
    (!entry.ceiling).then_some(&grant.origin)
}

/// What grants of the base name within a denial of it, in the same layer or a later one.
fn within(denial: &Entry<PathPattern>, grants: &[Entry<PathPattern>]) -> Vec<PathPattern> {
    let names = |grant: &&Entry<PathPattern>| {
        !denial.ceiling
            && grant.rank >= denial.rank
            && grant.value != denial.value
            && grant.value.is_within(&denial.value)
    };
    grants.iter().filter(names).map(|grant| grant.value.clone()).collect()
}

/// The keys that may sign, and those that may not.
pub(super) struct Keys {
    entries: Vec<Entry<SshKey>>,
    losers: Vec<Loser>,
}

impl Keys {
    /// The files of public halves: what names a key lets it be read.
    fn files(&self, context: &Context) -> impl Iterator<Item = Entry<PathPattern>> {
        self.entries.iter().filter_map(|entry| {
            let Entry { value: SshKey::File(path), origin, rank, ceiling } = entry else {
                return None;
            };
            let (value, origin) = (path.expand(context), origin.clone());
            Some(Entry { value, origin, rank: *rank, ceiling: *ceiling })
        })
    }
}

pub(super) fn ssh_keys(parts: &Parts<'_>, closed: Option<&Origin>) -> Keys {
    let show = |key: &SshKey| json!(key.to_string());
    let mut losers = Vec::new();
    let entries = gather(parts, |s| &s.signing.ssh_keys, true, SshKey::clone, show, &mut losers);
    let entries = keep_managed(entries, closed, show, &mut losers);
    Keys { entries, losers }
}

pub(super) fn signing(
    parts: &Parts<'_>,
    Keys { entries, losers }: Keys,
    closed: Option<Origin>,
    merged: &mut Merged,
) -> SigningPolicy {
    let ssh_keys = sourced(entries);
    show_list("signing.ssh_keys", &ssh_keys, losers, merged);
    show_closed("signing.closed", parts, &closed, merged, |settings| {
        settings.signing.closed.as_ref()
    });
    SigningPolicy { ssh_keys, closed }
}

/// What goes into requests. Nobody below redirects what a managed layer binds: neither its credential
/// to other hosts, nor other credentials to its hosts, nor its variable to another credential. The
/// login at the upstream proxy goes there alone.
pub(super) fn credentials(
    parts: &Parts<'_>,
    context: &Context,
    login: Option<&Sourced<String>>,
    merged: &mut Merged,
) -> CredentialsPolicy {
    let closed = closed(parts, |settings| settings.credentials.closed.as_ref());
    let mut losers = Vec::new();
    let (clone, show) = (Injection::clone, Injection::show);
    let entries = gather(parts, |s| &s.credentials.inject, true, clone, show, &mut losers);
    let entries = keep_managed(entries, closed.as_ref(), show, &mut losers);
    let is_login = |own: &Injection| login.filter(|login| login.value == own.secret);
    let mut bindings = Vec::new();
    for own in entries {
        match is_login(&own.value) {
            Some(login) => {
                let why = format!("{} makes it the login at the upstream proxy", login.origin);
                losers.push(Loser::new(show(&own.value), own.origin, why));
            }
            None => bindings.push(own),
        }
    }
    let (here, elsewhere): (Vec<_>, Vec<_>) = bindings
        .into_iter()
        .partition(|own| own.value.when.as_ref().is_none_or(|when| when.holds(context)));
    losers.extend(elsewhere.iter().map(|own| {
        let when = own.value.when.as_ref().map(ToString::to_string).unwrap_or_default();
        Loser::new(show(&own.value), own.origin.clone(), format!("it holds when {when}"))
    }));
    let elsewhere = sourced(elsewhere);
    let is_managed = |own: &Entry<Injection>| own.origin.kind.class() == Class::Managed;
    let (managed, below): (Vec<_>, Vec<_>) = here.into_iter().partition(is_managed);
    let mut inject = managed;
    let bound = inject.len();
    for own in below {
        let stands = inject.iter().take(bound).find_map(|by| {
            let Entry { value, origin, rank: _, ceiling: _ } = by;
            let why = if value.secret == own.value.secret {
                format!("the credential `{}`", value.secret)
            } else if value.meets(&own.value) {
                "a credential to that host".to_owned()
            } else {
                let env = own.value.env.as_ref().filter(|env| value.env.as_ref() == Some(env))?;
                format!("the variable `{env}`")
            };
            Some(format!("{origin} binds {why}"))
        });
        match stands {
            Some(reason) => losers.push(Loser::new(show(&own.value), own.origin, reason)),
            None => inject.push(own),
        }
    }
    let inject = sourced(inject);
    let shown: Vec<Json> = inject.iter().map(|own| show(&own.value)).collect();
    let origins = inject.iter().map(|own| own.origin.clone()).collect();
    merged.add("credentials.inject", json!(shown), origins, losers);
    show_closed("credentials.closed", parts, &closed, merged, |settings| {
        settings.credentials.closed.as_ref()
    });
    CredentialsPolicy { inject, elsewhere, closed }
}

/// The entries of a list that a managed layer may have closed.
fn keep_managed<T>(
    mut entries: Vec<Entry<T>>,
    closed: Option<&Origin>,
    show: impl Fn(&T) -> Json,
    losers: &mut Vec<Loser>,
) -> Vec<Entry<T>> {
    if let Some(closed) = closed {
        entries.retain(|Entry { value, origin, rank: _, ceiling: _ }| {
            let managed = origin.kind.class() == Class::Managed;
            if !managed {
                let reason = format!("the list is closed by {closed}");
                losers.push(Loser::new(show(value), origin.clone(), reason));
            }
            managed
        });
    }
    entries
}

/// What goes past the upstream proxy. Where a managed layer names that, nobody below turns aside
/// what goes through it.
pub(super) fn bypass(
    parts: &Parts<'_>,
    upstream: Option<&Origin>,
    merged: &mut Merged,
) -> Vec<Sourced<HostPattern>> {
    let show = |host: &HostPattern| json!(host.to_string());
    let mut lost = Vec::new();
    let entries = gather(parts, |s| &s.network.bypass, true, HostPattern::clone, show, &mut lost);
    let managed = upstream.filter(|origin| origin.kind.class() == Class::Managed);
    let bypass = sourced(keep_managed(entries, managed, show, &mut lost));
    show_list("network.upstream_bypass", &bypass, lost, merged);
    bypass
}

pub(super) fn certificates(
    parts: &Parts<'_>,
    context: &Context,
    merged: &mut Merged,
) -> Vec<Sourced<PathPattern>> {
    let make = |text: &crate::PathText| text.expand(context);
    let show = |text: &crate::PathText| json!(text.as_str());
    let mut lost = Vec::new();
    let files = sourced(gather(parts, |s| &s.network.ca, true, make, show, &mut lost));
    show_list("network.ca", &files, lost, merged);
    files
}

pub(super) fn filesystem(
    parts: &Parts<'_>,
    context: &Context,
    keys: &Keys,
    merged: &mut Merged,
) -> Filesystem {
    let list = |get: fn(&Settings) -> &Vec<Located<crate::PathText>>, grants, losers: &mut _| {
        let make = |text: &crate::PathText| text.expand(context);
        gather(parts, get, grants, make, |text| json!(text.as_str()), losers)
    };
    let mut lost: [Vec<Loser>; 5] = Default::default();
    let [lost_read, lost_write, lost_deny, lost_deny_write, lost_sockets] = &mut lost;
    let mut read = list(|s| &s.filesystem.read, true, lost_read);
    let mut write = list(|s| &s.filesystem.write, true, lost_write);
    let mut sockets = list(|s| &s.filesystem.sockets, true, lost_sockets);
    let denials = list(|s| &s.filesystem.deny, false, lost_deny);
    let mut deny_write = list(|s| &s.filesystem.deny_write, false, lost_deny_write);

    // A managed denial of which nothing could be read takes every configured grant away.
    let unread = parts
        .active
        .iter()
        .find_map(|part| part.settings().filesystem.unread.map(|line| part.layer.origin(line)));
    if let Some(origin) = &unread {
        for (list, lost) in [
            (&mut read, &mut *lost_read),
            (&mut write, &mut *lost_write),
            (&mut sockets, &mut *lost_sockets),
        ] {
            for entry in list.drain(..) {
                let value = json!(entry.value.as_str());
                let reason = format!("a denial could not be read: {origin}");
                lost.push(Loser::new(value, entry.origin, reason));
            }
        }
    }

    let said = read.len();
    if unread.is_none() {
        read.extend(keys.files(context));
    }

    // In the base the later layer decides where both name the same path. What is named more
    // precisely than it is denied, in the same layer or a later one, is an exception; a wider grant
    // leaves the denial as it is.
    let (may_read, may_write) = (grants(&read), grants(&write));
    let lose = |entry: &Entry<PathPattern>, by: &Origin| {
        let value = json!(entry.value.as_str());
        Loser::new(value, entry.origin.clone(), format!("overridden by {by}"))
    };
    let mut deny = Vec::new();
    for mut entry in denials {
        if let Some(by) = overruled(&entry, &may_write) {
            lost_deny.push(lose(&entry, by));
        } else if let Some(by) = overruled(&entry, &may_read) {
            lost_deny.push(lose(&entry, by));
            deny_write.push(entry);
        } else {
            let mut exceptions = within(&entry, &write);
            for readable in within(&entry, &read) {
                if !exceptions.contains(&readable) {
                    // Still kept from writing.
                    let Entry { origin, rank, ceiling, .. } = &entry;
                    let (value, origin) = (readable.clone(), origin.clone());
                    deny_write.push(Entry { value, origin, rank: *rank, ceiling: *ceiling });
                    exceptions.push(readable);
                }
            }
            entry.value = entry.value.but(exceptions);
            deny.push(entry);
        }
    }
    deny_write.retain(|entry| {
        let by = overruled(entry, &may_write);
        lost_deny_write.extend(by.map(|by| lose(entry, by)));
        by.is_none()
    });

    let out = Filesystem {
        read: sourced(read),
        write: sourced(write),
        deny: sourced(deny),
        deny_write: sourced(deny_write),
        sockets: sourced(sockets),
    };
    let [lost_read, lost_write, lost_deny, lost_deny_write, lost_sockets] = lost;
    show_list("filesystem.read", &out.read[..said], lost_read, merged);
    show_list("filesystem.write", &out.write, lost_write, merged);
    show_list("filesystem.deny", &out.deny, lost_deny, merged);
    show_list("filesystem.deny_write", &out.deny_write, lost_deny_write, merged);
    show_list("filesystem.sockets", &out.sockets, lost_sockets, merged);
    out
}

pub(super) fn hosts(
    parts: &Parts<'_>,
    closed: Option<&Origin>,
    merged: &mut Merged,
) -> (Vec<Sourced<HostPattern>>, Vec<Sourced<HostPattern>>) {
    let show = |host: &HostPattern| json!(host.to_string());
    let (mut lost_allow, mut lost_deny) = (Vec::new(), Vec::new());
    let allow =
        gather(parts, |s| &s.network.allow, true, HostPattern::clone, show, &mut lost_allow);
    let allow = keep_managed(allow, closed, show, &mut lost_allow);
    let mut deny =
        gather(parts, |s| &s.network.deny, false, HostPattern::clone, show, &mut lost_deny);
    let lose = |entry: &Entry<HostPattern>, reason: String| {
        Loser::new(show(&entry.value), entry.origin.clone(), reason)
    };
    let allowed = grants(&allow);
    deny.retain(|entry| {
        let by = overruled(entry, &allowed);
        lost_deny.extend(by.map(|by| lose(entry, format!("overridden by {by}"))));
        by.is_none()
    });
    let (allow, deny) = (sourced(allow), sourced(deny));
    show_list("network.allow", &allow, lost_allow, merged);
    show_list("network.deny", &deny, lost_deny, merged);
    (allow, deny)
}

pub(super) fn environment(parts: &Parts<'_>, merged: &mut Merged) -> EnvironmentPolicy {
    let show = |name: &NamePattern| json!(name.as_str());
    let (mut lost_pass, mut lost_deny) = (Vec::new(), Vec::new());
    let pass =
        gather(parts, |s| &s.environment.pass, true, NamePattern::clone, show, &mut lost_pass);
    let deny =
        gather(parts, |s| &s.environment.deny, false, NamePattern::clone, show, &mut lost_deny);
    let pass_ranks = pass.iter().map(|entry| entry.rank).collect();
    let deny_ranks = deny.iter().map(|entry| (!entry.ceiling).then_some(entry.rank)).collect();
    let (pass, deny) = (sourced(pass), sourced(deny));
    show_list("environment.pass", &pass, lost_pass, merged);
    show_list("environment.deny", &deny, lost_deny, merged);
    EnvironmentPolicy { pass, deny, pass_ranks, deny_ranks }
}

/// The rules that hold here, and those that do not. Their values are written out when somebody
/// asks: see `Policy::values`.
pub(super) fn rules(
    parts: &Parts<'_>,
    context: &Context,
    merged: &mut Merged,
) -> (Vec<EffectiveRule>, RuleIndex, Vec<LostRule>) {
    let all = parts.active.iter().map(|part| part.settings().commands.rules.len());
    let mut out = Vec::with_capacity(all.sum());
    let mut index = RuleIndex::with_capacity(out.capacity());
    let mut lost: Vec<LostRule> = Vec::new();
    let misspelled: Arc<str> = MISSPELLED.into();
    for (layer, reason) in &parts.elsewhere {
        let own = RuleLayer { places: layer.places(), rank: (layer.kind, 0), ceiling: false };
        let own = Arc::new(own);
        for Located { value, line, restricts_only: _ } in &layer.settings.commands.rules {
            let place = RulePlace { layer: Arc::clone(&own), line: *line };
            let rule = Arc::clone(value);
            lost.push(LostRule { rule, place, reason: Arc::clone(reason) });
        }
    }
    for part in &parts.active {
        let (rank, ceiling) = (part.rank, part.ceiling);
        let layer = Arc::new(RuleLayer { places: part.layer.places(), rank, ceiling });
        let no_grants: Arc<str> = part.no_grants.unwrap_or_default().into();
        for Located { value: rule, line, restricts_only } in &part.settings().commands.rules {
            let place = RulePlace { layer: Arc::clone(&layer), line: *line };
            let rule = Arc::clone(rule);
            let allows = rule.decision == Verdict::Allow;
            let elsewhere = rule.when.as_ref().filter(|when| !when.holds(context));
            let reason = match (elsewhere, part.no_grants) {
                (Some(when), _) => format!("it holds when {when}").into(),
                (None, Some(_)) if allows => Arc::clone(&no_grants),
                (None, None) if allows && *restricts_only => Arc::clone(&misspelled),
                _ => {
                    out.push(EffectiveRule { rule, place });
                    index.add(&out);
                    continue;
                }
            };
            lost.push(LostRule { rule, place, reason });
        }
    }
    merged.add("commands.rule", json!([]), Vec::new(), Vec::new());
    (out, index, lost)
}

/// The rules about HTTP requests that hold here.
pub(super) fn http_rules(
    parts: &Parts<'_>,
    context: &Context,
    merged: &mut Merged,
) -> Vec<EffectiveHttpRule> {
    let mut losers = Vec::new();
    let mut out: Vec<EffectiveHttpRule> = Vec::new();
    for (layer, reason) in &parts.elsewhere {
        for Located { value, line, restricts_only: _ } in &layer.settings.network.rules {
            losers.push(Loser::new(value.show(), layer.origin(*line), Arc::clone(reason)));
        }
    }
    for (layer, part) in parts.active.iter().enumerate() {
        for Located { value, line, restricts_only } in &part.settings().network.rules {
            let origin = part.layer.origin(*line);
            let allows = value.decision == Verdict::Allow;
            let elsewhere = value.when.as_ref().filter(|when| !when.holds(context));
            let reason = match (elsewhere, part.no_grants) {
                (Some(when), _) => Some(format!("it holds when {when}")),
                (None, Some(reason)) if allows => Some(reason.to_owned()),
                (None, None) if allows && *restricts_only => Some(MISSPELLED.to_owned()),
                _ => None,
            };
            match reason {
                Some(reason) => losers.push(Loser::new(value.show(), origin, reason)),
                None => {
                    let (rule, rank, ceiling) = (Arc::clone(value), part.rank, part.ceiling);
                    out.push(EffectiveHttpRule { rule, origin, rank, ceiling, layer });
                }
            }
        }
    }
    let shown: Vec<Json> = out.iter().map(|own| own.rule.show()).collect();
    let origins = out.iter().map(|own| own.origin.clone()).collect();
    merged.add("network.rule", json!(shown), origins, losers);
    out
}

/// The budgets of uploads: those of every layer hold.
pub(super) fn uploads(parts: &Parts<'_>, merged: &mut Merged) -> Vec<EffectiveUpload> {
    let mut losers = Vec::new();
    let mut out: Vec<EffectiveUpload> = Vec::new();
    for (layer, reason) in &parts.elsewhere {
        for Located { value, line, restricts_only: _ } in &layer.settings.network.upload {
            let value = json!(value.to_string());
            losers.push(Loser::new(value, layer.origin(*line), Arc::clone(reason)));
        }
    }
    for (layer, part) in parts.active.iter().enumerate() {
        for Located { value, line, restricts_only: _ } in &part.settings().network.upload {
            let (value, origin) = (value.clone(), part.layer.origin(*line));
            out.push(EffectiveUpload { budget: Sourced { value, origin }, layer });
        }
    }
    let shown: Vec<String> = out.iter().map(|own| own.budget.value.to_string()).collect();
    let origins = out.iter().map(|own| own.budget.origin.clone()).collect();
    merged.add("network.upload", json!(shown), origins, losers);
    out
}

/// The organisations of each provider that every layer names which names any of it.
pub(super) fn organisations(parts: &Parts<'_>, merged: &mut Merged) -> Vec<Pinned> {
    let mut losers = Vec::new();
    for (layer, reason) in &parts.elsewhere {
        for Located { value, line, restricts_only: _ } in &layer.settings.identity.organisations {
            let value = json!(value.to_string());
            losers.push(Loser::new(value, layer.origin(*line), Arc::clone(reason)));
        }
    }
    let mut pinned: Vec<Pinned> = Vec::new();
    for provider in &PROVIDERS {
        let mut known: Option<Pinned> = None;
        // From the strongest: its order is kept.
        for part in parts.active.iter().rev() {
            let IdentitySettings { organisations, unread } = &part.settings().identity;
            let named = organisations.iter().filter(|own| own.value.provider == provider);
            let mut named: Vec<Sourced<String>> = named
                .map(|own| Sourced {
                    value: own.value.id.clone(),
                    origin: part.layer.origin(own.line),
                })
                .collect();
            let says = match (named.first(), unread) {
                (Some(first), _) => first.origin.clone(),
                (None, Some(line)) => part.layer.origin(*line),
                (None, None) => continue,
            };
            let mut lose = |own: &Sourced<String>, reason: String| {
                let value = json!(format!("{}:{}", provider.name, own.value));
                losers.push(Loser::new(value, own.origin.clone(), reason));
            };
            known = Some(match known {
                None => {
                    for own in named.iter().skip(provider.most) {
                        lose(
                            own,
                            format!("{} takes no more than {}", provider.name, provider.most),
                        );
                    }
                    named.truncate(provider.most);
                    Pinned { provider, organisations: named, origin: says }
                }
                Some(mut known) => {
                    let is_in = |list: &[Sourced<String>], own: &Sourced<String>| {
                        list.iter().any(|other| other.value.eq_ignore_ascii_case(&own.value))
                    };
                    for own in named.iter().filter(|own| !is_in(&known.organisations, own)) {
                        lose(own, format!("{} does not name it", known.origin));
                    }
                    known.organisations.retain(|own| {
                        let stays = is_in(&named, own);
                        if !stays {
                            lose(own, format!("{says} does not name it"));
                        }
                        stays
                    });
                    known
                }
            });
        }
        pinned.extend(known);
    }
    let (mut shown, mut origins) = (Vec::new(), Vec::new());
    for Pinned { provider, organisations, origin } in &pinned {
        if organisations.is_empty() {
            shown.push(format!("{}: none", provider.name));
            origins.push(origin.clone());
        }
        for own in organisations {
            shown.push(format!("{}:{}", provider.name, own.value));
            origins.push(own.origin.clone());
        }
    }
    merged.add("identity.organisations", json!(shown), origins, losers);
    pinned
}

/// Where a managed layer closes a list: the first that does.
pub(super) fn closed(
    parts: &Parts<'_>,
    get: impl Fn(&Settings) -> Option<&Located<bool>>,
) -> Option<Origin> {
    parts.active.iter().filter(|part| part.managed()).find_map(|part| {
        let own = get(part.settings()).filter(|own| own.value)?;
        Some(part.layer.origin(own.line))
    })
}

pub(super) fn show_closed(
    key: &'static str,
    parts: &Parts<'_>,
    closed: &Option<Origin>,
    merged: &mut Merged,
    get: impl Fn(&Settings) -> Option<&Located<bool>>,
) {
    let open = parts.active.iter().filter_map(|part| {
        let own = get(part.settings()).filter(|own| !own.value)?;
        Some((part, part.layer.origin(own.line)))
    });
    let mut losers = Vec::new();
    let mut origins: Vec<Origin> = closed.iter().cloned().collect();
    for (part, origin) in open {
        match closed {
            Some(by) => {
                let reason = format!("{by} closes it");
                losers.push(Loser::new(json!(false), origin, reason));
            }
            None if part.managed() => origins.push(origin),
            None => {}
        }
    }
    if origins.is_empty() {
        origins.push(Origin::built_in());
    }
    merged.add(key, json!(closed.is_some()), origins, losers);
}
