//! What Unix adds: modes, symbolic links, killed processes and full disks.

use crate::common::{begin, command, session, start};
use chaperone_audit::{Error, NewEvent, Redactor, SegmentState, Store, verify};
use chaperone_policy::Verdict;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn only_the_owner_can_enter_the_folders_and_read_the_files() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("history");
    session(&folder, "ended");
    let _running = begin(&folder, "running");
    chaperone_audit::Index::open(&folder).unwrap().refresh().unwrap();
    for inner in ["", "segments", "open"] {
        assert_eq!(mode(&folder.join(inner)), 0o700, "{inner}");
    }
    for file in [
        "device.log",
        "device.lock",
        "index.sqlite",
        "open/running",
        "segments/ended.jsonl",
        "segments/ended.content.jsonl",
    ] {
        assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_folder_that_others_could_enter_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    Store::open(folder.path()).unwrap();
    assert_eq!(mode(folder.path()), 0o700);
}

#[test]
fn a_folder_of_another_user_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // Root can give its folder away; anyone else finds one of root's.
    let others = match chown(folder.path(), Some(54_321), None) {
        Ok(()) => folder.path(),
        Err(_) => Path::new("/"),
    };
    assert!(matches!(Store::open(others), Err(Error::NotPrivate { .. })));
}

#[test]
fn symbolic_links_are_not_followed() {
    for inner in ["segments", "open"] {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), folder.path().join(inner)).unwrap();
        assert!(matches!(Store::open(folder.path()), Err(Error::NotPrivate { .. })), "{inner}");
    }
    for file in
        ["device.log", "device.lock", "segments/s.jsonl", "segments/s.content.jsonl", "open/s"]
    {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        let store = Store::open(folder.path()).unwrap();
        symlink(elsewhere.path(), folder.path().join(file)).unwrap();
        assert!(store.begin("s", Redactor::default(), start()).is_err(), "{file}");
        assert_eq!(elsewhere.as_file().metadata().unwrap().len(), 0, "{file}");
        // And what was found there is still there.
        assert!(folder.path().join(file).symlink_metadata().is_ok(), "{file}");
    }
}

/// This test program again, as a process that only records.
fn supervisor(folder: &Path, shell: &str) -> Child {
    let mut child = Command::new("sh");
    child.args(["-c", &format!("{shell} exec \"$0\" \"$@\"")]);
    child.arg(std::env::current_exe().unwrap());
    child.args(["--exact", "unix::records_until_it_cannot", "--ignored", "--nocapture"]);
    child.env("HISTORY_FOLDER", folder);
    child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// What that process said it recorded, up to the line that begins with this word.
fn said(child: &mut Child, last: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
        let line = line.unwrap();
        let is_last = line.starts_with(last);
        let is_said = ["seq ", "failed: "].iter().any(|word| line.starts_with(word));
        lines.extend((is_said || is_last).then_some(line));
        if is_last {
            return lines;
        }
    }
    panic!("the process ended early, after {lines:?}");
}

#[test]
#[ignore = "not a test: other tests run it as a process of its own"]
fn records_until_it_cannot() {
    let folder = std::env::var_os("HISTORY_FOLDER").unwrap();
    let segment = begin(Path::new(&folder), "s");
    let mut out = std::io::stdout();
    for _ in 0..100 {
        match segment.append(command("git status", Verdict::Allow)) {
            Ok(seq) => writeln!(out, "seq {seq}").unwrap(),
            Err(error) => {
                writeln!(out, "failed: {error}").unwrap();
                break;
            }
        }
    }
    writeln!(out, "waiting").unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn what_was_recorded_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = supervisor(folder.path(), "");
    let recorded = said(&mut child, "seq 60").len() as u64 + 1;
    child.kill().unwrap();
    child.wait().unwrap();
    let report = verify(folder.path()).unwrap();
    assert!(report.is_intact(), "{report:#?}");
    assert_eq!(report.segments[0].state, SegmentState::Sealed);
    assert!(report.segments[0].records >= recorded);
}

#[test]
fn a_limit_on_file_sizes_is_an_error_that_leaves_only_whole_records() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = supervisor(folder.path(), "trap '' XFSZ; ulimit -f 16;");
    let said = said(&mut child, "waiting");
    drop(child.stdin.take());
    child.wait().unwrap();
    let failed = said.iter().position(|line| line.starts_with("failed")).unwrap();
    assert!(failed > 2, "{said:?}");
    assert!(said[failed].contains("cannot write"), "{said:?}");
    let report = verify(folder.path()).unwrap();
    assert!(report.is_intact(), "{report:#?}");
    assert_eq!(report.segments[0].records, failed as u64 + 1);
    assert_eq!(report.segments[0].notes.len(), 1, "{report:#?}");
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_nothing_is_recorded_and_once_there_is_room_it_goes_on() {
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

    struct Disk(tempfile::TempDir);
    impl Drop for Disk {
        fn drop(&mut self) {
            let _ = unmount(self.0.path(), UnmountFlags::DETACH);
        }
    }

    let disk = Disk(tempfile::tempdir().unwrap());
    let size = c"size=128k,mode=0700";
    if mount("none", disk.0.path(), "tmpfs", MountFlags::empty(), Some(size)).is_err() {
        // Who may not mount still has the limit on file sizes, which fails in the same place.
        a_limit_on_file_sizes_is_an_error_that_leaves_only_whole_records();
        return;
    }
    let folder = disk.0.path().join("history");
    let segment = begin(&folder, "s");
    segment.append(command("git status", Verdict::Allow)).unwrap();
    let ballast = disk.0.path().join("ballast");
    let _ = fs::write(&ballast, vec![0; 1 << 20]);
    let mut refused = 0;
    for _ in 0..20 {
        refused += u32::from(segment.append(command("git gc", Verdict::Deny)).is_err());
    }
    assert!(refused > 10, "{refused}");
    let other = Store::open(&folder).unwrap().begin("other", Redactor::default(), start());
    assert!(other.is_err());

    fs::remove_file(&ballast).unwrap();
    let report = verify(&folder).unwrap();
    assert!(report.is_intact(), "{report:#?}");
    assert_eq!(report.segments.len(), 1);
    segment.append(command("git gc", Verdict::Deny)).unwrap();
    segment.end(NewEvent::session_end(0)).unwrap();
    let report = verify(&folder).unwrap();
    assert!(report.is_intact(), "{report:#?}");
    assert_eq!(report.segments[0].state, SegmentState::Ended);
}
