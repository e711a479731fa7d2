//! `[record]`: whether the agent keeps a recording of its ticks, and how much of it.
//!
//! What a recording is, is `recording/`'s. Caller: `config/mod.rs`.

use swaptier_policies::Bytes;

use super::read::{Reader, Table};
use super::{is_absolute, take};

/// `[record]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordConfig {
    /// Whether the agent records as long as it runs. It records when `swaptier record` asks for it in any case.
    pub enabled: bool,
    /// The folder: an absolute path. `None`: `recordings` in `agent.state_dir`.
    pub folder: Option<String>,
    /// The most one file may hold.
    pub file_size: Bytes,
    /// How many such files are kept.
    pub files: u64,
}

impl Default for RecordConfig {
    fn default() -> Self {
        RecordConfig { enabled: false, folder: None, file_size: Bytes(32 << 20), files: 8 }
    }
}

impl RecordConfig {
    /// The folder, as an absolute path.
    #[must_use]
    pub fn folder(&self, state_dir: &str) -> String {
        self.folder.clone().unwrap_or_else(|| format!("{}/recordings", state_dir.trim_end_matches('/')))
    }
}

/// The least a file may hold: the first frame of a host with a thousand cgroups, twice.
pub const LEAST_FILE: Bytes = Bytes(1 << 20);
/// The most: a reader takes one file into memory at a time.
pub const MOST_FILE: Bytes = Bytes(1 << 30);

pub(super) fn record(reader: &mut Reader<'_>, top: &Table<'_>) -> RecordConfig {
    let mut record = RecordConfig::default();
    let known = ["enabled", "folder", "file_size", "files"];
    let Some(table) = reader.table(top, "record", &known) else { return record };
    take(&mut record.enabled, reader.flag(&table, "enabled"));
    record.folder = reader.text(&table, "folder", "an absolute path without `..`", is_absolute);
    take(&mut record.file_size, reader.quantity(&table, "file_size", "a size such as \"32M\""));
    take(&mut record.files, reader.integer(&table, "files", 1..=1000));
    if !(LEAST_FILE..=MOST_FILE).contains(&record.file_size) {
        let message =
            format!("`record.file_size` must be from {LEAST_FILE} to {MOST_FILE}, not {}", record.file_size);
        reader.fault(&reader.at(&table, "file_size"), message, None);
    }
    record
}
