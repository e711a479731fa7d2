//! Restarts, boots and clocks that are set, against the file in the state folder.

use std::collections::BTreeMap;

use swaptier_policies::{Bytes, CgroupPath};

use super::*;

const START: u64 = 20_000 * DAY + 3_600;

fn now(boot: &str, since_boot: u64, unix: u64) -> Now {
    Now { boot: boot.to_owned(), since_boot, unix }
}

fn book(day: u32, bytes: u64) -> DayBook {
    DayBook { day, spent: BTreeMap::from([(CgroupPath::from("a"), Bytes(bytes))]) }
}

/// What is spent of the day at this instant, by a new agent.
fn spent(state: &Path, now: &Now) -> (u32, Option<DayBook>, bool) {
    let mut history = History::default();
    let (days, trouble) = Days::at(now, state, false, &mut history);
    (days.day_at(now.since_boot).0, history.day_book(std::iter::empty()), trouble.is_some())
}

#[test]
fn a_day_goes_on_over_restarts_and_clocks_that_are_set_and_ends_after_its_hours() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let (mut days, trouble) = Days::at(&now("one", 100, START), state, false, &mut History::default());
    assert_eq!((days.day, trouble), (20_000, None));
    days.write(&now("one", 200, START + 100), book(20_000, 7)).unwrap();
    // The clock is set a day forward, a day back, and to 1970, between restarts in the same boot.
    for unix in [START + DAY, START - DAY, 5] {
        assert_eq!(spent(state, &now("one", 300, unix)), (20_000, Some(book(20_000, 7)), false), "{unix}");
        assert_eq!(days.day_at(300).0, 20_000);
    }
    // It began an hour before: 23 hours later it is over, 100 s of which passed before it was written.
    let last = 200 + DAY - 3_600 - 100;
    assert_eq!(spent(state, &now("one", last - 1, START)).0, 20_000);
    assert_eq!(spent(state, &now("one", last, START)).0, 20_001);
    assert_eq!(days.day_at(last).0, 20_001);
    // Over a boot the calendar counts; one that went back counts nothing.
    assert_eq!(spent(state, &now("two", 3, START + 200)).0, 20_000);
    assert_eq!(spent(state, &now("two", 3, START + DAY)).0, 20_001);
    assert_eq!(spent(state, &now("two", 3, 0)).0, 20_000);
}

#[test]
fn a_file_that_cannot_be_read_is_a_day_that_is_spent_and_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let at = now("one", 100, START);
    assert_eq!(spent(dir.path(), &at), (20_000, Some(DayBook::default()), false), "the first start of all");
    for damage in ["", "{", "{\"v\":1}", "nonsense"] {
        fs::write(dir.path().join(FILE), damage).unwrap();
        assert_eq!(spent(dir.path(), &at), (20_000, None, true), "{damage:?}");
    }
    let (mut days, _) = Days::at(&at, tempfile::tempdir().unwrap().path(), false, &mut History::default());
    assert!(days.write(&at, book(1, 1)).is_err(), "the folder is gone");
    assert_eq!(days.written, None);
}

#[test]
fn what_is_on_disk_says_as_much_as_was_reserved() {
    assert!(covers(&book(7, 9), &book(7, 9)) && covers(&book(7, 9), &book(7, 8)));
    assert!(!covers(&book(7, 9), &book(7, 10)) && !covers(&book(7, 9), &book(8, 1)));
    assert!(covers(&book(7, 9), &DayBook { day: 7, spent: BTreeMap::new() }));
}
