//! macOS configuration profiles (.mobileconfig): the payloads that are Chaperone's, in both shapes
//! that MDM writes them in. What a payload says is read as any other layer.

use crate::{Layer, PlistError, Property, SourceKind};

/// The preferences domain of managed values, and of a user's own.
pub const DOMAIN: &str = "dev.chaperone.desktop";

/// The preferences domain of recommended values.
pub const RECOMMENDED_DOMAIN: &str = "dev.chaperone.desktop.recommended";

/// The type of a payload that holds other domains' values.
const WRAPPED: &str = "com.apple.ManagedClient.preferences";

/// The object identifier of signed data, 1.2.840.113549.1.7.2, in DER: RFC 5652, section 5.1.
const SIGNED_DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];

/// Why a file is no configuration profile whose payloads can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// The profile lies in a signature.
    #[error(
        "the profile is signed; strip the signature with `security cms -D -i FILE -o PLAIN` and \
         check PLAIN"
    )]
    Signed,
    /// The payloads are encrypted for one device.
    #[error(
        "the profile's payloads are encrypted, and only the device that they are for reads them"
    )]
    Encrypted,
    /// It is no property list.
    #[error(transparent)]
    NotAPlist(#[from] PlistError),
    /// It is a property list and no configuration profile.
    #[error("expected a configuration profile, whose `{key}` is {expected}, found {found}")]
    NotAProfile {
        /// The key that a profile has.
        key: &'static str,
        /// What it holds in a profile.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// No payload in it is Chaperone's.
    #[error("expected a payload of `dev.chaperone.desktop`, found {found}")]
    NoPayload {
        /// The payloads that are there.
        found: String,
    },
}

impl Layer {
    /// Reads the payloads of a configuration profile that are Chaperone's, one layer for each, of
    /// the kind that they become where the profile is installed. The locator of each is the
    /// profile's with the payload's place.
    ///
    /// # Errors
    /// Where it is no profile that can be read, or no payload in it is Chaperone's.
    pub fn from_profile(locator: &str, bytes: &[u8]) -> Result<Vec<Self>, ProfileError> {
        if is_signed(bytes) {
            return Err(ProfileError::Signed);
        }
        let root = Property::parse(bytes)?;
        let mut layers = Vec::new();
        let mut others = Vec::new();
        for (at, payload) in payloads(&root)?.iter().enumerate() {
            let locator = format!("{locator}:PayloadContent[{at}]");
            let Property::Dictionary(entries) = payload else {
                others.push("one that is no dictionary".to_owned());
                continue;
            };
            match text(entries, "PayloadType") {
                Some(WRAPPED) => wrapped(&locator, entries, &mut layers, &mut others),
                Some(name) => match kind(name) {
                    Some(kind) => layers.push(Self::from_properties(kind, &locator, entries)),
                    None => others.push(format!("`{name}`")),
                },
                None => others.push("one without a `PayloadType`".to_owned()),
            }
        }
        if layers.is_empty() {
            let found = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
            return Err(ProfileError::NoPayload { found });
        }
        Ok(layers)
    }
}

/// What a domain's forced values become.
fn kind(domain: &str) -> Option<SourceKind> {
    match domain {
        DOMAIN => Some(SourceKind::ManagedProfile),
        RECOMMENDED_DOMAIN => Some(SourceKind::RecommendedProfile),
        _ => None,
    }
}

fn payloads(root: &Property) -> Result<&[Property], ProfileError> {
    let wrong = |key, expected, found: Option<&Property>| {
        let found = found.map_or_else(|| "none".to_owned(), describe);
        Err(ProfileError::NotAProfile { key, expected, found })
    };
    let Property::Dictionary(entries) = root else {
        return wrong("PayloadType", "\"Configuration\"", None);
    };
    if text(entries, "PayloadType") != Some("Configuration") {
        return wrong("PayloadType", "\"Configuration\"", get(entries, "PayloadType"));
    }
    match get(entries, "PayloadContent") {
        Some(Property::Array(payloads)) => Ok(payloads),
        None if get(entries, "EncryptedPayloadContent").is_some() => Err(ProfileError::Encrypted),
        other => wrong("PayloadContent", "an array of payloads", other),
    }
}

/// The domains of a payload that holds other domains' values: domain → `Forced` → settings.
fn wrapped(
    locator: &str,
    entries: &[(String, Property)],
    layers: &mut Vec<Layer>,
    others: &mut Vec<String>,
) {
    let Some(Property::Dictionary(domains)) = get(entries, "PayloadContent") else {
        others.push(format!("`{WRAPPED}` without domains"));
        return;
    };
    for (domain, ways) in domains {
        let Some(kind) = kind(domain) else {
            others.push(format!("`{domain}`"));
            continue;
        };
        let Property::Dictionary(ways) = ways else {
            let detail = format!("The domain {domain} holds {}, no dictionary.", describe(ways));
            layers.push(Layer::unreadable(kind, locator, &detail));
            continue;
        };
        for (way, sets) in ways {
            let locator = format!("{locator}.{way}");
            let Property::Array(sets) = sets else {
                let detail = format!("`{way}` of {domain} holds {}, no array.", describe(sets));
                layers.push(Layer::unreadable(kind, &locator, &detail));
                continue;
            };
            for (at, set) in sets.iter().enumerate() {
                layers.push(settings(kind, way, &format!("{locator}[{at}]"), set));
            }
        }
    }
}

/// One entry of `Forced`, or of a way that forces nothing.
fn settings(kind: SourceKind, way: &str, locator: &str, set: &Property) -> Layer {
    let settings = match set {
        Property::Dictionary(entries) => get(entries, "mcx_preference_settings"),
        _ => None,
    };
    let Some(Property::Dictionary(settings)) = settings else {
        let detail = "It has no dictionary `mcx_preference_settings`.";
        return Layer::unreadable(kind, locator, detail);
    };
    match way {
        "Forced" => Layer::from_properties(kind, locator, settings),
        way => Layer::from_properties(SourceKind::UserPreference, locator, settings).noted(
            "values under `Forced`",
            &format!(
                "values under `{way}`, which become the user's own and may be changed by the user"
            ),
        ),
    }
}

fn is_signed(bytes: &[u8]) -> bool {
    // A DER sequence, its length in up to five bytes, the identifier; or the same as PEM.
    let identifier = bytes.get(..20).unwrap_or(bytes);
    bytes.first() == Some(&0x30)
        && identifier.windows(SIGNED_DATA.len()).any(|window| window == SIGNED_DATA)
        || [b"-----BEGIN PKCS7".as_slice(), b"-----BEGIN CMS"]
            .iter()
            .any(|it| bytes.starts_with(it))
}

fn get<'p>(entries: &'p [(String, Property)], name: &str) -> Option<&'p Property> {
    entries.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn text<'p>(entries: &'p [(String, Property)], name: &str) -> Option<&'p str> {
    match get(entries, name) {
        Some(Property::Text(text)) => Some(text),
        _ => None,
    }
}

fn describe(value: &Property) -> String {
    match value {
        Property::Text(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
        Property::Integer(_) | Property::Real(_) => "a number".to_owned(),
        Property::Boolean(value) => value.to_string(),
        Property::Date(_) => "a date".to_owned(),
        Property::Data(_) => "data".to_owned(),
        Property::Array(_) => "an array".to_owned(),
        Property::Dictionary(_) => "a dictionary".to_owned(),
        Property::Other(words) => words.clone(),
    }
}
