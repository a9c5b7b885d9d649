//! The probes by which sandboxes for agents are compared, under the policy that holds where nobody
//! has configured anything: each works outside, and is denied, stripped or limited inside.

use crate::place::{Place, text};
use anyhow::{Context, Result, ensure};
use chaperone_tests::{chaperone, eventually, with_none};
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

/// What the agent's user has in the environment.
const KEYS: [&str; 2] = ["OPENAI_API_KEY", "GITHUB_TOKEN"];

fn with_keys(command: &mut Command) -> &mut Command {
    KEYS.into_iter().fold(command, |command, name| command.env(name, "hush"))
}

/// Runs a script outside, where it is to succeed, and inside, where it is not.
fn is_denied(place: &Place, probe: &str, script: &str) -> Result<()> {
    let outside = with_keys(&mut place.command("sh")).args(["-c", script]).output()?;
    ensure!(outside.status.success(), "{probe} outside: {}", text(&outside.stderr));
    let mut inside = place.chaperone(["run", "--", "sh", "-c", script])?;
    let inside = with_keys(&mut inside).output()?;
    let (out, err) = (text(&inside.stdout), text(&inside.stderr));
    ensure!(!inside.status.success(), "{probe} inside: {out}{err}");
    ensure!(inside.status.code() != Some(125), "{probe} inside: {err}");
    Ok(())
}

#[test]
fn what_sandboxes_are_compared_by_is_denied_stripped_or_limited() -> Result<()> {
    let place = Place::new()?;
    place.configure("")?;
    fs::create_dir(place.home().join(".ssh"))?;
    fs::write(place.home().join(".ssh/id_ed25519"), "hush")?;
    fs::write(place.work().join(".env"), "hush")?;
    fs::create_dir(place.work().join(".claude"))?;
    let _listener = UnixListener::bind(place.home().join("daemon.sock"))?;
    let connect = "perl -MIO::Socket::UNIX -e \
                   'IO::Socket::UNIX->new(Peer => \"$ENV{HOME}/daemon.sock\") or die \"$!\\n\"'";
    // Numbers of x86_64 and aarch64 alike.
    let ring = "perl -e 'my $p = \"\\0\" x 120; exit(syscall(425, 1, $p) < 0)'";
    for (probe, script) in [
        ("read ~/.ssh", "cat ~/.ssh/id_ed25519"),
        ("read ./.env", "cat ./.env"),
        ("a key in the environment", "[ -n \"$OPENAI_API_KEY\" ]"),
        ("a token in the environment", "[ -n \"$GITHUB_TOKEN\" ]"),
        ("write .git/hooks", "echo x > .git/hooks/post-merge && rm .git/hooks/post-merge"),
        ("write .git/config", "git config core.editor x && git config --unset core.editor"),
        ("write .claude/settings.json", "echo x > .claude/settings.json && rm .claude/*"),
        ("connect to a socket file of the host", connect),
        ("io_uring_setup", ring),
        ("unshare(NEWUSER)", "unshare --user true"),
    ] {
        is_denied(&place, probe, script)?;
    }
    Ok(())
}

#[test]
fn keys_stay_hidden_where_somebody_grants_a_folder_above_them_until_they_are_named() -> Result<()> {
    let place = Place::new()?;
    place.configure("[filesystem]\nread = [\"~\"]\n")?;
    let home = place.home();
    let secrets = [
        ".ssh/id_ed25519",
        ".aws/credentials",
        ".netrc",
        ".npmrc",
        ".docker/config.json",
        ".config/gh/hosts.yml",
        ".config/google-chrome/Default/Cookies",
        ".mozilla/firefox/x/logins.json",
        ".local/share/keyrings/login.keyring",
        ".bash_history",
        ".local/share/fish/fish_history",
    ];
    for secret in secrets {
        fs::create_dir_all(home.join(secret).parent().context(secret)?)?;
        fs::write(home.join(secret), "hush")?;
    }
    fs::write(home.join("notes"), "read me")?;
    for secret in secrets {
        is_denied(&place, secret, &format!("cat ~/{secret}"))?;
    }
    assert_eq!(text(&place.run("cat ~/notes")?.stdout), "read me");
    place.configure("[filesystem]\nread = [\"~\", \"~/.npmrc\"]\n")?;
    assert_eq!(text(&place.run("cat ~/.npmrc")?.stdout), "hush");
    is_denied(&place, "read ~/.netrc beside it", "cat ~/.netrc")
}

#[test]
fn an_environment_file_is_neither_read_nor_made_and_its_template_is_both() -> Result<()> {
    let place = Place::new()?;
    place.configure("")?;
    fs::create_dir_all(place.work().join("apps/web"))?;
    fs::write(place.work().join("apps/web/.env.local"), "hush")?;
    fs::write(place.work().join(".env.example"), "KEY=")?;
    is_denied(&place, "read a nested .env.local", "cat apps/web/.env.local")?;
    is_denied(&place, "make a .env", "echo x > apps/.env && rm apps/.env")?;
    is_denied(&place, "change a .env.local", "echo hush > apps/web/.env.local")?;
    let script = "cat .env.example; echo =x >> .env.example; cp .env.example .env.sample; ls -A";
    let done = place.run(script)?;
    let out = text(&done.stdout);
    assert!(out.starts_with("KEY=") && out.contains(".env.sample"), "{}", text(&done.stderr));
    let why = place.chaperone(["why", "apps/web/.env.local"])?.output()?;
    let why = text(&why.stdout);
    assert!(why.contains("filesystem.read = [") && why.contains("built-in defaults"), "{why}");
    Ok(())
}

#[test]
fn an_environment_file_that_somebody_makes_meanwhile_is_hidden_too() -> Result<()> {
    let place = Place::new()?;
    place.configure("")?;
    let at = |name: &str| place.work().join(name);
    // The moment that it takes is waited for, and no longer than a thousand programs.
    let script = "touch ready; until [ -e .env.example ]; do :; done; \
                  i=0; while cat .env && [ $i -lt 1000 ]; do i=$((i+1)); done > seen; \
                  cat .env.example .env";
    let mut command = place.chaperone(["run", "--", "sh", "-c", script])?;
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    eventually("the agent", || at("ready").exists().then_some(()))?;
    fs::write(at(".env"), "hush")?;
    fs::write(at(".env.example"), "KEY=")?;
    let done = child.wait_with_output()?;
    let (out, err) = (text(&done.stdout), text(&done.stderr));
    assert_eq!(out, "KEY=", "{err}");
    assert!(err.contains(".env: Permission denied"), "{err}");
    Ok(())
}

#[test]
fn where_nothing_can_be_watched_what_appears_is_looked_for_and_the_history_says_so() -> Result<()> {
    let place = Place::new()?;
    let told = || -> Result<usize> {
        let events = place.events([])?;
        let reasons = events.iter().filter_map(|event| event["reason"].as_str());
        Ok(reasons.filter(|reason| reason.contains("is looked for once a second")).count())
    };
    place.run("sleep 1")?;
    assert_eq!(told()?, 0);
    let script = "until [ -e .env ]; do sleep 0.05; done; while cat .env; do sleep 0.05; done";
    let mut command = place.chaperone(["run", "--", "sh", "-c", script])?;
    with_none(&mut command, "max_inotify_instances");
    let child = command.stderr(Stdio::piped()).spawn()?;
    eventually("the finding", || told().ok().filter(|times| *times == 1))?;
    fs::write(place.work().join(".env"), "KEY=1")?;
    let done = child.wait_with_output()?;
    assert!(done.status.success(), "{}", text(&done.stderr));
    Ok(())
}

#[test]
fn repositories_that_are_made_inside_are_named_when_the_session_ends() -> Result<()> {
    let place = Place::new()?;
    let said = |line: &str| -> Result<usize> {
        let events = place.events([])?;
        let reasons = events.iter().filter_map(|event| event["reason"].as_str());
        Ok(reasons.filter(|reason| reason.contains(line)).count())
    };
    let made = "epositories were made in this session: ";
    for (tier, mut nothing) in place.in_each_tier("git status && git log")? {
        let err = text(&nothing.output()?.stderr);
        assert!(!err.contains(made), "{tier}: {err}");
    }
    assert_eq!(said(made)?, 0);
    let script = "git init -q sub && git clone -q . copy && mv copy moved && git init -q gone && \
                  rm -rf gone && git init -q \"$TMPDIR/elsewhere\" && git init -q --bare plain && \
                  git init -q aside && mv aside/.git folder";
    for (at, (tier, mut session)) in place.in_each_tier(script)?.into_iter().enumerate() {
        let done = session.output()?;
        let err = text(&done.stderr);
        ensure!(done.status.success(), "{tier}: {err}");
        assert!(
            err.contains(&format!("{made}`folder`, `moved`, `plain`, `sub`. Their hooks")),
            "{tier}: {err}"
        );
        assert_eq!(said(made)?, at + 1, "{tier}");
        for folder in ["aside", "folder", "moved", "plain", "sub"] {
            fs::remove_dir_all(place.work().join(folder))?;
        }
    }
    let script = "echo x > file && git add file && git commit -q -m second && \
                  GIT_SEQUENCE_EDITOR='sed -i s/pick/edit/' git rebase -q -i HEAD~1";
    let done = place.run(script)?;
    let err = text(&done.stderr);
    assert!(err.contains("A rebase is under way in `.git`: `git rebase --continue` runs"), "{err}");
    assert_eq!(said("rebase is under way")?, 1);
    Ok(())
}

#[test]
fn repositories_that_lie_deeper_are_named_where_their_settings_change() -> Result<()> {
    let place = Place::new()?;
    let deeper = place.work().join("libs/there");
    fs::create_dir_all(&deeper)?;
    let git = |arguments: &[&str]| -> Result<()> {
        let mut command = Command::new("git");
        let done =
            command.current_dir(&deeper).env("HOME", place.home()).args(arguments).output()?;
        ensure!(done.status.success(), "{}", text(&done.stderr));
        Ok(())
    };
    git(&["init", "-q"])?;
    let changed = "repositories that were there before changed during this session: `libs/there`.";
    for (script, named) in [
        ("cd libs/there && echo x > file && git add file && git status -s", false),
        ("git -C libs/there config core.fsmonitor /bin/true", true),
        ("echo x > libs/there/.git/hooks/pre-commit", true),
    ] {
        for (tier, mut session) in place.in_each_tier(script)? {
            let done = session.output()?;
            let err = text(&done.stderr);
            ensure!(done.status.success(), "{tier}: {err}");
            assert_eq!(err.contains(changed), named, "{tier}, {script}: {err}");
        }
    }
    let events = place.events([])?;
    let reasons = events.iter().filter_map(|event| event["reason"].as_str());
    assert_eq!(reasons.filter(|reason| reason.contains(changed)).count(), 4);
    // Also where it is elsewhere by then.
    let script = "mv libs aside && git -C aside/there config core.fsmonitor /bin/false";
    for (tier, mut session) in place.in_each_tier(script)? {
        let err = text(&session.output()?.stderr);
        let moved = changed.replace("libs/", "aside/");
        assert!(err.contains(&moved), "{tier}: {err}");
        fs::rename(place.work().join("aside"), place.work().join("libs"))?;
    }
    Ok(())
}

#[test]
fn what_a_plan_loses_is_said_before_the_agent_starts() -> Result<()> {
    let place = Place::new()?;
    let below = place.work().join("below");
    fs::create_dir(&below)?;
    let above = place.run("true")?;
    assert_eq!(text(&above.stderr), "");
    let mut command = place.chaperone(["run", "--", "true"])?;
    let done = command.current_dir(&below).output()?;
    let err = text(&done.stderr);
    let said = "chaperone: The workspace lies inside the repository ";
    assert!(done.status.success() && err.starts_with(said), "{err}");
    assert!(err.contains("Start with `--workspace "), "{err}");
    Ok(())
}

#[test]
fn of_a_granted_home_what_is_other_sessions_is_hidden_also_when_it_appears() -> Result<()> {
    let place = Place::new()?;
    place.configure("[filesystem]\nread = [\"~\"]\n")?;
    let make = |name: &str| -> Result<()> {
        let path = place.home().join(name);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        Ok(fs::write(path, "hush")?)
    };
    let [before, temporary, state] = [
        ".cache/chaperone/tmp/before/key",
        ".cache/chaperone/tmp/other/key",
        ".local/state/chaperone/agents/other/key",
    ];
    make(before)?;
    make("plain")?;
    let script = format!(
        "! cat ~/{before} && cat ~/plain && touch ready && until [ -e ~/done ]; do :; done
        gone() {{ i=0; while cat $1 > seen && [ $i -lt 1000 ]; do i=$((i+1)); done; ! cat $1; }}
        gone ~/{temporary} && gone ~/{state} && cat ~/done"
    );
    let mut command = place.chaperone(["run", "--", "sh", "-c", &script])?;
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    eventually("the agent", || place.work().join("ready").exists().then_some(()))?;
    for name in [temporary, state, "done"] {
        make(name)?;
    }
    let done = child.wait_with_output()?;
    let (out, err) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success() && out == "hushhush", "{out}{err}");
    Ok(())
}

#[test]
fn a_socket_of_another_program_is_reached_where_the_policy_names_it() -> Result<()> {
    let place = Place::new()?;
    let path = place.home().join("served");
    let listener = UnixListener::bind(&path)?;
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = (&client).write_all(b"served");
        }
    });
    let path = path.display();
    let script = format!(
        "perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(\"{path}\") or die $!; \
         print <$s>, \"\\n\"'; {} why {path}",
        chaperone()?.display()
    );
    for (tier, mut session) in place.in_each_tier(&script)? {
        let done = session.output()?;
        let out = text(&done.stdout);
        assert!(
            !out.contains("served\n") && out.contains("filesystem.sockets = "),
            "{tier}: {out}"
        );
    }
    place.configure(&format!("[filesystem]\nsockets = [\"{path}\"]\n"))?;
    for (tier, mut session) in place.in_each_tier(&script)? {
        let done = session.output()?;
        let out = text(&done.stdout);
        assert!(out.starts_with("served\n"), "{tier}: {out}{}", text(&done.stderr));
        assert!(out.contains("may connect to"), "{tier}: {out}");
    }
    place.configure(&format!("[filesystem]\nsockets = [\"{path}\"]\ndeny = [\"{path}\"]\n"))?;
    for (tier, mut session) in place.in_each_tier(&script)? {
        let out = text(&session.output()?.stdout);
        assert!(!out.contains("served\n"), "{tier}: {out}");
    }
    Ok(())
}

#[test]
fn what_stops_itself_where_no_shell_would_continue_it_goes_on() -> Result<()> {
    let place = Place::new()?;
    let done = place.run("kill -STOP $$; echo on")?;
    assert_eq!(text(&done.stdout), "on\n", "{}", text(&done.stderr));
    Ok(())
}

#[test]
fn git_goes_on_where_an_environment_file_is_tracked() -> Result<()> {
    let place = Place::new()?;
    place.configure("")?;
    let outside = "echo KEY=hush > .env && chmod 755 .env && touch -d '2 hours ago' .env && \
                   git add -A && git commit -q -m second && git branch other";
    let done = place.command("sh").args(["-c", outside]).output()?;
    ensure!(done.status.success(), "{}", text(&done.stderr));
    let inside = "git status --porcelain && echo x > file && git add -A && git stash -q && \
                  git stash pop -q && git commit -q -a -m third && git checkout -q other && \
                  git checkout -q - && git status --porcelain && git log --format=%s";
    let done = place.run(inside)?;
    let (out, err) = (text(&done.stdout), text(&done.stderr));
    assert_eq!(out, "third\nsecond\nfirst\n", "{err}");
    let kept = place.command("git").args(["show", "HEAD:.env"]).output()?;
    assert_eq!(text(&kept.stdout), "KEY=hush\n");
    is_denied(&place, "read the tracked .env", "cat .env")
}

#[test]
fn processes_are_limited_and_git_commits() -> Result<()> {
    let place = Place::new()?;
    place.configure("")?;
    let limits = place.run("grep 'Max processes' /proc/self/limits")?;
    let words = text(&limits.stdout);
    assert_eq!(words.split_whitespace().nth(2), Some("4096"), "{words}");
    let script = "echo x > file && git add file && git commit -q -m second && git log --format=%s";
    let done = place.run(script)?;
    assert_eq!(text(&done.stdout), "second\nfirst\n", "{}", text(&done.stderr));
    Ok(())
}

#[test]
fn a_session_that_goes_beyond_its_limits_is_ended_and_says_why() -> Result<()> {
    let place = Place::new()?;
    let forks = "perl -e 'for (1..100) { fork or do { sleep 30; exit } } sleep 30'";
    let fills =
        "perl -e 'for (1..4) { fork or do { my $x = \"x\" x (80 << 20); sleep 30 } } sleep 30'";
    for (limit, script, why) in [
        ("processes = 40", forks, "it had all of the 40 processes and threads that it may have"),
        ("memory = \"256 MiB\"", fills, "MiB of memory, and may have 256 MiB"),
    ] {
        place.configure(&format!("[limits]\n{limit}\n"))?;
        let ended = place.run(script)?;
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(137), "{said}");
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with("chaperone: the session was ended: "), "{said}");
        assert!(last.contains(why) && last.contains("config.toml:2"), "{said}");
        let mut search = place.chaperone(["history", "search", "was ended", "--json"])?;
        let found = text(&search.output()?.stdout);
        assert!(found.contains(why), "{found}");
    }
    Ok(())
}

/// Far more of its address space than it uses is reserved by an engine for JavaScript, by each of its
/// threads and by WebAssembly.
#[test]
fn node_works_below_a_limit_on_memory_and_ends_its_session_above() -> Result<()> {
    let place = Place::new()?;
    place.configure("[limits]\nmemory = \"512 MiB\"\n")?;
    let works = "const { Worker } = require('worker_threads'); \
                 const all = Array.from({ length: 1e6 }, (_, i) => ({ i })); \
                 const page = new WebAssembly.Memory({ initial: 16 }); \
                 const worker = `require('worker_threads').parentPort.postMessage(7)`; \
                 new Worker(worker, { eval: true }).on('message', (it) => \
                 console.log(all.length, page.buffer.byteLength, it));";
    fs::write(place.work().join("works.js"), works)?;
    for (tier, mut session) in place.in_each_tier("node works.js")? {
        let done = session.output()?;
        let (out, err) = (text(&done.stdout), text(&done.stderr));
        assert_eq!(
            (out.as_str(), done.status.code()),
            ("1000000 1048576 7\n", Some(0)),
            "{tier}: {err}"
        );
    }
    let buffers = "const all = []; setInterval(() => all.push(Buffer.alloc(4 << 20, 1)), 5);";
    let objects =
        "const all = []; setInterval(() => { for (let i = 0; i < 5e4; i++) all.push({ i }) }, 5);";
    for (hog, script) in [("buffers.js", buffers), ("objects.js", objects)] {
        fs::write(place.work().join(hog), script)?;
        for (tier, mut session) in place.in_each_tier(&format!("node {hog}"))? {
            let done = session.output()?;
            let said = text(&done.stderr);
            assert_eq!(done.status.code(), Some(137), "{tier}, {hog}: {said}");
            let last = said.lines().last().unwrap_or_default();
            assert!(last.starts_with("chaperone: the session was ended: "), "{tier}: {said}");
            assert!(last.contains("512 MiB") && last.contains("config.toml:2"), "{tier}: {said}");
        }
    }
    let mut search = place.chaperone(["history", "search", "was ended", "--json"])?;
    let found = text(&search.output()?.stdout);
    let told = found.lines().filter(|line| line.contains("limits.memory"));
    assert_eq!(told.count(), 4, "{found}");
    Ok(())
}
