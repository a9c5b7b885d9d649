//! What only Windows has, tried under Wine: programs built here for Windows, a registry of their own
//! and `reg` to write to it, and cmd as Wine has it. Wine has no Group Policy service and no real
//! access lists, so those are not seen here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cross::{self, Target};
use crate::progress::Log;
use crate::project::{Project, which};
use crate::runner::Outcome;

/// How long one program of tests may take, in seconds. A first start of Wine takes twenty.
const PATIENCE: &str = "300";

/// Debian keeps the program out of `PATH`, behind a script that looks for a 32-bit one.
const DEBIAN_WINE: &str = "/usr/lib/wine/wine64";

/// Wine's folder of Windows and the programs that look into it.
struct Wine {
    program: PathBuf,
    prefix: PathBuf,
}

impl Wine {
    fn command(&self, project: &Project, program: impl AsRef<Path>) -> Command {
        let mut command = project.command(program.as_ref());
        self.set(&mut command);
        command
    }

    fn set(&self, command: &mut Command) {
        command.env("WINEPREFIX", &self.prefix).env("WINEDEBUG", "-all");
        // What it would download, and where it would say so.
        command.env("WINEDLLOVERRIDES", "mscoree,mshtml=").env_remove("DISPLAY");
    }

    fn system(&self) -> PathBuf {
        self.prefix.join("drive_c/windows/system32")
    }
}

pub(crate) fn test(project: &Project, log: &Log) -> Result<Outcome> {
    let program = Some(PathBuf::from(DEBIAN_WINE)).filter(|program| program.is_file());
    let Some(program) = program.or_else(|| which("wine64")).or_else(|| which("wine")) else {
        return Ok(Outcome::NotRun("there is no Wine on this machine".to_owned()));
    };
    let wine = Wine { program, prefix: project.scratch()?.join("wine") };
    let result = run(project, log, &wine);
    // It would wait some seconds for more programs, and forever for services.
    let ended = log.run(wine.command(project, "wineserver").arg("-k"));
    let outcome = result?;
    ended.context("Wine's server could not be ended")?;
    Ok(outcome)
}

fn run(project: &Project, log: &Log, wine: &Wine) -> Result<Outcome> {
    let (mut cargo, by) = cross::cargo(project, log, Target::Windows, "test")?;
    prepare(project, log, wine)?;
    wine.set(&mut cargo);
    let runner = format!("timeout {PATIENCE} {}", wine.program.display());
    cargo.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", runner);
    cargo.env("CHAPERONE_TEST_REGISTRY", "1");
    cargo.args(["--locked", "-p", "chaperone-sources", "-p", "chaperone-cli"]);
    cargo.args(["-p", "chaperone-shell"]);
    cargo.args(["--lib", "--test", "registry", "--test", "watch", "--test", "real_cmd"]);
    log.run(&mut cargo)?;
    let text = log.text()?;
    let counts = text.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    let count: usize =
        counts.filter_map(|line| line.split_once(' ')?.0.parse::<usize>().ok()).sum();
    Ok(Outcome::Passed(format!("{count} tests by programs for Windows, built by {by}")))
}

/// Makes the folder of Windows, and in it the one library that Rust's programs need and that older
/// Wine lacks.
fn prepare(project: &Project, log: &Log, wine: &Wine) -> Result<()> {
    if !wine.prefix.join("system.reg").exists() {
        fs::create_dir_all(&wine.prefix)
            .with_context(|| format!("could not make {}", wine.prefix.display()))?;
        log.run(wine.command(project, &wine.program).args(["wineboot", "--init"]))?;
        // It writes the registry's files when it ends.
        log.run(wine.command(project, "wineserver").arg("--wait"))?;
    }
    let library = wine.system().join("bcryptprimitives.dll");
    if !library.exists() {
        let source = project.scratch()?.join("bcryptprimitives.c");
        fs::write(&source, RANDOM)
            .with_context(|| format!("could not write {}", source.display()))?;
        let mut compiler = project.command("x86_64-w64-mingw32-gcc");
        compiler.args(["-shared", "-o"]).arg(&library).arg(&source).arg("-ladvapi32");
        log.run(&mut compiler)?;
    }
    Ok(())
}

/// `ProcessPrng` over the function that it replaced, which Wine has always had.
const RANDOM: &str = "\
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size)
{
    return SystemFunction036(data, (ULONG)size);
}
";
