//! The state machine by its events: keys and looks in, what is shown and what is to be done out.

use ratatui::crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEventKind};

use super::*;
use crate::{
    serve::status::{CgroupStatus, Status},
    top::{
        columns,
        paint::{Look, Paint, UNICODE},
        state::{order::Sort, prompt::Prompt},
    },
};

fn look(zswap: &[(u64, &str, u64)]) -> Event {
    let cgroups = zswap
        .iter()
        .map(|(id, path, pages)| CgroupStatus {
            id: *id,
            path: (*path).into(),
            zswap_pages: Some(*pages),
            older_than_seconds: Some(600),
            cold_pages: Some(512),
            ..CgroupStatus::default()
        })
        .collect();
    let origin = Origin { label: "agent".into(), is_recorded: false, can_act: true };
    let mut status = Status { cgroups, ..Status::default() };
    status.host.page_bytes = 4096;
    Event::Seen(Box::new(Seen { status, ..Seen::default() }), origin)
}

const THREE: [(u64, &str, u64); 3] = [(1, "a", 30), (2, "b", 20), (3, "c", 10)];

fn state() -> State {
    let look_of = Look { paint: Paint { has_colours: true }, signs: UNICODE };
    let mut state = State::new(Size { width: 80, height: 24 }, look_of, Origin::default());
    state.update(look(&THREE));
    state
}

fn press(state: &mut State, keys: &str) -> Option<Effect> {
    let mut effect = None;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\x1b' => KeyCode::Esc,
            '\x08' => KeyCode::Backspace,
            key => KeyCode::Char(key),
        };
        effect = state.update(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
    effect
}

fn paths(state: &State) -> Vec<&str> {
    state.places.iter().map(|place| state.rows[place.row].cgroup.path.as_str()).collect()
}

#[test]
fn the_cursor_stays_in_its_line_or_goes_with_its_cgroup_when_it_follows() {
    let turned = look(&[(1, "a", 10), (2, "b", 20), (3, "c", 30)]);
    let mut state = self::state();
    state.update(turned.clone());
    assert_eq!((state.cursor, state.chosen_row().unwrap().cgroup.path.as_str()), (0, "c"));
    let mut state = self::state();
    press(&mut state, "F");
    state.update(turned);
    assert_eq!((state.cursor, state.chosen_row().unwrap().cgroup.path.as_str()), (2, "a"));
}

#[test]
fn a_new_cgroup_under_an_old_name_is_not_the_one_that_was_followed() {
    let mut state = state();
    press(&mut state, "jF");
    state.update(look(&[(1, "a", 30), (9, "b", 5), (3, "c", 10)]));
    // `b` of id 2 is gone; what stands in its line now is `c`.
    assert_eq!(state.chosen, Some(3));
}

#[test]
fn a_pause_holds_the_picture_and_shows_the_latest_when_it_ends() {
    let mut state = state();
    press(&mut state, "p");
    state.update(look(&[(7, "new", 1)]));
    assert_eq!(paths(&state), ["a", "b", "c"]);
    state.update(look(&[(8, "newer", 1)]));
    press(&mut state, "p");
    assert_eq!(paths(&state), ["newer"]);
}

#[test]
fn a_filter_is_typed_kept_or_taken_back() {
    let mut state = state();
    press(&mut state, "/b");
    assert_eq!(paths(&state), ["b"]);
    press(&mut state, "\x1b");
    assert_eq!(paths(&state), ["a", "b", "c"]);
    // While it is typed, `q` is a letter.
    assert_eq!(press(&mut state, "/q"), None);
    assert!(paths(&state).is_empty());
    press(&mut state, "\x08c\n");
    assert_eq!(paths(&state), ["c"]);
    press(&mut state, "\x1b");
    assert_eq!(paths(&state), ["a", "b", "c"]);
}

#[test]
fn writing_back_asks_first_and_begins_with_what_the_policy_says() {
    let mut state = state();
    assert_eq!(press(&mut state, "jw"), None);
    let Some(Prompt::Writeback(order)) = &state.prompt else { panic!("nothing is asked") };
    // 512 cold pages of 4 KiB are 2 MiB.
    assert_eq!((order.cgroup.as_str(), &order.fields), ("b", &["10m".to_owned(), "2M".to_owned()]));
    let effect = press(&mut state, "\n");
    let ask =
        Ask::Writeback { cgroup: "b".into(), older_than: 600, pages: 512, dialect: None, dry_run: false };
    assert_eq!((effect, &state.prompt), (Some(Effect::Act(ask)), &None));
    assert_eq!(press(&mut state, "w\x1b"), None);
    assert_eq!(state.prompt, None);
}

#[test]
fn an_order_that_makes_no_sense_is_not_carried_out_and_says_why() {
    let mut state = state();
    assert_eq!(press(&mut state, "w\tx\n"), None);
    let Some(Prompt::Writeback(order)) = &state.prompt else { panic!("the question is gone") };
    assert!(order.fault.as_ref().unwrap().starts_with("at most: "), "{order:?}");
}

#[test]
fn without_an_agent_nothing_is_asked_and_it_is_said_why() {
    let mut state = state();
    state.origin.can_act = false;
    for key in ["w", "c", "R"] {
        assert_eq!(press(&mut state, key), None);
        assert!(state.prompt.is_none() && state.notice.as_ref().unwrap().0, "{key}");
    }
}

#[test]
fn reading_policies_anew_asks_first() {
    let mut state = state();
    assert_eq!(press(&mut state, "R"), None);
    assert_eq!(press(&mut state, "n"), None);
    press(&mut state, "R");
    assert_eq!(press(&mut state, "y"), Some(Effect::Act(Ask::Reload { dry_run: false })));
}

#[test]
fn a_way_to_disk_is_closed_and_what_was_closed_by_hand_is_opened_and_both_ask_first() {
    let mut state = state();
    let path = state.chosen_row().unwrap().cgroup.path.clone();
    assert_eq!(press(&mut state, "c"), None);
    assert_eq!(press(&mut state, "n"), None);
    assert_eq!(press(&mut state, "c"), None);
    let close = Ask::Close { cgroup: path.clone().into(), dry_run: false };
    assert_eq!(press(&mut state, "y"), Some(Effect::Act(close)));
    let chosen = state.places[state.cursor].row;
    state.rows[chosen].cgroup.closed_by_hand = true;
    press(&mut state, "c");
    let open = Ask::Open { cgroup: path.into(), dry_run: false };
    assert_eq!(press(&mut state, "y"), Some(Effect::Act(open)));
}

#[test]
fn only_a_recording_is_gone_through_and_it_stands_still_then() {
    let mut state = state();
    assert_eq!(press(&mut state, "]"), None);
    state.origin.is_recorded = true;
    assert_eq!(press(&mut state, "]"), Some(Effect::Jump(Jump::By(1))));
    assert!(state.is_paused);
    assert_eq!(press(&mut state, "s00:01\n"), Some(Effect::Jump(Jump::To(60))));
    assert_eq!(press(&mut state, "s25:00\n"), None);
    assert!(state.notice.as_ref().unwrap().1.contains("is no time"));
}

#[test]
fn the_mouse_sorts_by_titles_and_opens_what_is_chosen() {
    let mut state = state();
    let click = |state: &mut State, x, y| {
        let kind = MouseEventKind::Down(MouseButton::Left);
        let mouse = MouseEvent { kind, column: x, row: y, modifiers: KeyModifiers::NONE };
        state.update(Event::Mouse(mouse));
    };
    let body = crate::top::layout::of(&state).body;
    click(&mut state, 2, body.y);
    assert_eq!(state.sort, Sort { column: None, is_descending: false });
    // RAM is the first column: it begins behind the name, which takes 26 of 80.
    click(&mut state, 28, body.y);
    assert_eq!(state.sort.column, columns::find("ram"));
    click(&mut state, 2, body.y + 2);
    assert_eq!((state.cursor, state.is_detail_open), (1, false));
    click(&mut state, 2, body.y + 2);
    assert!(state.is_detail_open);
    assert_eq!(state.focus(), Some("b"));
}

#[test]
fn control_c_leaves_whatever_is_asked() {
    let mut state = state();
    press(&mut state, "/");
    let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(state.update(Event::Key(key)), Some(Effect::Quit));
}

#[test]
fn the_cursor_is_always_on_the_screen() {
    let many: Vec<(u64, String)> = (1..500).map(|id| (id, format!("cgroup-{id:03}"))).collect();
    let many: Vec<_> = many.iter().map(|(id, path)| (*id, path.as_str(), *id)).collect();
    let mut state = state();
    state.update(look(&many));
    for keys in ["G", "g", "jjjjj", "G", "t", "I", "\n", "\n", "/9\n", "\x1b"] {
        press(&mut state, keys);
        let height = usize::from(crate::top::layout::of(&state).body.height.saturating_sub(1)).max(1);
        assert!(
            (state.top..state.top + height).contains(&state.cursor),
            "{keys}: {} {}",
            state.top,
            state.cursor
        );
        assert!(state.top == 0 || state.top + height <= state.places.len(), "{keys}");
    }
}

/// Whatever is pressed, the state can be drawn and stays whole.
mod hostile {
    use proptest::prelude::*;
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::top::{keys::KEYS, view};

    proptest! {
        #[test]
        fn no_sequence_of_keys_breaks_the_screen(
            presses in proptest::collection::vec((0..KEYS.len(), 0usize..3), 0..60),
            width in 1u16..200, height in 1u16..60,
        ) {
            let mut state = super::state();
            state.update(Event::Resize(Size { width, height }));
            for (nth, which) in presses {
                let press = KEYS[nth].presses[which % KEYS[nth].presses.len()];
                state.update(Event::Key(KeyEvent::new(press.0, press.1)));
            }
            state.update(look(&THREE));
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| view::draw(&state, frame)).unwrap();
        }
    }
}
