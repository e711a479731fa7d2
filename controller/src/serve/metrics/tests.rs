//! The metrics against their own rules. That the documentation, the dashboard and the alert rules name only metrics
//! that exist is tested in `controller/tests/metrics.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const SHAPE: Shape = Shape { cgroups: 100 };

fn row(path: &str, policy: Option<&str>, zswap_pages: u64) -> CgroupStatus {
    CgroupStatus {
        path: path.into(),
        policy: policy.map(str::to_owned),
        zswap_pages: Some(zswap_pages),
        stored_pages: Some(zswap_pages),
        ..CgroupStatus::default()
    }
}

fn page(cgroups: Vec<CgroupStatus>) -> Arc<Page> {
    let mut status = Status { cgroups, ..Status::default() };
    status.host.page_bytes = 4096;
    status.map.drift_pages = -3;
    Arc::new(Page::new(status, BTreeMap::new()))
}

/// The samples of one metric: labels → value.
fn samples(text: &str, name: &str) -> BTreeMap<String, f64> {
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let labels = series.strip_prefix(name)?;
        (labels.is_empty() || labels.starts_with('{')).then(|| (labels.to_owned(), value.parse().unwrap()))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

#[test]
fn names_keep_the_rules() {
    let mut seen = BTreeSet::new();
    for metric in metrics() {
        let name = metric.full_name();
        let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        assert!(is_plain && name.starts_with("swaptier_"), "{name}");
        assert!(["", "bytes", "seconds"].contains(&metric.unit), "{name}: {} is no base unit", metric.unit);
        let (has_unit, has_total) = (metric.name.contains("byte"), metric.name.ends_with("_total"));
        assert!(!has_unit && !has_total, "{name}: unit and end are added");
        assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{name}: {}", metric.help);
        assert!(seen.insert(name.clone()), "{name} is there twice");
    }
}

#[test]
fn pages_are_original_bytes() {
    let text = render(&page(vec![row("a", Some("p.toml"), 10)]), SHAPE);
    let zswap = samples(&text, "swaptier_cgroup_zswap_original_bytes");
    // 10 pages of 4,096.
    assert_eq!(zswap, BTreeMap::from([("{cgroup=\"/a\",policy=\"p.toml\"}".into(), 40_960.0)]));
    let drift = samples(&text, "swaptier_map_drift_bytes");
    assert_eq!(drift, BTreeMap::from([(String::new(), -12_288.0)]));
}

#[test]
fn what_is_unknown_has_no_sample() {
    let text = render(&page(vec![CgroupStatus { path: "a".into(), ..CgroupStatus::default() }]), SHAPE);
    assert!(samples(&text, "swaptier_cgroup_zswap_original_bytes").is_empty());
    assert!(!text.contains("swaptier_cgroup_zswap"), "{text}");
    assert!(samples(&text, "swaptier_zswap_pool_limit_bytes").is_empty());
}

#[test]
fn cgroups_beyond_the_cap_are_one_sum_in_which_nothing_counts_twice() {
    let rows = vec![
        row("a", None, 100),
        row("a/x", None, 60),
        row("a/y", None, 40),
        row("b", Some("p.toml"), 7),
        row("c", None, 5),
    ];
    let text = render(&page(rows), Shape { cgroups: 1 });
    let zswap = samples(&text, "swaptier_cgroup_zswap_original_bytes");
    // b has the policy and so the place. The others: a, which holds a/x and a/y, and c: 105 pages.
    let expected = BTreeMap::from([
        ("{cgroup=\"/b\",policy=\"p.toml\"}".to_owned(), 7.0 * 4096.0),
        ("{cgroup=\"other\",policy=\"\"}".to_owned(), 105.0 * 4096.0),
    ]);
    assert_eq!(zswap, expected);
    let stored = samples(&text, "swaptier_cgroup_stored_bytes_total");
    assert_eq!(stored.len(), 1, "a sum of counters would fall when a cgroup goes: {stored:?}");
    assert_eq!(samples(&text, "swaptier_cgroups").values().sum::<f64>(), 5.0);
}

#[test]
fn a_cgroups_name_cannot_break_out_of_its_label() {
    let text = render(&page(vec![row("a\"} 1\nswaptier_fake 7", None, 1)]), SHAPE);
    assert!(text.lines().all(|line| !line.starts_with("swaptier_fake")), "{text}");
}

#[test]
fn the_classic_text_names_a_counter_as_its_sample_and_has_no_end() {
    let open = render(&page(vec![row("a", None, 1)]), SHAPE);
    assert!(open.ends_with("# EOF\n"));
    assert!(open.contains("# TYPE swaptier_agent_ticks counter\n") && open.contains("# UNIT "));
    let text = classic(&open);
    assert!(
        text.contains("# TYPE swaptier_agent_ticks_total counter\nswaptier_agent_ticks_total 0"),
        "{text}"
    );
    assert!(text.contains("# HELP swaptier_agent_ticks_total Ticks since"), "{text}");
    assert!(!text.contains("# UNIT") && !text.contains("# EOF"));
    let families = |text: &str| text.lines().filter(|line| line.starts_with("# TYPE")).count();
    assert_eq!(families(&open), families(&text));
}
