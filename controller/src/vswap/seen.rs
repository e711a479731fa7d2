//! The swap areas of a tick: what `/proc/swaps` has, what is under each, what was noted of those that swaptier made, what
//! their pools say. Areas are matched by what they are, a device number or an inode, and not by what they are called.
//!
//! Properties
//! - An area without storage is one whoever made it; an area of which that cannot be told is one too, and named.
//! - An area that somebody noted is what was noted, unless the kernel says that it holds nothing.
//! - A part whose pool does not answer has no fill; it is not empty.

use std::collections::BTreeMap;
use std::path::Path;

use swaptier_common::area::Area as Mapped;
use swaptier_policies::{AreaKind, AreaView, Blocks, Bytes, Fill, Marks, Pages, PoolView};

use super::under::Looker;
use super::{Area, AreaError, AreaRecord, AreaSpec, PoolMode, PoolStatus, area, dm::Dm, look, pool, store};
use crate::root::{DeviceNumber, Root};
use crate::sense::{SwapArea, swaps};

/// What was noted in the state folder `dir`, and what there is of it. Asks device-mapper only where something was noted.
///
/// # Errors
/// The list is damaged, or device-mapper refuses.
pub fn known(root: &Root, dir: &Path) -> Result<Vec<Area>, AreaError> {
    let intended = store::read(root, dir)?;
    if intended.areas.is_empty() {
        return Ok(Vec::new());
    }
    let dm = root.is_system().then(Dm::open_if_there).flatten();
    look::areas(root, dm.as_ref(), &intended)
}

/// Whether an area without storage is on, or one that cannot be told from such.
///
/// # Errors
/// The areas cannot be read.
pub fn has_ghost_on(root: &Root, dir: &Path) -> Result<bool, AreaError> {
    let (swaps, known) = (swaps::read(root)?, known(root, dir)?);
    let seen = see(root, &swaps, &known, |_| Marks::default());
    Ok(seen.views.iter().any(|view| view.kind.is_ghost()))
}

/// The areas that are on.
#[derive(Debug, Default)]
pub struct Seen {
    /// Each of them, in the kernel's order.
    pub views: Vec<AreaView>,
    /// The device of each whose device is known: the area's own, or the one its file lies on.
    pub devices: Vec<(DeviceNumber, String)>,
    /// What could not be looked at and what follows, one sentence each.
    pub unseen: Vec<String>,
}

/// The areas that are on as the kernel alone has them: of what was noted of them nothing is known here. A ghost may look
/// like any other area.
pub fn unnoted(root: &Root, swaps: &[SwapArea]) -> Seen {
    see(root, swaps, &[], |_| Marks::default())
}

/// The areas that are on, in the kernel's order. `known` is what was noted, `marks` are those of the area of this name.
pub fn see(root: &Root, swaps: &[SwapArea], known: &[Area], marks: impl Fn(&str) -> Marks) -> Seen {
    let page = Bytes(rustix::param::page_size() as u64);
    let (looker, mut seen) = (Looker::new(root), Seen::default());
    for swap in swaps {
        let under = looker.under(swap);
        let view = view(swap, known, &under, &marks, page);
        seen.devices.extend(swap.identity.map(|identity| (identity.device(), view.name.clone())));
        match (view.kind, under) {
            (AreaKind::Unseen, Err(why)) => seen.unseen.push(format!(
                "what is under the swap area {} cannot be told from here: {why}; it counts as one without storage",
                view.name
            )),
            (AreaKind::Virtual, _) if view.pool.is_none() => seen.unseen.push(format!(
                "how full the pool of the swap area {} is cannot be told from here: its marks are not watched, and nothing \
                 is demoted (is /dev/mapper/control there, and may this process open it?)",
                view.name
            )),
            _ => {}
        }
        seen.views.push(view);
    }
    seen
}

fn view(
    swap: &SwapArea,
    known: &[Area],
    under: &Result<AreaKind, String>,
    marks: &impl Fn(&str) -> Marks,
    page: Bytes,
) -> AreaView {
    let mut parts = known.iter().flat_map(|area| area.parts.iter().map(move |part| (area, part)));
    let ours = parts.find(|(_, part)| part.identity.is_some() && part.identity == swap.identity);
    let kind = match (ours, under) {
        (_, Ok(under)) if under.is_ghost() => *under,
        (Some((area, _)), _) => kind_of(&area.record),
        (None, Ok(under)) => *under,
        (None, Err(_)) => AreaKind::Unseen,
    };
    let pool = ours.filter(|_| kind == AreaKind::Virtual).and_then(|(area, _)| {
        let name = area.record.spec.name.as_str();
        area.pool.as_ref().map(|status| pool_view(name, status, marks(name)))
    });
    AreaView {
        name: ours
            .map_or_else(|| swap.shown(), |(area, part)| part_name(area.record.spec.name.as_str(), part.id)),
        path: swap.shown(),
        number: None,
        kind,
        priority: swap.priority,
        slots: swap.size.whole_pages(page),
        used: swap.used.whole_pages(page),
        pool,
    }
}

/// An area as it will be once it is made: empty, and of no known size.
#[must_use]
pub fn intended(spec: &AreaSpec) -> AreaView {
    let path = spec.devices.first().filter(|_| spec.kind == area::AreaKind::Plain);
    let path = path.map_or("/dev/dm-?".to_owned(), |path| path.display().to_string());
    AreaView {
        name: spec.name.to_string(),
        kind: match spec.kind {
            area::AreaKind::Ghost => AreaKind::GhostDm,
            area::AreaKind::Zram => AreaKind::GhostZram,
            area::AreaKind::Virtual => AreaKind::Virtual,
            area::AreaKind::Plain => AreaKind::Plain,
        },
        path,
        number: None,
        // The kernel gives those without one -2 and lower.
        priority: spec.priority.map_or(-2, i32::from),
        slots: Pages(0),
        used: Pages(0),
        pool: None,
    }
}

/// What a part of an area is called: the first one as the area itself.
#[must_use]
pub fn part_name(area: &str, part: u32) -> String {
    if part == 0 { area.to_owned() } else { format!("{area}/{part}") }
}

/// Whether `view` is the area of this name, or another part of it.
#[must_use]
pub fn is_part_of(view: &AreaView, area: &str) -> bool {
    view.name.strip_prefix(area).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What an area was made as.
fn kind_of(record: &AreaRecord) -> AreaKind {
    match record.spec.kind {
        _ if record.is_over_zram() => AreaKind::GhostZram,
        area::AreaKind::Ghost if record.native.is_some() => AreaKind::GhostNative,
        area::AreaKind::Ghost => AreaKind::GhostDm,
        area::AreaKind::Zram => AreaKind::GhostZram,
        area::AreaKind::Virtual => AreaKind::Virtual,
        area::AreaKind::Plain => AreaKind::Plain,
    }
}

/// The number of the part in the name of one of them; `None`: it is none of this area's.
#[must_use]
pub fn part_id(name: &str, area: &str) -> Option<u32> {
    match name.strip_prefix(area)? {
        "" => Some(0),
        rest => rest.strip_prefix('/')?.parse().ok(),
    }
}

/// A pool that has failed says nothing of its blocks: it has none, and so is full.
fn pool_view(name: &str, status: &PoolStatus, marks: Marks) -> PoolView {
    let fill = |used, total| Fill { used: Blocks(used), total: Blocks(total) };
    PoolView {
        name: name.to_owned(),
        block: pool::BLOCK,
        data: fill(status.used_blocks, status.total_blocks),
        metadata: fill(status.used_metadata_blocks, status.total_metadata_blocks),
        marks,
        refuses: status.mode != PoolMode::ReadWrite || status.needs_check,
    }
}

/// Gives the areas the kernel's numbers, by the areas of the map: both are in the order of those numbers. Where they do
/// not match line by line, an area came or went between the two readings, and none gets a number.
pub fn number(views: &mut [AreaView], mapped: &BTreeMap<u32, Mapped>) {
    // The map counts the header page.
    let is_same = |view: &AreaView, area: &Mapped| view.slots.0 + 1 == u64::from(area.slots);
    let do_match = views.len() == mapped.len()
        && views.iter().zip(mapped.values()).all(|(view, area)| is_same(view, area));
    let numbers = mapped.keys().copied().filter(|_| do_match).map(Some).chain(std::iter::repeat(None));
    views.iter_mut().zip(numbers).for_each(|(view, number)| view.number = number);
}

#[cfg(test)]
mod tests {
    use swaptier_policies::Share;

    use super::*;
    use crate::fake::FakeRoot;
    use crate::root::Identity;
    use crate::vswap::PartFound;

    const PAGE: Bytes = Bytes(4096);
    const LINE: &str = "1 12/4096 2967/15360 - rw no_discard_passdown error_if_no_space - 1024";

    /// The number of a device of device-mapper.
    fn dm(minor: u32) -> Identity {
        Identity::Device(DeviceNumber { major: 253, minor })
    }

    fn swap(path: &str, identity: Option<Identity>) -> SwapArea {
        let size = Bytes(1_000 * PAGE.0);
        SwapArea {
            path: path.into(),
            kind: "partition".into(),
            size,
            used: Bytes(PAGE.0),
            priority: 7,
            identity,
        }
    }

    fn known(name: &str, kind: area::AreaKind, parts: &[Identity], pool: Option<&str>) -> Area {
        let spec = AreaSpec::new(name.parse().unwrap(), kind);
        let record = serde_json::json!({ "spec": spec, "owner": "config", "want": "on", "parts": [] });
        let record: AreaRecord = serde_json::from_value(record).unwrap();
        let part = |(id, identity): (u32, &Identity)| PartFound {
            id,
            path: None,
            identity: Some(*identity),
            swap: None,
        };
        let pool = pool.map(|line| PoolStatus::parse(line).unwrap());
        Area { record, parts: (0..).zip(parts).map(part).collect(), pool }
    }

    fn view_of(path: &str, identity: Identity, known: &[Area], under: &Result<AreaKind, String>) -> AreaView {
        view(&swap(path, Some(identity)), known, under, &|_| Marks::default(), PAGE)
    }

    fn unseen() -> Result<AreaKind, String> {
        Err("hidden".to_owned())
    }

    #[test]
    fn an_area_of_ours_is_known_by_its_number_whatever_the_kernel_calls_it() {
        let ghost = [known("g", area::AreaKind::Ghost, &[dm(3)], None)];
        for path in ["/dev/dm-3", "/dm-3", "/dev/mapper/swaptier-g-0", "/dm-3 (deleted)"] {
            let view = view_of(path, dm(3), &ghost, &unseen());
            assert_eq!((view.kind, view.name.as_str(), view.path.as_str()), (AreaKind::GhostDm, "g", path));
        }
        let other = view_of("/dev/dm-3", dm(4), &ghost, &Ok(AreaKind::Plain));
        assert_eq!(
            (other.kind, other.name.as_str()),
            (AreaKind::Plain, "/dev/dm-3"),
            "only its name is the same"
        );
    }

    #[test]
    fn what_holds_nothing_is_a_ghost_whatever_was_noted() {
        let main = [known("main", area::AreaKind::Plain, &[dm(3)], None)];
        assert_eq!(view_of("/dm-3", dm(3), &main, &Ok(AreaKind::GhostDm)).kind, AreaKind::GhostDm);
        assert_eq!(view_of("/dm-3", dm(3), &main, &Ok(AreaKind::Plain)).kind, AreaKind::Plain);
        assert_eq!(view_of("/dm-9", dm(9), &main, &unseen()).kind, AreaKind::Unseen);
    }

    #[test]
    fn what_cannot_be_told_is_said_with_its_reason() {
        let fake = FakeRoot::host();
        let swaps = [
            swap("/dm-3", None),
            swap("/dev/vda", fake.root().device_called("/dev/vda".as_ref()).map(Identity::Device)),
        ];
        let seen = see(fake.root(), &swaps, &[], |_| Marks::default());
        assert_eq!(
            seen.views.iter().map(|view| view.kind).collect::<Vec<_>>(),
            [AreaKind::Unseen, AreaKind::Plain]
        );
        assert!(AreaKind::Unseen.is_ghost());
        let [said] = &seen.unseen[..] else { panic!("{:?}", seen.unseen) };
        assert!(said.contains("the swap area /dm-3 cannot be told from here: no block device"), "{said}");
        assert_eq!(seen.devices, [(DeviceNumber { major: 254, minor: 0 }, "/dev/vda".to_owned())]);
    }

    #[test]
    fn every_part_of_a_virtual_area_has_its_pool() {
        let main = [known("main", area::AreaKind::Virtual, &[dm(2), dm(3)], Some(LINE))];
        let of = |minor| view_of("/dm-9", dm(minor), &main, &unseen());
        let (first, second) = (of(2), of(3));
        assert_eq!((first.name.as_str(), second.name.as_str()), ("main", "main/1"));
        assert!(is_part_of(&second, "main") && !is_part_of(&second, "mai"));
        assert_eq!((part_id("main", "main"), part_id("main/1", "main")), (Some(0), Some(1)));
        for wrong in ["main/x", "main/", "mainly", "other", "main/-1", "main/99999999999"] {
            assert_eq!(part_id(wrong, "main"), None, "{wrong}");
        }
        let pool = first.pool.unwrap();
        // 2,967 / 15,360 = 0.1931640625, rounded up.
        assert_eq!((pool.data.share(), pool.refuses), (Share(193_165), false));
        assert_eq!((pool.name.as_str(), Some(pool.data)), ("main", second.pool.map(|pool| pool.data)));
    }

    #[test]
    fn a_pool_that_does_not_answer_is_unknown_and_one_in_trouble_refuses() {
        let pool = |line| {
            let main = [known("m", area::AreaKind::Virtual, &[dm(2)], line)];
            view_of("/dev/dm-2", dm(2), &main, &Ok(AreaKind::Virtual)).pool
        };
        assert_eq!(pool(None), None);
        let failed = pool(Some("Fail")).unwrap();
        assert_eq!((failed.data.share(), failed.refuses), (Share(1_000_000), true));
        let full = "1 12/4096 9/10 - out_of_data_space discard_passdown error_if_no_space - 1024";
        assert!(pool(Some(full)).unwrap().refuses);
    }

    #[test]
    fn numbers_are_the_maps_only_where_both_say_the_same() {
        let mapped = |slots: &[(u32, u32)]| -> BTreeMap<u32, Mapped> {
            slots
                .iter()
                .map(|(number, slots)| (*number, Mapped { slots: *slots, ..Mapped::default() }))
                .collect()
        };
        let view = |slots| AreaView { slots: Pages(slots), ..view_of("/dev/a", dm(1), &[], &unseen()) };
        let mut seen = [view(999), view(99)];
        let mut numbers = |slots| {
            number(&mut seen, &mapped(slots));
            seen.iter().map(|view| view.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&[(0, 1_000), (3, 100)]), [Some(0), Some(3)]);
        assert_eq!(numbers(&[(0, 1_000)]), [None, None]);
        assert_eq!(numbers(&[(0, 100), (3, 1_000)]), [None, None]);
    }
}
