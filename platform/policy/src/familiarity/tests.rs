//! Familiarity, as a table of hosts and facts.

use super::*;
use crate::{Action, Context, Facts, Layer, Os, SourceKind, Verdict, built_in, decide, merge};

const NOW: Timestamp = Timestamp::constant(1_764_000_000, 0);

fn policy(kind: SourceKind, text: &str) -> Policy {
    let context = Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/work".into(),
        agent: None,
        os: Os::Linux,
    };
    let layer = Layer::from_toml(kind, "/layer.toml", text);
    assert_eq!(layer.findings(), []);
    merge(vec![built_in(), layer], &context)
}

fn proxied(unfamiliar: &str) -> String {
    format!(
        "[network]\nmode = \"proxy\"\nallow = [\"api.acme.example\"]\nunfamiliar = \"{unfamiliar}\""
    )
}

fn allowed(sessions: u32, first: i64, last: i64) -> Answers {
    let before = |hours| Some(NOW - SignedDuration::from_hours(hours));
    Answers { allowed: sessions, first: before(first), last: before(last), denied: 0 }
}

fn registered(name: &str) -> HostFacts {
    HostFacts {
        registered: Some(name.to_owned()),
        known_names: ["acme.example", "longname.example"].map(str::to_owned).to_vec(),
        ..HostFacts::default()
    }
}

/// The points of each reason, and the words.
fn judged(host: &str, facts: &HostFacts) -> (Vec<i32>, String) {
    let policy = policy(SourceKind::UserFile, &proxied("ask"));
    let familiarity = familiarity(&policy, NOW, host, facts);
    assert_eq!(familiarity.score, familiarity.reasons.iter().map(|own| own.points).sum::<i32>());
    let points = familiarity.reasons.iter().map(|reason| reason.points);
    (points.filter(|points| *points != 0).collect(), familiarity.words())
}

#[test]
fn what_speaks_for_and_against_a_host_is_said_in_words() {
    let never = "Nobody has allowed it here before, and no list names it.";
    let other = "o.example";
    let table = [
        ("www.o.example", registered(other), vec![], never.to_owned()),
        (
            "docs.acme.example",
            registered("acme.example"),
            vec![20],
            format!(
                "{never} The policy names api.acme.example, which belongs to acme.example as well."
            ),
        ),
        (
            "192.0.2.7",
            HostFacts::default(),
            vec![-40],
            format!("{never} It is an address and no name, so nothing says whose it is."),
        ),
        (
            "x.duckdns.org",
            registered("x.duckdns.org"),
            vec![-60],
            format!(
                "{never} It belongs to a service of dynamic names, which anybody points to any machine."
            ),
        ),
        (
            "q7x2m9k4w8z1p5t3.o.example",
            registered(other),
            vec![-30],
            format!(
                "{never} `q7x2m9k4w8z1p5t3` looks made by a machine: a name can carry data out."
            ),
        ),
        (
            "1ongname.example",
            registered("1ongname.example"),
            vec![-60],
            format!("{never} It looks like longname.example, and is another name."),
        ),
        (
            "longnme.example",
            registered("longnme.example"),
            vec![-60],
            format!("{never} It looks like longname.example, and is another name."),
        ),
        (
            "longname.example.o.example",
            registered(other),
            vec![-60],
            format!("{never} It begins like longname.example, and belongs to o.example."),
        ),
        (
            "longname-example.o.example",
            registered(other),
            vec![-60],
            format!("{never} It begins like longname.example, and belongs to o.example."),
        ),
        (
            "xn--lngname-ibg.example",
            HostFacts {
                letters: Some("lоngname.example".into()),
                ..registered("xn--lngname-ibg.example")
            },
            vec![-30, -60],
            format!(
                "{never} It has letters of other scripts, and is shown as lоngname.example. It \
                 looks like longname.example, and is another name."
            ),
        ),
        (
            "www.o.example",
            HostFacts {
                asker: Some(Asker { command: "npm install".into(), is_install_script: true }),
                ..registered(other)
            },
            vec![-30],
            format!(
                "{never} A script that a package brought along asks for it, within `npm install`."
            ),
        ),
        (
            "www.o.example",
            HostFacts { answers: allowed(3, 100, 48), ..registered(other) },
            vec![60],
            "It was allowed in 3 earlier sessions, last on 2025-11-22.".to_owned(),
        ),
        (
            "www.o.example",
            HostFacts { answers: allowed(1, 48, 48), ..registered(other) },
            vec![30],
            "It was allowed in one earlier session, last on 2025-11-22.".to_owned(),
        ),
        (
            "www.o.example",
            HostFacts { answers: allowed(9, 23, 1), ..registered(other) },
            vec![60, -40],
            "It was allowed in 9 earlier sessions, last on 2025-11-24. All of that was within the \
             last day."
                .to_owned(),
        ),
        (
            "www.o.example",
            HostFacts {
                answers: Answers { denied: 1, ..allowed(3, 100, 48) },
                ..registered(other)
            },
            vec![60, -60],
            "It was allowed in 3 earlier sessions, last on 2025-11-22. It was denied in one \
             earlier session."
                .to_owned(),
        ),
        (
            "new.o.example",
            HostFacts { allowed_names: vec![other.to_owned()], ..registered(other) },
            vec![10],
            format!("{never} Another host of o.example was allowed before."),
        ),
    ];
    for (host, facts, points, words) in table {
        assert_eq!(judged(host, &facts), (points, words), "{host}");
    }
}

#[test]
fn an_ordinary_name_is_nothing_like_another_and_a_known_one_not_like_itself() {
    for (host, own) in [
        ("api.acme.example", "acme.example"),
        ("cdn.longname.example", "longname.example"),
        ("static-files.service.example", "service.example"),
        ("eu-central-1.console.service.example", "service.example"),
        ("internationalization.service.example", "service.example"),
    ] {
        let (points, words) = judged(host, &registered(own));
        assert!(points.iter().all(|points| *points > 0), "{host}: {words}");
    }
}

/// What is decided about a host, by what is said of unfamiliar ones and by whom.
#[test]
fn familiar_hosts_pass_and_what_is_said_of_unfamiliar_ones_holds_for_the_others() {
    use SourceKind::{ManagedFile, UserFile};
    use Verdict::{Allow, Ask, Deny};
    let known = HostFacts { answers: allowed(2, 100, 48), ..registered("o.example") };
    let doubtful = HostFacts { answers: allowed(3, 100, 48), ..registered("x.duckdns.org") };
    let table = [
        (UserFile, "ask", Allow, Ask, Ask),
        (UserFile, "allow", Allow, Allow, Allow),
        (UserFile, "deny", Allow, Deny, Deny),
        (ManagedFile, "ask", Allow, Ask, Ask),
        // What a person allowed before does not lift what the organisation denies.
        (ManagedFile, "deny", Deny, Deny, Deny),
    ];
    for (kind, unfamiliar, of_known, of_unknown, of_doubtful) in table {
        let policy = policy(kind, &proxied(unfamiliar));
        let verdict = |host: &str, facts: Option<&HostFacts>| {
            let familiarity = facts.map(|facts| familiarity(&policy, NOW, host, facts));
            let action = Action::Connect { host: host.to_owned(), port: 443 };
            let decision = decide(&policy, &Facts { familiarity, ..Facts::at(NOW) }, &action);
            assert_eq!(decision.rule.as_deref(), Some("network.unfamiliar"));
            assert_eq!(decision.origin.kind, kind);
            decision.verdict
        };
        let said = format!("{kind} {unfamiliar}");
        assert_eq!(verdict("www.o.example", Some(&known)), of_known, "{said}");
        assert_eq!(verdict("www.o.example", Some(&registered("o.example"))), of_unknown, "{said}");
        assert_eq!(verdict("www.o.example", None), of_unknown, "{said}, and nobody looked");
        assert_eq!(verdict("x.duckdns.org", Some(&doubtful)), of_doubtful, "{said}");
    }
}
