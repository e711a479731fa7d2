//! Recordings on a real kernel: what the agent recorded of a demotion is what the kernel counted, and decides again to the
//! same plans.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::guest::agent::{Agent, swaptier, swaptier_json};
use crate::guest::cgroup::Cgroup;
use crate::guest::policies::Policies;
use crate::guest::process::{Process, sibling};
use crate::guest::stage::Stage;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;

const FOLDER: &str = "/tmp/recorded";
const CONFIG: &str = "/tmp/record.toml";
/// The demo's cold policy, but for an age that nothing reaches here.
const LATER: &str = "/tmp/later.toml";

/// `record` beside a running agent, over a reload and a demotion; then `replay`, by the same policies and by another.
pub(super) fn a_recorded_demotion_decides_again_to_the_same_plans() -> Result<()> {
    let _stage = Stage::set(40)?;
    let _none_before = fs::remove_dir_all(FOLDER);
    fs::write(CONFIG, "[agent]\ninterval = \"1s\"\n").context("writing the agent's settings")?;
    let cold = include_str!("../../../../policies/demo-cold.toml");
    fs::write(LATER, cold.replace("\"5s\"", "\"1h\"")).context("writing the other policy")?;
    let agent = Agent::start(&["--config", CONFIG])?;
    let cgroup = Cgroup::create("demo.slice/cold")?;
    let mut workload = Workload::spawn(&cgroup, "--hot 1M --warm 0 --cold 24M --commands")?;
    let mut command = Command::new(sibling("swaptier")?);
    let mut record = Process::spawn("swaptier-record", command.args(["record", "--output", FOLDER]))?;
    workload.command("pageout cold")?;
    let _policies = Policies::install()?;
    agent.reload()?;
    // 24 MiB are 6,144 pages; a round takes 32 MiB. What is left then is less than a round is worth.
    wait_for("the cold pages to be written back", Duration::from_secs(40), || {
        Ok(cgroup.stat("zswpwb")? > 5_000 && cgroup.stat("zswapped")? < 200 * 4096)
    })?;
    // Two more ticks: the last round is in a frame.
    std::thread::sleep(Duration::from_millis(2500));
    let counted = cgroup.stat("zswpwb")?;
    record.signal(rustix::process::Signal::INT)?;
    let ended = record.end(Duration::from_secs(20))?;
    ensure!(ended.success(), "record ended with {ended}{}", record.complaints());
    workload.finish()?;
    agent.stop()?;
    let replayed = swaptier_json(&["replay", FOLDER, "--json", "--policy", LATER])?;
    let number = |name: &str| replayed[name].as_u64().unwrap_or(u64::MAX);
    let (decisions, same) = (number("decisions"), number("same"));
    println!("    {} frames, {same} of {decisions} decisions the same", number("frames"));
    ensure!(decisions >= 5 && same == decisions, "not the same: {replayed}");
    ensure!(
        number("histories_different") == 0 && replayed["losses"] == Value::Array(Vec::new()),
        "{replayed}"
    );
    let side = replayed["other"]["cgroups"]
        .as_array()
        .and_then(|all| all.iter().find(|side| side["path"] == "demo.slice/cold"));
    let side = side.with_context(|| format!("the cold cgroup is not in {replayed}"))?;
    let written = side["done"]["written_pages"].as_u64();
    println!("    written back: kernel {counted}, recorded {written:?}");
    ensure!(written == Some(counted), "the kernel counted {counted} pages, the recording has {written:?}");
    ensure!(side["would"]["rounds"] == 0, "after an hour nothing would have been cold: {side}");
    truncated_within_a_frame()?;
    fs::remove_dir_all(FOLDER).context("removing the recording")
}

/// What a crash in mid-write leaves is read up to there, and the rest is told.
fn truncated_within_a_frame() -> Result<()> {
    let mut files: Vec<_> = fs::read_dir(FOLDER)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let last = files.last().context("there is no recording")?;
    let bytes = fs::read(last)?;
    fs::write(last, &bytes[..bytes.len() - 7])?;
    let outcome = swaptier(&["replay", FOLDER])?;
    ensure!(outcome.code == 0, "replay of a cut file ended with {}: {}", outcome.code, outcome.stderr);
    let name = Path::new(last).display().to_string();
    let told = outcome.stdout.lines().find(|line| line.starts_with("lost:")).unwrap_or_default();
    ensure!(told.contains(&name) && told.contains("the file ends within a block"), "{}", outcome.stdout);
    Ok(())
}
