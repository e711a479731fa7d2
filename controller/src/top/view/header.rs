//! The first lines of the screen: the host, the agent, and what is shown below.

use ratatui::text::{Line, Span};

use super::{bar, clipped, clock, lines_shown, span, spread};
use crate::{
    serve::status::{MapState, PressureStatus, Status},
    text,
    top::{
        columns::{COLUMNS, Column, Value, ratio},
        layout::{BARE, WIDE, header_lines},
        paint::Tone,
        seen::Flow,
        state::{Pane, State},
    },
};

/// Of a hundred parts of RAM, so many in use are worth a look; of a pool's limit, as for the alert; of all slots, too.
const RAM_FULL: u64 = 95;
const POOL_FULL: u64 = 95;
const SLOTS_FULL: u64 = 90;
/// Percent of the last 10 s in which some task waited that are worth a look.
pub(super) const PRESSED: f64 = 10.0;

/// Seconds after which it is said that the agent publishes nothing: ticks are no more than a few apart.
const OLD: u64 = 5;

/// How wide a bar is.
fn bar_width(state: &State) -> usize {
    match state.size.width {
        WIDE..160 => 10,
        _ => 20,
    }
}

/// A line of the header: its name, a bar or none, and the words.
pub(in crate::top) struct Part {
    name: &'static str,
    bar: Vec<Span<'static>>,
    words: Vec<Span<'static>>,
}

impl Part {
    fn spans(self, state: &State) -> Vec<Span<'static>> {
        let mut spans = vec![span(state, Tone::Label, format!("{:<6}", self.name))];
        if !self.bar.is_empty() {
            spans.extend(self.bar);
            spans.push(Span::raw(" "));
        }
        spans.extend(self.words);
        spans
    }

    /// As text, without the bar.
    pub(in crate::top) fn text(&self) -> String {
        let words = self.words.iter().map(|span| span.content.as_ref());
        format!("{:<6}{}", self.name, words.collect::<String>())
    }
}

/// What is said of the host: with a bar, and in words alone.
pub(in crate::top) fn parts(state: &State, status: &Status, page: u64) -> [Part; 7] {
    [
        ram(state, status),
        zswap(state, status),
        disk(state, status),
        flow(state, status, page),
        pressure(state, status),
        agent(state, status),
        map(state, status),
    ]
}

/// All lines of the header.
pub(super) fn lines(state: &State) -> Vec<Line<'static>> {
    let width = usize::from(state.size.width);
    let mut lines = vec![title(state, width)];
    let height = header_lines(state);
    match &state.seen {
        _ if height == BARE => {}
        Some(seen) => lines.extend(host(state, &seen.status, seen.page(), width)),
        None => lines.resize(usize::from(height) - 1, Line::default()),
    }
    lines.push(tabs(state, width));
    lines
}

fn title(state: &State, width: usize) -> Line<'static> {
    let seen = state.seen.as_ref();
    let time = seen.map_or_else(|| "--:--:--".to_owned(), |seen| clock(seen.status.unix_seconds as u64));
    let pace = state.pace.as_millis();
    let pace = format!("{}.{}s", pace / 1000, pace / 100 % 10);
    let left = vec![
        span(state, Tone::Strong, "swaptier top"),
        span(state, Tone::Plain, format!("  {}", state.look.name(&state.origin.label))),
    ];
    let mut right = Vec::new();
    if let Some(age) = seen.map(|seen| seen.age_seconds).filter(|age| *age >= OLD) {
        right.push(span(state, Tone::Care, format!("  ! {} old", text::age(age))));
    }
    if state.is_paused {
        right.push(span(state, Tone::Care, "  PAUSED"));
    }
    right.push(span(state, Tone::Plain, format!("  every {pace}  {time} UTC")));
    spread(state, left, right, width)
}

/// The host's lines: one below the other, or in two columns where there is room.
fn host(state: &State, status: &Status, page: u64, width: usize) -> Vec<Line<'static>> {
    let mut parts = parts(state, status, page).into_iter().map(|part| part.spans(state));
    if width < usize::from(WIDE) {
        return parts.map(|spans| spread(state, spans, vec![], width)).collect();
    }
    // The four first stand left.
    let left: Vec<_> = parts.by_ref().take(4).collect();
    let half = width / 2;
    let both = |left: Vec<Span<'static>>| {
        let mut whole = spread(state, left, vec![], half - 2).spans;
        whole.push(Span::raw("  "));
        whole.extend(clipped(state, parts.next().unwrap_or_default(), width - half));
        Line::from(whole)
    };
    left.into_iter().map(both).collect()
}

fn plain(state: &State, text: impl Into<String>) -> Span<'static> {
    span(state, Tone::Plain, text)
}

/// Words that are worth a look, or not.
fn judged(state: &State, is_trouble: bool, words: &str) -> Span<'static> {
    let (sign, tone) = if is_trouble { ("! ", Tone::Care) } else { ("", Tone::Plain) };
    span(state, tone, format!("{sign}{words}"))
}

/// Whether `part` is more than so many of a hundred parts of `whole`.
fn exceeds(part: u64, whole: u64, percent: u64) -> bool {
    u128::from(part) * 100 > u128::from(whole) * u128::from(percent)
}

fn size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), text::size)
}

fn ram(state: &State, status: &Status) -> Part {
    let (host, signs) = (&status.host, &state.look.signs);
    let used = host.available_bytes.map(|available| host.ram_bytes.saturating_sub(available));
    let pool = host.zswap_compressed_bytes.unwrap_or(0);
    let parts =
        [(used.unwrap_or(0).saturating_sub(pool), signs.full, Tone::Ram), (pool, signs.half, Tone::Zswap)];
    let words = format!("{} of {} in use", size(used), text::size(host.ram_bytes));
    Part {
        name: "RAM",
        bar: bar(state, bar_width(state), host.ram_bytes, &parts),
        words: vec![judged(state, exceeds(used.unwrap_or(0), host.ram_bytes, RAM_FULL), &words)],
    }
}

fn zswap(state: &State, status: &Status) -> Part {
    let (host, signs) = (&status.host, &state.look.signs);
    let compressed = host.zswap_compressed_bytes;
    let part = (compressed.unwrap_or(0), signs.half, Tone::Zswap);
    let bar = bar(state, bar_width(state), host.pool_limit_bytes.unwrap_or(0), &[part]);
    let words = format!(
        "{} in {} compressed ({}) of {}",
        size(host.zswap_original_bytes),
        size(compressed),
        ratio(host.zswap_original_bytes, compressed).show(),
        size(host.pool_limit_bytes),
    );
    let is_full =
        host.pool_limit_bytes.is_some_and(|limit| exceeds(compressed.unwrap_or(0), limit, POOL_FULL));
    let words = match host.zswap_enabled {
        Some(false) => vec![span(state, Tone::Care, "! off  "), plain(state, words)],
        _ => vec![judged(state, is_full, &words)],
    };
    Part { name: "zswap", bar, words }
}

fn disk(state: &State, status: &Status) -> Part {
    let (host, signs) = (&status.host, &state.look.signs);
    let used = host.swap_total_bytes.saturating_sub(host.swap_free_bytes);
    let on_disk = host.disk_original_bytes;
    let disk = on_disk.unwrap_or(0);
    let parts = [(disk, signs.full, Tone::Disk), (used.saturating_sub(disk), signs.half, Tone::Plain)];
    let areas = match status.areas.len() {
        1 => "1 area".to_owned(),
        areas => format!("{areas} areas"),
    };
    let is_full = exceeds(used, host.swap_total_bytes, SLOTS_FULL);
    let (used, total) = (text::size(used), text::size(host.swap_total_bytes));
    let there = on_disk.map_or_else(|| "unknown".to_owned(), text::size);
    let words = match host.swap_total_bytes {
        0 => span(state, Tone::Care, "! no swap area is on"),
        _ => judged(state, is_full, &format!("{there} there; slots {used} of {total}, {areas}")),
    };
    let words = vec![words];
    Part { name: "disk", bar: bar(state, bar_width(state), host.swap_total_bytes, &parts), words }
}

fn flow(state: &State, status: &Status, page: u64) -> Part {
    let flow = Flow::of_host(&status.host.rates, page);
    let rate =
        |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{}/s", text::size(bytes)));
    let words = format!(
        "in {} (disk {}) out {} WB {}",
        rate(flow.back),
        rate(flow.read),
        rate(flow.out),
        rate(flow.written_back)
    );
    Part { name: "flow", bar: vec![], words: vec![plain(state, words)] }
}

fn pressure(state: &State, status: &Status) -> Part {
    let words = |pressure: &Option<PressureStatus>| match pressure {
        None => "-".to_owned(),
        Some(psi) => {
            let full = psi.full_avg10.map_or_else(|| "-".to_owned(), |full| format!("{full:.1}%"));
            format!("some {:.1}% full {full}", psi.some_avg10)
        }
    };
    let of = |name: &str, pressure: &Option<PressureStatus>| {
        let is_pressed = pressure.is_some_and(|psi| psi.some_avg10 > PRESSED);
        judged(state, is_pressed, &format!("{name} {}", words(pressure)))
    };
    let host = &status.host;
    let words = vec![of("memory", &host.memory_pressure), plain(state, ", "), of("io", &host.io_pressure)];
    Part { name: "PSI", bar: vec![], words }
}

fn agent(state: &State, status: &Status) -> Part {
    let agent = &status.agent;
    let of = |words| Part { name: "agent", bar: vec![], words };
    if !agent.running {
        let absent = state.look.name(agent.absent.as_deref().unwrap_or("no agent is running"));
        let words = format!("! {absent}: pane 3 says what that costs");
        return of(vec![span(state, Tone::Care, words)]);
    }
    if let Some(doing) = &agent.doing {
        return of(vec![
            plain(state, "busy: "),
            span(state, Tone::Strong, state.look.name(doing).into_owned()),
        ]);
    }
    let policies =
        if agent.policies == 1 { "1 policy".to_owned() } else { format!("{} policies", agent.policies) };
    let by = match (&agent.dialect, agent.dry_run) {
        (_, true) => span(state, Tone::Care, "! dry run"),
        (Some(dialect), _) => plain(state, format!("by {}", state.look.name(dialect))),
        (None, _) => span(state, Tone::Care, "! cannot write back"),
    };
    let cost = &agent.cost;
    let words = format!(
        ", {policies}, {}, tick {:.1} ms (CPU {:.1})",
        size(cost.resident_bytes),
        agent.tick_ms,
        cost.tick_cpu_ms,
    );
    of(vec![by, plain(state, words)])
}

fn map(state: &State, status: &Status) -> Part {
    let map = &status.map;
    let of = |tone, words: String| Part { name: "map", bar: vec![], words: vec![span(state, tone, words)] };
    if map.state == MapState::Absent {
        let why = map.reason.as_deref().unwrap_or("no reason given");
        let unknown = unknown(state).join(" ");
        let none = if unknown.is_empty() { String::new() } else { format!(": no {unknown}") };
        let words = format!("! absent ({}){none}", state.look.name(why));
        return of(Tone::Care, words);
    }
    let words = format!(
        "{}, drift {}, missed {}, skipped {}, {} locked",
        map.state,
        map.drift_pages,
        map.missed_events,
        map.recursion_misses,
        text::size(map.locked_bytes),
    );
    let is_fine = map.state == MapState::Exact && map.missed_events == 0;
    let (sign, tone) = if is_fine { ("", Tone::Plain) } else { ("! ", Tone::Care) };
    of(tone, format!("{sign}{words}"))
}

/// Columns of numbers of which nothing is known.
fn unknown(state: &State) -> Vec<&'static str> {
    let is_unknown = |column: &&Column| {
        !state.rows.is_empty() && state.rows.iter().all(|row| column.value(row) == Value::Unknown)
    };
    let numbers = COLUMNS.iter().filter(|column| column.is_number());
    numbers.filter(is_unknown).map(|column| column.title).collect()
}

fn tabs(state: &State, width: usize) -> Line<'static> {
    let mut left = Vec::new();
    for (nth, pane) in Pane::ALL.into_iter().enumerate() {
        let is_open = pane == state.pane && !state.is_help_open;
        let text = if is_open {
            format!("[{} {}]", nth + 1, pane.title())
        } else {
            format!(" {} {} ", nth + 1, pane.title())
        };
        left.push(span(state, if is_open { Tone::Strong } else { Tone::Plain }, text));
    }
    if !state.filter().is_empty() {
        left.push(span(state, Tone::Care, format!("  filter `{}`", state.look.name(state.filter()))));
    }
    if let Some(trouble) = &state.trouble {
        left.push(span(state, Tone::Care, format!("  ! {}", state.look.name(trouble))));
    }
    let right = match state.pane {
        Pane::Cgroups => {
            let shape = if state.is_tree { "tree" } else { "flat" };
            let follow = if state.is_following { ", following" } else { "" };
            format!("{} of {} cgroups, {shape}{follow}", state.places.len(), state.rows.len())
        }
        Pane::Areas => String::new(),
        Pane::Events => format!("{} events", state.shown_events().count()),
    };
    let right = match (lines_shown(state), right.is_empty() || state.is_help_open) {
        (None, _) => right,
        (Some(lines), true) => lines,
        (Some(lines), false) => format!("{right}, {lines}"),
    };
    spread(state, left, vec![span(state, Tone::Faint, right)], width)
}
