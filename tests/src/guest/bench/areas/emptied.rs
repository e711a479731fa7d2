//! Areas that are emptied with pages in them, and areas that get slots as they are needed.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Outcome;
use super::full::{direct, on_disk};
use super::ground::{Area, blank, command, stored};
use crate::guest::agent::{Agent, swaptier};
use crate::guest::cgroup::Cgroup;
use crate::guest::dm::Device;
use crate::guest::kernel::{self, meminfo, page_size};
use crate::guest::preamble::{SECOND_SWAP_DISK, has_slot_caches};
use crate::guest::process::sibling;
use crate::guest::settings::Settings;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;
use crate::guest::zswap::Zswap;

/// Pages in zswap and on the disk come back into memory: refused while it has no room for them, called off by an interrupt
/// with the area in use as before, and then carried out.
pub(super) fn drained(outcome: &mut Outcome) -> Result<()> {
    let _zswap = Zswap::set_up(60)?;
    blank(SECOND_SWAP_DISK)?;
    // Slow enough to be interrupted.
    let disk = Device::over(SECOND_SWAP_DISK, "drained")?;
    let path = disk.path().display().to_string();
    let area = Area::create("vswap", "drained", &["--device", &path, "--size", "8G"])?;
    let zswapped = Cgroup::create("areas.slice/zswapped")?;
    let in_zswap = stored(&zswapped, 80, 9)?;
    let mut beside = direct("areas.slice/on_disk", &[])?;
    let on_disk = on_disk(&mut beside, 60, 10)?;
    let inside = kernel::swaps()?.iter().map(|area| area.used).sum::<u64>();
    outcome.count("bytes_inside", inside);

    // Memory that is taken leaves too little for what is inside.
    let hog = Cgroup::create("areas.slice/hog")?;
    let take = (meminfo("MemAvailable")? - inside / 2) >> 20;
    let taken = Workload::spawn(&hog, &format!("--hot {take}M --warm 0 --cold 0 --raw 100 --commands"))?;
    let refused = swaptier(&["vswap", "drain", "drained"])?;
    drop(taken);
    drop(hog);
    let why = refused.stderr.trim();
    outcome.claim(refused.code != 0 && why.contains("come back into memory"), format!("not refused: {why}"));
    ensure!(kernel::swaps()?.len() == 1, "the area is off after a refused drain");

    disk.slow(Duration::from_millis(2), Duration::ZERO)?;
    let mut drain = Command::new(sibling("swaptier")?);
    let mut drain = drain.args(["vswap", "drain", "drained"]).stderr(Stdio::null()).spawn()?;
    std::thread::sleep(Duration::from_millis(1500));
    let left = kernel::swaps()?.iter().map(|area| area.used).sum::<u64>();
    outcome.count("bytes_inside_when_interrupted", left);
    let pid = i32::try_from(drain.id()).ok().and_then(rustix::process::Pid::from_raw).context("an id")?;
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let start = Instant::now();
    let status = drain.wait()?;
    outcome.figure("seconds_to_call_off", start.elapsed().as_secs_f64());
    outcome.claim(!status.success(), "the drain was over before it was interrupted");
    let want = area.listed()?["record"]["want"].clone();
    let on = kernel::swaps()?.len();
    outcome.claim(want == "on" && on == 1, format!("called off: the area shall be {want}, {on} are on"));
    disk.linear()?;

    let start = Instant::now();
    command(&["vswap", "drain", "drained"]).context("draining")?;
    outcome.figure("seconds", start.elapsed().as_secs_f64());
    outcome.claim(kernel::swaps()?.is_empty(), "the area is on after its drain");
    in_zswap.finish().context("pages that were in zswap")?;
    on_disk.finish().context("pages that were on the disk")?;
    let spare = if has_slot_caches()? { 65 } else { 2 };
    let blocks = area.blocks()?;
    outcome.count("blocks_after", blocks);
    outcome.claim(blocks <= spare, format!("{blocks} blocks are still taken"));
    command(&["vswap", "drain", "drained", "--undo"]).context("switching on again")?;
    outcome.claim(kernel::swaps()?.len() == 1, "the area is off after --undo");
    drop((zswapped, beside, area));
    Ok(())
}

/// A ghost whose size nobody chose, with little memory for its slots: one piece to begin with, a second before the first is
/// used up.
pub(super) fn grown(outcome: &mut Outcome) -> Result<()> {
    /// The least piece, and what brings the second.
    const PIECE: u64 = 256 << 20;
    let _zswap = Zswap::set_up(80)?;
    let area = "[[area]]\nname = \"grows\"\nkind = \"ghost\"\npriority = 10\nmemory = \"1M\"\n";
    let _settings = Settings::write(area)?;
    let agent = Agent::start(&[])?;
    let pieces = || kernel::swaps().map(|areas| areas.into_iter().map(|area| area.size).collect::<Vec<_>>());
    let said = agent.said();
    let cost = said.lines().find(|line| line.contains("what an empty slot costs")).unwrap_or_default();
    println!("    {}", cost.rsplit_once("cost=").map_or("nobody measured what a slot costs", |it| it.1));
    let first = pieces()?;
    outcome.count("bytes_of_slots_at_first", first.iter().sum());
    ensure!(first.len() == 1, "{} areas at the beginning", first.len());
    let cgroup = Cgroup::create("areas.slice/grows")?;
    let mut work = Workload::spawn(&cgroup, "--hot 1M --warm 0 --cold 220M --commands")?;
    work.command("pageout cold 0..38400")?;
    let is_dear = first[0] < 2 * PIECE;
    if is_dear {
        let seconds = Instant::now();
        wait_for("a second piece", Duration::from_secs(30), || Ok(pieces()?.len() == 2))?;
        outcome.figure("seconds_until_the_second", seconds.elapsed().as_secs_f64());
        let used: u64 = kernel::swaps()?.iter().map(|area| area.used).sum();
        outcome.count("bytes_in_use_by_then", used);
        outcome.claim(used + page_size() < first[0], "the first piece was used up before the second came");
    } else {
        // Slots that cost next to nothing come all at once.
        let swap = first[0] / meminfo("MemTotal")?;
        outcome
            .claim(swap >= 8, format!("slots cost next to nothing, and there are {swap} times the memory"));
    }
    work.command("pageout cold")?;
    work.command("verify")?;
    work.finish()?;
    outcome.count("areas", pieces()?.len() as u64);
    outcome.count("bytes_of_slots", pieces()?.iter().sum());
    agent.stop()?;
    Settings::areas("")?;
    let agent = Agent::start(&[])?;
    wait_for("the area to be removed", Duration::from_secs(30), || Ok(kernel::swaps()?.is_empty()))?;
    agent.stop()
}
