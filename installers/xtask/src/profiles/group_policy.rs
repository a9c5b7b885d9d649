//! The keys as settings of Group Policy: which registry value each one writes, and what its page in
//! the editor says. `admx` and `adml` write both halves of a template from it.

use anyhow::Result;
use chaperone_policy::{Key, Os, Type};
use serde_json::Value;

use super::keys::{self, Level, Section};
use super::words;

/// The registry key of the whole policy, below `HKEY_LOCAL_MACHINE` or `HKEY_CURRENT_USER`.
pub(super) const ROOT: &str = r"Software\Policies\Chaperone";

/// The most characters of a text. A value of the registry should stay below 1 MiB of UTF-16.
const TEXT: u32 = 32_767;
const DOCUMENT: u32 = 500_000;
const WORD: u32 = 64;

/// A folder in the editor.
pub(super) struct Category {
    pub(super) id: String,
    pub(super) title: &'static str,
    pub(super) parent: Option<String>,
}

/// A page in the editor.
pub(super) struct Setting {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) explain: String,
    pub(super) category: String,
    /// Whether users' own policies may say it, too.
    pub(super) for_users: bool,
    /// The registry key that its value stands in.
    pub(super) path: String,
    /// The value's name.
    pub(super) value: &'static str,
    pub(super) control: Control,
}

/// What somebody fills in, and so what stands in the registry.
pub(super) enum Control {
    /// Enabled is 1 and disabled is 0.
    Switch,
    /// One of these words, as text; `place` is where it is written, where not in the value.
    Choice { words: Vec<(String, &'static str)>, place: Option<(String, &'static str)> },
    /// A whole number.
    Number { least: u64, preset: u64 },
    /// A text.
    Text { most: u32 },
    /// A text of several lines, each of which is a string of a `REG_MULTI_SZ`.
    Lines { most: u32 },
    /// One text for each row, in values named 1, 2, 3 … of a key of this path.
    List { path: String },
}

/// Everything that the template holds.
pub(super) fn template() -> Result<(Vec<Category>, Vec<Setting>)> {
    let (mut categories, mut settings) = (Vec::new(), Vec::new());
    for level in [Level::Managed, Level::Recommended] {
        let root = Root::of(level);
        categories.push(root.category());
        for Section { name, title, keys } in keys::sections(level, Some(Os::Windows)) {
            let category = if name.is_empty() {
                root.id.to_owned()
            } else {
                let id = format!("{}_{name}", root.id);
                let parent = Some(root.id.to_owned());
                categories.push(Category { id: id.clone(), title, parent });
                id
            };
            for key in keys {
                settings.extend(root.settings(key, &category)?);
            }
        }
        settings.push(root.document());
    }
    Ok((categories, settings))
}

/// Where the settings of a level stand.
struct Root {
    level: Level,
    /// The category, and the beginning of what stands below it.
    id: &'static str,
    path: String,
}

impl Root {
    fn of(level: Level) -> Self {
        match level {
            Level::Managed => Self { level, id: "chaperone", path: ROOT.to_owned() },
            Level::Recommended => {
                Self { level, id: "recommended", path: format!(r"{ROOT}\Recommended") }
            }
        }
    }

    fn category(&self) -> Category {
        let (title, parent) = match self.level {
            Level::Managed => ("Chaperone", None),
            Level::Recommended => ("Recommended, users may change it", Some("chaperone")),
        };
        Category { id: self.id.to_owned(), title, parent: parent.map(str::to_owned) }
    }

    /// The pages of a key: a condition has one for each of its parts.
    fn settings(&self, key: &'static Key, category: &str) -> Result<Vec<Setting>> {
        let path = match key.section() {
            "" => self.path.clone(),
            section => format!(r"{}\{section}", self.path),
        };
        let id = format!("{}_{}", self.id, key.name.replace('.', "_"));
        let below = format!(r"{path}\{}", key.last());
        let setting = |id: String, title: String, control: Control, example: &str| Setting {
            explain: self.explain(key, &control, example),
            id,
            title,
            category: category.to_owned(),
            for_users: self.level == Level::Managed && !key.managed_only && !key.grants,
            path: path.clone(),
            value: key.last(),
            control,
        };
        let example = keys::example(key)?;
        if let (Type::When, Value::Object(parts)) = (key.takes, &example) {
            let part = |(part, example): (&String, &Value)| {
                let list = Control::List { path: format!(r"{below}\{part}") };
                let title = format!("{}: {part}", key.title);
                let path = below.clone();
                let own = setting(format!("{id}_{part}"), title, list, &rows(example));
                Setting { path, ..own }
            };
            return Ok(parts.iter().map(part).collect());
        }
        let worded = |words: &[&'static str]| {
            words.iter().map(|word| (format!("{id}_{word}"), *word)).collect::<Vec<_>>()
        };
        let control = match key.takes {
            Type::Boolean => Control::Switch,
            Type::Choice(words) => Control::Choice { words: worded(words), place: None },
            // Each word stands for those before it too, so that one value says it all.
            Type::Choices(words) => {
                Control::Choice { words: worded(words), place: Some((below, "1")) }
            }
            Type::Integer(least) => {
                Control::Number { least, preset: example.as_u64().unwrap_or(least) }
            }
            Type::Text | Type::Host | Type::Proxy | Type::Credential => {
                Control::Text { most: TEXT }
            }
            Type::Version | Type::Date | Type::Duration { .. } | Type::Size(_) => {
                Control::Text { most: WORD }
            }
            Type::Paths
            | Type::Files
            | Type::Hosts
            | Type::Methods
            | Type::UrlPaths
            | Type::Names
            | Type::SshKeys
            | Type::Uploads
            | Type::Organisations
            | Type::Keys
            | Type::Command
            | Type::Commands
            | Type::Rules(_)
            | Type::When => Control::List { path: below },
        };
        Ok(vec![setting(id.clone(), key.title.to_owned(), control, &rows(&example))])
    }

    fn explain(&self, key: &Key, control: &Control, example: &str) -> String {
        let mut lines = vec![words::about(key)];
        match control {
            Control::Switch => lines.push("Enabled means true, disabled means false.".to_owned()),
            Control::List { .. } if matches!(key.takes, Type::Rules(_)) => {
                lines.push(format!("One rule in each row, as JSON. Example:\n{example}"));
            }
            Control::List { .. } => {
                lines.push(format!("One entry in each row. Example:\n{example}"))
            }
            Control::Choice { .. } => {}
            Control::Number { .. } | Control::Text { .. } | Control::Lines { .. } => {
                lines.push(format!("Example: {example}"));
            }
        }
        let merge = match self.level {
            _ if words::of_layer(key) => "It is about the settings of this folder as a whole.",
            Level::Managed => key.merge(),
            Level::Recommended => "A user may choose something else.",
        };
        lines.push(format!("{merge} {}", words::effect(key)));
        if self.level == Level::Managed && !key.managed_only && !key.grants {
            let restricts = "In the user configuration it only restricts, since users can write \
                             their part of the registry.";
            lines.push(restricts.to_owned());
        }
        if !matches!(control, Control::Switch) {
            lines.push("Disabled or not configured, it says nothing.".to_owned());
        }
        lines.join("\n\n")
    }

    /// The whole policy as one value.
    fn document(&self) -> Setting {
        let explain = "Every key in one JSON text, in the form of a policy file, for tools that \
                       deploy a whole policy. Example: {\"network\": {\"mode\": \"none\"}}";
        Setting {
            id: format!("{}_Settings", self.id),
            title: "Whole policy as JSON".to_owned(),
            explain: explain.to_owned(),
            category: self.id.to_owned(),
            for_users: self.level == Level::Managed,
            path: self.path.clone(),
            value: "Settings",
            control: Control::Lines { most: DOCUMENT },
        }
    }
}

/// What somebody types to say the value: an entry for each row.
pub(super) fn rows(example: &Value) -> String {
    let row = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match example {
        Value::Array(items) => items.iter().map(row).collect::<Vec<_>>().join("\n"),
        other => row(other),
    }
}
