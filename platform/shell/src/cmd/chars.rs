//! From a text to characters that are operators or are not: quotes, carets and variables.

use std::ops::Range;

/// A character after carets are taken away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Char {
    /// A NUL stands for what only running it would tell.
    pub(super) value: char,
    /// Where it begins and ends in the text, in bytes.
    pub(super) at: (usize, usize),
    /// Neither quoted nor escaped: an operator, if it is one of those.
    pub(super) bare: bool,
    /// A caret joins the line that ends in front of it with the one before.
    pub(super) joined: bool,
}

/// What is wrong at a place.
pub(super) type Note = (Range<usize>, String);

/// Where characters stand in the text.
pub(super) fn span(chars: &[Char], end: usize) -> Range<usize> {
    match (chars.first(), chars.last()) {
        (Some(first), Some(last)) => first.at.0..last.at.1.max(first.at.0),
        _ => end..end,
    }
}

/// The characters, and what of them cannot be told.
pub(super) fn read(text: &str) -> (Vec<Char>, Vec<Note>) {
    let lower = text.to_ascii_lowercase();
    // Nobody has a variable whose name holds blanks or operators, unless it is set here.
    let (loops, sets) = (lower.contains("for"), lower.contains("set"));
    let (mut chars, mut notes) = (Vec::with_capacity(text.len()), Vec::new());
    let taken = outer_quotes(text).unwrap_or([text.len(); 2]);
    if taken[0] < text.len() {
        let why = "a quote at the beginning, which cmd takes away with the last one";
        notes.push((0..text.len(), why.to_owned()));
    }
    let (mut quoted, mut escaped, mut joined, mut at) = (false, false, false, 0);
    while let Some(value) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let end = at + value.len_utf8();
        let after = text.get(end..).unwrap_or_default();
        if taken.contains(&at) {
            at = end;
            continue;
        }
        let mut push = |value, end, bare| {
            chars.push(Char { value, at: (at, end), bare, joined: std::mem::take(&mut joined) });
        };
        let mut next = end;
        match value {
            '%' | '!' => match variable(value, after, loops, sets) {
                Some(Variable { length, early, name }) => {
                    if early {
                        let why = "a variable that is put in before the line is read";
                        notes.push((at..end + length, why.to_owned()));
                    }
                    if name {
                        next = end + length;
                        push('\0', next, false);
                    } else {
                        push(value, end, false);
                    }
                }
                None => push(value, end, false),
            },
            '\r' => {
                at = next;
                continue;
            }
            '\n' => {
                quoted = false;
                push('\n', end, true);
            }
            _ if escaped => push(value, end, false),
            '"' => {
                quoted = !quoted;
                push('"', end, false);
            }
            '^' if !quoted => {
                let line = ["\r\n", "\n"].into_iter().find(|line| after.starts_with(line));
                next = end + line.map_or(0, str::len);
                joined |= line.is_some();
                (at, escaped) = (next, true);
                continue;
            }
            '\u{b}' | '\u{c}' | '\u{a0}' => {
                notes.push((at..end, "a character that cmd takes for a blank or not".to_owned()));
                push(value, end, false);
            }
            value => push(value, end, !quoted),
        }
        escaped = false;
        at = next;
    }
    (chars, notes)
}

/// A variable behind its sign.
struct Variable {
    length: usize,
    /// Its value is put in before the line is read, and can hold operators.
    early: bool,
    /// It is one, and not only what might be.
    name: bool,
}

/// `%X%` is put in before the line is read; the variable of a loop (`%i`, `%~nxi`, `%%i`) and `!X!`
/// are put in afterwards.
fn variable(sign: char, after: &str, loops: bool, sets: bool) -> Option<Variable> {
    let next = after.find([sign, '\n', '\r']).filter(|next| *next > 0);
    if let Some(length) =
        next.filter(|next| after.get(*next..).is_some_and(|own| own.starts_with(sign)))
    {
        let inside = after.get(..length)?;
        let name = inside.split(':').next().unwrap_or_default();
        let plain = !name.is_empty()
            && !name.contains([' ', '\t', '"', '&', '|', '<', '>', '^', ',', ';', '=']);
        if plain || (sets && sign == '%') {
            return Some(Variable { length: length + 1, early: sign == '%', name: plain });
        }
    }
    if sign == '!' || !loops {
        return None;
    }
    let doubled = usize::from(after.starts_with('%'));
    let named = after.get(doubled..)?;
    let modified = match named.strip_prefix('~') {
        // The letters are modifiers but for the last, which is the variable.
        Some(rest) => 1 + rest.chars().take_while(char::is_ascii_alphabetic).count(),
        None => usize::from(named.starts_with(|next: char| next.is_ascii_alphabetic())),
    };
    (modified > 0).then_some(Variable { length: doubled + modified, early: false, name: true })
}

/// The quotes that `cmd /c "…"` takes away before it reads: the first and the last one, unless they
/// are the only two and stand around a program's path (`cmd /?`).
fn outer_quotes(text: &str) -> Option<[usize; 2]> {
    let first = text.find(|c| !matches!(c, ' ' | '\t'))?;
    let inside = text.get(first..)?.strip_prefix('"')?;
    let last = text.rfind('"').filter(|last| *last > first).unwrap_or(text.len());
    let (path, after) = inside.split_once('"').unwrap_or((inside, ""));
    let lower = path.to_ascii_lowercase();
    let is_path = [".exe", ".com", ".bat", ".cmd"].iter().any(|end| lower.ends_with(end))
        && last < text.len()
        && !after.contains('"')
        && !path.contains(['&', '<', '>', '(', ')', '@', '^', '|']);
    (!is_path).then_some([first, last])
}

/// The text behind `cmd /c` without the quotes that it takes away.
pub(super) fn without_outer_quotes(text: &str) -> String {
    let [first, last] = outer_quotes(text).unwrap_or([text.len(); 2]);
    text.char_indices().filter(|(at, _)| *at != first && *at != last).map(|(_, c)| c).collect()
}
