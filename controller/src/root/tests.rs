//! The door: what it opens, what it refuses, and that both ways of resolving agree.

use std::fs;
use std::os::unix::fs::symlink;

use super::change::{Make as _, Write as _};
use super::*;

fn world() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("sys/fs/cgroup/a/b")).unwrap();
    fs::create_dir_all(dir.path().join("proc")).unwrap();
    fs::write(dir.path().join("sys/fs/cgroup/a/memory.swap.max"), "max\n").unwrap();
    fs::write(dir.path().join("proc/swaps"), "Filename\n").unwrap();
    let root = Root::at(dir.path()).unwrap();
    (dir, root)
}

/// Each claim must hold with and without `openat2`.
fn both(check: impl Fn(&Path, &Root)) {
    let (dir, root) = world();
    check(dir.path(), &root);
    let (dir, root) = world();
    check(dir.path(), &root.walking());
}

#[test]
fn a_file_is_read_with_or_without_a_leading_slash() {
    both(|_, root| {
        assert_eq!(root.read("/proc/swaps").unwrap(), "Filename\n");
        assert_eq!(root.read("proc/swaps").unwrap(), "Filename\n");
        assert_eq!(root.read_value("sys/fs/cgroup/a/memory.swap.max").unwrap(), "max");
    });
}

#[test]
fn a_shorter_value_leaves_no_tail_of_the_longer_one() {
    both(|_, root| {
        root.write("sys/fs/cgroup/a/memory.swap.max", "7").unwrap();
        assert_eq!(root.read("sys/fs/cgroup/a/memory.swap.max").unwrap(), "7");
    });
}

#[test]
fn writing_never_creates_a_file() {
    both(|dir, root| {
        let error = root.write("sys/fs/cgroup/a/memory.zswap.max", "0").unwrap_err();
        assert!(error.is_gone(), "{error}");
        assert!(!dir.join("sys/fs/cgroup/a/memory.zswap.max").exists());
    });
}

#[test]
fn an_error_names_the_file_as_the_operator_would() {
    both(|dir, root| {
        let error = root.read("proc/vmstat").unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("{}/proc/vmstat", dir.display())), "{text}");
        assert_eq!(error.errno(), Some(libc::ENOENT));
    });
}

#[test]
fn no_path_goes_up() {
    both(|_, root| {
        for path in ["../etc/passwd", "proc/../../etc/passwd", "sys/fs/cgroup/a/../../x", ".."] {
            let error = root.read(path).unwrap_err();
            assert_eq!(error.source.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
    });
}

#[test]
fn no_link_is_followed_beneath_the_cgroup_root() {
    both(|dir, root| {
        symlink("a", dir.join("sys/fs/cgroup/link")).unwrap();
        symlink("memory.swap.max", dir.join("sys/fs/cgroup/a/alias")).unwrap();
        for path in ["sys/fs/cgroup/link/memory.swap.max", "sys/fs/cgroup/a/alias"] {
            assert_eq!(root.read(path).unwrap_err().errno(), Some(libc::ELOOP), "{path}");
        }
        assert!(root.cgroup("link").is_err());
    });
}

#[test]
fn a_link_elsewhere_stays_inside_the_root() {
    let (dir, root) = world();
    symlink("/proc/swaps", dir.path().join("areas")).unwrap();
    symlink("/etc/hostname", dir.path().join("outside")).unwrap();
    assert_eq!(root.read("areas").unwrap(), "Filename\n");
    assert!(root.read("outside").unwrap_err().is_gone(), "the host's own file must not be reached");
}

#[test]
fn a_huge_file_is_refused_and_not_read_whole() {
    both(|dir, root| {
        fs::write(dir.join("proc/vmstat"), vec![b'x'; READ_LIMIT + 64 * 1024]).unwrap();
        assert_eq!(root.read("proc/vmstat").unwrap_err().errno(), Some(libc::EFBIG));
    });
}

#[test]
fn bytes_that_are_not_text_are_an_error_and_not_a_panic() {
    both(|dir, root| {
        fs::write(dir.join("proc/swaps"), [0xff, 0xfe]).unwrap();
        assert_eq!(root.read("proc/swaps").unwrap_err().source.kind(), io::ErrorKind::InvalidData);
    });
}

#[test]
fn a_cgroup_made_again_at_the_same_path_has_another_id_and_the_old_handle_is_dead() {
    both(|dir, root| {
        let old = root.cgroup("a").unwrap();
        assert_eq!(old.read_value("memory.swap.max").unwrap(), "max");
        let path = dir.join("sys/fs/cgroup/a");
        fs::remove_dir_all(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("memory.swap.max"), "7\n").unwrap();
        assert_ne!(root.cgroup_id("a").unwrap(), old.id());
        assert!(old.read_value("memory.swap.max").unwrap_err().is_gone());
        assert!(old.write("memory.swap.max", "0").unwrap_err().is_gone());
        assert_eq!(root.cgroup("a").unwrap().read_value("memory.swap.max").unwrap(), "7");
    });
}

/// By it the root's valve is found: no gate was closed below a folder before.
#[test]
fn the_root_cgroup_of_a_folder_has_the_id_of_every_root_cgroup() {
    both(|_, root| {
        assert_eq!(root.cgroup_id("").unwrap(), CgroupId::ROOT.0);
        assert_ne!(root.cgroup_id("a").unwrap(), CgroupId::ROOT.0);
    });
}

#[test]
fn a_file_of_a_cgroup_is_one_name() {
    both(|_, root| {
        let error = root.cgroup("").unwrap().read_value("a/memory.swap.max").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_directory_is_made_listed_and_removed() {
    both(|_, root| {
        root.make_dir("sys/fs/cgroup/swaptier-pump").unwrap();
        assert_eq!(root.list("sys/fs/cgroup").unwrap(), ["a", "swaptier-pump"]);
        root.remove_dir("sys/fs/cgroup/swaptier-pump").unwrap();
        assert_eq!(root.list("sys/fs/cgroup").unwrap(), ["a"]);
        assert!(root.remove_dir("sys/fs/cgroup/a").is_err(), "not empty");
    });
}

#[test]
fn a_link_is_inspected_and_not_followed() {
    both(|dir, root| {
        symlink("/dev/null", dir.join("proc/masked")).unwrap();
        assert_eq!(root.inspect("proc/masked").unwrap().1.as_deref(), Some("/dev/null"));
        assert_eq!(root.inspect("proc/swaps").unwrap().1, None);
    });
}

#[test]
fn a_rename_elsewhere_is_no_reason_to_fail() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(path("a/b")).unwrap();
    std::fs::write(path("a/value"), "1").unwrap();
    // As /sys/block/dm-3 leads to ../devices/virtual/block/dm-3.
    std::os::unix::fs::symlink("b/..", path("a/link")).unwrap();
    std::fs::create_dir(path("one")).unwrap();
    let root = Root::at(dir.path()).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                std::fs::rename(path("one"), path("two")).unwrap();
                std::fs::rename(path("two"), path("one")).unwrap();
            }
        });
        let failed = (0..20_000).filter(|_| root.read("a/link/value").is_err()).count();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(failed, 0);
    });
}

#[test]
fn what_is_opened_to_look_at_it_cannot_be_changed() {
    both(|_, root| {
        let file = "sys/fs/cgroup/a/memory.swap.max";
        for flags in
            [OFlags::WRONLY, OFlags::RDWR, OFlags::RDONLY | OFlags::TRUNC, OFlags::PATH | OFlags::CREATE]
        {
            assert_eq!(
                root.open(file, flags).unwrap_err().source.kind(),
                io::ErrorKind::InvalidInput,
                "{flags:?}"
            );
        }
        assert!(root.open(file, OFlags::RDONLY).is_ok() && root.open_to_change(file, OFlags::RDWR).is_ok());
        assert_eq!(root.read_value(file).unwrap(), "max");
    });
}
