//! Every cgroup of the v2 hierarchy, once per tick.
//!
//! Lives here: which cgroups there are. Reading the files of one of them is `files.rs`'s, what the numbers mean for a
//! decision is `assemble.rs`'s. cgroups-rs says whether the host runs on cgroup v2; it knows neither zswap nor
//! directory handles, so the rest is read here. Caller: `sense::collect`.
//!
//! What the last tick opened stays open, so a quiet tick costs one `fstat` per cgroup beside the reads themselves.
//! A directory is listed again when its links or times differ, or when a cgroup known in it has gone.
//!
//! Properties
//! - A parent comes before its children.
//! - A cgroup that vanishes during the walk is left out with all below it; that is no error.
//! - Identity is the inode of the directory that was open while its files were read.
//! - At most three quarters of the files that this process may open are kept open, and those of [`MAX_OPEN`] cgroups;
//!   beyond that they are opened each time.

use std::collections::BTreeMap;

use rustix::fs::{Dir, FileType};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use swaptier_policies::{Bytes, CgroupId, Limit};

use super::SenseError;
use super::counters::MemoryStat;
use super::pressure::Pressure;
use crate::root::{CGROUP_ROOT, Root, RootError, cgroup_file};
use files::{FILES, OpenCgroup, Stamp};

mod files;
pub mod texts;

/// How deep the walk goes. The counters of anything deeper are in those of its ancestors, so nothing is lost but
/// detail; the bound keeps whoever owns a delegated subtree from exhausting our files and stack.
const MAX_DEPTH: usize = 64;

/// How many cgroups are looked at: as many as the shadow map can name with its 16 bits.
const MAX_CGROUPS: usize = 65_535;

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
    /// Below the cgroup root, without a leading slash; the root is the empty text.
    pub path: String,
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
    /// `memory.swap.max`.
    pub swap_max: Option<Limit>,
    /// `memory.zswap.current`, or `zswap` of `memory.stat`, which is the same number: *compressed* bytes.
    pub zswap_current: Option<Bytes>,
    /// `memory.zswap.max`.
    pub zswap_max: Option<Limit>,
    /// `memory.zswap.writeback` (6.8 on).
    pub zswap_writeback: Option<bool>,
    /// `memory.stat`.
    pub stat: MemoryStat,
    /// `memory.pressure`, when it is asked for.
    pub pressure: Option<Pressure>,
}

/// Checks that the memory of this host is run by cgroup v2.
pub fn check(root: &Root) -> Result<(), SenseError> {
    let unified = if root.is_system() {
        cgroups_rs::fs::hierarchies::is_cgroup2_unified_mode()
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

/// The reader of the hierarchy, kept from tick to tick.
#[derive(Debug, Default)]
pub struct CgroupTree {
    /// Whether `memory.pressure` is read too: one more file per cgroup.
    pub with_pressure: bool,
    top: Option<Node>,
    buffer: Vec<u8>,
    /// How many there were the last time.
    expected: usize,
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
            None => Node::of(String::new(), OpenCgroup::at(root, "")?.id()),
        };
        let (with_pressure, room) = (self.with_pressure, self.room.unwrap_or_else(room));
        let buffer = &mut self.buffer;
        let mut walk = Walk { root, with_pressure, room, buffer, samples: &mut samples };
        if !walk.visit(&mut top, None, 0)? {
            return Err(walk.failed("read", "", "", Errno::NODEV));
        }
        self.top = Some(top);
        self.expected = samples.len();
        Ok(samples)
    }

    /// How many cgroups are open until the next reading. The others are opened each time.
    pub fn kept_open(&self) -> usize {
        fn kept(node: &Node) -> usize {
            usize::from(node.open.is_some()) + node.children.values().map(kept).sum::<usize>()
        }
        self.top.as_ref().map_or(0, kept)
    }

    #[cfg(test)]
    pub(super) fn with_room(room: usize) -> CgroupTree {
        CgroupTree { room: Some(room), ..CgroupTree::default() }
    }
}

/// How many cgroups can be kept open.
fn room() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 4 * 3;
    let cgroups = usize::try_from(files).unwrap_or(usize::MAX) / (FILES.len() + 1);
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

/// The cgroups in one directory, by name.
type Children = BTreeMap<String, Node>;

/// One known cgroup.
#[derive(Debug)]
struct Node {
    id: CgroupId,
    path: String,
    /// The directory when it was listed; `None` before.
    stamp: Option<Stamp>,
    children: Children,
    /// `None`: too many files are open already.
    open: Option<OpenCgroup>,
}

impl Node {
    fn of(path: String, id: CgroupId) -> Node {
        Node { id, path, stamp: None, children: Children::new(), open: None }
    }
}

/// One walk through the tree.
struct Walk<'a> {
    root: &'a Root,
    with_pressure: bool,
    /// How many more cgroups can be kept open.
    room: usize,
    buffer: &'a mut Vec<u8>,
    samples: &'a mut Vec<CgroupSample>,
}

impl Walk<'_> {
    /// Reads one cgroup and all below it. False: it has gone.
    fn visit(&mut self, node: &mut Node, parent: Option<CgroupId>, depth: usize) -> Result<bool, SenseError> {
        let mut open = match node.open.take() {
            Some(open) => open,
            None => match OpenCgroup::at(self.root, &node.path) {
                Ok(open) if open.id() == node.id => open,
                Ok(_) => return Ok(false),
                Err(error) if error.is_gone() => return Ok(false),
                Err(error) => return Err(error.into()),
            },
        };
        let stamp = open.stamp().map_err(|e| self.failed("stat", &node.path, "", e))?;
        match open.sample(parent, &node.path, self.with_pressure, self.buffer) {
            Ok(sample) => self.samples.push(sample),
            Err((_, Errno::NOENT | Errno::NODEV)) => return Ok(false),
            Err((file, errno)) => return Err(self.failed("read", &node.path, file, errno)),
        }
        let is_kept = self.room > 0;
        self.room = self.room.saturating_sub(1);
        if !is_kept {
            open.close_files();
        }
        if depth < MAX_DEPTH {
            self.below(node, &open, stamp, depth)?;
        }
        node.open = is_kept.then_some(open);
        Ok(true)
    }

    fn below(
        &mut self,
        node: &mut Node,
        open: &OpenCgroup,
        stamp: Stamp,
        depth: usize,
    ) -> Result<(), SenseError> {
        let mut children = std::mem::take(&mut node.children);
        let mut new = Children::new();
        let is_known = node.stamp == Some(stamp);
        if !is_known {
            new = self.reconcile(node, open, &mut children)?;
        }
        let died = self.visit_all(&mut children, node.id, depth)?;
        if died && is_known {
            // One less and one more look the same from outside.
            new = self.reconcile(node, open, &mut children)?;
        }
        self.visit_all(&mut new, node.id, depth)?;
        children.append(&mut new);
        (node.children, node.stamp) = (children, Some(stamp));
        Ok(())
    }

    /// Visits these and forgets those that have gone: then true.
    fn visit_all(
        &mut self,
        children: &mut Children,
        parent: CgroupId,
        depth: usize,
    ) -> Result<bool, SenseError> {
        let (before, mut outcome) = (children.len(), Ok(()));
        children.retain(|_, child| {
            if outcome.is_err() || self.samples.len() >= MAX_CGROUPS {
                return true;
            }
            self.visit(child, Some(parent), depth + 1).unwrap_or_else(|error| {
                outcome = Err(error);
                true
            })
        });
        outcome.map(|()| children.len() < before)
    }

    /// Leaves in `children` those that the directory has, by name and id, and returns those that it has besides.
    fn reconcile(
        &self,
        node: &Node,
        open: &OpenCgroup,
        children: &mut Children,
    ) -> Result<Children, SenseError> {
        let listed = self.list(open, &node.path)?;
        children.retain(|name, child| listed.get(name) == Some(&child.id.0));
        let mut new = Children::new();
        for name in listed.into_keys().filter(|name| !children.contains_key(name)) {
            let path = if node.path.is_empty() { name.clone() } else { format!("{}/{name}", node.path) };
            match open.child(&name) {
                Ok(below) => {
                    new.insert(name, Node::of(path, below.id()));
                }
                Err(Errno::NOENT | Errno::NODEV | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(self.failed("open", &path, "", errno)),
            }
        }
        Ok(new)
    }

    /// The cgroups in this one, by name, with their inodes. A name that is not UTF-8 is left out: it could not be
    /// matched by a policy, and its counters are in those of this one.
    fn list(&self, open: &OpenCgroup, path: &str) -> Result<BTreeMap<String, u64>, SenseError> {
        let mut names = BTreeMap::new();
        let entries = Dir::read_from(open.dir()).map_err(|e| self.failed("list", path, "", e))?;
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(Errno::NOENT | Errno::NODEV) => break,
                Err(errno) => return Err(self.failed("list", path, "", errno)),
            };
            let is_dir = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
            match entry.file_name().to_str() {
                Ok(name) if is_dir && name != "." && name != ".." => {
                    names.insert(name.to_owned(), entry.ino());
                }
                _ => {}
            }
        }
        Ok(names)
    }

    fn failed(&self, action: &'static str, cgroup: &str, file: &str, errno: Errno) -> SenseError {
        let path = self.root.host_path(cgroup_file(cgroup, file).trim_end_matches('/'));
        SenseError::Read(RootError { path, action, source: errno.into() })
    }
}
