//! Text from outside on a terminal: what may be shown of it, how wide it is, and short forms of numbers.
//!
//! A cgroup's name is its owner's choice. It must not be able to speak to the terminal, to reorder the line it stands
//! in, or to push the columns beside it out of place. Callers: every command that prints, and `top`.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar as _;

/// `text` on one line, without control characters and without the invisible ones that reorder or hide what is beside
/// them.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    Cow::Owned(plain)
}

/// [`plain`] in ASCII alone.
pub fn ascii(text: &str) -> Cow<'_, str> {
    match plain(text) {
        plain if plain.is_ascii() => plain,
        plain => Cow::Owned(plain.chars().flat_map(escaped).collect()),
    }
}

fn escaped(c: char) -> Box<dyn Iterator<Item = char>> {
    if c.is_ascii() { Box::new(std::iter::once(c)) } else { Box::new(c.escape_default()) }
}

/// Characters of Unicode's general category Cf: joiners, marks and overrides of direction, and the separators of lines.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Columns that `text` takes on a terminal.
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(width_of).sum() }
}

fn width_of(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// `text` in exactly `room` columns, at the left.
pub fn left(text: &str, room: usize, cut: &str) -> String {
    let mut text = shortened(text, room, cut).into_owned();
    text.extend(std::iter::repeat_n(' ', room.saturating_sub(width(&text))));
    text
}

/// `text` in exactly `room` columns, at the right.
pub fn right(text: &str, room: usize, cut: &str) -> String {
    let text = shortened(text, room, cut);
    let mut line = " ".repeat(room.saturating_sub(width(&text)));
    line.push_str(&text);
    line
}

/// `text` in at most `room` columns: what is too long loses its middle, since names differ at both ends. `cut` stands
/// for what is lost, and is one column wide.
pub fn shortened<'a>(text: &'a str, room: usize, cut: &str) -> Cow<'a, str> {
    if width(text) <= room {
        return Cow::Borrowed(text);
    }
    let kept = room.saturating_sub(1);
    let head = taken(text.chars(), kept - kept / 2);
    let tail: Vec<char> = taken(text.chars().rev(), kept - head.iter().copied().map(width_of).sum::<usize>());
    let mut short: String = head.into_iter().collect();
    if room > 0 {
        short.push_str(cut);
    }
    short.extend(tail.into_iter().rev());
    Cow::Owned(short)
}

/// As many characters as fit.
fn taken(characters: impl Iterator<Item = char>, room: usize) -> Vec<char> {
    let mut used = 0;
    characters
        .take_while(|c| {
            used += width_of(*c);
            used <= room
        })
        .collect()
}

/// `text` in lines of at most `room` columns, broken at spaces where there are any. At least one line.
pub fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        if used > 0 && used + width(word.trim_end()) > room {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            if used + width_of(c) > room.max(1) && c != ' ' {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(c);
            }
            used += width_of(c);
        }
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

/// Bytes in at most five columns, units of 1,024: `512`, `9.5K`, `64.0M`, `1023M`.
pub fn size(bytes: u64) -> String {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    if bytes < 1024 {
        return bytes.to_string();
    }
    let (mut unit, mut nth) = (1024u128, 0);
    // What rounds up to 1,024 of a unit is one of the next.
    while u128::from(bytes) * 2 >= unit * 2047 && nth + 1 < UNITS.len() {
        unit *= 1024;
        nth += 1;
    }
    let tenths = (u128::from(bytes) * 10 + unit / 2) / unit;
    match tenths {
        0..1000 => format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[nth]),
        _ => format!("{}{}", (u128::from(bytes) + unit / 2) / unit, UNITS[nth]),
    }
}

/// Seconds in at most five columns: `42s`, `9m05`, `3h20`, `12d4h`, `194d`.
pub fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m{:02}", seconds % 60),
        3_600..86_400 => format!("{hours}h{:02}", minutes % 60),
        _ if days < 100 => format!("{days}d{}h", hours % 24).chars().take(6).collect(),
        _ => format!("{days}d"),
    }
}

/// Microseconds in at most five columns: `16us`, `4.1ms`, `524ms`, `1.0s`.
pub fn micros(micros: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", micros / unit, micros % unit * 10 / unit);
    match micros {
        0..1_000 => format!("{micros}us"),
        1_000..10_000 => tenths(1_000) + "ms",
        10_000..1_000_000 => format!("{}ms", micros / 1_000),
        1_000_000..100_000_000 => tenths(1_000_000) + "s",
        _ => format!("{}s", micros / 1_000_000),
    }
}

/// A number in at most five columns, units of 1,000: `9999`, `10k`, `12M`.
pub fn count(number: u64) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let (mut number, mut nth) = (number, 0);
    while number >= 10_000 && nth + 1 < UNITS.len() {
        number /= 1_000;
        nth += 1;
    }
    format!("{number}{}", UNITS[nth])
}

/// Parts per million as a percentage in at most four columns: `0%`, `<.1%`, `2.5%`, `100%`.
pub fn percent(parts: u64) -> String {
    match parts {
        0 => "0%".to_owned(),
        1..1_000 => "<.1%".to_owned(),
        1_000..99_500 => format!("{}.{}%", parts / 10_000, parts / 1_000 % 10),
        _ => format!("{}%", (parts + 5_000) / 10_000),
    }
}

/// `HH:MM:SS`, of the day in UTC.
#[must_use]
pub fn clock(unix_seconds: u64) -> String {
    let second = unix_seconds % 86_400;
    format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_speak_to_the_terminal_nor_turn_its_line_around() {
        assert_eq!(plain("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(plain("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
        assert_eq!(plain("日本 é"), "日本 é");
        assert_eq!(ascii("日 é"), "\\u{65e5} \\u{e9}");
    }

    #[test]
    fn a_text_takes_exactly_its_room_however_wide_its_characters() {
        for text in ["", "a", "machine.slice", "日本語の名前", "a日b本c", "e\u{301}e\u{301}e\u{301}"]
        {
            for room in 0..14 {
                assert_eq!(width(&left(text, room, "…")), room, "{text} in {room}");
                assert_eq!(width(&right(text, room, "…")), room, "{text} in {room}");
            }
        }
        // Nine columns are eight and the sign: four at each end.
        assert_eq!(left("kubepods-a-b-c", 9, "…"), "kube…-b-c");
    }

    #[test]
    fn a_long_text_is_broken_at_spaces_and_nothing_of_it_is_lost() {
        assert_eq!(wrapped("write back 16384 pages", 11), ["write back", "16384 pages"]);
        assert_eq!(wrapped("aaaaaaa b", 3), ["aaa", "aaa", "a b"]);
        assert_eq!(wrapped("", 3), [""]);
        for room in 1..20 {
            let lines = wrapped("a 日本語 longer-than-the-room b", room.max(2));
            assert_eq!(lines.concat().replace(' ', ""), "a日本語longer-than-the-roomb");
            assert!(lines.iter().all(|line| width(line) <= room.max(2)), "{lines:?}");
        }
    }

    #[test]
    fn durations_and_numbers_take_at_most_five_columns() {
        let shown = [0, 999, 1_024, 9_999, 524_288, 1_048_576, 99_999_999, 100_000_000].map(micros);
        assert_eq!(shown, ["0us", "999us", "1.0ms", "9.9ms", "524ms", "1.0s", "99.9s", "100s"]);
        let shown = [0, 9_999, 10_000, 9_999_999, 10_000_000, u64::MAX].map(count);
        assert_eq!(shown, ["0", "9999", "10k", "9999k", "10M", "18E"]);
    }

    #[test]
    fn a_size_takes_at_most_five_columns() {
        let shown =
            [0, 1023, 1024, 9_728, 64 << 20, 100 << 20, 1023 << 20, (1024 << 20) - 1, u64::MAX].map(size);
        assert_eq!(shown, ["0", "1023", "1.0K", "9.5K", "64.0M", "100M", "1023M", "1.0G", "16.0E"]);
        for shift in 0..64 {
            for near in [1u64 << shift, (1u64 << shift).wrapping_sub(1), (1 << shift) / 3 * 2] {
                assert!(size(near).len() <= 5, "{near}: {}", size(near));
            }
        }
    }

    #[test]
    fn ages_and_shares_are_short() {
        assert_eq!(
            [0, 59, 60, 3_599, 12_000, 86_400, 16_777_215].map(age),
            ["0s", "59s", "1m00", "59m59", "3h20", "1d0h", "194d"]
        );
        assert_eq!(
            [0, 1, 1_000, 25_000, 99_400, 99_500, 1_000_000].map(percent),
            ["0%", "<.1%", "0.1%", "2.5%", "9.9%", "10%", "100%"]
        );
    }
}
