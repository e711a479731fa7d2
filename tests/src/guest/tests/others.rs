//! Disks of somebody else: refused with what they hold or who uses them, and every byte as before; and taken when they are
//! given away.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::guest::agent::swaptier;
use crate::guest::bench::areas::{ENDS, blank};
use crate::guest::kernel;
use crate::guest::preamble::{SCRATCH_DISK, SECOND_SWAP_DISK};
use crate::guest::swap::SwapArea;

/// Where its only partition begins.
const PARTITION: u64 = 1 << 20;
const LOOP: &str = "/dev/loop7";

pub(super) fn a_disk_of_somebody_else_is_left_as_it_is() -> Result<()> {
    partitioned()?;
    behind_a_loop_device()?;
    given_away()
}

/// A stale swap header, a table with a partition, ext2 in that, not mounted.
fn partitioned() -> Result<()> {
    blank(SECOND_SWAP_DISK)?;
    drop(SwapArea::set_up(Path::new(SECOND_SWAP_DISK), None, 1)?);
    let disk = OpenOptions::new().read(true).write(true).open(SECOND_SWAP_DISK)?;
    // One entry: type 83, from sector 2048 on.
    let mut table = [0u8; 66];
    table[4] = 0x83;
    table[8..12].copy_from_slice(&2048u32.to_le_bytes());
    table[12..16].copy_from_slice(&200_000u32.to_le_bytes());
    table[64..].copy_from_slice(&[0x55, 0xaa]);
    disk.write_all_at(&table, 446)?;
    disk.write_all_at(&0xef53u16.to_le_bytes(), PARTITION + 1024 + 56)?;
    disk.sync_all()?;
    let before = ends(&disk)?;
    // The kernel has not read the table yet; then it has.
    refused(SECOND_SWAP_DISK, "dos")?;
    drop(disk);
    run("blockdev", &["--rereadpt", SECOND_SWAP_DISK])?;
    ensure!(Path::new(&format!("{SECOND_SWAP_DISK}1")).exists(), "the kernel took no partition");
    refused(SECOND_SWAP_DISK, "dos")?;
    ensure!(ends(&File::open(SECOND_SWAP_DISK)?)? == before, "refused, and written to");
    Ok(())
}

/// A swap area in use through a loop device over a disk: an exclusive open of the disk sees nobody.
fn behind_a_loop_device() -> Result<()> {
    blank(SCRATCH_DISK)?;
    run("modprobe", &["loop"])?;
    run("losetup", &[LOOP, SCRATCH_DISK])?;
    let swap = SwapArea::set_up(Path::new(LOOP), None, 1)?;
    let before = ends(&File::open(SCRATCH_DISK)?)?;
    let outcome = refused(SCRATCH_DISK, "loop7");
    drop(swap);
    run("losetup", &["-d", LOOP])?;
    outcome?;
    ensure!(ends(&File::open(SCRATCH_DISK)?)? == before, "refused, and written to");
    Ok(())
}

/// Given away, the first disk is an area, and its partition is gone.
fn given_away() -> Result<()> {
    let made = swaptier(&["vswap", "create", "w", "--device", SECOND_SWAP_DISK, "--wipe"])?;
    ensure!(made.code == 0, "with --wipe it ended with {}: {}", made.code, made.stderr.trim());
    let swaps = kernel::swaps()?;
    let removed = swaptier(&["vswap", "remove", "w"])?;
    ensure!(swaps.len() == 1 && removed.code == 0, "{swaps:?}: {}", removed.stderr.trim());
    ensure!(!Path::new(&format!("{SECOND_SWAP_DISK}1")).exists(), "the partition is still there");
    Ok(())
}

/// Refused as a pool's disk and as a plain area, for a reason with this word.
fn refused(disk: &str, word: &str) -> Result<()> {
    for how in [None, Some("--plain")] {
        let arguments: Vec<&str> =
            ["vswap", "create", "w", "--device", disk].into_iter().chain(how).collect();
        let outcome = swaptier(&arguments)?;
        println!("    {}: {}", arguments.join(" "), outcome.stderr.trim());
        ensure!(outcome.code == 1, "{arguments:?} ended with {}: {}", outcome.code, outcome.stderr.trim());
        ensure!(
            outcome.stderr.contains(word),
            "{arguments:?} does not say {word}: {}",
            outcome.stderr.trim()
        );
    }
    Ok(())
}

fn ends(disk: &File) -> Result<Vec<u8>> {
    let size = rustix::fs::seek(disk, rustix::fs::SeekFrom::End(0))?;
    let mut bytes = vec![0; 3 * ENDS];
    let (first, last) = bytes.split_at_mut(2 * ENDS);
    disk.read_exact_at(first, 0)?;
    disk.read_exact_at(last, size - ENDS as u64)?;
    Ok(bytes)
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output =
        Command::new("busybox").arg(program).args(arguments).output().with_context(|| program.to_owned())?;
    ensure!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
