//! Answers look-ups of names (RFC 1035) as a resolver does, from nothing but the names themselves.

use crate::names::Names;
use crate::target::Host;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Seconds for which an answer may be kept. It never changes.
const TTL: u32 = 60;
/// The head of every message.
const HEAD: usize = 12;
/// The longest name, with the lengths of its labels.
const LONGEST: usize = 255;

const FORMAT_ERROR: u8 = 1;
const FAILURE: u8 = 2;
const NO_SUCH_NAME: u8 = 3;
const NOT_IMPLEMENTED: u8 = 4;

const A: u16 = 1;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;

/// The answer to a query; `None` for what is none.
///
/// Every name has an address of IPv4 and nothing else, whether there is such a name or not: to find
/// out, a query would have to leave. An address has no name.
pub fn answer(query: &[u8], names: &Names) -> Option<Vec<u8>> {
    let (&[id_high, id_low, flags, ..], rest) = query.split_first_chunk::<HEAD>()?;
    if flags & 0x80 != 0 {
        return None;
    }
    let (kind, recursion) = (flags & 0x78, flags & 1);
    let asks_one = query.get(4..6) == Some(&[0, 1]);
    let question = if asks_one { Question::read(rest) } else { None };
    let respond = |code: u8, question: &[u8], data: &[u8]| {
        let answers = u8::from(!data.is_empty());
        let head = [id_high, id_low, 0x80 | kind | recursion, 0x80 | code];
        let counts = [0, u8::from(!question.is_empty()), 0, answers, 0, 0, 0, 0];
        Some([&head[..], &counts, question, data].concat())
    };
    if kind != 0 {
        return respond(NOT_IMPLEMENTED, &[], &[]);
    }
    let Some(Question { name, kind, class, whole }) = question else {
        return respond(FORMAT_ERROR, &[], &[]);
    };
    if class != INTERNET {
        return respond(NOT_IMPLEMENTED, whole, &[]);
    }
    let Ok(Host::Name(name)) = Host::parse(&name) else {
        return respond(NO_SUCH_NAME, whole, &[]);
    };
    let beneath = |top: &str| {
        name.strip_suffix(top).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if beneath("arpa") {
        return respond(NO_SUCH_NAME, whole, &[]);
    }
    // RFC 6761, section 6.3.
    let here = beneath("localhost");
    let data = match kind {
        A if here => record(A, &Ipv4Addr::LOCALHOST.octets()),
        AAAA if here => record(AAAA, &Ipv6Addr::LOCALHOST.octets()),
        A => match names.address(&name) {
            Some(address) => record(A, &address.octets()),
            None => return respond(FAILURE, whole, &[]),
        },
        _ => Vec::new(),
    };
    respond(0, whole, &data)
}

/// A record about the name that was asked for, which stands right after the head.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or_default();
    let name = [0xc0, HEAD as u8];
    [
        &name[..],
        &kind.to_be_bytes(),
        &INTERNET.to_be_bytes(),
        &TTL.to_be_bytes(),
        &length.to_be_bytes(),
        data,
    ]
    .concat()
}

struct Question<'q> {
    name: String,
    kind: u16,
    class: u16,
    /// Its bytes.
    whole: &'q [u8],
}

impl<'q> Question<'q> {
    /// Reads the question at the beginning.
    fn read(bytes: &'q [u8]) -> Option<Self> {
        let mut name = String::new();
        let mut rest = bytes;
        loop {
            let (&length, after) = rest.split_first()?;
            // A longer one would point elsewhere, and there is nothing before it.
            if length > 63 {
                return None;
            }
            let (label, after) = after.split_at_checked(length.into())?;
            rest = after;
            if label.is_empty() {
                break;
            }
            if !name.is_empty() {
                name.push('.');
            }
            // A dot within a label would read as two.
            name.push_str(std::str::from_utf8(label).ok().filter(|it| !it.contains('.'))?);
            if name.len() > LONGEST {
                return None;
            }
        }
        let (&[kind_high, kind_low, class_high, class_low], after) = rest.split_first_chunk()?;
        let whole = bytes.get(..bytes.len() - after.len())?;
        let kind = u16::from_be_bytes([kind_high, kind_low]);
        let class = u16::from_be_bytes([class_high, class_low]);
        Some(Self { name, kind, class, whole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u16) -> Vec<u8> {
        let labels = name.split('.').filter(|label| !label.is_empty());
        let name: Vec<u8> = labels
            .flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat())
            .chain([0])
            .collect();
        [&[7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &name, &kind.to_be_bytes(), &[0, 1]].concat()
    }

    /// The code and the data of the answer.
    fn ask(names: &Names, name: &str, kind: u16) -> (u8, Vec<u8>) {
        let query = query(name, kind);
        let answer = answer(&query, names).unwrap();
        assert_eq!(answer[..3], [7, 9, 0x81], "{name}");
        assert_eq!(answer[12..query.len()], query[12..], "{name}");
        assert_eq!(usize::from(answer[7]), usize::from(answer.len() > query.len()), "{name}");
        (answer[3] & 0xf, answer[query.len()..].iter().skip(12).copied().collect())
    }

    fn names() -> Names {
        Names::from(Ipv4Addr::new(198, 18, 0, 0))
    }

    #[test]
    fn every_name_has_one_address_and_its_spellings_share_it() {
        let names = names();
        for name in ["api.example", "API.Example", "api.example."] {
            assert_eq!(ask(&names, name, A), (0, vec![198, 18, 0, 1]), "{name}");
        }
        assert_eq!(ask(&names, "other.example", A), (0, vec![198, 18, 0, 2]));
        for kind in [AAAA, 15, 16, 33, 65] {
            assert_eq!(ask(&names, "api.example", kind), (0, vec![]), "{kind}");
        }
        assert_eq!(ask(&names, "localhost", A), (0, vec![127, 0, 0, 1]));
        assert_eq!(ask(&names, "a.localhost", AAAA).1.len(), 16);
        for name in ["1.0.18.198.in-addr.arpa", "127.0.0.1", "0x7f.1", "a b.example", "x\0.example"]
        {
            assert_eq!(ask(&names, name, A), (NO_SUCH_NAME, vec![]), "{name}");
        }
    }

    #[test]
    fn what_is_no_query_is_told_so_or_not_answered() {
        let names = names();
        let code = |query: &[u8]| answer(query, &names).map(|answer| answer[3] & 0xf);
        let whole = query("api.example", A);
        for end in 0..whole.len() {
            let expected = (end >= HEAD).then_some(FORMAT_ERROR);
            assert_eq!(code(&whole[..end]), expected, "{end}");
        }
        let changed = |at: usize, to: u8| {
            let mut query = whole.clone();
            query[at] = to;
            code(&query)
        };
        assert_eq!(changed(2, 0x81), None, "an answer");
        assert_eq!(changed(2, 0x29), Some(NOT_IMPLEMENTED), "another kind of message");
        assert_eq!(changed(5, 2), Some(FORMAT_ERROR), "two questions");
        assert_eq!(changed(12, 0xc0), Some(FORMAT_ERROR), "a name that points elsewhere");
        assert_eq!(changed(13, b'.'), Some(FORMAT_ERROR), "a dot within a label");
        assert_eq!(changed(whole.len() - 1, 3), Some(NOT_IMPLEMENTED), "another class");
        let more = [&whole[..], b"what follows is not read"].concat();
        assert_eq!(code(&more), Some(0));
    }
}
