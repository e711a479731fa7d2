//! A way to disk closed by hand, against the decision.

use super::file;
use crate::close::{Unclosed, closing};
use crate::decide::wanted_valve;
use crate::{PolicySet, SourceFile};

const BATCH: &str = "schema = 1\n[match]\ncgroup = [\"batch.slice/**\"]\npriority = 50\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
    zswap_max = \"25%\"\nswap_max = \"8G\"\noverflow = \"keep\"\n[demote]\nolder_than = \"10m\"\nkeep_free = \"10%\"\n\
    budget = { round = \"64M\" }\n";

fn batch() -> SourceFile {
    file("/etc/swaptier/policies.d/batch.toml", BATCH)
}

fn with(closed: &str) -> PolicySet {
    PolicySet::load(&[batch(), file("closed-7.toml", closed)]).unwrap()
}

#[test]
fn a_closed_cgroup_keeps_its_limits_and_writes_nothing_to_disk_and_its_neighbours_are_as_before() {
    let set = with(&closing("batch.slice/a", &batch()).unwrap());
    let (closed, other) = (set.resolve("batch.slice/a").unwrap(), set.resolve("batch.slice/b").unwrap());
    assert_eq!((closed.name(), other.name()), ("closed-7.toml", "batch.toml"));
    let (tiers, was) = (closed.tiers().unwrap(), other.tiers().unwrap());
    assert_eq!((tiers.swap_max, tiers.zswap_max), (was.swap_max, was.zswap_max));
    assert_eq!(wanted_valve(tiers).map(|(to, _)| to), Some(false));
    assert!(closed.demote().is_none() && other.demote().is_some());
    // What lies below it has its own policy still; the kernel's valve above it is shut.
    assert_eq!(set.resolve("batch.slice/a/deep").unwrap().name(), "batch.toml");
}

#[test]
fn any_name_of_a_cgroup_is_closed_and_no_other() {
    for path in [
        "batch.slice/a*b",
        "batch.slice/[x]{y}?",
        "batch.slice/dev-disk\\x2d1",
        "batch.slice/\"quoted'",
        "batch.slice/データ",
        "!batch",
    ] {
        let mut of = batch();
        of.text = of.text.replace("\"batch.slice/**\"", "\"**\"");
        let closed = file("closed-7.toml", &closing(path, &of).unwrap());
        let set = PolicySet::load(&[of, closed]).unwrap();
        assert_eq!(set.resolve(path).unwrap().name(), "closed-7.toml", "{path}");
        assert_eq!(set.resolve("batch.slice/aXb").unwrap().name(), "batch.toml", "{path}");
    }
}

#[test]
fn where_nothing_goes_to_disk_or_nothing_would_be_left_there_is_nothing_to_close() {
    let of = |tiers: &str| file("p.toml", &format!("schema = 1\n[match]\ncgroup = [\"**\"]\n{tiers}"));
    let cases = [
        ("", Unclosed::NoTiers),
        ("[tiers]\nuse = []\n", Unclosed::NoDisk),
        ("[tiers]\nuse = [\"zswap\"]\n", Unclosed::NoDisk),
        ("[tiers]\nuse = [\"disk\"]\n", Unclosed::NoZswap),
        ("[tiers]\nuse = nonsense\n", Unclosed::Unreadable),
    ];
    for (tiers, why) in cases {
        assert_eq!(closing("a", &of(tiers)), Err(why), "{tiers}");
    }
}
