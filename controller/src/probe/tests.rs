//! From a capable host one thing at a time is taken away.

use swaptier_policies::Bytes;

use super::*;

fn capable() -> Facts {
    Facts {
        release: Some("6.12.1".into()),
        arch: "x86_64",
        page_size: Bytes(4096),
        lockdown: Some("none".into()),
        cgroups: Ok(()),
        has_valve: true,
        has_reclaim: true,
        has_tiers_max: false,
        has_zswap: true,
        zswap: ZswapParameters {
            enabled: Some(true),
            max_pool_percent: Some(20),
            accept_threshold_percent: Some(90),
            shrinker_enabled: Some(false),
            compressor: Some("lz4".into()),
        },
        has_debugfs: true,
        accounting: Accounting::Charged,
        has_zswap_counters: true,
        swaps: Ok(vec![area("/dev/vda")]),
        hooks: HookFacts::Covered { programs: 13, lost: Vec::new(), has_symbol: true },
        has_bpffs: true,
        capabilities_lacking: Vec::new(),
        dialects: vec![
            ("key", Err("this kernel's memory.reclaim takes none".into())),
            ("shrinker", Err("CONFIG_SHRINKER_DEBUG".into())),
            ("worker", Ok(())),
            ("gate", Ok(())),
        ],
    }
}

fn area(path: &str) -> SwapArea {
    SwapArea {
        path: path.into(),
        kind: "partition".into(),
        size: Bytes(1 << 30),
        used: Bytes(0),
        priority: -2,
        identity: None,
    }
}

/// The findings beyond `ok`: area, level, and what is said with its remedy.
fn complaints(facts: &Facts) -> Vec<(&'static str, Level, String)> {
    let bad = judge(facts).into_iter().filter(|finding| finding.level != Level::Ok);
    bad.map(|finding| {
        (
            finding.about.words(),
            finding.level,
            format!("{} | {}", finding.says, finding.fix.unwrap_or_default()),
        )
    })
    .collect()
}

#[test]
fn a_capable_host_has_nothing_to_complain_of() {
    assert_eq!(complaints(&capable()), []);
}

#[test]
fn each_thing_taken_away_is_named_with_what_it_costs() {
    type Without = fn(&mut Facts);
    let cases: [(Without, &str, Level, &str); 18] = [
        (|f| f.cgroups = Err("no cgroup v2".into()), "cgroup", Level::Missing, "no cgroup v2"),
        (|f| f.has_valve = false, "valve", Level::Missing, "memory.zswap.writeback is missing"),
        (|f| f.has_zswap = false, "zswap", Level::Missing, "/sys/module/zswap/parameters is missing"),
        (|f| f.zswap.enabled = Some(false), "zswap", Level::Lost, "enabled = true"),
        (|f| f.zswap.enabled = None, "zswap", Level::Lost, "off"),
        (|f| f.zswap.shrinker_enabled = Some(true), "shrinker", Level::Warn, "beside the budgets"),
        (|f| f.has_zswap_counters = false, "debugfs", Level::Warn, "debugfs is mounted"),
        (
            |f| (f.has_debugfs, f.has_zswap_counters) = (false, false),
            "debugfs",
            Level::Warn,
            "mount -t debugfs",
        ),
        (|f| f.accounting = Accounting::Nokmem, "accounting", Level::Lost, "boot without `nokmem`"),
        (|f| f.accounting = Accounting::Unknown("EACCES".into()), "accounting", Level::Lost, "EACCES"),
        (|f| f.swaps = Ok(Vec::new()), "swap", Level::Lost, "no swap area is on"),
        (|f| f.swaps = Ok(vec![area("/dev/zram0")]), "zram", Level::Warn, "/dev/zram0 is memory"),
        (|f| f.swaps = Ok(vec![area("/a"), area("/b")]), "areas", Level::Warn, "memory.swap.tiers.max"),
        (|f| f.has_reclaim = false, "reclaim", Level::Warn, "memory.reclaim is missing"),
        (
            |f| f.hooks = HookFacts::Uncovered(vec!["slots freed".into()]),
            "probes",
            Level::Lost,
            "slots freed",
        ),
        (|f| f.lockdown = Some("confidentiality".into()), "probes", Level::Lost, "locked down"),
        (|f| f.has_bpffs = false, "probes", Level::Lost, "mount -t bpf"),
        (|f| f.capabilities_lacking = vec!["CAP_BPF"], "rights", Level::Warn, "CAP_BPF"),
    ];
    for (without, area, level, says) in cases {
        let mut facts = capable();
        without(&mut facts);
        let complaints = complaints(&facts);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert_eq!((complaints[0].0, complaints[0].1), (area, level), "{complaints:?}");
        assert!(complaints[0].2.contains(says), "{complaints:?}");
    }
}

#[test]
fn a_hidden_symbol_costs_the_map_and_an_unseen_function_does_not() {
    let mut facts = capable();
    facts.hooks =
        HookFacts::Covered { programs: 12, lost: vec!["regret is not counted".into()], has_symbol: false };
    let levels: Vec<Level> = complaints(&facts).into_iter().map(|(_, level, _)| level).collect();
    assert_eq!(levels, [Level::Warn, Level::Lost]);
}

#[test]
fn one_dialect_less_is_a_warning_and_none_at_all_a_loss() {
    let mut facts = capable();
    facts.dialects[2].1 = Err("the pool is near its own limit".into());
    let (area, level, says) = complaints(&facts).remove(0);
    assert_eq!((area, level), ("write-back", Level::Warn));
    assert!(says.contains("max_pool_percent"), "{says}");
    facts.dialects[3].1 = Err("no shrinker".into());
    assert_eq!(complaints(&facts).len(), 4);
    assert!(complaints(&facts).iter().all(|(_, level, _)| *level == Level::Lost));
}

#[test]
fn a_kernel_with_a_better_way_is_not_blamed_for_lacking_the_others() {
    let mut facts = capable();
    facts.dialects[0].1 = Ok(());
    facts.dialects[2].1 = Err("the pool is near its own limit".into());
    assert_eq!(complaints(&facts), []);
}

#[test]
fn no_release_is_taken_for_a_feature() {
    let mut old = capable();
    old.release = Some("2.6.0".into());
    assert_eq!(complaints(&old), []);
}

#[test]
fn one_cause_is_told_once() {
    // Without zswap there is no folder of its in debugfs, and no way to write back can be used: one cause.
    let mut facts = capable();
    facts.zswap.enabled = Some(false);
    facts.has_zswap_counters = false;
    let off = "zswap is off: nothing is stored";
    facts.dialects.iter_mut().for_each(|(_, ready)| *ready = Err(off.to_owned()));
    let areas: Vec<&str> = complaints(&facts).iter().map(|(area, ..)| *area).collect();
    assert_eq!(areas, ["zswap", "write-back"], "{:?}", complaints(&facts));
    assert!(complaints(&facts)[1].2.contains("(key, shrinker, worker, gate): zswap is off"));
}

#[test]
fn in_json_a_finding_has_the_words_of_what_it_is_about() {
    let finding = Finding::new(About::WriteBack, Level::Lost, "none");
    let json = serde_json::json!({ "area": "write-back", "level": "lost", "says": "none", "fix": null });
    assert_eq!(serde_json::to_value(finding).unwrap(), json);
}
