//! Every metric there is: the published figures that have one, and the few that are no figure, a row each. `docs/metrics.md` is
//! held against them by a test, and so are the dashboard and the alert rules.
//!
//! Names follow Prometheus: one prefix, base units, `_total` behind a counter. Pages are shown as *original* bytes.

use std::sync::LazyLock;

pub use crate::serve::figures::Kind;
use crate::serve::{
    figures::{Figure, agent, area, cgroup, host},
    status::{AreaStatus, CgroupStatus, Durations, Status},
};

/// Names and values of labels.
pub(super) type Labels = Vec<(&'static str, String)>;

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
    pub labels: Vec<&'static str>,
    /// What it means, in a sentence.
    pub help: &'static str,
    pub(super) of: Of,
}

/// Where the values come from. `None` is unknown: then there is no sample.
#[derive(Debug)]
pub(super) enum Of {
    /// The host or the agent: a series for each figure.
    Host(Vec<&'static Figure<Status>>),
    /// One of each swap area.
    Area(&'static Figure<AreaStatus>),
    /// One of each cgroup.
    Cgroup(&'static Figure<CgroupStatus>),
    /// What is no figure, by label.
    Each(fn(&Status) -> Vec<(Labels, f64)>),
    /// Durations, by label.
    Durations(fn(&Status) -> Vec<(Labels, &Durations)>),
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

/// Every metric, by name.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    static ALL: LazyLock<Vec<Metric>> = LazyLock::new(all);
    ALL.iter()
}

fn all() -> Vec<Metric> {
    let whole: Vec<_> = agent::ROWS.iter().chain(host::ROWS).collect();
    let name = |figure: &Figure<Status>| figure.metric.as_ref().map(|series| series.name);
    let whole = whole.chunk_by(|one, other| name(one) == name(other)).filter_map(|rows| {
        let labels = rows[0].metric.as_ref()?.labels.iter().map(|(label, _)| *label).collect();
        metric(rows[0], labels, Of::Host(rows.to_vec()))
    });
    let areas = area::ROWS.iter().filter_map(|row| metric(row, vec!["area", "kind"], Of::Area(row)));
    let cgroups =
        cgroup::ROWS.iter().filter_map(|row| metric(row, vec!["cgroup", "policy"], Of::Cgroup(row)));
    let mut all: Vec<Metric> = others().into_iter().chain(whole).chain(areas).chain(cgroups).collect();
    all.sort_by_key(|metric| metric.name);
    all
}

/// The metric of a figure that has one.
fn metric<T>(figure: &Figure<T>, labels: Vec<&'static str>, of: Of) -> Option<Metric> {
    let series = figure.metric.as_ref()?;
    Some(Metric { name: series.name, unit: series.unit, kind: figure.kind, labels, help: series.help, of })
}

/// What is no figure: words and flags, how many there are of something, durations.
fn others() -> Vec<Metric> {
    let gauge = |name, labels: &[&'static str], help, values| Metric {
        name,
        unit: "",
        kind: Kind::Gauge,
        labels: labels.to_vec(),
        help,
        of: Of::Each(values),
    };
    vec![
        gauge("build_info", &["version"], "Always 1; the version of swaptier is its label.", |_| {
            vec![(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)]
        }),
        gauge(
            "agent_dialect_info",
            &["dialect"],
            "Always 1; the way write-back would be done now is its label. Missing where there is none.",
            |s| s.agent.dialect.iter().map(|dialect| (vec![("dialect", dialect.clone())], 1.0)).collect(),
        ),
        gauge(
            "map_state",
            &["state"],
            "Always 1; whether the map agrees with the kernel is its label: exact, behind or absent.",
            |s| vec![(vec![("state", s.map.state.to_string())], 1.0)],
        ),
        gauge("agent_dry_run", &[], "1 while the agent decides and changes nothing.", |s| {
            flag(Some(s.agent.dry_run))
        }),
        gauge("zswap_enabled", &[], "1 while zswap takes pages.", |s| flag(s.host.zswap_enabled)),
        gauge(
            "agent_changed_files",
            &[],
            "Kernel files that hold a value of swaptier's and will be given back.",
            |s| number(s.knobs.len()),
        ),
        gauge("agent_losses", &[], "Things this host lacks that cost a part of what swaptier can do.", |s| {
            number(s.agent.lost.len())
        }),
        gauge("agent_holds", &[], "Things the last decision did not do, and said why.", |s| {
            number(s.held.len())
        }),
        gauge("cgroups", &[], "Cgroups with a policy or with anything in swap.", |s| number(s.cgroups.len())),
        Metric {
            name: "swap_in_duration",
            unit: "seconds",
            kind: Kind::Histogram,
            labels: vec!["tier"],
            help: "How long swap-ins took by the tier their page was in, while they were timed.",
            of: Of::Durations(swap_ins),
        },
    ]
}

fn number(number: usize) -> Vec<(Labels, f64)> {
    vec![(Labels::new(), number as f64)]
}

fn flag(flag: Option<bool>) -> Vec<(Labels, f64)> {
    flag.into_iter().map(|flag| (Labels::new(), f64::from(u8::from(flag)))).collect()
}

fn swap_ins(status: &Status) -> Vec<(Labels, &Durations)> {
    let of = |tier: &str, durations| (vec![("tier", tier.to_owned())], durations);
    let swap_ins = status.host.swap_ins.iter();
    swap_ins.flat_map(|it| [of("zswap", &it.zswap), of("disk", &it.disk)]).collect()
}
