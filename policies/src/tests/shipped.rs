//! Every shipped policy file loads, and does what its head says.

use super::*;

const SHIPPED: [(&str, &str); 6] = [
    ("batch.toml", include_str!("../../batch.toml")),
    ("demo-cold.toml", include_str!("../../demo-cold.toml")),
    ("demo-hot.toml", include_str!("../../demo-hot.toml")),
    ("disk-only.toml", include_str!("../../disk-only.toml")),
    ("interactive.toml", include_str!("../../interactive.toml")),
    ("no-swap.toml", include_str!("../../no-swap.toml")),
];

fn all() -> PolicySet {
    let sources: Vec<SourceFile> = SHIPPED.iter().map(|(name, text)| file(name, text)).collect();
    PolicySet::load(&sources)
        .map_err(|faults| faults.iter().map(|f| format!("{f}\n")).collect::<String>())
        .unwrap()
}

fn of(path: &str) -> String {
    all().resolve(path).map_or("none", |policy| policy.name()).to_owned()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "looks into the crate's own folder")]
fn no_shipped_file_is_without_its_test() {
    let here: std::collections::BTreeSet<String> = std::fs::read_dir(env!("CARGO_MANIFEST_DIR"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".toml") && name != "Cargo.toml" && name != "clippy.toml")
        .collect();
    assert_eq!(here, SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[test]
fn each_is_for_the_cgroups_its_head_names() {
    assert_eq!(of("batch.slice/render.service"), "batch.toml");
    assert_eq!(of("batch.slice"), "none");
    assert_eq!(of("user.slice/user-1000.slice/session-2.scope"), "interactive.toml");
    assert_eq!(of("user.slice/user-1000.slice/user@1000.service/app.slice/my-backup.service"), "none");
    assert_eq!(of("system.slice/sshd.service"), "no-swap.toml");
    assert_eq!(of("system.slice/cron.service"), "none");
    assert_eq!(of("archive.slice/x"), "disk-only.toml");
    assert_eq!(of("demo.slice/cold"), "demo-cold.toml");
    assert_eq!(of("demo.slice/hot"), "demo-hot.toml");
    assert_eq!(of("demo.slice"), "none");
}

#[test]
fn batch_limits_zswap_and_demotes_what_is_ten_minutes_old() {
    // A quarter of memory.high = 4 GiB. The bucket of the rate holds one round of 64 MiB = 16 384 pages.
    let view = CgroupView {
        memory_high: Some(Limit::Bytes(Bytes(4 * GIB))),
        cold: cold(20_000),
        ..fresh("batch.slice/a")
    };
    check(
        &host().with(4, fresh("batch.slice")).with(5, view),
        &all(),
        "batch.slice/a: memory.zswap.writeback = 0 (is 1: `tiers.overflow = \"keep\"`: only demotion may write to disk; batch.toml)
         batch.slice/a: memory.zswap.max = 1.0 GiB (is max, wanted 1.0 GiB: 25% of memory.high (4.0 GiB); batch.toml)
         batch.slice/a: write back 16384 pages older than 10m (20000 pages in zswap for 10m or longer, the oldest for 1h; bounded by `budget.round`; batch.toml)",
    );
}

#[test]
fn interactive_never_reaches_the_disk() {
    // 40 % of 8 GiB = 3.2 GiB.
    check(
        &host().with(5, fresh("user.slice/u")),
        &all(),
        "user.slice/u: memory.zswap.writeback = 0 (is 1: `tiers.use` leaves `disk` out; interactive.toml)
         user.slice/u: memory.zswap.max = 3.2 GiB (is max, wanted 3.2 GiB: 40% of the host's RAM (8.0 GiB); interactive.toml)",
    );
}

#[test]
fn no_swap_and_disk_only_close_their_tiers() {
    check(
        &host().with(5, fresh("latency.slice/db")).with(6, fresh("archive.slice/x")),
        &all(),
        "archive.slice/x: memory.zswap.max = 0 B (is max, wanted 0 B: `tiers.use` leaves the tier out; disk-only.toml)
         archive.slice/x: memory.swap.max = 16.0 GiB (is max, wanted 16.0 GiB: the policy gives it; disk-only.toml)
         latency.slice/db: memory.swap.max = 0 B (is max, wanted 0 B: `tiers.use` leaves the tier out; no-swap.toml)",
    );
}

#[test]
fn the_demo_demotes_the_cold_cgroup_and_closes_the_hot_one() {
    // 32 MiB = 8 192 pages a round.
    let old = Cold { older_than: Seconds(5), oldest: Seconds(40), ..cold(30_000).unwrap() };
    let snap = host()
        .with(4, fresh("demo.slice"))
        .with(5, CgroupView { cold: Some(old), ..fresh("demo.slice/cold") })
        .with(6, fresh("demo.slice/hot"));
    check(
        &snap,
        &all(),
        "demo.slice/hot: memory.zswap.writeback = 0 (is 1: `tiers.use` leaves `disk` out; demo-hot.toml)
         demo.slice/cold: write back 8192 pages older than 5s (30000 pages in zswap for 5s or longer, the oldest for 40s; bounded by `budget.round`; demo-cold.toml)",
    );
}
