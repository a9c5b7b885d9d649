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

/// Names the session's temporary folder as it is called inside where it covers the machine's: a
/// socket's whole path has 107 bytes at most (unix(7)), and browsers make sockets there.
pub(super) fn call_temporary(environment: &mut BTreeMap<String, String>, path: &Path) {
    environment.insert("TMPDIR".into(), path.to_string_lossy().into_owned());
}

/// Tells git to see a file as unchanged by its size and time alone, which are all that what stands
/// for a hidden file has of it (git-config(1), `GIT_CONFIG_COUNT`). What there is of such settings
/// stays.
pub(super) fn compare_less(environment: &mut BTreeMap<String, String>) {
    let count = environment.get("GIT_CONFIG_COUNT").map_or(Ok(0), |count| count.parse::<u32>());
    let Ok(count) = count else { return };
    for (name, value) in [
        (format!("GIT_CONFIG_KEY_{count}"), "core.checkStat".to_owned()),
        (format!("GIT_CONFIG_VALUE_{count}"), "minimal".to_owned()),
        ("GIT_CONFIG_COUNT".to_owned(), (count + 1).to_string()),
    ] {
        environment.insert(name, value);
    }
}
