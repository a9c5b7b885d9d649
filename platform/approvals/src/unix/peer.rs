//! Who may talk to a session: the same user, and nobody who descends from any session.
//!
//! The sandbox already keeps sessions away from the sockets; this is the second wall. It judges
//! by what a session's process cannot shed: its seccomp filters, its process namespace, and,
//! where it was not reparented, the supervisor among its ancestors.
//!
//! Only ancestors count, not the peer itself: a window may start a supervisor in a terminal that
//! it opened, and talks to it from above.
//!
//! What remains: a process of the same user outside every session may talk, and so may whatever
//! makes such a process talk for it. A kernel before 6.5 cannot pin the peer at the moment it
//! connected, so one that ends at once may be judged by a later process with its id.

use super::folder::Registration;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) uid: u32,
    /// 0: in a process namespace that is not below ours.
    pub(super) pid: u32,
}

/// What the kernel says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    /// 0: none that we could see.
    pub(super) parent: u32,
    /// In how many process namespaces it has an id, counted from ours.
    pub(super) namespaces: usize,
    /// How many seccomp filters hold it. They are inherited and never removed (seccomp(2)).
    pub(super) filters: u32,
}

/// The table of processes.
pub(super) trait Processes {
    /// `None`: there is none, or none that this user may see.
    fn process(&self, pid: u32) -> Option<Process>;
    /// When it started, as a [`Registration`] says it.
    fn start(&self, pid: u32) -> Option<u64>;
}

/// Longer than any chain of processes that people make.
const STEPS: usize = 4096;

/// `Err`: why this peer may not talk to the session that `own` supervises.
pub(super) fn may_talk(
    peer: Peer,
    own: Peer,
    supervisors: &[Registration],
    processes: &dyn Processes,
) -> Result<(), String> {
    if peer.uid != own.uid {
        return Err(format!(
            "This session belongs to user {}; user {} may not answer for it.",
            own.uid, peer.uid
        ));
    }
    if peer.pid == 0 {
        return Err("You are in a container or namespace that this session cannot see into. \
                    Answer from where the session was started."
            .into());
    }
    let unknown = || "This session cannot tell which process you are.".to_owned();
    let mut process = processes.process(peer.pid).ok_or_else(unknown)?;
    if process.namespaces > 1 {
        return Err(CONFINED.into());
    }
    let own_filters = processes.process(own.pid).ok_or_else(unknown)?.filters;
    if process.filters > own_filters {
        return Err(CONFINED.into());
    }

    let is_supervisor = |pid: u32| {
        pid == own.pid
            || supervisors.iter().any(|known| {
                // A supervisor that hides its start time is still one.
                known.pid == pid && processes.start(pid).is_none_or(|start| start == known.start)
            })
    };
    let mut pid = peer.pid;
    for _ in 0..STEPS {
        let parent = process.parent;
        if parent == 0 {
            return Ok(());
        }
        if is_supervisor(parent) {
            return Err(INSIDE.into());
        }
        if let Some(next) = processes.process(parent) {
            (pid, process) = (parent, next);
            continue;
        }
        // The parent has just ended, and we find a new one; or it is another user's on a system
        // that hides those (proc(5), hidepid). A session's processes never change their user, so
        // above such a one there is no session of ours.
        match processes.process(pid) {
            Some(again) if again.parent == parent => return Ok(()),
            Some(again) => process = again,
            None if pid == peer.pid => return Err(unknown()),
            None => {
                // An ancestor ended under our feet: once more from the start.
                pid = peer.pid;
                process = processes.process(pid).ok_or_else(unknown)?;
            }
        }
    }
    Err(unknown())
}

const INSIDE: &str = "You are inside a session: what runs there cannot answer requests. Use the \
                      window or a terminal outside.";

const CONFINED: &str = "You are inside a session, or in a container or sandbox that this session's \
                        supervisor is not in: what runs there cannot answer requests. Use the \
                        window or a terminal outside.";

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::collections::BTreeMap;

    /// Processes by id: parent, namespaces, filters, start.
    #[derive(Default)]
    struct Table(BTreeMap<u32, (u32, usize, u32, u64)>);

    impl Table {
        fn with(mut self, pid: u32, parent: u32) -> Self {
            self.0.insert(pid, (parent, 1, 0, u64::from(pid) * 10));
            self
        }
    }

    impl Processes for Table {
        fn process(&self, pid: u32) -> Option<Process> {
            let (parent, namespaces, filters, _) = *self.0.get(&pid)?;
            Some(Process { parent, namespaces, filters })
        }
        fn start(&self, pid: u32) -> Option<u64> {
            Some(self.0.get(&pid)?.3)
        }
    }

    /// init 1 - terminal 2 - shell 3 - supervisor 100 - agent 101 - tool 102; window 50 below 2.
    fn laptop() -> Table {
        Table::default()
            .with(1, 0)
            .with(2, 1)
            .with(3, 2)
            .with(100, 3)
            .with(101, 100)
            .with(102, 101)
            .with(50, 2)
    }

    const OWN: Peer = Peer { uid: 1000, pid: 100 };

    fn peer(pid: u32) -> Peer {
        Peer { uid: 1000, pid }
    }

    fn registered(pid: u32, start: u64) -> Vec<Registration> {
        vec![Registration { id: "s".into(), pid, start }]
    }

    #[test]
    fn a_window_beside_the_session_may_talk() {
        assert_eq!(may_talk(peer(50), OWN, &[], &laptop()), Ok(()));
        assert_eq!(may_talk(peer(3), OWN, &[], &laptop()), Ok(()));
    }

    #[test]
    fn another_user_may_not_even_root() {
        let other = Peer { uid: 0, pid: 50 };
        assert!(may_talk(other, OWN, &[], &laptop()).unwrap_err().contains("user 0"));
    }

    #[test]
    fn a_peer_that_has_no_id_here_may_not() {
        assert!(may_talk(peer(0), OWN, &[], &laptop()).is_err());
        assert!(may_talk(peer(77), OWN, &[], &laptop()).is_err());
    }

    #[test]
    fn what_descends_from_this_or_any_other_live_session_may_not() {
        let table = laptop().with(60, 2);
        assert_eq!(may_talk(peer(102), OWN, &[], &table), Err(INSIDE.into()));
        let elsewhere = Peer { uid: 1000, pid: 60 };
        assert_eq!(
            may_talk(peer(102), elsewhere, &registered(100, 1000), &table),
            Err(INSIDE.into())
        );
        // The same id with another start is another process.
        assert_eq!(may_talk(peer(102), elsewhere, &registered(100, 999), &table), Ok(()));
    }

    #[test]
    fn a_supervisor_itself_may_talk() {
        let elsewhere = Peer { uid: 1000, pid: 50 };
        assert_eq!(may_talk(peer(100), elsewhere, &registered(100, 1000), &laptop()), Ok(()));
    }

    #[test]
    fn an_orphan_of_a_session_is_known_by_its_filters_and_its_namespace() {
        let mut table = laptop();
        table.0.insert(103, (1, 1, 1, 5)); // Reparented to init, one filter more than we have.
        assert_eq!(may_talk(peer(103), OWN, &[], &table), Err(CONFINED.into()));
        table.0.insert(104, (1, 2, 0, 5));
        assert_eq!(may_talk(peer(104), OWN, &[], &table), Err(CONFINED.into()));
        // In a container everything, the supervisor included, has filters.
        for process in table.0.values_mut() {
            process.2 = 1;
        }
        assert_eq!(may_talk(peer(50), OWN, &[], &table), Ok(()));
    }

    #[test]
    fn an_ancestor_that_this_user_may_not_see_ends_the_chain() {
        let mut table = laptop();
        table.0.remove(&2);
        assert_eq!(may_talk(peer(50), OWN, &[], &table), Ok(()));
        assert_eq!(may_talk(peer(102), OWN, &[], &table), Err(INSIDE.into()));
    }

    #[test]
    fn a_loop_in_the_table_ends() {
        let table = Table::default().with(100, 0).with(7, 8).with(8, 7);
        assert!(may_talk(peer(7), OWN, &[], &table).is_err());
    }

    /// The parent of 7 ends while we look, and 7 is given to the supervisor (a subreaper).
    struct Reparented(Cell<bool>);

    impl Processes for Reparented {
        fn process(&self, pid: u32) -> Option<Process> {
            let of = |parent| Some(Process { parent, namespaces: 1, filters: 0 });
            match pid {
                7 if self.0.get() => of(100),
                7 => of(6),
                6 => {
                    self.0.set(true);
                    None
                }
                100 => of(1),
                _ => of(0),
            }
        }
        fn start(&self, _: u32) -> Option<u64> {
            None
        }
    }

    #[test]
    fn a_peer_that_is_reparented_meanwhile_is_followed() {
        let table = Reparented(Cell::new(false));
        assert_eq!(may_talk(peer(7), OWN, &[], &table), Err(INSIDE.into()));
    }
}
