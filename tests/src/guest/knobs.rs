//! Every kernel value that swaptier may change, read before and after: what differs was not given back.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::{cgroup, kernel, zswap};

/// The files of a cgroup that swaptier writes.
const FILES: [&str; 3] = ["memory.swap.max", "memory.zswap.max", "memory.zswap.writeback"];

/// Values by path; paths of cgroup files are relative to the cgroup root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Knobs(BTreeMap<String, String>);

impl Knobs {
    /// Reads them all, of every cgroup there is.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read() -> Result<Knobs> {
        let mut knobs = BTreeMap::new();
        for (name, value) in zswap::parameters()? {
            knobs.insert(format!("{}/{name}", zswap::PARAMETERS), value);
        }
        walk(Path::new(cgroup::ROOT), &mut knobs)?;
        Ok(Knobs(knobs))
    }

    /// The same but for the values of one cgroup.
    #[must_use]
    pub fn without(mut self, cgroup: &str) -> Knobs {
        let directory = format!("{}/{cgroup}/", cgroup::ROOT);
        self.0.retain(|path, _| !path.starts_with(&directory));
        self
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Files that say something else by now, with the values read here.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn changed_since(&self) -> Result<Vec<(String, String)>> {
        let now = Knobs::read()?;
        let differs =
            |(path, value): &(&String, &String)| now.0.get(*path).is_some_and(|other| other != *value);
        Ok(self.0.iter().filter(differs).map(|(path, value)| (path.clone(), value.clone())).collect())
    }

    /// One line for each value that is not as it was.
    #[must_use]
    pub fn differences(&self, after: &Knobs) -> Vec<String> {
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(after.0.keys()).collect();
        let show = |value: Option<&String>| value.map_or_else(|| "absent".to_owned(), |v| format!("`{v}`"));
        let differs = |name: &&String| self.0.get(*name) != after.0.get(*name);
        let line =
            |name: &String| format!("{name}: {} → {}", show(self.0.get(name)), show(after.0.get(name)));
        names.into_iter().filter(differs).map(line).collect()
    }
}

fn walk(directory: &Path, knobs: &mut BTreeMap<String, String>) -> Result<()> {
    for file in FILES.map(|name| directory.join(name)) {
        if file.exists() {
            knobs.insert(file.display().to_string(), kernel::read(&file)?);
        }
    }
    let entries = std::fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), knobs)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knobs(pairs: &[(&str, &str)]) -> Knobs {
        Knobs(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn a_changed_a_new_and_a_lost_value_are_differences() {
        let before = knobs(&[("a", "max"), ("b", "1"), ("c", "1")]);
        let after = knobs(&[("a", "0"), ("b", "1"), ("d", "2")]);
        assert_eq!(before.differences(&after), ["a: `max` → `0`", "c: `1` → absent", "d: absent → `2`"]);
        assert!(before.differences(&before).is_empty());
    }
}
