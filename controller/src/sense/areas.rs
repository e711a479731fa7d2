//! The swap areas of a tick: what `/proc/swaps` has, what was noted of those that swaptier made, what their pools say.
//! [`known`] reads the latter two through `vswap/`; all else here is pure.
//!
//! Properties
//! - An area that nobody noted is `plain`, or `zram` by its device's name: never taken for a ghost, nor for virtual.
//! - A part whose pool does not answer has no fill; it is not empty.

use std::collections::BTreeMap;
use std::path::Path;

use swaptier_common::area::Area as Mapped;
use swaptier_policies::{AreaKind, AreaView, Blocks, Bytes, Fill, Marks, Pages, PoolView};

use super::SwapArea;
use crate::root::Root;
use crate::vswap::{self, AreaError, AreaSpec, PoolMode, PoolStatus, dm::Dm};

/// What was noted in the state folder `dir`, and what there is of it. Asks device-mapper only where something was noted.
///
/// # Errors
/// The list is damaged, or device-mapper refuses.
pub fn known(root: &Root, dir: &Path) -> Result<Vec<vswap::Area>, AreaError> {
    let intended = vswap::store::read(root, dir)?;
    if intended.areas.is_empty() {
        return Ok(Vec::new());
    }
    let dm = root.is_system().then(Dm::open_if_there).flatten();
    vswap::look::areas(root, dm.as_ref(), &intended)
}

/// Whether an area without storage is on.
#[must_use]
pub fn has_ghost_on(known: &[vswap::Area]) -> bool {
    let is_on = |area: &vswap::Area| area.parts.iter().any(|part| part.swap.is_some());
    known.iter().any(|area| area.record.spec.kind.is_ghost() && is_on(area))
}

/// The areas that are on, in the kernel's order. `marks` are those of the area of this name.
pub fn views(
    swaps: &[SwapArea],
    known: &[vswap::Area],
    marks: impl Fn(&str) -> Marks,
    page: Bytes,
) -> Vec<AreaView> {
    swaps.iter().map(|swap| view(swap, known, &marks, page)).collect()
}

fn view(swap: &SwapArea, known: &[vswap::Area], marks: &impl Fn(&str) -> Marks, page: Bytes) -> AreaView {
    let parts = known.iter().flat_map(|area| area.parts.iter().map(move |part| (area, part)));
    let ours = parts.into_iter().find(|(_, part)| part.path.as_deref() == Some(Path::new(&swap.path)));
    let kind = match ours {
        Some((area, _)) => kind_of(area.record.spec.kind, &swap.path),
        None if is_zram(&swap.path) => AreaKind::Zram,
        None => AreaKind::Plain,
    };
    let pool = ours.filter(|_| kind == AreaKind::Virtual).and_then(|(area, _)| {
        let name = area.record.spec.name.as_str();
        area.pool.as_ref().map(|status| pool(name, status, marks(name)))
    });
    AreaView {
        name: ours
            .map_or(swap.path.clone(), |(area, part)| part_name(area.record.spec.name.as_str(), part.id)),
        path: swap.path.clone(),
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
    let path = spec.devices.first().filter(|_| spec.kind == vswap::AreaKind::Plain);
    let path = path.map_or("/dev/dm-?".to_owned(), |path| path.display().to_string());
    AreaView {
        name: spec.name.to_string(),
        kind: kind_of(spec.kind, &path),
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

fn kind_of(kind: vswap::AreaKind, path: &str) -> AreaKind {
    match kind {
        vswap::AreaKind::Ghost if is_zram(path) => AreaKind::GhostZram,
        vswap::AreaKind::Ghost if path.starts_with("/dev/") => AreaKind::GhostDm,
        vswap::AreaKind::Ghost => AreaKind::GhostNative,
        vswap::AreaKind::Zram => AreaKind::GhostZram,
        vswap::AreaKind::Virtual => AreaKind::Virtual,
        vswap::AreaKind::Plain => AreaKind::Plain,
    }
}

fn is_zram(path: &str) -> bool {
    path.strip_prefix("/dev/zram").is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// A pool that has failed says nothing of its blocks: it has none, and so is full.
fn pool(name: &str, status: &PoolStatus, marks: Marks) -> PoolView {
    let fill = |used, total| Fill { used: Blocks(used), total: Blocks(total) };
    PoolView {
        name: name.to_owned(),
        block: vswap::pool::BLOCK,
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
    use crate::vswap::{AreaRecord, PartFound};

    const PAGE: Bytes = Bytes(4096);

    fn swap(path: &str, pages: u64) -> SwapArea {
        let size = Bytes(pages * PAGE.0);
        SwapArea { path: path.into(), kind: "partition".into(), size, used: Bytes(PAGE.0), priority: 7 }
    }

    fn known(name: &str, kind: vswap::AreaKind, paths: &[&str], pool: Option<&str>) -> vswap::Area {
        let spec = AreaSpec::new(name.parse().unwrap(), kind);
        let record = serde_json::json!({ "spec": spec, "owner": "config", "want": "on", "parts": [] });
        let record: AreaRecord = serde_json::from_value(record).unwrap();
        let parts =
            paths.iter().zip(0..).map(|(path, id)| PartFound { id, path: Some(path.into()), swap: None });
        let pool = pool.map(|line| PoolStatus::parse(line).unwrap());
        vswap::Area { record, parts: parts.collect(), pool }
    }

    fn seen(path: &str, known: &[vswap::Area]) -> AreaView {
        views(&[swap(path, 1_000)], known, |_| Marks::default(), PAGE).remove(0)
    }

    #[test]
    fn what_nobody_noted_is_plain_or_zram_by_its_name() {
        for (path, kind) in [
            ("/dev/zram0", AreaKind::Zram),
            ("/dev/dm-0", AreaKind::Plain),
            ("/swap/zram0", AreaKind::Plain),
            ("/dev/zramdisk", AreaKind::Plain),
        ] {
            let view = seen(path, &[]);
            assert_eq!((view.kind, view.name.as_str()), (kind, path));
        }
    }

    #[test]
    fn a_ghost_is_told_apart_by_what_is_under_it() {
        let ghost = |path| seen(path, &[known("g", vswap::AreaKind::Ghost, &[path], None)]).kind;
        assert_eq!((ghost("/dev/dm-3"), ghost("/run/g")), (AreaKind::GhostDm, AreaKind::GhostNative));
        assert_eq!(ghost("/dev/zram1"), AreaKind::GhostZram, "where there is no device-mapper");
        let zram = seen("/dev/zram1", &[known("z", vswap::AreaKind::Zram, &["/dev/zram1"], None)]);
        assert_eq!(zram.kind, AreaKind::GhostZram);
    }

    #[test]
    fn every_part_of_a_virtual_area_has_its_pool() {
        let line = "1 12/4096 2967/15360 - rw no_discard_passdown error_if_no_space - 1024";
        let main = known("main", vswap::AreaKind::Virtual, &["/dev/dm-2", "/dev/dm-3"], Some(line));
        let (first, second) = (seen("/dev/dm-2", std::slice::from_ref(&main)), seen("/dev/dm-3", &[main]));
        assert_eq!((first.name.as_str(), second.name.as_str()), ("main", "main/1"));
        assert!(is_part_of(&second, "main") && !is_part_of(&second, "mai"));
        let pool = first.pool.unwrap();
        // 2,967 / 15,360 = 0.1931640625, rounded up.
        assert_eq!((pool.data.share(), pool.refuses), (Share(193_165), false));
        assert_eq!((pool.name.as_str(), Some(pool.data)), ("main", second.pool.map(|pool| pool.data)));
    }

    #[test]
    fn a_pool_that_does_not_answer_is_unknown_and_one_in_trouble_refuses() {
        let pool =
            |line| seen("/dev/dm-2", &[known("m", vswap::AreaKind::Virtual, &["/dev/dm-2"], line)]).pool;
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
        let mut seen = views(&[swap("/dev/a", 999), swap("/dev/b", 99)], &[], |_| Marks::default(), PAGE);
        let mut numbers = |slots| {
            number(&mut seen, &mapped(slots));
            seen.iter().map(|view| view.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&[(0, 1_000), (3, 100)]), [Some(0), Some(3)]);
        assert_eq!(numbers(&[(0, 1_000)]), [None, None]);
        assert_eq!(numbers(&[(0, 100), (3, 1_000)]), [None, None]);
    }
}
