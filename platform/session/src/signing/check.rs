//! What `doctor` says of signing: which keys may sign here, and why one that is named does not.

use super::keys::{self, NamedKey};
use super::upstream::Upstream;
use super::wire;
use crate::doctor::{Check, CheckStatus};
use chaperone_policy::{Context, Policy, fingerprint};
use std::collections::BTreeMap;

/// Nothing where the policy names no key.
pub(crate) fn check(
    policy: &Policy,
    context: &Context,
    environment: &BTreeMap<String, String>,
) -> Option<Check> {
    if policy.signing().ssh_keys.is_empty() {
        return None;
    }
    let (keys, troubles) = keys::named(policy, context);
    let held = Upstream::of(environment).map(|agent| {
        let answer = agent.ask(&wire::ask_identities()).map_err(|error| error.to_string())?;
        let held = wire::identities(&answer).ok_or("it answers with what is no list of keys")?;
        Ok(held.into_iter().map(|held| held.key.to_owned()).collect())
    });
    Some(told(&keys, troubles, held))
}

type Held = Result<Vec<Vec<u8>>, String>;

fn told(keys: &[NamedKey], troubles: Vec<String>, held: Option<Held>) -> Check {
    let (mut status, mut fix) = (CheckStatus::Ok, "");
    let mut said = troubles;
    if !said.is_empty() {
        (status, fix) =
            (CheckStatus::Warn, "Name the file of a public key outside of the workspace.");
    }
    let mut warn = |said: &mut Vec<String>, text: String, remedy| {
        said.push(text);
        (status, fix) = (CheckStatus::Warn, remedy);
    };
    let start = "Start an agent (`eval $(ssh-agent)`, `ssh-add`), and Chaperone where \
                 SSH_AUTH_SOCK names it.";
    match held {
        _ if keys.is_empty() => {
            let text = "Git cannot sign: none of the keys that signing.ssh_keys names is here";
            warn(&mut said, text.to_owned(), "Create the key, or name another.");
        }
        None => warn(&mut said, "Git cannot sign: SSH_AUTH_SOCK names no SSH agent".into(), start),
        Some(Err(why)) => {
            warn(
                &mut said,
                format!("Git cannot sign: the SSH agent does not answer ({why})"),
                start,
            );
        }
        Some(Ok(held)) => {
            for NamedKey { blob, names } in keys {
                let fingerprint = fingerprint(blob);
                let name = names.first().map(ToString::to_string).unwrap_or_default();
                if held.contains(blob) {
                    said.push(format!("Git may sign with {fingerprint} ({name})"));
                } else {
                    let text = format!("The SSH agent does not hold {fingerprint} ({name})");
                    warn(&mut said, text, "Add it with `ssh-add`.");
                }
            }
        }
    }
    let detail = format!("{}.", said.join(". "));
    Check { id: "signing".into(), status, detail, fix: fix.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaperone_policy::SshKey;

    #[test]
    fn it_says_which_keys_sign_and_why_one_does_not() {
        let key = |blob: &[u8], name| NamedKey {
            blob: blob.to_vec(),
            names: vec![SshKey::parse(name).unwrap()],
        };
        let keys = [key(b"a", "/k/a.pub"), key(b"b", "/k/b.pub")];
        let told = |keys: &[NamedKey], held| {
            let Check { status, detail, .. } = told(keys, Vec::new(), held);
            (status, detail)
        };
        let both = Some(Ok(vec![b"a".to_vec(), b"b".to_vec()]));
        let (status, detail) = told(&keys, both);
        assert_eq!(status, CheckStatus::Ok);
        assert!(detail.starts_with("Git may sign with SHA256:"), "{detail}");
        let (status, detail) = told(&keys, Some(Ok(vec![b"a".to_vec()])));
        assert_eq!(status, CheckStatus::Warn);
        assert!(detail.contains("(/k/a.pub). The SSH agent does not hold SHA256:"), "{detail}");
        for (keys, held) in
            [(&keys[..], None), (&keys[..], Some(Err("No".into()))), (&[], Some(Ok(Vec::new())))]
        {
            let (status, detail) = told(keys, held);
            assert_eq!(status, CheckStatus::Warn, "{detail}");
            assert!(detail.starts_with("Git cannot sign: "), "{detail}");
        }
    }
}
