//! A signed bundle from a real repository on a loopback host: what is taken in and what is not,
//! what holds without a network, and what becomes of it when it expires.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may fail where it likes")]

mod host;
mod kept;
mod publisher;
mod refused;

use chaperone_policy::{
    Action, Context, Facts, Layer, LayerStatus, Os, Policy, Remote, SourceKind, Verdict, built_in,
    decide, merge,
};
use chaperone_sources::remote::{Bundle, Patience, RefreshError, Refreshed};
use chaperone_sources::{Locations, Stamp, Trust, Watcher, stamp};
use host::Host;
use jiff::Timestamp;
use publisher::Publisher;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// A laptop: its own folder, with the root that IT shipped and the bundles that were fetched.
struct Laptop {
    folder: TempDir,
    trust: Trust,
    url: String,
    settings: String,
}

impl Laptop {
    /// One whose managed file names the repository, with its root beside it.
    fn new(publisher: &Publisher, host: &Host) -> Self {
        let folder = TempDir::new().unwrap();
        let top = folder.path().canonicalize().unwrap();
        let me = fs::metadata(&top).unwrap().uid();
        let home = top.join("home");
        let trust = Trust { owner: me, user: me + 1, top, home };
        let laptop = Self { folder, trust, url: host.url(), settings: String::new() };
        laptop.ship_root(&publisher.root());
        let root = laptop.root_file();
        laptop.with(&format!("root = {root:?}"))
    }

    fn with(self, settings: &str) -> Self {
        Self { settings: settings.to_owned(), ..self }
    }

    fn and(self, more: &str) -> Self {
        let settings = format!("{}\n{more}", self.settings);
        Self { settings, ..self }
    }

    fn top(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn root_file(&self) -> PathBuf {
        self.top().join("root.json")
    }

    fn bundles(&self) -> PathBuf {
        self.top().join("state/bundles")
    }

    fn ship_root(&self, root: &str) {
        fs::write(self.root_file(), root).unwrap();
        fs::set_permissions(self.root_file(), fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// The managed file that names the bundle.
    fn managed(&self) -> Layer {
        let text = format!("[remote]\nurl = {:?}\n{}\n", self.url, self.settings);
        let layer = Layer::from_toml(SourceKind::ManagedFile, "/managed.toml", &text);
        assert_eq!(layer.findings(), []);
        layer
    }

    fn remote(&self) -> Remote {
        chaperone_policy::remote(&[self.managed()], &self.context()).unwrap()
    }

    fn bundle(&self) -> Bundle {
        let bundle = Bundle::new(&self.remote(), &self.bundles(), &self.trust);
        bundle
            .with_patience(Patience { file: Duration::from_secs(10), all: Duration::from_secs(20) })
    }

    fn refresh(&self) -> Result<Refreshed, RefreshError> {
        self.bundle().refresh(Timestamp::now())
    }

    fn context(&self) -> Context {
        Context { home: self.top(), workspace: self.top(), agent: None, os: Os::Linux }
    }

    /// The bundle's layers as they would be read at this time.
    fn layers_at(&self, time: Timestamp) -> Vec<Layer> {
        self.bundle().read(time).layers
    }

    fn layers(&self) -> Vec<Layer> {
        self.layers_at(Timestamp::now())
    }

    /// The one layer that the bundle is.
    fn layer_at(&self, time: Timestamp) -> Layer {
        let mut layers = self.layers_at(time);
        assert_eq!(layers.len(), 1, "{layers:?}");
        layers.remove(0)
    }

    fn layer(&self) -> Layer {
        self.layer_at(Timestamp::now())
    }

    /// The policy of somebody who would like to reach the hosts that bundles deny here.
    fn policy_at(&self, time: Timestamp) -> Policy {
        let wishes = "[network]\nallow = [\"paste.example:443\", \"mac.example:443\"]\n";
        let user = Layer::from_toml(SourceKind::UserFile, "/user.toml", wishes);
        let mut layers = vec![built_in(), self.managed(), user];
        layers.extend(self.layers_at(time));
        merge(layers, &self.context())
    }

    fn policy(&self) -> Policy {
        self.policy_at(Timestamp::now())
    }

    /// Other sources, of which there are none.
    fn elsewhere(&self) -> Locations {
        let nowhere = self.top().join("nowhere");
        Locations {
            managed: nowhere.clone(),
            recommended: nowhere.clone(),
            user: nowhere,
            workspace: None,
            command_line: Vec::new(),
            trust: self.trust.clone(),
            store: None,
        }
    }

    /// A stamp of those.
    fn other_sources(&self) -> Stamp {
        stamp(&self.elsewhere())
    }

    /// The bundle's file, byte for byte.
    fn cached(&self) -> Option<String> {
        fs::read_to_string(self.cached_file()?).ok()
    }

    fn cached_file(&self) -> Option<PathBuf> {
        let folder = fs::read_dir(self.bundles()).ok()?.next()?.unwrap().path();
        Some(folder.join("bundle.json"))
    }
}

/// What becomes of connecting to a host.
fn connect(policy: &Policy, host: &str) -> Verdict {
    let action = Action::Connect { host: host.to_owned(), port: 443 };
    decide(policy, &Facts::at(Timestamp::now()), &action).verdict
}

fn scene() -> (Publisher, Host, Laptop) {
    let publisher = Publisher::new();
    publisher.publish();
    let host = Host::serve(publisher.folder());
    let laptop = Laptop::new(&publisher, &host);
    (publisher, host, laptop)
}

#[test]
fn what_was_never_fetched_starts_no_session_and_says_what_to_do() {
    let (_publisher, host, laptop) = scene();
    let layer = laptop.layer();
    assert_eq!((layer.kind, layer.status), (SourceKind::ManagedBundle, LayerStatus::Unreadable));
    assert_eq!(
        layer.detail,
        "The bundle was never fetched; fetch it with `chaperone policy refresh`."
    );
    let blocked = laptop.policy().blocked().to_vec();
    assert_eq!(blocked.len(), 1, "{blocked:?}");
    assert_eq!(blocked[0].origin, layer.origin(0));
    assert!(blocked[0].reason.contains("`chaperone policy refresh`"), "{}", blocked[0].reason);
    assert_eq!(host.asked(), [""; 0], "reading needs no network");
}

#[test]
fn a_bundle_is_fetched_and_each_of_its_policy_files_is_a_managed_layer_in_name_order() {
    for consistent in [true, false] {
        let mut publisher = Publisher::new();
        publisher.consistent = consistent;
        publisher.say("05-rules.json", "{\"network\": {\"allow\": [\"api.acme.example:443\"]}}");
        publisher.say("readme.txt", "not = [ policy");
        publisher.say(".10-base.toml.swp", "not = [ policy");
        publisher.publish();
        let host = Host::serve(publisher.folder());
        let laptop = Laptop::new(&publisher, &host);

        let refreshed = laptop.refresh().unwrap();
        let expected = Refreshed {
            url: laptop.url.clone(),
            before: None,
            version: publisher.versions[publisher::TARGETS],
            expires: publisher.expires[publisher::TIMESTAMP],
            files: 2,
            added: vec!["05-rules.json".to_owned(), "10-base.toml".to_owned()],
            changed: Vec::new(),
            removed: Vec::new(),
        };
        assert_eq!(refreshed, expected);
        let asked = host.asked();
        assert!(!asked.iter().any(|path| path.contains("readme") || path.contains("swp")));

        let layers = laptop.layers();
        let seen: Vec<_> =
            layers.iter().map(|layer| (layer.kind, layer.locator.clone(), layer.status)).collect();
        let locator = |name| format!("{}{name}", laptop.url);
        assert_eq!(
            seen,
            [
                (SourceKind::ManagedBundle, locator("05-rules.json"), LayerStatus::Present),
                (SourceKind::ManagedBundle, locator("10-base.toml"), LayerStatus::Present),
            ]
        );
        let end = publisher.expires[publisher::TIMESTAMP].strftime("%Y-%m-%d %H:%M UTC");
        assert_eq!(
            layers[1].detail,
            format!("Version {} of the bundle, good until {end}.", refreshed.version)
        );
        assert!(layers[1].reading.is_some());

        let policy = laptop.policy();
        assert_eq!(policy.blocked(), []);
        assert_eq!(policy.revision(), Some("1"));
        assert_eq!(connect(&policy, "api.acme.example"), Verdict::Allow, "its grants hold");
        assert_eq!(connect(&policy, "paste.example"), Verdict::Deny, "and its restrictions");
        let origins = policy.explain("network.deny").unwrap().origins;
        let from = origins.iter().find(|origin| origin.kind == SourceKind::ManagedBundle).unwrap();
        assert_eq!(from.locator, locator("10-base.toml:3"));
        assert_eq!(host.asked(), [""; 0], "reading needs no network");
    }
}

#[test]
fn a_refresh_says_what_changed_and_leaves_the_file_alone_where_nothing_did() {
    let (mut publisher, _host, laptop) = scene();
    laptop.refresh().unwrap();
    let before = (laptop.cached(), fs::metadata(laptop.cached_file().unwrap()).unwrap().ino());
    let again = laptop.refresh().unwrap();
    assert_eq!((again.before, again.version), (Some(1), 1));
    let after = (laptop.cached(), fs::metadata(laptop.cached_file().unwrap()).unwrap().ino());
    assert_eq!(before, after);

    publisher.say("20-more.toml", "[network]\ndeny = [\"more.example\"]\n");
    publisher.say("10-base.toml", "revision = \"2\"\n");
    publisher.publish();
    let refreshed = laptop.refresh().unwrap();
    assert_eq!((refreshed.before, refreshed.version), (Some(1), 3));
    assert_eq!(
        (refreshed.added, refreshed.changed),
        (vec!["20-more.toml".to_owned()], vec!["10-base.toml".to_owned()])
    );
    publisher.files.remove("20-more.toml");
    publisher.raise();
    publisher.publish();
    assert_eq!(laptop.refresh().unwrap().removed, ["20-more.toml"]);
    assert_eq!(laptop.policy().revision(), Some("2"));
}

#[test]
fn a_bundle_may_be_conditioned_and_may_be_empty() {
    let (mut publisher, _host, laptop) = scene();
    publisher
        .say("20-mac.toml", "when = { os = \"macos\" }\n[network]\ndeny = [\"mac.example\"]\n");
    publisher.publish();
    laptop.refresh().unwrap();
    let policy = laptop.policy();
    assert_eq!(connect(&policy, "paste.example"), Verdict::Deny);
    assert_eq!(connect(&policy, "mac.example"), Verdict::Allow);

    publisher.files.clear();
    publisher.raise();
    publisher.publish();
    laptop.refresh().unwrap();
    let layer = laptop.layer();
    assert_eq!((layer.status, layer.locator.as_str()), (LayerStatus::Present, &*laptop.url));
    assert!(layer.detail.ends_with("It has no policy file."), "{}", layer.detail);
    assert_eq!(laptop.policy().blocked(), []);
}

#[test]
fn the_root_may_stand_in_the_managed_layer_itself() {
    let (publisher, _host, laptop) = scene();
    let inline = toml_string(&publisher.root());
    let laptop = laptop.with(&format!("root = {inline}"));
    laptop.refresh().unwrap();
    assert_eq!(laptop.layer().status, LayerStatus::Present);
}

#[test]
fn a_bundle_that_is_fetched_and_a_root_that_is_shipped_anew_are_told() {
    /// What is promised is a second; a busy machine may need more.
    const SOON: Duration = Duration::from_secs(60);
    let (publisher, _host, laptop) = scene();
    let fetch = || drop(laptop.refresh().unwrap());
    let ship = || laptop.ship_root(&publisher.root());
    let changes: [(&str, &dyn Fn()); 2] = [("fetched", &fetch), ("shipped", &ship)];
    for (what, change) in changes {
        let mut watcher = Watcher::new(&laptop.elsewhere(), laptop.bundle().places()).unwrap();
        change();
        assert!(watcher.wait(SOON), "{what}");
    }
}

fn toml_string(text: &str) -> String {
    format!("'''\n{text}'''")
}

#[test]
fn roots_are_followed_one_by_one_and_the_shipped_one_may_lag_behind_or_catch_up() {
    let (mut publisher, host, laptop) = scene();
    laptop.refresh().unwrap();
    // Two rotations of the root's key; then other keys for what is signed every day.
    for key in [11, 12] {
        let old = publisher.keys[publisher::ROOT].clone();
        publisher.versions[publisher::ROOT] += 1;
        publisher.keys[publisher::ROOT] = vec![key];
        publisher.signers[publisher::ROOT] = Some([old, vec![key]].concat());
        publisher.publish();
    }
    publisher.versions[publisher::ROOT] += 1;
    publisher.keys[1..].clone_from_slice(&[vec![22], vec![23], vec![24]]);
    publisher.signers[publisher::ROOT] = None;
    publisher.say("10-base.toml", "revision = \"2\"\n");
    publisher.publish();
    laptop.refresh().unwrap();
    assert_eq!(laptop.policy().revision(), Some("2"), "from the first root through all");

    host.asked();
    laptop.refresh().unwrap();
    let roots = |asked: Vec<String>| -> Vec<String> {
        asked.into_iter().filter(|path| path.ends_with("root.json")).collect()
    };
    assert_eq!(roots(host.asked()), ["/metadata/5.root.json"], "only what is new is asked for");

    // IT ships the newest root: what was fetched before holds without a network.
    laptop.ship_root(&publisher.root());
    host.stop();
    assert_eq!(laptop.policy().revision(), Some("2"));
}

#[test]
fn a_fresh_start_under_another_root_is_followed_once_it_is_shipped() {
    let (mut publisher, _host, laptop) = scene();
    publisher.versions = [1, 7, 7, 7];
    publisher.publish();
    laptop.refresh().unwrap();
    // All keys are lost: a new repository, at version 1 again, under a root that IT ships.
    publisher.versions = [1; 4];
    publisher.keys = [vec![31], vec![32], vec![33], vec![34]];
    publisher.say("10-base.toml", "revision = \"anew\"\n");
    publisher.publish();
    assert!(laptop.refresh().is_err());
    laptop.ship_root(&publisher.root());
    assert_eq!(laptop.layer().status, LayerStatus::Invalid, "what was kept is another's");
    laptop.refresh().unwrap();
    assert_eq!(laptop.policy().revision(), Some("anew"));
}
