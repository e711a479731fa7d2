//! What the verifier of this kernel makes of the probes.

use anyhow::{Result, ensure};

use crate::guest::agent::Agent;
use crate::guest::bpf;
use crate::guest::stage::Stage;

/// The most instructions the verifier may walk through, by program: about half as many again as it took on 6.12.117,
/// 6.18.15 or 7.2.12, where it took most. A program that needs much more than before is one step from being refused by the next kernel.
const CEILINGS: [(&str, u32); 24] = [
    ("add_to_swap_cache", 1_400),
    ("folio_alloc_swap", 1_700),
    ("folio_alloc_swap_gfp", 1_700),
    ("list_lru_add", 1_200),
    ("mem_cgroup_try_charge_swap", 1_400),
    ("memory_current_read", 300),
    ("shrink_memcg_cb", 50),
    ("shrink_memcg_cb_lock", 50),
    ("shrink_worker_enter", 50),
    ("shrink_worker_exit", 50),
    ("swap_entry_range_free", 1_100),
    ("swap_show", 500),
    ("swap_writeout_enter", 2_100),
    ("swap_writeout_enter_second", 2_100),
    ("swap_writeout_exit", 6_100),
    ("swap_writeout_exit_second", 6_100),
    ("swap_writepage_device", 3_700),
    ("swap_writepage_device_second", 3_700),
    ("zswap_folio_swapin", 1_500),
    ("zswap_invalidate", 400),
    ("zswap_load", 700),
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
