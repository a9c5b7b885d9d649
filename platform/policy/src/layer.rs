//! A layer: one source of configuration, parsed once, with what is wrong with it.

use crate::document::{Names, registry};
use crate::origin::Places;
use crate::reader::Format;
use crate::{
    Class, Finding, FindingStatus, Origin, Problem, Property, RegistryKey, Settings, SourceKind,
    reader,
};
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// What came of reading a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
#[serde(rename_all = "lowercase")]
pub enum LayerStatus {
    /// It was read and holds.
    Present,
    /// There is no such source.
    Absent,
    /// It is there and cannot be read.
    Unreadable,
    /// Others than its owner could have written it: its restrictions apply, its grants do not.
    Untrusted,
    /// It is not in its format: what could be read of it restricts and grants nothing.
    Invalid,
    /// Its signature has run out: its restrictions apply at most, its grants do not.
    Expired,
}

impl LayerStatus {
    /// The word for it, as JSON and `policy show` print it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
            Self::Unreadable => "unreadable",
            Self::Untrusted => "untrusted",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
        }
    }
}

/// What was read, and when.
#[derive(Clone, PartialEq, Eq)]
pub struct Reading {
    content: Arc<Vec<u8>>,
    /// When it was read from its source; for what was fetched and kept, when it was fetched.
    pub at: Timestamp,
}

impl Reading {
    /// What was read at this time, as it stands in its source.
    pub fn new(content: Vec<u8>, at: Timestamp) -> Self {
        Self { content: Arc::new(content), at }
    }

    /// SHA-256 of what was read, in hexadecimal. It is made when it is asked for: a session starts
    /// without it.
    pub fn digest(&self) -> String {
        digest(&self.content)
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { content: _, at } = self;
        f.debug_struct("Reading").field("digest", &self.digest()).field("at", at).finish()
    }
}

/// SHA-256, in hexadecimal.
pub fn digest(read: &[u8]) -> String {
    hex::encode(Sha256::digest(read))
}

/// One source of configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What kind of source it is.
    pub kind: SourceKind,
    /// Its place: a path, or `defaults`.
    pub locator: String,
    /// What came of reading it.
    pub status: LayerStatus,
    /// The status in plain words; empty where there is nothing to say.
    pub detail: String,
    /// What it says.
    pub settings: Settings,
    /// What was read; `None` for what is compiled in, and where nothing was.
    pub reading: Option<Reading>,
    findings: Vec<Finding>,
    /// Where places have names, those that the settings' lines stand for, from 1.
    places: Arc<Names>,
}

/// A layer as `policy show --json` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "bindings", derive(specta::Type))]
pub struct LayerSummary {
    /// What kind of source it is.
    pub kind: SourceKind,
    /// Its place.
    pub locator: String,
    /// What layers of its kind may do.
    pub class: Class,
    /// What came of reading it.
    pub status: LayerStatus,
    /// The status in plain words.
    pub detail: String,
    /// The layer's own `revision`.
    pub revision: Option<String>,
    /// What the layer is limited to, where it is.
    pub when: Option<String>,
    /// The layer's own `min_version`.
    pub min_version: Option<String>,
    /// SHA-256 of what was read, in hexadecimal.
    pub digest: Option<String>,
    /// When it was read.
    pub read_at: Option<Timestamp>,
}

impl Layer {
    /// Reads a policy file's text. It never fails: what is wrong becomes findings, and the
    /// settings hold what follows from them for a layer of this kind.
    pub fn from_toml(kind: SourceKind, locator: &str, text: &str) -> Self {
        Self::read(Format::Toml, kind, locator, text)
    }

    /// The same by a slower way, which [`from_toml`](Self::from_toml) is held to.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn from_toml_slowly(kind: SourceKind, locator: &str, text: &str) -> Self {
        let read = reader::read_slowly(kind.class(), locator, text);
        Self::of(kind, locator, Format::Toml.name(), read)
    }

    /// The same for a file that is JSON if its name ends so, and TOML otherwise. Of what is no
    /// JSON nothing is read.
    pub fn from_file(kind: SourceKind, locator: &str, text: &str) -> Self {
        Self::read(Format::of(locator), kind, locator, text)
    }

    fn read(format: Format, kind: SourceKind, locator: &str, text: &str) -> Self {
        Self::of(kind, locator, format.name(), reader::read(format, kind.class(), locator, text))
    }

    /// Reads a key of the Windows registry that is a policy, such as
    /// `HKLM\SOFTWARE\Policies\Chaperone`, with everything below it. The values of the schema's keys
    /// are one layer; the value `Settings`, which holds a whole policy as JSON, is another beside
    /// it. What is more than is read of one policy is unreadable.
    pub fn from_registry(kind: SourceKind, locator: &str, key: &RegistryKey) -> Vec<Self> {
        if let Some(why) = key.excess() {
            return vec![Self::unreadable(kind, locator, &format!("{locator}: {why}."))];
        }
        let RegistryKey { values, keys } = key;
        let json = values.iter().find(|(name, _)| registry::is_settings(name));
        let mut layers = Vec::new();
        if json.is_none() || values.len() > 1 || !keys.is_empty() {
            let read = reader::read_registry(kind.class(), locator, key);
            layers.push(Self::of(kind, locator, "registry", read));
        }
        layers.extend(json.map(|(_, value)| {
            let locator = format!("{locator}!{}", registry::SETTINGS);
            match registry::settings(value) {
                Some(text) => Self::read(Format::Json, kind, &locator, &text),
                None => {
                    let found = value.describe();
                    let detail = format!("{locator} is {found}, not a REG_SZ that holds JSON.");
                    Self::unreadable(kind, &locator, &detail)
                }
            }
        }));
        layers
    }

    /// Reads a property list, XML or binary, that is a preferences domain's dictionary, such as
    /// `/Library/Managed Preferences/dev.chaperone.desktop.plist`. Of what is none nothing is read.
    pub fn from_plist(kind: SourceKind, locator: &str, bytes: &[u8]) -> Self {
        let read = reader::read_plist(kind.class(), locator, bytes);
        Self::of(kind, locator, "as a property list", read)
    }

    /// Reads the keys of a preferences domain, whose name is the locator.
    pub fn from_properties(
        kind: SourceKind,
        locator: &str,
        entries: &[(String, Property)],
    ) -> Self {
        let read = reader::read_properties(kind.class(), locator, entries);
        Self::of(kind, locator, "as a property list", read)
    }

    fn of(kind: SourceKind, locator: &str, format: &str, read: reader::Read) -> Self {
        let reader::Read { settings, findings, syntax_errors, places } = read;
        let status = if syntax_errors { LayerStatus::Invalid } else { LayerStatus::Present };
        let detail = match (findings.as_slice(), syntax_errors) {
            ([], _) => String::new(),
            ([first, ..], true) => format!("Not valid {format}. {first}."),
            ([only], false) => format!("One finding: {only}."),
            ([first, rest @ ..], false) => {
                format!("{} findings; the first: {first}.", rest.len() + 1)
            }
        };
        let (locator, places) = (locator.to_owned(), Arc::new(places));
        let mut layer =
            Self { kind, locator, status, detail, settings, reading: None, findings, places };
        if !layer.blocks() {
            let refused = |f: &&mut Finding| f.status == FindingStatus::Refused;
            layer
                .findings
                .iter_mut()
                .filter(refused)
                .for_each(|f| f.status = FindingStatus::Partly);
        }
        layer
    }

    /// The layer with what was read of it, and when.
    #[must_use]
    pub fn with_reading(mut self, reading: Reading) -> Self {
        self.reading = Some(reading);
        self
    }

    /// A source that is not there.
    pub fn absent(kind: SourceKind, locator: &str) -> Self {
        Self::empty(kind, locator, LayerStatus::Absent, String::new())
    }

    /// A source that is there and cannot be read, with the reason as a sentence.
    pub fn unreadable(kind: SourceKind, locator: &str, detail: &str) -> Self {
        let mut layer = Self::empty(kind, locator, LayerStatus::Unreadable, detail.to_owned());
        layer.findings.push(Finding {
            file: locator.to_owned(),
            line: 0,
            column: 0,
            key: String::new(),
            problem: Problem::Source,
            expected: "a policy that can be read".to_owned(),
            found: detail.trim_end_matches('.').to_owned(),
            status: if layer.blocks() { FindingStatus::Refused } else { FindingStatus::Dropped },
        });
        layer
    }

    fn empty(kind: SourceKind, locator: &str, status: LayerStatus, detail: String) -> Self {
        let settings = Settings::default();
        Self {
            kind,
            locator: locator.to_owned(),
            status,
            detail,
            settings,
            reading: None,
            findings: Vec::new(),
            places: Arc::default(),
        }
    }

    /// Takes the layer's grants away, because others could have written it. `detail` says who, as
    /// a sentence.
    #[must_use]
    pub fn untrusted(mut self, detail: &str) -> Self {
        if self.status == LayerStatus::Present {
            self.status = LayerStatus::Untrusted;
        }
        self.detail = match self.detail.as_str() {
            "" => detail.to_owned(),
            before => format!("{detail} {before}"),
        };
        self.findings.push(Finding {
            file: self.locator.clone(),
            line: 0,
            column: 0,
            key: String::new(),
            problem: Problem::Source,
            expected: "a file that only its rightful owner can write".to_owned(),
            found: detail.trim_end_matches('.').to_owned(),
            status: FindingStatus::Partly,
        });
        self
    }

    /// Marks what was signed for a time that is over: its restrictions hold and its grants do not,
    /// or, where that is to be `refused`, no session starts. `detail` says since when, as a
    /// sentence.
    #[must_use]
    pub fn expired(mut self, detail: &str, refused: bool) -> Self {
        self.status = LayerStatus::Expired;
        self.detail = match self.detail.as_str() {
            "" => detail.to_owned(),
            before => format!("{detail} {before}"),
        };
        self.findings.push(Finding {
            file: self.locator.clone(),
            line: 0,
            column: 0,
            key: String::new(),
            problem: Problem::Source,
            expected: "a bundle that is still valid".to_owned(),
            found: detail.trim_end_matches('.').to_owned(),
            status: if refused { FindingStatus::Refused } else { FindingStatus::Partly },
        });
        self
    }

    /// What it said before, where its source cannot be read whole any more: `now` is what came of
    /// reading it last.
    #[must_use]
    pub fn held(mut self, now: Option<&Self>) -> Self {
        let found = match now {
            None => "is gone".to_owned(),
            Some(now) if now.detail.is_empty() => format!("is {}", now.status.word()),
            Some(now) => format!("is {} ({})", now.status.word(), now.detail.trim_end_matches('.')),
        };
        self.detail = format!("What it said before still holds, since the source now {found}.");
        self
    }

    /// The layer with a finding about the whole of it, for its author.
    #[must_use]
    pub(crate) fn noted(mut self, expected: &str, found: &str) -> Self {
        self.findings.push(Finding {
            file: self.locator.clone(),
            line: 0,
            column: 0,
            key: String::new(),
            problem: Problem::Source,
            expected: expected.to_owned(),
            found: found.to_owned(),
            status: FindingStatus::Noted,
        });
        self
    }

    /// What is wrong with it, in the file's order.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What layers of its kind may do.
    pub fn class(&self) -> Class {
        self.kind.class()
    }

    /// The origin of what stands on a line of it (`FILE:LINE`, in JSON `FILE#POINTER`); of the layer
    /// itself for line 0. What is compiled in has no lines that anybody could look up.
    pub fn origin(&self, line: usize) -> Origin {
        self.places().origin(line)
    }

    /// Where what it says stands.
    pub(crate) fn places(&self) -> Places {
        let whole = Origin { kind: self.kind, locator: self.locator.clone() };
        Places { whole, names: Arc::clone(&self.places) }
    }

    /// Whether its grants count, as far as its status tells: it was read whole, and only its
    /// rightful owner could have written it.
    pub fn grants(&self) -> bool {
        self.status == LayerStatus::Present
    }

    /// Whether no session may start because of what came of reading it: nobody can know what the
    /// managed policy, the user or the command line would have restricted. What IT only recommends
    /// and what a workspace says does not stop a session.
    pub fn blocks(&self) -> bool {
        let unread = matches!(self.status, LayerStatus::Unreadable | LayerStatus::Invalid)
            || self.findings.iter().any(|finding| finding.status == FindingStatus::Refused);
        let counts = match self.kind {
            SourceKind::ManagedFile
            | SourceKind::ManagedProfile
            | SourceKind::ManagedRegistry
            | SourceKind::ManagedBundle
            | SourceKind::UserRegistry
            | SourceKind::UserFile
            | SourceKind::UserPreference
            | SourceKind::CommandLine => true,
            SourceKind::BuiltIn
            | SourceKind::AgentFile
            | SourceKind::RecommendedFile
            | SourceKind::RecommendedProfile
            | SourceKind::RecommendedRegistry
            | SourceKind::WorkspaceFile
            | SourceKind::Grant => false,
        };
        unread && counts
    }

    /// The layer as it is listed.
    pub fn summary(&self) -> LayerSummary {
        let Self { kind, locator, status, detail, settings, reading, findings: _, places: _ } =
            self;
        LayerSummary {
            kind: *kind,
            locator: locator.clone(),
            class: kind.class(),
            status: *status,
            detail: detail.clone(),
            revision: settings.revision.as_ref().map(|own| own.value.clone()),
            when: settings.when.as_ref().map(ToString::to_string),
            min_version: settings.min_version.as_ref().map(|own| own.value.to_string()),
            digest: reading.as_ref().map(Reading::digest),
            read_at: reading.as_ref().map(|reading| reading.at),
        }
    }
}
