//! The words of the Group Policy template in English, and what the editor shows to fill in.

use anyhow::Result;

use super::admx::{FORMAT, NAMESPACE, SUPPORTED, revision};
use super::group_policy::{Category, Control, Setting, template};
use super::xml::Element;

/// The file's text.
pub(super) fn write() -> Result<String> {
    let (categories, settings) = template()?;
    let mut strings = vec![string(SUPPORTED, "Any version of Chaperone")];
    strings.extend(categories.iter().map(|Category { id, title, .. }| string(id, title)));
    for Setting { id, title, explain, control, .. } in &settings {
        strings.push(string(id, title));
        strings.push(string(&format!("{id}_explain"), explain));
        if let Control::Choice { words, place } = control {
            // Where a word stands for those before it, too, the page says so.
            let shown = |at: usize| match place {
                Some(_) => words.iter().take(at + 1).map(|(_, word)| *word).collect::<Vec<_>>(),
                None => words.iter().skip(at).take(1).map(|(_, word)| *word).collect(),
            };
            strings.extend(
                words.iter().enumerate().map(|(at, (id, _))| string(id, &shown(at).join(", "))),
            );
        }
    }
    let resources =
        Element::new("resources").child(Element::new("stringTable").children(strings)).child(
            Element::new("presentationTable").children(settings.iter().filter_map(presentation)),
        );
    Element::new("policyDefinitionResources")
        .with("xmlns", NAMESPACE)
        .with("revision", revision())
        .with("schemaVersion", FORMAT)
        .child(Element::text("displayName", "Chaperone"))
        .child(Element::text("description", "What coding agents may do on this machine."))
        .child(resources)
        .document(None)
}

fn string(id: &str, text: &str) -> Element {
    Element::text("string", text).with("id", id)
}

fn presentation(setting: &Setting) -> Option<Element> {
    let Setting { id, title, control, .. } = setting;
    let labelled = |name| Element::text(name, title.as_str()).with("refId", id);
    let shown = match control {
        Control::Switch => return None,
        Control::Choice { .. } => {
            labelled("dropdownList").with("noSort", "true").with("defaultItem", "0")
        }
        Control::Number { preset, .. } => {
            labelled("decimalTextBox").with("defaultValue", preset.to_string())
        }
        Control::Text { .. } => {
            Element::new("textBox").with("refId", id).child(Element::text("label", title.as_str()))
        }
        Control::Lines { .. } => {
            labelled("multiTextBox").with("showAsDialog", "true").with("defaultHeight", "20")
        }
        Control::List { .. } => labelled("listBox"),
    };
    Some(Element::new("presentation").with("id", id).child(shown))
}
