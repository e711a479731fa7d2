//! What the screen is about. Plain data: drawing reads it, and it changes in `update/` and nowhere else.

pub mod order;
pub mod prompt;

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use ratatui::layout::Size;

use super::{
    columns,
    paint::Look,
    seen::{Courses, Row, Seen},
    source::Origin,
};
use crate::serve::events;
use order::{Place, Sort};
use prompt::Prompt;

/// How long until the next look, at first.
pub const PACE: Duration = Duration::from_secs(1);

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
    pub(super) waiting: Option<Box<Seen>>,
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
}
