//! What is kept: without a network, past its time, altered, and by two processes at once.

use crate::publisher::{ROOT, TIMESTAMP, days};
use crate::{Laptop, connect, scene};
use chaperone_policy::{LayerStatus, Verdict};
use chaperone_sources::Trust;
use jiff::{SignedDuration, Timestamp};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

#[test]
fn without_a_network_the_bundle_holds_and_says_why_it_is_not_fresh() {
    let (_publisher, host, laptop) = scene();
    laptop.refresh().unwrap();
    let before = laptop.cached();
    host.stop();
    let error = laptop.refresh().unwrap_err().to_string();
    assert!(
        error.contains("metadata/timestamp.json cannot be reached") || error.contains("root"),
        "{error}"
    );
    assert_eq!(laptop.cached(), before);
    let layer = laptop.layer();
    assert_eq!(layer.status, LayerStatus::Present);
    assert!(layer.detail.contains("failed: "), "{}", layer.detail);
    assert_eq!(connect(&laptop.policy(), "paste.example"), Verdict::Deny);
}

/// A bundle that allows and denies, which is good for 30 days.
fn with_grants() -> (crate::Publisher, crate::Host, Laptop) {
    let (mut publisher, host, laptop) = scene();
    publisher.say(
        "10-base.toml",
        "[network]\nallow = [\"api.acme.example:443\"]\ndeny = [\"paste.example\"]\n",
    );
    publisher.publish();
    laptop.refresh().unwrap();
    (publisher, host, laptop)
}

#[test]
fn an_expired_bundle_restricts_and_grants_nothing() {
    let (_publisher, _host, laptop) = with_grants();
    let inside = laptop.policy_at(days(29));
    assert_eq!(connect(&inside, "api.acme.example"), Verdict::Allow);
    assert_eq!(connect(&inside, "paste.example"), Verdict::Deny);

    let layer = laptop.layer_at(days(31));
    assert_eq!(layer.status, LayerStatus::Expired);
    assert!(layer.detail.contains("expired on"), "{}", layer.detail);
    assert!(layer.detail.contains("by its timestamp metadata"), "{}", layer.detail);
    let past = laptop.policy_at(days(31));
    assert_eq!(past.blocked(), []);
    assert_ne!(connect(&past, "api.acme.example"), Verdict::Allow);
    assert_eq!(connect(&past, "paste.example"), Verdict::Deny);
}

#[test]
fn where_expiry_refuses_no_session_starts() {
    let (_publisher, _host, laptop) = with_grants();
    let laptop = laptop.and("on_expiry = \"refuse\"");
    assert_eq!(laptop.policy_at(days(29)).blocked(), []);
    assert_eq!(laptop.layer_at(days(31)).status, LayerStatus::Expired);
    let past = laptop.policy_at(days(31));
    assert_eq!(past.blocked().len(), 1, "{:?}", past.blocked());
    assert!(past.blocked()[0].reason.contains("`chaperone policy refresh`"));
    // What it denied is denied even so, in a session that runs by then.
    assert_eq!(connect(&past, "paste.example"), Verdict::Deny);
    assert_ne!(connect(&past, "api.acme.example"), Verdict::Allow);
}

#[test]
fn an_empty_bundle_expires_too() {
    let (mut publisher, _host, laptop) = scene();
    publisher.files.clear();
    publisher.raise();
    publisher.publish();
    laptop.refresh().unwrap();
    let laptop = laptop.and("on_expiry = \"refuse\"");
    assert_eq!(laptop.policy_at(days(29)).blocked(), []);
    assert_eq!(laptop.policy_at(days(31)).blocked().len(), 1);
}

#[test]
fn whichever_part_ends_first_ends_the_bundle() {
    for role in 0..4 {
        let (mut publisher, _host, laptop) = scene();
        publisher.expires = [days(40); 4];
        publisher.expires[role] = days(20);
        publisher.versions[ROOT] = 2;
        publisher.publish();
        laptop.refresh().unwrap_or_else(|error| panic!("{role}: {error}"));
        assert_eq!(laptop.bundle().read(days(0)).expires, Some(publisher.expires[role]), "{role}");
        assert_eq!(laptop.layer_at(days(19)).status, LayerStatus::Present, "{role}");
        assert_eq!(laptop.layer_at(days(21)).status, LayerStatus::Expired, "{role}");
    }
}

#[test]
fn a_clock_that_is_set_back_brings_nothing_back_until_a_refresh_works() {
    let (mut publisher, host, laptop) = scene();
    laptop.refresh().unwrap();
    host.answer("/metadata/timestamp.json", crate::host::Answer::Status(500));
    laptop.bundle().refresh(days(31)).unwrap_err();
    assert_eq!(laptop.layer_at(days(0)).status, LayerStatus::Expired);
    // A clock that was ahead for a while is forgiven once the host says what holds.
    host.recover();
    publisher.raise();
    publisher.publish();
    laptop.refresh().unwrap();
    assert_eq!(laptop.layer_at(days(0)).status, LayerStatus::Present);
}

#[test]
fn what_a_hand_altered_is_not_believed() {
    let (_publisher, _host, laptop) = scene();
    laptop.refresh().unwrap();
    let whole = laptop.cached().unwrap();
    let file = laptop.cached_file().unwrap();
    let day = days(30).strftime("%Y-%m-%d").to_string();
    let later = days(3000).strftime("%Y-%m-%d").to_string();
    for (from, to) in [
        ("paste.example", "paster.example"),
        ("paste.example", "waste.example"),
        (day.as_str(), later.as_str()),
        ("10-base.toml\\\"", "11-base.toml\\\""),
        ("\"10-base.toml\":", "\"11-base.toml\":"),
    ] {
        assert!(whole.contains(from), "{from}");
        fs::write(&file, whole.replace(from, to)).unwrap();
        let layer = laptop.layer();
        assert_eq!(layer.status, LayerStatus::Invalid, "{from} to {to}");
        assert!(layer.detail.contains("not believed"), "{}", layer.detail);
        assert_eq!(laptop.policy().blocked().len(), 1);
    }
    for broken in ["", "{", &whole[..whole.len() / 2], "{\"format\": 2}"] {
        fs::write(&file, broken).unwrap();
        assert_eq!(laptop.layer().status, LayerStatus::Invalid);
    }
    fs::write(&file, &whole).unwrap();
    assert_eq!(laptop.layer().status, LayerStatus::Present);
    // The remedy works from whatever is there.
    fs::write(&file, "{").unwrap();
    laptop.refresh().unwrap();
    assert_eq!(laptop.layer().status, LayerStatus::Present);
}

#[test]
fn a_cache_that_is_gone_closes_and_an_old_one_is_good_until_it_expires() {
    let (mut publisher, _host, laptop) = scene();
    laptop.refresh().unwrap();
    let old = laptop.cached().unwrap();
    publisher.say("10-base.toml", "revision = \"2\"\n");
    publisher.publish();
    laptop.refresh().unwrap();

    fs::write(laptop.cached_file().unwrap(), &old).unwrap();
    assert_eq!(laptop.policy().revision(), Some("1"), "docs/remote-policy.md says so");
    assert_eq!(laptop.layer_at(days(31)).status, LayerStatus::Expired, "and what bounds it");
    laptop.refresh().unwrap();
    assert_eq!(laptop.policy().revision(), Some("2"));

    fs::remove_dir_all(laptop.bundles()).unwrap();
    assert_eq!(laptop.layer().status, LayerStatus::Unreadable);
    assert_eq!(laptop.policy().blocked().len(), 1);
}

#[test]
fn the_bundle_of_another_address_is_not_this_ones() {
    let (_publisher, _host, laptop) = scene();
    laptop.refresh().unwrap();
    let file = laptop.cached_file().unwrap();
    let text = laptop.cached().unwrap();
    fs::write(&file, text.replace(&laptop.url, "https://other.example/")).unwrap();
    assert_eq!(laptop.layer().status, LayerStatus::Invalid);
}

#[test]
fn whose_root_it_is_decides_whether_grants_count() {
    let (_publisher, _host, laptop) = with_grants();
    assert_eq!(connect(&laptop.policy(), "api.acme.example"), Verdict::Allow);
    fs::set_permissions(laptop.root_file(), fs::Permissions::from_mode(0o666)).unwrap();
    let layer = laptop.layer();
    assert_eq!(layer.status, LayerStatus::Untrusted);
    assert!(layer.detail.contains("everybody can write"), "{}", layer.detail);
    let policy = laptop.policy();
    assert_ne!(connect(&policy, "api.acme.example"), Verdict::Allow);
    assert_eq!(connect(&policy, "paste.example"), Verdict::Deny);

    fs::set_permissions(laptop.root_file(), fs::Permissions::from_mode(0o644)).unwrap();
    let owner = laptop.trust.owner;
    let trust = Trust { user: owner, ..laptop.trust.clone() };
    let laptop = Laptop { trust, ..laptop };
    assert_eq!(laptop.layer().status, LayerStatus::Untrusted, "the user is its owner");
}

#[test]
fn a_root_that_cannot_be_read_starts_no_session() {
    let (_publisher, _host, laptop) = scene();
    laptop.refresh().unwrap();
    let root = laptop.root_file();
    for (settings, why) in [
        (String::new(), "`remote.root` is not set"),
        ("root = \"root.json\"".to_owned(), "must be an absolute path"),
        ("root = \"/nowhere/root.json\"".to_owned(), "does not exist"),
        (format!("root = {:?}", root.parent().unwrap()), "no regular file"),
    ] {
        let laptop = laptop.again(&settings);
        let layer = laptop.layer();
        assert_eq!(layer.status, LayerStatus::Unreadable, "{settings}");
        assert!(layer.detail.contains(why), "{settings}: {}", layer.detail);
        assert!(laptop.bundle().refresh(Timestamp::now()).unwrap_err().to_string().contains(why));
        assert_eq!(laptop.policy().blocked().len(), 1);
    }
    let laptop = laptop.again("root = '{\"signed\": {}}'");
    assert_eq!(laptop.layer().status, LayerStatus::Invalid);
}

impl Laptop {
    /// The same laptop with other settings.
    fn again(&self, settings: &str) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let trust = self.trust.clone();
        let to = folder.path().canonicalize().unwrap().join("state/bundles");
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(self.bundles()).unwrap() {
            let from = entry.unwrap().path();
            let to = to.join(from.file_name().unwrap());
            fs::create_dir_all(&to).unwrap();
            fs::copy(from.join("bundle.json"), to.join("bundle.json")).unwrap();
        }
        Self { folder, trust, url: self.url.clone(), settings: settings.to_owned() }
    }
}

#[test]
fn a_refresh_is_due_after_a_quarter_of_an_hour_whether_it_worked_or_not() {
    let (_publisher, host, laptop) = scene();
    let now = Timestamp::now();
    let due =
        |minutes: i64| laptop.bundle().refresh_if_due(now + SignedDuration::from_mins(minutes));
    assert!(due(0).unwrap().is_ok(), "it was never tried");
    assert!(due(1).is_none());
    assert!(due(14).is_none());
    assert!(due(15).unwrap().is_ok());
    host.stop();
    assert!(due(30).unwrap().is_err());
    assert!(due(44).is_none(), "nor is a host that is away asked all the time");
    assert!(due(45).unwrap().is_err());
    assert!(due(-60).unwrap().is_err(), "a clock that was ahead does not put it off");
}

#[test]
fn refreshes_at_the_same_time_take_turns_and_all_end_with_the_same() {
    let (_publisher, _host, laptop) = scene();
    std::thread::scope(|scope| {
        let all: Vec<_> =
            (0..6).map(|_| scope.spawn(|| laptop.refresh().map(|it| it.version))).collect();
        for one in all {
            assert_eq!(one.join().unwrap().unwrap(), 1);
        }
    });
    assert_eq!(laptop.layer().status, LayerStatus::Present);
    let folder = laptop.cached_file().unwrap();
    let mut left: Vec<String> = fs::read_dir(folder.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    left.sort();
    assert_eq!(left, ["bundle.json", "lock", "refreshes.json"]);
}

#[test]
fn while_another_process_refreshes_nobody_else_begins_in_the_background() {
    let (_publisher, _host, laptop) = scene();
    laptop.refresh().unwrap();
    let folder = laptop.cached_file().unwrap().with_file_name("lock");
    let lock = fs::File::options().write(true).open(folder).unwrap();
    lock.lock().unwrap();
    assert!(laptop.bundle().refresh_if_due(days(1)).is_none());
    lock.unlock().unwrap();
    assert!(laptop.bundle().refresh_if_due(days(1)).is_some());
}

#[test]
fn what_a_killed_refresh_left_is_in_nobodys_way() {
    let (_publisher, _host, laptop) = scene();
    laptop.refresh().unwrap();
    let folder = laptop.cached_file().unwrap().parent().unwrap().to_path_buf();
    fs::create_dir(folder.join("scratch")).unwrap();
    fs::write(folder.join("scratch/timestamp.json"), "{").unwrap();
    fs::write(folder.join("bundle.json.new"), "{").unwrap();
    assert_eq!(laptop.layer().status, LayerStatus::Present);
    laptop.refresh().unwrap();
    assert!(!folder.join("scratch").exists());
}

#[test]
fn others_cannot_look_into_the_cache() {
    let (_publisher, _host, laptop) = scene();
    laptop.refresh().unwrap();
    let file = laptop.cached_file().unwrap();
    for (path, mode) in [(file.as_path(), 0o600), (file.parent().unwrap(), 0o700)] {
        let is = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(is, mode, "{}", path.display());
    }
}

#[test]
fn a_stamp_is_outdated_by_a_new_bundle_by_another_root_and_by_expiry() {
    let (mut publisher, _host, laptop) = scene();
    let none = || laptop.other_sources();
    let never = laptop.bundle().stamp(none());
    assert!(!never.is_outdated());
    laptop.refresh().unwrap();
    assert!(never.is_outdated(), "the first fetch");

    let kept = laptop.bundle().stamp(none());
    assert!(!kept.is_outdated());
    publisher.say("10-base.toml", "revision = \"2\"\n");
    publisher.publish();
    laptop.refresh().unwrap();
    assert!(kept.is_outdated(), "a new version");

    let kept = laptop.bundle().stamp(none());
    laptop.ship_root(&format!("{}\n", publisher.root()));
    assert!(kept.is_outdated(), "another root");

    let stamp = laptop.bundle().read(days(0)).stamp(none());
    assert!(!stamp.is_outdated());
    let past = Timestamp::now() - SignedDuration::from_secs(1);
    assert!(none().until(past.into()).is_outdated());
    assert_eq!(laptop.bundle().read(days(31)).expires, None);
    assert_eq!(publisher.expires[TIMESTAMP], laptop.bundle().read(days(0)).expires.unwrap());
}

#[test]
fn reading_takes_a_moment() {
    let (mut publisher, _host, laptop) = scene();
    // A large policy: 5,000 rules in ten files.
    for file in 0..10 {
        let rule = "[[commands.rule]]\nprefix = [\"tool\", \"word\"]\ndecision = \"ask\"\n";
        publisher.files.insert(format!("{file}0.toml"), rule.repeat(500));
    }
    publisher.raise();
    publisher.publish();
    laptop.refresh().unwrap();
    let begin = Instant::now();
    assert_eq!(laptop.layers().len(), 11);
    // A bound for a busy machine and an unoptimised build; `docs/remote-policy.md` has the measure.
    assert!(begin.elapsed().as_millis() < 2000, "{:?}", begin.elapsed());
}
