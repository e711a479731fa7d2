//! What a status says of the host itself, and the shapes of pressure and of rates, which cgroups have too. Pure data.

use serde::{Deserialize, Serialize};

use super::swap_ins::SwapIns;

/// The host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostStatus {
    /// RAM, in bytes.
    pub ram_bytes: u64,
    /// *Compressed* bytes in zswap's pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zswap_compressed_bytes: Option<u64>,
    /// *Original* bytes in zswap's pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zswap_original_bytes: Option<u64>,
    /// *Compressed* bytes the pool may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_limit_bytes: Option<u64>,
    /// Bytes of all swap areas.
    pub swap_total_bytes: u64,
    /// Bytes of them in no use.
    pub swap_free_bytes: u64,
    /// Bytes of a page.
    #[serde(default)]
    pub page_bytes: u64,
    /// `MemAvailable`, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    /// Bytes of kernel memory that an empty swap slot costs here; known where the agent had to measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_cost_bytes: Option<f64>,
    /// Whether zswap takes pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zswap_enabled: Option<bool>,
    /// Once the pool's limit was met, pages are taken again below this share of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_threshold_percent: Option<u8>,
    /// *Original* bytes that take room on a device: slots in use less those in zswap, in the swap cache and of zeroes.
    /// Known with the map alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_original_bytes: Option<u64>,
    /// `/proc/pressure/memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_pressure: Option<PressureStatus>,
    /// `/proc/pressure/io`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_pressure: Option<PressureStatus>,
    /// Pages that move, by `/proc/vmstat`.
    #[serde(default)]
    pub rates: HostRates,
    /// Stores that zswap refused, by why, since it was first enabled. `None` where its debugfs files cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_stores: Option<RefusedStores>,
    /// How long swap-ins took. `None`: none was timed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_ins: Option<SwapIns>,
}

/// Shares of time in which tasks waited, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PressureStatus {
    /// Some task, of the last 10 s.
    pub some_avg10: f64,
    /// Some task, of the last 60 s.
    pub some_avg60: f64,
    /// Seconds in which some task waited, since boot or since the cgroup was made.
    pub some_seconds: f64,
    /// All tasks at once, of the last 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_avg10: Option<f64>,
    /// All tasks at once, of the last 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_avg60: Option<f64>,
    /// Seconds in which all tasks waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_seconds: Option<f64>,
}

/// Pages a second of a cgroup, between the last two ticks. `None`: not known, as at the first tick, or as of a counter that
/// fell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Stored in zswap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<f64>,
    /// Read out of zswap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<f64>,
    /// Written back: zswap to a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_back: Option<f64>,
    /// Written to a device without zswap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<f64>,
    /// Read from a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<f64>,
}

/// Pages a second of the host, as [`Rates`] but for what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostRates {
    /// Stored in zswap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<f64>,
    /// Read out of zswap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<f64>,
    /// Written back: zswap to a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_back: Option<f64>,
    /// Written to a device, write-back included: the key is older than the name.
    #[serde(rename = "direct", default, skip_serializing_if = "Option::is_none")]
    pub written: Option<f64>,
    /// Read from a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<f64>,
}

/// Stores that zswap refused since it was first enabled: `/sys/kernel/debug/zswap/reject_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedStores {
    /// The pool's limit was met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_limit: Option<u64>,
    /// No memory was to be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_memory: Option<u64>,
    /// The page does not compress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incompressible: Option<u64>,
    /// The compressor failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressor_failed: Option<u64>,
    /// Reclaim of the pool failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaim_failed: Option<u64>,
}
