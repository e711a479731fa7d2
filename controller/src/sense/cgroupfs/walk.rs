//! One walk through the tree of cgroups, from directory to directory: each is opened in the one that it is in, so that no
//! path can be too long.
//!
//! What the last walk opened stays open, so a quiet tick costs one `fstat` per cgroup beside the reads themselves. A
//! directory is listed again when its links or times differ, or when a cgroup known in it has gone. Below a cgroup that
//! gives the memory controller to none of its children nothing is looked at. Caller: [`super::CgroupTree`].

use std::collections::BTreeMap;

use rustix::fs::{Dir, FileType};
use rustix::io::Errno;
use swaptier_policies::{CgroupId, CgroupPath};

use super::files::{OpenCgroup, Stamp};
use super::{CgroupSample, Unseen, unseen::Cause};
use crate::root::{Root, RootError, cgroup_file, cgroup_path};
use crate::sense::SenseError;

/// How deep the walk goes: whoever owns a delegated subtree must not exhaust our files and stack.
const MAX_DEPTH: usize = 64;

/// How many cgroups are looked at: as many as the kernel has ids for cgroups with the memory controller.
const MAX_CGROUPS: usize = 65_535;

/// How long all their paths together may be. A thousand cgroups of systemd or of Kubernetes have some 200 KB.
const MAX_PATHS: usize = 16 << 20;

/// The cgroups in one directory, by name.
type Children = BTreeMap<Vec<u8>, Node>;

/// One known cgroup.
#[derive(Debug)]
pub(super) struct Node {
    id: CgroupId,
    path: CgroupPath,
    /// The directory when it was listed; `None` before.
    stamp: Option<Stamp>,
    children: Children,
    /// `None`: too many files are open already.
    open: Option<OpenCgroup>,
    /// At the last look it had files of the memory controller.
    has_memory: bool,
    /// At the last look all its children had.
    gives_memory: bool,
}

impl Node {
    pub(super) fn of(path: CgroupPath, id: CgroupId) -> Node {
        let children = Children::new();
        Node { id, path, stamp: None, children, open: None, has_memory: false, gives_memory: false }
    }

    /// How many cgroups from here on are open.
    pub(super) fn kept_open(&self) -> usize {
        usize::from(self.open.is_some()) + self.children.values().map(Node::kept_open).sum::<usize>()
    }

    fn forget_children(&mut self) {
        self.children.clear();
        (self.stamp, self.gives_memory) = (None, false);
    }
}

/// Whether a cgroup is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    There,
    Gone,
}

/// One walk through the tree.
pub(super) struct Walk<'a> {
    root: &'a Root,
    with_pressure: bool,
    /// How many more cgroups can be kept open.
    room: usize,
    /// How many more bytes of paths there may be.
    paths: usize,
    buffer: &'a mut Vec<u8>,
    samples: &'a mut Vec<CgroupSample>,
    unseen: &'a mut Unseen,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        root: &'a Root,
        with_pressure: bool,
        room: usize,
        buffer: &'a mut Vec<u8>,
        samples: &'a mut Vec<CgroupSample>,
        unseen: &'a mut Unseen,
    ) -> Walk<'a> {
        Walk { root, with_pressure, room, paths: MAX_PATHS, buffer, samples, unseen }
    }

    /// The whole tree. Without the root cgroup nothing is seen; whatever else cannot be read costs itself alone.
    pub(super) fn top(&mut self, top: &mut Node) -> Result<(), SenseError> {
        let open = match top.open.take() {
            Some(open) => open,
            None => OpenCgroup::at(self.root, &CgroupPath::ROOT)?,
        };
        let read = self.read(top, open, None, 0).map_err(|(file, errno)| self.failed("read", file, errno))?;
        match read {
            Found::There => Ok(()),
            Found::Gone => Err(self.failed("read", "", Errno::NODEV)),
        }
    }

    /// Looks at a cgroup in `parent` and at all below it.
    fn visit(&mut self, node: &mut Node, parent: (&OpenCgroup, CgroupId), depth: usize) -> Found {
        let opened = node.open.take().map_or_else(|| parent.0.child(node.path.name()), Ok);
        let read = match opened {
            Ok(open) if open.id() != node.id => return Found::Gone,
            Ok(open) => self.read(node, open, Some(parent.1), depth),
            Err(errno) => Err(("", errno)),
        };
        match read {
            Ok(found) => found,
            // It is no cgroup, or is gone.
            Err((_, Errno::NOENT | Errno::NODEV | Errno::NOTDIR | Errno::LOOP)) => Found::Gone,
            Err((file, errno)) => {
                self.unseen.note(&node.path, Cause::Unreadable(file, errno));
                self.samples.push(CgroupSample::unknown(node.id, Some(parent.1), &node.path));
                node.forget_children();
                Found::There
            }
        }
    }

    /// Reads an open cgroup, and all below it.
    fn read(
        &mut self,
        node: &mut Node,
        mut open: OpenCgroup,
        parent: Option<CgroupId>,
        depth: usize,
    ) -> Result<Found, (&'static str, Errno)> {
        let stamp = open.stamp().map_err(|errno| ("", errno))?;
        let sample = open.sample(parent, &node.path, self.with_pressure, self.buffer)?;
        node.has_memory = sample.has_memory();
        self.samples.push(sample);
        if let Some((file, errno)) = open.take_trouble() {
            self.unseen.note(&node.path, Cause::Unreadable(file, errno));
        }
        let is_kept = self.room > 0;
        self.room = self.room.saturating_sub(1);
        if !is_kept {
            open.close_files();
        }
        self.below(node, &mut open, stamp, depth);
        node.open = is_kept.then_some(open);
        Ok(Found::There)
    }

    fn below(&mut self, node: &mut Node, open: &mut OpenCgroup, stamp: Stamp, depth: usize) {
        if stamp.has_no_directories() || !self.gives_memory(node, open) {
            return node.forget_children();
        }
        if depth >= MAX_DEPTH {
            return self.unseen.note(&node.path, Cause::Deep(MAX_DEPTH));
        }
        let mut children = std::mem::take(&mut node.children);
        let mut new = Children::new();
        let is_known = node.stamp == Some(stamp);
        let mut is_listed = true;
        if !is_known {
            is_listed = self.reconcile(node, open, &mut children, &mut new);
        }
        let died = self.visit_all(&mut children, node, open, depth);
        if died && is_known {
            // One less and one more look the same from outside.
            is_listed = self.reconcile(node, open, &mut children, &mut new);
        }
        self.visit_all(&mut new, node, open, depth);
        children.append(&mut new);
        node.gives_memory = children.values().all(|child| child.has_memory);
        (node.children, node.stamp) = (children, is_listed.then_some(stamp));
    }

    /// Whether the children have the memory controller. Asked again only where one had not, since a change of it leaves
    /// the directory as it is. What cannot be read is taken for yes.
    fn gives_memory(&mut self, node: &Node, open: &mut OpenCgroup) -> bool {
        let gives = node.gives_memory || open.gives_memory(self.buffer);
        if !gives && node.path.is_root() {
            self.unseen.note_nothing_charged();
        }
        gives
    }

    /// Visits these and forgets those that have gone: then true.
    fn visit_all(&mut self, children: &mut Children, node: &Node, open: &OpenCgroup, depth: usize) -> bool {
        let before = children.len();
        let mut left = 0u64;
        children.retain(|_, child| {
            if self.samples.len() >= MAX_CGROUPS || self.paths < child.path.as_bytes().len() {
                left += 1;
                return true;
            }
            self.paths -= child.path.as_bytes().len();
            self.visit(child, (open, node.id), depth + 1) == Found::There
        });
        if left > 0 {
            self.unseen.note(&node.path, Cause::Many(left, MAX_CGROUPS));
        }
        children.len() < before
    }

    /// Leaves in `children` those that the directory has, by name and id, and adds to `new` those that it has besides.
    /// False: the directory cannot be listed, and what is known of it stays.
    fn reconcile(
        &mut self,
        node: &Node,
        open: &OpenCgroup,
        children: &mut Children,
        new: &mut Children,
    ) -> bool {
        let listed = match list(open) {
            Ok(listed) => listed,
            Err(errno) => {
                self.unseen.note(&node.path, Cause::Unlisted(errno));
                return false;
            }
        };
        children.retain(|name, child| listed.get(name) == Some(&child.id.0));
        for (name, inode) in listed.into_iter().filter(|(name, _)| !children.contains_key(name)) {
            // Not all file systems give the inode of a directory that is listed; the kernel's own does.
            let id = open.child(&name).map_or(CgroupId(inode), |below| below.id());
            new.insert(name.clone(), Node::of(node.path.join(&name), id));
        }
        true
    }

    fn failed(&self, action: &'static str, file: &str, errno: Errno) -> SenseError {
        let top = CgroupPath::ROOT;
        let rel = if file.is_empty() { cgroup_path(&top) } else { cgroup_file(&top, file) };
        SenseError::Read(RootError { path: self.root.host_path(rel), action, source: errno.into() })
    }
}

/// The cgroups in this one, by name, with their inodes.
fn list(open: &OpenCgroup) -> rustix::io::Result<BTreeMap<Vec<u8>, u64>> {
    let mut names = BTreeMap::new();
    for entry in Dir::read_from(open.dir())? {
        let entry = match entry {
            Ok(entry) => entry,
            Err(Errno::NOENT | Errno::NODEV) => break,
            Err(errno) => return Err(errno),
        };
        let is_dir = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        let name = entry.file_name().to_bytes();
        if is_dir && !matches!(name, b"." | b"..") {
            names.insert(name.to_vec(), entry.ino());
        }
    }
    Ok(names)
}
