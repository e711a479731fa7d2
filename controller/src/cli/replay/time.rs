//! Times of a recording: read from the command line, printed in UTC. Pure.

use std::str::FromStr;

use swaptier_policies::Seconds;

use crate::text::clock;

/// A moment of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Moment {
    /// So long after its first frame.
    After(Seconds),
    /// Seconds since 1970.
    Unix(u64),
}

impl Moment {
    /// In milliseconds since 1970, for a recording that begins at `first`.
    pub(in crate::cli) fn unix_ms(self, first: u64) -> u64 {
        match self {
            Moment::After(span) => first.saturating_add(span.0.saturating_mul(1000)),
            Moment::Unix(seconds) => seconds.saturating_mul(1000),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = text.parse::<Seconds>() {
            return Ok(Moment::After(span));
        }
        date(text).map(Moment::Unix).ok_or_else(|| {
            format!("`{text}` is neither a time such as 2026-11-20T12:00:00 (UTC) nor a span such as 5m")
        })
    }
}

/// `YYYY-MM-DD`, with `THH:MM` or `THH:MM:SS` behind it or a space for the `T`, and perhaps a `Z`.
fn date(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let numbers = |text: &str, between: char| -> Option<Vec<u64>> {
        text.split(between).map(|part| part.parse().ok()).collect()
    };
    let [year, month, day] = numbers(date, '-')?[..] else { return None };
    let (hour, minute, second) = match numbers(clock, ':')?[..] {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let is_possible = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    is_possible.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar: March begins the year, so that the leap day ends it.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// `YYYY-MM-DD HH:MM:SS`, in UTC.
pub(in crate::cli) fn utc(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    // The inverse of `days`, in eras of 400 years of 146,097 days.
    let shifted = seconds / 86_400 + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) =
        if month < 10 { (era * 400 + year, month + 3) } else { (era * 400 + year + 1, month - 9) };
    format!("{year:04}-{month:02}-{day:02} {}", clock(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_printed() {
        // 1,709,164,800 is 2024-02-29 00:00:00, 4,102,444,799 is 2099-12-31 23:59:59, by `date -u`.
        for (unix, text) in [
            (0, "1970-01-01 00:00:00"),
            (1_709_164_800, "2024-02-29 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (4_102_444_799, "2099-12-31 23:59:59"),
        ] {
            assert_eq!(utc(unix * 1000), text);
            assert_eq!(text.parse(), Ok(Moment::Unix(unix)), "{text}");
        }
        for day in 0..60_000 {
            assert_eq!(utc(day * 86_400_000).parse(), Ok(Moment::Unix(day * 86_400)));
        }
    }

    #[test]
    fn a_span_counts_from_the_first_frame() {
        assert_eq!("5m".parse::<Moment>().unwrap().unix_ms(1000), 301_000);
        assert_eq!("2026-11-20T12:30Z".parse(), Ok(Moment::Unix(1_795_177_800)));
        for wrong in ["", "soon", "2026-13-01", "2026-11-20T25:00", "1969-01-01", "2026-11", "20261120"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}
