//! What holds of a connection that may be made, beyond that it may be.

use crate::{Action, HttpRequest, Policy, pinned, uploads};

/// Sentences about what may be sent to the host of a connection or a request, and as whom; empty
/// where nothing is said of that.
pub fn bounds(policy: &Policy, action: &Action) -> String {
    let (host, port) = match action {
        Action::Connect { host, port } | Action::Http(HttpRequest { host, port, .. }) => {
            (host, *port)
        }
        Action::Run(_) | Action::Read { .. } | Action::Write { .. } => return String::new(),
    };
    let mut out = String::new();
    let uploads = uploads(policy, host, port).into_iter().map(|own| own.value.sentence(host));
    for sentence in uploads.chain(pinned(policy, host, port).map(|own| own.sentence())) {
        let mut letters = sentence.chars();
        out.extend([' '].into_iter().chain(letters.next().map(|first| first.to_ascii_uppercase())));
        out.extend(letters.chain(['.']));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Layer, Os, SourceKind, merge};

    #[test]
    fn it_says_how_much_and_as_whom() {
        let text = "[network]\nupload = [\"50 MiB per 1h\", \"* 1 GiB per session\"]\n\
            [identity]\norganisations = [\"github:1\"]\n";
        let layer = Layer::from_toml(SourceKind::ManagedFile, "/p.toml", text);
        let context = Context {
            home: "/home/ada".into(),
            workspace: "/home/ada/work".into(),
            agent: None,
            os: Os::Linux,
        };
        let policy = merge(vec![layer], &context);
        let connect = |host: &str| Action::Connect { host: host.to_owned(), port: 443 };
        assert_eq!(
            bounds(&policy, &connect("github.com")),
            " No more than 50 MiB may be sent to github.com within 1h. No more than 1 GiB may be \
             sent to all hosts together in one session. Only accounts of 1 may be used at github."
        );
        assert_eq!(bounds(&merge(Vec::new(), &context), &connect("github.com")), "");
        assert_eq!(bounds(&policy, &Action::Read { path: "/x".into() }), "");
    }
}
