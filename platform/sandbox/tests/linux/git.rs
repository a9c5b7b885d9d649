//! Git in a session, under the plan that the planner makes of the default policy: in a linked
//! worktree, in a copy of one, and with repositories that are made inside.

use crate::world::{BOTH, Ended, as_each_user, session};
use chaperone_policy::{Context, Os, built_in, merge};
use chaperone_sandbox::{
    AgentAccess, Answer, Exit, Machine, Plan, PlanInput, RealDisk, Status, Tier, assume, plan,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A home with a repository of one commit (`main`), a linked worktree of it (`linked`), a copy of
/// that folder (`copied`), which the repository does not know of, and an empty folder (`empty`).
struct Home {
    _base: tempfile::TempDir,
    path: PathBuf,
}

impl Home {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().canonicalize().unwrap().join("home");
        for folder in ["main", "empty", "../temp", "../cache"] {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        let config =
            "[user]\n\tname = Ada\n\temail = ada@acme.example\n[init]\n\tdefaultBranch = main\n";
        fs::write(path.join(".gitconfig"), config).unwrap();
        let home = Self { _base: base, path };
        home.outside(
            "main",
            "set -e; git init -q; echo 1 > a; git add a; git commit -qm one; \
             git worktree add -q ../linked; cp -r ../linked ../copied",
        );
        home
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let home = self.path.display().to_string();
        [("PATH", "/usr/bin:/bin"), ("LC_ALL", "C"), ("HOME", &home)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// What a line of shell prints in one of the folders where nothing holds it; it succeeds.
    fn outside(&self, folder: &str, script: &str) -> String {
        let ended = Command::new("sh")
            .args(["-c", script])
            .env_clear()
            .envs(self.environment())
            .current_dir(self.path.join(folder))
            .output()
            .unwrap();
        assert!(ended.status.success(), "{script}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8_lossy(&ended.stdout).into_owned()
    }

    fn plan(&self, folder: &str, tier: Tier) -> Plan {
        let (home, workspace) = (&self.path, self.path.join(folder));
        let machine = match tier {
            Tier::Full => assume(),
            _ => Machine { user_namespaces: Status::Fails { errno: libc::EPERM }, ..assume() },
        };
        let context = Context {
            home: home.clone(),
            workspace: workspace.clone(),
            agent: None,
            os: Os::Linux,
        };
        let beside = |name: &str| home.with_file_name(name);
        let plan = plan(PlanInput {
            policy: &merge(vec![built_in()], &context),
            machine: &machine,
            session: "git",
            home,
            workspace: &workspace,
            temp: &beside("temp"),
            cache: &beside("cache"),
            control: &[home.join(".config/chaperone")],
            agent: &AgentAccess::default(),
            outside: None,
            environment: &self.environment(),
            disk: &RealDisk,
        })
        .unwrap();
        assert_eq!(plan.tier, tier);
        plan
    }

    /// Runs a line of shell in a session in one of the folders.
    fn inside(&self, folder: &str, tier: Tier, script: &str) -> Ended {
        let plan = self.plan(folder, tier);
        session(&plan, &["sh", "-c", script], |_, _| {}, |_, _| Answer::Allow)
    }

    /// Hooks and configuration of the repository.
    fn programs(&self) -> (Vec<PathBuf>, String) {
        let git = self.path.join("main/.git");
        let hooks = fs::read_dir(git.join("hooks")).unwrap();
        let mut hooks: Vec<_> = hooks.map(|entry| entry.unwrap().path()).collect();
        hooks.sort();
        (hooks, fs::read_to_string(git.join("config")).unwrap())
    }
}

/// Each changes what programs the repository runs, for whoever works in it.
const TAMPERING: [&str; 6] = [
    "echo > ../main/.git/hooks/pre-commit",
    "mv ../main/.git/hooks ../main/.git/aside && mkdir ../main/.git/hooks",
    "git -C ../main config core.editor x",
    "git config core.editor x",
    "echo '[core] editor = x' >> ../main/.git/config",
    "cp ../main/.git/config own && echo >> own && mv own ../main/.git/config",
];

const COMMIT: &str = "echo 2 > a && git add a && git commit -qm two";

/// A session there changes nothing of what the repository runs, and whoever is outside does.
fn keeps_its_programs(folder: &str, tier: Tier) {
    for script in TAMPERING {
        let home = Home::new();
        let before = home.programs();
        let ended = home.inside(folder, tier, script);
        assert_ne!(ended.exit, Exit::Code(0), "{tier}, {folder}: {script}");
        assert_eq!(home.programs(), before, "{tier}, {folder}: {script}");
        home.outside(folder, script);
        assert_ne!(home.programs(), before, "{script}");
    }
}

#[test]
fn a_linked_worktree_is_committed_in_and_its_repository_runs_nothing_new() {
    as_each_user(|| {
        for tier in BOTH {
            let home = Home::new();
            let ended = home.inside("linked", tier, &format!("{COMMIT} && git log --format=%s"));
            assert_eq!(ended.exit, Exit::Code(0), "{tier}: {}", ended.stderr);
            assert_eq!(ended.stdout, "two\none\n", "{tier}");
            assert_eq!(home.outside("main", "git log --format=%s linked"), "two\none\n");
            assert_eq!(losses(&home.plan("linked", tier)), [""; 0]);
            keeps_its_programs("linked", tier);
        }
    });
}

#[test]
fn a_copied_worktree_opens_its_repository_to_no_session() {
    as_each_user(|| {
        for tier in BOTH {
            let home = Home::new();
            for script in [COMMIT, "git log", "cat ../main/.git/HEAD", "echo > ../main/.git/x"] {
                let ended = home.inside("copied", tier, script);
                assert_ne!(ended.exit, Exit::Code(0), "{tier}: {script}");
            }
            assert_eq!(home.outside("main", "git log --all --format=%s"), "one\n");
            assert_eq!(losses(&home.plan("copied", tier)), ["git-folder-elsewhere"]);
            // Git itself takes no notice of the difference.
            home.outside("copied", COMMIT);
            assert_eq!(home.outside("main", "git log --all --format=%s"), "two\none\n");
            keeps_its_programs("copied", tier);
        }
    });
}

#[test]
fn repositories_are_made_and_cloned_inside() {
    let begin = "set -e; git init -q; echo 1 > a; git add a; git commit -qm one";
    let go_on = "git init -q made; echo 3 > made/b; git -C made add b; git -C made commit -qm three; \
                 git clone -q . cloned; git clone -q --bare made bare.git; git clone -q made twice; \
                 echo 2 > a; git commit -qam two; git -C cloned pull -q; \
                 git -C cloned log --format=%s; git -C bare.git log --format=%s; \
                 git -C twice config a.b c; git -C twice log --format=%s";
    let expected = "two\none\nthree\nthree\n";
    as_each_user(|| {
        for tier in BOTH {
            for (folder, script) in
                [("empty", format!("{begin}; {go_on}")), ("main", format!("set -e; {go_on}"))]
            {
                assert_eq!(Home::new().outside(folder, &script), expected);
                let ended = Home::new().inside(folder, tier, &script);
                assert_eq!(ended.exit, Exit::Code(0), "{tier}, {folder}: {}", ended.stderr);
                assert_eq!(ended.stdout, expected, "{tier}, {folder}");
            }
        }
    });
}

#[test]
fn a_submodule_is_worked_in_and_runs_nothing_new() {
    let made = "set -e; git init -q ../lib; cd ../lib; echo 1 > b; git add b; git commit -qm lib; \
                cd ../main; git -c protocol.file.allow=always submodule --quiet add ../lib part; \
                git commit -qm part";
    let work = "set -e; cd part; echo 2 > b; git commit -qam two; cd ..; git add part; \
                git commit -qm three; git status --porcelain; \
                git checkout -q HEAD~2; git checkout -q main; git -C part log --format=%s; \
                git log --format=%s";
    let expected = "two\nlib\nthree\npart\none\n";
    as_each_user(|| {
        for tier in BOTH {
            let home = Home::new();
            home.outside("main", made);
            let ended = home.inside("main", tier, work);
            assert_eq!(ended.exit, Exit::Code(0), "{tier}: {}", ended.stderr);
            assert_eq!(ended.stdout, expected, "{tier}");
            let led = || home.outside("main", "git -C part rev-parse --git-dir; cat part/.git");
            let before = led();
            for script in [
                "git init -q ../empty; echo gitdir: ../../empty/.git > part/.git",
                "git init -q own; echo gitdir: ../own/.git > x; mv x part/.git",
                "rm part/.git && git init -q part",
                "mv part aside && git init -q part",
            ] {
                home.inside("main", tier, script);
                assert_eq!(led(), before, "{tier}: {script}");
            }
            home.outside("main", "rm part/.git; git init -q part");
            assert_ne!(home.outside("main", "git -C part rev-parse --git-dir"), before);
        }
    });
}

/// The losses of git that a plan names.
fn losses(plan: &Plan) -> Vec<&str> {
    let ids = plan.losses.iter().map(|loss| loss.id.as_str());
    ids.filter(|id| id.starts_with("git-")).collect()
}
