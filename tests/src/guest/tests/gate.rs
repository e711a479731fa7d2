//! Swap areas of the configuration against the kernel: a ghost's gate, and an area that outlives its agent.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::guest::agent::{Agent, swaptier, swaptier_json};
use crate::guest::cgroup::Cgroup;
use crate::guest::hidden::{self, Ghost};
use crate::guest::kernel::{self, vmstat};
use crate::guest::settings::{Settings, VALVE, root_valve, root_valve_is as valve_is};
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;
use crate::guest::zswap::Zswap;

fn held(status: &Value, path: &str) -> String {
    let own = status["held"].as_array().into_iter().flatten().filter(|held| held["cgroup"] == path);
    own.filter_map(|held| held["reason"].as_str()).collect::<Vec<_>>().join("; ")
}

/// Over a ghost nothing is ever written, whoever asks for it; an agent that is killed leaves the area and its gate to the
/// next one, and the last one gives both back.
pub(super) fn the_gate_over_a_ghost_is_kept_shut() -> Result<()> {
    kept_shut("ghost", "ghost_dm")
}

/// The same over zram, whose pages the kernel reads another way.
pub(super) fn the_gate_over_a_zram_ghost_is_kept_shut() -> Result<()> {
    kept_shut("zram", "ghost_zram")
}

fn kept_shut(kind: &str, storage: &str) -> Result<()> {
    let _zswap = Zswap::set_up(40)?;
    let area = format!("[[area]]\nname = \"g\"\nkind = \"{kind}\"\nsize = \"512M\"\npriority = 10\n");
    let _settings = Settings::write(&area)?;
    let cgroup = Cgroup::create("areas.slice/a")?;
    ensure!(kernel::read(root_valve())? == "1", "the root's valve is not open to begin with");
    let agent = Agent::start(&[])?;
    valve_is("0", "the root's valve to be closed")?;
    wait_for("the cgroup's valve to be closed", Duration::from_secs(10), || Ok(cgroup.get(VALVE)? == "0"))?;

    let written = vmstat("pswpout")?;
    let mut workload = Workload::spawn(&cgroup, "--cold 40M --raw 5 --commands")?;
    workload.command("pageout cold")?;
    std::thread::sleep(Duration::from_secs(3));
    let status = swaptier_json(&["status", "--json"])?;
    let why = held(&status, cgroup.path());
    ensure!(why.contains("no swap area that is on has storage (g is a ghost)"), "held: {why}");
    let row = &status["areas"][0];
    let seen = (row["name"].as_str(), row["storage"].as_str(), row["pinned_pages"].as_u64());
    ensure!(seen == (Some("g"), Some(storage), Some(0)), "the area's row: {row}");
    let zswap = row["zswap_pages"].as_u64().unwrap_or(0);
    let kernel_pages = cgroup.stat("zswapped")? / kernel::page_size();
    println!("    {zswap} pages of the ghost in zswap by the map, {kernel_pages} by the kernel");
    super::within("pages of the ghost in zswap", zswap, kernel_pages..=kernel_pages)?;

    let round = swaptier(&["writeback", cgroup.path(), "--max", "100"])?;
    ensure!(round.code != 0 && round.stderr.contains("g is a ghost"), "{}: {}", round.code, round.stderr);
    kernel::write(root_valve(), "1")?;
    valve_is("0", "the opened valve to be closed again")?;
    ensure!(agent.log().contains("somebody opened the way to disk"), "not told:\n{}", agent.log());

    agent.kill()?;
    ensure!(kernel::swaps()?.len() == 1, "the area went with its agent");
    let agent = Agent::start(&[])?;
    workload.command("verify")?;
    ensure!(kernel::swaps()?.len() == 1 && kernel::read(root_valve())? == "0", "not adopted");
    agent.stop()?;
    ensure!(kernel::read(root_valve())? == "0", "the gate was opened over a ghost");
    let restored = swaptier(&["restore"])?;
    ensure!(kernel::read(root_valve())? == "0", "restore opened the gate over a ghost: {}", restored.stdout);
    workload.finish()?;
    super::within("pages written to the ghost", vmstat("pswpout")? - written, 0..=0)?;

    Settings::areas("")?;
    let agent = Agent::start(&[])?;
    wait_for("the area to be removed", Duration::from_secs(15), || Ok(kernel::swaps()?.is_empty()))?;
    valve_is("1", "the root's valve to be given back")?;
    agent.stop()
}

/// A ghost is one for an agent whose `/dev` is empty, and whatever its name is after it was switched on in a mount namespace
/// that is gone. Nothing is written to it, it is not made anew, and it goes when it is told to.
pub(super) fn a_ghost_is_one_behind_a_dev_of_its_own() -> Result<()> {
    let _zswap = Zswap::set_up(40)?;
    let _settings = Settings::without_policy()?;
    let ghost = Ghost::make("big", "512M", "10")?;
    println!("    /proc/swaps: {}", kernel::read("/proc/swaps")?.lines().last().unwrap_or_default());

    let written = vmstat("pswpout")?;
    let agent = Agent::start_hidden()?;
    valve_is("0", "the root's valve to be closed")?;
    let cgroup = Cgroup::create("areas.slice/a")?;
    let mut workload = Workload::spawn(&cgroup, "--cold 40M --raw 5 --commands")?;
    workload.command("pageout cold")?;
    let row = swaptier_json(&["status", "--json"])?["areas"][0].clone();
    ensure!(row["name"] == "big" && row["storage"] == "ghost_dm", "the area's row: {row}");
    workload.command("verify")?;
    workload.finish()?;
    super::within("pages written to the ghost", vmstat("pswpout")? - written, 0..=0)?;
    agent.stop()?;

    // Without the list, and without the control node, nothing says that it holds pages.
    let (list, away) = ("/var/lib/swaptier/areas.json", "/var/lib/swaptier/areas.away");
    std::fs::rename(list, away)?;
    let status = hidden::command("tmpfs", &["status", "--json"])?.output();
    std::fs::rename(away, list)?;
    let status: Value = serde_json::from_slice(&status?.stdout)?;
    ensure!(status["areas"][0]["storage"] == "unseen", "the area's row: {}", status["areas"][0]);
    ensure!(status["agent"]["lost"].to_string().contains("cannot be told from here"), "not said: {status}");

    // Slots that memory has no room for are refused before anything is made, or take none to speak of.
    let huge = swaptier(&["ghost", "create", "huge", "--size", "1T", "--kind", "dm"])?;
    println!("    1 TiB of slots: {} {}", huge.code, huge.stderr.trim());
    match huge.code {
        0 => ensure!(swaptier(&["ghost", "remove", "huge"])?.code == 0, "a large ghost cannot be removed"),
        _ => ensure!(
            huge.stderr.contains("of the kernel's memory"),
            "not refused for its size: {}",
            huge.stderr
        ),
    }
    ghost.remove()?;
    ensure!(kernel::swaps()?.is_empty(), "areas are left");
    swaptier(&["restore"]).map(drop)?;
    valve_is("1", "the root's valve to be given back")
}
