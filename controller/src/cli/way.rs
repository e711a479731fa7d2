//! `swaptier reload`, `close` and `open`: what is asked of the running agent in a word and answered in a line.

use std::{
    ffi::OsString,
    time::{Duration, SystemTime},
};

use super::{cgroup, output::say};
use crate::{
    exit::{Exit, Failure, Result},
    root::Root,
    serve::{
        client,
        protocol::{Answer, Ask},
    },
};

/// The agent does these at once, whatever else it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `reload` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    /// Only says how many policies would be in force, or what is wrong with them
    #[arg(long)]
    dry_run: bool,
}

/// What `close` and `open` take.
#[derive(Debug, clap::Args)]
pub(super) struct Way {
    /// The cgroup, as a path below /sys/fs/cgroup
    cgroup: OsString,
    /// Only prints the policy file that would be written or removed
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn reload(root: &Root, args: &Reload) -> Result {
    ask(root, Ask::Reload { dry_run: args.dry_run })
}

pub(super) fn close(root: &Root, args: &Way) -> Result {
    ask(root, Ask::Close { cgroup: cgroup::typed(root, &args.cgroup), dry_run: args.dry_run })
}

pub(super) fn open(root: &Root, args: &Way) -> Result {
    ask(root, Ask::Open { cgroup: cgroup::typed(root, &args.cgroup), dry_run: args.dry_run })
}

fn ask(root: &Root, ask: Ask) -> Result {
    let asked = SystemTime::now();
    match client::ask(root, ask, PATIENCE).map_err(|error| super::status::failed(&error, asked))? {
        None => Err(Failure::say(
            Exit::Failed,
            "no agent is running, and only it can do this: start `swaptier agent`",
        )),
        Some(Answer::Done { message }) => {
            say(&format!("{message}\n"))?;
            Ok(Exit::Done)
        }
        Some(Answer::Would { writes }) => {
            say(&writes.iter().map(|line| format!("{line}\n")).collect::<String>())?;
            Ok(Exit::Done)
        }
        Some(Answer::Refused { exit, message }) => Err(Failure::say(Exit::from_number(exit), message)),
        Some(other) => Err(Failure::say(Exit::Failed, format!("an answer to something else: {other:?}"))),
    }
}
