//! The certificates that a session's programs trust: those of the system and of the organisation, in
//! one file that each of the usual variables names, and in another for Java.

use chaperone_egress::java_truststore;
use chaperone_policy::Policy;
use chaperone_sandbox::Plan;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file's name in the session's temporary folder, and that of the one for Java.
const NAME: &str = "certificates.pem";
const FOR_JAVA: &str = "certificates.jks";
/// What every Java machine reads, also those that are not started by the command `java`.
const JAVA_OPTIONS: &str = "JAVA_TOOL_OPTIONS";
const TRUSTSTORE: &str = "-Djavax.net.ssl.trustStore=";
/// Where systems keep theirs; the first that is there counts.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Who reads which variable: OpenSSL and what is made of it, Go and Python among them; curl; git;
/// Python's requests and pip; cargo; Node, and npm where its own settings name another file; the AWS
/// command line; Deno.
const VARIABLES: [&str; 10] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "npm_config_cafile",
    "AWS_CA_BUNDLE",
    "DENO_CERT",
];
/// No file of certificates is larger.
const LARGEST: u64 = 4 << 20;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// The certificates that the policy adds, as PEM. What cannot be added is a sentence for a person.
pub(super) fn added(policy: &Policy, workspace: &Path, troubles: &mut Vec<String>) -> String {
    let mut own = String::new();
    for file in &policy.network().ca {
        match certificates(Path::new(file.value.as_str()), workspace) {
            Ok(text) => add(&mut own, &text),
            Err(why) => troubles.push(format!(
                "the certificates in {} ({}) are not trusted in this session: {why}",
                file.value, file.origin
            )),
        }
    }
    own
}

/// Writes the files into the session's temporary folder, and names them to the session's programs, where
/// there is something to add.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn allow_in(plan: &mut Plan, added: &str, temp: &Path) -> io::Result<()> {
    if added.is_empty() {
        return Ok(());
    }
    // What the user's own variables name is trusted as before.
    let named = VARIABLES.iter().filter_map(|name| plan.environment.get(*name)).map(PathBuf::from);
    let system = SYSTEM.iter().map(PathBuf::from).find(|path| path.exists());
    let before: BTreeSet<PathBuf> = named.chain(system).collect();
    let mut all = String::new();
    for text in before.iter().filter_map(|path| certificates(path, &plan.workspace).ok()) {
        add(&mut all, &text);
    }
    add(&mut all, added);
    fs::write(temp.join(FOR_JAVA), java_truststore(&all))?;
    fs::write(temp.join(NAME), all)?;
    let folder = plan.environment.get("TMPDIR").map_or_else(|| temp.to_owned(), PathBuf::from);
    let file = folder.join(NAME).to_string_lossy().into_owned();
    for name in VARIABLES {
        plan.environment.insert(name.to_owned(), file.clone());
    }
    let options = plan.environment.entry(JAVA_OPTIONS.to_owned()).or_default();
    // A store of the user's own choice cannot be read here, and stays.
    if !options.contains(TRUSTSTORE) {
        if !options.is_empty() {
            options.push(' ');
        }
        // They are told apart by spaces, but for what stands in quotes.
        let store = folder.join(FOR_JAVA);
        options.push_str(&format!("{TRUSTSTORE}\"{}\"", store.display()));
    }
    Ok(())
}

fn certificates(path: &Path, workspace: &Path) -> Result<String, String> {
    let path = path.canonicalize().map_err(|error| error.to_string())?;
    // A session of before could have written it.
    if path.starts_with(workspace) {
        return Err("the file lies in the workspace, where a session could change it".to_owned());
    }
    let found = fs::metadata(&path).map_err(|error| error.to_string())?;
    if !found.is_file() || found.len() > LARGEST {
        return Err("it is no file of certificates".to_owned());
    }
    let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    if text.contains(BEGIN) { Ok(text) } else { Err(format!("nothing in it begins {BEGIN}")) }
}

fn add(to: &mut String, text: &str) {
    to.push_str(text);
    if !text.ends_with('\n') {
        to.push('\n');
    }
}
