//! What a report of a self-test says.

use chaperone_policy::{LayerSummary, Mode};
use chaperone_sandbox::{Loss, Machine, Tier};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the report's form.
pub(super) const VERSION: u32 = 1;

/// What a report says that it is.
pub(super) const KIND: &str = "chaperone-self-test";

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It succeeded outside and not inside.
    Held,
    /// It got out, and this machine's losses or the threat model say so.
    Known,
    /// It got out.
    Out,
    /// It did not succeed outside either.
    NotApplicable,
    /// Its proof would disturb the machine, so it was not made.
    LeftOut,
}

/// One attempt, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Way {
    /// What it attacks: a stable identifier.
    pub group: &'static str,
    /// A stable identifier.
    pub name: &'static str,
    /// The technique, in one sentence.
    pub technique: &'static str,
    /// What came of it.
    pub result: Verdict,
    /// What it failed with, or why it was left out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// For what got out: the loss (an identifier of `doctor`), `left` (the threat model says so),
    /// `policy` (it is held under the built-in policy) or `machine`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What that means.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub meaning: String,
    /// What to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// How many attempts came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All there are.
    pub attempts: usize,
    /// Proved outside, then made inside.
    pub tried: usize,
    /// Of those, held.
    pub held: usize,
    /// Of those, out as the losses say.
    pub known: usize,
    /// Of those, out.
    pub out: usize,
    /// Not applicable on this machine.
    pub not_applicable: usize,
    /// Left out, as they would disturb the machine.
    pub left_out: usize,
}

impl Counts {
    /// Of these attempts.
    pub fn of<'a>(ways: impl IntoIterator<Item = &'a Way>) -> Self {
        let mut counts = Self::default();
        for way in ways {
            counts.attempts += 1;
            let (tried, one) = match way.result {
                Verdict::Held => (true, &mut counts.held),
                Verdict::Known => (true, &mut counts.known),
                Verdict::Out => (true, &mut counts.out),
                Verdict::NotApplicable => (false, &mut counts.not_applicable),
                Verdict::LeftOut => (false, &mut counts.left_out),
            };
            *one += 1;
            counts.tried += usize::from(tried);
        }
        counts
    }
}

/// Which machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Its name on its network.
    pub name: String,
    /// The operating system and the processor: `linux x86_64`.
    pub system: String,
    /// The kernel's release and build, as `uname -rv` has them.
    pub kernel: String,
}

/// Under which policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InForce {
    /// As its layers say.
    pub revision: Option<String>,
    /// SHA-256 over a line `KIND LOCATOR STATUS DIGEST` for each of the layers, in their order.
    pub digest: String,
    /// Whether it enforces.
    pub mode: Mode,
    /// Its layers, but for those of the world that the self-test makes.
    pub layers: Vec<LayerSummary>,
}

/// What a self-test found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of this form.
    pub v: u32,
    /// `chaperone-self-test`.
    pub kind: &'static str,
    /// When it began.
    pub time: Timestamp,
    /// How long it took.
    pub seconds: u64,
    /// Chaperone's version.
    pub chaperone: String,
    /// Which machine.
    pub machine: Host,
    /// Whose session: the login name.
    pub user: String,
    /// Under which policy.
    pub policy: InForce,
    /// How strong the sandbox is here.
    pub tier: Tier,
    /// What it is built from, each found by doing it.
    pub capabilities: Machine,
    /// What is lost here.
    pub losses: Vec<Loss>,
    /// `held`, or `out` where something got out that no loss names.
    pub result: Verdict,
    /// How many attempts came to what.
    pub counts: Counts,
    /// Every attempt, in the order of the table.
    pub attempts: Vec<Way>,
    /// The key that signs, once it is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The running kernel's release and build.
#[cfg(unix)]
pub(super) fn kernel() -> String {
    let name = rustix::system::uname();
    format!("{} {}", name.release().to_string_lossy(), name.version().to_string_lossy())
}

/// The running kernel's release and build.
#[cfg(not(unix))]
pub(super) fn kernel() -> String {
    String::new()
}
