//! Text → quantity: `"64M"`, `"1.5GiB"`, `"10m"`, `"1h30m"`, `"25%"`, `"16M/s"`, `"0.2%/min"`, `"max"`.
//!
//! Decimal fractions are worked out in integers; what does not come out whole is refused, except that sizes and
//! rates are rounded down to the byte. Nothing here knows about files or columns: `file` adds those.

use std::str::FromStr;

use super::{ByteRate, Bytes, Limit, Seconds, Share, ShareRate, WHOLE};

/// Why a text is not a quantity. The message stands alone; `hint` says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Nothing, or only blanks.
    #[error("empty text")]
    Empty,
    /// A minus sign.
    #[error("`{0}` is negative")]
    Negative(String),
    /// It does not begin with a decimal number.
    #[error("`{0}` is not a number with a unit")]
    NoNumber(String),
    /// The number has no unit, or one that is unknown.
    #[error("`{text}` has {}", if unit.is_empty() { "no unit".to_owned() } else { format!("the unknown unit `{unit}`") })]
    Unit {
        /// The whole text.
        text: String,
        /// What stands after the number.
        unit: String,
        /// The units that would do.
        known: &'static str,
    },
    /// More than the type holds.
    #[error("`{0}` is too large")]
    TooLarge(String),
    /// More than 100 %.
    #[error("`{0}` is more than 100%")]
    OverWhole(String),
    /// A fraction finer than the type holds.
    #[error("`{text}` is finer than {finest}")]
    TooFine {
        /// The whole text.
        text: String,
        /// The smallest step.
        finest: &'static str,
    },
}

impl UnitError {
    /// What to write instead, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            UnitError::Unit { known, .. } => Some(format!("known units: {known}")),
            _ => None,
        }
    }
}

const SIZES: &str = "K, M, G, T, P (powers of 1024; `KiB` … also), as in \"64M\"";
const TIMES: &str = "s, m, h, d, as in \"10m\" or \"1h30m\"";
const PERCENT: &str = "%, as in \"25%\"";
const PER: &str = "/s, /min, /h, /day, as in \"16M/s\" or \"0.2%/min\"";

/// A decimal number before its unit: `mantissa / 10^decimals`.
struct Number {
    mantissa: u128,
    decimals: u32,
}

impl Number {
    /// `self × unit`, and whether that is whole. `None` when it does not fit into 64 bits.
    fn times(&self, unit: u64) -> Option<(u64, bool)> {
        let scale = 10u128.pow(self.decimals);
        let product = self.mantissa.checked_mul(u128::from(unit))?;
        Some((u64::try_from(product / scale).ok()?, product % scale == 0))
    }
}

/// Splits the number off the front of `rest`; `whole` is the text for messages.
fn number<'a>(rest: &'a str, whole: &str) -> Result<(Number, &'a str), UnitError> {
    if whole.trim().is_empty() {
        return Err(UnitError::Empty);
    }
    if rest.starts_with(['-', '−']) {
        return Err(UnitError::Negative(whole.to_owned()));
    }
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (digits, tail) = rest.split_at(end);
    let (units, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if units.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(UnitError::NoNumber(whole.to_owned()));
    }
    let fraction = fraction.trim_end_matches('0');
    // 20 digits hold any u64 and 9 decimals any ratio we know; together they fit into 128 bits.
    if units.trim_start_matches('0').len() > 20 {
        return Err(UnitError::TooLarge(whole.to_owned()));
    }
    if fraction.len() > 9 {
        return Err(UnitError::TooFine { text: whole.to_owned(), finest: "nine decimals" });
    }
    let decimals = u32::try_from(fraction.len()).unwrap_or(0);
    let mantissa = format!("{units}{fraction}").parse().map_err(|_| UnitError::TooLarge(whole.to_owned()))?;
    Ok((Number { mantissa, decimals }, tail))
}

fn unknown_unit(text: &str, unit: &str, known: &'static str) -> UnitError {
    UnitError::Unit { text: text.to_owned(), unit: unit.trim().to_owned(), known }
}

fn size_unit(unit: &str) -> Option<u64> {
    let shift = match unit {
        "" | "B" => 0,
        "K" | "Ki" | "KiB" => 10,
        "M" | "Mi" | "MiB" => 20,
        "G" | "Gi" | "GiB" => 30,
        "T" | "Ti" | "TiB" => 40,
        "P" | "Pi" | "PiB" => 50,
        _ => return None,
    };
    Some(1 << shift)
}

impl FromStr for Bytes {
    type Err = UnitError;

    /// Bytes, or a number with `K`, `M`, `G`, `T`, `P`: powers of 1024, rounded down to the byte.
    fn from_str(text: &str) -> Result<Bytes, UnitError> {
        let (number, unit) = number(text.trim(), text)?;
        let scale = size_unit(unit.trim()).ok_or_else(|| unknown_unit(text, unit, SIZES))?;
        let (bytes, _) = number.times(scale).ok_or_else(|| UnitError::TooLarge(text.to_owned()))?;
        Ok(Bytes(bytes))
    }
}

fn time_unit(unit: &str) -> Option<u64> {
    match unit {
        "s" | "sec" => Some(1),
        "m" | "min" => Some(60),
        "h" => Some(3_600),
        "d" | "day" => Some(86_400),
        _ => None,
    }
}

impl FromStr for Seconds {
    type Err = UnitError;

    /// One or more numbers with `s`, `m`, `h`, `d`: `90s`, `10m`, `1h30m`. Whole seconds only.
    fn from_str(text: &str) -> Result<Seconds, UnitError> {
        let mut rest = text.trim();
        let mut total: u64 = 0;
        loop {
            let (number, tail) = number(rest, text)?;
            let tail = tail.trim_start();
            let end = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
            let (unit, next) = tail.split_at(end);
            let scale = time_unit(unit).ok_or_else(|| unknown_unit(text, unit, TIMES))?;
            let (seconds, whole) = number.times(scale).ok_or_else(|| UnitError::TooLarge(text.to_owned()))?;
            if !whole {
                return Err(UnitError::TooFine { text: text.to_owned(), finest: "a second" });
            }
            total = total.checked_add(seconds).ok_or_else(|| UnitError::TooLarge(text.to_owned()))?;
            rest = next.trim_start();
            if rest.is_empty() {
                return Ok(Seconds(total));
            }
        }
    }
}

/// Parts per million of a text such as `25%`, without a bound.
fn parts(text: &str) -> Result<u64, UnitError> {
    let (number, unit) = number(text.trim(), text)?;
    if unit.trim() != "%" {
        return Err(unknown_unit(text, unit, PERCENT));
    }
    let (parts, whole) =
        number.times(u64::from(WHOLE) / 100).ok_or_else(|| UnitError::TooLarge(text.to_owned()))?;
    if whole { Ok(parts) } else { Err(UnitError::TooFine { text: text.to_owned(), finest: "0.0001%" }) }
}

impl FromStr for Share {
    type Err = UnitError;

    /// A percentage from `0%` to `100%`, in steps of 0.0001 %.
    fn from_str(text: &str) -> Result<Share, UnitError> {
        u32::try_from(parts(text)?)
            .ok()
            .filter(|&parts| parts <= WHOLE)
            .map(Share)
            .ok_or_else(|| UnitError::OverWhole(text.to_owned()))
    }
}

/// Splits `amount/unit` and gives the amount and the seconds of the unit.
fn per(text: &str) -> Result<(&str, u64), UnitError> {
    let (amount, unit) = text.split_once('/').ok_or_else(|| unknown_unit(text, "", PER))?;
    let seconds = time_unit(unit.trim()).ok_or_else(|| unknown_unit(text, &format!("/{unit}"), PER))?;
    Ok((amount, seconds))
}

impl FromStr for ByteRate {
    type Err = UnitError;

    /// A size per `s`, `min`, `h` or `day`, rounded down to bytes per second.
    fn from_str(text: &str) -> Result<ByteRate, UnitError> {
        let (amount, seconds) = per(text)?;
        Ok(ByteRate(amount.parse::<Bytes>()?.0 / seconds))
    }
}

impl FromStr for ShareRate {
    type Err = UnitError;

    /// A percentage per `s`, `min`, `h` or `day`, kept per minute and rounded down.
    fn from_str(text: &str) -> Result<ShareRate, UnitError> {
        let (amount, seconds) = per(text)?;
        let share: Share = amount.parse()?;
        let a_minute = u64::from(share.0) * 60 / seconds;
        u32::try_from(a_minute).map(ShareRate).map_err(|_| UnitError::TooLarge(text.to_owned()))
    }
}

impl FromStr for Limit {
    type Err = UnitError;

    /// The word `max`, or a size.
    fn from_str(text: &str) -> Result<Limit, UnitError> {
        if text.trim() == "max" { Ok(Limit::Max) } else { text.parse().map(Limit::Bytes) }
    }
}
