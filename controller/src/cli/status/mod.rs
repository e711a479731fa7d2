//! `swaptier status`: what is in swap, whose it is, how old, and what the agent did last.
//!
//! The agent's own status where one is running; else one made of cgroup files alone (`from_files`). `text` shows
//! either. Changes nothing.

pub(super) mod from_files;
mod text;

use std::{
    io::Write as _,
    time::{Duration, SystemTime},
};

use super::output::{Paint, die_quietly_on_a_closed_pipe, say, say_json};
use crate::{
    exit::{Exit, Failure, Result},
    root::Root,
    serve::{
        absence::Absence,
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
    let rows = if args.all { Rows::All } else { Rows::Concerned };
    let (status, exit) = match of_agent(root)? {
        Ok(mut status) if args.all => {
            // The agent publishes what concerns it; the others are as their files say.
            add_others(&mut status, from_files::status(root, rows, Absence::NotRunning)?);
            (status, Exit::Done)
        }
        Ok(status) => (status, Exit::Done),
        Err(absence) => {
            if absence != Absence::NotRunning {
                eprintln!("swaptier: {absence}: {}", absence.remedy());
            }
            (from_files::status(root, rows, absence)?, exit_of(absence))
        }
    };
    if args.json {
        say_json(&status)?;
    } else {
        say(&text::render(&status, rustix::param::page_size() as u64, Paint::of_stdout()))?;
    }
    Ok(exit)
}

/// How a command ends that has shown the files in the place of what the agent knows.
pub(super) fn exit_of(absence: Absence) -> Exit {
    match absence {
        Absence::NotRunning => Exit::Done,
        Absence::Silent(_) => Exit::Failed,
        Absence::NotAllowed => Exit::NotPermitted,
    }
}

/// Longer than any tick takes, from one to the next: an agent that publishes nothing for so long hangs.
const TICK: Duration = Duration::from_secs(120);

fn follow(root: &Root) -> Result {
    let asked = SystemTime::now();
    let Some(mut agent) = Connection::open(root).map_err(|error| failed(&error, asked))? else {
        return Err(Failure::say(Exit::Failed, "no agent is running: there is nothing to follow"));
    };
    die_quietly_on_a_closed_pipe();
    let last = u64::MAX;
    agent.send(Ask::Subscribe { interval_ms: 0, detail: None, events_since: last })?;
    loop {
        let asked = SystemTime::now();
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
            Err(error) => return Err(failed(&error, asked)),
        }
    }
}

/// Why the agent could not be asked, at `asked`.
pub(super) fn failed(error: &std::io::Error, asked: SystemTime) -> Failure {
    match Absence::of(error, asked) {
        Some(absence @ Absence::NotAllowed) => {
            Failure::say(Exit::NotPermitted, format!("the agent {}", &absence.remedy()[3..]))
        }
        Some(absence) => Failure::say(Exit::Failed, format!("{absence}: {}", absence.remedy())),
        None => Failure::say(Exit::Failed, format!("asking the agent: {error}")),
    }
}

/// What the agent has published, or why nothing is heard of it.
pub(super) fn of_agent(root: &Root) -> std::result::Result<std::result::Result<Status, Absence>, Failure> {
    let asked = SystemTime::now();
    match client::ask(root, Ask::Status, PATIENCE) {
        Ok(None) => Ok(Err(Absence::NotRunning)),
        Ok(Some(Answer::Status(status))) => Ok(Ok(*status)),
        Ok(Some(Answer::Refused { exit, message })) => Err(Failure::say(Exit::from_number(exit), message)),
        Ok(Some(other)) => Err(Failure::say(Exit::Failed, format!("an answer to something else: {other:?}"))),
        Err(error) => match Absence::of(&error, asked) {
            Some(absence) => Ok(Err(absence)),
            None => Err(failed(&error, asked)),
        },
    }
}
