//! Where on the screen everything stands, for drawing and for the mouse alike. Pure.

use ratatui::layout::{Rect, Size};

use super::{
    columns::COLUMNS,
    state::{Pane, State},
};

/// The smallest screen for which this was made.
pub const LEAST: Size = Size { width: 80, height: 24 };
/// From this width on the header has two columns.
pub const WIDE: u16 = 118;
/// From this height on details stand below the table, not in its place.
const TALL: u16 = 36;
/// Rows for which the table keeps room beside details, even when there are fewer.
const SHORT: usize = 6;
/// Lines of a header that says nothing of the host.
pub const BARE: u16 = 2;
/// The narrowest a cgroup's name gets before columns go.
const NAME: u16 = 22;

/// Where everything stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What is so of the host.
    pub header: Rect,
    /// The pane, its titles in the first line.
    pub body: Rect,
    /// Details of the cgroup; nothing when they are not open.
    pub detail: Rect,
    /// The last line.
    pub foot: Rect,
}

/// The layout of a state.
pub fn of(state: &State) -> Layout {
    let Size { width, height } = state.size;
    let header = header_lines(state).min(height.saturating_sub(1));
    let foot = height.min(1);
    let room = height.saturating_sub(header + foot);
    let detail = match state.is_detail_open && state.pane == Pane::Cgroups {
        // Lines that the table does not need go to the details.
        true if height >= TALL => {
            let table = u16::try_from(state.places.len().max(SHORT) + 1).unwrap_or(u16::MAX);
            room - table.min(room / 2)
        }
        true => room,
        false => 0,
    };
    let at = |y: u16, height: u16| Rect { x: 0, y, width, height };
    Layout {
        header: at(0, header),
        body: at(header, room - detail),
        detail: at(header + room - detail, detail),
        foot: at(height - foot, foot),
    }
}

/// Lines of the header. Where what covers the table would have no room, only what is around the host is left.
pub fn header_lines(state: &State) -> u16 {
    let is_covered = state.is_help_open || state.is_detail_open && state.pane == Pane::Cgroups;
    match (is_covered && state.size.height < TALL, state.size.width >= WIDE) {
        (true, _) => BARE,
        (false, true) => 6,
        (false, false) => 9,
    }
}

/// A column of the table and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Index in [`COLUMNS`].
    pub column: usize,
    /// Its first screen column.
    pub x: u16,
}

/// The columns that fit, from `first` on, and the width that is left for the name.
pub fn columns(width: u16, first: usize) -> (u16, Vec<Shown>) {
    let mut room = width.saturating_sub(NAME);
    let mut fitting = Vec::new();
    for (column, it) in COLUMNS.iter().enumerate().skip(first) {
        if it.width + 1 > room {
            break;
        }
        room -= it.width + 1;
        fitting.push(column);
    }
    let name = width.min(NAME) + room.min(width.saturating_sub(NAME));
    let mut x = name;
    let place = |column: usize| {
        let shown = Shown { column, x: x + 1 };
        x += COLUMNS[column].width + 1;
        shown
    };
    (name, fitting.into_iter().map(place).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_and_the_name_fill_the_line_exactly() {
        for width in 0..400 {
            for first in 0..COLUMNS.len() {
                let (name, columns) = columns(width, first);
                let used: u16 = columns.iter().map(|shown| COLUMNS[shown.column].width + 1).sum();
                assert_eq!(name + used, width, "{width} from {first}");
                assert!(name >= NAME.min(width));
            }
        }
    }

    #[test]
    fn eighty_columns_show_where_the_pages_are_and_what_moves() {
        let (_, shown) = columns(80, 0);
        let names: Vec<_> = shown.iter().map(|shown| COLUMNS[shown.column].name).collect();
        assert_eq!(
            names,
            ["ram", "zswap", "compressed", "ratio", "disk", "cold", "in", "out", "written_back"]
        );
    }
}
