//! What is decided, as tables.

use crate::{
    ANY_HOST, Action, Approval, Command, Context, Decision, Facts, Familiarity, Layer, Os, Policy,
    Process, Reason, Scope, SourceKind, Verdict, built_in, command_scope, connection_scope, decide,
    decide_address, merge, unattended,
};
use std::path::PathBuf;

fn context() -> Context {
    Context {
        home: "/home/ada".into(),
        workspace: "/home/ada/work/api".into(),
        agent: Some("claude-code".into()),
        os: Os::Linux,
    }
}

fn policy(files: &[(SourceKind, &str)]) -> Policy {
    let mut layers = vec![built_in()];
    for (at, (kind, text)) in files.iter().enumerate() {
        layers.push(Layer::from_toml(*kind, &format!("/layer-{at}.toml"), text));
    }
    merge(layers, &context())
}

fn line(words: &str) -> Command {
    let tokens: Vec<&str> = words.split_whitespace().collect();
    let mut command = Command::from_tokens(&tokens);
    command.executable = PathBuf::from("/usr/bin").join(&command.executable);
    command.exec_name = command.executable.clone();
    command
}

fn facts() -> Facts {
    Facts::at(jiff::Timestamp::UNIX_EPOCH)
}

fn run(policy: &Policy, words: &str) -> Decision {
    decide(policy, &facts(), &Action::Run(line(words)))
}

fn verdict(policy: &Policy, words: &str) -> Verdict {
    run(policy, words).verdict
}

#[test]
fn the_defaults_ask_before_anything_is_published() {
    let policy = policy(&[]);
    let asked = [
        "git push",
        "git push origin main",
        "git -C ../other push",
        "git -c user.name=x push origin",
        "git --git-dir=/x/.git --work-tree /x push",
        "git --unheard-of push",
        "git --unheard-of value push",
        "npm publish",
        "npm --prefix x publish --access public",
        "npm pub",
        "node /usr/bin/npm publish",
        "node --no-warnings /usr/lib/node_modules/npm/bin/npm-cli.js publish",
        "env FOO=1 npm publish",
        "cargo +nightly publish",
        "python3.11 -m twine upload dist/x.whl",
        "python3 /usr/bin/twine upload dist/x.whl",
        "docker image push x",
        "gh pr --repo acme/api merge 7",
        "kubectl -n prod delete pod x",
        "terraform -chdir=prod destroy",
        "busybox env git push",
        "ld-linux-x86-64.so.2 /usr/bin/git push",
    ];
    for words in asked {
        assert_eq!(verdict(&policy, words), Verdict::Ask, "{words}");
    }
    let allowed = [
        "git status",
        "git commit -m push",
        "git stash push",
        "git pull origin push",
        "npm install",
        "npm run publish",
        "node publish.js npm",
        "cargo build",
        "python3 -m pytest",
        "ls -la",
        "kubectl get pods",
    ];
    for words in allowed {
        assert_eq!(verdict(&policy, words), Verdict::Allow, "{words}");
    }
}

#[test]
fn an_allow_counts_only_where_the_program_file_proves_it() {
    let policy = policy(&[(
        SourceKind::ManagedFile,
        "[commands]\nclosed = true\n[[commands.rule]]\nprefix = [\"ls\"]\ndecision = \"allow\"\n",
    )]);
    assert_eq!(verdict(&policy, "ls -la"), Verdict::Allow);
    assert_eq!(verdict(&policy, "cat x"), Verdict::Deny);
    let mut liar = line("ls -la");
    liar.executable = "/tmp/evil".into();
    liar.exec_name = "/tmp/ls".into();
    assert_eq!(decide(&policy, &facts(), &Action::Run(liar)).verdict, Verdict::Deny);
    for (name, value, verdict) in [
        ("LD_PRELOAD", "/tmp/evil.so", Verdict::Deny),
        ("NODE_OPTIONS", "--title=x --require=./evil.js", Verdict::Deny),
        ("NODE_OPTIONS", "\"--require\" ./evil.js", Verdict::Deny),
        ("NODE_OPTIONS", "--surely-new", Verdict::Deny),
        ("NODE_OPTIONS", "--max-old-space-size=4096", Verdict::Allow),
        ("NODE_OPTIONS", "", Verdict::Allow),
        ("RUBYOPT", "-r./evil", Verdict::Deny),
        ("RUBYOPT", "r./evil", Verdict::Deny),
        ("RUBYOPT", "-W0", Verdict::Allow),
        ("BASH_ENV", "/tmp/evil", Verdict::Deny),
        ("BASH_ENV", "", Verdict::Allow),
        ("PERL5OPT", "-Mevil", Verdict::Deny),
    ] {
        let mut other = line("ls -la");
        other.environment = vec![(name.into(), value.into())];
        let decided = decide(&policy, &facts(), &Action::Run(other));
        assert_eq!(decided.verdict, verdict, "{name}={value}");
    }
}

#[test]
fn a_user_loosens_a_default_and_not_a_managed_rule() {
    let allow = "[[commands.rule]]\nprefix = [\"git\", \"push\"]\ndecision = \"allow\"\n";
    let ask = "[[commands.rule]]\nprefix = [\"git\", \"push\"]\ndecision = \"ask\"\n";
    let user = policy(&[(SourceKind::UserFile, allow)]);
    assert_eq!(verdict(&user, "git push origin main --no-verify"), Verdict::Allow);
    let both = policy(&[(SourceKind::ManagedFile, ask), (SourceKind::UserFile, allow)]);
    assert_eq!(verdict(&both, "git push origin main"), Verdict::Ask);
    let workspace = policy(&[(SourceKind::WorkspaceFile, allow)]);
    assert_eq!(verdict(&workspace, "git push origin main"), Verdict::Ask);
}

#[test]
fn an_alias_that_git_brings_itself_is_never_plainly_allowed() {
    let deny = "[[commands.rule]]\nprefix = [\"git\", \"push\"]\ndecision = \"deny\"\n";
    let policy = policy(&[(SourceKind::ManagedFile, deny)]);
    assert_eq!(verdict(&policy, "git -c alias.x=push x origin"), Verdict::Deny);
    assert_eq!(verdict(&policy, "git -c alias.x=y -c alias.y=push x"), Verdict::Ask);
    assert_eq!(verdict(&policy, "git -c alias.x=push status"), Verdict::Allow, "not the alias");
    assert_eq!(verdict(&policy, "git -c ALIAS.x=!sh x"), Verdict::Ask);
    assert_eq!(verdict(&policy, "git -c user.name=x status"), Verdict::Allow);
    let with = |variables: &[(&str, &str)], words: &str| {
        let mut command = line(words);
        command.environment =
            variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        decide(&policy, &facts(), &Action::Run(command)).verdict
    };
    let counted = [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "alias.x"),
        ("GIT_CONFIG_VALUE_0", "push origin"),
    ];
    assert_eq!(with(&counted, "git x"), Verdict::Deny);
    assert_eq!(with(&counted, "git status"), Verdict::Allow);
    assert_eq!(with(&[("GIT_CONFIG_PARAMETERS", "'alias.x'='push'")], "git x"), Verdict::Deny);
    assert_eq!(with(&[("GIT_PAGER", "cat")], "git status"), Verdict::Allow);
}

#[test]
fn a_session_approval_answers_what_has_the_same_scope() {
    let policy = policy(&[]);
    let scope = |words: &str| command_scope(&policy, &line(words)).map(|tokens| tokens.join(" "));
    assert_eq!(scope("git push origin main"), Some("git push origin".into()));
    assert_eq!(scope("git push -u origin topic"), Some("git push origin".into()));
    assert_eq!(scope("git push"), Some("git push".into()));
    assert_eq!(scope("git push --force origin main"), None);
    assert_eq!(scope("git push origin +main"), None);
    assert_eq!(scope("git -C /x push origin"), None);
    assert_eq!(scope("npm publish"), Some("npm publish".into()));
    for (variable, further) in [("GH_REPO", false), ("PYTHONPATH", false), ("EDITOR", true)] {
        let environment = vec![(variable.to_owned(), "other".to_owned())];
        let command = Command { environment, ..line("gh release create v1") };
        assert_eq!(command_scope(&policy, &command).is_some(), further, "{variable}");
    }

    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut facts = Facts::at(now);
    facts.approvals.push(Approval {
        id: "a1".into(),
        prefix: vec!["git".into(), "push".into(), "origin".into()],
        scope: Scope::Session,
        command: None,
        by: "ada".into(),
        expires: Some(now + jiff::SignedDuration::from_secs(60)),
    });
    let run = |facts: &Facts, policy: &Policy, words: &str| {
        decide(policy, facts, &Action::Run(line(words))).verdict
    };
    assert_eq!(run(&facts, &policy, "git push origin other"), Verdict::Allow);
    assert_eq!(run(&facts, &policy, "git push elsewhere main"), Verdict::Ask);
    assert_eq!(run(&facts, &policy, "git push --force origin main"), Verdict::Ask);
    facts.now = now + jiff::SignedDuration::from_secs(61);
    assert_eq!(run(&facts, &policy, "git push origin other"), Verdict::Ask);
}

#[test]
fn only_a_managed_layer_answers_a_managed_ask_in_an_unattended_session() {
    let ask = "[[commands.rule]]\nprefix = [\"make\"]\ndecision = \"ask\"\n";
    let allow = "[approvals]\nunattended = \"allow\"\n";
    let result = |files: &[(SourceKind, &str)], words: &str| {
        let policy = policy(files);
        unattended(&policy, run(&policy, words)).verdict
    };
    let user = (SourceKind::UserFile, allow);
    assert_eq!(result(&[], "git push"), Verdict::Deny);
    assert_eq!(result(&[user], "git push"), Verdict::Allow);
    assert_eq!(result(&[(SourceKind::ManagedFile, ask), user], "make"), Verdict::Deny);
    assert_eq!(result(&[(SourceKind::WorkspaceFile, ask), user], "make"), Verdict::Deny);
    let managed = (SourceKind::ManagedFile, allow);
    assert_eq!(result(&[(SourceKind::ManagedFile, ask), managed], "make"), Verdict::Allow);
    let strict = (SourceKind::UserFile, "[approvals]\nunattended = \"deny\"\n");
    assert_eq!(result(&[(SourceKind::ManagedFile, ask), managed, strict], "make"), Verdict::Deny);
}

#[test]
fn what_only_running_it_would_tell_is_never_less_than_what_it_could_be() {
    let policy = policy(&[]);
    let decide_tokens = |tokens: &[&str], environment: &[(&str, &str)]| {
        let mut command = Command::from_tokens(tokens);
        command.environment =
            environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        decide(&policy, &facts(), &Action::Run(command)).verdict
    };
    let table: [(&[&str], Verdict); 10] = [
        (&["ls", "\0"], Verdict::Allow),
        (&["git", "commit", "-m", "\0\0"], Verdict::Allow),
        (&["git", "add", "\0"], Verdict::Allow),
        (&["git", "-C", "\0\0", "status"], Verdict::Allow),
        (&["git", "-C", "\0", "status"], Verdict::Ask),
        (&["git", "-C", "\0\0", "push"], Verdict::Ask),
        (&["git", "\0"], Verdict::Ask),
        (&["git", "pu\0"], Verdict::Ask),
        (&["\0", "push"], Verdict::Ask),
        (&["\0/git", "push"], Verdict::Ask),
    ];
    for (tokens, expected) in table {
        assert_eq!(decide_tokens(tokens, &[]), expected, "{tokens:?}");
    }
    assert_eq!(decide_tokens(&["git", "x"], &[]), Verdict::Allow);
    assert_eq!(decide_tokens(&["git", "x"], &[("GIT_CONFIG_KEY_0", "\0")]), Verdict::Ask);
}

#[test]
fn a_proxied_connection_is_denied_allowed_or_asked_and_near_addresses_have_to_be_named() {
    let said = "[network]\nmode = \"proxy\"\nallow = [\"*:443\", \"api.acme.example\", \
        \"127.0.0.1:4000\", \"10.1.0.0/16\", \"0.0.0.0/0\"]\ndeny = [\"paste.example\", \
        \"10.1.2.0/24\"]\n";
    let policy = policy(&[(SourceKind::UserFile, said)]);
    let table = [
        ("api.acme.example", 80, Verdict::Allow),
        ("any.example", 443, Verdict::Allow),
        ("any.example", 80, Verdict::Ask),
        ("paste.example", 443, Verdict::Deny),
        ("192.0.2.1", 80, Verdict::Allow),
        ("127.0.0.1", 4000, Verdict::Allow),
        ("127.0.0.1", 443, Verdict::Deny),
        ("::ffff:127.0.0.1", 443, Verdict::Deny),
        ("localhost", 443, Verdict::Deny),
        ("169.254.169.254", 443, Verdict::Deny),
        ("10.1.3.4", 22, Verdict::Allow),
        ("10.1.2.3", 22, Verdict::Deny),
        ("10.2.0.1", 443, Verdict::Deny),
        ("fd00::1", 443, Verdict::Deny),
    ];
    for (host, port, expected) in table {
        let action = Action::Connect { host: host.into(), port };
        assert_eq!(decide(&policy, &facts(), &action).verdict, expected, "{host}:{port}");
    }
    // The same of what a name leads to; that it is this machine's own is for the caller to know.
    let dialled = |address: &str, port, own| {
        decide_address(&policy, address.parse().unwrap(), port, own).is_none()
    };
    assert!(dialled("192.0.2.1", 443, false) && !dialled("192.0.2.1", 443, true));
    assert!(dialled("127.0.0.1", 4000, true) && !dialled("127.0.0.1", 443, true));
    assert!(dialled("10.1.3.4", 443, false) && !dialled("10.1.2.3", 443, false));
}

#[test]
fn a_host_set_is_allowed_or_denied_as_its_hosts_and_the_reason_names_both() {
    let [crates, npm] = ["crates", "npm"].map(|name| crate::HostSet::named(name).unwrap());
    let policy = policy(&[
        (SourceKind::UserFile, "[network]\nmode = \"proxy\"\nallow = [\"crates\", \"npm\"]"),
        (SourceKind::ManagedFile, "[network]\ndeny = [\"npm\"]"),
    ]);
    let connect = |host: &str, port| {
        let Decision { verdict, rule, reason, .. } =
            decide(&policy, &facts(), &Action::Connect { host: host.into(), port });
        (verdict, rule.unwrap(), reason)
    };
    let (allowed, denied) = (crates.hosts[0], npm.hosts[0]);
    assert_eq!(
        connect(allowed, 443),
        (
            Verdict::Allow,
            "network.allow crates".into(),
            format!(
                "{allowed} of the host set crates (version {}) may be reached.",
                crates.version
            )
        )
    );
    assert_eq!(
        connect(denied, 443),
        (
            Verdict::Deny,
            "network.deny npm".into(),
            format!("{denied} of the host set npm (version {}) is never reached.", npm.version)
        )
    );
    assert_eq!(connect(allowed, 80).0, Verdict::Ask, "a set is reached over HTTPS alone");
}

#[test]
fn a_session_approval_of_a_connection_is_for_its_host_and_port() {
    let policy = policy(&[(SourceKind::UserFile, "[network]\nmode = \"proxy\"\n")]);
    let mut facts = facts();
    facts.approvals.push(Approval {
        id: "s1".into(),
        prefix: connection_scope(&policy, "new.example", 443).unwrap(),
        scope: Scope::Session,
        command: None,
        by: "ada".into(),
        expires: None,
    });
    let connect = |host: &str, port| {
        decide(&policy, &facts, &Action::Connect { host: host.into(), port }).verdict
    };
    assert_eq!(connect("new.example", 443), Verdict::Allow);
    assert_eq!(connect("new.example", 80), Verdict::Ask);
    assert_eq!(connect("other.example", 443), Verdict::Ask);
    // No command has these words.
    let named = decide(&policy, &facts, &Action::Run(line("tcp://new.example:443 x")));
    assert_ne!(named.origin.kind, SourceKind::Grant);
}

#[test]
fn an_approval_counts_as_far_as_the_policy_lets_approvals_reach() {
    let proxy = "[network]\nmode = \"proxy\"\n";
    for widest in Scope::ALL {
        let limit = format!("[approvals]\nscopes = [\"{widest}\"]\n");
        let policy = policy(&[(SourceKind::UserFile, proxy), (SourceKind::ManagedFile, &limit)]);
        for scope in Scope::ALL.into_iter().filter(|scope| *scope != Scope::Once) {
            let prefix = vec!["tcp://new.example:443".to_owned()];
            let (id, by) = ("s1".to_owned(), "ada".to_owned());
            let approval = Approval { id, prefix, scope, command: None, by, expires: None };
            let facts = Facts { approvals: vec![approval], ..facts() };
            let connect = Action::Connect { host: "new.example".into(), port: 443 };
            let expected = if scope <= widest { Verdict::Allow } else { Verdict::Ask };
            let decision = decide(&policy, &facts, &connect);
            assert_eq!(decision.verdict, expected, "{scope} where {widest} is the widest");
        }
    }
}

#[test]
fn what_a_managed_layer_asks_about_is_approved_for_a_workspace_only_where_a_managed_layer_says_so()
{
    let ask = "[[commands.rule]]\nprefix = [\"make\"]\ndecision = \"ask\"\n";
    let all = "[approvals]\nscopes = [\"workspace\"]\n";
    let verdict = |files: &[(SourceKind, &str)]| {
        let policy = policy(files);
        let (id, by) = ("s1".to_owned(), "ada".to_owned());
        let (prefix, scope) = (vec!["make".to_owned()], Scope::Workspace);
        let approval = Approval { id, prefix, scope, command: None, by, expires: None };
        let facts = Facts { approvals: vec![approval], ..facts() };
        decide(&policy, &facts, &Action::Run(line("make"))).verdict
    };
    let (user, managed) = (SourceKind::UserFile, SourceKind::ManagedFile);
    assert_eq!(verdict(&[(user, ask)]), Verdict::Allow, "the user's own rule");
    assert_eq!(verdict(&[(managed, ask)]), Verdict::Ask);
    assert_eq!(verdict(&[(managed, ask), (user, all)]), Verdict::Ask);
    assert_eq!(verdict(&[(managed, ask), (managed, all)]), Verdict::Allow);
}

#[test]
fn an_approval_of_any_host_is_for_one_command_and_hosts_that_nothing_speaks_against() {
    let policy = policy(&[(SourceKind::UserFile, "[network]\nmode = \"proxy\"\n")]);
    let own = Process { pid: 7, started: 100 };
    let verdict = |for_command: Option<Process>, known: Option<i32>| {
        let reason = |points| Reason { points, text: "It is said.".into() };
        let known =
            known.map(|points| Familiarity { score: points, reasons: vec![reason(points)] });
        let approval = Approval {
            id: "s1".into(),
            prefix: vec![ANY_HOST.to_owned()],
            scope: Scope::Command,
            command: for_command,
            by: "ada".into(),
            expires: None,
        };
        let approvals = vec![approval];
        let facts = Facts { approvals, command: Some(own), familiarity: known, ..facts() };
        decide(&policy, &facts, &Action::Connect { host: "new.example".into(), port: 443 }).verdict
    };
    assert_eq!(verdict(Some(own), Some(0)), Verdict::Allow);
    assert_eq!(verdict(Some(own), Some(-30)), Verdict::Ask, "something speaks against it");
    assert_eq!(verdict(Some(own), None), Verdict::Ask, "nobody has looked");
    assert_eq!(verdict(Some(Process { pid: 8, ..own }), Some(0)), Verdict::Ask);
    assert_eq!(verdict(None, Some(0)), Verdict::Ask);
}

#[test]
fn an_approval_of_one_command_is_for_no_other() {
    let policy = policy(&[(SourceKind::UserFile, "[network]\nmode = \"proxy\"\n")]);
    let (own, reused) = (Process { pid: 7, started: 100 }, Process { pid: 7, started: 200 });
    let approval = Approval {
        id: "s1".into(),
        prefix: connection_scope(&policy, "new.example", 443).unwrap(),
        scope: Scope::Command,
        command: Some(own),
        by: "ada".into(),
        expires: None,
    };
    let connect = Action::Connect { host: "new.example".into(), port: 443 };
    for (command, expected) in
        [(Some(own), Verdict::Allow), (Some(reused), Verdict::Ask), (None, Verdict::Ask)]
    {
        let facts = Facts { approvals: vec![approval.clone()], command, ..facts() };
        assert_eq!(decide(&policy, &facts, &connect).verdict, expected, "{command:?}");
    }
}
