//! Guarded paths: what must not come into being, be changed or be moved, by any name.

use crate::world::{BOTH, Ended, World, as_each_user, processors};
use chaperone_sandbox::{Exit, GuardedBut, Tier};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A world in which these paths of the workspace are guarded.
fn guarding(tier: Tier, patterns: &[&str]) -> World {
    let mut world = World::new(tier);
    let workspace = globset::escape(world.workspace.to_str().unwrap());
    world.plan.guarded = patterns.iter().map(|pattern| format!("{workspace}/{pattern}")).collect();
    world
}

/// What the judge heard of guarded writes, relative to the workspace.
fn refused(world: &World, ended: &Ended) -> Vec<String> {
    let prefix = format!("write: {}/", world.workspace.display());
    ended.refused.iter().map(|line| line.replace(&prefix, "")).collect()
}

#[test]
fn a_guarded_name_is_not_made_by_any_call() {
    as_each_user(|| {
        for tier in BOTH {
            let world = guarding(tier, &[".envrc"]);
            for script in [
                "echo x > .envrc",
                "echo x >> ./sub/../.envrc",
                "touch .envrc",
                "mkdir .envrc",
                "mkfifo .envrc",
                "ln -s a .envrc",
                "ln a .envrc",
                "mv a .envrc",
                "mv sub .envrc",
                "cp a .envrc",
                "cp -r sub .envrc",
                // Through a link that leads there, or that will.
                "ln -s .envrc link && echo x > link",
                "ln -s . here && echo x > here/.envrc",
                "ln -s $PWD/sub/../.envrc /tmp/link && echo x > /tmp/link",
                "cd sub && echo x > ../.envrc",
                "echo x > /proc/self/cwd/.envrc",
                "echo x > /proc/self/root$PWD/.envrc",
                "mkdir .envrc/deeper",
            ] {
                world.file("a", "a");
                world.file("sub/b", "b");
                let ended = world.sh(&format!("{script} || exit 1"));
                assert_eq!(ended.exit, Exit::Code(1), "{tier:?} {script}: {ended:?}");
                assert!(fs::symlink_metadata(world.workspace.join(".envrc")).is_err(), "{script}");
            }
            let ended = world.sh("echo x > .envrc");
            assert_eq!(refused(&world, &ended), [".envrc"]);
            assert!(ended.stderr.contains("Permission denied"), "{}", ended.stderr);
        }
    });
}

#[test]
fn what_is_not_guarded_is_made_as_ever() {
    as_each_user(|| {
        for tier in BOTH {
            let world = guarding(tier, &[".envrc", "**/secrets/**"]);
            let ended = world.sh(
                "set -e; umask 027; echo 1 > a; mkdir -p d/e; mv a d/e/b; ln d/e/b c; ln -s c l; \
                 echo 2 >> l; cat c; stat -c %a c d; (umask 0; echo > open; stat -c %a open); \
                 mkfifo p; (echo through > p) & cat p; cp -r d f; rm -r d; mv f g; ls; \
                 echo n > /dev/null; truncate -s 1 c; \
                 wc -c < c; tar cf t.tar g; mkdir u; tar xf t.tar -C u; cat u/g/e/b; \
                 sh -c 'exec 5<>c; echo 3 >&5'; cat c; echo back > back; mv -T back open; cat open; \
                 mktemp -p . > /dev/null; rmdir u/g/e 2> /dev/null || rm -r u; \
                 set -C; echo no > c || echo exclusive",
            );
            assert_eq!(ended.exit, Exit::Code(0), "{tier:?} {}", ended.stderr);
            let expected =
                "1\n2\n640\n750\n666\nthrough\nc\ng\nl\nopen\np\n1\n1\n2\n3\nback\nexclusive\n";
            assert_eq!(ended.stdout, expected, "{tier:?} {}", ended.stderr);
            assert_eq!(ended.refused, [] as [&str; 0]);
        }
    });
}

#[test]
fn what_is_made_gets_the_mode_that_its_maker_says_at_that_moment() {
    as_each_user(|| {
        for tier in BOTH {
            let ended = guarding(tier, &[".envrc"]).sh(
                "umask 022; > a; umask 077; > b; umask 0; > c; (umask 027; > d); > e; mkdir f; \
                 stat -c %a a b c d e f",
            );
            assert_eq!(ended.stdout, "644\n600\n666\n640\n666\n777\n", "{}", ended.stderr);
        }
    });
}

#[test]
fn a_name_is_made_where_its_maker_may_make_it_also_by_root_which_has_no_capabilities() {
    as_each_user(|| {
        for tier in BOTH {
            let world = guarding(tier, &[".envrc"]);
            world.file("a", "a");
            let folder = world.workspace.join("folder");
            fs::create_dir(&folder).unwrap();
            for script in ["> folder/b", "mkdir folder/b", "ln -s a folder/b", "mv a folder/b"] {
                let with_mode = |mode| {
                    fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
                    world.sh(script).exit
                };
                assert_ne!(with_mode(0o555), Exit::Code(0), "{tier:?} {script}");
                assert_eq!(with_mode(0o755), Exit::Code(0), "{tier:?} {script}");
                assert_eq!(world.sh("mv folder/b gone").exit, Exit::Code(0), "{tier:?} {script}");
                assert_eq!(world.sh("rm -r gone").exit, Exit::Code(0), "{tier:?} {script}");
            }
        }
    });
}

#[test]
fn whoever_makes_names_may_run_on_the_same_processors_as_before() {
    let outside = processors(&fs::read_to_string("/proc/thread-self/status").unwrap());
    as_each_user(|| {
        for tier in BOTH {
            let ended = guarding(tier, &[".envrc"])
                .sh("for i in 1 2 3 4 5 6 7 8 9; do echo > f$i; done; cat /proc/self/status");
            assert_eq!(processors(&ended.stdout), outside, "{tier:?}");
        }
    });
}

#[test]
fn a_folder_is_not_renamed_into_or_around_something_guarded() {
    as_each_user(|| {
        for tier in BOTH {
            let world = guarding(tier, &[".claude/settings.json", "**/*.secret"]);
            world.file("ours/settings.json", "{}");
            world.file("ours/notes", "");
            let ended = world.sh("mv ours .claude");
            assert_ne!(ended.exit, Exit::Code(0));
            assert_eq!(refused(&world, &ended)[0], ".claude/settings.json");
            // Nor does a link lead there.
            assert_ne!(world.sh("ln -s ours .claude").exit, Exit::Code(0));
            assert_ne!(world.sh("ln -s ours l && mv l .claude").exit, Exit::Code(0));
            assert!(fs::symlink_metadata(world.workspace.join(".claude/settings.json")).is_err());
            // The rest of that folder is the agent's.
            let ended = world.sh("rm -f ours/settings.json; mv ours .claude && ls .claude");
            assert_eq!(ended.stdout, "notes\n", "{}", ended.stderr);
            assert_ne!(world.sh("echo > .claude/settings.json").exit, Exit::Code(0));
            assert_ne!(world.sh("mkdir x && echo > x/a.secret").exit, Exit::Code(0));
            // A folder made where the pattern does not reach does not bring one in.
            let temp = world.plan.temp.display().to_string();
            let script = format!("mkdir {temp}/y && echo > {temp}/y/a.secret && mv {temp}/y z");
            assert_ne!(world.sh(&script).exit, Exit::Code(0));
            assert!(!world.workspace.join("z/a.secret").exists());
        }
    });
}

#[test]
fn a_folder_that_holds_a_guarded_name_is_moved_neither_to_an_exception_nor_out_of_one() {
    as_each_user(|| {
        for tier in BOTH {
            let mut world = World::new(tier);
            let top = world.workspace.display().to_string();
            let but = vec![format!("{top}/**/node_modules/**/.env*")];
            world.plan.guarded_but = vec![GuardedBut { glob: format!("{top}/**/.env*"), but }];
            world.file("apps/web/.env", "hush");
            let made = world.sh("mkdir -p node_modules/x && echo y > node_modules/x/.env");
            assert_eq!(made.exit, Exit::Code(0), "{tier:?}: {}", made.stderr);
            for script in
                ["mv apps node_modules/apps", "mv node_modules/x x", "mv node_modules other"]
            {
                assert_ne!(world.sh(script).exit, Exit::Code(0), "{tier:?}: {script}");
            }
            let moved = world.sh("mv node_modules/x node_modules/y && cat node_modules/y/.env");
            assert_eq!(moved.stdout, "y\n", "{tier:?}: {}", moved.stderr);
            assert!(world.workspace.join("apps/web/.env").exists());
        }
    });
}

#[test]
fn without_namespaces_what_is_there_already_is_guarded_too() {
    as_each_user(|| {
        let world = guarding(Tier::Reduced, &[".git/hooks", ".git/config"]);
        let hook = world.file(".git/hooks/pre-commit", "old");
        let config = world.file(".git/config", "old");
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o777)).unwrap();
        symlink(".git/config", world.workspace.join("link")).unwrap();
        for script in [
            "echo new > .git/hooks/pre-commit",
            "echo new >> .git/config",
            "echo new > link",
            "rm -f .git/config",
            "rm -rf .git",
            "mv .git elsewhere",
            "mv .git/config elsewhere",
            "mv .git/hooks elsewhere",
            "echo new > a && mv a .git/config",
            "ln .git/config elsewhere",
            "ln -L link elsewhere",
            "truncate -s 0 .git/config",
            "sed -i s/old/new/ .git/config",
        ] {
            let ended = world.sh(&format!("{script} || exit 1"));
            assert_eq!(ended.exit, Exit::Code(1), "{script}: {ended:?}");
            assert_eq!(fs::read_to_string(&hook).unwrap(), "old", "{script}");
            assert_eq!(fs::read_to_string(&config).unwrap(), "old", "{script}");
        }
        let ended =
            world.sh("echo x > .git/index && mv .git/index .git/HEAD && cat .git/config .git/HEAD");
        assert_eq!(ended.stdout, "oldx\n", "{}", ended.stderr);
    });
}

#[test]
fn swapping_the_path_during_the_call_never_wins() {
    as_each_user(|| {
        for tier in BOTH {
            let world = guarding(tier, &[".envrc"]);
            let race = |world: &World, times| {
                let free = world.workspace.join(".fnvrc");
                let arguments = [free.to_str().unwrap(), times];
                assert_eq!(world.attempt("race-create", &arguments), "ok");
                world.workspace.join(".envrc").exists()
            };
            assert!(!race(&world, "500"), "{tier:?}");
            assert!(race(&World::new(tier), "1000000"), "{tier:?}");
        }
    });
}

#[test]
fn swapping_folders_and_links_during_the_call_never_wins() {
    as_each_user(|| {
        for tier in BOTH {
            let world = guarding(tier, &[".claude/settings.json"]);
            world.file(".claude/notes", "");
            world.file("free/notes", "");
            let script = "swap() { i=0; while [ $i -lt 60 ]; do ln -sfn .claude way; ln -sfn free way; \
                          mv free other 2>/dev/null; mv other free 2>/dev/null; i=$((i+1)); done; }; \
                          make() { i=0; while [ $i -lt 300 ]; do echo x > way/settings.json; \
                          i=$((i+1)); done; }; swap & make 2>/dev/null; wait";
            let ended = world.sh(script);
            assert_eq!(ended.exit, Exit::Code(0));
            assert!(!world.workspace.join(".claude/settings.json").exists(), "{tier:?}");
        }
    });
}

#[test]
fn git_works_while_its_hooks_are_guarded() {
    as_each_user(|| {
        for tier in BOTH {
            let mut world = guarding(tier, &[".git/hooks", ".git/config", ".envrc"]);
            world.plan.environment.insert("HOME".into(), "/tmp".into());
            for (name, value) in [("NAME", "a"), ("EMAIL", "a@example.com")] {
                for who in ["AUTHOR", "COMMITTER"] {
                    world.plan.environment.insert(format!("GIT_{who}_{name}"), value.into());
                }
            }
            world.plan.environment.insert("GIT_CONFIG_NOSYSTEM".into(), "1".into());
            let made = std::process::Command::new("git")
                .args(["init", "-q"])
                .current_dir(&world.workspace)
                .env("HOME", "/")
                .status();
            assert!(made.unwrap().success());
            if tier == Tier::Full {
                world.plan.read_only =
                    [".git/hooks", ".git/config"].map(|path| world.workspace.join(path)).into();
            }
            let ended = world.sh(
                "set -e; echo 1 > a; git add a; git commit -qm one; echo 2 > a; git stash -q; \
                 git stash pop -q; git commit -qam two; git checkout -qb side HEAD~1; echo 3 > b; \
                 git add b; git commit -qm three; git rebase -q master; git log --format=%s; \
                 git gc -q; git worktree add -q wt HEAD; git status --short",
            );
            assert_eq!(ended.exit, Exit::Code(0), "{tier:?} {}", ended.stderr);
            assert_eq!(ended.stdout, "three\ntwo\none\n?? wt/\n");
            let ended =
                world.sh("echo x > .git/hooks/pre-commit || git config a.b c || echo refused");
            assert_eq!(ended.stdout, "refused\n");
        }
    });
}
