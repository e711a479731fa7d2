//! Who may talk to the agent, with real users, and that whoever looks costs the agent nothing.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::guest::agent::{Agent, swaptier, swaptier_json};
use crate::guest::bench::faces;
use crate::guest::cgroup::Cgroup;
use crate::guest::process::sibling;
use crate::guest::stage::Stage;
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;

const CONFIG: &str = "/etc/swaptier/swaptier.toml";
const GROUPS: &str = "/etc/group";
/// The group that may look, and a user that is in no group but its own.
const READERS: u32 = 990;
const USER: u32 = 1000;

/// Guard: a settings file and a group, both as before at drop.
struct Settings {
    groups: String,
}

impl Settings {
    fn set() -> Result<Settings> {
        let groups = std::fs::read_to_string(GROUPS).with_context(|| format!("reading {GROUPS}"))?;
        std::fs::create_dir_all(Path::new(CONFIG).parent().context("a folder")?)?;
        std::fs::write(CONFIG, "[socket]\ngroup = \"readers\"\n")?;
        std::fs::write(GROUPS, format!("{groups}readers:x:{READERS}:\n"))?;
        Ok(Settings { groups })
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        let _gone_is_as_good = std::fs::remove_file(CONFIG);
        let _as_good_as_can_be = std::fs::write(GROUPS, &self.groups);
    }
}

/// Exit code and both outputs of `swaptier`, run by a user with these further groups.
fn as_user(groups: &'static [u32], arguments: &[&str]) -> Result<(i32, String, String)> {
    let mut command = Command::new(sibling("swaptier")?);
    command.args(arguments).stdin(Stdio::null());
    // SAFETY: between fork and exec only system calls are made, on memory that was there before.
    unsafe {
        command.pre_exec(move || {
            let is_done = libc::setgroups(groups.len(), groups.as_ptr()) == 0
                && libc::setgid(USER) == 0
                && libc::setuid(USER) == 0;
            if is_done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
    let output = command.output().context("running swaptier as a user")?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr)))
}

/// In the group: every reading command, and no acting one. Outside it: nothing, and nobody pretends that no agent runs.
pub(super) fn a_reader_looks_and_does_not_act() -> Result<()> {
    let _stage = Stage::set(40)?;
    let _settings = Settings::set()?;
    let cgroup = Cgroup::create("test.slice/faces")?;
    let agent = Agent::start(&[])?;
    let readers: &'static [u32] = &[READERS];
    for (arguments, says) in [
        (&["status", "--json"][..], "\"running\": true"),
        (&["metrics"], "# EOF"),
        (&["metrics", "--classic"], "swaptier_agent_ticks_total "),
    ] {
        let (code, out, complaint) = as_user(readers, arguments)?;
        ensure!(
            code == 0 && out.contains(says),
            "{arguments:?} of a reader ended with {code}: {complaint}{out}"
        );
    }
    let act: [&str; 4] = ["writeback", cgroup.path(), "--max", "1"];
    for acts in [&act[..], &["reload"], &["close", cgroup.path()], &["open", cgroup.path()], &["record"]] {
        let (code, _, complaint) = as_user(readers, acts)?;
        ensure!(
            code == 5 && complaint.contains("only root"),
            "{acts:?} of a reader ended with {code}: {complaint}"
        );
    }
    for arguments in [&["status", "--json"][..], &["metrics"], &act] {
        let (code, out, complaint) = as_user(&[], arguments)?;
        // Of the status there is what the kernel's files say, and that it is no more.
        let is_as_told = match arguments[0] {
            "status" => out.contains("\"running\": false") && out.contains("may not be asked"),
            _ => out.is_empty(),
        };
        ensure!(code == 5 && is_as_told, "{arguments:?} of a stranger ended with {code}: {complaint}{out}");
        ensure!(complaint.contains("[socket] group"), "a stranger is not told what to do: {complaint}");
    }
    // Root may do what they may not: that there is nothing to write back is another answer.
    let status = swaptier_json(&["status", "--json"])?;
    ensure!(status["agent"]["running"] == true, "root is not answered");
    agent.stop()
}

/// Closed by hand: the kernel's valve shuts, nothing is demoted, and a round by hand is refused; opened, the policy has it
/// again. All of it by the commands, whose exit codes and words are checked.
pub(super) fn a_way_to_disk_is_closed_by_hand_and_opened_again() -> Result<()> {
    const VALVE: &str = "memory.zswap.writeback";
    let _stage = Stage::set(40)?;
    let policy = "schema = 1\n[match]\ncgroup = [\"test.slice/*\"]\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
                  swap_max = \"256M\"\n[demote]\nolder_than = \"1h\"\n";
    std::fs::create_dir_all("/etc/swaptier/policies.d")?;
    let file = "/etc/swaptier/policies.d/close.toml";
    std::fs::write(file, policy)?;
    let (cgroup, other) = (Cgroup::create("test.slice/closed")?, Cgroup::create("test.slice/other")?);
    let mut workload = Workload::spawn(&cgroup, "--hot 1M --warm 0 --cold 8M --commands")?;
    let agent = Agent::start(&[])?;
    let expect = |arguments: &[&str], code: i32, says: &str| -> Result<()> {
        let outcome = swaptier(arguments)?;
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        ensure!(
            outcome.code == code && said.contains(says),
            "{arguments:?} ended with {}: {said}",
            outcome.code
        );
        Ok(())
    };
    workload.command("pageout cold")?;
    expect(&["close", "test.slice/closed", "--dry-run"], 0, "use = [\"zswap\"]")?;
    expect(&["open", "test.slice/closed"], 6, "not closed by hand")?;
    expect(&["close", "test.slice/closed"], 0, "closed by hand")?;
    wait_for("the valve to shut", Duration::from_secs(20), || Ok(cgroup.get(VALVE)?.trim() == "0"))?;
    ensure!(other.get(VALVE)?.trim() == "1", "the neighbour was closed, too");
    ensure!(
        cgroup.get("memory.swap.max")?.trim() == (256 << 20).to_string(),
        "the limit went with the valve"
    );
    expect(&["close", "test.slice/closed"], 6, "closed by hand already")?;
    expect(&["writeback", "test.slice/closed", "--max", "16"], 1, "swaptier open test.slice/closed")?;
    expect(&["close", "test.slice"], 1, "has no policy")?;
    // What was closed stays so when policies are read anew.
    expect(&["reload"], 0, "2 policies in force")?;
    let status = swaptier_json(&["status", "--json"])?;
    let row =
        status["cgroups"].as_array().and_then(|all| all.iter().find(|row| row["path"] == cgroup.path()));
    ensure!(row.is_some_and(|row| row["closed_by_hand"] == true), "the status does not say so: {row:?}");
    expect(&["open", "test.slice/closed"], 0, "opened again")?;
    wait_for("the valve to open", Duration::from_secs(20), || Ok(cgroup.get(VALVE)?.trim() == "1"))?;
    expect(&["writeback", "test.slice/closed", "--max", "64"], 0, "written pages")?;
    std::fs::remove_file(file)?;
    workload.finish()?;
    agent.stop()
}

/// Followers that are stopped take nothing from a tick.
pub(super) fn stopped_readers_cost_the_agent_nothing() -> Result<()> {
    let faces = faces::measure(Duration::from_secs(6))?;
    faces::print(&faces, false);
    ensure!(faces::is_unchanged(&faces), "a tick takes longer while readers are stopped");
    Ok(())
}
