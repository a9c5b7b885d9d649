//! Durations and sizes as people write them, and back.

use std::time::Duration;

/// Reads `10m`, `1h 30m`, `90s`. `None` where it is no duration or is negative.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let signed: jiff::SignedDuration = text.trim().parse().ok()?;
    Duration::try_from(signed).ok()
}

/// The shortest exact form in hours, minutes, seconds and milliseconds.
pub(crate) fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (u128::from(seconds / 3600), "h"),
        (u128::from(seconds / 60 % 60), "m"),
        (u128::from(seconds % 60), "s"),
        (u128::from(duration.subsec_millis()), "ms"),
    ];
    let shown: Vec<String> = parts
        .iter()
        .filter(|(amount, _)| *amount > 0)
        .map(|(amount, unit)| format!("{amount}{unit}"))
        .collect();
    if shown.is_empty() { "0s".to_owned() } else { shown.join(" ") }
}

/// From the largest; the decimal ones are read but never written.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads `8 GiB`, `512MiB`, `2 GB` as bytes.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let (unit, factor) =
        UNITS.iter().find(|(unit, _)| text.to_ascii_lowercase().ends_with(&unit.to_lowercase()))?;
    let number = text.get(..text.len() - unit.len())?.trim();
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(*factor)
}

/// The largest binary unit that says it exactly.
pub(crate) fn show_bytes(bytes: u64) -> String {
    UNITS[..4]
        .iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .map_or_else(|| format!("{bytes} B"), |(unit, factor)| format!("{} {unit}", bytes / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_back() {
        for text in ["10m", "1h 30m", "45s", "1h", "250ms"] {
            assert_eq!(show_duration(parse_duration(text).unwrap()), text);
        }
        for text in ["8 GiB", "512 MiB", "1 TiB", "3 B"] {
            assert_eq!(show_bytes(parse_bytes(text).unwrap()), text);
        }
        assert_eq!(parse_bytes("8gib"), Some(8 << 30));
        assert_eq!(parse_bytes("2 GB"), Some(2_000_000_000));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["", "soon", "-5m", "10"] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
        for text in ["", "8", "GiB", "8 XB", "-1 GiB", "+1 GiB", "99999999999 TiB"] {
            assert_eq!(parse_bytes(text), None, "{text:?}");
        }
    }
}
