//! What is below a pool, in trouble: its metadata full, one of its disks dead, its disk slow. Lost is what the dead disk
//! held, and nothing else.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Outcome;
use super::full::{direct, on_disk, said, waits};
use super::ground::{Area, blank, command, log_lines, stored};
use crate::guest::agent::Agent;
use crate::guest::cgroup::Cgroup;
use crate::guest::dm::{Device, message};
use crate::guest::preamble::{SCRATCH_DISK, SECOND_SWAP_DISK};
use crate::guest::settings::Settings;
use crate::guest::stuck::Watch;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;
use crate::guest::zswap::Zswap;

/// What an agent may take to see what happened.
const SEEN: Duration = Duration::from_secs(30);
/// Volumes of a pool that are not ours begin there.
const OTHERS: u32 = 1000;

/// Somebody fills a pool's metadata with volumes of his own: the agent meets its marks, the pool refuses writes, pages stay
/// in memory, what is on the disk is read; and a disk more, which brings metadata, makes it well.
pub(super) fn metadata_full(outcome: &mut Outcome) -> Result<()> {
    let _zswap = Zswap::set_up(60)?;
    [SECOND_SWAP_DISK, SCRATCH_DISK].into_iter().try_for_each(blank)?;
    let _settings = Settings::without_policy()?;
    let agent = Agent::start(&[])?;
    let area = Area::create("vswap", "low", &["--device", SECOND_SWAP_DISK, "--size", "8G"])?;
    let mut beside = direct("areas.slice/on_disk", &[])?;
    let mut written = on_disk(&mut beside, 40, 11)?;
    let zswapped = Cgroup::create("areas.slice/zswapped")?;
    let mut in_zswap = stored(&zswapped, 40, 12)?;
    let watch = Watch::start();

    let mut volumes = 0;
    let pool = || Ok::<_, anyhow::Error>(area.listed()?["pool"].clone());
    while message("swaptier-low-pool", &format!("create_thin {}", OTHERS + volumes)).is_ok() {
        volumes += 1;
        ensure!(volumes < 4000, "the metadata does not fill");
    }
    outcome.count("volumes_of_others", volumes.into());
    // A write that needs a block tells the pool that it has no room for the note.
    let cgroup = direct("areas.slice/more", &[("memory.high", "33554432")])?;
    let mut more = Workload::start(&cgroup, "--hot 1M --warm 0 --cold 64M --commands --seed 13")?;
    said(&agent, "-> stopped", SEEN)?;
    let now = pool()?;
    for key in ["used_metadata_blocks", "total_metadata_blocks"] {
        outcome.count(key, now[key].as_u64().unwrap_or_default());
    }
    outcome.claim(now["needs_check"] == false, "the metadata needs a check");
    written.command("verify").context("pages on the disk")?;
    in_zswap.command("verify").context("pages in zswap")?;

    command(&["vswap", "grow", "low", "--device", SCRATCH_DISK]).context("growing")?;
    let start = Instant::now();
    wait_for("the pool to take writes", SEEN, || Ok(pool()?["mode"] == "read-write"))?;
    said(&agent, "-> free", SEEN)?;
    more.wait_ready().context("a load after the metadata grew")?;
    outcome.figure("seconds_from_grown_to_done", start.elapsed().as_secs_f64());
    for work in [more, written, in_zswap] {
        work.finish().with_context(|| format!("after the metadata grew{}", agent.log()))?;
    }
    waits(outcome, watch);
    drop((cgroup, beside, zswapped, area));
    agent.stop()
}

/// A pool of two disks, of which the second dies and then the first. Pages in zswap and in memory are never lost; those on
/// the first disk only when it dies too; and the area can be removed.
pub(super) fn disk_dies(outcome: &mut Outcome) -> Result<()> {
    let _zswap = Zswap::set_up(60)?;
    [SECOND_SWAP_DISK, SCRATCH_DISK].into_iter().try_for_each(blank)?;
    let first = Device::over_first(SECOND_SWAP_DISK, "first", 100 << 20)?;
    let second = Device::over(SCRATCH_DISK, "second")?;
    let paths = [&first, &second].map(|device| device.path().display().to_string());
    paths.iter().try_for_each(|path| blank(path))?;
    let _settings = Settings::without_policy()?;
    let agent = Agent::start(&[])?;
    let devices = ["--device", &paths[0], "--device", &paths[1], "--size", "8G"];
    let area = Area::create("vswap", "dies", &devices)?;
    let zswapped = Cgroup::create("areas.slice/zswapped")?;
    let in_zswap = stored(&zswapped, 40, 14)?;
    // Blocks are taken in their order: the first disk's, then the second's.
    let mut early = direct("areas.slice/early", &[])?;
    let mut on_first = on_disk(&mut early, 40, 15)?;
    let mut first_too = direct("areas.slice/first_too", &[])?;
    let mut with_first = on_disk(&mut first_too, 16, 22)?;
    let mut late = direct("areas.slice/late", &[])?;
    let mut on_second = on_disk(&mut late, 120, 16)?;
    let reads = log_lines("Read-error on swap-device")?;
    let watch = Watch::start();

    second.fail()?;
    on_first.command("verify").context("pages on the disk that lives")?;
    let lost = on_second.command("touch cold");
    outcome.claim(lost.is_err(), "pages of the second disk were read although it is dead");
    drop(on_second);
    let cgroup = direct("areas.slice/more", &[])?;
    let mut more = Workload::spawn(&cgroup, "--hot 1M --warm 0 --cold 48M --commands --seed 17")?;
    more.command("pageout cold")?;
    more.command("verify").context("pages that could not be written")?;
    outcome.count("read_error_lines", (log_lines("Read-error on swap-device")? - reads) as u64);
    said(&agent, "the disk under the swap area dies failed", SEEN)?;

    first.fail()?;
    let mut late = Workload::spawn(&cgroup, "--hot 1M --warm 0 --cold 48M --commands --seed 18")?;
    late.command("pageout cold")?;
    said(&agent, "-> stopped", SEEN)?;
    late.command("verify").context("pages that found no disk")?;
    in_zswap.finish().context("pages in zswap, all disks dead")?;
    let lost = with_first.command("touch cold");
    outcome.claim(lost.is_err(), "pages of the first disk were read although it is dead");
    // Its own memory beside what it verifies may be on that disk as well: it is not asked for a report.
    on_first.command("verify").context("pages that were read while their disk lived")?;
    drop((with_first, on_first, more, late));
    waits(outcome, watch);
    let start = Instant::now();
    drop((early, first_too, cgroup, zswapped));
    drop(area);
    outcome.figure("seconds_to_remove", start.elapsed().as_secs_f64());
    agent.stop()
}

/// Each write to the disk takes half a second and each read a tenth, while a load needs both: it is slow, and right.
pub(super) fn disk_slow(outcome: &mut Outcome) -> Result<()> {
    let _zswap = Zswap::set_up(60)?;
    blank(SECOND_SWAP_DISK)?;
    let disk = Device::over(SECOND_SWAP_DISK, "slow")?;
    let path = disk.path().display().to_string();
    let _settings = Settings::without_policy()?;
    let agent = Agent::start(&[])?;
    let area = Area::create("vswap", "slow", &["--device", &path, "--size", "8G"])?;
    let zswapped = Cgroup::create("areas.slice/zswapped")?;
    let mut in_zswap = stored(&zswapped, 40, 19)?;
    disk.slow(Duration::from_millis(100), Duration::from_millis(500))?;
    let watch = Watch::start();
    let cgroup = direct("areas.slice/slow", &[("memory.high", "67108864")])?;
    let start = Instant::now();
    let mut work = Workload::spawn(&cgroup, "--hot 1M --warm 0 --cold 128M --commands --seed 20")?;
    outcome.figure("seconds_to_fill", start.elapsed().as_secs_f64());
    let start = Instant::now();
    in_zswap.command("touch cold")?;
    outcome.figure("seconds_of_40_mib_from_zswap_beside", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let touched = work.command("touch cold 0..256")?;
    outcome.count("major_faults", touched.major_faults);
    outcome.figure("seconds_of_256_pages_back", start.elapsed().as_secs_f64());
    let listed = area.listed()?;
    outcome.claim(listed["pool"]["mode"] == "read-write", format!("the pool is {}", listed["pool"]["mode"]));
    waits(outcome, watch);
    disk.linear()?;
    work.finish()?;
    in_zswap.finish()?;
    drop((cgroup, zswapped, area));
    agent.stop()
}
