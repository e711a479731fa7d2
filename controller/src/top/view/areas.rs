//! The areas pane: what the kernel swaps to.

use ratatui::text::Line;

use super::{bar, filled, span, spread};
use crate::{
    serve::status::AreaStatus,
    text,
    top::{paint::Tone, state::State},
};

/// How wide a bar is.
const BAR: usize = 20;

/// Titles, then a line for each area.
pub(super) fn lines(state: &State) -> Vec<Line<'static>> {
    let width = usize::from(state.size.width);
    let titles =
        format!("{:>5} {:<9} {:>5} {:>5} {:>4} {:<BAR$} AREA", "PRIO", "KIND", "SIZE", "USED", "FULL", "");
    let line = spread(vec![span(state, Tone::Title, titles)], vec![], width);
    let mut lines = vec![filled(line, state.look.paint.of(Tone::Title))];
    let Some(seen) = &state.seen else { return lines };
    let filter = state.filter().to_lowercase();
    let mut areas: Vec<&AreaStatus> =
        seen.status.areas.iter().filter(|area| area.path.to_lowercase().contains(&filter)).collect();
    // In the order in which the kernel fills them.
    areas.sort_by_key(|area| std::cmp::Reverse(area.priority));
    if areas.is_empty() {
        lines.push(Line::from("  no swap area is on"));
    }
    lines.extend(areas.into_iter().map(|area| row(state, area)));
    lines
}

fn row(state: &State, area: &AreaStatus) -> Line<'static> {
    let parts = u128::from(area.used_bytes) * 1_000_000;
    let full = parts.checked_div(u128::from(area.size_bytes)).and_then(|parts| u64::try_from(parts).ok());
    let full = full.map_or_else(|| "-".to_owned(), text::percent);
    let words = format!(
        "{:>5} {:<9} {:>5} {:>5} {full:>4} ",
        area.priority,
        state.look.name(&area.kind),
        text::size(area.size_bytes),
        text::size(area.used_bytes),
    );
    let mut spans = vec![span(state, Tone::Plain, words)];
    spans.extend(bar(state, BAR, area.size_bytes, &[(area.used_bytes, state.look.signs.half, Tone::Disk)]));
    spans.push(span(state, Tone::Strong, format!(" {}", state.look.name(&area.path))));
    Line::from(spans)
}
