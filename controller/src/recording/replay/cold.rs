//! Cold pages at another policy's age: what a recorded frame can say of them. Pure.
//!
//! A frame holds the exact number at the age of the policy that was in force, and a histogram by powers of two for every
//! cgroup. Where another policy asks for the same age of the same cgroups, the answer is the exact one; else it is the
//! sum of the buckets that are wholly old enough, or the exact number of pages that are older still: never too many.

use std::collections::{BTreeMap, BTreeSet};

use swaptier_policies::{Bytes, CgroupId, CgroupView, Cold, Pages, Policy, PolicySet, Seconds, Snapshot};

use crate::{recording::Frame, serve::histogram::bucket_start};

/// Whose policy's age counts for which cgroups: cgroup with the policy → the age, and all cgroups that it counts for.
type Asked = BTreeMap<CgroupId, (Seconds, BTreeSet<CgroupId>)>;

/// A snapshot as it would have been taken under `other`, and the cgroups whose cold pages are counted by buckets.
pub(super) fn under(
    frame: &Frame,
    recorded: &PolicySet,
    other: &PolicySet,
) -> (Snapshot, BTreeSet<CgroupId>) {
    let (before, now) = (asked(&frame.snapshot, recorded), asked(&frame.snapshot, other));
    let mut snapshot = frame.snapshot.clone();
    let mut by_buckets = BTreeSet::new();
    for (id, view) in &mut snapshot.cgroups {
        let Some(wanted) = now.get(id) else {
            view.cold = None;
            continue;
        };
        if before.get(id) != Some(wanted) {
            // What is older than the recorded age is older than a smaller one.
            let older = before.get(id).filter(|(age, members)| *age >= wanted.0 && *members == wanted.1);
            let least = older.and(view.cold).map_or(Pages(0), |cold| cold.pages);
            view.cold = view.tiers.is_some().then(|| counted(frame, view, wanted, least));
            by_buckets.insert(*id);
        }
    }
    (snapshot, by_buckets)
}

/// As the agent asks the map: a cgroup's own policy, or that of the nearest cgroup above that has one.
fn asked(snapshot: &Snapshot, policies: &PolicySet) -> Asked {
    let own: BTreeMap<CgroupId, Option<Seconds>> = snapshot
        .cgroups
        .iter()
        .filter_map(|(id, view)| policies.resolve(&view.path).map(|policy| (*id, Policy::older_than(policy))))
        .collect();
    let mut asked = Asked::new();
    for id in snapshot.cgroups.keys() {
        let mut up = std::iter::once(*id).chain(snapshot.above(*id).map(|(id, _)| id));
        let home = up.find_map(|id| own.get(&id).map(|age| (id, *age)));
        if let Some((home, Some(age))) = home {
            asked.entry(home).or_insert_with(|| (age, BTreeSet::new())).1.insert(*id);
        }
    }
    asked
}

fn counted(
    frame: &Frame,
    view: &CgroupView,
    (age, members): &(Seconds, BTreeSet<CgroupId>),
    least: Pages,
) -> Cold {
    let (mut pages, mut oldest) = (0u64, 0);
    for ages in members.iter().filter_map(|id| frame.ages.get(id)) {
        for (bucket, count) in ages.iter().enumerate().take(64).filter(|(_, count)| **count > 0) {
            let start = bucket_start(bucket);
            oldest = oldest.max(start);
            pages = pages.saturating_add(if start >= age.0 { *count } else { 0 });
        }
    }
    let pages = pages.max(least.0);
    let tiers = view.tiers.unwrap_or_default();
    let all = Cold {
        older_than: *age,
        pages: tiers.zswap,
        compressed: tiers.zswap_compressed,
        oldest: Seconds(oldest),
    };
    let compressed: Bytes = all.compressed_of(Pages(pages));
    Cold { pages: Pages(pages), compressed, ..all }
}
