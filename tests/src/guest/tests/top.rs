//! The screen on a real terminal, with a live agent, keys and all; and the terminal as it was, however the screen ends: by
//! its key, by signals, by a panic, and in between by the shell's job control.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

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
    open(&terminal, "")?;
    look_about(&terminal)?;
    act(&terminal, &cold)?;
    terminal.text("q")?;
    terminal.shows("ready>")?;
    is_as_found(&terminal)?;
    ends_well_however_it_ends(&terminal)?;
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
    terminal.text("1c")?;
    terminal.shows("Close the way to disk of test.slice/cold?")?;
    terminal.key("Enter")?;
    // What the agent refuses is said with its reason.
    terminal.shows("! test.slice/cold has no policy")?;
    terminal.text("R")?;
    terminal.shows("read its policies anew?")?;
    terminal.key("Enter")?;
    terminal.shows("0 policies in force")?;
    Ok(())
}

/// Types the command, with the terminal's settings before and after it.
fn open(terminal: &Terminal, variables: &str) -> Result<()> {
    let _none_before = std::fs::remove_file("/tmp/after");
    terminal
        .text(&format!("clear; stty -g > /tmp/before; {variables} swaptier top; stty -g > /tmp/after"))?;
    terminal.key("Enter")
}

/// The one process of the screen.
fn screen() -> Result<Pid> {
    let is_screen = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.next().is_some_and(|word| word.ends_with(b"swaptier")) && words.next() == Some(b"top")
    };
    let entries = std::fs::read_dir("/proc").context("reading /proc")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(is_screen).find_map(Pid::from_raw).context("no screen is running")
}

/// Signals that end it, a panic, and the shell's job control: the terminal is given back each time.
fn ends_well_however_it_ends(terminal: &Terminal) -> Result<()> {
    for signal in [Signal::TERM, Signal::HUP] {
        open(terminal, "")?;
        terminal.shows("map   exact")?;
        kill_process(screen()?, signal).with_context(|| format!("sending {signal:?}"))?;
        is_as_found(terminal).with_context(|| format!("after {signal:?}"))?;
    }
    open(terminal, "SWAPTIER_FAULT=top.drawn:3@panic")?;
    terminal.shows_all(&["panicked at", "fault point top.drawn", "ready>"])?;
    is_as_found(terminal).context("after a panic")?;
    terminal.text("clear; swaptier top")?;
    terminal.key("Enter")?;
    terminal.shows("map   exact")?;
    terminal.key("C-z")?;
    terminal.shows("ready>")?;
    ensure!(terminal.modes()? == AS_FOUND, "stopped, it left the terminal in modes {}", terminal.modes()?);
    terminal.text("fg")?;
    terminal.key("Enter")?;
    terminal.shows("map   exact")?;
    ensure!(
        terminal.modes()? == "1 0 1",
        "back from `fg` it has not taken the terminal: {}",
        terminal.modes()?
    );
    terminal.text("q")?;
    terminal.shows("ready>")?;
    ensure!(terminal.modes()? == AS_FOUND, "the terminal was left in modes {}", terminal.modes()?);
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
