//! `chaperone://requests/ID` and its like: how a notification, the tray or a second start says
//! which page to open.

/// The first link among a program's arguments, if it is one of ours.
pub(crate) fn among(arguments: &[String]) -> Option<String> {
    arguments.iter().skip(1).find(|argument| is_ours(argument)).cloned()
}

/// The link to one request.
pub(crate) fn to_request(id: &str) -> String {
    format!("chaperone://requests/{id}")
}

/// Only what the window's own router understands: anybody may start the program with anything.
fn is_ours(link: &str) -> bool {
    link.strip_prefix("chaperone://").is_some_and(|rest| {
        !rest.is_empty()
            && rest.len() <= 256
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/.".contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(link: &str) -> Vec<String> {
        vec!["chaperone-desktop".into(), "--flag".into(), link.into()]
    }

    #[test]
    fn a_link_among_the_arguments_is_found() {
        let link = to_request("20261122-090225-k3f9.1");
        assert_eq!(among(&arguments(&link)), Some(link));
    }

    #[test]
    fn what_is_no_link_of_ours_is_not() {
        for other in ["https://example", "chaperone://", "chaperone://a?b", "chaperone://a<b"] {
            assert_eq!(among(&arguments(other)), None, "{other}");
        }
        assert_eq!(among(&["chaperone://home".to_owned()]), None, "the program's own name");
    }
}
