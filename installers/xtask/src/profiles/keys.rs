//! The table of keys as the generators go through it: by section, with examples and defaults as
//! values.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use chaperone_policy::{
    Context, DOMAIN, KEYS, Key, LAYER_KEYS, Os, RECOMMENDED_DOMAIN, SECTIONS, Type, built_in, merge,
};
use serde_json::Value;

/// What the layers that a template is for may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Restrict and allow; nobody below loosens it.
    Managed,
    /// Choose what users may change.
    Recommended,
}

impl Level {
    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Managed => "managed",
            Self::Recommended => "recommended",
        }
    }

    /// The macOS preferences domain.
    pub(super) fn domain(self) -> &'static str {
        match self {
            Self::Managed => DOMAIN,
            Self::Recommended => RECOMMENDED_DOMAIN,
        }
    }

    /// What a settings page calls it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Managed => "Chaperone",
            Self::Recommended => "Chaperone, recommended",
        }
    }

    /// What it means, as a sentence.
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Managed => "The policy of the organisation, which nobody on the machine loosens.",
            Self::Recommended => {
                "What the organisation recommends: defaults that a user may change."
            }
        }
    }
}

/// Keys that stand together.
pub(super) struct Section {
    /// Empty for the keys of the layer itself.
    pub(super) name: &'static str,
    /// What a settings page calls it.
    pub(super) title: &'static str,
    pub(super) keys: Vec<&'static Key>,
}

/// The keys that a layer of this level takes, those without effect on the system left out.
pub(super) fn sections(level: Level, system: Option<Os>) -> Vec<Section> {
    let fits = |key: &&Key| {
        (level == Level::Managed || !key.managed_only)
            && system.is_none_or(|system| key.systems.contains(&system))
    };
    let all = || KEYS.iter().chain(&LAYER_KEYS).filter(fits);
    let names = std::iter::once(("", "Policy")).chain(SECTIONS);
    names
        .map(|(name, title)| {
            let keys = all().filter(|key| key.section() == name).collect();
            Section { name, title, keys }
        })
        .filter(|section| !section.keys.is_empty())
        .collect()
}

/// The key's example as a value.
pub(super) fn example(key: &Key) -> Result<Value> {
    let text = format!("example = {}", key.example);
    let table: ::toml::Table =
        text.parse().with_context(|| format!("the example of {} is no TOML", key.name))?;
    let value = table.get("example").context("an example is missing")?;
    Ok(serde_json::to_value(value)?)
}

/// What holds for the key where nobody has configured anything.
pub(super) fn default(key: &Key) -> Option<Value> {
    let (home, workspace) = ("/home/user", "/home/user/workspace");
    let nobody = Context {
        home: PathBuf::from(home),
        workspace: PathBuf::from(workspace),
        agent: None,
        os: Os::Linux,
    };
    let policy = merge(vec![built_in()], &nobody);
    let value = policy.explain(key.name).ok()?.value;
    let nothing = value.is_null() || value.entries() == Some(0);
    let mut value = (!nothing).then(|| value.json())?;
    if let (Type::Paths, Some(paths)) = (key.takes, value.as_array_mut()) {
        // As a layer writes them.
        for path in paths {
            let text = path.as_str().unwrap_or_default();
            let relative = text.strip_prefix(workspace).and_then(|rest| rest.strip_prefix('/'));
            let beneath = text.strip_prefix(home).map(|rest| format!("~{rest}"));
            let written = relative.map(ToOwned::to_owned).or(beneath);
            *path = Value::String(written.unwrap_or_else(|| text.to_owned()));
        }
    }
    Some(value)
}
