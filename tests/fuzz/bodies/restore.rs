//! Giving back what an undo log says, on a host made of plain files. `7777` in the log stands for the cgroup's id.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use swaptier::journal::{Undo, UndoError, preview, restore};
use swaptier::root::Root;

use super::folder::temporary;

/// What may be given back. The cgroup's own directory carries our name, so that it may be asked to go.
const OURS: [(&str, &str); 4] = [
    ("sys/fs/cgroup/a/memory.swap.max", "8192\n"),
    ("sys/fs/cgroup/a/memory.zswap.writeback", "0\n"),
    ("sys/fs/cgroup/swaptier.pump/memory.zswap.writeback", "0\n"),
    ("sys/module/zswap/parameters/max_pool_percent", "0\n"),
];

/// What no log may reach.
const NOT_OURS: [(&str, &str); 3] =
    [("etc/shadow", "secret\n"), ("proc/sys/kernel/random/boot_id", "one\n"), ("../beside", "beside\n")];

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

struct World {
    _dir: tempfile::TempDir,
    root: PathBuf,
    state: PathBuf,
}

impl World {
    fn new() -> World {
        let dir = temporary();
        let (root, state) = (dir.path().join("root"), dir.path().join("state"));
        fs::create_dir(&root).expect("the folder is new");
        World { _dir: dir, root, state }
    }

    fn fill(&self) {
        for (path, text) in OURS.into_iter().chain(NOT_OURS) {
            self.write(path, text);
        }
        let _is_there =
            std::os::unix::fs::symlink("../../../etc/shadow", self.root.join("sys/fs/cgroup/a/link"));
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("the folder can be made");
        }
        fs::write(path, text).expect("the folder can be written");
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_default()
    }

    fn put_log(&self, text: &[u8]) {
        let _is_new = fs::remove_dir_all(&self.state);
        fs::DirBuilder::new().mode(0o700).create(&self.state).expect("the folder was removed");
        let path = self.state.join("undo.jsonl");
        fs::write(&path, text).expect("the folder can be written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    }
}

/// Opens the log, gives everything back, twice. Nothing else is touched, and the second time there is nothing to do.
pub fn try_one(input: &[u8]) {
    WORLD.with_borrow_mut(|world| {
        let world = world.get_or_insert_with(World::new);
        world.fill();
        run(world, input);
        for (path, text) in NOT_OURS {
            assert_eq!(world.read(path), text, "{path} was written");
        }
    });
}

fn run(world: &World, input: &[u8]) {
    let root = Root::at(&world.root).expect("the folder is there");
    let id = root.cgroup_id("a").expect("the cgroup is there").to_string();
    let log = String::from_utf8_lossy(input).replace("7777", &id);
    world.put_log(log.as_bytes());
    if Undo::open(&root, &world.state).is_err() {
        assert_eq!(
            fs::read(world.state.join("undo.jsonl")).ok(),
            Some(log.clone().into_bytes()),
            "a refused log changed"
        );
    }
    let mut undo = match Undo::open_skipping_damage(&root, &world.state) {
        Ok(undo) => undo,
        // It means something to another version: it is kept.
        Err(UndoError::Version { .. }) => {
            let kept = fs::read(world.state.join("undo.jsonl")).ok();
            assert_eq!(kept, Some(log.into_bytes()), "a log of another version changed");
            return;
        }
        damaged => damaged.expect("damage is skipped"),
    };
    let pending: Vec<_> = undo.pending().cloned().collect();
    let foretold = preview(&root, &pending);
    let report = restore(&root, &mut undo, false);
    assert_eq!((foretold.items.len(), report.items.len()), (pending.len(), pending.len()));
    assert_eq!(undo.pending().count(), report.items.len() - done(&report));
    let failed = undo.pending().count();
    drop(undo);
    let mut undo = Undo::open(&root, &world.state).expect("what was written is whole");
    assert_eq!(undo.pending().count(), failed, "something came back");
    let again = restore(&root, &mut undo, false);
    assert_eq!(done(&again), 0, "{again:?}");
}

/// How many items are settled for good.
fn done(report: &swaptier::journal::Report) -> usize {
    use swaptier::journal::Undone;
    report.count(|fate| !matches!(fate, Undone::Failed { .. }))
}
