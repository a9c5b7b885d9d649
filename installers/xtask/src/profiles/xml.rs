//! XML as a tree of elements, written with every text escaped.

use anyhow::Result;
use quick_xml::Writer;
use quick_xml::escape::partial_escape;
use quick_xml::events::{BytesDecl, BytesStart, BytesText, Event};

/// Spaces for each level.
const INDENT: usize = 2;

/// An element with its attributes, and either a text or more elements.
#[derive(Debug, Clone)]
pub(super) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    text: Option<String>,
    children: Vec<Node>,
}

#[derive(Debug, Clone)]
enum Node {
    Element(Element),
    Comment(String),
    /// Elements that somebody may take out of a comment.
    Disabled(Vec<Element>),
}

impl Element {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), text: None, children: Vec::new() }
    }

    /// An element that holds a text alone.
    pub(super) fn text(name: &'static str, text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::new(name) }
    }

    /// The element with one more attribute.
    pub(super) fn with(mut self, attribute: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((attribute, value.into()));
        self
    }

    pub(super) fn child(mut self, child: Self) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    pub(super) fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children.into_iter().map(Node::Element));
        self
    }

    pub(super) fn comment(mut self, text: &str) -> Self {
        self.children.push(Node::Comment(text.to_owned()));
        self
    }

    /// The element with more of them in a comment whose first and last line can be removed.
    pub(super) fn disabled(mut self, children: Vec<Self>) -> Self {
        self.children.push(Node::Disabled(children));
        self
    }

    /// A whole document with this as its root, and perhaps the type of the document before it.
    pub(super) fn document(&self, doctype: Option<&str>) -> Result<String> {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', INDENT);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        if let Some(doctype) = doctype {
            writer.write_event(Event::DocType(BytesText::from_escaped(doctype)))?;
        }
        self.write(&mut writer, 0)?;
        Ok(String::from_utf8(writer.into_inner())? + "\n")
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>, depth: usize) -> Result<()> {
        let mut start = BytesStart::new(self.name);
        for (name, value) in &self.attributes {
            start.push_attribute((*name, value.as_str()));
        }
        if self.text.is_none() && self.children.is_empty() {
            writer.write_event(Event::Empty(start))?;
            return Ok(());
        }
        writer.write_event(Event::Start(start.borrow()))?;
        if let Some(text) = &self.text {
            let text = BytesText::from_escaped(partial_escape(text.as_str()));
            writer.write_event(Event::Text(text))?;
        }
        for child in &self.children {
            match child {
                Node::Element(child) => child.write(writer, depth + 1)?,
                Node::Comment(text) => write_comment(writer, &format!(" {text} "))?,
                Node::Disabled(children) => {
                    let indent = " ".repeat(INDENT * (depth + 1));
                    let mut text = String::from("\n");
                    for child in children {
                        let mut own = Writer::new_with_indent(Vec::new(), b' ', INDENT);
                        child.write(&mut own, 0)?;
                        for line in String::from_utf8(own.into_inner())?.lines() {
                            text.push_str(&format!("{indent}{line}\n"));
                        }
                    }
                    write_comment(writer, &format!("{text}{indent}"))?;
                }
            }
        }
        writer.write_event(Event::End(start.to_end()))?;
        Ok(())
    }
}

/// Two hyphens end a comment (XML 1.0, section 2.5).
fn write_comment(writer: &mut Writer<Vec<u8>>, text: &str) -> Result<()> {
    anyhow::ensure!(!text.contains("--"), "two hyphens cannot stand in a comment: {text}");
    writer.write_event(Event::Comment(BytesText::from_escaped(text)))?;
    Ok(())
}
