//! What the generator prints: JSON lines. Shapes only; `drive` and `commands` fill them.

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;

/// Latency of touching the pages of one part, in nanoseconds of the clock (a fault included).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Pages of the part.
    pub pages: u64,
    /// How many touches were timed.
    pub touches: u64,
    /// Median.
    pub p50_ns: u64,
    /// 99 of 100 touches took no longer.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

impl Latency {
    pub(super) fn of(pages: u64, histogram: &Histogram) -> Latency {
        Latency {
            pages,
            touches: histogram.count(),
            p50_ns: histogram.percentile(50),
            p99_ns: histogram.percentile(99),
            max_ns: histogram.max(),
        }
    }
}

/// The closing line of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this shape.
    pub schema: u32,
    /// Pages of memory that were verified (freed parts are not).
    pub pages: u64,
    /// Pages, of memory or file, that held anything but their contents.
    pub mismatches: u64,
    /// Faults served without IO since the start, from getrusage(2).
    pub minor_faults: u64,
    /// Faults that had to read, from getrusage(2).
    pub major_faults: u64,
    /// Loops done.
    pub loops: u64,
    /// From the first loop to the end of the last, without filling and verifying.
    pub seconds: f64,
    /// Touches of the hot part.
    pub hot: Latency,
    /// Touches of the warm part.
    pub warm: Latency,
    /// Touches of the cold part, all at the end.
    pub cold: Latency,
    /// Reads of the file, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<Latency>,
}

/// The answer to one command.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The command as it was read.
    pub command: String,
    /// Pages it worked on.
    pub pages: u64,
    /// Pages found wrong since the start, whole run.
    pub mismatches: u64,
    /// Faults during the command.
    pub minor_faults: u64,
    /// Faults with IO during the command.
    pub major_faults: u64,
    /// Duration.
    pub seconds: f64,
    /// Why the command was not done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// Minor and major faults of this process until now.
pub(super) fn faults() -> (u64, u64) {
    // SAFETY: getrusage fills the struct it is given; RUSAGE_SELF cannot fail.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    (usage.ru_minflt as u64, usage.ru_majflt as u64)
}
