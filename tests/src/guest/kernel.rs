//! What the kernel says of itself: flat `key value` files, one number files, swap areas. Reading only.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

/// Size of a page in bytes.
#[must_use]
pub fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// Release of the running kernel, like `6.12.113+deb12-amd64`.
#[must_use]
pub fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Contents of a kernel file without the final newline.
///
/// # Errors
/// When it cannot be read; the path is in the message.
pub fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.trim_end().to_owned())
}

/// One write(2) to a kernel file.
///
/// # Errors
/// What the kernel answered; path and value are in the message.
pub fn write(path: impl AsRef<Path>, value: &str) -> Result<()> {
    let path = path.as_ref();
    std::fs::write(path, value).with_context(|| format!("writing `{value}` to {}", path.display()))
}

/// A `key value` file (memory.stat, /proc/vmstat) as numbers.
///
/// # Errors
/// When it cannot be read.
pub fn stats(path: impl AsRef<Path>) -> Result<BTreeMap<String, u64>> {
    Ok(parse_stats(&read(path)?))
}

/// One key of such a file.
///
/// # Errors
/// When the file cannot be read or has no such key.
pub fn stat(path: impl AsRef<Path>, key: &str) -> Result<u64> {
    let path = path.as_ref();
    stats(path)?.get(key).copied().with_context(|| format!("{} has no `{key}`", path.display()))
}

/// One counter of /proc/vmstat, in the kernel's unit (mostly pages or events).
///
/// # Errors
/// When this kernel has no such counter.
pub fn vmstat(key: &str) -> Result<u64> {
    stat("/proc/vmstat", key)
}

/// Bytes of a /proc/meminfo line, such as `MemTotal`.
///
/// # Errors
/// When there is no such line.
pub fn meminfo(key: &str) -> Result<u64> {
    let text = read("/proc/meminfo")?;
    let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
    let kib = line.and_then(|l| l.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("/proc/meminfo has no `{key}`"))? * 1024)
}

/// A swap area of /proc/swaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapLine {
    /// Device or file.
    pub path: String,
    /// Bytes it can hold.
    pub size: u64,
    /// Bytes of slots in use, whatever they hold.
    pub used: u64,
    /// Higher is used first.
    pub priority: i32,
}

/// The swap areas in use.
///
/// # Errors
/// When /proc/swaps cannot be read.
pub fn swaps() -> Result<Vec<SwapLine>> {
    Ok(parse_swaps(&read("/proc/swaps")?))
}

fn parse_stats(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

fn parse_swaps(text: &str) -> Vec<SwapLine> {
    let area = |line: &str| {
        let [path, _, size, used, priority] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return None;
        };
        let kib = |text: &str| text.parse::<u64>().ok().map(|n| n * 1024);
        Some(SwapLine {
            path: path.to_owned(),
            size: kib(size)?,
            used: kib(used)?,
            priority: priority.parse().ok()?,
        })
    };
    text.lines().skip(1).filter_map(area).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_files_become_numbers() {
        let stats = parse_stats("zswap 4096\nzswapped 16384\nzswpwb 0\n");
        assert_eq!((stats["zswap"], stats["zswapped"], stats["zswpwb"]), (4096, 16384, 0));
    }

    #[test]
    fn swap_areas_are_read_in_bytes() {
        let text =
            "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/vda  partition\t1048572\t\t8\t\t-2\n";
        let area = SwapLine { path: "/dev/vda".into(), size: 1048572 * 1024, used: 8 * 1024, priority: -2 };
        assert_eq!(parse_swaps(text), [area]);
    }
}
