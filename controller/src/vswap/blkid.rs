//! Signatures on a device, by libblkid: what `wipefs` lists. File systems, volume managers, RAID, encryption, swap, hibernated
//! systems and partition tables, at the beginning, at the end and nested; one that is found is hidden and the search goes on,
//! so that none hides another. Reads only.
//!
//! The calls of libblkid's low-level interface are declared here by hand: eleven of them, all older than any kernel that
//! swaptier runs on. Callers: `content/`, `claims/`, `prepare.rs`.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::ptr;

/// So many signatures are gathered at most: a device with more has enough of them.
const MOST: usize = 64;

// Of blkid/blkid.h.
const SUPERBLOCK_FLAGS: c_int = LABEL | UUID | TYPE | USAGE | MAGIC | BAD_CHECKSUM;
const LABEL: c_int = 1 << 1;
const UUID: c_int = 1 << 3;
const TYPE: c_int = 1 << 5;
const USAGE: c_int = 1 << 7;
const MAGIC: c_int = 1 << 9;
const BAD_CHECKSUM: c_int = 1 << 10;
/// Also a GPT whose protective table is gone; and where the table's sign is.
const PARTITION_FLAGS: c_int = 1 << 1 | 1 << 3;

#[repr(C)]
struct Raw {
    _opaque: [u8; 0],
}

#[link(name = "blkid")]
unsafe extern "C" {
    fn blkid_new_probe() -> *mut Raw;
    fn blkid_free_probe(probe: *mut Raw);
    fn blkid_probe_set_device(probe: *mut Raw, fd: c_int, offset: i64, size: i64) -> c_int;
    fn blkid_probe_enable_superblocks(probe: *mut Raw, enable: c_int) -> c_int;
    fn blkid_probe_set_superblocks_flags(probe: *mut Raw, flags: c_int) -> c_int;
    fn blkid_probe_enable_partitions(probe: *mut Raw, enable: c_int) -> c_int;
    fn blkid_probe_set_partitions_flags(probe: *mut Raw, flags: c_int) -> c_int;
    fn blkid_do_probe(probe: *mut Raw) -> c_int;
    fn blkid_probe_lookup_value(
        probe: *mut Raw,
        name: *const c_char,
        data: *mut *const c_char,
        length: *mut usize,
    ) -> c_int;
    fn blkid_probe_hide_range(probe: *mut Raw, offset: u64, length: u64) -> c_int;
    fn blkid_probe_step_back(probe: *mut Raw) -> c_int;
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sign {
    /// libblkid's word for what it is: `ext4`, `LVM2_member`, `swap`, `gpt`.
    pub(super) kind: String,
    /// It is a table of partitions.
    pub(super) is_table: bool,
    /// Where it is. `None`: it has no fixed sign.
    pub(super) at: Option<u64>,
    /// Bytes of the sign.
    pub(super) length: u64,
    /// The name that somebody gave it.
    pub(super) label: Option<String>,
    /// Its uuid.
    pub(super) uuid: Option<String>,
}

/// All signatures on a device or in a file.
///
/// # Errors
/// When it cannot be read: then nothing is known of it.
pub(super) fn signs(file: &File) -> io::Result<Vec<Sign>> {
    let probe = Probe::of(file)?;
    let mut signs: Vec<Sign> = Vec::new();
    while signs.len() < MOST {
        if !probe.next()? {
            break;
        }
        let Some(sign) = probe.sign() else { continue };
        let is_new = !signs.contains(&sign);
        // Hidden in libblkid's own copy, and looked for once more: the same kind may be there twice.
        if let Some(at) = sign.at.filter(|_| is_new && sign.length > 0) {
            probe.hide(at, sign.length);
        }
        if is_new {
            signs.push(sign);
        }
    }
    Ok(signs)
}

/// libblkid's state of a search; the file stays open as long.
struct Probe<'a> {
    raw: ptr::NonNull<Raw>,
    _file: &'a File,
}

impl<'a> Probe<'a> {
    fn of(file: &'a File) -> io::Result<Probe<'a>> {
        // SAFETY: no precondition.
        let raw = ptr::NonNull::new(unsafe { blkid_new_probe() });
        let raw = raw.ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let probe = Probe { raw, _file: file };
        let raw = raw.as_ptr();
        // SAFETY: the probe is alive until it is dropped, and the descriptor open as long.
        let refused = unsafe {
            blkid_probe_set_device(raw, file.as_raw_fd(), 0, 0) != 0
                || blkid_probe_enable_superblocks(raw, 1) != 0
                || blkid_probe_set_superblocks_flags(raw, SUPERBLOCK_FLAGS) != 0
                || blkid_probe_enable_partitions(raw, 1) != 0
                || blkid_probe_set_partitions_flags(raw, PARTITION_FLAGS) != 0
        };
        if refused { Err(io::Error::other("libblkid cannot look at it")) } else { Ok(probe) }
    }

    /// Goes on to the next signature. `false`: there is none.
    fn next(&self) -> io::Result<bool> {
        // SAFETY: as in `of`.
        match unsafe { blkid_do_probe(self.raw.as_ptr()) } {
            0 => Ok(true),
            1 => Ok(false),
            error if error < -1 => Err(io::Error::from_raw_os_error(-error)),
            _ => Err(io::Error::other("libblkid could not read all of it")),
        }
    }

    fn sign(&self) -> Option<Sign> {
        let (kind, is_table) = match self.text(c"TYPE") {
            Some(kind) => (kind, false),
            None => (self.text(c"PTTYPE")?, true),
        };
        let (at, magic) =
            if is_table { (c"PTMAGIC_OFFSET", c"PTMAGIC") } else { (c"SBMAGIC_OFFSET", c"SBMAGIC") };
        Some(Sign {
            kind,
            is_table,
            at: self.text(at).and_then(|at| at.parse().ok()),
            length: self.bytes(magic).map_or(0, |bytes| bytes.len() as u64),
            label: self.text(c"LABEL"),
            uuid: self.text(if is_table { c"PTUUID" } else { c"UUID" }),
        })
    }

    fn hide(&self, at: u64, length: u64) {
        // SAFETY: as in `of`. What cannot be hidden is found again, and not counted twice.
        unsafe {
            if blkid_probe_hide_range(self.raw.as_ptr(), at, length) == 0 {
                blkid_probe_step_back(self.raw.as_ptr());
            }
        }
    }

    fn text(&self, name: &CStr) -> Option<String> {
        let bytes = self.bytes(name)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let text = CString::new(&bytes[..end]).ok()?;
        Some(text.to_string_lossy().into_owned()).filter(|text| !text.is_empty())
    }

    fn bytes(&self, name: &CStr) -> Option<Vec<u8>> {
        let (mut data, mut length) = (ptr::null(), 0usize);
        // SAFETY: as in `of`; both places are there to be written to.
        let found = unsafe {
            blkid_probe_lookup_value(self.raw.as_ptr(), name.as_ptr(), &raw mut data, &raw mut length)
        };
        if found != 0 || data.is_null() {
            return None;
        }
        // SAFETY: libblkid says how many bytes it has there, and keeps them until the next call.
        Some(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) }.to_vec())
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        // SAFETY: it was made by `blkid_new_probe`, and nobody uses it any more.
        unsafe { blkid_free_probe(self.raw.as_ptr()) }
    }
}
