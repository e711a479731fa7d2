//! `swaptier record`: has the running agent record its ticks; without one, records what cgroup files say, and what an
//! agent would decide by them, and changes nothing (`alone`).
//!
//! The agent is asked and not listened to: only it knows what is decided, and its recorder is bounded and waits for
//! nobody. It is asked again and again for a little more time, so that a command that is killed ends the recording too.

#![expect(clippy::disallowed_methods, reason = "a folder that is named on the command line")]

mod alone;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use swaptier_policies::{Bytes, Seconds};
use tokio::signal::unix::{SignalKind, signal};

use super::{output::say, settings};
use crate::{
    config::{Config, LEAST_FILE, MOST_FILE},
    exit::{Exit, Failure, Result},
    recording::Limits,
    root::Root,
    serve::{
        client,
        protocol::{Answer, Ask},
    },
};

/// How long the agent records if it is not asked again, and how often it is.
const LEASE: Duration = Duration::from_secs(30);
const RENEW: Duration = Duration::from_secs(10);
/// How long the agent may take to answer: as long as a round of write-back.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Put the files here; else they stay in the agent's folder, or in `recordings` of the state folder
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// How long (30s, 5m, 2h); without it until Ctrl-C
    #[arg(long, value_name = "T")]
    duration: Option<Seconds>,
    /// Do not ask the agent: record what cgroup files say, with the policies in force and nothing carried out
    #[arg(long)]
    alone: bool,
    /// The most one file may hold, instead of `[record] file_size`; only without an agent
    #[arg(long, value_name = "SIZE")]
    file_size: Option<Bytes>,
    /// How many such files are kept, instead of `[record] files`; only without an agent
    #[arg(long, value_name = "N")]
    files: Option<u64>,
}

/// What has been recorded so far.
struct Progress {
    folder: String,
    frames: u64,
    bytes: u64,
    dropped: u64,
}

pub(super) fn run(root: &Root, args: &Args) -> Result {
    let config = settings::config(root)?;
    let limits = limits(root, &config, args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let first = if args.alone { None } else { renew(root, LEASE)? };
        match first {
            Some(first) => of_agent(root, args, &first).await,
            None => alone::run(root, &config, limits, Ending::of(args)?).await,
        }
    })
}

fn limits(root: &Root, config: &Config, args: &Args) -> std::result::Result<Limits, Failure> {
    let file_size = args.file_size.unwrap_or(config.record.file_size);
    if !(LEAST_FILE..=MOST_FILE).contains(&file_size) {
        let message = format!("--file-size must be from {LEAST_FILE} to {MOST_FILE}, not {file_size}");
        return Err(Failure::say(Exit::Usage, message));
    }
    let folder = match &args.output {
        Some(folder) => folder.clone(),
        None => root.host_path(config.record.folder(&config.agent.state_dir)),
    };
    let files = args.files.unwrap_or(config.record.files).max(1);
    Ok(Limits { folder, file_size: file_size.0, files })
}

/// When it ends: after the time, or when somebody has enough.
struct Ending {
    at: Option<Instant>,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Ending {
    fn of(args: &Args) -> std::result::Result<Self, Failure> {
        Ok(Self {
            at: args.duration.map(|duration| Instant::now() + Duration::from_secs(duration.0)),
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits at most so long. `true`: it is over.
    async fn is_over_after(&mut self, most: Duration) -> bool {
        let left = self.at.map(|at| at.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = tokio::time::sleep(left.map_or(most, |left| left.min(most))) => left.is_some_and(|left| left <= most),
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => true,
        }
    }
}

/// The agent records; this command keeps it at it, and takes the files.
async fn of_agent(root: &Root, args: &Args, first: &Progress) -> Result {
    let begun = SystemTime::now();
    let mut ending = Ending::of(args)?;
    eprintln!("the agent records in {}", first.folder);
    while !ending.is_over_after(RENEW).await {
        if renew(root, LEASE)?.is_none() {
            return Err(Failure::say(Exit::Failed, "the agent is gone; what it recorded is in its folder"));
        }
    }
    // What was recorded until now; then no more.
    let Some(last) = renew(root, LEASE)? else {
        return Err(Failure::say(Exit::Failed, "the agent is gone; what it recorded is in its folder"));
    };
    renew(root, Duration::ZERO)?;
    let folder = match &args.output {
        Some(output) => {
            copy(Path::new(&last.folder), output, begun)?;
            output.display().to_string()
        }
        None => last.folder.clone(),
    };
    report(&Progress { folder, ..last })
}

/// Asks for so much more time; none: for no more. `None`: there is no agent.
fn renew(root: &Root, lease: Duration) -> std::result::Result<Option<Progress>, Failure> {
    let asked = SystemTime::now();
    match client::ask(root, Ask::Record { seconds: lease.as_secs() }, PATIENCE) {
        Ok(None) => Ok(None),
        Ok(Some(Answer::Recording { folder, frames, bytes, dropped })) => {
            Ok(Some(Progress { folder, frames, bytes, dropped }))
        }
        Ok(Some(Answer::Refused { exit, message })) => Err(Failure::say(Exit::from_number(exit), message)),
        Ok(Some(other)) => Err(Failure::say(Exit::Failed, format!("an answer to something else: {other:?}"))),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Failure::say(Exit::NotPermitted, "the agent records for root only: run this as root"))
        }
        Err(error) => Err(super::status::failed(&error, asked)),
    }
}

/// Copies the files that were written to since.
fn copy(from: &Path, to: &Path, since: SystemTime) -> std::result::Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::say(Exit::Failed, format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(to).map_err(|error| failed(to, error))?;
    for entry in fs::read_dir(from).map_err(|error| failed(from, error))?.flatten() {
        let path = entry.path();
        let is_new = entry.metadata().and_then(|meta| meta.modified()).is_ok_and(|written| written >= since);
        if is_new && path.extension().is_some_and(|it| it == "rec") {
            fs::copy(&path, to.join(entry.file_name())).map_err(|error| failed(&path, error))?;
        }
    }
    Ok(())
}

fn report(progress: &Progress) -> Result {
    let Progress { folder, frames, bytes, dropped } = progress;
    let lost =
        if *dropped > 0 { format!(", {dropped} lost: the disk was slow or full") } else { String::new() };
    say(&format!("{folder}: {frames} frames, {} on disk{lost}\n", Bytes(*bytes)))?;
    Ok(if *frames == 0 { Exit::Nothing } else { Exit::Done })
}
