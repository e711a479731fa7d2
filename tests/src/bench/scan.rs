//! How fast the shadow map is walked. The measure is the same memory, read by the same thread right before: a plain sum
//! of all words. Both are the best of several turns in CPU time, taken in turn so that whatever else goes on in the
//! machine meets both.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use serde::Serialize;
use swaptier::map::scan::{Scan, Way};
use swaptier_common::FRAME_SLOTS;

use super::{
    shadow::{Layout, NOW, Shadow},
    timed,
};

/// Share of the memory's speed that the walk must reach on a random half-full map.
const WANTED: f64 = 0.25;
/// Walks an hour, by owner and by area: one for each decision, every five seconds.
const DECISIONS: f64 = 720.0;
/// Walks by owner an hour while somebody looks: one each tick.
const TICKS: f64 = 3_600.0;

/// How to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Slots in the map.
    #[arg(long, default_value_t = 1 << 24)]
    slots: usize,
    /// Owners among them.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_535))]
    owners: u64,
    /// Owners among those whose pages are all younger than a minute. Sixteen are the worst for the search of oldest
    /// pages.
    #[arg(long, default_value_t = 0)]
    young: u64,
    /// Ages that policies ask for, a different one each: every one costs a comparison.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=31))]
    ages: u64,
    /// Turns of each, of which the best counts.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u64).range(1..))]
    turns: u64,
    /// Every way of walking that this processor has, not only the fastest.
    #[arg(long)]
    all_ways: bool,
}

/// One line of the output.
#[derive(Debug, Serialize)]
struct Line {
    slots: usize,
    fill: String,
    layout: Layout,
    owners: u64,
    young: u64,
    ages: u64,
    way: String,
    seconds: f64,
    /// The other walk of a decision: frame by frame, with one row for all owners, as of an area.
    by_area_seconds: f64,
    gigabytes_per_second: f64,
    /// A plain sum of the same words.
    memory_gigabytes_per_second: f64,
    memory_bandwidth_ratio: f64,
}

/// Measures all cases; `true` when the bound holds.
///
/// # Errors
/// The figures cannot be printed.
pub fn run(options: &Options) -> Result<bool> {
    let shadow = Shadow::new(options.slots);
    let ways = if options.all_ways { Way::all() } else { vec![Way::all()[0]] };
    if !options.json {
        println!(
            "one thread, CPU time, best of {} turns; beside it a plain sum of the same words",
            options.turns
        );
        println!("fill            neighbours  way     ms      GB/s   memory GB/s  ratio");
    }
    let mut is_kept = true;
    for (fill, percent) in [("empty", 0), ("a tenth", 10), ("half", 50), ("full", 100)] {
        for layout in [Layout::Slots, Layout::Batches, Layout::Frames] {
            shadow.fill(percent, options.owners, options.young, layout);
            for (nth, way) in ways.iter().enumerate() {
                let line = measure(&shadow, *way, fill, layout, options);
                show(&line, options.json)?;
                let is_worst = percent == 50 && layout == Layout::Slots;
                if is_worst && !options.json {
                    let by_area = DECISIONS * line.by_area_seconds;
                    println!(
                        "    by area {:.2} ms; CPU seconds an hour: {:.0} when nobody looks, {:.0} with a walk each tick",
                        line.by_area_seconds * 1e3,
                        DECISIONS * line.seconds + by_area,
                        TICKS * line.seconds + by_area
                    );
                }
                if nth == 0 && is_worst && line.memory_bandwidth_ratio < WANTED {
                    eprintln!(
                        "out of bounds: {:.2} of the memory's speed, not {WANTED}",
                        line.memory_bandwidth_ratio
                    );
                    is_kept = false;
                }
            }
        }
    }
    Ok(is_kept)
}

fn measure(shadow: &Shadow, way: Way, fill: &str, layout: Layout, options: &Options) -> Line {
    let (mut sum, mut walk, mut by_area) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..options.turns {
        sum = sum.min(timed(|| black_box(add_up(shadow.words()))).0);
        let cold_after = |owner| Some(600 * (1 + u64::from(owner) % options.ages));
        let mut scan = Scan::by(way, options.owners as usize, NOW, cold_after);
        walk = walk.min(timed(|| shadow.chunks().for_each(|words| scan.words(words))).0);
        black_box(&scan);
        let mut scan = Scan::by(way, 0, NOW, |_| None);
        by_area =
            by_area.min(timed(|| shadow.words().chunks(FRAME_SLOTS).for_each(|words| scan.words(words))).0);
        black_box(scan.total());
    }
    let speed = |time: Duration| shadow.bytes() as f64 / time.as_secs_f64() / 1e9;
    Line {
        slots: options.slots,
        fill: if is_random(fill) { format!("{fill} random") } else { fill.to_owned() },
        layout,
        owners: options.owners,
        young: options.young,
        ages: options.ages,
        way: format!("{way:?}").to_lowercase(),
        seconds: walk.as_secs_f64(),
        by_area_seconds: by_area.as_secs_f64(),
        gigabytes_per_second: speed(walk),
        memory_gigabytes_per_second: speed(sum),
        memory_bandwidth_ratio: sum.as_secs_f64() / walk.as_secs_f64(),
    }
}

/// Which slots are in use is left to chance unless all are, or none.
fn is_random(fill: &str) -> bool {
    !matches!(fill, "empty" | "full")
}

/// The sum of all words.
fn add_up(words: &[AtomicU64]) -> u64 {
    words.iter().fold(0, |sum, word| sum.wrapping_add(word.load(Ordering::Relaxed)))
}

fn show(line: &Line, is_json: bool) -> Result<()> {
    if is_json {
        println!("{}", serde_json::to_string(line).context("figures as JSON")?);
        return Ok(());
    }
    println!(
        "{:<14}  {:<10}  {:<6}  {:>6.2}  {:>5.1}  {:>11.1}  {:>5.2}",
        line.fill,
        format!("{:?}", line.layout).to_lowercase(),
        line.way,
        line.seconds * 1e3,
        line.gigabytes_per_second,
        line.memory_gigabytes_per_second,
        line.memory_bandwidth_ratio
    );
    Ok(())
}
