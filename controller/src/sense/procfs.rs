//! What the host's `/proc` says: `meminfo`, `vmstat`, `pressure`.
//!
//! The `procfs` crate parses what it knows (`meminfo`); its other parsers return floats or a map of strings, so the
//! rest is read here. Everything is opened through [`Root`]. Caller: `sense::collect`.

use std::io::Cursor;

use procfs::{FromBufRead, Meminfo};
use serde::{Deserialize, Serialize};
use swaptier_policies::Bytes;

use super::SenseError;
use super::counters::VmStat;
use super::pressure::Pressure;
use crate::root::Root;

/// What is read of `/proc/meminfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostMemory {
    /// `MemTotal`.
    pub total: Bytes,
    /// `MemAvailable`.
    pub available: Option<Bytes>,
    /// `SwapTotal`.
    pub swap_total: Bytes,
    /// `SwapFree`.
    pub swap_free: Bytes,
    /// `Zswap`: *compressed* bytes in the pool.
    pub zswap: Option<Bytes>,
    /// `Zswapped`: *original* bytes in the pool.
    pub zswapped: Option<Bytes>,
}

/// The host's `/proc/pressure`. `None` where the kernel does not account it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPressure {
    /// `/proc/pressure/memory`.
    pub memory: Option<Pressure>,
    /// `/proc/pressure/io`.
    pub io: Option<Pressure>,
}

/// Reads `/proc/meminfo`.
pub fn read_meminfo(root: &Root) -> Result<HostMemory, SenseError> {
    let path = "proc/meminfo";
    parse_meminfo(&root.read(path)?).map_err(|why| SenseError::Unexpected { path: root.host_path(path), why })
}

/// The text of `/proc/meminfo`.
///
/// # Errors
/// What is wrong with it, when a line is not what the kernel prints or one of the oldest keys is missing.
pub fn parse_meminfo(text: &str) -> Result<HostMemory, String> {
    // What the crate would panic on, or take for a wrong number.
    if let Some(line) = text.lines().find(|line| !is_meminfo(line)) {
        return Err(format!("`{}`", line.escape_default()));
    }
    let info = Meminfo::from_buf_read(Cursor::new(text))
        .map_err(|_its_own_file_and_line| "a key is missing that every kernel prints".to_owned())?;
    Ok(HostMemory {
        total: Bytes(info.mem_total),
        available: info.mem_available.map(Bytes),
        swap_total: Bytes(info.swap_total),
        swap_free: Bytes(info.swap_free),
        zswap: info.z_swap.map(Bytes),
        zswapped: info.z_swapped.map(Bytes),
    })
}

/// Whether it is `Key: number` or `Key: number kB`, and fits as bytes.
fn is_meminfo(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let (key, number, unit) = (words.next(), words.next(), words.next());
    let bytes = number.and_then(|number| number.parse::<u64>().ok()?.checked_mul(1024));
    line.is_ascii()
        && key.is_some_and(|key| key.ends_with(':'))
        && bytes.is_some()
        && matches!(unit, None | Some("kB"))
}

/// Reads `/proc/vmstat`.
pub fn read_vmstat(root: &Root) -> Result<VmStat, SenseError> {
    Ok(VmStat::parse(&root.read("proc/vmstat")?))
}

/// Reads `/proc/pressure`.
pub fn read_pressure(root: &Root) -> HostPressure {
    let read = |name: &str| Pressure::parse(&root.read(&format!("proc/pressure/{name}")).ok()?);
    HostPressure { memory: read("memory"), io: read("io") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn meminfo_is_read_in_bytes() {
        let fake = FakeRoot::host();
        // 1,014,512 kB × 1,024 = 1,038,860,288; 4,096 kB = 4,194,304; 12,288 kB = 12,582,912.
        let memory = read_meminfo(fake.root()).unwrap();
        assert_eq!(memory.total, Bytes(1_038_860_288));
        assert_eq!(memory.zswap, Some(Bytes(4_194_304)));
        assert_eq!(memory.zswapped, Some(Bytes(12_582_912)));
        // 1,048,572 kB and 1,036,284 kB.
        assert_eq!((memory.swap_total, memory.swap_free), (Bytes(1_073_737_728), Bytes(1_061_154_816)));
    }

    #[test]
    fn a_kernel_without_zswap_has_unknown_pool_sizes() {
        let fake = FakeRoot::host();
        let text = fake.root().read("proc/meminfo").unwrap();
        let without: Vec<_> = text.lines().filter(|line| !line.starts_with("Zswap")).collect();
        fake.write("proc/meminfo", &without.join("\n"));
        let memory = read_meminfo(fake.root()).unwrap();
        assert_eq!((memory.zswap, memory.zswapped), (None, None));
    }

    #[test]
    fn a_broken_meminfo_is_an_error_with_its_path() {
        let fake = FakeRoot::host();
        // 18014398509481984 kB is one byte more than fits; the crate knows other units.
        let wrong =
            ["", "MemTotal: many kB\n", "MemTotal:\n", "ü 1 kB\n", "MemTotal: 18014398509481984 kB\n"];
        for text in wrong.into_iter().chain(["MemTotal: 1 GB\n", "\n", "1\n", "MemTotal: 1 k\u{1b}\n"]) {
            fake.write("proc/meminfo", text);
            let error = read_meminfo(fake.root()).unwrap_err().to_string();
            assert!(error.contains("proc/meminfo"), "{error}");
        }
        fake.remove("proc/meminfo");
        assert!(matches!(read_meminfo(fake.root()), Err(SenseError::Read(_))));
    }

    #[test]
    fn pressure_and_vmstat_are_read_and_pressure_may_be_missing() {
        let fake = FakeRoot::host();
        assert_eq!(read_vmstat(fake.root()).unwrap().zswpwb, Some(5));
        assert_eq!(read_pressure(fake.root()).memory.unwrap().some.total, 7);
        assert_eq!(read_pressure(fake.root()).io, None);
        fake.remove("proc/vmstat");
        assert!(read_vmstat(fake.root()).is_err());
    }
}
