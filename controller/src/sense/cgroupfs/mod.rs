//! Every cgroup of the v2 hierarchy that the kernel charges memory to, once per tick.
//!
//! Lives here: what is kept from tick to tick. Going through the tree is `walk.rs`'s, reading the files of one cgroup
//! `files.rs`'s, what could not be looked at `unseen.rs`'s, what the numbers mean for a decision `assemble.rs`'s.
//! cgroups-rs says whether the host runs on cgroup v2; it knows neither zswap nor directory handles, so the rest is read
//! here. Caller: `sense::collect`.
//!
//! Properties
//! - A parent comes before its children.
//! - A cgroup that vanishes during the walk is left out with all below it; that is no error.
//! - One that cannot be looked at is still there, with nothing known of it, and is told ([`Unseen`]).
//! - Identity is the inode of the directory that was open while its files were read.
//! - A cgroup without the memory controller is left out: its pages are those of the nearest above that has it. It costs
//!   nothing, however many of them somebody makes.
//! - At most three quarters of the files that this process may open are kept open, and those of [`MAX_OPEN`] cgroups;
//!   beyond that they are opened each time.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use swaptier_policies::{Bytes, CgroupId, CgroupPath, Limit, Settings};

use super::SenseError;
use super::counters::MemoryStat;
use super::pressure::Pressure;
use crate::root::{CGROUP_ROOT, Root, cgroup_file};
use files::{FILES, OpenCgroup};
pub use unseen::Unseen;
use walk::{Node, Walk};

mod files;
pub mod texts;
mod unseen;
mod walk;

/// How many cgroups are kept open at most. An open file of kernfs holds a page once it was read, so a cgroup costs some
/// 40 KiB of the kernel's memory: 40 MiB in all, on a host that has a thousand cgroups.
const MAX_OPEN: usize = 1024;

/// One cgroup as its files say. `None`: the file is not there, or does not say what it should.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CgroupSample {
    /// The inode of its directory.
    pub id: CgroupId,
    /// `None` for the root.
    pub parent: Option<CgroupId>,
    /// Below the cgroup root.
    pub path: CgroupPath,
    /// `populated` of `cgroup.events`: a process lives in it or below. The root always is.
    pub populated: bool,
    /// `memory.current`.
    pub memory_current: Option<Bytes>,
    /// `memory.high`.
    pub memory_high: Option<Limit>,
    /// `memory.max`.
    pub memory_max: Option<Limit>,
    /// `memory.swap.current`.
    pub swap_current: Option<Bytes>,
    /// `memory.zswap.current`, or `zswap` of `memory.stat`, which is the same number: *compressed* bytes.
    pub zswap_current: Option<Bytes>,
    /// The files that policies set.
    pub settings: Settings,
    /// `memory.stat`.
    pub stat: MemoryStat,
    /// `memory.pressure`, when it is asked for.
    pub pressure: Option<Pressure>,
}

/// Checks that the memory of this host is run by cgroup v2.
pub fn check(root: &Root) -> Result<(), SenseError> {
    let unified = if root.is_system() {
        cgroups_rs::hierarchies::is_cgroup2_unified_mode()
    } else {
        root.exists(&cgroup_file("", "cgroup.controllers"))
    };
    let path = root.host_path(CGROUP_ROOT);
    if !unified {
        return Err(SenseError::NoCgroup2 { path });
    }
    let controllers = root.read(&cgroup_file("", "cgroup.controllers"))?;
    match controllers.split_ascii_whitespace().any(|name| name == "memory") {
        true => Ok(()),
        false => Err(SenseError::NoMemoryController { path }),
    }
}

/// Why there is no sample of the cgroup at `path`, as a sentence.
pub fn why_absent(root: &Root, path: &CgroupPath) -> String {
    if path.is_root() {
        return "the root cgroup has no limits and no policy: name a cgroup below it".to_owned();
    }
    match root.cgroup(path) {
        Ok(_) => format!(
            "the memory controller is not enabled for {path}: its pages are those of the nearest cgroup above that has it"
        ),
        Err(error) if error.is_gone() => format!("there is no cgroup {path:?} below /{CGROUP_ROOT}"),
        Err(error) => error.to_string(),
    }
}

/// The reader of the hierarchy, kept from tick to tick.
#[derive(Debug, Default)]
pub struct CgroupTree {
    /// Whether `memory.pressure` is read too: one more file per cgroup.
    pub with_pressure: bool,
    top: Option<Node>,
    buffer: Vec<u8>,
    /// How many there were the last time.
    expected: usize,
    unseen: Unseen,
    /// How many cgroups may be kept open; `None`: what the limit of open files allows.
    room: Option<usize>,
}

impl CgroupTree {
    /// Reads every cgroup.
    pub fn read(&mut self, root: &Root) -> Result<Vec<CgroupSample>, SenseError> {
        let mut samples = Vec::with_capacity(self.expected + 16);
        // Taken out: after an error everything is opened and listed anew.
        let mut top = match self.top.take() {
            Some(top) => top,
            None => Node::of(CgroupPath::ROOT, OpenCgroup::at(root, &CgroupPath::ROOT)?.id()),
        };
        let (with_pressure, room) = (self.with_pressure, self.room.unwrap_or_else(room));
        self.unseen = Unseen::default();
        let (buffer, unseen) = (&mut self.buffer, &mut self.unseen);
        Walk::new(root, with_pressure, room, buffer, &mut samples, unseen).top(&mut top)?;
        self.top = Some(top);
        self.expected = samples.len();
        Ok(samples)
    }

    /// What the last reading could not look at.
    pub fn unseen(&self) -> &Unseen {
        &self.unseen
    }

    /// How many cgroups are open until the next reading. The others are opened each time.
    pub fn kept_open(&self) -> usize {
        self.top.as_ref().map_or(0, Node::kept_open)
    }

    #[cfg(test)]
    pub(super) fn with_room(room: usize) -> CgroupTree {
        CgroupTree { room: Some(room), ..CgroupTree::default() }
    }
}

/// How many cgroups can be kept open.
fn room() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 4 * 3;
    let cgroups = usize::try_from(files).unwrap_or(usize::MAX) / (FILES + 1);
    cgroups.min(MAX_OPEN)
}

/// Lets this process open more files, so that more cgroups can be kept open: the usual 1,024 are enough for sixty.
/// Returns how many it may open now. For the agent's start.
pub fn raise_file_limit() -> std::io::Result<u64> {
    // Room for `MAX_OPEN` in the part that is used, and well below the kernel's own bound (fs.nr_open).
    const WANTED: u64 = 1 << 15;
    let limit = getrlimit(Resource::Nofile);
    let (current, maximum) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    let raised = |most: u64| {
        let maximum = Some(maximum.max(most));
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum }).map(|()| most)
    };
    if current >= WANTED {
        return Ok(current);
    }
    // Going above the hard limit takes CAP_SYS_RESOURCE.
    Ok(raised(WANTED).or_else(|_| raised(maximum.min(WANTED)))?)
}
