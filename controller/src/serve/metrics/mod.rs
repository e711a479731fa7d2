//! The metrics: the published status as OpenMetrics text. `table` says what there is, `http` and `textfile` are the two
//! ways out beside the socket. Nothing is counted here; a scrape costs the agent's loop nothing.

pub mod http;
mod table;
pub mod textfile;

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use swaptier_policies::path::is_below;

use super::{
    board::Page,
    figures::Figure,
    status::{AreaStatus, CgroupStatus, Durations, Status},
};
pub use table::{Kind, Metric, metrics};
use table::{Labels, Of};

/// What every name begins with.
pub const PREFIX: &str = "swaptier";

/// The value of the label `cgroup` under which the cgroups without series of their own are summed.
pub const OTHER: &str = "other";

/// How the metrics are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Cgroups with series of their own, at most.
    pub cgroups: usize,
}

/// The page as OpenMetrics text.
#[must_use]
pub fn render(page: &Arc<Page>, shape: Shape) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(View { page: page.clone(), shape }));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("writing to a text cannot fail");
    text
}

/// The same text as node_exporter, promtool and older scrapers read it: the name of a counter's family is that of its
/// sample, and there are no units and no end.
#[must_use]
pub fn classic(open: &str) -> String {
    let counters: Vec<&str> =
        open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines() {
        let mut words = line.splitn(4, ' ');
        let (hash, what, name) = (words.next(), words.next(), words.next());
        match (hash, what, name) {
            (Some("#"), Some("UNIT" | "EOF"), _) => continue,
            (Some("#"), Some(what @ ("TYPE" | "HELP")), Some(name)) if counters.contains(&name) => {
                text.push_str(&format!("# {what} {name}_total {}", words.next().unwrap_or_default()));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// A page on its way to a scraper.
#[derive(Debug)]
struct View {
    page: Arc<Page>,
    shape: Shape,
}

impl Collector for View {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = &self.page.status;
        let (shown, summed) = chosen(&status.cgroups, self.shape.cgroups);
        let page = status.host.page_bytes;
        for metric in metrics() {
            let samples: Vec<(Labels, f64)> = match &metric.of {
                Of::Durations(values) => {
                    spread(metric, &values(status), &mut encoder)?;
                    continue;
                }
                Of::Each(values) => values(status),
                Of::Host(figures) => figures
                    .iter()
                    .filter_map(|figure| Some((constant(figure), figure.sample(status, page)?)))
                    .collect(),
                Of::Area(figure) => status
                    .areas
                    .iter()
                    .filter_map(|area| Some((of_area(area), figure.sample(area, page)?)))
                    .collect(),
                Of::Cgroup(figure) => {
                    let own = shown.iter().filter_map(|row| Some((labels(row), figure.sample(row, page)?)));
                    own.chain(other(metric, figure, &summed, page)).collect()
                }
            };
            if !samples.is_empty() {
                write(metric, &samples, &mut encoder)?;
            }
        }
        Ok(())
    }
}

fn begin<'e>(
    metric: &Metric,
    encoder: &'e mut DescriptorEncoder<'_>,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    let kind = match metric.kind {
        Kind::Gauge => MetricType::Gauge,
        Kind::Counter => MetricType::Counter,
        Kind::Histogram => MetricType::Histogram,
    };
    let unit = match metric.unit {
        "bytes" => Some(&Unit::Bytes),
        "seconds" => Some(&Unit::Seconds),
        _ => None,
    };
    encoder.encode_descriptor(metric.name, metric.help, unit, kind)
}

fn write(metric: &Metric, samples: &[(Labels, f64)], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut family = begin(metric, encoder)?;
    let value = |encoder: &mut MetricEncoder<'_>, value: f64| match metric.kind {
        Kind::Counter => encoder.encode_counter::<NoLabelSet, f64, f64>(&value, None),
        Kind::Gauge | Kind::Histogram => encoder.encode_gauge(&value),
    };
    for (labels, sample) in samples {
        if labels.is_empty() {
            value(&mut family, *sample)?;
        } else {
            value(&mut family.encode_family(&shown(labels))?, *sample)?;
        }
    }
    Ok(())
}

/// Histograms, every bucket of each: a series that came and went would be one that began anew.
fn spread(
    metric: &Metric,
    samples: &[(Labels, &Durations)],
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    if samples.is_empty() {
        return Ok(());
    }
    let mut family = begin(metric, encoder)?;
    for (labels, durations) in samples {
        let buckets = durations.by_bound();
        family.encode_family(&shown(labels))?.encode_histogram::<NoLabelSet>(
            durations.sum_seconds,
            durations.count(),
            &buckets,
            None,
        )?;
    }
    Ok(())
}

fn shown(labels: &Labels) -> Vec<(&'static str, String)> {
    labels.iter().map(|(name, text)| (*name, escaped(text))).collect()
}

/// The value of a label as the format wants it: whoever owns a delegated cgroup names those below it. The library
/// writes it as it comes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Which cgroups have series of their own, and which are summed: with a policy before without, then as they stand in
/// the tree, so that a series does not come and go with a cgroup's size.
fn chosen(rows: &[CgroupStatus], most: usize) -> (Vec<&CgroupStatus>, Vec<&CgroupStatus>) {
    let mut rows: Vec<&CgroupStatus> = rows.iter().collect();
    let depth = |row: &CgroupStatus| row.path.split('/').count();
    rows.sort_by_key(|row| (row.policy.is_none(), depth(row), row.path.clone()));
    let rest = rows.split_off(most.min(rows.len()));
    (rows, rest)
}

/// What the cgroups without series have together, those below another of them apart: they are in its sum already.
/// Counters are left out. The sum would fall when a cgroup goes, which a scraper takes for a new beginning.
fn other(
    metric: &Metric,
    figure: &Figure<CgroupStatus>,
    summed: &[&CgroupStatus],
    page: u64,
) -> Option<(Labels, f64)> {
    if metric.kind == Kind::Counter || metric.unit != "bytes" {
        return None;
    }
    let tops = summed.iter().filter(|row| !summed.iter().any(|top| is_below(&row.path, &top.path)));
    let values: Vec<f64> = tops.filter_map(|row| figure.sample(row, page)).collect();
    let labels = vec![("cgroup", OTHER.to_owned()), ("policy", String::new())];
    (!values.is_empty()).then(|| (labels, values.iter().sum()))
}

/// The labels that a series of the host has for good.
fn constant(figure: &Figure<Status>) -> Labels {
    let labels = figure.metric.as_ref().map_or(&[][..], |series| series.labels);
    labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn of_area(area: &AreaStatus) -> Labels {
    vec![("area", area.path.clone()), ("kind", area.kind.clone())]
}

fn labels(row: &CgroupStatus) -> Labels {
    vec![("cgroup", format!("/{}", row.path)), ("policy", row.policy.clone().unwrap_or_default())]
}

#[cfg(test)]
mod tests;
