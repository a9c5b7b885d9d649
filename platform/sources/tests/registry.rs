//! The policies that stand in the registry of this machine, as `reg` writes them. Each test has a
//! key of its own beside Chaperone's, and removes it. They need a user who may write to `HKLM`.
#![cfg(windows)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it likes")]

use chaperone_policy::{
    Context, Layer, LayerStatus, NetworkMode, Os, Policy, SourceKind, built_in, merge,
};
use chaperone_sources::{Locations, Trust, Watcher, read, stamp};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A key of a test's own below `SOFTWARE\Policies` of both hives.
struct Store {
    folder: TempDir,
    key: String,
}

impl Store {
    fn new(name: &str) -> Self {
        Self::at(&format!(r"SOFTWARE\Policies\ChaperoneTest-{name}"))
    }

    fn at(key: &str) -> Self {
        let store = Self { folder: TempDir::new().unwrap(), key: key.to_owned() };
        store.clear();
        store
    }

    fn clear(&self) {
        for hive in ["HKLM", "HKCU"] {
            // There may be none.
            let _ = reg(&["delete", &self.path(hive), "/f"]);
        }
    }

    fn path(&self, hive: &str) -> String {
        format!(r"{hive}\{}", self.key)
    }

    /// Writes a value below the key of a hive, by the path that leads to it: `network!mode`.
    fn add(&self, hive: &str, value: &str, kind: &str, data: &str) {
        let (below, name) = value.split_once('!').unwrap();
        let key = format!(r"{}\{below}", self.path(hive));
        let key = key.trim_end_matches('\\');
        reg(&["add", key, "/v", name, "/t", kind, "/d", data, "/f"]).unwrap();
    }

    /// Imports values below the key of a hive from the text of a `.reg` file, whose keys are
    /// written as `[KEY\…]`.
    fn import(&self, hive: &str, text: &str) {
        let long = if hive == "HKLM" { "HKEY_LOCAL_MACHINE" } else { "HKEY_CURRENT_USER" };
        let text = text.replace("[KEY", &format!("[{}", self.path(long)));
        let file = self.folder.path().join("import.reg");
        std::fs::write(&file, format!("REGEDIT4\n\n{text}\n")).unwrap();
        reg(&["import", file.to_str().unwrap()]).unwrap();
    }

    fn locations(&self) -> Locations {
        let top = self.folder.path();
        Locations {
            managed: top.join("policy.d"),
            recommended: top.join("recommended.d"),
            user: top.join("config.toml"),
            workspace: None,
            command_line: Vec::new(),
            trust: Trust { owner: 0, user: 1, top: r"C:\".into(), home: r"C:\Users\ada".into() },
            store: Some(self.key.clone()),
        }
    }

    /// The registry's layers.
    fn layers(&self) -> Vec<Layer> {
        let files = [SourceKind::RecommendedFile, SourceKind::ManagedFile, SourceKind::UserFile];
        read(&self.locations()).into_iter().filter(|layer| !files.contains(&layer.kind)).collect()
    }

    fn policy(&self) -> Policy {
        let context = Context {
            home: PathBuf::from(r"C:\Users\Ada"),
            workspace: PathBuf::from(r"C:\Users\Ada\w"),
            agent: None,
            os: Os::Windows,
        };
        let layers = std::iter::once(built_in()).chain(read(&self.locations()));
        merge(layers.collect(), &context)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.clear();
    }
}

fn reg(arguments: &[&str]) -> Result<(), String> {
    let out = Command::new("reg").args(arguments).output().unwrap();
    let told = format!("{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.status.success().then_some(()).ok_or(told)
}

/// Each key's value, and where it comes from.
fn explained(store: &Store, key: &str) -> (String, Vec<String>) {
    let policy = store.policy();
    let value = policy.explain(key).unwrap();
    let machine = store.path("HKLM");
    let origin = |locator: &str| locator.replace(&machine, "…");
    let origins = value.origins.iter().map(|from| origin(&from.locator)).collect();
    (value.value.json().to_string(), origins)
}

#[test]
fn every_kind_of_value_that_reg_writes_is_read() {
    let store = Store::new("kinds");
    store.add("HKLM", "!revision", "REG_SZ", "7");
    store.add("HKLM", "Network!Mode", "REG_SZ", "proxy");
    store.add("HKLM", "network!closed", "REG_DWORD", "1");
    store.add("HKLM", "network!allow", "REG_MULTI_SZ", r"a.example\0b.example:443");
    store.add("HKLM", r"network\deny!10", "REG_SZ", "ten.example");
    store.add("HKLM", r"network\deny!2", "REG_SZ", "two.example");
    store.add("HKLM", r"filesystem\deny_write!1", "REG_EXPAND_SZ", r"%USERPROFILE%\.kube");
    store.add("HKLM", "limits!memory", "REG_QWORD", "8589934592");
    store.add("HKLM", "limits!processes", "REG_DWORD", "4096");
    store.add("HKLM", r"commands\rule\1!decision", "REG_SZ", "ask");
    store.add("HKLM", r"commands\rule\1!prefix", "REG_MULTI_SZ", r"git\0push");
    let rule = r#"{"prefix": ["npm", "publish"], "decision": "deny"}"#;
    store.add("HKLM", r"commands\rule!2", "REG_SZ", rule);
    let settings = r#"{"approvals": {"expires": "9m"}}"#;
    store.add("HKLM", "!Settings", "REG_SZ", settings);

    let own = store.layers();
    let told: Vec<_> = own.iter().map(|layer| (layer.kind, layer.status, &layer.detail)).collect();
    use LayerStatus::{Absent, Present};
    let none = String::new();
    assert_eq!(
        told,
        [
            (SourceKind::RecommendedRegistry, Absent, &none),
            (SourceKind::ManagedRegistry, Present, &none),
            (SourceKind::ManagedRegistry, Present, &none),
            (SourceKind::UserRegistry, Absent, &none),
        ]
    );
    let table: [(&str, &str, &[&str]); 9] = [
        ("revision", r#""7""#, &["…!revision"]),
        ("network.mode", r#""proxy""#, &[r"…\network!mode"]),
        ("network.closed", "true", &[r"…\network!closed"]),
        (
            "network.allow",
            r#"["a.example","b.example:443"]"#,
            &[r"…\network!allow[0]", r"…\network!allow[1]"],
        ),
        (
            "network.deny",
            r#"["two.example","ten.example"]"#,
            &[r"…\network\deny!2", r"…\network\deny!10"],
        ),
        ("filesystem.deny_write", r#"["C:\\Users\\Ada\\.kube"]"#, &[r"…\filesystem\deny_write!1"]),
        ("limits.memory", r#""8 GiB""#, &[r"…\limits!memory"]),
        ("limits.processes", "4096", &[r"…\limits!processes"]),
        ("approvals.expires", r#""9m""#, &["…!Settings#/approvals/expires"]),
    ];
    for (key, value, origins) in table {
        let (found, from) = explained(&store, key);
        assert_eq!(
            (found.as_str(), from),
            (value, origins.iter().map(|it| (*it).to_owned()).collect()),
            "{key}"
        );
    }
    let (rules, origins) = explained(&store, "commands.rule");
    assert!(rules.contains("push") && rules.contains("publish"), "{rules}");
    let own: Vec<&String> = origins.iter().filter(|from| *from != "defaults").collect();
    assert_eq!(own, [r"…\commands\rule\1", r"…\commands\rule!2"]);
}

#[test]
fn what_has_another_type_is_told_and_falls_to_the_strictest() {
    let store = Store::new("types");
    store.add("HKLM", "network!mode", "REG_BINARY", "0102");
    store.add("HKLM", "network!closed", "REG_SZ", "0");
    store.add("HKLM", "filesystem!deny", "REG_DWORD", "5");
    store.add("HKLM", "environment!deny", "REG_NONE", "x");
    store.add("HKLM", "approvals!unattended", "REG_MULTI_SZ", "allow");
    // Numbers of one byte, and a type that nobody knows.
    store.import(
        "HKLM",
        "[KEY\\limits]\n\"processes\"=hex(4):01\n\"memory\"=hex(b):01\n\n\
         [KEY\\sandbox]\n\"minimum_tier\"=hex(1267):00\n",
    );
    let layers = store.layers();
    let managed = layers.iter().find(|it| it.kind == SourceKind::ManagedRegistry).unwrap();
    let mut told: Vec<String> = managed
        .findings()
        .iter()
        .map(|it| format!("{}: {}: {:?}", it.key, it.found, it.status))
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "approvals.unattended: an array: Strictest",
            "environment.deny: REG_NONE of 4 bytes: Strictest",
            "filesystem.deny: 5: Partly",
            "limits.memory: a REG_QWORD that is no number of 1 byte: Strictest",
            "limits.processes: a REG_DWORD that is no number of 1 byte: Strictest",
            "network.closed: \"0\": Strictest",
            "network.mode: REG_BINARY of 2 bytes: Strictest",
            "sandbox.minimum_tier: the unknown type 4711 of 1 byte: Strictest",
        ]
    );
    assert_eq!(managed.status, LayerStatus::Present);
    assert_eq!(managed.settings.network.mode.as_ref().unwrap().value, NetworkMode::None);
    assert!(store.policy().blocked().is_empty(), "bad values stop no laptop");
}

#[test]
fn a_key_that_is_not_there_is_absent_and_an_empty_one_is_not() {
    let store = Store::new("absent");
    assert!(store.layers().iter().all(|layer| layer.status == LayerStatus::Absent));
    reg(&["add", &store.path("HKLM"), "/f"]).unwrap();
    let status = |kind| store.layers().iter().find(|it| it.kind == kind).unwrap().status;
    assert_eq!(status(SourceKind::ManagedRegistry), LayerStatus::Present);
    assert_eq!(status(SourceKind::UserRegistry), LayerStatus::Absent);
}

#[test]
fn the_users_hive_only_restricts() {
    let store = Store::new("user");
    store.add("HKLM", "network!mode", "REG_SZ", "proxy");
    store.add("HKLM", r"network\deny!1", "REG_SZ", "paste.example");
    store.add("HKCU", "network!mode", "REG_SZ", "direct");
    store.add("HKCU", r"network\allow!1", "REG_SZ", "paste.example");
    store.add("HKCU", r"network\deny!1", "REG_SZ", "drop.example");
    assert_eq!(explained(&store, "network.mode").0, r#""proxy""#);
    assert_eq!(explained(&store, "network.allow").0, "[]");
    let deny = explained(&store, "network.deny").0;
    assert!(deny.contains("paste.example") && deny.contains("drop.example"), "{deny}");
    store.add("HKCU", "network!mode", "REG_SZ", "none");
    let policy = store.policy();
    let mode = policy.explain("network.mode").unwrap();
    assert_eq!(mode.value, "none");
    assert_eq!(mode.origins[0].locator, format!(r"{}\network!mode", store.path("HKCU")));
}

#[test]
fn what_is_recommended_is_a_layer_of_its_own_that_a_user_may_overrule() {
    let store = Store::new("recommended");
    store.add("HKLM", r"Recommended\network!mode", "REG_SZ", "none");
    let told: Vec<_> = store.layers().iter().map(|it| (it.kind, it.status)).collect();
    assert_eq!(
        told,
        [
            (SourceKind::RecommendedRegistry, LayerStatus::Present),
            (SourceKind::ManagedRegistry, LayerStatus::Absent),
            (SourceKind::UserRegistry, LayerStatus::Absent),
        ]
    );
    assert_eq!(explained(&store, "network.mode").1, [r"…\Recommended\network!mode"]);
    std::fs::write(store.locations().user, "[network]\nmode = \"proxy\"\n").unwrap();
    assert_eq!(explained(&store, "network.mode").0, r#""proxy""#);
    store.add("HKLM", "network!mode", "REG_SZ", "none");
    assert_eq!(explained(&store, "network.mode").1, [r"…\network!mode"]);
}

#[test]
fn more_than_is_read_of_one_policy_is_unreadable_and_soon_told() {
    let managed = |store: &Store| {
        let began = Instant::now();
        let layers = store.layers();
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let layer = layers.into_iter().find(|it| it.kind == SourceKind::ManagedRegistry).unwrap();
        (layer.status, layer.blocks())
    };
    let store = Store::new("deep");
    store.import("HKLM", &format!("[KEY{}]\n\"x\"=\"y\"\n", "\\a".repeat(40)));
    assert_eq!(managed(&store), (LayerStatus::Unreadable, true));

    let store = Store::new("large");
    let line = format!("=\"{}\"\n", "x".repeat(60_000));
    let mut text = "[KEY\\filesystem\\deny]\n".to_owned();
    for at in 0..80 {
        write!(text, "\"{at}\"{line}").unwrap();
    }
    store.import("HKLM", &text);
    assert_eq!(managed(&store), (LayerStatus::Unreadable, true));

    let store = Store::new("many");
    let mut text = "[KEY\\filesystem\\deny]\n".to_owned();
    for at in 0..5_000 {
        writeln!(text, "\"{at}\"=\"/srv/{at}\"").unwrap();
    }
    store.import("HKLM", &text);
    assert_eq!(managed(&store), (LayerStatus::Present, false));
}

#[test]
fn a_digest_tells_what_was_read_and_a_stamp_that_it_changed() {
    let store = Store::new("digest");
    let digest = || {
        let layers = store.layers();
        let layer = layers.into_iter().find(|it| it.kind == SourceKind::ManagedRegistry).unwrap();
        layer.reading.map(|reading| reading.digest())
    };
    assert_eq!(digest(), None);
    store.add("HKLM", r"network\deny!1", "REG_SZ", "paste.example");
    let first = digest();
    assert_eq!(first.as_ref().map(String::len), Some(64));
    assert_eq!(digest(), first);
    let before = stamp(&store.locations());
    assert!(!before.is_outdated());
    store.add("HKLM", r"network\deny!1", "REG_SZ", "drop.example");
    assert!(before.is_outdated());
    assert_ne!(digest(), first);
    let before = stamp(&store.locations());
    store.add("HKCU", r"network\deny!1", "REG_SZ", "drop.example");
    assert!(before.is_outdated());
    let before = stamp(&store.locations());
    reg(&["delete", &store.path("HKLM"), "/f"]).unwrap();
    assert!(before.is_outdated());
}

/// What is promised is a second; a busy machine may need more.
const SOON: Duration = Duration::from_secs(60);

/// How long is waited for what must not come, or may not. However busy the machine, a watcher that
/// is right fails no test by it.
const QUIET: Duration = Duration::from_millis(700);

/// The change is told. The system may tell of it in several parts.
#[track_caller]
fn told(watcher: &mut Watcher, what: &str) {
    assert!(watcher.wait(SOON), "{what}");
    while watcher.wait(QUIET) {}
}

/// Nothing is told to a watcher that has had nothing to tell before.
#[track_caller]
fn untold(store: &Store, what: &str, act: impl FnOnce()) {
    let mut watcher = Watcher::new(&store.locations(), []).unwrap();
    act();
    assert!(!watcher.wait(QUIET), "{what}");
}

#[test]
fn a_watcher_tells_of_what_reg_writes_and_deletes_in_either_hive() {
    let store = Store::new("watch");
    untold(&store, "nothing has changed", || {});
    let mut watcher = Watcher::new(&store.locations(), []).unwrap();
    for hive in ["HKLM", "HKCU"] {
        store.add(hive, "!revision", "REG_SZ", "1");
        told(&mut watcher, &format!("{hive}: the key made"));
        store.add(hive, "!revision", "REG_SZ", "2");
        told(&mut watcher, &format!("{hive}: a value changed"));
        store.add(hive, r"network\deny!1", "REG_SZ", "paste.example");
        told(&mut watcher, &format!("{hive}: a key deeper in it"));
        store.add(hive, r"network\deny!1", "REG_SZ", "drop.example");
        told(&mut watcher, &format!("{hive}: a value deeper in it"));
        reg(&["delete", &store.path(hive), "/v", "revision", "/f"]).unwrap();
        told(&mut watcher, &format!("{hive}: a value deleted"));
        reg(&["delete", &store.path(hive), "/f"]).unwrap();
        told(&mut watcher, &format!("{hive}: the key deleted"));
    }
    let other = Store::new("watch-other");
    untold(&store, "another program's policy", || {
        other.add("HKLM", "!revision", "REG_SZ", "1");
        other.add("HKLM", r"network\deny!1", "REG_SZ", "x.example");
    });
}

#[test]
fn a_watcher_follows_keys_that_are_deleted_with_those_above_and_made_again() {
    let top = r"SOFTWARE\ChaperoneTest-follow";
    let store = Store::at(&format!(r"{top}\Policies\Chaperone"));
    let machine = format!(r"HKLM\{top}");
    let _ = reg(&["delete", &machine, "/f"]);
    untold(&store, "nothing of the policy is there yet", || {
        reg(&["add", &machine, "/f"]).unwrap();
    });
    reg(&["delete", &machine, "/f"]).unwrap();
    let mut watcher = Watcher::new(&store.locations(), []).unwrap();
    for round in ["first", "second"] {
        reg(&["add", &machine, "/f"]).unwrap();
        store.add("HKLM", "!revision", "REG_SZ", "1");
        told(&mut watcher, &format!("{round}: the key and the one above"));
        store.add("HKLM", "!revision", "REG_SZ", "2");
        told(&mut watcher, &format!("{round}: a value in it"));
        reg(&["delete", &machine, "/f"]).unwrap();
        told(&mut watcher, &format!("{round}: all deleted"));
        assert!(store.layers().iter().all(|layer| layer.status == LayerStatus::Absent));
    }
}
