//! What holds of a layer, whatever was read into it: reading it again gives the same, it merges and
//! explains itself, and below the managed policy it widens nothing. Each target reads one format.
//! And what holds of the reading of a text for a shell.

use chaperone_policy::{
    Action, Command, Context, Facts, HttpRequest, Layer, Os, Policy, SourceKind, Verdict, built_in,
    decide, merge,
};
use chaperone_shell::{Dialect, read};
use jiff::Timestamp;
use std::sync::LazyLock;

/// What a machine's layers say below which the read one stands: IT forbids, and a user grants as
/// much as that leaves.
const MANAGED: &str = "[network]\ndeny = [\"b.example\"]\n[filesystem]\ndeny = [\"~/.kube\"]\n\
    [environment]\ndeny = [\"*TOKEN*\"]\n\
    [[network.rule]]\nhost = \"a.example\"\nmethods = [\"POST\"]\ndecision = \"ask\"\n\
    [[commands.rule]]\nprefix = [\"git\", \"push\"]\ndecision = \"deny\"\n\
    [[commands.rule]]\nprefix = [\"npm\"]\ndecision = \"ask\"\n";
const USER: &str = "[network]\nmode = \"direct\"\nallow = [\"a.example\"]\n\
    [filesystem]\nread = [\"/srv\"]\nwrite = [\"/srv/out\"]\n[environment]\npass = [\"RUST_LOG\"]\n\
    [[commands.rule]]\nprefix = [\"make\"]\ndecision = \"allow\"\n";

static BASE: LazyLock<Vec<Layer>> = LazyLock::new(|| {
    vec![
        built_in(),
        Layer::from_toml(SourceKind::ManagedFile, "/etc/policy.toml", MANAGED),
        Layer::from_toml(SourceKind::UserFile, "/home/ada/config.toml", USER),
    ]
});
static BEFORE: LazyLock<Vec<Verdict>> = LazyLock::new(|| verdicts(&merged(Vec::new())));

/// Classes that may only restrict: with them nothing is decided more loosely than without.
const RESTRICTING: [SourceKind; 2] = [SourceKind::WorkspaceFile, SourceKind::UserRegistry];

/// Holds whatever a source of any kind makes of the same bytes to what must be true of it.
pub fn check(read: impl Fn(SourceKind) -> Vec<Layer>) {
    let managed = read(SourceKind::ManagedFile);
    assert_eq!(managed, read(SourceKind::ManagedFile), "reading again gives something else");
    show(merged(managed));
    for kind in RESTRICTING {
        let policy = merged(read(kind));
        for ((was, is), action) in BEFORE.iter().zip(verdicts(&policy)).zip(actions()) {
            assert!(is >= *was, "{action:?} was {was} and is {is} with a layer of {kind}");
        }
        assert!(!policy.environment().passes("NPM_TOKEN"));
    }
    // Whoever chooses the base may grant, and not what is forbidden from above.
    let policy = merged(read(SourceKind::UserFile));
    for (is, action) in verdicts(&policy).into_iter().zip(actions()) {
        if let Some(bound) = bound(&action) {
            assert!(is >= bound, "{action:?} must be {bound} and is {is}");
        }
    }
    assert!(!policy.environment().passes("NPM_TOKEN"));
}

/// What the managed layer of [`BASE`] says of an action itself.
fn bound(action: &Action) -> Option<Verdict> {
    match action {
        Action::Run(command) => match command.argv.first().map(String::as_str) {
            Some("git") => Some(Verdict::Deny),
            Some("npm") => Some(Verdict::Ask),
            _ => None,
        },
        Action::Connect { host, .. } => (host == "b.example").then_some(Verdict::Deny),
        Action::Http(request) => match (request.host.as_str(), request.method.as_str()) {
            ("b.example", _) => Some(Verdict::Deny),
            ("a.example", "POST") => Some(Verdict::Ask),
            _ => None,
        },
        Action::Read { path } | Action::Write { path } => {
            path.starts_with("/home/ada/.kube").then_some(Verdict::Deny)
        }
    }
}

/// Merges and shows layers that are of no kind in particular.
pub fn check_layers(layers: Vec<Layer>) {
    show(merged(layers));
}

/// Everything that people are shown can be written out, and every value says where it is from.
fn show(policy: Policy) {
    let shown = policy.show();
    serde_json::to_string(&shown).expect("what is shown is JSON");
    for value in shown.values {
        assert!(value.losers.iter().all(|loser| !loser.reason.is_empty()), "{value:?}");
    }
}

fn merged(mut more: Vec<Layer>) -> Policy {
    let context = Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/work".into(),
        agent: None,
        os: Os::Linux,
    };
    let mut layers = BASE.clone();
    layers.append(&mut more);
    merge(layers, &context)
}

fn verdicts(policy: &Policy) -> Vec<Verdict> {
    let facts = Facts::at(Timestamp::UNIX_EPOCH);
    actions().iter().map(|action| decide(policy, &facts, action).verdict).collect()
}

fn actions() -> Vec<Action> {
    let run = |tokens: &[&str]| Action::Run(Command::from_tokens(tokens));
    let connect = |host: &str| Action::Connect { host: host.into(), port: 443 };
    let http = |host: &str, method: &str| {
        Action::Http(HttpRequest {
            host: host.into(),
            port: 443,
            method: method.into(),
            path: "/x".into(),
            upgrade: None,
            overridden: None,
        })
    };
    vec![
        run(&["git", "push", "origin"]),
        run(&["npm", "publish"]),
        run(&["make", "all"]),
        run(&["ls"]),
        connect("a.example"),
        connect("b.example"),
        connect("c.example"),
        http("a.example", "GET"),
        http("a.example", "POST"),
        http("b.example", "GET"),
        Action::Read { path: "/srv/x".into() },
        Action::Write { path: "/srv/out/x".into() },
        Action::Read { path: "/home/ada/.kube/config".into() },
        Action::Write { path: "/home/ada/work/x".into() },
    ]
}

/// Whatever the text: it is read, what is named stands in it, and what is nothing is nothing.
pub fn shell(text: &str, dialect: Dialect) {
    let reading = read(text, dialect);
    let commands = reading.commands.iter().map(|found| &found.at);
    for at in commands.chain(reading.unread.iter().map(|unread| &unread.at)) {
        assert!(text.get(at.clone()).is_some(), "{at:?}");
    }
    for found in &reading.commands {
        assert!(!found.words.is_empty() || !found.redirections.is_empty());
        assert!(
            found.words.iter().all(|word| word.known().is_some() || word.token().contains('\0'))
        );
    }
}
