//! Metrics as others meet them: a whole rendering, the documentation, the dashboard and the alert rules. What a single
//! metric says is tested beside `serve/metrics`; `cargo xtask test` has promtool judge the same rendering.
//!
//! `SWAPTIER_BLESS=1` writes the rendering and the table of the documentation anew.

#![expect(clippy::disallowed_methods, reason = "tests make and read files of their own")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use swaptier::serve::board::Page;
use swaptier::serve::metrics::{Kind, Metric, Shape, classic, metrics, render};
use swaptier::serve::status::*;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap()
}

/// Compares, or writes anew.
fn same(name: &str, expected: &str) {
    if std::env::var_os("SWAPTIER_BLESS").is_some() {
        fs::write(file(name), expected).unwrap();
    }
    assert!(read(name) == expected, "{name} is not what it should be: SWAPTIER_BLESS=1 writes it anew");
}

/// An agent that knows everything.
fn full() -> Arc<Page> {
    let pressure =
        PressureStatus { some_seconds: 12.5, full_seconds: Some(3.25), ..PressureStatus::default() };
    let host = HostStatus {
        ram_bytes: 16 << 30,
        zswap_compressed_bytes: Some(512 << 20),
        zswap_original_bytes: Some(2 << 30),
        pool_limit_bytes: Some(3 << 30),
        page_bytes: 4096,
        available_bytes: Some(4 << 30),
        zswap_enabled: Some(true),
        disk_original_bytes: Some(1 << 30),
        memory_pressure: Some(pressure),
        io_pressure: Some(pressure),
        refused_stores: Some(RefusedStores {
            pool_limit: Some(1),
            no_memory: Some(2),
            incompressible: Some(3),
            compressor_failed: Some(4),
            reclaim_failed: Some(5),
        }),
        swap_ins: Some(SwapIns {
            is_timed: true,
            zswap: Durations { sum_seconds: 0.5, swap_ins: vec![0, 0, 0, 0, 900, 100] },
            disk: Durations {
                sum_seconds: 2.25,
                swap_ins: vec![0; 10].into_iter().chain([40, 10]).collect(),
            },
        }),
        ..HostStatus::default()
    };
    let row = |path: &str, policy: Option<&str>| CgroupStatus {
        path: path.into(),
        policy: policy.map(str::to_owned),
        zswap_pages: Some(1000),
        zswap_compressed_bytes: Some(1_000_000),
        phys_pages: Some(500),
        zero_pages: Some(20),
        unknown_pages: Some(3),
        cold_pages: Some(400),
        older_than_seconds: Some(600),
        oldest_seconds: Some(4000),
        stored_pages: Some(9000),
        loaded_pages: Some(7000),
        written_back_pages: Some(800),
        direct_pages: Some(60),
        read_pages: Some(70),
        regret_pages: Some(8),
        memory_current_bytes: Some(64 << 20),
        memory_pressure: Some(pressure),
        ..CgroupStatus::default()
    };
    let area = AreaStatus {
        path: "/dev/sda3".into(),
        kind: "partition".into(),
        priority: -2,
        size_bytes: 8 << 30,
        used_bytes: 3 << 30,
        ..AreaStatus::default()
    };
    let agent = AgentStatus {
        tick: 42,
        policies: 2,
        dialect: Some("worker".into()),
        cost: CostStatus { resident_bytes: Some(20 << 20), cpu_seconds: 1.5, ..CostStatus::default() },
        ..AgentStatus::default()
    };
    let status = Status {
        unix_seconds: 1_800_000_000.25,
        agent,
        host,
        areas: vec![area],
        map: MapStatus {
            state: MapState::Exact,
            age_seconds: Some(2),
            drift_pages: -2,
            ..MapStatus::default()
        },
        cgroups: vec![row("batch.slice", Some("batch.toml")), row("user.slice", None), row("a \"b\"", None)],
        ..Status::default()
    };
    Arc::new(Page::new(status, BTreeMap::new()))
}

fn rendering() -> String {
    // Two with series of their own, so that there is a sum of others.
    let text = classic(&render(&full(), Shape { cgroups: 2 }));
    // Releases are no reason to bless it.
    text.replace(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), "version=\"0\"")
}

/// Names of samples.
fn names(text: &str) -> BTreeSet<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.split(['{', ' ']).next().unwrap()).collect()
}

/// Every word of a query that is one of our metrics, or should be.
fn ours(query: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    query.split(move |c| !is_word(c)).filter(|word| word.starts_with("swaptier_"))
}

#[test]
fn an_agent_that_knows_everything_has_every_metric() {
    let text = rendering();
    let parts = |metric: &Metric| match metric.kind {
        Kind::Histogram => ["_bucket", "_count", "_sum"].map(|end| metric.full_name() + end).to_vec(),
        Kind::Gauge | Kind::Counter => vec![metric.full_name()],
    };
    let wanted: BTreeSet<String> = metrics().flat_map(parts).collect();
    assert_eq!(names(&text).into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), wanted);
    same("tests/metrics/full.prom", &text);
}

#[test]
fn the_documentation_lists_every_metric_and_no_other() {
    let mut table = String::from("| metric | kind | labels | |\n|---|---|---|---|\n");
    for metric in metrics() {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, labels) = (metric.full_name(), metric.kind, labels.join(", "));
        table.push_str(&format!("| `{name}` | {kind} | {labels} | {} |\n", metric.help));
    }
    let document = read("docs/metrics.md");
    let (before, rest) = document.split_once("<!-- metrics -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->\n").unwrap();
    same("docs/metrics.md", &format!("{before}<!-- metrics -->\n{table}<!-- end -->\n{after}"));
}

#[test]
fn the_dashboard_asks_only_for_metrics_that_exist() {
    let text = rendering();
    let names = names(&text);
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("packaging/grafana/swaptier.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries = targets
        .map(|target| target["expr"].as_str().unwrap())
        .chain(variables.iter().filter_map(|variable| variable["query"]["query"].as_str()));
    let mut count = 0;
    for query in queries {
        assert!(ours(query).count() > 0, "{query} asks for nothing of ours");
        for name in ours(query) {
            assert!(names.contains(name), "{name} does not exist: {query}");
            count += 1;
        }
    }
    assert!(
        panels.len() >= 20 && count >= 30,
        "{} panels, {count} names: the search is broken",
        panels.len()
    );
}

#[test]
fn the_alert_rules_ask_only_for_metrics_that_exist_and_the_documentation_names_each() {
    let (text, rules, document) =
        (rendering(), read("packaging/prometheus/alerts.yml"), read("docs/metrics.md"));
    let names = names(&text);
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 10, "{alerts:?}");
    for alert in alerts {
        assert!(document.contains(&format!("`{alert}`")), "docs/metrics.md says nothing of {alert}");
    }
    let code: String = rules
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(ours(&code).count() >= 12);
    for name in ours(&code) {
        assert!(names.contains(name), "{name} does not exist");
    }
}
