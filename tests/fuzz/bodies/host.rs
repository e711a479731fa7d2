//! A whole host, as files: one text, in which `=== PATH` begins the file at that path.
//!
//! It is read as a tick reads it and as `doctor` does, and decided about.

use std::fs;
use std::path::Path;

use swaptier::probe;
use swaptier::root::Root;
use swaptier::sense::{Beside, CgroupTree, assemble, collect};
use swaptier::vswap::seen::unnoted;
use swaptier_policies::{Bytes, Cold, MapHealth, Pages, PolicySet, Seconds, SourceFile, Tiers, Writeback};

use super::folder::temporary;
use super::policy::check_laws;

/// How many files of an input are made.
const MOST: usize = 64;

const SHIPPED: [(&str, &str); 3] = [
    ("batch.toml", include_str!("../../../policies/batch.toml")),
    ("interactive.toml", include_str!("../../../policies/interactive.toml")),
    ("no-swap.toml", include_str!("../../../policies/no-swap.toml")),
];

thread_local! {
    static POLICIES: PolicySet = shipped();
}

/// Makes the host and looks at it twice, as two ticks do: the second one knows the first.
pub fn try_one(input: &[u8]) {
    let dir = temporary();
    make(dir.path(), &String::from_utf8_lossy(input));
    let root = Root::at(dir.path()).expect("the folder is there");
    let findings = probe::judge(&probe::read(&root));
    assert!(!findings.is_empty(), "doctor has nothing to say");
    let mut tree = CgroupTree::default();
    tree.with_pressure = true;
    let Ok(first) = collect(&root, &mut tree) else { return };
    let second = collect(&root, &mut tree).expect("nothing has changed");
    assert_eq!(first, second);
    for (at, cgroup) in first.cgroups.iter().enumerate() {
        let is_before = |parent| first.cgroups[..at].iter().any(|other| other.id == parent);
        assert!(cgroup.parent.is_none_or(is_before), "{:?} comes before its parent", cgroup.path);
    }
    let count = Tiers { zswap: Pages(2000), zswap_compressed: Bytes(1 << 22), ..Tiers::default() };
    let cold = Cold {
        older_than: Seconds(600),
        pages: Pages(1000),
        compressed: Bytes(1 << 21),
        oldest: Seconds(9000),
    };
    let beside = Beside {
        at: Seconds(10_000),
        day: 3,
        areas: unnoted(&root, &first.swaps).views,
        writeback: Writeback::Ready("worker".to_owned()),
        health: MapHealth::Exact,
        counts: first.cgroups.iter().map(|cgroup| (cgroup.id, count)).collect(),
        cold: first.cgroups.iter().map(|cgroup| (cgroup.id, cold)).collect(),
    };
    let snap = assemble(first, beside);
    POLICIES.with(|set| check_laws(set, &snap));
}

fn shipped() -> PolicySet {
    let source = |(name, text): &(&str, &str)| SourceFile::text(*name, *text);
    let sources: Vec<SourceFile> = SHIPPED.iter().map(source).collect();
    PolicySet::load(&sources).expect("the shipped policies load")
}

/// Writes the files. A path that goes up or cannot be made is left out.
fn make(dir: &Path, text: &str) {
    for file in text.split("=== ").skip(1).take(MOST) {
        let (path, text) = file.split_once('\n').unwrap_or((file, ""));
        let path = path.trim_start_matches('/');
        if path.is_empty() || path.contains('\0') || path.split('/').any(|part| part == "..") {
            continue;
        }
        let path = dir.join(path);
        if let Some(parent) = path.parent() {
            let _a_file_is_there = fs::create_dir_all(parent);
        }
        let _a_folder_is_there = fs::write(path, text);
    }
}
