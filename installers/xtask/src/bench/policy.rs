//! How long large policies take: ten layers merged and explained in one process, and one command
//! tried against five thousand rules by `chaperone policy test` and by `codex execpolicy check`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Bar, Bars, hyperfine, report};
use crate::project::Project;
use crate::{checks, tools};

/// Rules in one layer, and in the one file that is tried.
const RULES: usize = 5000;
/// Milliseconds that merging and explaining ten layers may take.
const EXPLAIN_BAR: f64 = 20.0;
/// How many times faster than `codex execpolicy check` a command is tried.
const TRY_BAR: f64 = 10.0;

/// One line of the policy crate's example `ten_layers`.
#[derive(Deserialize)]
struct Explained {
    layers: usize,
    rules: usize,
    /// "the same" or "its own".
    commands: String,
    holding: usize,
    lost: usize,
    parse: Step,
    merge: Step,
    explain: Step,
    merge_and_explain: Step,
    print: Step,
}

/// A median, in milliseconds.
#[derive(Deserialize)]
struct Step {
    wall_ms: f64,
    cpu_ms: f64,
}

/// Merging and explaining.
pub(super) fn explain(project: &Project, runs: u32, bars: &mut Bars) -> Result<()> {
    let mut cargo = project.command("cargo");
    cargo.args(["run", "--release", "--locked", "--quiet", "-p", "chaperone-policy"]);
    cargo.args(["--example", "ten_layers", "--"]).args([RULES.to_string(), runs.to_string()]);
    let out = cargo.output().context("could not start cargo")?;
    if !out.status.success() {
        bail!("the example ten_layers failed:\n{}", String::from_utf8_lossy(&out.stderr).trim());
    }
    println!(
        "\nLayers that are parsed already, merged, and `commands.rule` explained with every loser\n\
         (medians of {runs} rounds in one process: by the clock, and on a processor)\n"
    );
    let mut slowest = 0.0_f64;
    for line in String::from_utf8_lossy(&out.stdout).lines() {
        let own: Explained = serde_json::from_str(line).context("the output of ten_layers")?;
        let Explained { layers, rules, commands, holding, lost, .. } = &own;
        println!(
            "  {layers} layers of {rules} rules, each about {commands} commands: {holding} hold, \
             {lost} lost"
        );
        for (name, step) in [
            ("merge", &own.merge),
            ("explain", &own.explain),
            ("both", &own.merge_and_explain),
            ("beside: parse TOML", &own.parse),
            ("beside: print as JSON", &own.print),
        ] {
            println!("    {name:26} {:9.2} ms {:9.2} ms", step.wall_ms, step.cpu_ms);
        }
        slowest = slowest.max(own.merge_and_explain.wall_ms);
    }
    bars.hold(
        "10 layers of 5000 rules merged and explained",
        slowest,
        (Bar::AtMost, EXPLAIN_BAR, "ms"),
    );
    Ok(())
}

/// A way of writing the same rules.
struct Form {
    name: &'static str,
    title: &'static str,
    /// With a reason, and with examples that are checked as the rules load.
    reason: bool,
    examples: bool,
}

const FORMS: [Form; 3] = [
    Form { name: "bare", title: "bare", reason: false, examples: false },
    Form { name: "reasons", title: "reason", reason: true, examples: false },
    Form { name: "examples", title: "reason, examples", reason: true, examples: true },
];

/// Trying one command.
pub(super) fn try_command(project: &Project, dir: &Path, runs: u32, bars: &mut Bars) -> Result<()> {
    if !checks::prepare(project, &["npm-agents"])? {
        bail!("Codex could not be installed, so there is nothing to compare with");
    }
    let codex = codex(&tools::agents_folder(project)?)?;
    let chaperone = project.binary("release", "chaperone");
    for form in FORMS {
        let (toml, rules) = form.texts();
        let file = |ending| dir.join(format!("{}.{ending}", form.name));
        fs::write(file("toml"), toml)?;
        fs::write(file("rules"), rules)?;
        let commands = [
            (
                "chaperone".to_owned(),
                format!(
                    "{} policy test --json --policy {} -- git push",
                    chaperone.display(),
                    file("toml").display()
                ),
            ),
            (
                "codex".to_owned(),
                format!(
                    "{} execpolicy check --rules {} -- git push",
                    codex.display(),
                    file("rules").display()
                ),
            ),
        ];
        let times = hyperfine(project, dir, &dir.join("workspace"), form.name, runs, &commands)?;
        let title =
            format!("One command tried against {RULES} rules in a fresh process, {}", form.title);
        let ratios = report(&title, &commands, &times, "chaperone");
        let ratio = ratios.get("codex").copied().unwrap_or(f64::NAN);
        bars.hold(
            format!("policy test to codex execpolicy check, {}", form.title),
            ratio,
            (Bar::AtLeast, TRY_BAR, "×"),
        );
    }
    Ok(())
}

/// The program itself: the script in `.bin` starts Node first.
fn codex(modules: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    for package in fs::read_dir(modules.join("@openai"))?.flatten() {
        for vendor in fs::read_dir(package.path().join("vendor")).into_iter().flatten().flatten() {
            found.push(vendor.path().join("bin/codex"));
        }
    }
    let there = found.into_iter().find(|file| file.is_file());
    there.with_context(|| format!("there is no codex program below {}", modules.display()))
}

impl Form {
    /// As Chaperone's file and as Codex's. None of the rules but the last matches `git push`.
    fn texts(&self) -> (String, String) {
        let (mut toml, mut rules) = (String::new(), String::new());
        for number in 0..RULES - 1 {
            toml += &format!(
                "[[commands.rule]]\nprefix = [\"tool-{number}\", \"publish\"]\ndecision = \"ask\"\n"
            );
            rules += &format!("prefix_rule(pattern=[\"tool-{number}\", \"publish\"], ");
            rules += "decision=\"prompt\"";
            if self.reason {
                toml += "reason = \"Publishes work.\"\n";
                rules += ", justification=\"Publishes work.\"";
            }
            if self.examples {
                let examples = [
                    format!("[[\"tool-{number}\", \"publish\", \"now\"]]"),
                    format!("[[\"tool-{number}\", \"status\"]]"),
                ];
                toml += &format!("match = {}\nnot_match = {}\n", examples[0], examples[1]);
                rules += &format!(", match={}, not_match={}", examples[0], examples[1]);
            }
            toml.push('\n');
            rules += ")\n";
        }
        toml += "[[commands.rule]]\nprefix = [\"git\", \"push\"]\ndecision = \"deny\"\n";
        rules += "prefix_rule(pattern=[\"git\", \"push\"], decision=\"forbidden\")\n";
        (toml, rules)
    }
}
