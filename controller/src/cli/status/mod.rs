//! `swaptier status`: what is in swap, whose it is, how old, and what the agent did last.
//!
//! The agent's own status where one is running; else one made of cgroup files alone (`from_files`). `text` shows
//! either. Changes nothing.

pub(super) mod from_files;
mod text;

use std::time::Duration;

use super::{
    exit::{Exit, Failure, Result},
    output::{Paint, say, say_json},
};
use crate::{
    root::Root,
    serve::{
        client,
        protocol::{Answer, Ask},
        status::Status,
    },
};

/// How long the agent may take: it answers from what it has published, so a second is already trouble.
const PATIENCE: Duration = Duration::from_secs(5);

/// What it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(root: &Root, args: &Args) -> Result {
    let status = match of_agent(root)? {
        Some(status) => status,
        None => from_files::status(root)?,
    };
    if args.json {
        say_json(&status)?;
    } else {
        say(&text::render(&status, rustix::param::page_size() as u64, Paint::of_stdout()))?;
    }
    Ok(Exit::Done)
}

/// What the agent has published; `None` when none is running.
pub(super) fn of_agent(root: &Root) -> std::result::Result<Option<Status>, Failure> {
    match client::ask(root, Ask::Status, PATIENCE) {
        Ok(None) => Ok(None),
        Ok(Some(Answer::Status(status))) => Ok(Some(*status)),
        Ok(Some(Answer::Refused { exit, message })) => Err(Failure::say(Exit::from_number(exit), message)),
        Ok(Some(other)) => Err(Failure::say(Exit::Failed, format!("an answer to something else: {other:?}"))),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let message = "the agent speaks to root, and to the group of `[socket] group` in swaptier.toml";
            Err(Failure::say(Exit::NotPermitted, message))
        }
        Err(error) => Err(Failure::say(Exit::Failed, format!("asking the agent: {error}"))),
    }
}
