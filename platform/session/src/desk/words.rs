//! A command line as a person types it, split into words.
//!
//! Quotes and backslashes as in POSIX shells; nothing is expanded, so that what is asked about is
//! exactly what was typed.

use super::Failure;

/// Splits at blanks outside quotes.
///
/// # Errors
/// When a quote does not end, when nothing was typed, or when the line needs a shell.
pub fn split(line: &str) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some(end) if end == c => break,
                        Some('\\') if c == '"' => match rest.next() {
                            Some(kept @ ('"' | '\\' | '$' | '`')) => word.push(kept),
                            Some(other) => word.extend(['\\', other]),
                            None => return Err(unfinished(c)),
                        },
                        Some(inside) => word.push(inside),
                        None => return Err(unfinished(c)),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(rest.next().ok_or_else(|| unfinished('\\'))?),
            c if c.is_whitespace() => words.extend(word.take()),
            '|' | '&' | ';' | '<' | '>' | '`' | '$' | '(' | ')' => {
                return Err(Failure::new(
                    format!("`{c}` needs a shell, and this is taken word by word."),
                    "Type one command, with quotes around what is to be one word. For a whole \
                     script: sh -c '…'.",
                ));
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if words.is_empty() {
        return Err(Failure::new("No command was given.", "Type one, such as git push."));
    }
    Ok(words)
}

fn unfinished(quote: char) -> Failure {
    Failure::new(
        format!("The command ends before its `{quote}` is complete."),
        "Close the quote, or put the character itself into quotes.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_quotes_and_backslashes() {
        for (line, words) in [
            ("git push origin main", vec!["git", "push", "origin", "main"]),
            ("  git   push ", vec!["git", "push"]),
            ("git commit -m 'two words'", vec!["git", "commit", "-m", "two words"]),
            (r#"echo "a \"b\" \n" ''"#, vec!["echo", r#"a "b" \n"#, ""]),
            (r"ls a\ b", vec!["ls", "a b"]),
            ("sh -c 'a | b'", vec!["sh", "-c", "a | b"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_split_says_why() {
        for (line, part) in [
            ("", "No command"),
            ("   ", "No command"),
            ("git commit -m 'open", "before its `'`"),
            ("a | b", "`|` needs a shell"),
            ("echo $HOME", "`$` needs a shell"),
        ] {
            let error = split(line).unwrap_err();
            assert!(error.message.contains(part), "{line}: {error}");
            assert!(error.remedy.is_some());
        }
    }
}
