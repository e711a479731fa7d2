//! How things look: tones as styles, and the signs that lines and bars are drawn with. Pure; nothing is drawn here.
//!
//! No meaning rests on a colour alone: what is coloured is also a word, a sign, bold or reversed. The colours are the
//! terminal's own blue, cyan and yellow, which those who cannot tell red from green tell apart, and which follow
//! whatever theme the terminal has.

#![expect(clippy::disallowed_methods, reason = "the terminal's own words")]

use ratatui::style::{Color, Modifier, Style};

/// What a text is, from which follows how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Ordinary.
    Plain,
    /// Less important than what is beside it.
    Faint,
    /// A heading.
    Strong,
    /// The name of a figure in the header.
    Label,
    /// RAM, and what came back into it.
    Ram,
    /// zswap.
    Zswap,
    /// The disk.
    Disk,
    /// Worth a look; always beside a word or a `!`.
    Care,
    /// The row under the cursor.
    Chosen,
    /// Titles of a table.
    Title,
    /// The title of the column that sorts.
    Sorted,
    /// A key in the last line.
    Key,
}

/// Whether colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    /// `false`: only bold, faint, underlined and reversed (`NO_COLOR`, <https://no-color.org>).
    pub has_colours: bool,
}

impl Paint {
    /// The style of a tone.
    pub fn of(self, tone: Tone) -> Style {
        let style = Style::new();
        let coloured = |colour: Color| if self.has_colours { style.fg(colour) } else { style };
        match tone {
            Tone::Plain => style,
            Tone::Faint => style.add_modifier(Modifier::DIM),
            Tone::Strong => style.add_modifier(Modifier::BOLD),
            Tone::Label => coloured(Color::Cyan),
            Tone::Ram => style.add_modifier(Modifier::BOLD),
            Tone::Zswap => coloured(Color::Cyan),
            Tone::Disk => coloured(Color::Blue).add_modifier(Modifier::BOLD),
            Tone::Care => coloured(Color::Yellow).add_modifier(Modifier::BOLD),
            Tone::Chosen | Tone::Title | Tone::Key => style.add_modifier(Modifier::REVERSED),
            Tone::Sorted => style.add_modifier(Modifier::REVERSED | Modifier::BOLD | Modifier::UNDERLINED),
        }
    }
}

/// The signs in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signs {
    /// Stands for what was cut out of a text.
    pub cut: &'static str,
    /// The full part of a bar.
    pub full: &'static str,
    /// A part of a bar that is used in another way.
    pub half: &'static str,
    /// The rest of a bar.
    pub rest: &'static str,
    /// Before a child with siblings after it, before the last one, and beside a child's own children.
    pub tree: [&'static str; 4],
    /// A line of small bars, lowest first.
    pub steps: &'static [&'static str],
    /// A line across, of which a title stands.
    pub across: &'static str,
    /// The threshold in a histogram.
    pub mark: &'static str,
    /// Sorted upwards and downwards.
    pub arrows: [&'static str; 2],
    /// Whether names are shown in ASCII too.
    pub is_ascii: bool,
}

/// For terminals that show Unicode.
pub const UNICODE: Signs = Signs {
    cut: "…",
    full: "█",
    half: "▒",
    rest: "·",
    tree: ["├─", "└─", "│ ", "  "],
    steps: &[" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    across: "─",
    mark: "◀",
    arrows: ["▲", "▼"],
    is_ascii: false,
};

/// For those that do not.
pub const ASCII: Signs = Signs {
    cut: "~",
    full: "#",
    half: "=",
    rest: ".",
    tree: ["|-", "`-", "| ", "  "],
    steps: &[" ", "_", ".", "-", "=", "*", "#"],
    across: "-",
    mark: "<",
    arrows: ["^", "v"],
    is_ascii: true,
};

/// How everything on a screen looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Colours.
    pub paint: Paint,
    /// Signs.
    pub signs: Signs,
}

impl Look {
    /// By the environment: `NO_COLOR`, and `LC_ALL`, `LC_CTYPE` or `LANG`, whichever is set first, for the characters.
    pub fn of_environment(wants_ascii: bool) -> Look {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let speaks_unicode = locale.contains("utf-8") || locale.contains("utf8");
        Look {
            paint: Paint { has_colours: set("NO_COLOR").is_none() },
            signs: if wants_ascii || !speaks_unicode { ASCII } else { UNICODE },
        }
    }

    /// A name from outside as it may be shown.
    pub fn name<'a>(&self, name: &'a str) -> std::borrow::Cow<'a, str> {
        if self.signs.is_ascii { crate::text::ascii(name) } else { crate::text::plain(name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_is_one_column_wide_and_ascii_is_ascii() {
        for signs in [UNICODE, ASCII] {
            let mut all = vec![signs.cut, signs.full, signs.half, signs.rest, signs.across, signs.mark];
            all.extend(signs.steps);
            all.extend(signs.arrows);
            for sign in all {
                assert_eq!(crate::text::width(sign), 1, "{sign}");
                assert!(!signs.is_ascii || sign.is_ascii(), "{sign}");
            }
            for branch in signs.tree {
                assert_eq!(crate::text::width(branch), 2, "{branch}");
            }
        }
    }

    #[test]
    fn without_colours_no_style_has_one() {
        let tones = [Tone::Label, Tone::Zswap, Tone::Disk, Tone::Care, Tone::Chosen, Tone::Sorted];
        for tone in tones {
            let style = Paint { has_colours: false }.of(tone);
            assert_eq!((style.fg, style.bg), (None, None), "{tone:?}");
        }
    }
}
