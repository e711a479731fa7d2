//! A little host in a temporary folder, for the tests of this crate.

use std::fs;
use std::path::Path;
use swaptier_policies::Knob;

use crate::root::{Root, cgroup_file};

/// A fake root. Files are written as the kernel prints them, with a newline.
pub(crate) struct FakeRoot {
    dir: tempfile::TempDir,
    root: Root,
}

impl FakeRoot {
    /// Nothing at all.
    pub(crate) fn empty() -> FakeRoot {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path()).unwrap();
        FakeRoot { dir, root }
    }

    /// A host with 1 GiB of RAM, zswap on, one swap area, and only the root cgroup.
    pub(crate) fn host() -> FakeRoot {
        let fake = FakeRoot::empty();
        fake.write("proc/meminfo", MEMINFO);
        fake.write("proc/cmdline", "root=/dev/vda ro quiet\n");
        fake.write(
            "proc/swaps",
            "Filename\tType\tSize\tUsed\tPriority\n/dev/vda\tpartition\t1048572\t12288\t-2\n",
        );
        fake.block("vda", "254:0");
        fake.write("proc/vmstat", "nr_swapcached 0\npswpin 3\npswpout 4\nzswpin 1\nzswpout 9\nzswpwb 5\n");
        fake.write("proc/pressure/memory", "some avg10=0.50 avg60=0.10 avg300=0.00 total=7\n");
        fake.write("proc/sys/kernel/random/boot_id", "boot-one\n");
        for (name, value) in [
            ("enabled", "Y\n"),
            ("max_pool_percent", "20\n"),
            ("accept_threshold_percent", "90\n"),
            ("shrinker_enabled", "N\n"),
            ("compressor", "lz4\n"),
        ] {
            fake.write(&format!("sys/module/zswap/parameters/{name}"), value);
        }
        fake.write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
        fake.write("sys/fs/cgroup/memory.stat", "anon 1000\nzswap 4096\nzswapped 12288\n");
        fake.write("sys/fs/cgroup/memory.zswap.writeback", "1\n");
        fake
    }

    /// Makes a block device as sysfs shows it; it has no node.
    pub(crate) fn block(&self, name: &str, number: &str) {
        let device = format!("sys/devices/virtual/block/{name}");
        self.write(&format!("{device}/dev"), &format!("{number}\n"));
        self.write(
            &format!("{device}/uevent"),
            &format!("DEVNAME={}\nDEVTYPE=disk\n", name.replace('!', "/")),
        );
        let links = [("sys/class/block", name), ("sys/block", name), ("sys/dev/block", number)];
        for (folder, link) in links {
            let up = "../".repeat(folder.split('/').count());
            fs::create_dir_all(self.path(folder)).unwrap();
            std::os::unix::fs::symlink(format!("{up}{device}"), self.path(&format!("{folder}/{link}")))
                .unwrap();
        }
    }

    /// Makes a cgroup with every memory file at its default, and says its id.
    pub(crate) fn cgroup(&self, path: &(impl AsRef<[u8]> + ?Sized)) -> u64 {
        let path = path.as_ref();
        for (file, value) in [
            ("cgroup.events", "populated 1\nfrozen 0\n"),
            ("memory.current", "1048576\n"),
            ("memory.high", "max\n"),
            ("memory.max", "max\n"),
            ("memory.swap.current", "16384\n"),
            ("memory.zswap.current", "2048\n"),
            ("memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
            ("memory.reclaim", ""),
            ("memory.stat", "anon 524288\nfile 0\nzswap 2048\nzswapped 8192\nzswpwb 1\n"),
        ] {
            self.write(&cgroup_file(path, file), value);
        }
        for knob in Knob::ALL {
            self.write(&cgroup_file(path, knob.file()), &format!("{}\n", knob.fresh().kernel_text()));
        }
        self.root.cgroup_id(path).unwrap()
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    pub(crate) fn path(&self, rel: &(impl AsRef<Path> + ?Sized)) -> std::path::PathBuf {
        self.dir.path().join(rel)
    }

    pub(crate) fn write(&self, rel: &(impl AsRef<Path> + ?Sized), text: &str) {
        let path = self.path(rel);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, rel: &(impl AsRef<Path> + ?Sized)) -> String {
        fs::read_to_string(self.path(rel)).unwrap().trim().to_owned()
    }

    pub(crate) fn remove(&self, rel: &(impl AsRef<Path> + ?Sized)) {
        let path = self.path(rel);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }

    /// Puts another, empty directory at the place of a cgroup. The old one is moved away and not removed: a plain file
    /// system would give the same inode out again, kernfs does not.
    pub(crate) fn replace_cgroup(&self, path: &str) {
        let dir = self.path(&crate::root::cgroup_path(path));
        fs::rename(&dir, self.path(&format!("removed-{}", path.replace('/', "-")))).unwrap();
        fs::create_dir(&dir).unwrap();
    }
}

/// A 6.12 guest of 1 GiB.
const MEMINFO: &str = "\
MemTotal:        1014512 kB
MemFree:          512000 kB
MemAvailable:     800000 kB
Buffers:            1024 kB
Cached:           200000 kB
SwapCached:            0 kB
Active:           100000 kB
Inactive:         100000 kB
Unevictable:           0 kB
Mlocked:               0 kB
SwapTotal:       1048572 kB
SwapFree:        1036284 kB
Zswap:              4096 kB
Zswapped:          12288 kB
Dirty:                 0 kB
Writeback:             0 kB
AnonPages:         50000 kB
Mapped:            20000 kB
Shmem:              1000 kB
KReclaimable:      20000 kB
Slab:              40000 kB
SReclaimable:      20000 kB
SUnreclaim:        20000 kB
KernelStack:        2000 kB
PageTables:         1000 kB
NFS_Unstable:          0 kB
Bounce:                0 kB
WritebackTmp:          0 kB
CommitLimit:     1555828 kB
Committed_AS:     100000 kB
VmallocTotal:   34359738367 kB
VmallocUsed:       10000 kB
VmallocChunk:          0 kB
HugePages_Total:       0
HugePages_Free:        0
Hugepagesize:       2048 kB
";
