//! A round runs beside the agent's loop: it goes on publishing and answering, keeps new cgroups out, and ends the round when
//! it is told to.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::guest::agent::{Outcome, swaptier, swaptier_json};
use crate::guest::cgroup::Cgroup;
use crate::guest::scene::Scene;
use crate::guest::socket::ask;
use crate::guest::wait::wait_for;

const VALVE: &str = "memory.zswap.writeback";
const PATIENCE: Duration = Duration::from_secs(20);
/// The tick that is under way, and what there is to do: on an emulated machine with two processors that are both wanted.
const SOON: Duration = Duration::from_secs(2);
const POLICY: &str = "/etc/swaptier/policies.d/beside.toml";

/// Where a cgroup that was closed by hand has its policy.
const CLOSED: &str = "/run/swaptier/policies.d";

/// Guard: the policy is there; gone at drop, with what `close` made of it.
struct Policy;

impl Policy {
    fn put() -> Result<Policy> {
        std::fs::create_dir_all(Path::new(POLICY).parent().context("a folder")?)?;
        let text =
            "schema = 1\n[match]\ncgroup = [\"bench.slice/victim\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n";
        std::fs::write(POLICY, text)?;
        Ok(Policy)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        let _gone_is_as_good = (std::fs::remove_file(POLICY), std::fs::remove_dir_all(CLOSED));
    }
}

fn doing() -> Result<(Value, u64)> {
    let status = swaptier_json(&["status", "--json"])?;
    Ok((status["agent"]["doing"].clone(), status["agent"]["tick"].as_u64().unwrap_or_default()))
}

/// A round's first strokes take so much longer, on the fastest machine too, that ticks fall into the round.
const SLOWLY: (&str, &str) = ("SWAPTIER_FAULT", "pump.stroked@slow");

/// Begins a round of nine thousand pages by hand.
fn begin(path: &str) -> Result<thread::JoinHandle<Result<Outcome>>> {
    let path = path.to_owned();
    let round = thread::spawn(move || swaptier(&["writeback", &path, "--max", "9000", "--json"]));
    wait_for("the round to be under way", PATIENCE, || Ok(!doing()?.0.is_null()))?;
    Ok(round)
}

fn end(round: thread::JoinHandle<Result<Outcome>>) -> Result<Outcome> {
    round.join().map_err(|_| anyhow!("the command's thread panicked"))?
}

/// While a round runs ticks are published, `reload` is answered, a cgroup that is made is closed and given back; `close` of
/// the next one's own cgroup ends that.
pub(super) fn a_round_runs_beside_the_loop() -> Result<()> {
    let mut scene = Scene::set_with(&[SLOWLY])?;
    let _policy = Policy::put()?;
    scene.agent.as_ref().context("an agent")?.reload()?;
    scene.refill(Duration::from_secs(2))?;
    let path = scene.victim.path().to_owned();
    let round = begin(&path)?;
    let (_, before) = doing()?;
    let late = Cgroup::create("bench.slice/late")?;
    wait_for("a cgroup that came in the round to be closed", SOON, || Ok(late.get(VALVE)?.trim() == "0"))?;
    let (reloaded, reload) = ask(json!({ "ask": "reload" }))?;
    ensure!(reloaded["answer"] == "done", "a reload in the round: {reloaded}");
    wait_for("ticks to go on in the round", PATIENCE, || Ok(doing()?.1 > before))?;
    let (what, _) = doing()?;
    ensure!(!what.is_null(), "the round had ended before a tick: it was too short to show anything");
    let round = end(round)?;
    ensure!(round.code == 0, "the round ended with {}: {}{}", round.code, round.stdout, round.stderr);
    wait_for("what came in the round to be given back", PATIENCE, || Ok(late.get(VALVE)?.trim() == "1"))?;
    scene.refill(Duration::from_secs(2))?;
    let round = begin(&path)?;
    let (closed, close) = ask(json!({ "ask": "close", "cgroup": path }))?;
    ensure!(closed["answer"] == "done", "a close in the round: {closed}");
    println!("    reload answered after {reload:?}, close after {close:?}");
    ensure!(reload < SOON && close < SOON, "reload took {reload:?}, close {close:?}");
    let begun = Instant::now();
    let round = end(round)?;
    println!("    the round ended {:?} after it was closed", begun.elapsed());
    ensure!(
        round.code == 1 && round.stdout.contains("\"called_off\""),
        "the closed round ended with {}: {}{}",
        round.code,
        round.stdout,
        round.stderr
    );
    wait_for("the closed cgroup's valve to shut", PATIENCE, || Ok(scene.victim.get(VALVE)?.trim() == "0"))?;
    let opened = swaptier(&["open", &path])?;
    ensure!(opened.code == 0, "open ended with {}: {}", opened.code, opened.stderr);
    drop(late);
    scene.finish()
}
