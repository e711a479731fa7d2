//! The keys, one row of [`KEYS`] each: what is pressed, what it means, what the help and `docs/top.md` say of it.
//!
//! What a command does is `update/`'s. While something is typed (a filter, an answer) the keys go there instead.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cmd {
    /// Leave.
    Quit,
    /// Show or hide the help.
    Help,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// Columns further left.
    Left,
    /// Columns further right.
    Right,
    /// Show or hide the details of the cgroup.
    Detail,
    /// Close what is open; else forget the filter.
    Back,
    /// The panes.
    Cgroups,
    /// The panes.
    Areas,
    /// The panes.
    Events,
    /// The next pane.
    NextPane,
    /// Tree or flat.
    Tree,
    /// Sort by the column at the left of the present one.
    SortLeft,
    /// Sort by the column at the right of it.
    SortRight,
    /// Sort the other way around.
    Reverse,
    /// Sort by the column of this name.
    SortBy(&'static str),
    /// Type a filter.
    Filter,
    /// Keep the row on the screen wherever sorting puts it.
    Follow,
    /// Hide or show what is below the cgroup.
    Collapse,
    /// Hide or show what is below every cgroup.
    CollapseAll,
    /// Stop and go on.
    Pause,
    /// Look more often.
    Faster,
    /// Look less often.
    Slower,
    /// A recording: one look back.
    StepBack,
    /// A recording: one look on.
    StepOn,
    /// A recording: a minute back.
    JumpBack,
    /// A recording: a minute on.
    JumpOn,
    /// A recording: type a time.
    Seek,
    /// Write back now.
    Writeback,
    /// Close the way to disk of the cgroup, or open it again.
    Valve,
    /// Have the agent read its policies anew.
    Reload,
    /// Give the mouse back to the terminal, or take it.
    Mouse,
    /// Draw everything anew.
    Redraw,
    /// Stop as the shell's job control does.
    Suspend,
}

impl Cmd {
    /// Whether it goes through a recording.
    pub fn is_of_recordings(self) -> bool {
        matches!(self, Cmd::StepBack | Cmd::StepOn | Cmd::JumpBack | Cmd::JumpOn | Cmd::Seek)
    }
}

/// What keys are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Going about.
    Move,
    /// What is shown.
    Show,
    /// The order.
    Sort,
    /// Time.
    Time,
    /// What changes the host.
    Act,
    /// The program.
    Program,
}

impl Group {
    /// All, in the order of the help.
    pub const ALL: [Group; 6] =
        [Group::Move, Group::Show, Group::Sort, Group::Time, Group::Act, Group::Program];

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Group::Move => "Move",
            Group::Show => "Show",
            Group::Sort => "Sort",
            Group::Time => "Time",
            Group::Act => "Act (asks first)",
            Group::Program => "Program",
        }
    }
}

/// A key with what is held down beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press(pub KeyCode, pub KeyModifiers);

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Any of these.
    pub presses: &'static [Press],
    /// What it means.
    pub cmd: Cmd,
    /// What for.
    pub group: Group,
    /// In a few words.
    pub help: &'static str,
    /// The word beside it in the last line of the screen; none: only in the help.
    pub foot: Option<&'static str>,
}

const fn c(character: char) -> Press {
    Press(KeyCode::Char(character), KeyModifiers::NONE)
}

const fn ctrl(character: char) -> Press {
    Press(KeyCode::Char(character), KeyModifiers::CONTROL)
}

const fn k(code: KeyCode) -> Press {
    Press(code, KeyModifiers::NONE)
}

const fn f(number: u8) -> Press {
    k(KeyCode::F(number))
}

const fn row(presses: &'static [Press], cmd: Cmd, group: Group, help: &'static str) -> Key {
    Key { presses, cmd, group, help, foot: None }
}

const fn shown(
    presses: &'static [Press],
    cmd: Cmd,
    group: Group,
    foot: &'static str,
    help: &'static str,
) -> Key {
    Key { presses, cmd, group, help, foot: Some(foot) }
}

/// All keys, in the order of the help.
pub const KEYS: &[Key] = &[
    row(&[k(KeyCode::Up), c('k')], Cmd::Up, Group::Move, "one row up"),
    row(&[k(KeyCode::Down), c('j')], Cmd::Down, Group::Move, "one row down"),
    row(&[k(KeyCode::PageUp), ctrl('b')], Cmd::PageUp, Group::Move, "a page up"),
    row(&[k(KeyCode::PageDown), ctrl('f')], Cmd::PageDown, Group::Move, "a page down"),
    row(&[k(KeyCode::Home), c('g')], Cmd::First, Group::Move, "the first row"),
    row(&[k(KeyCode::End), c('G')], Cmd::Last, Group::Move, "the last row"),
    row(&[k(KeyCode::Left), c('h')], Cmd::Left, Group::Move, "columns further left"),
    row(&[k(KeyCode::Right), c('l')], Cmd::Right, Group::Move, "columns further right"),
    row(&[c('F')], Cmd::Follow, Group::Move, "follow the cgroup wherever sorting puts it"),
    shown(&[k(KeyCode::Enter), c('i')], Cmd::Detail, Group::Show, "detail", "details of the cgroup, or none"),
    row(&[k(KeyCode::Esc)], Cmd::Back, Group::Show, "close what is open; else forget the filter"),
    row(&[c('1')], Cmd::Cgroups, Group::Show, "cgroups"),
    row(&[c('2')], Cmd::Areas, Group::Show, "swap areas"),
    row(&[c('3')], Cmd::Events, Group::Show, "what was done and what is held back"),
    shown(&[k(KeyCode::Tab)], Cmd::NextPane, Group::Show, "pane", "the next of these three"),
    shown(&[c('t'), f(5)], Cmd::Tree, Group::Show, "tree", "tree or flat"),
    row(&[c(' ')], Cmd::Collapse, Group::Show, "hide or show what is below the cgroup"),
    row(&[c('*')], Cmd::CollapseAll, Group::Show, "hide or show what is below every cgroup"),
    shown(&[c('/'), f(4)], Cmd::Filter, Group::Show, "filter", "only rows that contain a text"),
    shown(&[c('<'), f(6)], Cmd::SortLeft, Group::Sort, "sort", "by the column at the left"),
    row(&[c('>'), f(7)], Cmd::SortRight, Group::Sort, "by the column at the right"),
    row(&[c('I')], Cmd::Reverse, Group::Sort, "the other way around"),
    row(&[c('N')], Cmd::SortBy(""), Group::Sort, "by name"),
    row(&[c('M')], Cmd::SortBy("ram"), Group::Sort, "by RAM"),
    row(&[c('Z')], Cmd::SortBy("zswap"), Group::Sort, "by zswap"),
    row(&[c('D')], Cmd::SortBy("disk"), Group::Sort, "by disk"),
    row(&[c('C')], Cmd::SortBy("cold"), Group::Sort, "by the cold share"),
    row(&[c('B')], Cmd::SortBy("written_back"), Group::Sort, "by what is written back"),
    shown(&[c('p')], Cmd::Pause, Group::Time, "pause", "stop, and go on"),
    row(&[c('+')], Cmd::Faster, Group::Time, "look twice as often"),
    row(&[c('-')], Cmd::Slower, Group::Time, "look half as often"),
    shown(&[c('[')], Cmd::StepBack, Group::Time, "back", "in a recording: one look back"),
    shown(&[c(']')], Cmd::StepOn, Group::Time, "on", "in a recording: one look on"),
    row(&[c('{')], Cmd::JumpBack, Group::Time, "in a recording: a minute back"),
    row(&[c('}')], Cmd::JumpOn, Group::Time, "in a recording: a minute on"),
    shown(&[c('s')], Cmd::Seek, Group::Time, "go to", "in a recording: to a time, as in 14:05:30"),
    shown(&[c('w')], Cmd::Writeback, Group::Act, "write back", "write back pages of the cgroup now"),
    row(&[c('c')], Cmd::Valve, Group::Act, "close the cgroup's way to disk, or open it again"),
    row(&[c('R')], Cmd::Reload, Group::Act, "have the agent read its policies anew"),
    row(&[c('m')], Cmd::Mouse, Group::Program, "give the mouse to the terminal, or take it back"),
    row(&[ctrl('l')], Cmd::Redraw, Group::Program, "draw everything anew"),
    row(&[ctrl('z')], Cmd::Suspend, Group::Program, "back to the shell until `fg`"),
    shown(&[c('?'), f(1)], Cmd::Help, Group::Program, "help", "this help"),
    shown(&[c('q'), f(10), ctrl('c')], Cmd::Quit, Group::Program, "quit", "leave"),
];

/// What a key means.
pub fn command(event: &KeyEvent) -> Option<Cmd> {
    // The shift of a capital letter is in the letter.
    let held = event.modifiers - KeyModifiers::SHIFT;
    KEYS.iter().find(|key| key.presses.contains(&Press(event.code, held))).map(|key| key.cmd)
}

impl Press {
    /// Its name on the keyboard.
    pub fn name(self) -> String {
        let key = match self.0 {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(character) if self.1.contains(KeyModifiers::CONTROL) => {
                character.to_ascii_uppercase().to_string()
            }
            KeyCode::Char(character) => character.to_string(),
            KeyCode::F(number) => format!("F{number}"),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            other => format!("{other:?}"),
        };
        if self.1.contains(KeyModifiers::CONTROL) { format!("Ctrl-{key}") } else { key }
    }
}

impl Key {
    /// Its names, as the help has them.
    pub fn names(&self) -> String {
        self.presses.iter().map(|press| press.name()).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::columns;

    #[test]
    fn no_key_means_two_things() {
        let mut seen: Vec<Press> = Vec::new();
        for press in KEYS.iter().flat_map(|key| key.presses) {
            assert!(!seen.contains(press), "{} twice", press.name());
            seen.push(*press);
        }
    }

    #[test]
    fn a_key_that_sorts_names_a_column() {
        for key in KEYS {
            if let Cmd::SortBy(name) = key.cmd {
                assert!(name.is_empty() || columns::find(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn every_group_of_the_help_has_keys_and_a_capital_needs_no_more_than_itself() {
        for group in Group::ALL {
            assert!(KEYS.iter().any(|key| key.group == group), "{group:?}");
        }
        let capital = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(command(&capital), Some(Cmd::Last));
        assert_eq!(command(&KeyEvent::new(KeyCode::Char('é'), KeyModifiers::NONE)), None);
    }
}
