//! Which names say that what they name is secret.

/// Whether a variable's value is to be looked for everywhere.
pub(super) fn is_secret_variable(name: &str, value: &str) -> bool {
    let number = value.bytes().all(|byte| byte.is_ascii_digit()) && value.len() < 12;
    let ends_in_key = name.ends_with("_KEY") && !name.contains("PUBLIC");
    let looks_random = value.len() >= 16
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !value.contains([' ', '\n'])
        && !value.starts_with(['/', '~', '.']);
    !number && (is_secret_name(name) || (ends_in_key && looks_random))
}

/// Whether a name, of a variable, an option or a field, says that its value is secret:
/// `GITHUB_TOKEN`, `--client-secret`, `apiKey`, but not `TOKEN_LIMIT`, `SSH_ASKPASS`, `PWD`.
pub(super) fn is_secret_name(name: &str) -> bool {
    let (before, last) = last_word(name);
    let is = |word: &str| last.eq_ignore_ascii_case(word);
    // `PWD` and `OLDPWD` are the working directory.
    if is("pwd") {
        return !last_word(before).1.is_empty();
    }
    if is("key") {
        let before = last_word(before).1;
        return KEYS.iter().any(|key| before.eq_ignore_ascii_case(key));
    }
    WORDS.iter().any(|word| is(word)) || ENDINGS.iter().any(|ending| ends_with(last, ending))
}

const WORDS: [&str; 6] = ["auth", "credential", "credentials", "pass", "pat", "sshpass"];

const KEYS: [&str; 9] =
    ["access", "account", "api", "auth", "encryption", "private", "secret", "session", "signing"];

const ENDINGS: [&str; 8] =
    ["apikey", "passphrase", "passwd", "password", "privatekey", "secret", "secretkey", "token"];

/// The last word of a name, and what stands before it: words end at `_`, `-`, `.` and where lower
/// case meets upper. A name has no last word where it has none.
fn last_word(name: &str) -> (&str, &str) {
    let name = name.trim_end_matches(['_', '-', '.']);
    let mut start = name.len();
    let mut after_upper = false;
    for (at, c) in name.char_indices().rev() {
        if matches!(c, '_' | '-' | '.') || (after_upper && c.is_lowercase()) {
            break;
        }
        after_upper = c.is_uppercase();
        start = at;
    }
    name.split_at(start)
}

/// Whether a word ends with this one of ASCII, in whichever case.
fn ends_with(word: &str, ending: &str) -> bool {
    let from = word.len().checked_sub(ending.len());
    from.and_then(|from| word.get(from..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_whether_their_values_are_secret() {
        for name in [
            "GITHUB_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "ANTHROPIC_API_KEY",
            "PGPASSWORD",
            "MYSQL_PWD",
            "DB_PASS",
            "SSHPASS",
            "BORG_PASSPHRASE",
            "--client-secret",
            "--api-key",
            "apiKey",
            "authToken",
            "_authToken",
            "NPM_CONFIG__AUTH",
            "private_key",
            "x-api-key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "PATH",
            "PWD",
            "OLDPWD",
            "TOKEN_LIMIT",
            "MAX_TOKENS",
            "--password-file",
            "--password-stdin",
            "SSH_ASKPASS",
            "SSH_AUTH_SOCK",
            "SECRET_NAME",
            "PUBLIC_KEY",
            "--key",
            "monkey",
            "author",
            "bypass",
            "",
            "__",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn a_variable_named_only_key_is_secret_where_its_value_looks_so() {
        assert!(is_secret_variable("STRIPE_KEY", "a1b2c3d4e5f6a7b8c9"));
        assert!(!is_secret_variable("STRIPE_KEY", "/etc/keys/stripe-1.pem"));
        assert!(!is_secret_variable("SIGNING_PUBLIC_KEY", "a1b2c3d4e5f6a7b8c9"));
        assert!(!is_secret_variable("GH_TOKEN", "32000"));
    }
}
