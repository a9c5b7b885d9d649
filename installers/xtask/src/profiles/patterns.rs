//! What texts the reader takes, as regular expressions in the dialect of ECMA-262, which JSON
//! Schema uses (draft 2020-12 Core, section 6.4). A test holds each to the reader.
//!
//! Some of what the reader refuses no pattern can tell; a schema then accepts it: a glob whose
//! brackets do not close, an IPv6 address with too many groups, the 30th of February, a duration
//! or a size out of its bounds.

use chaperone_policy::{HOST_SETS, PROVIDERS};

/// `1`, `1.2` or `1.2.3`.
pub(super) const VERSION: &str = r"^[0-9]{1,10}(?:\.[0-9]{1,10}){0,2}(?:[-+][\s\S]*)?$";

/// A day, or a time with its zone (RFC 3339).
pub(super) const DATE: &str = concat!(
    r"^\s*[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])",
    r"(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2}))?\s*$",
);

/// `10m`, `1h 30m`, `90 seconds`.
pub(super) const DURATION: &str = concat!(
    r"^\s*(?=[0-9])",
    r"(?:[0-9]+\s*(?:h|hrs?|hours?),?\s*)?",
    r"(?:[0-9]+\s*(?:m|mins?|minutes?),?\s*)?",
    r"(?:[0-9]+\s*(?:s|secs?|seconds?),?\s*)?",
    r"(?:[0-9]+\s*ms)?\s*$",
);

/// `8 GiB`.
pub(super) const SIZE: &str = r"^\s*[0-9]+\s*(?:[KkMmGgTt][Ii]?)?[Bb]\s*$";

/// A path or a glob: no variable, nobody else's home, no `..`.
pub(super) const PATH: &str = concat!(
    r"^(?!\$)(?![^\x00]*%[A-Za-z][A-Za-z0-9_()]{2,}%)",
    r"(?!~[^/])(?!(?:[^\x00]*/)?\.\.(?:/|$))[^\x00]+$",
);

/// The name of an environment variable, with `*`.
pub(super) const NAME: &str = r"^[A-Za-z0-9_*.()-]+$";

/// The file of a public key, or its line.
pub(super) const SSH_KEY: &str = concat!(
    r"^(?:(?![^\x00]*%[A-Za-z][A-Za-z0-9_()]{2,}%)(?!(?:[^\x00]*/)?\.\.(?:/|$))",
    r"~?/[^\x00*?\[\]{}]*\.pub|",
    r" *(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|",
    r"sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com)",
    r" +[A-Za-z0-9+/]+={0,2}(?: [^\x00-\x1F\x7F-\x9F]*)?)$",
);

/// A budget of uploads: `50 MiB per 1h`, perhaps behind a host.
pub(super) const UPLOAD: &str = concat!(
    r"^(?:[^ ]+ )?[0-9]{1,6} ?(?:[KMGT]iB|[KMGT]B|B)",
    r" per (?:session|(?=0*[1-9])[0-9]{1,4}[mh])$",
);

/// The name of a credential.
pub(super) const CREDENTIAL: &str = r"^[a-z0-9][a-z0-9._-]{0,63}$";

/// A method of HTTP.
pub(super) const METHOD: &str = r"^[A-Za-z0-9-]+$";

/// A path of URLs or a glob, without a query, %-escapes, dot segments or empty ones.
pub(super) const URL_PATH: &str =
    r"^/(?![\s\S]*//)(?:(?!\.\.?(?:/|$))[^\x00-\x20\x7F-\x9F%?#;\\/]+/?)*$";

/// A program's name or its whole path.
pub(super) const PROGRAM: &str = r"^(?:/|[^/]+$)";

/// A file, absolute or from `~`: no variable, no `..`, no glob.
pub(super) const FILE: &str = concat!(
    r"^(?![^\x00]*%[A-Za-z][A-Za-z0-9_()]{2,}%)(?!(?:[^\x00]*/)?\.\.(?:/|$))",
    r"(?:~/|/|\\|[A-Za-z]:(?=[\s\S]))[^\x00*?\[{]*$",
);

/// A host: a name, everything beneath one, an address, a range of them or `*`; perhaps a port. Or the
/// name of a host set, from which a name without a dot is told by a port or a final dot.
pub(super) fn host() -> String {
    let sets = HOST_SETS.map(|set| set.name).join("|");
    let one = format!(
        r"(?:\*|{V4}(?:/0*(?:3[0-2]|[12]?[0-9]))?|(?:\*\.)?{NAMED}|{V6_OR_RANGE}|{IN_BRACKETS})"
    );
    format!("^(?:(?:localhost|{sets})$|(?![A-Za-z0-9_-]+$){one}(?:{PORT})?)$")
}

/// An organisation: `PROVIDER:ID`. How long one of two parts is together, is left to the reader.
pub(super) fn organisation() -> String {
    let (two, one): (Vec<&str>, Vec<&str>) = {
        let (two, one): (Vec<_>, Vec<_>) = PROVIDERS.iter().partition(|own| own.colon);
        let names =
            |list: Vec<&chaperone_policy::Provider>| list.iter().map(|own| own.name).collect();
        (names(two), names(one))
    };
    let part = "[A-Za-z0-9._-]{1,128}";
    format!("^(?:(?:{}):{part}|(?:{}):{part}(?::{part})?)$", one.join("|"), two.join("|"))
}

/// A proxy: `http://HOST:PORT` or `https://HOST:PORT`.
pub(super) fn proxy() -> String {
    format!("^[Hh][Tt][Tt][Pp][Ss]?://(?:{V4}|{NAMED}|{IN_BRACKETS}){PORT}/?$")
}

/// An address of IPv4.
const V4: &str = concat!(
    r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}",
    r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])",
);

/// A name: at most 253 characters, the last label not of digits alone.
const NAMED: &str = concat!(
    r"(?=[^:]{1,253}\.?(?::|$))(?:[A-Za-z0-9_-]{1,63}\.)*",
    r"(?![0-9]+\.?(?::|$))[A-Za-z0-9_-]{1,63}\.?",
);

/// An address of IPv6, or a range.
const V6_OR_RANGE: &str =
    r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:/0*(?:12[0-8]|1[01][0-9]|[1-9]?[0-9]))?";

/// An address of IPv6 in brackets.
const IN_BRACKETS: &str = r"\[[0-9A-Fa-f:.]+\]";

/// A port.
const PORT: &str = concat!(
    "(?::0*(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]",
    "|6553[0-5]))",
);
