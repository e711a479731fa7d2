//! The laws of the undo log and of giving back, on a fake root.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use swaptier_policies::Asker;

use super::*;
use crate::root::{
    Root, cgroup_file,
    change::{Make as _, Write as _},
};

const SWAP_MAX: &str = "sys/fs/cgroup/a/memory.swap.max";
const VALVE: &str = "sys/fs/cgroup/a/memory.zswap.writeback";
const POOL: &str = "sys/module/zswap/parameters/max_pool_percent";

/// A host with one cgroup, and a state folder outside of it.
struct World {
    dir: tempfile::TempDir,
    root: Root,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [
            (SWAP_MAX, "max\n"),
            (VALVE, "1\n"),
            (POOL, "20\n"),
            ("proc/sys/kernel/random/boot_id", "boot-one\n"),
        ] {
            let path = dir.path().join("root").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = Root::at(dir.path().join("root")).unwrap();
        World { dir, root }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn log(&self) -> PathBuf {
        self.state().join("undo.jsonl")
    }

    fn open(&self) -> Result<Undo, UndoError> {
        Undo::open(&self.root, &self.state())
    }

    fn id(&self) -> Option<u64> {
        Some(self.root.cgroup_id("a").unwrap())
    }

    /// Notes and makes a change, as a hand would.
    fn change(&self, undo: &mut Undo, path: &str, new: &str) -> u64 {
        let cgroup = path.starts_with("sys/fs/cgroup/").then(|| self.id().unwrap());
        let old = self.root.read_value(path).unwrap();
        let seq = undo.note(&[Change::file(path, cgroup, old, new, &Asker::Settings)]).unwrap()[0];
        self.set(path, new);
        seq
    }

    fn set(&self, path: &str, value: &str) {
        self.root.write(path, value).unwrap();
    }

    fn get(&self, path: &str) -> String {
        self.root.read_value(path).unwrap()
    }

    fn fates(&self, undo: &mut Undo) -> Vec<Undone> {
        restore(&self.root, undo, false).items.into_iter().map(|item| item.fate).collect()
    }
}

#[test]
fn every_value_is_given_back_after_a_crash() {
    let world = World::new();
    {
        let mut undo = world.open().unwrap();
        world.change(&mut undo, SWAP_MAX, "8192");
        world.change(&mut undo, VALVE, "0");
        world.change(&mut undo, POOL, "0");
        // Killed here: nothing is said or done.
    }
    let mut undo = world.open().unwrap();
    assert_eq!(world.fates(&mut undo), [Undone::Restored, Undone::Restored, Undone::Restored]);
    assert_eq!([world.get(SWAP_MAX), world.get(VALVE), world.get(POOL)], ["max", "1", "20"]);
    drop(undo);
    assert_eq!(world.open().unwrap().pending().count(), 0, "and it stays given back");
}

#[test]
fn a_file_of_a_cgroup_is_given_back_whatever_its_name_is_made_of() {
    for name in [&b"caf\xe9.scope"[..], br"caf\xe9.scope", b"\x1b[31m", "データ".as_bytes()] {
        let world = World::new();
        let file = cgroup_file(name, "memory.swap.max");
        let path = world.root.host_path(&file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "max\n").unwrap();
        let id = world.root.cgroup_id(name).unwrap();
        world
            .open()
            .unwrap()
            .note(&[Change::file(&file, Some(id), "max", "8192", &Asker::Settings)])
            .unwrap();
        fs::write(&path, "8192\n").unwrap();
        // Killed here: what undoes it is read back from the log.
        let mut undo = world.open().unwrap();
        assert_eq!(world.fates(&mut undo), [Undone::Restored], "{file}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "max", "{file}");
    }
}

#[test]
fn the_newest_change_is_given_back_first() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, VALVE, "0");
    world.change(&mut undo, POOL, "0");
    let report = restore(&world.root, &mut undo, false);
    let paths: Vec<_> = report.items.iter().map(|item| item.path.to_string()).collect();
    assert_eq!(paths, [POOL, VALVE]);
}

#[test]
fn a_change_of_a_change_goes_back_to_the_first_value() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, SWAP_MAX, "8192");
    world.change(&mut undo, SWAP_MAX, "16384");
    assert_eq!(world.fates(&mut undo), [Undone::Restored, Undone::Restored]);
    assert_eq!(world.get(SWAP_MAX), "max");
}

#[test]
fn settled_changes_keep_one_record_with_the_first_old_value() {
    let world = World::new();
    {
        let mut undo = world.open().unwrap();
        for value in ["8192", "16384", "32768"] {
            let seq = world.change(&mut undo, SWAP_MAX, value);
            undo.settle(seq);
        }
        let pending: Vec<_> = undo.pending().cloned().collect();
        assert_eq!(pending, [Change::file(SWAP_MAX, world.id(), "max", "32768", &Asker::Settings)]);
    }
    let mut undo = world.open().unwrap();
    assert_eq!(undo.pending().count(), 1, "the fold is read back from the log");
    assert_eq!(world.fates(&mut undo), [Undone::Restored]);
    assert_eq!(world.get(SWAP_MAX), "max");
}

#[test]
fn a_change_back_to_the_first_value_leaves_no_record() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    for value in ["8192", "max"] {
        let seq = world.change(&mut undo, SWAP_MAX, value);
        undo.settle(seq);
    }
    assert_eq!(undo.pending().count(), 0);
}

#[test]
fn a_moment_inside_a_standing_change_ends_in_the_standing_value() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    let standing = world.change(&mut undo, VALVE, "0");
    undo.settle(standing);
    let moment = world.change(&mut undo, VALVE, "1");
    world.set(VALVE, "0");
    undo.done(&[moment]);
    assert_eq!(undo.pending().count(), 1);
    assert_eq!(world.fates(&mut undo), [Undone::Restored]);
    assert_eq!(world.get(VALVE), "1");
}

#[test]
fn a_value_somebody_else_wrote_is_left_alone_with_all_our_records_of_it() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, SWAP_MAX, "8192");
    world.change(&mut undo, SWAP_MAX, "16384");
    world.change(&mut undo, POOL, "10");
    // Somebody writes the value we had in between: it is theirs now.
    world.set(SWAP_MAX, "8192");
    world.set(SWAP_MAX, "4096");
    assert_eq!(world.fates(&mut undo), [Undone::Restored, Undone::Foreign, Undone::Foreign]);
    assert_eq!([world.get(SWAP_MAX), world.get(POOL)], ["4096", "20"]);
}

#[test]
fn a_limit_that_the_kernel_rounded_down_is_still_ours() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    let page = rustix::param::page_size();
    world.change(&mut undo, SWAP_MAX, &(5 * page + 1).to_string());
    world.set(SWAP_MAX, &(5 * page).to_string());
    assert_eq!(world.fates(&mut undo), [Undone::Restored]);
    assert_eq!(world.get(SWAP_MAX), "max");
}

#[test]
fn a_value_that_is_back_already_is_not_written_again() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, POOL, "0");
    world.set(POOL, "20");
    assert_eq!(world.fates(&mut undo), [Undone::Already]);
}

#[test]
fn a_cgroup_that_is_gone_is_no_failure() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, SWAP_MAX, "8192");
    fs::remove_dir_all(world.root.host_path("sys/fs/cgroup/a")).unwrap();
    let report = restore(&world.root, &mut undo, false);
    assert_eq!(report.items[0].fate, Undone::Gone);
    assert!(report.is_complete());
    assert_eq!(undo.pending().count(), 0);
}

#[test]
fn another_cgroup_at_the_same_path_is_left_alone_even_with_our_value() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, SWAP_MAX, "8192");
    let dir = world.root.host_path("sys/fs/cgroup/a");
    // Moved away and not removed: a plain file system would give the same inode out again, kernfs does not.
    fs::rename(&dir, world.dir.path().join("removed")).unwrap();
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("memory.swap.max"), "8192\n").unwrap();
    assert_eq!(world.fates(&mut undo), [Undone::Gone]);
    assert_eq!(world.get(SWAP_MAX), "8192");
}

#[test]
fn what_could_not_be_given_back_stays_in_the_log() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, POOL, "0");
    let path = world.root.host_path(POOL);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let report = restore(&world.root, &mut undo, false);
    assert!(matches!(report.items[0].fate, Undone::Failed { .. }), "{report:?}");
    assert!(!report.is_complete());
    assert_eq!(undo.pending().count(), 1);
}

#[test]
fn a_dry_run_writes_nothing_and_tells_the_same_story() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, SWAP_MAX, "8192");
    world.change(&mut undo, SWAP_MAX, "16384");
    world.change(&mut undo, POOL, "0");
    let told = restore(&world.root, &mut undo, true);
    assert_eq!([world.get(SWAP_MAX), world.get(POOL)], ["16384", "0"]);
    assert_eq!(undo.pending().count(), 3);
    let peeked = Undo::peek(&world.root, &world.state()).unwrap();
    assert_eq!(preview(&world.root, &peeked), told, "also beside the agent that holds the lock");
    assert_eq!(restore(&world.root, &mut undo, false), told);
}

#[test]
fn only_the_chosen_changes_are_given_back() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, SWAP_MAX, "8192");
    world.change(&mut undo, POOL, "0");
    restore_where(&world.root, &mut undo, false, |change| change.cgroup == world.id());
    assert_eq!([world.get(SWAP_MAX), world.get(POOL)], ["max", "0"]);
    assert_eq!(undo.pending().map(|c| c.path.to_string()).collect::<Vec<_>>(), [POOL]);
}

#[test]
fn only_a_directory_with_our_name_is_removed() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    for path in ["sys/fs/cgroup/swaptier-pump", "sys/fs/cgroup/user.slice"] {
        undo.note(&[Change::dir(path, "test")]).unwrap();
        world.root.make_dir(path).unwrap();
    }
    assert_eq!(world.fates(&mut undo), [Undone::Foreign, Undone::Restored]);
    assert!(!world.root.exists("sys/fs/cgroup/swaptier-pump"));
    assert!(world.root.exists("sys/fs/cgroup/user.slice"));
}

#[test]
fn half_a_last_line_announces_nothing() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, POOL, "0");
    drop(undo);
    let text = fs::read_to_string(world.log()).unwrap();
    let half = r#"{"seq":2,"v":1,"kind":"file","path":"sys/mod"#;
    fs::write(world.log(), format!("{text}{half}")).unwrap();
    let mut undo = world.open().unwrap();
    assert_eq!(undo.pending().count(), 1);
    world.change(&mut undo, VALVE, "0");
    drop(undo);
    assert_eq!(world.open().unwrap().pending().count(), 2, "and the next line does not run into it");
}

#[test]
fn a_damaged_line_is_named_and_nothing_is_changed() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, POOL, "0");
    world.change(&mut undo, VALVE, "0");
    drop(undo);
    let text = fs::read_to_string(world.log()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    // Lines: boot, pool, valve. The middle one is damaged.
    let damaged = format!("{}\n{}\n{}\n", lines[0], &lines[1][5..], lines[2]);
    fs::write(world.log(), &damaged).unwrap();
    let error = world.open().unwrap_err();
    assert!(matches!(error, UndoError::Corrupt { line: 2, .. }), "{error}");
    assert_eq!(fs::read_to_string(world.log()).unwrap(), damaged);
    let mut undo = Undo::open_skipping_damage(&world.root, &world.state()).unwrap();
    assert_eq!(world.fates(&mut undo), [Undone::Restored]);
    assert_eq!([world.get(POOL), world.get(VALVE)], ["0", "1"]);
}

#[test]
fn records_of_another_boot_are_void() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, POOL, "0");
    drop(undo);
    world.set("proc/sys/kernel/random/boot_id", "boot-two");
    let mut undo = world.open().unwrap();
    assert_eq!((undo.pending().count(), undo.voided()), (0, 1));
    world.change(&mut undo, VALVE, "0");
    drop(undo);
    let undo = world.open().unwrap();
    assert_eq!((undo.pending().count(), undo.voided()), (1, 0));
}

#[test]
fn a_change_that_cannot_be_noted_leaves_no_record() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    undo.replace_log(File::options().write(true).open("/dev/full").unwrap(), "/dev/full");
    let change = Change::file(POOL, None, "20", "0", &Asker::Settings);
    let error = undo.note(std::slice::from_ref(&change)).unwrap_err();
    assert!(matches!(error, UndoError::Io { .. }), "{error}");
    assert_eq!(undo.pending().count(), 0);
    // `/dev/full` cannot be cut back either: from now on every note is refused.
    assert!(matches!(undo.note(&[change]).unwrap_err(), UndoError::Broken { .. }));
}

#[test]
fn half_a_note_is_cut_off_and_the_log_stays_whole() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, VALVE, "0");
    let before = fs::read(world.log()).unwrap();
    fs::write(world.log(), [before.as_slice(), b"{\"seq\":2,\"v\":1,"].concat()).unwrap();
    undo.fail_append();
    assert_eq!(fs::read(world.log()).unwrap(), before);
    world.change(&mut undo, POOL, "0");
    drop(undo);
    assert_eq!(world.open().unwrap().pending().count(), 2);
}

#[test]
fn a_long_log_is_rewritten_with_what_is_pending() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, VALVE, "0");
    let change = Change::round(POOL, None, "20", "0", "x".repeat(4096));
    for _ in 0..300 {
        let seqs = undo.note(std::slice::from_ref(&change)).unwrap();
        undo.done(&seqs);
    }
    // 300 records of over 4 KiB are more than the MiB after which it is rewritten.
    assert!(fs::metadata(world.log()).unwrap().len() < 512 << 10);
    drop(undo);
    let undo = world.open().unwrap();
    assert_eq!(undo.pending().map(|c| c.path.to_string()).collect::<Vec<_>>(), [VALVE]);
}

#[test]
fn a_second_agent_is_refused_and_told_the_holder() {
    let world = World::new();
    let first = world.open().unwrap();
    let error = world.open().unwrap_err();
    let me = std::process::id();
    assert!(matches!(error, UndoError::Held { pid: Some(pid), .. } if pid == me), "{error}");
    assert_eq!(Undo::peek(&world.root, &world.state()).unwrap(), [], "looking needs no lock");
    drop(first);
    world.open().unwrap();
}

#[test]
fn a_folder_that_others_can_reach_is_refused() {
    let world = World::new();
    fs::create_dir(world.state()).unwrap();
    fs::set_permissions(world.state(), Permissions::from_mode(0o755)).unwrap();
    let error = world.open().unwrap_err().to_string();
    assert!(error.contains("its mode is 755, it must be 700"), "{error}");
}

#[test]
fn a_log_that_is_a_link_is_refused() {
    let world = World::new();
    drop(world.open().unwrap());
    let victim = world.dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::remove_file(world.state().join("lock")).unwrap();
    std::os::unix::fs::symlink(&victim, world.state().join("lock")).unwrap();
    assert!(matches!(world.open().unwrap_err(), UndoError::Io { .. }));
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
}

#[test]
fn a_log_that_would_fill_the_memory_is_not_read() {
    let world = World::new();
    drop(world.open().unwrap());
    // Holes cost nothing; 256 MiB is the most.
    File::options().write(true).open(world.log()).unwrap().set_len((256 << 20) + 1).unwrap();
    let error = world.open().unwrap_err();
    assert!(matches!(&error, UndoError::Io { action: "read", .. }), "{error}");
    assert_eq!(fs::metadata(world.log()).unwrap().len(), (256 << 20) + 1, "and it is left as it is");
}

#[test]
fn a_log_of_another_version_is_refused_and_kept_also_by_force() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, POOL, "0");
    drop(undo);
    let later = r#"{"seq":2,"v":2,"kind":"file","path":"sys/x","was":"1","is":"0"}"#;
    let text = format!("{}{later}\n", fs::read_to_string(world.log()).unwrap());
    fs::write(world.log(), &text).unwrap();
    for open in [Undo::open, Undo::open_skipping_damage] {
        let error = open(&world.root, &world.state()).unwrap_err();
        assert!(matches!(error, UndoError::Version { line: 3, version: 2, .. }), "{error}");
        assert_eq!(fs::read_to_string(world.log()).unwrap(), text);
    }
    assert!(Undo::peek(&world.root, &world.state()).is_err(), "a look does not say that nothing is pending");
}

#[test]
fn a_folder_that_cannot_be_written_gives_all_back_and_notes_nothing() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    // So that there is something to leave out.
    let seq = world.change(&mut undo, SWAP_MAX, "max");
    undo.done(&[seq]);
    world.change(&mut undo, VALVE, "0");
    world.change(&mut undo, POOL, "0");
    drop(undo);
    // In the way of the file that would take the log's place, so that it cannot be made, by root either.
    fs::create_dir(world.state().join("undo.jsonl.new")).unwrap();
    let mut undo = world.open().unwrap();
    assert_eq!(world.fates(&mut undo), [Undone::Restored, Undone::Restored]);
    assert_eq!([world.get(POOL), world.get(VALVE)], ["20", "1"]);
    assert!(matches!(undo.renew(), Err(UndoError::Io { action: "replace", .. })));
    drop(undo);
    assert_eq!(world.open().unwrap().pending().count(), 0, "the marks are in the old log");
    fs::remove_dir(world.state().join("undo.jsonl.new")).unwrap();
    let mut undo = world.open().unwrap();
    undo.renew().unwrap();
    world.change(&mut undo, POOL, "0");
    drop(undo);
    assert_eq!(world.open().unwrap().pending().count(), 1);
}

#[test]
fn what_is_noted_in_an_old_log_of_another_boot_is_of_this_one() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, POOL, "0");
    drop(undo);
    world.set("proc/sys/kernel/random/boot_id", "boot-two");
    fs::create_dir(world.state().join("undo.jsonl.new")).unwrap();
    let mut undo = world.open().unwrap();
    assert_eq!((undo.pending().count(), undo.voided()), (0, 1));
    world.change(&mut undo, VALVE, "0");
    drop(undo);
    let undo = world.open().unwrap();
    assert_eq!(undo.pending().map(|c| c.path.to_string()).collect::<Vec<_>>(), [VALVE]);
}

#[test]
fn a_log_that_was_replaced_or_removed_is_written_anew_before_the_next_change() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, VALVE, "0");
    // As a rename leaves it whose folder could not be synced, or an operator.
    let text = fs::read(world.log()).unwrap();
    fs::remove_file(world.log()).unwrap();
    fs::write(world.log(), text).unwrap();
    world.change(&mut undo, POOL, "0");
    fs::remove_file(world.log()).unwrap();
    world.change(&mut undo, SWAP_MAX, "8192");
    drop(undo);
    let mut undo = world.open().unwrap();
    assert_eq!(undo.pending().count(), 3, "nothing is in a file that nobody finds");
    assert!(world.fates(&mut undo).iter().all(|fate| *fate == Undone::Restored));
}

#[test]
fn room_for_the_marks_is_kept_when_a_change_is_noted() {
    use std::os::unix::fs::MetadataExt as _;
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, POOL, "0");
    let meta = fs::metadata(world.log()).unwrap();
    // Blocks of 512 bytes; room comes in pieces of 64 KiB. tmpfs, ext4, xfs and btrfs can keep it.
    assert!(meta.blocks() * 512 >= 64 << 10 && meta.len() < 4096, "{} of {}", meta.blocks(), meta.len());
}

#[test]
fn values_of_the_host_go_before_all_others() {
    let world = World::new();
    let mut undo = world.open().unwrap();
    world.change(&mut undo, POOL, "0");
    world.change(&mut undo, VALVE, "0");
    world.change(&mut undo, SWAP_MAX, "8192");
    let report = restore(&world.root, &mut undo, false);
    let paths: Vec<_> = report.items.iter().map(|item| item.path.to_string()).collect();
    assert_eq!(paths, [POOL, SWAP_MAX, VALVE]);
}
