//! Quantities in journals, recordings and configuration: a number is written, a number *or* a text is read.
//!
//! So `swaptier.toml` may say `"64M"` and the journal stays arithmetic. `Limit` is the word `max` or bytes.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::{ByteRate, Bytes, Limit, Seconds, Share, ShareRate, UnitError};

/// Takes an unsigned number as it is, a text through `FromStr`.
struct NumberOrText<T>(PhantomData<T>, fn(u64) -> Option<T>);

impl<T: FromStr<Err = UnitError>> Visitor<'_> for NumberOrText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text with a unit")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        (self.1)(value).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(value), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|error: UnitError| match error.hint() {
            Some(hint) => E::custom(format_args!("{error}; {hint}")),
            None => E::custom(error),
        })
    }
}

macro_rules! on_the_wire {
    ($($unit:ident from $make:expr),* $(,)?) => {$(
        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(to)
            }
        }
        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(NumberOrText(PhantomData, $make))
            }
        }
    )*};
}

on_the_wire! {
    Bytes from |n| Some(Bytes(n)),
    Seconds from |n| Some(Seconds(n)),
    ByteRate from |n| Some(ByteRate(n)),
    Share from |n| u32::try_from(n).ok().map(Share),
    ShareRate from |n| u32::try_from(n).ok().map(ShareRate),
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Limit::Bytes(bytes) => bytes.serialize(to),
            Limit::Max => to.serialize_str("max"),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Limit, D::Error> {
        from.deserialize_any(NumberOrText(PhantomData, |n| Some(Limit::Bytes(Bytes(n)))))
    }
}
