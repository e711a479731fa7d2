//! Areas as an operator makes them, by the program's own commands, gone at drop; and what the kernel itself says: devices,
//! swap areas, loop devices, its log.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::guest::agent::{swaptier, swaptier_json};
use crate::guest::cgroup::Cgroup;
use crate::guest::kernel::{self, page_size};
use crate::guest::wait::wait_for;
use crate::guest::workload::Workload;
use crate::guest::zswap;

/// Bytes at both ends of a disk that must be empty before swaptier takes it.
pub(in crate::guest) const ENDS: usize = 1 << 20;

/// Guard of an area.
#[derive(Debug)]
pub(super) struct Area {
    word: &'static str,
    pub(super) name: &'static str,
}

impl Area {
    /// `swaptier WORD create NAME ARGUMENTS`.
    pub(super) fn create(word: &'static str, name: &'static str, arguments: &[&str]) -> Result<Area> {
        command(&[&[word, "create", name], arguments].concat())?;
        Ok(Area { word, name })
    }

    /// What `list` says of it.
    pub(super) fn listed(&self) -> Result<Value> {
        let all = swaptier_json(&["vswap", "list", "--json"])?;
        let areas = all["areas"].as_array().cloned().unwrap_or_default();
        let it = areas.into_iter().find(|area| area["record"]["spec"]["name"] == self.name);
        it.with_context(|| format!("{} is not listed", self.name))
    }

    /// The path of its first part.
    pub(super) fn path(&self) -> Result<String> {
        let path = self.listed()?["parts"][0]["path"].as_str().map(str::to_owned);
        path.with_context(|| format!("{} has no device", self.name))
    }

    /// Blocks of its pool that hold pages.
    pub(super) fn blocks(&self) -> Result<u64> {
        self.listed()?["pool"]["used_blocks"].as_u64().context("no pool")
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        if let Err(error) = command(&[self.word, "remove", self.name]) {
            eprintln!("area {} is left behind: {error:#}", self.name);
        }
    }
}

/// `swaptier` with these arguments, which must do what it is asked.
pub(super) fn command(arguments: &[&str]) -> Result<()> {
    let outcome = swaptier(arguments)?;
    ensure!(
        outcome.code == 0,
        "swaptier {} ended with {}: {}",
        arguments.join(" "),
        outcome.code,
        outcome.stderr.trim()
    );
    Ok(())
}

/// Makes a disk empty: swaptier takes none with data on it.
pub(in crate::guest) fn blank(disk: &str) -> Result<()> {
    /// `_IO(0x12, 127)` (linux/fs.h).
    const BLKZEROOUT: libc::c_ulong = 0x127f;
    let file = OpenOptions::new().write(true).open(disk).with_context(|| format!("opening {disk}"))?;
    let size = rustix::fs::seek(&file, rustix::fs::SeekFrom::End(0))?;
    let range = [0, size];
    // SAFETY: the kernel reads two numbers, which are there.
    if unsafe { libc::ioctl(file.as_raw_fd(), BLKZEROOUT as libc::Ioctl, range.as_ptr()) } != 0 {
        return Err(std::io::Error::last_os_error()).with_context(|| format!("emptying {disk}"));
    }
    file.write_all_at(&vec![0; ENDS], 0)?;
    file.write_all_at(&vec![0; ENDS], size - ENDS as u64)?;
    file.sync_all().with_context(|| format!("emptying {disk}"))
}

/// A cgroup with cold memory, its pages in zswap.
pub(super) fn stored(cgroup: &Cgroup, cold: u64, seed: u32) -> Result<Workload> {
    let arguments = format!("--hot 1M --warm 0 --cold {cold}M --commands --seed {seed}");
    let mut work = Workload::spawn(cgroup, &arguments)?;
    store(&mut work, cgroup, cold)?;
    Ok(work)
}

/// Brings the cold memory, of so many MiB, into zswap anew.
pub(super) fn store(work: &mut Workload, cgroup: &Cgroup, cold: u64) -> Result<()> {
    work.command("write cold")?;
    let wanted = (cold << 20) / 100 * 96;
    wait_for("the cold memory to be in zswap", Duration::from_secs(60), || {
        work.command("pageout cold")?;
        Ok(cgroup.stat("zswapped")? >= wanted)
    })
    .with_context(|| format!("{} of {wanted} bytes", cgroup.stat("zswapped").unwrap_or_default()))
}

/// Writes all of a cgroup's pages back with zswap's own shrinker; *original* bytes that were written.
pub(super) fn write_back_all(cgroup: &Cgroup) -> Result<u64> {
    let before = cgroup.stat("zswpwb")?;
    zswap::set("shrinker_enabled", "Y")?;
    let done = wait_for("everything to be written back", Duration::from_secs(60), || {
        // Nothing else of the cgroup is to be pushed out: each call only makes the shrinker look at zswap's list again.
        cgroup.reclaim("64M swappiness=0")?;
        Ok(cgroup.stat("zswapped")? < (2 << 20))
    });
    zswap::set("shrinker_enabled", "N")?;
    done.with_context(|| {
        format!("{} bytes are still in zswap", cgroup.stat("zswapped").unwrap_or_default())
    })?;
    std::thread::sleep(Duration::from_millis(2500));
    Ok((cgroup.stat("zswpwb")? - before) * page_size())
}

/// Lines of the kernel's log with these words.
pub(super) fn log_lines(words: &str) -> Result<usize> {
    let output = Command::new("dmesg").output().context("dmesg")?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains(words)).count())
}

/// Device-mapper devices of our name, in the kernel's own folders.
pub(super) fn devices() -> BTreeSet<String> {
    let entries = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| kernel::read(entry.path().join("dm/name")).ok());
    names.filter(|name| name.starts_with("swaptier-")).collect()
}

/// Loop devices with something behind them.
pub(super) fn loops() -> usize {
    let entries = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().join("loop/backing_file").exists()).count()
}

/// Numbers of all zram devices.
pub(super) fn zrams() -> BTreeSet<u32> {
    let entries = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_prefix("zram")?.parse().ok()).collect()
}

/// The swap area with this number of our devices' names, and how many writes its device has seen.
pub(super) fn writes_of(device: &str) -> Result<u64> {
    let entries = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let found = entries
        .map(|entry| entry.path())
        .find(|path| kernel::read(path.join("dm/name")).is_ok_and(|name| name == device));
    writes_in(&found.with_context(|| format!("no device {device}"))?)
}

/// How many writes the block device of this folder has seen.
pub(super) fn writes_in(folder: &Path) -> Result<u64> {
    let stat = kernel::read(folder.join("stat"))?;
    // Reads come first with four numbers, then the writes that were completed.
    stat.split_whitespace().nth(4).and_then(|n| n.parse().ok()).context("a block device's stat")
}

/// What no scenario may leave.
pub(super) fn left() -> Vec<String> {
    let mut left: Vec<String> = devices().into_iter().map(|name| format!("device {name}")).collect();
    let swaps = kernel::swaps().unwrap_or_default();
    left.extend(swaps.into_iter().map(|area| format!("swap area {}", area.path)));
    left.extend(zrams().into_iter().map(|number| format!("zram{number}")));
    if loops() > 0 {
        left.push(format!("{} loop devices", loops()));
    }
    left
}
