//! The screen on a real terminal, with a live agent, keys and all; and the terminal as it was, however the screen ends.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::guest::agent::Agent;
use crate::guest::cgroup::Cgroup;
use crate::guest::stage::Stage;
use crate::guest::terminal::Terminal;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;

use super::within;

/// Modes of a terminal that nobody has: no alternate screen, the cursor shown, the mouse not taken.
const AS_FOUND: &str = "0 1 0";

pub(super) fn the_screen_shows_and_acts_on_a_real_terminal() -> Result<()> {
    let _stage = Stage::set(40)?;
    let agent = Agent::start(&[])?;
    let (cold, warm) = (Cgroup::create("test.slice/cold")?, Cgroup::create("test.slice/warm")?);
    let mut first = Workload::spawn(&cold, "--hot 1M --warm 0 --cold 24M --commands --seed 1")?;
    let mut second = Workload::spawn(&warm, "--hot 1M --warm 8M --cold 0 --commands --seed 2")?;
    first.command("pageout cold")?;
    second.command("pageout warm")?;
    let terminal = Terminal::open(120, 40)?;
    terminal.text("stty -g > /tmp/before; swaptier top; stty -g > /tmp/after")?;
    terminal.key("Enter")?;
    look_about(&terminal)?;
    act(&terminal, &cold)?;
    terminal.text("q")?;
    terminal.shows("ready>")?;
    is_as_found(&terminal)?;
    drop(terminal);
    first.finish()?;
    second.finish()?;
    agent.stop()
}

/// Opens, sorts, filters, opens details.
fn look_about(terminal: &Terminal) -> Result<()> {
    terminal.shows_all(&["swaptier top  agent", "map   exact", "test.slice", "cold", "warm"])?;
    ensure!(terminal.modes()? == "1 0 1", "the screen has not taken the terminal: {}", terminal.modes()?);
    terminal.text("D")?;
    terminal.shows("DISK▼")?;
    terminal.text("I")?;
    terminal.shows("DISK▲")?;
    terminal.text("?")?;
    terminal.shows("one row up")?;
    terminal.text("?")?;
    terminal.text("tN/cold")?;
    terminal.key("Enter")?;
    let screen = terminal.shows_all(&["filter `cold`", "1 of ", ", flat"])?;
    ensure!(!screen.contains("test.slice/warm"), "the filter lets through what it should not:\n{screen}");
    terminal.key("Enter")?;
    let screen = terminal.shows_all(&[
        "AGE     in zswap now",
        "test.slice/cold (no policy)",
        "way to disk open",
        "24.0M",
    ])?;
    for line in screen.lines() {
        println!("    {line}");
    }
    Ok(())
}

/// Writes back 2 MiB by the keys; the kernel's own count is the referee.
fn act(terminal: &Terminal, cgroup: &Cgroup) -> Result<()> {
    let before = cgroup.stat("zswpwb")?;
    terminal.text("w")?;
    terminal.shows("Write back test.slice/cold older than 0s_ max")?;
    terminal.key("Escape")?;
    wait_for("the question to go", Duration::from_secs(10), || {
        Ok(!terminal.screen()?.contains("Write back"))
    })?;
    within("pages written back after a no", cgroup.stat("zswpwb")? - before, 0..=0)?;
    terminal.text("w")?;
    terminal.key("Tab")?;
    terminal.key("C-u")?;
    terminal.text("2M")?;
    terminal.key("Enter")?;
    // 2 MiB are 512 pages.
    terminal.shows_all(&["wrote back ", "of 512 pages of test.slice/cold: target"])?;
    within("pages written back", cgroup.stat("zswpwb")? - before, 448..=640)?;
    terminal.shows("written back  ")?;
    terminal.text("3")?;
    terminal.shows_all(&["What happened, newest first", "round", "test.slice/cold"])?;
    terminal.text("2")?;
    terminal.shows_all(&["PRIO", "/dev/vda"])?;
    terminal.text("1")?;
    Ok(())
}

fn is_as_found(terminal: &Terminal) -> Result<()> {
    let settings = |file: &str| std::fs::read_to_string(file).with_context(|| format!("reading {file}"));
    let mut after = String::new();
    wait_for("the settings afterwards", Duration::from_secs(10), || {
        after = settings("/tmp/after").unwrap_or_default();
        Ok(!after.is_empty())
    })?;
    let before = settings("/tmp/before")?;
    ensure!(before == after, "settings of the terminal before and after:\n{before}{after}");
    ensure!(terminal.modes()? == AS_FOUND, "the terminal was left in modes {}", terminal.modes()?);
    Ok(())
}
