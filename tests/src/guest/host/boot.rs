//! Shutting down and coming up: in which order things ended, and that all is as it was.

use anyhow::{Context, Result, ensure};

use super::areas::are_on;
use super::ground::{await_active, run, swaps};

pub(super) fn brings_it_all_back() -> Result<()> {
    await_active()?;
    are_on(5)?;
    ensure!(swaps()?.len() == 6, "{:?}", swaps()?);
    let before = run("journalctl --quiet --boot=-1 --output cat --no-hostname")?;
    let at = |what: &str| before.rfind(what).with_context(|| format!("the last boot never said `{what}`"));
    // The agent, which gives back what it changed, before the areas it looks after.
    let (stopped, unmounted) = (at("Stopped swaptier.service")?, at("Reached target umount.target")?);
    ensure!(stopped < unmounted, "the service was stopped after all was unmounted");
    ensure!(!before.contains("Failed deactivating swap"), "an area could not be switched off");
    Ok(())
}
