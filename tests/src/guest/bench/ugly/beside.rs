//! The agent's loop while rounds run: how long its ticks take, and how soon it answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;

use super::ground::{Ground, Victim};
use super::tree::{plus, rounds};
use super::{Outcome, Round, SLICE};
use crate::guest::cgroup::Cgroup;
use crate::guest::socket::{self, Socket};
use crate::guest::workload::Workload;

/// Cgroups whose policies are due at once.
const DUE: usize = 24;
/// Twice the interval of a tick, which is a second.
const LONGEST_TICK: Duration = Duration::from_secs(2);
/// What a command may have to wait for its answer, the tick that is under way included, where all processors are wanted.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// What the agent itself may work from a command to its answer.
const LONGEST_ANSWER: Duration = Duration::from_millis(100);

/// What was seen of the loop.
#[derive(Default)]
struct Seen {
    pages: u64,
    longest_tick: Duration,
    /// From one published page to the next.
    longest_gap: Duration,
    answers: u64,
    longest_wait: Duration,
    /// By the agent: its own time for an answer since it began.
    longest_answer: Duration,
    longest_tick_work: Duration,
}

/// 24 cgroups' policies are due in one tick, beside one that swaps all the time.
pub(super) fn rounds_beside_the_loop(ground: &mut Ground) -> Result<Outcome> {
    let names: Vec<String> = (0..DUE).map(|n| format!("loop-{n:02}")).collect();
    let mut due = names.iter().map(|name| Victim::set(name, "2M")).collect::<Result<Vec<_>>>()?;
    let home = Cgroup::create(&format!("{SLICE}/hog"))?;
    let mut hog = Workload::spawn(&home, "--hot 24M --warm 0 --cold 0 --commands --seed 6")?;
    due.iter_mut().try_for_each(Victim::store)?;
    thread::sleep(Duration::from_secs(4));
    let policies = ground.policies(&[(
        "ugly-loop.toml",
        "schema = 1\n[match]\ncgroup = [\"ugly.slice/loop-*\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
         [demote]\nolder_than = \"2s\"\nbudget = { round = \"1M\", day = \"1M\" }\n",
    )])?;
    let paths: Vec<String> = names.iter().map(|name| format!("{SLICE}/{name}")).collect();
    let is_over = AtomicBool::new(false);
    let (reports, seen) = thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                hog.command("pageout hot")?;
                hog.command("touch hot")?;
            }
            anyhow::Ok(())
        });
        let watching = scope.spawn(|| watch(&is_over));
        let asking = scope.spawn(|| ask(&is_over));
        let reports = rounds(&paths.iter().map(String::as_str).collect::<Vec<_>>());
        is_over.store(true, Ordering::Relaxed);
        let panicked = |_| anyhow!("a thread panicked");
        swapping.join().map_err(panicked)??;
        let seen = Seen { ..watching.join().map_err(panicked)?? };
        let (answers, longest_wait) = asking.join().map_err(panicked)??;
        anyhow::Ok((reports?, Seen { answers, longest_wait, ..seen }))
    })?;
    ground.without(policies)?;
    let sum =
        reports.iter().map(Round::said).fold(Round { ended: "target".into(), ..Round::default() }, plus);
    let written = sum.said[0];
    let mut outcome =
        Outcome { round: Round { written, ..sum }, figures: Default::default(), faults: vec![] };
    outcome.figure("rounds", reports.len() as u64);
    outcome.figure("pages_published", seen.pages);
    outcome.figure("longest_tick_ms", seen.longest_tick.as_millis() as u64);
    outcome.figure("longest_from_page_to_page_ms", seen.longest_gap.as_millis() as u64);
    outcome.figure("answers", seen.answers);
    outcome.figure("longest_tick_own_ms", seen.longest_tick_work.as_millis() as u64);
    outcome.figure("longest_answer_ms", seen.longest_wait.as_millis() as u64);
    outcome.figure("longest_answer_own_ms", seen.longest_answer.as_millis() as u64);
    outcome.claim(seen.longest_tick <= LONGEST_TICK, format!("a tick took {:?}", seen.longest_tick));
    outcome.claim(seen.answers > 0, "nothing was answered".to_owned());
    outcome.claim(seen.longest_wait <= LONGEST_WAIT, format!("an answer took {:?}", seen.longest_wait));
    outcome.claim(
        seen.longest_answer > Duration::ZERO && seen.longest_answer <= LONGEST_ANSWER,
        format!("an answer took {:?} of the agent's own time", seen.longest_answer),
    );
    hog.finish().context("what the hog swapped")?;
    due.into_iter().try_for_each(Victim::finish)?;
    Ok(outcome)
}

/// Follows what the agent publishes.
fn watch(is_over: &AtomicBool) -> Result<Seen> {
    let mut agent = Socket::open()?;
    agent.send(json!({ "ask": "subscribe", "events_since": u64::MAX }))?;
    let (mut seen, mut last) = (Seen::default(), None);
    while !is_over.load(Ordering::Relaxed) {
        let answer = agent.receive()?;
        if answer["answer"] != "status" {
            continue;
        }
        let now = Instant::now();
        seen.pages += 1;
        let said = &answer["value"]["agent"];
        let took = |what: &serde_json::Value| what.as_f64().map(|ms| Duration::from_secs_f64(ms / 1e3));
        let tick = took(&said["tick_ms"]).context("how long a tick took")?;
        let work = took(&said["cost"]["tick_cpu_ms"]).context("how long a tick worked")?;
        let own = took(&said["cost"]["longest_answer_cpu_ms"]).context("how long an answer took")?;
        seen.longest_tick = seen.longest_tick.max(tick);
        seen.longest_tick_work = seen.longest_tick_work.max(work);
        seen.longest_answer = seen.longest_answer.max(own);
        if let Some(last) = last.replace(now) {
            seen.longest_gap = seen.longest_gap.max(now - last);
        }
    }
    Ok(seen)
}

/// Has the loop do something small, again and again: how often, and how long the longest took.
fn ask(is_over: &AtomicBool) -> Result<(u64, Duration)> {
    let (mut answers, mut longest) = (0, Duration::ZERO);
    while !is_over.load(Ordering::Relaxed) {
        let (answer, took) = socket::ask(json!({ "ask": "reload", "dry_run": true }))?;
        ensure!(answer["answer"] == "would", "a reload was answered with {answer}");
        longest = longest.max(took);
        answers += 1;
        thread::sleep(Duration::from_millis(100));
    }
    Ok((answers, longest))
}
