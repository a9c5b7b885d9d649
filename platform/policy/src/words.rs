//! The schema and its sources in the words that people read.

use crate::schema::{Key, Shape, Type};
use crate::{Class, LayerStatus, Os, SourceKind, units};
use serde::Serialize;
use std::time::Duration;

/// A key as it is explained to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct KeyWords {
    /// In full: `network.mode`.
    pub key: &'static str,
    /// What a settings page calls it.
    pub title: &'static str,
    /// What it does, as one sentence.
    pub about: &'static str,
    /// What it takes, without a full stop.
    pub takes: String,
    /// A value as TOML writes it.
    pub example: &'static str,
    /// How the values of several layers combine, as a sentence.
    pub merge: &'static str,
    /// Only a managed layer may say it.
    pub managed_only: bool,
    /// Whether a running session takes it up; else it is carried out when a session starts.
    pub live: bool,
    /// The systems on which it has an effect.
    pub systems: &'static [Os],
}

impl Key {
    /// The key as it is explained to people.
    pub fn words(&self) -> KeyWords {
        KeyWords {
            key: self.name,
            title: self.title,
            about: self.about,
            takes: self.takes.words(),
            example: self.example,
            merge: self.merge(),
            managed_only: self.managed_only,
            live: self.live,
            systems: self.systems,
        }
    }
}

impl Key {
    /// How the values of several layers combine, as a sentence.
    pub fn merge(&self) -> &'static str {
        match (self.shape, self.takes) {
            (Shape::Rules, Type::Rules(_)) if !self.grants => {
                "Rules that ask or deny hold from every layer, rules that allow from those that may grant."
            }
            (Shape::Rules, _) if self.grants => "The entries of all layers that may grant add up.",
            (Shape::Rules, _) => "The entries of every layer hold.",
            (Shape::Ordered, _) => "The strictest managed value bounds what others choose.",
            (Shape::Preference, _) => "The later layer overrides.",
        }
    }
}

impl Type {
    /// What it takes, without a full stop.
    pub fn words(self) -> String {
        let quoted = |words: &[&str]| {
            let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            match quoted.split_last() {
                Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                _ => quoted.concat(),
            }
        };
        match self {
            Self::Text => "a text".to_owned(),
            Self::Version => "a version such as \"1.2.3\"".to_owned(),
            Self::Date => "a day such as \"2026-12-31\", or a time with its zone".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Integer(least) => format!("a whole number, at least {least}"),
            Self::Choice(words) => quoted(words),
            Self::Choices(words) => format!("a list of {}", quoted(words)),
            Self::Duration { least, most } => {
                let show = |seconds| units::show_duration(Duration::from_secs(seconds));
                format!("a duration from \"{}\" to \"{}\"", show(least), show(most))
            }
            Self::Size(least) => format!(
                "a size such as \"8 GiB\", or a number of bytes; at least {}",
                units::show_bytes(least)
            ),
            Self::Paths => "a list of paths and globs".to_owned(),
            Self::Files => "a list of files, absolute or from ~".to_owned(),
            Self::Host => "a host".to_owned(),
            Self::Proxy => "http://HOST:PORT or https://HOST:PORT".to_owned(),
            Self::Credential => "the name of a credential".to_owned(),
            Self::Methods => "a list of methods".to_owned(),
            Self::UrlPaths => "a list of paths and globs, without a query".to_owned(),
            Self::Hosts => "a list of hosts and host sets".to_owned(),
            Self::Names => "a list of names, in which * stands for anything".to_owned(),
            Self::SshKeys => {
                "a list of public keys of SSH, or of the files that hold them".to_owned()
            }
            Self::Uploads => "a list of `SIZE per TIME` and `HOST SIZE per TIME`".to_owned(),
            Self::Organisations => "a list of `PROVIDER:ORGANISATION`".to_owned(),
            Self::Keys => "a list of keys".to_owned(),
            Self::Command => "the words of a command, as a list".to_owned(),
            Self::Commands => "a list of commands, each the list of its words".to_owned(),
            Self::Rules(_) => "a list of rules".to_owned(),
            Self::When => "a table with os, agent and workspace, each a text or a list".to_owned(),
        }
    }
}

impl Shape {
    /// The word for it, as JSON prints it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Ordered => "ordered",
            Self::Preference => "preference",
        }
    }
}

impl Class {
    /// The word for it, as JSON prints it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Managed => "managed",
            Self::UserPolicy => "user-policy",
            Self::Base => "base",
            Self::Workspace => "workspace",
        }
    }

    /// What its layers may do, without a full stop.
    pub fn may(self) -> &'static str {
        match self {
            Self::Managed => "restricts and allows",
            Self::UserPolicy | Self::Workspace => "only restricts",
            Self::Base => "chooses what is left open",
        }
    }
}

impl LayerStatus {
    /// What it means, as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Present => "It was read and holds.",
            Self::Absent => "There is no such source.",
            Self::Unreadable => "It is there and cannot be read.",
            Self::Untrusted => {
                "Others than its owner could have written it: its restrictions apply, its grants do not."
            }
            Self::Invalid => {
                "It is not in its format: what could be read of it restricts and grants nothing."
            }
            Self::Expired => {
                "Its signature has run out: its restrictions apply at most, its grants do not."
            }
        }
    }
}

impl SourceKind {
    /// What it is to people.
    pub fn title(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in defaults",
            Self::AgentFile => "agent file",
            Self::RecommendedFile => "recommended file",
            Self::RecommendedProfile => "recommended profile",
            Self::RecommendedRegistry => "recommended registry key",
            Self::ManagedFile => "managed file",
            Self::ManagedProfile => "managed profile",
            Self::ManagedRegistry => "managed registry key",
            Self::ManagedBundle => "signed bundle",
            Self::UserRegistry => "user policy in the registry",
            Self::UserFile => "user file",
            Self::UserPreference => "user preferences",
            Self::CommandLine => "command line",
            Self::WorkspaceFile => "workspace file",
            Self::Grant => "grant",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KEYS;
    use serde_json::json;

    #[test]
    fn the_words_are_those_of_json() {
        for class in [Class::Managed, Class::UserPolicy, Class::Base, Class::Workspace] {
            assert_eq!(json!(class), class.word());
        }
        for shape in [Shape::Rules, Shape::Ordered, Shape::Preference] {
            assert_eq!(json!(shape), shape.word());
        }
    }

    #[test]
    fn every_key_says_what_it_takes() {
        let takes = |name: &str| {
            KEYS.iter().find(|key| key.name == name).map(|key| key.words().takes).unwrap()
        };
        assert_eq!(takes("network.mode"), "\"none\", \"proxy\" or \"direct\"");
        assert_eq!(
            takes("approvals.scopes"),
            "a list of \"once\", \"command\", \"session\" or \"workspace\""
        );
        assert_eq!(takes("limits.processes"), "a whole number, at least 32");
    }
}
