//! Walking the words of the shadow map: how much of each cgroup is where, and how long it has been there. Pure.

use std::sync::atomic::{AtomicU64, Ordering};

use swaptier_common::{
    cgroup::{AGE_BUCKETS, age_bucket},
    slot::{State, Word},
};

/// What one owner (a memory cgroup id) has in swap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerScan {
    /// Slots by [`State`], as numbered there; those that are free are not counted.
    pub slots: [u64; 6],
    /// *Compressed* bytes in zswap.
    pub zswap_bytes: u64,
    /// Pages in zswap by age; buckets as in [`age_bucket`].
    pub zswap_age: [u64; AGE_BUCKETS],
    /// Pages in zswap at least as old as the threshold.
    pub cold_pages: u64,
    /// *Compressed* bytes of them.
    pub cold_bytes: u64,
    /// Seconds the oldest page in zswap has been there; 0 when there is none.
    pub oldest: u64,
    /// Slots on the device whose data came by write-back.
    pub written_back: u64,
}

impl OwnerScan {
    /// Slots in this state.
    pub fn slots(&self, state: State) -> u64 {
        self.slots[state as usize]
    }

    /// The sum of two owners, for a cgroup that had several ids.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        add_all(&mut self.slots, &other.slots);
        add_all(&mut self.zswap_age, &other.zswap_age);
        self.zswap_bytes += other.zswap_bytes;
        self.cold_pages += other.cold_pages;
        self.cold_bytes += other.cold_bytes;
        self.oldest = self.oldest.max(other.oldest);
        self.written_back += other.written_back;
        self
    }
}

fn add_all<const N: usize>(to: &mut [u64; N], from: &[u64; N]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

/// A walk in progress, and its result.
#[derive(Clone, Debug)]
pub struct Scan {
    now: u64,
    cold_after: Vec<u64>,
    owners: Vec<OwnerScan>,
    /// Slots in use whose owner has no counters: they are in no cgroup's sums.
    pub strays: u64,
}

impl Scan {
    /// An empty result for owners below `owners`, at second `now` of `CLOCK_MONOTONIC`.
    pub fn new(owners: usize, now: u64, cold_after: impl Fn(u16) -> Option<u64>) -> Self {
        let threshold = |owner: usize| u16::try_from(owner).ok().and_then(&cold_after).unwrap_or(u64::MAX);
        Self {
            now,
            cold_after: (0..owners).map(threshold).collect(),
            owners: vec![OwnerScan::default(); owners],
            strays: 0,
        }
    }

    /// Adds the words of some slots.
    pub fn frame(&mut self, words: &[AtomicU64]) {
        for word in words {
            let word = Word(word.load(Ordering::Relaxed));
            if word.state() != State::Free {
                self.slot(word);
            }
        }
    }

    fn slot(&mut self, word: Word) {
        let place = usize::from(word.owner());
        let Some(owner) = self.owners.get_mut(place) else {
            self.strays += 1;
            return;
        };
        let state = word.state();
        owner.slots[state as usize] += 1;
        match state {
            State::Zswap => {
                let age = word.age(self.now);
                owner.zswap_bytes += word.length();
                owner.zswap_age[age_bucket(age)] += 1;
                owner.oldest = owner.oldest.max(age);
                if age >= self.cold_after[place] {
                    owner.cold_pages += 1;
                    owner.cold_bytes += word.length();
                }
            }
            State::Phys => owner.written_back += u64::from(word.has(swaptier_common::slot::WRITTEN_BACK)),
            _ => {}
        }
    }

    /// What the owner with this index has in swap; all zero if nothing.
    pub fn owner(&self, index: u16) -> OwnerScan {
        self.owners.get(usize::from(index)).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(words: &[Word]) -> Scan {
        let words: Vec<AtomicU64> = words.iter().map(|word| AtomicU64::new(word.0)).collect();
        let mut scan = Scan::new(8, 100, |owner| (owner == 1).then_some(30));
        scan.frame(&words);
        scan
    }

    #[test]
    fn each_slot_is_counted_once_and_for_its_owner() {
        let seen = scan(&[
            Word::default(),
            Word::new(State::Zswap, 1000, 1, 60),
            Word::new(State::Zswap, 500, 1, 90),
            Word::new(State::Phys, 0, 1, 10),
            Word::new(State::Zswap, 70, 2, 0),
            Word::new(State::Free, 0, 1, 50),
        ]);
        // Owner 1 at second 100: ages 40 and 10; with a threshold of 30 one page of 1,000 bytes is cold.
        let one = seen.owner(1);
        assert_eq!((one.slots(State::Zswap), one.zswap_bytes, one.slots(State::Phys)), (2, 1500, 1));
        assert_eq!((one.cold_pages, one.cold_bytes, one.oldest), (1, 1000, 40));
        // 40 s is in bucket 6 (32..63), 10 s in bucket 4 (8..15).
        assert_eq!((one.zswap_age[6], one.zswap_age[4]), (1, 1));
        let two = seen.owner(2);
        assert_eq!((two.slots(State::Zswap), two.cold_pages), (1, 0), "nobody asked for an age there");
    }

    #[test]
    fn a_slot_without_counters_is_a_stray_and_not_lost() {
        let seen = scan(&[Word::new(State::Zswap, 1, 4000, 0)]);
        assert_eq!(seen.strays, 1);
    }

    #[test]
    fn exactly_the_threshold_is_cold() {
        let seen = scan(&[Word::new(State::Zswap, 1, 1, 70), Word::new(State::Zswap, 1, 1, 71)]);
        assert_eq!(seen.owner(1).cold_pages, 1);
    }
}
