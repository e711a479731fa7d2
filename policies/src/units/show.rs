//! Quantity → text for people: `64.0 MiB`, `8192 pages`, `1h 30m`, `0.1%`, `16.0 MiB/s`, `max`.
//!
//! Kernel files are written by the actuators from the numbers themselves, never from these texts.

use std::fmt;

use super::{ByteRate, Bytes, Limit, Pages, Seconds, Share, ShareRate, WHOLE};

const STEPS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

impl fmt::Display for Bytes {
    /// IEC with one decimal, rounded to nearest: `64.0 MiB`; below 1 KiB: `512 B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut tenths = u128::from(self.0) * 10;
        let mut step = 0;
        tenths = (tenths + 512) / 1024;
        while tenths >= 10_240 && step + 1 < STEPS.len() {
            step += 1;
            let unit = 1024u128.pow(u32::try_from(step).unwrap_or(0) + 1);
            tenths = (u128::from(self.0) * 10 + unit / 2) / unit;
        }
        f.pad(&format!("{}.{} {}", tenths / 10, tenths % 10, STEPS[step]))
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&if self.0 == 1 { "1 page".to_owned() } else { format!("{} pages", self.0) })
    }
}

impl fmt::Display for Seconds {
    /// The two largest units: `5s`, `10m`, `1h 30m`, `2d 4h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts =
            [(self.0 / 86_400, 'd'), (self.0 / 3_600 % 24, 'h'), (self.0 / 60 % 60, 'm'), (self.0 % 60, 's')];
        let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
        let shown: Vec<String> = parts[first..]
            .iter()
            .take(2)
            .enumerate()
            .filter(|(i, (n, _))| *i == 0 || *n > 0)
            .map(|(_, (n, unit))| format!("{n}{unit}"))
            .collect();
        f.pad(&shown.join(" "))
    }
}

/// `parts` per million as a percentage without trailing zeros.
fn percent(parts: u32) -> String {
    let one = WHOLE / 100;
    let fraction = format!("{:04}", parts % one);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}%", parts / one)
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&percent(self.0))
    }
}

impl fmt::Display for ShareRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/min", percent(self.0)))
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/s", Bytes(self.0)))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Bytes(bytes) => bytes.fmt(f),
            Limit::Max => f.pad("max"),
        }
    }
}
