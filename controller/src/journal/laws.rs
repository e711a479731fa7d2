//! What is true of the undo log after any history of changes, crashes and readings back.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Change, Undo, Undone, restore};
use crate::fake::FakeRoot;
use crate::root::{CGROUP_ROOT, cgroup_file, change::Write as _};

/// Files of two cgroups and of the host, with what they say at first.
const FILES: [(&str, &str); 4] = [
    ("sys/fs/cgroup/a/memory.swap.max", "max"),
    ("sys/fs/cgroup/a/memory.zswap.writeback", "1"),
    ("sys/fs/cgroup/b/memory.zswap.writeback", "1"),
    ("sys/module/zswap/parameters/max_pool_percent", "20"),
];

/// Values that differ by pages, and some that a file has at first.
const VALUES: [&str; 5] = ["max", "0", "1", "20", "8192"];

/// One thing that the agent does with a file, or that happens to it.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The value is set and stays: folded into the record before it.
    Stand(usize, usize),
    /// The same, but the agent is killed before it says so.
    Set(usize, usize),
    /// The value is set for a moment and put back.
    Moment(usize, usize),
    /// The agent is killed between noting a change and making it.
    NotedOnly(usize, usize),
    /// The agent starts anew.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let place = || (0..FILES.len(), 0..VALUES.len());
    prop_oneof![
        4 => place().prop_map(|(file, value)| Event::Stand(file, value)),
        2 => place().prop_map(|(file, value)| Event::Set(file, value)),
        2 => place().prop_map(|(file, value)| Event::Moment(file, value)),
        1 => place().prop_map(|(file, value)| Event::NotedOnly(file, value)),
        1 => Just(Event::Restart),
    ]
}

struct World {
    fake: FakeRoot,
    undo: Option<Undo>,
    ids: BTreeMap<String, u64>,
}

impl World {
    fn new() -> World {
        let fake = FakeRoot::host();
        let ids = ["a", "b"].map(|name| (cgroup_file(name, "").to_string(), fake.cgroup(name))).into();
        let mut world = World { fake, undo: None, ids };
        world.restart();
        world
    }

    fn restart(&mut self) {
        // The old one's lock falls first.
        self.undo = None;
        self.undo = Some(Undo::open(self.fake.root(), &self.fake.path("state")).unwrap());
    }

    fn undo(&mut self) -> &mut Undo {
        self.undo.as_mut().unwrap()
    }

    fn note(&mut self, file: usize, value: usize) -> (u64, String) {
        let (path, _) = FILES[file];
        let old = self.fake.read(path);
        let id = self.ids.iter().find(|(dir, _)| path.starts_with(*dir)).map(|(_, id)| *id);
        assert_eq!(id.is_some(), path.starts_with(CGROUP_ROOT));
        let change = Change::file(path, id, old.clone(), VALUES[value], &swaptier_policies::Asker::Settings);
        (self.undo().note(&[change]).unwrap()[0], old)
    }

    fn set(&self, file: usize, value: &str) {
        self.fake.root().write(FILES[file].0, value).unwrap();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Stand(file, value) => {
                let (seq, _) = self.note(file, value);
                self.set(file, VALUES[value]);
                self.undo().settle(seq);
            }
            Event::Set(file, value) => {
                self.note(file, value);
                self.set(file, VALUES[value]);
                self.restart();
            }
            Event::Moment(file, value) => {
                let (seq, old) = self.note(file, value);
                self.set(file, VALUES[value]);
                self.set(file, &old);
                self.undo().done(&[seq]);
            }
            Event::NotedOnly(file, value) => {
                self.note(file, value);
                self.restart();
            }
            Event::Restart => self.restart(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_was_done_the_first_values_come_back(events in proptest::collection::vec(event(), 0..24)) {
        let mut world = World::new();
        for (file, (_, first)) in FILES.iter().enumerate() {
            world.set(file, first);
        }
        for event in events {
            world.happen(event);
        }
        let root = world.fake.root().clone();
        let report = restore(&root, world.undo(), false);
        for (path, first) in FILES {
            prop_assert_eq!(world.fake.read(path), first, "{} after {:?}", path, report);
        }
        prop_assert!(report.items.iter().all(|item| item.fate != Undone::Foreign), "{:?}", report);
        prop_assert_eq!(world.undo().pending().count(), 0);
    }

    #[test]
    fn a_restart_forgets_nothing(events in proptest::collection::vec(event(), 0..24)) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
            let before: Vec<Change> = world.undo().pending().cloned().collect();
            world.restart();
            let after: Vec<Change> = world.undo().pending().cloned().collect();
            prop_assert_eq!(before, after);
        }
    }
}
