//! Whether another process lives and moves, told as soon as it does not: the pump looks at the agent, the agent at the pump.
//!
//! A killed process closes its pipes only after it has given back all its memory, which takes long when that is much
//! and locked. That it is exiting is a flag of its main thread from the first moment on. A process that was stopped by a
//! signal or a debugger says so beside it; one that was frozen with its cgroup is known by that.

#![expect(
    clippy::disallowed_methods,
    reason = "of another process, by a handle that its successor does not have"
)]

use std::{
    cell::Cell,
    fs::File,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use rustix::process::Pid;

use crate::root::{Root, cgroup_file};

/// `PF_EXITING` and `PF_SIGNALED` of the kernel (include/linux/sched.h).
const EXITING: u64 = 0x4 | 0x400;

/// Between two looks whether it stands still.
const LOOK: Duration = Duration::from_millis(20);

/// So long it must have stood still, in every look: a debugger that counts calls stops it for moments.
const STILL: Duration = Duration::from_millis(60);

/// A process.
#[derive(Debug)]
pub(in super::super) struct Life {
    /// Its `/proc/PID/stat`, which stays its own when the number is given out anew. `None`: it cannot be read, and the
    /// end of the input must do.
    stat: Option<File>,
    pid: Option<Pid>,
    root: Root,
    looked: Cell<Option<Instant>>,
    /// Since when it stands still.
    still: Cell<Option<Instant>>,
}

impl Life {
    /// That of the parent.
    pub(super) fn of_parent(root: &Root) -> Self {
        Self::of(root, rustix::process::getppid().filter(|parent| !parent.is_init()))
    }

    /// That of this process.
    pub(super) fn of(root: &Root, pid: Option<Pid>) -> Self {
        let path = pid.map(|pid| format!("/proc/{}/stat", pid.as_raw_nonzero()));
        let stat = path.and_then(|path| File::open(path).ok());
        Self { stat, pid, root: root.clone(), looked: Cell::new(None), still: Cell::new(None) }
    }

    /// It is dying or dead.
    pub(super) fn is_over(&self) -> bool {
        match &self.stat {
            None => false,
            Some(stat) => read(stat).is_none_or(|text| is_exiting(&text)),
        }
    }

    /// It was stopped, by a signal, a debugger or the freezer, for a while. Looks now and then.
    pub(super) fn stands_still(&self) -> bool {
        let now = Instant::now();
        if self.looked.get().is_none_or(|looked| now - looked >= LOOK) {
            self.looked.set(Some(now));
            let is_still = self.stat.as_ref().and_then(read).is_some_and(|text| is_stopped(&text));
            self.still.set((is_still || self.is_frozen()).then(|| self.still.get().unwrap_or(now)));
        }
        self.still.get().is_some_and(|since| now - since >= STILL)
    }

    /// Its cgroup is frozen, or one above.
    fn is_frozen(&self) -> bool {
        let Some(pid) = self.pid else { return false };
        let cgroups = self.root.read(&format!("proc/{}/cgroup", pid.as_raw_nonzero())).unwrap_or_default();
        let Some(path) = cgroups.lines().find_map(|line| line.strip_prefix("0::")) else { return false };
        let events = self.root.read(&cgroup_file(path, "cgroup.events")).unwrap_or_default();
        events.lines().any(|line| line == "frozen 1")
    }
}

/// `None`: it is gone.
fn read(stat: &File) -> Option<String> {
    let mut text = [0; 512];
    let read = stat.read_at(&mut text, 0).ok()?;
    Some(String::from_utf8_lossy(&text[..read]).into_owned())
}

/// The fields from the third on; the second, the name, may hold spaces and brackets.
fn fields(stat: &str) -> Option<std::str::Split<'_, char>> {
    stat.rsplit_once(") ").map(|(_, fields)| fields.split(' '))
}

/// Reads the flags, the ninth field.
fn is_exiting(stat: &str) -> bool {
    let flags = fields(stat).and_then(|mut fields| fields.nth(6)?.parse().ok());
    flags.is_some_and(|flags: u64| flags & EXITING != 0)
}

/// Reads the state, the third field: `T` stopped, `t` traced.
fn is_stopped(stat: &str) -> bool {
    fields(stat).and_then(|mut fields| fields.next()).is_some_and(|state| matches!(state, "T" | "t"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn an_exiting_process_is_told_by_its_flags_and_a_stopped_one_by_its_state() {
        // 0x400100: alive. 0x400104: exiting.
        assert!(!is_exiting("7 (a) b) S 1 7 7 0 -1 4194560 100 0"));
        assert!(is_exiting("7 (a) b) R 1 7 7 0 -1 4194564 100 0"));
        assert!(!is_exiting("nonsense") && !is_stopped("nonsense"));
        assert!(is_stopped("7 (a) T) T 1 7 7") && is_stopped("7 (a) t 1") && !is_stopped("7 (T) S 1 7 7"));
        let fake = FakeRoot::host();
        assert!(!Life::of_parent(fake.root()).is_over(), "cargo waits for its tests");
    }

    #[test]
    fn a_stopped_process_is_seen_to_stand_still_and_to_go_on() {
        let fake = FakeRoot::host();
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let life = Life::of(fake.root(), Pid::from_raw(child.id() as i32));
        let within = |is_still: bool| {
            let until = Instant::now() + Duration::from_secs(5);
            while life.stands_still() != is_still {
                assert!(Instant::now() < until, "stands still is not {is_still}");
                std::thread::sleep(LOOK);
            }
        };
        let send = |signal| {
            rustix::process::kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap()
        };
        assert!(!life.stands_still());
        send(rustix::process::Signal::STOP);
        within(true);
        send(rustix::process::Signal::CONT);
        within(false);
        // Frozen with the cgroup above it.
        fake.write(&format!("proc/{}/cgroup", child.id()), "0::/a/b\n");
        fake.cgroup("a/b");
        fake.write("sys/fs/cgroup/a/b/cgroup.events", "populated 1\nfrozen 1\n");
        within(true);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(life.is_over());
    }
}
