//! The map made wrong on purpose, in the memory the probes write, as it would be had a probe missed an event: the agent
//! must see it, count it and put it right.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use swaptier_common::cgroup::Counters;
use swaptier_common::slot::{State, Word};
use swaptier_common::{BLOCK_CGROUPS, CHUNK_FRAMES, Frame};

use super::agent::same_sums;
use crate::guest::agent::Agent;
use crate::guest::bpf::{self, Words};
use crate::guest::cgroup::Cgroup;
use crate::guest::stage::Stage;
use crate::guest::status::Status;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;

/// Stores that only their end was seen of: the slot looks like a page of zeroes.
const HALF_SEEN: usize = 40;
/// Stores of which nothing was seen.
const UNSEEN: usize = 20;
/// Slots whose end was not seen.
const LEFT: usize = 50;
/// Pages of which only the reading was missed: their slots are in use.
const READ: usize = 30;
/// Ticks until a difference must show: the one that runs may have read the map before, the next one has not.
const FOUND_WITHIN: u64 = 2;
/// Ticks until it must be put right: a difference must be the same for three ticks (`controller/src/agent/drift.rs`).
const REPAIRED_WITHIN: u64 = FOUND_WITHIN + 3;

/// In one cgroup the map lacks pages, in two others it has too many, by nearly as much: the host's sum hides most of it.
/// All are found at the next tick, put right soon after, and exact again when the pages were stored anew.
pub(super) fn errors_of_the_map_are_found_and_put_right() -> Result<()> {
    let _stage = Stage::set(40)?;
    let agent = Agent::start(&[])?;
    let (few, many) = (Cgroup::create("test.slice/few")?, Cgroup::create("test.slice/many")?);
    let reader = Cgroup::create("test.slice/reader")?;
    let arguments = "--hot 1M --warm 2M --cold 16M --commands";
    let (mut of_few, mut of_many) = (Workload::spawn(&few, arguments)?, Workload::spawn(&many, arguments)?);
    let mut of_reader = Workload::spawn(&reader, arguments)?;
    of_few.command("pageout cold")?;
    of_many.command("pageout cold")?;
    of_many.command("pageout warm")?;
    let map = Map::open()?;
    of_reader.command("pageout cold")?;
    let to_be_read = map.of(&reader, State::Zswap)?;
    of_reader.command(&format!("touch cold 0..{READ}"))?;
    // Last: nothing must take the slots anew.
    let stored = map.of(&many, State::Zswap)?;
    of_many.command("free warm")?;
    same_sums(&few, "before")?;
    same_sums(&many, "before")?;
    same_sums(&reader, "before")?;

    let before = Status::read()?;
    ensure!(before.map.repaired_pages == 0, "{} slots were wrong already", before.map.repaired_pages);
    for (nth, (place, word)) in map.of(&few, State::Zswap)?.into_iter().take(HALF_SEEN + UNSEEN).enumerate() {
        let state = if nth < HALF_SEEN { State::Zero } else { State::Free };
        map.set(place, Word::new(state, 0, word.owner(), now()));
    }
    let left: Vec<_> =
        stored.into_iter().filter(|(place, _)| map.get(*place).state() == State::Free).take(LEFT).collect();
    ensure!(left.len() == LEFT, "only {} slots were freed", left.len());
    left.into_iter().for_each(|(place, word)| map.set(place, word));
    let is_read = |(place, _): &(Place, Word)| map.get(*place).state() == State::Folio;
    let read: Vec<_> = to_be_read.into_iter().filter(is_read).take(READ).collect();
    ensure!(read.len() == READ, "only {} slots of pages that were read are in use", read.len());
    for (place, word) in &read {
        map.set(*place, Word::new(State::Zswap, word.length(), word.owner(), word.stamp()));
    }
    let began = Status::read()?.agent.tick;

    let lacking = -((HALF_SEEN + UNSEEN) as i64);
    let found = tick_when("the differences to show", |status| {
        let drift = [&few, &many, &reader].map(|cgroup| status.cgroup(cgroup.path()).drift_pages);
        drift == [lacking, LEFT as i64, READ as i64]
    })?;
    let repaired = tick_when("the differences to be put right", |status| {
        status.map.repaired_pages == (HALF_SEEN + UNSEEN + LEFT + READ) as u64
    })
    .with_context(|| agent.log())?;
    println!("    found after {} ticks, put right after {}", found - began, repaired - began);
    ensure!(found - began <= FOUND_WITHIN, "found after {} ticks", found - began);
    ensure!(repaired - began <= REPAIRED_WITHIN, "put right after {} ticks", repaired - began);
    let status = Status::read()?;
    let unknown = status.cgroup(few.path()).unknown_pages;
    ensure!(unknown == (HALF_SEEN + UNSEEN) as u64, "{unknown} pages are unknown");
    ensure!(status.map.drift_pages == 0, "drift {} is left", status.map.drift_pages);
    same_sums(&many, "put right")?;
    same_sums(&reader, "put right")?;
    let wrong = read.iter().filter(|(place, _)| map.get(*place).state() != State::Folio).count();
    ensure!(wrong == 0, "{wrong} slots in use are not taken for it");

    for step in ["touch cold", "write cold", "pageout cold"] {
        of_few.command(step)?;
    }
    same_sums(&few, "stored anew")?;
    of_few.finish()?;
    of_many.finish()?;
    of_reader.finish()?;
    agent.stop()
}

/// The map's words, as the probes have them.
struct Map {
    chunks: Vec<Words>,
}

/// Where a word is: chunk, and index there.
type Place = (usize, usize);

impl Map {
    fn open() -> Result<Map> {
        Ok(Map { chunks: bpf::parts("FRAMES", CHUNK_FRAMES * size_of::<Frame>())? })
    }

    /// Every word of this cgroup in this state.
    fn of(&self, cgroup: &Cgroup, state: State) -> Result<Vec<(Place, Word)>> {
        let owner = owner(cgroup)?;
        let words = self.chunks.iter().enumerate().flat_map(|(chunk, words)| {
            words.iter().enumerate().map(move |(index, word)| ((chunk, index), read(word)))
        });
        Ok(words.filter(|(_, word)| word.owner() == owner && word.state() == state).collect())
    }

    fn get(&self, (chunk, index): Place) -> Word {
        read(&self.chunks[chunk][index])
    }

    fn set(&self, (chunk, index): Place, word: Word) {
        self.chunks[chunk][index].store(word.0, Ordering::Relaxed);
    }
}

fn read(word: &AtomicU64) -> Word {
    Word(word.load(Ordering::Relaxed))
}

/// The index of a cgroup's counters.
fn owner(cgroup: &Cgroup) -> Result<u16> {
    let (id, words) = (cgroup.id()?, size_of::<Counters>() / 8);
    let blocks = bpf::parts("CGROUPS", BLOCK_CGROUPS * size_of::<Counters>())?;
    let ids = blocks.iter().flat_map(|block| block.iter().step_by(words));
    let index = ids.map(|id| id.load(Ordering::Relaxed)).position(|found| found == id);
    Ok(index.context("the map does not know the cgroup")? as u16)
}

/// The clock of the map's stamps.
fn now() -> u64 {
    rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec as u64
}

/// The tick at which the agent says so.
fn tick_when(what: &str, is_so: impl Fn(&Status) -> bool) -> Result<u64> {
    let mut seen = Status::default();
    wait_for(what, Duration::from_secs(20), || {
        seen = Status::read()?;
        Ok(is_so(&seen))
    })
    .with_context(|| format!("{seen:?}"))?;
    Ok(seen.agent.tick)
}
