//! What `policy show` and `policy explain` print for people.

use super::{Explained, ExplainedSet};
use crate::print::{self, BAD, CAUTION, GOOD, QUIET, STRONG, visible};
use anstyle::Style;
use chaperone_policy::{
    Blocked, Finding, KEYS, KeyWords, LayerStatus, LayerSummary, Loser, Origin, Running, Show,
    SourceKind, Value, ValueStatus,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value as Json;
use std::io::Write;

/// So many characters of a digest tell one content from another.
const DIGEST: usize = 12;

/// More entries of the built-in lists than this are told by their number.
const BUILT_IN: usize = 3;

pub(super) fn show(shown: &Show, all: bool) -> anyhow::Result<()> {
    let Show { layers, values, findings, blocked } = shown;
    if layers.is_empty() && values.is_empty() && findings.is_empty() {
        writeln!(print::out(), "Nothing of the policy has this word.")?;
        return Ok(());
    }
    if !layers.is_empty() {
        writeln!(print::out(), "{STRONG}Sources{STRONG:#}, from the weakest")?;
        layers.iter().try_for_each(source)?;
    }
    for Blocked { origin, reason } in blocked {
        let (reason, by) = (visible(reason), by(origin));
        writeln!(print::out(), "{BAD}No session starts:{BAD:#} {reason} ({by})")?;
    }
    let set = |value: &&Value| all || value.status != ValueStatus::Unset;
    let hidden = values.iter().filter(|value| !set(value)).count();
    let width = values.iter().map(|value| value.key.len()).max().unwrap_or_default();
    let mut section = None;
    for value in values.iter().filter(set) {
        let own = value.key.rsplit_once('.').map_or("", |(section, _)| section);
        if section.is_none() && !layers.is_empty() {
            writeln!(print::out(), "\n{STRONG}Values{STRONG:#}")?;
        } else if section.is_some_and(|before| before != own) {
            writeln!(print::out())?;
        }
        section = Some(own);
        row(value, width, all)?;
    }
    if !findings.is_empty() {
        writeln!(print::out(), "\n{STRONG}Not understood{STRONG:#}")?;
        findings.iter().try_for_each(not_understood)?;
    }
    let mut out = print::out();
    writeln!(out)?;
    if hidden > 0 {
        let keys = if hidden == 1 { "key is" } else { "keys are" };
        writeln!(out, "{QUIET}{hidden} more {keys} not set: --all shows them.{QUIET:#}")?;
    }
    writeln!(out, "{QUIET}chaperone policy explain KEY tells what lost, and why.{QUIET:#}")?;
    Ok(())
}

/// The header of a source: what it is, where, and what came of reading it.
fn source(layer: &LayerSummary) -> anyhow::Result<()> {
    let LayerSummary {
        kind,
        locator,
        class,
        status,
        detail,
        revision,
        when,
        min_version,
        digest,
        read_at,
    } = layer;
    let mut out = print::out();
    let (title, place) = match kind {
        SourceKind::BuiltIn => (kind.title(), String::new()),
        _ => (kind.title(), format!("  {}", visible(locator))),
    };
    let style = match status {
        LayerStatus::Present => GOOD,
        LayerStatus::Absent => QUIET,
        LayerStatus::Untrusted | LayerStatus::Expired => CAUTION,
        LayerStatus::Unreadable | LayerStatus::Invalid => BAD,
    };
    let word = status.word();
    if *status == LayerStatus::Absent {
        writeln!(out, "  {QUIET}{word:<10}  {title}{place}{QUIET:#}")?;
        return Ok(());
    }
    writeln!(out, "  {style}{word:<10}{style:#}  {STRONG}{title}{STRONG:#}{place}")?;
    let facts = [
        Some(format!("{}: {}", class.word(), class.may())),
        revision.as_ref().map(|revision| format!("revision {}", visible(revision))),
        min_version.as_ref().map(|version| format!("for Chaperone {version} or newer")),
        when.as_ref().map(|when| format!("when {}", visible(when))),
        read_at.map(|at| format!("read {}", time(at))),
        digest.as_ref().map(|digest| format!("digest {}", digest.get(..DIGEST).unwrap_or(digest))),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    writeln!(out, "              {QUIET}{}{QUIET:#}", facts.join(" · "))?;
    if *status != LayerStatus::Present {
        writeln!(out, "              {}", status.sentence())?;
    }
    if !detail.is_empty() {
        writeln!(out, "              {}", visible(detail))?;
    }
    Ok(())
}

fn time(at: Timestamp) -> impl std::fmt::Display {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S")
}

/// A key's value, an entry a line, and how it stands.
fn row(value: &Value, width: usize, all: bool) -> anyhow::Result<()> {
    let mut out = print::out();
    if value.status == ValueStatus::Unset {
        writeln!(out, "  {QUIET}{:<width$}  not set{QUIET:#}", value.key)?;
        return Ok(());
    }
    for (at, line) in lines(value, all).into_iter().enumerate() {
        let key = if at == 0 { value.key } else { "" };
        writeln!(out, "  {key:<width$}  {line}")?;
    }
    if value.status != ValueStatus::Applied {
        let style = style(value.status);
        let (word, detail) = (value.status.word(), visible(&value.detail));
        writeln!(out, "  {:<width$}  {style}{word}{style:#}: {detail}", "")?;
    }
    match value.losers.len() {
        0 => {}
        count => writeln!(out, "  {:<width$}  {QUIET}{count} overridden{QUIET:#}", "")?,
    }
    Ok(())
}

fn style(status: ValueStatus) -> Style {
    match status {
        ValueStatus::Applied => GOOD,
        ValueStatus::Unset => QUIET,
        ValueStatus::Restart | ValueStatus::Unsupported | ValueStatus::Dropped => CAUTION,
        ValueStatus::Partly | ValueStatus::Strictest | ValueStatus::Refused => BAD,
    }
}

/// A value for people: a list has an entry a line, each with its origin.
fn lines(value: &Value, all: bool) -> Vec<String> {
    let beside = |origin: Option<&Origin>| {
        origin.map(|origin| format!("  {QUIET}{}{QUIET:#}", by(origin))).unwrap_or_default()
    };
    let whole = || vec![format!("{}{}", words(&value.value.json()), beside(value.origins.first()))];
    let json = value.value.json();
    let Some(entries) = json.as_array() else { return whole() };
    if entries.is_empty() || entries.len() != value.origins.len() {
        return whole();
    }
    let entries: Vec<(&Json, &Origin)> = entries.iter().zip(&value.origins).collect();
    let built_in = |(_, origin): &&(&Json, &Origin)| origin.kind == SourceKind::BuiltIn;
    let hidden = entries.iter().filter(built_in).count();
    let hides = !all && hidden > BUILT_IN;
    let mut lines: Vec<String> = entries
        .iter()
        .filter(|entry| !hides || !built_in(entry))
        .map(|(entry, origin)| format!("{}{}", words(entry), beside(Some(origin))))
        .collect();
    if hides {
        lines.push(format!("{QUIET}{hidden} entries of the built-in defaults{QUIET:#}"));
    }
    lines
}

fn by(origin: &Origin) -> String {
    match origin.kind {
        SourceKind::BuiltIn => origin.kind.title().to_owned(),
        kind => format!("{} {}", kind.title(), visible(&origin.locator)),
    }
}

/// A command rule reads as a sentence, everything else as what a file would say.
fn words(value: &Json) -> String {
    if let (Some(prefix), Some(decision)) =
        (value.get("prefix").and_then(|prefix| prefix.as_array()), value.get("decision"))
    {
        let prefix: Vec<String> = prefix.iter().map(words).collect();
        let reason = value.get("reason").map(words).unwrap_or_default();
        return format!("{:<5} {:<22} {reason}", words(decision), prefix.join(" "));
    }
    match value {
        Json::String(text) => visible(text),
        Json::Null => "not set".to_owned(),
        Json::Array(entries) if entries.is_empty() => "none".to_owned(),
        other => visible(&other.to_string()),
    }
}

fn not_understood(finding: &Finding) -> anyhow::Result<()> {
    let Finding { key, expected, found, status, .. } = finding;
    let mut out = print::out();
    let key = if key.is_empty() { String::new() } else { format!("{}: ", visible(key)) };
    writeln!(out, "  {CAUTION}{}{CAUTION:#}", visible(&finding.place()))?;
    let (expected, found) = (visible(expected), visible(found));
    writeln!(out, "    {key}expected {expected}, found {found}: {}", status.consequence())?;
    Ok(())
}

pub(super) fn explain_set(explained: &ExplainedSet<'_>) -> anyhow::Result<()> {
    let ExplainedSet { host_set, version, about, hosts, allowed_by, denied_by } = explained;
    let mut out = print::out();
    writeln!(out, "{STRONG}{host_set}{STRONG:#}, host set, version {version}")?;
    writeln!(out, "  {about}")?;
    for host in *hosts {
        writeln!(out, "  {host}:443")?;
    }
    for (key, origins) in [("network.allow", allowed_by), ("network.deny", denied_by)] {
        match origins.as_slice() {
            [] => writeln!(out, "{QUIET}{key:<14}{QUIET:#} does not name it")?,
            all => all.iter().try_for_each(|origin| {
                writeln!(out, "{QUIET}{key:<14}{QUIET:#} names it: {}", by(origin))
            })?,
        }
    }
    Ok(())
}

pub(super) fn explain(explained: &Explained) -> anyhow::Result<()> {
    let Explained { value, schema } = explained;
    let mut out = print::out();
    writeln!(out, "{STRONG}{}{STRONG:#}", value.key)?;
    for line in lines(value, true) {
        writeln!(out, "  {line}")?;
    }
    let fact = |name: &str, text: &str| {
        let mut out = print::out();
        writeln!(out, "{QUIET}{name:<8}{QUIET:#} {text}")
    };
    drop(out);
    if let Some(level) = value.level {
        fact("level", &format!("{}: {}", level.word(), level.may()))?;
    }
    let style = style(value.status);
    fact(
        "status",
        &format!("{style}{}{style:#}: {}", value.status.word(), visible(&value.detail)),
    )?;
    for Running { session, value } in &value.running {
        fact("", &format!("session {session} has {}", words(&value.json())))?;
    }
    if let Some(schema) = schema {
        about(schema, fact)?;
    }
    let mut out = print::out();
    if value.losers.is_empty() {
        writeln!(out, "{QUIET}Nothing else was said.{QUIET:#}")?;
    } else {
        writeln!(out, "{STRONG}Overridden{STRONG:#}")?;
    }
    for Loser { value, origin, reason } in &value.losers {
        writeln!(out, "  {}  {QUIET}{}{QUIET:#}", words(&value.json()), by(origin))?;
        writeln!(out, "    {}", visible(reason))?;
    }
    drop(out);
    if !value.findings.is_empty() {
        writeln!(print::out(), "{STRONG}Not understood{STRONG:#}")?;
        value.findings.iter().try_for_each(not_understood)?;
    }
    Ok(())
}

/// What the key is for.
fn about(
    schema: &KeyWords,
    fact: impl Fn(&str, &str) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let KeyWords { key: _, title, about, takes, example, merge, managed_only, live, systems } =
        schema;
    fact("merge", merge)?;
    fact("what", &format!("{title}. {about}"))?;
    fact("takes", takes)?;
    fact("example", example)?;
    if !live {
        fact("when", "It is carried out when a session starts; running ones keep what they have.")?;
    }
    if *managed_only {
        fact("who", "Only a managed layer may say it.")?;
    }
    let everywhere = KEYS.iter().map(|key| key.systems.len()).max().unwrap_or_default();
    if systems.len() < everywhere {
        let systems: Vec<String> = systems.iter().map(ToString::to_string).collect();
        fact("systems", &systems.join(", "))?;
    }
    Ok(())
}
