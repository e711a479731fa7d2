//! Every kind of ghost that this kernel gives, one after the other under the same load: what it holds, what is written, what
//! its empty slots cost.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::Outcome;
use super::cost::free;
use super::ground::{Area, command, log_lines, store, stored, writes_in};
use crate::guest::agent::swaptier;
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel::{self, page_size, vmstat};
use crate::guest::zswap::Zswap;

const KINDS: [&str; 3] = ["native", "dm", "zram"];
/// Cold memory of a run, MiB.
const COLD: u64 = 64;
/// Slots of each: so many that zram's table, some tens of MiB, stands out from what others take meanwhile.
const SIZE: (&str, u64) = ("4G", 4 << 30);
/// How often the cost of slots is measured; the middle one counts.
const TIMES: usize = 3;
/// What the kernel says for each write to a ghost.
const WRITE_ERROR: &str = "Write-error on swap-device";
/// Pages that are written to the body of a ghost that is off: all must be refused.
const TRIED: u64 = 64;

/// What is measured of each is named after it.
pub(super) fn side_by_side(outcome: &mut Outcome) -> Result<()> {
    let _zswap = Zswap::set_up(60)?;
    for kind in KINDS {
        if kind == "native" && !has_native()? {
            outcome.count("native_can_be_had", 0);
            continue;
        }
        slots(outcome, kind)?;
        loaded(outcome, kind).with_context(|| format!("a load in a ghost by {kind}"))?;
        refusing(outcome, kind).with_context(|| format!("writing to a ghost by {kind}"))?;
    }
    Ok(())
}

/// No kernel of today has it, and says so.
fn has_native() -> Result<bool> {
    let made = swaptier(&["ghost", "create", "probe", "--size", "64M", "--kind", "native"])?;
    match made.code {
        0 => command(&["ghost", "remove", "probe"]).map(|()| true),
        _ if made.stderr.contains("takes no swap file with nothing but a header") => Ok(false),
        code => bail!("a native ghost: {code}: {}", made.stderr.trim()),
    }
}

fn area(kind: &str) -> Result<Area> {
    Area::create("ghost", "hold", &["--size", SIZE.0, "--priority", "10", "--kind", kind])
}

/// Memory that is free no more while it is on and empty.
fn slots(outcome: &mut Outcome, kind: &str) -> Result<()> {
    let one = || -> Result<u64> {
        let before = free()?;
        let _area = area(kind)?;
        Ok(before.saturating_sub(free()?))
    };
    // Modules are loaded, and caches filled, by the first.
    drop(area(kind)?);
    let mut costs = (0..TIMES).map(|_| one()).collect::<Result<Vec<u64>>>()?;
    costs.sort_unstable();
    let cost = costs[TIMES / 2];
    outcome.count(&format!("{kind}_slots_bytes"), cost);
    outcome.figure(&format!("{kind}_bytes_per_slot"), cost as f64 / (SIZE.1 / page_size()) as f64);
    Ok(())
}

/// The load goes through it twice, and is verified each time.
fn loaded(outcome: &mut Outcome, kind: &str) -> Result<()> {
    let area = area(kind)?;
    let cgroup = Cgroup::with("areas.slice/ghosts", &[("memory.zswap.writeback", "0")])?;
    let device = device(&area)?;
    let writes = || device.as_deref().map_or(Ok(0), writes_in);
    let before = [vmstat("pswpout")?, log_lines(WRITE_ERROR)? as u64, writes()?];
    let (stores, loads, start) = (vmstat("zswpout")?, vmstat("zswpin")?, Instant::now());
    let mut work = stored(&cgroup, COLD, 7)?;
    work.command("verify")?;
    store(&mut work, &cgroup, COLD)?;
    work.finish()?;
    outcome.figure(&format!("{kind}_seconds"), start.elapsed().as_secs_f64());
    let (stores, loads) = (vmstat("zswpout")? - stores, vmstat("zswpin")? - loads);
    outcome.count(&format!("{kind}_stores"), stores);
    outcome.count(&format!("{kind}_loads"), loads);
    // Twice 96 % of the pages at least.
    let least = 2 * (COLD << 20) / page_size() / 100 * 96;
    outcome.claim(
        stores >= least && loads >= least,
        format!("{kind}: {stores} stores, {loads} loads of {least}"),
    );
    let after = [vmstat("pswpout")?, log_lines(WRITE_ERROR)? as u64, writes()?];
    for (what, (before, after)) in
        ["pages_written", "write_error_lines", "device_writes"].into_iter().zip(before.into_iter().zip(after))
    {
        let count = after - before;
        outcome.count(&format!("{kind}_{what}"), count);
        outcome.claim(count == 0, format!("{kind}: {what} is {count}"));
    }
    Ok(())
}

/// The folder of its device; a file has none.
fn device(area: &Area) -> Result<Option<PathBuf>> {
    let path = area.path()?;
    Ok(path.strip_prefix("/dev/").map(|name| Path::new("/sys/block").join(name)))
}

/// Off, its body takes no page, however small a compressor makes it, and its device no memory.
fn refusing(outcome: &mut Outcome, kind: &str) -> Result<()> {
    let area = area(kind)?;
    let Some(device) = device(&area)? else { return Ok(()) };
    command(&["ghost", "drain", "hold"])?;
    let taken = || kernel::read(device.join("mm_stat")).ok().and_then(|stat| number(&stat, 2)).unwrap_or(0);
    let (path, before) = (area.path()?, taken());
    let mut refused = 0;
    for index in 1..=TRIED {
        refused += u64::from(!write(&path, index, &like_a_header(index))?);
    }
    // zram keeps such a page in its table.
    let is_taken = write(&path, TRIED + 1, &vec![0x55; page_size() as usize])?;
    outcome.claim(is_taken == (kind == "zram"), format!("{kind}: a page of one word taken: {is_taken}"));
    outcome.count(&format!("{kind}_writes_refused"), refused);
    outcome.count(&format!("{kind}_pool_bytes"), taken());
    outcome.claim(refused == TRIED, format!("{kind}: {refused} of {TRIED} writes were refused"));
    outcome.claim(taken() == before, format!("{kind}: {} bytes of memory, {before} before", taken()));
    Ok(())
}

/// Writes a page to this place of a device; whether it took it.
fn write(path: &str, index: u64, page: &[u8]) -> Result<bool> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.write_all_at(page, index * page_size())?;
    Ok(file.sync_all().is_ok())
}

/// A page that a compressor makes as small as an ordinary swap header, or a little larger the higher `index` is.
fn like_a_header(index: u64) -> Vec<u8> {
    let is_text = |at: u64| (1024..1024 + index).contains(&at);
    (0..page_size()).map(|at| if is_text(at) { (at * 89 % 251) as u8 } else { 0 }).collect()
}

fn number(line: &str, at: usize) -> Option<u64> {
    line.split_ascii_whitespace().nth(at)?.parse().ok()
}
