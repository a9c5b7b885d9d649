//! The agent's environment: what the policy lets through, and what the session sets.

use super::{PlanInput, Tier};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::path::Path;

/// Nothing else of the supervisor's environment reaches the agent.
pub(super) fn environment(
    input: &PlanInput<'_>,
    tier: Tier,
    proxy: Option<SocketAddrV4>,
) -> BTreeMap<String, String> {
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
    if let Some(proxy) = proxy {
        use_proxy(&mut environment, proxy);
        if tier != Tier::Full {
            look_up_over_tcp(&mut environment);
        }
    }
    environment.extend(input.agent.environment.clone());
    environment
}

/// Names the proxy to the programs that a session runs. Most read the first six; Yarn has names of
/// its own, Node reads them where the next says so, and Java has properties. What is on the session's own loopback
/// is reached without it.
fn use_proxy(environment: &mut BTreeMap<String, String>, proxy: SocketAddrV4) {
    let url = format!("http://{proxy}");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        environment.insert(name.to_owned(), url.clone());
        environment.insert(name.to_lowercase(), url.clone());
    }
    for name in ["NO_PROXY", "no_proxy"] {
        environment.insert(name.to_owned(), "localhost,127.0.0.1,::1".to_owned());
    }
    for name in ["YARN_HTTP_PROXY", "YARN_HTTPS_PROXY"] {
        environment.insert(name.to_owned(), url.clone());
    }
    environment.insert("NODE_USE_ENV_PROXY".to_owned(), "1".to_owned());
    let (host, port) = (proxy.ip(), proxy.port());
    let java = ["http", "https"]
        .map(|of| format!("-D{of}.proxyHost={host} -D{of}.proxyPort={port}"))
        .join(" ");
    let options = environment.entry("JAVA_TOOL_OPTIONS".to_owned()).or_default();
    if !options.is_empty() {
        options.push(' ');
    }
    options.push_str(&java);
}

/// Has the C library look names up over TCP (resolv.conf(5)): where the network is the machine's, what
/// stands in for a socket for datagrams has no address of the Internet, by which some tell answers
/// from others.
fn look_up_over_tcp(environment: &mut BTreeMap<String, String>) {
    let options = environment.entry("RES_OPTIONS".to_owned()).or_default();
    if !options.is_empty() {
        options.push(' ');
    }
    options.push_str("use-vc");
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
