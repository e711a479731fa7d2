//! How fast this machine's time stamp counter runs: an emulated guest has the same one. Told so, its kernel does not
//! measure it, which on a busy host goes wrong (a factor of five was seen) and then all its time is wrong. A machine that
//! is no x86-64 has none to tell of. Called by `guest/mod.rs`.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "nothing is measured there"))]

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for one part in ten thousand.
const MEASURED: Duration = Duration::from_millis(100);

/// What the guest's kernel is told of the counter, as parameters.
pub(super) fn parameters() -> String {
    match cfg!(target_arch = "x86_64") {
        true => format!(" tsc=reliable tsc_early_khz={}", tsc_khz()),
        false => String::new(),
    }
}

/// Ticks in a millisecond, measured once.
fn tsc_khz() -> u64 {
    static KHZ: OnceLock<u64> = OnceLock::new();
    *KHZ.get_or_init(|| {
        let (start, first) = (Instant::now(), ticks());
        thread::sleep(MEASURED);
        let (passed, last) = (start.elapsed(), ticks());
        ((u128::from(last - first)) * 1_000_000 / passed.as_nanos()) as u64
    })
}

#[cfg(target_arch = "x86_64")]
fn ticks() -> u64 {
    // SAFETY: reads a register that every x86_64 processor has.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn ticks() -> u64 {
    0
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::tsc_khz;

    #[test]
    fn the_counter_runs_as_fast_as_processors_do() {
        let khz = tsc_khz();
        assert!((500_000..20_000_000).contains(&khz), "{khz} kHz");
    }
}
