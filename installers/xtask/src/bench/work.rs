//! What agents do all day, alone and inside a session of either tier: a checkout, an installation
//! of packages, opening files, compiling, and starting programs one after the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Bar, Bars, TURNS, bubblewrap, fill, hyperfine, report};
use crate::project::Project;

/// Files in the repository that is checked out, and in each of its folders.
const FILES: usize = 20_000;
const IN_A_FOLDER: usize = 100;
/// Files that are opened and read, how often each, and how many times as long each may take.
const READ: usize = 10_000;
const ROUNDS: usize = 8;
const READ_BAR: f64 = 1.03;
/// C files that are compiled, one compiler at a time.
const UNITS: usize = 60;
/// Programs that a shell starts one after the other.
const PROGRAMS: u32 = 2000;

/// A piece of work, how often it is done, and how many times as long as alone it may take.
struct Piece {
    name: &'static str,
    title: String,
    /// Relative to the folder that is its workspace.
    command: String,
    runs: u32,
    full: f64,
    /// Where nothing is demanded of the reduced tier, it is measured all the same.
    reduced: Option<f64>,
}

/// A session is in the reduced tier where the machine gives no user namespaces: here, because the
/// one that it runs in has used up what it may make.
const REDUCED: &str = "#!/bin/sh\n\
    exec unshare --user --map-root-user sh -c \
    'echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"' sh \"$@\"\n";

pub(super) fn work(project: &Project, dir: &Path, runs: u32, bars: &mut Bars) -> Result<()> {
    let few = (runs / 8).max(3);
    let pieces = [
        Piece {
            name: "checkout",
            title: format!("A checkout of {FILES} files, and back"),
            command: "sh -c 'git checkout -q full && git checkout -q empty'".to_owned(),
            runs: few,
            full: 1.1,
            reduced: Some(1.5),
        },
        Piece {
            name: "npm",
            title: "npm ci of the window's packages, from a warm cache".to_owned(),
            command: "npm ci --offline --ignore-scripts --no-audit --no-fund --cache cache \
                      --loglevel error"
                .to_owned(),
            runs: few,
            full: 1.1,
            reduced: Some(1.5),
        },
        Piece {
            name: "compile",
            title: format!("{UNITS} small C files compiled, one gcc at a time"),
            command: "sh -c 'for file in *.c; do gcc -O1 -c $file -o out.o; done'".to_owned(),
            runs: few,
            full: 1.10,
            reduced: None,
        },
        Piece {
            name: "programs",
            title: format!("{PROGRAMS} programs started by a shell"),
            command: format!(
                "sh -c 'i=0; while [ $i -lt {PROGRAMS} ]; do /bin/true; i=$((i+1)); done'"
            ),
            runs: few,
            full: 1.25,
            reduced: None,
        },
    ];
    let root = dir.join("work");
    prepare(project, &root)?;
    let reduced = dir.join("reduced");
    fs::write(&reduced, REDUCED)?;
    // Sessions are measured where they run.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&reduced, fs::Permissions::from_mode(0o755))?;
    }
    let chaperone =
        format!("{} run --unattended --", project.binary("release", "chaperone").display());
    for Piece { name, title, command, runs, full: bar, reduced: lower } in pieces {
        let workspace = root.join(name);
        let commands = ways(&workspace, &chaperone, &reduced, &command);
        let times = hyperfine(project, dir, &workspace, name, runs, &commands)?;
        let ratios = report(&title, &commands, &times, "alone");
        let of = |tier: &str| ratios.get(tier).copied().unwrap_or(f64::NAN);
        bars.hold(format!("{name}, to none, full tier"), of("chaperone"), (Bar::AtMost, bar, "×"));
        if let Some(bar) = lower {
            let ratio = of("chaperone, reduced tier");
            bars.hold(format!("{name}, to none, reduced tier"), ratio, (Bar::AtMost, bar, "×"));
        }
    }
    read(project, dir, &root.join("read"), &chaperone, &reduced, bars)
}

/// A command alone, under bubblewrap, and in a session of either tier.
fn ways(workspace: &Path, chaperone: &str, reduced: &Path, command: &str) -> [(String, String); 4] {
    let bwrap = bubblewrap(workspace);
    [
        ("alone".to_owned(), command.to_owned()),
        ("bubblewrap".to_owned(), format!("{bwrap} {command}")),
        ("chaperone".to_owned(), format!("{chaperone} {command}")),
        (
            "chaperone, reduced tier".to_owned(),
            format!("{} {chaperone} {command}", reduced.display()),
        ),
    ]
}

/// What it takes to open and read one file, once the program runs: in Python, where it takes what it
/// takes agents' tools, and in C, where it takes little more than the kernel's part. There, one rule of
/// Landlock alone is a tenth of it.
fn read(
    project: &Project,
    dir: &Path,
    workspace: &Path,
    chaperone: &str,
    reduced: &Path,
    bars: &mut Bars,
) -> Result<()> {
    for (language, command, bar) in
        [("Python", "python3 read.py", Some(READ_BAR)), ("C", "./read", None)]
    {
        let ways = ways(workspace, chaperone, reduced, command);
        let mut all = ways.each_ref().map(|_| Vec::new());
        for _ in 0..TURNS {
            for ((_, line), took) in ways.iter().zip(&mut all) {
                took.extend(microseconds(project, dir, workspace, line)?);
            }
        }
        println!(
            "\n{READ} files opened and read in {language}, {ROUNDS} times\n(a file, median of one run)\n"
        );
        let medians = all.map(|mut took| {
            took.sort_by(f64::total_cmp);
            took.get(took.len() / 2).copied().unwrap_or(f64::NAN)
        });
        for ((name, _), median) in ways.iter().zip(medians) {
            println!("  {name:28} {median:9.2} µs {:7.2} ×", median / medians[0]);
        }
        let Some(bar) = bar else { continue };
        for (tier, median) in [("full", medians[2]), ("reduced", medians[3])] {
            let what = format!("opening and reading a file, to none, {tier} tier");
            bars.hold(what, median / medians[0], (Bar::AtMost, bar, "×"));
        }
    }
    Ok(())
}

/// What a reader says that each of its rounds took, a file.
fn microseconds(project: &Project, dir: &Path, workspace: &Path, line: &str) -> Result<Vec<f64>> {
    let mut words = line.split_whitespace();
    let mut command = project.command(words.next().unwrap_or_default());
    command.args(words).current_dir(workspace);
    command.env("XDG_CONFIG_HOME", dir.join("config")).env("XDG_STATE_HOME", dir.join("state"));
    let out = command.output().with_context(|| format!("could not start {line}"))?;
    if !out.status.success() {
        bail!("{line} failed:\n{}", String::from_utf8_lossy(&out.stderr).trim());
    }
    let said = String::from_utf8_lossy(&out.stdout);
    said.split_whitespace().map(|word| word.parse().context("what a reader says")).collect()
}

/// Makes each piece's workspace.
fn prepare(project: &Project, root: &Path) -> Result<()> {
    let folder = |name: &str| -> Result<PathBuf> {
        let folder = root.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    };
    repository(&folder("checkout")?)?;
    packages(project, &folder("npm")?)?;
    readers(&folder("read")?)?;
    let units = folder("compile")?;
    for number in 0..UNITS {
        let source = format!(
            "#include <stdio.h>\nint unit_{number}(int n) {{\n  int sum = 0;\n  \
             for (int i = 0; i < n; i++) sum += i * {number};\n  \
             return printf(\"%d\\n\", sum);\n}}\n"
        );
        fs::write(units.join(format!("unit_{number:02}.c")), source)?;
    }
    folder("programs")?;
    Ok(())
}

/// A repository whose branch `full` has many files, and `empty` one.
fn repository(dir: &Path) -> Result<()> {
    let git = |words: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(dir).args(["-c", "user.name=Bench", "-c", "user.email=bench@localhost"]);
        done(git.args(words))
    };
    git(&["init", "-q", "-b", "empty"])?;
    fs::write(dir.join("readme"), "Nothing.\n")?;
    git(&["add", "-A"])?;
    git(&["commit", "-q", "-m", "Empty"])?;
    git(&["checkout", "-q", "-b", "full"])?;
    many_files(dir, FILES)?;
    git(&["add", "-A"])?;
    git(&["commit", "-q", "-m", "Full"])?;
    git(&["checkout", "-q", "empty"])
}

/// About a kilobyte each.
fn many_files(dir: &Path, count: usize) -> Result<()> {
    fill(count, IN_A_FOLDER, |folder, number| {
        let line = format!("line of file {number}\n");
        let path = dir.join(format!("folder-{folder:03}/file-{number:05}.txt"));
        (path, line.repeat(50))
    })
}

/// The window's packages, with a cache that holds them all.
fn packages(project: &Project, dir: &Path) -> Result<()> {
    for name in ["package.json", "package-lock.json"] {
        fs::copy(project.root.join("ui").join(name), dir.join(name))?;
    }
    let mut npm = project.npm(dir);
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]);
    done(npm.args(["--cache", "cache"]))
}

/// Files, and programs that open and read each of them, and say after each round how many microseconds
/// a file took.
fn readers(dir: &Path) -> Result<()> {
    many_files(dir, READ)?;
    let python = format!(
        "import time\n\
         for _ in range({ROUNDS}):\n    began = time.perf_counter()\n    \
         for n in range({READ}):\n        \
         with open(f\"folder-{{n // {IN_A_FOLDER}:03}}/file-{{n:05}}.txt\") as file:\n            \
         file.read()\n    \
         print((time.perf_counter() - began) * 1e6 / {READ})\n"
    );
    fs::write(dir.join("read.py"), python)?;
    let source = format!(
        "#include <fcntl.h>\n#include <stdio.h>\n#include <time.h>\n#include <unistd.h>\n\
         static double now(void) {{\n  struct timespec t;\n  \
         clock_gettime(CLOCK_MONOTONIC, &t);\n  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;\n}}\n\
         int main(void) {{\n  char name[64], text[4096];\n  \
         for (int round = 0; round < {ROUNDS}; round++) {{\n    double began = now();\n    \
         for (int n = 0; n < {READ}; n++) {{\n      \
         snprintf(name, sizeof name, \"folder-%03d/file-%05d.txt\", n / {IN_A_FOLDER}, n);\n      \
         int file = open(name, O_RDONLY | O_CLOEXEC);\n      \
         if (file < 0 || read(file, text, sizeof text) <= 0) return 1;\n      close(file);\n    }}\n    \
         printf(\"%f\\n\", (now() - began) / {READ});\n  }}\n  return 0;\n}}\n"
    );
    fs::write(dir.join("read.c"), source)?;
    done(Command::new("gcc").current_dir(dir).args(["-O2", "read.c", "-o", "read"]))
}

fn done(command: &mut Command) -> Result<()> {
    let out = command.output().with_context(|| format!("could not start {command:?}"))?;
    if !out.status.success() {
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}
