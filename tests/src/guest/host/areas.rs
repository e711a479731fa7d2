//! Swap areas by configuration, made by the service as it is shipped, and by command beside it: they have names that anybody
//! can use, and restarts neither switch them off nor format them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::ground::{Mark, SETTINGS, attempt, await_active, headers, log, property, run, swaps, systemctl};
use super::install::upgraded_as_the_readme_says;
use crate::guest::agent::swaptier_json;
use crate::guest::wait::wait_for;

/// One of every kind: a pool on a disk, an encrypted one on a disk, a plain file, both kinds of ghosts.
const AREAS: &str = r#"
[zswap]
enabled = true

[[area]]
name = "main"
kind = "virtual"
devices = ["/dev/vdb"]
size = "2G"
priority = 100

[[area]]
name = "safe"
kind = "virtual"
devices = ["/dev/vdc"]
size = "512M"
encrypt = true
priority = 90

[[area]]
name = "filed"
kind = "plain"
devices = ["/var/lib/swap/filed"]
file_size = "64M"
priority = 80

[[area]]
name = "hold"
kind = "ghost"
size = "64M"
priority = 0

[[area]]
name = "table"
kind = "zram"
size = "64M"
priority = 0
"#;
/// How many those are.
const COUNT: usize = 5;

pub(super) fn of_every_kind_by_configuration() -> Result<()> {
    run("install -d -m 700 /var/lib/swap")?;
    std::fs::write(SETTINGS, AREAS).context(SETTINGS)?;
    systemctl("restart")?;
    are_on(COUNT)?;
    // Beside fstab's own.
    ensure!(swaps()?.len() == COUNT + 1, "{:?}", swaps()?);
    // The pool's marks stand between a full pool and a host that hangs: the agent must see the pool.
    let status = swaptier_json(&["status", "--json"])?;
    let areas = status["areas"].as_array().cloned().unwrap_or_default();
    let main = areas.iter().find(|area| area["name"] == "main");
    let main = main.with_context(|| format!("status does not show main: {}", status["areas"]))?;
    ensure!(!main["pool"].is_null(), "the agent does not see the pool of main: {main}");
    Ok(())
}

pub(super) fn outlive_a_restart() -> Result<()> {
    let workload = "/usr/bin/swaptier-workload --hot 1M --warm 0 --cold 60M --seconds 100000";
    // What zswap takes counts as the unit's memory: a lower limit would hold it up for good.
    run(&format!(
        "systemd-run --quiet --unit=cold --slice=batch.slice --property=MemoryHigh=40M \
         {workload} --ready-file /run/cold.ready"
    ))?;
    run("timeout 120 sh -c 'until [ -e /run/cold.ready ]; do sleep 0.2; done'")?;
    let (before, formatted) = (swaps()?, headers()?);
    ensure!(before.values().sum::<u64>() > 20 << 20, "hardly anything is swapped: {before:?}");
    for way in ["an upgrade", "a kill"] {
        let mark = Mark::now()?;
        match way {
            "a kill" => {
                let agent = property("MainPID")?;
                run("systemctl kill --signal=KILL --kill-whom=main swaptier")?;
                wait_for("another agent", Duration::from_secs(60), || {
                    Ok(property("ActiveState")? == "active" && property("MainPID")? != agent)
                })?;
            }
            _ => upgraded_as_the_readme_says()?,
        }
        are_on(COUNT).with_context(|| format!("after {way}: {}", log(&mark).unwrap_or_default()))?;
        let after = swaps()?;
        ensure!(after.keys().eq(before.keys()), "{way}: {before:?} became {after:?}");
        ensure!(headers()? == formatted, "{way}: an area was formatted anew");
        let said = log(&mark)?;
        ensure!(!said.contains("swap on "), "{way}: an area was switched on anew:\n{said}");
    }
    Ok(())
}

pub(super) fn by_command_beside_the_service() -> Result<()> {
    run("swaptier vswap create big --device /var/lib/swap/big --file-size 64M")?;
    run("swaptier ghost create more --size 64M")?;
    systemctl("restart")?;
    are_on(COUNT + 2)?;
    run("swaptier ghost remove more && swaptier vswap remove big")?;
    // The package stays as long as areas are on: nobody else could take them off.
    let (code, said) = attempt("dpkg --remove swaptier")?;
    ensure!(code != 0 && said.contains("swaptier vswap remove NAME"), "dpkg ended with {code}: {said}");
    await_active()?;
    are_on(COUNT)
}

/// Each area of the list, and each of its parts, is on.
pub(super) fn are_on(count: usize) -> Result<()> {
    let listed = swaptier_json(&["vswap", "list", "--json"])?;
    let areas = listed["areas"].as_array().cloned().unwrap_or_default();
    ensure!(areas.len() == count, "{} areas, not {count}: {listed}", areas.len());
    let is_on = |part: &Value| !part["swap"].is_null();
    for area in &areas {
        let parts = area["parts"].as_array().cloned().unwrap_or_default();
        ensure!(!parts.is_empty() && parts.iter().all(is_on), "not on: {area}");
    }
    Ok(())
}
