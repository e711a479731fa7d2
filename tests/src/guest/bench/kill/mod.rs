//! Kills swaptier at each of its fault points and looks at what is left: no value changed, no object leaked, no page
//! lost. `cases` is the way to each point, `scene` the little host it happens on, `left` what is compared, `guardian`
//! the two kills whose time counts, `stopped` the same points with SIGSTOP instead of SIGKILL, `room` those after which
//! the state folder cannot be written.

mod cases;
mod guardian;
mod left;
mod room;
mod scene;
mod stopped;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::Options;
use crate::guest::kernel;
use cases::{CASES, Case};
use scene::{Recovery, Scene};

/// Points that a short run takes: where most is changed and least is known.
const WORST: [&str; 8] = [
    "file.written",
    "load.loaded",
    "round.valve:2",
    "pump.limit.low@both",
    "pump.valve.closed@parent",
    "round.give-back:2",
    "restore.written",
    "stop.detached",
];

/// One line of the output.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    kernel: String,
    /// The fault, as the variable names it.
    point: String,
    /// Whether the process died there, or stood still.
    killed: bool,
    /// What was done then.
    recovered_by: &'static str,
    values_left_changed: usize,
    objects_left: usize,
    /// Microseconds for which the pool limit stayed low after the kill, where that is the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_low_micros: Option<u64>,
    seconds: f64,
    ok: bool,
    /// What is wrong, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
}

impl Line {
    /// A line of a kill that has not happened yet.
    fn of(point: &str, recovered_by: &'static str) -> Line {
        Line {
            kernel: kernel::release(),
            point: point.to_owned(),
            killed: false,
            recovered_by,
            values_left_changed: 0,
            objects_left: 0,
            limit_low_micros: None,
            seconds: 0.0,
            ok: false,
            faults: Vec::new(),
        }
    }

    fn show(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string(self).context("a line as JSON")?);
            return Ok(());
        }
        let Line { point, recovered_by, values_left_changed, objects_left, seconds, .. } = self;
        let verdict = if self.ok { "ok" } else { "FAILED" };
        let low = self.limit_low_micros.map(|low| format!(", limit low for {low} µs")).unwrap_or_default();
        println!(
            "{point:<28} {recovered_by:<9} {values_left_changed:>3} values {objects_left:>3} objects {seconds:>6.1} s  {verdict}{low}"
        );
        self.faults.iter().for_each(|fault| println!("    {fault}"));
        Ok(())
    }
}

/// Every point with every way back, then the guardian, then every point where somebody stands still.
pub(super) fn run(options: &Options) -> Result<bool> {
    let mut scene = Scene::set()?;
    let mut sums = Sums::default();
    let wanted = |case: &&Case| {
        options.only.is_empty() || options.only.iter().any(|p| case.fault.contains(p.as_str()))
    };
    for case in CASES.iter().filter(wanted) {
        for &recovery in case.recoveries() {
            sums.add(&one(&mut scene, case, recovery)?, options.json)?;
        }
    }
    if options.only.is_empty() || options.only.iter().any(|point| point == "guardian") {
        guardian::lines(&mut scene, true)?.iter().try_for_each(|line| sums.add(line, options.json))?;
    }
    for line in stopped::lines(&mut scene, &options.only, true) {
        sums.add(&line?, options.json)?;
    }
    scene.finish()?;
    Ok(sums.show() == 0)
}

/// What all lines say together.
#[derive(Default)]
struct Sums {
    killed: usize,
    bad: usize,
    /// Microseconds for which the pool limit stayed low, where that was the question.
    low: Vec<u64>,
}

impl Sums {
    /// Shows a line and counts it.
    fn add(&mut self, line: &Line, json: bool) -> Result<()> {
        self.killed += usize::from(line.killed);
        self.bad += usize::from(!line.ok);
        self.low.extend(line.limit_low_micros);
        line.show(json)
    }

    fn show(mut self) -> usize {
        self.low.sort_unstable();
        if let Some(worst) = self.low.last() {
            let median = self.low[self.low.len() / 2];
            eprintln!("limit low: {} times, median {median} µs, worst {worst} µs", self.low.len());
        }
        eprintln!("{} kills and stops, {} not well", self.killed, self.bad);
        self.bad
    }
}

/// The worst points only: for the guest tests.
pub(in crate::guest) fn worst() -> Result<()> {
    let mut scene = Scene::set()?;
    let mut bad = Vec::new();
    for fault in WORST {
        let case = CASES.iter().find(|case| case.fault == fault).context("a case of the table")?;
        let recovery = case.recoveries()[0];
        let line = one(&mut scene, case, recovery)?;
        line.show(false)?;
        bad.extend(line.faults.iter().map(|words| format!("{fault}: {words}")));
    }
    for line in room::lines(&mut scene)? {
        line.show(false)?;
        bad.extend(line.faults.iter().map(|words| format!("{}: {words}", line.point)));
    }
    scene.finish()?;
    ensure!(bad.is_empty(), "{}", bad.join("\n"));
    Ok(())
}

/// The guardian alone: for the guest tests.
pub(in crate::guest) fn guardian() -> Result<()> {
    let mut scene = Scene::set()?;
    let mut lines = guardian::lines(&mut scene, false)?;
    for line in stopped::lines(&mut scene, &["pump.limit.low@stop".to_owned()], false) {
        lines.push(line?);
    }
    lines.iter().try_for_each(|line| line.show(false))?;
    scene.finish()?;
    let bad: Vec<String> = lines.into_iter().flat_map(|line| line.faults).collect();
    ensure!(bad.is_empty(), "{}", bad.join("\n"));
    Ok(())
}

/// One kill and one way back. A kill that goes wrong is a line too; an error is of the scene itself.
fn one(scene: &mut Scene, case: &Case, recovery: Recovery) -> Result<Line> {
    let mut line = Line::of(case.fault, recovery.name());
    let begun = Instant::now();
    let before = scene.look()?;
    let went = scene.kill(case).and_then(|()| {
        line.killed = true;
        scene.recover(case, recovery)
    });
    if let Err(error) = went {
        line.faults.push(format!("{error:#}"));
    }
    judge(scene, &before, &mut line)?;
    line.seconds = begun.elapsed().as_secs_f64();
    Ok(line)
}

/// Compares the host with how it was, verifies the memory, and clears away what should not be there.
fn judge(scene: &mut Scene, before: &left::Host, line: &mut Line) -> Result<()> {
    if let Err(error) = scene.calm() {
        line.faults.push(format!("{error:#}"));
    }
    let (values, objects) = before.settled_differences()?;
    (line.values_left_changed, line.objects_left) = (values.len(), objects.len());
    line.faults.extend(values.into_iter().chain(objects));
    if let Err(error) = scene.verify() {
        line.faults.push(format!("{error:#}"));
    }
    line.ok = line.killed && line.faults.is_empty();
    if !line.ok { scene.clear(before) } else { Ok(()) }
}
