//! The cgroup table: titles, then as many rows as fit. Only those are made.

use ratatui::text::{Line, Span};

use super::{filled, header::PRESSED, span};
use crate::{
    text,
    top::{
        columns::{COLUMNS, Value},
        layout::{self, Shown},
        paint::Tone,
        state::{State, order::Place},
    },
};

/// The lines of the table, titles first.
pub(super) fn lines(state: &State, height: usize) -> Vec<Line<'static>> {
    let (name, shown) = layout::columns(state.size.width, state.first_column);
    let name = usize::from(name);
    let mut lines = vec![titles(state, name, &shown)];
    let rows = height.saturating_sub(1);
    for (nth, place) in state.places.iter().enumerate().skip(state.top).take(rows) {
        let line = row(state, place, name, &shown);
        let is_chosen = nth == state.cursor;
        lines.push(if is_chosen { filled(line, state.look.paint.of(Tone::Chosen)) } else { line });
    }
    if state.places.is_empty() && rows > 0 {
        lines.push(Line::from(nothing(state)));
    }
    lines
}

fn nothing(state: &State) -> String {
    match (&state.seen, state.filter()) {
        (None, _) => "  waiting for the first look".to_owned(),
        (Some(_), "") => "  no cgroup has a policy or anything in swap".to_owned(),
        (Some(_), filter) => format!("  no cgroup contains `{}`", state.look.name(filter)),
    }
}

fn titles(state: &State, name: usize, shown: &[Shown]) -> Line<'static> {
    let cut = state.look.signs.cut;
    let more = if state.first_column > 0 { "CGROUP <" } else { "CGROUP" };
    let title = |tone: Tone, text: String| span(state, tone, text);
    let is_sorted = |column| state.sort.column == column;
    let tone = |column| if is_sorted(column) { Tone::Sorted } else { Tone::Title };
    let arrow = |column| match is_sorted(column) {
        true => state.look.signs.arrows[usize::from(state.sort.is_descending)],
        false => "",
    };
    let name_title = format!("{more}{}", arrow(None));
    let mut spans = vec![title(tone(None), text::left(&name_title, name, cut))];
    let all = shown.len();
    // A title that fills its column has the arrow in the gap behind it.
    let mut gap = " ";
    for (nth, shown) in shown.iter().enumerate() {
        let column = &COLUMNS[shown.column];
        let (width, arrow) = (usize::from(column.width), arrow(Some(shown.column)));
        let is_full = column.title.len() == width && !arrow.is_empty();
        let text = match (is_full, nth + 1 == all) {
            (false, _) => format!("{}{arrow}", column.title),
            (true, false) => column.title.to_owned(),
            (true, true) => format!("{}{arrow}", &column.title[..width - 1]),
        };
        let text =
            if column.is_number() { text::right(&text, width, cut) } else { text::left(&text, width, cut) };
        spans.push(title(Tone::Title, gap.to_owned()));
        spans.push(title(tone(Some(shown.column)), text));
        gap = if is_full { arrow } else { " " };
    }
    Line::from(spans)
}

fn row(state: &State, place: &Place, name: usize, shown: &[Shown]) -> Line<'static> {
    let row = &state.rows[place.row];
    let cut = state.look.signs.cut;
    let mut spans = vec![name_cell(state, place, name)];
    for shown in shown {
        let column = &COLUMNS[shown.column];
        let width = usize::from(column.width);
        let value = column.value(row);
        let cell = value.show();
        let cell = state.look.name(&cell);
        let is_trouble =
            column.name == "last" && row.cgroup.last.as_ref().is_some_and(|last| last.is_trouble);
        let text = match (column.is_number(), is_trouble) {
            (true, _) => text::right(&cell, width, cut),
            (false, true) => text::left(&format!("! {cell}"), width, cut),
            (false, false) => text::left(&cell, width, cut),
        };
        spans.push(Span::raw(" "));
        let is_pressed =
            column.name == "psi" && row.cgroup.memory_pressure.is_some_and(|psi| psi.some_avg10 > PRESSED);
        let tone = if is_pressed { Tone::Strong } else { tone(column.name, &value, is_trouble) };
        spans.push(span(state, tone, text));
    }
    Line::from(spans)
}

fn tone(column: &str, value: &Value<'_>, is_trouble: bool) -> Tone {
    match (column, value) {
        _ if is_trouble => Tone::Care,
        (_, Value::Unknown | Value::PerSecond(0)) => Tone::Faint,
        ("zswap" | "compressed" | "ratio", _) => Tone::Zswap,
        ("disk" | "written_back" | "regret", _) => Tone::Disk,
        _ => Tone::Plain,
    }
}

/// The branches of the tree, then whether something is hidden below, then the name.
fn name_cell(state: &State, place: &Place, room: usize) -> Span<'static> {
    let row = &state.rows[place.row];
    let signs = &state.look.signs;
    let is_last = |depth: usize| place.lasts >> depth.min(63) & 1 == 1;
    let mut cell = String::new();
    // What is above everything has no branch, and deep trees leave room for the name.
    let from = (place.depth + 1).saturating_sub(room / 4).max(1);
    for depth in from..=place.depth {
        cell.push_str(match (depth == place.depth, is_last(depth)) {
            (true, false) => signs.tree[0],
            (true, true) => signs.tree[1],
            (false, false) => signs.tree[2],
            (false, true) => signs.tree[3],
        });
    }
    if place.is_parent && place.is_collapsed {
        cell.push('+');
    }
    let path = match row.cgroup.path.as_str() {
        "" => "/",
        path => &path[place.name_at..],
    };
    let name = state.look.name(path);
    let left = room.saturating_sub(text::width(&cell));
    cell.push_str(&text::left(&name, left, signs.cut));
    let tone = match (place.is_beside, row.cgroup.policy.is_some()) {
        (true, _) => Tone::Faint,
        (false, true) => Tone::Strong,
        (false, false) => Tone::Plain,
    };
    span(state, tone, text::left(&cell, room, signs.cut))
}
