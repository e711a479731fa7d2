//! Every metric there is, a row each: name, unit, kind, meaning, and where in the status it is found. The rows are in
//! `agent` (and its map), `host` (and what rounds did there) and `cgroup`. `docs/metrics.md` is held against them by a
//! test, and so are the dashboard and the alert rules.
//!
//! Names follow Prometheus: one prefix, base units, `_total` behind a counter. Pages are shown as *original* bytes.

mod agent;
mod cgroup;
mod host;

use std::fmt;

use crate::serve::status::{CgroupStatus, Durations, Status};

/// Names and values of labels.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Whether a metric can fall.
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

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Without prefix, unit and `_total`.
    pub name: &'static str,
    /// `bytes`, `seconds` or nothing.
    pub unit: &'static str,
    /// What kind.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, in a sentence.
    pub help: &'static str,
    pub(super) of: Of,
}

/// Where the values come from. `None` is unknown: then there is no sample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    /// One value of the host or the agent.
    Host(fn(&Status) -> Option<f64>),
    /// Several, by label.
    Each(fn(&Status) -> Vec<(Labels, f64)>),
    /// Durations, by label.
    Durations(fn(&Status) -> Vec<(Labels, &Durations)>),
    /// One of each cgroup; the second argument is the size of a page.
    Cgroup(fn(&CgroupStatus, f64) -> Option<f64>),
}

impl Metric {
    /// The name of its samples, of a histogram what they begin with.
    #[must_use]
    pub fn full_name(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!("_{}", self.unit) };
        let end = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}_{}{unit}{end}", super::PREFIX, self.name)
    }
}

/// Every metric.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    agent::ROWS.iter().chain(host::ROWS).chain(cgroup::ROWS)
}

const fn one(
    name: &'static str,
    unit: &'static str,
    kind: Kind,
    value: fn(&Status) -> Option<f64>,
    help: &'static str,
) -> Metric {
    Metric { name, unit, kind, labels: &[], help, of: Of::Host(value) }
}

const fn each(
    name: &'static str,
    unit: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    values: fn(&Status) -> Vec<(Labels, f64)>,
    help: &'static str,
) -> Metric {
    Metric { name, unit, kind, labels, help, of: Of::Each(values) }
}

const fn durations(
    name: &'static str,
    labels: &'static [&'static str],
    values: fn(&Status) -> Vec<(Labels, &Durations)>,
    help: &'static str,
) -> Metric {
    Metric { name, unit: "seconds", kind: Kind::Histogram, labels, help, of: Of::Durations(values) }
}

const fn of_cgroup(
    name: &'static str,
    unit: &'static str,
    kind: Kind,
    value: fn(&CgroupStatus, f64) -> Option<f64>,
    help: &'static str,
) -> Metric {
    Metric { name, unit, kind, labels: &["cgroup", "policy"], help, of: Of::Cgroup(value) }
}
