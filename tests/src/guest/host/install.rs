//! The README's own lines, word for word: the package installed, a first policy, enabled; upgraded; purged.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::ground::{SETTINGS, await_active, property, run, swaps};
use crate::guest::agent::swaptier_json;
use crate::guest::kernel;

/// The repository, as far as the lab brings it: the README, and the package where `./x package` puts it.
const SOURCES: &str = "/root/swaptier";

pub(super) fn as_the_readme_says() -> Result<()> {
    let readme = kernel::read(Path::new(SOURCES).join("README.md"))?;
    // What the README asks of a host: a swap area on a disk, zswap switched on.
    run("mkswap -q -L own /dev/vda && echo 'LABEL=own none swap sw,pri=1 0 0' >> /etc/fstab")?;
    run("udevadm settle && systemctl daemon-reload && swapon -a")?;
    let install = block(&readme, "## Install", "sh")?;
    // `doctor` is the last line: on a host without zswap it says what is lost, which is no failure of the installation.
    run(&format!("cd {SOURCES} && set -e\n{}", typed(&install)))?;
    ensure!(property("ActiveState")? == "inactive", "the package has started the service");
    ensure!(property("UnitFileState")? == "disabled", "the package has enabled the service");
    std::fs::write(SETTINGS, "[zswap]\nenabled = true\n").context(SETTINGS)?;
    let policy = block(&readme, "## Write a policy", "toml")?;
    let path = policy.lines().next().and_then(|line| line.strip_prefix("# "));
    std::fs::write(path.context("the policy's first line is its path")?, &policy)?;
    run(&format!("set -e\n{}", block(&readme, "## Write a policy", "sh")?))?;
    await_active()?;
    let status = swaptier_json(&["status", "--json"])?;
    ensure!(status["agent"]["running"] == true, "{status}");
    ensure!(kernel::read("/sys/module/zswap/parameters/enabled")? == "Y", "zswap is off");
    in_the_hosts_namespace()
}

/// The README's lines for an upgrade, with the same package: the service is restarted.
pub(super) fn upgraded_as_the_readme_says() -> Result<()> {
    let readme = kernel::read(Path::new(SOURCES).join("README.md"))?;
    let before = property("MainPID")?;
    run(&format!("cd {SOURCES} && set -e\n{}", typed(&block(&readme, "### Upgrade", "sh")?)))?;
    await_active()?;
    ensure!(property("MainPID")? != before, "the agent of before the upgrade runs on");
    Ok(())
}

/// The lines of a block but for those that build: that was done elsewhere.
fn typed(block: &str) -> String {
    block.lines().filter(|line| !line.starts_with("./x ")).collect::<Vec<_>>().join("\n")
}

/// The README's lines to be rid of it: nothing of ours is left.
pub(super) fn undone_as_the_readme_says() -> Result<()> {
    let readme = kernel::read(Path::new(SOURCES).join("README.md"))?;
    run(&format!("set -e\n{}", block(&readme, "### Uninstall", "sh")?))?;
    let left = [
        "/usr/bin/swaptier",
        "/var/lib/swaptier",
        "/run/swaptier",
        "/sys/fs/bpf/swaptier",
        "/sys/fs/cgroup/swaptier-pump",
    ];
    let left: Vec<&str> = left.into_iter().filter(|path| Path::new(path).exists()).collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    ensure!(swaps()?.keys().eq(["/dev/vda"]), "areas are left: {:?}", swaps()?);
    let devices = run("dmsetup ls")?;
    ensure!(!devices.contains("swaptier-"), "devices are left: {devices}");
    Ok(())
}

/// A swap area that is switched on in a mount namespace of the service's own has a name that nobody can resolve once the
/// service is restarted.
fn in_the_hosts_namespace() -> Result<()> {
    let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).context("its mount namespace");
    let (own, hosts) = (of(&property("MainPID")?)?, of("1")?);
    ensure!(
        own == hosts,
        "the service has a mount namespace of its own: {}, {}",
        own.display(),
        hosts.display()
    );
    Ok(())
}

/// The first block of this language below a heading.
fn block(text: &str, heading: &str, language: &str) -> Result<String> {
    let below = text.split_once(&format!("\n{heading}\n")).map(|(_, below)| below);
    let below = below.with_context(|| format!("the README has no `{heading}`"))?;
    let opened = below.split_once(&format!("\n```{language}\n")).map(|(_, opened)| opened);
    let closed = opened.and_then(|opened| opened.split_once("\n```")).map(|(block, _)| format!("{block}\n"));
    closed.with_context(|| format!("`{heading}` has no block of {language}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../../../README.md");

    #[test]
    fn the_readme_has_what_is_typed() {
        assert!(block(README, "## Install", "sh").unwrap().contains("dpkg -i "));
        assert!(
            block(README, "## Write a policy", "toml").unwrap().starts_with("# /etc/swaptier/policies.d/")
        );
        assert!(block(README, "## Write a policy", "sh").unwrap().contains("enable --now swaptier"));
        assert!(block(README, "### Upgrade", "sh").unwrap().contains("dpkg -i "));
        assert!(block(README, "### Uninstall", "sh").unwrap().contains("dpkg --purge swaptier"));
        assert!(block(README, "## Nowhere", "sh").is_err());
    }
}
