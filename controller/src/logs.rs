//! The agent's log: structured fields in the journal where the service manager has connected it, else lines of text on
//! stderr. A kind of message that comes too often is cut short, and counted.
//!
//! What is said is the business of whoever says it. Callers: `cli/agent.rs` starts it, the agent's loop asks each tick
//! what was left out.

#![expect(clippy::disallowed_methods, reason = "what the service manager says of where stderr goes")]

use std::{
    collections::BTreeMap,
    fmt::Debug,
    io::{self, IsTerminal as _},
    os::unix::fs::MetadataExt as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    layer::{Context, Filter, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

/// Lines of one kind in one window.
const LINES: u32 = 40;
/// How long a window is.
const WINDOW: Duration = Duration::from_secs(10);

static COUNTS: Mutex<BTreeMap<String, Count>> = Mutex::new(BTreeMap::new());

/// Starts the log of this process. What is worth saying is chosen with `RUST_LOG`; `info` without it.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    if is_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        // Fields keep their names: CGROUP=, REASON=.
        registry.with(journal.with_field_prefix(None).with_filter(Limit)).init();
        return;
    }
    let is_coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(is_coloured)
        .with_filter(Limit);
    registry.with(text).init();
}

/// Whether stderr is the journal itself: systemd says which device and inode it gave, sd_journal_stream_fd(3).
fn is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = std::fs::metadata("/proc/self/fd/2");
    stderr.is_ok_and(|stderr| named == format!("{}:{}", stderr.dev(), stderr.ino()))
}

/// Kinds of messages of which lines were left out in a window that has ended, and how many. Each is told once.
pub fn left_out() -> Vec<(String, u64)> {
    let now = Instant::now();
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let ended = counts.iter_mut().filter(|(_, count)| count.is_over(now) && count.left_out > 0);
    ended.map(|(kind, count)| (kind.clone(), std::mem::take(&mut count.left_out))).collect()
}

/// What was said of one kind since its window began.
#[derive(Clone, Copy, Debug)]
struct Count {
    begun: Instant,
    lines: u32,
    left_out: u64,
}

impl Count {
    fn new(now: Instant) -> Count {
        Count { begun: now, lines: 0, left_out: 0 }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.begun) >= WINDOW
    }

    /// Whether one more may be said.
    fn may(&mut self, now: Instant) -> bool {
        if self.is_over(now) {
            // What was left out before waits to be told.
            *self = Count { left_out: self.left_out, ..Count::new(now) };
        }
        self.lines = self.lines.saturating_add(1);
        let may = self.lines <= LINES;
        self.left_out += u64::from(!may);
        may
    }
}

/// Lets [`LINES`] of each kind through in each window. Whoever asks for debugging gets all of it.
struct Limit;

impl<S: Subscriber> Filter<S> for Limit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let about = event.metadata();
        if *about.level() > Level::INFO {
            return true;
        }
        let mut kind = Kind(None);
        event.record(&mut kind);
        let kind = kind.0.unwrap_or_else(|| about.name().to_owned());
        let now = Instant::now();
        let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry(format!("{} {kind}", about.level())).or_insert_with(|| Count::new(now)).may(now)
    }
}

/// The field `kind` of a message; one without it is of the kind of the place in the source where it is said.
struct Kind(Option<String>);

impl Visit for Kind {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "kind" {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_cut_short_and_counted_and_begins_anew_with_the_next_window() {
        let begin = Instant::now();
        let mut count = Count::new(begin);
        let said = (0..LINES + 7).filter(|_| count.may(begin)).count();
        assert_eq!((said, count.left_out), (LINES as usize, 7));
        assert!(!count.is_over(begin + WINDOW / 2) && count.is_over(begin + WINDOW));
        assert!(count.may(begin + WINDOW));
        assert_eq!(count.left_out, 7, "what was left out is not forgotten before it is told");
    }

    #[test]
    fn one_kind_does_not_silence_another() {
        let subscriber = tracing_subscriber::registry()
            .with(tracing_subscriber::fmt::layer().with_writer(io::sink).with_filter(Limit));
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..LINES + 5 {
                tracing::info!(kind = "test_loud", "again");
            }
            tracing::info!(kind = "test_quiet", "once");
        });
        let counts = COUNTS.lock().unwrap();
        assert_eq!(counts["INFO test_loud"].left_out, 5);
        assert_eq!((counts["INFO test_quiet"].lines, counts["INFO test_quiet"].left_out), (1, 0));
    }
}
