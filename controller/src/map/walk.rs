//! Slots that were in use before the probes: found in the page tables of all processes and entered as `Unknown`, each
//! with the cgroup of its process. Called by the agent once the probes are attached.
//!
//! A page may come back while we look, and the probes cannot end what they do not know. So each slot is entered first
//! and looked at again then: still named by the page table, it was in use when its word was there, and its end will be
//! seen; else the word is taken back.
//!
//! Swapped pages of shmem are in no page table. They become known as events touch them.

use std::{
    collections::BTreeMap,
    fs::File,
    time::{Duration, Instant},
};

use rustix::fs::OFlags;
use swaptier_common::slot::{State, Word};
use swaptier_policies::CgroupPath;

use super::{ShadowError, ShadowMap, now, pagemap::Pagemap, slots::Slot};
use crate::root::Root;

/// How long the walk may take. What it has not reached by then becomes known as events touch it.
const LIMIT: Duration = Duration::from_secs(10);

/// The same while the agent has other things to do.
pub(super) const SHORT_LIMIT: Duration = Duration::from_secs(2);

/// Cgroup → index of its counters.
pub type Owners<'a> = BTreeMap<&'a CgroupPath, u16>;

/// What the walk found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Processes with swapped pages.
    pub processes: u64,
    /// Slots entered.
    pub entered: u64,
    /// Processes that could not be looked at.
    pub refused: u64,
    /// Whether it ended for want of time.
    pub is_cut_short: bool,
}

/// Enters every slot that a page table names and the map does not know.
///
/// # Errors
/// No memory for the map.
pub fn walk(root: &Root, map: &mut ShadowMap, owners: &Owners<'_>) -> Result<Walked, ShadowError> {
    walk_for(LIMIT, root, map, owners)
}

pub(super) fn walk_for(
    limit: Duration,
    root: &Root,
    map: &mut ShadowMap,
    owners: &Owners<'_>,
) -> Result<Walked, ShadowError> {
    let mut entered = 0;
    let mut walked = visit(limit, root, |pid, pagemap, found| {
        let word = Word::new(State::Unknown, 0, owner(root, pid, owners), now());
        entered += enter(map, pagemap, found, word)?;
        Ok(())
    })?;
    walked.entered = entered;
    Ok(walked)
}

/// Shows the slots that each process's page tables name, with the addresses that name them, a part at a time.
pub(super) fn visit(
    limit: Duration,
    root: &Root,
    mut see: impl FnMut(&str, &Pagemap, &[(u64, Slot)]) -> Result<(), ShadowError>,
) -> Result<Walked, ShadowError> {
    let (until, mut walked) = (Instant::now() + limit, Walked::default());
    let pids = root.list("proc").unwrap_or_default();
    for pid in pids.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
        if !has_swap(root, pid) {
            continue;
        }
        walked.processes += 1;
        let Some(pagemap) = open(root, pid) else {
            walked.refused += 1;
            continue;
        };
        let mut start = Some(0);
        while let Some(from) = start {
            if Instant::now() >= until {
                walked.is_cut_short = true;
                return Ok(walked);
            }
            // A process may end at any time.
            let Ok((ranges, next)) = pagemap.swapped(from) else { break };
            let mut found = Vec::new();
            for range in &ranges {
                let _gone = pagemap.slots(range, &mut found);
            }
            see(pid, &pagemap, &found)?;
            start = next;
        }
    }
    Ok(walked)
}

fn enter(
    map: &mut ShadowMap,
    pagemap: &Pagemap,
    found: &[(u64, Slot)],
    word: Word,
) -> Result<u64, ShadowError> {
    let mut entered = Vec::new();
    for (address, slot) in found {
        if map.enter(*slot, word)? {
            entered.push((*address, *slot));
        }
    }
    let mut kept = entered.len() as u64;
    for (address, slot) in entered {
        kept -= u64::from(!pagemap.names(address, slot) && map.take_back(slot, word));
    }
    Ok(kept)
}

/// Whether any page of a process is in swap; a kernel thread has no such line.
fn has_swap(root: &Root, pid: &str) -> bool {
    let status = root.read(&format!("proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSwap:"));
    line.is_some_and(|line| line.split_ascii_whitespace().next() != Some("0"))
}

fn open(root: &Root, pid: &str) -> Option<Pagemap> {
    let file = root.open(&format!("proc/{pid}/pagemap"), OFlags::RDONLY).ok()?;
    let maps = root.read(&format!("proc/{pid}/maps")).ok()?;
    Some(Pagemap::new(File::from(file), last_address(&maps)?))
}

/// Where the last mapping ends. The kernel's own page of system calls lies above all that can be scanned.
fn last_address(maps: &str) -> Option<u64> {
    let ends = maps
        .lines()
        .filter(|line| !line.ends_with("[vsyscall]"))
        .filter_map(|line| u64::from_str_radix(line.split_once('-')?.1.split_once(' ')?.0, 16).ok());
    ends.max()
}

/// The counters of the process's cgroup, or of the nearest above it that the map knows.
fn owner(root: &Root, pid: &str, owners: &Owners<'_>) -> u16 {
    let mut text = Vec::new();
    // Of a process that has just ended nothing is found either.
    let _gone = root.read_into(&format!("proc/{pid}/cgroup"), &mut text);
    unified(&text).map_or(0, |path| nearest(&path, owners))
}

/// The cgroup that `/proc/PID/cgroup` tells of the v2 hierarchy. Its name is any bytes but the end of a line, which the
/// kernel takes in no name for the sake of this file.
fn unified(text: &[u8]) -> Option<CgroupPath> {
    text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::/")).map(CgroupPath::new)
}

fn nearest(path: &CgroupPath, owners: &Owners<'_>) -> u16 {
    let upwards = std::iter::once(path.clone()).chain(path.above());
    upwards.into_iter().find_map(|path| owners.get(&path).copied()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_belongs_to_the_nearest_cgroup_the_map_knows() {
        let (a, b) = ("a".into(), "a/b".into());
        let owners = BTreeMap::from([(&a, 5), (&b, 7)]);
        let found = ["a/b", "a/b/c", "a/d", "e", ""].map(|path| nearest(&path.into(), &owners));
        assert_eq!(found, [7, 7, 5, 0, 0]);
    }

    #[test]
    fn the_cgroup_of_a_process_is_read_whatever_its_name_is_made_of() {
        for (text, path) in [
            (&b"0::/a/b\n"[..], Some(&b"a/b"[..])),
            (b"1:name=systemd:/x\n0::/caf\xe9.scope\n", Some(b"caf\xe9.scope")),
            (b"0::/\n", Some(b"")),
            (b"7:memory:/0::/a\n", None),
            (b"", None),
        ] {
            assert_eq!(unified(text), path.map(CgroupPath::new));
        }
    }

    #[test]
    fn the_page_of_system_calls_is_not_scanned() {
        let maps = "00400000-00401000 r-xp 0 00:00 0\n7ffc0000-7ffe0000 rw-p 0 00:00 0 [stack]\n\
                    ffffffffff600000-ffffffffff601000 --xp 0 00:00 0 [vsyscall]\n";
        assert_eq!(last_address(maps), Some(0x7ffe_0000));
    }
}
