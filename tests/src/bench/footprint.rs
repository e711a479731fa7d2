//! What a tick costs and how that grows: CPU time, memory, and beside it the time of only reading the same files. The
//! tick is what the agent does each second on a quiet host: read the files, walk the map, lay both together, decide.
//!
//! Each row is measured in a process of its own, or the memory of one would be counted in the next.

use std::{
    collections::BTreeMap,
    fs::File,
    hint::black_box,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt as _,
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::fs::{Mode, OFlags, openat};
use serde::{Deserialize, Serialize};
use swaptier::{
    map::scan::{OwnerScan, Scan},
    root::CGROUP_ROOT,
    sense::{self, Beside, CgroupTree, SenseError, Sensed},
    vswap::seen::unnoted,
};
use swaptier_common::slot::State;
use swaptier_policies::{
    Bytes, CgroupId, CgroupPath, Cold, Knob, MapHealth, Pages, Plan, PolicySet, Seconds, Session, SourceFile,
    Tiers, Writeback,
};

use super::{
    host::{FILES, Host},
    shadow::{Layout, NOW, Shadow},
    timed,
};

/// The tick may cost so many times the reading of its files …
const WANTED: f64 = 2.0;
/// … and the mean of ticks so many, when nobody looks: of these one walks the map and decides.
const WANTED_MEAN: f64 = 1.5;
const INTERVAL: f64 = 5.0;
/// … on a host of this size.
const JUDGED: Size = Size { cgroups: 1_000, slots: 1 << 20, bare: 0 };
/// So many cgroups without the memory controller, which anybody may make …
const BARE: usize = 20_000;
/// … may make a tick cost so many times what it costs without them.
const WANTED_BARE: f64 = 1.5;
/// Small, usual, large; each with 4 GiB and with 256 GiB of swap.
const CGROUPS: [usize; 3] = [10, 1_000, 10_000];
const SLOTS: [usize; 2] = [1 << 20, 1 << 26];
/// Turns of each, of which the best counts.
const TURNS: usize = 9;
const BATCH: &str = include_str!("../../../policies/batch.toml");

/// How to print.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// The size of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Size {
    /// cgroups, the root included.
    #[arg(long)]
    cgroups: usize,
    /// Slots of the map, half of them in use.
    #[arg(long)]
    slots: usize,
    /// cgroups without the memory controller beside them, which a user made.
    #[arg(long, default_value_t = 0)]
    bare: usize,
}

/// One line of the output.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    cgroups: usize,
    /// Those without the memory controller beside them.
    bare: usize,
    slots: usize,
    /// All of it: the four below.
    tick_cpu_ms: f64,
    sense_ms: f64,
    scan_ms: f64,
    assemble_ms: f64,
    decide_ms: f64,
    /// Opening, reading and closing the same files in the same way, nothing else.
    read_floor_ms: f64,
    /// Reads of both, which are the same.
    reads: u64,
    /// cgroups whose files stay open in both, as many as the limit of open files allows.
    kept_open: usize,
    /// What the process holds in RAM, without the map.
    rss_mib: f64,
    /// What the map of so many slots locks.
    map_mib: f64,
}

/// What one more of each costs.
#[derive(Debug, Serialize)]
struct Growth {
    microseconds_per_cgroup: f64,
    floor_microseconds_per_cgroup: f64,
    kib_per_cgroup: f64,
    milliseconds_per_million_slots: f64,
    map_bytes_per_slot: f64,
}

/// Measures all sizes; `true` when the bound holds.
///
/// # Errors
/// A row cannot be measured.
pub fn run(options: &Options) -> Result<bool> {
    if !options.json {
        println!("CPU time of one thread, best of {TURNS} turns; half of the slots in use");
        println!(
            "cgroups     slots   tick ms = files +  map + laid + decided   floor ms   reads  open  RSS MiB  map MiB"
        );
    }
    let mut rows = Vec::new();
    for cgroups in CGROUPS {
        for slots in SLOTS {
            let row = of_child(Size { cgroups, slots, bare: 0 })
                .with_context(|| format!("{cgroups} cgroups and {slots} slots"))?;
            show(&row, options.json)?;
            rows.push(row);
        }
    }
    show_growth(&rows, options.json)?;
    let beside = of_child(Size { bare: BARE, ..JUDGED }).context("a host with cgroups of a user")?;
    show(&beside, options.json)?;
    let judged = rows.iter().find(|row| row.cgroups == JUDGED.cgroups && row.slots == JUDGED.slots);
    let judged = judged.context("the judged size is one of those measured")?;
    let ratio = judged.tick_cpu_ms / judged.read_floor_ms;
    if ratio > WANTED {
        eprintln!("out of bounds: a tick at 1,000 cgroups costs {ratio:.2} times the reading of its files");
    }
    let mean = (judged.sense_ms + judged.assemble_ms + (judged.scan_ms + judged.decide_ms) / INTERVAL)
        / judged.read_floor_ms;
    if !options.json {
        println!(
            "when nobody looks, one tick of {INTERVAL} walks the map and decides: {mean:.2} times the reading"
        );
    }
    if mean > WANTED_MEAN {
        eprintln!(
            "out of bounds: a tick at 1,000 cgroups costs {mean:.2} times the reading, when nobody looks"
        );
    }
    let times = beside.tick_cpu_ms / judged.tick_cpu_ms;
    if times > WANTED_BARE {
        eprintln!(
            "out of bounds: {BARE} cgroups without the memory controller make a tick {times:.2} times as dear"
        );
    }
    Ok(ratio <= WANTED && mean <= WANTED_MEAN && times <= WANTED_BARE)
}

/// Measures one size here and prints it.
///
/// # Errors
/// The host's files cannot be laid out or read.
pub fn row(size: Size) -> Result<bool> {
    let _limit = sense::cgroupfs::raise_file_limit().context("raising the limit of open files")?;
    let host = Host::with(size.cgroups)?;
    host.add_bare(size.bare)?;
    let shadow = Shadow::new(size.slots);
    shadow.fill(50, size.cgroups as u64, 0, Layout::Batches);
    let policies = [SourceFile::text("batch.toml", BATCH)];
    let policies = PolicySet::load(&policies).ok().context("the shipped policy is valid")?;
    let mut agent = Agent { policies, tree: CgroupTree::default(), session: Session::default(), at: NOW };
    // The first turn opens what later ones keep open.
    agent.tick(&host, &shadow)?;
    let kept = agent.tree.kept_open();
    let before = reads()?;
    let mut best = agent.tick(&host, &shadow)?;
    let tick_reads = reads()? - before;
    for _ in 1..TURNS {
        best = best.min(agent.tick(&host, &shadow)?);
    }
    let rss = resident()? - shadow.bytes() as u64;
    // Both could not keep the files of a thousand cgroups open at once.
    drop(agent);
    let mut floor = Floor::open(&host, kept)?;
    let before = reads()?;
    let mut least = floor.read()?;
    let floor_reads = reads()? - before;
    // Whether those below have the controller by now is asked each time.
    let floor_reads = floor_reads + u64::from(size.bare > 0);
    ensure!(tick_reads == floor_reads, "a tick reads {tick_reads} times, its floor {floor_reads} times");
    for _ in 1..TURNS {
        least = least.min(floor.read()?);
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let row = Row {
        cgroups: size.cgroups,
        bare: size.bare,
        slots: size.slots,
        tick_cpu_ms: ms(best.sum()),
        sense_ms: ms(best.sense),
        scan_ms: ms(best.scan),
        assemble_ms: ms(best.assemble),
        decide_ms: ms(best.decide),
        read_floor_ms: ms(least),
        // The reading of the count is one of them.
        reads: tick_reads - 1,
        kept_open: kept,
        rss_mib: mib(rss as f64),
        map_mib: mib(shadow.bytes() as f64),
    };
    println!("{}", serde_json::to_string(&row).context("figures as JSON")?);
    Ok(true)
}

fn of_child(size: Size) -> Result<Row> {
    let program = std::env::current_exe().context("finding this program")?;
    let [cgroups, slots, bare] = [size.cgroups, size.slots, size.bare].map(|number| number.to_string());
    let mut child = Command::new(program);
    child
        .args(["footprint-row", "--cgroups", &cgroups, "--slots", &slots, "--bare", &bare])
        .stderr(Stdio::inherit());
    let output = child.output().context("starting the measurement")?;
    ensure!(output.status.success(), "the measurement ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("the measurement's figures")
}

/// What of the agent lives from tick to tick.
struct Agent {
    policies: PolicySet,
    tree: CgroupTree,
    session: Session,
    at: u64,
}

/// CPU time of a tick's parts.
#[derive(Clone, Copy)]
struct Cost {
    sense: Duration,
    scan: Duration,
    assemble: Duration,
    decide: Duration,
}

impl Cost {
    fn sum(self) -> Duration {
        self.sense + self.scan + self.assemble + self.decide
    }

    fn min(self, other: Cost) -> Cost {
        if other.sum() < self.sum() { other } else { self }
    }
}

impl Agent {
    fn tick(&mut self, host: &Host, shadow: &Shadow) -> Result<Cost> {
        let (sense, sensed) = timed(|| {
            let sensed = sense::collect(&host.root, &mut self.tree)?;
            let areas = unnoted(&host.root, &sensed.swaps).views;
            Ok::<_, SenseError>((sensed, areas))
        });
        let (sensed, areas) = sensed?;
        ensure!(sensed.cgroups.len() == host.cgroups.len(), "{} cgroups seen", sensed.cgroups.len());
        let (scan, (counts, cold)) = timed(|| view(&sensed, shadow, &self.policies));
        let (assemble, snapshot) = timed(|| {
            let beside = Beside {
                at: Seconds(self.at),
                day: 20_000,
                areas,
                writeback: Writeback::Ready("worker".to_owned()),
                health: MapHealth::Exact,
                counts,
                cold,
            };
            sense::assemble(sensed, beside)
        });
        let (decide, (plan, _made)) = timed(|| {
            let turn = self.session.turn(&snapshot, &[]);
            self.session.decide(turn, &snapshot, &self.policies)
        });
        let _plan: Plan = black_box(plan);
        self.at += 1;
        Ok(Cost { sense, scan, assemble, decide })
    }
}

/// Walks the map and sorts what it holds by cgroup: the n-th cgroup owns what has index n.
fn view(
    sensed: &Sensed,
    shadow: &Shadow,
    policies: &PolicySet,
) -> (BTreeMap<CgroupId, Tiers>, BTreeMap<CgroupId, Cold>) {
    let older_than = |path: &CgroupPath| policies.resolve(path).and_then(|policy| policy.older_than());
    let ages: Vec<Option<Seconds>> = sensed.cgroups.iter().map(|cgroup| older_than(&cgroup.path)).collect();
    let mut scan = Scan::new(ages.len(), NOW, |owner| Some(ages.get(usize::from(owner))?.as_ref()?.0));
    shadow.chunks().for_each(|words| scan.words(words));
    let (mut counts, mut cold) = (BTreeMap::new(), BTreeMap::new());
    for (owner, (cgroup, age)) in (0..).zip(sensed.cgroups.iter().zip(&ages)) {
        let found = scan.owner(owner);
        counts.insert(cgroup.id, tiers(&found));
        if let Some(older_than) = *age {
            let (pages, compressed) = (Pages(found.cold_pages), Bytes(found.cold_bytes));
            cold.insert(cgroup.id, Cold { older_than, pages, compressed, oldest: Seconds(found.oldest) });
        }
    }
    (counts, cold)
}

fn tiers(found: &OwnerScan) -> Tiers {
    Tiers {
        zswap: Pages(found.slots(State::Zswap)),
        zswap_compressed: Bytes(found.zswap_bytes),
        phys: Pages(found.slots(State::Phys)),
        zero: Pages(found.slots(State::Zero)),
        folio: Pages(found.slots(State::Folio)),
        unknown: Pages(found.slots(State::Unknown)),
    }
}

/// The files of a tick, read the way it reads them, and nothing more.
struct Floor {
    /// Directories and files of the cgroups that a tick keeps open.
    open: Vec<(OwnedFd, Vec<File>)>,
    /// The cgroup root, and paths below it of cgroups that it opens each time.
    top: OwnedFd,
    closed: Vec<String>,
    /// The root, for the host's own files.
    root: OwnedFd,
    buffer: Vec<u8>,
}

/// What is read of each cgroup, and of the root, beside the files that policies set.
const CGROUP_FILES: [&str; 6] =
    ["cgroup.events", "memory.stat", "memory.current", "memory.high", "memory.max", "memory.swap.current"];
const ROOT_FILES: [&str; 1] = ["memory.stat"];

/// The files that a tick reads of a cgroup.
fn files_of(is_root: bool) -> impl Iterator<Item = &'static str> {
    let others = if is_root { &ROOT_FILES[..] } else { &CGROUP_FILES[..] };
    let knobs = Knob::ALL.into_iter().filter(move |knob| !is_root || knob.is_on_root());
    others.iter().copied().chain(knobs.map(Knob::file))
}

impl Floor {
    /// Keeps as many cgroups open as a tick does.
    fn open(host: &Host, kept: usize) -> Result<Floor> {
        let root = open_dir(rustix::fs::CWD, host.path())?;
        let top = open_dir(root.as_fd(), Path::new(CGROUP_ROOT))?;
        let mut floor = Floor { open: Vec::new(), closed: Vec::new(), top, root, buffer: vec![0; 64 * 1024] };
        for path in &host.cgroups {
            if floor.open.len() == kept {
                floor.closed.push(path.clone());
                continue;
            }
            let dir = open_dir(floor.top.as_fd(), &Path::new(".").join(path))?;
            let files =
                files_of(path.is_empty()).map(|file| open_file(dir.as_fd(), file)).collect::<Result<_>>()?;
            floor.open.push((dir, files));
        }
        Ok(floor)
    }

    /// Reads all of it, and says how long that took.
    fn read(&mut self) -> Result<Duration> {
        let (time, read) = timed(|| self.read_all());
        read.map(|()| time)
    }

    fn read_all(&mut self) -> Result<()> {
        let buffer = &mut self.buffer;
        for file in FILES {
            // A file of the host is opened each time and read to its end, which takes a second read.
            let file = open_file(self.root.as_fd(), file)?;
            let read = file.read_at(buffer, 0)?;
            let _end = file.read_at(buffer, read as u64)?;
        }
        for (dir, files) in &self.open {
            rustix::fs::fstat(dir)?;
            for file in files {
                black_box(file.read_at(buffer, 0)?);
            }
        }
        for path in &self.closed {
            let dir = open_dir(self.top.as_fd(), Path::new(path))?;
            rustix::fs::fstat(&dir)?;
            for file in files_of(false) {
                black_box(open_file(dir.as_fd(), file)?.read_at(buffer, 0)?);
            }
        }
        Ok(())
    }
}

fn open_dir(at: impl AsFd, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty()).with_context(|| format!("opening {}", path.display()))
}

fn open_file(at: impl AsFd, path: &str) -> Result<File> {
    let file = openat(at, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    file.map(File::from).with_context(|| format!("opening {path}"))
}

/// How often this process has read a file so far, by the kernel's count.
fn reads() -> Result<u64> {
    number("/proc/self/io", "syscr:")
}

/// Bytes of this process in RAM.
fn resident() -> Result<u64> {
    Ok(number("/proc/self/status", "VmRSS:")? * 1024)
}

fn number(file: &str, key: &str) -> Result<u64> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let value = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("{file} has no {key}"))
}

fn show(row: &Row, is_json: bool) -> Result<()> {
    if is_json {
        println!("{}", serde_json::to_string(row).context("figures as JSON")?);
        return Ok(());
    }
    println!(
        "{:>7}  {:>8}  {:>8.3} = {:>5.3} + {:>5.3} + {:>5.3} + {:>5.3}     {:>8.3}  {:>6}  {:>4}  {:>7.1}  {:>7.1}",
        row.cgroups,
        row.slots,
        row.tick_cpu_ms,
        row.sense_ms,
        row.scan_ms,
        row.assemble_ms,
        row.decide_ms,
        row.read_floor_ms,
        row.reads,
        row.kept_open,
        row.rss_mib,
        row.map_mib
    );
    Ok(())
}

/// What one more cgroup costs, between 10 and 1,000, where all files stay open; and what a million slots more cost.
fn show_growth(rows: &[Row], is_json: bool) -> Result<()> {
    let row = |cgroups: usize, slots: usize| {
        let found = rows.iter().find(|row| row.cgroups == cgroups && row.slots == slots);
        found.context("all sizes were measured")
    };
    let (few, many) = (row(CGROUPS[0], SLOTS[0])?, row(CGROUPS[1], SLOTS[0])?);
    let (small, large) = (row(CGROUPS[1], SLOTS[0])?, row(CGROUPS[1], SLOTS[1])?);
    let cgroups = (many.cgroups - few.cgroups) as f64;
    let slots = (large.slots - small.slots) as f64;
    let growth = Growth {
        microseconds_per_cgroup: (many.tick_cpu_ms - few.tick_cpu_ms) * 1e3 / cgroups,
        floor_microseconds_per_cgroup: (many.read_floor_ms - few.read_floor_ms) * 1e3 / cgroups,
        kib_per_cgroup: (many.rss_mib - few.rss_mib) * 1024.0 / cgroups,
        milliseconds_per_million_slots: (large.tick_cpu_ms - small.tick_cpu_ms) * 1e6 / slots,
        map_bytes_per_slot: (large.map_mib - small.map_mib) * f64::from(1 << 20) / slots,
    };
    if is_json {
        println!("{}", serde_json::to_string(&growth).context("figures as JSON")?);
    } else {
        println!(
            "one more cgroup: {:.1} µs ({:.1} µs of it reading) and {:.1} KiB; a million slots more: {:.2} ms",
            growth.microseconds_per_cgroup,
            growth.floor_microseconds_per_cgroup,
            growth.kib_per_cgroup,
            growth.milliseconds_per_million_slots
        );
    }
    Ok(())
}
