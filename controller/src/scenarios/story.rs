//! The text of a scenario: lines that are done one after the other, and under each what it shows. Pure.
//!
//! What the lines mean is `verb.rs`'s. Caller: `mod.rs`, which reads a scenario, has it played and compares, or writes what
//! it showed.

use std::fmt::{self, Write as _};

/// What stands before each line that is shown.
const SHOWN: &str = ">";
/// What stands before each line of a text.
const TEXT: &str = "    ";

/// A scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Story {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// A comment, or an empty line.
    Said(String),
    Scene(Scene),
}

/// One thing that is done, and what it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scene {
    /// Its line in the file.
    pub(super) line: usize,
    /// What is done.
    pub(super) act: String,
    /// The text that belongs to it: the lines under it that stand further in.
    pub(super) text: Option<String>,
    /// What it shows, line by line.
    pub(super) shows: Vec<String>,
}

impl Story {
    /// Reads it. A scenario begins with a comment: what it shows.
    pub(super) fn parse(text: &str) -> Result<Story, String> {
        let mut parts: Vec<Part> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let lost = || format!("line {number} belongs to nothing that is done: {line}");
            if let Some(shown) = line.strip_prefix(SHOWN) {
                let scene = last(&mut parts).ok_or_else(lost)?;
                scene.shows.push(shown.strip_prefix(' ').unwrap_or(shown).to_owned());
            } else if let Some(more) = line.strip_prefix(TEXT) {
                let scene = last(&mut parts).filter(|scene| scene.shows.is_empty()).ok_or_else(lost)?;
                let text = scene.text.get_or_insert_default();
                text.push_str(more);
                text.push('\n');
            } else if line.is_empty() || line.starts_with('#') {
                parts.push(Part::Said(line.to_owned()));
            } else {
                let act = line.trim_end().to_owned();
                parts.push(Part::Scene(Scene { line: number, act, text: None, shows: Vec::new() }));
            }
        }
        match parts.first() {
            Some(Part::Said(first)) if first.len() > 2 => Ok(Story { parts }),
            _ => Err("it does not begin with a comment that says what it shows".to_owned()),
        }
    }

    /// What is done, in order.
    pub(super) fn scenes(&self) -> impl Iterator<Item = &Scene> {
        self.parts.iter().filter_map(|part| match part {
            Part::Scene(scene) => Some(scene),
            Part::Said(_) => None,
        })
    }

    /// The same, to change what is shown.
    pub(super) fn scenes_mut(&mut self) -> impl Iterator<Item = &mut Scene> {
        self.parts.iter_mut().filter_map(|part| match part {
            Part::Scene(scene) => Some(scene),
            Part::Said(_) => None,
        })
    }
}

/// The scene that more lines may belong to.
fn last(parts: &mut [Part]) -> Option<&mut Scene> {
    match parts.last_mut() {
        Some(Part::Scene(scene)) => Some(scene),
        _ => None,
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Said(line) => writeln!(f, "{line}")?,
                Part::Scene(scene) => write!(f, "{scene}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.act)?;
        for line in self.text.iter().flat_map(|text| text.lines()) {
            writeln!(f, "{TEXT}{line}")?;
        }
        for line in &self.shows {
            writeln!(f, "{}", format!("{SHOWN} {line}").trim_end())?;
        }
        Ok(())
    }
}

/// Where two plays of a story show different things, for a person.
pub(super) fn differences(expected: &Story, found: &Story) -> String {
    let mut text = String::new();
    for (old, new) in expected.scenes().zip(found.scenes()).filter(|(old, new)| old != new) {
        let of = |shows: &[String], sign: char| {
            shows.iter().map(|line| format!("    {sign} {line}\n")).collect::<String>()
        };
        // Writing into a `String` cannot fail.
        let _ = writeln!(text, "  line {}: {}", old.line, old.act);
        text.push_str(&of(&old.shows, '-'));
        text.push_str(&of(&new.shows, '+'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORY: &str =
        "# Says what it shows.\n\nwrite /a\n    one\n    two\n\n# And then.\ntick\n> x\n>\n> y\n";

    #[test]
    fn a_story_is_written_as_it_was_read() {
        let story = Story::parse(STORY).unwrap();
        assert_eq!(story.to_string(), STORY);
        let scenes: Vec<&Scene> = story.scenes().collect();
        assert_eq!(scenes[0].text.as_deref(), Some("one\ntwo\n"));
        assert_eq!((scenes[1].line, scenes[1].shows.as_slice()), (8, &["x", "", "y"].map(String::from)[..]));
    }

    #[test]
    fn what_belongs_to_nothing_is_a_fault_and_so_is_a_story_that_says_not_what_it_shows() {
        for text in [
            "# A\n> x\n",
            "# A\n    x\n",
            "# A\ntick\n\n> x\n",
            "# A\ntick\n> x\n    y\n",
            "tick\n",
            "",
            "\n",
        ] {
            assert!(Story::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_difference_names_its_line_and_both_sides() {
        let expected = Story::parse("# A\ntick\n> x\ntick\n> same\n").unwrap();
        let mut found = expected.clone();
        found.scenes_mut().next().unwrap().shows = vec!["y".to_owned()];
        assert_eq!(differences(&expected, &found), "  line 2: tick\n    - x\n    + y\n");
        assert_eq!(differences(&expected, &expected), "");
    }
}
