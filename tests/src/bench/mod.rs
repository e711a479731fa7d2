//! Measurements of swaptier's own code: no guest, no probes, no cgroup of this machine. The kernel's side is made up:
//! `shadow` fills memory with slots' words as the probes would, `host` lays out the files of a host with many cgroups.
//! Measurements that need a kernel are those of the guest (`guest::bench`). Caller: `swaptier-bench`.

pub mod footprint;
mod host;
pub mod record;
pub mod scan;
pub mod screen;
mod shadow;
pub mod top;

use std::time::Duration;

/// CPU time that this thread has used. Others who want the same processor do not count, as they would on a clock.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// CPU time of a piece of work, and its result.
fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begun = cpu_time();
    let result = work();
    (cpu_time() - begun, result)
}

/// Random numbers that are the same every time: xorshift64*, by Marsaglia and Vigna.
struct Dice(u64);

impl Dice {
    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }
}
