//! What a layer says of itself and of how it is enforced: versions, mode, the remote bundle.

use super::{Entry, Reader, values};
use crate::document::{Node, Value};
use crate::schema::{KEYS, Key, LAYER_KEYS, rule_keys};
use crate::{FindingStatus, Located, Mode, OnExpiry, RemoteSettings, Version};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

impl<'t> Reader<'t> {
    /// A plain preference: a text, or nothing.
    pub(super) fn text(
        &mut self,
        key: &str,
        value: &Node<'t>,
        repaired: bool,
    ) -> Option<Located<String>> {
        match &value.value {
            Value::String(text) => Some(self.located(value, repaired, text.to_string())),
            _ => {
                self.wrong(value, key, "a string", FindingStatus::Dropped);
                None
            }
        }
    }

    pub(super) fn min_version(&mut self, value: &Node<'t>) -> Option<Located<Version>> {
        match value.value.string().and_then(Version::parse) {
            Some(version) => Some(self.located(value, false, version)),
            None => {
                self.wrong(
                    value,
                    "min_version",
                    "a version such as \"0.1.0\"",
                    FindingStatus::Dropped,
                );
                None
            }
        }
    }

    /// Every key that is named must be known, or nobody knows what the layer wants.
    pub(super) fn require(&mut self, value: &Node<'t>) {
        let Some(names) = values::strings(value) else {
            self.wrong(value, "require", "an array of keys", FindingStatus::Refused);
            return;
        };
        for (name, at) in names.iter().map(|(name, at)| (*name, *at)) {
            if !is_known(name) {
                let expected = format!(
                    "a key that Chaperone {} knows; a newer one may know it",
                    Version::current()
                );
                self.find(at, "require", expected, format!("\"{name}\""), FindingStatus::Refused);
            }
        }
    }

    pub(super) fn mode(&mut self, value: &Node<'t>, repaired: bool) -> Option<Located<Mode>> {
        if !self.is_for_managed("mode", value) {
            return None;
        }
        let expected = "\"enforce\" or \"observe\"";
        self.ordered("mode", value, repaired, expected, Mode::Enforce, |value| {
            match value.string()? {
                "enforce" => Some(Mode::Enforce),
                "observe" => Some(Mode::Observe),
                _ => None,
            }
        })
    }

    pub(super) fn until(&mut self, value: &Node<'t>, repaired: bool) -> Option<Located<Timestamp>> {
        if !self.is_for_managed("until", value) {
            return None;
        }
        let text = match &value.value {
            // TOML and property lists have dates of their own.
            Value::String(text) | Value::Other(text) => text.as_ref(),
            _ => "",
        };
        match end(text) {
            Some(time) => Some(self.located(value, repaired, time)),
            None => {
                let expected = "a day such as \"2027-01-31\", or a time with its zone";
                self.wrong(value, "until", expected, FindingStatus::Strictest);
                None
            }
        }
    }

    pub(super) fn remote(&mut self, value: &Node<'t>, repaired: bool) -> RemoteSettings {
        let mut settings = RemoteSettings::default();
        if !self.is_for_managed("remote", value) {
            return settings;
        }
        let known = ["url", "root", "on_expiry"];
        let Some(entries) = self.section("remote", value, &known) else { return settings };
        for Entry { name, repaired: own, value } in entries {
            let repaired = repaired || own;
            match name {
                "url" => settings.url = self.text("remote.url", value, repaired),
                "root" => settings.root = self.text("remote.root", value, repaired),
                _ => {
                    settings.on_expiry = self.ordered(
                        "remote.on_expiry",
                        value,
                        repaired,
                        "\"restrict\" or \"refuse\"",
                        OnExpiry::Refuse,
                        |value| match value.string()? {
                            "restrict" => Some(OnExpiry::Restrict),
                            "refuse" => Some(OnExpiry::Refuse),
                            _ => None,
                        },
                    );
                }
            }
        }
        settings
    }
}

fn is_known(name: &str) -> bool {
    let of_rule = |(rules, keys): (&str, &[Key])| {
        let own = name.strip_prefix(rules).and_then(|rest| rest.strip_prefix('.'));
        own.is_some_and(|own| keys.iter().any(|key| key.name == own))
    };
    // The keys of the layer itself stand in no section.
    let within = |section: &str| !section.is_empty() && section == name;
    KEYS.iter().chain(&LAYER_KEYS).any(|key| key.name == name || within(key.section()))
        || rule_keys().any(of_rule)
}

/// The first moment that is past it: of a day, its midnight, UTC.
fn end(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let day: Date = text.parse().ok()?;
    // A time without a zone would read as a day, too.
    let whole = text.len() == "2027-01-31".len();
    let next = day.checked_add(Span::new().days(1)).ok()?;
    Some(next.to_zoned(TimeZone::UTC).ok()?.timestamp()).filter(|_| whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_its_midnight_and_a_time_is_itself() {
        let shown = |text| end(text).map(|time| time.to_string());
        let table = [
            ("2027-01-31", Some("2027-02-01T00:00:00Z")),
            ("2027-01-31T12:00:00+01:00", Some("2027-01-31T11:00:00Z")),
            ("2027-01-31T12:00:00", None),
            ("2027-02-30", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text).as_deref(), expected, "{text}");
        }
    }
}
