//! What a shell has started, beside what was read.

use chaperone_shell::{Found, Reading, Word};

/// Whether a command that was read could have been started like this.
fn covers(found: &Found, started: &[String]) -> bool {
    fn rest(words: &[Word], started: &[String]) -> bool {
        match (words.split_first(), started.split_first()) {
            (None, None) => true,
            (Some((word, more)), _) if word.token() == "\0" => (0..=started.len())
                .any(|taken| rest(more, started.get(taken..).unwrap_or_default())),
            (Some((word, more)), Some((own, others))) => {
                word.known()
                    .is_none_or(|known| known == own || (known.is_empty() && own.is_empty()))
                    && rest(more, others)
            }
            _ => false,
        }
    }
    let Some((name, arguments)) = found.words.split_first() else { return false };
    let own = name.known().map(|known| known.rsplit('/').next().unwrap_or(known));
    let own = own.map(|own| own.strip_suffix(".exe").unwrap_or(own));
    let Some((first, others)) = started.split_first() else { return false };
    own.is_none_or(|own| first == own) && rest(arguments, others)
}

/// Whether some program that was read could have been started like this.
pub(crate) fn is_told(reading: &Reading, started: &[String]) -> bool {
    reading.programs().any(|found| covers(found, started))
}

/// The commands that were read, on one line.
pub(crate) fn shown(reading: &Reading) -> String {
    let commands: Vec<String> = reading.commands.iter().map(ToString::to_string).collect();
    commands.join(" // ")
}
