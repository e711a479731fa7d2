//! Worked cases and laws of the decision. What a literal world looks like is here; the stories are in the files.

mod areas;
mod cases;
mod close;
mod document;
mod fate;
mod growth;
mod guard;
mod hostile;
mod laws;
mod matching;
mod session;
mod shipped;
mod spending;
mod stand;
mod world;

use std::collections::BTreeMap;

use crate::area::{AreaKind, AreaView};
use crate::decide::{decide, is_due, refusal};
use crate::knob::{Knob, Setting, Settings};
use crate::snapshot::{CgroupId, CgroupView, Cold, HostView, MapHealth, Snapshot, Tiers, Writeback};
use crate::units::{Bytes, Limit, Pages, Seconds};
use crate::{History, Plan, PolicySet, SourceFile, violations};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile::text(name, text)
}

/// A set of one policy, `p.toml`, whose `schema` and `[match]` for everything need not be said.
fn policy(rest: &str) -> PolicySet {
    policies(&[("p.toml", &format!("[match]\ncgroup = [\"**\"]\n{rest}"))])
}

/// A set of policies by name and text, without their `schema`.
fn policies(files: &[(&str, &str)]) -> PolicySet {
    let sources: Vec<SourceFile> =
        files.iter().map(|(name, text)| file(name, &format!("schema = 1\n{text}"))).collect();
    PolicySet::load(&sources)
        .map_err(|faults| faults.iter().map(|f| format!("{f}\n")).collect::<String>())
        .unwrap()
}

/// A host of 8 GiB with zswap and 4 GiB of swap that can do everything, at 1 000 s of day 7.
fn host() -> Snapshot {
    let root = CgroupView { path: crate::CgroupPath::ROOT, parent: None, ..blank() };
    Snapshot {
        at: Seconds(1_000),
        day: 7,
        page_size: Bytes(4096),
        host: HostView {
            ram: Bytes(8 * GIB),
            zswap_enabled: true,
            pool_compressed: Some(Bytes(512 * MIB)),
            pool_original: Some(Bytes(2 * GIB)),
            pool_limit: Some(Bytes(1600 * MIB)),
            accept_threshold: None,
            swap_total: Bytes(4 * GIB),
            swap_free: Bytes(GIB),
            areas: Vec::new(),
            writeback: Writeback::Ready("worker".to_owned()),
            map: MapHealth::Exact,
        },
        cgroups: BTreeMap::from([(CgroupId::ROOT, root)]),
    }
}

/// An area of 262,144 slots (1 GiB) of which none is used.
fn area(name: &str, kind: AreaKind, priority: i32) -> AreaView {
    let (name, path) = (name.to_owned(), format!("/dev/{name}"));
    let (slots, used) = (Pages(GIB / 4096), Pages(0));
    AreaView { name, path, number: None, kind, priority, slots, used, pool: None }
}

/// A cgroup of which nothing is known.
fn blank() -> CgroupView {
    CgroupView {
        path: crate::CgroupPath::ROOT,
        parent: Some(CgroupId::ROOT),
        populated: true,
        memory_current: None,
        memory_high: None,
        memory_max: None,
        swap_current: None,
        settings: Settings::default(),
        zswap_compressed: None,
        zswap_original: None,
        tiers: None,
        cold: None,
    }
}

/// A cgroup as the kernel makes it, with 4 000 pages in zswap at 1 KiB each.
fn fresh(path: &str) -> CgroupView {
    CgroupView {
        path: path.into(),
        memory_current: Some(Bytes(GIB)),
        memory_high: Some(Limit::Max),
        memory_max: Some(Limit::Max),
        swap_current: Some(Bytes(4_000 * 4096)),
        settings: Settings::fresh(),
        zswap_compressed: Some(Bytes(4_000 * 1024)),
        zswap_original: Some(Bytes(4_000 * 4096)),
        tiers: Some(Tiers { zswap: Pages(4_000), zswap_compressed: Bytes(4_000 * 1024), ..Tiers::default() }),
        ..blank()
    }
}

/// `pages` pages of 1 KiB compressed, older than ten minutes, the oldest of an hour.
fn cold(pages: u64) -> Option<Cold> {
    Some(Cold {
        older_than: Seconds(600),
        pages: Pages(pages),
        compressed: Bytes(pages * 1024),
        oldest: Seconds(3_600),
    })
}

impl Snapshot {
    /// Adds a cgroup below the one whose path is the front of its own, else below the root.
    fn with(mut self, id: u64, view: CgroupView) -> Snapshot {
        let parent = view.path.parent().unwrap_or_default();
        let parent = self.cgroups.iter().find(|(_, other)| other.path == parent).map(|(id, _)| *id);
        self.cgroups.insert(CgroupId(id), CgroupView { parent: parent.or(Some(CgroupId::ROOT)), ..view });
        self
    }
}

/// Decides with an empty history; the plan must break no rule.
fn plan(snap: &Snapshot, set: &PolicySet) -> Plan {
    plan_with(snap, set, &mut History::default())
}

fn plan_with(snap: &Snapshot, set: &PolicySet, history: &mut History) -> Plan {
    let plan = decide(snap, set, history);
    assert_eq!(violations(&plan, snap, set), [], "{}", plan.describe(snap));
    plan
}

/// The plan as `--dry-run` prints it must be `expected`, line by line; indentation does not count.
fn check(snap: &Snapshot, set: &PolicySet, expected: &str) {
    same(&plan(snap, set).describe(snap), expected);
}

fn same(found: &str, expected: &str) {
    let lines = |text: &str| {
        let lines: Vec<String> =
            text.lines().map(|line| line.trim().to_owned()).filter(|l| !l.is_empty()).collect();
        lines.join("\n")
    };
    assert_eq!(lines(found), lines(expected), "\nfound:\n{found}");
}
