//! Swap areas of the configuration against the kernel: a ghost's gate, an area that outlives its agent, a pool's marks.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::guest::agent::{Agent, swaptier, swaptier_json};
use crate::guest::cgroup::{Cgroup, ROOT};
use crate::guest::kernel::{self, vmstat};
use crate::guest::preamble::SWAP_DISK;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;
use crate::guest::zswap::{self, Zswap};

const SETTINGS: &str = "/etc/swaptier/swaptier.toml";
const POLICY: &str = "/etc/swaptier/policies.d/areas.toml";
const VALVE: &str = "memory.zswap.writeback";

/// Guard of files in /etc/swaptier: gone at drop.
struct Files;

impl Files {
    fn write(areas: &str) -> Result<Files> {
        std::fs::create_dir_all("/etc/swaptier/policies.d")?;
        Files::settings(areas)?;
        std::fs::write(
            POLICY,
            "schema = 1\n[match]\ncgroup = [\"areas.slice/*\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
             [demote]\nolder_than = \"1s\"\n",
        )?;
        Ok(Files)
    }

    fn settings(areas: &str) -> Result<()> {
        std::fs::write(SETTINGS, format!("[agent]\ninterval = \"1s\"\n{areas}")).context(SETTINGS)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in [SETTINGS, POLICY] {
            // Gone is as good.
            let _ = std::fs::remove_file(path);
        }
        // What a failed test leaves is removed by its name, so that the next one starts clean.
        for line in kernel::swaps().unwrap_or_default() {
            let _ = crate::guest::swap::switch_off(Path::new(&line.path));
        }
        let _ = kernel::write(root_valve(), "1");
    }
}

fn root_valve() -> String {
    format!("{ROOT}/{VALVE}")
}

fn valve_is(wanted: &str, what: &str) -> Result<()> {
    wait_for(what, Duration::from_secs(15), || Ok(kernel::read(root_valve())? == wanted))
}

fn held(status: &Value, path: &str) -> String {
    let own = status["held"].as_array().into_iter().flatten().filter(|held| held["cgroup"] == path);
    own.filter_map(|held| held["reason"].as_str()).collect::<Vec<_>>().join("; ")
}

/// Over a ghost nothing is ever written, whoever asks for it; an agent that is killed leaves the area and its gate to the
/// next one, and the last one gives both back.
pub(super) fn the_gate_over_a_ghost_is_kept_shut() -> Result<()> {
    let _zswap = Zswap::set_up(40)?;
    let area = "[[area]]\nname = \"g\"\nkind = \"ghost\"\nsize = \"512M\"\npriority = 10\n";
    let _files = Files::write(area)?;
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
    ensure!(seen == (Some("g"), Some("ghost_dm"), Some(0)), "the area's row: {row}");
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

    Files::settings("")?;
    let agent = Agent::start(&[])?;
    wait_for("the area to be removed", Duration::from_secs(15), || Ok(kernel::swaps()?.is_empty()))?;
    valve_is("1", "the root's valve to be given back")?;
    agent.stop()
}

/// As the pool fills, the agent stops demotion, then closes the way to disk, then stops swap-out; and lets go of each
/// once pages are freed.
pub(super) fn a_pools_marks_are_acted_on_in_order() -> Result<()> {
    let _zswap = Zswap::set_up(40)?;
    let area = format!(
        "[[area]]\nname = \"v\"\nkind = \"virtual\"\nsize = \"8G\"\ndevices = [\"{SWAP_DISK}\"]\n\
         marks = {{ resume = \"1%\", demote = \"2%\", close = \"4%\", stop = \"60%\" }}\n"
    );
    let _files = Files::write(&area)?;
    let (demoting, direct) = (Cgroup::create("areas.slice/a")?, Cgroup::create("direct.slice/b")?);
    let agent = Agent::start(&[])?;
    direct.set("memory.zswap.max", "0")?;
    let pool = || -> Result<(u64, u64, String)> {
        let status = swaptier_json(&["status", "--json"])?;
        let pool = &status["areas"][0]["pool"];
        let of = |key: &str| pool[key].as_u64().with_context(|| format!("no {key} of the pool: {status}"));
        Ok((of("used_bytes")?, of("total_bytes")?, pool["level"].as_str().unwrap_or("").to_owned()))
    };
    let (_, total, level) = pool()?;
    ensure!(level == "free", "the new pool is {level}");
    // Of the pool: 2.5 % straight to disk, which is past the first mark; then 2.5 % more, past the second.
    let portion = total / 40;
    let mut workload =
        Workload::spawn(&direct, &format!("--warm {portion} --cold {portion} --raw 100 --commands"))?;
    let mut cold = Workload::spawn(&demoting, "--cold 8M --commands")?;
    workload.command("pageout warm")?;
    let reaches = |wanted: &str| {
        let mut seen = String::new();
        wait_for(&format!("the pool to be `{wanted}`"), Duration::from_secs(20), || {
            let (used, _, level) = pool()?;
            seen = format!("{used} of {total} bytes on disk in use: {level}");
            Ok(level == wanted)
        })?;
        println!("    {seen}");
        Ok::<(), anyhow::Error>(())
    };
    reaches("no_demotion")?;
    ensure!(kernel::read(root_valve())? == "1", "the way to disk is closed too early");
    cold.command("pageout cold")?;
    std::thread::sleep(Duration::from_secs(3));
    let why = held(&swaptier_json(&["status", "--json"])?, demoting.path());
    ensure!(why.contains("nothing is demoted from 2% on"), "held: {why}");
    super::within("pages written back", demoting.stat("zswpwb")?, 0..=0)?;

    workload.command("pageout cold")?;
    reaches("closed")?;
    valve_is("0", "the root's valve to be closed")?;
    ensure!(direct.get("memory.swap.max")? == "max", "swap-out is stopped too early");
    // Without zswap a closed valve holds nothing back.
    zswap::set("enabled", "N")?;
    let limit = Path::new(ROOT).join("direct.slice/memory.swap.max");
    wait_for("swap-out to be stopped", Duration::from_secs(10), || Ok(kernel::read(&limit)? != "max"))?;
    println!("    direct.slice: memory.swap.max is {}", kernel::read(&limit)?);
    zswap::set("enabled", "Y")?;
    workload.command("verify")?;
    workload.finish()?;
    cold.finish()?;
    reaches("free")?;
    valve_is("1", "the root's valve to be given back")?;
    wait_for("the limit to be given back", Duration::from_secs(10), || Ok(kernel::read(&limit)? == "max"))?;
    Files::settings("")?;
    agent.stop()?;
    let agent = Agent::start(&[])?;
    wait_for("the area to be removed", Duration::from_secs(15), || Ok(kernel::swaps()?.is_empty()))?;
    agent.stop()
}
