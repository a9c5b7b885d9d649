//! The configuration profile and the manifests against their published structure and the reader.

use std::collections::BTreeSet;

use ::plist::{Dictionary, Value as Plist};

use super::*;

fn parse(text: &str) -> Dictionary {
    Plist::from_reader_xml(text.as_bytes()).unwrap().into_dictionary().unwrap()
}

/// The profile with every example taken out of its comment.
fn enabled() -> String {
    let profile = mobileconfig::write().unwrap();
    let lines = profile.lines().filter(|line| !["<!--", "-->"].contains(&line.trim()));
    lines.collect::<Vec<_>>().join("\n")
}

fn text<'d>(dictionary: &'d Dictionary, key: &str) -> &'d str {
    dictionary.get(key).and_then(Plist::as_string).unwrap_or_else(|| panic!("no text {key}"))
}

fn payloads(profile: &Dictionary) -> Vec<Dictionary> {
    let content = profile["PayloadContent"].as_array().unwrap();
    content.iter().map(|payload| payload.as_dictionary().unwrap().clone()).collect()
}

#[test]
fn the_profile_has_the_published_structure() {
    let profile = parse(&mobileconfig::write().unwrap());
    assert_eq!(text(&profile, "PayloadType"), "Configuration");
    assert_eq!(text(&profile, "PayloadScope"), "System");
    let payloads = payloads(&profile);
    let types: Vec<_> = payloads.iter().map(|payload| text(payload, "PayloadType")).collect();
    assert_eq!(types, ["dev.chaperone.desktop", "dev.chaperone.desktop.recommended"]);
    let (mut identifiers, mut uuids) = (BTreeSet::new(), BTreeSet::new());
    for dictionary in std::iter::once(&profile).chain(&payloads) {
        assert_eq!(dictionary["PayloadVersion"].as_signed_integer(), Some(1));
        assert!(!text(dictionary, "PayloadDisplayName").is_empty());
        let identifier = text(dictionary, "PayloadIdentifier");
        assert!(identifiers.insert(identifier), "{identifier} stands twice");
        assert!(identifier.starts_with("dev.chaperone.desktop.profile"), "{identifier}");
        let uuid = uuid::Uuid::parse_str(text(dictionary, "PayloadUUID")).unwrap();
        assert_eq!(uuid.get_version_num(), 5, "{uuid} is another one in each run");
        assert!(uuids.insert(uuid), "{uuid} stands twice");
    }
}

const LEVELS: [(Level, SourceKind); 2] = [
    (Level::Managed, SourceKind::ManagedProfile),
    (Level::Recommended, SourceKind::RecommendedProfile),
];

fn read(profile: &str) -> [Layer; 2] {
    let layers = Layer::from_profile("chaperone.mobileconfig", profile.as_bytes()).unwrap();
    layers.try_into().unwrap()
}

#[test]
fn as_it_stands_the_profile_says_nothing() {
    for layer in read(&mobileconfig::write().unwrap()) {
        assert_eq!(layer.findings(), []);
        assert_eq!(said(&layer.settings), said(&Settings::default()));
    }
}

#[test]
fn with_every_example_taken_out_the_profile_says_every_key() {
    let profile = enabled();
    let payloads = payloads(&parse(&profile));
    for (((level, kind), payload), layer) in LEVELS.into_iter().zip(&payloads).zip(read(&profile)) {
        let wanted = examples(&all(level, Some(Os::Macos)));
        let own = payload.iter().filter(|(key, _)| !key.starts_with("Payload"));
        let own: Dictionary = own.map(|(key, value)| (key.clone(), value.clone())).collect();
        assert_eq!(serde_json::to_value(Plist::Dictionary(own)).unwrap(), wanted);
        assert_eq!((layer.kind, layer.findings()), (kind, [].as_slice()));
        assert_eq!(said(&layer.settings), said(&read_json(kind, &wanted).settings), "{level:?}");
    }
}

/// Names and types of fields: `network.mode` is `string`.
fn fields(prefix: &str, subkeys: &Plist, out: &mut Vec<(String, String)>) {
    for field in subkeys.as_array().unwrap() {
        let field = field.as_dictionary().unwrap();
        let takes = text(field, "pfm_type");
        assert!(["string", "boolean", "integer", "array", "dictionary"].contains(&takes));
        assert!(!text(field, "pfm_title").is_empty());
        let name = format!("{prefix}{}", text(field, "pfm_name"));
        match (takes, field.get("pfm_subkeys")) {
            ("dictionary", Some(below)) if name != "when" => {
                fields(&format!("{name}."), below, out);
            }
            ("array", Some(items)) => {
                assert_eq!(items.as_array().unwrap().len(), 1, "{name}");
                out.push((name, takes.to_owned()));
            }
            ("array" | "dictionary", None) => panic!("{name} holds nothing"),
            _ => out.push((name, takes.to_owned())),
        }
        if let Some(default) = field.get("pfm_default") {
            let fits = match takes {
                "string" => default.as_string().is_some(),
                "boolean" => default.as_boolean().is_some(),
                "integer" => default.as_signed_integer().is_some(),
                _ => false,
            };
            assert!(fits, "the default of {} is no {takes}", text(field, "pfm_name"));
        }
    }
}

#[test]
fn the_manifests_name_every_key_with_its_type() {
    for (level, _) in LEVELS {
        let manifest = parse(&manifest::write(level).unwrap());
        assert_eq!(text(&manifest, "pfm_domain"), level.domain());
        assert_eq!(manifest["pfm_format_version"].as_signed_integer(), Some(1));
        assert!(manifest["pfm_version"].as_signed_integer().is_some_and(|version| version > 0));
        assert!(manifest["pfm_last_modified"].as_date().is_some());
        for key in ["pfm_title", "pfm_description"] {
            assert!(!text(&manifest, key).is_empty());
        }
        let mut found = Vec::new();
        fields("", &manifest["pfm_subkeys"], &mut found);
        found.retain(|(name, _)| !name.starts_with("Payload"));
        let of_key = |key: &Key| match keys::example(key).unwrap() {
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::Array(_) => "array",
            Value::Object(_) => "dictionary",
            _ => "string",
        };
        let wanted: Vec<_> = all(level, Some(Os::Macos))
            .into_iter()
            .map(|key| (key.name.to_owned(), of_key(key).to_owned()))
            .collect();
        assert_eq!(found, wanted);
    }
}

#[test]
fn every_payload_key_that_editors_need_is_in_the_manifests() {
    for (level, _) in LEVELS {
        let manifest = parse(&manifest::write(level).unwrap());
        let required: Vec<String> = manifest["pfm_subkeys"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Plist::as_dictionary)
            .filter(|field| field.get("pfm_require").and_then(Plist::as_string) == Some("always"))
            .map(|field| text(field, "pfm_name").to_owned())
            .collect();
        let wanted = ["DisplayName", "Identifier", "Type", "UUID", "Version"];
        assert_eq!(required, wanted.map(|name| format!("Payload{name}")));
    }
}

#[test]
fn the_forms_of_jamf_accept_every_example_and_show_each_field_once() {
    for (level, _) in LEVELS {
        let form: Value = serde_json::from_str(&jamf::write(level).unwrap()).unwrap();
        let wanted = examples(&all(level, Some(Os::Macos)));
        let names = |value: &Value| {
            value
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(names(&form["properties"]), names(&wanted));
        for (name, field) in form["properties"].as_object().unwrap() {
            if field["type"] == "object" && name != "when" {
                assert_eq!(names(&field["properties"]), names(&wanted[name]), "{name}");
            }
        }
        // A form has no choice of types: each part of a condition is a list.
        let mut filled = wanted;
        for part in ["os", "agent", "workspace"] {
            filled["when"][part] = json!([filled["when"][part]]);
        }
        let errors: Vec<_> = jsonschema::validator_for(&form)
            .unwrap()
            .iter_errors(&filled)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, [""; 0]);
        ordered(&form);
    }
}

/// Every field of a form has a place of its own.
fn ordered(group: &Value) {
    let Some(fields) = group["properties"].as_object() else { return };
    let mut places = BTreeSet::new();
    for (name, field) in fields {
        let place = field["property_order"].as_u64().unwrap_or_else(|| panic!("{name}: no place"));
        assert!(places.insert(place), "{name} has another's place");
        assert!(field["title"].is_string() && field["type"].is_string(), "{name}");
        ordered(field);
    }
}
