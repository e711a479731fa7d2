//! The host of a scenario: a folder with its files, and what it would be like without swaptier. What is done to it by
//! others than swaptier is done here. Caller: `play.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs, io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use swaptier_policies::{CgroupPath, path::text::shown};

use super::{hang::Hang, verb::Deed};
use crate::{
    fake::FakeRoot,
    root::{CGROUP_ROOT, Root},
    serve::SOCKET,
};

/// Every file and folder, by its path below the root. A folder, or a link, says nothing.
pub(super) type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// Cgroups that are removed go here: kernfs gives no inode out again, the folder's file system would.
const GRAVES: &str = "removed";

/// Settings with which each tick decides, and no write is called overdue on a slow disk; and the recording, which is
/// decided again at the end.
const SETTINGS: &str = "[agent]\ntick = \"20s\"\ninterval = \"20s\"\n\n[record]\nenabled = true\n";

pub(super) struct Stage {
    fake: FakeRoot,
    /// As it would be without swaptier.
    world: Tree,
    /// What may be otherwise at the end.
    left: BTreeSet<PathBuf>,
    /// Cgroups by their ids.
    ids: BTreeMap<u64, String>,
    hanging: BTreeMap<PathBuf, Hang>,
}

impl Stage {
    /// A host on which nothing has happened yet.
    pub(super) fn new() -> Stage {
        let fake = FakeRoot::host();
        fake.write("etc/swaptier/swaptier.toml", SETTINGS);
        let (left, ids, hanging) = Default::default();
        let mut stage = Stage { fake, world: Tree::new(), left, ids, hanging };
        stage.world = stage.tree();
        stage
    }

    pub(super) fn root(&self) -> &Root {
        self.fake.root()
    }

    pub(super) fn path(&self, rel: impl AsRef<Path>) -> PathBuf {
        self.fake.path(rel.as_ref())
    }

    fn at(&self, rel: &[u8]) -> PathBuf {
        self.path(OsStr::from_bytes(rel))
    }

    /// Does to the host what others than swaptier do.
    pub(super) fn act(&mut self, deed: &Deed) -> io::Result<()> {
        match deed {
            Deed::Write(rel, text) => self.by_others(|stage| stage.becomes(rel, text)),
            Deed::Becomes(rel, text) => self.becomes(rel, text),
            Deed::MakeDir(rel) => self.by_others(|stage| stage.make_dir(rel)),
            Deed::Remove(rel) => self.by_others(|stage| stage.remove(rel)),
            Deed::Mode(rel, mode) => fs::set_permissions(self.at(rel), fs::Permissions::from_mode(*mode)),
            Deed::Hang(rel) => {
                self.hanging.insert(self.at(rel), Hang::begin(&self.at(rel))?);
                Ok(())
            }
            Deed::Leaves(rel) => {
                self.left.insert(PathBuf::from(OsStr::from_bytes(rel)));
                Ok(())
            }
        }
    }

    /// A file says this, whoever would have it say something else.
    fn becomes(&mut self, rel: &[u8], text: &[u8]) -> io::Result<()> {
        let (path, mut text) = (self.at(rel), text.to_vec());
        if let Ok(mut filled) = String::from_utf8(text.clone()) {
            for (id, cgroup) in &self.ids {
                filled = filled.replace(&format!("<id:{cgroup}>"), &id.to_string());
            }
            text = filled.into_bytes();
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)
    }

    fn make_dir(&mut self, rel: &[u8]) -> io::Result<()> {
        let Some(cgroup) = cgroup_of(rel) else {
            // As the agent asks it of its state folder.
            return fs::DirBuilder::new().recursive(true).mode(0o700).create(self.at(rel));
        };
        self.ids.insert(self.fake.cgroup(&cgroup), cgroup.to_string());
        Ok(())
    }

    fn remove(&mut self, rel: &[u8]) -> io::Result<()> {
        let path = self.at(rel);
        match (cgroup_of(rel), path.is_dir()) {
            (Some(_), true) => self.bury(&path),
            (None, true) => fs::remove_dir_all(path),
            (_, false) => fs::remove_file(path),
        }
    }

    /// Takes a cgroup away. Its directory stays, elsewhere and without a file, so that its id is not given out again.
    fn bury(&self, path: &Path) -> io::Result<()> {
        let graves = self.path(GRAVES);
        fs::create_dir_all(&graves)?;
        let grave = graves.join(fs::read_dir(&graves)?.count().to_string());
        fs::rename(path, &grave)?;
        fs::read_dir(&grave)?
            .flatten()
            .filter(|entry| entry.path().is_file())
            .try_for_each(|entry| fs::remove_file(entry.path()))
    }

    /// Has the writes to a file return again.
    pub(super) fn release(&mut self, rel: &[u8]) -> io::Result<()> {
        let hang = self.hanging.remove(&self.at(rel));
        hang.map(drop).ok_or_else(|| io::Error::other("it does not hang"))
    }

    /// What is done now is not undone by swaptier.
    fn by_others(&mut self, act: impl FnOnce(&mut Stage) -> io::Result<()>) -> io::Result<()> {
        let before = self.tree();
        act(self)?;
        let after = self.tree();
        self.world.retain(|path, _| after.contains_key(path) || !before.contains_key(path));
        let changed = after.into_iter().filter(|(path, text)| before.get(path) != Some(text));
        self.world.extend(changed);
        Ok(())
    }

    /// Everything there is now, but for what swaptier keeps for itself.
    pub(super) fn tree(&self) -> Tree {
        let (mut tree, top) = (Tree::new(), self.path(""));
        let mut open = vec![top.clone()];
        while let Some(dir) = open.pop() {
            for path in fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
                let rel = path.strip_prefix(&top).unwrap().to_path_buf();
                let kind = fs::symlink_metadata(&path).unwrap().file_type();
                if is_kept_out(&rel) {
                    continue;
                }
                if !is_of_swaptier(&rel) {
                    tree.insert(rel, kind.is_file().then(|| read(&path)));
                }
                if kind.is_dir() {
                    open.push(path);
                }
            }
        }
        tree
    }

    /// What is otherwise than it would be without swaptier, one line each. What `swaptier close` wrote waits for `open`,
    /// also when no agent is there.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut now = self.tree();
        now.retain(|path, _| self.world.contains_key(path) || !path.starts_with("run"));
        let mut faults = Vec::new();
        for (path, line) in changes(&self.world, &now) {
            if !self.left.contains(&path) {
                faults.push(format!("it is not given back: {line}"));
            }
        }
        let kept = self.left.iter().filter(|path| self.world.get(*path) == now.get(*path));
        faults.extend(kept.map(|path| format!("`leaves` is not true of {}", path.display())));
        faults
    }

    /// A line of swaptier without what is another in each play.
    pub(super) fn scrubbed(&self, line: &str) -> String {
        let top = self.path("");
        let mut line = line.replace(top.to_str().unwrap().trim_end_matches('/'), "");
        for (id, cgroup) in &self.ids {
            line = line.replace(&format!("closed-{id}"), &format!("closed-<id:{cgroup}>"));
        }
        line = line.replace(&format!("process {}", std::process::id()), "process PID");
        match line.trim_start().split_once("s ago: ") {
            Some((seconds, what)) if seconds.parse::<u64>().is_ok() => format!("  just now: {what}"),
            _ => line,
        }
    }
}

/// Each file that is another than before, and a line about it.
pub(super) fn changes(before: &Tree, after: &Tree) -> Vec<(PathBuf, String)> {
    let paths: BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    let line = |path: &PathBuf| {
        let said = match (before.get(path), after.get(path)) {
            (Some(old), Some(new)) if old == new => return None,
            (Some(old), Some(new)) => format!("{} -> {}", value(old), value(new)),
            (None, _) => "made".to_owned(),
            (_, None) => "removed".to_owned(),
        };
        Some((path.clone(), format!("/{}: {said}", shown(path.as_os_str().as_bytes()))))
    };
    paths.into_iter().filter_map(line).collect()
}

fn value(text: &Option<Vec<u8>>) -> String {
    String::from_utf8_lossy(text.as_deref().unwrap_or_default()).trim().replace('\n', " | ")
}

/// State folders, and cgroups that are no more.
fn is_kept_out(rel: &Path) -> bool {
    rel == Path::new("var") || rel == Path::new(GRAVES)
}

/// What an agent makes for itself. Of its policies in `/run` each is told.
fn is_of_swaptier(rel: &Path) -> bool {
    ["run", "run/swaptier", "run/swaptier/policies.d", SOCKET].iter().any(|own| rel == Path::new(own))
}

/// The cgroup whose directory this is.
fn cgroup_of(rel: &[u8]) -> Option<CgroupPath> {
    let below = rel.strip_prefix(CGROUP_ROOT.as_bytes())?.strip_prefix(b"/")?;
    // Files of the kernel have a dot after the controller's name.
    let is_file = below.rsplit(|byte| *byte == b'/').next()?.starts_with(b"memory.");
    (!is_file).then(|| CgroupPath::new(below))
}

/// A file's text without the newline at its end, which a kernel's file has whoever wrote it; also where its rights keep it
/// from everybody.
fn read(path: &Path) -> Vec<u8> {
    let mut text = fs::read(path).unwrap_or_else(|_| {
        let rights = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        let text = fs::read(path).unwrap();
        fs::set_permissions(path, rights).unwrap();
        text
    });
    text.pop_if(|last| *last == b'\n');
    text
}
