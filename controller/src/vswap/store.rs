//! The list of areas on disk, `areas.json` in the state folder, and its lock. It is apart from the undo log: the log's
//! lock is the agent's for its whole life, while areas are made by commands beside a running agent, and an area outlives
//! both. Whoever changes areas holds `areas.lock`, and a list is on disk before anything of it is made.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use super::error::{AreaError, Result};
use super::identity::FileId;
use super::intended::{Intended, OverZram, VERSION, Want};
use crate::fault;
use crate::journal::state_dir;
use crate::root::Root;

const LIST: &str = "areas.json";
const LOCK: &str = "areas.lock";
const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";
/// Others hold the lock for as long as devices take, seconds; only swapoff is longer, and lets go of it.
const PATIENCE: Duration = Duration::from_secs(20);
/// No list is longer: the kernel has 29 swap areas at most.
const LONGEST: u64 = 1 << 20;

/// The list, and the right to change it.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// The list as it is on disk.
    pub intended: Intended,
    _lock: File,
}

impl Store {
    /// Takes the lock of `dir` (made with mode 700 if missing), waiting for others, and reads the list. Areas of an
    /// earlier boot are on it as gone: the kernel forgot them, files made for them are still there.
    ///
    /// # Errors
    /// When somebody holds the lock for long, or the list is damaged.
    pub fn open(root: &Root, dir: &Path) -> Result<Store> {
        state_dir::prepare(dir)?;
        let lock = lock(&dir.join(LOCK))?;
        Ok(Store { dir: dir.to_path_buf(), intended: read(root, dir)?, _lock: lock })
    }

    /// Puts a changed list on disk; only then may the change be made.
    ///
    /// # Errors
    /// When it cannot be written: then nothing may be changed.
    pub fn save(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.intended).map_err(|error| {
            AreaError::Refused(format!("the list of areas cannot be written down: {error}"))
        })?;
        fault::point("area.note.before");
        state_dir::replace(&self.dir, LIST, &text)?;
        fault::point("area.noted");
        Ok(())
    }
}

/// The list, without the lock: for those who only look. No folder is an empty list.
///
/// # Errors
/// When it is damaged or of another version.
pub fn read(root: &Root, dir: &Path) -> Result<Intended> {
    let path = dir.join(LIST);
    let boot = root.read_value(BOOT_ID).ok().filter(|id| !id.is_empty());
    let file = match state_dir::options().read(true).open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Intended::none(boot)),
        opened => opened.map_err(AreaError::io("open", &path))?,
    };
    let length = file.metadata().map_err(AreaError::io("stat", &path))?.len();
    let damaged = |why| AreaError::List { path: path.clone(), why };
    if length > LONGEST {
        return Err(damaged(format!("it has {length} bytes, and no list is so long")));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).map_err(AreaError::io("read", &path))?;
    let text = String::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
    parse(&text, boot).map_err(damaged)
}

/// A list as it is on disk, in the boot `boot`. Pure.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str, boot: Option<String>) -> std::result::Result<Intended, String> {
    let mut intended: Intended = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if intended.version != VERSION {
        return Err(format!("version {}, this swaptier knows {VERSION}", intended.version));
    }
    for (index, area) in intended.areas.iter().enumerate() {
        area.check()?;
        if intended.areas[..index].iter().any(|other| other.spec.name == area.spec.name) {
            return Err(format!("two areas named {}", area.spec.name));
        }
    }
    if intended.boot != boot {
        intended.boot = boot;
        for area in &mut intended.areas {
            area.want = Want::Gone;
            area.transfer = None;
            for disk in &mut area.disks {
                disk.wipe = None;
                disk.file = disk.file.map(|file| FileId { device: None, ..file });
            }
            // The numbers are those of other devices now.
            area.zram = area.zram.take().map(|_| OverZram::default());
        }
    }
    Ok(intended)
}

fn lock(path: &Path) -> Result<File> {
    let opened = state_dir::options().read(true).write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(AreaError::io("open", path))?;
    let until = Instant::now() + PATIENCE;
    while let Err(error) = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(AreaError::Io { action: "lock", path: path.to_path_buf(), source: error.into() });
        }
        if Instant::now() > until {
            let why = "is held: another command is changing areas; try again when it is done";
            return Err(AreaError::Refused(format!("{} {why}", path.display())));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;
    use std::collections::{BTreeMap, BTreeSet};

    use crate::vswap::{AreaKind, AreaRecord, AreaSpec, Disk, Owner, Part, Transfer, ZramNote};
    use swaptier_policies::Bytes;

    fn record() -> AreaRecord {
        AreaRecord {
            spec: AreaSpec::new("main".parse().unwrap(), AreaKind::Ghost),
            owner: Owner::Command,
            want: Want::On,
            parts: Vec::new(),
            disks: Vec::new(),
            native: None,
            zram: None,
            transfer: None,
            has_uuids: true,
        }
    }

    #[test]
    fn a_list_is_read_as_it_was_written_and_void_after_a_boot() {
        let fake = FakeRoot::host();
        let dir = fake.path("var/lib/swaptier");
        let mut store = Store::open(fake.root(), &dir).unwrap();
        assert_eq!(store.intended.areas, []);
        let note = ZramNote { number: 1, sequence: 9, size: Bytes(1 << 30) };
        let over = OverZram { devices: BTreeMap::from([(0, note)]), adding: Some(BTreeSet::from([7, 8])) };
        let made = AreaRecord { zram: Some(over), ..record() };
        store.intended.areas.push(made.clone());
        store.save().unwrap();
        drop(store);
        assert_eq!(read(fake.root(), &dir).unwrap().areas, std::slice::from_ref(&made));
        fake.write(BOOT_ID, "another\n");
        let later = read(fake.root(), &dir).unwrap();
        // Its zram device went with its boot, and the number is another's.
        assert_eq!((later.areas[0].want, &later.areas[0].zram), (Want::Gone, &Some(OverZram::default())));
    }

    #[test]
    fn a_list_that_cannot_have_been_written_here_becomes_no_step() {
        let one = |area: AreaRecord| Intended { version: 1, boot: None, areas: vec![area] };
        let faults = |area: AreaRecord| parse(&serde_json::to_string(&one(area)).unwrap(), None);
        let part = |size| Part { id: 0, size: Bytes(size), priority: None };
        let disk = |path: &str| Disk {
            path: path.into(),
            is_file: true,
            made: Some(Bytes(1 << 20)),
            file: None,
            wipe: None,
            reserved_sectors: 0,
            metadata_sectors: 8,
            data_sectors: 8,
        };
        let fine = AreaRecord { parts: vec![part(1 << 30)], disks: vec![disk("/swap/a")], ..record() };
        assert!(faults(fine.clone()).is_ok());
        let wrong = [
            AreaRecord { parts: vec![part(0)], ..fine.clone() },
            AreaRecord { parts: vec![part(u64::MAX)], ..fine.clone() },
            AreaRecord { parts: vec![part(1 << 30); 2], ..fine.clone() },
            AreaRecord { disks: vec![disk("swap/a")], ..fine.clone() },
            AreaRecord { disks: vec![disk("/swap/../etc/passwd")], ..fine.clone() },
            AreaRecord { disks: vec![Disk { data_sectors: u64::MAX, ..disk("/swap/a") }], ..fine.clone() },
            AreaRecord { native: Some("run".into()), ..fine.clone() },
            AreaRecord { transfer: Some(Transfer { from: 1, to: disk("/swap/b"), is_copied: true }), ..fine },
        ];
        for area in wrong {
            assert!(faults(area.clone()).is_err(), "{area:?}");
        }
    }

    #[test]
    fn a_damaged_list_is_an_error_and_not_an_empty_one() {
        let two = Intended { version: 1, boot: None, areas: vec![record(), record()] };
        let two = serde_json::to_string(&two).unwrap();
        for wrong in ["", "{}", "{\"version\":2,\"boot\":null,\"areas\":[]}", &two] {
            assert!(parse(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_of_the_version_before_is_read_and_notes_no_identity() {
        // As swaptier 0.1 wrote it before files and devices were told by more than their names.
        let text = r#"{"version":1,"boot":"a","areas":[{"spec":{"name":"main","kind":"plain","devices":["/swap/a"],
            "encrypt":true},"owner":"command","want":"on","parts":[{"id":0,"size":"1G"}],
            "disks":[{"path":"/swap/a","is_file":true,"made":"1G","metadata_sectors":0,"data_sectors":2097152}]}]}"#;
        let read = parse(text, Some("a".to_owned())).unwrap();
        let (area, disk) = (&read.areas[0], &read.areas[0].disks[0]);
        assert_eq!((area.want, area.has_uuids, disk.file, disk.reserved_sectors), (Want::On, false, None, 0));
    }

    #[test]
    fn a_file_is_known_again_after_a_boot_and_nothing_is_wiped_then() {
        let file = FileId { inode: 7, born: Some((1, 2)), device: Some((8, 1)) };
        let disk = Disk {
            path: "/swap/a".into(),
            is_file: true,
            made: Some(Bytes(1 << 20)),
            file: Some(file),
            wipe: Some(7),
            reserved_sectors: 0,
            metadata_sectors: 8,
            data_sectors: 8,
        };
        let list =
            Intended { areas: vec![AreaRecord { disks: vec![disk], ..record() }], ..Intended::none(None) };
        let later = parse(&serde_json::to_string(&list).unwrap(), Some("another".to_owned())).unwrap();
        let disk = &later.areas[0].disks[0];
        assert_eq!((disk.file, disk.wipe), (Some(FileId { device: None, ..file }), None));
    }
}
