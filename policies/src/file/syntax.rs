//! Faults of the TOML itself, in the words of the parser, with help where the slip is a common one.

use toml::de::Error;

use super::fault::Faults;

/// How many syntax faults of one file are worth reading.
const MOST: usize = 20;

/// Notes what the parser could not read.
pub(super) fn note(errors: &[Error], text: &str, faults: &mut Faults<'_>) {
    for error in errors.iter().take(MOST) {
        let span = error.span().unwrap_or(0..0);
        let word = text.get(span.clone()).unwrap_or("").trim();
        let (message, help) = match error.message() {
            "duplicate key" => (
                format!("duplicate key `{word}`"),
                Some("keep one of them, or make one table of both".to_owned()),
            ),
            quoted if quoted.starts_with("string values must be quoted") => match word {
                "" => ("a value is missing".to_owned(), None),
                word => {
                    (format!("`{word}` is not a value"), Some(format!("write strings in quotes: \"{word}\"")))
                }
            },
            other => (format!("invalid TOML: {other}"), None),
        };
        faults.add(&span, message, help);
    }
    if errors.len() > MOST {
        let rest = errors.len() - MOST;
        faults.add(&(text.len()..text.len()), format!("invalid TOML in {rest} more places"), None);
    }
}
