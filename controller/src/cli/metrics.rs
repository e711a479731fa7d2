//! `swaptier metrics`: the agent's metrics, for a scraper that runs commands or reads files.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use super::output::say;
use crate::{
    exit::{Exit, Failure, Result},
    root::Root,
    serve::{
        client,
        metrics::{classic, textfile},
        protocol::{Answer, Ask},
    },
};

/// How long the agent may take: it answers from what it has published.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the older text format, which promtool and node_exporter read, instead of OpenMetrics
    #[arg(long)]
    classic: bool,
    /// Write this file, whole and in one step, instead of printing: for node_exporter's textfile collector
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
}

pub(super) fn run(root: &Root, args: &Args) -> Result {
    let asked = SystemTime::now();
    let text = match client::ask(root, Ask::Metrics, PATIENCE) {
        Ok(Some(Answer::Metrics { text })) => text,
        Ok(None) => {
            let message = "no agent is running, and only it has metrics: start `swaptier agent`";
            return Err(Failure::say(Exit::Failed, message));
        }
        Ok(Some(Answer::Refused { exit, message })) => {
            return Err(Failure::say(Exit::from_number(exit), message));
        }
        Ok(Some(other)) => {
            return Err(Failure::say(Exit::Failed, format!("an answer to something else: {other:?}")));
        }
        Err(error) => return Err(super::status::failed(&error, asked)),
    };
    match &args.textfile {
        Some(path) => textfile::write(path, &classic(&text))
            .map_err(|error| Failure::say(Exit::Failed, format!("writing {}: {error}", path.display())))?,
        None if args.classic => say(&classic(&text))?,
        None => say(&text)?,
    }
    Ok(Exit::Done)
}
