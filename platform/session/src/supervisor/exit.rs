//! Waits for processes that are not our children.

use chaperone_policy::Process;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Returns when this process has exited, or at once if it has already.
pub(super) fn wait_for_exit(process: Process) {
    let Some(pid) = Pid::from_raw(process.pid) else { return };
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    // The number may be another's by now: what the descriptor holds is what it names since then.
    if chaperone_sandbox::started(process.pid) != Some(process.started) {
        return;
    }
    let mut exited = [PollFd::new(&descriptor, PollFlags::IN)];
    while let Err(Errno::INTR) = poll(&mut exited, None) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn an_exit_is_waited_for_and_a_number_that_is_anothers_is_not() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let started = chaperone_sandbox::started(pid).unwrap();
        wait_for_exit(Process { pid, started: started + 1 });
        let (sender, exited) = channel();
        std::thread::spawn(move || {
            wait_for_exit(Process { pid, started });
            sender.send(()).unwrap();
        });
        assert!(exited.recv_timeout(Duration::from_millis(200)).is_err(), "it still runs");
        drop(child.stdin.take());
        exited.recv_timeout(Duration::from_secs(20)).unwrap();
        child.wait().unwrap();
        wait_for_exit(Process { pid, started });
    }
}
