//! `swaptier status`: what is in swap, whose it is, how old, and what the agent did last.
//!
//! The agent's own status where one is running; else one made of cgroup files alone (`from_files`). `text` shows
//! either. Changes nothing.

pub(super) mod from_files;
mod text;

use std::{io::Write as _, time::Duration};

use super::{
    exit::{Exit, Failure, Result},
    output::{Paint, die_quietly_on_a_closed_pipe, say, say_json},
};
use crate::{
    root::Root,
    serve::{
        client::{self, Connection},
        protocol::{self, Answer, Ask},
        status::Status,
        without_agent::{Rows, add_others},
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
    /// All cgroups, also those with no policy and nothing in swap
    #[arg(long, conflicts_with = "follow")]
    all: bool,
    /// Prints one line of JSON for each tick of the agent, until interrupted
    #[arg(long)]
    follow: bool,
}

pub(super) fn run(root: &Root, args: &Args) -> Result {
    if args.follow {
        return follow(root);
    }
    let status = match of_agent(root)? {
        Some(mut status) if args.all => {
            // The agent publishes what concerns it; the others are as their files say.
            add_others(&mut status, from_files::status(root, Rows::All)?);
            status
        }
        Some(status) => status,
        None => from_files::status(root, if args.all { Rows::All } else { Rows::Concerned })?,
    };
    if args.json {
        say_json(&status)?;
    } else {
        say(&text::render(&status, rustix::param::page_size() as u64, Paint::of_stdout()))?;
    }
    Ok(Exit::Done)
}

/// Longer than any tick: one with rounds of write-back takes as long as they do.
const TICK: Duration = Duration::from_secs(1200);

fn follow(root: &Root) -> Result {
    let Some(mut agent) = Connection::open(root).map_err(|error| failed(&error))? else {
        return Err(Failure::say(Exit::Failed, "no agent is running: there is nothing to follow"));
    };
    die_quietly_on_a_closed_pipe();
    let last = u64::MAX;
    agent.send(Ask::Subscribe { interval_ms: 0, detail: None, events_since: last })?;
    loop {
        match agent.receive(TICK) {
            Ok(Answer::Status(status)) => {
                let mut out = std::io::stdout().lock();
                out.write_all(protocol::line(&*status).as_bytes())?;
                out.flush()?;
            }
            Ok(Answer::Refused { exit, message }) => {
                return Err(Failure::say(Exit::from_number(exit), message));
            }
            Ok(_) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
}

/// Why the agent could not be asked.
pub(super) fn failed(error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        let message = "the agent speaks to root, and to the group of `[socket] group` in swaptier.toml";
        return Failure::say(Exit::NotPermitted, message);
    }
    Failure::say(Exit::Failed, format!("asking the agent: {error}"))
}

/// What the agent has published; `None` when none is running.
pub(super) fn of_agent(root: &Root) -> std::result::Result<Option<Status>, Failure> {
    match client::ask(root, Ask::Status, PATIENCE) {
        Ok(None) => Ok(None),
        Ok(Some(Answer::Status(status))) => Ok(Some(*status)),
        Ok(Some(Answer::Refused { exit, message })) => Err(Failure::say(Exit::from_number(exit), message)),
        Ok(Some(other)) => Err(Failure::say(Exit::Failed, format!("an answer to something else: {other:?}"))),
        Err(error) => Err(failed(&error)),
    }
}
