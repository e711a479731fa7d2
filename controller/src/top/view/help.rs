//! The help: made of the tables of keys and of columns, so that it knows all of them.

use ratatui::text::Line;

use super::{across, span};
use crate::top::{
    columns::COLUMNS,
    keys::{Group, KEYS},
    paint::Tone,
    state::State,
};

/// All lines.
pub(super) fn lines(state: &State) -> Vec<Line<'static>> {
    let width = usize::from(state.size.width);
    let mut lines = Vec::new();
    for group in Group::ALL {
        lines.push(across(state, group.title(), width));
        for key in KEYS.iter().filter(|key| key.group == group) {
            lines.push(entry(state, &key.names(), key.help));
        }
    }
    lines.push(across(state, "Columns (Left and Right go to those that do not fit)", width));
    for column in COLUMNS {
        lines.push(entry(state, column.title, column.help));
    }
    lines.push(across(state, "Signs", width));
    let signs = &state.look.signs;
    let legend = [
        (".", "nothing moves"),
        ("-", "unknown, which is not zero"),
        ("!", "worth a look"),
        ("+", "cgroups below are hidden"),
        (signs.half, "in the zswap bar: the pool; in the disk bar: slots whose page is not on disk"),
    ];
    for (sign, help) in legend {
        lines.push(entry(state, sign, help));
    }
    lines
}

fn entry(state: &State, name: &str, help: &str) -> Line<'static> {
    Line::from(vec![span(state, Tone::Strong, format!("  {name:<16}")), span(state, Tone::Plain, help)])
}
