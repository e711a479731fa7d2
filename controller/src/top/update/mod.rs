//! How the screen's state changes: an event in, perhaps an effect out that the loop carries out. What keys and the mouse do
//! is `keys`'. No IO, and nothing is drawn: `view` is asked how long what it would draw is.

mod keys;

use std::time::Duration;

use ratatui::{
    crossterm::event::{KeyEvent, KeyEventKind, MouseEvent},
    layout::Size,
};

use super::{
    layout,
    seen::{Courses, Follows, Seen, rows},
    source::{Jump, Origin},
    state::{
        Pane, State,
        order::{Place, Wanted, places},
    },
};
use crate::serve::{events, protocol::Ask};

/// Between these the time until the next look can be changed.
pub const PACES: std::ops::RangeInclusive<Duration> = Duration::from_millis(250)..=Duration::from_secs(64);

/// What can happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key.
    Key(KeyEvent),
    /// The mouse.
    Mouse(MouseEvent),
    /// The screen has this size now.
    Resize(Size),
    /// A look at the host, and where it comes from.
    Seen(Box<Seen>, Origin),
    /// There is nothing to see, and why.
    Lost(String),
    /// What became of an act: `Err` when it was not done.
    Answered(Result<String, String>),
}

/// What the loop is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// End.
    Quit,
    /// Ask the agent for an act.
    Act(Ask),
    /// Go elsewhere in the recording.
    Jump(Jump),
    /// Take or give back the mouse.
    Mouse(bool),
    /// Stop until the shell goes on with us.
    Suspend,
    /// Draw everything anew.
    Redraw,
}

impl State {
    /// Takes in what happened.
    pub fn update(&mut self, event: Event) -> Option<Effect> {
        let effect = match event {
            Event::Key(key) if key.kind == KeyEventKind::Release => None,
            Event::Key(key) => self.key(&key),
            Event::Mouse(mouse) => self.mouse(&mouse),
            Event::Resize(size) => {
                self.size = size;
                None
            }
            Event::Seen(seen, origin) => {
                self.origin = origin;
                self.look_at(seen);
                None
            }
            Event::Lost(why) => {
                self.trouble = Some(why);
                None
            }
            Event::Answered(answer) => {
                let is_trouble = answer.is_err();
                self.notice = Some((is_trouble, answer.unwrap_or_else(|why| why)));
                None
            }
        };
        self.keep_in_sight();
        effect
    }

    fn look_at(&mut self, mut seen: Box<Seen>) {
        self.trouble = None;
        self.note_events(&mut seen);
        if self.is_paused && self.seen.is_some() && !self.origin.is_recorded {
            self.waiting = Some(seen);
            return;
        }
        self.show(seen);
    }

    fn show(&mut self, seen: Box<Seen>) {
        self.rows = rows(&seen);
        match seen.follows {
            Follows::Next => self.courses.note(&self.rows),
            Follows::Again => {}
            Follows::Elsewhere => {
                self.courses = Courses::default();
                self.courses.note(&self.rows);
            }
        }
        self.seen = Some(seen);
        self.arrange();
    }

    /// An agent that began anew counts from one again; what it said before is kept, until there is too much.
    fn note_events(&mut self, seen: &mut Seen) {
        if seen.follows == Follows::Elsewhere {
            self.events.clear();
        }
        for event in seen.events.drain(..) {
            if self.events.len() == events::KEPT {
                self.events.pop_front();
            }
            self.events.push_back(event);
        }
    }

    /// Puts the rows in order anew. The cursor stays in its line, or with its cgroup.
    fn arrange(&mut self) {
        let filter = self.filters[Pane::Cgroups as usize].to_lowercase();
        let wanted =
            Wanted { sort: self.sort, is_tree: self.is_tree, filter: &filter, collapsed: &self.collapsed };
        self.places = places(&self.rows, &wanted);
        let holds = |place: &Place| Some(self.rows[place.row].cgroup.id) == self.chosen;
        if (self.is_following || self.is_detail_open)
            && let Some(place) = self.places.iter().position(holds)
        {
            self.cursor = place;
        }
        self.choose(self.cursor);
    }

    fn choose(&mut self, place: usize) {
        self.cursor = place.min(self.places.len().saturating_sub(1));
        self.chosen = self.chosen_row().map(|row| row.cgroup.id);
    }

    /// The cursor's line is on the screen, and the screen is full when there is enough to fill it.
    fn keep_in_sight(&mut self) {
        let height = self.table_height();
        self.top = self.top.min(self.cursor).max((self.cursor + 1).saturating_sub(height));
        self.top = self.top.min(self.places.len().saturating_sub(height));
    }

    /// Rows of the table that fit.
    fn table_height(&self) -> usize {
        usize::from(layout::of(self).body.height.saturating_sub(1)).max(1)
    }
}

#[cfg(test)]
mod tests;
