//! The words of the policy format: which keys stand in which table, and which of them are in force.
//!
//! One table feeds the check for unknown keys, the nearest known key and the "belongs in" help. What the values
//! may be is in the reader of each table (`selector`, `tiers`, `demote`, `later`); the prose is docs/policy.md.

/// A table of the format and its keys.
pub(super) struct Section {
    /// Name as in `[name]`; the empty text is the top of the file.
    pub(super) name: &'static str,
    /// Its keys in the order of the documentation.
    pub(super) keys: &'static [&'static str],
}

pub(super) const TOP: Section =
    Section { name: "", keys: &["schema", "match", "tiers", "demote", "offload", "guard"] };
pub(super) const MATCH: Section = Section { name: "match", keys: &["cgroup", "priority", "unit", "label"] };
pub(super) const TIERS: Section =
    Section { name: "tiers", keys: &["use", "swap_max", "zswap_max", "overflow"] };
pub(super) const DEMOTE: Section =
    Section { name: "demote", keys: &["engine", "older_than", "budget", "keep_free"] };
pub(super) const BUDGET: Section = Section { name: "demote.budget", keys: &["round", "day", "rate"] };
pub(super) const OFFLOAD: Section = Section { name: "offload", keys: &["enabled", "step", "floor"] };
pub(super) const GUARD: Section =
    Section { name: "guard", keys: &["psi_memory_some", "psi_io_some", "swapin_from_disk", "backoff"] };

/// Every table of the format.
pub(super) const SECTIONS: [&Section; 7] = [&TOP, &MATCH, &TIERS, &DEMOTE, &BUDGET, &OFFLOAD, &GUARD];

/// The one schema number this version reads.
pub(super) const SCHEMA: u64 = 1;
