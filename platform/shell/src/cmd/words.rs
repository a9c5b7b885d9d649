//! From characters to the words that a program gets: it splits its command line itself, most of
//! them as Microsoft's C run-time does ("Parsing C command-line arguments").

use super::chars::{self, Char};
use crate::walk::Base;
use crate::{MANY, ONE, Word};

/// The words. The first ends at `,`, `;` and `=`, too.
pub(super) fn split(own: &[Char], text: &str, base: &Base) -> Vec<Word> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(next) = own.get(at) {
        if is_blank(next.value) || (words.is_empty() && next.bare && is_separator(next.value)) {
            at += 1;
            continue;
        }
        let (word, next) = word(own, at, text, base, words.is_empty());
        words.push(word);
        at = next.max(at + 1);
    }
    words
}

fn is_blank(value: char) -> bool {
    matches!(value, ' ' | '\t')
}

fn is_separator(value: char) -> bool {
    matches!(value, ',' | ';' | '=')
}

fn word(own: &[Char], start: usize, text: &str, base: &Base, first: bool) -> (Word, usize) {
    let mut value = String::new();
    let (mut quoted, mut unclear, mut at) = (false, false, start);
    while let Some(next) = own.get(at) {
        match next.value {
            blank if is_blank(blank) && !quoted => break,
            separator if first && !quoted && next.bare && is_separator(separator) => break,
            '\\' => {
                let slashes = own.iter().skip(at).take_while(|own| own.value == '\\').count();
                let before_quote = own.get(at + slashes).is_some_and(|own| own.value == '"');
                // Half of them escape the others; an odd one escapes the quote.
                let kept = if before_quote { slashes / 2 } else { slashes };
                value.extend(std::iter::repeat_n('\\', kept));
                at += slashes;
                if before_quote && slashes % 2 == 1 && !first {
                    value.push('"');
                    at += 1;
                }
                // Not every program sees it like that.
                unclear |= before_quote;
                continue;
            }
            '"' if quoted && own.get(at + 1).is_some_and(|own| own.value == '"') => {
                value.push('"');
                unclear = true;
                at += 1;
            }
            '"' => quoted = !quoted,
            other => value.push(other),
        }
        at += 1;
    }
    let all = own.get(start..at).unwrap_or_default();
    let early = all.iter().any(|own| own.value == '\0');
    if unclear && !first {
        value.push('\0');
    }
    let place = chars::span(all, text.len());
    let written = text.get(place.clone()).unwrap_or_default().to_owned();
    if value == MANY {
        value = ONE.to_owned();
    }
    if early && written.contains('%') {
        value = MANY.to_owned();
    }
    let verbatim = match base {
        Base::Exact(from) if written == value => Some(from + place.start),
        Base::Exact(from) if written == format!("\"{value}\"") => Some(from + place.start + 1),
        _ => None,
    };
    (Word { value, written, at: base.map(&place), verbatim }, at)
}
