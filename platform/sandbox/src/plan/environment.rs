//! The agent's environment: what the policy lets through, and what the session sets.

use super::PlanInput;
use std::collections::BTreeMap;
use std::path::Path;

/// Nothing else of the supervisor's environment reaches the agent.
pub(super) fn environment(input: &PlanInput<'_>) -> BTreeMap<String, String> {
    let rules = input.policy.environment();
    let mut environment: BTreeMap<String, String> = input
        .environment
        .iter()
        .filter(|(name, _)| rules.passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let set = [
        ("HOME", text(input.home)),
        ("TMPDIR", text(input.temp)),
        // The user's own caches are not writable; tools that find theirs read-only fail.
        ("XDG_CACHE_HOME", text(input.cache)),
        ("npm_config_cache", text(&input.cache.join("npm"))),
        ("CHAPERONE_SESSION", input.session.to_owned()),
    ];
    environment.extend(set.map(|(name, value)| (name.to_owned(), value)));
    // Playwright looks for its browsers in the cache that was just moved.
    let browsers = input.home.join(".cache/ms-playwright");
    if input.disk.kind(&browsers).is_some() {
        environment.entry("PLAYWRIGHT_BROWSERS_PATH".into()).or_insert_with(|| text(&browsers));
    }
    environment.extend(input.agent.environment.clone());
    environment
}
