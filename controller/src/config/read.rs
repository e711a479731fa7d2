//! Taking typed values out of a TOML text, each with its place: one fault per mistake, all of them at once. Pure.
//!
//! Nothing here knows what a key means. Caller: `config/mod.rs`.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use swaptier_policies::{Fault, Faults, SourceFile};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads one file and collects what is wrong with it.
pub(super) struct Reader<'a> {
    source: &'a SourceFile,
    faults: Faults<'a>,
}

/// One table of the file.
pub(super) struct Table<'a> {
    /// As in `[name]`; empty for the top.
    name: &'static str,
    entries: &'a DeTable<'a>,
    /// Where it stands.
    span: Range<usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a SourceFile) -> Reader<'a> {
        Reader { source, faults: Faults::of(source) }
    }

    /// The whole text as a tree. What is no TOML is noted and gives none: whatever else is wrong would be guessed.
    pub(super) fn parse(&mut self) -> Option<DeTable<'a>> {
        let (tree, errors) = DeTable::parse_recoverable(&self.source.text);
        for error in &errors {
            self.fault(&error.span().unwrap_or(0..0), error.message(), None);
        }
        errors.is_empty().then(|| tree.into_inner())
    }

    /// All faults in the order of the text.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_sorted()
    }

    /// Notes a mistake at the bytes `at`.
    pub(super) fn fault(&mut self, at: &Range<usize>, message: impl Display, help: Option<String>) {
        self.faults.add(at, message.to_string(), help);
    }

    /// Notes every key of `table` that is not in `known`.
    pub(super) fn only(&mut self, table: &Table<'_>, known: &[&str]) {
        for key in table.entries.keys() {
            let word: &str = key.get_ref();
            if !known.contains(&word) {
                let place =
                    if table.name.is_empty() { String::new() } else { format!(" in `[{}]`", table.name) };
                let help = Some(match nearest(word, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known here: {}", listed(known)),
                });
                self.fault(&key.span(), format!("unknown key `{word}`{place}"), help);
            }
        }
    }

    /// The table `[name]`, with only the `known` keys in it. Of a table in a table, `top` has the last word of the name.
    pub(super) fn table<'t>(
        &mut self,
        top: &Table<'t>,
        name: &'static str,
        known: &[&str],
    ) -> Option<Table<'t>> {
        let key = name.rsplit('.').next().unwrap_or(name);
        let value = top.entries.get(key)?;
        let Some(entries) = value.get_ref().as_table() else {
            return self.wrong(top, key, value, "a table");
        };
        let table = Table { name, entries, span: top.key(key).unwrap_or(value.span()) };
        self.only(&table, known);
        Some(table)
    }

    /// All tables `[[name]]`, each with only the `known` keys in it.
    pub(super) fn tables<'t>(
        &mut self,
        top: &Table<'t>,
        name: &'static str,
        known: &[&str],
    ) -> Vec<Table<'t>> {
        let Some(value) = top.entries.get(name) else { return Vec::new() };
        let wanted = "tables: write `[[area]]`";
        let Some(items) = value.get_ref().as_array() else {
            let _noted: Option<()> = self.wrong(top, name, value, wanted);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items.iter() {
            let Some(entries) = item.get_ref().as_table() else {
                let _noted: Option<()> = self.wrong(top, name, item, wanted);
                continue;
            };
            let table = Table { name, entries, span: item.span() };
            self.only(&table, known);
            tables.push(table);
        }
        tables
    }

    /// How many items the list at `key` has.
    pub(super) fn length(&self, table: &Table<'_>, key: &str) -> Option<usize> {
        table.entries.get(key)?.get_ref().as_array().map(|items| items.len())
    }

    /// Whether the text at `key` ends so.
    pub(super) fn ends_with(&self, table: &Table<'_>, key: &str, end: char) -> bool {
        table
            .entries
            .get(key)
            .and_then(|value| value.get_ref().as_str())
            .is_some_and(|text| text.ends_with(end))
    }

    /// A text that says a `T`: a time, a size.
    pub(super) fn quantity<T: FromStr<Err: Display>>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        example: &str,
    ) -> Option<T> {
        let value = table.entries.get(key)?;
        let Some(text) = value.get_ref().as_str() else { return self.wrong(table, key, value, example) };
        match text.parse() {
            Ok(quantity) => Some(quantity),
            Err(error) => {
                let message = format!("`{}`: {error}", table.full_name(key));
                self.fault(&value.span(), message, Some(format!("write {example}")));
                None
            }
        }
    }

    /// A whole number in `range`.
    pub(super) fn integer(
        &mut self,
        table: &Table<'_>,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let value = table.entries.get(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            return self.wrong(table, key, value, "a whole number");
        };
        let number =
            u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| range.contains(n));
        if number.is_none() {
            let message =
                format!("`{}` must be from {} to {}", table.full_name(key), range.start(), range.end());
            self.fault(&value.span(), message, None);
        }
        number
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, table: &Table<'_>, key: &str) -> Option<bool> {
        let value = table.entries.get(key)?;
        value.get_ref().as_bool().or_else(|| self.wrong(table, key, value, "`true` or `false`"))
    }

    /// A text that `accept` takes; `wanted` says what that is.
    pub(super) fn text(
        &mut self,
        table: &Table<'_>,
        key: &str,
        wanted: &str,
        accept: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let value = table.entries.get(key)?;
        match value.get_ref().as_str() {
            Some(text) if accept(text) => Some(text.to_owned()),
            _ => self.wrong(table, key, value, wanted),
        }
    }

    /// A list of texts that `accept` takes.
    pub(super) fn texts(
        &mut self,
        table: &Table<'_>,
        key: &str,
        wanted: &str,
        accept: impl Fn(&str) -> bool,
    ) -> Option<Vec<String>> {
        let value = table.entries.get(key)?;
        let Some(items) = value.get_ref().as_array() else { return self.wrong(table, key, value, wanted) };
        let mut texts = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_str() {
                Some(text) if accept(text) => texts.push(text.to_owned()),
                _ => return self.wrong(table, key, item, wanted),
            }
        }
        Some(texts)
    }

    /// One word of a fixed set.
    pub(super) fn word<T: Copy>(&mut self, table: &Table<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
        let value = table.entries.get(key)?;
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let Some(text) = value.get_ref().as_str() else {
            return self.wrong(table, key, value, &format!("one of {}", listed(&known)));
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let help = match nearest(text, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", listed(&known)),
            };
            self.fault(
                &value.span(),
                format!("`{}`: unknown word `{text}`", table.full_name(key)),
                Some(help),
            );
        }
        found
    }

    /// Where the value of `key` stands.
    pub(super) fn at(&self, table: &Table<'_>, key: &str) -> Range<usize> {
        table.entries.get(key).map_or(0..0, Spanned::span)
    }

    fn wrong<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        wanted: &str,
    ) -> Option<T> {
        let kind = value.get_ref().type_str();
        self.fault(&value.span(), format!("`{}` must be {wanted}, not {kind}", table.full_name(key)), None);
        None
    }
}

impl<'a> Table<'a> {
    /// The top of the file.
    pub(super) fn top(entries: &'a DeTable<'a>) -> Table<'a> {
        Table { name: "", entries, span: 0..0 }
    }

    /// Where it stands: its name, or of one of many its header.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Where the word `key` itself stands, if it is there.
    pub(super) fn key(&self, key: &str) -> Option<Range<usize>> {
        self.entries.get_key_value(key).map(|(key, _)| key.span())
    }

    fn full_name(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

/// The known word that was most likely meant: at most a third of its letters differ.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    let near = known.iter().map(|known| (strsim::damerau_levenshtein(&word, known), *known));
    near.filter(|(distance, known)| *distance <= known.len().max(word.len()) / 3)
        .min()
        .map(|(_, known)| known)
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
