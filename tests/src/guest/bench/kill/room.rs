//! Agent and pump killed in the middle of a stroke, with a state folder that is full or read-only when the values have to
//! be given back: that needs no room.

use std::io::Write as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::cases::{self, Case, Way};
use super::scene::{Recovery, STATE, Scene};
use super::{Line, judge};
use crate::guest::agent::swaptier;

const KILL: Case = cases::case(Way::Round, "pump.limit.low@both");

/// What is wrong with the folder.
#[derive(Debug, Clone, Copy)]
enum Want {
    Full,
    ReadOnly,
}

/// One line for each.
pub(super) fn lines(scene: &mut Scene) -> Result<Vec<Line>> {
    [("a full state folder", Want::Full), ("a read-only state folder", Want::ReadOnly)]
        .into_iter()
        .map(|(point, want)| {
            let folder = Folder::mount()?;
            let (before, mut line) = (scene.look()?, Line::of(point, Recovery::Restore.name()));
            match scene.kill(&KILL).and_then(|()| {
                line.killed = true;
                restore_without_room(&folder, want, &before)
            }) {
                Ok(()) => {}
                Err(error) => line.faults.push(format!("{error:#}")),
            }
            judge(scene, &before, &mut line)?;
            Ok(line)
        })
        .collect()
}

/// Twice without room, and once more with it.
fn restore_without_room(folder: &Folder, want: Want, before: &super::left::Host) -> Result<()> {
    match want {
        Want::Full => folder.fill()?,
        Want::ReadOnly => mount(&["-o", "remount,ro", STATE])?,
    }
    for _ in 0..2 {
        let outcome = swaptier(&["restore"])?;
        ensure!(
            outcome.code == 0,
            "restore ended with {}: {}{}",
            outcome.code,
            outcome.stdout,
            outcome.stderr
        );
        let changed = before.knobs.changed_since()?;
        ensure!(changed.is_empty(), "after a restore without room: {changed:?}\n{}", outcome.stdout);
    }
    match want {
        Want::Full => std::fs::remove_file(folder.ballast())?,
        Want::ReadOnly => mount(&["-o", "remount,rw", STATE])?,
    }
    let outcome = swaptier(&["restore"])?;
    ensure!(outcome.code == 0, "restore ended with {}: {}", outcome.code, outcome.stderr);
    Ok(())
}

/// A state folder of its own, unmounted at drop.
#[derive(Debug)]
struct Folder;

impl Folder {
    fn mount() -> Result<Folder> {
        std::fs::create_dir_all(STATE)?;
        mount(&["-t", "tmpfs", "-o", "size=1m,mode=700", "state", STATE])?;
        Ok(Folder)
    }

    fn ballast(&self) -> String {
        format!("{STATE}/ballast")
    }

    /// To the last block.
    fn fill(&self) -> Result<()> {
        let mut ballast = std::fs::File::create(self.ballast())?;
        while ballast.write_all(&[0x5a; 4096]).is_ok() {}
        let refused = std::fs::write(format!("{STATE}/more"), [0x5a; 4096]);
        ensure!(refused.is_err(), "the folder is not full");
        let _empty = std::fs::remove_file(format!("{STATE}/more"));
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _said = Command::new("umount").arg(STATE).status();
    }
}

fn mount(arguments: &[&str]) -> Result<()> {
    let status = Command::new("mount").args(arguments).status().context("mount")?;
    ensure!(status.success(), "mount {}: {status}", arguments.join(" "));
    Ok(())
}
