//! What tells a file that was made here from another that has its name by now. A path says nothing: between two looks, or two
//! boots, anybody may have put another file there.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Statx, StatxFlags};
use serde::{Deserialize, Serialize};

/// A file: its inode, and when that was born. Noted before the file has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileId {
    /// The inode, whose number another file may get later.
    pub inode: u64,
    /// When it was made, in seconds and nanoseconds; stays with the inode over boots. `None`: its file system does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<(i64, u32)>,
    /// Major and minor number of its file system's device; of this boot. `None`: noted in another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<(u32, u32)>,
}

impl FileId {
    /// Of an open file.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn of(file: &File) -> io::Result<FileId> {
        let stat = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, FLAGS)?;
        Ok(FileId::read(&stat))
    }

    /// Of what is at `path` itself; a link is not followed. `None`: nothing that can be looked at.
    #[must_use]
    pub fn at(path: &Path) -> Option<FileId> {
        let stat = rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, FLAGS).ok()?;
        Some(FileId::read(&stat))
    }

    fn read(stat: &Statx) -> FileId {
        let born = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
        FileId {
            inode: stat.stx_ino,
            born: born.then_some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)),
            device: Some((stat.stx_dev_major, stat.stx_dev_minor)),
        }
    }

    /// Whether both are the same file. Without a birth only within one boot: a number alone is given out again.
    #[must_use]
    pub fn is(&self, other: &FileId) -> bool {
        let devices = self.device.zip(other.device);
        let is_same_device = devices.is_none_or(|(one, other)| one == other);
        let is_same_birth = match (self.born, other.born) {
            (Some(one), Some(other)) => one == other,
            (None, None) => devices.is_some(),
            _ => false,
        };
        self.inode == other.inode && is_same_device && is_same_birth
    }
}

const FLAGS: StatxFlags = StatxFlags::INO.union(StatxFlags::BTIME);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_of_the_same_name_or_number_is_another() {
        let one = FileId { inode: 7, born: Some((1, 2)), device: Some((8, 1)) };
        assert!(one.is(&one));
        // Numbers of devices are given out anew with each boot.
        assert!(one.is(&FileId { device: None, ..one }));
        for other in [
            FileId { inode: 8, ..one },
            FileId { born: Some((1, 3)), ..one },
            FileId { born: None, ..one },
            FileId { device: Some((8, 2)), ..one },
        ] {
            assert!(!one.is(&other) && !other.is(&one), "{other:?}");
        }
        let unborn = FileId { born: None, ..one };
        assert!(unborn.is(&unborn) && !unborn.is(&FileId { device: None, ..unborn }));
    }

    #[test]
    fn a_file_is_told_from_what_took_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let open = File::open(&path).unwrap();
        let id = FileId::of(&open).unwrap();
        assert!(FileId::at(&path).unwrap().is(&id));
        std::fs::rename(&path, dir.path().join("moved")).unwrap();
        assert!(FileId::at(&dir.path().join("moved")).unwrap().is(&id));
        std::fs::write(&path, "one").unwrap();
        assert!(!FileId::at(&path).unwrap().is(&id));
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(dir.path().join("moved"), &path).unwrap();
        assert!(!FileId::at(&path).unwrap().is(&id));
    }
}
