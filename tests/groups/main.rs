//! Limits by control groups, with the real command. `cargo xtask test --only groups` starts a virtual
//! machine that lays groups out as systemd does, and in it these tests: `held` as root and as an
//! ordinary user among the programs of a desktop, `watched` as a user who came over SSH and may make
//! no group. At last it sets Yama, and `traced` tells what runs then.

#![cfg(target_os = "linux")]

use anyhow::{Context, Result, ensure};
use chaperone_tests::{chaperone, eventually};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// One test's own user, as far as Chaperone can tell, with an empty workspace.
struct Place(tempfile::TempDir);

impl Place {
    /// Under these limits, as a line of a policy.
    fn limited(limits: &str) -> Result<Self> {
        let machine = std::env::var_os("CHAPERONE_TEST_GROUPS");
        machine.context("this is for a machine of its own: `cargo xtask test --only groups`")?;
        let place = Self(tempfile::tempdir()?);
        for folder in ["home/.config/chaperone", "home/work", "run"] {
            fs::create_dir_all(place.0.path().join(folder))?;
        }
        let file = place.0.path().join("home/.config/chaperone/config.toml");
        fs::write(&file, format!("[limits]\n{limits}\n"))?;
        // A value that cannot be read would limit nothing.
        let checked = place.chaperone(&["policy", "check"])?.arg(file).output()?;
        ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
        Ok(place)
    }

    fn work(&self) -> PathBuf {
        self.0.path().join("home/work")
    }

    fn chaperone(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(chaperone()?);
        command.args(arguments).env_clear().current_dir(self.work()).stdin(Stdio::null());
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8");
        command.env("HOME", self.0.path().join("home"));
        command.env("XDG_RUNTIME_DIR", self.0.path().join("run"));
        Ok(command)
    }

    fn perl(&self, script: &str) -> Result<Output> {
        Ok(self.chaperone(&["run", "--", "perl", "-e", script])?.output()?)
    }

    /// A session that was ended for a limit says so at its end, by its status and in its history.
    fn ended_for(&self, done: &Output, key: &str, words: &str) -> Result<()> {
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        ensure!(done.status.code() == Some(137), "{:?}: {said}", done.status);
        ensure!(said.contains(words) && said.contains(key), "{said}");
        let listed = self.chaperone(&["history", "list", "--json"])?.output()?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let told = listed.lines().any(|line| line.contains(words) && line.contains(key));
        ensure!(told, "{listed}");
        Ok(())
    }

    fn check(&self, id: &str) -> Result<(String, String)> {
        let doctor = self.chaperone(&["doctor", "--json"])?.output()?;
        let doctor: Value = serde_json::from_slice(&doctor.stdout)?;
        let checks = doctor["checks"].as_array().context("checks")?;
        let check = checks.iter().find(|check| check["id"] == id).context("no such check")?;
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        Ok((text("status"), text("fix")))
    }
}

fn passes(done: &Output) -> Result<()> {
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{:?}: {said}", done.status);
    Ok(())
}

/// Forks so many processes at most, each of which does this; a letter in `forked` for each.
fn forks(count: u32, each: &str) -> String {
    format!(
        "open my $f, '>', 'forked'; for (1..{count}) {{ defined(my $p = fork) or last; \
         $p or do {{ {each}; exit }}; syswrite $f, 'x' }}"
    )
}

/// Waits as long as any of its children does.
const WAITS: &str = "1 while wait > 0;";

/// The folders of sessions' groups beside the one that this process is in.
fn groups() -> Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/self/cgroup")?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/")).context("no group")?;
    let own = Path::new("/sys/fs/cgroup").join(own);
    let beside = fs::read_dir(own.parent().context("no group above")?)?;
    let is_sessions = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("chaperone-"))
    };
    Ok(beside.flatten().map(|entry| entry.path()).filter(is_sessions).collect())
}

fn none_left() -> Result<()> {
    let left = groups()?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

fn read(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// A child that is ended with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

mod held {
    use super::*;

    const FULL: &str = "it had all of the 256 MiB of memory that it may have, and wanted more";

    #[test]
    fn a_memory_hog_ends_its_session_and_what_stays_below_does_not() -> Result<()> {
        let place = Place::limited("memory = \"256 MiB\"")?;
        let fills = |mib: u32| format!("my $x = 'x' x ({mib} << 20); sleep 1;");
        place.ended_for(&place.perl(&fills(600))?, "limits.memory", FULL)?;
        passes(&place.perl(&fills(40))?)?;
        // None of them has too much.
        let spread = forks(4, &fills(100)) + WAITS;
        place.ended_for(&place.perl(&spread)?, "limits.memory", FULL)?;
        passes(&place.perl(&(forks(4, &fills(10)) + WAITS))?)?;
        none_left()
    }

    #[test]
    fn memory_that_nobody_has_mapped_counts() -> Result<()> {
        let place = Place::limited("memory = \"256 MiB\"")?;
        let script = |mib: u32| {
            format!(
                "import os\nfd = os.memfd_create('m')\n\
                 for _ in range({mib}): os.write(fd, b'x' * (1 << 20))\n"
            )
        };
        let python =
            |mib| Ok(place.chaperone(&["run", "--", "python3", "-c", &script(mib)])?.output()?);
        let done: Result<Output> = python(600);
        place.ended_for(&done?, "limits.memory", FULL)?;
        let done: Result<Output> = python(40);
        passes(&done?)
    }

    #[test]
    fn a_fork_bomb_ends_its_session_and_never_had_more_than_it_may() -> Result<()> {
        let place = Place::limited("processes = 64")?;
        let done = place.perl(&(forks(300, "sleep 60") + "sleep 60"))?;
        let words = "it had all of the 64 processes and threads that it may have";
        place.ended_for(&done, "limits.processes", words)?;
        // Beside its own first process and this one. Root's too, whom RLIMIT_NPROC exempts.
        let forked = read(&place.work(), "forked")?.len();
        ensure!((50..=62).contains(&forked), "{forked}");
        passes(&place.perl(&(forks(40, "sleep 1") + WAITS))?)?;
        none_left()
    }

    #[test]
    fn time_on_processors_is_counted_of_those_too_that_nobody_waited_for() -> Result<()> {
        let place = Place::limited("cpu_time = \"1m\"")?;
        // With SIGCHLD ignored the kernel adds nothing of a child's to its parent (wait(2)).
        let unwaited = "$SIG{CHLD} = 'IGNORE'; fork; \
                        while (1) { my $p = fork; $p or do { 1 for 1..200000; exit }; wait }";
        let words = "of processor time, and may take 60 s";
        place.ended_for(&place.perl(unwaited)?, "limits.cpu_time", words)?;
        passes(&place.perl("sleep 1")?)
    }

    #[test]
    fn a_session_is_in_a_group_of_its_own_that_holds_its_limits_and_goes_with_it() -> Result<()> {
        let place = Place::limited("memory = \"256 MiB\"\nprocesses = 64")?;
        let mut supervisor =
            place.chaperone(&["run", "--", "sh", "-c", "echo in >&2; read line"])?;
        let supervisor = supervisor.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut supervisor = Started(supervisor.spawn()?);
        let running = eventually("a group with processes", || {
            let groups = groups().ok()?;
            groups.into_iter().find(|it| read(it, "cgroup.procs").is_ok_and(|it| !it.is_empty()))
        })?;
        let name = format!("chaperone-{}-0", supervisor.0.id());
        ensure!(running.ends_with(&name), "{}", running.display());
        for (file, expected) in [
            ("memory.max", "268435456"),
            ("memory.swap.max", "0"),
            ("memory.oom.group", "1"),
            ("pids.max", "63"),
        ] {
            // Where the machine has no swap it still has the file.
            ensure!(read(&running, file)?.trim() == expected, "{file}");
        }
        let own = fs::read_to_string(format!("/proc/{}/cgroup", supervisor.0.id()))?;
        ensure!(own == fs::read_to_string("/proc/self/cgroup")?, "the supervisor was moved: {own}");
        drop(supervisor.0.stdin.take());
        ensure!(supervisor.0.wait()?.code() == Some(1), "the end of its input");
        none_left()
    }

    #[test]
    fn what_a_killed_supervisor_leaves_goes_with_the_next_session() -> Result<()> {
        let place = Place::limited("processes = 64")?;
        let supervisor = place.chaperone(&["run", "--", "sleep", "600"])?.spawn()?;
        let mut supervisor = Started(supervisor);
        let left = eventually("a group with processes", || {
            let groups = groups().ok()?;
            groups.into_iter().find(|it| read(it, "cgroup.procs").is_ok_and(|it| !it.is_empty()))
        })?;
        supervisor.0.kill()?;
        supervisor.0.wait()?;
        eventually("its end", || {
            read(&left, "cgroup.procs").is_ok_and(|it| it.is_empty()).then_some(())
        })?;
        ensure!(left.exists(), "nobody was there to remove it");
        passes(&place.perl("exit 0")?)?;
        none_left()
    }

    #[test]
    fn doctor_says_that_both_are_held() -> Result<()> {
        let place = Place::limited("")?;
        for id in ["memory-limit", "process-limit"] {
            let (status, fix) = place.check(id)?;
            ensure!((status.as_str(), fix.as_str()) == ("ok", ""), "{id}: {status}, {fix}");
        }
        none_left()
    }
}

mod watched {
    use super::*;

    #[test]
    fn limits_end_a_session_all_the_same() -> Result<()> {
        let place = Place::limited("memory = \"256 MiB\"\nprocesses = 64")?;
        let spread = forks(4, "my $x = 'x' x (100 << 20); sleep 60") + WAITS;
        let words = "MiB of memory, and may have 256 MiB";
        place.ended_for(&place.perl(&spread)?, "limits.memory", words)?;
        let done = place.perl(&(forks(300, "sleep 60") + "sleep 60"))?;
        let words = "it had all of the 64 processes and threads that it may have";
        place.ended_for(&done, "limits.processes", words)?;
        passes(&place.perl(&(forks(40, "sleep 1") + WAITS))?)
    }

    #[test]
    fn doctor_says_that_neither_is_held_and_how_to_get_it() -> Result<()> {
        let place = Place::limited("")?;
        for id in ["memory-limit", "process-limit"] {
            let (status, fix) = place.check(id)?;
            ensure!(status == "warn" && fix.contains("systemd-run --user --scope"), "{id}: {fix}");
        }
        Ok(())
    }
}

/// What runs as Yama is set (`kernel.yama.ptrace_scope`): of a machine, and 3 for good.
mod traced {
    use super::*;

    /// What comes of a session, and what `doctor` says of tracing.
    fn found(scope: &str) -> Result<(Output, (String, String))> {
        let set = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope")?;
        ensure!(set.trim() == scope, "it is set to {set}");
        let place = Place::limited("")?;
        let done = place.chaperone(&["run", "--", "true"])?.output()?;
        Ok((done, place.check("exec-trace")?))
    }

    fn runs(scope: &str) -> Result<()> {
        let (done, (status, fix)) = found(scope)?;
        passes(&done)?;
        ensure!((status.as_str(), fix.as_str()) == ("ok", ""), "{status}, {fix}");
        Ok(())
    }

    #[test]
    fn at_1_a_session_runs() -> Result<()> {
        runs("1")
    }

    #[test]
    fn at_2_a_session_of_the_full_tier_runs() -> Result<()> {
        runs("2")
    }

    #[test]
    fn at_3_no_session_starts_and_says_why() -> Result<()> {
        let (done, (status, fix)) = found("3")?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        ensure!(done.status.code() == Some(125), "{:?}: {said}", done.status);
        ensure!(said.contains("kernel.yama.ptrace_scope is 3") && said.contains(&fix), "{said}");
        ensure!(status == "fail" && fix.contains("restart the machine"), "{status}, {fix}");
        Ok(())
    }
}
