//! Golden frames: every scene of `frames/` drawn at every size is exactly `frames/SCENE-WIDTHxHEIGHT.txt`, text and styles.
//!
//! After a change that is meant: `BLESS=1 cargo test -p swaptier --test frames`, read the difference, commit both. What
//! the scenes are is in `scenes.rs`, how a frame becomes text in `picture.rs`.

#![expect(clippy::disallowed_methods, reason = "tests make and read files of their own")]
#![expect(clippy::unwrap_used, reason = "a harness that cannot read its cases has failed")]

#[path = "frames/picture.rs"]
mod picture;
#[path = "frames/recorded.rs"]
mod recorded;
#[path = "frames/scenes.rs"]
mod scenes;

use std::{collections::BTreeSet, fs, path::Path};

use ratatui::{Terminal, backend::TestBackend, layout::Size};
use swaptier::top::{state::State, view};

/// The sizes at which every scene is drawn.
const SIZES: [Size; 3] =
    [Size { width: 80, height: 24 }, Size { width: 120, height: 40 }, Size { width: 200, height: 60 }];

fn drawn(state: &State) -> String {
    let backend = TestBackend::new(state.size.width, state.size.height);
    let mut terminal = Terminal::new(backend).unwrap();
    terminal.draw(|frame| view::draw(state, frame)).unwrap();
    picture::of(terminal.backend().buffer())
}

#[test]
fn frames_are_the_golden_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frames");
    let mut known = BTreeSet::new();
    let mut different = String::new();
    for scene in scenes::SCENES {
        for size in SIZES {
            let name = format!("{}-{}x{}.txt", scene.name, size.width, size.height);
            let found = drawn(&(scene.make)(size));
            let golden = folder.join(&name);
            if std::env::var_os("BLESS").is_some() {
                fs::write(&golden, &found).unwrap();
            }
            let expected = fs::read_to_string(&golden).unwrap_or_default();
            if found != expected {
                different.push_str(&format!("{name}\nexpected:\n{expected}\nfound:\n{found}\n"));
            }
            known.insert(name);
        }
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_orphan = name.ends_with(".txt") && !known.contains(&name);
        assert!(!is_orphan, "{name} belongs to no scene");
    }
    assert!(different.is_empty(), "{different}");
}

/// Nothing may panic or write past the screen, however small it is.
#[test]
fn every_scene_can_be_drawn_at_any_size() {
    for scene in scenes::SCENES {
        for (width, height) in
            [(1, 1), (2, 3), (10, 4), (22, 10), (79, 23), (81, 25), (109, 30), (110, 36), (500, 9)]
        {
            drawn(&(scene.make)(Size { width, height }));
        }
    }
}

#[test]
fn no_frame_has_a_control_character_and_none_in_ascii_anything_else() {
    for scene in scenes::SCENES {
        let state = (scene.make)(SIZES[1]);
        let text = drawn(&state);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{}", scene.name);
        assert!(!state.look.signs.is_ascii || text.is_ascii(), "{}", scene.name);
        assert!(!text.contains('\u{202e}'), "{}: a name turns its line around", scene.name);
    }
}
