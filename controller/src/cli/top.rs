//! `swaptier top`: the command line of the screen, and the same without a screen. All else is `top/`'s.

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use ratatui::layout::Size;

use super::{output::die_quietly_on_a_closed_pipe, status::from_files};
use crate::{
    exit::{Exit, Failure, Result},
    recording::RecordingError,
    root::Root,
    serve::without_agent::Rows,
    top::{
        columns,
        paint::Look,
        plain,
        source::{Files, Recorded, Socket, Source, Want},
        state::{State, order::Sort},
        update::{Event, PACES},
    },
};

/// What it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Prints one table and ends
    #[arg(long, conflicts_with = "batch")]
    once: bool,
    /// Prints so many tables, one each interval, and ends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    batch: Option<u64>,
    /// Prints JSON, one object a line, in the place of tables; alone as with --once
    #[arg(long)]
    json: bool,
    /// Shows a recording: a file, or a folder of them
    #[arg(long, value_name = "RECORDING")]
    from: Option<PathBuf>,
    /// Seconds from one look to the next
    #[arg(short = 'd', long, value_name = "SECONDS", default_value = "1", value_parser = parse_interval)]
    interval: Duration,
    /// The column that sorts, by its name: zswap, disk, cold, … or `name`
    #[arg(long, value_name = "COLUMN", default_value = "zswap", value_parser = parse_sort)]
    sort: Sort,
    /// Only cgroups whose path or policy contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// All cgroups, also those with no policy and nothing in swap
    #[arg(long, conflicts_with = "from")]
    all: bool,
    /// Cgroups in a flat list, not as a tree
    #[arg(long)]
    flat: bool,
    /// Nothing but ASCII, as where the locale knows no more
    #[arg(long)]
    ascii: bool,
    /// Leaves the mouse to the terminal
    #[arg(long)]
    no_mouse: bool,
}

fn parse_interval(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
    let interval = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    match PACES.contains(&interval) {
        true => Ok(interval),
        false => Err(format!("{seconds} s is not between 0.25 and 64 s")),
    }
}

fn parse_sort(name: &str) -> std::result::Result<Sort, String> {
    match (name, columns::find(name)) {
        ("name", _) => Ok(Sort::by(None)),
        (_, Some(column)) => Ok(Sort::by(Some(column))),
        (_, None) => Err(format!("there is no column `{name}`; there are: name, {}", columns::names())),
    }
}

pub(super) fn run(root: Root, args: &Args) -> Result {
    let source = source(&root, args)?;
    let size = Size { width: 80, height: 24 };
    let mut state = State::new(size, Look::of_environment(args.ascii), source.origin());
    state.sort = args.sort;
    state.is_tree = !args.flat;
    state.filters[0] = args.filter.clone();
    state.pace = args.interval;
    state.has_mouse = !args.no_mouse;
    let looks = args.batch.or((args.once || args.json).then_some(1));
    if let Some(looks) = looks {
        return print(source, state, looks, args.json);
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::say(
            Exit::Failed,
            "there is no terminal to draw on: use --once, --batch N or --json",
        ));
    }
    crate::top::run(root, source, state)?;
    Ok(Exit::Done)
}

fn source(root: &Root, args: &Args) -> std::result::Result<Box<dyn Source>, Failure> {
    if let Some(path) = &args.from {
        let recorded = Recorded::open(path).map_err(of_recording)?;
        for loss in recorded.losses() {
            eprintln!("swaptier: lost: {loss}");
        }
        return Ok(Box::new(recorded));
    }
    let (policies, lost) = from_files::policies(root);
    let rows = if args.all { Rows::All } else { Rows::Concerned };
    let files = Files::new(root.clone(), policies, lost, rows);
    Ok(Box::new(Socket::new(root.clone(), files)))
}

fn of_recording(error: RecordingError) -> Failure {
    match &error {
        RecordingError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Failure::new(Exit::NotPermitted, error)
        }
        _ => Failure::new(Exit::Failed, error),
    }
}

/// So many looks, one a pace.
fn print(mut source: Box<dyn Source>, mut state: State, looks: u64, is_json: bool) -> Result {
    die_quietly_on_a_closed_pipe();
    let want = Want { detail: None, pace: state.pace };
    // Without an agent the first look only begins the rates.
    let mut is_first = true;
    let mut out = std::io::stdout().lock();
    let mut printed = 0;
    while printed < looks {
        let look = source.look(&want).map_err(|why| Failure::say(Exit::Failed, why))?;
        // The end of a recording.
        let Some(seen) = look else { break };
        let knows_rates = seen.status.agent.running || source.origin().is_recorded || !is_first;
        is_first = false;
        if knows_rates {
            state.update(Event::Seen(Box::new(seen), source.origin()));
            let text = match is_json {
                true => plain::json(&state).map(|json| format!("{json}\n")).unwrap_or_default(),
                false => plain::table(&state),
            };
            let gap = if printed > 0 && !is_json { "\n" } else { "" };
            write!(out, "{gap}{text}")?;
            out.flush()?;
            printed += 1;
        }
        if printed < looks && !source.origin().is_recorded {
            std::thread::sleep(state.pace);
        }
    }
    Ok(Exit::Done)
}
