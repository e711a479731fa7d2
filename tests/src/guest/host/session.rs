//! Beside the service manager's own values: a unit's `MemoryZSwapMax=`, and cgroups that belong to a user's session.

use anyhow::{Context, Result, ensure};

use super::ground::run;
use crate::guest::kernel;

const CGROUPS: &str = "/sys/fs/cgroup";

/// A policy reaches a user's own units, whose files belong to that user.
pub(super) fn a_users_session_has_its_policy() -> Result<()> {
    let policy = "schema = 1\n[match]\ncgroup = [\"user.slice/user-*.slice/user@*.service/app.slice/*.service\"]\n[tiers]\nuse = [\"zswap\"]\n";
    let path = "/etc/swaptier/policies.d/user.toml";
    std::fs::write(path, policy).context(path)?;
    run("printf 'u guest 1000 \"\" / /bin/sh\\n' | systemd-sysusers - && systemctl start user@1000.service")?;
    run("setpriv --reuid 1000 --regid 1000 --clear-groups env XDG_RUNTIME_DIR=/run/user/1000 \
         systemd-run --user --quiet --unit=own sleep infinity")?;
    run("systemctl reload swaptier && sleep 7")?;
    let valve = format!(
        "{CGROUPS}/user.slice/user-1000.slice/user@1000.service/app.slice/own.service/memory.zswap.writeback"
    );
    let value = kernel::read(&valve)?;
    std::fs::remove_file(path).context(path)?;
    run("systemctl stop user@1000.service && systemctl reload swaptier")?;
    ensure!(value == "0", "the way to disk of a user's unit is {value}: the policy leaves it zswap alone");
    Ok(())
}
/// A unit's own limit stands beside a policy that names none, before and after `daemon-reload`.
pub(super) fn a_units_own_limit_stands() -> Result<()> {
    run(
        "systemd-run --quiet --unit=limited --slice=batch.slice --property=MemoryZSwapMax=40M sleep infinity",
    )?;
    run("systemctl reload swaptier && sleep 7")?;
    let limit = || kernel::read(format!("{CGROUPS}/batch.slice/limited.service/memory.zswap.max"));
    let (before, reloaded) = (limit()?, run("systemctl daemon-reload && sleep 7").and_then(|_| limit())?);
    run("systemctl stop limited")?;
    ensure!((before.as_str(), reloaded.as_str()) == ("41943040", "41943040"), "{before}, then {reloaded}");
    Ok(())
}
