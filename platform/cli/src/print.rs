//! How the command speaks: results on standard output, everything else on standard error; colour
//! only on a terminal and never as the only sign.

use anstyle::{AnsiColor, Style};
use jiff::{Timestamp, tz::TimeZone};
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const QUIET: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const CAUTION: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default();

/// Standard output, for results.
pub(crate) fn out() -> anstream::AutoStream<io::StdoutLock<'static>> {
    anstream::stdout().lock()
}

/// Runs a command whose output may be cut short, as by `| head`: that is no failure.
pub(crate) fn until_closed(
    run: impl FnOnce() -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    match run() {
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(ExitCode::SUCCESS)
        }
        other => other,
    }
}

/// One value as JSON on a line of its own, indented for people when they look at it.
pub(crate) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    out().write_all(text.as_bytes())?;
    Ok(())
}

/// What went wrong and why, one cause a line.
pub(crate) fn error(error: &anyhow::Error) {
    let mut err = anstream::stderr().lock();
    let _ = writeln!(err, "{BAD}chaperone:{BAD:#} {error}");
    for cause in error.chain().skip(1) {
        let _ = writeln!(err, "  because {cause}");
    }
}

/// The word of a verdict, in its colour.
pub(crate) fn verdict(verdict: chaperone_policy::Verdict) -> String {
    use chaperone_policy::Verdict;
    let style = match verdict {
        Verdict::Allow => GOOD,
        Verdict::Ask => CAUTION,
        Verdict::Deny => BAD,
    };
    format!("{style}{verdict}{style:#}")
}

/// Makes control and bidirectional characters visible, so that no text can redraw the terminal or
/// show itself in another order.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let bidirectional = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || bidirectional {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A moment as people read it, to the minute.
pub(crate) fn day(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_moves_the_cursor_or_turns_the_text_around() {
        assert_eq!(visible("a\u{1b}[2Jb\n\u{202e}c é"), "a\\u{1b}[2Jb\\n\\u{202e}c é");
    }
}
