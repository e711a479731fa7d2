//! A run from the first page to the verdict: fill, loop (or obey `commands`), touch the cold part, verify, report.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::area::Mapping;
use super::args::Args;
use super::content::Recipe;
use super::file_cache::FileCache;
use super::histogram::Histogram;
use super::part::Part;
use super::report::{Latency, Report, faults};
use super::{commands, stop};

/// Places in `Run::parts`.
const HOT: usize = 0;
const WARM: usize = 1;
const COLD: usize = 2;
/// Loops over the warm part until each of its pages was touched once.
const WARM_TURNS: usize = 5;
/// Pages between two looks at the clock and the signal.
const STRIDE: usize = 64;

/// All memory of a run, and its counts.
pub(super) struct Run {
    args: Args,
    /// Hot, warm and cold, in this order; a freed part is `None`.
    pub(super) parts: [Option<Part>; 3],
    pub(super) file: Option<FileCache>,
    /// Mismatches of parts that were freed since.
    pub(super) freed_mismatches: u64,
    loops: u64,
    seconds: Duration,
    /// Hundredths of a write owed by the touches so far.
    write_debt: u32,
}

/// Runs the generator as asked: `true` when every page held its contents.
///
/// # Errors
/// [`super::Nonsense`] for requests that cannot be meant; otherwise what the kernel refused.
pub fn run(args: &Args) -> Result<bool> {
    args.check(available().context("reading /proc/meminfo")?)?;
    stop::install().context("taking signals over")?;
    let mut run = Run::fill(args)?;
    announce(args.ready_file.as_deref())?;
    match args.commands {
        true => commands::obey(&mut run)?,
        false => run.work()?,
    }
    let report = run.conclude()?;
    say(&report)?;
    Ok(report.mismatches == 0)
}

impl Run {
    fn fill(args: &Args) -> Result<Run> {
        let recipe = Recipe { seed: args.seed, random: args.compress, zero: args.zero, raw: args.raw };
        let how = Mapping { shmem: args.shmem, thp: args.thp };
        let mut first = 0;
        let mut part = |name, bytes: u64| -> Result<Option<Part>> {
            let pages = bytes.div_ceil(rustix::param::page_size() as u64);
            let mut part = Part::new(name, first, pages as usize, recipe, how)?;
            first += pages;
            for index in 0..part.pages() {
                part.fill(index);
            }
            Ok(Some(part))
        };
        // The coldest first: what is written last is what the kernel reclaims last.
        let cold = part("cold", args.cold)?;
        let warm = part("warm", args.warm)?;
        let hot = part("hot", args.hot)?;
        let file = match (&args.file_dir, args.file_cache) {
            (Some(dir), Some(bytes)) => Some(FileCache::create(dir, bytes, recipe)?),
            _ => None,
        };
        let parts = [hot, warm, cold];
        Ok(Run {
            args: args.clone(),
            parts,
            file,
            freed_mismatches: 0,
            loops: 0,
            seconds: Duration::ZERO,
            write_debt: 0,
        })
    }

    fn work(&mut self) -> Result<()> {
        let start = Instant::now();
        let end = self.args.seconds.map(|s| start + Duration::from_secs(s));
        let count = self.args.loops.unwrap_or(u64::MAX);
        self.loops_until(count, end)
    }

    /// `count` loops, for the command of that name.
    pub(super) fn loops(&mut self, count: u64) -> Result<()> {
        self.loops_until(count, None)
    }

    /// Loops for so long; what was timed before is forgotten.
    pub(super) fn work_for(&mut self, time: Duration) -> Result<()> {
        self.parts.iter_mut().flatten().for_each(|part| part.latency = Histogram::default());
        self.seconds = Duration::ZERO;
        self.loops_until(u64::MAX, Some(Instant::now() + time))
    }

    fn loops_until(&mut self, count: u64, end: Option<Instant>) -> Result<()> {
        let start = Instant::now();
        for _ in 0..count {
            if over(end) {
                break;
            }
            self.one_loop(end)?;
        }
        self.seconds += start.elapsed();
        Ok(())
    }

    /// The hot part once, a fifth of the warm part, the file once.
    fn one_loop(&mut self, end: Option<Instant>) -> Result<()> {
        let start = Instant::now();
        self.touch_hot(start, end);
        self.touch_warm(end);
        if let Some(file) = &mut self.file {
            file.touch_all()?;
        }
        self.loops += 1;
        // With nothing to touch, a loop would be a way to heat the processor.
        stop::sleep_until(start + Duration::from_millis(1));
        Ok(())
    }

    fn touch_hot(&mut self, start: Instant, end: Option<Instant>) {
        let Some(hot) = &mut self.parts[HOT] else { return };
        let due = |touches: usize, rate: u64| start + Duration::from_secs_f64(touches as f64 / rate as f64);
        for index in 0..hot.pages() {
            if index % STRIDE == 0 {
                if over(end) {
                    return;
                }
                self.args.hot_rate.inspect(|&rate| stop::sleep_until(due(index, rate)));
            }
            touch_or_write(hot, index, self.args.write, &mut self.write_debt);
        }
        self.args.hot_rate.inspect(|&rate| stop::sleep_until(due(hot.pages(), rate)));
    }

    fn touch_warm(&mut self, end: Option<Instant>) {
        let Some(warm) = &mut self.parts[WARM] else { return };
        let turn = (self.loops % WARM_TURNS as u64) as usize;
        let share = |t: usize| warm.pages() * t / WARM_TURNS;
        for index in share(turn)..share(turn + 1) {
            if index % STRIDE == 0 && over(end) {
                return;
            }
            touch_or_write(warm, index, self.args.write, &mut self.write_debt);
        }
    }

    /// The part of this name that still exists.
    pub(super) fn part(&mut self, name: &str) -> Option<&mut Part> {
        self.parts.iter_mut().flatten().find(|p| p.name == name)
    }

    /// Is the memory shared between processes?
    pub(super) fn is_shared(&self) -> bool {
        self.args.shmem
    }

    /// Pages found wrong until now.
    pub(super) fn mismatches(&self) -> u64 {
        let memory: usize = self.parts.iter().flatten().map(Part::mismatches).sum();
        self.freed_mismatches + memory as u64 + self.file.as_ref().map_or(0, FileCache::mismatches)
    }

    /// Verifies all memory that exists; number of pages compared.
    pub(super) fn verify(&mut self) -> u64 {
        let mut pages = 0;
        for part in self.parts.iter_mut().flatten() {
            for index in 0..part.pages() {
                part.verify(index);
            }
            pages += part.pages() as u64;
        }
        pages
    }

    fn conclude(&mut self) -> Result<Report> {
        if let Some(cold) = self.part("cold") {
            for index in 0..cold.pages() {
                cold.touch(index);
            }
        }
        let pages = self.verify();
        if let Some(file) = &mut self.file {
            file.verify()?;
        }
        let (minor_faults, major_faults) = faults();
        let latency = |i: usize| {
            self.parts[i]
                .as_ref()
                .map_or_else(Latency::default, |p| Latency::of(p.pages() as u64, &p.latency))
        };
        Ok(Report {
            schema: 1,
            pages,
            mismatches: self.mismatches(),
            minor_faults,
            major_faults,
            loops: self.loops,
            seconds: self.seconds.as_secs_f64(),
            hot: latency(HOT),
            warm: latency(WARM),
            cold: latency(COLD),
            file: self.file.as_ref().map(|f| Latency::of(f.pages(), &f.latency)),
        })
    }
}

/// A touch, and a write after as many touches as the asked share says.
fn touch_or_write(part: &mut Part, index: usize, percent: u8, debt: &mut u32) {
    part.touch(index);
    *debt += u32::from(percent);
    if *debt >= 100 {
        *debt -= 100;
        part.write(index);
    }
}

fn over(end: Option<Instant>) -> bool {
    stop::asked() || end.is_some_and(|e| Instant::now() >= e)
}

/// Bytes that can be had: MemAvailable and SwapFree of /proc/meminfo.
fn available() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let kib = |key: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix(" kB")?.parse().ok())
    };
    let both = kib("MemAvailable:").context("no MemAvailable")? + kib("SwapFree:").unwrap_or(0);
    Ok(both * 1024)
}

fn announce(file: Option<&Path>) -> Result<()> {
    match file {
        Some(path) => {
            File::create(path).map(drop).with_context(|| format!("creating {}", path.display()))?;
        }
        None => {
            let mut out = std::io::stdout().lock();
            writeln!(out, "ready").and_then(|()| out.flush()).context("writing to stdout")?;
        }
    }
    Ok(())
}

/// One JSON line on stdout.
pub(super) fn say(line: &impl serde::Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, line).context("writing to stdout")?;
    writeln!(out).and_then(|()| out.flush()).context("writing to stdout")
}
