//! Far more memory in use than there is, over a virtual area, verified all the time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Outcome;
use super::full::waits;
use super::ground::{Area, blank, log_lines};
use crate::guest::agent::Agent;
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel::{meminfo, vmstat};
use crate::guest::preamble::{SCRATCH_DISK, SECOND_SWAP_DISK, SWAP_DISK};
use crate::guest::settings::Settings;
use crate::guest::stuck::Watch;
use crate::guest::workload::Workload;
use crate::guest::zswap::Zswap;

/// Memory in use for all there is, tenths.
const TENTHS: u64 = 35;
/// How long it is used.
const SECONDS: u64 = 300;
/// Filling, and verifying all of it, may take so long under emulation.
const PATIENCE: Duration = Duration::from_secs(600);

/// Three and a half times the memory there is: a tenth hot, a fifth warm, the rest cold. The agent writes back what is
/// cold; nothing is wrong, nobody is killed, nothing hangs.
pub(super) fn overcommitted(outcome: &mut Outcome) -> Result<()> {
    let seconds = outcome.seconds.unwrap_or(SECONDS);
    let _zswap = Zswap::set_up(20)?;
    let disks = [SWAP_DISK, SCRATCH_DISK, SECOND_SWAP_DISK];
    disks.into_iter().try_for_each(blank)?;
    let _settings = Settings::write("")?;
    let devices = disks.iter().flat_map(|disk| ["--device", disk]);
    let area = Area::create("vswap", "over", &devices.chain(["--size", "64G"]).collect::<Vec<_>>())?;
    let agent = Agent::start(&[])?;
    let cgroup = Cgroup::create("areas.slice/over")?;
    let (kills, errors, written) =
        (vmstat("oom_kill")?, log_lines("-error on swap-device")?, vmstat("pswpout")?);
    let memory = (meminfo("MemTotal")? * TENTHS / 10) >> 20;
    let (hot, warm) = (memory / 10, memory / 5);
    let arguments =
        format!("--hot {hot}M --warm {warm}M --cold {}M --seconds {seconds} --seed 21", memory - hot - warm);
    let (start, watch) = (Instant::now(), Watch::start());
    let mut work = Workload::start(&cgroup, &arguments)?;
    work.wait_ready_for(PATIENCE).context("filling")?;
    outcome.figure("seconds_to_fill", start.elapsed().as_secs_f64());
    let report =
        work.report_within(Duration::from_secs(seconds) + PATIENCE).context("the overcommitted load")?;
    outcome.count("memory_bytes", meminfo("MemTotal")?);
    outcome.count("verified_bytes", memory << 20);
    outcome.figure("seconds_at_work", report.seconds);
    outcome.figure("seconds_in_all", start.elapsed().as_secs_f64());
    outcome.count("loops", report.loops);
    outcome.count("major_faults", report.major_faults);
    outcome.count("pages_written", vmstat("pswpout")? - written);
    outcome.count("pages_written_back", cgroup.stat("zswpwb")?);
    outcome.count("mismatches", report.mismatches);
    let kills = vmstat("oom_kill")? - kills;
    outcome.count("oom_kills", kills);
    outcome.claim(kills == 0, format!("{kills} processes were killed for memory"));
    let errors = log_lines("-error on swap-device")? - errors;
    outcome.count("error_lines", errors as u64);
    outcome.claim(errors == 0, format!("the kernel reports {errors} errors of the area"));
    waits(outcome, watch);
    drop(cgroup);
    agent.stop()?;
    drop(area);
    Ok(())
}
