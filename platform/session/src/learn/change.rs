//! A change of the user's own policy file: what stands in it stays as it is, comments included.

use super::Change;
use crate::paths::private_dir;
use std::io::{self, Write};
use std::path::Path;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value, value};

/// The text of a file with these changes; `None` where the file is written in a form that they do
/// not fit into.
pub(super) fn with(text: &str, changes: &[Change]) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    for Change { key, value: added, why } in changes {
        let (table, entry) = key.split_once('.')?;
        let table = document.entry(table).or_insert_with(|| Item::Table(Table::new()));
        let table = table.as_table_like_mut()?;
        if *key == "commands.rule" {
            let rules = Item::ArrayOfTables(ArrayOfTables::new());
            let rules = table.entry(entry).or_insert(rules).as_array_of_tables_mut()?;
            let mut rule = Table::new();
            let words: Array =
                serde_json::from_str::<Vec<String>>(added).ok()?.into_iter().collect();
            rule.insert("prefix", value(words));
            rule.insert("decision", value("allow"));
            rule.insert("reason", value(why.as_str()));
            rules.push(rule);
        } else {
            let list = table.entry(entry).or_insert_with(|| value(Array::new()));
            let list = list.as_array_mut()?;
            // Where entries have a line each, so has this.
            let before = list.iter().last().and_then(|last| last.decor().prefix()?.as_str());
            let own_line = before.and_then(|space| Some(space.rsplit_once('\n')?.1.to_owned()));
            let new = Value::from(added.as_str());
            match own_line {
                Some(indent) => list.push_formatted(new.decorated(format!("\n{indent}"), "")),
                None => list.push(new),
            }
        }
    }
    // A table that holds nothing but tables has no header of its own.
    if let Some(commands) = document.get_mut("commands").and_then(Item::as_table_mut) {
        let bare = commands.iter().all(|(_, item)| item.is_array_of_tables());
        commands.set_implicit(bare);
    }
    Some(document.to_string())
}

/// The same change, for people and for patch(1).
pub(super) fn diff(file: &Path, before: &str, after: &str) -> String {
    let name = file.display().to_string();
    let from = if before.is_empty() { "/dev/null" } else { &name };
    similar::TextDiff::from_lines(before, after).unified_diff().header(from, &name).to_string()
}

/// Replaces the file at once, if it is still what it was.
pub(super) fn write(file: &Path, before: &str, after: &str) -> io::Result<()> {
    let now = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    if now != before {
        return Err(io::Error::other("it has changed meanwhile; learn anew"));
    }
    if let Some(folder) = file.parent() {
        private_dir(folder)?;
    }
    // Where the file is a link, what it leads to is what is kept.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let new = file.with_extension("toml.new");
    let mut written = std::fs::File::create(&new)?;
    written.write_all(after.as_bytes())?;
    written.sync_all()?;
    std::fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &'static str, value: &str) -> Change {
        Change { key, value: value.into(), why: "Learned.".into() }
    }

    #[test]
    fn what_stands_in_a_file_stays_and_a_list_keeps_its_form() {
        let before = "# mine\n[filesystem]\nread = [\n    \"~/docs\", # the guide\n    \"~/more\",\n]\n\n\
                      [limits]\nprocesses = 99\n";
        let changes = [
            change("filesystem.read", "~/lib"),
            change("network.allow", "10.0.0.7:443"),
            change("commands.rule", "[\"make\",\"deploy\"]"),
        ];
        let after = with(before, &changes).unwrap();
        assert_eq!(
            after,
            "# mine\n[filesystem]\nread = [\n    \"~/docs\", # the guide\n    \"~/more\",\n    \
             \"~/lib\",\n]\n\n[limits]\nprocesses = 99\n\n[network]\nallow = [\"10.0.0.7:443\"]\n\n\
             [[commands.rule]]\nprefix = [\"make\", \"deploy\"]\ndecision = \"allow\"\n\
             reason = \"Learned.\"\n"
        );
        let diff = diff(Path::new("/c.toml"), before, &after);
        assert!(diff.starts_with("--- /c.toml\n+++ /c.toml\n@@"), "{diff}");
        assert!(diff.contains("\n+    \"~/lib\",\n"), "{diff}");
        assert!(!diff.contains("\n-"), "nothing is taken away: {diff}");
    }

    #[test]
    fn a_file_that_is_not_there_is_made_and_one_that_cannot_be_read_is_left_alone() {
        let after = with("", &[change("filesystem.write", "~/out")]).unwrap();
        assert_eq!(after, "[filesystem]\nwrite = [\"~/out\"]\n");
        assert_eq!(with("[filesystem", &[change("filesystem.write", "~/out")]), None);
        assert_eq!(with("filesystem = 1", &[change("filesystem.write", "~/out")]), None);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/config.toml");
        write(&file, "", &after).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), after);
        assert!(write(&file, "", "other").is_err(), "it has changed");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), after);
    }
}
