//! The events pane: what this host lacks, what is held back, and what happened, newest first.

use ratatui::text::{Line, Span};

use super::{across, clock, span};
use crate::{
    serve::events::Event,
    text::wrapped,
    top::{paint::Tone, state::State},
};

/// All lines that fit the filter.
pub(super) fn lines(state: &State) -> Vec<Line<'static>> {
    let width = usize::from(state.size.width);
    let filter = state.filter().to_lowercase();
    let fits = |text: &str| text.to_lowercase().contains(&filter);
    let mut lines = Vec::new();
    if let Some(seen) = &state.seen {
        let lost: Vec<&String> = seen.status.agent.lost.iter().filter(|lost| fits(lost)).collect();
        if !lost.is_empty() {
            lines.push(across(state, "Missing on this host", width));
            lines.extend(lost.iter().flat_map(|lost| text(state, Tone::Care, "! ", lost)));
        }
        let held = seen.status.held.iter();
        let held: Vec<_> =
            held.filter(|held| fits(&held.cgroup) || fits(&held.reason) || fits(&held.policy)).collect();
        if !held.is_empty() {
            lines.push(across(state, "Held back at the last decision", width));
        }
        for held in held {
            let words = format!("{}: {} ({})", path(&held.cgroup), held.reason, held.policy);
            lines.extend(text(state, Tone::Plain, "  ", &words));
        }
    }
    lines.push(across(state, "What happened, newest first", width));
    lines.extend(state.shown_events().flat_map(|event| entry(state, event)));
    lines
}

fn path(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// A sentence in as many lines as it takes; all but the first stand further in.
fn text(state: &State, tone: Tone, sign: &str, words: &str) -> Vec<Line<'static>> {
    let room = usize::from(state.size.width).saturating_sub(4);
    let lines = wrapped(&state.look.name(words), room).into_iter().enumerate();
    lines
        .map(|(nth, words)| {
            Line::from(span(state, tone, format!("{}{words}", if nth == 0 { sign } else { "    " })))
        })
        .collect()
}

fn entry(state: &State, event: &Event) -> Vec<Line<'static>> {
    /// Columns before the words: time, sign, kind.
    const BEFORE: usize = 21;
    let tone = if event.is_trouble { Tone::Care } else { Tone::Plain };
    let cgroup = event.cgroup.as_ref().map(|cgroup| format!("{}: ", path(cgroup))).unwrap_or_default();
    let reason = event.reason.as_ref().map(|reason| format!("; {reason}")).unwrap_or_default();
    let by = event.by.as_ref().map(|by| format!(" ({by})")).unwrap_or_default();
    let words = format!("{cgroup}{}{reason}{by}", event.text);
    let room = usize::from(state.size.width).saturating_sub(BEFORE);
    let before = vec![
        span(state, Tone::Faint, format!("{} ", clock(event.unix_seconds))),
        span(state, tone, if event.is_trouble { "! " } else { "  " }),
        span(state, Tone::Label, format!("{:<10}", event.kind.name().replace('_', " "))),
    ];
    let mut lines = Vec::new();
    for (nth, words) in wrapped(&state.look.name(&words), room).into_iter().enumerate() {
        let mut spans = if nth == 0 { before.clone() } else { vec![Span::raw(" ".repeat(BEFORE))] };
        spans.push(span(state, tone, words));
        lines.push(Line::from(spans));
    }
    lines
}
