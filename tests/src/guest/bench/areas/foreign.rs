//! zram devices of somebody else's beside ours: none of them is touched, whatever a killed command has left.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::Outcome;
use super::ground::{command, zrams};
use super::killed::die;
use crate::guest::agent::swaptier;
use crate::guest::kernel;

const CREATE: &[&str] = &["ghost", "create", "kill", "--size", "256M", "--kind", "zram"];
const REMOVE: &[&str] = &["ghost", "remove", "kill"];
/// The device is there, its number is not on disk.
const ADDED: &str = "area.zram.added:1";

/// A zram device as anybody makes one, gone at drop.
struct Device(u32);

impl Device {
    fn add() -> Result<Device> {
        let number = kernel::read("/sys/class/zram-control/hot_add")?;
        Ok(Device(number.parse().with_context(|| format!("hot_add says {number}"))?))
    }

    fn file(&self, name: &str) -> String {
        format!("/sys/block/zram{}/{name}", self.0)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Err(error) = kernel::write("/sys/class/zram-control/hot_remove", &self.0.to_string()) {
            eprintln!("zram{} is left behind: {error:#}", self.0);
        }
    }
}

/// One that was there before, one that comes at the worst moment, and one of ours that somebody takes.
pub(super) fn zram_devices(outcome: &mut Outcome) -> Result<()> {
    // So that there is a zram at all.
    command(CREATE)?;
    command(REMOVE)?;
    let before = Device::add()?;
    killed_beside_it(outcome, &before)?;
    killed_and_another_came(outcome)?;
    taken_away(outcome)?;
    outcome.claim(zrams() == BTreeSet::from([before.0]), format!("there are {:?} in the end", zrams()));
    Ok(())
}

fn killed_beside_it(outcome: &mut Outcome, before: &Device) -> Result<()> {
    ensure!(die(CREATE, ADDED)?, "it was not killed");
    command(&["ghost", "settle"])?;
    let now = zrams();
    outcome.claim(now.len() == 2 && now.contains(&before.0), format!("after settling there are {now:?}"));
    outcome.claim(kernel::read(before.file("disksize"))? == "0", "the other's device was set up");
    command(REMOVE)
}

/// Nobody can tell the two apart: both are left, and told, and the area is made all the same.
fn killed_and_another_came(outcome: &mut Outcome) -> Result<()> {
    let start = zrams();
    ensure!(die(CREATE, ADDED)?, "it was not killed");
    let ours: Vec<u32> = zrams().difference(&start).copied().collect();
    let [ours] = ours[..] else { anyhow::bail!("{ours:?} were added") };
    let (ours, other) = (Device(ours), Device::add()?);
    let settled = swaptier(&["ghost", "settle"])?;
    for device in [&ours, &other] {
        let told = settled.stderr.contains(&format!("zram{} is not known to be that of kill", device.0));
        outcome.claim(told, format!("not told that zram{} is left: {}", device.0, settled.stderr));
        outcome.claim(kernel::read(device.file("disksize"))? == "0", format!("zram{} was set up", device.0));
    }
    outcome.claim(kernel::swaps()?.len() == 1, "the area is not on");
    command(REMOVE)
}

/// Somebody sets our device up anew while it is off: it is his.
fn taken_away(outcome: &mut Outcome) -> Result<()> {
    let start = zrams();
    command(CREATE)?;
    command(&["ghost", "drain", "kill"])?;
    let ours = zrams().difference(&start).copied().next().context("no device was added")?;
    let taken = Device(ours);
    kernel::write(taken.file("reset"), "1")?;
    kernel::write(taken.file("disksize"), "32M")?;
    let removed = swaptier(REMOVE)?;
    let told = removed.stdout.contains(&format!("leave zram{ours}"));
    outcome
        .claim(removed.code == 0 && told, format!("{}: {} {}", removed.code, removed.stdout, removed.stderr));
    let size = kernel::read(taken.file("disksize"))?;
    outcome.claim(size == (32u64 << 20).to_string(), format!("the size of the taken device is {size}"));
    Ok(())
}
