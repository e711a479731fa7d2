//! Random worlds for the laws: small trees with any values, and policies that overlap.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{blank, file, host};
use crate::snapshot::{CgroupId, CgroupView, Cold, MapHealth, Snapshot, Writeback};
use crate::units::{Bytes, Limit, Pages, Seconds};
use crate::{PolicySet, SourceFile};

/// Parents stand before their children.
const PATHS: [&str; 8] = ["a", "a/b", "a/b/c", "a/b/d", "a/e", "f", "f/g", "h"];

/// Sizes that are ordinary, at an edge, or anything.
fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => (0u64..1 << 34).prop_map(Bytes),
        1 => select(vec![0, 1, 4095, 4096, (1 << 63) - 4096, (1 << 63) - 1, u64::MAX]).prop_map(Bytes),
        1 => any::<u64>().prop_map(Bytes),
    ]
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![Just(Limit::Max), bytes().prop_map(Limit::Bytes)]
}

fn cold() -> impl Strategy<Value = Cold> {
    let pages = prop_oneof![0u64..100, 0u64..1 << 20, any::<u64>()];
    (select(vec![5u64, 600]), pages, bytes(), any::<u64>()).prop_map(|(age, pages, compressed, oldest)| {
        Cold { older_than: Seconds(age), pages: Pages(pages), compressed, oldest: Seconds(oldest) }
    })
}

/// A cgroup with the memory controller, of which anything else may be unknown; sometimes one without.
fn view() -> impl Strategy<Value = CgroupView> {
    let with_memory = (
        option::weighted(0.9, limit()),
        option::weighted(0.9, limit()),
        option::weighted(0.9, limit()),
        option::weighted(0.9, limit()),
        option::weighted(0.9, any::<bool>()),
        option::weighted(0.9, bytes()),
        option::weighted(0.9, cold()),
    )
        .prop_map(|(high, max, swap_max, zswap_max, writeback, compressed, cold)| CgroupView {
            memory_current: Some(Bytes(1)),
            memory_high: high,
            memory_max: max,
            swap_max,
            zswap_max,
            zswap_writeback: writeback,
            zswap_compressed: compressed,
            cold,
            ..blank()
        });
    prop_oneof![9 => with_memory, 1 => Just(blank())]
}

fn tree() -> impl Strategy<Value = Vec<(&'static str, CgroupView)>> {
    subsequence(PATHS.to_vec(), 0..=PATHS.len()).prop_flat_map(|paths| {
        let views = proptest::collection::vec(view(), paths.len());
        (Just(paths), views).prop_map(|(paths, views)| paths.into_iter().zip(views).collect())
    })
}

/// Any snapshot of a host with pages of 4 or 64 KiB.
pub(super) fn snapshot() -> impl Strategy<Value = Snapshot> {
    let host_part = (
        select(vec![4096u64, 65536]),
        option::weighted(0.9, bytes()),
        option::weighted(0.9, bytes()),
        prop_oneof![1 => Just(0u64), 9 => Just(1u64 << 32)],
        proptest::bool::weighted(0.9),
        proptest::bool::weighted(0.9),
        proptest::bool::weighted(0.9),
    );
    (tree(), host_part).prop_map(|(tree, (page_size, used, limit, swap, zswap, dialect, map))| {
        let mut snap = host();
        snap.page_size = Bytes(page_size);
        (snap.host.pool_compressed, snap.host.pool_limit) = (used, limit);
        snap.host.swap_total = Bytes(swap);
        snap.host.zswap_enabled = zswap;
        if !dialect {
            snap.host.writeback = Writeback::None("none".to_owned());
        }
        if !map {
            snap.host.map = MapHealth::Absent("none".to_owned());
        }
        for (id, (path, view)) in (10..).zip(tree) {
            snap = snap.with(id, CgroupView { path: path.to_owned(), ..view });
        }
        snap
    })
}

fn tiers() -> impl Strategy<Value = &'static str> {
    select(vec![
        "",
        "[tiers]\nuse = []",
        "[tiers]\nuse = [\"zswap\"]\nzswap_max = \"25%\"",
        "[tiers]\nuse = [\"disk\"]\nswap_max = \"1G\"",
        "[tiers]\nuse = [\"zswap\", \"disk\"]\nzswap_max = \"0.1%\"\nswap_max = \"33%\"",
        "[tiers]\nuse = [\"zswap\", \"disk\"]\noverflow = \"keep\"\nzswap_max = 1000000",
    ])
}

fn demote() -> impl Strategy<Value = &'static str> {
    select(vec![
        "",
        "[demote]\nolder_than = \"5s\"\nbudget = { round = \"1M\", day = \"2M\" }",
        "[demote]\nolder_than = \"10m\"\nkeep_free = \"10%\"\nbudget = { round = \"300K\", rate = \"100K/s\" }",
        "[demote]\nolder_than = \"10m\"\nbudget = { round = \"8M\", day = \"20M\", rate = \"1M/s\" }",
    ])
}

fn one_policy() -> impl Strategy<Value = String> {
    let globs =
        vec!["\"**\"", "\"a/**\"", "\"a/b\"", "\"**\", \"!a/b\"", "\"*\"", "\"a/b/{c,d}\"", "\"f/*\""];
    (select(globs), -1..=1, tiers(), demote()).prop_map(|(globs, priority, tiers, demote)| {
        let demote = if tiers.contains("\"zswap\", \"disk\"") { demote } else { "" };
        format!("schema = 1\n[match]\ncgroup = [{globs}]\npriority = {priority}\n{tiers}\n{demote}\n")
    })
}

/// One to four policies.
pub(super) fn policy_set() -> impl Strategy<Value = PolicySet> {
    proptest::collection::vec(one_policy(), 1..=4).prop_map(|texts| {
        let name = |n: usize| format!("{n}.toml");
        let sources: Vec<SourceFile> =
            texts.iter().enumerate().map(|(n, text)| file(&name(n), text)).collect();
        PolicySet::load(&sources).unwrap()
    })
}

/// What can be forgotten about a snapshot: everything that is an `Option`, one at a time.
pub(super) fn forget(mut snap: Snapshot, cgroup: CgroupId, which: u8) -> Snapshot {
    if let Some(view) = snap.cgroups.get_mut(&cgroup) {
        match which {
            0 => view.memory_high = None,
            1 => view.memory_max = None,
            2 => view.swap_max = None,
            3 => view.zswap_max = None,
            4 => view.zswap_writeback = None,
            5 => view.zswap_compressed = None,
            6 => view.cold = None,
            7 => snap.host.pool_compressed = None,
            _ => snap.host.pool_limit = None,
        }
    }
    snap
}

/// How many kinds [`forget`] knows.
pub(super) const FORGETTABLE: u8 = 9;
