//! Kernel files that are read or written again and again, opened once.

use std::{cell::RefCell, io, os::fd::OwnedFd};

use rustix::fs::OFlags;

use super::wire::Flick;
use crate::{
    journal::is_same_value,
    root::{Root, RootError},
    sense::VmStat,
};

/// An open kernel file.
pub(super) struct Knob {
    file: OwnedFd,
    path: String,
}

impl Knob {
    /// `flags`: the kernel refuses to open some of these files for reading.
    pub(super) fn open(root: &Root, path: &str, flags: OFlags) -> Result<Self, RootError> {
        Ok(Self { file: root.open(path, flags)?, path: path.to_owned() })
    }

    /// Reads its beginning, as much as fits.
    pub(super) fn read<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a str> {
        let read = rustix::io::pread(&self.file, &mut *buffer, 0).ok()?;
        std::str::from_utf8(&buffer[..read]).ok()
    }

    pub(super) fn says(&self, value: &str) -> bool {
        self.read(&mut [0; 64]).is_some_and(|now| is_same_value(&self.path, now, value))
    }

    pub(super) fn put(&self, value: &str) -> io::Result<()> {
        self.done(rustix::io::pwrite(&self.file, value.as_bytes(), 0))
    }

    /// The same for a file that has no positions, as many of debugfs.
    pub(super) fn tell(&self, words: &str) -> io::Result<()> {
        self.done(rustix::io::write(&self.file, words.as_bytes()))
    }

    fn done(&self, written: rustix::io::Result<usize>) -> io::Result<()> {
        written
            .map(drop)
            .map_err(|errno| io::Error::new(io::Error::from(errno).kind(), format!("{}: {errno}", self.path)))
    }
}

/// `/proc/vmstat`, open.
pub(super) struct VmStatFile {
    knob: Knob,
    text: RefCell<Vec<u8>>,
}

impl VmStatFile {
    /// It has some 190 lines.
    const BYTES: usize = 16 << 10;

    pub(super) fn open(root: &Root) -> Result<Self, RootError> {
        let knob = Knob::open(root, "proc/vmstat", OFlags::RDONLY)?;
        Ok(Self { knob, text: RefCell::new(vec![0; Self::BYTES]) })
    }

    /// What it says now; `None` when it cannot be read.
    pub(super) fn read(&self) -> Option<VmStat> {
        self.knob.read(&mut self.text.borrow_mut()).map(VmStat::parse)
    }
}

/// A value that is low for moments.
pub(super) struct Lever<'a> {
    knob: Knob,
    values: &'a Flick,
}

impl<'a> Lever<'a> {
    pub(super) fn open(root: &Root, values: &'a Flick) -> Result<Self, RootError> {
        Ok(Self { knob: Knob::open(root, &values.path, OFlags::RDWR)?, values })
    }

    /// It is up, as we left it.
    ///
    /// # Errors
    /// Somebody else has changed it: it is theirs now.
    pub(super) fn check(&self) -> io::Result<()> {
        match self.knob.says(&self.values.high) {
            true => Ok(()),
            false => Err(io::Error::other(format!("{}: somebody else has changed it", self.values.path))),
        }
    }

    pub(super) fn down(&self) -> io::Result<()> {
        self.knob.put(&self.values.low)
    }

    pub(super) fn up(&self) -> io::Result<()> {
        self.knob.put(&self.values.high)
    }
}
