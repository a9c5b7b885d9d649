//! Tools and packages that cargo and npm bring: installed once, found again afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::progress::Log;
use crate::project::{Project, fingerprint, is_root, which};
use crate::runner::Outcome;

/// Node below this cannot run the window's build tools.
const NODE: (u32, u32) = (20, 19);

/// Makes sure that a cargo tool is there.
pub(crate) fn cargo_tool(
    project: &Project,
    log: &Log,
    name: &str,
    version: &str,
) -> Result<Outcome> {
    if let Some(path) = cargo_tool_path(name) {
        return Ok(Outcome::Ready(format!("found {}", path.display())));
    }
    let mut install = project.command("cargo");
    // Its own build folder: the shared one is locked while the workspace is built.
    install.env("CARGO_TARGET_DIR", project.scratch()?.join("tools"));
    install.args(["install", "--locked", name, "--version", version]);
    log.run(&mut install)?;
    Ok(Outcome::Ready(format!("installed {name} {version}")))
}

/// Where a tool installed by cargo is, on `PATH` or in cargo's own folder.
pub(crate) fn cargo_tool_path(name: &str) -> Option<PathBuf> {
    which(name).or_else(|| {
        let home = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")))?;
        Some(home.join("bin").join(name)).filter(|file| file.is_file())
    })
}

/// A server of SSH, taken out of its package: installed, it would serve this machine from then on.
pub(crate) fn sshd(project: &Project, log: &Log) -> Result<Outcome> {
    let installed = Path::new("/usr/sbin/sshd");
    if installed.exists() {
        return Ok(Outcome::Ready(format!("found {}", installed.display())));
    }
    if is_root() && !Command::new("id").args(["-u", "sshd"]).output()?.status.success() {
        // As root it has to become somebody who may do nothing, as its package would have it.
        let mut make = project.command("useradd");
        log.run(make.args([
            "--system",
            "--no-create-home",
            "--shell",
            "/usr/sbin/nologin",
            "sshd",
        ]))?;
    }
    let folder = project.target.join("tmp/openssh-server");
    if folder.join("usr/sbin/sshd").exists() {
        return Ok(Outcome::Ready(format!("in {}", folder.display())));
    }
    fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    let mut apt = project.command("apt-get");
    log.run(apt.args(["download", "-q", "openssh-server"]).current_dir(&folder))?;
    let files = fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
    let package = files.filter(|path| path.extension().is_some_and(|end| end == "deb")).last();
    let package = package.context("apt-get downloaded no package")?;
    log.run(project.command("dpkg-deb").arg("-x").arg(package).arg(&folder))?;
    Ok(Outcome::Ready(format!("in {}", folder.display())))
}

/// Says what is missing before a long build finds out.
pub(crate) fn check_node() -> Result<()> {
    let out = Command::new("node").arg("--version").output();
    let version = match out {
        Ok(out) => String::from_utf8_lossy(&out.stdout).trim().to_owned(),
        Err(_) => {
            bail!("Node is not installed; Chaperone's window is built with Node 20.19 or newer")
        }
    };
    let mut parts = version.trim_start_matches('v').split('.').map(|p| p.parse().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found < NODE {
        bail!(
            "Node {version} is too old for the window's build; {}.{} or newer is needed",
            NODE.0,
            NODE.1
        );
    }
    Ok(())
}

/// `npm ci`, unless what is there came from exactly this lock file.
pub(crate) fn npm_ci(project: &Project, log: &Log, dir: &Path) -> Result<Outcome> {
    let stamp = dir.join("node_modules/.installed-from");
    let wanted = fingerprint(&[dir.join("package.json"), dir.join("package-lock.json")])?;
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(Outcome::Ready("unchanged".to_owned()));
    }
    let mut npm = project.npm(dir);
    log.run(npm.args(["ci", "--no-audit", "--no-fund"]))?;
    fs::write(&stamp, wanted).with_context(|| format!("could not write {}", stamp.display()))?;
    Ok(Outcome::Ready("installed".to_owned()))
}

/// Builds the window's pages, unless what is there was built from exactly these sources.
pub(crate) fn ui_build(project: &Project, log: &Log) -> Result<Outcome> {
    let ui = project.root.join("ui");
    // Not in `dist`: everything in there becomes part of the window.
    let stamp = ui.join("node_modules/.pages-built-from");
    let mut sources = Vec::new();
    for entry in fs::read_dir(&ui)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if !["node_modules", "dist", "dist-recorded", "test-results"]
            .iter()
            .any(|skip| name == *skip)
        {
            sources.push(path);
        }
    }
    sources.sort();
    let state =
        || Ok::<_, anyhow::Error>(fingerprint(&sources)? + &fingerprint(&[ui.join("dist")])?);
    if ui.join("dist/index.html").exists()
        && fs::read_to_string(&stamp).ok().as_ref() == Some(&state()?)
    {
        return Ok(Outcome::Ready("unchanged".to_owned()));
    }
    log.run(project.npm("ui").args(["run", "build"]))?;
    fs::write(&stamp, state()?).with_context(|| format!("could not write {}", stamp.display()))?;
    Ok(Outcome::Ready("built".to_owned()))
}

/// The real agents from npm, in a folder outside the checkout that is kept; its `node_modules`.
pub(crate) fn agents(project: &Project, log: &Log) -> Result<PathBuf> {
    let modules = agents_folder(project)?;
    let dir = modules.parent().context("the folder of the agents has no parent")?;
    fs::create_dir_all(dir).with_context(|| format!("could not make {}", dir.display()))?;
    for file in agents_files(project) {
        fs::copy(&file, dir.join(file.file_name().unwrap_or_default()))
            .with_context(|| format!("could not copy {}", file.display()))?;
    }
    npm_ci(project, log, dir)?;
    Ok(modules)
}

/// Where the agents are once they are installed.
pub(crate) fn agents_folder(project: &Project) -> Result<PathBuf> {
    let name = format!("agents-{}", agents_fingerprint(&agents_files(project))?);
    Ok(project.cache.join(name).join("node_modules"))
}

fn agents_files(project: &Project) -> [PathBuf; 2] {
    ["package.json", "package-lock.json"].map(|name| project.root.join("tests/agents").join(name))
}

/// By content only, so that every checkout on a machine shares one install.
fn agents_fingerprint(files: &[PathBuf]) -> Result<String> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(file)
            .with_context(|| format!("could not read {}", file.display()))?
            .hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}
