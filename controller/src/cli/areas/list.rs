//! `list`: the areas of swaptier with what is in them. Changes nothing, and needs no lock.

use std::fmt::Write as _;

use serde::Serialize;
use swaptier_policies::Bytes;

use super::super::output::{or_unknown, say, say_json};
use super::super::settings;
use super::failure;
use crate::exit::{Exit, Result};
use crate::root::Root;
use crate::vswap::dm::Dm;
use crate::vswap::{Area, look, store};

/// All areas. The JSON of `--json` is a versioned interface.
#[derive(Debug, Serialize)]
struct Listed {
    schema: u32,
    areas: Vec<Area>,
}

pub(super) fn run(root: &Root, json: bool) -> Result {
    let dir = settings::state_dir(root, &settings::config(root)?);
    let intended = store::read(root, &dir).map_err(failure)?;
    let dm = if root.is_system() { Dm::open_if_there() } else { None };
    let areas = look::areas(root, dm.as_ref(), &intended).map_err(failure)?;
    if json {
        say_json(&Listed { schema: 1, areas })?;
    } else {
        say(&text(&areas))?;
    }
    Ok(Exit::Done)
}

/// One line for each part; what a pool says below its area.
fn text(areas: &[Area]) -> String {
    if areas.is_empty() {
        return "no area of swaptier's\n".to_owned();
    }
    // Writing into a `String` cannot fail.
    let mut text =
        format!("{:<16} {:<8} {:>8} {:>8} {:>8}  DEVICE\n", "AREA", "KIND", "SLOTS", "USED", "PRIORITY");
    for area in areas {
        let spec = &area.record.spec;
        for (part, found) in area.record.parts.iter().zip(&area.parts) {
            let device = found.path.as_ref().map(|path| path.display().to_string());
            let _ = writeln!(
                text,
                "{:<16} {:<8} {:>8} {:>8} {:>8}  {}{}",
                spec.name.as_str(),
                spec.kind.word(),
                part.size.to_string(),
                or_unknown(found.swap.map(|swap| swap.used)),
                or_unknown(found.swap.map(|swap| swap.priority)),
                or_unknown(device),
                if found.swap.is_none() { " (off)" } else { "" },
            );
        }
        if let Some(pool) = &area.pool {
            let disks: Vec<String> =
                area.record.disks.iter().map(|disk| disk.path.display().to_string()).collect();
            let _ = writeln!(
                text,
                "{:16} on disk: {} of {} in {} blocks, metadata {} of {} blocks, {}{}, on {}",
                "",
                pool.used(),
                pool.total(),
                pool.used_blocks,
                pool.used_metadata_blocks,
                pool.total_metadata_blocks,
                pool.mode,
                if pool.needs_check { ", needs a check: make it anew" } else { "" },
                disks.join(", "),
            );
        }
        if let Some(transfer) = &area.record.transfer {
            let _ = writeln!(text, "{:16} being moved to {}", "", transfer.to.path.display());
        }
    }
    let used =
        |area: &Area| area.parts.iter().filter_map(|part| part.swap).map(|swap| swap.used.0).sum::<u64>();
    let total: u64 = areas.iter().map(used).sum();
    let _ = writeln!(text, "{} of pages in {} area(s)", Bytes(total), areas.len());
    text
}
