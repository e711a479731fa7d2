//! One turn of the workload: memory twice as large as its cgroup may hold, gone through page by page and freed. What is
//! counted is the processor time of the workload's process, which is instructions in a guest that counts them: page
//! faults, reclaim, zswap and the probes all run in it, and hardly anything of its own.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::guest::cgroup::Cgroup;
use crate::guest::kernel;
use crate::guest::workload::Workload;

/// Every page is read once in each; with half of the memory in swap each read brings one page in and another out.
const PASSES: usize = 2;
const WORKLOAD: &str = "--hot 0 --warm 0 --cold 128M --commands --seed 5";

/// What a turn took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Turn {
    pub(super) instructions: u64,
    /// Pages read out of zswap meanwhile, by all of the guest.
    pub(super) loaded: u64,
}

/// Takes one turn in `cgroup`. Filling the memory comes before the count.
///
/// # Errors
/// When the workload fails, or a page goes to the disk: that is another workload.
pub(super) fn take(cgroup: &Cgroup) -> Result<Turn> {
    let mut workload = Workload::spawn(cgroup, WORKLOAD)?;
    let (before, written) = (now(workload.id())?, kernel::vmstat("pswpout")?);
    for _ in 0..PASSES {
        workload.command("touch cold")?;
    }
    workload.command("free cold")?;
    let after = now(workload.id())?;
    workload.finish()?;
    ensure!(kernel::vmstat("pswpout")? == written, "pages went to the disk");
    Ok(Turn { instructions: after.instructions - before.instructions, loaded: after.loaded - before.loaded })
}

fn now(process: u32) -> Result<Turn> {
    Ok(Turn { instructions: processor_time(process)?, loaded: kernel::vmstat("zswpin")? })
}

/// Nanoseconds that all threads of a process have run.
fn processor_time(process: u32) -> Result<u64> {
    let mut clock = 0;
    // SAFETY: writes the one value, which lives through the call.
    let found = unsafe { libc::clock_getcpuclockid(process as libc::pid_t, &raw mut clock) };
    ensure!(found == 0, "process {process} has no clock");
    read(clock)
}

fn read(clock: libc::clockid_t) -> Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the one value, which lives through the call.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(std::io::Error::last_os_error()).context("reading a clock");
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32).as_nanos() as u64)
}

/// Refuses a guest whose clock does not count instructions: its figures would be times.
///
/// # Errors
/// When so many instructions never take as many nanoseconds, but for a thousandth. Interrupts come between (but not
/// always: 2 ms are less than the kernel's tick), and shortly after booting the kernel has not measured its clock's
/// speed yet: hence many tries.
pub(super) fn check_clock() -> Result<()> {
    const ROUNDS: u64 = 1_000_000;
    const TRIES: usize = 1000;
    let mut taken = 0;
    for _ in 0..TRIES {
        let before = read(libc::CLOCK_PROCESS_CPUTIME_ID)?;
        spin(ROUNDS)?;
        taken = read(libc::CLOCK_PROCESS_CPUTIME_ID)? - before;
        if taken.abs_diff(2 * ROUNDS) <= 2 * ROUNDS / 1000 {
            return Ok(());
        }
    }
    bail!(
        "{} instructions took {taken} ns: this guest's clock does not count them; `cargo xtask bench cost` boots one \
         that does",
        2 * ROUNDS
    )
}

/// Two instructions a round.
#[cfg(target_arch = "x86_64")]
#[expect(clippy::unnecessary_wraps, reason = "on another processor it fails")]
fn spin(rounds: u64) -> Result<()> {
    // SAFETY: changes one register, which is told.
    unsafe { std::arch::asm!("2:", "dec {0}", "jnz 2b", inout(reg) rounds => _, options(nomem, nostack)) };
    Ok(())
}

#[cfg(not(target_arch = "x86_64"))]
fn spin(_rounds: u64) -> Result<()> {
    bail!("instructions are counted on x86_64 only")
}
