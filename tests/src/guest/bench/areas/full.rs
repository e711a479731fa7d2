//! Pools that run full while an agent looks after them: slowly, so that each mark can be acted on, and at once, so that
//! none can. And what comes back once pages are freed, or a disk is added.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Outcome;
use super::ground::{Area, blank, command, log_lines};
use crate::guest::agent::{Agent, swaptier_json};
use crate::guest::cgroup::{Cgroup, ROOT};
use crate::guest::dm::Device;
use crate::guest::kernel;
use crate::guest::preamble::{SCRATCH_DISK, SECOND_SWAP_DISK};
use crate::guest::settings::{Settings, root_valve};
use crate::guest::stuck::Watch;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;
use crate::guest::zswap::{self, Zswap};

/// What the kernel says for each write that failed.
const WRITE_ERROR: &str = "Write-error on swap-device";
/// No task may wait longer where no signal reaches it.
const LONGEST_WAIT: f64 = 5.0;
/// The kernel must have ended, or let go on, who does not fit by then.
const NO_LIVELOCK: Duration = Duration::from_secs(60);
/// How long a full pool and its load are left alone before the agent goes on.
const ALONE: Duration = Duration::from_secs(10);
/// How long a load is left at a mark.
const HELD: Duration = Duration::from_secs(10);
/// What an agent may take to see what happened.
const SEEN: Duration = Duration::from_secs(30);

/// A disk of 1 GiB, and a load that wants a little more and is held to 64 MB of memory, past zswap: the marks are met one
/// after the other, the load is held, and goes on when a disk is added. Nothing of it ever fails.
pub(super) fn past_its_marks(outcome: &mut Outcome) -> Result<()> {
    let _zswap = Zswap::set_up(40)?;
    let _settings = Settings::without_policy()?;
    [SECOND_SWAP_DISK, SCRATCH_DISK].into_iter().try_for_each(blank)?;
    let agent = Agent::start(&[])?;
    let area = Area::create("vswap", "marks", &["--device", SECOND_SWAP_DISK, "--size", "8G"])?;
    let mut beside = direct("areas.slice/beside", &[])?;
    let still = on_disk(&mut beside, 24, 8)?;
    let (errors, watch) = (log_lines(WRITE_ERROR)?, Watch::start());
    let cgroup = direct("areas.slice/full", &[("memory.high", "67108864")])?;
    let start = Instant::now();
    let mut work = Workload::start(&cgroup, "--hot 1M --warm 0 --cold 1100M --commands --seed 6")?;
    said(&agent, "-> closed", Duration::from_secs(200))?;
    outcome.figure("seconds_until_closed", start.elapsed().as_secs_f64());
    wait_for("the way to disk to be closed", SEEN, || Ok(kernel::read(root_valve())? == "0"))?;
    let blocks = area.blocks()?;
    std::thread::sleep(HELD);
    let pool = area.listed()?["pool"].clone();
    let (used, total) = (pool["used_blocks"].as_u64(), pool["total_blocks"].as_u64());
    outcome.count("blocks_when_closed", blocks);
    outcome.count("blocks_while_held", used.unwrap_or_default());
    outcome.count("blocks", total.unwrap_or_default());
    outcome.claim(used < total, "the pool is full although its marks were met");
    outcome.claim(pool["mode"] == "read-write", format!("the pool is {}", pool["mode"]));
    marks(outcome, &agent.said());
    let start = Instant::now();
    command(&["vswap", "grow", "marks", "--device", SCRATCH_DISK]).context("growing")?;
    outcome.figure("seconds_to_grow", start.elapsed().as_secs_f64());
    said(&agent, "-> free", SEEN)?;
    wait_for("the way to disk to be open", SEEN, || Ok(kernel::read(root_valve())? == "1"))?;
    work.wait_ready().context("going on after the pool grew")?;
    outcome.figure("seconds_from_grown_to_done", start.elapsed().as_secs_f64());
    outcome.count("blocks_when_done", area.blocks()?);
    outcome.count("oom_kills", kernel::stat(cgroup.file("memory.events"), "oom_kill")?);
    work.command("verify")?;
    work.finish()?;
    still.finish().context("who was beside")?;
    waits(outcome, watch);
    let errors = (log_lines(WRITE_ERROR)? - errors) as u64;
    outcome.count("write_error_lines", errors);
    outcome.claim(errors == 0, format!("the kernel reports {errors} failed writes"));
    drop((cgroup, beside, area));
    agent.stop()
}

/// A disk of 140 MiB that runs full while the agent is held up, and a cgroup that cannot do without: once the agent goes on
/// the kernel must end that cgroup's load, and everyone else goes on. Without zswap the gate holds nothing back, so both ways are gone.
pub(super) fn at_once(outcome: &mut Outcome) -> Result<()> {
    let _zswap = Zswap::set_up(40)?;
    drive(outcome, "zswap_on")?;
    zswap::set("enabled", "N")?;
    drive(outcome, "zswap_off")
}

fn drive(outcome: &mut Outcome, how: &str) -> Result<()> {
    [SECOND_SWAP_DISK, SCRATCH_DISK].into_iter().try_for_each(blank)?;
    let disk = Device::over_first(SECOND_SWAP_DISK, "small", 140 << 20)?;
    let path = disk.path().display().to_string();
    blank(&path)?;
    let _settings = Settings::without_policy()?;
    let agent = Agent::start(&[])?;
    let area = Area::create("vswap", "full", &["--device", &path, "--size", "4G"])?;
    let mut beside = direct("areas.slice/beside", &[])?;
    let mut still = on_disk(&mut beside, 24, 8)?;
    let (errors, watch) = (log_lines(WRITE_ERROR)?, Watch::start());
    let name = |figure: &str| format!("{how}_{figure}");

    let cgroup = direct("areas.slice/full", &[("memory.max", "67108864")])?;
    let kills = || kernel::stat(cgroup.file("memory.events"), "oom_kill");
    agent.hold()?;
    let start = Instant::now();
    let mut work = Workload::start(&cgroup, "--hot 1M --warm 0 --cold 200M --commands --seed 6")?;
    wait_for("the pool to be full", Duration::from_secs(60), || {
        Ok(area.listed()?["pool"]["mode"] != "read-write" || !work.is_running()?)
    })?;
    outcome.figure(&name("seconds_until_full"), start.elapsed().as_secs_f64());
    std::thread::sleep(ALONE);
    outcome.count(&name("is_ended_without_agent"), u64::from(!work.is_running()?));
    agent.go_on()?;
    let start = Instant::now();
    let ended = wait_for("the kernel to end who does not fit", NO_LIVELOCK, || Ok(!work.is_running()?));
    outcome.figure(&name("seconds_until_ended"), start.elapsed().as_secs_f64());
    outcome.count(&name("oom_kills"), kills()?);
    let failed = (log_lines(WRITE_ERROR)? - errors) as u64;
    outcome.count(&name("write_error_lines"), failed);
    outcome.claim(ended.is_ok(), format!("{how}: no progress and no end within {} s", NO_LIVELOCK.as_secs()));
    drop(work);
    still.command("verify").context("who was beside, at a full pool")?;

    let start = Instant::now();
    wait_for("the pool to be below its marks", SEEN, || {
        let pool = &swaptier_json(&["status", "--json"])?["areas"][0]["pool"];
        Ok(pool["level"] == "free")
    })
    .with_context(|| format!("once pages were freed{}", agent.log()))?;
    let limit = format!("{ROOT}/areas.slice/memory.swap.max");
    wait_for("the limit to be given back", SEEN, || Ok(kernel::read(&limit)? == "max"))?;
    outcome.figure(&name("seconds_from_ended_to_free"), start.elapsed().as_secs_f64());
    let again = Workload::spawn(&cgroup, "--hot 1M --warm 0 --cold 72M --commands --seed 7")?;
    again.finish().context("a load that fits, after pages were freed")?;
    command(&["vswap", "grow", "full", "--device", SCRATCH_DISK]).context("growing")?;
    let again = Workload::spawn(&cgroup, "--hot 1M --warm 0 --cold 200M --commands --seed 6")?;
    again.finish().context("the same load, after the pool grew")?;
    still.finish().context("who was beside")?;
    let mode = area.listed()?["pool"]["mode"].as_str().unwrap_or_default().to_owned();
    outcome.claim(mode == "read-write", format!("{how}: the pool is {mode} in the end"));
    waits(outcome, watch);
    drop((cgroup, beside, area));
    agent.stop()?;
    drop(disk);
    Ok(())
}

/// A cgroup whose pages go to disk past zswap.
pub(super) fn direct(path: &str, files: &[(&str, &str)]) -> Result<Cgroup> {
    Cgroup::with(path, &[&[("memory.zswap.max", "0")], files].concat())
}

/// Cold memory of so many MiB, all of it on the disk.
pub(super) fn on_disk(cgroup: &mut Cgroup, cold: u64, seed: u64) -> Result<Workload> {
    let arguments = format!("--hot 1M --warm 0 --cold {cold}M --commands --seed {seed}");
    let mut work = Workload::spawn(cgroup, &arguments)?;
    wait_for("the cold memory to be on disk", Duration::from_secs(60), || {
        work.command("pageout cold")?;
        let swapped: u64 = cgroup.get("memory.swap.current")?.parse().context("memory.swap.current")?;
        let still_in_memory = cgroup.stat("swapcached")?;
        if still_in_memory > 0 {
            // Written, and free to go: nobody asked for the memory yet.
            cgroup.reclaim(&still_in_memory.to_string())?;
        }
        Ok(swapped.saturating_sub(still_in_memory) >= (cold << 20) / 100 * 96)
    })?;
    Ok(work)
}

/// Waits until the agent's log has these words.
pub(super) fn said(agent: &Agent, words: &str, limit: Duration) -> Result<()> {
    let heard = wait_for(&format!("the agent to say `{words}`"), limit, || Ok(agent.said().contains(words)));
    heard.with_context(|| agent.log())
}

/// The longest wait of any task, which must be short.
pub(super) fn waits(outcome: &mut Outcome, watch: Watch) {
    let longest = watch.stop();
    let seconds = longest.wait.as_secs_f64();
    let most = outcome.figures.get("longest_wait_seconds").copied().unwrap_or_default().max(seconds);
    outcome.figure("longest_wait_seconds", most);
    let fault = format!("{} waited {seconds:.1} s where no signal reaches it", longest.who);
    outcome.claim(seconds <= LONGEST_WAIT, fault);
}

/// Marks that were met, in the order they were told: each above the one before.
fn marks(outcome: &mut Outcome, said: &str) {
    let levels = ["-> no demotion", "-> closed", "-> stopped"];
    let told: Vec<usize> =
        said.lines().filter_map(|line| levels.iter().position(|level| line.contains(level))).collect();
    outcome.count("marks_told", told.len() as u64);
    outcome.claim(told == [0, 1], format!("the marks were not met one after the other: {told:?}"));
}

/// The marks on the way, with small pieces of a pool: what is done at each, and that it is taken back.
pub(super) fn step_by_step(outcome: &mut Outcome) -> Result<()> {
    let _zswap = Zswap::set_up(40)?;
    blank(SECOND_SWAP_DISK)?;
    // Of 512 blocks of metadata an empty pool uses 62: 12 %.
    let marks = "marks = { resume = \"13%\", demote = \"14%\", close = \"17%\", stop = \"60%\" }";
    let _settings = Settings::write(&format!(
        "[[area]]\nname = \"v\"\nkind = \"virtual\"\nsize = \"8G\"\ndevices = [\"{SECOND_SWAP_DISK}\"]\n{marks}\n"
    ))?;
    let (demoting, cgroup) = (Cgroup::create("areas.slice/a")?, direct("direct.slice/b", &[])?);
    let agent = Agent::start(&[])?;
    let mut cold = Workload::spawn(&demoting, "--hot 1M --warm 0 --cold 8M --commands")?;
    // Of 1 GiB: 15 % is past the first mark, 3 % more past the second.
    let mut work = Workload::spawn(&cgroup, "--hot 1M --warm 152M --cold 32M --raw 100 --commands")?;
    work.command("pageout warm")?;
    said(&agent, "free -> no demotion", SEEN)?;
    ensure!(kernel::read(root_valve())? == "1", "the way to disk is closed too early");
    cold.command("pageout cold")?;
    std::thread::sleep(Duration::from_secs(3));
    outcome.count("pages_demoted_past_the_mark", demoting.stat("zswpwb")?);
    outcome.claim(demoting.stat("zswpwb")? == 0, "pages were demoted past the mark");
    work.command("pageout cold")?;
    said(&agent, "no demotion -> closed", SEEN)?;
    wait_for("the way to disk to be closed", SEEN, || Ok(kernel::read(root_valve())? == "0"))?;
    let limit = format!("{ROOT}/direct.slice/memory.swap.max");
    ensure!(kernel::read(&limit)? == "max", "swap-out is stopped too early");
    // Without zswap a closed valve holds nothing back.
    zswap::set("enabled", "N")?;
    wait_for("swap-out to be stopped", SEEN, || Ok(kernel::read(&limit)? != "max"))?;
    zswap::set("enabled", "Y")?;
    work.command("verify")?;
    work.finish()?;
    said(&agent, "-> free", SEEN)?;
    wait_for("the way to disk to be open", SEEN, || Ok(kernel::read(root_valve())? == "1"))?;
    wait_for("the limit to be given back", SEEN, || Ok(kernel::read(&limit)? == "max"))?;
    wait_for("demotion to go on", SEEN, || Ok(demoting.stat("zswpwb")? > 0))?;
    outcome.count("pages_demoted_below_it", demoting.stat("zswpwb")?);
    cold.finish()?;
    agent.stop()?;
    Settings::areas("")?;
    let agent = Agent::start(&[])?;
    wait_for("the area to be removed", SEEN, || Ok(kernel::swaps()?.is_empty()))?;
    agent.stop()
}
