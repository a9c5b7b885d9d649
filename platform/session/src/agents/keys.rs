//! Keys of JSON and TOML documents, named by their parts joined with dots.

#[cfg(unix)]
use serde_json::Map;
use serde_json::Value;
use std::path::Path;

/// A settings file's content. TOML is held as the same kind of value as JSON.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    value: Value,
    #[cfg(unix)]
    is_toml: bool,
}

impl Document {
    /// Reads a file's text by its name; nothing if it cannot be read as what the name says, or is
    /// no table.
    pub(super) fn read(path: &Path, text: &str) -> Option<Self> {
        let is_toml = is_toml(path);
        let value = if is_toml {
            serde_json::to_value(text.parse::<toml::Table>().ok()?).ok()?
        } else {
            serde_json::from_str(text).ok()?
        };
        matches!(value, Value::Object(_)).then_some(Self {
            value,
            #[cfg(unix)]
            is_toml,
        })
    }

    /// Whether a key has this value.
    pub(super) fn has(&self, key: &str, value: &toml::Value) -> bool {
        let found = parts(key).try_fold(&self.value, |at, part| at.get(part));
        found.is_some() && found == serde_json::to_value(value).ok().as_ref()
    }
}

/// State is brought over on these systems alone so far.
#[cfg(unix)]
impl Document {
    /// A document with nothing in it.
    pub(super) fn empty(path: &Path) -> Self {
        Self { value: Value::Object(Map::new()), is_toml: is_toml(path) }
    }

    /// As text of its kind. `None` where TOML cannot say it.
    pub(super) fn text(&self) -> Option<String> {
        if self.is_toml {
            return toml::to_string(&self.value).ok();
        }
        Some(format!("{:#}\n", self.value))
    }

    /// Gives a key a value, with the tables above it.
    pub(super) fn set(&mut self, key: &str, value: &toml::Value) {
        let Ok(value) = serde_json::to_value(value) else { return };
        let mut at = &mut self.value;
        for part in parts(key) {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            at = &mut at[part];
        }
        *at = value;
    }

    /// Makes a key what it is in `user`: absent where it is absent there.
    pub(super) fn reset(&mut self, key: &str, user: &Self) {
        reset(&mut self.value, Some(&user.value), &parts(key).collect::<Vec<_>>());
    }

    /// Makes a key what it is in `user`, if it is there.
    pub(super) fn follow(&mut self, key: &str, user: &Self) {
        if parts(key).try_fold(&user.value, |at, part| at.get(part)).is_some() {
            self.reset(key, user);
        }
    }

    /// Takes from `user` the topmost keys that are missing.
    pub(super) fn fill(&mut self, user: &Self) {
        if let (Value::Object(own), Value::Object(user)) = (&mut self.value, &user.value) {
            for (key, value) in user {
                own.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

fn parts(key: &str) -> impl Iterator<Item = &str> {
    key.split('.')
}

#[cfg(unix)]
fn reset(own: &mut Value, user: Option<&Value>, parts: &[&str]) {
    let Some((part, rest)) = parts.split_first() else { return };
    if !own.is_object() && user.is_some_and(|user| user.get(part).is_some()) {
        *own = Value::Object(Map::new());
    }
    let Value::Object(own) = own else { return };
    if *part == "*" {
        for (name, value) in own {
            reset(value, user.and_then(|user| user.get(name)), rest);
        }
    } else if !rest.is_empty() {
        let user = user.and_then(|user| user.get(part));
        if user.is_some() || own.contains_key(*part) {
            reset(own.entry(*part).or_insert(Value::Null), user, rest);
        }
    } else {
        match user.and_then(|user| user.get(part)) {
            Some(value) => own.insert((*part).to_owned(), value.clone()),
            None => own.shift_remove(*part),
        };
    }
}
