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
    /// Whether it stays in the policy of a cgroup whose way to disk is closed by hand (`close`). What may write to disk
    /// does not.
    pub(crate) stays_when_closed: bool,
}

pub(crate) const TOP: Section = Section {
    name: "",
    keys: &["schema", "closed_by_hand", "match", "tiers", "demote", "offload", "guard"],
    stays_when_closed: true,
};
pub(crate) const MATCH: Section =
    Section { name: "match", keys: &["cgroup", "priority", "unit", "label"], stays_when_closed: true };
pub(crate) const TIERS: Section = Section {
    name: "tiers",
    keys: &["use", "swap_max", "swap_high", "zswap_max", "overflow"],
    stays_when_closed: true,
};
pub(crate) const DEMOTE: Section = Section {
    name: "demote",
    keys: &["engine", "older_than", "budget", "keep_free"],
    stays_when_closed: false,
};
pub(crate) const BUDGET: Section =
    Section { name: "demote.budget", keys: &["round", "day", "rate"], stays_when_closed: false };
pub(crate) const OFFLOAD: Section =
    Section { name: "offload", keys: &["enabled", "step", "floor"], stays_when_closed: false };
pub(crate) const GUARD: Section = Section {
    name: "guard",
    keys: &["psi_memory_some", "psi_io_some", "swapin_from_disk", "backoff"],
    stays_when_closed: false,
};

/// Every table of the format.
pub(crate) const SECTIONS: [&Section; 7] = [&TOP, &MATCH, &TIERS, &DEMOTE, &BUDGET, &OFFLOAD, &GUARD];

/// The one schema number this version reads.
pub(crate) const SCHEMA: u64 = 1;
