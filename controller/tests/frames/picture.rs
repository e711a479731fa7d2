//! A frame as text: what stands there, and below it how it looks, so that a change of colour is seen in a diff.

use ratatui::{
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};
use unicode_width::UnicodeWidthStr as _;

/// The lines of the screen, then for each line its runs of styles: a letter and how many columns.
pub(super) fn of(screen: &Buffer) -> String {
    let mut legend: Vec<String> = Vec::new();
    let (mut text, mut styles) = (String::new(), String::new());
    for y in 0..screen.area.height {
        let (line, runs) = line(screen, y, &mut legend);
        text.push_str(line.trim_end());
        text.push('\n');
        styles.push_str(&format!("{y:>2}{runs}\n"));
    }
    let legend = legend.iter().enumerate().map(|(nth, style)| format!("{} {style}\n", letter(nth)));
    format!("{text}\nstyles\n{styles}\n{}", legend.collect::<String>())
}

fn line(screen: &Buffer, y: u16, legend: &mut Vec<String>) -> (String, String) {
    let mut text = String::new();
    let mut runs: Vec<(char, u16)> = Vec::new();
    let mut covered = 0;
    for x in 0..screen.area.width {
        let cell = &screen[(x, y)];
        let style = style(cell);
        let nth = legend.iter().position(|known| *known == style).unwrap_or_else(|| {
            legend.push(style);
            legend.len() - 1
        });
        match runs.last_mut() {
            Some((letter_of, length)) if *letter_of == letter(nth) => *length += 1,
            _ => runs.push((letter(nth), 1)),
        }
        // The second column of a wide character holds nothing of its own.
        if covered > 0 {
            covered -= 1;
        } else {
            text.push_str(cell.symbol());
            covered = cell.symbol().width().saturating_sub(1);
        }
    }
    (text, runs.iter().map(|(letter, length)| format!(" {letter}{length}")).collect())
}

fn letter(nth: usize) -> char {
    char::from(b'a' + u8::try_from(nth).unwrap())
}

fn style(cell: &Cell) -> String {
    let mut words = Vec::new();
    if cell.fg != Color::Reset {
        words.push(cell.fg.to_string().to_lowercase());
    }
    if cell.bg != Color::Reset {
        words.push(format!("on {}", cell.bg).to_lowercase());
    }
    words.extend(cell.modifier.iter_names().map(|(name, _): (&str, Modifier)| name.to_lowercase()));
    if words.is_empty() { "plain".to_owned() } else { words.join(" ") }
}
