//! What a service owes its manager and the people of the host: a reload that fails where it failed, values back after a hang,
//! a log that says what and why, a cgroup that its readers may look into.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::ground::{Mark, UNIT, attempt, await_active, log, property, run, systemctl};
use crate::guest::kernel;
use crate::guest::wait::wait_for;

/// How long an agent may be silent in this test.
const WATCHDOG: u64 = 20;
const POLICIES: &str = "/etc/swaptier/policies.d";
const ENABLED: &str = "/sys/module/zswap/parameters/enabled";

pub(super) fn a_faulty_policy_fails_the_reload() -> Result<()> {
    let faulty = format!("{POLICIES}/faulty.toml");
    std::fs::write(&faulty, "schema = 1\n[mach]\n")?;
    let (code, _said) = attempt("systemctl reload swaptier")?;
    std::fs::remove_file(&faulty)?;
    ensure!(code != 0, "systemctl reload ended well on a faulty policy");
    ensure!(property("ActiveState")? == "active", "the agent did not keep its old policies");
    run("systemctl reload swaptier")?;
    Ok(())
}

/// A stopped agent stands for a hung one. The kernel refuses nothing here, so the watchdog alone can see it.
pub(super) fn a_hung_agent_is_ended_and_its_values_are_back() -> Result<()> {
    run(&format!(
        "systemctl edit --runtime --stdin --drop-in=watchdog.conf {UNIT} <<'END'\n[Service]\nWatchdogSec={WATCHDOG}\nEND"
    ))?;
    systemctl("restart")?;
    ensure!(kernel::read(ENABLED)? == "Y", "zswap is off although it is configured");
    let mark = Mark::now()?;
    run(&format!("kill -STOP {}", property("MainPID")?))?;
    // Off before the agent came; on again with the next one, five seconds after the end of this.
    wait_for("zswap to be as it was before", Duration::from_secs(3 * WATCHDOG), || {
        Ok(kernel::read(ENABLED)? == "N")
    })
    .with_context(|| log(&mark).unwrap_or_default())?;
    wait_for("another agent", Duration::from_secs(60), || Ok(kernel::read(ENABLED)? == "Y"))?;
    await_active()?;
    ensure!(log(&mark)?.contains("Watchdog timeout"), "no word of the watchdog:\n{}", log(&mark)?);
    run(&format!("rm -r /run/systemd/system/{UNIT}.d && systemctl daemon-reload"))?;
    Ok(())
}

pub(super) fn the_log_says_what_and_why() -> Result<()> {
    let all = log(&Mark::default())?;
    let bare = ["area", "given back", "shadow map", "slots that were in use before the probes"];
    for line in all.lines() {
        ensure!(!bare.contains(&line.trim()), "`{line}` says nothing by itself:\n{all}");
        ensure!(!line.contains("CgroupId(") && !line.contains(" { "), "`{line}` is Rust's Debug");
    }
    ensure!(all.contains("zswap/parameters/enabled: Y -> N"), "no word of zswap's old value:\n{all}");
    Ok(())
}

/// `[socket] group` may look: at the status, and at why a cgroup is as it is, also once a round has made the pump's cgroup.
pub(super) fn members_of_the_group_may_look() -> Result<()> {
    run("printf 'g swaptier -\\nu looker - \"\" / /bin/sh\\nm looker swaptier\\n' | systemd-sysusers -")?;
    run(&format!("printf '\\n[socket]\\ngroup = \"swaptier\"\\n' >> {}", super::ground::SETTINGS))?;
    systemctl("restart")?;
    let (_nothing_cold, _said) = attempt("swaptier writeback batch.slice/cold.service --max 1M")?;
    let mode = run("stat -c %a /sys/fs/cgroup/swaptier-pump")?;
    ensure!(mode == "755", "the pump's cgroup has mode {mode}");
    for command in ["status", "explain batch.slice/cold.service", "metrics"] {
        run(&format!("setpriv --reuid looker --regid looker --init-groups swaptier {command} > /dev/null"))?;
    }
    Ok(())
}

/// On an idle host the journal of ticks hardly grows.
pub(super) fn an_idle_host_writes_next_to_nothing() -> Result<()> {
    let size =
        || run("stat -c %s /var/lib/swaptier/journal.jsonl").map(|size| size.parse::<u64>().unwrap_or(0));
    let before = size()?;
    std::thread::sleep(Duration::from_secs(15));
    let grown = size()?.saturating_sub(before);
    // Three decisions. Each was a line of all cgroups once, 16 KB.
    ensure!(grown < 8 << 10, "the journal grew by {grown} bytes in 15 s");
    Ok(())
}

/// The values of the policies and of zswap, and nothing of the areas.
pub(super) fn a_stop_gives_all_back() -> Result<()> {
    let areas = super::ground::swaps()?.len();
    run(&format!("systemctl stop {UNIT}"))?;
    let (code, said) = attempt("swaptier restore --dry-run")?;
    // A closed gate stays while a ghost is on.
    let left: Vec<&str> = said
        .lines()
        .filter(|line| line.contains(" /sys/") && !line.contains("/sys/fs/cgroup/memory.zswap.writeback"))
        .collect();
    ensure!(left.is_empty(), "restore would end with {code}, and this is left: {left:?}");
    ensure!(kernel::read(ENABLED)? == "N", "zswap is still on");
    ensure!(attempt("ls /sys/fs/bpf/swaptier")?.0 != 0, "the map is still pinned");
    ensure!(super::ground::swaps()?.len() == areas, "areas went off with the agent");
    systemctl("start")
}
