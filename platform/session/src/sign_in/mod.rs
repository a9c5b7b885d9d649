//! Signing in from inside a session, as RFC 8252 has it: the agent's own sign-in page opens in the
//! person's browser, and what the browser answers to the loopback is carried into the session.
//!
//! No other page is opened: an address can carry anything out. The way to ask is a program that is
//! about to start, this one with the address as its only argument, which `BROWSER` names inside.

#[cfg(target_os = "linux")]
pub(crate) mod callback;

use crate::agents::AgentFile;
use url::{Host, Url};

/// Names the program that opens pages.
pub const VARIABLE: &str = "BROWSER";

/// No address is longer: authorization requests have some hundred bytes.
const LONGEST: usize = 8 << 10;

/// Ports below are not a user's to listen on.
const FIRST_PORT: u16 = 1024;

/// Whether a word on the command line is the address of a page.
pub fn is_address(word: &str) -> bool {
    word.starts_with("https://") || word.starts_with("http://")
}

/// A page on which a person signs an agent in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// As the browser is given it.
    pub address: Url,
    /// The port of the loopback that the page sends the browser back to (RFC 8252, section 7.3);
    /// `None` where it shows a code instead.
    pub callback: Option<u16>,
}

impl Page {
    /// The page at this address, if it is a sign-in page of the agent's.
    pub fn of(agent: Option<&AgentFile>, address: &str) -> Option<Self> {
        let address = Url::parse(address).ok().filter(|_| address.len() <= LONGEST)?;
        let pages = &agent?.sign_in.pages;
        let is_page = |page: &String| Url::parse(page).is_ok_and(|page| is_at(&address, &page));
        pages.iter().find(|page| is_page(page))?;
        let redirect = address.query_pairs().find(|(name, _)| name == "redirect_uri");
        let redirect = redirect.map(|(_, value)| Url::parse(&value)).transpose().ok()?;
        let callback = match redirect.filter(is_loopback) {
            Some(redirect) => {
                Some(redirect.port_or_known_default().filter(|port| *port >= FIRST_PORT)?)
            }
            None => None,
        };
        Some(Self { address, callback })
    }
}

/// Whether an address is that of a page, whatever is asked of it.
fn is_at(address: &Url, page: &Url) -> bool {
    address.origin() == page.origin()
        && address.path() == page.path()
        && address.username().is_empty()
        && address.password().is_none()
}

fn is_loopback(redirect: &Url) -> bool {
    redirect.scheme() == "http"
        && match redirect.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail where it likes")]
mod tests {
    use super::*;
    use crate::agents::all;

    const AT: &str = "https://auth.openai.com/oauth/authorize";

    #[test]
    fn only_the_agents_own_sign_in_page_is_one_and_it_tells_where_its_answer_goes() {
        let back = |uri: &str| format!("{AT}?client_id=x&redirect_uri={uri}&state=y");
        let table = [
            (AT.to_owned(), Some(None)),
            (back("http%3A%2F%2Flocalhost%3A1455%2Fauth%2Fcallback"), Some(Some(1455))),
            (back("http://127.0.0.1:1455/"), Some(Some(1455))),
            (back("http://[::1]:1455/"), Some(Some(1455))),
            (back("https://platform.openai.com/code"), Some(None)),
            // A port that is not the user's, and an address that is none.
            (back("http://localhost/"), None),
            (back("http://localhost:22/"), None),
            (back("nothing"), None),
            ("https://auth.openai.com/oauth/authorize/../logout".to_owned(), None),
            ("https://auth.openai.com/other".to_owned(), None),
            ("https://auth.openai.com:8443/oauth/authorize".to_owned(), None),
            ("https://auth.openai.com.paste.example/oauth/authorize".to_owned(), None),
            ("https://ada:key@auth.openai.com/oauth/authorize".to_owned(), None),
            ("http://auth.openai.com/oauth/authorize".to_owned(), None),
            ("https://claude.ai/oauth/authorize".to_owned(), None),
            (format!("{AT}?x={}", "x".repeat(LONGEST)), None),
            ("nothing".to_owned(), None),
        ];
        let codex = all().find(|agent| agent.name == "codex");
        for (address, expected) in table {
            let page = Page::of(codex, &address);
            assert_eq!(page.map(|page| page.callback), expected, "{address}");
        }
        assert_eq!(Page::of(None, AT), None);
        // What a browser is given is the address in its one spelling.
        let page = Page::of(codex, "HTTPS://AUTH.openai.com:443/oauth/./authorize?a=b c").unwrap();
        assert_eq!(page.address.as_str(), format!("{AT}?a=b%20c"));
    }

    #[test]
    fn every_page_in_an_agent_file_is_an_address_of_https_without_a_question() {
        let mut count = 0;
        for page in all().flat_map(|agent| &agent.sign_in.pages) {
            let address = Url::parse(page).unwrap();
            assert_eq!((address.scheme(), address.as_str()), ("https", page.as_str()));
            assert!(address.query().is_none() && address.path() != "/", "{page}");
            count += 1;
        }
        assert_ne!(count, 0);
    }
}
