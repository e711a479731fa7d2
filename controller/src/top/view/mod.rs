//! Drawing: reads the state, changes nothing. One file for each part of the screen; each makes lines of text, which are
//! put in their place here.

mod areas;
mod detail;
mod events;
mod foot;
pub(super) mod header;
mod help;
mod table;

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{
    layout,
    paint::Tone,
    state::{Pane, State},
};
use crate::text::{self, clock};

/// Draws all of it.
pub fn draw(state: &State, frame: &mut Frame<'_>) {
    let area = frame.area();
    // A size that the state has not heard of yet must not be drawn past.
    if (area.width, area.height) != (state.size.width, state.size.height) || area.is_empty() {
        return;
    }
    let layout = layout::of(state);
    let screen = frame.buffer_mut();
    put(screen, layout.header, header::lines(state));
    match (state.is_help_open, state.pane) {
        (false, Pane::Cgroups) => {
            put(screen, layout.body, table::lines(state, usize::from(layout.body.height)))
        }
        _ => put_scrolled(screen, layout.body, state),
    }
    if layout.detail.height > 0 && !state.is_help_open {
        put_scrolled(screen, layout.detail, state);
    }
    put(screen, layout.foot, vec![foot::line(state)]);
}

/// What is scrolled: the help, the details, or a pane that is a list.
fn scrolled(state: &State) -> (Rect, Vec<Line<'static>>) {
    let layout = layout::of(state);
    let width = usize::from(state.size.width);
    match (state.is_help_open, state.pane) {
        (true, _) => (layout.body, help::lines(state)),
        (false, Pane::Areas) => (layout.body, areas::lines(state)),
        (false, Pane::Events) => (layout.body, events::lines(state)),
        (false, Pane::Cgroups) if layout.detail.height > 0 => (layout.detail, detail::lines(state, width)),
        (false, Pane::Cgroups) => (layout.body, Vec::new()),
    }
}

/// Which lines of what is scrolled are on the screen, where not all are.
fn lines_shown(state: &State) -> Option<String> {
    let (area, lines) = scrolled(state);
    let (height, all) = (usize::from(area.height), lines.len());
    let first = state.scroll.min(all.saturating_sub(height));
    (all > height && height > 0).then(|| format!("lines {}-{} of {all}", first + 1, first + height))
}

/// How many lines do not fit: as far as one can scroll.
pub(super) fn overflow(state: &State) -> usize {
    let (area, lines) = scrolled(state);
    lines.len().saturating_sub(usize::from(area.height))
}

fn put_scrolled(screen: &mut Buffer, area: Rect, state: &State) {
    let (_, lines) = scrolled(state);
    let hidden = lines.len().saturating_sub(usize::from(area.height));
    put(screen, area, lines.into_iter().skip(state.scroll.min(hidden)).collect());
}

fn put(screen: &mut Buffer, area: Rect, lines: Vec<Line<'_>>) {
    for (y, line) in (area.y..area.bottom()).zip(&lines) {
        screen.set_line(area.x, y, line, area.width);
    }
}

/// A piece of text in a tone.
fn span(state: &State, tone: Tone, text: impl Into<String>) -> Span<'static> {
    Span::styled(text.into(), state.look.paint.of(tone))
}

/// A line whose beginning stands left, whose end stands right, and whose middle is cut where both do not fit.
fn spread(state: &State, left: Vec<Span<'static>>, right: Vec<Span<'static>>, width: usize) -> Line<'static> {
    let width_of = |spans: &[Span<'_>]| spans.iter().map(|span| text::width(&span.content)).sum::<usize>();
    let room = width.saturating_sub(width_of(&right));
    let mut line = clipped(state, left, room);
    let gap = room.saturating_sub(width_of(&line));
    line.push(Span::raw(" ".repeat(gap)));
    line.extend(right);
    Line::from(line)
}

/// The spans that fit, the last one cut, which is shown by a sign.
fn clipped(state: &State, spans: Vec<Span<'static>>, room: usize) -> Vec<Span<'static>> {
    let mut left = room;
    let mut kept = Vec::with_capacity(spans.len());
    for span in spans {
        let width = text::width(&span.content);
        if width <= left {
            left -= width;
            kept.push(span);
            continue;
        }
        if left > 0 {
            let head = fitting(&span.content, left - 1);
            kept.push(Span::styled(format!("{head}{}", state.look.signs.cut), span.style));
        }
        break;
    }
    kept
}

/// The first characters that fit.
fn fitting(content: &str, room: usize) -> String {
    let mut head = String::new();
    for c in content.chars() {
        head.push(c);
        if text::width(&head) > room {
            head.pop();
            break;
        }
    }
    head
}

/// A title across the whole width.
fn across(state: &State, title: &str, width: usize) -> Line<'static> {
    let sign = state.look.signs.across;
    let title = text::shortened(title, width.saturating_sub(6), state.look.signs.cut).into_owned();
    let rest = width.saturating_sub(text::width(&title) + 4);
    Line::from(vec![
        span(state, Tone::Faint, format!("{sign}{sign} ")),
        span(state, Tone::Strong, title),
        span(state, Tone::Faint, format!(" {}", sign.repeat(rest))),
    ])
}

/// A bar `width` wide: the parts of a whole, each in its sign and tone, then the rest.
fn bar(state: &State, width: usize, whole: u64, parts: &[(u64, &'static str, Tone)]) -> Vec<Span<'static>> {
    let cells = |amount: u64| {
        let cells =
            (u128::from(amount.min(whole)) * width as u128).checked_div(u128::from(whole)).unwrap_or(0);
        // Something is never drawn as nothing.
        usize::try_from(cells).unwrap_or(width).max(usize::from(amount > 0 && whole > 0))
    };
    let mut left = width;
    let mut spans = Vec::with_capacity(parts.len() + 1);
    for (amount, sign, tone) in parts {
        let length = cells(*amount).min(left);
        left -= length;
        spans.push(span(state, *tone, sign.repeat(length)));
    }
    spans.push(span(state, Tone::Faint, state.look.signs.rest.repeat(left)));
    spans
}

/// A whole line in one tone.
fn filled(mut line: Line<'static>, style: Style) -> Line<'static> {
    for span in &mut line.spans {
        span.style = style;
    }
    line
}
