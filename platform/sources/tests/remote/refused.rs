//! What is not taken in: wrong signatures, old versions, mixtures, files without an end, hosts that
//! lead elsewhere. Each leaves what was kept as it was.

use crate::host::Answer;
use crate::publisher::{Publisher, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, days};
use crate::{Host, Laptop, scene};
use chaperone_sources::remote::{FetchError, Patience, RefreshError};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::fs;
use std::time::{Duration, Instant};

/// A laptop that has version 1, and version 2 to spoil.
fn second() -> (Publisher, Host, Laptop) {
    let (mut publisher, host, laptop) = scene();
    laptop.refresh().unwrap();
    publisher.say("10-base.toml", "revision = \"2\"\n");
    (publisher, host, laptop)
}

/// That a refresh fails for this reason and changes nothing.
#[track_caller]
fn refuses(laptop: &Laptop, why: &str) {
    let before = laptop.cached();
    let error = laptop.refresh().unwrap_err();
    let said = error.to_string();
    assert!(said.contains(why), "{said}");
    assert_eq!(laptop.cached(), before);
    let layers = laptop.layers();
    assert!(layers.iter().all(|layer| layer.detail.contains("failed: ")), "{layers:?}");
}

/// The positive twin: with nothing spoiled, the same refresh works.
#[track_caller]
fn takes(laptop: &Laptop, revision: &str) {
    laptop.refresh().unwrap();
    assert_eq!(laptop.policy().revision(), Some(revision));
}

#[test]
fn a_signature_by_another_key() {
    for role in [TIMESTAMP, SNAPSHOT, TARGETS] {
        let (mut publisher, _host, laptop) = second();
        publisher.signers[role] = Some(vec![99]);
        publisher.publish();
        refuses(&laptop, "not signed as the root wants it");
        publisher.signers[role] = None;
        publisher.publish();
        takes(&laptop, "2");
    }
}

#[test]
fn no_signature_at_all_and_too_few() {
    let (mut publisher, _host, laptop) = second();
    publisher.signers[TARGETS] = Some(Vec::new());
    publisher.publish();
    refuses(&laptop, "not signed as the root wants it");
}

#[test]
fn the_key_of_a_role_for_another_role() {
    let (mut publisher, _host, laptop) = second();
    publisher.signers[TARGETS] = Some(publisher.keys[TIMESTAMP].clone());
    publisher.publish();
    refuses(&laptop, "targets metadata is not signed as the root wants it");
}

#[test]
fn an_older_version_of_any_role() {
    for role in [TIMESTAMP, SNAPSHOT, TARGETS] {
        let (mut publisher, _host, laptop) = second();
        publisher.versions = [1, 5, 5, 5];
        publisher.publish();
        takes(&laptop, "2");
        publisher.say("10-base.toml", "revision = \"old\"\n");
        publisher.versions[role] = 4;
        publisher.publish();
        refuses(&laptop, "metadata is version 4, older than version 5, which was trusted before");
        publisher.versions[role] = 6;
        publisher.publish();
        takes(&laptop, "old");
    }
}

#[test]
fn an_older_version_after_the_pinned_root_was_shipped_anew() {
    let (mut publisher, _host, laptop) = second();
    publisher.versions = [1, 5, 5, 5];
    publisher.publish();
    takes(&laptop, "2");
    publisher.versions = [1, 4, 4, 4];
    publisher.publish();
    laptop.ship_root(&format!("{}\n", publisher.root()));
    refuses(&laptop, "version 4, older than version 5");
}

#[test]
fn the_list_of_one_version_with_the_snapshot_of_another() {
    for (part, role) in [("targets", TARGETS), ("snapshot", SNAPSHOT)] {
        let (mut publisher, host, laptop) = second();
        publisher.consistent = false;
        publisher.versions[ROOT] = 2;
        publisher.publish();
        takes(&laptop, "2");
        let path = format!("metadata/{part}.json");
        let old = fs::read(publisher.path(&path)).unwrap();
        publisher.say("10-base.toml", "revision = \"3\"\n");
        publisher.publish();
        host.answer(&format!("/{path}"), Answer::Body(old));
        refuses(&laptop, &format!("metadata/{part}.json is not what was signed"));
        // The same where the metadata above says no more than the version.
        host.recover();
        let targets = publisher.signed(TARGETS, publisher.targets());
        let mut snapshot = publisher.snapshot(&targets);
        let bare = |meta: &mut tough::schema::Metafile| {
            meta.length = None;
            meta.hashes = None;
        };
        bare(snapshot.meta.get_mut("targets.json").unwrap());
        if role == TARGETS {
            snapshot.meta.get_mut("targets.json").unwrap().version =
                std::num::NonZeroU64::new(publisher.versions[TARGETS] + 1).unwrap();
        }
        let mut timestamp = publisher.timestamp(&publisher.signed(SNAPSHOT, snapshot));
        bare(timestamp.meta.get_mut("snapshot.json").unwrap());
        if role == SNAPSHOT {
            timestamp.meta.get_mut("snapshot.json").unwrap().version =
                std::num::NonZeroU64::new(publisher.versions[SNAPSHOT] + 1).unwrap();
        }
        publisher.write("metadata/timestamp.json", &publisher.signed(TIMESTAMP, timestamp));
        refuses(&laptop, "ersion");
    }
}

#[test]
fn a_target_that_was_altered_cut_prolonged_or_taken_away() {
    let (publisher, host, laptop) = second();
    publisher.publish();
    let text = &publisher.files["10-base.toml"];
    let path = format!("/targets/{}.10-base.toml", hex::encode(Sha256::digest(text)));
    let altered = text.replace('2', "3");
    let longer = format!("{text}\n");
    for body in [altered.as_str(), longer.as_str(), &text[1..], ""] {
        host.answer(&path, Answer::Body(body.as_bytes().to_vec()));
        refuses(&laptop, "10-base.toml is not what was signed");
    }
    host.answer(&path, Answer::Status(404));
    refuses(&laptop, "10-base.toml is not there (HTTP status 404)");
    host.recover();
    takes(&laptop, "2");
}

#[test]
fn metadata_that_has_expired() {
    for role in 0..4 {
        let (mut publisher, _host, laptop) = second();
        let good = publisher.expires;
        publisher.expires[role] = days(-1);
        if role == ROOT {
            publisher.versions[ROOT] = 2;
        }
        publisher.publish();
        refuses(&laptop, "metadata has expired; sign it anew");
        publisher.expires = good;
        publisher.versions[ROOT] += 1;
        publisher.publish();
        takes(&laptop, "2");
    }
}

#[test]
fn a_root_that_the_one_before_did_not_sign() {
    let (mut publisher, _host, laptop) = second();
    publisher.versions[ROOT] = 2;
    publisher.keys[ROOT] = vec![66];
    publisher.publish();
    refuses(&laptop, "root metadata is not signed");
    publisher.signers[ROOT] = Some(vec![1]);
    publisher.publish();
    refuses(&laptop, "root metadata is not signed");
    publisher.signers[ROOT] = Some(vec![1, 66]);
    publisher.publish();
    takes(&laptop, "2");
}

#[test]
fn a_root_of_another_version_than_its_name() {
    let (mut publisher, _host, laptop) = second();
    publisher.versions[ROOT] = 3;
    publisher.publish();
    let skipped = fs::read(publisher.path("metadata/3.root.json")).unwrap();
    fs::write(publisher.path("metadata/2.root.json"), skipped).unwrap();
    refuses(&laptop, "root");
}

#[test]
fn a_root_that_cannot_be_had_is_not_taken_for_none() {
    let (publisher, host, laptop) = second();
    publisher.publish();
    for status in [500, 503, 401] {
        host.answer("/metadata/2.root.json", Answer::Status(status));
        refuses(&laptop, &format!("2.root.json is answered with HTTP status {status}"));
    }
    // Hosts that do not list say 403 of what does not exist.
    for status in [403, 404, 410] {
        host.answer("/metadata/2.root.json", Answer::Status(status));
        takes(&laptop, "2");
    }
}

#[test]
fn what_is_no_metadata() {
    let (publisher, host, laptop) = second();
    publisher.publish();
    for body in ["", "{}", "<html>Sign in to the network</html>", "{\"signed\": 1}"] {
        host.answer("/metadata/timestamp.json", Answer::Body(body.into()));
        refuses(&laptop, "timestamp metadata");
    }
    host.answer("/metadata/timestamp.json", Answer::Status(404));
    refuses(&laptop, "timestamp.json is not there");
}

#[test]
fn a_file_without_an_end() {
    let (publisher, host, laptop) = second();
    publisher.publish();
    let target = Sha256::digest(&publisher.files["10-base.toml"]);
    for path in [
        "/metadata/timestamp.json".to_owned(),
        "/metadata/2.root.json".to_owned(),
        "/metadata/2.snapshot.json".to_owned(),
        format!("/targets/{}.10-base.toml", hex::encode(target)),
    ] {
        host.answer(&path, Answer::Endless);
        let begin = Instant::now();
        refuses(&laptop, "is larger than 1048576 bytes");
        assert!(begin.elapsed() < Duration::from_secs(10));
        host.recover();
    }
    host.answer("/metadata/timestamp.json", Answer::EndlessHead);
    refuses(&laptop, "timestamp.json cannot be reached");
    host.recover();
    takes(&laptop, "2");
}

#[test]
fn a_host_that_takes_its_time() {
    let (publisher, host, laptop) = second();
    publisher.publish();
    let before = laptop.cached();
    for answer in [Answer::Trickle, Answer::Silence] {
        // For one file, and for all of them.
        for (file, all) in [(300, 20_000), (20_000, 300)] {
            host.answer("/metadata/timestamp.json", answer.clone());
            let patience =
                Patience { file: Duration::from_millis(file), all: Duration::from_millis(all) };
            let begin = Instant::now();
            let bundle = laptop.bundle().with_patience(patience);
            let error = bundle.refresh(Timestamp::now()).unwrap_err();
            assert!(
                matches!(&error, RefreshError::Fetch(FetchError::TooSlow { url })
                    if url.ends_with("timestamp.json")),
                "{error}"
            );
            assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
            assert_eq!(laptop.cached(), before);
        }
    }
    host.recover();
    takes(&laptop, "2");
}

#[test]
fn another_host_or_scheme_by_redirect() {
    let (publisher, host, laptop) = second();
    publisher.publish();
    let other = Host::serve(publisher.folder());
    for to in [
        format!("{}metadata/timestamp.json", other.url()),
        "https://policy.acme.example/metadata/timestamp.json".to_owned(),
        "//policy.acme.example/metadata/timestamp.json".to_owned(),
        "file:///etc/passwd".to_owned(),
        host.url().replace("http:", "https:"),
        String::new(),
    ] {
        host.answer("/metadata/timestamp.json", Answer::Redirect(to.clone()));
        refuses(&laptop, "leads elsewhere");
    }
    assert_eq!(other.asked(), [""; 0]);
    host.answer("/metadata/timestamp.json", Answer::Redirect("/metadata/timestamp.json".into()));
    refuses(&laptop, "leads on and on");

    let text = fs::read(publisher.path("metadata/timestamp.json")).unwrap();
    host.answer("/moved/timestamp.json", Answer::Body(text));
    host.answer("/metadata/timestamp.json", Answer::Redirect("../moved/timestamp.json".into()));
    takes(&laptop, "2");
}

#[test]
fn policy_files_that_no_session_could_start_with() {
    for (name, text, why) in [
        ("20-broken.toml", "[network\nmode = \"none\"\n", "20-broken.toml cannot be read"),
        ("20-broken.json", "{\"network\": ", "20-broken.json cannot be read"),
        (
            "20-other.toml",
            "[remote]\nurl = \"https://other.example/\"\n",
            "20-other.toml holds `remote`, and a bundle cannot name another",
        ),
        ("20-other.toml", "[remote]\non_expiry = \"restrict\"\n", "a bundle cannot name another"),
        ("../20-up.toml", "revision = \"up\"\n", "is not named plainly"),
        ("/20-root.toml", "revision = \"root\"\n", "is not named plainly"),
    ] {
        let (mut publisher, _host, laptop) = second();
        publisher.files.insert(name.to_owned(), text.to_owned());
        publisher.publish();
        refuses(&laptop, why);
        publisher.files.remove(name);
        publisher.raise();
        publisher.publish();
        takes(&laptop, "2");
    }
}

#[test]
fn more_than_anybody_needs() {
    let (mut publisher, _host, laptop) = second();
    for number in 0..64 {
        publisher.files.insert(format!("{number}.toml"), String::new());
    }
    publisher.publish();
    refuses(&laptop, "it has 65 policy files, more than 64");
    publisher.files.remove("0.toml");
    publisher.raise();
    publisher.publish();
    takes(&laptop, "2");

    publisher.say("99-large.toml", &format!("#{}", " ".repeat(1 << 20)));
    publisher.publish();
    refuses(&laptop, "99-large.toml is larger than 1 MiB");
}

#[test]
fn a_list_that_delegates() {
    let (publisher, _host, laptop) = second();
    publisher.publish();
    let mut targets = publisher.targets();
    let key = publisher.root_role().keys.into_iter().next().unwrap();
    targets.delegations = Some(
        serde_json::from_value(serde_json::json!({
            "keys": {},
            "roles": [{
                "name": "team",
                "keyids": [key.0],
                "threshold": 1,
                "paths": ["team/*"],
                "terminating": false,
            }],
        }))
        .unwrap(),
    );
    let snapshot = publisher.snapshot(&publisher.signed(TARGETS, targets));
    let timestamp = publisher.timestamp(&publisher.signed(SNAPSHOT, snapshot));
    publisher.write("metadata/timestamp.json", &publisher.signed(TIMESTAMP, timestamp));
    refuses(&laptop, "delegates targets to other roles");
}

#[test]
fn addresses_that_are_none() {
    let (_publisher, _host, laptop) = scene();
    for (url, why) in [
        ("http://policy.acme.example/", "must begin with https://"),
        ("https://ada:pw@policy.acme.example/", "must not hold a name or password"),
        ("policy.acme.example", "is no URL"),
    ] {
        let laptop = Laptop { url: url.to_owned(), ..scene().2 };
        let error = laptop.refresh().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(error.contains("/managed.toml:2"), "{error}");
        assert_eq!(laptop.policy().blocked().len(), 1);
    }
    laptop.refresh().unwrap();
}
