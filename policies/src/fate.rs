//! What the priorities of the swap areas make of a policy: the kernel fills areas from the highest priority down, for all
//! cgroups alike. Pure; `check --host`, `doctor` and `explain` print it.

use std::fmt::Write as _;

use crate::area::AreaView;
use crate::decide::by_ghosts;
use crate::plan::Closed;
use crate::policy::Policy;
use crate::rules::Use;

/// What becomes of the pages of a policy's cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// In one sentence.
    pub says: String,
    /// Whether the policy gets what it asks for.
    pub can_work: bool,
}

/// What these areas make of the policy; `None` where it says nothing of swap.
#[must_use]
pub fn fate(policy: &Policy, areas: &[AreaView]) -> Option<Fate> {
    let uses = policy.tiers()?.uses;
    let demotes = policy.demote().is_some();
    let works = |says: String| Some(Fate { says, can_work: true });
    let fails = |says: String| Some(Fate { says, can_work: false });
    if uses == Use::Nothing {
        return works("nothing is swapped out".to_owned());
    }
    if areas.is_empty() {
        return fails("no swap area is on, so nothing is swapped out".to_owned());
    }
    let order = order(areas);
    match (by_ghosts(areas, false), uses) {
        (Some(closed @ (Closed::OnlyGhosts { .. } | Closed::GhostFirst { .. })), _) if uses.disk() => {
            let why = match (uses, demotes) {
                (Use::Disk, _) => "a page has nowhere to go",
                (_, true) => "what is in a ghost cannot be demoted",
                (_, false) => "what zswap refuses stays in RAM instead of going to disk",
            };
            fails(format!("{closed}, so {why}; areas: {order}"))
        }
        (Some(Closed::GhostUsed { ghost, .. }), _) if uses.disk() => fails(format!(
            "pages are in the ghost {ghost} already, so nothing is written to any area; areas: {order}"
        )),
        (None, _) if uses.disk() && areas.iter().any(|area| area.kind.is_ghost()) => {
            works(format!("pages are written until the areas before the ghost are full; areas: {order}"))
        }
        (_, Use::Zswap) if first(areas).is_some_and(|area| area.kind.pins_disk()) => {
            works(format!("compressed pages take slots of a disk that they never go to; areas: {order}"))
        }
        _ => works(format!("areas: {order}")),
    }
}

fn in_order(areas: &[AreaView]) -> Vec<&AreaView> {
    let mut areas: Vec<&AreaView> = areas.iter().collect();
    areas.sort_by(|one, other| (other.priority, &one.name).cmp(&(one.priority, &other.name)));
    areas
}

fn first(areas: &[AreaView]) -> Option<&AreaView> {
    in_order(areas).first().copied()
}

/// The areas in the order they are filled, those of one priority in turn.
fn order(areas: &[AreaView]) -> String {
    let mut text = String::new();
    let mut before = None;
    for area in in_order(areas) {
        let link = match before {
            None => "",
            Some(priority) if priority == area.priority => " and in turn ",
            Some(_) => ", then ",
        };
        before = Some(area.priority);
        // Writing into a `String` cannot fail.
        let _ = write!(text, "{link}{} ({}, priority {})", area.name, area.kind, area.priority);
    }
    text
}
