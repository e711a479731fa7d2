//! Which index the kernel gave a cgroup. It stands in no file; events of a cgroup tell it, and so does this.

use aya_ebpf::{macros::fentry, programs::FEntryContext};

use crate::{
    kernel::{MEM_CGROUP, MEM_CGROUP_CSS, Owner, cast},
    shadow::name_counters,
};

/// `memory_current_read(css, cft)`: somebody reads `memory.current`. The agent does so for each cgroup, each tick, so
/// it knows the index of a cgroup of which no event was seen yet.
#[fentry]
pub fn memory_current_read(ctx: FEntryContext) -> i32 {
    let css: u64 = ctx.arg(0);
    let memcg = cast(css.wrapping_sub(u64::from(MEM_CGROUP_CSS.load())), &MEM_CGROUP);
    name_counters(Owner::of_memcg(memcg));
    0
}
