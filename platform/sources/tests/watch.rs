//! What a watcher tells of files: every change of a source, also where its folder comes and goes,
//! and nothing of other files beside it.
#![allow(clippy::unwrap_used, reason = "a test may fail where it likes")]

use chaperone_sources::{Locations, Trust, Watcher};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// What is promised is a second; a busy machine may need more.
const SOON: Duration = Duration::from_secs(60);

/// How long is waited for what must not come, or may not. However busy the machine, a watcher that
/// is right fails no test by it.
const QUIET: Duration = Duration::from_millis(700);

struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: TempDir::new().unwrap() };
        for folder in ["etc", "home", "work"] {
            fs::create_dir(machine.path(folder)).unwrap();
        }
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str) {
        fs::write(self.path(path), "revision = \"1\"\n").unwrap();
    }

    fn watcher(&self) -> Watcher {
        let locations = Locations {
            managed: self.path("etc/chaperone/policy.d"),
            recommended: self.path("etc/chaperone/recommended.d"),
            user: self.path("home/.config/chaperone/config.toml"),
            workspace: Some(self.path("work")),
            command_line: vec![self.path("given.toml")],
            trust: Trust { owner: 0, user: 1, top: self.path(""), home: self.path("home") },
            store: None,
        };
        Watcher::new(&locations, [self.path("home/state")]).unwrap()
    }
}

/// The change is told. The system may tell of it in several parts.
#[track_caller]
fn told(watcher: &mut Watcher, what: &str) {
    assert!(watcher.wait(SOON), "{what}");
    while watcher.wait(QUIET) {}
}

/// Nothing is told to a watcher that has had nothing to tell before.
#[track_caller]
fn untold(machine: &Machine, what: &str, act: impl FnOnce()) {
    let mut watcher = machine.watcher();
    act();
    assert!(!watcher.wait(QUIET), "{what}");
}

#[test]
fn a_file_that_is_written_changed_or_removed_is_told() {
    let machine = Machine::new();
    fs::create_dir_all(machine.path("etc/chaperone/policy.d")).unwrap();
    fs::create_dir_all(machine.path("home/.config/chaperone")).unwrap();
    untold(&machine, "nothing has changed", || {});
    let mut watcher = machine.watcher();
    for path in [
        "etc/chaperone/policy.d/10.toml",
        "home/.config/chaperone/config.toml",
        "work/.chaperone.toml",
        "given.toml",
        "home/state",
    ] {
        machine.write(path);
        told(&mut watcher, &format!("{path} made"));
        machine.write(path);
        told(&mut watcher, &format!("{path} written"));
        machine.write("home/new");
        fs::rename(machine.path("home/new"), machine.path(path)).unwrap();
        told(&mut watcher, &format!("{path} replaced"));
        fs::remove_file(machine.path(path)).unwrap();
        told(&mut watcher, &format!("{path} removed"));
    }
}

#[test]
fn a_folder_that_comes_and_goes_is_watched_when_it_is_there() {
    let machine = Machine::new();
    let mut watcher = machine.watcher();
    for round in ["first", "second"] {
        fs::create_dir(machine.path("etc/chaperone")).unwrap();
        // Whether this alone is worth telling is the system's to say.
        watcher.wait(QUIET);
        fs::create_dir(machine.path("etc/chaperone/policy.d")).unwrap();
        told(&mut watcher, &format!("{round}: the folder"));
        machine.write("etc/chaperone/policy.d/10.toml");
        told(&mut watcher, &format!("{round}: a file in it"));
        fs::remove_dir_all(machine.path("etc/chaperone")).unwrap();
        told(&mut watcher, &format!("{round}: everything gone"));
    }
    // All at once, before the watcher can follow.
    fs::create_dir_all(machine.path("etc/chaperone/policy.d")).unwrap();
    machine.write("etc/chaperone/policy.d/10.toml");
    told(&mut watcher, "at once");
    machine.write("etc/chaperone/policy.d/10.toml");
    told(&mut watcher, "and then");
}

#[test]
fn a_folder_that_is_put_in_the_place_of_another_is_told_and_watched() {
    let machine = Machine::new();
    fs::create_dir_all(machine.path("etc/chaperone/policy.d")).unwrap();
    fs::create_dir_all(machine.path("etc/other/policy.d")).unwrap();
    let mut watcher = machine.watcher();
    fs::rename(machine.path("etc/chaperone"), machine.path("etc/old")).unwrap();
    fs::rename(machine.path("etc/other"), machine.path("etc/chaperone")).unwrap();
    told(&mut watcher, "another folder");
    machine.write("etc/chaperone/policy.d/10.toml");
    told(&mut watcher, "a file in the new one");
}

#[test]
fn other_files_are_not_told_nor_that_a_source_is_read() {
    let machine = Machine::new();
    fs::create_dir_all(machine.path("etc/chaperone/policy.d")).unwrap();
    machine.write("etc/chaperone/policy.d/10.toml");
    untold(&machine, "none of these is a source", || {
        for path in ["work/main.rs", "work/Cargo.toml", "etc/passwd", "home/.bashrc", "other.toml"]
        {
            machine.write(path);
        }
        fs::create_dir(machine.path("work/src")).unwrap();
    });
    untold(&machine, "reading changes nothing", || {
        assert_eq!(fs::read_dir(machine.path("etc/chaperone/policy.d")).unwrap().count(), 1);
        fs::read(machine.path("etc/chaperone/policy.d/10.toml")).unwrap();
    });
    let mut watcher = machine.watcher();
    machine.write("etc/chaperone/policy.d/10.toml");
    told(&mut watcher, "a source is");
}

#[cfg(unix)]
#[test]
fn a_file_behind_a_link_is_told_where_it_really_lies() {
    let machine = Machine::new();
    fs::create_dir_all(machine.path("home/.config/chaperone")).unwrap();
    fs::create_dir(machine.path("home/dotfiles")).unwrap();
    machine.write("home/dotfiles/chaperone.toml");
    std::os::unix::fs::symlink(
        machine.path("home/dotfiles/chaperone.toml"),
        machine.path("home/.config/chaperone/config.toml"),
    )
    .unwrap();
    let mut watcher = machine.watcher();
    machine.write("home/dotfiles/chaperone.toml");
    told(&mut watcher, "the file itself");
    untold(&machine, "another beside it", || machine.write("home/dotfiles/other.toml"));
}

#[cfg(unix)]
#[test]
fn rights_that_change_are_told() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::new();
    fs::create_dir_all(machine.path("etc/chaperone/policy.d")).unwrap();
    machine.write("etc/chaperone/policy.d/10.toml");
    let mut watcher = machine.watcher();
    for path in ["etc/chaperone/policy.d/10.toml", "etc/chaperone/policy.d", "etc/chaperone"] {
        let mode = fs::Permissions::from_mode(0o777);
        fs::set_permissions(machine.path(path), mode).unwrap();
        told(&mut watcher, path);
    }
}
