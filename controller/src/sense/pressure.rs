//! Pressure stall information, of a cgroup or of the host: the text of a `pressure` file as whole numbers. Pure.
//!
//! The decision crate takes no floats, so `avg10=1.23` becomes a [`Share`] here. Callers: `cgroupfs/`, `procfs.rs`.

use serde::{Deserialize, Serialize};
use swaptier_policies::Share;
use swaptier_policies::units::WHOLE;

/// One `pressure` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressure {
    /// Some task waited.
    pub some: Stall,
    /// All tasks waited at once. `None` for the host's cpu, on kernels that do not print it.
    pub full: Option<Stall>,
}

/// One line of a `pressure` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// Share of the last 10 seconds spent waiting.
    pub avg10: Share,
    /// Share of the last 60 seconds spent waiting.
    pub avg60: Share,
    /// All time spent waiting, in microseconds.
    pub total: u64,
}

impl Pressure {
    /// Reads the text; `None` when it is not what the kernel prints.
    pub fn parse(text: &str) -> Option<Pressure> {
        let line = |name: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            rest.and_then(Stall::parse)
        };
        Some(Pressure { some: line("some")?, full: line("full") })
    }
}

impl Stall {
    fn parse(rest: &str) -> Option<Stall> {
        let field = |name: &str| rest.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        Some(Stall {
            avg10: share(field("avg10")?)?,
            avg60: share(field("avg60")?)?,
            total: field("total")?.parse().ok()?,
        })
    }
}

/// `12.34` (percent, always two decimals) as parts per million: a hundredth of a percent is 100 of them.
fn share(text: &str) -> Option<Share> {
    let (whole, hundredths) = text.split_once('.')?;
    if hundredths.len() != 2 || !hundredths.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (whole, hundredths): (u32, u32) = (whole.parse().ok()?, hundredths.parse().ok()?);
    // The kernel never shows more than all of the time.
    let parts = whole.checked_mul(10_000)?.checked_add(hundredths * 100)?;
    (parts <= WHOLE).then_some(Share(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_text_is_read() {
        let text = "some avg10=1.23 avg60=0.04 avg300=0.00 total=681245\n\
                    full avg10=100.00 avg60=0.00 avg300=0.00 total=391926\n";
        // 1.23 % = 12,300 parts per million; 0.04 % = 400; 100 % = 1,000,000.
        let some = Stall { avg10: Share(12_300), avg60: Share(400), total: 681_245 };
        let full = Stall { avg10: Share(1_000_000), avg60: Share(0), total: 391_926 };
        assert_eq!(Pressure::parse(text), Some(Pressure { some, full: Some(full) }));
    }

    #[test]
    fn a_missing_full_line_is_unknown() {
        let pressure = Pressure::parse("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n").unwrap();
        assert_eq!(pressure.full, None);
    }

    #[test]
    fn anything_else_is_unknown_and_never_zero() {
        for text in [
            "",
            "full avg10=0.00 avg60=0.00 total=0",
            "some avg10=x avg60=0.00 total=0",
            "some avg10=1 avg60=1 total=0",
            "some avg10=0.00 avg60=0.00",
            "some avg10=99999999.00 avg60=0.00 total=0",
            "some avg10=100.01 avg60=0.00 total=0",
            "some avg10=0.+1 avg60=0.00 total=0",
        ] {
            assert_eq!(Pressure::parse(text), None, "{text}");
        }
    }
}
