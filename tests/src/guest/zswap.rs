//! zswap of the guest: configured by a guard that puts the old parameters back, and its debugfs counters.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::kernel;

/// Where the module keeps its parameters.
pub const PARAMETERS: &str = "/sys/module/zswap/parameters";
const DEBUG: &str = "/sys/kernel/debug/zswap";

/// Compressors in the order of our liking; the first that the kernel accepts is taken.
const COMPRESSORS: [&str; 3] = ["lz4", "lzo-rle", "lzo"];

/// Guard: zswap on, as asked; the former parameters come back at drop.
#[derive(Debug)]
pub struct Zswap {
    before: BTreeMap<String, String>,
    /// The compressor in use.
    pub compressor: &'static str,
}

impl Zswap {
    /// Turns zswap on with its limit at `pool_percent` of RAM and its own shrinker off.
    ///
    /// # Errors
    /// When a parameter is refused, or when no compressor of ours is to be had.
    pub fn set_up(pool_percent: u32) -> Result<Zswap> {
        let mut zswap = Zswap { before: parameters()?, compressor: "" };
        zswap.compressor = zswap.choose_compressor()?;
        set("max_pool_percent", &pool_percent.to_string())?;
        if zswap.before.contains_key("shrinker_enabled") {
            set("shrinker_enabled", "N")?;
        }
        set("enabled", "Y")?;
        Ok(zswap)
    }

    fn choose_compressor(&self) -> Result<&'static str> {
        for name in COMPRESSORS {
            // Built in or already loaded needs no modprobe; without the module the parameter is refused.
            let _ = Command::new("modprobe").arg(name).output();
            if set("compressor", name).is_ok() && parameter("compressor")? == name {
                return Ok(name);
            }
        }
        bail!("zswap accepts none of the compressors {COMPRESSORS:?}")
    }
}

impl Drop for Zswap {
    fn drop(&mut self) {
        // `enabled` is alphabetically among the last that matter; order does not: nothing is stored any more.
        for (name, value) in &self.before {
            if parameter(name).is_ok_and(|now| now != *value)
                && let Err(error) = set(name, value)
            {
                eprintln!("zswap parameter not restored: {error:#}");
            }
        }
    }
}

/// All parameters, by name.
///
/// # Errors
/// When the kernel has no zswap.
pub fn parameters() -> Result<BTreeMap<String, String>> {
    let entries =
        std::fs::read_dir(PARAMETERS).with_context(|| format!("{PARAMETERS}: this kernel has no zswap"))?;
    entries
        .map(|entry| {
            let path: PathBuf = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, kernel::read(&path)?))
        })
        .collect()
}

/// One parameter.
///
/// # Errors
/// When there is none of this name.
pub fn parameter(name: &str) -> Result<String> {
    kernel::read(Path::new(PARAMETERS).join(name))
}

/// Sets a parameter.
///
/// # Errors
/// When the kernel refuses the value.
pub fn set(name: &str, value: &str) -> Result<()> {
    kernel::write(Path::new(PARAMETERS).join(name), value)
}

/// A counter of debugfs: `pool_total_size` (compressed bytes), `stored_pages`, `written_back_pages`, `reject_…`.
///
/// # Errors
/// When debugfs is not mounted or has no such counter.
pub fn debug(name: &str) -> Result<u64> {
    let path = Path::new(DEBUG).join(name);
    kernel::read(&path)?.parse().with_context(|| format!("{} is no number", path.display()))
}
