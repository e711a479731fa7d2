//! What the verifier of this kernel makes of the probes.

use anyhow::{Result, ensure};

use std::time::Duration;

use crate::guest::agent::Agent;
use crate::guest::bpf;
use crate::guest::cgroup::Cgroup;
use crate::guest::preemption::{Preemption, current};
use crate::guest::stage::Stage;
use crate::guest::status::Status;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;

/// The most instructions the verifier may walk through, by program: about half as many again as it took on 6.12.117,
/// 6.18.15 or 7.2.12, where it took most. A program that needs much more than before is one step from being refused by the next kernel.
const CEILINGS: [(&str, u32); 22] = [
    ("add_to_swap_cache", 1_800),
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
    ("swap_writeout_exit", 6_100),
    ("swap_writeout_exit_second", 6_100),
    ("swap_writepage_device", 4_200),
    ("swap_writepage_device_second", 4_200),
    ("zswap_folio_swapin", 2_200),
    ("zswap_invalidate", 400),
    ("zswap_load", 1_200),
    ("zswap_store", 100),
    ("zswap_swapoff", 50),
    ("zswap_swapon", 400),
];

/// Every program is accepted, and its verification stays as cheap as it was.
pub(super) fn the_verifier_accepts_every_program() -> Result<()> {
    let _stage = Stage::set(40)?;
    let agent = Agent::start(&[])?;
    let programs = bpf::programs()?;
    ensure!(programs.len() > 10, "only {} programs are attached: {programs:?}", programs.len());
    let mut above = Vec::new();
    for (name, program) in &programs {
        let verified = program.verified_instructions;
        // A program without a row is a new one: what it takes is printed, and the test fails.
        let ceiling = CEILINGS.iter().find(|(program, _)| program == name).map_or(0, |row| row.1);
        println!("    {name:<28} {verified:>6} instructions verified, at most {ceiling:>6}");
        // 0 would be a kernel that does not say.
        if verified == 0 || verified > ceiling {
            above.push(format!("{name}: {verified} of {ceiling}"));
        }
    }
    ensure!(above.is_empty(), "{}", above.join(", "));
    agent.stop()
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
        Ok(Status::read()?.cgroup(cgroup.path()).stored_pages == cgroup.stat("zswpout")?)
    })?;
    workload.finish()?;
    agent.stop()
}
