//! Plans of whole machines, on a disk made of a map.

use super::*;
use crate::{Machine, Status};
use chaperone_policy::{Context, Layer, Os, Policy, SourceKind, built_in, merge};
use std::path::Path;

/// A machine with the parts that matter, and a developer's home on it.
fn disk() -> MapDisk {
    let disk =
        ["/bin", "/lib", "/lib64", "/sbin"].into_iter().fold(MapDisk::new(), |disk, link| {
            let target = format!("/usr{link}");
            disk.folder(&target).link(link, &target)
        });
    let disk = ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"]
        .into_iter()
        .fold(disk, |disk, name| match name {
            "pts" | "shm" => disk.folder(format!("/dev/{name}")),
            _ => disk.file(format!("/dev/{name}")),
        });
    disk.folder("/usr/bin")
        .folder("/usr/local/bin")
        .folder("/opt")
        .folder("/proc")
        .folder("/sys")
        .file("/var/lib/dpkg/status")
        .file("/etc/passwd")
        .unreadable("/etc/shadow")
        .file("/etc/ssh/ssh_config")
        .unreadable("/etc/ssh/ssh_host_rsa_key")
        .file("/run/systemd/resolve/stub-resolv.conf")
        .link("/etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf")
        .file("/h/.cargo/bin/cargo")
        .file("/h/.cargo/credentials.toml")
        .folder("/h/.rustup")
        .file("/h/.ssh/id_ed25519")
        .with_text("/h/.gitconfig", "[user]\nname = Ada\n")
        .folder("/h/.state/temp")
        .folder("/h/.state/cache")
        .folder("/h/.state/history")
        .folder("/h/w")
}

fn reduced() -> Machine {
    let untried = Status::Untried;
    Machine {
        user_namespaces: Status::Fails { errno: 1 },
        process_limit: Status::Fails { errno: 13 },
        mounts: untried,
        processes: untried,
        network: untried,
        terminals: untried,
        ..Machine::whole()
    }
}

/// Everything that a plan is made from, to be varied.
struct Given {
    disk: MapDisk,
    machine: Machine,
    policy: String,
    agent: AgentAccess,
    workspace: &'static str,
    path: &'static str,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            disk: disk(),
            machine: Machine::whole(),
            policy: String::new(),
            agent: AgentAccess::default(),
            workspace: "/h/w",
            path: "/h/.cargo/bin:/usr/local/bin:/usr/bin:/bin:/h",
        }
    }
}

impl Given {
    fn policy(&self) -> Policy {
        let context = Context {
            home: "/h".into(),
            workspace: self.workspace.into(),
            agent: None,
            os: Os::Linux,
        };
        let layer = Layer::from_toml(SourceKind::UserFile, "config.toml", &self.policy);
        assert_eq!(layer.findings(), []);
        merge(vec![built_in(), layer], &context)
    }

    fn plan(&self) -> Result<Plan, Refusal> {
        let environment = [
            ("PATH", self.path),
            ("LANG", "C.UTF-8"),
            ("GITHUB_TOKEN", "hidden"),
            ("HOME", "/h"),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
        ];
        let environment =
            environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        plan(PlanInput {
            outside: None,
            policy: &self.policy(),
            machine: &self.machine,
            session: "s1",
            home: Path::new("/h"),
            workspace: Path::new(self.workspace),
            temp: Path::new("/h/.state/temp"),
            cache: Path::new("/h/.state/cache"),
            control: &["/h/.state".into(), "/h/.config/chaperone".into()],
            agent: &self.agent,
            environment: &environment,
            disk: &self.disk,
        })
    }

    /// What a policy adds to the built-in one.
    fn says(policy: &str) -> Self {
        Self { policy: policy.into(), ..Self::default() }
    }

    fn on(disk: MapDisk) -> Self {
        Self { disk, ..Self::default() }
    }
}

fn paths(paths: &[PathBuf]) -> Vec<&str> {
    paths.iter().map(|path| path.to_str().unwrap()).collect()
}

fn access(plan: &Plan, path: &str) -> Vec<Access> {
    plan.grants.iter().filter(|grant| grant.path == Path::new(path)).map(|g| g.access).collect()
}

fn is_guarded(plan: &Plan, path: &str) -> bool {
    plan.guarded.iter().any(|guarded| guarded == path)
}

#[test]
fn processes_that_the_kernel_does_not_bound_are_a_loss_in_either_tier_and_told_once() {
    let lost = |machine: Machine| {
        let lost = machine.losses().into_iter().filter(|loss| loss.id == "processes-unbounded");
        lost.map(|loss| loss.fix).collect::<Vec<_>>()
    };
    let refused = Status::Fails { errno: 13 };
    for exempt_from_process_limits in [false, true] {
        for machine in [Machine::whole(), reduced()] {
            // A group of the session's own holds them, whosever they are.
            let machine = Machine { exempt_from_process_limits, process_limit: refused, ..machine };
            let held = Machine { process_limit: Status::Assumed, ..machine.clone() };
            assert_eq!(lost(held), [""; 0]);
            let bounded = machine.tier() == Tier::Full && !exempt_from_process_limits;
            let lost = lost(machine);
            assert_eq!(lost.len(), usize::from(!bounded), "{lost:?}");
            assert!(lost.iter().all(|fix| fix.contains("systemd-run --user --scope")), "{lost:?}");
        }
    }
}

#[test]
fn every_loss_of_a_plan_says_what_to_do() {
    let says = |policy: &str| Given::says(policy);
    let hooks = |path: &str| {
        let config = format!("[core]\n\thooksPath = {path}\n");
        disk().file("/h/w/.git/HEAD").with_text("/h/w/.git/config", config)
    };
    let elsewhere = disk().with_text("/h/w/.git", "gitdir: /h/main/.git/worktrees/w\n");
    let inside = disk().folder("/h/w/.git").folder("/h/w/src");
    let denied = says("[filesystem]\ndeny = [\".env\"]\n");
    let restricted = "[network]\nmode = \"none\"\nread_only = true\nallow = [\"a.example:80\"]\n";
    for (id, given) in [
        ("git-folder-elsewhere", Given::on(elsewhere)),
        ("hooks-above-workspace", Given::on(hooks("/h"))),
        ("workspace-inside-repository", Given { workspace: "/h/w/src", ..Given::on(inside) }),
        ("grant-without-path", says("[filesystem]\nread = [\"~/none\"]\n")),
        ("grant-too-wide", says("[filesystem]\nwrite = [\"~\"]\n")),
        ("host-without-relay", says("[network]\nmode = \"none\"\nallow = [\"*.a.example\"]\n")),
        ("requests-without-relay", Given { machine: reduced(), ..says(restricted) }),
        (
            "secrets-in-workspace",
            Given { machine: reduced(), disk: disk().file("/h/w/.env"), ..denied },
        ),
    ] {
        let losses = given.plan().unwrap().losses;
        assert!(losses.iter().any(|loss| loss.id == id), "{id}: {losses:?}");
        for Loss { id, detail, fix } in losses {
            assert!(detail.ends_with('.') && fix.ends_with('.'), "{id}: {detail} {fix:?}");
        }
    }
}

#[test]
fn with_no_policy_at_all() {
    insta::assert_json_snapshot!(Given::default().plan().unwrap());
}

#[test]
fn as_root_the_systems_secrets_are_hidden() {
    // Root could read what others cannot.
    let disk = disk()
        .file("/etc/shadow")
        .file("/etc/ssh/ssh_host_rsa_key")
        .file("/etc/ssh/ssh_host_rsa_key.pub")
        .folder("/etc/sudoers.d");
    assert_eq!(paths(&Given::default().plan().unwrap().hidden), Vec::<&str>::new());
    assert_eq!(
        paths(&Given::on(disk).plan().unwrap().hidden),
        ["/etc/shadow", "/etc/ssh/ssh_host_rsa_key", "/etc/sudoers.d"]
    );
}

#[test]
fn in_the_reduced_tier() {
    let disk = disk().file("/etc/shadow").file("/h/w/.env").file("/h/w/.envrc");
    let given = Given {
        machine: reduced(),
        policy: "[filesystem]\ndeny = [\".env\"]\n".into(),
        ..Given::on(disk)
    };
    insta::assert_json_snapshot!(given.plan().unwrap());
}

#[test]
fn in_the_reduced_tier_a_secret_beneath_a_readable_folder_is_not_granted_and_its_neighbours_are() {
    let disk = disk().file("/etc/shadow");
    let plan = Given { machine: reduced(), ..Given::on(disk) }.plan().unwrap();
    assert_eq!(access(&plan, "/etc"), []);
    assert_eq!(access(&plan, "/etc/shadow"), []);
    assert_eq!(access(&plan, "/etc/passwd"), [Access::Read]);
    assert_eq!(access(&plan, "/etc/ssh"), [Access::Read]);
    assert_eq!(plan.hidden, Vec::<PathBuf>::new());
}

#[test]
fn in_the_reduced_tier_what_cannot_be_hidden_is_named() {
    let disk = disk().file("/h/w/a/.env");
    let policy = "[filesystem]\ndeny = [\"**/.env\"]\n".to_owned();
    let plan = Given { machine: reduced(), policy, ..Given::on(disk) }.plan().unwrap();
    let losses: Vec<_> =
        plan.losses.iter().filter(|loss| loss.id == "secrets-in-workspace").collect();
    let [loss] = losses.as_slice() else { panic!("one loss, not {losses:?}") };
    assert!(loss.detail.contains("/h/w/a/.env"), "{}", loss.detail);
    assert!(is_guarded(&plan, "/h/w/**/.env"));
}

#[test]
fn other_terminals_and_shared_memory_are_granted_only_where_they_are_the_sessions_own() {
    let devices = |machine| {
        let plan = Given { machine, ..Given::default() }.plan().unwrap();
        (access(&plan, "/dev/pts"), access(&plan, "/dev/shm"), access(&plan, "/dev/tty"))
    };
    let device = vec![Access::Device];
    assert_eq!(devices(Machine::whole()), (device.clone(), vec![Access::Write], device.clone()));
    assert_eq!(devices(reduced()), (vec![], vec![], device));
}

#[test]
fn neither_home_nor_what_holds_it_is_granted_by_path() {
    let given =
        Given { path: "/h:/:/usr/bin:relative:/h/bin", ..Given::on(disk().folder("/h/bin")) };
    let plan = given.plan().unwrap();
    assert_eq!(access(&plan, "/h"), []);
    assert_eq!(access(&plan, "/"), []);
    assert_eq!(access(&plan, "/h/bin"), [Access::Read]);
    assert_eq!(plan.reach(Path::new("/h/.ssh/id_ed25519")), Reach::Nothing);
    assert_eq!(plan.reach(Path::new("/h/.cargo/credentials.toml")), Reach::Nothing);
    assert_eq!(plan.reach(Path::new("/h/.cargo/bin/cargo")), Reach::Read);
}

#[test]
fn the_environment_is_an_allow_list() {
    let none = "[network]\nmode = \"none\"\n";
    let given = Given::says("[environment]\npass = [\"GITHUB_TOKEN\"]\n");
    let set = |plan: Plan| plan.environment.into_keys().collect::<Vec<_>>();
    let usual = [
        "CHAPERONE_SESSION",
        "HOME",
        "LANG",
        "PATH",
        "TMPDIR",
        "XDG_CACHE_HOME",
        "npm_config_cache",
    ];
    assert_eq!(set(Given::says(none).plan().unwrap()), usual);
    assert!(set(given.plan().unwrap()).contains(&"GITHUB_TOKEN".to_owned()));
}

#[test]
fn the_temporary_folder_has_a_short_name_where_it_covers_the_machines() {
    let called = |given: Given| given.plan().unwrap().environment["TMPDIR"].clone();
    let on = || Given::on(disk().folder("/tmp"));
    assert_eq!(called(on()), "/tmp");
    assert_eq!(called(Given { machine: reduced(), ..on() }), "/h/.state/temp");
    let granted = "[filesystem]\nread = [\"/tmp\"]\n".to_owned();
    assert_eq!(called(Given { policy: granted, ..on() }), "/h/.state/temp");
    assert_eq!(called(Given::on(disk().link("/tmp", "/opt"))), "/h/.state/temp");
}

mod supervisor {
    use super::*;

    #[test]
    fn its_folders_are_hidden_where_a_grant_would_show_them_but_for_the_sessions_own() {
        let given = Given {
            agent: AgentAccess {
                write: vec!["/h/.state/agents/claude".into()],
                ..AgentAccess::default()
            },
            ..Given::says("[filesystem]\nread = [\"~\"]\n")
        };
        let disk =
            given.disk.clone().folder("/h/.state/agents/claude").folder("/h/.state/agents/x");
        let plan = Given { disk, ..given }.plan().unwrap();
        assert_eq!(
            paths(&plan.hidden),
            ["/h/.cargo/credentials.toml", "/h/.ssh", "/h/.state/agents/x", "/h/.state/history"]
        );
        assert_eq!(plan.reach(Path::new("/h/.state/agents/claude/x")), Reach::Write);
        assert_eq!(plan.reach(Path::new("/h/.gitconfig")), Reach::Read, "as the user said");
    }

    #[test]
    fn a_workspace_never_meets_them() {
        let refused = |workspace| {
            let given = Given { workspace, ..Given::on(disk().folder("/h/.state/x")) };
            matches!(given.plan(), Err(Refusal::WorkspaceHoldsChaperone { .. }))
        };
        assert!(refused("/h/.state"));
        assert!(refused("/h/.state/x"));
        assert!(!refused("/h/w"));
    }
}

mod git {
    use super::*;

    fn clone(disk: MapDisk, at: &str) -> MapDisk {
        disk.file(format!("{at}/HEAD"))
            .with_text(format!("{at}/config"), "[core]\n\tbare = false\n")
            .folder(format!("{at}/objects"))
            .folder(format!("{at}/hooks"))
    }

    #[test]
    fn hooks_and_configuration_of_a_clone_are_not_written_and_the_rest_is() {
        let plan = Given::on(clone(disk(), "/h/w/.git")).plan().unwrap();
        assert_eq!(paths(&plan.read_only), ["/h/w/.git/config", "/h/w/.git/hooks"]);
        assert_eq!(plan.reach(Path::new("/h/w/.git/hooks/pre-commit")), Reach::Protected);
        assert_eq!(plan.reach(Path::new("/h/w/.git/objects/ab")), Reach::Write);
        // git would take everything from where this file says (gitrepository-layout(5)).
        assert_eq!(plan.reach(Path::new("/h/w/.git/commondir")), Reach::Protected);
    }

    #[test]
    fn a_repository_that_is_made_inside_is_the_agents_own() {
        let plan = Given::default().plan().unwrap();
        assert_eq!(plan.reach(Path::new("/h/w/.git/config")), Reach::Write);
    }

    #[test]
    fn in_a_folder_of_clones_each_is_protected() {
        let disk = clone(disk(), "/h/w/a/.git").file("/h/w/a/.bashrc").folder("/h/w/b");
        let plan = Given::on(disk).plan().unwrap();
        assert_eq!(plan.reach(Path::new("/h/w/a/.git/hooks/x")), Reach::Protected);
        assert_eq!(plan.reach(Path::new("/h/w/a/.bashrc")), Reach::Protected);
        assert_eq!(plan.reach(Path::new("/h/w/b/.git/hooks/x")), Reach::Write);
    }

    fn linked(back: &str) -> MapDisk {
        clone(disk(), "/h/main/.git")
            .with_text("/h/w/.git", "gitdir: /h/main/.git/worktrees/w\n")
            .with_text("/h/main/.git/worktrees/w/commondir", "../..\n")
            .with_text("/h/main/.git/worktrees/w/gitdir", format!("{back}\n"))
            .file("/h/main/.git/worktrees/w/HEAD")
            .file("/h/main/src/lib.rs")
    }

    #[test]
    fn a_linked_worktree_writes_its_repository_and_not_that_ones_hooks() {
        let plan = Given::on(linked("/h/w/.git")).plan().unwrap();
        assert_eq!(plan.reach(Path::new("/h/main/.git/objects/ab")), Reach::Write);
        assert_eq!(plan.reach(Path::new("/h/main/.git/worktrees/w/index")), Reach::Write);
        assert_eq!(plan.reach(Path::new("/h/main/src/lib.rs")), Reach::Nothing);
        assert_eq!(
            paths(&plan.read_only),
            [
                "/h/main/.git/config",
                "/h/main/.git/hooks",
                "/h/main/.git/worktrees/w/commondir",
                "/h/main/.git/worktrees/w/gitdir",
                "/h/w/.git"
            ]
        );
    }

    #[test]
    fn a_git_file_that_names_somebody_elses_repository_opens_nothing() {
        let plan = Given::on(linked("/h/other/.git")).plan().unwrap();
        assert_eq!(plan.reach(Path::new("/h/main/.git/objects/ab")), Reach::Nothing);
        assert!(plan.losses.iter().any(|loss| loss.id == "git-folder-elsewhere"));
    }

    #[test]
    fn a_worktree_of_a_repository_that_the_workspace_made_up_opens_nothing() {
        // The record lies in the workspace, and its common folder is a stranger's.
        let disk = clone(disk(), "/h/victim/.git")
            .with_text("/h/w/.git", "gitdir: fake/worktrees/w\n")
            .with_text("/h/w/fake/worktrees/w/commondir", "/h/victim/.git\n")
            .with_text("/h/w/fake/worktrees/w/gitdir", "/h/w/.git\n");
        let plan = Given::on(disk).plan().unwrap();
        assert_eq!(plan.reach(Path::new("/h/victim/.git/objects")), Reach::Nothing);
    }

    #[test]
    fn a_submodule_checked_out_alone_writes_its_own_folder() {
        let disk = clone(disk(), "/h/super/.git/modules/m")
            .with_text("/h/super/.git/modules/m/config", "[core]\n worktree = ../../../../w\n")
            .with_text("/h/w/.git", "gitdir: ../super/.git/modules/m\n");
        let plan = Given::on(disk).plan().unwrap();
        assert_eq!(plan.reach(Path::new("/h/super/.git/modules/m/index")), Reach::Write);
        assert_eq!(plan.reach(Path::new("/h/super/.git/modules/m/hooks/x")), Reach::Protected);
        assert_eq!(plan.reach(Path::new("/h/super/.git/objects")), Reach::Nothing);
    }

    #[test]
    fn hooks_are_protected_where_hooks_path_puts_them() {
        let hooks_in = |file: &str, path: &str| {
            let text = format!("[core]\n\thooksPath = {path}\n");
            let disk = clone(disk(), "/h/w/.git").with_text(file, text);
            Given::on(disk.folder("/h/hooks")).plan().unwrap()
        };
        for file in ["/h/w/.git/config", "/h/.gitconfig", "/h/.config/git/config", "/etc/gitconfig"]
        {
            let plan = hooks_in(file, "tools/hooks");
            assert_eq!(
                plan.reach(Path::new("/h/w/tools/hooks/pre-push")),
                Reach::Protected,
                "{file}"
            );
            assert_eq!(plan.reach(Path::new("/h/w/tools/x")), Reach::Write, "{file}");
            let plan = hooks_in(file, "~/hooks");
            assert_eq!(plan.reach(Path::new("/h/hooks/pre-push")), Reach::Read, "{file}");
        }
    }

    #[test]
    fn a_file_that_the_configuration_includes_is_configuration() {
        let disk = clone(disk(), "/h/w/.git")
            .with_text("/h/w/.git/config", "[include]\n\tpath = ../.gitconfig.shared\n")
            .with_text("/h/w/.gitconfig.shared", "[core]\n\thooksPath = shared\n")
            .with_text("/h/.gitconfig", "[includeIf \"gitdir:~/w/\"]\n\tpath = work.config\n")
            .with_text("/h/work.config", "[user]\n\temail = x\n");
        let plan = Given::on(disk).plan().unwrap();
        assert_eq!(plan.reach(Path::new("/h/w/.gitconfig.shared")), Reach::Protected);
        assert_eq!(plan.reach(Path::new("/h/w/shared/pre-push")), Reach::Protected);
        assert_eq!(plan.reach(Path::new("/h/work.config")), Reach::Read);
    }

    #[test]
    fn submodules_hooks_are_protected_too() {
        let disk = clone(clone(disk(), "/h/w/.git"), "/h/w/.git/modules/libs/deep");
        let plan = Given::on(disk).plan().unwrap();
        assert_eq!(plan.reach(Path::new("/h/w/.git/modules/libs/deep/hooks/x")), Reach::Protected);
        assert_eq!(plan.reach(Path::new("/h/w/.git/modules/libs/deep/index")), Reach::Write);
    }

    #[test]
    fn a_submodule_is_led_nowhere_else_and_what_its_settings_name_is_protected() {
        let disk = clone(clone(disk(), "/h/w/.git"), "/h/w/.git/modules/part")
            .with_text(
                "/h/w/.git/modules/part/config",
                "[core]\n worktree = ../../../libs/part\n hooksPath = tools\n[include]\n path = more\n",
            )
            .with_text("/h/w/libs/part/.git", "gitdir: ../../.git/modules/part\n");
        let plan = Given::on(disk).plan().unwrap();
        for path in ["libs/part/.git", "libs/part/tools/pre-push", ".git/modules/part/more"] {
            assert_eq!(plan.reach(&Path::new("/h/w").join(path)), Reach::Protected, "{path}");
        }
        assert_eq!(plan.reach(Path::new("/h/w/libs/part/src")), Reach::Write);
    }

    #[test]
    fn a_linked_worktrees_submodules_are_protected_too() {
        let disk = clone(linked("/h/w/.git"), "/h/main/.git/worktrees/w/modules/part")
            .with_text(
                "/h/main/.git/worktrees/w/modules/part/config",
                "[core]\n worktree = ../../../../../../w/part\n",
            )
            .with_text("/h/w/part/.git", "gitdir: elsewhere\n");
        let plan = Given::on(disk).plan().unwrap();
        let modules = Path::new("/h/main/.git/worktrees/w/modules/part");
        assert_eq!(plan.reach(&modules.join("hooks/x")), Reach::Protected);
        assert_eq!(plan.reach(&modules.join("index")), Reach::Write);
        assert_eq!(plan.reach(Path::new("/h/w/part/.git")), Reach::Protected);
    }

    #[test]
    fn what_lies_deeper_and_is_not_kept_is_told_from_what_is() {
        let config = "[core]\n worktree = ../../../libs/part\n";
        let disk = clone(clone(disk(), "/h/w/.git"), "/h/w/.git/modules/part")
            .with_text("/h/w/.git/modules/part/config", config)
            .with_text("/h/w/libs/part/.git", "gitdir: ../../.git/modules/part\n");
        let disk = clone(clone(disk, "/h/w/libs/other/.git"), "/h/w/node_modules/x/.git");
        let plan = Given::on(disk.with_text("/h/w/tree/.git", "gitdir: /x\n")).plan().unwrap();
        assert_eq!(paths(&plan.repositories), ["/h/w/libs/other", "/h/w/tree"]);
        let plan = Given::on(clone(super::disk(), "/h/w/.git")).plan().unwrap();
        assert!(plan.repositories.is_empty(), "{:?}", plan.repositories);
    }

    #[test]
    fn a_workspace_inside_a_repository_is_told_what_to_do() {
        let disk = clone(disk(), "/h/w/.git").folder("/h/w/src");
        let plan = Given { workspace: "/h/w/src", ..Given::on(disk) }.plan().unwrap();
        let loss = plan.losses.iter().find(|loss| loss.id == "workspace-inside-repository");
        assert_eq!(loss.unwrap().fix, "Start with `--workspace /h/w`.");
    }
}

mod protected {
    use super::*;

    #[test]
    fn what_other_programs_act_on_is_neither_created_nor_changed() {
        let disk = disk().file("/h/w/.vscode/tasks.json").file("/h/w/.vscode/notes.txt");
        let plan = Given::on(disk).plan().unwrap();
        assert_eq!(paths(&plan.read_only), ["/h/w/.vscode/tasks.json"]);
        for path in PROTECTED.iter().flat_map(|group| group.paths) {
            let path = Path::new("/h/w").join(path);
            assert_eq!(plan.reach(&path), Reach::Protected, "{}", path.display());
        }
        assert_eq!(plan.reach(Path::new("/h/w/.vscode/notes.txt")), Reach::Write);
        assert_eq!(plan.reach(Path::new("/h/w/src/main.rs")), Reach::Write);
    }

    #[test]
    fn a_link_does_not_take_protection_away() {
        let disk = disk()
            .file("/h/w/config/workflows/ci.yml")
            .link("/h/w/.github", "/h/w/config")
            .folder("/h/w/run")
            .link("/h/w/.husky", "/h/w/run");
        let plan = Given::on(disk).plan().unwrap();
        assert_eq!(paths(&plan.read_only), ["/h/w/config/workflows", "/h/w/run"]);
        assert_eq!(plan.reach(Path::new("/h/w/.husky")), Reach::Protected);
        assert_eq!(plan.reach(Path::new("/h/w/config/hooks")), Reach::Protected);
    }

    #[test]
    fn a_grant_that_names_a_protected_path_lifts_it_and_a_wider_one_does_not() {
        let disk = disk().folder("/h/w/.github/workflows");
        let says = |policy: &str| {
            let given = Given { policy: policy.into(), ..Given::on(disk.clone()) };
            given.plan().unwrap().reach(Path::new("/h/w/.github/workflows/ci.yml"))
        };
        assert_eq!(says("[filesystem]\nwrite = [\".github/workflows\"]\n"), Reach::Write);
        assert_eq!(says("[filesystem]\nwrite = [\".\"]\n"), Reach::Protected);
    }

    #[test]
    fn the_agents_own_settings_are_kept_from_it() {
        let agent = AgentAccess {
            read: vec!["/opt/agent".into()],
            write: vec!["/h/.state/agent".into()],
            read_only: vec!["/h/.state/agent/settings.json".into(), "/h/.state/agent/hooks".into()],
            environment: BTreeMap::from([("AGENT_HOME".to_owned(), "/h/.state/agent".to_owned())]),
        };
        let disk = disk().file("/h/.state/agent/settings.json");
        let plan = Given { agent, ..Given::on(disk) }.plan().unwrap();
        assert_eq!(paths(&plan.read_only), ["/h/.state/agent/settings.json"]);
        assert_eq!(plan.reach(Path::new("/h/.state/agent/hooks/x")), Reach::Protected);
        assert_eq!(plan.reach(Path::new("/h/.state/agent/transcript")), Reach::Write);
        assert_eq!(plan.environment["AGENT_HOME"], "/h/.state/agent");
    }

    #[test]
    fn what_the_policy_keeps_from_writing_is_protected() {
        let disk = disk().file("/h/w/infra/main.tf").file("/h/w/a/x.lock");
        let policy = "[filesystem]\ndeny_write = [\"infra/**\", \"**/*.lock\"]\n".to_owned();
        let plan = Given { policy, ..Given::on(disk) }.plan().unwrap();
        assert_eq!(paths(&plan.read_only), ["/h/w/infra"]);
        assert_eq!(plan.reach(Path::new("/h/w/infra/new.tf")), Reach::Protected);
        assert_eq!(plan.reach(Path::new("/h/w/b/y.lock")), Reach::Protected);
        assert_eq!(plan.reach(Path::new("/h/w/b/y.rs")), Reach::Write);
    }

    #[test]
    fn a_workspace_whose_name_looks_like_a_pattern_is_protected_as_it_is() {
        let disk = disk().folder("/h/w [1]");
        let plan = Given { workspace: "/h/w [1]", ..Given::on(disk) }.plan().unwrap();
        assert_eq!(plan.reach(Path::new("/h/w [1]/.envrc")), Reach::Protected);
        assert_eq!(plan.reach(Path::new("/h/w [1]/src")), Reach::Write);
    }

    /// `UPDATE_PAGES=1` writes the page anew.
    #[test]
    fn the_page_says_what_is_protected() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protected-paths.md");
        if std::env::var_os("UPDATE_PAGES").is_some() {
            std::fs::write(page, super::super::protected::page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(page).unwrap(), super::super::protected::page());
    }
}

mod denied {
    use super::*;

    #[test]
    fn existing_matches_are_hidden_and_new_ones_not_created() {
        let disk = disk()
            .file("/h/w/a/secrets/key")
            .file("/h/w/secrets/key")
            .file("/h/w/prod.env")
            .link("/h/w/b/secrets", "/h/w/shared")
            .file("/h/w/shared/key");
        let policy =
            "[filesystem]\ndeny = [\"**/secrets/**\", \"*.env\", \"~/.kube\"]\n".to_owned();
        let plan = Given { policy, ..Given::on(disk) }.plan().unwrap();
        assert_eq!(
            paths(&plan.hidden),
            ["/h/w/a/secrets", "/h/w/prod.env", "/h/w/secrets", "/h/w/shared"]
        );
        assert!(is_guarded(&plan, "/h/w/**/secrets"));
        assert!(is_guarded(&plan, "/h/w/*.env"));
        assert!(!plan.guarded.iter().any(|path| path.contains(".kube")), "nothing grants it");
    }

    #[test]
    fn a_denial_takes_grants_back_wherever_they_come_from() {
        let policy = "[filesystem]\nread = [\"~/.ssh\"]\ndeny = [\"~/.s*\", \"~/.cargo\"]\n";
        let plan = Given::says(policy).plan();
        // The session's own folders lie in ~/.state here.
        assert!(matches!(plan, Err(Refusal::Denied { .. })));
        let policy = "[filesystem]\nread = [\"~/.ss*\"]\ndeny = [\"~/.ssh\", \"~/.cargo\"]\n";
        let plan = Given::says(policy).plan().unwrap();
        assert_eq!(plan.reach(Path::new("/h/.ssh/id_ed25519")), Reach::Nothing);
        assert_eq!(plan.reach(Path::new("/h/.cargo/bin/cargo")), Reach::Nothing);
        assert_eq!(plan.reach(Path::new("/h/.rustup")), Reach::Read);
    }

    #[test]
    fn the_defaults_hide_environment_files_but_not_their_templates() {
        let disk = disk()
            .file("/h/w/.env")
            .file("/h/w/.env.example")
            .file("/h/w/apps/web/.env.local")
            .file("/h/w/apps/web/.env.local.sample")
            .file("/h/w/.envs/production")
            .file("/h/w/node_modules/x/.env");
        let plan = Given::on(disk.clone()).plan().unwrap();
        let hidden = ["/h/w/.env", "/h/w/.envs", "/h/w/apps/web/.env.local"];
        assert_eq!(paths(&plan.hidden), hidden);
        let reach = |plan: &Plan, path: &str| plan.reach(&Path::new("/h/w").join(path));
        let packages = "node_modules/x/.env";
        for template in [".env.example", "apps/web/.env.local.sample", "new/.env.dist", packages] {
            assert_eq!(reach(&plan, template), Reach::Write, "{template}");
        }
        for new in ["new/.env", ".env.new", ".envy/node_modules/x"] {
            assert_eq!(reach(&plan, new), Reach::Protected, "{new}");
        }
        let named = "[filesystem]\nread = [\".env\"]\nwrite = [\"apps/**/.env.local\"]\n";
        let named = Given { policy: named.into(), ..Given::on(disk.clone()) }.plan().unwrap();
        assert_eq!(paths(&named.hidden), ["/h/w/.envs"]);
        assert_eq!(reach(&named, ".env"), Reach::Protected);
        assert_eq!(reach(&named, "apps/web/.env.local"), Reach::Write);
        assert_eq!(reach(&named, "apps/web/.env"), Reach::Protected);

        let reduced = Given { machine: reduced(), ..Given::on(disk) }.plan().unwrap();
        let loss = reduced.losses.iter().find(|loss| loss.id == "secrets-in-workspace").unwrap();
        assert!(loss.detail.contains("/h/w/.env, "), "{}", loss.detail);
        assert_eq!(reach(&reduced, ".env"), Reach::Protected);
    }

    #[test]
    fn what_is_named_in_a_denied_folder_is_shown_and_the_rest_of_it_is_not() {
        let disk = disk().file("/h/.ssh/known_hosts").file("/h/.ssh/config");
        for machine in [Machine::whole(), reduced()] {
            for wide in ["", "\"~\", "] {
                let policy = format!("[filesystem]\nread = [{wide}\"~/.ssh/known_hosts\"]\n");
                let given = Given { policy, machine: machine.clone(), ..Given::on(disk.clone()) };
                let plan = given.plan().unwrap();
                let reach = |path: &str| plan.reach(&Path::new("/h/.ssh").join(path));
                assert_eq!(reach("known_hosts"), Reach::Read, "{wide}");
                assert_eq!(reach("id_ed25519"), Reach::Nothing, "{wide}");
                assert_eq!(reach("config"), Reach::Nothing, "{wide}");
                let shown = plan.shown.iter().any(|path| path.ends_with("known_hosts"));
                assert_eq!(shown, machine == Machine::whole() && !wide.is_empty(), "{wide}");
            }
        }
    }

    #[test]
    fn what_appears_among_the_supervisors_own_files_is_hidden_but_for_what_is_the_agents() {
        let plan = Given::says("[filesystem]\nread = [\"~\"]\n").plan().unwrap();
        let but = ["/h/.state/temp", "/h/.state/cache"].map(String::from).into();
        let what = GuardedBut { glob: "/h/.state".into(), but };
        let own = Denied { what, by_default: true };
        assert!(plan.denied.contains(&own), "{:?}", plan.denied);
        assert_eq!(plan.shown, ["/h/.state/cache", "/h/.state/temp"].map(PathBuf::from));
        let narrow = Given::says("").plan().unwrap();
        assert!(!narrow.denied.contains(&own));
    }

    #[test]
    fn a_grant_to_what_does_not_exist_or_is_too_wide_is_said() {
        let plan =
            Given::says("[filesystem]\nread = [\"~/none\"]\nwrite = [\"~\"]\n").plan().unwrap();
        let ids: Vec<_> = plan.losses.iter().map(|loss| loss.id.as_str()).collect();
        assert_eq!(ids, ["grant-without-path", "grant-too-wide"]);
        assert_eq!(plan.reach(Path::new("/h/x")), Reach::Nothing);
    }
}

mod network {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddrV4};

    #[test]
    fn each_named_pair_has_an_address_inside() {
        let plan = Given::says(
            "[network]\nmode = \"none\"\nallow = [\"127.0.0.1:4000\", \"localhost:4001\", \"api.example:443\", \"api.example:80\", \"b.example:443\", \"[::1]:4002\", \"*.wild.example\", \"10.0.0.1:80\", \"no.example:443\"]\ndeny = [\"no.example\"]\n",
        )
        .plan()
        .unwrap();
        let Network::None { relays } = plan.network else { panic!("relays") };
        let listens: Vec<_> =
            relays.iter().map(|relay| (relay.host.as_str(), relay.listen)).collect();
        let at = |d, port| SocketAddrV4::new(Ipv4Addr::new(127, 64, 0, d), port);
        let home = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        assert_eq!(
            listens,
            [
                ("127.0.0.1", home(4000)),
                ("localhost", home(4001)),
                ("api.example", at(1, 443)),
                ("api.example", at(1, 80)),
                ("b.example", at(2, 443)),
                ("::1", home(4002)),
            ]
        );
        let loss = plan.losses.iter().find(|loss| loss.id == "host-without-relay").unwrap();
        assert!(
            loss.detail.ends_with("not relayed: *.wild.example, 10.0.0.1:80."),
            "{}",
            loss.detail
        );
    }

    #[test]
    fn direct_is_said() {
        let plan = Given::says("[network]\nmode = \"direct\"\n").plan().unwrap();
        assert_eq!(plan.network, Network::Direct);
        assert_eq!(plan.environment.get("HTTPS_PROXY"), None);
    }

    #[test]
    fn names_are_looked_up_over_tcp_where_the_network_is_the_machines() {
        let looked_up = |mode: &str, machine: Machine| {
            let given = Given::says(&format!("[network]\nmode = \"{mode}\"\n"));
            Given { machine, ..given }.plan().unwrap().environment.remove("RES_OPTIONS")
        };
        assert_eq!(looked_up("proxy", Machine::whole()), None);
        assert_eq!(looked_up("proxy", reduced()), Some("use-vc".into()));
        assert_eq!(looked_up("none", reduced()), None);
    }

    #[test]
    fn a_proxy_is_named_to_programs_and_stands_beside_relays() {
        let says =
            "[network]\nmode = \"proxy\"\nallow = [\"api.example:443\", \"*.wild.example\"]\n";
        let plan = Given::says(says).plan().unwrap();
        let Network::Proxy { relays, listen, carried: _ } = &plan.network else {
            panic!("a proxy")
        };
        let api = SocketAddrV4::new(Ipv4Addr::new(127, 64, 0, 1), 443);
        let relay = Relay { host: "api.example".into(), port: 443, listen: api };
        assert_eq!(
            (relays.as_slice(), listen.to_string()),
            (&[relay][..], "127.63.0.1:3128".into())
        );
        assert_eq!(plan.losses.iter().filter(|loss| loss.id.contains("relay")).count(), 0);
        let set = |name: &str| plan.environment.get(name).map(String::as_str);
        for name in ["HTTP_PROXY", "https_proxy", "all_proxy"] {
            assert_eq!(set(name), Some("http://127.63.0.1:3128"), "{name}");
        }
        assert_eq!(set("NO_PROXY"), Some("localhost,127.0.0.1,::1"));
        assert_eq!(set("NODE_USE_ENV_PROXY"), Some("1"));
        assert_eq!(
            set("JAVA_TOOL_OPTIONS"),
            Some(
                "-Dhttp.proxyHost=127.63.0.1 -Dhttp.proxyPort=3128 \
                 -Dhttps.proxyHost=127.63.0.1 -Dhttps.proxyPort=3128"
            )
        );
    }
}

mod refusals {
    use super::*;

    fn of(workspace: &'static str) -> Refusal {
        Given { workspace, ..Given::default() }.plan().unwrap_err()
    }

    #[test]
    fn of_workspaces_that_hold_too_much() {
        let told: Vec<_> =
            ["/", "/h", "/etc", "/h/none", "/etc/passwd"].map(|path| of(path).to_string()).into();
        insta::assert_snapshot!(told.join("\n"));
        let linked = Given { workspace: "/h/link", ..Given::on(disk().link("/h/link", "/h")) };
        assert!(matches!(linked.plan(), Err(Refusal::WorkspaceTooWide { .. })));
    }

    #[test]
    fn of_a_list_of_hosts_that_nothing_would_enforce() {
        let direct = "[network]\nmode = \"direct\"\n";
        assert!(Given::says(direct).plan().is_ok());
        let denies = format!("{direct}deny = [\"paste.example\"]\n");
        let refused = Given::says(&denies).plan().unwrap_err();
        assert!(matches!(refused, Refusal::DirectIgnores { key: "network.deny", .. }));
        let none = "[network]\ndeny = [\"paste.example\"]\n";
        assert!(Given::says(none).plan().is_ok());
    }

    #[test]
    fn of_a_workspace_that_the_policy_denies() {
        insta::assert_snapshot!(
            Given::says("[filesystem]\ndeny = [\"~/w\"]\n").plan().unwrap_err()
        );
        assert!(Given::says("[filesystem]\ndeny = [\"~/v\"]\n").plan().is_ok());
    }

    #[test]
    fn of_a_sandbox_weaker_than_the_policy_demands() {
        let policy = "[sandbox]\nminimum_tier = \"full\"\n".to_owned();
        assert!(Given { policy: policy.clone(), ..Given::default() }.plan().is_ok());
        let weak = Given { policy, machine: reduced(), ..Given::default() };
        insta::assert_snapshot!(weak.plan().unwrap_err());
    }

    #[test]
    fn of_a_machine_without_any_sandbox() {
        let machine = Machine { landlock_abi: 0, ..Machine::whole() };
        insta::assert_snapshot!(Given { machine, ..Given::default() }.plan().unwrap_err());
    }
}
