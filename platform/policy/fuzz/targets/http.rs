//! What a rule about paths sees in the path of a request: however generously a server reads it, what
//! a rule denies is denied, and what is allowed lies where the rule allows it.
#![no_main]

use chaperone_policy::{
    Context, Facts, HttpRequest, Layer, Os, Policy, SourceKind, UrlPath, Verdict, decide_http,
    merge,
};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const RULES: &str = "[[network.rule]]\nhost = \"denied.example\"\npaths = [\"/admin\"]\n\
    decision = \"deny\"\n[[network.rule]]\nhost = \"open.example\"\ndecision = \"deny\"\n\
    [[network.rule]]\nhost = \"open.example\"\npaths = [\"/open\"]\ndecision = \"allow\"\n";

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let context = Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/work".into(),
        agent: None,
        os: Os::Linux,
    };
    merge(vec![Layer::from_toml(SourceKind::ManagedFile, "/etc/policy.toml", RULES)], &context)
});

fuzz_target!(|path: &str| {
    let generous = generous(path);
    let first = generous.first().map(String::as_str);
    if decided("denied.example", path) == Verdict::Allow {
        assert_ne!(first, Some("admin"), "{path:?}");
    }
    if decided("open.example", path) == Verdict::Allow {
        assert_eq!(first, Some("open"), "{path:?}");
    }
    if let Ok(pattern) = UrlPath::parse(path) {
        let again = UrlPath::parse(pattern.as_str());
        assert_eq!(again.as_ref(), Ok(&pattern), "{path:?}");
    }
});

fn decided(host: &str, path: &str) -> Verdict {
    let request = HttpRequest {
        host: host.into(),
        port: 443,
        method: "GET".into(),
        path: path.into(),
        upgrade: None,
        overridden: None,
    };
    decide_http(&POLICY, &Facts::at(Timestamp::UNIX_EPOCH), &request).verdict
}

/// The segments of a path as the most obliging server reads it: unescaped over and over, without
/// parameters, in lower case, each kind of slash a slash, dot segments resolved.
fn generous(path: &str) -> Vec<String> {
    let mut bytes = path.as_bytes().to_vec();
    loop {
        let unescaped = unescape(&bytes);
        if unescaped == bytes {
            break;
        }
        bytes = unescaped;
    }
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    let mut segments: Vec<String> = Vec::new();
    for segment in text.split(['/', '\\']) {
        match segment.split([';', '\0']).next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name.to_owned()),
        }
    }
    segments
}

fn unescape(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|two| two.iter().all(u8::is_ascii_hexdigit));
        let digits =
            digits.and_then(|two| std::str::from_utf8(two).ok()).filter(|_| *first == b'%');
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[2..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}
