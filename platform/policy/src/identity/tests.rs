//! What a started program can be read as.

use super::{carries_out, continues, given_text, identities, subject};
use crate::Command;

fn command(executable: &str, exec_name: &str, argv: &[&str]) -> Command {
    let mut command = Command::from_tokens(argv);
    command.executable = executable.into();
    command.exec_name = exec_name.into();
    command
}

/// The readings as lines, a `?` before those that nothing proves.
fn readings(command: &Command) -> Vec<String> {
    identities(command)
        .iter()
        .map(|own| format!("{}{}", if own.proven { "" } else { "?" }, own.tokens.join(" ")))
        .collect()
}

fn has(command: &Command, reading: &str) -> bool {
    readings(command).iter().any(|own| own == reading)
}

#[test]
fn a_script_is_known_by_its_own_name_through_every_step_of_its_start() {
    // `npm publish` begins with `#!/usr/bin/env node`: the kernel starts env, env starts node.
    let first = command(
        "/usr/bin/env",
        "/usr/bin/npm",
        &["/usr/bin/env", "node", "/usr/bin/npm", "publish"],
    );
    assert!(has(&first, "npm publish"), "{:?}", readings(&first));
    let second = command("/usr/bin/node", "/usr/bin/node", &["node", "/usr/bin/npm", "publish"]);
    assert!(has(&second, "npm publish"), "{:?}", readings(&second));
    assert_eq!(subject(&first), ["npm", "publish"]);
    assert_eq!(subject(&second), ["npm", "publish"]);

    assert!(continues(&first, &second), "one wish, asked about once");
    assert!(!continues(&second, &first));
    let mut other = second.clone();
    other.argv.push("--tag=next".into());
    assert!(!continues(&first, &other));
    let mut other = second.clone();
    other.environment = vec![("NODE_OPTIONS".into(), "--require=x".into())];
    assert!(!continues(&first, &other));

    let twine =
        command("/usr/bin/python3.11", "/x/bin/twine", &["python3", "/x/bin/twine", "upload"]);
    assert!(has(&twine, "twine upload"));
    assert_eq!(subject(&twine), ["twine", "upload"]);
}

#[test]
fn the_program_file_proves_and_the_first_argument_does_not() {
    let liar = command("/tmp/evil", "/tmp/evil", &["git", "status"]);
    assert_eq!(readings(&liar), ["evil status", "?git status"]);
    let link = command("/tmp/evil", "/tmp/git", &["git", "status"]);
    assert_eq!(readings(&link), ["evil status", "?git status"]);
    let system = command("/usr/bin/dash", "/bin/sh", &["sh", "-x"]);
    assert!(has(&system, "sh -x"), "a link that only the system could have made");
    let escape = command("/tmp/evil", "/usr/bin/../../tmp/git", &["git", "status"]);
    assert!(has(&escape, "?git status"));
}

#[test]
fn options_before_the_subcommand_are_left_out() {
    let table = [
        (&["git", "-C", "x", "push", "origin"][..], "git push origin"),
        (&["git", "--no-pager", "-c", "a.b=c", "push"], "git push"),
        (&["git", "--git-dir=/x", "push", "-f"], "git push -f"),
        (&["cargo", "+nightly", "publish"], "cargo publish"),
        (&["kubectl", "-nprod", "apply"], "kubectl apply"),
        (&["gh", "-R", "acme/api", "pr", "merge"], "gh pr merge"),
        (&["git", "--surely-new", "push"], "?git push"),
        (&["git", "--surely-new", "value", "push"], "?git push"),
        (&["gh", "pr", "-R", "acme/api", "merge"], "?gh pr merge"),
    ];
    for (argv, reading) in table {
        let path = format!("/usr/bin/{}", argv[0]);
        let command = command(&path, &path, argv);
        assert!(has(&command, reading), "{argv:?} is {:?}", readings(&command));
    }
}

#[test]
fn programs_that_are_many_programs_are_known_by_the_one_that_runs() {
    let table = [
        (&["busybox", "wget", "x"][..], "?wget x"),
        (&["/usr/lib/git-core/git-push", "origin"], "git push origin"),
        (&["python3.11", "-W", "ignore", "-m", "twine", "upload"], "twine upload"),
        (&["ld-linux-x86-64.so.2", "--argv0", "x", "/usr/bin/git", "push"], "git push"),
        (&["env", "-u", "A", "B=c", "git", "push"], "?git push"),
        (&["env", "-S", "git push", "origin"], "?git push origin"),
        (&["node", "--require", "x.js", "npm-cli.js", "publish"], "?npm publish"),
        (&["node", "--title", "x", "npm-cli.js", "publish"], "npm publish"),
        (&["node", "--surely-new", "x", "npm", "publish"], "?npm publish"),
        (&["git.exe", "push"], "git push"),
    ];
    for (argv, reading) in table {
        let path =
            if argv[0].starts_with('/') { argv[0].into() } else { format!("/usr/bin/{}", argv[0]) };
        let command = command(&path, &path, argv);
        assert!(has(&command, reading), "{argv:?} is {:?}", readings(&command));
    }
}

#[test]
fn a_program_text_is_no_script() {
    let shell = command("/usr/bin/bash", "/bin/bash", &["bash", "-c", "git push"]);
    assert!(!readings(&shell).iter().any(|own| own.starts_with("git") || own.starts_with("?git")));
    let node = command("/usr/bin/node", "/usr/bin/node", &["node", "-e", "npm", "publish"]);
    assert!(!has(&node, "npm publish") && !has(&node, "?npm publish"));
}

#[test]
fn what_an_option_may_have_made_a_program_text_proves_no_script() {
    let crafted: &[(&str, &[&str])] = &[
        ("perl", &["-ne", "system(1)#/git"]),
        ("perl", &["-we", "system(1)#/git"]),
        ("perl", &["-W", "-E", "system(1)#/git"]),
        ("perl", &["-M", "x;system(1)#/git"]),
        ("ruby", &["-ne", "system(1)#/git"]),
        ("python3", &["-Bc", "import x#/git"]),
        ("python3", &["-Ic", "import x#/git"]),
        ("node", &["-pe", "x()//git"]),
        ("node", &["-ep", "x()//git"]),
        ("bun", &["-pe", "x()//git"]),
        ("bash", &["-xec", "x #/git"]),
        ("bash", &["-euo", "pipefail", "-c", "x #/git"]),
        ("php", &["-nr", "x();//git"]),
        ("lua5.4", &["-ie", "x()--/git"]),
        ("pwsh", &["-NoProfile", "-C", "x #/git"]),
        ("pwsh", &["-noprofile", "-command", "x #/git"]),
        ("zsh", &["-fc", "x #/git"]),
        ("fish", &["-Nc", "x #/git"]),
        // Where the script is what it says, and other code runs before it.
        ("node", &["--eval=x()", "git"]),
        ("node", &["--require=./x", "git"]),
        ("node", &["-r", "./x", "git"]),
        ("python3", &["-X", "pycache_prefix=x", "git"]),
        ("ruby", &["-r./x", "git"]),
        ("perl", &["-Mx", "git"]),
        ("php", &["-dauto_prepend_file=x", "git"]),
        ("bash", &["--rcfile", "x", "-i", "git"]),
        ("ld-linux-x86-64.so.2", &["--preload", "x", "/usr/bin/git"]),
    ];
    for (program, before) in crafted {
        let path = format!("/usr/bin/{program}");
        let argv: Vec<&str> = [*program].iter().chain(*before).copied().chain(["status"]).collect();
        let crafted = command(&path, &path, &argv);
        assert!(!has(&crafted, "git status"), "{:?}", readings(&crafted));
    }
    let plain: &[&[&str]] = &[
        &["perl", "-w", "/x/git", "status"],
        &["python3", "-Bu", "/x/git", "status"],
        &["node", "--max-old-space-size=4096", "/x/git", "status"],
        &["bash", "-euo", "pipefail", "/x/git", "status"],
        &["sh", "-x", "/x/git", "status"],
        &["pwsh", "-NoProfile", "-File", "/x/git", "status"],
    ];
    for argv in plain {
        let path = format!("/usr/bin/{}", argv[0]);
        let plain = command(&path, &path, argv);
        assert!(has(&plain, "git status"), "{:?}", readings(&plain));
    }
}

#[test]
fn a_program_text_that_nobody_reads_is_told() {
    let table: &[(&[&str], Option<&str>)] = &[
        (&["python3", "-c", "import os"], Some("python3")),
        (&["python3", "-W", "ignore", "-Bc", "import os"], Some("python3")),
        (&["python3", "-W", "ignore", "x.py"], None),
        (&["python3", "-Bc", "import os"], Some("python3")),
        (&["env", "A=b", "perl", "-lne", "print"], Some("perl")),
        (&["node", "--eval=1"], Some("node")),
        (&["node", "x.js", "-e"], None),
        (&["bash", "-c", "ls"], None),
        (&["make", "-c"], None),
    ];
    for (argv, expected) in table {
        let path = format!("/usr/bin/{}", argv[0]);
        let told = given_text(&command(&path, &path, argv));
        assert_eq!(told.as_deref(), *expected, "{argv:?}");
    }
}

#[test]
fn a_crafted_command_has_no_more_readings_than_anybody_can_judge() {
    let mut argv = vec!["env"];
    for _ in 0..2000 {
        argv.extend(["--x", "git", "env"]);
    }
    let command = command("/usr/bin/env", "/usr/bin/env", &argv);
    assert!(identities(&command).len() <= super::MOST);
    let nothing = Command::default();
    assert_eq!(readings(&nothing), Vec::<String>::new());
}

#[test]
fn what_git_starts_to_push_over_http_carries_the_push_out_and_nothing_else_does() {
    let git = |argv: &[&str]| command("/usr/bin/git", "/usr/bin/git", argv);
    let push = git(&["git", "-C", "x", "push", "origin", "main"]);
    let send = git(&["git", "send-pack", "--stateless-rpc", "--stdin", "https://acme.example/x"]);
    assert!(carries_out(&push, &send));
    assert!(!carries_out(&send, &push));
    assert!(!carries_out(&git(&["git", "fetch", "push"]), &send));
    assert!(!carries_out(&push, &git(&["git", "send-pack", "https://acme.example/x"])));
    assert!(!carries_out(&push, &git(&["git", "push", "--stateless-rpc"])));
    let unproven = command("/usr/bin/sh", "/usr/bin/sh", &["git", "push"]);
    assert!(!carries_out(&unproven, &send));
}
