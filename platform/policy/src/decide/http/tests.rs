//! What becomes of requests, as a table of layers.

use crate::{
    Action, Approval, Context, Facts, HttpRequest, Layer, Os, Policy, Scope, SourceKind, Verdict,
    built_in, decide, decide_http, http_scope, merge, sees_requests,
};
use Verdict::{Allow, Ask, Deny};

const MANAGED: SourceKind = SourceKind::ManagedFile;
const USER: SourceKind = SourceKind::UserFile;
const WORKSPACE: SourceKind = SourceKind::WorkspaceFile;
const AGENT: SourceKind = SourceKind::AgentFile;

/// A policy of these layers, each of which speaks of the network.
fn policy(layers: &[(SourceKind, &str)]) -> Policy {
    let context = Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/work".into(),
        agent: None,
        os: Os::Linux,
    };
    let layers = layers.iter().map(|(kind, text)| {
        let layer = Layer::from_toml(*kind, "/policy.toml", text);
        assert_eq!(layer.findings(), []);
        layer
    });
    let mut all = vec![built_in()];
    all.extend(layers);
    merge(all, &context)
}

fn request(method: &str, path: &str) -> HttpRequest {
    HttpRequest {
        host: "api.example".into(),
        port: 443,
        method: method.into(),
        path: path.into(),
        upgrade: None,
        overridden: None,
    }
}

fn now() -> Facts {
    Facts::at(jiff::Timestamp::UNIX_EPOCH)
}

fn verdict(policy: &Policy, method: &str, path: &str) -> Verdict {
    decide_http(policy, &now(), &request(method, path)).verdict
}

fn rule(rest: &str) -> String {
    format!("[[network.rule]]\nhost = \"api.example\"\n{rest}\n")
}

#[test]
fn without_rules_nothing_is_asked_of_a_request() {
    let policy = policy(&[]);
    assert!(!sees_requests(&policy, "api.example", 443));
    assert_eq!(verdict(&policy, "DELETE", "//"), Allow);
}

#[test]
fn a_rule_is_about_its_methods_and_paths() {
    let text = rule("methods = [\"post\"]\npaths = [\"/repos/acme\"]\ndecision = \"deny\"");
    let policy = policy(&[(USER, &text)]);
    for (method, path, expected) in [
        ("POST", "/repos/acme", Deny),
        ("POST", "/repos/acme/ui", Deny),
        ("POST", "/repos/acme2", Allow),
        ("GET", "/repos/acme", Allow),
        // Restrictions take no notice of case, as some servers do not.
        ("post", "/Repos/ACME", Deny),
        ("POST", "/%72epos/acme", Deny),
        ("POST", "/repos%2facme", Deny),
        // Nobody knows what these name.
        ("GET", "/x/../repos/acme", Deny),
        ("GET", "/repos//acme", Deny),
        ("GET", "/repos;x/acme", Deny),
    ] {
        assert_eq!(verdict(&policy, method, path), expected, "{method} {path}");
    }
    assert!(sees_requests(&policy, "api.example", 80));
    assert!(!sees_requests(&policy, "www.example", 80));
}

#[test]
fn the_last_rule_of_a_layer_speaks_for_it() {
    let only = rule("decision = \"deny\"")
        + &rule("methods = [\"GET\"]\npaths = [\"/repos/acme\"]\ndecision = \"allow\"");
    for kind in [MANAGED, USER] {
        let policy = policy(&[(kind, &only)]);
        for (method, path, expected) in [
            ("GET", "/repos/acme/ui", Allow),
            ("GET", "/repos/other", Deny),
            ("POST", "/repos/acme/ui", Deny),
            // What allows holds for what is written as it says, in every reading.
            ("get", "/repos/acme/ui", Deny),
            ("GET", "/Repos/acme/ui", Deny),
            ("GET", "/repos%2Facme/ui", Deny),
        ] {
            assert_eq!(verdict(&policy, method, path), expected, "{kind} {method} {path}");
        }
    }
}

#[test]
fn nobody_below_loosens_what_a_layer_above_restricts() {
    let (deny, ask, allow) =
        (rule("decision = \"deny\""), rule("decision = \"ask\""), rule("decision = \"allow\""));
    let read_only = "[network]\nread_only = true\n";
    let writable = "[network]\nread_only = false\n";
    let table: &[(&[(SourceKind, &str)], Verdict)] = &[
        (&[(MANAGED, &deny), (USER, &allow)], Deny),
        (&[(MANAGED, &ask), (USER, &allow)], Ask),
        (&[(MANAGED, &ask), (USER, &deny)], Deny),
        (&[(MANAGED, &allow), (USER, &deny)], Deny),
        (&[(USER, &ask), (WORKSPACE, &deny)], Deny),
        (&[(USER, &deny), (WORKSPACE, &allow)], Deny),
        (&[(AGENT, &deny), (USER, &allow)], Allow),
        (&[(MANAGED, read_only)], Deny),
        (&[(MANAGED, read_only), (USER, writable)], Deny),
        (&[(MANAGED, read_only), (USER, &allow)], Deny),
        (&[(MANAGED, read_only), (SourceKind::ManagedRegistry, &allow)], Allow),
        (&[(WORKSPACE, read_only), (USER, &allow)], Deny),
        (&[(WORKSPACE, read_only), (MANAGED, &allow)], Allow),
        (&[(USER, read_only), (AGENT, &allow)], Allow),
        (&[(USER, read_only), (WORKSPACE, &allow)], Deny),
        (&[(USER, read_only), (USER, writable)], Allow),
    ];
    for (layers, expected) in table {
        assert_eq!(verdict(&policy(layers), "POST", "/x"), *expected, "{layers:?}");
    }
}

#[test]
fn reading_only_is_three_methods_and_no_way_around_them() {
    let policy = policy(&[(USER, "[network]\nread_only = true\n")]);
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(verdict(&policy, method, "/a//b"), Allow, "{method}");
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "PROPFIND", "QUERY"] {
        assert_eq!(verdict(&policy, method, "/"), Deny, "{method}");
    }
    let reason = |request: HttpRequest| {
        let decision = decide_http(&policy, &now(), &request);
        (decision.verdict, decision.rule.unwrap(), decision.reason)
    };
    let rule = "network.read_only".to_owned();
    let overridden = Some("X-HTTP-Method-Override".to_owned());
    assert_eq!(
        reason(HttpRequest { overridden, ..request("GET", "/") }),
        (
            Deny,
            rule.clone(),
            "X-HTTP-Method-Override names another method than the request's own.".to_owned()
        )
    );
    assert_eq!(
        reason(HttpRequest { upgrade: Some("websocket".into()), ..request("GET", "/") }),
        (
            Deny,
            rule,
            "Only GET, HEAD and OPTIONS are let through, and this is a request that switches to \
             websocket."
                .to_owned()
        )
    );
}

#[test]
fn what_is_said_to_a_host_that_all_is_allowed_need_not_be_seen() {
    let read_only = "[network]\nread_only = true\n";
    let allow = rule("decision = \"allow\"");
    let some = rule("methods = [\"POST\"]\ndecision = \"allow\"");
    for (layers, expected) in [
        (vec![(USER, read_only)], true),
        (vec![(USER, read_only), (AGENT, &*allow)], false),
        (vec![(USER, read_only), (AGENT, &some)], true),
        (vec![(MANAGED, read_only), (AGENT, &allow)], true),
        (vec![(AGENT, &allow)], false),
    ] {
        assert_eq!(sees_requests(&policy(&layers), "api.example", 443), expected, "{layers:?}");
    }
}

#[test]
fn an_approval_is_for_the_method_and_the_host() {
    let policy = policy(&[
        (USER, "[network]\nmode = \"proxy\"\nallow = [\"api.example\"]\n"),
        (USER, &rule("decision = \"ask\"")),
        (USER, "[approvals]\nscopes = [\"once\", \"session\"]\n"),
    ]);
    let asked = request("POST", "/a");
    let prefix = http_scope(&policy, &asked).unwrap();
    assert_eq!(prefix, ["POST", "http://api.example:443"]);
    let approval = Approval {
        id: "1".into(),
        prefix,
        scope: Scope::Session,
        command: None,
        by: "ada".into(),
        expires: None,
    };
    let facts = Facts { approvals: vec![approval], ..now() };
    let decided = |request| decide(&policy, &facts, &Action::Http(request)).verdict;
    assert_eq!(decided(request("POST", "/b")), Allow);
    assert_eq!(decided(request("PUT", "/b")), Ask);
    // Whatever is said of requests: the connection is judged, too.
    assert_eq!(decided(HttpRequest { host: "new.example".into(), ..asked }), Ask);
}
