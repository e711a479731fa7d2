//! Writes the "newc" cpio format, the only one the kernel unpacks as an initramfs
//! (Documentation/driver-api/early-userspace/buffer-format.rst). What goes into the archive is `initramfs.rs`'s business.

use std::collections::BTreeSet;

/// File type bits of `st_mode`.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

/// An archive under construction. Paths are given without a leading slash; parent folders are added by themselves.
#[derive(Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    inode: u32,
}

impl Archive {
    /// Adds a folder and its parents; adding one again does nothing.
    pub(crate) fn folder(&mut self, path: &str) {
        let path = path.trim_matches('/');
        if path.is_empty() || self.folders.contains(path) {
            return;
        }
        self.parents(path);
        self.folders.insert(path.to_owned());
        self.entry(path, DIRECTORY | 0o755, (0, 0), &[]);
    }

    /// Adds a regular file; `mode` is its permission bits.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.parents(path);
        self.entry(path, REGULAR | mode, (0, 0), content);
    }

    /// Adds a symbolic link.
    pub(crate) fn symlink(&mut self, path: &str, to: &str) {
        self.parents(path);
        self.entry(path, SYMLINK | 0o777, (0, 0), to.as_bytes());
    }

    /// Adds a character device.
    pub(crate) fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.parents(path);
        self.entry(path, CHARACTER | 0o600, (major, minor), &[]);
    }

    /// Closes the archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn parents(&mut self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.folder(parent);
        }
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.inode += 1;
        let links = if mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
        let size =
            u32::try_from(content.len()).expect("newc holds files below 4 GiB, the lab's are far smaller");
        let name_size = u32::try_from(path.len() + 1).expect("a path is short");
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields = [self.inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    /// Header with name, and content, each end on a multiple of four bytes.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn every_entry_is_aligned_and_carries_its_size() {
        let mut archive = Archive::default();
        archive.file("a/b", 0o644, b"hello");
        let bytes = archive.finish();
        // Folder "a": 110 header + 2 name = 112. File: 110 + 4 ("a/b" and NUL) = 114, padded to 116; 5 bytes of
        // content padded to 8. Trailer: 110 + 11 = 121, padded to 124.
        assert_eq!(bytes.len(), 112 + 116 + 8 + 124);
        assert_eq!(&bytes[112..118], b"070701");
        // filesize is the seventh field: 6 + 6 × 8 = 54 bytes into the header.
        assert_eq!(&bytes[112 + 54..112 + 62], b"00000005");
        assert_eq!(&bytes[112 + 116..112 + 121], b"hello");
    }

    #[test]
    fn a_folder_is_written_once() {
        let mut archive = Archive::default();
        archive.file("d/1", 0o644, b"");
        archive.file("d/2", 0o644, b"");
        let text = String::from_utf8(archive.finish()).expect("headers are ASCII");
        assert_eq!(text.matches("000041ed").count(), 1, "040755 octal is 41ed");
    }
}
