//! The probes: one file per path of the kernel. They stamp the shadow map and count; they never judge, and
//! nothing they do changes what the kernel does.
//!
//! What keeps the map is loaded twice and attached twice to its function, because the kernel skips a tracing
//! program that a preempted task is still inside of. All transitions are therefore compare-and-swap on the
//! slot's word and count only when they win, so the second copy finds nothing left to do.
#![no_std]
#![no_main]
#![allow(internal_features, reason = "atomic read-modify-write exists only as intrinsics on this target")]
#![feature(asm_experimental_arch, core_intrinsics)]

mod area;
mod before;
mod cgroup;
mod copies;
mod free;
mod kernel;
mod latency;
mod maps;
mod reclaim;
mod shadow;
mod swapin;
mod swapout;
mod tree;
mod zswap;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel lets only GPL-compatible programs call its tracing helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
