//! What a round leaves in RAM, given up at its end.
//!
//! The kernel brings a page into the swap cache to write it, and leaves it there, clean, at the end of its cgroup's
//! inactive list. Until somebody reclaims it, writing back takes RAM instead of giving it: whole pages stand where compressed
//! ones were. So the pump asks `memory.reclaim` for them, never for more than the round has added, in small bites, and
//! looks after each whether it was these that went. Whole cgroups below are asked one by one: a request to a cgroup
//! above would take from all of them.
//!
//! Where older pages of the cgroup stand before them, as in an older generation of the multi-generational LRU, a request
//! takes these first. So a request is small until it meets the round's own pages, and what is taken of others is a small
//! share of what was written: what stays for that reason is asked for by later rounds.
//!
//! Nothing here has to be undone: a clean page of the swap cache is on the disk, and its way to disk is closed.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use rustix::fs::OFlags;

use super::{
    knob::{Knob, StatFile},
    wire::GiveUp,
};
use crate::{
    fault,
    root::{FilePath, Root},
    sense::MemoryStat,
};

/// How long it may take. The kernel's answer is waited for, so it may be one bite more.
pub(in super::super) const LONGEST: Duration = Duration::from_secs(2);

/// Pages of one bite, and for each processor: the kernel shows fewer changes of a counter only after two seconds.
const BITE: u64 = 256;
const BITE_OF_EACH: u64 = 32;

/// The same of the first request, by which it is found out what stands at the end of the list.
const FIRST: u64 = 64;
const FIRST_OF_EACH: u64 = 16;

/// Where requests take something else: of so many pages written, one other may be taken, the next request included (what is
/// promised is one in twenty: the kernel takes more than it is asked for). On 7.3, which does not move written pages to the
/// end of their list, 985 stood before 20,876.
const SHARE: u64 = 24;

/// Pages that are left: the kernel takes up to 64 more than it is asked for, and others stand right behind these.
const LEFT: u64 = 128;

/// How long pages may take to reach the disk; those under way cannot be reclaimed.
const FLIGHT: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(5);

/// The cgroups of a round that hold pages themselves.
pub(super) struct Cache<'a> {
    leaves: Vec<Leaf>,
    debts: &'a mut Debts,
    word: &'a str,
    page: u64,
    /// Pages of the first request, and at most of each that follows.
    bites: (u64, u64),
}

/// What earlier rounds have left in RAM, by the cgroup's id.
#[derive(Debug, Default)]
pub(super) struct Debts(BTreeMap<u64, Debt>);

/// Of one cgroup, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Debt {
    /// Left in the swap cache.
    left: u64,
    /// Added to it by the rounds, the last ones above all.
    added: u64,
    /// Taken of anything else, over the same time.
    others: u64,
    /// The last request took something else.
    is_behind: bool,
}

impl Debt {
    /// A round has added so many. What was long ago counts ever less: a long good time does not pay for many bad requests.
    fn add(&mut self, pages: u64) {
        self.added -= self.added / 4;
        self.others -= self.others / 4;
        self.added += pages;
        self.left += pages;
    }

    /// Whether a request is no harm: where the last one took something else, this one may take `first` others.
    fn may_ask(&self, first: u64) -> bool {
        let expected = if self.is_behind { first } else { 0 };
        (self.others + expected) * SHARE <= self.added
    }
}

impl Debts {
    /// Cgroups remembered. Of more, what was left stays for reclaim.
    const MOST: usize = 1024;

    fn of(&self, cgroup: u64) -> Debt {
        self.0.get(&cgroup).copied().unwrap_or_default()
    }

    fn set(&mut self, cgroup: u64, debt: Debt) {
        if self.0.len() < Self::MOST || self.0.contains_key(&cgroup) {
            self.0.insert(cgroup, debt);
        } else {
            // Most of them are gone by now.
            self.0.clear();
        }
    }
}

/// One of them.
struct Leaf {
    id: u64,
    reclaim: Knob,
    stat: StatFile,
    debt: Debt,
    /// Clean pages in the swap cache when the round began, but for those.
    first: u64,
}

/// What came of it, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GivenUp {
    /// Out of the swap cache.
    pub(super) pages: u64,
    /// Of anything else of these cgroups.
    pub(super) others: u64,
}

impl<'a> Cache<'a> {
    /// Looks at the swap cache as the round finds it. Cgroups that are gone by now are left out.
    pub(super) fn open(root: &Root, job: &'a GiveUp, debts: &'a mut Debts) -> Self {
        let page = rustix::param::page_size() as u64;
        let open = |cgroup: &FilePath| {
            let knob = |file, flags| Knob::open(root, cgroup.join(file), flags).ok();
            let (reclaim, stat) =
                (knob("memory.reclaim", OFlags::WRONLY)?, knob("memory.stat", OFlags::RDONLY)?);
            let (id, stat) =
                (root.cgroup_id(&cgroup.join("memory.stat").cgroup()?).ok()?, StatFile::new(stat));
            let clean = clean(&stat, page)?;
            let debt = debts.of(id);
            let debt = Debt { left: debt.left.min(clean), ..debt };
            Some(Leaf { id, reclaim, stat, debt, first: clean - debt.left })
        };
        let leaves = job.cgroups.iter().filter_map(open).collect();
        let processors = std::thread::available_parallelism().map_or(1, |number| number.get() as u64);
        let bites = (FIRST.max(FIRST_OF_EACH * processors), BITE.max(BITE_OF_EACH * processors));
        Self { leaves, debts, word: &job.word, page, bites }
    }

    /// Gives up at most so many pages of what the round has added, and what earlier ones have left. `goes_on` says whether
    /// there still is a reason to.
    pub(super) fn give_up(&mut self, written: u64, mut goes_on: impl FnMut() -> bool) -> GivenUp {
        let until = Instant::now() + LONGEST;
        let (mut sum, mut unseen) = (GivenUp::default(), written);
        for leaf in &self.leaves {
            if unseen + leaf.debt.left > LEFT {
                self.wait_for_the_disk(leaf);
            }
            let (grown, mut debt) = (self.grown(leaf), leaf.debt);
            let added = grown.saturating_sub(debt.left).min(unseen);
            debt.left = debt.left.min(grown);
            debt.add(added);
            unseen -= added;
            let goes_on = || Instant::now() < until && goes_on();
            let GivenUp { pages, others } = self.of(leaf, &mut debt, goes_on);
            sum = GivenUp { pages: sum.pages + pages, others: sum.others + others };
            self.debts.set(leaf.id, debt);
        }
        sum
    }

    fn of(&self, leaf: &Leaf, debt: &mut Debt, mut goes_on: impl FnMut() -> bool) -> GivenUp {
        let (mut sum, (first, most)) = (GivenUp::default(), self.bites);
        let mut size = first;
        while debt.left > LEFT && debt.may_ask(first) && goes_on() {
            let bite = (debt.left - LEFT).min(size);
            let Some(before) = leaf.stat.read(MemoryStat::parse) else { break };
            match leaf.reclaim.put(&format!("{} {}", bite * self.page, self.word)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_gone) => break,
            }
            fault::point("pump.given-up");
            let Some(after) = leaf.stat.read(MemoryStat::parse) else { break };
            let pages = difference(before.swapcached, after.swapcached) / self.page;
            let others = difference(after.pgsteal, before.pgsteal).saturating_sub(pages);
            sum = GivenUp { pages: sum.pages + pages, others: sum.others + others };
            debt.left = debt.left.saturating_sub(pages).min(self.grown(leaf));
            debt.others += others;
            debt.is_behind = pages < bite / 2 || others > bite / 8;
            size = if debt.is_behind { first } else { most.min(2 * size) };
            // Nothing can be taken at the moment.
            if pages + others < bite / 4 {
                break;
            }
        }
        sum
    }

    /// Pages that rounds have added and that can be given up: a request for more would take others in their place.
    fn grown(&self, leaf: &Leaf) -> u64 {
        clean(&leaf.stat, self.page).map_or(0, |now| now.saturating_sub(leaf.first))
    }

    fn wait_for_the_disk(&self, leaf: &Leaf) {
        let until = Instant::now() + FLIGHT;
        let are_under_way = || leaf.stat.read(in_flight).is_some_and(|bytes| bytes / self.page > LEFT);
        while Instant::now() < until && are_under_way() {
            std::thread::sleep(LOOK);
        }
    }
}

/// Pages in the swap cache that are not on their way to the disk.
fn clean(stat: &StatFile, page: u64) -> Option<u64> {
    let (cached, in_flight) = stat.read(|text| (MemoryStat::parse(text).swapcached, in_flight(text)))?;
    Some(cached?.saturating_sub(in_flight) / page)
}

/// Bytes on their way to a disk, of a `memory.stat`: pages of the swap cache are in this sum (`NR_WRITEBACK`).
fn in_flight(stat: &str) -> u64 {
    let bytes = stat.lines().find_map(|line| line.strip_prefix("file_writeback ")?.parse().ok());
    bytes.unwrap_or_default()
}

fn difference(more: Option<u64>, less: Option<u64>) -> u64 {
    more.zip(less).map_or(0, |(more, less)| more.saturating_sub(less))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fake::FakeRoot,
        root::{cgroup_file, cgroup_path},
    };

    const STAT: &str = "sys/fs/cgroup/a/memory.stat";
    const RECLAIM: &str = "sys/fs/cgroup/a/memory.reclaim";

    fn set(fake: &FakeRoot, cached: u64, stolen: u64) {
        let page = rustix::param::page_size() as u64;
        fake.write(STAT, &format!("file_writeback 0\nswapcached {}\npgsteal {stolen}\n", cached * page));
    }

    fn job() -> GiveUp {
        GiveUp {
            cgroups: vec!["sys/fs/cgroup/a".into(), "sys/fs/cgroup/gone".into()],
            word: "swappiness=max".into(),
        }
    }

    #[test]
    fn a_request_that_takes_nothing_is_the_last() {
        let (fake, job) = (FakeRoot::host(), job());
        fake.cgroup("a");
        set(&fake, 100, 7);
        let mut debts = Debts::default();
        let mut cache = Cache::open(fake.root(), &job, &mut debts);
        assert_eq!(cache.leaves.len(), 1, "the other is gone");
        // Nothing falls here, whatever is asked.
        set(&fake, 700, 7);
        assert_eq!(cache.give_up(900, || true), GivenUp::default());
        let page = rustix::param::page_size() as u64;
        let bite = cache.bites.0.min(600 - LEFT);
        assert_eq!(fake.read(RECLAIM), format!("{} swappiness=max", bite * page));
        fake.write(RECLAIM, "");
        assert_eq!(cache.give_up(900, || false), GivenUp::default());
        assert_eq!(fake.read(RECLAIM), "", "there is no reason to");
        assert_eq!(cache.give_up(LEFT, || true), GivenUp::default());
        assert_eq!(fake.read(RECLAIM), "", "never more than was written");
    }

    #[test]
    fn pages_on_their_way_to_the_disk_are_not_asked_for() {
        let (fake, job) = (FakeRoot::host(), job());
        fake.cgroup("a");
        set(&fake, 100, 0);
        let mut debts = Debts::default();
        let mut cache = Cache::open(fake.root(), &job, &mut debts);
        let page = rustix::param::page_size() as u64;
        // 600 were added; with 500 of them the disk is not done, however long it is waited for.
        let stat = |in_flight| {
            fake.write(STAT, &format!("file_writeback {}\nswapcached {}\n", in_flight * page, 700 * page));
        };
        stat(500);
        assert_eq!(cache.give_up(900, || true), GivenUp::default());
        assert_eq!(fake.read(RECLAIM), "");
        stat(0);
        cache.give_up(900, || true);
        assert_ne!(fake.read(RECLAIM), "");
    }

    #[test]
    fn what_a_round_could_not_give_up_is_asked_for_by_a_later_one() {
        let (fake, job) = (FakeRoot::host(), job());
        let id = fake.cgroup("a");
        let mut debts = Debts::default();
        set(&fake, 100, 0);
        let mut cache = Cache::open(fake.root(), &job, &mut debts);
        set(&fake, 700, 0);
        // Nothing falls: older pages stand before them.
        assert_eq!(cache.give_up(500, || true), GivenUp::default());
        let (first, left) = (cache.bites.0, Debt { left: 500, added: 500, others: 0, is_behind: true });
        assert_eq!(debts.of(id), left, "no more than was written");
        // The next round adds too little for one more request.
        fake.write(RECLAIM, "");
        let mut cached = 700;
        let mut round = |added| {
            let mut cache = Cache::open(fake.root(), &job, &mut debts);
            cached += added;
            set(&fake, cached, 0);
            cache.give_up(added, || true);
            (!fake.read(RECLAIM).is_empty(), debts.of(id).left)
        };
        assert_eq!(round(100), (false, 600));
        assert_eq!(round(first * SHARE), (true, 600 + first * SHARE));
        // Some of them are gone by themselves.
        set(&fake, 20, 0);
        Cache::open(fake.root(), &job, &mut debts).give_up(0, || true);
        assert_eq!(debts.of(id).left, 20);
        // Another one at its place owes nothing.
        fake.replace_cgroup("a");
        fake.write(RECLAIM, "");
        set(&fake, 700, 0);
        assert_eq!(Cache::open(fake.root(), &job, &mut debts).leaves[0].debt, Debt::default());
    }

    #[test]
    fn of_what_was_written_a_small_share_of_others_is_taken() {
        let may_ask = |others, is_behind| Debt { left: 9_000, added: 20_480, others, is_behind }.may_ask(64);
        // 853 are one in 24, and where the last request took something else 789 and 64 more.
        assert_eq!([853, 854].map(|others| may_ask(others, false)), [true, false]);
        assert_eq!([789, 790].map(|others| may_ask(others, true)), [true, false]);
        // Of a long good time three quarters are left after each round.
        let mut debt = Debt { added: 1_000_000, ..Debt::default() };
        (0..40).for_each(|_| debt.add(1_000));
        assert!(debt.added < 4_100 && debt.left == 40_000, "{debt:?}");
    }

    #[test]
    fn what_one_cgroup_owed_is_not_taken_from_what_another_may_give_up() {
        let fake = FakeRoot::host();
        let ids = ["a", "b"].map(|name| fake.cgroup(name));
        let job = GiveUp { cgroups: ["a", "b"].map(cgroup_path).into(), word: "swappiness=max".into() };
        let page = rustix::param::page_size() as u64;
        let set = |cached: [u64; 2]| {
            for (name, cached) in ["a", "b"].into_iter().zip(cached) {
                fake.write(&cgroup_file(name, "memory.stat"), &format!("swapcached {}\n", cached * page));
                fake.write(&cgroup_file(name, "memory.reclaim"), "");
            }
        };
        set([500, 0]);
        let mut debts = Debts::default();
        debts.set(ids[0], Debt { left: 500, added: 500, ..Debt::default() });
        let mut cache = Cache::open(fake.root(), &job, &mut debts);
        // 700 were written: 300 of the first, and of the second all the others.
        set([800, 900]);
        cache.give_up(700, || true);
        assert_eq!(ids.map(|id| debts.of(id).left), [800, 400]);
    }

    #[test]
    fn nothing_is_asked_where_nothing_was_added() {
        let (fake, job) = (FakeRoot::host(), job());
        fake.cgroup("a");
        set(&fake, 100, 0);
        let mut debts = Debts::default();
        let mut cache = Cache::open(fake.root(), &job, &mut debts);
        set(&fake, 90, 0);
        assert_eq!(cache.give_up(1000, || true), GivenUp::default());
        assert_eq!(fake.read(RECLAIM), "");
    }
}
