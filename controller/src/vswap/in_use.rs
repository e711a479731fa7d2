//! Who uses a device or a file now: swap, a mount, a loop device, a device that stands on it, its own partitions. By number and
//! inode, never by what it is called. Asked before anything is written; an exclusive open asks the kernel once more.
//!
//! What must not lie *below* an area is `safety.rs`'s. Callers: `prepare.rs`, the executor.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use super::found::DeviceNumber;
use crate::root::Identity;
use crate::root::Root;
use crate::sense::swaps;

const LOOP_GET_STATUS64: libc::c_ulong = 0x4c05;

/// A device or a file, by what tells it from all others now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    /// A block device.
    Block(DeviceNumber),
    /// A file: its file system's device, and its inode.
    File(u64, u64),
}

impl Node {
    /// Of something that is open.
    pub(super) fn of(file: &File) -> std::io::Result<Node> {
        let stat = rustix::fs::fstat(file)?;
        Ok(Node::of_stat(&stat))
    }

    /// Of what is at `path`. `None`: it cannot be looked at.
    pub(super) fn at(path: &Path) -> Option<Node> {
        rustix::fs::stat(path).ok().map(|stat| Node::of_stat(&stat))
    }

    fn of_stat(stat: &rustix::fs::Stat) -> Node {
        match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
            rustix::fs::FileType::BlockDevice => Node::Block(DeviceNumber {
                major: rustix::fs::major(stat.st_rdev),
                minor: rustix::fs::minor(stat.st_rdev),
            }),
            _ => Node::File(stat.st_dev, stat.st_ino),
        }
    }
}

/// Nobody uses it, but for loop devices with a number of `mine`.
///
/// # Errors
/// Who does.
pub(super) fn require_unused(root: &Root, target: Node, mine: &[DeviceNumber]) -> Result<(), String> {
    let swaps = swaps::read(root).map_err(|error| error.to_string())?;
    let is_it = |identity: Option<Identity>| match (identity, target) {
        (Some(Identity::Device(number)), Node::Block(target)) => number == target,
        (Some(Identity::File { device, inode }), Node::File(target, number)) => {
            let target = (rustix::fs::major(target), rustix::fs::minor(target));
            (device.major, device.minor) == target && inode == number
        }
        _ => false,
    };
    if let Some(swap) = swaps.iter().find(|swap| is_it(swap.identity)) {
        return Err(format!("is a swap area in use ({})", swap.shown()));
    }
    if let Some(name) = loop_over(root, target, mine)? {
        return Err(format!("is in use by {name}, a loop device: `losetup -d /dev/{name}` lets go of it"));
    }
    match target {
        Node::Block(number) => require_alone(root, number),
        Node::File(..) => Ok(()),
    }
}

/// Nobody holds a lock on it, as a virtual machine does on its image.
///
/// # Errors
/// Somebody does, or the kernel does not say.
pub(super) fn require_unlocked(file: &File) -> Result<(), String> {
    // SAFETY: all zero is a valid `flock`: the whole file, and no process.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    // SAFETY: the kernel reads and writes one `flock`, which is there.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    match (answer, libc::c_int::from(lock.l_type)) {
        (0, libc::F_UNLCK) => Ok(()),
        (0, _) => Err("is locked by another process, which uses it".to_owned()),
        _ => Err(untold(&std::io::Error::last_os_error())),
    }
}

/// Nothing stands on this device, on a partition of it, or on the disk it is a partition of.
fn require_alone(root: &Root, number: DeviceNumber) -> Result<(), String> {
    let entry = format!("sys/dev/block/{number}");
    free(root, number, "is")?;
    for (name, part) in partitions(root, &entry)? {
        free(root, part, &format!("has the partition {name}, which is"))?;
    }
    if !root.exists(&format!("{entry}/partition")) {
        return Ok(());
    }
    let (name, disk) = disk_of(root, &entry)
        .ok_or_else(|| untold(&format!("/{entry} does not say which disk it is a partition of")))?;
    free(root, disk, &format!("is a partition of {name}, and that is"))
}

/// The kernel knows of no partitions on it.
///
/// # Errors
/// Their names.
pub(super) fn require_undivided(root: &Root, node: Node) -> Result<(), String> {
    let Node::Block(number) = node else { return Ok(()) };
    let parts = partitions(root, &format!("sys/dev/block/{number}"))?;
    if parts.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
    Err(format!(
        "has partitions ({}): name one of them, or give all of it away with `--wipe`",
        names.join(", ")
    ))
}

/// Nobody has mounted it, and nothing stands on it. `what` begins the sentence.
fn free(root: &Root, number: DeviceNumber, what: &str) -> Result<(), String> {
    let mut holders = list(root, &format!("sys/dev/block/{number}/holders"))?;
    if let Some(holder) = holders.pop() {
        let title = root.read_value(&format!("sys/class/block/{holder}/dm/name"));
        let title = title.map(|title| format!(" ({title})")).unwrap_or_default();
        return Err(format!("{what} in use by {holder}{title}"));
    }
    match mounted(root, number)? {
        Some(place) => Err(format!("{what} mounted on {place}")),
        None => Ok(()),
    }
}

/// Where it is mounted, as far as this process can see.
fn mounted(root: &Root, number: DeviceNumber) -> Result<Option<String>, String> {
    let mut text = Vec::new();
    match root.read_into("proc/self/mountinfo", &mut text) {
        Err(error) if error.is_gone() => return Ok(None),
        read => read.map_err(|error| untold(&error))?,
    }
    let text = String::from_utf8_lossy(&text);
    let number = number.to_string();
    Ok(text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(2);
        (words.next()? == number).then(|| words.nth(1).unwrap_or("somewhere").to_owned())
    }))
}

/// The partitions that the kernel knows of a disk.
fn partitions(root: &Root, entry: &str) -> Result<Vec<(String, DeviceNumber)>, String> {
    let names = list(root, entry)?;
    let parts = names.into_iter().filter(|name| root.exists(&format!("{entry}/{name}/partition")));
    let numbered = parts.map(|name| match number_in(root, &format!("{entry}/{name}/dev")) {
        Some(number) => Ok((name, number)),
        None => Err(untold(&format!("its partition {name} has no number in /{entry}/{name}/dev"))),
    });
    numbered.collect()
}

/// What is in a folder of sysfs; one that is not there has nothing.
pub(super) fn list(root: &Root, folder: &str) -> Result<Vec<String>, String> {
    match root.list(folder) {
        Err(error) if error.is_gone() => Ok(Vec::new()),
        listed => listed.map_err(|error| untold(&error)),
    }
}

/// What is said where nobody knows who uses it: that is not nobody.
pub(super) fn untold(why: &impl std::fmt::Display) -> String {
    format!("cannot be told free: {why}")
}

/// The disk that it is a partition of.
fn disk_of(root: &Root, entry: &str) -> Option<(String, DeviceNumber)> {
    if !root.exists(&format!("{entry}/partition")) {
        return None;
    }
    let target = root.inspect(entry).ok()?.1?;
    let name = target.rsplit('/').nth(1)?.to_owned();
    Some((name.clone(), number_in(root, &format!("sys/class/block/{name}/dev"))?))
}

pub(super) fn number_in(root: &Root, file: &str) -> Option<DeviceNumber> {
    DeviceNumber::parse(&root.read_value(file).ok()?)
}

/// What tells a disk from another that is called the same later in this boot (a partition has its disk's), and a file its inode.
/// 0 where the kernel says nothing.
pub(super) fn sequence(root: &Root, target: Node) -> u64 {
    let number = match target {
        Node::Block(number) => number,
        Node::File(_, inode) => return inode,
    };
    let of = |entry: &str| root.read_value(&format!("{entry}/diskseq")).ok()?.parse().ok();
    let entry = format!("sys/dev/block/{number}");
    let of_disk = || of(&format!("sys/class/block/{}", disk_of(root, &entry)?.0));
    of(&entry).or_else(of_disk).unwrap_or(0)
}

/// The loop device that has it as its file.
fn loop_over(root: &Root, target: Node, mine: &[DeviceNumber]) -> Result<Option<String>, String> {
    for name in list(root, "sys/block")? {
        let Some(minor) = name.strip_prefix("loop").and_then(|minor| minor.parse().ok()) else { continue };
        if mine.contains(&DeviceNumber { major: super::loopdev::MAJOR, minor }) {
            continue;
        }
        let mut behind = Vec::new();
        match root.read_into(&format!("sys/block/{name}/loop/backing_file"), &mut behind) {
            // It has none.
            Err(error) if error.is_gone() => continue,
            read => read.map_err(|error| untold(&error))?,
        };
        let path = String::from_utf8_lossy(&behind);
        let behind =
            behind_loop(root, &name).or_else(|| Node::at(&root.host_path(path.trim_end_matches('\n'))));
        if behind == Some(target) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// What a loop device stands on, by the kernel's own word: the path in sysfs may be another file's by now.
fn behind_loop(root: &Root, name: &str) -> Option<Node> {
    if !root.is_system() {
        return None;
    }
    let device = OpenOptions::new().read(true).open(Path::new("/dev").join(name)).ok()?;
    // `struct loop_info64` of linux/loop.h: device, inode and device number of what is behind come first.
    let mut info = [0u64; 29];
    // SAFETY: the kernel writes 232 bytes, which are there.
    let answer =
        unsafe { libc::ioctl(device.as_raw_fd(), LOOP_GET_STATUS64 as libc::Ioctl, info.as_mut_ptr()) };
    let number = |dev: u64| DeviceNumber { major: rustix::fs::major(dev), minor: rustix::fs::minor(dev) };
    match (answer, info) {
        (0, [_, _, device, ..]) if device != 0 => Some(Node::Block(number(device))),
        (0, [device, inode, ..]) => Some(Node::File(device, inode)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    const DISK: DeviceNumber = DeviceNumber { major: 253, minor: 16 };

    fn why(fake: &FakeRoot) -> Option<String> {
        require_unused(fake.root(), Node::Block(DISK), &[]).err()
    }

    #[test]
    fn a_disk_is_used_by_what_stands_on_it_or_its_partitions() {
        let fake = FakeRoot::host();
        fake.write("sys/dev/block/253:16/dev", "253:16\n");
        assert_eq!(why(&fake), None);
        fake.write("proc/self/mountinfo", "22 1 253:0 / / rw - ext4 /dev/vda rw\n");
        assert_eq!(why(&fake), None);
        fake.write("sys/dev/block/253:16/holders/dm-3/dev", "252:3\n");
        fake.write("sys/class/block/dm-3/dm/name", "data\n");
        assert_eq!(why(&fake).as_deref(), Some("is in use by dm-3 (data)"));
        fake.remove("sys/dev/block/253:16/holders/dm-3");
        fake.write("sys/dev/block/253:16/vdb1/partition", "1\n");
        fake.write("sys/dev/block/253:16/vdb1/dev", "253:17\n");
        assert_eq!(why(&fake), None);
        let parts = require_undivided(fake.root(), Node::Block(DISK)).unwrap_err();
        assert!(parts.starts_with("has partitions (vdb1): "), "{parts}");
        fake.write("proc/self/mountinfo", "22 1 253:17 / /srv rw - ext4 /dev/vdb1 rw\n");
        assert_eq!(why(&fake).as_deref(), Some("has the partition vdb1, which is mounted on /srv"));
    }

    #[test]
    fn a_locked_file_is_used() {
        let fake = FakeRoot::host();
        fake.write("srv/image", "x");
        let open = || OpenOptions::new().read(true).write(true).open(fake.path("srv/image")).unwrap();
        let (machine, ours) = (open(), open());
        assert_eq!(require_unlocked(&ours), Ok(()));
        // SAFETY: all zero is a valid `flock`.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        // One byte, read-locked, as qemu does it.
        (lock.l_type, lock.l_start, lock.l_len) = (libc::F_RDLCK as libc::c_short, 100, 1);
        // SAFETY: the kernel reads one `flock`, which is there.
        assert_eq!(unsafe { libc::fcntl(machine.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
        assert!(require_unlocked(&ours).unwrap_err().contains("is locked"));
        drop(machine);
        assert_eq!(require_unlocked(&ours), Ok(()));
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nobody() {
        // Each is there, and is no folder or no file.
        let as_file = |fake: &FakeRoot, path: &str| fake.write(path, "x");
        let as_folder = |fake: &FakeRoot, path: &str| std::fs::create_dir_all(fake.path(path)).unwrap();
        type Spoil<'a> = (&'a str, &'a dyn Fn(&FakeRoot, &str));
        let cases: [Spoil<'_>; 5] = [
            ("sys/dev/block/253:16/holders", &as_file),
            ("proc/self/mountinfo", &as_folder),
            ("sys/block/loop3/loop/backing_file", &as_folder),
            ("sys/dev/block/253:16/vdb1/partition", &as_file),
            ("sys/dev/block/253:16/partition", &as_file),
        ];
        for (path, spoil) in cases {
            let fake = FakeRoot::host();
            fake.write("sys/dev/block/253:16/dev", "253:16\n");
            assert_eq!(why(&fake), None);
            spoil(&fake, path);
            let why = why(&fake).unwrap_or_else(|| panic!("{path} is passed over"));
            assert!(why.starts_with("cannot be told free: "), "{why}");
        }
    }

    #[test]
    fn a_partition_is_used_with_its_disk() {
        let fake = FakeRoot::host();
        fake.write("sys/devices/vdb/vdb1/partition", "1\n");
        fake.write("sys/devices/vdb/vdb1/dev", "253:16\n");
        fake.write("sys/class/block/vdb/dev", "253:15\n");
        fake.write("sys/dev/block/253:15/holders/md0/dev", "9:0\n");
        std::os::unix::fs::symlink("../../devices/vdb/vdb1", fake.path("sys/dev/block/253:16")).unwrap();
        assert_eq!(why(&fake).as_deref(), Some("is a partition of vdb, and that is in use by md0"));
    }

    #[test]
    fn a_file_is_used_by_swap_or_a_loop_device_whatever_it_is_called() {
        let fake = FakeRoot::host();
        fake.write("srv/file", "x");
        std::fs::hard_link(fake.path("srv/file"), fake.path("srv/other")).unwrap();
        let target = Node::of(&File::open(fake.path("srv/file")).unwrap()).unwrap();
        let why = |mine: &[DeviceNumber]| require_unused(fake.root(), target, mine).err();
        assert_eq!(why(&[]), None);
        fake.write("sys/block/loop3/loop/backing_file", "/srv/other\n");
        assert!(why(&[]).unwrap().starts_with("is in use by loop3"));
        assert_eq!(why(&[DeviceNumber { major: 7, minor: 3 }]), None);
        fake.write("sys/block/loop3/loop/backing_file", "/srv/gone (deleted)\n");
        assert_eq!(why(&[]), None);
        fake.write("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/srv/other\tfile\t1048572\t0\t-2\n");
        assert_eq!(why(&[]).as_deref(), Some("is a swap area in use (/srv/other)"));
    }
}
