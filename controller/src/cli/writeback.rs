//! `swaptier writeback`: asks the running agent for one round.

use std::time::Duration;

use swaptier_policies::{Bytes, Seconds};

use super::exit::{Exit, Failure, Result};
use crate::{
    root::Root,
    serve::{
        client,
        protocol::{Answer, Ask},
    },
};

/// Longer than any round.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The cgroup, as a path below /sys/fs/cgroup; all below it is included
    cgroup: String,
    /// Only pages that have been in zswap this long (10s, 5m, 2h)
    #[arg(long, value_name = "AGE")]
    older_than: Seconds,
    /// At most this much: a number of pages, or original bytes with a unit (64M)
    #[arg(long, value_name = "N", value_parser = parse_amount)]
    max: u64,
    /// The way to do it, instead of the configured one: worker or gate
    #[arg(long)]
    dialect: Option<String>,
    /// Only print what would be written
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

fn parse_amount(text: &str) -> std::result::Result<u64, String> {
    if let Ok(pages) = text.parse() {
        return Ok(pages);
    }
    let bytes: Bytes = text.parse().map_err(|error| format!("{error}"))?;
    Ok(bytes.whole_pages(Bytes(rustix::param::page_size() as u64)).0)
}

pub(super) fn run(root: &Root, args: &Args) -> Result {
    let ask = Ask::Writeback {
        cgroup: args.cgroup.clone(),
        older_than: args.older_than.0,
        pages: args.max,
        dialect: args.dialect.clone(),
        dry_run: args.dry_run,
    };
    match client::ask(root, ask, PATIENCE)? {
        None => Err(Failure::say(
            Exit::Failed,
            "no agent is running, and only it knows how old a page is: start `swaptier agent`",
        )),
        Some(Answer::Round { report }) if args.json => {
            println!("{report}");
            Ok(Exit::Done)
        }
        Some(Answer::Round { report }) => {
            print_report(&report);
            Ok(Exit::Done)
        }
        Some(Answer::Would { writes }) => {
            writes.iter().for_each(|line| println!("{line}"));
            Ok(Exit::Done)
        }
        Some(Answer::Refused { exit, message }) => Err(Failure::say(Exit::from_number(exit), message)),
        Some(other) => Err(Failure::say(Exit::Failed, format!("an answer to something else: {other:?}"))),
    }
}

fn print_report(report: &serde_json::Value) {
    let Some(fields) = report.as_object() else { return println!("{report}") };
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        println!("{:24} {text}", name.replace('_', " "));
    }
}
