//! What of a process's memory is on the raw disk: a marker is looked for there, with encryption and without.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Outcome;
use super::ground::{Area, blank};
use crate::guest::kernel::page_size;
use crate::guest::preamble::SECOND_SWAP_DISK;
use crate::guest::wait::wait_for;
use crate::guest::zswap;

/// At the beginning of each marked page; made of two, so that this program's own image does not hold it.
const MARKER: [&str; 2] = ["swaptier keeps ", "this secret "];
/// Marked pages.
const PAGES: usize = 2048;
/// How much of the disk is read at once.
const PIECE: usize = 4 << 20;

/// Marked memory pushed out to an area: found on the disk without encryption, and not found with it.
pub(super) fn on_the_raw_disk(outcome: &mut Outcome) -> Result<()> {
    zswap::set("enabled", "N")?;
    let open = markers(&[])?;
    let closed = markers(&["--encrypt"])?;
    outcome.count("markers_on_disk", open);
    outcome.count("markers_on_disk_encrypted", closed);
    outcome.claim(open > PAGES as u64 / 2, format!("without encryption only {open} markers were found"));
    outcome.claim(closed == 0, format!("{closed} markers are readable on an encrypted area's disk"));
    Ok(())
}

/// How many marked pages the disk holds after they were pushed out.
fn markers(arguments: &[&str]) -> Result<u64> {
    blank(SECOND_SWAP_DISK)?;
    wipe(SECOND_SWAP_DISK)?;
    let area = Area::create(
        "vswap",
        "secret",
        &[&["--device", SECOND_SWAP_DISK, "--size", "4G"], arguments].concat(),
    )?;
    let marker = MARKER.concat();
    let page = page_size() as usize;
    let mut memory = vec![0u8; (PAGES + 1) * page];
    let from = memory.as_ptr().align_offset(page);
    for index in 0..PAGES {
        let text = format!("{marker}{index:08}");
        memory[from + index * page..][..text.len()].copy_from_slice(text.as_bytes());
    }
    let marked = &mut memory[from..from + PAGES * page];
    // SAFETY: the range is this process's own and stays mapped; its content is kept by the kernel.
    let advised = unsafe { libc::madvise(marked.as_mut_ptr().cast(), marked.len(), libc::MADV_PAGEOUT) };
    ensure!(advised == 0, "madvise: {}", std::io::Error::last_os_error());
    let wanted = PAGES as u64 * page_size() / (64 << 10) * 9 / 10;
    wait_for("the marked pages to be on the disk", Duration::from_secs(20), || Ok(area.blocks()? >= wanted))?;
    std::thread::sleep(Duration::from_secs(2));
    let found = count(SECOND_SWAP_DISK, &marker)?;
    for index in 0..PAGES {
        let text = format!("{marker}{index:08}");
        ensure!(marked[index * page..].starts_with(text.as_bytes()), "page {index} came back changed");
    }
    Ok(found)
}

/// Occurrences at the beginning of a sector's page.
fn count(disk: &str, marker: &str) -> Result<u64> {
    let file = File::open(disk).with_context(|| format!("opening {disk}"))?;
    // What this program read earlier must not answer.
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    let (mut found, mut at, mut piece) = (0, 0, vec![0; PIECE]);
    loop {
        let read = file.read_at(&mut piece, at)?;
        if read == 0 {
            return Ok(found);
        }
        found +=
            piece[..read].chunks(512).filter(|sector| sector.starts_with(marker.as_bytes())).count() as u64;
        at += read as u64;
    }
}

/// What an earlier run left must not be found.
fn wipe(disk: &str) -> Result<()> {
    let file = std::fs::OpenOptions::new().write(true).open(disk)?;
    let zeros = vec![0; PIECE];
    (0..64 << 20).step_by(PIECE).try_for_each(|at| file.write_all_at(&zeros, at as u64))?;
    file.sync_all().with_context(|| format!("wiping {disk}"))
}
