//! Where reports lie, and how they are signed and verified.
//!
//! A report is a JSON object whose last member, `signature`, is a line of a C2SP signed note over
//! the text of the object without that member, so that the file is both: JSON for whoever collects
//! it, and a note for whoever verifies it.

use super::report::{KIND, Report, VERSION, Verdict, kernel};
use crate::paths::{Paths, private_dir};
use chaperone_audit::{DeviceKey, PublicKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// So many reports are kept.
const KEPT: usize = 5;

/// What stands between a report's text and its signature.
const SIGNATURE: &str = ",\n  \"signature\": ";
const END: &str = "\n}\n";

/// A report on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub file: PathBuf,
    /// Its whole text.
    pub text: String,
}

/// Why no report could be written, or an old one not be removed.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The device's key.
    #[error(transparent)]
    Key(#[from] chaperone_audit::Error),
    /// The folder or a file in it.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It could not be put into words.
    #[error("the report: {0}")]
    Encode(#[from] serde_json::Error),
}

/// Signs a report and writes it beside the history; the oldest beyond [`KEPT`] go.
///
/// # Errors
/// When it cannot be signed or written.
pub fn save(report: &Report, paths: &Paths) -> Result<Written, SaveError> {
    let folder = paths.self_tests();
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| SaveError::Io { path, source }
    };
    private_dir(&paths.state).map_err(io(&paths.state))?;
    private_dir(&folder).map_err(io(&folder))?;
    let key = DeviceKey::open(&paths.history())?;
    let text = signed(report, &key)?;
    let name = report.time.strftime("%Y%m%dT%H%M%S%.3fZ.json").to_string();
    let file = folder.join(name);
    // Whoever collects reports never finds half of one.
    let new = folder.join(".new");
    let written = fs::File::create(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(io(&new))?;
    fs::rename(&new, &file).map_err(io(&file))?;
    let files = files(&folder);
    for old in files.iter().take(files.len().saturating_sub(KEPT)) {
        fs::remove_file(old).map_err(io(old))?;
    }
    Ok(Written { file, text })
}

fn signed(report: &Report, key: &DeviceKey) -> Result<String, serde_json::Error> {
    let report = Report { key: Some(key.public().to_string()), ..report.clone() };
    let mut text = serde_json::to_string_pretty(&report)?;
    text.push('\n');
    let signature = serde_json::to_string(&key.sign(&text))?;
    text.truncate(text.len() - END.len());
    text.push_str(&format!("{SIGNATURE}{signature}{END}"));
    Ok(text)
}

/// The reports of a folder, the oldest first: their names begin with their times.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
    files.sort();
    files
}

/// Why a report proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Altered {
    /// It is no report.
    #[error("it is no report of a self-test that this version knows: {0}")]
    NotAReport(String),
    /// Another key than the one that is trusted.
    #[error(
        "it says that it is signed by {found}, and the key that is trusted here is {expected}; if \
         it comes from another machine, name that machine's key with --key"
    )]
    OtherKey {
        /// What the report names.
        found: String,
        /// What verifies.
        expected: String,
    },
    /// It was changed after it was signed, or never signed by this key.
    #[error("its signature does not fit its text: it was altered, or signed by nobody")]
    Signature,
}

/// Verifies that a report is exactly what the holder of this key signed.
///
/// # Errors
/// [`Altered`].
pub fn verify(text: &str, key: &PublicKey) -> Result<LastSelfTest, Altered> {
    let no = |why: &str| Altered::NotAReport(why.to_owned());
    let body = text.strip_suffix(END).ok_or_else(|| no("its end is missing"))?;
    let (body, signature) =
        body.rsplit_once(SIGNATURE).ok_or_else(|| no("it has no signature at its end"))?;
    let signature: String =
        serde_json::from_str(signature).map_err(|error| no(&error.to_string()))?;
    let told: Told = serde_json::from_str(text).map_err(|error| no(&error.to_string()))?;
    if told.v != VERSION || told.kind != KIND {
        return Err(no(&format!("it is version {} of `{}`", told.v, told.kind)));
    }
    if told.key != key.to_string() {
        return Err(Altered::OtherKey { found: told.key, expected: key.to_string() });
    }
    if !key.verifies(&format!("{body}{END}"), &signature) {
        return Err(Altered::Signature);
    }
    Ok(told.summary())
}

/// What is read of a report.
#[derive(Debug, Deserialize)]
struct Told {
    v: u32,
    kind: String,
    time: Timestamp,
    chaperone: String,
    machine: ToldMachine,
    result: Verdict,
    counts: ToldCounts,
    key: String,
}

#[derive(Debug, Deserialize)]
struct ToldMachine {
    kernel: String,
}

#[derive(Debug, Deserialize)]
struct ToldCounts {
    tried: usize,
    out: usize,
}

impl Told {
    fn summary(self) -> LastSelfTest {
        LastSelfTest {
            time: Some(self.time),
            kernel: self.machine.kernel,
            chaperone: self.chaperone,
            result: match self.result {
                Verdict::Out => "out",
                _ => "held",
            },
            tried: self.counts.tried,
            out: self.counts.out,
            file: PathBuf::new(),
            outdated: None,
        }
    }
}

/// A self-test in a few words, for `status` and `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastSelfTest {
    /// When.
    pub time: Option<Timestamp>,
    /// On which kernel.
    pub kernel: String,
    /// By which Chaperone.
    pub chaperone: String,
    /// `held`, `out`, or `altered` where the report is not what was signed.
    pub result: &'static str,
    /// How many attempts were made inside.
    pub tried: usize,
    /// How many of them got out that no loss names.
    pub out: usize,
    /// The report.
    pub file: PathBuf,
    /// Why it says nothing of this machine as it is now.
    pub outdated: Option<String>,
}

/// The last self-test of this user on this machine; `None` where there was none.
pub fn last(paths: &Paths) -> Option<LastSelfTest> {
    last_of(paths, &kernel(), env!("CARGO_PKG_VERSION"))
}

fn last_of(paths: &Paths, kernel: &str, chaperone: &str) -> Option<LastSelfTest> {
    let file = files(&paths.self_tests()).pop()?;
    let key = DeviceKey::public_of(&paths.history()).ok().flatten();
    let read = fs::read_to_string(&file).map_err(|error| error.to_string());
    let verified = read.and_then(|text| match key {
        Some(key) => verify(&text, &key).map_err(|error| error.to_string()),
        None => Err("the key that signed it is gone".to_owned()),
    });
    Some(match verified {
        Ok(test) => {
            let outdated = outdated(&test, kernel, chaperone);
            LastSelfTest { file, outdated, ..test }
        }
        Err(why) => LastSelfTest {
            time: None,
            kernel: String::new(),
            chaperone: String::new(),
            result: "altered",
            tried: 0,
            out: 0,
            file,
            outdated: Some(why),
        },
    })
}

fn outdated(test: &LastSelfTest, kernel: &str, chaperone: &str) -> Option<String> {
    if test.kernel != kernel {
        return Some(format!("the kernel was {} and is {kernel}", test.kernel));
    }
    (test.chaperone != chaperone)
        .then(|| format!("Chaperone was {} and is {chaperone}", test.chaperone))
}

#[cfg(test)]
mod tests {
    use super::super::report::{Counts, Host, InForce, Way};
    use super::*;
    use chaperone_policy::Mode;
    use chaperone_sandbox::{Tier, assume};

    fn report(time: &str, out: bool) -> Report {
        let way = Way {
            group: "files",
            name: "read-key",
            technique: "Opens a private key in the home folder.",
            result: if out { Verdict::Out } else { Verdict::Held },
            why: String::new(),
            cause: None,
            meaning: String::new(),
            remedy: String::new(),
        };
        Report {
            v: VERSION,
            kind: KIND,
            time: time.parse().unwrap(),
            seconds: 1,
            chaperone: "0.1.0".into(),
            machine: Host {
                name: "m".into(),
                system: "linux x86_64".into(),
                kernel: "6.1 #1".into(),
            },
            user: "ada".into(),
            policy: InForce {
                revision: Some("1".into()),
                digest: "00".into(),
                mode: Mode::Enforce,
                layers: Vec::new(),
            },
            tier: Tier::Full,
            capabilities: assume(),
            losses: Vec::new(),
            result: way.result,
            counts: Counts::of([&way]),
            attempts: vec![way],
            key: None,
        }
    }

    fn paths(home: &Path) -> Paths {
        Paths::from_environment(|name| (name == "HOME").then(|| home.into())).unwrap()
    }

    #[test]
    fn a_report_is_json_and_verifies_until_a_letter_of_it_changes() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        let written = save(&report("2026-11-22T10:00:00Z", true), &paths).unwrap();
        let text = &written.text;
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut names = json.as_object().unwrap().keys();
        assert_eq!(names.next_back().unwrap(), "signature");
        let key = DeviceKey::public_of(&paths.history()).unwrap().unwrap();
        let told = verify(text, &key).unwrap();
        assert_eq!((told.result, told.tried, told.out), ("out", 1, 1));
        for (from, to) in [
            ("\"out\"", "\"held\""),
            ("\"out\": 1", "\"out\": 0"),
            ("6.1 #1", "6.2 #1"),
            ("read-key", "read-kez"),
        ] {
            assert_eq!(
                verify(&text.replacen(from, to, 1), &key),
                Err(Altered::Signature),
                "{from}"
            );
        }
        // A member behind the signature, or twice.
        let more = text.replace(END, ",\n  \"result\": \"held\"\n}\n");
        assert!(verify(&more, &key).is_err());
        let twice = text.replace(SIGNATURE, ",\n  \"result\": \"held\",\n  \"signature\": ");
        assert!(verify(&twice, &key).is_err());
        assert!(verify("{}\n", &key).is_err());
        let other = DeviceKey::open(&home.path().join("other")).unwrap().public();
        assert!(matches!(verify(text, &other), Err(Altered::OtherKey { .. })));
        let forged = text.replace(&key.to_string(), &other.to_string());
        assert_eq!(verify(&forged, &other), Err(Altered::Signature));
    }

    #[test]
    fn the_last_few_are_kept_and_what_changed_since_the_last_is_told() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        assert_eq!(last(&paths), None);
        for second in 0..7 {
            let time = format!("2026-11-22T10:00:0{second}Z");
            save(&report(&time, second == 6), &paths).unwrap();
        }
        let kept = files(&paths.self_tests());
        assert_eq!(kept.len(), KEPT);
        let told = |kernel: &str, chaperone: &str| last_of(&paths, kernel, chaperone).unwrap();
        let same = told("6.1 #1", "0.1.0");
        assert_eq!((same.result, same.out, same.outdated), ("out", 1, None));
        assert_eq!(Some(&same.file), kept.last());
        let kernel = told("6.2 #1", "0.1.0").outdated;
        assert_eq!(kernel.as_deref(), Some("the kernel was 6.1 #1 and is 6.2 #1"));
        let chaperone = told("6.1 #1", "0.2.0").outdated;
        assert_eq!(chaperone.as_deref(), Some("Chaperone was 0.1.0 and is 0.2.0"));
        let text = fs::read_to_string(&same.file).unwrap();
        fs::write(&same.file, text.replacen("\"out\"", "\"held\"", 1)).unwrap();
        assert_eq!(told("6.1 #1", "0.1.0").result, "altered");
    }
}
