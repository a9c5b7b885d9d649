//! The probes by which sandboxes for agents are compared, under the policy that holds where nobody
//! has configured anything: each works outside, and is denied, stripped or limited inside.

use crate::place::{Place, text};
use anyhow::{Result, ensure};
use std::fs;
use std::os::unix::net::UnixListener;
use std::process::Command;

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
    fs::create_dir(place.work().join(".claude"))?;
    let _listener = UnixListener::bind(place.home().join("daemon.sock"))?;
    let connect = "perl -MIO::Socket::UNIX -e \
                   'IO::Socket::UNIX->new(Peer => \"$ENV{HOME}/daemon.sock\") or die \"$!\\n\"'";
    // Numbers of x86_64 and aarch64 alike.
    let ring = "perl -e 'my $p = \"\\0\" x 120; exit(syscall(425, 1, $p) < 0)'";
    for (probe, script) in [
        ("read ~/.ssh", "cat ~/.ssh/id_ed25519"),
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
fn where_policy_denies_it_the_workspaces_own_env_file_is_not_read() -> Result<()> {
    let place = Place::new()?;
    place.configure("[filesystem]\ndeny = [\"**/.env\"]\n")?;
    fs::write(place.work().join(".env"), "hush")?;
    is_denied(&place, "read ./.env", "cat ./.env")
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
