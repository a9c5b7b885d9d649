//! The template of a configuration profile: every key with its example in a comment, for what is
//! managed and for what is recommended ("Configuration Profile Reference", Apple).

use anyhow::Result;
use chaperone_policy::Os;
use uuid::Uuid;

use super::keys::{self, Level, Section};
use super::plist::{document, key, string, value};
use super::words;
use super::xml::Element;

/// The identifier of the profile itself.
const IDENTIFIER: &str = "dev.chaperone.desktop.profile";

/// The file's text.
pub(super) fn write() -> Result<String> {
    let payloads = [payload(Level::Managed)?, payload(Level::Recommended)?];
    let profile = Element::new("dict")
        .comment("What stands in comments is an example of each key: take out what you need.")
        .comment("Give a second profile made from this one identifiers and UUIDs of its own.")
        .children([key("PayloadContent"), Element::new("array").children(payloads)])
        .children([key("PayloadDescription"), string("What coding agents may do on this Mac.")])
        .children([key("PayloadDisplayName"), string("Chaperone")])
        .children([key("PayloadIdentifier"), string(IDENTIFIER)])
        .children([key("PayloadRemovalDisallowed"), Element::new("true")])
        .children([key("PayloadScope"), string("System")])
        .children([key("PayloadType"), string("Configuration")])
        .children([key("PayloadUUID"), string(&identity(IDENTIFIER))])
        .children([key("PayloadVersion"), Element::text("integer", "1")]);
    document(profile)
}

fn payload(level: Level) -> Result<Element> {
    let identifier = format!("{IDENTIFIER}.{}", level.word());
    let mut payload = Element::new("dict")
        .comment(level.about())
        .children([key("PayloadDisplayName"), string(level.title())])
        .children([key("PayloadIdentifier"), string(&identifier)])
        .children([key("PayloadType"), string(level.domain())])
        .children([key("PayloadUUID"), string(&identity(&identifier))])
        .children([key("PayloadVersion"), Element::text("integer", "1")]);
    for Section { name, keys, .. } in keys::sections(level, Some(Os::Macos)) {
        let mut entries = if name.is_empty() { payload.clone() } else { Element::new("dict") };
        for own in keys {
            entries = entries
                .comment(&words::about(own))
                .disabled(vec![key(own.last()), value(&keys::example(own)?)?]);
        }
        payload = if name.is_empty() { entries } else { payload.children([key(name), entries]) };
    }
    Ok(payload)
}

/// A UUID that is the same in every run: version 5 (RFC 9562, section 5.5), from the identifier.
fn identity(identifier: &str) -> String {
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"desktop.chaperone.dev");
    Uuid::new_v5(&namespace, identifier.as_bytes()).to_string().to_uppercase()
}
