//! Reads a policy file's text into settings and findings, section by section.
//!
//! What a broken value becomes is decided here: in a managed layer it falls to the strictest value
//! of its key, or to what can be read of a restriction; elsewhere it is dropped.

mod http_rule;
mod injection;
mod rule;
mod top;
mod values;

use crate::document::{
    Key, Named, Names, Node, SyntaxError, Table, Value, parse_json, parse_toml, plist, registry,
};
use crate::nearest::nearest;
use crate::schema::{
    EXPIRES_SECONDS, LEAST_MEMORY, LEAST_OPEN_FILES, LEAST_PROCESSES, TIME_SECONDS,
};
use crate::{
    ApprovalsSettings, Class, CommandSettings, EnvironmentSettings, FilesystemSettings, Finding,
    FindingStatus, HostPattern, IdentitySettings, LimitsSettings, Located, MinimumTier,
    NamePattern, NetworkMode, NetworkSettings, Organisation, PathText, Problem, Property,
    RegistryKey, SandboxSettings, Scope, Scopes, Settings, SigningSettings, SshKey, UploadBudget,
    Upstream, Verdict, Version, upstream,
};
use std::cell::Cell;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What came of reading a text.
pub(crate) struct Read {
    pub(crate) settings: Settings,
    pub(crate) findings: Vec<Finding>,
    /// The text is not in its format; the settings are what a recovering parser made of it.
    pub(crate) syntax_errors: bool,
    /// In a format whose places are not lines, what the settings' lines stand for, from 1.
    pub(crate) places: Names,
}

/// How a policy is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Toml,
    Json,
}

impl Format {
    /// By the ending of the file's name.
    pub(crate) fn of(locator: &str) -> Self {
        if locator.ends_with(".json") { Self::Json } else { Self::Toml }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Toml => "TOML",
            Self::Json => "JSON",
        }
    }
}

const TIME: RangeInclusive<Duration> =
    Duration::from_secs(TIME_SECONDS.0)..=Duration::from_secs(TIME_SECONDS.1);
const EXPIRES: RangeInclusive<Duration> =
    Duration::from_secs(EXPIRES_SECONDS.0)..=Duration::from_secs(EXPIRES_SECONDS.1);

const SECTIONS: [&str; 18] = [
    "revision",
    "organisation",
    "when",
    "min_version",
    "require",
    "mode",
    "until",
    "remote",
    "sandbox",
    "filesystem",
    "network",
    "commands",
    "environment",
    "credentials",
    "identity",
    "signing",
    "approvals",
    "limits",
];

/// Reads the text as a layer of this class.
pub(crate) fn read(format: Format, class: Class, locator: &str, text: &str) -> Read {
    match format {
        Format::Toml => {
            let (root, errors) = parse_toml(text, rule::whole);
            by_line(format, class, locator, text, errors).read(&root)
        }
        Format::Json => {
            let (Named { root, places }, errors) = parse_json(text);
            let reader = by_line(format, class, locator, text, errors);
            Reader { places: Places::Named(places), ..reader }.read(&root)
        }
    }
}

/// Reads TOML as a layer of this class, piece by piece as if nothing in it were plain: what is read
/// faster is held to this.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_slowly(class: Class, locator: &str, text: &str) -> Read {
    let (root, errors) = crate::document::parse_toml_slowly(text);
    by_line(Format::Toml, class, locator, text, errors).read(&root)
}

/// A reader of a text, with the errors of its format.
fn by_line<'t>(
    format: Format,
    class: Class,
    locator: &'t str,
    text: &'t str,
    errors: Vec<SyntaxError>,
) -> Reader<'t> {
    let mut reader = Reader::new(class, locator, Places::lines(text));
    for SyntaxError { at, message } in errors {
        let expected = format!("valid {}", format.name());
        reader.problem = Problem::Source;
        reader.find(at, "", expected, message, FindingStatus::Refused);
    }
    reader
}

/// Reads a policy's own key of the registry as a layer of this class, without the value that holds
/// JSON.
pub(crate) fn read_registry(class: Class, locator: &str, key: &RegistryKey) -> Read {
    let Named { root, places } = registry::named(key);
    Reader::new(class, locator, Places::Named(places)).read(&root)
}

/// Reads a property list of either form as a layer of this class.
pub(crate) fn read_plist(class: Class, locator: &str, bytes: &[u8]) -> Read {
    let error = match plist::parse(bytes) {
        Ok(Property::Dictionary(entries)) => return read_properties(class, locator, &entries),
        Ok(_) => SyntaxError { at: 0, message: "a value that is no dictionary".to_owned() },
        Err(error) => error,
    };
    let text = std::str::from_utf8(bytes).ok().filter(|_| !plist::is_binary(bytes));
    let (places, at) = match text {
        Some(text) => (Places::lines(text), String::new()),
        None => (Places::Named(Names::default()), format!(", at byte {}", error.at)),
    };
    let mut reader = Reader::new(class, locator, places);
    reader.problem = Problem::Source;
    let found = format!("{}{at}", error.message);
    reader.find(error.at, "", "a valid property list", found, FindingStatus::Refused);
    let nothing = plist::named(&[]);
    reader.read(&nothing.root)
}

/// Reads the entries of a property list or of a preferences domain. Keys that belong to the
/// payload of a configuration profile are left out.
pub(crate) fn read_properties(class: Class, locator: &str, entries: &[(String, Property)]) -> Read {
    let own = entries.iter().filter(|(name, _)| !is_payload_key(name)).cloned().collect::<Vec<_>>();
    let Named { root, places } = plist::named(&own);
    Reader::new(class, locator, Places::Named(places)).read(&root)
}

/// Whether a key describes a payload and says nothing of its own: "Payload Common Keys" of Apple's
/// profile reference. `PayloadContent` is none: what it holds would be passed over.
fn is_payload_key(name: &str) -> bool {
    name.starts_with("Payload") && name != "PayloadContent"
}

/// What the places of a document's values mean.
enum Places<'t> {
    Lines {
        text: &'t str,
        /// Where the line of an offset was asked for last: most that is asked for next stands near.
        near: Cell<Position>,
        /// Where the last finding is: the next one often stands on its line.
        last: Position,
    },
    Named(Names),
}

impl<'t> Places<'t> {
    fn lines(text: &'t str) -> Self {
        let start = Position { at: 0, line: 1, column: 1 };
        Self::Lines { text, near: Cell::new(start), last: start }
    }
}

/// A place in a text.
#[derive(Clone, Copy)]
struct Position {
    /// The offset in bytes.
    at: usize,
    /// From 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
}

impl Position {
    /// The line of another offset, by the lines that end between the two.
    fn line_of(self, text: &str, at: usize) -> usize {
        let at = at.min(text.len());
        let between = text.as_bytes().get(self.at.min(at)..self.at.max(at)).unwrap_or_default();
        // In parts whose count fits into a byte, so that many bytes are compared at once.
        let ends = |part: &[u8]| part.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>();
        let lines: usize = between.chunks(255).map(|part| usize::from(ends(part))).sum();
        if at < self.at { self.line - lines } else { self.line + lines }
    }
}

struct Reader<'t> {
    class: Class,
    locator: &'t str,
    places: Places<'t>,
    findings: Vec<Finding>,
    /// What the next finding is about.
    problem: Problem,
    /// The layer says that it is for a newer Chaperone than this.
    newer: Option<Version>,
}

/// An entry of a table: its key in full, whether the key is a repaired misspelling, its value.
struct Entry<'v, 't> {
    name: &'static str,
    repaired: bool,
    value: &'v Node<'t>,
}

impl<'t> Reader<'t> {
    fn new(class: Class, locator: &'t str, places: Places<'t>) -> Self {
        let problem = Problem::WrongValue;
        Self { class, locator, places, findings: Vec::new(), problem, newer: None }
    }

    /// Reads a document's root; what was found before are errors of its format.
    fn read(mut self, root: &Table<'t>) -> Read {
        let syntax_errors = !self.findings.is_empty();
        self.problem = Problem::WrongValue;
        let settings = self.settings(root);
        let Self { mut findings, places, .. } = self;
        findings.sort_by_key(|finding| (finding.line, finding.column));
        let places = match places {
            Places::Lines { .. } => Names::default(),
            Places::Named(places) => places,
        };
        Read { settings, findings, syntax_errors, places }
    }

    fn managed(&self) -> bool {
        self.class == Class::Managed
    }

    /// The document, where it is a text.
    fn document(&self) -> &'t str {
        match &self.places {
            Places::Lines { text, .. } => text,
            Places::Named(_) => "",
        }
    }

    /// The line, or the position among the named places, from 1.
    fn line(&self, at: usize) -> usize {
        match &self.places {
            Places::Lines { text, near, last: _ } => {
                let line = near.get().line_of(text, at);
                near.set(Position { at: at.min(text.len()), line, column: 1 });
                line
            }
            Places::Named(_) => at + 1,
        }
    }

    fn find(
        &mut self,
        at: usize,
        key: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        status: FindingStatus,
    ) {
        let line = self.line(at);
        let (file, line, column) = match &mut self.places {
            Places::Lines { text, near: _, last } => {
                let before = text.get(..at).unwrap_or(text);
                let (from, column) = match last {
                    Position { at: from, line: own, column } if *own == line && *from <= at => {
                        (*from, *column)
                    }
                    _ => (before.rfind('\n').map_or(0, |end| end + 1), 1),
                };
                let column = column + before.get(from..).map_or(0, |part| part.chars().count());
                *last = Position { at, line, column };
                (self.locator.to_owned(), line, column)
            }
            Places::Named(places) => {
                let mut file = self.locator.to_owned();
                places.write(at, &mut file);
                (file, 0, 0)
            }
        };
        self.findings.push(Finding {
            file,
            line,
            column,
            key: key.into(),
            problem: self.problem,
            expected: expected.into(),
            found: found.into(),
            status,
        });
    }

    /// The entries of a table whose keys are known.
    fn entries<'v>(
        &mut self,
        prefix: &str,
        table: &'v Table<'t>,
        known: &[&'static str],
    ) -> Vec<Entry<'v, 't>> {
        let entries = table.entries().iter();
        entries.filter_map(|own| self.entry(prefix, table, own, known)).collect()
    }

    /// An entry whose key is known. An unknown key is a finding; in a managed layer one that is a
    /// slip for a known key restricts as that one would.
    fn entry<'v>(
        &mut self,
        prefix: &str,
        table: &Table<'t>,
        (key, value): &'v (Key<'t>, Node<'t>),
        known: &[&'static str],
    ) -> Option<Entry<'v, 't>> {
        if let Some(name) = known.iter().find(|name| **name == key.name) {
            return Some(Entry { name, repaired: false, value });
        }
        let near = self.unknown_key(prefix, key, known);
        let taken = |name: &str| table.get(name).is_some();
        let meant = self.managed() && self.newer.is_none();
        let name = near.filter(|name| meant && !taken(name))?;
        if let Some(finding) = self.findings.last_mut() {
            finding.status = FindingStatus::Partly;
        }
        Some(Entry { name, repaired: true, value })
    }

    fn unknown_key(
        &mut self,
        prefix: &str,
        key: &Key<'t>,
        known: &[&'static str],
    ) -> Option<&'static str> {
        let full = |name: &str| {
            if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
        };
        let near = nearest(&key.name, known.iter().copied());
        let found = format!("the unknown key `{}`", key.name);
        let (problem, expected) = match (self.newer, near) {
            (Some(newer), _) => {
                let own = Version::current();
                let expected = format!("Chaperone {newer}, which may know it; this is {own}");
                (Problem::Unsupported, expected)
            }
            (None, Some(name)) => (Problem::UnknownKey, format!("`{}`", full(name))),
            (None, None) => (Problem::UnknownKey, format!("one of {}", known.join(", "))),
        };
        let before = std::mem::replace(&mut self.problem, problem);
        self.find(key.at, full(&key.name), expected, found, FindingStatus::Dropped);
        self.problem = before;
        near
    }

    fn settings(&mut self, root: &Table<'t>) -> Settings {
        let mut settings = Settings::default();
        // What a newer Chaperone knows must be told from what nobody does before it is met.
        if let Some(value) = root.get("min_version") {
            settings.min_version = self.min_version(value);
            let newer = settings.min_version.as_ref().map(|own| own.value);
            self.newer = newer.filter(|newer| *newer > Version::current());
        }
        for Entry { name, repaired, value } in self.entries("", root, &SECTIONS) {
            match name {
                "revision" => settings.revision = self.text(name, value, repaired),
                "organisation" => {
                    if self.is_for_managed(name, value) {
                        settings.organisation = self.text(name, value, repaired);
                    }
                }
                "min_version" => {}
                "require" => self.require(value),
                "mode" => settings.mode = self.mode(value, repaired),
                "until" => settings.until = self.until(value, repaired),
                "remote" => settings.remote = self.remote(value, repaired),
                "when" => match self.when(name, value) {
                    Some(when) if !repaired => settings.when = Some(when),
                    _ => settings.when_unread = true,
                },
                "sandbox" => settings.sandbox = self.sandbox(value, repaired),
                "filesystem" => settings.filesystem = self.filesystem(value, repaired),
                "network" => settings.network = self.network(value, repaired),
                "commands" => settings.commands = self.commands(value, repaired),
                "environment" => settings.environment = self.environment(value, repaired),
                "credentials" => settings.credentials = self.credentials(value, repaired),
                "identity" => settings.identity = self.identity(value, repaired),
                "signing" => settings.signing = self.signing(value, repaired),
                "approvals" => settings.approvals = self.approvals(value, repaired),
                _ => settings.limits = self.limits(value, repaired),
            }
        }
        settings
    }

    fn sandbox(&mut self, value: &Node<'t>, repaired: bool) -> SandboxSettings {
        let mut settings = SandboxSettings::default();
        let Some(entries) = self.section("sandbox", value, &["minimum_tier"]) else {
            if self.managed() {
                settings.minimum_tier = Some(self.located(value, false, MinimumTier::Full));
            }
            return settings;
        };
        for Entry { name: _, repaired: own, value } in entries {
            settings.minimum_tier = self.ordered(
                "sandbox.minimum_tier",
                value,
                repaired || own,
                "\"reduced\" or \"full\"",
                MinimumTier::Full,
                |value| match value.string()? {
                    "reduced" => Some(MinimumTier::Reduced),
                    "full" => Some(MinimumTier::Full),
                    _ => None,
                },
            );
        }
        settings
    }

    fn filesystem(&mut self, value: &Node<'t>, repaired: bool) -> FilesystemSettings {
        let mut settings = FilesystemSettings::default();
        let known = ["read", "write", "deny", "deny_write", "sockets"];
        let Some(entries) = self.section("filesystem", value, &known) else {
            if self.managed() {
                settings.unread = Some(self.line(value.at));
            }
            return settings;
        };
        for Entry { name, repaired: own, value } in entries {
            let repaired = repaired || own;
            match name {
                "read" => settings.read = self.paths("filesystem.read", value, repaired),
                "write" => settings.write = self.paths("filesystem.write", value, repaired),
                "sockets" => settings.sockets = self.paths("filesystem.sockets", value, repaired),
                _ => {
                    let key =
                        if name == "deny" { "filesystem.deny" } else { "filesystem.deny_write" };
                    let (read, unread) =
                        self.denials(key, value, repaired, PathText::parse, PathText::salvage);
                    if name == "deny" {
                        settings.deny = read;
                    } else {
                        settings.deny_write = read;
                    }
                    settings.unread = settings.unread.or(unread);
                }
            }
        }
        settings
    }

    fn network(&mut self, value: &Node<'t>, repaired: bool) -> NetworkSettings {
        let mut settings = NetworkSettings::default();
        let known = [
            "mode",
            "allow",
            "deny",
            "unfamiliar",
            "closed",
            "upstream",
            "upstream_login",
            "upstream_bypass",
            "ca",
            "read_only",
            "upload",
            "rule",
        ];
        let Some(entries) = self.section("network", value, &known) else {
            if self.managed() {
                settings.mode = Some(self.located(value, false, NetworkMode::None));
                settings.unfamiliar = Some(self.located(value, false, Verdict::Deny));
                settings.closed = Some(self.located(value, false, true));
                settings.read_only = Some(self.located(value, false, true));
                settings.upload = vec![self.located(value, true, UploadBudget::nothing())];
                settings.rules = vec![self.unread_http_rule(value)];
            }
            return settings;
        };
        let mut unread = None;
        for Entry { name, repaired: own, value } in entries {
            let repaired = repaired || own;
            match name {
                "mode" => {
                    settings.mode = self.ordered(
                        "network.mode",
                        value,
                        repaired,
                        "\"none\", \"proxy\" or \"direct\"",
                        NetworkMode::None,
                        |value| match value.string()? {
                            "none" => Some(NetworkMode::None),
                            "proxy" => Some(NetworkMode::Proxy),
                            "direct" => Some(NetworkMode::Direct),
                            _ => None,
                        },
                    );
                }
                "unfamiliar" => {
                    settings.unfamiliar = self.ordered(
                        "network.unfamiliar",
                        value,
                        repaired,
                        "\"allow\", \"ask\" or \"deny\"",
                        Verdict::Deny,
                        |value| match value.string()? {
                            "allow" => Some(Verdict::Allow),
                            "ask" => Some(Verdict::Ask),
                            "deny" => Some(Verdict::Deny),
                            _ => None,
                        },
                    );
                }
                "allow" => {
                    settings.allow =
                        self.grants("network.allow", value, repaired, HostPattern::parse);
                }
                "deny" => {
                    let (read, none) = self.denials(
                        "network.deny",
                        value,
                        repaired,
                        HostPattern::parse,
                        HostPattern::salvage,
                    );
                    settings.deny = read;
                    unread = none;
                }
                "upstream" => settings.upstream = self.upstream(value, repaired),
                "upstream_login" => settings.login = self.upstream_login(value, repaired),
                "upstream_bypass" => {
                    settings.bypass =
                        self.grants("network.upstream_bypass", value, repaired, HostPattern::parse);
                }
                "ca" => {
                    settings.ca = self.grants("network.ca", value, repaired, PathText::parse_file);
                }
                "closed" => settings.closed = self.closed("network.closed", value, repaired),
                "read_only" => {
                    settings.read_only = self.ordered(
                        "network.read_only",
                        value,
                        repaired,
                        "true or false",
                        true,
                        |value| match value {
                            Value::Boolean(read_only) => Some(*read_only),
                            _ => None,
                        },
                    );
                }
                "upload" => {
                    let (read, none) = self.denials(
                        "network.upload",
                        value,
                        repaired,
                        UploadBudget::parse,
                        UploadBudget::salvage,
                    );
                    settings.upload = read;
                    // Nobody knows to which host, or how much.
                    settings.upload.extend(none.map(|line| Located {
                        value: UploadBudget::nothing(),
                        line,
                        restricts_only: true,
                    }));
                }
                _ => settings.rules = self.http_rules(value, repaired),
            }
        }
        if let Some(line) = unread.filter(|_| settings.closed.as_ref().is_none_or(|c| !c.value)) {
            // Nobody knows which host was meant: only what a managed layer allows is left.
            settings.closed = Some(Located { value: true, line, restricts_only: false });
        }
        settings
    }

    fn upstream(&mut self, value: &Node<'t>, repaired: bool) -> Option<Located<Upstream>> {
        let key = "network.upstream";
        if value.value.string().is_some_and(|text| text.contains('@')) {
            let status = self.fallen();
            let found = upstream::NOT_REPEATED;
            self.find(value.at, key, upstream::EXPECTED_BARE, found, status);
            return self.managed().then(|| self.located(value, repaired, Upstream::Unread));
        }
        self.ordered(key, value, repaired, upstream::EXPECTED, Upstream::Unread, |value| {
            Upstream::parse(value.string()?)
        })
    }

    fn upstream_login(&mut self, value: &Node<'t>, repaired: bool) -> Option<Located<String>> {
        if let Some(Ok(name)) = value.value.string().map(crate::injection::secret) {
            return Some(self.located(value, repaired, name));
        }
        let (expected, found) = (upstream::EXPECTED_LOGIN, upstream::NOT_REPEATED);
        self.find(value.at, "network.upstream_login", expected, found, FindingStatus::Dropped);
        None
    }

    fn commands(&mut self, value: &Node<'t>, repaired: bool) -> CommandSettings {
        let mut settings = CommandSettings::default();
        let Some(entries) = self.section("commands", value, &["rule", "closed"]) else {
            if self.managed() {
                settings.rules = self.unread_rule(value);
            }
            return settings;
        };
        for Entry { name, repaired: own, value } in entries {
            let repaired = repaired || own;
            match name {
                "rule" => settings.rules = self.rules(value, repaired),
                _ => settings.closed = self.closed("commands.closed", value, repaired),
            }
        }
        settings
    }

    fn environment(&mut self, value: &Node<'t>, repaired: bool) -> EnvironmentSettings {
        let mut settings = EnvironmentSettings::default();
        let Some(entries) = self.section("environment", value, &["pass", "deny"]) else {
            if self.managed() {
                settings.deny = NamePattern::parse("*")
                    .map(|all| self.located(value, true, all))
                    .into_iter()
                    .collect();
            }
            return settings;
        };
        for Entry { name, repaired: own, value } in entries {
            let repaired = repaired || own;
            match name {
                "pass" => {
                    settings.pass =
                        self.grants("environment.pass", value, repaired, NamePattern::parse);
                }
                _ => {
                    (settings.deny, _) = self.denials(
                        "environment.deny",
                        value,
                        repaired,
                        NamePattern::parse,
                        NamePattern::salvage,
                    );
                }
            }
        }
        settings
    }

    fn identity(&mut self, value: &Node<'t>, repaired: bool) -> IdentitySettings {
        let mut settings = IdentitySettings::default();
        let Some(entries) = self.section("identity", value, &["organisations"]) else {
            settings.unread = self.managed().then(|| self.line(value.at));
            return settings;
        };
        for Entry { name: _, repaired: own, value } in entries {
            (settings.organisations, settings.unread) = self.denials(
                "identity.organisations",
                value,
                repaired || own,
                Organisation::parse,
                Organisation::salvage,
            );
        }
        settings
    }

    fn signing(&mut self, value: &Node<'t>, repaired: bool) -> SigningSettings {
        let mut settings = SigningSettings::default();
        let Some(entries) = self.section("signing", value, &["ssh_keys", "closed"]) else {
            if self.managed() {
                settings.closed = Some(self.located(value, false, true));
            }
            return settings;
        };
        for Entry { name, repaired: own, value } in entries {
            let repaired = repaired || own;
            match name {
                "ssh_keys" => {
                    settings.ssh_keys =
                        self.grants("signing.ssh_keys", value, repaired, SshKey::parse);
                }
                _ => settings.closed = self.closed("signing.closed", value, repaired),
            }
        }
        settings
    }

    fn approvals(&mut self, value: &Node<'t>, repaired: bool) -> ApprovalsSettings {
        let mut settings = ApprovalsSettings::default();
        let strictest = Scopes { widest: Scope::Once };
        let known = ["scopes", "expires", "unattended"];
        let Some(entries) = self.section("approvals", value, &known) else {
            if self.managed() {
                settings.scopes = Some(self.located(value, false, strictest));
                settings.expires = Some(self.located(value, false, *EXPIRES.start()));
                settings.unattended = Some(self.located(value, false, Verdict::Deny));
            }
            return settings;
        };
        for Entry { name, repaired: own, value } in entries {
            let repaired = repaired || own;
            match name {
                "scopes" => {
                    settings.scopes = self.ordered(
                        "approvals.scopes",
                        value,
                        repaired,
                        "a list of \"once\", \"command\", \"session\" or \"workspace\"",
                        strictest,
                        values::scopes,
                    );
                }
                "expires" => {
                    settings.expires = self.ordered(
                        "approvals.expires",
                        value,
                        repaired,
                        "a duration from \"1s\" to \"168h\", such as \"10m\"",
                        *EXPIRES.start(),
                        |value| {
                            crate::units::parse_duration(value.string()?)
                                .filter(|duration| EXPIRES.contains(duration))
                        },
                    );
                }
                _ => {
                    settings.unattended = self.ordered(
                        "approvals.unattended",
                        value,
                        repaired,
                        "\"deny\" or \"allow\"",
                        Verdict::Deny,
                        |value| match value.string()? {
                            "deny" => Some(Verdict::Deny),
                            "allow" => Some(Verdict::Allow),
                            _ => None,
                        },
                    );
                }
            }
        }
        settings
    }

    /// How long something may take.
    fn time(
        &mut self,
        key: &str,
        value: &Node<'t>,
        repaired: bool,
        shortest: Duration,
    ) -> Option<Located<Duration>> {
        let expected = "a duration from \"1m\" to \"8760h\", such as \"8h\"";
        self.ordered(key, value, repaired, expected, shortest, |value| {
            crate::units::parse_duration(value.string()?).filter(|time| TIME.contains(time))
        })
    }

    fn limits(&mut self, value: &Node<'t>, repaired: bool) -> LimitsSettings {
        let mut settings = LimitsSettings::default();
        let known = ["memory", "processes", "open_files", "cpu_time", "wall_time"];
        let shortest = *TIME.start();
        let Some(entries) = self.section("limits", value, &known) else {
            if self.managed() {
                settings.memory = Some(self.located(value, false, LEAST_MEMORY));
                settings.processes = Some(self.located(value, false, LEAST_PROCESSES));
                settings.open_files = Some(self.located(value, false, LEAST_OPEN_FILES));
                settings.cpu_time = Some(self.located(value, false, shortest));
                settings.wall_time = Some(self.located(value, false, shortest));
            }
            return settings;
        };
        for Entry { name, repaired: own, value } in entries {
            let repaired = repaired || own;
            match name {
                "memory" => {
                    settings.memory = self.ordered(
                        "limits.memory",
                        value,
                        repaired,
                        "a size of at least \"256 MiB\", such as \"8 GiB\"",
                        LEAST_MEMORY,
                        |value| values::bytes(value).filter(|bytes| *bytes >= LEAST_MEMORY),
                    );
                }
                "open_files" => {
                    settings.open_files = self.ordered(
                        "limits.open_files",
                        value,
                        repaired,
                        "a number of at least 64, such as 65536",
                        LEAST_OPEN_FILES,
                        |value| values::whole(value).filter(|count| *count >= LEAST_OPEN_FILES),
                    );
                }
                "cpu_time" => {
                    settings.cpu_time = self.time("limits.cpu_time", value, repaired, shortest);
                }
                "wall_time" => {
                    settings.wall_time = self.time("limits.wall_time", value, repaired, shortest);
                }
                _ => {
                    settings.processes = self.ordered(
                        "limits.processes",
                        value,
                        repaired,
                        "a number of at least 32, such as 4096",
                        LEAST_PROCESSES,
                        |value| values::whole(value).filter(|count| *count >= LEAST_PROCESSES),
                    );
                }
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests;
