//! Walking the spanned TOML tree: take a key as a table, a text, a quantity; note what does not fit and go on.
//!
//! Nothing here knows what a key means. A key that is missing gives `Ok(None)`; one that is wrong gives `Err(Noted)`
//! after its fault was noted, so that a reader can tell "absent, take the default" from "already refused".

use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Faults, listed, nearest};
use super::grammar::{SECTIONS, Section};
use crate::units::UnitError;

/// A value with its place in the file.
pub(super) type Node<'a> = Spanned<DeValue<'a>>;

/// The fault is noted already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted;

/// A key's value if it is there; `Err` when it is there and was refused.
pub(super) type Taken<T> = Result<Option<T>, Noted>;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// One table of the file, with the place of its header.
pub(super) struct Table<'a> {
    section: &'static Section,
    entries: &'a DeTable<'a>,
    /// Where `[name]`, or the key of an inline table, stands.
    pub(super) span: Range<usize>,
}

impl<'a> Table<'a> {
    /// The top of the file.
    pub(super) fn top(section: &'static Section, entries: &'a DeTable<'a>) -> Self {
        Table { section, entries, span: 0..0 }
    }

    fn node(&self, key: &str) -> Option<&'a Node<'a>> {
        self.entries.get(key)
    }

    /// Where the word `key` itself stands.
    pub(super) fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.entries.get_key_value(key).map(|(key, _)| key.span())
    }

    /// `demote.older_than`, as messages name it.
    pub(super) fn full_name(&self, key: &str) -> String {
        if self.section.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.section.name) }
    }

    /// Notes every key that the format does not have here.
    pub(super) fn refuse_unknown(&self, faults: &mut Faults<'_>) {
        for key in self.entries.keys() {
            let word: &str = key.get_ref();
            if !self.section.keys.contains(&word) {
                let place = match self.section.name {
                    "" => "at the top of the file".to_owned(),
                    name => format!("in `[{name}]`"),
                };
                let help = help_for_key(word, self.section);
                faults.add(&key.span(), format!("unknown key `{word}` {place}"), Some(help));
            }
        }
    }

    /// The table under `section`'s last word.
    pub(super) fn table(&self, section: &'static Section, faults: &mut Faults<'_>) -> Taken<Table<'a>> {
        let key = section.name.rsplit('.').next().unwrap_or(section.name);
        let Some(node) = self.node(key) else { return Ok(None) };
        match node.get_ref() {
            DeValue::Table(entries) => {
                Ok(Some(Table { section, entries, span: self.key_span(key).unwrap_or(node.span()) }))
            }
            other => Err(self.wrong_type(key, "a table", other, node.span(), faults)),
        }
    }

    /// A string.
    pub(super) fn text(&self, key: &str, faults: &mut Faults<'_>) -> Taken<At<&'a str>> {
        let Some(node) = self.node(key) else { return Ok(None) };
        match node.get_ref() {
            DeValue::String(text) => Ok(Some(At { value: text.as_ref(), span: node.span() })),
            other => Err(self.wrong_type(key, "a string", other, node.span(), faults)),
        }
    }

    /// Where the value of `key` stands, if it is exactly the text `word`. Notes nothing.
    pub(super) fn says(&self, key: &str, word: &str) -> Option<Range<usize>> {
        let node = self.node(key)?;
        (node.get_ref().as_str() == Some(word)).then(|| node.span())
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str, faults: &mut Faults<'_>) -> Taken<bool> {
        let Some(node) = self.node(key) else { return Ok(None) };
        match node.get_ref() {
            DeValue::Boolean(flag) => Ok(Some(*flag)),
            other => Err(self.wrong_type(key, "`true` or `false`", other, node.span(), faults)),
        }
    }

    /// A whole number.
    pub(super) fn integer(&self, key: &str, faults: &mut Faults<'_>) -> Taken<At<i128>> {
        let Some(node) = self.node(key) else { return Ok(None) };
        match node.get_ref() {
            DeValue::Integer(_) => match integer_of(node.get_ref()) {
                Some(value) => Ok(Some(At { value, span: node.span() })),
                None => {
                    Err(note(faults, &node.span(), format!("`{}` is too large", self.full_name(key)), None))
                }
            },
            other => Err(self.wrong_type(key, "an integer", other, node.span(), faults)),
        }
    }

    /// An array of strings. Elements that are something else are noted and left out.
    pub(super) fn texts(
        &self,
        key: &str,
        example: &str,
        faults: &mut Faults<'_>,
    ) -> Taken<At<Vec<At<&'a str>>>> {
        let Some(node) = self.node(key) else { return Ok(None) };
        let DeValue::Array(items) = node.get_ref() else {
            let wanted = format!("an array such as {example}");
            return Err(self.wrong_type(key, &wanted, node.get_ref(), node.span(), faults));
        };
        let mut value = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(text) => value.push(At { value: text.as_ref(), span: item.span() }),
                other => {
                    let message =
                        format!("`{}` holds {}, wanted strings only", self.full_name(key), kind(other));
                    faults.add(&item.span(), message, None);
                }
            }
        }
        Ok(Some(At { value, span: node.span() }))
    }

    /// A quantity with a unit, written as a text; a bare number only where `bare` names its unit.
    pub(super) fn quantity<T>(&self, key: &str, wanted: Wanted, faults: &mut Faults<'_>) -> Taken<At<T>>
    where
        T: FromStr<Err = UnitError>,
    {
        let Some(node) = self.node(key) else { return Ok(None) };
        let text = match node.get_ref() {
            DeValue::String(text) => text.as_ref().to_owned(),
            DeValue::Integer(_) if wanted.bare => match integer_of(node.get_ref()) {
                Some(number) => number.to_string(),
                None => return Err(self.not_a(key, "too large", None, node.span(), faults)),
            },
            other => return Err(self.wrong_type(key, wanted.what, other, node.span(), faults)),
        };
        match text.parse() {
            Ok(value) => Ok(Some(At { value, span: node.span() })),
            Err(error) => {
                let help = error.hint().unwrap_or_else(|| format!("write {}", wanted.what));
                Err(self.not_a(key, error, Some(help), node.span(), faults))
            }
        }
    }

    /// One word of a fixed set.
    pub(super) fn word<T: Copy>(
        &self,
        key: &str,
        known: &[(&'static str, T)],
        faults: &mut Faults<'_>,
    ) -> Taken<At<T>> {
        let Some(text) = self.text(key, faults)? else { return Ok(None) };
        match known.iter().find(|(word, _)| *word == text.value) {
            Some((_, value)) => Ok(Some(At { value: *value, span: text.span })),
            None => {
                let help = help_for_word(text.value, known.iter().map(|(word, _)| *word));
                let error = format!("unknown value `{}`", text.value);
                Err(self.not_a(key, error, Some(help), text.span, faults))
            }
        }
    }

    fn not_a(
        &self,
        key: &str,
        why: impl Display,
        help: Option<String>,
        span: Range<usize>,
        faults: &mut Faults<'_>,
    ) -> Noted {
        note(faults, &span, format!("`{}`: {why}", self.full_name(key)), help)
    }

    fn wrong_type(
        &self,
        key: &str,
        wanted: &str,
        found: &DeValue<'_>,
        span: Range<usize>,
        faults: &mut Faults<'_>,
    ) -> Noted {
        let message = format!("`{}` is {}, wanted {wanted}", self.full_name(key), kind(found));
        note(faults, &span, message, None)
    }
}

/// What a quantity is to look like.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// With its article and an example: `a size such as "64M"`.
    pub(super) what: &'static str,
    /// Whether a TOML integer will do.
    pub(super) bare: bool,
}

pub(super) const SIZE: Wanted = Wanted { what: "a size such as \"64M\"", bare: true };
pub(super) const DURATION: Wanted = Wanted { what: "a duration such as \"10m\"", bare: false };
pub(super) const PERCENTAGE: Wanted = Wanted { what: "a percentage such as \"10%\"", bare: false };
pub(super) const RATE: Wanted = Wanted { what: "a rate such as \"16M/s\"", bare: false };
pub(super) const SHARE_RATE: Wanted = Wanted { what: "a rate such as \"0.2%/min\"", bare: false };
pub(super) const AMOUNT: Wanted =
    Wanted { what: "a size such as \"8G\", a percentage or \"max\"", bare: true };

/// Notes a fault and stands for it.
pub(super) fn note(
    faults: &mut Faults<'_>,
    span: &Range<usize>,
    message: impl Into<String>,
    help: Option<String>,
) -> Noted {
    faults.add(span, message, help);
    Noted
}

/// The help for a word that is none of `known`.
pub(super) fn help_for_word<'k>(word: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known: {}", listed(known)),
    }
}

/// The help for an unknown key: the table it belongs in, else the nearest key here, else all keys here.
fn help_for_key(word: &str, here: &Section) -> String {
    match SECTIONS.iter().find(|section| section.keys.contains(&word)) {
        Some(home) if home.name.is_empty() => format!("`{word}` belongs at the top of the file"),
        Some(home) => format!("`{word}` belongs in `[{}]`", home.name),
        None => help_for_word(word, here.keys.iter().copied()),
    }
}

fn integer_of(value: &DeValue<'_>) -> Option<i128> {
    let integer = value.as_integer()?;
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date-time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
