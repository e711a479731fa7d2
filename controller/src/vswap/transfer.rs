//! Moves the blocks of a pool from one disk to another, under the running area: no page is brought back, no page table
//! walked, nothing switched off. The disk that is left becomes a mirror of its successor; the kernel copies (kcopyd) what
//! was there and sends what is written meanwhile to both; when both are the same the old one is let go.
//!
//! A killed process changes nothing of it: the mirror works in the kernel, and whoever looks next finishes. Until the end
//! the old disk holds everything, so a move can be given up at any time; an error of the new disk does that by itself.

use std::path::Path;

use serde::Serialize;
use swaptier_policies::Bytes;

use super::area::AreaName;
use super::dm::Dm;
use super::error::{AreaError, Result};
use super::intended::{AreaRecord, Transfer};
use super::operations::{Operations, require_pool};
use super::reconcile::Step;
use super::table::REGION;
use super::{asked, prepare};

/// How far a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Bytes *on disk* that both disks hold.
    pub copied: Bytes,
    /// All that is to be copied: metadata and data, used or not.
    pub total: Bytes,
    /// Both disks answered without an error so far.
    pub is_sound: bool,
}

impl Progress {
    /// Nothing is left to copy.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_sound && self.copied >= self.total
    }
}

/// What the kernel says about a mirror: `2 8:0 8:16 12/2000 1 AA 1 core`. Regions in sync, all of them, and whether each
/// disk is alive. Pure.
///
/// # Errors
/// The line, where it is no mirror's.
pub fn parse(line: &str) -> std::result::Result<(u64, u64, bool), String> {
    let strange = || format!("a mirror's status is `{}`", line.escape_debug());
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let legs: usize = words.first().and_then(|word| word.parse().ok()).ok_or_else(strange)?;
    let (done, all) = words.get(legs + 1).and_then(|word| word.split_once('/')).ok_or_else(strange)?;
    let health = words.get(legs + 3).filter(|word| word.len() == legs).ok_or_else(strange)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| strange());
    Ok((number(done)?, number(all)?, health.bytes().all(|leg| leg == b'A')))
}

/// How far the area's move is. `None`: none is under way.
///
/// # Errors
/// When a device does not answer.
pub fn progress(dm: &Dm, area: &AreaRecord) -> Result<Option<Progress>> {
    if area.transfer.is_none() {
        return Ok(None);
    }
    let mut progress = Progress { copied: Bytes(0), total: Bytes(0), is_sound: true };
    for role in ["meta", "data"] {
        for line in dm.status(&area.spec.name.device(role))?.iter().filter(|line| line.kind == "mirror") {
            let (done, all, is_sound) = parse(&line.parameters).map_err(AreaError::Refused)?;
            let region = REGION * super::label::SECTOR;
            progress.copied = progress.copied.saturating_add(Bytes(done * region));
            progress.total = progress.total.saturating_add(Bytes(all * region));
            progress.is_sound &= is_sound;
        }
    }
    Ok(Some(progress))
}

impl Operations<'_> {
    /// Begins to move what lies on `from` (the only disk, if none is named) to `to`.
    ///
    /// # Errors
    /// Why it cannot be; then all is as before.
    pub fn begin_move(
        &mut self,
        name: &AreaName,
        from: Option<&Path>,
        to: &Path,
        file_size: Option<Bytes>,
    ) -> Result<Vec<Step>> {
        let area = self.area(name)?;
        require_pool(area)?;
        let from = match (from, area.disks.as_slice()) {
            (None, [_]) => 0,
            (None, disks) => {
                let names: Vec<String> = disks.iter().map(|disk| disk.path.display().to_string()).collect();
                return Err(AreaError::Refused(format!(
                    "{name} lies on {}: say which is to be left, with --from",
                    names.join(" and ")
                )));
            }
            (Some(path), disks) => disks
                .iter()
                .position(|disk| prepare::is_same_disk(&disk.path, path))
                .ok_or_else(|| AreaError::Refused(format!("{} is no disk of {name}", path.display())))?,
        };
        asked::require_disks_are_free(self.intended(), &[to.to_path_buf()])?;
        let path = asked::named(self.root, to)?;
        let to = prepare::successor(self.root, &area.disks[from], &path, file_size, self.may_wipe())?;
        super::modules::load("dm_mirror");
        self.change(name, |area| {
            area.transfer = Some(Transfer { from, to, is_copied: false });
            Ok(())
        })
    }

    /// Looks at a move: finishes it when all is copied, gives it up when the new disk failed. `None`: none is under way,
    /// or not any more.
    ///
    /// # Errors
    /// When it was given up, and why; when a step fails.
    pub fn advance_move(&mut self, name: &AreaName) -> Result<Option<Progress>> {
        let area = self.area(name)?;
        let Some(transfer) = &area.transfer else { return Ok(None) };
        if !transfer.is_copied {
            let dm =
                self.executor.dm().ok_or_else(|| AreaError::Refused("device-mapper is gone".to_owned()))?;
            let Some(progress) = progress(dm, area)? else { return Ok(None) };
            if !progress.is_sound {
                let to = transfer.to.path.display().to_string();
                self.cancel_move(name)?;
                let why = format!("{to} failed: the move is given up, everything is where it was");
                return Err(AreaError::Refused(why));
            }
            if !progress.is_complete() {
                return Ok(Some(progress));
            }
        }
        self.change(name, |area| {
            if let Some(transfer) = &mut area.transfer {
                transfer.is_copied = true;
            }
            Ok(())
        })?;
        Ok(None)
    }

    /// Gives a move up: the old disk holds everything.
    ///
    /// # Errors
    /// When none is under way, or it is over.
    pub fn cancel_move(&mut self, name: &AreaName) -> Result<Vec<Step>> {
        self.change(name, |area| match area.transfer.take() {
            Some(transfer) if transfer.is_copied => {
                Err(AreaError::Refused(format!("{} is moved already", area.spec.name)))
            }
            Some(_) => Ok(()),
            None => Err(AreaError::Refused(format!("{} is not being moved", area.spec.name))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrors_line_is_read() {
        assert_eq!(parse("2 253:0 253:16 12/2000 1 AA 1 core"), Ok((12, 2000, true)));
        assert_eq!(parse("2 253:0 253:16 2000/2000 1 AD 1 core"), Ok((2000, 2000, false)));
        for strange in
            ["", "x", "2 1:0 1:1", "2 1:0 1:1 5 1 AA", "2 1:0 1:1 a/b 1 AA 1 core", "2 1:0 1:1 1/1 1 A"]
        {
            assert!(parse(strange).is_err(), "{strange}");
        }
    }

    #[test]
    fn a_failed_disk_never_completes_a_move() {
        let all = Progress { copied: Bytes(8), total: Bytes(8), is_sound: true };
        assert!(all.is_complete());
        assert!(!Progress { is_sound: false, ..all }.is_complete());
        assert!(!Progress { copied: Bytes(7), ..all }.is_complete());
    }
}
