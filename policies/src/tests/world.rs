//! Random worlds for the laws: small trees with any values, and policies that overlap.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{area, blank, file, host};
use crate::area::{AreaKind, AreaView, Blocks, Fill, Marks, PoolView};
use crate::knob::{Knob, Setting, Settings};
use crate::snapshot::{CgroupId, CgroupView, Cold, MapHealth, Snapshot, Writeback};
use crate::units::{Bytes, Limit, Pages, Seconds, Share};
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
        option::weighted(0.9, bytes()),
    )
        .prop_map(|(high, max, swap_max, zswap_max, writeback, compressed, cold, swap)| CgroupView {
            memory_current: Some(Bytes(1)),
            swap_current: swap,
            memory_high: high,
            memory_max: max,
            settings: Settings::fresh()
                .read(Knob::SwapMax, swap_max)
                .read(Knob::ZswapMax, zswap_max)
                .read(Knob::ZswapWriteback, writeback),
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

/// A part of something, ordinary, at an edge, or more than there is.
fn fill() -> impl Strategy<Value = Fill> {
    let fill = |(used, total)| Fill { used: Blocks(used), total: Blocks(total) };
    prop_oneof![
        6 => (0u64..1100, Just(1000u64)).prop_map(fill),
        1 => (any::<u64>(), any::<u64>()).prop_map(fill),
    ]
}

fn pool() -> impl Strategy<Value = PoolView> {
    let marks = proptest::collection::btree_set(1u32..1_000_000, 4).prop_map(|marks| {
        let marks: Vec<Share> = marks.into_iter().map(Share).collect();
        Marks { resume: marks[0], demote: marks[1], close: marks[2], stop: marks[3] }
    });
    let block = select(vec![65_536u64, 4096, 0, u64::MAX]).prop_map(Bytes);
    (fill(), fill(), marks, block, proptest::bool::weighted(0.1)).prop_map(
        |(data, metadata, marks, block, refuses)| PoolView {
            name: "pool".to_owned(),
            block,
            data,
            metadata,
            marks,
            refuses,
        },
    )
}

/// Mostly one plain area, else up to four of any kind; of the virtual ones' pool nothing may be known.
fn areas() -> impl Strategy<Value = Vec<AreaView>> {
    use AreaKind::{GhostDm, GhostNative, GhostZram, Plain, Virtual, Zram};
    let kinds = select(vec![GhostNative, GhostDm, GhostZram, Virtual, Virtual, Virtual, Zram, Plain, Plain]);
    let one = (kinds, -2i32..3, 0u64..1001, option::weighted(0.9, pool()));
    let some = proptest::collection::vec(one, 1..=4).prop_map(|areas| {
        let named = areas.into_iter().enumerate().map(|(n, (kind, priority, used, pool))| AreaView {
            slots: Pages(1000),
            used: Pages(used),
            pool: pool.filter(|_| kind == Virtual).map(|pool| PoolView { name: format!("pool{n}"), ..pool }),
            ..area(&format!("area{n}"), kind, priority)
        });
        named.collect()
    });
    prop_oneof![2 => Just(vec![area("disk", Plain, 0)]), 3 => some]
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
    let root_valve = option::weighted(0.9, any::<bool>());
    (tree(), host_part, areas(), root_valve).prop_map(|(tree, host_part, areas, root_valve)| {
        let (page_size, used, limit, swap, zswap, dialect, map) = host_part;
        let mut snap = host();
        snap.host.areas = areas;
        if let Some(root) = snap.cgroups.get_mut(&CgroupId::ROOT) {
            root.settings.set(Knob::ZswapWriteback, root_valve.map(Setting::Valve));
        }
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
            snap = snap.with(id, CgroupView { path: path.into(), ..view });
        }
        snap
    })
}

fn tiers() -> impl Strategy<Value = &'static str> {
    select(vec![
        "",
        "[tiers]\nuse = []",
        "[tiers]\nuse = [\"zswap\"]\nzswap_max = \"25%\"",
        "[tiers]\nuse = [\"zswap\", \"disk\"]",
        "[tiers]\nuse = [\"zswap\", \"disk\"]\noverflow = \"disk\"\nswap_max = \"max\"",
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
            2 => view.settings.set(Knob::SwapMax, None),
            3 => view.settings.set(Knob::ZswapMax, None),
            4 => view.settings.set(Knob::ZswapWriteback, None),
            5 => view.zswap_compressed = None,
            6 => view.cold = None,
            7 => snap.host.pool_compressed = None,
            8 => snap.host.pool_limit = None,
            9 => view.swap_current = None,
            _ => snap.host.areas.iter_mut().for_each(|area| area.pool = None),
        }
    }
    snap
}

/// How many kinds [`forget`] knows.
pub(super) const FORGETTABLE: u8 = 11;
