//! The way to disk of one cgroup, closed by hand and opened again. Closing writes a policy into `/run` that is the
//! cgroup's own, narrowed to zswap (`swaptier_policies::close`); opening takes it away. All else follows from reading the
//! policies anew: the valve is shut at the next decision, rounds stop, and what was set before comes back.
//!
//! Properties: a close that does not come into force leaves no file; what is removed is the one file in `/run` whose own key
//! says that it closes this cgroup, and no other.

#![expect(clippy::disallowed_methods, reason = "policies that are closed by hand are its files")]

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use swaptier_policies::{
    CgroupPath, PolicySet, Standing,
    close::{FOLDER, Unclosed, closing},
};

use super::{Agent, start::load_policies};
use crate::{
    exit::Exit,
    sense::cgroupfs,
    serve::{
        events::{EventKind, News},
        protocol::Answer,
        server::refused,
    },
};

/// First line of such a file.
const COMMENT: &str = "# Closed by hand: `swaptier open CGROUP` takes this file away again.\n";

/// The policy that closes this cgroup, if there is one, in force or outranked.
fn closed_by<'a>(policies: &'a PolicySet, path: &CgroupPath) -> Option<(&'a str, bool)> {
    let contenders = policies.contenders(path);
    let ours = contenders.into_iter().find(|(policy, _)| policy.closes() == Some(path));
    ours.map(|(policy, standing)| (policy.name(), matches!(standing, Standing::Wins { .. })))
}

/// The cgroup at this path, or the nearest above it, whose way to disk is closed by hand.
pub(super) fn closed_at_or_above(policies: &PolicySet, path: &CgroupPath) -> Option<CgroupPath> {
    std::iter::once(path.clone()).chain(path.above()).find(|path| closed_by(policies, path).is_some())
}

fn failed(text: String) -> Answer {
    refused(Exit::Failed, text)
}

fn nothing(text: String) -> Answer {
    refused(Exit::Nothing, text)
}

impl Agent {
    /// Closes the way to disk of a cgroup.
    pub(super) fn close(&mut self, path: &CgroupPath, dry_run: bool) -> Answer {
        let Some(sample) = self.cgroups.iter().find(|sample| sample.path == *path && !path.is_root()) else {
            return failed(cgroupfs::why_absent(&self.root, path));
        };
        if self.options.dry_run {
            return failed("this agent runs with --dry-run and changes nothing".to_owned());
        }
        if !self.config.agent.policy_dirs.iter().any(|dir| dir == FOLDER) {
            return failed(format!("`[agent] policy_dirs` lacks {FOLDER}, where it would be written"));
        }
        if closed_by(&self.policies, path).is_some() {
            return nothing(format!("the way to disk of {path} is closed by hand already"));
        }
        let Some(policy) = self.policies.resolve(path).map(|policy| policy.name()) else {
            return failed(format!("{path} has no policy: its memory.zswap.writeback is not swaptier's"));
        };
        let Some(source) = self.files.iter().find(|file| file.file_name() == policy) else {
            return failed(format!("{policy} is in force and not known as a file"));
        };
        let text = match closing(path, source) {
            Ok(text) => format!("{COMMENT}{text}"),
            Err(why @ Unclosed::NoDisk) => return nothing(format!("{path}: {why}")),
            Err(why) => return failed(format!("{path}: {why}")),
        };
        let name = self.free_name(sample.id.0);
        if dry_run {
            return Answer::Would { writes: vec![format!("{name}:\n{}", text.trim_end())] };
        }
        let file = self.root.host_path(&name);
        if let Err(error) = write(&file, &text) {
            return failed(format!("{}: {error}", file.display()));
        }
        match self.changed(path, true) {
            Ok(()) => self.done(path, "closed by hand", "command close"),
            Err(why) => {
                // What did not come into force must not do so at the next reload.
                let _gone_is_as_good = fs::remove_file(&file);
                why
            }
        }
    }

    /// Opens it again.
    pub(super) fn open(&mut self, path: &CgroupPath, dry_run: bool) -> Answer {
        let Some((policy, _)) = closed_by(&self.policies, path) else {
            return nothing(match closed_at_or_above(&self.policies, path) {
                Some(above) => format!("{path} is not closed itself: {above} above it is"),
                None => match self.policies.resolve(path) {
                    Some(policy) => {
                        let name = policy.name();
                        format!("the way to disk of {path} is not closed by hand: its policy {name} decides")
                    }
                    None => {
                        format!("the way to disk of {path} is not closed by hand, and no policy names it")
                    }
                },
            });
        };
        let source = self.files.iter().find(|file| file.file_name() == policy);
        let Some(name) = source.and_then(|source| source.place.path_in(FOLDER)) else {
            return failed(format!("{policy} is in force and not known as a file in {FOLDER}"));
        };
        if dry_run {
            return Answer::Would { writes: vec![format!("{name}: removed")] };
        }
        let file = self.root.host_path(name);
        if let Err(error) = fs::remove_file(&file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return failed(format!("{}: {error}", file.display()));
        }
        match self.changed(path, false) {
            Ok(()) => self.done(path, "opened again", "command open"),
            Err(why) => why,
        }
    }

    /// Where a policy can be written that stands before no file of anybody.
    fn free_name(&self, id: u64) -> String {
        let names =
            (0..).map(|n| if n == 0 { format!("closed-{id}.toml") } else { format!("closed-{id}-{n}.toml") });
        let is_taken = |name: &String| {
            self.files.iter().any(|file| file.file_name() == *name)
                || self.root.inspect(&format!("{FOLDER}/{name}")).is_ok()
        };
        let mut free = names.filter(|name| !is_taken(name));
        format!("{FOLDER}/{}", free.next().expect("there are more numbers than files"))
    }

    /// Reads the policies anew and makes sure that they say what was wanted.
    fn changed(&mut self, path: &CgroupPath, is_to_be_closed: bool) -> Result<(), Answer> {
        let (policies, files) = load_policies(&self.root, &self.config).map_err(|faults| {
            refused(Exit::Invalid, format!("the policies have faults, and stay as they are:\n{faults}"))
        })?;
        match closed_by(&policies, path) {
            Some((_, true)) if is_to_be_closed => {}
            None if !is_to_be_closed => {}
            found => {
                let why = match found {
                    Some(_) => "another policy has the same priority and comes before",
                    None => "its name cannot be written as a pattern",
                };
                return Err(failed(format!("{path}: {why}")));
            }
        }
        self.put_in_force(policies, files);
        Ok(())
    }

    fn done(&self, path: &CgroupPath, what: &str, by: &str) -> Answer {
        let text = format!("the way to disk is {what}");
        self.tell(News {
            cgroup: Some(path.to_string()),
            by: Some(by.to_owned()),
            ..News::of(EventKind::Valve, text)
        });
        Answer::Done { message: format!("the way to disk of {path} is {what}") }
    }
}

/// In one step: policies that are read meanwhile have all of it, or nothing.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let folder = file.parent().ok_or(std::io::ErrorKind::InvalidInput)?;
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    let new = file.with_extension("new");
    let written = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&new);
    let written =
        written.and_then(|mut file| file.write_all(text.as_bytes())).and_then(|()| fs::rename(&new, file));
    written.inspect_err(|_| drop(fs::remove_file(&new)))
}

#[cfg(test)]
mod tests;
