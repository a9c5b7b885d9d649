//! Configuration profiles and preferences files as MDM writes them, XML and binary. The binary
//! samples are made from the XML ones by `data/binary.py`, with neither reader of this workspace.

use chaperone_policy::{
    FindingStatus, Layer, LayerStatus, Located, Origin, ProfileError, SourceKind,
};
use proptest::prelude::*;

fn profile(name: &str, bytes: &[u8]) -> Vec<Layer> {
    let read = Layer::from_profile(name, bytes);
    assert!(read.is_ok(), "{read:?}");
    read.unwrap_or_default()
}

/// The findings of a layer as people read them.
fn told(layer: &Layer) -> Vec<String> {
    layer.findings().iter().map(ToString::to_string).collect()
}

fn values<T: Clone>(list: &[Located<T>]) -> Vec<T> {
    list.iter().map(|entry| entry.value.clone()).collect()
}

const JAMF: &[u8] = include_bytes!("data/jamf.mobileconfig");
const JAMF_BINARY: &[u8] = include_bytes!("data/jamf-binary.mobileconfig");
const INTUNE: &[u8] = include_bytes!("data/intune.mobileconfig");
const HAND: &[u8] = include_bytes!("data/hand.mobileconfig");
const MANAGED: &[u8] = include_bytes!("data/managed.plist");
const MANAGED_BINARY: &[u8] = include_bytes!("data/managed-binary.plist");

#[test]
fn a_wrapped_domain_is_read_and_its_values_say_where_they_stand() {
    for bytes in [JAMF, JAMF_BINARY] {
        let layers = profile("acme.mobileconfig", bytes);
        let [layer] = layers.as_slice() else { panic!("{layers:?}") };
        assert_eq!((layer.kind, layer.status), (SourceKind::ManagedProfile, LayerStatus::Present));
        assert_eq!(layer.locator, "acme.mobileconfig:PayloadContent[0].Forced[0]");
        assert_eq!(told(layer), [""; 0]);
        let revision = layer.settings.revision.as_ref().unwrap();
        assert_eq!(revision.value, "2026-11-22.1");
        let organisation = layer.settings.organisation.as_ref().unwrap();
        assert_eq!(organisation.value, "Acme & Sons");
        assert!(!layer.settings.network.closed.as_ref().unwrap().value);
        let second = layer.settings.network.deny[1].clone();
        assert_eq!(second.value.to_string(), "*.share.example");
        assert_eq!(
            layer.origin(second.line),
            Origin {
                kind: SourceKind::ManagedProfile,
                locator: "acme.mobileconfig:PayloadContent[0].Forced[0]:network.deny[1]".to_owned()
            }
        );
        let rule = &layer.settings.commands.rules[0];
        assert_eq!(rule.value.prefix, ["git", "push"]);
        assert!(layer.origin(rule.line).locator.ends_with("Forced[0]:commands.rule[0]"));
    }
}

#[test]
fn inline_keys_are_read_and_the_payloads_own_are_not_ours() {
    let layers = profile("acme.mobileconfig", INTUNE);
    let [layer] = layers.as_slice() else { panic!("{layers:?}") };
    assert_eq!((layer.kind, layer.status), (SourceKind::ManagedProfile, LayerStatus::Present));
    assert_eq!(told(layer), [""; 0]);
    let denied: Vec<String> =
        values(&layer.settings.filesystem.deny).iter().map(ToString::to_string).collect();
    assert_eq!(denied, ["~/.kube", "**/secrets/**"]);
    assert_eq!(layer.settings.limits.processes.as_ref().unwrap().value, 4096);
    let deny = layer.settings.filesystem.deny[0].line;
    assert_eq!(
        layer.origin(deny).locator,
        "acme.mobileconfig:PayloadContent[0]:filesystem.deny[0]"
    );
}

#[test]
fn what_is_wrong_in_a_payload_says_where_and_what_follows() {
    let layers = profile("hand.mobileconfig", HAND);
    let [managed, recommended, once] = layers.as_slice() else { panic!("{layers:?}") };
    let at = "hand.mobileconfig:PayloadContent[1]";
    let mut found = told(managed);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            format!(
                "{at}:commands.rule[0].decision: commands.rule.decision: expected \"allow\", \
                 \"ask\" or \"deny\", found \"never\""
            ),
            format!(
                "{at}:filesytem: filesytem: expected `filesystem`, found the unknown key \
                 `filesytem`"
            ),
            format!(
                "{at}:network.allow[1]: network.allow: expected a string, found data of 4 bytes"
            ),
            format!("{at}:network.closed: network.closed: expected true or false, found 1"),
        ]
    );
    // A managed layer's broken values restrict.
    assert!(managed.settings.network.closed.as_ref().unwrap().value);
    let denied = &managed.settings.filesystem.deny[0];
    assert_eq!((denied.value.to_string().as_str(), denied.restricts_only), ("~/R&D", true));
    let until = managed.settings.until.as_ref().unwrap();
    assert_eq!(until.value.to_string(), "2027-01-31T00:00:00Z");

    assert_eq!(recommended.kind, SourceKind::RecommendedProfile);
    assert_eq!(told(recommended), [""; 0]);
    assert_eq!(recommended.settings.environment.pass[0].value.to_string(), "RUST_LOG");

    assert_eq!(once.kind, SourceKind::UserPreference);
    assert_eq!(
        told(once),
        ["hand.mobileconfig:PayloadContent[2].Set-Once[0]: expected values under `Forced`, found \
          values under `Set-Once`, which become the user's own and may be changed by the user"]
    );
    assert_eq!(once.findings()[0].status, FindingStatus::Noted);
    assert!(!once.blocks());
    assert!(once.settings.approvals.expires.is_some());
}

#[test]
fn a_preferences_file_is_read_whichever_form_it_has() {
    let read =
        |bytes| Layer::from_plist(SourceKind::ManagedProfile, "dev.chaperone.desktop", bytes);
    let (xml, binary) = (read(MANAGED), read(MANAGED_BINARY));
    assert_eq!(xml, binary);
    assert_eq!((xml.status, told(&xml)), (LayerStatus::Present, vec![]));
    assert_eq!(xml.settings.revision.as_ref().unwrap().value, "2026-11-22.1 – “Zürich”");
    assert_eq!(xml.settings.limits.memory.as_ref().unwrap().value, 8 << 30);
    let deny = &xml.settings.filesystem.deny[1];
    assert_eq!(deny.value.to_string(), "~/Entwürfe");
    assert_eq!(xml.origin(deny.line).locator, "dev.chaperone.desktop:filesystem.deny[1]");
    assert_eq!(xml.origin(0).locator, "dev.chaperone.desktop");
}

#[test]
fn what_is_no_property_list_blocks_as_a_managed_layer_and_says_where() {
    let read = |kind, bytes: &[u8]| Layer::from_plist(kind, "/m.plist", bytes);
    let table: [(&[u8], &str); 5] = [
        (
            b"<plist>\n<dict>\n  <key>a</key>\n</dict></plist>",
            "/m.plist:4:1: expected a valid property list, found the end of an element where a \
             value for the key belongs",
        ),
        (
            b"<plist><array/></plist>",
            "/m.plist:1:1: expected a valid property list, found a value that is no dictionary",
        ),
        (
            b"",
            "/m.plist:1:1: expected a valid property list, found the end of the text before <plist>",
        ),
        (
            &MANAGED_BINARY[..100],
            "/m.plist: expected a valid property list, found a trailer whose numbers have no \
             size from 1 to 8, at byte 68",
        ),
        (
            b"<plist>\xff</plist>",
            "/m.plist: expected a valid property list, found neither a binary property list nor \
             UTF-8 text, at byte 7",
        ),
    ];
    for (bytes, expected) in table {
        let layer = read(SourceKind::ManagedProfile, bytes);
        assert_eq!(told(&layer), [expected]);
        assert_eq!(layer.status, LayerStatus::Invalid);
        assert!(layer.blocks());
        assert!(!read(SourceKind::RecommendedProfile, bytes).blocks());
    }
    let whole = read(SourceKind::ManagedProfile, b"<plist><dict/></plist>");
    assert_eq!((whole.status, whole.blocks()), (LayerStatus::Present, false));
}

#[test]
fn what_is_no_profile_of_ours_says_so() {
    let wrong = |bytes: &[u8]| Layer::from_profile("x", bytes).unwrap_err();
    let plain = |body: &str| wrong(format!("<plist><dict>{body}</dict></plist>").as_bytes());
    let of = |payload: &str| {
        plain(&format!(
            "<key>PayloadType</key><string>Configuration</string><key>PayloadContent</key>{payload}"
        ))
    };
    // The beginnings of what `openssl cms -sign` writes, with a length and without one.
    let definite =
        [0x30, 0x82, 0x0c, 0x3d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2, 0xa0];
    let indefinite = [0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2, 0xa0, 0x80];
    assert_eq!(wrong(&definite), ProfileError::Signed);
    assert_eq!(wrong(&indefinite), ProfileError::Signed);
    assert!(ProfileError::Signed.to_string().contains("`security cms -D -i FILE -o PLAIN`"));
    let table = [
        (wrong(b"\x30"), "not a valid property list: text before <plist>, line 1, column 1"),
        (
            wrong(b"<plist>\n<x/></plist>"),
            "not a valid property list: <x>, which no property list has, line 2, column 1",
        ),
        (
            wrong(b"bplist00"),
            "not a valid property list: the end of the file before its trailer, at byte 8",
        ),
        (
            plain(""),
            "expected a configuration profile, whose `PayloadType` is \"Configuration\", found none",
        ),
        (
            plain("<key>PayloadType</key><string>dev.chaperone.desktop</string>"),
            "expected a configuration profile, whose `PayloadType` is \"Configuration\", found \"dev.chaperone.desktop\"",
        ),
        (
            of("<dict/>"),
            "expected a configuration profile, whose `PayloadContent` is an array of payloads, found a dictionary",
        ),
        (of("<array/>"), "expected a payload of `dev.chaperone.desktop`, found none"),
        (
            of("<array><true/><dict/><dict><key>PayloadType</key><string>dev.chaperone.Desktop\
                 </string></dict><dict><key>PayloadType</key><string>\
                 com.apple.ManagedClient.preferences</string><key>PayloadContent</key><dict><key>\
                 com.example</key><dict/></dict></dict></array>"),
            "expected a payload of `dev.chaperone.desktop`, found one that is no dictionary, one \
             without a `PayloadType`, `dev.chaperone.Desktop`, `com.example`",
        ),
        (
            plain(
                "<key>PayloadType</key><string>Configuration</string>\
                 <key>EncryptedPayloadContent</key><data/>",
            ),
            "the profile's payloads are encrypted, and only the device that they are for reads them",
        ),
    ];
    for (error, expected) in table {
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_wrapped_domain_that_is_not_in_its_shape_blocks() {
    let wrapped = |body: &str| {
        let text = format!(
            "<plist><dict><key>PayloadType</key><string>Configuration</string>\
             <key>PayloadContent</key><array><dict><key>PayloadType</key>\
             <string>com.apple.ManagedClient.preferences</string><key>PayloadContent</key><dict>\
             <key>dev.chaperone.desktop</key>{body}</dict></dict></array></dict></plist>"
        );
        profile("p", text.as_bytes()).remove(0)
    };
    let table = [
        ("<true/>", "The domain dev.chaperone.desktop holds true, no dictionary."),
        (
            "<dict><key>Forced</key><dict/></dict>",
            "`Forced` of dev.chaperone.desktop holds a dictionary, no array.",
        ),
        (
            "<dict><key>Forced</key><array><dict/></array></dict>",
            "It has no dictionary `mcx_preference_settings`.",
        ),
        (
            "<dict><key>Forced</key><array><dict><key>mcx_preference_settings</key><true/></dict>\
             </array></dict>",
            "It has no dictionary `mcx_preference_settings`.",
        ),
    ];
    for (body, expected) in table {
        let layer = wrapped(body);
        assert_eq!((layer.status, layer.detail.as_str()), (LayerStatus::Unreadable, expected));
        assert!(layer.blocks());
    }
    let whole = wrapped(
        "<dict><key>Forced</key><array><dict><key>mcx_preference_settings</key><dict/></dict>\
         </array></dict>",
    );
    assert_eq!((whole.status, whole.blocks()), (LayerStatus::Present, false));
}

#[test]
fn a_profile_that_is_taken_for_a_preferences_file_is_not_passed_over() {
    let layer = Layer::from_plist(SourceKind::ManagedProfile, "x.plist", INTUNE);
    let told = told(&layer);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("x.plist:PayloadContent: PayloadContent: expected one of"));
}

proptest! {
    #[test]
    fn altered_profiles_are_read_or_refused_and_nothing_else(
        sample in prop::sample::select(&[JAMF, JAMF_BINARY, INTUNE, HAND, MANAGED_BINARY]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = sample.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(layers) = Layer::from_profile("x", &bytes) {
            prop_assert!(!layers.is_empty());
        }
        let layer = Layer::from_plist(SourceKind::ManagedProfile, "x", &bytes);
        prop_assert_eq!(layer.status == LayerStatus::Invalid, layer.blocks());
    }
}
