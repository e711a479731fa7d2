//! What the screen of `swaptier top` costs on a host with many cgroups: from a key that is pressed to the frame, and a
//! second in which nobody presses any. First part by part, in CPU time of this thread, with a terminal in memory; then the
//! whole program, on a terminal and a socket of its own (`screen`), in CPU time of all its threads.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    layout::Size,
};
use serde::Serialize;
use swaptier::{
    serve::{
        board::Page,
        protocol::Answer,
        status::{CgroupStatus, PressureStatus, Rates, Status},
    },
    top::{
        paint::{Look, Paint, UNICODE},
        seen::Seen,
        source::Origin,
        state::State,
        update::Event,
        view,
    },
};
use swaptier_policies::{Bytes, Knob, Limit, Settings};

use super::{
    Dice,
    screen::{Desk, Screen},
    timed,
};

/// CPU time that a key may take to its frame.
const KEY: Duration = Duration::from_millis(50);
/// CPU time that a look may take: 2 % of a second, since there is one a second.
const LOOK: Duration = Duration::from_millis(20);

/// How to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Cgroups.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=65_535))]
    cgroups: u64,
    /// Turns of each, of which the worst and the middle are shown.
    #[arg(long, default_value_t = 51, value_parser = clap::value_parser!(u64).range(1..))]
    turns: u64,
}

/// One line of the output.
#[derive(Debug, Serialize)]
struct Line {
    cgroups: u64,
    width: u16,
    height: u16,
    what: &'static str,
    median_ms: f64,
    worst_ms: f64,
    allowed_ms: f64,
}

/// The keys that have most to do, and one that has little.
const KEYS: [(&str, &str); 6] =
    [("move", "j"), ("sort", "D"), ("tree or flat", "t"), ("filter", "/7"), ("details", "\n"), ("help", "?")];

/// Measures all of it; `true` when the bounds hold.
///
/// # Errors
/// The figures cannot be printed.
pub fn run(options: &Options) -> Result<bool> {
    let mut is_kept = true;
    for (width, height) in [(80, 24), (200, 60)] {
        let size = Size { width, height };
        for line in measure(options, size)?.into_iter().chain(whole(options, size)?) {
            is_kept &= line.worst_ms <= line.allowed_ms;
            match options.json {
                true => println!("{}", serde_json::to_string(&line).context("figures as JSON")?),
                false => println!(
                    "{:>6} cgroups  {:>3}x{:<3}  {:<14}  median {:>6.2} ms  worst {:>6.2} ms  of {:>4.0}",
                    line.cgroups,
                    line.width,
                    line.height,
                    line.what,
                    line.median_ms,
                    line.worst_ms,
                    line.allowed_ms
                ),
            }
        }
    }
    Ok(is_kept)
}

fn measure(options: &Options, size: Size) -> Result<Vec<Line>> {
    let mut dice = Dice(0x70b);
    let look = Look { paint: Paint { has_colours: true }, signs: UNICODE };
    let mut state = State::new(size, look, Origin::default());
    let mut terminal =
        Terminal::new(TestBackend::new(size.width, size.height)).context("a terminal in memory")?;
    let mut looks = Vec::new();
    for _ in 0..options.turns {
        let answer = Answer::Status(Box::new(status(options.cgroups, &mut dice)));
        let text = serde_json::to_string(&answer).context("a status as JSON")?;
        // All that a second without keys takes: the agent's answer is read, taken in and drawn.
        let (time, result) = timed(|| look_once(&text, &mut state, &mut terminal));
        result?;
        looks.push(time);
    }
    let line =
        |what, times: Vec<Duration>, allowed: Duration| of(options.cgroups, size, what, times, allowed);
    let mut lines = vec![line("look", looks, LOOK)];
    for (what, keys) in KEYS {
        let mut times = Vec::new();
        for _ in 0..options.turns {
            for key in keys.chars() {
                let code = if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) };
                let event = Event::Key(KeyEvent::new(code, KeyModifiers::NONE));
                let (time, result) = timed(|| {
                    state.update(event);
                    terminal.draw(|frame| view::draw(&state, frame)).map(drop)
                });
                result?;
                times.push(time);
            }
            // A filter that is being typed is taken back, so that the next turn has the same to do.
            if keys.starts_with('/') {
                state.update(Event::Key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE)));
            }
        }
        lines.push(line(what, times, KEY));
    }
    Ok(lines)
}

/// Seconds in which nobody presses a key.
const IDLE: u64 = 30;
/// Keys, how long each is given to begin to be drawn on a busy machine, and how long to be drawn to the end.
const PRESSED: &str = "jjjjjjjjDItMjkNIjt";
const BEGUN: Duration = Duration::from_secs(10);
const DRAWN: Duration = Duration::from_millis(250);

/// The whole program: seconds without keys at one look each, then keys without looks.
fn whole(options: &Options, size: Size) -> Result<Vec<Line>> {
    let desk = Desk::open()?;
    let mut dice = Dice(0x70c);
    let pin = |dice: &mut Dice| desk.board.pin(Page::new(status(options.cgroups, dice), BTreeMap::new()));
    pin(&mut dice);
    let screen = Screen::start(&desk, size, Duration::from_secs(1))?;
    // It has begun when it has drawn its first looks.
    std::thread::sleep(Duration::from_secs(3));
    ensure!(screen.drawn() > 0, "the screen draws nothing");
    let mut seconds = Vec::new();
    for _ in 0..IDLE {
        let before = screen.cpu()?;
        pin(&mut dice);
        std::thread::sleep(Duration::from_secs(1));
        seconds.push(screen.cpu()? - before);
    }
    screen.quit()?;
    let mut screen = Screen::start(&desk, size, Duration::from_secs(64))?;
    std::thread::sleep(Duration::from_secs(2));
    let mut keys = Vec::new();
    for key in PRESSED.chars() {
        let (before, drawn) = (screen.cpu()?, screen.drawn());
        screen.press(&key.to_string())?;
        let pressed = Instant::now();
        while screen.drawn() == drawn {
            ensure!(pressed.elapsed() < BEGUN, "key {key} draws nothing");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(DRAWN);
        keys.push(screen.cpu()? - before);
    }
    screen.quit()?;
    let line = |what, times, allowed| of(options.cgroups, size, what, times, allowed);
    Ok(vec![line("program, idle", seconds, LOOK), line("program, a key", keys, KEY)])
}

fn look_once(text: &str, state: &mut State, terminal: &mut Terminal<TestBackend>) -> Result<()> {
    let Answer::Status(status) = serde_json::from_str(text)? else { anyhow::bail!("no status") };
    let seen = Seen { status: *status, ..Seen::default() };
    state.update(Event::Seen(Box::new(seen), Origin::default()));
    terminal.draw(|frame| view::draw(state, frame))?;
    Ok(())
}

fn of(cgroups: u64, size: Size, what: &'static str, mut times: Vec<Duration>, allowed: Duration) -> Line {
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Line {
        cgroups,
        width: size.width,
        height: size.height,
        what,
        median_ms: ms(times[times.len() / 2]),
        worst_ms: ms(*times.last().unwrap_or(&Duration::ZERO)),
        allowed_ms: ms(allowed),
    }
}

/// A host with this many cgroups, each with all that the agent knows of one.
fn status(cgroups: u64, dice: &mut Dice) -> Status {
    let row = |id: u64, dice: &mut Dice| {
        let mut number = || Some(dice.below(100_000));
        CgroupStatus {
            id,
            path: match id % 50 {
                _ if id == 1 => String::new(),
                0 => format!("kubepods.slice/pod-{id:05}.slice"),
                _ => format!("kubepods.slice/pod-{:05}.slice/container-{id:05}.scope", id / 50 * 50),
            },
            policy: Some("pods.toml".to_owned()),
            zswap_pages: number(),
            zswap_compressed_bytes: number(),
            phys_pages: number(),
            zero_pages: number(),
            folio_pages: number(),
            unknown_pages: number(),
            drift_pages: Some(0),
            cold_pages: number(),
            cold_compressed_bytes: number(),
            older_than_seconds: Some(600),
            oldest_seconds: number(),
            stored_pages: number(),
            loaded_pages: number(),
            written_back_pages: number(),
            direct_pages: number(),
            read_pages: number(),
            regret_pages: number(),
            memory_current_bytes: number(),
            swap_current_bytes: number(),
            settings: Settings::fresh().with(Knob::ZswapMax, Limit::Bytes(Bytes(1 << 30))),
            parent: Some(1),
            populated: Some(true),
            rates: Some(Rates {
                stored: number().map(|n| n as f64 / 7.0),
                loaded: number().map(|n| n as f64 / 7.0),
                written_back: number().map(|n| n as f64 / 7.0),
                direct: Some(0.0),
                read: Some(0.0),
            }),
            memory_pressure: Some(PressureStatus {
                some_avg10: 0.25,
                full_avg10: Some(0.1),
                ..PressureStatus::default()
            }),
            ..CgroupStatus::default()
        }
    };
    let cgroups = (1..=cgroups).map(|id| row(id, dice)).collect();
    Status { schema: 1, cgroups, ..Status::default() }
}
