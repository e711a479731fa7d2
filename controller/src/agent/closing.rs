//! The way to disk of one cgroup, closed by hand and opened again. Closing writes a policy into `/run` that is the
//! cgroup's own, narrowed to zswap (`swaptier_policies::close`); opening takes it away. All else follows from reading the
//! policies anew: the valve is shut at the next decision, rounds stop, and what was set before comes back.
//!
//! Properties: a close that does not come into force leaves no file; nothing but files of this name is ever removed.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use swaptier_policies::{
    PolicySet, Standing,
    close::{Unclosed, closing},
};

use super::{Agent, start::load_policies};
use crate::{
    cli::Exit,
    config::POLICY_DIRS,
    serve::{
        events::{EventKind, News},
        protocol::Answer,
        server::refused,
    },
};

/// What the names of these files begin with.
const NAME: &str = "closed-";
/// First line of such a file.
const COMMENT: &str = "# Closed by hand: `swaptier open CGROUP` takes this file away again.\n";

/// The folder they are in: gone when the host boots.
fn folder() -> &'static str {
    POLICY_DIRS[POLICY_DIRS.len() - 1]
}

/// Whether a policy of this name is one of ours.
pub(super) fn is_closing(policy: &str) -> bool {
    policy.starts_with(NAME)
}

/// The policy that closes this cgroup, if there is one, in force or outranked.
fn closed_by<'a>(policies: &'a PolicySet, path: &str) -> Option<(&'a str, bool)> {
    let contenders = policies.contenders(path);
    let ours = contenders.into_iter().find(|(policy, _)| is_closing(policy.name()));
    ours.map(|(policy, standing)| (policy.name(), matches!(standing, Standing::Wins { .. })))
}

fn failed(text: String) -> Answer {
    refused(Exit::Failed as u8, text)
}

fn nothing(text: String) -> Answer {
    refused(Exit::Nothing as u8, text)
}

impl Agent {
    /// The cgroup at this path, or the nearest above it, whose way to disk is closed by hand.
    pub(super) fn closed_at_or_above<'a>(&self, path: &'a str) -> Option<&'a str> {
        let above = |path: &&'a str| path.rsplit_once('/').map(|(above, _)| above);
        std::iter::successors(Some(path), above).find(|path| closed_by(&self.policies, path).is_some())
    }

    /// Closes the way to disk of a cgroup.
    pub(super) fn close(&mut self, cgroup: &str, dry_run: bool) -> Answer {
        let path = cgroup.trim_matches('/');
        let Some(sample) = self.cgroups.iter().find(|sample| sample.path == path && !path.is_empty()) else {
            return failed(format!("there is no cgroup {path:?} below /sys/fs/cgroup"));
        };
        if self.options.dry_run {
            return failed("this agent runs with --dry-run and changes nothing".to_owned());
        }
        if !self.config.agent.policy_dirs.iter().any(|dir| dir == folder()) {
            return failed(format!("`[agent] policy_dirs` lacks {}, where it would be written", folder()));
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
        let name = format!("{}/{NAME}{}.toml", folder(), sample.id.0);
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
    pub(super) fn open(&mut self, cgroup: &str, dry_run: bool) -> Answer {
        let path = cgroup.trim_matches('/');
        let Some((policy, _)) = closed_by(&self.policies, path) else {
            return nothing(match self.closed_at_or_above(path) {
                Some(above) => format!("{path} is not closed itself: {above} above it is"),
                None => format!("the way to disk of {path} is not closed by hand: its policy decides"),
            });
        };
        let Some(name) = self.files.iter().find(|file| file.file_name() == policy).map(|file| &file.name)
        else {
            return failed(format!("{policy} is in force and not known as a file"));
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

    /// Reads the policies anew and makes sure that they say what was wanted.
    fn changed(&mut self, path: &str, is_to_be_closed: bool) -> Result<(), Answer> {
        let (policies, files) = load_policies(&self.root, &self.config).map_err(|faults| {
            refused(Exit::Invalid as u8, format!("the policies have faults, and stay as they are:\n{faults}"))
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

    fn done(&self, path: &str, what: &str, by: &str) -> Answer {
        let text = format!("the way to disk is {what}");
        self.tell(News {
            cgroup: Some(path.to_owned()),
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
mod tests {
    use swaptier_policies::SourceFile;

    use super::*;

    fn source(name: &str, text: &str) -> SourceFile {
        SourceFile { name: name.to_owned(), text: format!("schema = 1\n{text}") }
    }

    #[test]
    fn a_file_is_written_whole_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policies.d/closed-7.toml");
        write(&file, "one").unwrap();
        write(&file, "two").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_closed_cgroup_is_known_by_the_policy_that_closes_it_even_where_another_wins() {
        let both = |priority| {
            PolicySet::load(&[
                source(
                    "all.toml",
                    &format!("[match]\ncgroup = [\"**\"]\npriority = {priority}\n[tiers]\nuse = []\n"),
                ),
                source(
                    "closed-7.toml",
                    "[match]\ncgroup = [\"a\"]\npriority = 9\n[tiers]\nuse = [\"zswap\"]\n",
                ),
            ])
            .unwrap()
        };
        assert_eq!(closed_by(&both(5), "a"), Some(("closed-7.toml", true)));
        assert_eq!(closed_by(&both(10), "a"), Some(("closed-7.toml", false)));
        assert_eq!(closed_by(&both(5), "a/b"), None);
    }
}
