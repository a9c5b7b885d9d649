//! What this machine's kernel lets an ordinary user set up, as plain data, and what follows.
//!
//! Finding it out is the business of the module of each operating system ([`crate::probe`]).

use crate::plan::{Loss, Tier};
use serde::Serialize;

/// Whether one thing works here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "status")]
pub enum Status {
    /// It was done, and worked.
    Works,
    /// It has not been tried; launching tells.
    Assumed,
    /// It was tried, and failed with this system error number.
    Fails {
        /// As in `errno(3)`.
        errno: i32,
    },
    /// What it builds on does not work, so it could not be tried.
    Untried,
}

impl Status {
    /// Whether a plan may count on it.
    pub fn usable(self) -> bool {
        matches!(self, Self::Works | Self::Assumed)
    }
}

/// What this machine gives, each found by doing it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The version of Landlock's interface; 0 where there is none.
    pub landlock_abi: u32,
    /// A seccomp filter whose questions a supervisor answers.
    pub seccomp_notify: Status,
    /// Stopping a process of the session at exec (`ptrace`; Yama can forbid it).
    pub exec_trace: Status,
    /// User namespaces with an identity of their own.
    pub user_namespaces: Status,
    /// Private mounts, bound, covered and read-only.
    pub mounts: Status,
    /// A process namespace with its own `/proc`.
    pub processes: Status,
    /// A network namespace with its own loopback.
    pub network: Status,
    /// Terminals of its own (a new `devpts`).
    pub terminals: Status,
    /// AppArmor strips what is in new user namespaces (Ubuntu 23.10 and later).
    pub apparmor_restricts_namespaces: bool,
    /// `kernel.yama.ptrace_scope`, where Yama is there.
    pub yama: Option<u32>,
    /// The kernel bounds the number of processes for other users only (root's before Linux 6.14).
    pub exempt_from_process_limits: bool,
    /// Holding a session's memory by a control group of its own.
    pub memory_limit: Status,
    /// Holding its processes and threads by it.
    pub process_limit: Status,
}

/// One line about a machine, for `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capability {
    /// A stable identifier in kebab case.
    pub id: &'static str,
    /// What was found.
    pub status: Status,
    /// What it is for, and what was found, in plain words.
    pub detail: String,
    /// How to get it; empty where it works.
    pub fix: String,
}

/// The Landlock interface below which there is no sandbox: 2 adds refer (kernel 5.19), without
/// which nothing can be renamed between folders.
const OLDEST_LANDLOCK: u32 = 2;

/// What is lost where the kernel does not bound a session's processes.
const PROCESSES_UNBOUNDED: (&str, &str) = (
    "processes-unbounded",
    "How many processes a session has is looked at a few times a second; the kernel does not bound \
     it in between.",
);

/// How to get control groups. systemd gives a user's own manager those of memory and processes, and
/// starts a desktop's programs in them; a login by SSH or on a console is outside.
const GROUP_FIX: &str = "Start sessions where this user may make control groups: in a terminal of a \
                         desktop with systemd, or by `systemd-run --user --scope chaperone run -- \
                         COMMAND`. In a container, mount /sys/fs/cgroup so that it can be written, \
                         with the container's own processes in a group below it. Beside control \
                         groups of version 1, boot with systemd.unified_cgroup_hierarchy=1.";

impl Machine {
    /// How strong the sandbox can be here.
    pub fn tier(&self) -> Tier {
        let base = self.landlock_abi >= OLDEST_LANDLOCK
            && self.seccomp_notify.usable()
            && self.exec_trace.usable();
        let namespaces =
            [self.user_namespaces, self.mounts, self.processes, self.network, self.terminals];
        match (base, namespaces.into_iter().all(Status::usable)) {
            (false, _) => Tier::None,
            (true, false) => Tier::Reduced,
            (true, true) => Tier::Full,
        }
    }

    /// What is lost here below the best there is, and how to get it.
    pub fn losses(&self) -> Vec<Loss> {
        let mut losses = Vec::new();
        if self.tier() < Tier::Full {
            let fix = self
                .capabilities()
                .into_iter()
                .map(|capability| capability.fix)
                .find(|fix| !fix.is_empty())
                .unwrap_or_default();
            let mut lose = |id: &str, detail: &str| {
                losses.push(Loss { id: id.into(), detail: detail.into(), fix: fix.clone() });
            };
            lose(
                "secrets-in-workspace",
                "Files inside the workspace cannot be hidden from reading: Landlock grants a \
                 folder as a whole.",
            );
            lose(
                "other-processes-visible",
                "The names and arguments of this user's other processes can be read, though not \
                 their memory, files or environment.",
            );
            lose(
                "shared-network-names",
                "Names are looked up inside only where there is a proxy, and only over TCP, as programs \
                 that use glibc are told to, or from a socket that is connected to a resolver, as \
                 those in Go do: without a proxy a relay to a host that is not an address works only \
                 if /etc/hosts has it.",
            );
            lose(
                "shared-memory",
                "POSIX shared memory and named semaphores (/dev/shm) are not available, as they \
                 would be shared with this user's other programs.",
            );
            lose(
                "terminals",
                "Programs that open a new terminal by its name (tmux, script) do not work, as that \
                 would open this user's other terminals too.",
            );
        }
        if !self.process_limit.usable() {
            let (id, detail) = PROCESSES_UNBOUNDED;
            let lost = |detail: String, fix| Loss { id: id.into(), detail, fix };
            if self.tier() < Tier::Full {
                losses.push(lost(detail.into(), GROUP_FIX.into()));
            } else if self.exempt_from_process_limits {
                let detail = format!("{detail} It bounds other users than root.");
                let others = "Run sessions as an ordinary user, or use Linux 6.14 or later. Or:";
                losses.push(lost(detail, format!("{others} {GROUP_FIX}")));
            }
        }
        if self.landlock_abi < 5 {
            losses.push(Loss {
                id: "device-control".into(),
                detail: "Landlock on this kernel does not restrict ioctl on devices; only the \
                         devices of the plan can be opened."
                    .into(),
                fix: "Linux 6.10 or later.".into(),
            });
        }
        losses
    }

    /// Each capability with its status, what it is for, and a fix where it is missing.
    pub fn capabilities(&self) -> Vec<Capability> {
        let landlock = match self.landlock_abi {
            0 => Status::Fails { errno: EOPNOTSUPP },
            abi if abi < OLDEST_LANDLOCK => Status::Fails { errno: EOPNOTSUPP },
            _ => Status::Works,
        };
        vec![
            line(
                "landlock",
                landlock,
                format!("confines files (interface version {} found)", self.landlock_abi),
                "Use Linux 5.19 or later with Landlock in CONFIG_LSM, or add landlock to the \
                 lsm= kernel parameter.",
            ),
            line(
                "seccomp-notify",
                self.seccomp_notify,
                "refuses dangerous system calls and asks about the rest".into(),
                "Run outside a container that filters seccomp, or allow the seccomp system call \
                 in its profile.",
            ),
            line(
                "exec-trace",
                self.exec_trace,
                match self.yama {
                    Some(scope) => {
                        format!(
                            "judges every command at exec (kernel.yama.ptrace_scope is {scope})"
                        )
                    }
                    None => "judges every command at exec".into(),
                },
                self.trace_fix(),
            ),
            line(
                "user-namespaces",
                self.user_namespaces,
                "the ground of every other namespace".into(),
                &self.namespace_fix(self.user_namespaces, USER_LIMIT),
            ),
            line(
                "mounts",
                self.mounts,
                "hides and protects paths inside granted folders".into(),
                // They come with those of names and of shared memory.
                &self.namespace_fix(
                    self.mounts,
                    "user.max_mnt_namespaces, user.max_ipc_namespaces and user.max_uts_namespaces",
                ),
            ),
            line(
                "processes",
                self.processes,
                "keeps other processes out of sight, and ends a session whole".into(),
                "In a container, run it with an unmasked /proc (for Docker \
                 --security-opt systempaths=unconfined); else as for mounts.",
            ),
            line(
                "network",
                self.network,
                "leaves nothing to reach but the session's proxy and relays".into(),
                &self.namespace_fix(self.network, "user.max_net_namespaces"),
            ),
            line(
                "terminals",
                self.terminals,
                "keeps other terminals out of reach".into(),
                &self.namespace_fix(self.terminals, USER_LIMIT),
            ),
        ]
    }

    /// What holds a session's limits at every moment, in the same way. No tier needs it.
    pub fn groups(&self) -> [Capability; 2] {
        [
            line(
                "memory-limit",
                self.memory_limit,
                "a control group that holds limits.memory at every moment; without it each process \
                 is bounded by itself, and all of them together are looked at a few times a second"
                    .into(),
                GROUP_FIX,
            ),
            line(
                "process-limit",
                self.process_limit,
                "a control group that holds limits.processes at every moment; without it they are \
                 bounded as far as the kernel counts a user's, and looked at a few times a second"
                    .into(),
                GROUP_FIX,
            ),
        ]
    }

    /// What keeps a session's processes from being traced, as Yama's setting tells it
    /// (Documentation/admin-guide/LSM/Yama.rst): from 2 on it is Yama, below it is not.
    fn trace_fix(&self) -> &'static str {
        match self.yama {
            Some(3..) => {
                "Let /etc/sysctl.d set kernel.yama.ptrace_scope to 1 (the usual default) and restart \
                 the machine: until then 3 cannot be changed."
            }
            Some(2) => {
                "Set kernel.yama.ptrace_scope to 1 (the usual default), by `sysctl -w \
                 kernel.yama.ptrace_scope=1` and a file in /etc/sysctl.d that says the same; 2 will \
                 do where the full tier works."
            }
            _ => {
                "Allow ptrace where it is refused: in a container in its seccomp profile, under \
                 SELinux by `setsebool -P deny_ptrace 0`."
            }
        }
    }

    /// How to get a namespace of which `limits` bound the number. Never a weaker sysctl for the
    /// whole machine where a rule for Chaperone alone will do.
    fn namespace_fix(&self, status: Status, limits: &str) -> String {
        // Without user namespaces nothing else has been tried.
        let (status, limits) = match self.user_namespaces.usable() {
            true => (status, limits),
            false => (self.user_namespaces, USER_LIMIT),
        };
        if status == (Status::Fails { errno: ENOSPC }) {
            // namespaces(7): the limit on their number is reached, which may be 0.
            let first = limits.split(',').next().unwrap_or(limits);
            format!(
                "Set {limits} above 0, for example by `sysctl -w {first}=15000` and a file in \
                 /etc/sysctl.d that says the same."
            )
        } else if self.apparmor_restricts_namespaces {
            "Allow user namespaces to Chaperone alone: as root, write /etc/apparmor.d/chaperone \
             with `abi <abi/4.0>, include <tunables/global> profile chaperone /usr/bin/chaperone \
             flags=(unconfined) { userns, }` (with the path of your chaperone) and run \
             `apparmor_parser -r /etc/apparmor.d/chaperone`. The package does this. No sysctl \
             needs to be weakened."
                .into()
        } else {
            "Set user.max_user_namespaces above 0 (and kernel.unprivileged_userns_clone to 1 \
             where it exists); in a container, allow clone and mount in its seccomp profile."
                .into()
        }
    }
}

/// What bounds the number of user namespaces, on which every other builds.
const USER_LIMIT: &str = "user.max_user_namespaces";

/// `ENOSPC` on Linux.
const ENOSPC: i32 = 28;

/// `EOPNOTSUPP` on Linux, which is what Landlock says when it is built in and switched off.
const EOPNOTSUPP: i32 = 95;

fn line(id: &'static str, status: Status, detail: String, fix: &str) -> Capability {
    let fix = if status.usable() { String::new() } else { fix.to_owned() };
    Capability { id, status, detail, fix }
}

#[cfg(test)]
impl Machine {
    /// One that gives everything.
    pub(crate) fn whole() -> Self {
        let works = Status::Works;
        Self {
            landlock_abi: 7,
            seccomp_notify: works,
            exec_trace: works,
            user_namespaces: works,
            mounts: works,
            processes: works,
            network: works,
            terminals: works,
            apparmor_restricts_namespaces: false,
            yama: None,
            exempt_from_process_limits: false,
            memory_limit: works,
            process_limit: works,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Status = Status::Fails { errno: 1 };
    const FULL: Status = Status::Fails { errno: ENOSPC };

    /// What must be done for one capability of a machine, and nothing where it works.
    fn fix(machine: &Machine, id: &str) -> String {
        let all = machine.capabilities().into_iter().chain(machine.groups());
        all.filter(|it| it.id == id).map(|it| it.fix).collect()
    }

    /// Every way in which one thing does not work, with the machine where it does not.
    fn lacking() -> Vec<(&'static str, Machine)> {
        type Part = fn(&mut Machine) -> &mut Status;
        let parts: [(&str, Part); 9] = [
            ("seccomp-notify", |it| &mut it.seccomp_notify),
            ("exec-trace", |it| &mut it.exec_trace),
            ("user-namespaces", |it| &mut it.user_namespaces),
            ("mounts", |it| &mut it.mounts),
            ("processes", |it| &mut it.processes),
            ("network", |it| &mut it.network),
            ("terminals", |it| &mut it.terminals),
            ("memory-limit", |it| &mut it.memory_limit),
            ("process-limit", |it| &mut it.process_limit),
        ];
        let mut all = Vec::new();
        for restricted in [false, true] {
            for yama in [None, Some(0), Some(1), Some(2), Some(3)] {
                let on = || Machine {
                    apparmor_restricts_namespaces: restricted,
                    yama,
                    ..Machine::whole()
                };
                for landlock_abi in [0, 1] {
                    all.push(("landlock", Machine { landlock_abi, ..on() }));
                }
                for status in [REFUSED, FULL, Status::Untried] {
                    for (id, part) in parts {
                        let mut machine = on();
                        *part(&mut machine) = status;
                        all.push((id, machine));
                    }
                }
            }
        }
        all
    }

    #[test]
    fn whatever_does_not_work_says_how_to_get_it_and_what_works_asks_for_nothing() {
        for (lacks, machine) in lacking() {
            for it in machine.capabilities().into_iter().chain(machine.groups()) {
                assert_eq!(it.status.usable(), it.id != lacks, "{} of {machine:?}", it.id);
                assert_eq!(it.fix.ends_with('.'), it.id == lacks, "{}: {:?}", it.id, it.fix);
                assert!(it.id == lacks || it.fix.is_empty(), "{}: {:?}", it.id, it.fix);
                assert!(!it.detail.is_empty(), "{}", it.id);
            }
        }
    }

    #[test]
    fn every_loss_says_how_to_get_it_back() {
        let mut lost = std::collections::BTreeSet::new();
        let older = lacking().into_iter().map(|(_, it)| Machine { landlock_abi: 2, ..it });
        let root =
            lacking().into_iter().map(|(_, it)| Machine { exempt_from_process_limits: true, ..it });
        for machine in lacking().into_iter().map(|(_, it)| it).chain(older).chain(root) {
            for Loss { id, detail, fix } in machine.losses() {
                assert!(detail.ends_with('.') && fix.ends_with('.'), "{id}: {detail} {fix:?}");
                lost.insert(id);
            }
        }
        let all = [
            "device-control",
            "other-processes-visible",
            "processes-unbounded",
            "secrets-in-workspace",
            "shared-memory",
            "shared-network-names",
            "terminals",
        ];
        assert!(lost.iter().eq(all), "{lost:?}");
        assert_eq!(Machine::whole().losses(), []);
    }

    #[test]
    fn yama_is_told_by_its_setting_and_blamed_where_it_is_to_blame() {
        let with = |yama, exec_trace| Machine { yama, exec_trace, ..Machine::whole() };
        for (yama, blamed, says) in [
            (None, false, "seccomp profile"),
            (Some(0), false, "seccomp profile"),
            (Some(1), false, "seccomp profile"),
            (Some(2), true, "2 will do where the full tier works"),
            (Some(3), true, "restart the machine"),
        ] {
            let machine = with(yama, REFUSED);
            let fix = fix(&machine, "exec-trace");
            assert_eq!(fix.contains("kernel.yama.ptrace_scope"), blamed, "{yama:?}: {fix}");
            assert!(fix.contains(says), "{yama:?}: {fix}");
            for machine in [machine, with(yama, Status::Works)] {
                let found = machine.capabilities().into_iter().find(|it| it.id == "exec-trace");
                let detail = found.map(|it| it.detail).unwrap_or_default();
                let setting = yama.map(|scope| format!("kernel.yama.ptrace_scope is {scope}"));
                assert!(detail.contains(&setting.unwrap_or_default()), "{yama:?}: {detail}");
            }
        }
        assert_eq!(with(Some(3), REFUSED).tier(), Tier::None);
    }

    #[test]
    fn a_restriction_by_apparmor_is_lifted_for_chaperone_alone() {
        let restricted = Machine {
            user_namespaces: REFUSED,
            apparmor_restricts_namespaces: true,
            ..Machine::whole()
        };
        let words = fix(&restricted, "user-namespaces");
        assert!(words.contains("/etc/apparmor.d/chaperone"), "{words}");
        assert!(!words.contains("sysctl -w"), "{words}");
        let refused = Machine { apparmor_restricts_namespaces: false, ..restricted };
        assert!(!fix(&refused, "user-namespaces").contains("apparmor"));
    }

    #[test]
    fn a_limit_on_namespaces_that_is_reached_is_named() {
        // Also under AppArmor, whose rule would not raise it.
        for apparmor_restricts_namespaces in [false, true] {
            let on = Machine { apparmor_restricts_namespaces, ..Machine::whole() };
            for (id, limit, machine) in [
                (
                    "user-namespaces",
                    "user.max_user_namespaces",
                    Machine { user_namespaces: FULL, ..on.clone() },
                ),
                (
                    "mounts",
                    "user.max_user_namespaces",
                    Machine { user_namespaces: FULL, mounts: Status::Untried, ..on.clone() },
                ),
                ("mounts", "user.max_mnt_namespaces", Machine { mounts: FULL, ..on.clone() }),
                ("network", "user.max_net_namespaces", Machine { network: FULL, ..on }),
            ] {
                let words = fix(&machine, id);
                assert!(words.contains(&format!("sysctl -w {limit}=")), "{id}: {words}");
            }
        }
    }
}
