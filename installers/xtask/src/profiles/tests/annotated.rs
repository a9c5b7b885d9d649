//! The annotated policy file is a policy as it stands, and with every example taken out.

use super::*;

fn read(text: &str) -> Layer {
    Layer::from_toml(SourceKind::ManagedFile, "policy.toml", text)
}

#[test]
fn as_it_stands_it_says_nothing() {
    let layer = read(&toml::write().unwrap());
    assert_eq!(layer.findings(), []);
    assert_eq!(said(&layer.settings), said(&Settings::default()));
}

#[test]
fn with_every_example_taken_out_it_says_every_key() {
    let file = toml::write().unwrap();
    let prose = |line: &str| line.starts_with("# ") || line.starts_with("#:schema");
    let text: Vec<&str> = file
        .lines()
        .map(|line| if prose(line) { line } else { line.strip_prefix('#').unwrap_or(line) })
        .collect();
    let layer = read(&text.join("\n"));
    assert_eq!(layer.findings(), []);
    let mut policy = examples(&all(Level::Managed, None));
    add_rules(&mut policy);
    assert_eq!(said(&layer.settings), said(&read_json(SourceKind::ManagedFile, &policy).settings));
}

#[test]
fn no_line_of_prose_is_too_wide() {
    let wide: Vec<String> = toml::write()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("# ") && line.chars().count() > 100)
        .map(str::to_owned)
        .collect();
    assert_eq!(wide, [""; 0]);
}
