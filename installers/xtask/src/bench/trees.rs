//! Starts in large trees, in which denied names are looked for, against a start in an empty folder.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Bar, Bars, fill, hyperfine, report};
use crate::project::Project;

/// Files in each tree.
const FILES: usize = 20_000;
/// How much longer than in an empty folder a start may take.
const BAR: f64 = 1.6;

/// A tree and how its files lie.
struct Tree {
    name: &'static str,
    /// Above every folder.
    beneath: &'static str,
    in_a_folder: usize,
}

const TREES: [Tree; 2] = [
    Tree { name: "sources", beneath: "src", in_a_folder: 100 },
    Tree { name: "packages", beneath: "node_modules", in_a_folder: 8 },
];

pub(super) fn trees(project: &Project, dir: &Path, runs: u32, bars: &mut Bars) -> Result<()> {
    let chaperone = project.binary("release", "chaperone");
    let own = dir.join("own.toml");
    fs::write(&own, "[filesystem]\ndeny = [\"**/.env\"]\n")?;
    let start = |tree: &str, policy: &str| {
        let (program, tree) = (chaperone.display(), dir.join(tree));
        format!("{program} run --unattended --workspace {}{policy} -- /bin/true", tree.display())
    };
    fs::create_dir_all(dir.join("empty"))?;
    let mut commands = vec![("empty".to_owned(), start("empty", ""))];
    for tree in &TREES {
        tree.make(dir)?;
        commands.push((tree.name.to_owned(), start(tree.name, "")));
    }
    let policy = format!(" --policy {}", own.display());
    commands.push(("empty, own denial".to_owned(), start("empty", &policy)));
    for tree in &TREES {
        commands.push((format!("{}, own denial", tree.name), start(tree.name, &policy)));
    }
    let times = hyperfine(project, dir, &dir.join("empty"), "trees", runs, &commands)?;
    let title =
        format!("Start of /bin/true in trees of {FILES} files, `**/.env*` denied by default");
    let ratios = report(&title, &commands, &times, "empty");
    let of = |name: &str| ratios.get(name).copied().unwrap_or(f64::NAN);
    for (what, name) in [
        ("start among 20,000 sources, to an empty folder's", "sources"),
        ("start with 20,000 files in node_modules, to the same", "packages"),
        ("start among sources, a policy's own **/.env, to the same", "sources, own denial"),
    ] {
        bars.hold(what, of(name), (Bar::AtMost, BAR, "×"));
    }
    Ok(())
}

impl Tree {
    fn make(&self, dir: &Path) -> Result<()> {
        let top = dir.join(self.name).join(self.beneath);
        fill(FILES, self.in_a_folder, |folder, number| {
            (top.join(format!("{}/{}/file-{number}", folder / 20, folder % 20)), String::new())
        })
    }
}
