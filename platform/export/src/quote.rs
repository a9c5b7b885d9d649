//! Text in the files' own syntax: TOML and Starlark strings, one line each.

/// A basic string of TOML. JSON's escapes are TOML's, but for one character (TOML 1.0, "String").
pub(crate) fn toml(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.replace('\u{7f}', "\\u007F")
}

/// An array of basic strings, on one line.
pub(crate) fn toml_array<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(|item| toml(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// An array of basic strings, one a line.
pub(crate) fn toml_lines<T: AsRef<str>>(items: &[T]) -> String {
    if items.is_empty() {
        return "[]".to_owned();
    }
    let lines: Vec<String> =
        items.iter().map(|item| format!("  {},\n", toml(item.as_ref()))).collect();
    format!("[\n{}]", lines.concat())
}

/// A comment of TOML or Starlark: whatever stands in the text stays on the line.
pub(crate) fn comment(text: &str) -> String {
    let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("# {shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_text_holds_it_is_read_back() {
        for text in ["plain", "a\"b\\c", "tab\tline\nend", "\u{7f}\u{1}é\u{2028}", "#{x}"] {
            let read: toml::Table = toml::from_str(&format!("x = {}", toml(text))).unwrap();
            assert_eq!(read["x"].as_str(), Some(text), "{text:?}");
        }
        assert_eq!(comment("a\nb"), "# a b");
    }
}
