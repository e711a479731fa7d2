//! What swaptier is tested with: the workload generator and the toolbox of the guest tests.
//!
//! - [`workload`]: memory with hot, warm and cold parts that proves its own contents (`swaptier-workload`).
//! - [`guest`]: cgroups, zswap and swap areas inside a throw-away guest (`swaptier-guest`).
//! - `bench`: what the scan and a tick cost, on any machine (`swaptier-bench`, feature `bench`).
//!
//! Booting a guest is `xtask`'s work; nothing here starts a virtual machine.

#[cfg(feature = "bench")]
pub mod bench;
pub mod guest;
pub mod workload;
