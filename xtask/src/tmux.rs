//! The guests' terminal: Debian's tmux with the libraries it is linked with, unpacked under `target/lab`. The screen of
//! `swaptier top` is tested in it. Nothing is installed on the machine. Called by the tasks that run guest tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt::{self, Archive, Suite};

/// Which suite's packages are fetched: all of one, so that they fit together.
const SUITE: Suite = Suite { name: "bookworm", archive: Archive::Debian };
/// tmux and what it is linked with.
const PACKAGES: [&str; 6] = ["tmux", "libc6", "libc-bin", "libevent-core-2.1-7", "libtinfo6", "libutempter0"];
/// What of them the guest gets: the ends of the files' names.
const FILES: [&str; 9] = [
    "/bin/tmux",
    "/ld-linux-x86-64.so.2",
    "/libc.so.6",
    "/libm.so.6",
    "/libresolv.so.2",
    "/libevent_core-2.1.so.7",
    "/libtinfo.so.6",
    "/libutempter.so.0",
    "/C.utf8/LC_CTYPE",
];

/// The files for the guest: on the host, in the guest.
pub(crate) fn files() -> Result<Vec<(PathBuf, String)>> {
    let dir = apt::tree("tmux", SUITE, |apt| PACKAGES.iter().map(|name| apt.newest(name)).collect())?;
    let mut found = Vec::new();
    collect(&dir, &mut found)?;
    FILES.iter().map(|name| place(&found, name)).collect::<Option<_>>().with_context(|| {
        format!("{} does not hold all that tmux is made of; please delete that folder", dir.display())
    })
}

/// A library is looked for where its loader looks: in `/lib/x86_64-linux-gnu`, the loader itself in `/lib64`.
fn place(found: &[PathBuf], name: &str) -> Option<(PathBuf, String)> {
    let file = found.iter().find(|path| path.to_string_lossy().ends_with(name))?;
    let folder = match name {
        "/bin/tmux" => "/usr",
        "/ld-linux-x86-64.so.2" => "/lib64",
        "/C.utf8/LC_CTYPE" => "/usr/lib/locale",
        _ => "/lib/x86_64-linux-gnu",
    };
    Some((file.clone(), format!("{folder}{name}")))
}

/// Every file below a folder; a link to one counts as one, unless it leads out of the folder to the machine's own.
fn collect(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            collect(&path, found)?;
        } else if path.is_file() && !fs::read_link(&path).is_ok_and(|to| to.is_absolute()) {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_and_the_libraries_stand_where_they_are_looked_for() {
        let found = [PathBuf::from("/x/lib/x86_64-linux-gnu/libc.so.6"), "/x/usr/bin/tmux".into()];
        let inside = |name: &str| place(&found, name).map(|(_, inside)| inside);
        assert_eq!(inside("/libc.so.6").as_deref(), Some("/lib/x86_64-linux-gnu/libc.so.6"));
        assert_eq!(inside("/bin/tmux").as_deref(), Some("/usr/bin/tmux"));
        assert_eq!(inside("/libm.so.6"), None);
    }
}
