//! The loop: events in from three threads, the state changed, effects carried out, the screen drawn. The only place of
//! this room that knows a terminal, threads and signals.
//!
//! One thread waits for keys, one for signals, one looks at the host; an act has a thread of its own, since a round of
//! write-back may take minutes. None of them shares anything but channels.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant, SystemTime},
};

use ratatui::{crossterm::event, layout::Size};
use signal_hook::{
    consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP},
    iterator::Signals,
    low_level::{emulate_default_handler, raise},
};

use super::{
    source::{Jump, Source, Want},
    state::State,
    terminal::{Screen, give_back},
    update::{Effect, Event},
    view,
};
use crate::{
    fault,
    root::Root,
    serve::{
        absence::Absence,
        client,
        protocol::{Answer, Ask},
    },
};

/// Longer than any round of write-back: `writeback.deadline` is 600 s at most.
const PATIENCE: Duration = Duration::from_secs(630);

/// What comes to the loop.
enum Input {
    Event(Event),
    Signal(i32),
    /// There are no keys any more.
    Deaf,
}

/// What goes to the thread that looks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Orders {
    want: Want,
    is_paused: bool,
}

enum Order {
    Orders(Orders),
    Jump(Jump),
}

/// Runs until the user, or a signal, ends it.
///
/// # Errors
/// There is no terminal, or it is gone.
pub fn run(root: Root, source: Box<dyn Source>, mut state: State) -> io::Result<()> {
    let mut screen = Screen::take(state.has_mouse)?;
    let size = screen.terminal.size()?;
    state.size = Size { width: size.width, height: size.height };
    let (inputs, received) = channel();
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGTSTP, SIGCONT])?;
    listen(signals, inputs.clone());
    read_keys(inputs.clone());
    let mut given = orders(&state);
    let (order, ordered) = channel();
    look_on(source, given.clone(), ordered, inputs.clone());
    loop {
        screen.terminal.draw(|frame| view::draw(&state, frame))?;
        fault::point("top.drawn");
        let Ok(first) = received.recv() else { return Ok(()) };
        // All that has come meanwhile is drawn at once.
        for input in std::iter::once(first).chain(received.try_iter()) {
            let effect = match input {
                Input::Event(event) => {
                    if matches!(event, Event::Resize(_)) {
                        screen.begin_anew()?;
                    }
                    state.update(event)
                }
                Input::Deaf => return Ok(()),
                Input::Signal(SIGCONT) => {
                    screen.take_again()?;
                    None
                }
                Input::Signal(SIGTSTP) => Some(Effect::Suspend),
                Input::Signal(signal) => {
                    drop(screen);
                    // Whoever waits for us is to see what ended us.
                    return emulate_default_handler(signal);
                }
            };
            match effect {
                None => {}
                Some(Effect::Quit) => return Ok(()),
                Some(Effect::Act(ask)) => act(root.clone(), ask, inputs.clone()),
                // The other end has ended only if it panicked; then there is nothing new, which shows.
                Some(Effect::Jump(jump)) => drop(order.send(Order::Jump(jump))),
                Some(Effect::Mouse(is_ours)) => screen.mouse(is_ours)?,
                Some(Effect::Redraw) => screen.begin_anew()?,
                Some(Effect::Suspend) => suspend(&mut screen)?,
            }
        }
        let now = orders(&state);
        if now != given {
            given = now.clone();
            let _ = order.send(Order::Orders(now));
        }
    }
}

fn orders(state: &State) -> Orders {
    let want = Want { detail: state.focus().map(str::to_owned), pace: state.pace };
    // Only in a recording does time stand still for the source, too.
    Orders { want, is_paused: state.is_paused && state.origin.is_recorded }
}

/// Stops as job control does; goes on when the shell says so.
fn suspend(screen: &mut Screen) -> io::Result<()> {
    give_back();
    raise(libc::SIGSTOP)?;
    screen.take_again()
}

fn listen(mut signals: Signals, inputs: Sender<Input>) {
    thread::spawn(move || {
        for signal in signals.forever() {
            if inputs.send(Input::Signal(signal)).is_err() {
                return;
            }
        }
    });
}

fn read_keys(inputs: Sender<Input>) {
    thread::spawn(move || {
        loop {
            let input = match event::read() {
                Ok(event::Event::Key(key)) => Input::Event(Event::Key(key)),
                Ok(event::Event::Mouse(mouse)) => Input::Event(Event::Mouse(mouse)),
                Ok(event::Event::Resize(width, height)) => {
                    Input::Event(Event::Resize(Size { width, height }))
                }
                Ok(_) => continue,
                Err(_) => Input::Deaf,
            };
            let is_deaf = matches!(input, Input::Deaf);
            if inputs.send(input).is_err() || is_deaf {
                return;
            }
        }
    });
}

fn look_on(mut source: Box<dyn Source>, mut orders: Orders, ordered: Receiver<Order>, inputs: Sender<Input>) {
    thread::spawn(move || {
        loop {
            let event = match source.look(&orders.want) {
                Ok(Some(seen)) => Some(Event::Seen(Box::new(seen), source.origin())),
                Ok(None) => None,
                Err(why) => Some(Event::Lost(why)),
            };
            if event.is_some_and(|event| inputs.send(Input::Event(event)).is_err()) {
                return;
            }
            if !wait(&mut *source, &mut orders, &ordered) {
                return;
            }
        }
    });
}

/// Waits for the next look, or for a reason to look at once. `false`: nobody wants any more.
fn wait(source: &mut dyn Source, orders: &mut Orders, ordered: &Receiver<Order>) -> bool {
    let begun = Instant::now();
    loop {
        let left = match orders.is_paused {
            true => Duration::MAX,
            false => orders.want.pace.saturating_sub(begun.elapsed()),
        };
        match ordered.recv_timeout(left.min(Duration::from_secs(3_600))) {
            Err(RecvTimeoutError::Timeout) if orders.is_paused => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
            Ok(Order::Jump(jump)) => {
                source.jump(jump);
                return true;
            }
            Ok(Order::Orders(new)) => {
                let wants_other = new.want.detail != orders.want.detail;
                *orders = new;
                if wants_other {
                    // In a recording the same look again.
                    source.jump(Jump::By(0));
                    return true;
                }
            }
        }
    }
}

fn act(root: Root, ask: Ask, inputs: Sender<Input>) {
    thread::spawn(move || {
        let asked = SystemTime::now();
        let answer = match client::ask(&root, ask, PATIENCE) {
            Ok(Some(answer)) => words(&answer),
            Ok(None) => Err("no agent is running, and only it can act".to_owned()),
            Err(error) => Err(match Absence::of(&error, asked) {
                Some(absence) => format!("{absence}: {}", absence.remedy()),
                None => format!("asking the agent: {error}"),
            }),
        };
        // Nobody listens any more only when the screen is gone.
        let _ = inputs.send(Input::Event(Event::Answered(answer)));
    });
}

/// What came of an act, in a line.
fn words(answer: &Answer) -> Result<String, String> {
    match answer {
        Answer::Done { message } => Ok(message.clone()),
        Answer::Refused { message, .. } => Err(message.clone()),
        Answer::Round { report } => {
            let number = |name: &str| report.number(name).map_or_else(|| "?".to_owned(), |it| it.to_string());
            let failed = report.failure();
            let ended = failed.clone().or(report.ended.map(|ended| ended.to_string())).unwrap_or_default();
            let line = format!(
                "wrote back {} of {} pages of {}: {ended}",
                number("written_pages"),
                number("asked_pages"),
                report.word("cgroup").unwrap_or("?"),
            );
            if failed.is_some() { Err(line) } else { Ok(line) }
        }
        other => Err(format!("an answer to something else: {other:?}")),
    }
}
