//! The published structure of both halves of a Group Policy template, as a table: the schemas of
//! [MS-GPREG] sections 7.1 to 7.3.

use super::dom::Element;

/// How often a child may stand.
#[derive(Clone, Copy)]
enum Times {
    One,
    Maybe,
    Some,
    Any,
}

/// What may stand in an element.
enum Content {
    Nothing,
    Text,
    /// These, in this order.
    Sequence(&'static [(&'static str, Times)]),
    /// Any of these; at least one where said so.
    Choice(&'static [&'static str], bool),
}

use Content::{Choice, Nothing, Sequence, Text};
use Times::{Any, Maybe, One, Some as Several};

/// Attributes with what they hold; those that end with `!` are required.
type Attributes = &'static [(&'static str, Kind)];

#[derive(Clone, Copy)]
enum Kind {
    Any,
    Name,
    Reference,
    StringReference,
    PresentationReference,
    Version,
    Number,
    Boolean,
    Class,
}

const DEFINITION: [(&str, Times); 3] =
    [("parentCategory", Maybe), ("seeAlso", Any), ("keywords", Maybe)];
const POLICY: [(&str, Times); 9] = [
    DEFINITION[0],
    DEFINITION[1],
    DEFINITION[2],
    ("supportedOn", One),
    ("enabledValue", Maybe),
    ("disabledValue", Maybe),
    ("enabledList", Maybe),
    ("disabledList", Maybe),
    ("elements", Maybe),
];

/// What the schemas say of an element, by its parent's name and its own.
fn rule(parent: &str, name: &str) -> Option<(Attributes, Content)> {
    use Kind::{Boolean, Class, Name, Number, Reference, Version};
    use Kind::{PresentationReference, StringReference};
    const FILE: Attributes =
        &[("xmlns!", Kind::Any), ("revision!", Version), ("schemaVersion!", Version)];
    const NAMED: Attributes = &[("name!", Name), ("displayName!", StringReference)];
    const REF: Attributes = &[("ref!", Reference)];
    Some(match (parent, name) {
        ("", "policyDefinitions") => (
            FILE,
            Sequence(&[
                ("policyNamespaces", One),
                ("supersededAdm", Any),
                ("resources", One),
                ("supportedOn", Maybe),
                ("categories", Maybe),
                ("policies", Maybe),
            ]),
        ),
        ("policyDefinitions", "policyNamespaces") => {
            (&[], Sequence(&[("target", One), ("using", Any)]))
        }
        ("policyNamespaces", "target") => {
            (&[("prefix!", Name), ("namespace!", Kind::Any)], Nothing)
        }
        ("policyDefinitions", "resources") => {
            (&[("minRequiredRevision!", Version), ("fallbackCulture", Kind::Any)], Nothing)
        }
        ("policyDefinitions", "supportedOn") => {
            (&[], Sequence(&[("products", Maybe), ("definitions", Maybe)]))
        }
        ("supportedOn", "definitions") => (&[], Sequence(&[("definition", Several)])),
        ("definitions", "definition") => (NAMED, Nothing),
        ("policyDefinitions", "categories") => (&[], Sequence(&[("category", Several)])),
        ("categories", "category") => (
            &[("name!", Name), ("displayName!", StringReference), ("explainText", StringReference)],
            Sequence(&DEFINITION),
        ),
        ("category" | "policy", "parentCategory") | ("policy", "supportedOn") => (REF, Nothing),
        ("policyDefinitions", "policies") => (&[], Sequence(&[("policy", Several)])),
        ("policies", "policy") => (
            &[
                ("name!", Name),
                ("class!", Class),
                ("displayName!", StringReference),
                ("explainText", StringReference),
                ("presentation", PresentationReference),
                ("key!", Kind::Any),
                ("valueName", Kind::Any),
            ],
            Sequence(&POLICY),
        ),
        ("policy", "enabledValue" | "disabledValue") | ("item", "value") => {
            (&[], Choice(&["delete", "decimal", "string"], true))
        }
        ("enabledValue" | "disabledValue" | "value", "decimal") => (&[("value!", Number)], Nothing),
        ("value", "string") => (&[], Text),
        ("policy", "elements") => {
            (&[], Choice(&["boolean", "decimal", "text", "enum", "list", "multiText"], true))
        }
        ("elements", "decimal") => (
            &[
                ("id!", Kind::Any),
                ("key", Kind::Any),
                ("valueName", Kind::Any),
                ("required", Boolean),
                ("minValue", Number),
                ("maxValue", Number),
                ("storeAsText", Boolean),
                ("soft", Boolean),
            ],
            Nothing,
        ),
        ("elements", "text") => (
            &[
                ("id!", Kind::Any),
                ("key", Kind::Any),
                ("valueName", Kind::Any),
                ("required", Boolean),
                ("maxLength", Number),
                ("expandable", Boolean),
                ("soft", Boolean),
            ],
            Nothing,
        ),
        ("elements", "multiText") => (
            &[
                ("id!", Kind::Any),
                ("key", Kind::Any),
                ("valueName", Kind::Any),
                ("required", Boolean),
                ("maxLength", Number),
                ("maxStrings", Number),
                ("soft", Boolean),
            ],
            Nothing,
        ),
        ("elements", "enum") => (
            &[
                ("id!", Kind::Any),
                ("key", Kind::Any),
                ("valueName", Kind::Any),
                ("required", Boolean),
            ],
            Sequence(&[("item", Any)]),
        ),
        ("enum", "item") => (
            &[("displayName!", StringReference)],
            Sequence(&[("value", One), ("valueList", Maybe)]),
        ),
        ("elements", "list") => (
            &[
                ("id!", Kind::Any),
                ("key", Kind::Any),
                ("valuePrefix", Kind::Any),
                ("additive", Boolean),
                ("expandable", Boolean),
                ("explicitValue", Boolean),
            ],
            Nothing,
        ),
        ("", "policyDefinitionResources") => {
            (FILE, Sequence(&[("displayName", One), ("description", One), ("resources", One)]))
        }
        ("policyDefinitionResources", "displayName" | "description") => (&[], Text),
        ("policyDefinitionResources", "resources") => {
            (&[], Sequence(&[("stringTable", Maybe), ("presentationTable", Maybe)]))
        }
        ("resources", "stringTable") => (&[], Sequence(&[("string", Several)])),
        ("stringTable", "string") => (&[("id!", Name)], Text),
        ("resources", "presentationTable") => (&[], Sequence(&[("presentation", Several)])),
        ("presentationTable", "presentation") => (
            &[("id!", Name)],
            // Of the published list, but for the combo box, which Intune refuses.
            Choice(
                &[
                    "text",
                    "decimalTextBox",
                    "textBox",
                    "checkBox",
                    "dropdownList",
                    "listBox",
                    "multiTextBox",
                ],
                false,
            ),
        ),
        ("presentation", "textBox") => {
            (&[("refId!", Kind::Any)], Sequence(&[("label", One), ("defaultValue", Maybe)]))
        }
        ("textBox", "label" | "defaultValue") => (&[], Text),
        ("presentation", "decimalTextBox") => (
            &[
                ("refId!", Kind::Any),
                ("defaultValue", Number),
                ("spin", Boolean),
                ("spinStep", Number),
            ],
            Text,
        ),
        ("presentation", "dropdownList") => {
            (&[("refId!", Kind::Any), ("noSort", Boolean), ("defaultItem", Number)], Text)
        }
        ("presentation", "listBox") => (&[("refId!", Kind::Any)], Text),
        ("presentation", "multiTextBox") => {
            (&[("refId!", Kind::Any), ("showAsDialog", Boolean), ("defaultHeight", Number)], Text)
        }
        _ => return None,
    })
}

fn fits(kind: Kind, text: &str) -> bool {
    let name =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let inner = |before: &str| text.strip_prefix(before).and_then(|rest| rest.strip_suffix(')'));
    match kind {
        Kind::Any => true,
        Kind::Name | Kind::Reference => name(text),
        Kind::StringReference => inner("$(string.").is_some_and(name),
        Kind::PresentationReference => inner("$(presentation.").is_some_and(name),
        Kind::Version => {
            text.split_once('.').is_some_and(|(one, two)| digits(one, 4) && digits(two, 5))
        }
        Kind::Number => text.parse::<u32>().is_ok(),
        Kind::Boolean => ["true", "false"].contains(&text),
        Kind::Class => ["User", "Machine", "Both"].contains(&text),
    }
}

/// What is wrong with an element and everything below it; `parent` is empty for the root.
pub(super) fn wrong(parent: &str, element: &Element) -> Vec<String> {
    let name = element.name.as_str();
    let Some((attributes, content)) = rule(parent, name) else {
        return vec![format!("{name} cannot stand in {parent}")];
    };
    let mut wrong = Vec::new();
    for (own, value) in &element.attributes {
        let known = attributes.iter().find(|(name, _)| name.trim_end_matches('!') == own);
        if !known.is_some_and(|(_, kind)| fits(*kind, value)) {
            wrong.push(format!("{name}: {own}={value:?}"));
        }
    }
    let needed = attributes.iter().filter_map(|(name, _)| name.strip_suffix('!'));
    for missing in needed.filter(|name| element.attribute(name).is_none()) {
        wrong.push(format!("{name} without {missing}"));
    }
    let children: Vec<&str> = element.children.iter().map(|child| child.name.as_str()).collect();
    let good = match content {
        Nothing => children.is_empty() && element.text.trim().is_empty(),
        Text => children.is_empty(),
        Choice(of, some) => {
            children.iter().all(|child| of.contains(child)) && !(some && children.is_empty())
        }
        Sequence(of) => in_order(&children, of),
    };
    if !good {
        wrong.push(format!("{name} with {children:?}"));
    }
    wrong.extend(element.children.iter().flat_map(|child| self::wrong(name, child)));
    wrong
}

fn in_order(children: &[&str], of: &[(&str, Times)]) -> bool {
    let mut rest = children;
    for (name, times) in of {
        let count = rest.iter().take_while(|child| *child == name).count();
        let good = match times {
            One => count == 1,
            Maybe => count <= 1,
            Several => count >= 1,
            Any => true,
        };
        if !good {
            return false;
        }
        rest = &rest[count..];
    }
    rest.is_empty()
}
