//! The files of a host with many cgroups, in a folder in memory: what a tick reads, as long as the kernel prints it.
//! Reading a file of tmpfs is quicker than the kernel's own, which must sum up counters first; so what swaptier adds to
//! the reading weighs more here than on a real host.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use swaptier::root::{CGROUP_ROOT, Root};
use swaptier_policies::Knob;
use tempfile::TempDir;

use super::Dice;

/// The host, gone when it is dropped.
pub(super) struct Host {
    dir: TempDir,
    pub(super) root: Root,
    /// Paths of all cgroups below the cgroup root, parents first; the root is the empty text.
    pub(super) cgroups: Vec<String>,
}

impl Host {
    /// A host with this many cgroups, the root included: two slices, and services and jobs in them.
    pub(super) fn with(cgroups: usize) -> Result<Host> {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let dir = dir.context("making a folder for the host's files")?;
        let mut paths = vec![String::new(), "batch.slice".to_owned(), "system.slice".to_owned()];
        let name = |nth: usize| match nth % 2 {
            0 => format!("batch.slice/job-{nth:05}"),
            _ => format!("system.slice/service-{nth:05}.service"),
        };
        paths.extend((3..cgroups).map(name));
        paths.truncate(cgroups.max(1));
        let mut dice = Dice(0xf11e5);
        for path in &paths {
            lay_out(&dir.path().join(CGROUP_ROOT).join(path), path.is_empty(), &mut dice)
                .with_context(|| format!("the files of cgroup {path}"))?;
        }
        for file in FILES {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().context("a file of the host is in a folder")?)?;
            fs::write(path, text_of(file))?;
        }
        let root = Root::at(dir.path()).context("opening the host")?;
        Ok(Host { dir, root, cgroups: paths })
    }

    /// Makes so many cgroups without the memory controller in the last of the others.
    pub(super) fn add_bare(&self, cgroups: usize) -> Result<()> {
        let Some(last) = self.cgroups.last().filter(|_| cgroups > 0) else { return Ok(()) };
        let home = self.dir.path().join(CGROUP_ROOT).join(last);
        fs::write(home.join("cgroup.subtree_control"), "cpu pids\n")?;
        for nth in 0..cgroups {
            let dir = home.join(nth.to_string());
            fs::create_dir(&dir)?;
            fs::write(dir.join("cgroup.events"), "populated 0\nfrozen 0\n")?;
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn lay_out(dir: &Path, is_root: bool, dice: &mut Dice) -> Result<()> {
    fs::create_dir_all(dir)?;
    let write = |name: &str, text: String| fs::write(dir.join(name), text);
    let values = STAT.split_whitespace().map(|key| format!("{key} {}\n", dice.below(1 << 32)));
    write("memory.stat", values.collect())?;
    // As the kernel makes a cgroup.
    for knob in Knob::ALL.into_iter().filter(|knob| !is_root || knob.is_on_root()) {
        write(knob.file(), format!("{}\n", knob.fresh().kernel_text()))?;
    }
    write("cgroup.controllers", "cpuset cpu io memory pids\n".to_owned())?;
    if is_root {
        return Ok(());
    }
    write("cgroup.events", "populated 1\nfrozen 0\n".to_owned())?;
    write("memory.current", "268435456\n".to_owned())?;
    write("memory.high", "max\n".to_owned())?;
    write("memory.max", "1073741824\n".to_owned())?;
    write("memory.swap.current", "134217728\n".to_owned())?;
    write("memory.zswap.current", "33554432\n".to_owned())?;
    Ok(())
}

/// Keys of a cgroup's `memory.stat` on 6.18.
const STAT: &str = "anon file kernel kernel_stack pagetables sec_pagetables percpu sock vmalloc shmem zswap zswapped \
    file_mapped file_dirty file_writeback swapcached anon_thp file_thp shmem_thp inactive_anon active_anon \
    inactive_file active_file unevictable slab_reclaimable slab_unreclaimable slab workingset_refault_anon \
    workingset_refault_file workingset_activate_anon workingset_activate_file workingset_restore_anon \
    workingset_restore_file workingset_nodereclaim pswpin pswpout pgscan pgsteal pgscan_kswapd pgscan_direct \
    pgscan_khugepaged pgscan_proactive pgsteal_kswapd pgsteal_direct pgsteal_khugepaged pgsteal_proactive pgfault \
    pgmajfault pgrefill pgactivate pgdeactivate pglazyfree pglazyfreed swpin_zero swpout_zero zswpin zswpout zswpwb \
    thp_fault_alloc thp_collapse_alloc thp_swpout thp_swpout_fallback numa_pages_migrated numa_pte_updates \
    numa_hint_faults pgdemote_kswapd pgdemote_direct pgdemote_khugepaged pgdemote_proactive hugetlb";

/// The host's own files: all that a tick reads.
pub(super) const FILES: [&str; 12] = [
    "proc/meminfo",
    "proc/swaps",
    "proc/vmstat",
    "proc/pressure/memory",
    "proc/pressure/io",
    "sys/class/block/vda/dev",
    "sys/dev/block/254:0/uevent",
    "sys/module/zswap/parameters/enabled",
    "sys/module/zswap/parameters/max_pool_percent",
    "sys/module/zswap/parameters/accept_threshold_percent",
    "sys/module/zswap/parameters/shrinker_enabled",
    "sys/module/zswap/parameters/compressor",
];

fn text_of(file: &str) -> String {
    match file.rsplit('/').next().unwrap_or_default() {
        "meminfo" => {
            MEMINFO.split_whitespace().map(|key| format!("{key}: {:>15} kB\n", 67_108_864)).collect()
        }
        "swaps" => format!(
            "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n{:<40}partition\t67108860\t33554432\t-2\n",
            "/dev/vda"
        ),
        // Two hundred counters, of which a tick wants ten.
        "vmstat" => (0..190)
            .map(|nth| format!("nr_some_counter_{nth} 1234567\n"))
            .chain(["pswpin", "pswpout", "zswpin", "zswpout", "zswpwb"].map(|key| format!("{key} 1234567\n")))
            .collect(),
        "memory" | "io" => "some avg10=0.50 avg60=0.10 avg300=0.00 total=7123456\n\
             full avg10=0.10 avg60=0.00 avg300=0.00 total=1123456\n"
            .to_owned(),
        "dev" => "254:0\n".to_owned(),
        "uevent" => "DEVNAME=vda\n".to_owned(),
        "enabled" => "Y\n".to_owned(),
        "max_pool_percent" => "20\n".to_owned(),
        "accept_threshold_percent" => "90\n".to_owned(),
        "shrinker_enabled" => "N\n".to_owned(),
        _ => "zstd\n".to_owned(),
    }
}

/// Keys of `/proc/meminfo` that are kB.
const MEMINFO: &str = "MemTotal MemFree MemAvailable Buffers Cached SwapCached Active Inactive Active(anon) \
    Inactive(anon) Active(file) Inactive(file) Unevictable Mlocked SwapTotal SwapFree Zswap Zswapped Dirty Writeback \
    AnonPages Mapped Shmem KReclaimable Slab SReclaimable SUnreclaim KernelStack PageTables SecPageTables \
    NFS_Unstable Bounce WritebackTmp CommitLimit Committed_AS VmallocTotal VmallocUsed VmallocChunk Percpu \
    HardwareCorrupted AnonHugePages ShmemHugePages ShmemPmdMapped FileHugePages FilePmdMapped Hugepagesize Hugetlb \
    DirectMap4k DirectMap2M DirectMap1G";
