//! The Group Policy template: what each setting writes into the registry ("ADMX Syntax", Microsoft,
//! and [MS-GPREG] section 7). It refers to no other template and writes only below Chaperone's own
//! key, so that Intune takes it as it is; it has no combo box, which Intune refuses.

use anyhow::Result;

use super::group_policy::{Category, Control, Setting, template};
use super::xml::Element;

/// The namespace of both halves of a template.
pub(super) const NAMESPACE: &str =
    "http://schemas.microsoft.com/GroupPolicy/2006/07/PolicyDefinitions";
/// The version of the templates' format.
pub(super) const FORMAT: &str = "1.0";
/// What every setting needs.
pub(super) const SUPPORTED: &str = "SUPPORTED_Chaperone";

/// The file's text.
pub(super) fn write() -> Result<String> {
    let (categories, settings) = template()?;
    let target =
        Element::new("target").with("prefix", "chaperone").with("namespace", "Chaperone.Policies");
    let definition =
        Element::new("definition").with("name", SUPPORTED).with("displayName", string(SUPPORTED));
    let supported =
        Element::new("supportedOn").child(Element::new("definitions").child(definition));
    Element::new("policyDefinitions")
        .with("xmlns", NAMESPACE)
        .with("revision", revision())
        .with("schemaVersion", FORMAT)
        .child(Element::new("policyNamespaces").child(target))
        .child(Element::new("resources").with("minRequiredRevision", revision()))
        .child(supported)
        .child(Element::new("categories").children(categories.iter().map(category)))
        .child(Element::new("policies").children(settings.iter().map(policy)))
        .document(None)
}

/// Chaperone's version as a template has it: two numbers.
pub(super) fn revision() -> String {
    format!("{}.{}", env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"))
}

fn string(id: &str) -> String {
    format!("$(string.{id})")
}

fn category(category: &Category) -> Element {
    let Category { id, title: _, parent } = category;
    let parent = parent.iter().map(|id| Element::new("parentCategory").with("ref", id));
    Element::new("category").with("name", id).with("displayName", string(id)).children(parent)
}

fn policy(setting: &Setting) -> Element {
    let Setting { id, title: _, explain: _, category, for_users, path, value, control } = setting;
    let policy = Element::new("policy")
        .with("name", id)
        .with("class", if *for_users { "Both" } else { "Machine" })
        .with("displayName", string(id))
        .with("explainText", string(&format!("{id}_explain")));
    let parents = [
        Element::new("parentCategory").with("ref", category),
        Element::new("supportedOn").with("ref", SUPPORTED),
    ];
    let whole = |number: u64| Element::new("decimal").with("value", number.to_string());
    if let Control::Switch = control {
        return policy
            .with("key", path)
            .with("valueName", *value)
            .children(parents)
            .child(Element::new("enabledValue").child(whole(1)))
            .child(Element::new("disabledValue").child(whole(0)));
    }
    policy
        .with("presentation", format!("$(presentation.{id})"))
        .with("key", path)
        .children(parents)
        .child(Element::new("elements").child(element(id, value, control)))
}

fn element(id: &str, value: &str, control: &Control) -> Element {
    let named = |name| Element::new(name).with("id", id).with("valueName", value);
    match control {
        Control::Switch => named("boolean"),
        Control::Choice { words, place } => {
            let item = |(string_id, word): &(String, &'static str)| {
                let value = Element::new("value").child(Element::text("string", *word));
                Element::new("item").with("displayName", string(string_id)).child(value)
            };
            let element = match place {
                Some((path, name)) => {
                    Element::new("enum").with("id", id).with("key", path).with("valueName", *name)
                }
                None => named("enum"),
            };
            element.with("required", "true").children(words.iter().map(item))
        }
        Control::Number { least, preset: _ } => named("decimal")
            .with("required", "true")
            .with("minValue", least.to_string())
            .with("maxValue", u32::MAX.to_string()),
        Control::Text { most } => {
            named("text").with("required", "true").with("maxLength", most.to_string())
        }
        Control::Lines { most } => {
            named("multiText").with("required", "true").with("maxLength", most.to_string())
        }
        // An empty prefix numbers the values.
        Control::List { path } => {
            Element::new("list").with("id", id).with("key", path).with("valuePrefix", "")
        }
    }
}
