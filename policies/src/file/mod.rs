//! One policy file: text → [`Policy`], or every fault in it.
//!
//! The tree is walked by hand over spans, so that one mistake does not hide the next. Each table has its reader:
//! `selector` for `[match]`, `tiers`, `demote`, and `later` for what is checked but not in force. How several files
//! are ordered and found is in `policy` and `layer`; reading files is the caller's.

mod closed;
mod demote;
pub(crate) mod fault;
pub(crate) mod grammar;
mod later;
mod selector;
mod syntax;
mod tiers;
mod walk;

use toml::de::DeTable;

use crate::policy::Policy;
use fault::{Fault, Faults, SourceFile};
use grammar::{DEMOTE, GUARD, MATCH, OFFLOAD, SCHEMA, TIERS, TOP};
use walk::{Noted, Table};

/// Reads one file.
///
/// # Errors
/// Every fault of the file, in the order of the text.
pub(crate) fn read(source: &SourceFile) -> Result<Policy, Vec<Fault>> {
    let mut faults = Faults::of(source);
    let (tree, errors) = DeTable::parse_recoverable(&source.text);
    syntax::note(&errors, &source.text, &mut faults);
    // What the parser made up to go on is not the author's mistake: such lines are judged once.
    let mut meaning = Faults::of(source);
    let policy = read_top(source, &Table::top(&TOP, tree.get_ref()), !errors.is_empty(), &mut meaning);
    faults.add_where_silent(meaning);
    match policy {
        Ok(policy) if faults.is_empty() => Ok(policy),
        _ => Err(faults.into_sorted()),
    }
}

/// Reads the tables. With `damaged` syntax, what seems to be missing may only be unreadable, and is not noted.
fn read_top(
    source: &SourceFile,
    top: &Table<'_>,
    damaged: bool,
    faults: &mut Faults<'_>,
) -> Result<Policy, Noted> {
    top.refuse_unknown(faults);
    let schema = read_schema(top, damaged, faults);
    let selector = match top.table(&MATCH, faults) {
        Ok(Some(table)) => selector::read(&table, damaged, faults),
        Err(Noted) => Err(Noted),
        Ok(None) if damaged => Err(Noted),
        Ok(None) => Err(walk::note(
            faults,
            &(0..0),
            "`[match]` is missing",
            Some("say which cgroups it is for: [match] cgroup = [\"batch.slice/**\"]".to_owned()),
        )),
    };
    let (uses, tiers) = match top.table(&TIERS, faults) {
        Ok(Some(table)) => {
            let (uses, rule) = tiers::read(&table, damaged, faults);
            (uses.map(Some), rule.map(Some))
        }
        Ok(None) => (Ok(None), Ok(None)),
        Err(Noted) => (Err(Noted), Err(Noted)),
    };
    let demote = match top.table(&DEMOTE, faults) {
        Ok(Some(table)) => demote::read(&table, uses, damaged, faults).map(Some),
        other => other.map(|_| None),
    };
    later::read_offload(top.table(&OFFLOAD, faults), faults);
    later::read_guard(top.table(&GUARD, faults), faults);
    let closed = closed::read(top, source, &selector, uses, faults);
    schema?;
    let selector = selector?;
    Ok(Policy::new(source.file_name().to_owned(), selector, tiers?, demote?).closing(closed?))
}

fn read_schema(top: &Table<'_>, damaged: bool, faults: &mut Faults<'_>) -> Result<(), Noted> {
    let write = || Some(format!("this version reads `schema = {SCHEMA}`"));
    match top.integer("schema", faults)? {
        Some(number) if number.value == i128::from(SCHEMA) => Ok(()),
        Some(number) => {
            Err(walk::note(faults, &number.span, format!("schema {} is not known", number.value), write()))
        }
        None if damaged => Err(Noted),
        None => Err(walk::note(faults, &(0..0), "`schema` is missing", write())),
    }
}
