//! Whether the kernel charges cgroups for what they have in zswap.
//!
//! With `cgroup.memory=nokmem` on its command line it does not: `zswap` and `zswapped` are 0 in each cgroup,
//! `memory.zswap.max` limits nothing, and all pages stand in one list, of which write-back takes whoever's is oldest.
//! Nothing but the command line says so: pages of the root cgroup are charged to nobody on any host. Callers:
//! `sense::collect`, `probe`, the agent.

use super::CgroupSample;
use crate::root::Root;

const COMMAND_LINE: &str = "proc/cmdline";

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accounting {
    /// Each cgroup is charged for its own.
    Charged,
    /// None is: the kernel was started with `cgroup.memory=nokmem`.
    Nokmem,
    /// The command line could not be read: why.
    Unknown(String),
}

impl Accounting {
    /// Reads the kernel's command line.
    pub fn read(root: &Root) -> Accounting {
        match root.read_lossy(COMMAND_LINE) {
            Ok(line) if is_nokmem(&line) => Accounting::Nokmem,
            Ok(_) => Accounting::Charged,
            Err(error) => Accounting::Unknown(format!(
                "whether the kernel charges zswap to cgroups (`cgroup.memory=nokmem`) is not known: {error}"
            )),
        }
    }

    /// What is lost, for people. Then no write-back can be aimed.
    pub fn loss(&self) -> Option<String> {
        match self {
            Accounting::Charged => None,
            Accounting::Nokmem => Some(
                "the kernel charges zswap to no cgroup (`cgroup.memory=nokmem` on its command line): write-back \
                 would take anybody's pages, so there is none; memory.zswap.max limits nothing, and the map cannot \
                 be compared with memory.stat"
                    .to_owned(),
            ),
            Accounting::Unknown(why) => Some(format!("{why}; nothing is written back")),
        }
    }

    /// The zeros of an account that is not kept are no numbers. What the root has is the host's own count.
    pub(super) fn forget(&self, cgroups: &mut [CgroupSample]) {
        if *self != Accounting::Nokmem {
            return;
        }
        for cgroup in cgroups {
            (cgroup.zswap_current, cgroup.stat.zswap, cgroup.stat.zswapped) = (None, None, None);
        }
    }
}

/// Whether the kernel takes `nokmem` out of this line: a list with commas in any of the parameters of this name, which may
/// stand in quotes. What follows `--` is for init.
fn is_nokmem(line: &str) -> bool {
    let words = line.split_ascii_whitespace().take_while(|word| *word != "--");
    let lists = words.filter_map(|word| word.trim_matches('"').strip_prefix("cgroup.memory="));
    lists.flat_map(|list| list.trim_matches('"').split(',')).any(|token| token == "nokmem")
}

#[cfg(test)]
mod tests {
    use swaptier_policies::{Bytes, MapHealth, Seconds, Writeback};

    use super::*;
    use crate::{fake::FakeRoot, sense};

    #[test]
    fn the_parameter_is_read_as_the_kernel_reads_it() {
        for line in [
            "cgroup.memory=nokmem",
            "quiet cgroup.memory=nosocket,nokmem ro\n",
            "cgroup.memory=nosocket cgroup.memory=nokmem",
            "cgroup.memory=\"nokmem,nobpf\"",
            "\"cgroup.memory=nokmem\"",
        ] {
            assert!(is_nokmem(line), "{line}");
        }
        for line in [
            "",
            "nokmem",
            "cgroup.memory=nosocket",
            "cgroup.memory=nokmems",
            "xcgroup.memory=nokmem",
            "-- cgroup.memory=nokmem",
        ] {
            assert!(!is_nokmem(line), "{line}");
        }
    }

    #[test]
    fn without_the_account_no_cgroup_has_a_number_and_no_round_is_ready() {
        let look = |fake: &FakeRoot| {
            let sensed = sense::collect(fake.root(), &mut sense::CgroupTree::default()).unwrap();
            let loss = sensed.accounting.loss();
            let beside = sense::Beside {
                at: Seconds(60),
                day: 3,
                areas: Vec::new(),
                writeback: Writeback::Ready("worker".into()),
                health: MapHealth::Exact,
                counts: Default::default(),
                cold: Default::default(),
            };
            (sense::assemble(sensed, beside), loss)
        };
        let fake = FakeRoot::host();
        let id = swaptier_policies::CgroupId(fake.cgroup("a"));
        let (snap, loss) = look(&fake);
        assert_eq!((snap.host.writeback, loss), (Writeback::Ready("worker".into()), None));
        assert_eq!(snap.cgroups[&id].zswap_original, Some(Bytes(8192)));

        fake.write(COMMAND_LINE, "cgroup.memory=nokmem\n");
        let (snap, loss) = look(&fake);
        assert_eq!(snap.host.writeback, Writeback::Uncharged);
        assert!(loss.unwrap().contains("cgroup.memory=nokmem"));
        assert_eq!((snap.cgroups[&id].zswap_original, snap.cgroups[&id].zswap_compressed), (None, None));
        assert!(snap.host.pool_original.is_some(), "the host's count is kept");

        fake.remove(COMMAND_LINE);
        let (snap, loss) = look(&fake);
        assert!(matches!(&snap.host.writeback, Writeback::None(why) if why.contains("cmdline")), "{loss:?}");
    }
}
