//! Every number that is published, a row each: where it stands in the JSON, its unit, whether it can fall, what it means,
//! where it is read; and where it has one, its metric and its column in `top`. What describes and shows it is made of the row: the
//! answer to `describe`, the metrics and their table in `docs/metrics.md`, columns and labels.
//!
//! The rows are in `agent` (and its map), `host` (and what rounds did there), `area` and `cgroup`. Words and flags are in
//! `describe`.

// A row is a line, with a line each for its metric and its column.
#[rustfmt::skip]
pub mod agent;
#[rustfmt::skip]
pub mod area;
#[rustfmt::skip]
pub mod cgroup;
#[rustfmt::skip]
pub mod host;

use std::fmt;

/// One number of a `T`.
#[derive(Debug)]
pub struct Figure<T: 'static> {
    /// Where it stands in the JSON of a `T`.
    pub key: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// Whether it can fall.
    pub kind: Kind,
    /// What it means, in a sentence.
    pub help: &'static str,
    /// Where it is read. `None` is unknown, and no zero.
    pub value: fn(&T) -> Option<f64>,
    /// What scrapers see of it.
    pub metric: Option<Series>,
    /// Where it stands on the screen.
    pub column: Option<Heading>,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Pages.
    Pages,
    /// Bytes: which is in the help.
    Bytes,
    /// Seconds.
    Seconds,
    /// Thousandths of a second.
    Milliseconds,
    /// Hundredths of a whole.
    Percent,
    /// Pages each second.
    PagesPerSecond,
    /// What the help says.
    Things,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Pages => "pages",
            Unit::Bytes => "bytes",
            Unit::Seconds => "seconds",
            Unit::Milliseconds => "milliseconds",
            Unit::Percent => "percent",
            Unit::PagesPerSecond => "pages/s",
            Unit::Things => "",
        })
    }
}

/// Whether a number can fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It rises and falls.
    Gauge,
    /// It only rises, until the agent starts anew or the cgroup goes.
    Counter,
    /// Counts by upper bound, all of which only rise.
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        })
    }
}

/// A number as a series of a metric.
#[derive(Debug)]
pub struct Series {
    /// The metric, without prefix, unit and `_total`. Rows of one metric stand together.
    pub name: &'static str,
    /// Its unit there: `bytes`, `seconds` or nothing.
    pub unit: &'static str,
    /// Which of the metric's series it is.
    pub labels: &'static [(&'static str, &'static str)],
    /// What the metric means, in a sentence.
    pub help: &'static str,
}

/// A number as a column.
#[derive(Debug)]
pub struct Heading {
    /// The column's name.
    pub name: &'static str,
    /// What stands over it where there is little room.
    pub title: &'static str,
    /// What it means there.
    pub help: &'static str,
}

impl<T> Figure<T> {
    const fn new(
        kind: Kind,
        key: &'static str,
        unit: Unit,
        value: fn(&T) -> Option<f64>,
        help: &'static str,
    ) -> Figure<T> {
        Figure { key, unit, kind, help, value, metric: None, column: None }
    }

    /// With this metric; pages are bytes there.
    const fn metric(self, name: &'static str, help: &'static str) -> Figure<T> {
        self.series(name, &[], help)
    }

    /// As one of the series of this metric.
    const fn series(
        self,
        name: &'static str,
        labels: &'static [(&'static str, &'static str)],
        help: &'static str,
    ) -> Figure<T> {
        let unit = match self.unit {
            Unit::Bytes | Unit::Pages => "bytes",
            Unit::Seconds => "seconds",
            Unit::Milliseconds | Unit::Percent | Unit::PagesPerSecond | Unit::Things => "",
        };
        Figure { metric: Some(Series { name, unit, labels, help }), ..self }
    }

    /// With this metric, where pages are counted as such: what matters is how often.
    const fn times(self, name: &'static str, help: &'static str) -> Figure<T> {
        Figure { metric: Some(Series { name, unit: "", labels: &[], help }), ..self }
    }

    /// With this column.
    const fn column(self, name: &'static str, title: &'static str, help: &'static str) -> Figure<T> {
        Figure { column: Some(Heading { name, title, help }), ..self }
    }

    /// What stands over it where there is room.
    #[must_use]
    pub fn label(&self) -> String {
        self.column.as_ref().map_or(self.key, |heading| heading.name).to_uppercase()
    }

    /// As its metric has it.
    #[must_use]
    pub fn sample(&self, of: &T, page: u64) -> Option<f64> {
        match self.metric.as_ref()?.unit {
            "bytes" => self.shown(of, page),
            _ => (self.value)(of),
        }
    }

    /// For people: pages as *original* bytes.
    #[must_use]
    pub fn shown(&self, of: &T, page: u64) -> Option<f64> {
        let number = (self.value)(of)?;
        Some(match self.unit {
            Unit::Pages | Unit::PagesPerSecond => number * page as f64,
            _ => number,
        })
    }
}

const fn gauge<T>(
    key: &'static str,
    unit: Unit,
    value: fn(&T) -> Option<f64>,
    help: &'static str,
) -> Figure<T> {
    Figure::new(Kind::Gauge, key, unit, value, help)
}

const fn counter<T>(
    key: &'static str,
    unit: Unit,
    value: fn(&T) -> Option<f64>,
    help: &'static str,
) -> Figure<T> {
    Figure::new(Kind::Counter, key, unit, value, help)
}

/// A number that is always known. Up to 2^53 nothing of it is lost.
fn sure(number: u64) -> Option<f64> {
    Some(number as f64)
}

/// A number that may not be.
fn maybe(number: Option<u64>) -> Option<f64> {
    number.and_then(sure)
}
