//! The annotated policy file: every key with what it does, its default and an example that waits
//! behind a `#`. A line that begins with `#` and a blank is prose.

use std::fmt::Write as _;

use anyhow::Result;
use chaperone_policy::{Key, Type};

use super::keys::{self, Level, Section};
use super::words;

/// The widest line of prose, in characters.
const WIDTH: usize = 100;

/// The file's text.
pub(super) fn write() -> Result<String> {
    // Where editors look for the schema (Taplo and Even Better TOML).
    let mut out = String::from("#:schema ./schema/policy.schema.json\n\n");
    prose(
        &mut out,
        "Every key of a policy. As it stands this file says nothing: remove the # before a key to \
         set it. `chaperone policy check FILE` tells what is wrong with a file, docs/policy.md what \
         paths, hosts and rules may look like, docs/keys.md more of each key.",
    );
    for Section { name, keys, .. } in keys::sections(Level::Managed, None) {
        if !name.is_empty() {
            let _ = write!(out, "\n[{name}]\n");
        }
        // An array of tables ends the table that it stands in.
        let mut rules = Vec::new();
        for key in keys {
            if let Type::Rules(parts) = key.takes {
                rules.push((key, parts));
                continue;
            }
            out.push('\n');
            about(&mut out, key);
            let _ = writeln!(out, "#{} = {}", key.last(), key.example);
        }
        for (key, parts) in rules {
            out.push('\n');
            about(&mut out, key);
            let _ = writeln!(out, "#[[{}]]", key.name);
            for part in parts {
                prose(&mut out, part.about);
                let _ = writeln!(out, "#{} = {}", part.name, part.example);
            }
        }
    }
    Ok(out)
}

fn about(out: &mut String, key: &Key) {
    let mut text = words::about(key);
    if !words::of_layer(key) {
        let _ = write!(text, " {} Default: {}.", key.merge(), words::default(key));
    }
    if key.managed_only {
        text.push_str(" Only managed layers may say it.");
    }
    if !key.live {
        let _ = write!(text, " {}", words::effect(key));
    }
    if let Some(systems) = words::systems(key) {
        let _ = write!(text, " It has an effect on {systems} only.");
    }
    prose(out, &text);
}

/// A comment, broken into lines.
fn prose(out: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{line}");
}
