//! Limits by control groups, and what Yama lets be traced, tried in a virtual machine: no group and no
//! setting of this machine is changed, and a kernel is tried that is older than most. The machine has
//! this one's files, read-only, and a kernel out of its package, which is not installed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::progress::Log;
use crate::project::{Project, which};
use crate::runner::Outcome;

/// How long the machine may take, in seconds. Its processors are programs, so it takes minutes.
const PATIENCE: &str = "1500";

/// What the first program needs to come to this machine's files.
const MODULES: [&str; 3] = ["virtio_pci", "9pnet_virtio", "9p"];

/// Who runs which tests, as the machine tells at the end of each.
const VERDICTS: [&str; 13] = [
    "0 groups held::",
    "0 suite limits::succeed_outside",
    "0 suite limits::are_held_in",
    "1000 groups held::",
    "1000 suite limits::succeed_outside",
    "1000 suite limits::are_held_in",
    "1000 groups watched::",
    "0 groups traced::at_1",
    "1000 groups traced::at_1",
    "0 groups traced::at_2",
    "1000 groups traced::at_2",
    "0 groups traced::at_3",
    "1000 groups traced::at_3",
];

pub(crate) fn test(project: &Project, log: &Log) -> Result<Outcome> {
    let Some(qemu) = which("qemu-system-x86_64") else {
        return Ok(Outcome::NotRun("there is no QEMU on this machine".to_owned()));
    };
    if std::env::consts::ARCH != "x86_64" || which("apt-get").is_none() {
        let why = "the kernel is one of Debian's, for machines like x86_64";
        return Ok(Outcome::NotRun(why.to_owned()));
    }
    let Some(kernel) = kernel(project, log)? else {
        return Ok(Outcome::NotRun("there is no package linux-image-amd64 here".to_owned()));
    };
    let scratch = project.scratch()?.join("groups");
    fs::create_dir_all(&scratch)
        .with_context(|| format!("could not make {}", scratch.display()))?;
    let inside = scratch.join("inside.sh");
    let image = scratch.join("initrd");
    fs::write(&inside, script(project, log)?)?;
    fs::write(&image, first_files(&kernel, &inside)?)?;
    // Not by KVM: where this is a virtual machine itself, one that it starts may hang.
    let mut machine = project.command("timeout");
    machine.arg(PATIENCE).arg(qemu).args(["-accel", "tcg,thread=multi"]);
    machine.args(["-cpu", "max", "-smp", "2", "-m", "2G", "-display", "none", "-monitor", "none"]);
    machine.args(["-nic", "none", "-serial", "stdio", "-no-reboot"]);
    machine.arg("-kernel").arg(kernel.join("vmlinuz")).arg("-initrd").arg(&image);
    machine.args(["-append", "console=ttyS0 loglevel=1 panic=-1"]);
    let files = "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap";
    log.run(machine.args(["-virtfs", files]))?;
    judged(&log.text()?)
}

/// What the machine said of each run.
fn judged(text: &str) -> Result<Outcome> {
    let verdicts: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.trim_end().strip_prefix("verdict ")?.split_once(' '))
        .map(|(status, run)| (run, status))
        .collect();
    for run in VERDICTS {
        match verdicts.get(run) {
            Some(&"0") => {}
            Some(status) => bail!("as {run} ended with {status} in the machine"),
            None => bail!("the machine went off without a word on {run}"),
        }
    }
    // An attempt that cannot be proved there shows nothing inside.
    let proofs = text.lines().filter(|line| line.contains("Limits outside, "));
    let whole = proofs.clone().filter(|line| line.contains(" proved, 0 not applicable")).count();
    if (whole, proofs.count()) != (2, 2) {
        bail!("not every attempt on limits succeeded outside of a session");
    }
    let counts = text.lines().filter_map(|line| line.trim().strip_prefix("test result: ok. "));
    let count: usize =
        counts.filter_map(|line| line.split_once(' ')?.0.parse::<usize>().ok()).sum();
    let kernel = text.lines().find_map(|line| line.trim().strip_prefix("Linux "));
    let kernel = kernel.context("the machine did not say what kernel it has")?;
    Ok(Outcome::Passed(format!("{count} tests on Linux {kernel}, as root and as a user")))
}

/// The script of the machine's first process, with where the programs are.
fn script(project: &Project, log: &Log) -> Result<String> {
    let mut list = project.command("cargo");
    list.args(["nextest", "list", "--workspace", "--locked", "--list-type", "binaries-only"]);
    list.args(["--message-format", "json", "--color", "never"]);
    let listed: serde_json::Value = serde_json::from_slice(&log.output(&mut list)?)?;
    let built = |id: &str| -> Result<PathBuf> {
        let path = listed["rust-binaries"][id]["binary-path"].as_str();
        Ok(PathBuf::from(path.with_context(|| format!("the tests {id} were not built"))?))
    };
    let programs = [
        ("groups", built("chaperone-tests::groups")?),
        ("suite", built("chaperone-escape::suite")?),
        ("chaperone", project.binary("debug", "chaperone")),
        ("chaperone-escape", project.binary("debug", "chaperone-escape")),
    ];
    let mut words = Vec::new();
    for (name, path) in &programs {
        let path = path.to_str().filter(|path| !path.contains([' ', '\'', '"', '$', '`']));
        let path = path.context("a path of the build folder is more than plain letters")?;
        words.push(format!("{name}={path}"));
    }
    let inside = include_str!("groups/inside.sh");
    Ok(format!("PROGRAMS='{}'\n{inside}", words.join(" ")))
}

/// A folder outside the checkout that is kept, with the kernel, its modules in the order in which
/// they are loaded, and the program that loads them. None where no package has them.
fn kernel(project: &Project, log: &Log) -> Result<Option<PathBuf>> {
    let mut cache = project.command("apt-cache");
    let depends = log.output(cache.args(["depends", "linux-image-amd64"])).unwrap_or_default();
    let depends = String::from_utf8_lossy(&depends).into_owned();
    let depends = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let Some(package) = depends else { return Ok(None) };
    let folder = project.cache.join(package);
    if folder.join("vmlinuz").exists() {
        return Ok(Some(folder));
    }
    let whole = project.scratch()?.join("kernel");
    if whole.exists() {
        fs::remove_dir_all(&whole)?;
    }
    fs::create_dir_all(&whole)?;
    let mut apt = project.command("apt-get");
    apt.args(["download", "-q", package, "busybox-static"]).current_dir(&whole);
    log.run(&mut apt)?;
    for entry in fs::read_dir(&whole)?.flatten().filter(|it| it.path().is_file()) {
        log.run(project.command("dpkg-deb").arg("-x").arg(entry.path()).arg(&whole))?;
    }
    let modules = folder.join("modules");
    fs::create_dir_all(&modules)
        .with_context(|| format!("could not make {}", modules.display()))?;
    let found = modules_of(&whole)?;
    for (number, name) in in_order(&found)?.iter().enumerate() {
        fs::copy(&found[name], modules.join(format!("{number:02}-{name}.ko")))?;
    }
    let busybox = ["bin/busybox", "usr/bin/busybox"].map(|path| whole.join(path));
    let busybox = busybox.iter().find(|path| path.exists()).context("a package without busybox")?;
    fs::copy(busybox, folder.join("busybox"))?;
    let image = fs::read_dir(whole.join("boot"))?.flatten().map(|entry| entry.path());
    let is_kernel = |path: &PathBuf| path.to_string_lossy().contains("/vmlinuz-");
    let image = image.filter(is_kernel).last().context("a package without a kernel")?;
    // Last: it says that all is there.
    fs::copy(image, folder.join("vmlinuz"))?;
    fs::remove_dir_all(&whole)?;
    Ok(Some(folder))
}

/// The kernel's modules by name.
fn modules_of(package: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![package.join("lib/modules"), package.join("usr/lib/modules")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
            if path.is_dir() {
                folders.push(path);
            } else if let Some(name) = name.strip_suffix(".ko") {
                found.insert(name.to_owned(), path);
            }
        }
    }
    Ok(found)
}

/// Those that are needed, each behind what it needs itself. What is no file is part of the kernel.
fn in_order(found: &BTreeMap<String, PathBuf>) -> Result<Vec<String>> {
    fn add(
        name: &str,
        found: &BTreeMap<String, PathBuf>,
        seen: &mut BTreeSet<String>,
        order: &mut Vec<String>,
    ) -> Result<()> {
        let Some(path) = found.get(name).filter(|_| seen.insert(name.to_owned())) else {
            return Ok(());
        };
        for needed in needs(&fs::read(path)?) {
            add(&needed, found, seen, order)?;
        }
        order.push(name.to_owned());
        Ok(())
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    for name in MODULES {
        add(name, found, &mut seen, &mut order)?;
    }
    Ok(order)
}

/// The modules that one names as needed (`depends=` in its section `.modinfo`).
fn needs(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let value = String::from_utf8_lossy(value).replace('-', "_");
    value.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What is in the machine's memory when it begins, as an archive.
fn first_files(kernel: &Path, inside: &Path) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    for folder in ["bin", "modules", "proc", "host"] {
        add(&mut archive, folder, 0o040_755, b"");
    }
    add(&mut archive, "bin/busybox", 0o100_755, &fs::read(kernel.join("busybox"))?);
    add(&mut archive, "init", 0o100_755, include_bytes!("groups/init.sh"));
    add(&mut archive, "inside", 0o100_644, inside.to_string_lossy().as_bytes());
    let mut modules: Vec<PathBuf> =
        fs::read_dir(kernel.join("modules"))?.flatten().map(|entry| entry.path()).collect();
    modules.sort();
    for module in modules {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        add(&mut archive, &format!("modules/{name}"), 0o100_644, &fs::read(&module)?);
    }
    add(&mut archive, "TRAILER!!!", 0, b"");
    Ok(archive)
}

/// Adds a file as the kernel reads it (initramfs-buffer-format: thirteen numbers of eight digits,
/// name and content, each filled up to four bytes).
fn add(archive: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let number = archive.len() as u32;
    let fields =
        [number, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    archive.extend_from_slice(b"070701");
    for field in fields {
        archive.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    fill(archive);
    archive.extend_from_slice(content);
    fill(archive);
}

fn fill(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(verdicts: &[&str], proofs: &str) -> String {
        let verdicts: Vec<String> =
            verdicts.iter().map(|run| format!("verdict 0 {run}\r\n")).collect();
        format!(
            "Linux 6.1.0\r\ntest result: ok. 3 passed; 0 failed\r\n{proofs}{}",
            verdicts.concat()
        )
    }

    #[test]
    fn a_machine_is_believed_what_it_says_of_every_run() {
        let proved = "Limits outside, root: 13 proved, 0 not applicable: []\r\n";
        let both = proved.repeat(2);
        let passed = judged(&said(&VERDICTS, &both)).unwrap();
        let Outcome::Passed(passed) = passed else { panic!("a check that ran") };
        assert_eq!(passed, "3 tests on Linux 6.1.0, as root and as a user");
        assert!(judged(&said(&VERDICTS[1..], &both)).is_err(), "one is missing");
        let failed = said(&VERDICTS, &both).replacen("verdict 0", "verdict 101", 1);
        assert!(judged(&failed).is_err(), "one failed");
        assert!(judged(&said(&VERDICTS, proved)).is_err(), "one has proved nothing");
        let not_all = both.replacen("0 not", "4 not", 1);
        assert!(judged(&said(&VERDICTS, &not_all)).is_err(), "one has not proved all");
    }

    #[test]
    fn a_module_names_what_it_needs() {
        let module = b"\x7fELF\0license=GPL\0depends=9pnet,virtio-ring\0retpoline=Y\0";
        assert_eq!(needs(module), ["9pnet", "virtio_ring"]);
        assert_eq!(needs(b"\0license=GPL\0depends=\0"), [""; 0]);
    }

    #[test]
    fn an_archive_is_read_back_by_its_numbers() {
        let mut archive = Vec::new();
        add(&mut archive, "init", 0o100_755, b"abcde");
        let text = String::from_utf8_lossy(&archive);
        assert_eq!(&text[..6], "070701");
        assert_eq!(&text[6 + 8..6 + 16], "000081ed");
        assert_eq!(&text[6 + 6 * 8..6 + 7 * 8], "00000005");
        assert_eq!(&text[110..], "init\0\0abcde\0\0\0");
    }
}
