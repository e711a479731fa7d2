//! What a round costs everybody else: stores that zswap refuses while its pool limit is low. Such a page stays in memory,
//! so nothing is lost, but its owner has to reclaim another one. So the share of refused stores is bounded: a round
//! makes its next stroke when enough other stores have gone through.

use std::time::{Duration, Instant};

use super::knob::VmStatFile;
use crate::root::Root;

/// Of this many stores of others one may be refused (what is promised is one in a hundred: the last stroke may cost more
/// than was expected),
const SHARE: u64 = 125;

/// or this many in a second: where few are made, one in a hundred would be next to none.
const A_SECOND: u64 = 10;

/// Where refusals are not seen: the part of the time in which the limit may be low while others store. A refused store is
/// quicker than one that compresses, so it is less than `SHARE`.
const TIME_SHARE: u32 = 400;

/// How long the rate at which others store is measured.
const LOOK: Duration = Duration::from_millis(2);

/// Stores of others in a millisecond up to which it is better to hold the limit down until one of them comes.
const SLOW: u64 = 3;

/// How long others must not have stored before they are left out of account.
const LONG_CALM: Duration = Duration::from_secs(1);

/// What the first held stroke is expected to cost: it ends with the first store of somebody else.
const HELD_COST: u64 = 4;

/// A held stroke that costs more is not worth it: in it the worker looks at some hundred entries, after one refusal of a
/// short stroke at sixteen at most, and often at one. What makes it dear is a machine that loses its processor meanwhile.
const DEAR: u64 = 12;

/// The expected cost is kept in these parts of a store: most held strokes cost none.
const PARTS: u64 = 16;

/// What a round has cost so far. Refused stores are counted by the caller, since the round began; `None` where they
/// are not seen.
pub(super) struct Refusals {
    vmstat: Option<VmStatFile>,
    /// `zswpout` of `/proc/vmstat`, in pages: when the round began, and by how much it was higher when last looked at.
    first: Option<u64>,
    stored: u64,
    /// When that was, by how much it rose in a millisecond, and since when it has not risen.
    looked: Instant,
    rate: Option<u64>,
    calm: Instant,
    begun: Instant,
    /// How long the limit was low.
    low: Duration,
    /// Refusals up to the last stroke.
    before: u64,
    /// What a held stroke costs, in `PARTS` of a store: follows a rise at once and a fall slowly.
    held_cost: u64,
}

impl Refusals {
    pub(super) fn open(root: &Root) -> Self {
        let now = Instant::now();
        let mut refusals = Self {
            vmstat: VmStatFile::open(root).ok(),
            first: None,
            stored: 0,
            looked: now,
            rate: None,
            calm: now,
            begun: now,
            low: Duration::ZERO,
            before: 0,
            held_cost: HELD_COST * PARTS,
        };
        refusals.first = refusals.all_stored();
        refusals
    }

    /// Pages that zswap took so far, on the whole host. `None`: the kernel does not say.
    pub(super) fn stored(&mut self) -> Option<u64> {
        self.stored = self.all_stored()?.saturating_sub(self.first?);
        Some(self.stored)
    }

    /// A stroke is over that had the limit down for so long, short or held.
    pub(super) fn stroke(&mut self, low: Duration, refused: Option<u64>, was_short: bool) {
        self.low += low;
        let refused = refused.unwrap_or_default();
        self.held_cost = match was_short {
            // Tried again some time after one that was dear.
            true if self.held_cost > DEAR * PARTS => self.held_cost - PARTS,
            true => self.held_cost,
            false => {
                let cost = refused.saturating_sub(self.before) * PARTS;
                cost.max(self.held_cost - self.held_cost.div_ceil(4))
            }
        };
        self.before = refused;
    }

    /// Whether there may be one more stroke. One that is held waits until it can be paid: short ones in its place would use
    /// up what it costs, for a small part of its effect.
    pub(super) fn allow_stroke(&mut self, refused: Option<u64>) -> bool {
        self.look();
        match refused {
            Some(refused) if self.must_be_short(Some(refused)) => self.may_be(refused, 0),
            Some(refused) => {
                let is_first = refused + self.stored == 0;
                is_first || self.calm.elapsed() >= LONG_CALM || self.may_be(refused, self.held_cost)
            }
            None => self.calm.elapsed() >= LONG_CALM || self.low * TIME_SHARE <= self.begun.elapsed(),
        }
    }

    /// A stroke must be as short as can be: others store all the time, it is too early to tell, or a held one is dear.
    pub(super) fn must_be_short(&self, refused: Option<u64>) -> bool {
        let (Some(_), Some(rate)) = (refused, self.rate) else { return true };
        rate > SLOW || self.held_cost > DEAR * PARTS && self.calm.elapsed() < LONG_CALM
    }

    /// Whether there may be so many refusals by now, and so many `PARTS` of one more.
    fn may_be(&self, refused: u64, more: u64) -> bool {
        let all = refused * PARTS + more;
        all * SHARE <= self.stored * PARTS + all || all <= self.begun.elapsed().as_secs() * A_SECOND * PARTS
    }

    fn look(&mut self) {
        let passed = self.looked.elapsed();
        if passed >= LOOK {
            let before = self.stored;
            let risen = self.stored().map(|stored| stored.saturating_sub(before));
            self.rate = risen.map(|risen| (risen * 1_000_000).div_ceil(passed.as_nanos() as u64));
            self.looked = Instant::now();
            if risen != Some(0) {
                self.calm = self.looked;
            }
        }
    }

    fn all_stored(&self) -> Option<u64> {
        self.vmstat.as_ref()?.read()?.zswpout
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;
    use crate::fake::FakeRoot;

    /// A host with so many stores since it booted.
    fn set(fake: &FakeRoot, stored: u64) {
        fake.write("proc/vmstat", &format!("nr_free_pages 1\nzswpout {stored}\n"));
    }

    /// Whether a stroke is allowed, once a look is due.
    fn allows(refusals: &mut Refusals, refused: Option<u64>) -> bool {
        sleep(LOOK);
        refusals.allow_stroke(refused)
    }

    /// Held strokes that refuse nobody: none is expected to.
    fn cost_nothing(refusals: &mut Refusals) {
        for _ in 0..32 {
            refusals.stroke(Duration::ZERO, Some(0), false);
        }
        assert_eq!(refusals.held_cost, 0);
    }

    #[test]
    fn a_stroke_waits_until_the_last_ones_cost_is_one_in_a_hundred() {
        let fake = FakeRoot::host();
        set(&fake, 1000);
        let mut refusals = Refusals::open(fake.root());
        assert!(allows(&mut refusals, Some(0)));
        cost_nothing(&mut refusals);
        // 3 of 375 stores: 372 must go through beside them.
        set(&fake, 1371);
        assert!(!allows(&mut refusals, Some(3)));
        set(&fake, 1372);
        assert!(allows(&mut refusals, Some(3)));
        assert_eq!(refusals.stored(), Some(372));
    }

    #[test]
    fn the_limit_is_held_only_where_others_store_slowly() {
        let fake = FakeRoot::host();
        set(&fake, 1000);
        let mut refusals = Refusals::open(fake.root());
        assert!(refusals.must_be_short(Some(0)), "too early to tell");
        assert!(allows(&mut refusals, Some(0)) && !refusals.must_be_short(Some(0)));
        set(&fake, 1_000_000);
        assert!(
            allows(&mut refusals, Some(0)) && refusals.must_be_short(Some(0)),
            "a million in some milliseconds"
        );
        assert!(allows(&mut refusals, Some(0)) && !refusals.must_be_short(Some(0)), "and no more");
    }

    #[test]
    fn a_held_stroke_waits_until_it_can_be_paid() {
        let fake = FakeRoot::host();
        set(&fake, 1000);
        let mut refusals = Refusals::open(fake.root());
        set(&fake, 1001);
        allows(&mut refusals, Some(0));
        // One store in the look before, and a held stroke costs 4: of the first 5 that would be too many.
        assert!(!allows(&mut refusals, Some(0)) && !refusals.must_be_short(Some(0)));
        // 4 of 500: 496 stores in the round.
        set(&fake, 1495);
        allows(&mut refusals, Some(0));
        assert!(!allows(&mut refusals, Some(0)));
        set(&fake, 1496);
        assert!(allows(&mut refusals, Some(0)) && !refusals.must_be_short(Some(0)));
        refusals.stroke(Duration::from_millis(8), Some(4), false);
        assert!(!allows(&mut refusals, Some(4)), "the next would make it 8 of 504");
        // Of the next ones none costs anything, so they are not paid for either.
        (0..32).for_each(|_| refusals.stroke(Duration::from_millis(8), Some(4), false));
        assert!(allows(&mut refusals, Some(4)));
    }

    #[test]
    fn a_dear_stroke_is_followed_by_short_ones_and_tried_again() {
        let fake = FakeRoot::host();
        set(&fake, 1000);
        let mut refusals = Refusals::open(fake.root());
        set(&fake, 1_000_000);
        allows(&mut refusals, Some(0));
        assert!(allows(&mut refusals, Some(0)) && !refusals.must_be_short(Some(0)));
        refusals.stroke(Duration::from_millis(30), Some(40), false);
        assert!(allows(&mut refusals, Some(40)) && refusals.must_be_short(Some(40)));
        (0..=40 - DEAR).for_each(|_| refusals.stroke(Duration::ZERO, Some(40), true));
        assert!(allows(&mut refusals, Some(40)) && !refusals.must_be_short(Some(40)));
    }

    #[test]
    fn ten_in_a_second_are_always_allowed() {
        let fake = FakeRoot::host();
        set(&fake, 1000);
        let mut refusals = Refusals::open(fake.root());
        cost_nothing(&mut refusals);
        assert!(!allows(&mut refusals, Some(10)));
        refusals.begun -= Duration::from_secs(1);
        assert!(allows(&mut refusals, Some(10)));
        assert!(!allows(&mut refusals, Some(11)));
    }

    #[test]
    fn where_refusals_are_not_seen_time_is_what_is_shared() {
        let fake = FakeRoot::host();
        set(&fake, 1000);
        let mut refusals = Refusals::open(fake.root());
        assert!(allows(&mut refusals, None));
        refusals.stroke(Duration::from_secs(1), None, true);
        assert!(!allows(&mut refusals, None));
        assert!(refusals.must_be_short(None), "what is not known is not taken for none");
    }
}
