//! `mode` and `until`: whether decisions take effect, or are only recorded for a time.

use super::{Merged, Parts};
use crate::{Loser, Mode, Origin, Sourced};
use jiff::Timestamp;
use serde_json::json;

/// Until when decisions are only recorded, where a managed layer says so, none says otherwise, and
/// the time was not over when the layer was read. Of several times the earliest counts.
pub(super) fn observe(parts: &Parts<'_>, merged: &mut Merged) -> Option<Sourced<Timestamp>> {
    let mut enforce: Vec<Origin> = Vec::new();
    let mut observe: Vec<(Origin, Sourced<Timestamp>)> = Vec::new();
    let mut lost: Vec<Loser> = Vec::new();
    let mut lost_until: Vec<Loser> = Vec::new();
    for (layer, reason) in &parts.elsewhere {
        if let Some(own) = &layer.settings.mode {
            let (value, origin) = (json!(own.value), layer.origin(own.line));
            lost.push(Loser::new(value, origin, reason.clone()));
        }
    }
    for part in &parts.active {
        let settings = part.settings();
        let until = settings.until.as_ref().map(|own| {
            let origin = part.layer.origin(own.line);
            Sourced { value: own.value, origin }
        });
        let Some(own) = &settings.mode else {
            if let Some(Sourced { value, origin }) = until {
                let reason = "its layer says no mode".to_owned();
                lost_until.push(Loser::new(json!(value), origin, reason));
            }
            continue;
        };
        let origin = part.layer.origin(own.line);
        if own.value == Mode::Enforce {
            enforce.push(origin);
            continue;
        }
        let read_at = part.layer.reading.as_ref().map(|reading| reading.at);
        let over = |until: &Sourced<Timestamp>| read_at.is_some_and(|now| until.value <= now);
        let reason = match (part.no_grants, &until) {
            (Some(reason), _) => reason.to_owned(),
            (None, _) if own.restricts_only => "its key is misspelled".to_owned(),
            (None, None) => "it does not say `until` when".to_owned(),
            (None, Some(until)) if over(until) => format!("it ended at {}", until.value),
            (None, Some(until)) => {
                observe.push((origin, until.clone()));
                continue;
            }
        };
        lost.push(Loser::new(json!(Mode::Observe), origin, reason));
        if let Some(Sourced { value, origin }) = until {
            let reason = "mode \"observe\" does not hold".to_owned();
            lost_until.push(Loser::new(json!(value), origin, reason));
        }
    }
    if let Some(by) = enforce.first() {
        for (origin, until) in observe.drain(..) {
            let reason = format!("{by} is stricter");
            lost.push(Loser::new(json!(Mode::Observe), origin, reason.clone()));
            let Sourced { value, origin } = until;
            lost_until.push(Loser::new(json!(value), origin, reason));
        }
    }
    let earliest = observe.iter().map(|(_, until)| until.value).min();
    let chosen = earliest.and_then(|earliest| {
        observe.iter().map(|(_, until)| until).find(|until| until.value == earliest).cloned()
    });
    let Some(until) = chosen else {
        let origins = if enforce.is_empty() { vec![Origin::built_in()] } else { enforce };
        merged.add("mode", json!(Mode::Enforce), origins, lost);
        merged.add("until", serde_json::Value::Null, Vec::new(), lost_until);
        return None;
    };
    let origins = observe.iter().map(|(origin, _)| origin.clone()).collect();
    merged.add("mode", json!(Mode::Observe), origins, lost);
    for (_, Sourced { value, origin }) in observe.into_iter().filter(|(_, own)| *own != until) {
        let reason = format!("{} is earlier", until.origin);
        lost_until.push(Loser::new(json!(value), origin, reason));
    }
    merged.add("until", json!(until.value), vec![until.origin.clone()], lost_until);
    Some(until)
}

#[cfg(test)]
mod tests {
    use crate::{Context, Layer, Mode, Os, Reading, SourceKind, merge};
    use jiff::Timestamp;

    fn layer(kind: SourceKind, name: &str, text: &str) -> Layer {
        let at: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let layer = Layer::from_toml(kind, name, text);
        layer.with_reading(Reading::new(Vec::new(), at))
    }

    fn mode(layers: Vec<Layer>, now: &str) -> Mode {
        let context = Context {
            home: "/home/ada".into(),
            workspace: "/home/ada/api".into(),
            agent: None,
            os: Os::Linux,
        };
        merge(layers, &context).mode(now.parse().unwrap())
    }

    const OBSERVE: &str = "mode = \"observe\"\nuntil = \"2026-12-31\"\n";

    #[test]
    fn a_managed_layer_lets_decisions_pass_until_its_time_is_over() {
        let managed = || vec![layer(SourceKind::ManagedFile, "/m/1.toml", OBSERVE)];
        assert_eq!(mode(managed(), "2026-11-22T12:00:00Z"), Mode::Observe);
        assert_eq!(mode(managed(), "2026-12-31T23:59:59Z"), Mode::Observe);
        assert_eq!(mode(managed(), "2027-01-01T00:00:00Z"), Mode::Enforce);
    }

    #[test]
    fn without_an_end_or_with_one_that_cannot_be_read_decisions_take_effect() {
        for text in [
            "mode = \"observe\"",
            "mode = \"observe\"\nuntil = \"soon\"",
            "mode = \"observe\"\nuntil = \"2026-11-01\"",
            "mode = \"watch\"\nuntil = \"2026-12-31\"",
            "until = \"2026-12-31\"",
        ] {
            let layers = vec![layer(SourceKind::ManagedFile, "/m/1.toml", text)];
            assert_eq!(mode(layers, "2026-11-22T12:00:00Z"), Mode::Enforce, "{text}");
        }
    }

    #[test]
    fn nobody_below_can_have_decisions_pass_and_the_strictest_managed_layer_holds() {
        let now = "2026-11-22T12:00:00Z";
        for kind in [
            SourceKind::UserFile,
            SourceKind::CommandLine,
            SourceKind::WorkspaceFile,
            SourceKind::UserRegistry,
            SourceKind::RecommendedFile,
        ] {
            assert_eq!(mode(vec![layer(kind, "/f.toml", OBSERVE)], now), Mode::Enforce, "{kind}");
        }
        let untrusted = layer(SourceKind::ManagedFile, "/m/1.toml", OBSERVE).untrusted("Bob.");
        assert_eq!(mode(vec![untrusted], now), Mode::Enforce);
        let both = vec![
            layer(SourceKind::ManagedFile, "/m/1.toml", OBSERVE),
            layer(SourceKind::ManagedFile, "/m/2.toml", "mode = \"enforce\""),
        ];
        assert_eq!(mode(both, now), Mode::Enforce);
        let earlier = "mode = \"observe\"\nuntil = \"2026-11-30\"\n";
        let two = || {
            vec![
                layer(SourceKind::ManagedFile, "/m/1.toml", OBSERVE),
                layer(SourceKind::ManagedFile, "/m/2.toml", earlier),
            ]
        };
        assert_eq!(mode(two(), now), Mode::Observe);
        assert_eq!(mode(two(), "2026-12-15T12:00:00Z"), Mode::Enforce);
    }
}
