//! What a recording costs: bytes on disk for each tick, the time a tick spends on handing its frame over, and the CPU time
//! of the thread that writes. The hosts are made up: every cgroup has pages in zswap, and in each tick a part of them
//! moves.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use swaptier::{
    recording::{Frame, Limits, Moved, Recorder, Recording, Terms},
    serve::status::{CgroupStatus, Durations, Status, SwapIns},
};
use swaptier_policies::{
    Bytes, CgroupId, CgroupPath, CgroupView, Cold, Decision, HostView, Limit, MapHealth, Pages, PolicySet,
    Seconds, Session, Settings, Share, Snapshot, SourceFile, Tiers, Writeback,
};

use super::{Dice, cpu_time, timed};

/// Small, usual, large.
const CGROUPS: [u64; 3] = [10, 100, 2_000];
/// Of a hundred cgroups, how many change in a tick: a quiet host, and one on which everything moves.
const MOVING: [u64; 2] = [5, 100];
/// Ticks: four keys and what rests on them.
const TICKS: u64 = 120;
/// Every fifth tick decides, as by default.
const INTERVAL: u64 = 5;
const BATCH: &str = include_str!("../../../policies/batch.toml");

/// How to print.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// One line of the output.
#[derive(Debug, Serialize)]
struct Row {
    cgroups: u64,
    moving_percent: u64,
    /// Bytes on disk of a tick, keys and all.
    bytes_per_tick: u64,
    /// What the same ticks are as JSON, one line each.
    json_bytes_per_tick: u64,
    /// CPU time of the tick for it, at most: what an agent adds for a frame, without the copy of its status.
    hand_over_us: f64,
    /// The copy of the status.
    status_us: f64,
    /// CPU time of the writer, mean of all ticks.
    writer_ms: f64,
    /// Opening the recording, and reading all frames once.
    read_ms: f64,
}

/// Measures all sizes.
///
/// # Errors
/// A recording cannot be written or read.
pub fn run(options: &Options) -> Result<bool> {
    if !options.json {
        println!("{TICKS} ticks, a decision every {INTERVAL}; all cgroups have pages in zswap");
        println!("cgroups  moving  bytes/tick  MiB/hour  as JSON  hand over  status   writer    read all");
    }
    for cgroups in CGROUPS {
        for moving in MOVING {
            let row = measure(cgroups, moving)?;
            if options.json {
                println!("{}", serde_json::to_string(&row)?);
                continue;
            }
            let Row {
                bytes_per_tick, json_bytes_per_tick, hand_over_us, status_us, writer_ms, read_ms, ..
            } = row;
            let mib_per_hour = (bytes_per_tick * 3_600) as f64 / f64::from(1 << 20);
            println!(
                "{cgroups:>7}  {moving:>4} %  {bytes_per_tick:>10}  {mib_per_hour:>8.0}  {json_bytes_per_tick:>7}  {hand_over_us:>6.1} us  \
                 {status_us:>6.0} us  {writer_ms:>5.2} ms  {read_ms:>6.0} ms"
            );
        }
    }
    Ok(true)
}

fn measure(cgroups: u64, moving: u64) -> Result<Row> {
    let dir = tempfile::tempdir().context("a folder for the recording")?;
    let limits = Limits { folder: dir.path().to_path_buf(), file_size: 1 << 30, files: 4 };
    let terms = Terms { policies: vec![("batch.toml".into(), BATCH.into())], ..Terms::default() };
    let policies = policies()?;
    let (mut world, mut session, mut dice) = (world(cgroups), Session::default(), Dice(7));
    let mut recorder = Recorder::start(limits, terms).context("starting the recorder")?;
    let (mut json, mut hand_over, mut copy, mut own) = (0, Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let all = process_time();
    for tick in 0..TICKS {
        let begun = cpu_time();
        turn(&mut world, moving, &mut dice);
        let before = recorder.wants_key().then(|| session.history().clone());
        let turn = session.turn(&world, &[]);
        let decision = tick.is_multiple_of(INTERVAL).then(|| {
            let (plan, _made) = session.decide(turn, &world, &policies);
            Decision { plan, outcomes: Vec::new() }
        });
        let status = status(&world);
        json += serde_json::to_vec(&(&world, decision.as_ref().map(|it| &it.plan), &status))?.len() as u64;
        let (time, status) = timed(|| status.clone());
        copy = copy.max(time);
        let frame = Frame {
            tick,
            unix_ms: tick * 1000,
            snapshot: world.clone(),
            ended: Vec::new(),
            decision,
            history: before,
            status: Some(status),
            ages: world.cgroups.keys().map(|id| (*id, vec![3, 0, 0, id.0 % 90, 0, 7, tick])).collect(),
            moved: world.cgroups.keys().map(|id| (*id, moved(tick, id.0))).collect(),
            events: Vec::new(),
        };
        let (time, ()) = timed(|| recorder.take(frame));
        hand_over = hand_over.max(time);
        own += cpu_time() - begun;
        // An agent does this once a second: the writer is done long before the next.
        while recorder.written().0 + recorder.dropped() <= tick {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let written = recorder.close();
    ensure!(written.dropped == 0, "{} frames were lost", written.dropped);
    let writer = (process_time() - all).saturating_sub(own);
    let (read, frames) = timed(|| read(dir.path()));
    ensure!(frames? == TICKS, "not all frames came back");
    let micro = |time: Duration| time.as_secs_f64() * 1e6;
    Ok(Row {
        cgroups,
        moving_percent: moving,
        bytes_per_tick: written.bytes / TICKS,
        json_bytes_per_tick: json / TICKS,
        hand_over_us: micro(hand_over),
        status_us: micro(copy),
        writer_ms: micro(writer) / 1e3 / TICKS as f64,
        read_ms: micro(read) / 1e3,
    })
}

fn read(folder: &std::path::Path) -> Result<u64> {
    let mut recording = Recording::open(folder)?;
    for n in 0..recording.len() {
        recording.frame(n)?;
    }
    Ok(recording.len() as u64)
}

fn process_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn policies() -> Result<PolicySet> {
    PolicySet::load(&[SourceFile::text("batch.toml", BATCH)])
        .map_err(|faults| anyhow::anyhow!("the shipped policy does not load: {faults:?}"))
}

/// A host whose cgroups, all but the root, have the shipped batch policy.
fn world(cgroups: u64) -> Snapshot {
    let view = |n: u64| CgroupView {
        path: if n == 1 { CgroupPath::ROOT } else { format!("batch.slice/worker-{n}.service").into() },
        parent: (n > 1).then_some(CgroupId::ROOT),
        populated: true,
        memory_current: Some(Bytes(64 << 20)),
        memory_high: Some(Limit::Max),
        memory_max: Some(Limit::Max),
        swap_current: Some(Bytes(40 << 20)),
        settings: Settings::fresh(),
        zswap_compressed: Some(Bytes(9 << 20)),
        zswap_original: Some(Bytes(30 << 20)),
        tiers: Some(Tiers { zswap: Pages(7680), zswap_compressed: Bytes(9 << 20), ..Tiers::default() }),
        cold: Some(Cold {
            older_than: Seconds(600),
            pages: Pages(12),
            compressed: Bytes(14_000),
            oldest: Seconds(700),
        }),
    };
    let host = HostView {
        ram: Bytes(64 << 30),
        zswap_enabled: true,
        pool_compressed: Some(Bytes(cgroups * (9 << 20))),
        pool_original: Some(Bytes(cgroups * (30 << 20))),
        pool_limit: Some(Bytes(12 << 30)),
        accept_threshold: Some(Share(900_000)),
        swap_total: Bytes(64 << 30),
        swap_free: Bytes(32 << 30),
        areas: Vec::new(),
        writeback: Writeback::Ready("worker".into()),
        map: MapHealth::Exact,
    };
    let cgroups: BTreeMap<CgroupId, CgroupView> = (1..=cgroups).map(|n| (CgroupId(n), view(n))).collect();
    Snapshot { at: Seconds(100_000), day: 20_000, page_size: Bytes(4096), host, cgroups }
}

/// A second later: what is in zswap is a second older everywhere, and some cgroups have moved.
fn turn(world: &mut Snapshot, moving: u64, dice: &mut Dice) {
    world.at.0 += 1;
    for view in world.cgroups.values_mut() {
        if let Some(cold) = &mut view.cold {
            cold.oldest.0 += 1;
        }
        if dice.below(100) < moving {
            let pages = dice.below(20_000);
            view.memory_current = Some(Bytes(dice.below(1 << 20) * 4096));
            view.swap_current = Some(Bytes((pages + dice.below(100)) * 4096));
            view.zswap_original = Some(Bytes(pages * 4096));
            view.zswap_compressed = Some(Bytes(pages * 1200 + dice.below(1 << 20)));
            view.tiers = Some(Tiers {
                zswap: Pages(pages),
                zswap_compressed: Bytes(pages * 1200),
                phys: Pages(dice.below(100)),
                ..Tiers::default()
            });
        }
    }
}

/// A status with the fields that an agent fills in each row.
fn status(world: &Snapshot) -> Status {
    let row = |(id, view): (&CgroupId, &CgroupView)| CgroupStatus {
        path: view.path.to_string(),
        id: id.0,
        policy: Some("batch.toml".into()),
        zswap_pages: view.tiers.map(|tiers| tiers.zswap.0),
        zswap_compressed_bytes: view.zswap_compressed.map(|bytes| bytes.0),
        phys_pages: view.tiers.map(|tiers| tiers.phys.0),
        zero_pages: Some(0),
        folio_pages: Some(0),
        unknown_pages: Some(0),
        drift_pages: Some(0),
        cold_pages: view.cold.map(|cold| cold.pages.0),
        older_than_seconds: view.cold.map(|cold| cold.older_than.0),
        oldest_seconds: view.cold.map(|cold| cold.oldest.0),
        stored_pages: Some(1_000_000 + id.0),
        loaded_pages: Some(900_000 + id.0),
        written_back_pages: Some(id.0),
        direct_pages: Some(0),
        read_pages: Some(17),
        regret_pages: Some(3),
        memory_current_bytes: view.memory_current.map(|bytes| bytes.0),
        settings: Settings::fresh(),
        ..CgroupStatus::default()
    };
    Status { schema: 1, cgroups: world.cgroups.iter().map(row).collect(), ..Status::default() }
}

/// What moved until this tick: of one cgroup in ten, with its swap-ins timed.
fn moved(tick: u64, id: u64) -> Moved {
    let histogram = |n: u64| vec![3, 0, id % 90, 7, if id.is_multiple_of(10) { tick * n } else { 0 }];
    let durations = |n| Durations { sum_seconds: n as f64 / 1e3, swap_ins: histogram(n) };
    let swap_ins = SwapIns { is_timed: true, zswap: durations(5), disk: durations(2) };
    Moved { loaded_pages: histogram(3), written_back_pages: histogram(1), swap_ins: Some(swap_ins) }
}
