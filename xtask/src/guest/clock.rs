//! How fast this machine's time stamp counter runs: an emulated guest has the same one. Told so, its kernel does not
//! measure it, which on a busy host goes wrong (a factor of five was seen) and then all its time is wrong. Called by
//! `guest/mod.rs`.

use std::arch::x86_64::_rdtsc;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for one part in ten thousand.
const MEASURED: Duration = Duration::from_millis(100);

/// Ticks in a millisecond, measured once.
pub(super) fn tsc_khz() -> u64 {
    static KHZ: OnceLock<u64> = OnceLock::new();
    *KHZ.get_or_init(|| {
        let (start, first) = (Instant::now(), ticks());
        thread::sleep(MEASURED);
        let (passed, last) = (start.elapsed(), ticks());
        ((u128::from(last - first)) * 1_000_000 / passed.as_nanos()) as u64
    })
}

fn ticks() -> u64 {
    // SAFETY: reads a register that every x86_64 processor has.
    unsafe { _rdtsc() }
}

#[cfg(test)]
mod tests {
    use super::tsc_khz;

    #[test]
    fn the_counter_runs_as_fast_as_processors_do() {
        let khz = tsc_khz();
        assert!((500_000..20_000_000).contains(&khz), "{khz} kHz");
    }
}
