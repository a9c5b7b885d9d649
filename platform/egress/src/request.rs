//! What a request asks of a proxy, and whether its parts agree with each other (RFC 9110 and 9112).

use crate::Asked;
use crate::target::{BadTarget, Target};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Version};

/// The port of plain HTTP.
pub(crate) const HTTP: u16 = 80;
/// The port of HTTP over TLS.
pub(crate) const HTTPS: u16 = 443;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A tunnel to here.
    Tunnel(Target),
    /// An answer from here.
    Answer(Target),
}

/// Why a request asks for nothing that can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("This is a proxy: it takes `http://HOST/…` as the target of a request, or CONNECT.")]
    NoHost,
    #[error("The scheme of the target is not http: ask for a tunnel with CONNECT.")]
    Scheme,
    #[error("The scheme of the target is not https.")]
    NotTls,
    #[error("The path of the target does not begin with a slash.")]
    Path,
    #[error("The target names a user: credentials do not belong there.")]
    User,
    #[error("The target cannot be read: {0}.")]
    Target(#[from] BadTarget),
    #[error("The Host field names another host than the target.")]
    Host {
        /// Where it would go.
        target: Target,
        /// What names another host.
        said: String,
    },
    #[error("How long the body is, is said in more than one way.")]
    Length,
}

/// Reads a request's head. `fixed` is where it goes whatever it says: it has come through a tunnel,
/// and what it says must agree.
pub(crate) fn wish(head: &Parts, fixed: Option<&Target>) -> Result<Wish, Malformed> {
    body_is_clear(head)?;
    let wish = match (fixed, &head.method, head.uri.authority()) {
        (Some(_), &Method::CONNECT, _) => return Err(Malformed::NoHost),
        (None, &Method::CONNECT, Some(authority)) if head.uri.scheme().is_none() => {
            Wish::Tunnel(target(authority, None)?)
        }
        (None, &Method::CONNECT, _) => return Err(Malformed::NoHost),
        (fixed, _, Some(authority)) => {
            // HTTP/2 is spoken in opened TLS alone, and its authority is what a Host field is
            // elsewhere: the port may be left out.
            let usual = match (head.version, fixed, head.uri.scheme_str()) {
                (Version::HTTP_2, Some(fixed), Some("https")) => fixed.port,
                (Version::HTTP_2, ..) => return Err(Malformed::NotTls),
                (_, _, Some("http")) => HTTP,
                _ => return Err(Malformed::Scheme),
            };
            if head.version == Version::HTTP_2 && !head.uri.path().starts_with('/') {
                return Err(Malformed::Path);
            }
            let target = target(authority, Some(usual))?;
            match fixed {
                Some(fixed) if fixed.port == target.port && fixed.goes_by(&target.host) => {
                    Wish::Answer(fixed.clone())
                }
                Some(fixed) => {
                    let said = format!("a request's target is {target}");
                    return Err(Malformed::Host { target: fixed.clone(), said });
                }
                None => Wish::Answer(target),
            }
        }
        (Some(fixed), _, None) => Wish::Answer(fixed.clone()),
        (None, _, None) => return Err(Malformed::NoHost),
    };
    match &wish {
        Wish::Answer(target) if fixed.is_none() => host_agrees(&head.headers, target, HTTP)?,
        // What goes through a tunnel often leaves its port out.
        Wish::Tunnel(target) | Wish::Answer(target) => {
            host_agrees(&head.headers, target, target.port)?;
        }
    }
    Ok(wish)
}

fn target(authority: &Authority, usual: Option<u16>) -> Result<Target, Malformed> {
    match authority.as_str() {
        text if text.contains('@') => Err(Malformed::User),
        text => Ok(Target::parse(text, usual)?),
    }
}

/// One length or one encoding, and both understood: else two readers could disagree about where the
/// next request begins (RFC 9112, section 11.2).
fn body_is_clear(head: &Parts) -> Result<(), Malformed> {
    let all = |name| head.headers.get_all(name).iter().collect::<Vec<&HeaderValue>>();
    let (lengths, encodings) = (all(CONTENT_LENGTH), all(TRANSFER_ENCODING));
    let digits = |value: &HeaderValue| {
        let bytes = value.as_bytes();
        !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit)
    };
    let clear = match (lengths.as_slice(), encodings.as_slice()) {
        ([], []) => true,
        ([length], []) => digits(length) && (head.method != Method::CONNECT || *length == "0"),
        ([], [encoding]) => {
            encoding.as_bytes().eq_ignore_ascii_case(b"chunked")
                && head.version == Version::HTTP_11
                && head.method != Method::CONNECT
        }
        _ => false,
    };
    if clear { Ok(()) } else { Err(Malformed::Length) }
}

/// At most one Host field, which names the target. `usual` is the port that it may leave out.
fn host_agrees(headers: &HeaderMap, target: &Target, usual: u16) -> Result<(), Malformed> {
    let mut fields = headers.get_all(HOST).iter();
    let Some(field) = fields.next() else { return Ok(()) };
    let said = field.to_str().ok().and_then(|text| Target::parse(text, Some(usual)).ok());
    let agrees = said.is_some_and(|said| said.port == target.port && target.goes_by(&said.host));
    if agrees && fields.next().is_none() {
        return Ok(());
    }
    let fields = headers.get_all(HOST).iter();
    let said: Vec<_> = fields.map(|field| format!("{field:?}")).collect();
    let said = format!("a request's Host field says {}", said.join(" and "));
    Err(Malformed::Host { target: target.clone(), said })
}

/// Fields by which servers let a request name another method than its own.
const OVERRIDING_FIELDS: [&str; 3] =
    ["x-http-method-override", "x-http-method", "x-method-override"];
/// Parameters that do the same.
const OVERRIDING_PARAMETERS: [&str; 4] =
    ["_method", "$httpmethod", "x-http-method-override", "x-http-method"];

/// What is to be judged of a request.
pub(crate) fn asked(head: &Parts) -> Asked {
    let overriding = OVERRIDING_FIELDS.into_iter().find(|name| head.headers.contains_key(*name));
    let upgrade = take_hop_by_hop(&mut head.headers.clone());
    Asked {
        method: head.method.to_string(),
        path: if head.uri.path().is_empty() { "/" } else { head.uri.path() }.to_owned(),
        upgrade: upgrade.map(|named| String::from_utf8_lossy(named.as_bytes()).into_owned()),
        overridden: overriding
            .map(|name| format!("its field {name}"))
            .or_else(|| overriding_parameter(head.uri.query().unwrap_or_default())),
    }
}

/// The parameter of a query that names a method, in whatever spelling. Some servers part parameters
/// at a semicolon, too.
fn overriding_parameter(query: &str) -> Option<String> {
    let parts = query.split(['&', ';']).map(str::as_bytes);
    let mut names = parts.flat_map(url::form_urlencoded::parse).map(|(name, _)| name);
    let found = names
        .find(|name| OVERRIDING_PARAMETERS.contains(&name.trim().to_ascii_lowercase().as_str()))?;
    Some(format!("its parameter {}", found.trim()))
}

/// Fields that concern one connection and are not passed on (RFC 9110, section 7.6.1).
const HOP: [HeaderName; 7] =
    [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
const HOP_TOO: [&str; 3] = ["proxy-connection", "keep-alive", "proxy-authentication-info"];

/// Takes away what concerns one connection alone, and gives back the protocol that it is to be
/// upgraded to. HTTP/2 without TLS is none: what is asked for in it could not be held to the host.
pub(crate) fn take_hop_by_hop(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let options: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|option| option.trim().to_ascii_lowercase())
        .collect();
    let upgrade = headers.get(UPGRADE).filter(|protocol| protocol_is_opaque(protocol)).cloned();
    let framing = [HOST.as_str(), CONTENT_LENGTH.as_str()];
    for option in options.iter().filter(|option| !framing.contains(&option.as_str())) {
        headers.remove(option.as_str());
    }
    for name in HOP {
        headers.remove(name);
    }
    for name in HOP_TOO {
        headers.remove(name);
    }
    headers.remove("http2-settings");
    upgrade.filter(|_| options.iter().any(|option| option == "upgrade"))
}

fn protocol_is_opaque(protocol: &HeaderValue) -> bool {
    let text = protocol.to_str().unwrap_or("h2c").to_ascii_lowercase();
    text.split(',').all(|one| !one.trim().starts_with("h2") && !one.trim().starts_with("http"))
}
