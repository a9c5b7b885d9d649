//! Both halves of the Group Policy template: their structure, that they fit each other, and that
//! Intune takes them ("Import custom ADMX and ADML templates" and "Win32 and Desktop Bridge app ADMX
//! policy ingestion", Microsoft).

use std::collections::{BTreeMap, BTreeSet};

use super::dom::Element;
use super::structure::wrong;
use super::*;
use crate::profiles::group_policy::ROOT;

fn both() -> (Element, Element) {
    (Element::parse(&admx::write().unwrap()), Element::parse(&adml::write().unwrap()))
}

#[test]
fn both_halves_have_the_published_structure() {
    let (admx, adml) = both();
    assert_eq!(wrong("", &admx), [""; 0]);
    assert_eq!(wrong("", &adml), [""; 0]);
}

#[test]
fn what_has_another_structure_is_found() {
    let broken = |from: &str, to: &str| {
        let text = admx::write().unwrap();
        assert!(text.contains(from), "{from}");
        wrong("", &Element::parse(&text.replacen(from, to, 1))).len()
    };
    assert_eq!(broken("class=\"Both\"", "class=\"All\""), 1);
    assert_eq!(broken("<resources minRequiredRevision=\"0.1\"/>", ""), 1);
    assert_eq!(
        broken("valueName=\"mode\" required=\"true\"", "valueName=\"mode\" needed=\"true\""),
        1
    );
    assert_eq!(broken("<elements>", "<elements><comboBox id=\"x\"/>"), 2);
    assert_eq!(broken("maxLength=\"64\"", "maxLength=\"long\""), 1);
}

/// The values of an attribute, each once.
fn unique<'e>(elements: impl Iterator<Item = &'e Element>, attribute: &str) -> BTreeSet<&'e str> {
    let mut names = BTreeSet::new();
    for element in elements {
        let name = element.needed(attribute);
        assert!(names.insert(name), "{} {name} stands twice", element.name);
    }
    names
}

#[test]
fn every_reference_leads_somewhere_and_nothing_stands_unused() {
    let (admx, adml) = both();
    let resources = adml.child("resources");
    let strings = unique(resources.child("stringTable").children.iter(), "id");
    let shown = &resources.child("presentationTable").children;
    let presentations = unique(shown.iter(), "id");
    let categories = unique(admx.child("categories").children.iter(), "name");
    let supported = unique(admx.child("supportedOn").child("definitions").children.iter(), "name");
    unique(admx.child("policies").children.iter(), "name");

    let (mut of_strings, mut of_presentations) = (BTreeSet::new(), BTreeSet::new());
    for element in admx.every() {
        for (_, value) in &element.attributes {
            let inner = |start: &str| value.strip_prefix(start)?.strip_suffix(')');
            of_strings.extend(inner("$(string."));
            of_presentations.extend(inner("$(presentation."));
        }
        if element.name == "parentCategory" {
            assert!(categories.contains(element.needed("ref")), "{}", element.needed("ref"));
        }
    }
    assert_eq!(of_strings, strings);
    assert_eq!(of_presentations, presentations);
    for policy in &admx.child("policies").children {
        assert!(supported.contains(policy.child("supportedOn").needed("ref")));
    }
    for string in &resources.child("stringTable").children {
        assert!(!string.text.trim().is_empty(), "{} is empty", string.needed("id"));
    }
}

#[test]
fn every_element_has_the_control_that_fits_it() {
    let (admx, adml) = both();
    let shown: BTreeMap<&str, &Element> = adml
        .child("resources")
        .child("presentationTable")
        .children
        .iter()
        .map(|one| (one.needed("id"), one))
        .collect();
    let controls = BTreeMap::from([
        ("decimal", "decimalTextBox"),
        ("text", "textBox"),
        ("enum", "dropdownList"),
        ("list", "listBox"),
        ("multiText", "multiTextBox"),
        ("boolean", "checkBox"),
    ]);
    for policy in &admx.child("policies").children {
        let Some(elements) = policy.maybe("elements") else {
            assert_eq!(policy.attribute("presentation"), None, "{}", policy.needed("name"));
            continue;
        };
        let own = policy.needed("presentation").trim_start_matches("$(presentation.");
        let presentation = shown[own.trim_end_matches(')')];
        let wanted: Vec<_> = elements
            .children
            .iter()
            .map(|one| (controls[one.name.as_str()], one.needed("id")))
            .collect();
        let found: Vec<_> = presentation
            .children
            .iter()
            .map(|one| (one.name.as_str(), one.needed("refId")))
            .collect();
        assert_eq!(found, wanted, "{}", policy.needed("name"));
    }
}

#[test]
fn it_is_taken_by_intune() {
    let (admx, _) = both();
    let namespaces = &admx.child("policyNamespaces").children;
    let names: Vec<_> = namespaces.iter().map(|one| one.needed("namespace")).collect();
    assert_eq!(names, ["Chaperone.Policies"], "it needs no other template and is nobody else's");
    for element in admx.every() {
        if let Some(key) = element.attribute("key") {
            let below = key.strip_prefix(ROOT);
            assert!(below.is_some_and(|rest| rest.is_empty() || rest.starts_with('\\')), "{key}");
        }
        let text = ["text", "multiText"].contains(&element.name.as_str());
        if text && element.attribute("id").is_some() {
            assert!(element.attribute("maxLength").is_some(), "{}", element.needed("id"));
        }
    }
    for text in [admx::write().unwrap(), adml::write().unwrap()] {
        assert!(text.len() < 1 << 20, "Intune takes at most 1 MB");
    }
}
