//! Secrets that show by their own form, wherever they stand: issued tokens, private keys,
//! passwords in addresses.

use super::Span;

/// The form of one kind of issued token: how it begins, and how it goes on.
struct Form {
    prefix: &'static str,
    class: fn(u8) -> bool,
    /// How many characters of the class follow at least.
    least: usize,
    /// Whether there must be no more than that.
    exact: bool,
    kind: &'static str,
}

const fn form(
    prefix: &'static str,
    class: fn(u8) -> bool,
    least: usize,
    kind: &'static str,
) -> Form {
    Form { prefix, class, least, exact: false, kind }
}

const FORMS: [Form; 27] = [
    form("sk-", dashed, 20, "api-key"),
    form("sk_live_", word, 16, "api-key"),
    form("sk_test_", word, 16, "api-key"),
    form("rk_live_", word, 16, "api-key"),
    form("AIza", dashed, 35, "api-key"),
    form("ghp_", alphanumeric, 30, "github-token"),
    form("gho_", alphanumeric, 30, "github-token"),
    form("ghu_", alphanumeric, 30, "github-token"),
    form("ghs_", alphanumeric, 30, "github-token"),
    form("ghr_", alphanumeric, 30, "github-token"),
    form("github_pat_", word, 30, "github-token"),
    form("glpat-", dashed, 20, "gitlab-token"),
    Form { prefix: "AKIA", class: upper, least: 16, exact: true, kind: "aws-key" },
    Form { prefix: "ASIA", class: upper, least: 16, exact: true, kind: "aws-key" },
    form("xoxa-", dashed, 10, "slack-token"),
    form("xoxb-", dashed, 10, "slack-token"),
    form("xoxc-", dashed, 10, "slack-token"),
    form("xoxd-", dashed, 10, "slack-token"),
    form("xoxe-", dashed, 10, "slack-token"),
    form("xoxo-", dashed, 10, "slack-token"),
    form("xoxp-", dashed, 10, "slack-token"),
    form("xoxr-", dashed, 10, "slack-token"),
    form("xoxs-", dashed, 10, "slack-token"),
    form("npm_", alphanumeric, 36, "npm-token"),
    form("pypi-", dashed, 40, "pypi-token"),
    form("hf_", alphanumeric, 30, "huggingface-token"),
    form("AGE-SECRET-KEY-1", upper, 40, "private-key"),
];

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn dashed(byte: u8) -> bool {
    word(byte) || byte == b'-'
}

/// How many bytes from `start` on are of the class.
fn run(bytes: &[u8], start: usize, class: fn(u8) -> bool) -> usize {
    bytes[start..].iter().take_while(|byte| class(**byte)).count()
}

/// Finds issued tokens and JSON Web Tokens.
pub(super) fn find_tokens(text: &str, spans: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    // A run that was no token is not looked through again from its middle.
    let mut tried = [0; FORMS.len()];
    let mut jwt_tried = 0;
    let mut at = 0;
    while at < bytes.len() {
        let inside = at > 0 && word(bytes[at - 1]);
        if inside || !bytes[at].is_ascii_alphabetic() {
            at += 1;
            continue;
        }
        let rest = &bytes[at..];
        let mut found = None;
        for (form, tried) in FORMS.iter().zip(&mut tried) {
            let prefix = form.prefix.as_bytes();
            // Hardly any word begins like one of these.
            if prefix.first() != rest.first() || at < *tried || !rest.starts_with(prefix) {
                continue;
            }
            let start = at + form.prefix.len();
            let length = run(bytes, start, form.class);
            let end = start + length;
            let long_enough = if form.exact { length == form.least } else { length >= form.least };
            // A digit tells a token from a long name with hyphens.
            if long_enough && bytes[start..end].iter().any(u8::is_ascii_digit) {
                found = Some(Span { start: at, end, kind: form.kind.into() });
                break;
            }
            *tried = end;
        }
        if found.is_none() && at >= jwt_tried && rest.starts_with(b"eyJ") {
            let (end, parts) = dotted(bytes, at);
            if parts >= 3 {
                found = Some(Span { start: at, end, kind: "jwt".into() });
            }
            jwt_tried = end;
        }
        match found {
            Some(span) => {
                at = span.end;
                spans.push(span);
            }
            None => at += 1,
        }
    }
}

/// Where runs of base64url joined by dots end, and how many there are; the first two have to be
/// long, the later ones (a signature may be missing) need not.
fn dotted(bytes: &[u8], start: usize) -> (usize, usize) {
    let mut end = start;
    let mut parts = 0;
    loop {
        let length = run(bytes, end, dashed);
        if parts < 2 && length < 8 {
            return (end + length, parts);
        }
        end += length;
        parts += 1;
        if bytes.get(end) != Some(&b'.') || parts == 5 {
            return (end, parts);
        }
        end += 1;
    }
}

/// Finds private keys in PEM: all between the dashes, to the end of the text if they never end.
pub(super) fn find_private_keys(text: &str, spans: &mut Vec<Span>) {
    const BEGIN: &str = "-----BEGIN ";
    const END: &str = "-----END ";
    let mut at = 0;
    while let Some(begin) = text[at..].find(BEGIN).map(|offset| at + offset) {
        let label_start = begin + BEGIN.len();
        let Some(label_end) = text[label_start..].find("-----").map(|n| label_start + n) else {
            return;
        };
        if !text[label_start..label_end].contains("PRIVATE KEY") {
            at = label_end;
            continue;
        }
        let body = label_end + "-----".len();
        let end = text[body..].find(END).map_or(text.len(), |offset| body + offset);
        if body < end {
            spans.push(Span { start: body, end, kind: "private-key".into() });
        }
        at = end;
    }
}

/// Finds passwords in addresses (`scheme://user:password@host`), and tokens that stand alone
/// before the host of a web address.
pub(super) fn find_in_addresses(text: &str, spans: &mut Vec<Span>) {
    for (colon, _) in text.match_indices("://") {
        let start = colon + "://".len();
        let length = text[start..]
            .find(|c: char| c.is_whitespace() || "/?#\"'<>`\\".contains(c))
            .unwrap_or(text.len() - start);
        let authority = &text[start..start + length];
        let Some(host) = authority.rfind('@') else { continue };
        let user = &authority[..host];
        let secret = match user.find(':') {
            _ if user.starts_with("[redacted:") => continue,
            Some(colon) => colon + 1..host,
            None if text[..colon].ends_with("http") || text[..colon].ends_with("https") => {
                let random = user.len() >= 20 && user.bytes().any(|byte| byte.is_ascii_digit());
                if random { 0..host } else { continue }
            }
            None => continue,
        };
        if !secret.is_empty() && !user[secret.clone()].starts_with('$') {
            spans.push(Span {
                start: start + secret.start,
                end: start + secret.end,
                kind: "password".into(),
            });
        }
    }
}
