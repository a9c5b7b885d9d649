//! Decides a request inside a connection that may be made, and says for which hosts there is
//! anything to decide.

use super::{Facts, blocked, by_approval, scope};
use crate::effective::EffectiveHttpRule;
use crate::http::readings;
use crate::{Class, Decision, HttpRequest, NetworkPolicy, Origin, Policy, Verdict};

/// Whether what is said to this host has to be seen, because it depends on the request what becomes
/// of it. What cannot be seen is then not let through.
pub fn sees_requests(policy: &Policy, host: &str, port: u16) -> bool {
    let network = policy.network();
    let own = || network.rules.iter().filter(|own| own.rule.host.matches(host, port));
    if own().any(|own| own.rule.decision != Verdict::Allow) {
        return true;
    }
    let Some(read_only) = &network.read_only else { return false };
    let exempt = |own: &EffectiveHttpRule| own.rule.is_about_all() && may_exempt(own, read_only);
    !own().any(exempt)
}

/// Whether a rule that allows says more than who wants nothing but reading: it stands in a managed
/// layer, or both are the base's to choose.
fn may_exempt(own: &EffectiveHttpRule, read_only: &Origin) -> bool {
    let class = own.origin.kind.class();
    own.rule.decision == Verdict::Allow
        && (class == Class::Managed || read_only.kind.class() == Class::Base)
}

/// Decides a request; whether the connection for it may be made is not asked here.
///
/// Of one layer's rules the last that matches speaks for the layer. The strictest of the layers
/// that bound the base holds, and within the base the last.
pub fn decide_http(policy: &Policy, facts: &Facts, request: &HttpRequest) -> Decision {
    if let Some(decision) = blocked(policy) {
        return decision;
    }
    let network = policy.network();
    let rules = || {
        let to_host = |own: &&EffectiveHttpRule| own.rule.host.matches(&request.host, request.port);
        network.rules.iter().filter(to_host)
    };
    if let Some(decision) = unclear(network, rules(), request) {
        return decision;
    }
    // Where there is no reading, no rule has a path.
    let readings = readings(&request.path).unwrap_or_default();
    let mut speaking: Vec<&EffectiveHttpRule> = Vec::new();
    for own in rules().filter(|own| own.rule.matches(request, &readings)) {
        match speaking.last_mut() {
            Some(before) if before.layer == own.layer => *before = own,
            _ => speaking.push(own),
        }
    }
    let restricts = |own: &&EffectiveHttpRule| own.rule.decision != Verdict::Allow;
    let (ceilings, base): (Vec<_>, Vec<_>) =
        speaking.into_iter().partition(|own| own.ceiling && restricts(own));
    let ceiling = ceilings.into_iter().rev().max_by_key(|own| own.rule.decision);
    let may_write = |read_only| base.iter().any(|own| may_exempt(own, read_only));
    let reading = network.read_only.as_ref().filter(|read_only| !may_write(read_only));
    // Of equal ranks, which managed layers have, it is the last.
    let base = base.into_iter().max_by_key(|own| own.rank);
    let strictest = [ceiling, base]
        .into_iter()
        .flatten()
        .max_by_key(|own| (own.rule.decision, own.ceiling))
        .map(|own| by_rule(own, request));
    let denied = strictest.as_ref().is_some_and(|own| own.verdict == Verdict::Deny);
    if let Some(origin) = reading.filter(|_| !denied && !request.only_reads()) {
        return by_read_only(origin, request);
    }
    let decision = strictest.unwrap_or_else(|| Decision {
        verdict: Verdict::Allow,
        rule: None,
        origin: Origin::built_in(),
        reason: format!("No rule restricts {} requests to {}.", request.method, request.host),
    });
    if decision.verdict == Verdict::Ask
        && let Some(approval) =
            scope::approval(policy, facts, &decision.origin, || scope::http_scope(policy, request))
    {
        return by_approval(decision.rule, approval);
    }
    decision
}

/// The refusal of a request that does not say clearly what it asks for.
fn unclear<'r>(
    network: &NetworkPolicy,
    mut rules: impl Iterator<Item = &'r EffectiveHttpRule> + Clone,
    request: &HttpRequest,
) -> Option<Decision> {
    let by_path = rules.clone().find(|own| !own.rule.paths.is_empty());
    if let (Some(own), Err(why)) = (by_path, readings(&request.path)) {
        let reason = format!(
            "The rules for {} are about paths, and servers do not agree about what {} names: {why}.",
            request.host, request.path
        );
        return Some(denial(own.rule.name(), &own.origin, reason));
    }
    let named = request.overridden.as_ref()?;
    let reason = format!("{named} names another method than the request's own.");
    if let Some(own) = rules.find(|own| own.rule.decision != Verdict::Allow) {
        return Some(denial(own.rule.name(), &own.origin, reason));
    }
    let read_only = network.read_only.as_ref()?;
    let exempt = |own: &EffectiveHttpRule| own.rule.is_about_all() && may_exempt(own, read_only);
    (!rules.any(exempt)).then(|| denial("network.read_only".to_owned(), read_only, reason))
}

fn denial(rule: String, origin: &Origin, reason: String) -> Decision {
    Decision { verdict: Verdict::Deny, rule: Some(rule), origin: origin.clone(), reason }
}

fn by_rule(own: &EffectiveHttpRule, request: &HttpRequest) -> Decision {
    let HttpRequest { method, host, .. } = request;
    let reason = match (&own.rule.reason, own.rule.decision) {
        (Some(reason), _) => reason.to_string(),
        (None, Verdict::Allow) => format!("Such {method} requests to {host} are allowed."),
        (None, Verdict::Ask) => format!("Such {method} requests to {host} are asked about."),
        (None, Verdict::Deny) => format!("Such {method} requests to {host} are denied."),
    };
    Decision {
        verdict: own.rule.decision,
        rule: Some(own.rule.name()),
        origin: own.origin.clone(),
        reason,
    }
}

fn by_read_only(origin: &Origin, request: &HttpRequest) -> Decision {
    let what = match &request.upgrade {
        Some(protocol) => format!("a request that switches to {protocol}"),
        None => format!("{} to {}", request.method, request.host),
    };
    let reason = format!("Only GET, HEAD and OPTIONS are let through, and this is {what}.");
    denial("network.read_only".to_owned(), origin, reason)
}

#[cfg(test)]
mod tests;
