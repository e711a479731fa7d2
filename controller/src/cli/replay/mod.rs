//! `swaptier replay`: decides a recording again, and by other policies if they are given. Changes nothing, and needs neither
//! the host it was made on nor root.
//!
//! The deciding is `recording/replay`'s, the printing `text`'s; `time` reads the times of the command line.

#![expect(clippy::disallowed_methods, reason = "a file that is named on the command line")]

mod json;
mod text;
mod time;

use std::{fs, path::PathBuf};

use swaptier_policies::{PolicySet, SourceFile};

use super::output::{Paint, say, say_json};
use crate::exit::{Exit, Failure, Result};
use crate::recording::{
    Loss, Recording, RecordingError,
    replay::{Replay, Report},
};

pub(super) use time::{Moment, utc};

/// What it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recordings, or folders of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Decide by this policy file instead of the recorded ones, and compare; may be given again
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Begin here: a time (2026-11-20T12:00:00, UTC), or how long after the first frame (5m)
    #[arg(long, value_name = "TIME")]
    from: Option<Moment>,
    /// End here: the same
    #[arg(long, value_name = "TIME")]
    to: Option<Moment>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What was replayed, for the printers.
struct Replayed {
    /// Milliseconds since 1970, of the first and the last frame.
    from: u64,
    to: u64,
    swaptier: String,
    by: String,
    kernel: String,
    report: Report,
    losses: Vec<Loss>,
    /// Frames that the opened recording has and that cannot be read, or not decided: runs of them, with the reason.
    unreadable: Vec<Gap>,
}

/// Frames, one after the other, of which the same is wrong.
#[derive(Debug, PartialEq, Eq)]
struct Gap {
    first: usize,
    last: usize,
    why: String,
}

impl Gap {
    /// Adds a frame: to the run that it goes on, or as a run of its own.
    fn add(gaps: &mut Vec<Gap>, number: usize, error: &RecordingError) {
        let why = match error {
            RecordingError::Frame { path, fault, .. } => format!("{}: {fault}", path.display()),
            other => other.to_string(),
        };
        match gaps.last_mut() {
            Some(gap) if gap.last + 1 == number && gap.why == why => gap.last = number,
            _ => gaps.push(Gap { first: number, last: number, why }),
        }
    }
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Gap { first, last, why } if first == last => write!(f, "frame {first}, {why}"),
            Gap { first, last, why } => write!(f, "frames {first} to {last}, {why}"),
        }
    }
}

pub(super) fn run(args: &Args) -> Result {
    let other = other(&args.policy)?;
    let mut recording = Recording::open_all(&args.files).map_err(of_recording)?;
    let replayed = replay(&mut recording, args, other.as_ref())?;
    if args.json {
        say_json(&json::value(&replayed))?;
    } else {
        say(&text::render(&replayed, Paint::of_stdout()))?;
    }
    let is_same = replayed.report.different == 0 && replayed.report.histories == 0;
    Ok(if is_same { Exit::Done } else { Exit::Failed })
}

/// A recording that cannot be used at all.
pub(super) fn of_recording(error: RecordingError) -> Failure {
    let exit = match &error {
        RecordingError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Exit::NotPermitted
        }
        RecordingError::Empty { .. } => Exit::Nothing,
        _ => Exit::Failed,
    };
    Failure::new(exit, error)
}

/// The policies to compare with; all that is wrong with them at once.
fn other(paths: &[PathBuf]) -> std::result::Result<Option<PolicySet>, Failure> {
    if paths.is_empty() {
        return Ok(None);
    }
    let mut files = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| Failure::say(Exit::Failed, format!("{name}: {error}")))?;
        files.push(SourceFile::text(name, text));
    }
    let set = PolicySet::load(&files).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Failure::say(Exit::Invalid, lines.join("\n"))
    })?;
    Ok(Some(set))
}

fn replay(
    recording: &mut Recording,
    args: &Args,
    other: Option<&PolicySet>,
) -> std::result::Result<Replayed, Failure> {
    let first = recording.unix_ms(0).unwrap_or(0);
    let from = args.from.map_or(first, |moment| moment.unix_ms(first));
    let to = args.to.map_or(u64::MAX, |moment| moment.unix_ms(first));
    // The first frame that is not before.
    let begin = (0..recording.len()).find(|n| recording.unix_ms(*n).is_some_and(|at| at >= from && at <= to));
    let Some(begin) = begin else {
        return Err(Failure::say(Exit::Nothing, "the recording has no frame in that time"));
    };
    let (mut replay, mut is_any) = (Replay::new(other), false);
    let mut replayed = Replayed {
        from: recording.unix_ms(begin).unwrap_or(0),
        to: 0,
        swaptier: String::new(),
        by: String::new(),
        kernel: String::new(),
        report: Report::default(),
        losses: recording.losses().to_vec(),
        unreadable: Vec::new(),
    };
    for number in recording.key_of(begin)..recording.len() {
        let at = recording.unix_ms(number).unwrap_or(0);
        if at > to {
            break;
        }
        match recording.frame_and_terms(number) {
            Ok((frame, terms)) if number < begin => replay.lead(&frame, terms),
            Ok((frame, terms)) => {
                replayed.to = at;
                (replayed.swaptier, replayed.by) = (terms.swaptier.clone(), terms.by.clone());
                replayed.kernel.clone_from(&terms.kernel);
                replay.frame(number, &frame, terms);
            }
            Err(error) => {
                Gap::add(&mut replayed.unreadable, number, &error);
                // Without its terms a frame still says whether something was decided.
                if let Ok(frame) = recording.frame(number) {
                    replay.without_terms(&frame);
                }
                continue;
            }
        }
        is_any = true;
    }
    replayed.report = replay.finish();
    match replayed.unreadable.first() {
        Some(gap) if !is_any => Err(Failure::say(Exit::Failed, gap.to_string())),
        _ => Ok(replayed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Fault;

    #[test]
    fn frames_of_which_the_same_is_wrong_are_one_line() {
        let error = |number, fault| {
            let path = "a.rec".into();
            RecordingError::Frame { path, number, offset: 7 * number as u64, fault }
        };
        let mut gaps = Vec::new();
        for (number, fault) in [
            (3, Fault::NoTerms),
            (4, Fault::NoTerms),
            (5, Fault::NoKey),
            (7, Fault::NoKey),
            (8, Fault::NoKey),
        ] {
            Gap::add(&mut gaps, number, &error(number, fault));
        }
        let runs: Vec<(usize, usize)> = gaps.iter().map(|gap| (gap.first, gap.last)).collect();
        assert_eq!(runs, [(3, 4), (5, 5), (7, 8)]);
        assert_eq!(gaps[0].to_string(), format!("frames 3 to 4, a.rec: {}", Fault::NoTerms));
    }
}
