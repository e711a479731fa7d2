//! `swaptier model`: what the designs of swap that kernel developers discuss would cost for the slots that this host really
//! has in use. From the running agent's map, or from a recording. Changes nothing.
//!
//! The arithmetic is `designs`'; `docs/model.md` says where its numbers are from and what they leave out.

mod designs;

use std::{fmt::Write as _, path::PathBuf};

use serde::Serialize;
use swaptier_policies::Bytes;

use self::designs::{Cost, DESIGNS, Slots, cost};
use super::{
    output::{Paint, Side, Table, say, say_json},
    replay::{Moment, of_recording, utc},
    status,
};
use crate::{
    exit::{Exit, Failure, Result},
    recording::Recording,
    root::Root,
    serve::status::Status,
};

/// What it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recordings, or folders of them, instead of the running agent
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,
    /// Which moment of the recording: a time (2026-11-20T12:00:00, UTC), or how long after its first frame (5m); its end
    #[arg(long, value_name = "TIME", requires = "from")]
    at: Option<Moment>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What is said. The JSON of `--json` is a versioned interface.
#[derive(Debug, Serialize)]
struct Model {
    schema: u32,
    /// `agent`, or when it was recorded.
    of: String,
    page_bytes: u64,
    slots: Slots,
    used_slots: u64,
    /// What the shadow map really holds: with its reserve and its directory.
    map_locked_bytes: u64,
    designs: Vec<Cost>,
}

pub(super) fn run(root: &Root, args: &Args) -> Result {
    let (status, page_bytes, of) = if args.from.is_empty() { of_agent(root)? } else { recorded(args)? };
    let Some(slots) = Slots::of(&status, page_bytes) else {
        return Err(Failure::say(
            Exit::Unsupported,
            "there is no shadow map, so it is not known where pages are (`swaptier doctor` says why)",
        ));
    };
    let model = Model {
        schema: 1,
        of,
        page_bytes,
        slots,
        used_slots: slots.used(),
        map_locked_bytes: status.map.locked_bytes,
        designs: DESIGNS.iter().map(|design| cost(design, &slots, page_bytes)).collect(),
    };
    if args.json {
        say_json(&model)?
    } else {
        say(&render(&model, Paint::of_stdout()))?
    }
    Ok(Exit::Done)
}

fn of_agent(root: &Root) -> std::result::Result<(Status, u64, String), Failure> {
    let status = status::of_agent(root)?.map_err(|absence| {
        let what = "and only its map knows the slots";
        let text = format!("{absence}, {what}: {}, or give a recording with --from", absence.remedy());
        Failure::say(Exit::Failed, text)
    })?;
    Ok((status, rustix::param::page_size() as u64, "agent".to_owned()))
}

fn recorded(args: &Args) -> std::result::Result<(Status, u64, String), Failure> {
    let mut recording = Recording::open_all(&args.from).map_err(of_recording)?;
    for loss in recording.losses() {
        eprintln!("swaptier: lost: {loss}");
    }
    let first = recording.unix_ms(0).unwrap_or(0);
    let number = args.at.map_or(recording.len() - 1, |moment| recording.seek(moment.unix_ms(first)));
    let frame = recording.frame(number).map_err(of_recording)?;
    let of = format!("{} UTC", utc(frame.unix_ms));
    let status = frame.status.ok_or_else(|| Failure::say(Exit::Failed, "the frame has no status"))?;
    Ok((status, frame.snapshot.page_size.0, of))
}

fn render(model: &Model, paint: Paint) -> String {
    let Slots { all, clusters, zswap, phys, zero, folio, unknown } = model.slots;
    let mut text = String::new();
    // Writing into a `String` cannot fail.
    let _ = writeln!(
        text,
        "{} of {all} slots in use, in {clusters} clusters: {zswap} in zswap, {phys} on disk, {zero} zeros, {folio} in the \
         swap cache, {unknown} unknown ({})\n",
        model.used_slots, model.of,
    );
    let mut table = Table::new([
        ("DESIGN", Side::Left),
        ("B/SLOT", Side::Right),
        ("B/USED", Side::Right),
        ("B/ON DISK", Side::Right),
        ("STATIC", Side::Right),
        ("DYNAMIC", Side::Right),
        ("DISK HELD FOR NOTHING", Side::Right),
    ]);
    for cost in &model.designs {
        table.row([
            cost.design.to_owned(),
            cost.bytes_per_slot.to_string(),
            cost.bytes_per_used_slot.to_string(),
            cost.bytes_per_page_on_disk.to_string(),
            Bytes(cost.static_bytes).to_string(),
            Bytes(cost.dynamic_bytes).to_string(),
            Bytes(cost.pinned_disk_bytes).to_string(),
        ]);
    }
    text.push_str(&table.render(paint));
    let _ = writeln!(
        text,
        "\nKernel memory for bookkeeping; zswap's own entries are the same in all. The shadow map is beside the kernel's own \
         books, not instead of them;\nwith its reserve and its directory it holds {} now.",
        Bytes(model.map_locked_bytes)
    );
    text
}
