//! Each thing that is redacted, beside something that looks alike and is not.

use super::*;
#[cfg(unix)]
use std::time::Duration;

fn redactor() -> Redactor {
    Redactor::from_environment([
        ("GITHUB_TOKEN", "hunter2hunter2"),
        ("DB_PASS", "hunter2"),
        ("SHORT_TOKEN", "12"),
        ("HOME", "/home/lena"),
        ("MAX_OUTPUT_TOKENS", "320000"),
    ])
}

const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl";

/// (text, redacted), and where nothing is to be redacted, the same text twice.
fn table() -> Vec<(String, String)> {
    let letters = "abcdefghijklmnopqrstuvwxyz0123456789";
    let same = |text: &str| (text.to_owned(), text.to_owned());
    let case = |text: &str, redacted: &str| (text.to_owned(), redacted.to_owned());
    vec![
        // Values of secret variables, the longest first; not those of others.
        case("echo hunter2hunter2", "echo [redacted:GITHUB_TOKEN]"),
        case("x=hunter2;", "x=[redacted:DB_PASS];"),
        same("ls /home/lena 12 320000"),
        // Headers.
        case(
            "curl -H 'Authorization: Bearer abc def'",
            "curl -H 'Authorization: Bearer [redacted:header]'",
        ),
        case("-H \"X-Api-Key: q\"", "-H \"X-Api-Key: [redacted:header]\""),
        case("authorization: zzz", "authorization: [redacted:header]"),
        case("bearer a1b2c3d4", "bearer [redacted:bearer]"),
        same("the bearer of good news"),
        same("basic authentication is off"),
        same("-H 'Accept: text/plain'"),
        // In a path, too, what is known or has the look of a token.
        case("/tmp/hunter2hunter2/a", "/tmp/[redacted:GITHUB_TOKEN]/a"),
        case(&format!("/srv/ghp_{letters}/x"), "/srv/[redacted:github-token]/x"),
        same("/usr/lib/passwd-token/api-key.so.1"),
        // Issued tokens.
        case("sk-ant-api03-AbCdEfGhIjKlMnOpQr", "[redacted:api-key]"),
        case(&format!("ghp_{letters}"), "[redacted:github-token]"),
        case(&format!("gho_{letters}x"), "[redacted:github-token]"),
        case(&format!("git clone github_pat_{letters}"), "git clone [redacted:github-token]"),
        case("AKIAIOSFODNN7EXAMPLE", "[redacted:aws-key]"),
        case("xoxb-123456789012-abc", "[redacted:slack-token]"),
        case(&format!("npm_{letters}"), "[redacted:npm-token]"),
        case(&format!("cookie {JWT} end"), "cookie [redacted:jwt] end"),
        same("pip install sk-learn"),
        same("git checkout task-force-with-a-very-long-branch-name-2"),
        same("sk-a-branch-with-a-very-long-name-indeed"),
        same("ghp_short"),
        same("npm_config_registry=https://registry.acme.example/"),
        same("AKIAIOSFODNN7EXAMPLEANDMORE"),
        same("eyJhbGciOiJIUzI1NiJ9"),
        same("a.b.c eyJ.eyJ.x"),
        // Private keys.
        case(
            "x -----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY----- y",
            "x -----BEGIN OPENSSH PRIVATE KEY-----[redacted:private-key]\
             -----END OPENSSH PRIVATE KEY----- y",
        ),
        case(
            "-----BEGIN RSA PRIVATE KEY-----\nnever ends",
            "-----BEGIN RSA PRIVATE KEY-----[redacted:private-key]",
        ),
        same("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----"),
        // Addresses.
        case("https://lena:pw@host/x?y", "https://lena:[redacted:password]@host/x?y"),
        case("postgres://u:p@ss@db:5432/x", "postgres://u:[redacted:password]@db:5432/x"),
        case("https://0123456789abcdefghij@host", "https://[redacted:password]@host"),
        same("ssh://git@github.com:22/a"),
        same("https://host:8443/a@b:c"),
        same("https://$USER:$TOKEN@host"),
        // Options and assignments.
        case("tool --password hunter3 -v", "tool --password [redacted:password] -v"),
        case("tool --password=hunter3", "tool --password=[redacted:password]"),
        case("tool --api-key \"a b\" c", "tool --api-key \"[redacted:key]\" c"),
        case("FOO_TOKEN=abc make", "FOO_TOKEN=[redacted:token] make"),
        case("export DB_PASSWORD='a b'", "export DB_PASSWORD='[redacted:password]'"),
        case("?access_token=abc&x=1", "?access_token=[redacted:token]&x=1"),
        case("{\"password\": \"a\\\"b\"}", "{\"password\": \"[redacted:password]\"}"),
        case("{\\\"apiKey\\\":\\\"v\\\"}", "{\\\"apiKey\\\":\\\"[redacted:key]\\\"}"),
        case("password: hunter3", "password: [redacted:password]"),
        case("password = \"x\"", "password = \"[redacted:password]\""),
        same("tool --password-stdin abc"),
        same("tool --no-password abc"),
        same("tool --password --verbose"),
        same("FOO_TOKEN=$OTHER_TOKEN FOO_TOKEN=${X} FOO_TOKEN=$(pass show x)"),
        same("FOO_TOKEN= make"),
        same("--token-limit=5 MAX_TOKENS=9 PWD=/work monkey=x"),
        same("fix token: handle expiry"),
        same("if password == other {"),
        // Short options, only of the programs where they hold a secret.
        case("mysql -uroot -psecret shop", "mysql -uroot -p[redacted:password] shop"),
        case("sshpass -p pw ssh x", "sshpass -p [redacted:password] ssh x"),
        case("docker login -u me -p pw", "docker login -u me -p [redacted:password]"),
        case("curl -u me:pw https://x", "curl -u me:[redacted:password] https://x"),
        case("/usr/bin/curl --user me:pw x", "/usr/bin/curl --user me:[redacted:password] x"),
        case("redis-cli -a pw ping", "redis-cli -a [redacted:password] ping"),
        case("openssl rsa -passin pass:pw", "openssl rsa -passin pass:[redacted:password]"),
        same("mkdir -p build"),
        same("ssh -p 2222 host"),
        same("docker run -p 80:80 x"),
        same("mysql -p shop"),
        same("mysql -uroot; mkdir -pv a"),
        same("curl -u me https://x"),
        same("cp -pxyz a"),
        // As a shell wraps it.
        case(
            "source x && eval 'mysql -psecret --token \"a\"'",
            "source x && eval 'mysql -p[redacted:password] --token \"[redacted:token]\"'",
        ),
        // Not ASCII.
        case("é --password pässwörd ü", "é --password [redacted:password] ü"),
        same(""),
    ]
}

#[test]
fn what_is_secret_is_redacted_and_what_looks_alike_is_not() {
    let redactor = redactor();
    let wrong: Vec<_> = table()
        .into_iter()
        .map(|(text, expected)| (redactor.redact(&text), expected))
        .filter(|(found, expected)| found != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn redacting_again_changes_nothing() {
    let redactor = redactor();
    for (text, _) in table() {
        let once = redactor.redact(&text);
        assert_eq!(redactor.redact(&once), once, "{text}");
    }
}

#[test]
fn arguments_are_read_as_the_program_gets_them() {
    let redactor = redactor();
    let cases: [(&[&str], &[&str]); 10] = [
        (&["t", "--password", "a b"], &["t", "--password", "[redacted:password]"]),
        (&["t", "--password=a b"], &["t", "--password=[redacted:password]"]),
        (&["t", "--token", "$ecret"], &["t", "--token", "[redacted:token]"]),
        (&["mysql", "-pa b"], &["mysql", "-p[redacted:password]"]),
        (&["curl", "-u", "me:a b"], &["curl", "-u", "me:[redacted:password]"]),
        (
            &["bash", "-c", "FOO_TOKEN=x npm publish"],
            &["bash", "-c", "FOO_TOKEN=[redacted:token] npm publish"],
        ),
        (&["git", "push", "hunter2"], &["git", "push", "[redacted:DB_PASS]"]),
        (&["mkdir", "-p", "a"], &["mkdir", "-p", "a"]),
        (&["t", "--password", "--verbose"], &["t", "--password", "--verbose"]),
        (&["git", "commit", "-m", "token: x"], &["git", "commit", "-m", "token: x"]),
    ];
    for (argv, redacted) in cases {
        let argv: Vec<String> = argv.iter().map(|&text| text.into()).collect();
        assert_eq!(redactor.arguments(&argv), redacted);
    }
}

#[test]
fn values_are_redacted_at_any_depth_and_by_their_names() {
    let mut values = serde_json::json!({
        "argv": ["t", "--password", "a b"],
        "environment": {"GIT_TOKEN": "x", "LANG": "C"},
        "deep": [{"note": "use hunter2hunter2"}, 7, null],
    });
    redactor().values(values.as_object_mut().unwrap());
    assert_eq!(
        values,
        serde_json::json!({
            "argv": ["t", "--password", "[redacted:password]"],
            "environment": {"GIT_TOKEN": "[redacted:token]", "LANG": "C"},
            "deep": [{"note": "use [redacted:GITHUB_TOKEN]"}, 7, null],
        })
    );
}

#[test]
fn the_redactor_does_not_show_what_it_knows() {
    let shown = format!("{:?}", redactor());
    assert!(shown.contains("GITHUB_TOKEN"));
    assert!(!shown.contains("hunter2"));
}

/// What this thread has computed so far: how busy the machine is does not count.
#[cfg(unix)]
fn computed() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap()
}

#[cfg(unix)]
#[test]
fn hostile_texts_take_linear_time() {
    let redactor = redactor();
    for piece in [
        "://",
        "a://b:",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ",
        "eyJ-",
        "sk-",
        "a/",
        "--password ",
        "token: \"",
        "bearer '",
        "password=\\\"",
        "\"token\":\"\\",
        "curl -u ",
        "authorization:",
        "ghp_",
        "AKIA",
        "_",
        "-",
        ".",
        "'",
        "hunter",
        "mysql -p",
        "x ",
    ] {
        let time = |size: usize| {
            let text = piece.repeat(size / piece.len());
            let before = computed();
            let _ = redactor.redact(&text);
            computed() - before
        };
        // Eight times as much takes eight times as long, not 64 times.
        let (small, large) = (time(1 << 15), time(1 << 18));
        assert!(large < small * 30, "{piece}: {small:?} {large:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_can_be_redacted_and_keeps_no_known_secret(text in "\\PC{0,60}", at in 0..60_usize) {
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let with = format!("{}hunter2hunter2{}", &text[..at], &text[at..]);
        proptest::prop_assert!(!redactor().redact(&with).contains("hunter2"));
    }
}
