//! What a killed agent leaves beside changed values: a guardian still at work, the pump's cgroup, pinned maps, a socket.
//!
//! Values are given back by `journal::restore`. Callers: the agent at its start and `swaptier restore`, both with the
//! state folder's lock in their hands: it says that no agent runs, so all of this is nobody's.

#![expect(clippy::disallowed_methods, reason = "removes the socket of a dead agent")]

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use swaptier_policies::{Asker, Knob};

use crate::{
    act::writeback::{PUMP_CGROUP, pins},
    fault,
    hooks::load::remove_pins,
    journal::Change,
    root::{
        Root, RootError, cgroup_file, cgroup_path,
        change::{Make as _, Write as _},
    },
    serve::SOCKET,
    vswap,
};

/// How long a guardian may take: it puts the pool limit back at once, and the rest when zswap's worker has ended.
const GUARDIAN: Duration = Duration::from_secs(8);
/// How long a killed process may take to leave its cgroup.
const LEAVE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(2);

/// Waits for a pump that outlived its agent; ends it when it takes too long. Two must not write the same values: its
/// late ones would undo what is set after this.
pub fn await_guardian(root: &Root) {
    if !is_empty_within(root, GUARDIAN) {
        tracing::warn!("the write-back pump of a dead agent does not end, and is killed");
        let _gone_by_now = root.write(&cgroup_file(PUMP_CGROUP, "cgroup.kill"), "1");
        is_empty_within(root, LEAVE);
    }
}

/// Removes the pump's cgroup and the socket of an agent that is dead. Once every value is given back.
pub fn sweep(root: &Root) {
    fault::point("sweep.begun");
    let home = cgroup_path(PUMP_CGROUP);
    let until = Instant::now() + LEAVE;
    while let Err(error) = root.remove_dir(&home) {
        let is_busy = error.errno() == Some(libc::EBUSY);
        if error.is_gone() || !is_busy || Instant::now() > until {
            warn_unless_gone(error);
            break;
        }
        std::thread::sleep(LOOK);
    }
    fault::point("sweep.half");
    match fs::remove_file(root.host_path(SOCKET)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the socket of a dead agent stays: {error}");
        }
        _ => {}
    }
}

/// Removes the maps that a dead agent pinned, where no new one adopts them.
pub fn unpin(root: &Root) {
    if let Err(error) = remove_pins(&pins(root)) {
        tracing::warn!(%error, "the maps of a dead agent stay pinned: {error}");
    }
}

/// Whether the closed gate must stay closed although everything is given back: an area without storage is on. When that
/// cannot be told it stays: an open gate over a ghost costs more than a closed one over a disk.
pub fn keeps_gate(root: &Root, state: &Path) -> bool {
    vswap::seen::has_ghost_on(root, state).unwrap_or(true)
}

/// Whether a change is the closing of the gate: of the root's valve, for the swap areas, or for nobody knows whom.
pub fn is_gate(change: &Change) -> bool {
    matches!(change.by, Asker::Areas | Asker::Other(_))
        && change.path == cgroup_file("", Knob::ZswapWriteback.file())
}

fn is_empty_within(root: &Root, limit: Duration) -> bool {
    let processes = cgroup_file(PUMP_CGROUP, "cgroup.procs");
    let until = Instant::now() + limit;
    // Without the cgroup there is no pump in it.
    while root.read_value(&processes).is_ok_and(|processes| !processes.is_empty()) {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}

fn warn_unless_gone(error: RootError) {
    if !error.is_gone() {
        tracing::warn!(%error, "the pump's cgroup stays: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn what_a_dead_agent_left_is_removed_and_twice_is_nothing() {
        let fake = FakeRoot::host();
        fs::create_dir_all(fake.path("sys/fs/cgroup/swaptier-pump")).expect("a cgroup");
        fake.write(SOCKET, "");
        let pins = pins(fake.root());
        fs::create_dir_all(&pins).expect("a pin folder");
        for _ in 0..2 {
            sweep(fake.root());
            unpin(fake.root());
            assert!(!fake.root().exists("sys/fs/cgroup/swaptier-pump"));
            assert!(!fake.root().exists(SOCKET));
            assert!(!fake.root().exists("sys/fs/bpf/swaptier"));
        }
    }

    #[test]
    fn without_a_pump_nobody_is_waited_for() {
        let fake = FakeRoot::host();
        let begun = Instant::now();
        await_guardian(fake.root());
        fs::create_dir_all(fake.path("sys/fs/cgroup/swaptier-pump")).expect("a cgroup");
        fake.write("sys/fs/cgroup/swaptier-pump/cgroup.procs", "");
        await_guardian(fake.root());
        assert!(begun.elapsed() < GUARDIAN);
    }
}
