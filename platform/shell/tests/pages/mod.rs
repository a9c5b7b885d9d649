//! The texts of a page of cases; `tests/corpus.rs` says what else stands there.

use std::fs;
use std::path::Path;

/// Each text of the page, its further lines joined to it.
pub(crate) fn texts(name: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let mut texts: Vec<String> = Vec::new();
    for line in fs::read_to_string(page).unwrap_or_default().lines() {
        match (line.strip_prefix("$ "), line.strip_prefix("> ")) {
            (Some(text), _) => texts.push(text.to_owned()),
            (_, Some(more)) => {
                if let Some(text) = texts.last_mut() {
                    text.push('\n');
                    text.push_str(more);
                }
            }
            _ => {}
        }
    }
    assert!(!texts.is_empty(), "{name} holds no texts");
    texts
}
