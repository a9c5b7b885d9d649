//! Who runs the tests, and where their worlds are made.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Nobody, in the sense of the account.
const ORDINARY: u32 = 65534;
const AGAIN: &str = "CHAPERONE_TEST_AGAIN";
const WORLDS: &str = "CHAPERONE_TEST_WORLDS";
const AGENT: &str = "CHAPERONE_TEST_AGENT";

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0)
}

pub(crate) fn who() -> &'static str {
    if is_root() { "root" } else { "an ordinary user" }
}

/// This crate's program.
pub(crate) fn agent() -> PathBuf {
    let built = env!("CARGO_BIN_EXE_chaperone-escape");
    std::env::var_os(AGENT).map_or_else(|| PathBuf::from(built), PathBuf::from)
}

/// A folder for worlds, outside of `/tmp` wherever this user may write: the full tier covers that as
/// a whole. An ordinary user that root's tests are run by a second time has only its home.
pub(crate) fn worlds() -> tempfile::TempDir {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("w").permissions(fs::Permissions::from_mode(0o777));
        builder
    };
    let folder = std::env::var_os(WORLDS)
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
    let made = builder().tempdir_in(folder).or_else(|_| builder().tempdir_in(home));
    let made = made.or_else(|_| builder().tempdir()).unwrap();
    // A mask may have taken from its mode.
    fs::set_permissions(made.path(), fs::Permissions::from_mode(0o777)).unwrap();
    made
}

/// Runs a test as whoever runs it, and, if that is root, once more as an ordinary user.
pub(crate) fn as_each_user(body: impl FnOnce()) {
    body();
    if !is_root() || std::env::var_os(AGAIN).is_some() {
        return;
    }
    let thread = std::thread::current();
    let name = thread.name().expect("tests run on threads of their name");
    let worlds = worlds();
    // The build folder may lie in root's home.
    let reached = worlds.path().ancestors().all(others_enter);
    let copies = tempfile::tempdir().unwrap();
    fs::set_permissions(copies.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = |from: PathBuf| match reached {
        true => from,
        false => {
            let to = copies.path().join(from.file_name().unwrap());
            fs::copy(from, &to).unwrap();
            to
        }
    };
    let folder = if reached { worlds.path() } else { Path::new("/tmp") };
    let ended = Command::new(copy(std::env::current_exe().unwrap()))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(AGAIN, "1")
        .env(WORLDS, folder)
        .env(AGENT, copy(agent()))
        .env("HOME", "/")
        .current_dir("/")
        .uid(ORDINARY)
        .gid(ORDINARY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    print!("{said}");
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "as an ordinary user:\n{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

fn others_enter(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|it| it.mode() & 0o001 != 0)
}
