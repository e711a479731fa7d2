//! A line of the journal of ticks, read as `explain` and `status` read it.

use swaptier::journal::Entry;
use swaptier_policies::{PolicySet, SourceFile};

use super::policy::{check_laws, check_plan};

const SHIPPED: [(&str, &str); 3] = [
    ("batch.toml", include_str!("../../../policies/batch.toml")),
    ("demo-cold.toml", include_str!("../../../policies/demo-cold.toml")),
    ("interactive.toml", include_str!("../../../policies/interactive.toml")),
];

/// Reads the line. What is read can be written, shown, and decided about again.
pub fn try_one(input: &[u8]) {
    let Some(entry) = Entry::parse(input) else { return };
    let line = serde_json::to_vec(&entry).expect("an entry can be written");
    assert_eq!(Entry::parse(&line).as_ref(), Some(&entry));
    check_plan(&entry.plan, &entry.snapshot);
    let source = |(name, text): &(&str, &str)| SourceFile::text(*name, *text);
    let sources: Vec<SourceFile> = SHIPPED.iter().map(source).collect();
    let set = PolicySet::load(&sources).expect("the shipped policies load");
    check_laws(&set, &entry.snapshot);
}
