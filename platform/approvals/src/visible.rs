//! Text that an agent chose, made safe to show: control, invisible and bidirectional characters
//! are written out, so that what a person reads is what happens.

use std::fmt::Write as _;

/// The longest note that reaches an agent, in characters.
pub const NOTE_LIMIT: usize = 1000;

/// Characters that show nothing, look like something else, or reorder what stands around them.
///
/// Unicode's bidirectional controls (UAX #9), default-ignorable characters (DerivedCoreProperties)
/// and white space other than the plain space. CVE-2021-42574 is what the first group can do.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Writes one deceptive character as `\n`, `\x1b` or `\u202e`, the escapes of bash's `$'…'`.
fn escape(c: char, out: &mut String) {
    let code = u32::from(c);
    let written = match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        _ if code < 0x80 => write!(out, "\\x{code:02x}"),
        _ if code <= 0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    debug_assert!(written.is_ok(), "writing to a String never fails");
}

/// The text on one line, with every control, invisible or bidirectional character written out.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceptive(c) { escape(c, &mut out) } else { out.push(c) }
    }
    out
}

/// A command line as one would type it in a POSIX shell, nothing hidden: an argument with a
/// deceptive character stands in bash's `$'…'` with that character written out.
pub fn shell_words<S: AsRef<str>>(words: &[S]) -> String {
    let mut out = String::new();
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        shell_word(word.as_ref(), &mut out);
    }
    out
}

fn shell_word(word: &str, out: &mut String) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        out.push_str(word);
    } else if word.chars().any(is_deceptive) {
        out.push_str("$'");
        for c in word.chars() {
            match c {
                '\'' | '\\' => out.extend(['\\', c]),
                c if is_deceptive(c) => escape(c, out),
                c => out.push(c),
            }
        }
        out.push('\'');
    } else {
        out.push('\'');
        out.push_str(&word.replace('\'', r"'\''"));
        out.push('\'');
    }
}

/// A person's note as the agent gets it: one line, without control or invisible characters, and
/// at most [`NOTE_LIMIT`] characters, the last an ellipsis where it was cut. `None` when nothing
/// is left.
pub fn clean_note(note: &str) -> Option<String> {
    let mut words = String::with_capacity(note.len().min(4 * NOTE_LIMIT));
    for c in note.chars() {
        if c.is_whitespace() {
            if !words.is_empty() && !words.ends_with(' ') {
                words.push(' ');
            }
        } else if !is_deceptive(c) {
            words.push(c);
        }
    }
    let words = words.trim_end();
    if words.is_empty() {
        return None;
    }
    if words.chars().count() <= NOTE_LIMIT {
        return Some(words.to_owned());
    }
    Some(words.chars().take(NOTE_LIMIT - 1).chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(visible("git push – naïve 日本語 🙂"), "git push – naïve 日本語 🙂");
        assert_eq!(
            shell_words(&["git", "push", "--force-with-lease=main:abc"]),
            "git push --force-with-lease=main:abc"
        );
    }

    #[test]
    fn control_bidi_and_invisible_characters_are_written_out() {
        assert_eq!(visible("a\u{1b}[2Jb\n"), r"a\x1b[2Jb\n");
        assert_eq!(visible("\u{202e}hsup\u{2066}"), r"\u202ehsup\u2066");
        assert_eq!(visible("x\u{200b}y\u{a0}z\u{e0041}"), r"x\u200by\u00a0z\U000e0041");
    }

    #[test]
    fn an_argument_is_quoted_so_that_a_shell_reads_the_same_argument() {
        assert_eq!(shell_words(&["a b", "", "it's"]), r"'a b' '' 'it'\''s'");
        assert_eq!(shell_words(&["a\n'\\\u{202e}"]), r"$'a\n\'\\\u202e'");
    }

    #[test]
    fn a_note_is_one_clean_line_of_limited_length() {
        assert_eq!(
            clean_note("  open a\n pull\trequest\u{1b}[0m "),
            Some("open a pull request[0m".into())
        );
        assert_eq!(clean_note("\u{202e}\n\t "), None);
        let cut = clean_note(&"ä".repeat(NOTE_LIMIT + 1)).unwrap();
        assert_eq!(cut.chars().count(), NOTE_LIMIT);
        assert!(cut.ends_with('…'));
        assert_eq!(clean_note(&"ä".repeat(NOTE_LIMIT)).unwrap(), "ä".repeat(NOTE_LIMIT));
    }

    proptest! {
        #[test]
        fn nothing_shown_holds_a_deceptive_character(words in prop::collection::vec(any::<String>(), 0..4)) {
            prop_assert!(!shell_words(&words).chars().any(is_deceptive));
            prop_assert!(!visible(&words.concat()).chars().any(is_deceptive));
            prop_assert!(!clean_note(&words.concat()).unwrap_or_default().chars().any(is_deceptive));
        }
    }
}
