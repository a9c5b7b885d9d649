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
    let words = words(name);
    let Some(last) = words.last() else { return false };
    let before = words.len().checked_sub(2).map_or("", |index| words[index].as_str());
    match last.as_str() {
        "auth" | "credential" | "credentials" | "pass" | "pat" | "sshpass" => true,
        // `PWD` and `OLDPWD` are the working directory.
        "pwd" => words.len() > 1,
        "key" => KEYS.contains(&before),
        last => ENDINGS.iter().any(|ending| last.ends_with(ending)),
    }
}

const KEYS: [&str; 9] =
    ["access", "account", "api", "auth", "encryption", "private", "secret", "session", "signing"];

const ENDINGS: [&str; 8] =
    ["apikey", "passphrase", "passwd", "password", "privatekey", "secret", "secretkey", "token"];

/// The words of a name, in lower case: split at `_`, `-`, `.` and where lower case meets upper.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut lower_before = false;
    for c in name.chars() {
        let boundary = matches!(c, '_' | '-' | '.');
        if (boundary || (lower_before && c.is_uppercase())) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if !boundary {
            word.extend(c.to_lowercase());
        }
        lower_before = c.is_lowercase();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
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
