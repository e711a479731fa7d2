//! `swaptier writeback`: asks the running agent for one round.

use std::{
    ffi::OsString,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use swaptier_policies::{Bytes, RoundReport, Seconds};

use super::{cgroup, output::say};
use crate::{
    exit::{Exit, Failure, Result},
    root::Root,
    serve::{
        client,
        protocol::{Answer, Ask},
    },
};

/// Longer than any round, which the agent ends before it does anything else: `writeback.deadline` is 600 s at most.
pub(super) const PATIENCE: Duration = Duration::from_secs(630);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The cgroup, as a path below /sys/fs/cgroup; all below it is included
    cgroup: OsString,
    /// Only as many as have been in zswap this long (10s, 5m, 2h); without it of any age
    #[arg(long, value_name = "AGE")]
    older_than: Option<Seconds>,
    /// At most this much: a number of pages, or original bytes with a unit (64M)
    #[arg(long, value_name = "N", value_parser = parse_amount)]
    max: u64,
    /// The way to do it, instead of the configured one: key, shrinker, worker or gate
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
        cgroup: cgroup::typed(root, &args.cgroup),
        older_than: args.older_than.unwrap_or(Seconds(0)).0,
        pages: args.max,
        dialect: args.dialect.clone(),
        dry_run: args.dry_run,
    };
    let asked = SystemTime::now();
    match client::ask(root, ask, PATIENCE).map_err(|error| super::status::failed(&error, asked))? {
        None => Err(Failure::say(
            Exit::Failed,
            "no agent is running, and only it can write back: start `swaptier agent`",
        )),
        Some(Answer::Round { report }) if args.json => {
            say(&format!("{}\n", Value::from(report.clone())))?;
            Ok(exit_of(&report))
        }
        Some(Answer::Round { report }) => {
            say(&text(&report))?;
            Ok(exit_of(&report))
        }
        Some(Answer::Would { writes }) => {
            say(&writes.iter().map(|line| format!("{line}\n")).collect::<String>())?;
            Ok(Exit::Done)
        }
        Some(Answer::Refused { exit, message }) => Err(Failure::say(Exit::from_number(exit), message)),
        Some(other) => Err(Failure::say(Exit::Failed, format!("an answer to something else: {other:?}"))),
    }
}

/// A round that wrote nothing did nothing; one that failed, failed, whatever it wrote before.
fn exit_of(report: &RoundReport) -> Exit {
    match (report.failure(), report.number("written_pages")) {
        (Some(_), _) => Exit::Failed,
        (None, Some(0)) => Exit::Nothing,
        _ => Exit::Done,
    }
}

/// One line a field.
fn text(report: &RoundReport) -> String {
    let line = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{:24} {value}\n", name.replace('_', " "))
    };
    let fields = Value::from(report.clone());
    fields.as_object().into_iter().flatten().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_what_the_round_did() {
        let of = |ended: &str, written: u64| {
            exit_of(&serde_json::json!({ "ended": ended, "written_pages": written }).into())
        };
        assert_eq!(of("target", 8), Exit::Done);
        assert_eq!(of("exhausted", 3), Exit::Done);
        assert_eq!(of("exhausted", 0), Exit::Nothing);
        assert_eq!(of("refused", 5), Exit::Failed);
        assert_eq!(of("disk_failed", 0), Exit::Failed);
        assert_eq!(of("unsettled", 9), Exit::Failed);
        assert_eq!(of("strayed", 64), Exit::Failed);
        assert_eq!(of("a word of another version", 9), Exit::Failed);
    }

    #[test]
    fn an_amount_is_pages_or_bytes_with_a_unit() {
        let page = rustix::param::page_size() as u64;
        assert_eq!(parse_amount("2000"), Ok(2000));
        // 64 MiB in pages.
        assert_eq!(parse_amount("64M"), Ok((64 << 20) / page));
        assert!(parse_amount("many").is_err());
    }
}
