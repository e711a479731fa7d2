//! What the verifier of this kernel makes of the probes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::guest::agent::Agent;
use crate::guest::bpf::{self, Program};
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel;
use crate::guest::preemption::{Preemption, current};
use crate::guest::stage::Stage;
use crate::guest::status::Status;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;

/// The most instructions the verifier may walk through, by program: about half as many again as it took on 6.12.117,
/// 6.18.15 or 7.3.4, where it took most. A program that needs much more than before is one step from being refused by the next kernel.
const CEILINGS: [(&str, u32); 25] = [
    ("add_to_swap_cache", 1_800),
    ("do_swap_page", 2_500),
    ("folio_alloc_swap", 1_800),
    ("folio_alloc_swap_gfp", 1_800),
    ("list_lru_add", 1_200),
    ("mem_cgroup_try_charge_swap", 1_800),
    ("memory_current_read", 300),
    ("shrink_memcg_cb", 50),
    ("shrink_memcg_cb_lock", 50),
    ("shrink_worker_enter", 50),
    ("shrink_worker_exit", 50),
    ("swap_entry_range_free", 1_100),
    ("swap_show", 500),
    ("swap_writeout_exit", 18_000),
    ("swapin_readahead", 300),
    ("swap_writeout_exit_second", 18_000),
    ("swap_writepage_device", 4_200),
    ("swap_writepage_device_second", 4_200),
    ("zswap_before", 7_500),
    ("zswap_folio_swapin", 2_200),
    ("zswap_invalidate", 400),
    ("zswap_load", 1_200),
    ("zswap_store", 100),
    ("zswap_swapoff", 50),
    ("zswap_swapon", 400),
];

/// The program that enters what was in zswap before the others, which is on no function.
const WALKER: &str = "zswap_before";

/// Every program is accepted, and its verification stays as cheap as it was.
pub(super) fn the_verifier_accepts_every_program() -> Result<()> {
    let _stage = Stage::set(40)?;
    let agent = Agent::start(&[])?;
    let programs = bpf::programs()?;
    ensure!(programs.len() > 10, "only {} programs are attached: {programs:?}", programs.len());
    let above: Vec<String> = programs.iter().filter_map(|(name, program)| above(name, *program)).collect();
    ensure!(above.is_empty(), "{}", above.join(", "));
    let (_, walker) = bpf::loaded(WALKER).with_context(|| format!("{WALKER} is not loaded"))?;
    ensure!(self::above(WALKER, walker).is_none(), "{WALKER} takes too much");
    agent.stop()
}

/// Says what a program took; what is wrong with it if that is too much.
fn above(name: &str, program: Program) -> Option<String> {
    let verified = program.verified_instructions;
    // A program without a row is a new one: what it takes is printed, and the test fails.
    let ceiling = CEILINGS.iter().find(|(program, _)| *program == name).map_or(0, |row| row.1);
    println!("    {name:<28} {verified:>6} instructions verified, at most {ceiling:>6}");
    // 0 would be a kernel that does not say.
    (verified == 0 || verified > ceiling).then(|| format!("{name}: {verified} of {ceiling}"))
}

/// A kernel that switches tasks only of its own accord runs each program once. Told to preempt, it gets second copies
/// within a tick, on the same map: what is stored before and after is counted once.
pub(super) fn programs_get_second_copies_when_the_kernel_begins_to_preempt() -> Result<()> {
    // Newer kernels can only choose between two ways to preempt: there all have their copies from the beginning.
    let is_calm = matches!(current()?.as_str(), "none" | "voluntary");
    let _stage = Stage::set(40)?;
    let agent = Agent::start(&[])?;
    let is_second = |pin: &std::path::PathBuf| pin.to_string_lossy().ends_with("-1");
    let seconds = || anyhow::Ok(bpf::links()?.iter().filter(|pin| is_second(pin)).count());
    println!("    {} second copies under {}", seconds()?, current()?);
    ensure!((seconds()? == 0) == is_calm, "{} second copies under {}", seconds()?, current()?);
    let cgroup = Cgroup::create("test.slice/preempted")?;
    let mut workload = Workload::spawn(&cgroup, "--hot 1M --warm 8M --cold 8M --commands")?;
    workload.command("pageout cold")?;
    let _full = Preemption::set("full")?;
    // While they are attached there is no complete set.
    wait_for("second copies", Duration::from_secs(10), || Ok(seconds().is_ok_and(|count| count > 5)))?;
    workload.command("pageout warm")?;
    wait_for("each store to be counted once", Duration::from_secs(10), || {
        let stored = cgroup.stat("zswpout")?;
        ensure!(stored > 2_000, "only {stored} pages were stored: nothing was put to the test");
        Ok(Status::read()?.cgroup(cgroup.path()).stored_pages == stored)
    })?;
    workload.finish()?;
    agent.stop()
}

/// Functions on which the kernel runs programs or tracers.
const WATCHED_FUNCTIONS: &str = "/sys/kernel/debug/tracing/enabled_functions";

/// Each major fault is timed once, in the tier its page was in, and only while somebody looks at a cgroup in detail.
pub(super) fn swap_ins_are_timed_by_tier_while_somebody_looks() -> Result<()> {
    let _stage = Stage::set(40)?;
    let agent = Agent::start(&[])?;
    ensure!(!is_timed_by_kernel()?, "swap-ins are timed although nobody looks");
    let compressed = Cgroup::create("test.slice/compressed")?;
    let mut in_zswap = Workload::spawn(&compressed, "--hot 1M --warm 0 --cold 16M --commands")?;
    in_zswap.command("pageout cold")?;
    let direct = Cgroup::with("test.slice/direct", &[("memory.zswap.max", "0")])?;
    let mut on_disk = Workload::spawn(&direct, "--hot 1M --warm 0 --cold 16M --commands --seed 2")?;
    on_disk.command("pageout cold")?;
    wait_for("what was written to leave memory", Duration::from_secs(30), || {
        let cached = direct.stat("swapcached")?;
        if cached > 0 {
            direct.reclaim(&cached.to_string())?;
        }
        Ok(cached < 1 << 20)
    })?;
    wait_for("swap-ins to be timed", Duration::from_secs(30), || {
        Ok(detail(&compressed)?["swap_ins"]["is_timed"] == true)
    })?;
    for name in bpf::TIMER {
        let (_, program) = bpf::loaded(name).with_context(|| format!("{name} is not loaded"))?;
        ensure!(above(name, program).is_none(), "{name} takes too much");
    }
    for (cgroup, work, tier, other) in
        [(&compressed, &mut in_zswap, "zswap", "disk"), (&direct, &mut on_disk, "disk", "zswap")]
    {
        let faults = work.command("touch cold")?.major_faults;
        let tick = Status::read()?.agent.tick;
        // The tick that was under way may have read before the last of them.
        wait_for("two ticks more", Duration::from_secs(20), || Ok(Status::read()?.agent.tick > tick + 1))?;
        let seen = detail(cgroup)?["swap_ins"].clone();
        let (timed, elsewhere) = (count(&seen, tier), count(&seen, other));
        println!(
            "    {tier}: {timed} of {faults} major faults timed, {elsewhere} of {other}: {}",
            seen[tier]
        );
        ensure!(faults > 100, "only {faults} faults: nothing to compare");
        // A page that another processor reads ahead at the same moment may count for either.
        ensure!(
            timed.abs_diff(faults) <= faults / 20 && elsewhere <= faults / 20,
            "{seen} of {faults} faults"
        );
        // Which of the two is sooner is the machine's affair: an emulated disk is memory. A bucket says when at least.
        let least = least_seconds(&seen[tier]);
        let sum = seen[tier]["sum_seconds"].as_f64().unwrap_or_default();
        ensure!(
            least <= sum && sum < 2.0 * least + 1e-6 * timed as f64,
            "{sum} s in all, and {least} s by the buckets"
        );
    }
    wait_for("the timing to end", Duration::from_secs(40), || Ok(!is_timed_by_kernel()?))?;
    in_zswap.finish()?;
    on_disk.finish()?;
    agent.stop()
}

fn is_timed_by_kernel() -> Result<bool> {
    Ok(kernel::read(WATCHED_FUNCTIONS)?.lines().any(|line| line.starts_with(bpf::TIMER[0])))
}

fn count(swap_ins: &Value, tier: &str) -> u64 {
    buckets(&swap_ins[tier]).map(|(_, count)| count).sum()
}

/// Durations, each bucket with where it begins in microseconds.
fn buckets(durations: &Value) -> impl Iterator<Item = (u64, u64)> {
    let counts = durations["swap_ins"].as_array().into_iter().flatten().filter_map(Value::as_u64);
    let begins = std::iter::once(0).chain((0..).map(|nth| 1 << nth));
    begins.zip(counts)
}

/// What all of them took together at least: twice that is the most, but for those below a microsecond.
fn least_seconds(durations: &Value) -> f64 {
    buckets(durations).map(|(begin, count)| begin as f64 * count as f64 / 1e6).sum()
}

/// What the agent says of one cgroup, over its socket.
fn detail(cgroup: &Cgroup) -> Result<Value> {
    let mut socket = UnixStream::connect("/run/swaptier/swaptier.sock").context("the agent's socket")?;
    let ask = serde_json::json!({ "v": 2, "ask": "detail", "cgroup": cgroup.path() });
    writeln!(socket, "{ask}").context("asking for a detail")?;
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).context("the answer")?;
    Ok(serde_json::from_str::<Value>(&line).context("the answer")?["value"].clone())
}
