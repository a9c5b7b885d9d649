//! XML as the tests look at it: a tree of elements, without comments.

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

#[derive(Debug, Default, Clone)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    pub(super) text: String,
}

impl Element {
    pub(super) fn parse(text: &str) -> Self {
        let mut reader = Reader::from_str(text);
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) => open.push(Self::of(&start)),
                Event::Empty(start) => open.last_mut().unwrap().children.push(Self::of(&start)),
                Event::End(_) => {
                    let element = open.pop().unwrap();
                    open.last_mut().unwrap().children.push(element);
                }
                Event::Text(text) => open.last_mut().unwrap().text.push_str(&text.into_inner()),
                Event::GeneralRef(name) => {
                    let entity = format!("&{};", &*name);
                    open.last_mut().unwrap().text.push_str(&unescape(&entity).unwrap());
                }
                Event::Decl(_) | Event::Comment(_) | Event::DocType(_) => {}
                Event::Eof => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(open.len(), 1);
        open.remove(0).children.remove(0)
    }

    fn of(start: &BytesStart<'_>) -> Self {
        let attribute = |attribute: quick_xml::events::attributes::Attribute<'_>| {
            let name = String::from(attribute.key.as_ref());
            (name, unescape(&attribute.value).unwrap().into_owned())
        };
        Self {
            name: String::from(start.name().as_ref()),
            attributes: start.attributes().map(|one| attribute(one.unwrap())).collect(),
            ..Self::default()
        }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The attribute, which must be there.
    pub(super) fn needed(&self, name: &str) -> &str {
        self.attribute(name).unwrap_or_else(|| panic!("{} without {name}", self.name))
    }

    pub(super) fn child(&self, name: &str) -> &Self {
        self.maybe(name).unwrap_or_else(|| panic!("{} without {name}", self.name))
    }

    pub(super) fn maybe(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The element and everything below it.
    pub(super) fn every(&self) -> Vec<&Self> {
        let mut all = vec![self];
        let mut at = 0;
        while let Some(element) = all.get(at).copied() {
            all.extend(&element.children);
            at += 1;
        }
        all
    }
}
