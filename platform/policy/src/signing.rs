//! Keys with which git may sign inside a session: how a layer names one, and what is decided when
//! one is asked for. Nothing here holds or uses a private key.

use crate::decide::blocked;
use crate::{Decision, Origin, PathText, Policy, Sourced, Verdict};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};
use std::fmt;

/// The namespace of git's signatures (PROTOCOL.sshsig of OpenSSH, gitformat-signature(5)).
pub const GIT_NAMESPACE: &str = "git";

/// The kinds of keys, as the first word of a public key's line (RFC 4253, section 6.6; RFC 5656;
/// RFC 8709; PROTOCOL.u2f of OpenSSH). Certificates are none: what they certify is named.
pub const ALGORITHMS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

const EXPECTED: &str = "the file of a public key (`~/.ssh/id_ed25519.pub`, absolute or from `~`, \
                        no glob), or its line (`ssh-ed25519 AAAA…`)";

/// A key as a layer names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SshKey {
    /// By the file of its public half.
    File(PathText),
    /// By the line that stands in such a file.
    Line(PublicKey),
}

impl SshKey {
    /// Reads an entry of `signing.ssh_keys`. A file is never relative: the workspace would say
    /// which key signs. Its name ends with `.pub`, since it may then be read.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with('/') && !text.starts_with("~/") {
            return PublicKey::parse(text).map(Self::Line).ok_or(EXPECTED);
        }
        if !text.ends_with(".pub") || text.contains(['*', '?', '[', ']', '{', '}']) {
            return Err(EXPECTED);
        }
        PathText::parse(text).map(Self::File)
    }
}

impl fmt::Display for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Line(key) => f.write_str(&key.line),
        }
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    line: String,
    blob: Vec<u8>,
}

impl PublicKey {
    /// Reads a line of a `.pub` file (sshd(8), "AUTHORIZED_KEYS FILE FORMAT", without options).
    pub fn parse(line: &str) -> Option<Self> {
        if line.chars().any(char::is_control) {
            return None;
        }
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let algorithm = words.next().filter(|word| ALGORITHMS.contains(word))?;
        let blob = STANDARD.decode(words.next()?).ok()?;
        // The key says its kind again, as a text with its length before it.
        let (length, rest) = blob.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (kind, key) = rest.split_at_checked(length)?;
        let whole = kind == algorithm.as_bytes() && !key.is_empty();
        whole.then(|| Self { line: line.trim().to_owned(), blob })
    }

    /// The key as agents and signatures name it (RFC 4253, section 6.6).
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }
}

/// What people compare: `SHA256:…`, as `ssh-keygen -l` prints it.
pub fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(blob)))
}

/// Decides whether a key signs. `names` are those by which the session knew it when it started: a
/// name that holds no longer signs no more. `namespace` is that of the signature, or nothing where
/// what is to be signed is no signature of a file, as when a server is signed in to.
pub fn decide_signature(policy: &Policy, names: &[SshKey], namespace: Option<&str>) -> Decision {
    let deny = |rule: &str, origin: Origin, reason: String| Decision {
        verdict: Verdict::Deny,
        rule: Some(rule.to_owned()),
        origin,
        reason,
    };
    if let Some(decision) = blocked(policy) {
        return decision;
    }
    let signing = policy.signing();
    let Some(Sourced { value, origin }) =
        signing.ssh_keys.iter().find(|own| names.contains(&own.value))
    else {
        let origin = signing.closed.clone().unwrap_or_else(Origin::built_in);
        let rule = if signing.closed.is_some() { "signing.closed" } else { "signing.ssh_keys" };
        return deny(rule, origin, "No entry of signing.ssh_keys names this key.".to_owned());
    };
    match namespace {
        Some(GIT_NAMESPACE) => Decision {
            verdict: Verdict::Allow,
            rule: Some(format!("signing.ssh_keys {value}")),
            origin: origin.clone(),
            reason: "Git may sign with this key.".to_owned(),
        },
        Some(_) => deny(
            "signatures for git",
            Origin::built_in(),
            "The key signs for git, and this is a signature for something else.".to_owned(),
        ),
        None => deny(
            "signatures for git",
            Origin::built_in(),
            "The key signs for git; this is no signature of a file, and could sign in to a server."
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Layer, Os, SourceKind, built_in, merge};
    use std::slice;

    pub(super) const ADA: &str = "ssh-ed25519 \
        AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada@acme.example";

    #[test]
    fn a_key_is_its_line_or_its_file_and_nothing_that_could_be_anothers() {
        let bob = ADA.replace("ssh-ed25519", "ssh-rsa");
        let broken = ADA.replace("AAAAC3", "AAAAC");
        for (text, taken) in [
            (ADA, true),
            ("~/.ssh/id_ed25519.pub", true),
            ("/etc/keys/release.pub", true),
            // A private key's file would be readable.
            ("~/.ssh/id_ed25519", false),
            ("~/.ssh/*.pub", false),
            ("keys/me.pub", false),
            ("/keys/../me.pub", false),
            ("~ada/me.pub", false),
            (&bob, false),
            (&broken, false),
            ("ssh-ed25519", false),
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", false),
            ("restrict ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==", false),
            ("ssh-ed25519-cert-v01@openssh.com AAAA", false),
            ("", false),
        ] {
            assert_eq!(SshKey::parse(text).is_ok(), taken, "{text}");
        }
    }

    #[test]
    fn a_fingerprint_is_what_ssh_keygen_prints() {
        let key = PublicKey::parse(ADA).unwrap();
        assert_eq!(fingerprint(key.blob()), "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA");
    }

    fn policy(managed: &str, user: &str, workspace: &str) -> Policy {
        let context = Context {
            home: "/home/ada".into(),
            workspace: "/home/ada/work".into(),
            agent: None,
            os: Os::Linux,
        };
        let layer = |kind, name, toml: &str| Layer::from_toml(kind, name, toml);
        let layers = vec![
            built_in(),
            layer(SourceKind::ManagedFile, "/etc/10.toml", managed),
            layer(SourceKind::UserFile, "config.toml", user),
            layer(SourceKind::WorkspaceFile, ".chaperone.toml", workspace),
        ];
        merge(layers, &context)
    }

    fn keys(policy: &Policy) -> Vec<String> {
        policy.signing().ssh_keys.iter().map(|own| own.value.to_string()).collect()
    }

    #[test]
    fn managed_and_user_layers_name_keys_and_a_workspace_does_not() {
        let named = |file: &str| format!("[signing]\nssh_keys = [\"/k/{file}.pub\"]\n");
        let open = policy(&named("managed"), &named("user"), &named("workspace"));
        assert_eq!(keys(&open), ["/k/managed.pub", "/k/user.pub"]);
        let closed = policy("[signing]\nclosed = true\n", &named("user"), "");
        assert_eq!(keys(&closed), [] as [&str; 0]);
        let closed = policy(&format!("{}closed = true\n", named("managed")), &named("user"), "");
        assert_eq!(keys(&closed), ["/k/managed.pub"]);
        // What cannot be read in a managed layer falls to the strictest.
        assert_eq!(keys(&policy("signing = 1\n", &named("user"), "")), [] as [&str; 0]);
        assert_eq!(keys(&policy("", "[signing]\nclosed = true\n", "")), [] as [&str; 0]);
    }

    #[test]
    fn the_public_half_may_be_read_where_no_managed_layer_denies_it() {
        use crate::{Access, decide_file};
        let user = "[signing]\nssh_keys = [\"~/.ssh/id.pub\"]\n";
        let reads = |managed: &str, path: &str| {
            let decision = decide_file(
                &policy(managed, user, ""),
                Access::Read,
                format!("/home/ada/{path}").as_ref(),
            );
            decision.map(|decision| decision.verdict)
        };
        assert_eq!(reads("", ".ssh/id.pub"), Some(Verdict::Allow));
        assert_eq!(reads("", ".ssh/id"), Some(Verdict::Deny));
        let denied = "[filesystem]\ndeny = [\"~/.ssh\"]\n";
        assert_eq!(reads(denied, ".ssh/id.pub"), Some(Verdict::Deny));
        let closed = "[signing]\nclosed = true\n";
        assert_eq!(reads(closed, ".ssh/id.pub"), Some(Verdict::Deny));
        let read = policy("", user, "").explain("filesystem.read").unwrap();
        assert_eq!(read.value.json(), serde_json::json!([]), "nobody has said so there");
    }

    #[test]
    fn a_named_key_signs_for_git_and_nothing_else() {
        let user = format!("[signing]\nssh_keys = [\"{ADA}\"]\n");
        let policy = policy("", &user, "");
        let key = |name| SshKey::parse(name).unwrap();
        let (ada, other) = (key(ADA), key("/k/other.pub"));
        let decided = |names: &[SshKey], namespace| {
            let decision = decide_signature(&policy, names, namespace);
            (decision.verdict, decision.rule.unwrap_or_default())
        };
        let (deny, git) = (Verdict::Deny, Some("git"));
        assert_eq!(
            decided(slice::from_ref(&ada), git),
            (Verdict::Allow, format!("signing.ssh_keys {ADA}"))
        );
        assert_eq!(decided(&[other.clone(), ada.clone()], git).0, Verdict::Allow);
        assert_eq!(
            decided(slice::from_ref(&ada), Some("file")),
            (deny, "signatures for git".into())
        );
        assert_eq!(decided(slice::from_ref(&ada), None), (deny, "signatures for git".into()));
        assert_eq!(decided(slice::from_ref(&other), git), (deny, "signing.ssh_keys".into()));
        assert_eq!(decided(&[], git), (deny, "signing.ssh_keys".into()));
    }
}
