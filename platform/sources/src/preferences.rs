//! Which values of a macOS preferences domain become which layers. What the preferences hold is
//! asked through [`Preferences`], so that every case is tested on any system.

use crate::LARGEST;
use chaperone_policy::{KEYS, LAYER_KEYS, Layer, Property, Reading, SourceKind, digest};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What macOS says of its preferences to this process's user.
pub(crate) trait Preferences {
    /// The value of a key where a configuration profile forces it, and only there.
    fn forced(&self, domain: &str, key: &str) -> Option<Property>;
    /// What the user's own preferences hold, forced or not.
    fn own(&self, domain: &str) -> Vec<(String, Property)>;
}

/// One layer before it is read.
struct Found {
    kind: SourceKind,
    locator: String,
    entries: Vec<(String, Property)>,
    /// Its values are those of a profile that another one overrides.
    overridden: bool,
}

/// The layers of a domain and of the one for recommended values beside it. `folder` is where macOS
/// keeps what profiles force.
pub(crate) fn layers(
    preferences: &impl Preferences,
    folder: &Path,
    domain: &str,
    now: Timestamp,
) -> Vec<Layer> {
    let read = |Found { kind, locator, entries, overridden }| {
        if entries.is_empty() {
            return Layer::absent(kind, &locator);
        }
        let layer = Layer::from_properties(kind, &locator, &entries)
            .with_reading(Reading::new(Property::Dictionary(entries).canonical(), now));
        if overridden {
            return layer.untrusted(
                "Another profile forces the same keys for this user, so of this one the \
                 restrictions apply and the grants do not.",
            );
        }
        layer
    };
    find(preferences, folder, domain).into_iter().map(read).collect()
}

/// What differs whenever those layers do.
pub(crate) fn mark(preferences: &impl Preferences, folder: &Path, domain: &str) -> String {
    let mut all = Vec::new();
    for Found { kind, locator, entries, overridden: _ } in find(preferences, folder, domain) {
        let entries = Property::Dictionary(entries);
        let kind = Property::Text(kind.word().to_owned());
        all.push(Property::Array(vec![kind, Property::Text(locator), entries]));
    }
    digest(&Property::Array(all).canonical())
}

fn find(preferences: &impl Preferences, folder: &Path, domain: &str) -> Vec<Found> {
    let recommended = format!("{domain}.recommended");
    let mut all = forced(preferences, folder, &recommended, SourceKind::RecommendedProfile);
    all.extend(forced(preferences, folder, domain, SourceKind::ManagedProfile));
    all.push(Found {
        kind: SourceKind::UserPreference,
        locator: domain.to_owned(),
        entries: preferences.own(domain),
        overridden: false,
    });
    all
}

/// What profiles force of a domain.
fn forced(
    preferences: &impl Preferences,
    folder: &Path,
    domain: &str,
    kind: SourceKind,
) -> Vec<Found> {
    let file = format!("{domain}.plist");
    let device = folder.join(&file);
    // The preferences cannot be asked for every key that is forced: what they are asked for is what
    // the schema knows, and whatever stands in the files that macOS keeps them in.
    let schema = KEYS.iter().chain(&LAYER_KEYS).filter_map(|key| key.name.split('.').next());
    let schema: BTreeSet<String> = schema.map(str::to_owned).collect();
    let files = users(folder).into_iter().map(|user| user.join(&file)).chain([device.clone()]);
    let kept = files.flat_map(|file| stored(&file)).map(|(name, _)| name);
    let names: BTreeSet<String> = schema.into_iter().chain(kept).collect();
    let entries: Vec<_> = names
        .into_iter()
        .filter_map(|name| Some((name.clone(), preferences.forced(domain, &name)?)))
        .collect();
    // Of two profiles that force one key, macOS gives one value. Whoever may install a profile for
    // one user could so loosen what the device's restricts.
    let is_other = |(name, value): &(String, Property)| {
        entries.iter().any(|(key, forced)| key == name && forced != value)
    };
    let overridden: Vec<_> = stored(&device).into_iter().filter(is_other).collect();
    let mut all = vec![Found { kind, locator: domain.to_owned(), entries, overridden: false }];
    if !overridden.is_empty() {
        let locator = device.to_string_lossy().into_owned();
        all.push(Found { kind, locator, entries: overridden, overridden: true });
    }
    all
}

/// What one of the files in which macOS keeps what profiles force holds. One that cannot be read
/// adds nothing to what the preferences say.
fn stored(file: &Path) -> Vec<(String, Property)> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    match read.map(|_| Property::parse(&bytes)) {
        Ok(Ok(Property::Dictionary(entries))) => entries,
        _ => Vec::new(),
    }
}

/// The folders of the users for whom profiles force something.
fn users(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaperone_policy::{LayerStatus, Origin};
    use std::collections::BTreeMap;
    use tempfile::TempDir;

    const DOMAIN: &str = "dev.chaperone.desktop";

    /// Preferences made of maps.
    #[derive(Default)]
    struct Fake {
        forced: BTreeMap<(String, String), Property>,
        own: Vec<(String, Property)>,
    }

    impl Preferences for Fake {
        fn forced(&self, domain: &str, key: &str) -> Option<Property> {
            self.forced.get(&(domain.to_owned(), key.to_owned())).cloned()
        }

        fn own(&self, domain: &str) -> Vec<(String, Property)> {
            if domain == DOMAIN { self.own.clone() } else { Vec::new() }
        }
    }

    impl Fake {
        fn force(mut self, domain: &str, key: &str, xml: &str) -> Self {
            self.forced.insert((domain.to_owned(), key.to_owned()), value(xml));
            self
        }
    }

    fn value(xml: &str) -> Property {
        Property::parse(format!("<plist>{xml}</plist>").as_bytes()).unwrap()
    }

    fn list(hosts: &[&str]) -> String {
        let hosts: String = hosts.iter().map(|host| format!("<string>{host}</string>")).collect();
        format!("<dict><key>deny</key><array>{hosts}</array></dict>")
    }

    fn read(preferences: &Fake, folder: &Path) -> Vec<Layer> {
        layers(preferences, folder, DOMAIN, Timestamp::UNIX_EPOCH)
    }

    fn summary(layers: &[Layer]) -> Vec<(SourceKind, &str, LayerStatus)> {
        layers.iter().map(|layer| (layer.kind, layer.locator.as_str(), layer.status)).collect()
    }

    const RECOMMENDED: &str = "dev.chaperone.desktop.recommended";

    #[test]
    fn where_nothing_is_set_every_domain_is_listed_as_absent() {
        let folder = TempDir::new().unwrap();
        for folder in [folder.path(), &folder.path().join("none")] {
            assert_eq!(
                summary(&read(&Fake::default(), folder)),
                [
                    (SourceKind::RecommendedProfile, RECOMMENDED, LayerStatus::Absent),
                    (SourceKind::ManagedProfile, DOMAIN, LayerStatus::Absent),
                    (SourceKind::UserPreference, DOMAIN, LayerStatus::Absent),
                ]
            );
        }
    }

    #[test]
    fn forced_values_are_managed_and_a_users_own_are_the_users() {
        let folder = TempDir::new().unwrap();
        let mut preferences = Fake::default()
            .force(DOMAIN, "network", &list(&["paste.example"]))
            .force(RECOMMENDED, "limits", "<dict><key>processes</key><integer>64</integer></dict>");
        preferences.own = vec![("network".to_owned(), value(&list(&["own.example"])))];
        let layers = read(&preferences, folder.path());
        assert_eq!(
            summary(&layers),
            [
                (SourceKind::RecommendedProfile, RECOMMENDED, LayerStatus::Present),
                (SourceKind::ManagedProfile, DOMAIN, LayerStatus::Present),
                (SourceKind::UserPreference, DOMAIN, LayerStatus::Present),
            ]
        );
        let [recommended, managed, own] = layers.as_slice() else { panic!() };
        assert_eq!(recommended.settings.limits.processes.as_ref().unwrap().value, 64);
        let denied = &managed.settings.network.deny[0];
        assert_eq!(denied.value.to_string(), "paste.example");
        assert_eq!(
            managed.origin(denied.line),
            Origin {
                kind: SourceKind::ManagedProfile,
                locator: "dev.chaperone.desktop:network.deny[0]".to_owned()
            }
        );
        assert_eq!(own.settings.network.deny[0].value.to_string(), "own.example");
        let digests: BTreeSet<_> =
            layers.iter().map(|layer| layer.reading.as_ref().unwrap().digest()).collect();
        assert_eq!(digests.len(), 3);
        assert!(digests.iter().all(|digest| digest.len() == 64));
    }

    #[test]
    fn an_unknown_key_is_asked_for_where_macos_keeps_it_and_counts_only_if_it_is_forced() {
        let folder = TempDir::new().unwrap();
        let network = list(&["paste.example"]);
        let stored = format!(
            "<plist><dict><key>PayloadUUID</key><string>x</string><key>netwrok</key>{network}\
             <key>gone</key><true/></dict></plist>"
        );
        std::fs::write(folder.path().join("dev.chaperone.desktop.plist"), stored).unwrap();
        let user = folder.path().join("ada");
        std::fs::create_dir(&user).unwrap();
        let users = "<plist><dict><key>colour</key><string>red</string></dict></plist>";
        std::fs::write(user.join("dev.chaperone.desktop.plist"), users).unwrap();
        let preferences = Fake::default()
            .force(DOMAIN, "PayloadUUID", "<string>x</string>")
            .force(DOMAIN, "netwrok", &network)
            .force(DOMAIN, "colour", "<string>red</string>")
            .force(DOMAIN, "elsewhere", "<true/>");
        let layers = read(&preferences, folder.path());
        let told: Vec<_> = layers
            .iter()
            .flat_map(|layer| layer.findings())
            .map(|finding| (finding.file.as_str(), finding.found.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("dev.chaperone.desktop:colour", "the unknown key `colour`"),
                ("dev.chaperone.desktop:netwrok", "the unknown key `netwrok`"),
            ]
        );
        // A slip in a managed layer restricts as the key that was meant.
        assert_eq!(layers[1].settings.network.deny[0].value.to_string(), "paste.example");
    }

    #[test]
    fn a_profile_that_another_overrides_still_restricts_and_grants_nothing() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("dev.chaperone.desktop.plist");
        let device = |network: &str| {
            let text = format!(
                "<plist><dict><key>network</key>{network}<key>revision</key><string>1</string>\
                 </dict></plist>"
            );
            std::fs::write(&file, text).unwrap();
        };
        let preferences = Fake::default().force(DOMAIN, "network", &list(&[])).force(
            DOMAIN,
            "revision",
            "<string>1</string>",
        );
        device(&list(&["paste.example"]));
        let layers = read(&preferences, folder.path());
        let path = file.to_string_lossy();
        assert_eq!(
            summary(&layers)[1..3],
            [
                (SourceKind::ManagedProfile, DOMAIN, LayerStatus::Present),
                (SourceKind::ManagedProfile, &*path, LayerStatus::Untrusted),
            ]
        );
        assert_eq!(layers[2].settings.network.deny[0].value.to_string(), "paste.example");
        assert_eq!(layers[2].settings.revision, None);
        // The same value is no other one.
        device(&list(&[]));
        assert_eq!(read(&preferences, folder.path()).len(), 3);
    }

    #[test]
    fn what_cannot_be_read_or_has_another_type_is_a_finding() {
        let folder = TempDir::new().unwrap();
        let mut preferences = Fake::default().force(DOMAIN, "network", "<string>none</string>");
        let unread = Property::Other("a value that cannot be read".to_owned());
        preferences.forced.insert((DOMAIN.to_owned(), "filesystem".to_owned()), unread);
        let layers = read(&preferences, folder.path());
        let told: Vec<String> = layers[1].findings().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "dev.chaperone.desktop:filesystem: filesystem: expected a table, found a value \
                 that cannot be read",
                "dev.chaperone.desktop:network: network: expected a table, found \"none\"",
            ]
        );
    }

    #[test]
    fn the_mark_changes_with_every_value_and_with_nothing_else() {
        let folder = TempDir::new().unwrap();
        let mark = |preferences: &Fake| mark(preferences, folder.path(), DOMAIN);
        let first = Fake::default().force(DOMAIN, "network", &list(&["a.example"]));
        assert_eq!(mark(&first), mark(&first));
        let mut marks = BTreeSet::from([mark(&Fake::default()), mark(&first)]);
        marks.insert(mark(&Fake::default().force(DOMAIN, "network", &list(&["b.example"]))));
        marks.insert(mark(&Fake::default().force(RECOMMENDED, "network", &list(&["a.example"]))));
        marks.insert(mark(&Fake {
            own: vec![("network".to_owned(), value(&list(&["a.example"])))],
            ..Fake::default()
        }));
        assert_eq!(marks.len(), 5);
    }
}
