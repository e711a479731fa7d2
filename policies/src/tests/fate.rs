//! What the kernel's priorities make of a policy, in the words of `doctor`.

use super::*;
use crate::fate::{Fate, fate};

const DEMOTE: &str = "[tiers]\nuse = [\"zswap\", \"disk\"]\n[demote]\nolder_than = \"10m\"\n";

fn of(rest: &str, areas: &[AreaView]) -> (bool, String) {
    let set = policy(rest);
    let Fate { says, can_work } = fate(set.resolve("a").unwrap(), areas).unwrap();
    (can_work, says)
}

fn ghost(priority: i32) -> AreaView {
    area("ghost", AreaKind::GhostDm, priority)
}

fn disk(priority: i32) -> AreaView {
    area("disk", AreaKind::Plain, priority)
}

#[test]
fn over_ghosts_alone_a_policy_with_a_disk_cannot_work() {
    let (can, says) = of(DEMOTE, &[ghost(5)]);
    let told = "no swap area that is on has storage (ghost is a ghost), so what is in a ghost cannot be demoted; \
                areas: ghost (ghost (dm), priority 5)";
    assert_eq!((can, says.as_str()), (false, told));
    assert!(!of("[tiers]\nuse = [\"disk\"]", &[ghost(5)]).0);
    assert!(!of("[tiers]\nuse = [\"zswap\", \"disk\"]", &[ghost(5)]).0);
    assert!(of("[tiers]\nuse = [\"zswap\"]", &[ghost(5)]).0);
    assert!(of("[tiers]\nuse = []", &[]).0 && !of("[tiers]\nuse = [\"zswap\"]", &[]).0);
}

#[test]
fn with_both_the_priorities_decide() {
    assert!(!of(DEMOTE, &[disk(5), ghost(5)]).0);
    let (can, says) = of(DEMOTE, &[ghost(4), disk(5)]);
    let told = "pages are written until the areas before the ghost are full; \
                areas: disk (plain, priority 5), then ghost (ghost (dm), priority 4)";
    assert_eq!((can, says.as_str()), (true, told));
    let used = AreaView { used: Pages(1), ..ghost(4) };
    assert!(!of(DEMOTE, &[used, disk(5)]).0);
}

#[test]
fn compressed_pages_that_pin_a_disk_are_told() {
    let (can, says) = of("[tiers]\nuse = [\"zswap\"]", &[disk(5), ghost(4)]);
    assert!(can && says.starts_with("compressed pages take slots of a disk that they never go to"), "{says}");
    let two = [disk(5), AreaView { name: "other".into(), ..disk(5) }];
    let (_, says) = of(DEMOTE, &two);
    assert_eq!(says, "areas: disk (plain, priority 5) and in turn other (plain, priority 5)");
}
