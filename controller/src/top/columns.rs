//! The columns of the cgroup table, one row of [`COLUMNS`] each: a figure of a cgroup that has a heading, or what is made of
//! several.
//!
//! A column's cell, its place in the order when it sorts, its key in `--json`, its line in the help and in
//! `docs/top.md` all come from its row. Called by `view/table`, `state/order`, `plain`.

use std::{borrow::Cow, cmp::Ordering};

use super::seen::Row;
use crate::{
    serve::{
        figures::{
            self, Figure,
            cgroup::{COMPRESSED, DISK, OLDEST, PRESSURE, RAM, UNKNOWN, WRITTEN_BACK, ZERO, ZSWAP},
        },
        status::CgroupStatus,
    },
    text,
};

/// What a cell holds. What is not known is no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nobody knows.
    Unknown,
    /// Bytes; which ones is said by the column.
    Bytes(u64),
    /// *Original* bytes per second.
    PerSecond(u64),
    /// Tenths of original bytes in one compressed byte.
    Ratio(u64),
    /// Parts per million.
    Share(u64),
    /// Seconds.
    Age(u64),
    /// A word or a few.
    Word(Cow<'a, str>),
}

/// The unit of a column, which is the end of its key in `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// Original to compressed.
    Ratio,
    /// A part of a whole; in `--json` from 0 to 1.
    Share,
    /// Seconds.
    Seconds,
    /// Words.
    None,
}

/// One column.
#[derive(Debug)]
pub struct Column {
    /// Its name: for `--sort`, `--columns` and, with the unit, in `--json`.
    pub name: &'static str,
    /// What stands over it.
    pub title: &'static str,
    /// How wide it is.
    pub width: u16,
    /// What its numbers are.
    pub unit: Unit,
    cell: Cell,
    /// What it means, in a sentence.
    pub help: &'static str,
}

/// Where a cell comes from.
#[derive(Debug)]
enum Cell {
    /// A figure of the cgroup.
    Figure(&'static Figure<CgroupStatus>),
    /// Made of several, or a word.
    Made(fn(&Row) -> Value<'_>),
}

/// All columns, left to right. On a narrow screen those at the right are reached with the arrow keys.
pub const COLUMNS: &[Column] = &[
    Column::of(&RAM),
    Column::of(&ZSWAP),
    Column::of(&COMPRESSED),
    Column {
        name: "ratio",
        title: "RATIO",
        width: 5,
        unit: Unit::Ratio,
        cell: Cell::Made(|row| ratio(row.bytes(row.cgroup.zswap_pages), row.cgroup.zswap_compressed_bytes)),
        help: "ZSWAP to COMPR",
    },
    Column::of(&DISK),
    Column {
        name: "cold",
        title: "COLD",
        width: 5,
        unit: Unit::Share,
        cell: Cell::Made(|row| share(row.cgroup.cold_pages, row.cgroup.zswap_pages)),
        help: "share of ZSWAP that has been there for as long as the policy asks",
    },
    Column {
        name: "in",
        title: "IN/s",
        width: 5,
        unit: Unit::BytesPerSecond,
        cell: Cell::Made(|row| rate(row.flow().back)),
        help: "original bytes that came back into RAM, from zswap and from disk",
    },
    Column {
        name: "out",
        title: "OUT/s",
        width: 5,
        unit: Unit::BytesPerSecond,
        cell: Cell::Made(|row| rate(row.flow().out)),
        help: "original bytes that left RAM, to zswap and to disk",
    },
    Column::of(&WRITTEN_BACK),
    Column::of(&PRESSURE),
    Column::of(&OLDEST),
    Column {
        name: "regret",
        title: "REGRET",
        width: 6,
        unit: Unit::Share,
        cell: Cell::Made(|row| share(row.cgroup.regret_pages, row.cgroup.written_back_pages)),
        help: "share of the pages written back that were read from disk again",
    },
    Column {
        name: "policy",
        title: "POLICY",
        width: 16,
        unit: Unit::None,
        cell: Cell::Made(|row| word(row.cgroup.policy.as_deref())),
        help: "file name of its policy",
    },
    Column::of(&ZERO),
    Column::of(&UNKNOWN),
    Column {
        name: "last",
        title: "LAST ACTION",
        width: 40,
        unit: Unit::None,
        cell: Cell::Made(|row| word(row.cgroup.last.as_ref().map(|last| last.action.as_str()))),
        help: "what swaptier did there last",
    },
];

/// Where the column of this name stands in [`COLUMNS`].
pub fn find(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.name == name)
}

/// What a faulty name is answered with.
pub fn names() -> String {
    COLUMNS.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

impl Column {
    /// The column of a figure; one without a heading does not compile.
    const fn of(figure: &'static Figure<CgroupStatus>) -> Column {
        let heading = figure.column.as_ref().expect("a heading");
        let (name, title, help) = (heading.name, heading.title, heading.help);
        let width = if title.len() > 5 { title.len() as u16 } else { 5 };
        let unit = match figure.unit {
            figures::Unit::Pages | figures::Unit::Bytes => Unit::Bytes,
            figures::Unit::PagesPerSecond => Unit::BytesPerSecond,
            figures::Unit::Percent => Unit::Share,
            figures::Unit::Seconds => Unit::Seconds,
            figures::Unit::Milliseconds | figures::Unit::Things => Unit::None,
        };
        Column { name, title, width, unit, cell: Cell::Figure(figure), help }
    }

    /// The cell; what sorts too.
    pub fn value<'a>(&self, row: &'a Row) -> Value<'a> {
        let figure = match self.cell {
            Cell::Figure(figure) => figure,
            Cell::Made(value) => return value(row),
        };
        let Some(number) = figure.shown(&row.cgroup, row.page) else { return Value::Unknown };
        // Saturating, and nothing for what is not a number: the casts say so.
        match self.unit {
            Unit::Bytes => Value::Bytes(number as u64),
            Unit::BytesPerSecond => Value::PerSecond(number.round() as u64),
            Unit::Share => Value::Share((number * 10_000.0).round() as u64),
            Unit::Seconds => Value::Age(number as u64),
            Unit::Ratio | Unit::None => Value::Unknown,
        }
    }

    /// Whether its cells are numbers, which stand at the right.
    pub fn is_number(&self) -> bool {
        self.unit != Unit::None
    }

    /// Its key in `--json`.
    pub fn key(&self) -> String {
        let unit = match self.unit {
            Unit::Bytes => "_bytes",
            Unit::BytesPerSecond => "_bytes_per_second",
            Unit::Share => "_share",
            Unit::Seconds => "_seconds",
            Unit::Ratio | Unit::None => "",
        };
        format!("{}{unit}", self.name)
    }
}

fn rate(rate: Option<u64>) -> Value<'static> {
    rate.map_or(Value::Unknown, Value::PerSecond)
}

fn word(word: Option<&str>) -> Value<'_> {
    word.map_or(Value::Unknown, |word| Value::Word(Cow::Borrowed(word)))
}

/// How many original bytes are in one compressed byte.
pub(super) fn ratio(original: Option<u64>, compressed: Option<u64>) -> Value<'static> {
    match (original, compressed) {
        (Some(original), Some(compressed)) => {
            let tenths = (u128::from(original) * 10).checked_div(u128::from(compressed));
            tenths.map_or(Value::Unknown, |tenths| Value::Ratio(u64::try_from(tenths).unwrap_or(u64::MAX)))
        }
        _ => Value::Unknown,
    }
}

/// `part` of `whole`. Nothing of nothing is unknown.
fn share(part: Option<u64>, whole: Option<u64>) -> Value<'static> {
    match (part, whole) {
        (Some(part), Some(whole)) => {
            let parts = (u128::from(part) * 1_000_000).checked_div(u128::from(whole));
            parts.map_or(Value::Unknown, |parts| Value::Share(u64::try_from(parts).unwrap_or(u64::MAX)))
        }
        _ => Value::Unknown,
    }
}

impl Value<'_> {
    /// For people. A rate of nothing is a dot, so that what moves is seen.
    pub fn show(&self) -> Cow<'_, str> {
        Cow::Owned(match self {
            Value::Unknown => return Cow::Borrowed("-"),
            Value::Word(word) => return Cow::Borrowed(word),
            Value::PerSecond(0) => return Cow::Borrowed("."),
            Value::Bytes(bytes) | Value::PerSecond(bytes) => text::size(*bytes),
            Value::Ratio(tenths) if *tenths < 1_000 => format!("{}.{}x", tenths / 10, tenths % 10),
            Value::Ratio(tenths) => format!("{}x", tenths / 10),
            Value::Share(parts) => text::percent(*parts),
            Value::Age(seconds) => text::age(*seconds),
        })
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Value::Unknown => serde_json::Value::Null,
            Value::Bytes(number) | Value::PerSecond(number) | Value::Age(number) => (*number).into(),
            Value::Ratio(tenths) => (*tenths as f64 / 10.0).into(),
            Value::Share(parts) => (*parts as f64 / 1e6).into(),
            Value::Word(word) => word.as_ref().into(),
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Value::Unknown | Value::Word(_) => None,
            Value::Bytes(number)
            | Value::PerSecond(number)
            | Value::Ratio(number)
            | Value::Share(number)
            | Value::Age(number) => Some(*number),
        }
    }

    /// The order of a column. What is unknown comes last, whichever way it is sorted.
    pub fn order(&self, other: &Value<'_>, is_descending: bool) -> Ordering {
        let known = |value: &Value<'_>| *value == Value::Unknown;
        let turned = |order: Ordering| if is_descending { order.reverse() } else { order };
        known(self).cmp(&known(other)).then_with(|| match (self, other) {
            (Value::Word(one), Value::Word(other)) => turned(one.cmp(other)),
            _ => turned(self.number().cmp(&other.number())),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_keys_are_unique_and_titles_fit() {
        let names: BTreeSet<_> = COLUMNS.iter().map(|column| column.name).collect();
        let keys: BTreeSet<_> = COLUMNS.iter().map(Column::key).collect();
        assert_eq!((names.len(), keys.len()), (COLUMNS.len(), COLUMNS.len()));
        for column in COLUMNS {
            assert!(column.title.len() <= usize::from(column.width), "{}", column.name);
            assert!(!column.help.is_empty() && !column.help.ends_with('.'), "{}", column.name);
        }
    }

    #[test]
    fn every_figure_with_a_heading_has_its_place_and_is_a_number() {
        let figures = figures::cgroup::ROWS.iter().filter_map(|figure| figure.column.as_ref());
        let is_lost = |name: &str| find(name).is_none_or(|column| !COLUMNS[column].is_number());
        let lost: Vec<_> = figures.filter(|heading| is_lost(heading.name)).collect();
        assert!(lost.is_empty(), "{lost:?}");
    }

    #[test]
    fn unknown_is_never_shown_as_nothing_and_never_the_most_or_the_least() {
        for column in COLUMNS {
            assert_eq!(column.value(&Row::default()), Value::Unknown, "{}", column.name);
        }
        for is_descending in [false, true] {
            assert_eq!(Value::Unknown.order(&Value::Bytes(0), is_descending), Ordering::Greater);
        }
        assert_eq!(Value::Bytes(2).order(&Value::Bytes(1), true), Ordering::Less);
        // Nothing of nothing has no share, and nothing compressed no ratio.
        assert_eq!((share(Some(0), Some(0)), ratio(Some(0), Some(0))), (Value::Unknown, Value::Unknown));
    }
}
