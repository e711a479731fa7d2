//! The toolbox of `swaptier-guest`: cgroups, zswap, swap areas and processes inside a throw-away guest.
//!
//! `kernel` what the kernel says · `preamble` is this a guest that can do it? · `cgroup`, `zswap`, `swap`, `dm` guards
//! that put back what they changed · `bpf` what is loaded and pinned · `process`, `workload`, `agent` children,
//! `hidden` those with a `/dev` of their own · `wait` patience with a limit · `stuck` tasks that have none · `status`
//! what it says · `terminal` tmux · `policies`, `settings` files an operator writes · `stage` swap and zswap set up,
//! `scene` with cgroups at work · `runner` and `tests` the guest tests, `host` those of an installed system with
//! systemd · `demo`, `bench`.
//!
//! Everything here changes the kernel it runs on: [`preamble::require_guest`] comes first, always.

pub mod agent;
pub mod bench;
pub mod bpf;
pub mod cgroup;
pub mod demo;
pub mod dm;
pub mod hidden;
pub mod host;
pub mod kernel;
pub mod knobs;
pub mod manager;
pub mod policies;
pub mod preamble;
pub mod preemption;
pub mod process;
pub mod runner;
pub mod scene;
pub mod settings;
pub mod socket;
pub mod stage;
pub mod status;
pub mod stuck;
pub mod swap;
pub mod terminal;
mod tests;
pub mod wait;
pub mod workload;
pub mod zswap;
