//! Bytes of a path as text for people, and that text as bytes again.
//!
//! A name in the cgroup tree is any bytes but `/` and NUL, chosen by whoever owns a delegated subtree. The text escapes
//! what cannot be printed. Callers: [`super::CgroupPath`], and the controller for paths of files.
//!
//! Properties
//! - Two paths never have the same text, and [`bytes_of`] gives back the bytes of every text that [`shown`] made.
//! - The text has no control character and none that changes the order or the width of what stands beside it.
//! - A `/` is itself, so that what lies below what can be told from the text as well.

use std::borrow::Cow;

/// The text of these bytes. Each byte that is not UTF-8, and each of a character that cannot be printed, is `\xe9` in
/// lower-case hexadecimal. A backslash is itself, as in systemd's `\x2d`; where it would read as such an escape, it is
/// `\x5c`.
#[must_use]
pub fn shown(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !needs_escape(text) => Cow::Borrowed(text),
        _ => Cow::Owned(escaped(bytes)),
    }
}

/// The bytes of a text that [`shown`] made, or that a person wrote like it.
#[must_use]
pub fn bytes_of(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        if let Some(byte) = escape_at(rest) {
            bytes.push(byte);
            rest = &rest[ESCAPE..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    bytes
}

/// Bytes of an escape: `\xe9`.
const ESCAPE: usize = 4;

/// The byte that `text` begins with as an escape. Bytes that are never escaped, as in systemd's `\x2d`, are no escape.
fn escape_at(text: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = (digit(*high)? << 4) | digit(*low)?;
    matches!(byte, 0..=0x1f | b'\\' | 0x7f..).then_some(byte)
}

fn needs_escape(text: &str) -> bool {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
    !text.as_bytes().iter().all(is_plain)
        && text.char_indices().any(|(at, c)| !is_printable(c) || escape_at(&text.as_bytes()[at..]).is_some())
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + ESCAPE);
    for chunk in bytes.utf8_chunks() {
        for (at, c) in chunk.valid().char_indices() {
            if escape_at(&chunk.valid().as_bytes()[at..]).is_some() || !is_printable(c) {
                escape(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut text);
            } else {
                text.push(c);
            }
        }
        escape(chunk.invalid(), &mut text);
    }
    text
}

fn escape(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        text.push_str(&format!("\\x{byte:02x}"));
    }
}

/// Whether a terminal shows it, and nothing else because of it: no control character, none without a width of its own,
/// none that turns the direction of writing, no end of a line.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes in which backslashes, escapes and bytes outside of UTF-8 are frequent.
    fn names() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            Just(b"\\".to_vec()),
            Just(b"\\x".to_vec()),
            Just(b"\\x5c".to_vec()),
            any::<u8>().prop_map(|byte| format!("\\x{byte:02x}").into_bytes()),
            any::<char>().prop_map(|c| c.to_string().into_bytes()),
        ];
        proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn every_name_is_read_back_from_its_text(name in names()) {
            prop_assert_eq!(bytes_of(&shown(&name)), name);
        }

        #[test]
        fn no_text_has_what_cannot_be_printed(name in names()) {
            prop_assert!(shown(&name).chars().all(is_printable));
        }

        #[test]
        fn a_text_has_a_slash_where_the_name_has_one(name in names()) {
            let parts = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
            prop_assert_eq!(parts(shown(&name).as_bytes()), parts(&name));
        }
    }

    #[test]
    fn what_cannot_be_printed_is_escaped_and_systemds_escapes_are_as_they_are() {
        for (name, text) in [
            (&b"caf\xe9.scope"[..], r"caf\xe9.scope"),
            ("café.scope".as_bytes(), "café.scope"),
            (br"dev-disk\x2d1", r"dev-disk\x2d1"),
            (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
            (b"two\nlines", r"two\x0alines"),
            ("turned \u{202e}".as_bytes(), r"turned \xe2\x80\xae"),
            (br"caf\xe9.scope", r"caf\x5cxe9.scope"),
            (br"a\b", r"a\b"),
            (b"", ""),
        ] {
            assert_eq!(shown(name), text);
        }
        assert_eq!(bytes_of(r"caf\xE9"), b"caf\xe9", "a person may write capitals");
    }
}
