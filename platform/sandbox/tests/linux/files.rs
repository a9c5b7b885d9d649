//! Files: what lies outside the grants, what is hidden or protected inside them.

use crate::world::{BOTH, Ended, World, as_each_user, outside, session};
use chaperone_sandbox::{Access, Answer, Denied, Exit, GuardedBut, PathGrant, Plan, Session, Tier};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn a_session_works_in_its_workspace() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let ended = world.sh("echo hello > a; mkdir b; mv a b/; cat b/a; ln -s b c; ls; \
                                  echo x > /dev/null; rm -r b; pwd");
            assert_eq!(ended.exit, Exit::Code(0), "{}", ended.stderr);
            assert_eq!(ended.stderr, "");
            assert_eq!(
                ended.stdout,
                format!("hello\nb\nc\n{}\n", world.workspace.display()),
                "{tier:?}"
            );
        }
    });
}

#[test]
fn home_outside_the_grants_is_out_of_reach() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let secret = world.home.join(".ssh/id_ed25519");
            fs::create_dir_all(secret.parent().unwrap()).unwrap();
            fs::write(&secret, "secret").unwrap();
            let by_root = format!("/proc/self/root{}", secret.display());
            std::os::unix::fs::symlink(&secret, world.workspace.join("link")).unwrap();
            let link = world.workspace.join("link");
            for path in [secret.to_str().unwrap(), &by_root, link.to_str().unwrap()] {
                assert_eq!(outside("read", &[path]), "ok");
                let inside = world.attempt("read", &[path]);
                // In the full tier a folder above may not even be there.
                assert!(
                    ["EACCES", "ENOENT"].contains(&inside.as_str()),
                    "{tier:?} {path}: {inside}"
                );
            }
            let written = world.home.join("dropped");
            // In the full tier a folder of that name may have been made in the private temporary
            // folder, which lies over the one where this test lives.
            let inside = world.attempt("write", &[written.to_str().unwrap()]);
            assert!(inside == "EACCES" || tier == Tier::Full, "{tier:?}: {inside}");
            assert!(!written.exists());
            assert_eq!(outside("write", &[written.to_str().unwrap()]), "ok");
        }
    });
}

#[test]
fn a_protected_path_is_neither_written_nor_moved_out_of_the_way() {
    as_each_user(|| {
        let mut world = World::new(Tier::Full);
        let hook = world.file(".git/hooks/pre-commit", "");
        let config = world.file(".git/config", "");
        world.plan.read_only = vec![hook.parent().unwrap().to_owned(), config.clone()];
        let git = world.workspace.join(".git");
        let elsewhere = world.workspace.join("elsewhere");
        let [hook, config, git, elsewhere] =
            [&hook, &config, &git, &elsewhere].map(|path| path.to_str().unwrap());
        assert_eq!(world.attempt("write", &[hook]), "EROFS");
        assert_eq!(world.attempt("write", &[&format!("{hook}-2")]), "EROFS");
        assert_eq!(world.attempt("remove", &[hook]), "EROFS");
        assert_eq!(world.attempt("write", &[config]), "EROFS");
        assert_eq!(world.attempt("rename", &[config, elsewhere]), "EXDEV");
        assert_eq!(world.attempt("rename", &[&format!("{git}/HEAD.lock"), config]), "ENOENT");
        assert_eq!(world.attempt("rename", &[git, elsewhere]), "EBUSY");
        // What lies beside them is written as ever.
        assert_eq!(world.attempt("write", &[&format!("{git}/index")]), "ok");
        for (name, arguments) in [("write", vec![hook]), ("rename", vec![config, elsewhere])] {
            assert_eq!(outside(name, &arguments), "ok");
        }
    });
}

#[test]
fn a_hidden_path_shows_nothing_under_any_name() {
    as_each_user(|| {
        let mut world = World::new(Tier::Full);
        let env = world.file(".env", "KEY=1");
        let folder = world.file("secrets/deep/key", "1").parent().unwrap().to_owned();
        world.file("beside", "2");
        world.plan.hidden = vec![env.clone(), folder.clone()];
        let link = world.workspace.join("link");
        std::os::unix::fs::symlink(&env, &link).unwrap();
        let hard = world.workspace.join("hard");
        let by_root = format!("/proc/self/root{}", env.display());
        let key = folder.join("key");
        let [env, folder, key, link, hard] =
            [&env, &folder, &key, &link, &hard].map(|path| path.to_str().unwrap());
        for path in [env, link, &by_root, key] {
            assert_eq!(outside("read", &[path]), "ok");
            assert_eq!(world.attempt("read", &[path]), "EACCES", "{path}");
        }
        assert_eq!(outside("list", &[folder]), "ok");
        assert_eq!(world.attempt("list", &[folder]), "EACCES");
        assert_eq!(world.attempt("write", &[env]), "EROFS");
        assert_eq!(world.attempt("hard-link", &[env, hard]), "EXDEV");
        assert_eq!(outside("hard-link", &[env, hard]), "ok");
        // A folder above may be renamed: what hides moves along.
        let ended = world.sh("chmod 700 .env secrets/deep; mv secrets moved; cat moved/deep/key");
        assert_ne!(ended.exit, Exit::Code(0));
        assert_eq!(ended.stdout, "");
        assert_eq!(
            world.attempt("read", &[world.workspace.join("beside").to_str().unwrap()]),
            "ok"
        );
    });
}

/// What a session of the full tier sees of what `outside` does once the session has begun. The script
/// waits for that, and then for a path to be `gone`, no longer than ten thousand programs.
fn while_it_runs(
    plan: &Plan,
    begin: &str,
    outside: impl FnOnce(&Path) + Send + 'static,
    then: &str,
) -> Ended {
    let workspace = plan.workspace.clone();
    let act = move || {
        let [ready, done] = ["ready", "done"].map(|name| workspace.join(name));
        while !ready.exists() {
            std::thread::yield_now();
        }
        outside(&workspace);
        fs::write(done, "").unwrap();
    };
    let script = format!(
        "{begin} && touch ready && until [ -e done ]; do :; done
        gone() {{ i=0; while cat $1 > seen && [ $i -lt 10000 ]; do i=$((i+1)); done; ! cat $1; }}
        {then}"
    );
    let meanwhile = |_: &mut Session, _| drop(std::thread::spawn(act));
    session(plan, &["sh", "-c", &script], meanwhile, |_, _| Answer::Allow)
}

fn denied(glob: String, but: Vec<String>) -> Denied {
    Denied { what: GuardedBut { glob, but }, by_default: false }
}

#[test]
fn what_is_denied_and_appears_from_outside_is_hidden_too() {
    as_each_user(|| {
        let mut world = World::new(Tier::Full);
        let env = world.file(".env", "KEY=1");
        world.file("settings", "KEY=5");
        world.plan.hidden = vec![env.clone()];
        let top = world.workspace.display();
        let but = vec![format!("{top}/**/.env.example")];
        world.plan.denied = vec![denied(format!("{top}/**/.env*"), but)];
        let outside = |workspace: &Path| {
            let at = |name: &str| workspace.join(name);
            // As an editor saves, and as a person copies what is to be filled in.
            fs::write(at("saved"), "KEY=2").unwrap();
            fs::rename(at("saved"), at(".env")).unwrap();
            fs::write(at(".env.local"), "KEY=3").unwrap();
            fs::create_dir(at(".env.d")).unwrap();
            fs::write(at(".env.d/key"), "KEY=4").unwrap();
            fs::write(at(".env.example"), "KEY=").unwrap();
            // The name of a link is denied for what it leads to.
            std::os::unix::fs::symlink("settings", at(".env.link")).unwrap();
            for (target, link) in
                [("..", ".env.above"), ("/etc", ".env.etc"), (".env.loop", ".env.loop")]
            {
                std::os::unix::fs::symlink(target, at(link)).unwrap();
            }
        };
        let then =
            "gone .env && gone .env.local && gone .env.d/key && gone settings && gone .env &&
            cat .env.example && ls .env.above > list";
        let ended = while_it_runs(&world.plan, "! cat .env && cat settings", outside, then);
        let out = (ended.exit, ended.stdout.as_str());
        assert_eq!(out, (Exit::Code(0), "KEY=5KEY="), "{}", ended.stderr);
        let covered: BTreeSet<_> = ended.covered.into_iter().collect();
        let expected = [".env", ".env.d", ".env.local", "settings"];
        assert_eq!(covered, expected.map(|name| world.workspace.join(name)).into());
    });
}

#[test]
fn what_is_seen_in_a_denied_folder_is_seen_on_when_more_appears_there() {
    as_each_user(|| {
        let mut world = World::new(Tier::Full);
        let secret = world.file("config/deep/secret", "1");
        let shown = world.file("config/deep/seen", "2");
        world.file("config/deep/too", "2");
        let top = world.workspace.display();
        let but = vec![format!("{top}/config/deep/seen")];
        world.plan.denied = vec![denied(format!("{top}/config"), but)];
        world.plan.hidden = vec![secret, world.workspace.join("config/deep/too")];
        world.plan.shown = vec![shown];
        let outside = |workspace: &Path| {
            let config = workspace.join("config");
            fs::write(config.join("deep/new"), "3").unwrap();
            fs::write(config.join("beside"), "4").unwrap();
        };
        let then = "gone config/beside && gone config/deep/new && cat config/deep/seen";
        let ended = while_it_runs(&world.plan, "cat config/deep/seen", outside, then);
        let out = (ended.exit, ended.stdout.as_str());
        assert_eq!(out, (Exit::Code(0), "22"), "{}", ended.stderr);

        // As a build does, or git, which make a folder anew.
        let outside = |workspace: &Path| {
            fs::rename(workspace.join("config"), workspace.join("before")).unwrap();
            fs::create_dir_all(workspace.join("config/deep")).unwrap();
            for name in ["secret", "seen", "third"] {
                fs::write(workspace.join("config/deep").join(name), name).unwrap();
            }
        };
        for name in ["ready", "done"] {
            fs::remove_file(world.workspace.join(name)).unwrap();
        }
        let then = "gone config/deep/secret && gone config/deep/third && cat config/deep/seen";
        let ended = while_it_runs(&world.plan, "! cat config/deep/secret", outside, then);
        let out = (ended.exit, ended.stdout.as_str());
        assert_eq!(out, (Exit::Code(0), "seen"), "{}", ended.stderr);
    });
}

#[test]
fn what_is_denied_is_found_also_where_nothing_was_hidden() {
    as_each_user(|| {
        let mut world = World::new(Tier::Full);
        world.file("web/api/plain", "seen");
        world.file("locked/in", "");
        let top = world.workspace.display();
        let but = vec![format!("{top}/**/.env.example")];
        let named = denied(format!("{top}/app/keys/private"), Vec::new());
        world.plan.denied = vec![denied(format!("{top}/**/.env*"), but), named];
        let outside = |workspace: &Path| {
            fs::create_dir_all(workspace.join("app/keys")).unwrap();
            fs::create_dir_all(workspace.join("lib/new")).unwrap();
            let paths =
                ["web/api/.env", "web/api/.env.example", "lib/new/.env", "app/keys/private"];
            for path in paths {
                fs::write(workspace.join(path), path).unwrap();
            }
        };
        // Nobody lists this folder for a while, which is the session's own business.
        let then = "gone web/api/.env && gone lib/new/.env && gone app/keys/private &&
            chmod 700 locked && cat locked/in web/api/.env.example web/api/plain &&
            touch replaced && until [ -e again ]; do :; done && gone web/api/.env";
        let workspace = world.workspace.clone();
        let act = move |top: &Path| {
            outside(top);
            std::thread::spawn(move || {
                while !workspace.join("replaced").exists() {
                    std::thread::yield_now();
                }
                fs::remove_file(workspace.join("web/api/.env")).unwrap();
                fs::write(workspace.join("web/api/.env"), "2").unwrap();
                fs::write(workspace.join("again"), "").unwrap();
            });
        };
        let ended = while_it_runs(&world.plan, "chmod 0 locked", act, then);
        let out = (ended.exit, ended.stdout.as_str());
        assert_eq!(out, (Exit::Code(0), "web/api/.env.exampleseen"), "{}", ended.stderr);
        let mut covered = ended.covered;
        covered.dedup();
        let names = ["app/keys/private", "lib/new/.env", "web/api/.env"];
        let expected = names.map(|name| world.workspace.join(name));
        assert_eq!(covered.into_iter().collect::<BTreeSet<_>>(), expected.into());
    });
}

#[test]
fn half_of_what_may_be_watched_is_left_to_others() {
    as_each_user(|| {
        let whole = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").unwrap();
        let most: usize = whole.trim().parse().unwrap();
        let count = |text: &str| text.parse::<usize>().unwrap();
        let inside = count(&World::new(Tier::Full).attempt("queues", &[]));
        assert!(inside <= most / 2, "{inside} of {most}");
        assert!(count(&outside("queues", &[])) > most / 2);
    });
}

#[test]
fn who_waits_for_a_lease_or_a_pipe_keeps_nobody_else_waiting() {
    as_each_user(|| {
        let mut world = World::new(Tier::Full);
        world.plan.guarded = vec![world.workspace.join("guarded").display().to_string()];
        let leased = world.file("leased", "x");
        assert_eq!(outside("lease", &[leased.to_str().unwrap()]), "ok");
        assert_eq!(world.attempt("lease", &[leased.to_str().unwrap()]), "ok");
        let pipe = world.workspace.join("pipe");
        assert_eq!(outside("pipes", &[pipe.to_str().unwrap(), "0"]), "0");
        assert_eq!(world.attempt("pipes", &[pipe.to_str().unwrap(), "44"]), "44");
    });
}

#[test]
fn calls_that_open_by_other_means_are_refused() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            assert_eq!(outside("openat2", &["/etc/passwd"]), "ok");
            assert_eq!(world.attempt("openat2", &["/etc/passwd"]), "ENOSYS");
            assert_eq!(outside("handle", &[]), "ok");
            assert_eq!(world.attempt("handle", &[]), "EPERM");
        }
    });
}

#[test]
fn the_temporary_folder_is_the_sessions_own() {
    as_each_user(|| {
        let world = World::new(Tier::Full);
        let outside_file = tempfile::NamedTempFile::new().unwrap();
        let ended = world.sh("echo 1 > /tmp/mine; echo 2 > /var/tmp/too; ls /tmp");
        assert_eq!(ended.exit, Exit::Code(0), "{}", ended.stderr);
        assert!(ended.stdout.contains("mine\n") && ended.stdout.contains("too\n"));
        assert!(world.plan.temp.join("mine").exists());
        let name = outside_file.path().to_str().unwrap();
        assert_eq!(outside("read", &[name]), "ok");
        assert_eq!(world.attempt("read", &[name]), "ENOENT");
    });
}

#[test]
fn shared_memory_files_are_the_sessions_own_and_what_is_granted_there() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut world = World::new(Tier::Full);
    world.plan.workspace = folder.path().to_owned();
    for path in [folder.path(), Path::new("/dev/shm")] {
        world.plan.grants.push(PathGrant { path: path.to_owned(), access: Access::Write });
    }
    let other = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    let ended = world.sh("echo x > mine; echo y > /dev/shm/shared; ls -A /dev/shm");
    assert_eq!(ended.exit, Exit::Code(0), "{}", ended.stderr);
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut expected = [name(folder.path()), "shared".to_owned()];
    expected.sort();
    let mut seen: Vec<_> = ended.stdout.lines().collect();
    seen.sort();
    assert_eq!(seen, expected);
    assert!(folder.path().join("mine").exists() && other.path().exists());
    assert!(!Path::new("/dev/shm/shared").exists());
}

#[test]
fn a_descriptor_of_the_supervisor_is_not_inherited() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let file = fs::File::open("/etc/passwd").unwrap();
            // SAFETY: takes numbers; the copy survives exec, as a careless program's would.
            let copy = unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&file), 77) };
            assert_eq!(copy, 77);
            assert_eq!(outside("descriptor", &["77"]), "ok");
            assert_eq!(world.attempt("descriptor", &["77"]), "EBADF");
            assert_eq!(world.attempt("descriptor", &["3"]), "EBADF");
        }
    });
}

#[test]
fn other_terminals_have_no_name_inside() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            // SAFETY: takes flags; the master keeps its slave there for the test.
            let master = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY) };
            assert!(master >= 0);
            let mut number = 0;
            // SAFETY: these ioctls store an int, and take one.
            unsafe {
                libc::ioctl(master, libc::TIOCGPTN, &raw mut number);
                libc::ioctl(master, libc::TIOCSPTLCK, &0);
            }
            let name = format!("/dev/pts/{number}");
            assert!(Path::new(&name).exists());
            assert_eq!(outside("append", &[&name]), "ok");
            let inside = world.attempt("append", &[&name]);
            let expected = if tier == Tier::Full { "ENOENT" } else { "EACCES" };
            assert_eq!(inside, expected, "{tier:?}");
            // SAFETY: it is ours.
            unsafe { libc::close(master) };
        }
    });
}

#[test]
fn modes_times_and_attributes_outside_the_workspace_stay_as_they_are() {
    as_each_user(|| {
        for tier in BOTH {
            let mut world = World::new(tier);
            // Readable, and the user's own.
            let granted = world.home.join("reference");
            fs::write(&granted, "text").unwrap();
            world.plan.grants.push(PathGrant { path: granted.clone(), access: Access::Read });
            let before = fs::metadata(&granted).unwrap();
            let path = granted.display();
            let ended = world.sh(&format!(
                "cat {path}; chmod 777 {path}; touch -d 2001-01-01 {path}; chown 1:1 {path}; \
                 setfattr -n user.a -v b {path}; chmod 700 $HOME .. ; exec 5< {path}; \
                 chmod 777 /proc/self/fd/5; ln -s {path} l; chmod 777 l; touch -hd 2001-01-01 l; \
                 stat -c %y l | cut -c 1-4; echo > f; chmod 640 f; chmod o+x f; \
                 touch -d 2002-02-02 f; stat -c '%a %y' f | cut -c 1-8; \
                 cp -p f g; stat -c '%a %y' g | cut -c 1-8; chmod u-w . && chmod u+w . && echo own"
            ));
            assert_eq!(
                ended.stdout, "text2001\n641 2002\n641 2002\nown\n",
                "{tier:?} {}",
                ended.stderr
            );
            let after = fs::metadata(&granted).unwrap();
            assert_eq!(before.permissions(), after.permissions());
            assert_eq!(before.modified().unwrap(), after.modified().unwrap());
        }
    });
}

#[test]
fn only_what_can_be_read_is_watched() {
    as_each_user(|| {
        for tier in BOTH {
            let world = World::new(tier);
            let private = world.home.join("private");
            fs::create_dir(&private).unwrap();
            let (private, own) = (private.to_str().unwrap(), world.workspace.to_str().unwrap());
            let made = world.workspace.join("made");
            assert_eq!(outside("watch", &[private]), "ok");
            let refused = world.attempt("watch", &[private]);
            assert!(["EACCES", "ENOENT"].contains(&refused.as_str()), "{tier:?}: {refused}");
            assert_eq!(world.attempt("watch", &[own, made.to_str().unwrap()]), "ok", "{tier:?}");
            assert_eq!(world.attempt("watch", &["."]), "ok", "{tier:?}");
            assert_eq!(world.attempt("watch", &["/usr/bin/env"]), "ok", "{tier:?}");
        }
    });
}

#[test]
fn flags_of_files_that_are_only_read_stay_as_they_are() {
    as_each_user(|| {
        for tier in BOTH {
            let mut world = World::new(tier);
            let file = world.home.join("read");
            fs::write(&file, "").unwrap();
            world.plan.grants.push(PathGrant { path: file.clone(), access: Access::Read });
            let refused = world.attempt("set-flags", &[file.to_str().unwrap()]);
            assert!(["EROFS", "ENOTTY"].contains(&refused.as_str()), "{tier:?}: {refused}");
        }
    });
}

#[test]
fn a_program_starts_as_soon_as_it_is_written() {
    as_each_user(|| {
        for tier in BOTH {
            let mut world = World::new(tier);
            // So that names are made by the broker in both tiers.
            world.plan.guarded.push(world.workspace.join(".envrc").display().to_string());
            let copy = "cp --preserve=mode,timestamps /bin/true ./x$i && ./x$i || exit 1";
            let ended = world.sh(&format!("for i in $(seq 100); do {copy}; done"));
            assert_eq!((ended.exit, ended.stderr.as_str()), (Exit::Code(0), ""), "{tier:?}");
        }
    });
}
