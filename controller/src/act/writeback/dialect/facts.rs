//! What the host offers for a round. Everything is probed; no version is compared.

use swaptier_policies::{Bytes, Knob};

use crate::{
    act::reclaim,
    root::{Root, RootError, cgroup_file},
    sense::{self, ZswapParameters},
};

/// Where the kernel shows its shrinkers (`CONFIG_SHRINKER_DEBUG`).
const SHRINKERS: &str = "sys/kernel/debug/shrinker";
const NODES: &str = "sys/devices/system/node/online";

/// What the host offers for a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// zswap's parameters.
    pub zswap: ZswapParameters,
    /// RAM of the host.
    pub ram: Bytes,
    /// *Compressed* bytes in the pool, with its overhead (`Zswap:` of /proc/meminfo).
    pub pool: Option<Bytes>,
    /// Whether a swap area is on.
    pub has_swap: bool,
    /// What its kernel understands.
    pub means: Means,
}

/// What the kernel understands: found by trying, which changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Means {
    /// The key of `memory.reclaim` that writes back and does nothing else, or why there is none.
    pub key: Result<&'static str, String>,
    /// Whether `memory.reclaim` takes `swappiness=max`.
    pub takes_swappiness_max: bool,
    /// The word by which it reclaims anonymous memory and no page cache, as far as it has one.
    pub anonymous: Option<&'static str>,
    /// The `scan` files of zswap's shrinkers, relative to the root; none where the kernel shows no shrinkers.
    pub scans: Vec<String>,
    /// Memory nodes.
    pub nodes: Vec<u32>,
}

impl Facts {
    /// Reads them.
    ///
    /// # Errors
    /// /proc/meminfo or /proc/swaps cannot be read.
    pub fn read(root: &Root) -> Result<Self, sense::SenseError> {
        let memory = sense::procfs::read_meminfo(root)?;
        Ok(Self {
            zswap: sense::read_parameters(root),
            ram: memory.total,
            pool: memory.zswap,
            has_swap: !sense::swaps::read(root)?.is_empty(),
            means: Means::look(root),
        })
    }

    /// The same out of what a tick has seen; what the kernel understands is not looked at.
    pub fn of(sensed: &sense::Sensed) -> Self {
        Self {
            zswap: sensed.zswap.clone(),
            ram: sensed.memory.total,
            pool: sensed.memory.zswap,
            has_swap: !sensed.swaps.is_empty(),
            means: Means::default(),
        }
    }

    /// The same on a kernel that understands this.
    #[must_use]
    pub fn with(&self, means: &Means) -> Self {
        Self { means: means.clone(), ..self.clone() }
    }

    /// Bytes the pool may have.
    pub fn pool_limit(&self) -> Option<Bytes> {
        percent(self.ram, self.zswap.max_pool_percent?)
    }

    /// Bytes of the pool under which the kernel accepts stores again once the limit was met.
    pub fn accept_limit(&self) -> Option<Bytes> {
        percent(self.pool_limit()?, self.zswap.accept_threshold_percent?)
    }

    pub(super) fn needs(&self) -> Result<(), String> {
        if self.zswap.enabled != Some(true) {
            return Err("zswap is off: nothing is stored, and the pump's page cannot be refused".to_owned());
        }
        if !self.has_swap {
            return Err("no swap area is on: there is nowhere to write to".to_owned());
        }
        Ok(())
    }
}

impl Default for Means {
    /// Nothing is known.
    fn default() -> Self {
        let key = Err("whether memory.reclaim has a key for it was not tried".to_owned());
        Self { key, takes_swappiness_max: false, anonymous: None, scans: Vec::new(), nodes: vec![0] }
    }
}

impl Means {
    /// Looks. The keys are tried with a `memory.reclaim` of nothing; a folder that stands for a host is not asked, since
    /// its files take any word.
    pub fn look(root: &Root) -> Self {
        let seen = Self { scans: scans(root), nodes: nodes(root), ..Self::default() };
        if !root.is_system() {
            return seen;
        }
        let anonymous =
            reclaim::ANONYMOUS.into_iter().find(|word| reclaim::takes(root, word).unwrap_or(false));
        let takes_swappiness_max = anonymous == Some(reclaim::SWAPPINESS_MAX);
        let valve = root.read_value(&cgroup_file("", Knob::ZswapWriteback.file())).ok();
        let is_open = valve.as_deref() != Some("0");
        let key = key(|word| reclaim::takes(root, word), is_open);
        Self { key, takes_swappiness_max, anonymous, ..seen }
    }
}

/// The first key that the kernel takes. The names are those under which the key was proposed. While the root's way to disk
/// is closed (`is_open` is false) a kernel that has it refuses it like a word it does not know.
fn key(takes: impl Fn(&str) -> Result<bool, RootError>, is_open: bool) -> Result<&'static str, String> {
    for word in reclaim::ZSWAP_ONLY {
        match takes(word) {
            Ok(true) => return Ok(word),
            Ok(false) => {}
            Err(error) => {
                return Err(format!("whether memory.reclaim has a key for it is not known: {error}"));
            }
        }
    }
    let names = reclaim::ZSWAP_ONLY.join(", ");
    Err(match is_open {
        true => format!("this kernel's memory.reclaim takes none of: {names}"),
        false => format!(
            "whether this kernel's memory.reclaim takes one of {names} is not known while the root's \
             memory.zswap.writeback is 0: it is asked again"
        ),
    })
}

/// A folder is named after its shrinker and a number: `mm-zswap-41`.
fn scans(root: &Root) -> Vec<String> {
    let is_zswap = |name: &String| name.starts_with("mm-zswap-") || name.starts_with("zswap-");
    let found = root.list(SHRINKERS).unwrap_or_default().into_iter().filter(is_zswap);
    found.map(|name| format!("{SHRINKERS}/{name}/scan")).filter(|scan| root.exists(scan)).collect()
}

/// The list has ranges: `0-1,4`. A kernel without nodes has node 0.
fn nodes(root: &Root) -> Vec<u32> {
    let read = |text: String| {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        };
        text.split(',').map(range).collect::<Option<Vec<_>>>()
    };
    let found = root.read_value(NODES).ok().and_then(read);
    found.map_or_else(|| vec![0], |ranges| ranges.into_iter().flatten().take(MOST_NODES).collect())
}

/// `MAX_NUMNODES` of the kernel is at most this.
const MOST_NODES: usize = 1 << 10;

fn percent(whole: Bytes, percent: u8) -> Option<Bytes> {
    Some(Bytes(whole.0.checked_mul(u64::from(percent))? / 100))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn the_shrinkers_of_zswap_are_found_among_all_and_every_node_is_known() {
        let fake = FakeRoot::host();
        assert_eq!((scans(fake.root()), nodes(fake.root())), (Vec::new(), vec![0]));
        for name in ["mm-shadow-18", "mm-zswap-41", "mm-zspool:zram0-34"] {
            fake.write(&format!("{SHRINKERS}/{name}/scan"), "");
        }
        fake.write(NODES, "0-1,4\n");
        let means = Means::look(fake.root());
        assert_eq!(means.scans, ["sys/kernel/debug/shrinker/mm-zswap-41/scan"]);
        assert_eq!(means.nodes, [0, 1, 4]);
        assert!(means.key.is_err(), "a folder takes any word, so it is not asked");
    }

    #[test]
    fn the_key_is_taken_by_either_name_and_not_knowing_is_not_absence() {
        assert_eq!(key(|word| Ok(word == "source=zswap"), true), Ok("source=zswap"));
        assert_eq!(key(|_| Ok(true), true), Ok("zswap_writeback_only"));
        assert!(key(|_| Ok(false), true).is_err_and(|why| why.contains("takes none of")));
        assert!(key(|_| Ok(false), false).is_err_and(|why| why.contains("is not known while the root's")));
        let denied = || RootError {
            path: "/x".into(),
            action: "write",
            source: io::Error::from_raw_os_error(libc::EACCES),
        };
        assert!(key(|_| Err(denied()), true).is_err_and(|why| why.contains("is not known")));
    }
}
