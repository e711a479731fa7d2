//! What a walk counts, and that all ways of walking count the same.

use std::sync::atomic::Ordering;

use proptest::prelude::*;
use swaptier_common::{
    FRAME_SLOTS,
    cgroup::age_bucket,
    slot::{LOADED, WRITTEN_BACK, Word},
};

use super::*;

/// Words that begin where a page does, as those of the map do.
struct Pages {
    words: Vec<AtomicU64>,
    start: usize,
    count: usize,
}

impl Pages {
    fn of(words: &[Word]) -> Pages {
        let (count, line) = (words.len(), 4096 / 8);
        let room: Vec<AtomicU64> = (0..count + line).map(|_| AtomicU64::new(0)).collect();
        let start = (line - room.as_ptr().addr() / 8 % line) % line;
        room[start..].iter().zip(words).for_each(|(to, word)| to.store(word.0, Ordering::Relaxed));
        Pages { words: room, start, count }
    }

    fn words(&self) -> &[AtomicU64] {
        &self.words[self.start..][..self.count]
    }
}

/// What the words say, one by one, as simply as it can be written.
fn naive(words: &[Word], owner: u16, now: u64, cold_after: Option<u64>) -> OwnerScan {
    let mut scan = OwnerScan::default();
    for word in words.iter().filter(|word| word.owner() == owner && word.state() != State::Free) {
        scan.slots[word.state() as usize] += 1;
        if word.state() == State::Zswap {
            let age = word.age(now);
            scan.zswap_bytes += word.length();
            scan.zswap_age[age_bucket(age)] += 1;
            scan.oldest = scan.oldest.max(age);
            if cold_after.is_some_and(|after| age >= after) {
                scan.cold_pages += 1;
                scan.cold_bytes += word.length();
            }
        }
        scan.written_back += u64::from(word.state() == State::Phys && word.has(WRITTEN_BACK));
    }
    scan
}

/// Walks in all ways, wants the same of all, and returns it.
fn scan(words: &[Word], owners: usize, now: u64, cold_after: impl Fn(u16) -> Option<u64> + Copy) -> Scan {
    let pages = Pages::of(words);
    let walk = |way| {
        let mut scan = Scan::by(way, owners, now, cold_after);
        scan.words(pages.words());
        scan
    };
    let scans: Vec<Scan> = Way::all().into_iter().map(walk).collect();
    let (plain, others) = scans.split_last().unwrap();
    for other in others {
        for owner in 0..owners {
            assert_eq!(
                other.owner(owner as u16),
                plain.owner(owner as u16),
                "owner {owner}, {:?}",
                other.way
            );
        }
        assert_eq!(other.strays(), plain.strays(), "{:?}", other.way);
        assert_eq!(other.total(), plain.total(), "{:?}", other.way);
    }
    scans.into_iter().next().unwrap()
}

/// At second 100, eight owners; of owner 1's pages those of 30 s are cold.
fn small(words: &[Word]) -> Scan {
    scan(words, 8, 100, |owner| (owner == 1).then_some(30))
}

#[test]
fn each_slot_is_counted_once_and_for_its_owner() {
    let seen = small(&[
        Word::default(),
        Word::new(State::Zswap, 1000, 1, 60),
        Word::new(State::Zswap, 500, 1, 90),
        Word::new(State::Phys, 0, 1, 10),
        Word::new(State::Phys, 0, 1, 10).with(WRITTEN_BACK | LOADED),
        Word::new(State::Zswap, 70, 2, 0),
        Word::new(State::Free, 0, 1, 50),
    ]);
    // Owner 1 at second 100: ages 40 and 10; with a threshold of 30 one page of 1,000 bytes is cold.
    let one = seen.owner(1);
    assert_eq!((one.slots(State::Zswap), one.zswap_bytes), (2, 1500));
    assert_eq!((one.slots(State::Phys), one.written_back, one.slots(State::Free)), (2, 1, 0));
    assert_eq!((one.cold_pages, one.cold_bytes, one.oldest), (1, 1000, 40));
    // 40 s is in bucket 6 (32..63), 10 s in bucket 4 (8..15).
    assert_eq!((one.zswap_age[6], one.zswap_age[4]), (1, 1));
    let two = seen.owner(2);
    assert_eq!((two.slots(State::Zswap), two.cold_pages), (1, 0), "nobody asked for an age there");
}

/// As an area is walked: with one row for all, or with one for each owner.
#[test]
fn all_owners_together_are_the_same_with_a_row_for_each_and_with_one() {
    let slot = |n: u64| {
        let state = [State::Free, State::Folio, State::Zswap, State::Zero, State::Phys, State::Unknown];
        let word = Word::new(state[(n * 7 % 6) as usize], n % 4_097, (n % 11) as u16, n % 100);
        if n.is_multiple_of(3) { word.with(WRITTEN_BACK) } else { word }
    };
    let words: Vec<Word> = (0..3_000).map(slot).collect();
    let (of_each, of_all) = (small(&words).total(), scan(&words, 0, 100, |_| None).total());
    // What is in use, by hand: 500 of each state.
    assert_eq!(of_all.slots, [0, 500, 500, 500, 500, 500]);
    let written_back = words.iter().filter(|word| word.state() == State::Phys && word.has(WRITTEN_BACK));
    assert_eq!(of_all.written_back, written_back.count() as u64);
    let bytes = |word: &Word| if word.state() == State::Zswap { word.length() } else { 0 };
    assert_eq!(of_all.zswap_bytes, words.iter().map(bytes).sum::<u64>());
    assert_eq!(
        (of_each.slots, of_each.zswap_bytes, of_each.zswap_age, of_each.written_back, of_each.oldest),
        (of_all.slots, of_all.zswap_bytes, of_all.zswap_age, of_all.written_back, of_all.oldest)
    );
}

#[test]
fn a_slot_without_counters_is_a_stray_and_not_lost() {
    // 8 is the first owner without counters.
    let words = [8, 4000, 7, 65_535].map(|owner| Word::new(State::Zswap, 1, owner, 0));
    let seen = small(&words);
    assert_eq!((seen.strays(), seen.owner(7).slots(State::Zswap)), (3, 1));
    assert_eq!(seen.owner(4000), OwnerScan::default());
    let free = [Word::new(State::Free, 1, 4000, 0); 600];
    assert_eq!(small(&free).strays(), 0, "a free slot is nobody's");
}

#[test]
fn exactly_the_threshold_is_cold() {
    let seen = small(&[Word::new(State::Zswap, 1, 1, 70), Word::new(State::Zswap, 1, 1, 71)]);
    assert_eq!(seen.owner(1).cold_pages, 1);
}

#[test]
fn a_threshold_of_nothing_makes_all_cold_and_one_beyond_the_stamps_makes_none() {
    let words = [Word::new(State::Zswap, 1, 1, 100), Word::new(State::Zswap, 1, 1, 101)];
    // The second is 2^24 − 1 seconds old.
    for (after, cold) in [(0, 2), (1, 1), ((1 << 24) - 1, 1), (1 << 24, 0), (u64::MAX, 0)] {
        assert_eq!(scan(&words, 2, 100, |_| Some(after)).owner(1).cold_pages, cold, "{after}");
    }
}

#[test]
fn every_age_has_its_bucket() {
    let stamps = (0..24).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]);
    for age in stamps.chain([(1 << 24) - 1]) {
        let words = vec![Word::new(State::Zswap, 7, 3, 100u64.wrapping_sub(age)); FRAME_SLOTS];
        let seen = scan(&words, 4, 100, |_| None).owner(3);
        assert_eq!((seen.zswap_age[age_bucket(age)], seen.oldest), (512, age));
    }
}

#[test]
fn more_ages_than_there_are_columns_are_told_apart_all_the_same() {
    // 200 owners, each asks for another age: 1, 2, … 200 s. Each has pages of 0, 1, … 199 s.
    let words: Vec<Word> = (0..200)
        .flat_map(|owner| (0..200).map(move |age| Word::new(State::Zswap, 10, owner, 1000 - age)))
        .collect();
    let seen = scan(&words, 200, 1000, |owner| Some(u64::from(owner) + 1));
    for owner in 0..200 {
        // Owner 0 asks for 1 s and has 199 such pages; owner 199 asks for 200 s and has none.
        let cold = 199 - u64::from(owner);
        assert_eq!((seen.owner(owner).cold_pages, seen.owner(owner).cold_bytes), (cold, cold * 10));
    }
}

#[test]
fn sums_outlive_the_room_of_a_column() {
    let words = vec![Word::new(State::Zswap, 8191, 0, 0); FRAME_SLOTS];
    let pages = Pages::of(&words);
    for way in Way::all() {
        let mut scan = Scan::by(way, 1, 50, |_| Some(50));
        // As after two million frames, five times over: what was counted so far must make room each time.
        for _ in 0..5 {
            scan.words(pages.words());
            scan.table.make_room(table::SPILL_AFTER);
        }
        let seen = scan.owner(0);
        assert_eq!((seen.slots(State::Zswap), seen.cold_pages), (5 * 512, 5 * 512), "{way:?}");
        assert_eq!((seen.zswap_bytes, seen.cold_bytes), (5 * 512 * 8191, 5 * 512 * 8191), "{way:?}");
        assert!(scan.table.is_spilled(), "{way:?}");
    }
}

#[test]
fn words_that_begin_anywhere_and_end_anywhere_are_all_seen() {
    let words = vec![Word::new(State::Zswap, 1, 0, 0); 3 * FRAME_SLOTS];
    let pages = Pages::of(&words);
    for (from, to) in [(0, 1), (1, 1400), (8, 1032), (0, 1535), (512, 1536), (700, 700)] {
        for way in Way::all() {
            let mut scan = Scan::by(way, 1, 0, |_| None);
            scan.words(&pages.words()[from..to]);
            assert_eq!(scan.owner(0).slots(State::Zswap), (to - from) as u64, "{way:?}, {from}..{to}");
        }
    }
}

/// Forty frames of forty owners, and what the age of each page is by its place.
fn oldest_by(age: impl Fn(u64, u16) -> u64) {
    let now = 1 << 25;
    let words: Vec<Word> = (0..40 * FRAME_SLOTS as u64)
        .map(|place| {
            // Of each block some slots are of the owner that was there least, and one in three is not in zswap.
            let newest = (place / FRAME_SLOTS as u64) as u16;
            let owner = (place.wrapping_mul(0x9e37_79b9) >> 7) as u16 % (newest + 1);
            let owner = if place % 7 == 0 { newest } else { owner };
            let state = [State::Zswap, State::Zswap, State::Phys, State::Free][place as usize % 4];
            Word::new(state, 1 + place % 4000, owner, now - age(place, owner))
        })
        .collect();
    let seen = scan(&words, 40, now, |_| Some(1000));
    for owner in 0..40 {
        assert_eq!(seen.owner(owner), naive(&words, owner, now, Some(1000)), "owner {owner}");
    }
    // In several calls, and together with what was there before: nothing is forgotten between them.
    let pages = Pages::of(&words);
    for way in Way::all() {
        let mut scan = Scan::by(way, 40, now, |_| Some(1000));
        pages.words().chunks(3 * FRAME_SLOTS + 100).for_each(|words| scan.words(words));
        assert!((0..40).all(|owner| scan.owner(owner) == seen.owner(owner)), "{way:?}");
    }
}

#[test]
fn the_oldest_page_is_found_wherever_it_lies() {
    oldest_by(|place, _| place);
    oldest_by(|place, _| (1 << 20) - place);
    oldest_by(|place, _| place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
    // Young owners between old ones: no floor is of use. And each owner with one age, but for one page.
    oldest_by(|place, owner| u64::from(owner % 3) * 1_000_000 + place % 50);
    oldest_by(|place, owner| u64::from(owner) * 100 + u64::from(place == u64::from(owner) * 512 + 511));
    // Only just stored, until one is not.
    oldest_by(|place, owner| u64::from(place % 509 == u64::from(owner)));
}

/// Any word at all, with states and owners drawn so that each rule is met.
fn word(owners: u16, now: u64) -> impl Strategy<Value = Word> {
    let state = prop_oneof![3 => Just(0), 5 => Just(2), 2 => Just(4), 1 => 0..8u64];
    let owner = prop_oneof![8 => 0..owners, 1 => any::<u16>()];
    let age = prop_oneof![0..4u64, 0..100u64, 0..1u64 << 24];
    let history = prop_oneof![Just(0), Just(WRITTEN_BACK), Just(LOADED), 0..256u64];
    (state, owner, age, 0..1u64 << 13, history).prop_map(move |(state, owner, age, length, history)| {
        let word = Word::new(State::Free, length, owner, now.wrapping_sub(age)).with(history);
        Word(word.0 | state)
    })
}

/// Frames of many owners, of one owner, and of one owner and one age.
fn frames() -> impl Strategy<Value = (u64, Vec<Word>)> {
    any::<u64>().prop_flat_map(|now| {
        let many = prop::collection::vec(word(12, now), FRAME_SLOTS);
        let one = (0..12u16, prop::collection::vec(word(12, now), FRAME_SLOTS)).prop_map(|(owner, words)| {
            words.into_iter().map(|word| Word(word.0 & !(0xffff << 16) | u64::from(owner) << 16)).collect()
        });
        let same = (word(12, now), 1..=FRAME_SLOTS).prop_map(|(word, count)| {
            let mut words = vec![Word::default(); FRAME_SLOTS];
            words[..count].fill(word);
            words
        });
        let frame = prop_oneof![2 => many, 2 => one, 1 => same];
        (Just(now), prop::collection::vec(frame, 1..4).prop_map(|frames| frames.concat()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_way_counts_what_the_words_say(
        (now, words) in frames(),
        after in prop::collection::vec(prop::option::of(0..200u64), 10),
    ) {
        let cold_after = |owner: u16| after[usize::from(owner)];
        let seen = scan(&words, after.len(), now, cold_after);
        for owner in 0..after.len() as u16 {
            prop_assert_eq!(seen.owner(owner), naive(&words, owner, now, cold_after(owner)), "owner {}", owner);
        }
        let is_stray = |word: &&Word| usize::from(word.owner()) >= after.len() && word.state() != State::Free;
        prop_assert_eq!(seen.strays(), words.iter().filter(is_stray).count() as u64);
    }
}
