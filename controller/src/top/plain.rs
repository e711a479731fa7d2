//! The screen without a screen: a table or a line of JSON for each look, for pipes, scripts and logs.

use serde_json::{Map, Value, json};

use super::{columns::COLUMNS, seen::Seen, state::State, view::header};
use crate::text;

/// Version of the JSON. A field may be added without a new one.
pub const SCHEMA: u32 = 1;

/// The host in words and the table, with every column of which something is known.
pub fn table(state: &State) -> String {
    let Some(seen) = &state.seen else { return String::new() };
    let parts = header::parts(state, &seen.status, seen.page());
    let mut text: String = parts.iter().map(|part| format!("{}\n", part.text().trim_end())).collect();
    text.push('\n');
    let known: Vec<_> = COLUMNS
        .iter()
        .filter(|column| state.rows.iter().any(|row| column.value(row) != super::columns::Value::Unknown))
        .collect();
    let mut lines =
        vec![(String::from("CGROUP"), known.iter().map(|it| it.title.to_owned()).collect::<Vec<_>>())];
    for place in &state.places {
        let row = &state.rows[place.row];
        let path = if row.cgroup.path.is_empty() { "/" } else { &row.cgroup.path[place.name_at..] };
        let name = format!("{}{}", "  ".repeat(place.depth), state.look.name(path));
        let cell = |column: &&&super::columns::Column| {
            let value = column.value(row);
            let shown = value.show();
            state.look.name(&shown).into_owned()
        };
        lines.push((name, known.iter().map(|column| cell(&column)).collect()));
    }
    let widest =
        |cells: &mut dyn Iterator<Item = &String>| cells.map(|cell| text::width(cell)).max().unwrap_or(0);
    let name = widest(&mut lines.iter().map(|(name, _)| name));
    let widths: Vec<usize> =
        (0..known.len()).map(|nth| widest(&mut lines.iter().map(|(_, cells)| &cells[nth]))).collect();
    for (path, cells) in &lines {
        let mut line = text::left(path, name, "");
        for ((cell, width), column) in cells.iter().zip(&widths).zip(&known) {
            line.push_str("  ");
            line.push_str(&if column.is_number() {
                text::right(cell, *width, "")
            } else {
                text::left(cell, *width, "")
            });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// One look as an object: the host as `status --json` has it, the cgroups in the order of the table, each with every
/// column.
pub fn json(state: &State) -> Option<Value> {
    let seen: &Seen = state.seen.as_ref()?;
    let status = &seen.status;
    let cgroups: Vec<Value> = state
        .places
        .iter()
        .map(|place| {
            let row = &state.rows[place.row];
            let mut object = Map::new();
            object.insert("cgroup".to_owned(), row.cgroup.path.clone().into());
            object.insert("id".to_owned(), row.cgroup.id.into());
            object.extend(COLUMNS.iter().map(|column| (column.key(), column.value(row).json())));
            Value::Object(object)
        })
        .collect();
    let missing: Vec<&str> = COLUMNS
        .iter()
        .filter(|column| state.rows.iter().all(|row| column.value(row) == super::columns::Value::Unknown))
        .map(|column| column.name)
        .collect();
    Some(json!({
        "schema": SCHEMA,
        "unix_seconds": status.unix_seconds,
        "from": state.origin.label,
        "page_bytes": seen.page(),
        "agent": status.agent,
        "host": status.host,
        "map": status.map,
        "areas": status.areas,
        "missing": missing,
        "cgroups": cgroups,
    }))
}
