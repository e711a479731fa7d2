//! `[match]`: which cgroups a policy is for, and how it ranks among others.

use super::fault::Faults;
use super::walk::{At, Noted, Table, note};
use crate::pattern::Pattern;
use crate::policy::Selector;

/// How many globs one file may have: each is compiled to an automaton of some KiB.
const MOST_GLOBS: usize = 256;

/// Reads the table.
pub(super) fn read(table: &Table<'_>, damaged: bool, faults: &mut Faults<'_>) -> Result<Selector, Noted> {
    table.refuse_unknown(faults);
    for key in ["unit", "label"] {
        refuse_later(table, key, faults);
    }
    let priority = read_priority(table, faults);
    let globs = table.texts("cgroup", "[\"batch.slice/**\"]", faults)?;
    let Some(globs) = globs else {
        if damaged {
            return Err(Noted);
        }
        let help = "say which cgroups it is for: cgroup = [\"batch.slice/**\"]".to_owned();
        return Err(note(faults, &table.span, "`match.cgroup` is missing", Some(help)));
    };
    let patterns = read_patterns(&globs, faults);
    let (include, exclude) = patterns?;
    Ok(Selector { include, exclude, priority: priority? })
}

fn read_priority(table: &Table<'_>, faults: &mut Faults<'_>) -> Result<i32, Noted> {
    let Some(number) = table.integer("priority", faults)? else { return Ok(0) };
    i32::try_from(number.value).map_err(|_| {
        let message = format!("`match.priority`: `{}` does not fit into 32 bits", number.value);
        note(faults, &number.span, message, None)
    })
}

/// The patterns to include and those to exclude.
fn read_patterns(
    globs: &At<Vec<At<&str>>>,
    faults: &mut Faults<'_>,
) -> Result<(Vec<Pattern>, Vec<Pattern>), Noted> {
    if globs.value.len() > MOST_GLOBS {
        let message = format!("`match.cgroup` has {} patterns, the most is {MOST_GLOBS}", globs.value.len());
        let help = "write one pattern with `*`, `**` or `{a,b}` for many".to_owned();
        return Err(note(faults, &globs.span, message, Some(help)));
    }
    let (mut include, mut exclude, mut good) = (Vec::new(), Vec::new(), Ok(()));
    for glob in &globs.value {
        let (list, text) = match glob.value.strip_prefix('!') {
            Some(text) => (&mut exclude, text),
            None => (&mut include, glob.value),
        };
        match Pattern::new(text) {
            Ok(pattern) => list.push(pattern),
            Err(error) => {
                good = Err(note(faults, &glob.span, format!("`match.cgroup`: {error}"), error.hint()))
            }
        }
    }
    good?;
    if include.is_empty() {
        let (message, help) = if exclude.is_empty() {
            ("`match.cgroup` is empty: it matches nothing", "to match every cgroup: [\"**\"]")
        } else {
            ("`match.cgroup` only excludes: it matches nothing", "begin with what to match: [\"**\", \"!…\"]")
        };
        return Err(note(faults, &globs.span, message, Some(help.to_owned())));
    }
    Ok((include, exclude))
}

fn refuse_later(table: &Table<'_>, key: &str, faults: &mut Faults<'_>) {
    if let Ok(Some(text)) = table.text(key, faults) {
        let span = table.key_span(key).unwrap_or(text.span);
        let help = "match by `cgroup`, and remove the key".to_owned();
        faults.add(&span, format!("`match.{key}` is not in force yet"), Some(help));
    }
}
