//! What was in zswap before the probes: zswap's own trees tell which slots, how long they are and whose. Each becomes a page
//! in zswap that is at least as old as the time since. Called by the agent when the probes are attached, and after the walk
//! through the page tables: what that has entered as unknown, an event in the meantime ends without doubt.

use std::{
    ops::Range,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use swaptier_common::{
    FRAME_SLOTS,
    control::Control,
    slot::{State, UNSURE, Word},
};

use super::{RESERVE, ShadowError, ShadowMap, slots::Slot};
use crate::hooks::{HookError, Trees};

/// How long it may take. What it has not reached by then stays unknown until events touch it.
const LIMIT: Duration = Duration::from_secs(10);

/// What the trees told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Pages entered.
    pub pages: u64,
    /// Whether it ended for want of time.
    pub is_cut_short: bool,
}

/// Why they did not.
#[derive(Debug, thiserror::Error)]
pub enum BeforeError {
    /// The program.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The map.
    #[error(transparent)]
    Shadow(#[from] ShadowError),
}

/// Enters every page in zswap that no probe has seen going there.
///
/// # Errors
/// The program does not run, or there is no memory for the map.
pub fn before(map: &mut ShadowMap, trees: &Trees<'_>) -> Result<Found, BeforeError> {
    let known = map.found_before();
    let (mut until, mut is_cut_short) = (Instant::now() + LIMIT, false);
    for (kind, area) in map.areas() {
        is_cut_short |= !run(map, trees, kind, 1..u64::from(area.slots), until, false)?;
    }
    until = Instant::now() + LIMIT;
    for (kind, slots) in unsure_clusters(map) {
        is_cut_short |= !run(map, trees, kind, slots, until, true)?;
    }
    Ok(Found { pages: map.found_before().wrapping_sub(known), is_cut_short })
}

/// Whether it came to the end in time.
fn run(
    map: &mut ShadowMap,
    trees: &Trees<'_>,
    kind: u32,
    slots: Range<u64>,
    until: Instant,
    is_again: bool,
) -> Result<bool, BeforeError> {
    let mut from = slots.start;
    while from < slots.end {
        if Instant::now() >= until {
            return Ok(false);
        }
        // The program takes frames as the probes do, and must find some.
        map.refill(RESERVE)?;
        let passed = trees.run(kind, from..slots.end, is_again)?;
        if passed == 0 {
            return Ok(false);
        }
        from += passed;
    }
    Ok(true)
}

/// The clusters that have pages which are to be looked at once more, each with its area.
fn unsure_clusters(map: &ShadowMap) -> Vec<(u32, Range<u64>)> {
    let mut clusters = Vec::new();
    for (kind, area) in map.areas() {
        let used = map.clusters(&area).enumerate().filter(|(_, number)| *number != 0);
        for (cluster, _) in used {
            let first = (cluster * FRAME_SLOTS) as u64;
            let slots = first.max(1)..(first + FRAME_SLOTS as u64).min(u64::from(area.slots));
            if slots.clone().any(|offset| is_unsure(map, Slot { kind, offset })) {
                clusters.push((kind, slots));
            }
        }
    }
    clusters
}

fn is_unsure(map: &ShadowMap, slot: Slot) -> bool {
    let word = map.word(slot).map_or(Word(0), |word| Word(word.load(Ordering::Relaxed)));
    word.state() == State::Zswap && word.has(UNSURE)
}

impl ShadowMap {
    /// Pages in zswap that were found in its trees, since the map was made.
    fn found_before(&self) -> u64 {
        field!(self.control, Control, found_before).load(Ordering::Relaxed)
    }
}
