//! What the screen is about. It changes in [`State::update`] and nowhere else: an event in, perhaps an effect out that
//! the loop carries out. No drawing, no IO.

mod keys;
pub mod order;
pub mod prompt;

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use ratatui::{
    crossterm::event::{KeyEvent, KeyEventKind, MouseEvent},
    layout::Size,
};

use super::{
    columns,
    paint::Look,
    seen::{Courses, Follows, Row, Seen, rows},
    source::Jump,
};
use crate::serve::{events, protocol::Ask};
use order::{Place, Sort, Wanted, places};
use prompt::Prompt;

/// How long until the next look, at first.
pub const PACE: Duration = Duration::from_secs(1);
/// Between these it can be changed.
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

/// What the middle of the screen shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    /// The cgroups.
    #[default]
    Cgroups,
    /// The swap areas.
    Areas,
    /// What happened, and what is held back.
    Events,
}

impl Pane {
    /// All, as Tab goes through them.
    pub const ALL: [Pane; 3] = [Pane::Cgroups, Pane::Areas, Pane::Events];

    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            Pane::Cgroups => "cgroups",
            Pane::Areas => "areas",
            Pane::Events => "events",
        }
    }
}

/// Where looks come from, as far as the screen cares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// `agent`, `cgroup files`, or the file of a recording.
    pub label: String,
    /// It is a recording: time can be moved in.
    pub is_recorded: bool,
    /// Somebody is there who can act.
    pub can_act: bool,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct State {
    /// The screen.
    pub size: Size,
    /// Colours and signs.
    pub look: Look,
    /// Where looks come from.
    pub origin: Origin,
    /// What is shown.
    pub seen: Option<Box<Seen>>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Those on the screen, in order.
    pub places: Vec<Place>,
    /// How rates went.
    pub courses: Courses,
    /// What happened, oldest first.
    pub events: VecDeque<events::Event>,
    /// Why there is nothing new to see.
    pub trouble: Option<String>,
    /// What came of the last act or key, until the next key: whether it is trouble, and the words.
    pub notice: Option<(bool, String)>,
    /// The middle.
    pub pane: Pane,
    /// The help covers it.
    pub is_help_open: bool,
    /// Details of the cgroup.
    pub is_detail_open: bool,
    /// Something is typed or to be answered.
    pub prompt: Option<Prompt>,
    /// Time stands still.
    pub is_paused: bool,
    /// From one look to the next.
    pub pace: Duration,
    /// The order of the table.
    pub sort: Sort,
    /// As a tree.
    pub is_tree: bool,
    /// Cgroups whose children are hidden, by id.
    pub collapsed: BTreeSet<u64>,
    /// What the rows of the pane must contain.
    pub filters: [String; 3],
    /// Index in `places` of the chosen row.
    pub cursor: usize,
    /// Its cgroup's id.
    pub chosen: Option<u64>,
    /// The cursor goes where its cgroup goes.
    pub is_following: bool,
    /// The first place on the screen.
    pub top: usize,
    /// The first column on the screen.
    pub first_column: usize,
    /// How far the help, the details, or another pane are scrolled.
    pub scroll: usize,
    /// The mouse is ours.
    pub has_mouse: bool,
    /// The latest look, while time stands still.
    waiting: Option<Box<Seen>>,
}

impl State {
    /// Nothing seen yet.
    pub fn new(size: Size, look: Look, origin: Origin) -> State {
        State {
            size,
            look,
            origin,
            seen: None,
            rows: Vec::new(),
            places: Vec::new(),
            courses: Courses::default(),
            events: VecDeque::new(),
            trouble: None,
            notice: None,
            pane: Pane::Cgroups,
            is_help_open: false,
            is_detail_open: false,
            prompt: None,
            is_paused: false,
            pace: PACE,
            sort: Sort::by(columns::find("zswap")),
            is_tree: true,
            collapsed: BTreeSet::new(),
            filters: Default::default(),
            cursor: 0,
            chosen: None,
            is_following: false,
            top: 0,
            first_column: 0,
            scroll: 0,
            has_mouse: true,
            waiting: None,
        }
    }

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

    /// The path of the cgroup whose details are wanted.
    pub fn focus(&self) -> Option<&str> {
        let row = self.chosen_row().filter(|_| self.is_detail_open)?;
        Some(&row.cgroup.path)
    }

    /// The row under the cursor.
    pub fn chosen_row(&self) -> Option<&Row> {
        self.places.get(self.cursor).map(|place| &self.rows[place.row])
    }

    /// The filter of the pane.
    pub fn filter(&self) -> &str {
        &self.filters[self.pane as usize]
    }

    /// The events that fit the filter, newest first.
    pub fn shown_events(&self) -> impl Iterator<Item = &events::Event> {
        let filter = self.filters[Pane::Events as usize].to_lowercase();
        let fits = move |event: &&events::Event| {
            let words = [Some(&event.text), event.cgroup.as_ref(), event.by.as_ref(), event.reason.as_ref()];
            event.kind.name().contains(&filter)
                || words.into_iter().flatten().any(|word| word.to_lowercase().contains(&filter))
        };
        self.events.iter().rev().filter(fits)
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
        usize::from(super::layout::of(self).body.height.saturating_sub(1)).max(1)
    }
}

#[cfg(test)]
mod tests;
