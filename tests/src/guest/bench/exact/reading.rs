//! Both sides of a comparison, taken while nothing moves: what `swaptier status` says and what the kernel's own files
//! say. Waiting for quiet and comparing live here; what is brought into swap does not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::Watch;
use crate::guest::agent::swaptier_json;
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel::{self, page_size};
use crate::guest::preamble::{self, SECOND_SWAP_DISK};
use crate::guest::swap::SwapArea;
use crate::guest::zswap;

/// memory.stat may lag behind for so long: small changes are only summed up every two seconds (mm/memcontrol.c).
const SETTLED: Duration = Duration::from_millis(2_500);
/// A difference that lasts for so long, and stays the same at two looks, is one; the agent ticks more often than this.
const PATIENCE: Duration = Duration::from_secs(12);
/// A host on which something moves all this time is not quiet, and what it shows then is reported as it is.
const LONGEST: Duration = Duration::from_secs(60);

/// Pages of the area that is switched on and off to empty the kernel's slot caches: the least there can be.
const SPARE_PAGES: u64 = 16;

/// What the agent says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    agent: Ticks,
    /// How the map fares.
    pub(super) map: Pulse,
    cgroups: Vec<Cell>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ticks {
    tick: u64,
}

/// How the map fares, all counts since the agent started.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pulse {
    /// Runs of probes that the kernel skipped.
    pub(super) recursion_misses: u64,
    /// Pages of such runs that were found in zswap all the same.
    pub(super) found_stores: u64,
    /// Events that could not be entered.
    pub(super) missed_events: u64,
    /// Slots whose word was corrected.
    #[serde(alias = "repaired_slots", alias = "repaired_pages")]
    pub(super) repaired: u64,
}

/// One cgroup by the map; pages with the subtree, events by itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cell {
    path: String,
    zswap_pages: u64,
    zswap_compressed_bytes: u64,
    pub(super) phys_pages: u64,
    pub(super) zero_pages: u64,
    folio_pages: u64,
    unknown_pages: u64,
    pub(super) written_back_pages: u64,
    pub(super) read_pages: u64,
    stored_pages: u64,
    loaded_pages: u64,
}

impl Cell {
    /// Slots in use, whatever they hold.
    fn slots(&self) -> u64 {
        self.zswap_pages + self.phys_pages + self.zero_pages + self.folio_pages + self.unknown_pages
    }
}

impl Seen {
    /// Asks the agent.
    pub(super) fn now() -> Result<Seen> {
        serde_json::from_value(swaptier_json(&["status", "--json"])?).context("the status has another shape")
    }

    /// The cgroup at `path`; all zero when it has nothing in swap.
    fn cell(&self, path: &str) -> Cell {
        self.cgroups.iter().find(|c| c.path == path).cloned().unwrap_or_default()
    }
}

/// A figure to compare beside those that always are.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    name: &'static str,
    map: fn(&Cell) -> u64,
    kernel: Source,
    /// What the kernel's counter said before.
    base: u64,
}

#[derive(Clone, Copy)]
enum Source {
    /// A line of the cgroup's memory.stat.
    Stat(&'static str),
    /// A line of /proc/vmstat: only where nobody else swaps.
    Vmstat(&'static str),
}

/// Pages of this cgroup that zswap wrote back.
pub(super) const WRITTEN_BACK: Claim =
    Claim { name: "written_back", map: |c| c.written_back_pages, kernel: Source::Stat("zswpwb"), base: 0 };
/// Pages that zswap stored: each loss of an event shows, also one that a later event of the same slot hid.
pub(super) const STORED: Claim =
    Claim { name: "stored", map: |c| c.stored_pages, kernel: Source::Stat("zswpout"), base: 0 };
/// Pages read out of zswap.
pub(super) const LOADED: Claim =
    Claim { name: "loaded", map: |c| c.loaded_pages, kernel: Source::Stat("zswpin"), base: 0 };
/// Slots of zeroes: as long as each was swapped out once and none was freed.
pub(super) const ZERO: Claim =
    Claim { name: "zero", map: |c| c.zero_pages, kernel: Source::Stat("swpout_zero"), base: 0 };

/// Slots on the device: as long as none was there before and none was freed.
pub(super) fn phys(base: u64) -> Claim {
    Claim { name: "phys", map: |c| c.phys_pages, kernel: Source::Vmstat("pswpout"), base }
}

/// Pages read from the device: as long as the cgroup had read none before.
pub(super) fn read(base: u64) -> Claim {
    Claim { name: "read", map: |c| c.read_pages, kernel: Source::Vmstat("pswpin"), base }
}

/// A quiet phase: every figure by the map and by the kernel.
#[derive(Debug, Clone, Default)]
pub(super) struct Phase {
    pub(super) name: String,
    pub(super) figures: BTreeMap<&'static str, [u64; 2]>,
}

/// Figures that only ever rise.
const EVENTS: [&str; 3] = [STORED.name, LOADED.name, WRITTEN_BACK.name];

impl Phase {
    /// Sum of the absolute differences of what is there, and of the events that were counted more often than they happened.
    pub(super) fn diff(&self) -> u64 {
        let off = |(name, [map, kernel]): (&&str, &[u64; 2])| {
            if EVENTS.contains(name) { map.saturating_sub(*kernel) } else { map.abs_diff(*kernel) }
        };
        self.figures.iter().map(off).sum()
    }

    /// Events that were not counted. What their slots hold may be known all the same, by what happened to them next.
    pub(super) fn uncounted(&self) -> u64 {
        EVENTS.map(|name| self.figure(name)).iter().map(|[map, kernel]| kernel.saturating_sub(*map)).sum()
    }

    /// One figure; zeroes when it was not compared.
    pub(super) fn figure(&self, name: &str) -> [u64; 2] {
        self.figures.get(name).copied().unwrap_or_default()
    }
}

impl Watch {
    /// Compares `cgroup`, and the host, as soon as nothing moves.
    pub(super) fn quiet(&mut self, name: &str, cgroup: &Cgroup, claims: &[Claim]) -> Result<()> {
        self.look(name, cgroup.path(), &|cell| {
            let mut figures = in_zswap(cgroup, cell, claims)?;
            let slots: u64 = cgroup.get("memory.swap.current")?.parse()?;
            figures.push(("slots", cell.slots(), slots / page_size()));
            Ok(figures)
        })
    }

    /// The same but for slots in use. A page that was swapped in from another cgroup's slot and goes out again is
    /// charged to its own cgroup in zswap, and its slot still to the other one; the map has one owner for both.
    pub(super) fn quiet_in_zswap(&mut self, name: &str, cgroup: &Cgroup, claims: &[Claim]) -> Result<()> {
        self.look(name, cgroup.path(), &|cell| in_zswap(cgroup, cell, claims))
    }

    /// Compares the whole host, pages of the root cgroup included.
    pub(super) fn quiet_host(&mut self, name: &str) -> Result<()> {
        self.look(name, "", &|cell| {
            Ok(vec![("zswap_pages", cell.zswap_pages, zswap::debug("stored_pages")?)])
        })
    }

    /// The same for all that is below the slice, cgroups that were removed included.
    pub(super) fn quiet_slice(&mut self, name: &str) -> Result<()> {
        // The guard is only read through its path.
        let files = Path::new(crate::guest::cgroup::ROOT).join(super::SLICE);
        self.look(name, super::SLICE, &|cell| {
            let stat = |key| kernel::stat(files.join("memory.stat"), key);
            let slots: u64 = kernel::read(files.join("memory.swap.current"))?.parse()?;
            Ok(vec![
                ("zswap_pages", cell.zswap_pages, stat("zswapped")? / page_size()),
                ("zswap_bytes", cell.zswap_compressed_bytes, stat("zswap")?),
                ("slots", cell.slots(), slots / page_size()),
            ])
        })
    }

    fn look(&mut self, name: &str, path: &str, figures: &Figures<'_>) -> Result<()> {
        let (begun_at, mut before) = (Instant::now(), Phase::default());
        let phase = loop {
            let begun = Seen::now()?.agent.tick;
            std::thread::sleep(SETTLED);
            let seen = after_tick(begun + 2)?;
            self.empty_slot_caches()?;
            let (first, second) = (self.both(&seen, path, figures)?, self.both(&seen, path, figures)?);
            let figures: BTreeMap<_, _> =
                second.iter().map(|(name, map, kernel)| (*name, [*map, *kernel])).collect();
            let phase = Phase { name: name.to_owned(), figures };
            let is_exact = first == second && phase.diff() + phase.uncounted() == 0;
            // The kernel's own threads (khugepaged) may still be at work: a difference that stays is one.
            let has_stayed = begun_at.elapsed() >= PATIENCE && phase.figures == before.figures;
            if is_exact || has_stayed || begun_at.elapsed() >= LONGEST {
                break phase;
            }
            before = phase;
        };
        if phase.diff() + phase.uncounted() > 0 {
            let (diff, uncounted) = (phase.diff(), phase.uncounted());
            eprintln!("{name}: off by {diff}, {uncounted} events not counted: {:?}", phase.figures);
        }
        self.phases.push(phase);
        Ok(())
    }

    /// All figures: those of the place, and those of the host, which are always compared.
    fn both(&self, seen: &Seen, path: &str, figures: &Figures<'_>) -> Result<Vec<(&'static str, u64, u64)>> {
        let mut all = figures(&seen.cell(path))?;
        let host = seen.cell("");
        all.push(("host_zswap_pages", host.zswap_pages, zswap::debug("stored_pages")?));
        let used: u64 = kernel::swaps()?.iter().map(|area| area.used).sum();
        all.push(("host_slots", host.slots(), used / page_size()));
        if self.is_spare_in_use && preamble::has_slot_caches()? {
            all.retain(|(name, ..)| !name.ends_with("slots"));
        }
        Ok(all)
    }

    /// Up to 6.12 the kernel keeps freed slots in caches of each processor and counts them as used. Switching any area
    /// off empties these caches. Where there is no disk for one, slots in use are not compared.
    fn empty_slot_caches(&self) -> Result<()> {
        if self.is_spare_in_use || !preamble::has_slot_caches()? {
            return Ok(());
        }
        drop(SwapArea::set_up(Path::new(SECOND_SWAP_DISK), Some(SPARE_PAGES), 0)?);
        if kernel::swaps()?.len() != 1 {
            bail!("the spare swap area did not go");
        }
        Ok(())
    }
}

/// Figures by name: map, kernel.
type Figures<'a> = dyn Fn(&Cell) -> Result<Vec<(&'static str, u64, u64)>> + 'a;

fn in_zswap(cgroup: &Cgroup, cell: &Cell, claims: &[Claim]) -> Result<Vec<(&'static str, u64, u64)>> {
    let mut figures = vec![
        ("zswap_pages", cell.zswap_pages, cgroup.stat("zswapped")? / page_size()),
        ("zswap_bytes", cell.zswap_compressed_bytes, cgroup.stat("zswap")?),
    ];
    for claim in claims {
        let now = match claim.kernel {
            Source::Stat(key) => cgroup.stat(key)?,
            Source::Vmstat(key) => kernel::vmstat(key)?,
        };
        figures.push((claim.name, (claim.map)(cell), now - claim.base));
    }
    Ok(figures)
}

/// What the agent says at this tick of its, or at a later one.
fn after_tick(tick: u64) -> Result<Seen> {
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = Seen::now()?;
        if seen.agent.tick >= tick {
            return Ok(seen);
        }
        ensure!(Instant::now() < end, "the agent does not tick: {} of {tick}", seen.agent.tick);
        std::thread::sleep(Duration::from_millis(300));
    }
}
