//! `chaperone self-test`: whether anything gets out of a session on this machine, and the report.

use crate::print::{self, BAD, CAUTION, GOOD, QUIET, STRONG};
use chaperone_session::Paths;
use chaperone_session::audit::{DeviceKey, PublicKey};
use chaperone_session::self_test::{
    Counts, PART, Report, Step, Verdict, last, part, save, self_test, verify,
};
use serde::Serialize;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Try to get out of a session on this machine, under the policy in force, and sign the result
///
/// Several hundred attempts are made in worlds of their own: first outside, to prove that each
/// succeeds here, then in a session. Nothing but those worlds is touched, and nothing is left of
/// them. What would disturb the machine is left out, and named. Other programs that watch for
/// attacks may raise an alarm: tell whoever minds them first. The report lies in
/// ~/.local/state/chaperone/self-test; the last five are kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
  0  nothing got out but what is known to; with --verify: the report is what was signed
  1  something got out; with --verify: the report is not what was signed
  2  the command line was wrong
  3  nothing could be tried, or no report be written
With --if-due, where nothing was due, it is as at the last time.")]
pub(crate) struct Arguments {
    /// The report as JSON, as it is written to the disk
    #[arg(long)]
    json: bool,
    /// Only where there is no report of this kernel and this Chaperone; else print nothing
    #[arg(long, conflicts_with = "verify")]
    if_due: bool,
    /// Verify a report instead, with the key of this machine's user
    #[arg(long, value_name = "FILE")]
    verify: Option<PathBuf>,
    /// Verify with this key, which a report names as `key`
    #[arg(long, value_name = "KEY", requires = "verify")]
    key: Option<String>,
}

/// Nothing is known.
const NO_RESULT: u8 = 3;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(file) = &arguments.verify {
        return verified(file, arguments);
    }
    tried(arguments).or_else(|error| match error.downcast_ref::<io::Error>() {
        Some(closed) if closed.kind() == io::ErrorKind::BrokenPipe => Err(error),
        _ => {
            print::error(&error);
            Ok(ExitCode::from(NO_RESULT))
        }
    })
}

/// Makes attempts, or stands for victims, where a self-test has started this.
pub(crate) fn run_part(words: impl Iterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    part(&words)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a first word starts [`run_part`].
pub(crate) fn is_part(word: &str) -> bool {
    word == PART
}

fn tried(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let paths = Paths::of_this_user()?;
    if arguments.if_due
        && let Some(last) = last(&paths)
        && last.outdated.is_none()
    {
        return Ok(ended(last.out));
    }
    let mut progress = Progress::new();
    let report = self_test(&paths, &mut |step| progress.show(step));
    progress.clear();
    let report = report?;
    let written = save(&report, &paths)?;
    let mut out = print::out();
    if arguments.json {
        out.write_all(written.text.as_bytes())?;
    } else {
        show(&mut out, &report)?;
        writeln!(out, "\n{QUIET}signed report:{QUIET:#} {}", written.file.display())?;
    }
    out.flush()?;
    Ok(ended(report.counts.out))
}

/// The exit status where so many attempts got out.
fn ended(out: usize) -> ExitCode {
    match out {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// One line on a terminal that says where the self-test is.
struct Progress {
    on_terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self { on_terminal: io::stderr().is_terminal() }
    }

    fn show(&mut self, step: Step) {
        if self.on_terminal {
            let Step { group, done, of, outside } = step;
            let at = if outside { "proving outside" } else { "trying inside" };
            let _ = write!(io::stderr(), "\r\x1b[K{}/{of} {group}: {at}", done + 1);
        }
    }

    fn clear(&mut self) {
        if self.on_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn show(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let policy = report.policy.revision.as_deref().map_or_else(
        || "policy without a revision".to_owned(),
        |revision| format!("policy {}", print::visible(revision)),
    );
    let (tier, kernel) = (report.tier, &report.machine.kernel);
    writeln!(out, "{STRONG}{tier} tier{STRONG:#}, {policy}, Linux {kernel}")?;
    writeln!(
        out,
        "\n{STRONG}{:28}{:>7}{:>7}{:>7}{:>7}{:>10}{:>10}{STRONG:#}",
        "", "tried", "held", "known", "out", "not here", "left out"
    )?;
    let mut ways = report.attempts.as_slice();
    while let Some(first) = ways.first() {
        let (group, rest) =
            ways.split_at(ways.iter().take_while(|way| way.group == first.group).count());
        line(out, title(first.group), Counts::of(group))?;
        ways = rest;
    }
    line(out, "All", report.counts)?;
    let got_out = |result| report.attempts.iter().filter(move |way| way.result == result);
    for way in got_out(Verdict::Out) {
        writeln!(out, "\n{BAD}out{BAD:#}    {STRONG}{}{STRONG:#}  {}", way.name, way.technique)?;
        writeln!(out, "       {}", way.meaning)?;
        writeln!(out, "       {QUIET}to do:{QUIET:#} {}", way.remedy)?;
    }
    // One loss lets out many attempts: it is said once.
    let mut told: Vec<&str> = Vec::new();
    for way in got_out(Verdict::Known) {
        if told.contains(&way.meaning.as_str()) {
            continue;
        }
        told.push(&way.meaning);
        let same = got_out(Verdict::Known).filter(|other| other.meaning == way.meaning);
        let names: Vec<&str> = same.map(|way| way.name).collect();
        writeln!(out, "\n{CAUTION}known{CAUTION:#}  {STRONG}{}{STRONG:#}", names.join(", "))?;
        writeln!(out, "       {}", way.meaning)?;
        writeln!(out, "       {QUIET}to do:{QUIET:#} {}", way.remedy)?;
    }
    for (at, way) in got_out(Verdict::LeftOut).enumerate() {
        let apart = if at == 0 { "\n" } else { "" };
        writeln!(out, "{apart}{QUIET}left out{QUIET:#}  {}: {}", way.name, way.why)?;
    }
    let Counts { tried, out: escaped, .. } = report.counts;
    let seconds = report.seconds;
    match escaped {
        0 => writeln!(
            out,
            "\n{GOOD}Nothing got out{GOOD:#} but what is known to, of {tried} attempts in \
             {seconds} s."
        ),
        some => {
            writeln!(out, "\n{BAD}{some} of {tried} attempts got out{BAD:#}, in {seconds} s.")
        }
    }
}

fn title(group: &str) -> &'static str {
    chaperone_session::self_test::title(group)
}

fn line(out: &mut impl Write, title: &str, counts: Counts) -> io::Result<()> {
    let Counts { attempts: _, tried, held, known, out: escaped, not_applicable, left_out } = counts;
    let style = if escaped > 0 { BAD } else { anstyle::Style::new() };
    writeln!(
        out,
        "{title:28}{tried:>7}{held:>7}{known:>7}{style}{escaped:>7}{style:#}{not_applicable:>10}{left_out:>10}"
    )
}

/// What `--verify --json` prints.
#[derive(Serialize)]
struct Verified {
    verified: bool,
    reason: Option<String>,
    time: Option<jiff::Timestamp>,
    kernel: Option<String>,
    chaperone: Option<String>,
    result: Option<&'static str>,
    tried: Option<usize>,
    out: Option<usize>,
}

fn verified(file: &Path, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let key = match &arguments.key {
        Some(key) => key.parse::<PublicKey>()?,
        None => DeviceKey::public_of(&Paths::of_this_user()?.history())?.ok_or_else(|| {
            anyhow::anyhow!(
                "this user has no key yet, as no self-test was run here; name the key of the machine \
                 that the report comes from with --key"
            )
        })?,
    };
    let verified = verify(&text, &key);
    if arguments.json {
        let (told, reason) = match &verified {
            Ok(told) => (Some(told), None),
            Err(why) => (None, Some(why.to_string())),
        };
        print::json(&Verified {
            verified: told.is_some(),
            reason,
            time: told.and_then(|told| told.time),
            kernel: told.map(|told| told.kernel.clone()),
            chaperone: told.map(|told| told.chaperone.clone()),
            result: told.map(|told| told.result),
            tried: told.map(|told| told.tried),
            out: told.map(|told| told.out),
        })?;
    } else {
        let mut out = print::out();
        match &verified {
            Ok(told) => {
                let time = told.time.map(|time| time.to_string()).unwrap_or_default();
                writeln!(
                    out,
                    "{GOOD}signed{GOOD:#}  {time}: {} of {} attempts got out, on Linux {}, by \
                     Chaperone {}",
                    told.out, told.tried, told.kernel, told.chaperone
                )?;
                writeln!(out, "        {QUIET}by{QUIET:#} {key}")?;
            }
            Err(why) => writeln!(out, "{BAD}not proved{BAD:#}  {}: {why}", file.display())?,
        }
    }
    Ok(if verified.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaperone_session::self_test::Way;

    #[test]
    fn only_its_own_first_word_starts_a_part() {
        assert!(is_part("self-test-part"));
        assert!(!is_part("self-test") && !is_part("run"));
        let words = ["attempts", "/nowhere"].map(OsString::from).into_iter();
        let error = run_part(words).unwrap_err().to_string();
        assert!(error.contains("chaperone self-test"), "{error}");
    }

    #[test]
    fn groups_are_counted_apart() {
        let way = |group, result| Way {
            group,
            name: "n",
            technique: "T.",
            result,
            why: String::new(),
            cause: None,
            meaning: String::new(),
            remedy: String::new(),
        };
        let counts = Counts::of(&[way("files", Verdict::Held), way("files", Verdict::LeftOut)]);
        assert_eq!((counts.attempts, counts.tried, counts.held, counts.left_out), (2, 1, 1, 1));
    }
}
