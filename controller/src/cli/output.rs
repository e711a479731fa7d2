//! How commands print: whole texts at once, tables, JSON, colour. Knows nothing of what is printed; sizes are shown by
//! the units of `swaptier_policies` themselves. Called by every command that prints.

#![expect(clippy::disallowed_methods, reason = "the terminal's own words")]

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

use serde::Serialize;

use crate::text::{self, left, right, width};

/// Lets the kernel end this process when its reader has gone, as other command line tools do (`swaptier status | head`).
///
/// For a process that has nothing left to do but print: the agent talks to sockets and a pipe, and must survive it
/// when the other end of one goes away.
pub(super) fn die_quietly_on_a_closed_pipe() {
    // SAFETY: the signal gets its default back; no handler is involved.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Prints all a command has to say, as the last thing it does.
///
/// # Errors
/// It could not be written: the disk behind a redirection is full.
pub(super) fn say(text: &str) -> io::Result<()> {
    #[cfg(test)]
    if heard::take(text) {
        return Ok(());
    }
    die_quietly_on_a_closed_pipe();
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What commands print on a thread that listens, for tests.
#[cfg(test)]
pub(super) mod heard {
    use std::cell::RefCell;

    thread_local! { static HEARD: RefCell<Option<String>> = const { RefCell::new(None) } }

    pub(super) fn take(text: &str) -> bool {
        HEARD.with_borrow_mut(|heard| heard.as_mut().map(|heard| heard.push_str(text)).is_some())
    }

    /// Does it, and returns what was printed meanwhile.
    pub(in crate::cli) fn during<T>(act: impl FnOnce() -> T) -> (String, T) {
        HEARD.set(Some(String::new()));
        let done = act();
        (HEARD.take().unwrap_or_default(), done)
    }
}

/// Prints a value as JSON.
///
/// # Errors
/// As [`say`].
pub(super) fn say_json(value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    say(&text)
}

/// What an unknown value is shown as.
pub(super) const UNKNOWN: &str = "-";

/// A value, or the sign for an unknown one.
pub(super) fn or_unknown(value: Option<impl Display>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

/// A text from outside as it may be printed.
pub(super) fn plain(text: &str) -> String {
    text::plain(text).into_owned()
}

/// A tone of voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Headings.
    Strong,
    /// All is well.
    Good,
    /// Something is worth a look.
    Care,
    /// Something is missing.
    Bad,
}

/// Whether tones are shown as colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    /// No colours at all.
    #[cfg(test)]
    pub(super) const NONE: Paint = Paint { on: false };

    /// Colours on a terminal, unless `NO_COLOR` is set (<https://no-color.org>) or the terminal is a dumb one.
    pub(super) fn of_stdout() -> Paint {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Paint { on: !cfg!(test) && io::stdout().is_terminal() && !refused }
    }

    /// `text` in this tone.
    pub(super) fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Care => "33",
            Tone::Bad => "1;31",
        };
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under titles, each column as wide as its widest cell.
#[derive(Clone, Debug)]
pub(super) struct Table<const N: usize> {
    titles: [(String, Side); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table without rows.
    pub(super) fn new(titles: [(impl Into<String>, Side); N]) -> Self {
        Self { titles: titles.map(|(title, side)| (title.into(), side)), rows: Vec::new() }
    }

    /// One more row.
    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| plain(&cell)));
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines. A column in which every value is unknown is left out.
    pub(super) fn render(&self, paint: Paint) -> String {
        let columns: Vec<usize> =
            (0..N).filter(|&n| n == 0 || self.rows.iter().any(|row| row[n] != UNKNOWN)).collect();
        let titles = self.titles.clone().map(|(title, _)| title);
        let mut text = paint.tone(Tone::Strong, &self.line(&columns, &titles));
        text.push('\n');
        for row in &self.rows {
            text.push_str(&self.line(&columns, row));
            text.push('\n');
        }
        text
    }

    fn line(&self, columns: &[usize], cells: &[String; N]) -> String {
        let cell = |&n: &usize| {
            let widest = self.rows.iter().map(|row| width(&row[n])).max().unwrap_or(0);
            let room = widest.max(width(&self.titles[n].0));
            match self.titles[n].1 {
                Side::Left => left(&cells[n], room, ""),
                Side::Right => right(&cells[n], room, ""),
            }
        };
        columns.iter().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 3]]) -> String {
        let mut table = Table::new([("NAME", Side::Left), ("SIZE", Side::Right), ("AGE", Side::Right)]);
        for row in rows {
            table.row(row.map(str::to_owned));
        }
        table.render(Paint::NONE)
    }

    #[test]
    fn words_stand_left_and_numbers_right() {
        let text = table(&[["a", "64.0 MiB", "5s"], ["longer", "1 B", "10m"]]);
        assert_eq!(text, "NAME        SIZE  AGE\na       64.0 MiB   5s\nlonger       1 B  10m\n");
    }

    #[test]
    fn a_column_of_unknowns_is_left_out() {
        assert_eq!(table(&[["a", "-", "5s"], ["b", "-", "-"]]), "NAME  AGE\na      5s\nb       -\n");
    }

    #[test]
    fn columns_stand_under_each_other_however_wide_the_characters() {
        let text = table(&[["日本", "1 B", "5s"], ["abcd", "2 B", "5s"]]);
        assert_eq!(text, "NAME  SIZE  AGE\n日本   1 B   5s\nabcd   2 B   5s\n");
    }

    #[test]
    fn a_name_cannot_speak_to_the_terminal() {
        assert!(!table(&[["\x1b]0;x\x07", "1", "1"]]).contains('\x1b'));
    }

    #[test]
    fn colour_is_only_added_where_it_is_on() {
        assert_eq!(Paint { on: true }.tone(Tone::Bad, "x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(Paint::NONE.tone(Tone::Bad, "x"), "x");
    }
}
