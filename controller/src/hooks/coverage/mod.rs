//! Which program goes on which function of this kernel, and what is lost where none fits. Pure: facts in,
//! plan out; a feature is asked for, never a version.

use super::{
    facts::{Facts, Returns},
    preempt::Preemption,
};

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Before the function.
    Entry,
    /// After it returned.
    Exit,
}

/// A program to attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// Name of the program in `ebpf/`.
    pub program: &'static str,
    /// Name of the kernel function.
    pub function: String,
    /// Before or after it.
    pub at: At,
    /// Whether the map would be wrong without it. It then changes a slot exactly once, however many copies there are;
    /// others count each run.
    pub keeps_map: bool,
    /// Copies that are attached: the kernel skips a program on a CPU where a preempted task is still inside it. Two
    /// are hardly ever skipped together.
    pub copies: usize,
}

impl Attach {
    /// Names of the pins of its links, by copy. No dots: bpffs keeps them for itself.
    pub fn pins(&self) -> impl Iterator<Item = String> {
        let program = self.program;
        (0..self.copies).map(move |copy| format!("{program}-{copy}"))
    }

    /// Of all copies that were loaded those that are attached, which are the last. Of a program with one copy it is the one that
    /// waits for no note.
    pub fn attached<T>(&self, copies: impl ExactSizeIterator<Item = T>) -> impl Iterator<Item = T> {
        let others = copies.len().saturating_sub(self.copies);
        copies.skip(others)
    }
}

/// One thing that must be seen, and the ways to see it, best first.
struct Hook {
    sees: &'static str,
    need: Need,
    ways: &'static [Way],
}

enum Need {
    /// Without it the map would be wrong: no probes at all then.
    Map,
    /// The same. It is called with a lock held, unless the kernel has this function.
    MapLocked { unless: &'static str },
    /// The same. What is missed while it is skipped is found in zswap's trees, where the probes can look into them.
    MapInTrees,
    /// Without it this is lost.
    Or(&'static str),
    /// The same, and attached once: it only counts.
    OrOnce(&'static str),
    /// Exists only on kernels that need it.
    Extra,
}

struct Way {
    program: &'static str,
    function: &'static str,
    at: At,
    fits: fn(&[String], Returns) -> bool,
}

fn always(_: &[String], _: Returns) -> bool {
    true
}
fn folio_first(parameters: &[String], _: Returns) -> bool {
    parameters.first().is_some_and(|name| name == "folio" || name == "page")
}
fn folio_second(parameters: &[String], _: Returns) -> bool {
    parameters.get(1).is_some_and(|name| name == "folio")
}
fn folio_and_another(parameters: &[String], returns: Returns) -> bool {
    parameters.len() == 2 && folio_first(parameters, returns) && returns == Returns::Int
}
fn context_and_folio(parameters: &[String], returns: Returns) -> bool {
    parameters.len() == 2 && folio_second(parameters, returns) && returns == Returns::Int
}
fn folio_alone(parameters: &[String], returns: Returns) -> bool {
    parameters.len() == 1 && returns == Returns::Int
}
fn folio_and_entry(parameters: &[String], _: Returns) -> bool {
    parameters.len() == 2 && parameters[0] == "folio" && parameters[1] == "entry"
}
fn cache_insert(parameters: &[String], returns: Returns) -> bool {
    parameters.len() == 4 && folio_first(parameters, returns) && returns == Returns::Int
}
fn says_stored(parameters: &[String], returns: Returns) -> bool {
    parameters.len() == 1 && returns == Returns::Bool
}
fn walk_callback(parameters: &[String], returns: Returns) -> bool {
    parameters.len() == 3 && returns == Returns::Int
}
fn locked_walk_callback(parameters: &[String], returns: Returns) -> bool {
    parameters.len() == 4 && parameters[2] == "lock" && returns == Returns::Int
}
fn css_first(parameters: &[String], _: Returns) -> bool {
    parameters.first().is_some_and(|name| name == "css")
}
fn entry_second(parameters: &[String], _: Returns) -> bool {
    parameters.get(1).is_some_and(|name| name == "entry")
}
fn entry_and_fault(parameters: &[String], _: Returns) -> bool {
    parameters.len() == 3 && parameters[0] == "entry" && parameters[2] == "vmf"
}
fn fault_alone(parameters: &[String], returns: Returns) -> bool {
    parameters.len() == 1 && parameters[0] == "vmf" && returns == Returns::Int
}
fn lru_item(parameters: &[String], _: Returns) -> bool {
    parameters.len() == 4 && parameters[0] == "lru" && parameters[3] == "memcg"
}

impl Way {
    fn is_there(&self, facts: &Facts) -> bool {
        let prototype = facts.functions.get(self.function);
        prototype.is_some_and(|prototype| (self.fits)(&prototype.parameters, prototype.returns))
    }

    fn once(&self) -> Attach {
        let (program, function) = (self.program, self.function.to_owned());
        Attach { program, function, at: self.at, keeps_map: false, copies: 1 }
    }
}

const fn way(
    program: &'static str,
    function: &'static str,
    at: At,
    fits: fn(&[String], Returns) -> bool,
) -> Way {
    Way { program, function, at, fits }
}

/// In the order of attaching: what ends a state before what begins it, so that nothing begun while we attach
/// is missed when it ends.
const HOOKS: [Hook; 15] = [
    Hook {
        sees: "swap areas switched on",
        need: Need::Map,
        ways: &[way("zswap_swapon", "zswap_swapon", At::Entry, always)],
    },
    Hook {
        sees: "swap areas switched off",
        need: Need::Map,
        ways: &[way("zswap_swapoff", "zswap_swapoff", At::Entry, always)],
    },
    Hook {
        sees: "swap areas that were there before",
        need: Need::Or("slots of swap areas switched on before the agent are not tracked"),
        ways: &[way("swap_show", "swap_show", At::Entry, always)],
    },
    Hook {
        sees: "indexes of cgroups",
        need: Need::OrOnce("pages in swap before the agent have no owner until their cgroup swaps again"),
        ways: &[way("memory_current_read", "memory_current_read", At::Entry, css_first)],
    },
    Hook {
        sees: "slots freed",
        // With caches of freed slots (mm/swap_slots.c, up to 6.14) they are freed before the cluster's lock is taken.
        need: Need::MapLocked { unless: "free_swap_slot" },
        ways: &[way("zswap_invalidate", "zswap_invalidate", At::Entry, always)],
    },
    Hook {
        sees: "ranges of slots freed",
        need: Need::Extra,
        ways: &[way("swap_entry_range_free", "swap_entry_range_free", At::Entry, entry_second)],
    },
    Hook {
        sees: "pages going to the device",
        need: Need::Map,
        ways: &[
            way("swap_writepage_device", "__swap_writepage", At::Entry, folio_first),
            way("swap_writepage_device_second", "__swap_writepage", At::Entry, folio_second),
            way("swap_writepage_device_second", "__swap_writeout", At::Entry, folio_second),
        ],
    },
    Hook {
        sees: "runs of zswap's worker that end",
        need: Need::OrOnce("a write-back round can only guess when zswap's worker has stopped"),
        ways: &[way("shrink_worker_exit", "shrink_worker", At::Exit, always)],
    },
    Hook {
        sees: "runs of zswap's worker that begin",
        need: Need::OrOnce("a write-back round can only guess when zswap's worker has stopped"),
        ways: &[way("shrink_worker_enter", "shrink_worker", At::Entry, always)],
    },
    Hook {
        sees: "entries that write-back passes over",
        need: Need::OrOnce("a write-back round cannot tell second chances from an empty list"),
        ways: &[
            way("shrink_memcg_cb", "shrink_memcg_cb", At::Exit, walk_callback),
            way("shrink_memcg_cb_lock", "shrink_memcg_cb", At::Exit, locked_walk_callback),
        ],
    },
    Hook {
        sees: "stores refused",
        need: Need::OrOnce("a write-back round can only guess how many stores of others it refuses"),
        ways: &[way("zswap_store", "zswap_store", At::Exit, says_stored)],
    },
    Hook {
        sees: "pages read out of zswap",
        need: Need::Map,
        ways: &[way("zswap_load", "zswap_load", At::Entry, folio_first)],
    },
    Hook {
        sees: "pages read from the device",
        need: Need::OrOnce("reads from the device, and so regret, are not counted"),
        ways: &[way("zswap_folio_swapin", "zswap_folio_swapin", At::Entry, folio_first)],
    },
    Hook {
        sees: "the end of a swap-out",
        need: Need::Map,
        ways: &[
            way("swap_writeout_exit", "swap_writeout", At::Exit, folio_and_another),
            way("swap_writeout_exit_second", "swap_writeout", At::Exit, context_and_folio),
            way("swap_writeout_exit", "swap_writepage", At::Exit, folio_and_another),
        ],
    },
    Hook {
        sees: "slots allocated",
        need: Need::Or("slots that were allocated but never written are not seen"),
        ways: &[
            way("folio_alloc_swap", "folio_alloc_swap", At::Exit, folio_alone),
            way("folio_alloc_swap_gfp", "folio_alloc_swap", At::Exit, folio_and_another),
            way("mem_cgroup_try_charge_swap", "__mem_cgroup_try_charge_swap", At::Entry, folio_and_entry),
            way("add_to_swap_cache", "add_to_swap_cache", At::Exit, cache_insert),
        ],
    },
];

/// Last of all, so that every entry it enters into the map is also seen to leave.
const STORED: Hook = Hook {
    sees: "pages stored in zswap",
    need: Need::MapInTrees,
    ways: &[way("list_lru_add", "list_lru_add", At::Entry, lru_item)],
};

/// What times swap-ins, while somebody looks. The end is attached first: what has no beginning is passed over.
const TIMING: [Way; 2] = [
    way("do_swap_page", "do_swap_page", At::Exit, fault_alone),
    way("swapin_readahead", "swapin_readahead", At::Entry, entry_and_fault),
];

/// What is attached, and what is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// In the order of attaching.
    pub attach: Vec<Attach>,
    /// One sentence for each thing that will not be seen.
    pub lost: Vec<String>,
}

/// Decides what to attach, and how often: a program in which this kernel preempts no task is never skipped. `has_trees`: the
/// probes can look into zswap's trees.
///
/// # Errors
/// The things without which the map would be wrong and that this kernel gives no way to see.
pub fn cover(facts: &Facts, has_trees: bool, preemption: Preemption) -> Result<Coverage, Vec<String>> {
    let (mut coverage, mut missing) = (Coverage::default(), Vec::new());
    for hook in HOOKS.iter().chain([&STORED]) {
        let way = hook.ways.iter().find(|way| way.is_there(facts));
        match (way, &hook.need) {
            (Some(way), need) => coverage.attach.push(Attach {
                keeps_map: !matches!(need, Need::OrOnce(_)),
                copies: if is_needed_twice(need, facts, has_trees, preemption) { 2 } else { 1 },
                ..way.once()
            }),
            (None, Need::Map | Need::MapLocked { .. } | Need::MapInTrees) => {
                missing.push(hook.sees.to_owned())
            }
            (None, Need::Or(loss) | Need::OrOnce(loss)) if coverage.lost.iter().any(|said| said == loss) => {}
            (None, Need::Or(loss) | Need::OrOnce(loss)) => coverage.lost.push((*loss).to_owned()),
            (None, Need::Extra) => {}
        }
    }
    if !has_trees {
        let loss = "pages that were in zswap before the agent have no age, and one whose storing was missed is taken for one of zeroes";
        coverage.lost.push(loss.to_owned());
    }
    if timing(facts).is_none() {
        coverage.lost.push("how long swap-ins take cannot be measured".to_owned());
    }
    if missing.is_empty() { Ok(coverage) } else { Err(missing) }
}

/// What is attached to time swap-ins; `None`: this kernel has not all of it.
pub fn timing(facts: &Facts) -> Option<Vec<Attach>> {
    TIMING.iter().map(|way| way.is_there(facts).then(|| way.once())).collect()
}

/// Whether a run can be skipped that nothing else makes up for.
fn is_needed_twice(need: &Need, facts: &Facts, has_trees: bool, preemption: Preemption) -> bool {
    match need {
        Need::OrOnce(_) => false,
        Need::MapInTrees if has_trees => false,
        Need::MapLocked { unless } if !facts.functions.contains_key(*unless) => {
            preemption == Preemption::Anywhere
        }
        Need::Map | Need::MapLocked { .. } | Need::MapInTrees | Need::Or(_) | Need::Extra => {
            preemption > Preemption::Never
        }
    }
}

#[cfg(test)]
mod tests;
