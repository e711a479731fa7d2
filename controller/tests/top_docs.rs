//! The tables of `docs/top.md` are those of the program: `BLESS=1 cargo test -p swaptier --test top_docs` writes them.

#![expect(clippy::disallowed_methods, reason = "tests make and read files of their own")]
#![expect(clippy::unwrap_used, reason = "a document that cannot be read has failed the test")]

use std::{fs, path::Path};

use swaptier::top::{
    columns::COLUMNS,
    keys::{Group, KEYS},
};

fn keys() -> String {
    let mut table = String::from("| | |\n|---|---|\n");
    for group in Group::ALL {
        table.push_str(&format!("| **{}** | |\n", group.title()));
        for key in KEYS.iter().filter(|key| key.group == group) {
            let names: Vec<String> = key.presses.iter().map(|press| format!("`{}`", press.name())).collect();
            table.push_str(&format!("| {} | {} |\n", names.join(" "), key.help));
        }
    }
    table
}

fn columns() -> String {
    let mut table = String::from("| column | name | in `--json` | |\n|---|---|---|---|\n");
    for column in COLUMNS {
        table.push_str(&format!(
            "| {} | `{}` | `{}` | {} |\n",
            column.title,
            column.name,
            column.key(),
            column.help
        ));
    }
    table
}

/// The text with this table between the marks.
fn with(text: &str, mark: &str, table: &str) -> String {
    let begin = format!("<!-- {mark} -->\n");
    let (before, rest) = text.split_once(&begin).unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    format!("{before}{begin}\n{table}\n<!-- end -->{after}")
}

#[test]
fn the_documents_tables_are_the_programs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/top.md");
    let text = fs::read_to_string(&path).unwrap();
    let made = with(&with(&text, "keys", &keys()), "columns", &columns());
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &made).unwrap();
        return;
    }
    assert_eq!(text, made, "docs/top.md: BLESS=1 cargo test -p swaptier --test top_docs");
}
