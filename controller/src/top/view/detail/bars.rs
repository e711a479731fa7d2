//! Tables of bars: a label, then for each series a size and a bar.

use ratatui::text::Line;

use super::super::span;
use crate::{
    text,
    top::{paint::Tone, state::State},
};

/// Columns of a label.
const LABEL: usize = 8;
/// Columns of a size, with the space behind it.
const SIZE: usize = 6;

/// One bar of a row.
pub(super) struct Bar {
    pub(super) value: u64,
    /// The longest bar of its series.
    pub(super) most: u64,
    /// The value in five columns; nothing is a dot.
    pub(super) size: String,
    pub(super) sign: &'static str,
    pub(super) tone: Tone,
}

/// The longest of a series.
pub(super) fn most(series: &[u64]) -> u64 {
    series.iter().copied().max().unwrap_or(0).max(1)
}

/// The titles above the bars.
pub(super) fn head(state: &State, label: &str, titles: &[&str], width: usize) -> Line<'static> {
    let room = room(width, titles.len());
    let titles: String = titles.iter().map(|title| text::left(title, room, "")).collect();
    Line::from(span(state, Tone::Strong, format!("{label:<LABEL$}{titles}")))
}

/// A label with its bars.
pub(super) fn row(state: &State, label: &str, bars: &[Bar], width: usize) -> Line<'static> {
    let bar_room = room(width, bars.len()).saturating_sub(SIZE + 1);
    let mut spans = vec![span(state, Tone::Label, format!("{label:<LABEL$}"))];
    for Bar { value, most, size, sign, tone } in bars {
        let length = (u128::from(*value) * bar_room as u128).div_ceil(u128::from(*most));
        let bar = sign.repeat(usize::try_from(length).unwrap_or(0).min(bar_room));
        let (size, of_size) = if *value == 0 { (".", Tone::Faint) } else { (size.as_str(), Tone::Plain) };
        spans.push(span(state, of_size, format!("{size:>5} ")));
        spans.push(span(state, *tone, text::left(&bar, bar_room + 1, "")));
    }
    Line::from(spans)
}

fn room(width: usize, bars: usize) -> usize {
    width.saturating_sub(LABEL) / bars.max(1)
}
