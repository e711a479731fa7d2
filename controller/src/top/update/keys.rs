//! What keys and the mouse do to the state.

use ratatui::{
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind},
    layout::Position,
};
use swaptier_policies::CgroupPath;

use super::{Effect, PACES};
use crate::{
    serve::protocol::Ask,
    top::{
        columns::{self, COLUMNS},
        keys::{Cmd, command},
        layout,
        seen::Row,
        source::Jump,
        state::{
            Pane, State,
            order::Sort,
            prompt::{Answer, Order, Prompt, time, typed},
        },
        view::overflow,
    },
};

/// Lines that a turn of the wheel goes.
const WHEEL: usize = 3;
/// Seconds that a jump in a recording goes.
const JUMP: i64 = 60;

impl State {
    pub(super) fn key(&mut self, key: &KeyEvent) -> Option<Effect> {
        self.notice = None;
        // Whatever is asked, this ends it all: raw mode would keep it from the kernel.
        if key.code == KeyCode::Char('c') && key.modifiers == KeyModifiers::CONTROL {
            return Some(Effect::Quit);
        }
        match self.prompt.take() {
            Some(prompt) => self.answer(prompt, key),
            None => command(key).and_then(|cmd| self.obey(cmd)),
        }
    }

    fn answer(&mut self, prompt: Prompt, key: &KeyEvent) -> Option<Effect> {
        match prompt {
            Prompt::Filter(before) => self.type_filter(before, key),
            Prompt::Seek(mut text) => match key.code {
                KeyCode::Esc => None,
                KeyCode::Enter => self.seek(&text),
                _ => {
                    typed(&mut text, key);
                    self.prompt = Some(Prompt::Seek(text));
                    None
                }
            },
            Prompt::Reload => match said(key) {
                Some(true) => self.act(Ask::Reload { dry_run: false }, "reading the policies anew"),
                Some(false) => None,
                None => self.ask_again(Prompt::Reload),
            },
            Prompt::Valve { cgroup, is_closed } => match (said(key), is_closed) {
                (Some(true), true) => {
                    self.act(Ask::Open { cgroup: CgroupPath::from_shown(&cgroup), dry_run: false }, "opening")
                }
                (Some(true), false) => self
                    .act(Ask::Close { cgroup: CgroupPath::from_shown(&cgroup), dry_run: false }, "closing"),
                (Some(false), _) => None,
                (None, _) => self.ask_again(Prompt::Valve { cgroup, is_closed }),
            },
            Prompt::Writeback(mut order) => {
                match order.key(key, self.seen.as_ref().map_or(4096, |seen| seen.page())) {
                    Answer::Do(ask) => self.act(ask, "writing back"),
                    Answer::Leave => None,
                    Answer::More => {
                        self.prompt = Some(Prompt::Writeback(order));
                        None
                    }
                }
            }
        }
    }

    fn ask_again(&mut self, prompt: Prompt) -> Option<Effect> {
        self.prompt = Some(prompt);
        None
    }

    fn act(&mut self, ask: Ask, doing: &str) -> Option<Effect> {
        self.notice = Some((false, format!("{doing}: waiting for the agent")));
        Some(Effect::Act(ask))
    }

    fn type_filter(&mut self, before: String, key: &KeyEvent) -> Option<Effect> {
        let nth = self.pane as usize;
        match key.code {
            KeyCode::Enter => return None,
            KeyCode::Esc => self.filters[nth] = before,
            _ => {
                typed(&mut self.filters[nth], key);
                self.prompt = Some(Prompt::Filter(before));
            }
        }
        self.scroll = 0;
        self.arrange();
        None
    }

    fn seek(&mut self, text: &str) -> Option<Effect> {
        let now = self.seen.as_ref().map_or(0, |seen| seen.status.unix_seconds as u64);
        match time(text, now) {
            Some(at) => Some(Effect::Jump(Jump::To(at))),
            None => {
                self.notice = Some((true, format!("`{text}` is no time: write 14:05 or 14:05:30 (UTC)")));
                None
            }
        }
    }

    pub(super) fn obey(&mut self, cmd: Cmd) -> Option<Effect> {
        match cmd {
            Cmd::Quit => return Some(Effect::Quit),
            Cmd::Redraw => return Some(Effect::Redraw),
            Cmd::Suspend => return Some(Effect::Suspend),
            Cmd::Mouse => {
                self.has_mouse = !self.has_mouse;
                return Some(Effect::Mouse(self.has_mouse));
            }
            Cmd::StepBack => return self.jump(Jump::By(-1)),
            Cmd::StepOn => return self.jump(Jump::By(1)),
            Cmd::JumpBack => return self.jump(Jump::Seconds(-JUMP)),
            Cmd::JumpOn => return self.jump(Jump::Seconds(JUMP)),
            Cmd::Up | Cmd::Down | Cmd::PageUp | Cmd::PageDown | Cmd::First | Cmd::Last => self.go(cmd),
            Cmd::Left => self.first_column = self.first_column.saturating_sub(1),
            Cmd::Right => self.first_column = (self.first_column + 1).min(COLUMNS.len() - 1),
            Cmd::Help => self.open_help(!self.is_help_open),
            Cmd::Detail => self.detail(),
            Cmd::Back => self.back(),
            Cmd::Cgroups => self.pane(Pane::Cgroups),
            Cmd::Areas => self.pane(Pane::Areas),
            Cmd::Events => self.pane(Pane::Events),
            Cmd::NextPane => self.pane(Pane::ALL[(self.pane as usize + 1) % Pane::ALL.len()]),
            Cmd::Tree => {
                self.is_tree = !self.is_tree;
                self.arrange();
            }
            Cmd::SortLeft => self.sort_beside(-1),
            Cmd::SortRight => self.sort_beside(1),
            Cmd::SortBy(name) => self.sort(Sort::by(columns::find(name))),
            Cmd::Reverse => self.sort(Sort { is_descending: !self.sort.is_descending, ..self.sort }),
            Cmd::Filter => self.prompt = Some(Prompt::Filter(self.filter().to_owned())),
            Cmd::Follow => self.follow(),
            Cmd::Collapse => self.collapse(),
            Cmd::CollapseAll => self.collapse_all(),
            Cmd::Pause => self.pause(),
            Cmd::Faster => self.pace = (self.pace / 2).max(*PACES.start()),
            Cmd::Slower => self.pace = (self.pace * 2).min(*PACES.end()),
            Cmd::Seek if self.origin.is_recorded => self.prompt = Some(Prompt::Seek(String::new())),
            Cmd::Seek => self.say_not_recorded(),
            Cmd::Writeback => self.order_writeback(),
            Cmd::Valve => self.ask_of_valve(),
            Cmd::Reload if self.origin.can_act => self.prompt = Some(Prompt::Reload),
            Cmd::Reload => self.say_nobody_acts(),
        }
        None
    }

    fn jump(&mut self, jump: Jump) -> Option<Effect> {
        if !self.origin.is_recorded {
            self.say_not_recorded();
            return None;
        }
        self.is_paused = true;
        Some(Effect::Jump(jump))
    }

    fn say_not_recorded(&mut self) {
        self.notice = Some((false, "only a recording can be gone through: --from FILE".to_owned()));
    }

    fn say_nobody_acts(&mut self) {
        self.notice = Some((true, format!("{}: there is no agent to act", self.origin.label)));
    }

    /// The chosen cgroup, where something can be done to it; says why not elsewhere.
    fn row_to_act_on(&mut self) -> Option<&Row> {
        if self.pane != Pane::Cgroups || self.chosen_row().is_none() {
            self.notice = Some((false, "choose a cgroup first".to_owned()));
            return None;
        }
        if !self.origin.can_act {
            self.say_nobody_acts();
            return None;
        }
        self.chosen_row()
    }

    fn ask_of_valve(&mut self) {
        if let Some(row) = self.row_to_act_on() {
            let (cgroup, is_closed) = (row.cgroup.path.clone(), row.cgroup.closed_by_hand);
            self.prompt = Some(Prompt::Valve { cgroup, is_closed });
        }
    }

    fn order_writeback(&mut self) {
        if let Some(row) = self.row_to_act_on() {
            let (cgroup, cold) = (&row.cgroup, row.bytes(row.cgroup.cold_pages));
            self.prompt = Some(Prompt::Writeback(Order::of(&cgroup.path, cgroup.older_than_seconds, cold)));
        }
    }

    /// Lines of whatever the keys scroll: the table's cursor, or what covers it.
    fn go(&mut self, cmd: Cmd) {
        let page = self.table_height().saturating_sub(1).max(1);
        let is_table = !self.is_help_open && self.pane == Pane::Cgroups;
        // With details open, pages go through them and lines through the cgroups.
        let pages_detail = self.is_detail_open && matches!(cmd, Cmd::PageUp | Cmd::PageDown);
        let scrolls_table = is_table && !pages_detail;
        let at = if scrolls_table { self.cursor } else { self.scroll };
        let to = match cmd {
            Cmd::Up => at.saturating_sub(1),
            Cmd::Down => at.saturating_add(1),
            Cmd::PageUp => at.saturating_sub(page),
            Cmd::PageDown => at.saturating_add(page),
            Cmd::First => 0,
            _ => usize::MAX / 2,
        };
        if scrolls_table { self.choose(to) } else { self.scroll = to.min(self.scrollable()) }
    }

    /// How far the help, the details or the pane can be scrolled: drawing knows how long they are.
    fn scrollable(&self) -> usize {
        overflow(self)
    }

    fn open_help(&mut self, is_open: bool) {
        self.is_help_open = is_open;
        self.scroll = 0;
    }

    fn detail(&mut self) {
        if self.pane == Pane::Cgroups && !self.is_help_open {
            self.is_detail_open = !self.is_detail_open;
            self.scroll = 0;
        }
    }

    fn back(&mut self) {
        if self.is_help_open {
            self.open_help(false);
        } else if self.is_detail_open && self.pane == Pane::Cgroups {
            self.detail();
        } else {
            self.filters[self.pane as usize].clear();
            self.arrange();
        }
    }

    fn pane(&mut self, pane: Pane) {
        self.pane = pane;
        self.is_help_open = false;
        self.scroll = 0;
    }

    fn sort(&mut self, sort: Sort) {
        self.sort = sort;
        self.arrange();
    }

    /// The name is at the left of the first column, and the last one beside it.
    fn sort_beside(&mut self, by: i64) {
        let places = COLUMNS.len() as i64 + 1;
        let now = self.sort.column.map_or(0, |column| column as i64 + 1);
        let next = (now + by).rem_euclid(places);
        self.sort(Sort::by(usize::try_from(next - 1).ok()));
    }

    fn follow(&mut self) {
        self.is_following = !self.is_following;
        let what =
            if self.is_following { "the cursor follows its cgroup" } else { "the cursor stays in its line" };
        self.notice = Some((false, what.to_owned()));
    }

    fn collapse(&mut self) {
        let parent = self.places.get(self.cursor).filter(|place| place.is_parent);
        if let Some(id) = parent.map(|place| self.rows[place.row].cgroup.id) {
            if !self.collapsed.remove(&id) {
                self.collapsed.insert(id);
            }
            self.arrange();
        }
    }

    /// The root stays open: there would be nothing left to see.
    fn collapse_all(&mut self) {
        if self.collapsed.is_empty() {
            let ids = self.rows.iter().filter(|row| !row.cgroup.path.is_empty()).map(|row| row.cgroup.id);
            self.collapsed = ids.collect();
        } else {
            self.collapsed.clear();
        }
        self.arrange();
    }

    fn pause(&mut self) {
        self.is_paused = !self.is_paused;
        if let Some(seen) = self.waiting.take().filter(|_| !self.is_paused) {
            self.show(seen);
        }
    }

    pub(super) fn mouse(&mut self, mouse: &MouseEvent) -> Option<Effect> {
        let cmd = match mouse.kind {
            MouseEventKind::ScrollUp => Cmd::Up,
            MouseEventKind::ScrollDown => Cmd::Down,
            MouseEventKind::Down(MouseButton::Left) => {
                self.click(Position { x: mouse.column, y: mouse.row });
                return None;
            }
            _ => return None,
        };
        (0..WHEEL).for_each(|_| self.go(cmd));
        None
    }

    /// A title sorts, a second time the other way around; a row is chosen, a second time opened.
    fn click(&mut self, at: Position) {
        let layout = layout::of(self);
        let is_table = self.pane == Pane::Cgroups && !self.is_help_open && self.prompt.is_none();
        if !is_table || !layout.body.contains(at) {
            return;
        }
        if at.y == layout.body.y {
            return self.click_title(at.x);
        }
        let place = self.top + usize::from(at.y - layout.body.y - 1);
        if place < self.places.len() {
            let is_chosen = place == self.cursor;
            self.choose(place);
            if is_chosen {
                self.detail();
            }
        }
    }

    fn click_title(&mut self, x: u16) {
        let (_, shown) = layout::columns(self.size.width, self.first_column);
        let column = shown.iter().rfind(|shown| shown.x <= x + 1).map(|shown| shown.column);
        match column == self.sort.column {
            true => self.sort(Sort { is_descending: !self.sort.is_descending, ..self.sort }),
            false => self.sort(Sort::by(column)),
        }
    }
}

/// Yes or no; `None`: neither.
fn said(key: &KeyEvent) -> Option<bool> {
    match key.code {
        KeyCode::Enter | KeyCode::Char('y') => Some(true),
        KeyCode::Esc | KeyCode::Char('n' | 'q') => Some(false),
        _ => None,
    }
}
