//! bpf(2), as far as the guest tests and measurements need it: which programs are pinned and what the kernel says of them, how many
//! objects there are, and the parts of a pinned map as memory. Raw system calls: nothing of the product stands between a
//! test and the kernel.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::{io, slice};

use anyhow::{Context, Result, ensure};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Where a running agent's maps and programs are pinned.
pub const PINS: &str = "/sys/fs/bpf/swaptier";

// Commands of bpf(2) (linux/bpf.h).
const MAP_LOOKUP_ELEM: libc::c_long = 1;
const OBJ_GET: libc::c_long = 7;
const PROG_GET_NEXT_ID: libc::c_long = 11;
const MAP_GET_NEXT_ID: libc::c_long = 12;
pub(in crate::guest) const PROG_GET_FD_BY_ID: libc::c_long = 13;
const MAP_GET_FD_BY_ID: libc::c_long = 14;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;

/// `struct bpf_link_info`: the word with `prog_id` in its low half; and words enough for any kind of link.
pub(in crate::guest) const LINK_PROGRAM: (usize, usize) = (1, 8);
/// `struct bpf_prog_info`: the words with `recursion_misses` and, in its low half, `verified_insns`; and all up to there.
const PROGRAM_MISSES: usize = 208 / 8;
/// The two words with its name, which is cut after 15 bytes (`BPF_OBJ_NAME_LEN`).
const PROGRAM_NAME: usize = 64 / 8;
const NAME_LENGTH: usize = 15;
const PROGRAM_VERIFIED: usize = 216 / 8;
const PROGRAM_WORDS: usize = PROGRAM_VERIFIED + 1;

/// What the kernel says of a program, the most of all its copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Program {
    /// Instructions the verifier walked through.
    pub verified_instructions: u32,
    /// Runs that were skipped.
    pub recursion_misses: u64,
}

/// The programs of a running agent by name, from their pins (`NAME-COPY`).
///
/// # Errors
/// When none is pinned, or the kernel does not tell.
pub fn programs() -> Result<BTreeMap<String, Program>> {
    let mut programs: BTreeMap<String, Program> = BTreeMap::new();
    for pin in links()? {
        let name = pin.file_name().unwrap_or_default().to_string_lossy();
        let name = name.rsplit_once('-').map_or(&*name, |(name, _copy)| name).to_owned();
        let program = program(&pin).with_context(|| format!("asking for {}", pin.display()))?;
        let most = programs.entry(name).or_default();
        most.verified_instructions = most.verified_instructions.max(program.verified_instructions);
        most.recursion_misses = most.recursion_misses.max(program.recursion_misses);
    }
    Ok(programs)
}

/// How many programs, and how many maps, the kernel has.
#[must_use]
pub fn objects() -> (usize, usize) {
    (ids(PROG_GET_NEXT_ID).count(), ids(MAP_GET_NEXT_ID).count())
}

/// Whichever program of this name is loaded, pinned or not; and what the kernel says of it.
#[must_use]
pub fn loaded(name: &str) -> Option<(OwnedFd, Program)> {
    let named = |id: u32| {
        let (program, mut words) = (by_id(PROG_GET_FD_BY_ID, id).ok()?, [0; PROGRAM_WORDS]);
        info(&program, &mut words).ok()?;
        let found = words[PROGRAM_NAME..PROGRAM_NAME + 2].iter().flat_map(|word| word.to_le_bytes());
        let is_it = found.take_while(|byte| *byte != 0).eq(name.bytes().take(NAME_LENGTH));
        is_it.then(|| (program, told(&words)))
    };
    ids(PROG_GET_NEXT_ID).find_map(named)
}

/// The programs that time swap-ins while somebody looks.
pub const TIMER: [&str; 2] = ["swapin_readahead", "do_swap_page"];

/// The ids of all objects of the command's kind.
fn ids(command: libc::c_long) -> impl Iterator<Item = u32> {
    let next = move |id: &u32| {
        // The id asked for and the one found lie in one word.
        let mut place = [u64::from(*id), 0];
        call(command, &mut place).ok().map(|_| (place[0] >> 32) as u32)
    };
    std::iter::successors(next(&0), next)
}

/// The parts of the agent's map of maps called `name`, each of `bytes`, in order.
///
/// # Errors
/// When it is not pinned, or a part cannot be mapped.
pub fn parts(name: &str, bytes: usize) -> Result<Vec<Words>> {
    let outer = pinned(&folder("v")?.join(name)).with_context(|| format!("the map {name}"))?;
    let mut parts = Vec::new();
    loop {
        let (key, mut id) = (parts.len() as u32, 0_u32);
        let mut lookup = [outer.as_raw_fd() as u64, (&raw const key) as u64, (&raw mut id) as u64, 0];
        match call(MAP_LOOKUP_ELEM, &mut lookup) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(parts),
            found => found.with_context(|| format!("part {key} of {name}"))?,
        };
        parts.push(Words::map(&by_id(MAP_GET_FD_BY_ID, id)?, bytes)?);
    }
}

/// A mapped array, as words that the kernel side changes under us.
#[derive(Debug)]
pub struct Words {
    start: NonNull<AtomicU64>,
    bytes: usize,
}

impl Words {
    fn map(array: &OwnedFd, bytes: usize) -> Result<Words> {
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; the kernel checks the length.
        let start = unsafe { mmap(std::ptr::null_mut(), bytes, rights, MapFlags::SHARED, array.as_fd(), 0) };
        let start = NonNull::new(start.context("mapping it")?.cast()).context("an address")?;
        Ok(Words { start, bytes })
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: exactly the mapping, page-aligned, which lives as long as `self`.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.bytes / 8) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `map`; no reference into it outlives `self`.
        let _unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// The pins of all links (`NAME-COPY`), sorted.
///
/// # Errors
/// When there is not one set of them.
pub(in crate::guest) fn links() -> Result<Vec<PathBuf>> {
    let mut links = list(&folder("links-")?)?;
    links.sort();
    Ok(links)
}

/// The one folder below the pins, or below the folder of their layout, whose name begins so.
fn folder(beginning: &str) -> Result<PathBuf> {
    let begins =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning));
    let layouts = list(Path::new(PINS))?;
    let below = layouts.iter().filter_map(|layout| list(layout).ok()).flatten();
    let found: Vec<PathBuf> = layouts.iter().cloned().chain(below).filter(begins).collect();
    ensure!(found.len() == 1, "{} folders {PINS}/…{beginning}…", found.len());
    Ok(found[0].clone())
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// The program behind a pinned link.
fn program(pin: &Path) -> Result<Program> {
    let mut link = [0; LINK_PROGRAM.1];
    info(&pinned(pin)?, &mut link)?;
    let mut words = [0; PROGRAM_WORDS];
    info(&by_id(PROG_GET_FD_BY_ID, link[LINK_PROGRAM.0] as u32)?, &mut words)?;
    Ok(told(&words))
}

fn told(words: &[u64; PROGRAM_WORDS]) -> Program {
    Program { verified_instructions: words[PROGRAM_VERIFIED] as u32, recursion_misses: words[PROGRAM_MISSES] }
}

/// Asks what the kernel says of an object: the beginning of its `struct bpf_…_info`.
pub(in crate::guest) fn info(object: &OwnedFd, words: &mut [u64]) -> io::Result<()> {
    let length = size_of_val(words) as u64;
    call(OBJ_GET_INFO_BY_FD, &mut [object.as_raw_fd() as u64 | length << 32, words.as_mut_ptr() as u64])
        .map(drop)
}

/// Opens what is pinned there.
pub(in crate::guest) fn pinned(path: &Path) -> Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    open(OBJ_GET, &mut [name.as_ptr() as u64, 0]).with_context(|| format!("opening {}", path.display()))
}

/// Opens the object with this id, of the command's kind.
pub(in crate::guest) fn by_id(command: libc::c_long, id: u32) -> Result<OwnedFd> {
    open(command, &mut [u64::from(id), 0]).with_context(|| format!("the object with id {id}"))
}

/// A command that answers with a descriptor.
pub(in crate::guest) fn open(command: libc::c_long, attributes: &mut [u64]) -> io::Result<OwnedFd> {
    let fd = call(command, attributes)?;
    // SAFETY: the kernel just made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `attributes`: the beginning of `union bpf_attr`, as words of a little-endian machine.
fn call(command: libc::c_long, attributes: &mut [u64]) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes the bytes of `attributes` and what its addresses name; callers keep that alive.
    let got =
        unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size_of_val(attributes)) };
    if got < 0 { Err(io::Error::last_os_error()) } else { Ok(got as i32) }
}
