//! The words of the policy format: which keys stand in which table, and which of them are in force.
//!
//! One table feeds the check for unknown keys, the nearest known key and the "belongs in" help. What the values
//! may be is in the reader of each table (`selector`, `tiers`, `demote`, `later`); the prose is docs/policy.md.

/// A table of the format and its keys.
pub(crate) struct Section {
    /// Name as in `[name]`; the empty text is the top of the file.
    pub(crate) name: &'static str,
    /// Its keys in the order of the documentation.
    pub(crate) keys: &'static [&'static str],
}

pub(crate) const TOP: Section =
    Section { name: "", keys: &["schema", "match", "tiers", "demote", "offload", "guard"] };
pub(crate) const MATCH: Section = Section { name: "match", keys: &["cgroup", "priority", "unit", "label"] };
pub(crate) const TIERS: Section =
    Section { name: "tiers", keys: &["use", "swap_max", "zswap_max", "overflow"] };
pub(crate) const DEMOTE: Section =
    Section { name: "demote", keys: &["engine", "older_than", "budget", "keep_free"] };
pub(crate) const BUDGET: Section = Section { name: "demote.budget", keys: &["round", "day", "rate"] };
pub(crate) const OFFLOAD: Section = Section { name: "offload", keys: &["enabled", "step", "floor"] };
pub(crate) const GUARD: Section =
    Section { name: "guard", keys: &["psi_memory_some", "psi_io_some", "swapin_from_disk", "backoff"] };

/// Every table of the format.
pub(crate) const SECTIONS: [&Section; 7] = [&TOP, &MATCH, &TIERS, &DEMOTE, &BUDGET, &OFFLOAD, &GUARD];

/// The one schema number this version reads.
pub(crate) const SCHEMA: u64 = 1;
