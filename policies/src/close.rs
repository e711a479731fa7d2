//! A cgroup whose way to disk is closed by hand: the policy it has, narrowed to that one cgroup and to zswap.
//!
//! What comes of it is an ordinary policy file, so that everything else (the decision, `explain`, `check`, a recording)
//! knows of it without being told. Its key `closed_by_hand` says that it is one. Writing and removing it is the agent's.
//!
//! Properties: the narrowed policy wins for its cgroup and for no other; its limits are those of the policy it was made
//! of; it writes nothing to disk.

use std::fmt;

use toml::{Table, Value};

use crate::file::{self, fault::SourceFile, grammar::SECTIONS};
use crate::path::CgroupPath;
use crate::rules::Use;

/// The folder they are in: gone when the host boots. In no other one does a file close anything by hand.
pub const FOLDER: &str = "/run/swaptier/policies.d";

/// Its priority: above every policy of a person that does not ask for the same.
const PRIORITY: i64 = i32::MAX as i64;

/// Why the way to disk of a cgroup is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclosed {
    /// Its policy sets no limit, so what is there is somebody else's.
    NoTiers,
    /// Its policy uses zswap alone, or nothing.
    NoDisk,
    /// Its policy uses the disk alone: nothing would be left.
    NoZswap,
    /// The file does not read as the policy that it was.
    Unreadable,
}

impl fmt::Display for Unclosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unclosed::NoTiers => "its policy has no [tiers]: memory.zswap.writeback is not swaptier's there",
            Unclosed::NoDisk => "its policy lets nothing of it go to disk",
            Unclosed::NoZswap => "its policy uses the disk alone: closed, nothing of it could be swapped out",
            Unclosed::Unreadable => "its policy cannot be read again",
        })
    }
}

/// The text of the policy that closes the way to disk of the cgroup at `path`, made of the one it has.
///
/// # Errors
/// There is nothing to close.
pub fn closing(path: &CgroupPath, of: &SourceFile) -> Result<String, Unclosed> {
    let policy = file::read(of).map_err(|_| Unclosed::Unreadable)?;
    match policy.tiers().map(|tiers| tiers.uses) {
        None => return Err(Unclosed::NoTiers),
        Some(Use::Nothing | Use::Zswap) => return Err(Unclosed::NoDisk),
        Some(Use::Disk) => return Err(Unclosed::NoZswap),
        Some(Use::ZswapThenDisk) => {}
    }
    let mut top: Table = of.text.parse().map_err(|_| Unclosed::Unreadable)?;
    keep_what_stays(&mut top);
    let selector = Table::from_iter([
        ("cgroup".to_owned(), Value::Array(vec![Value::String(escaped(&path.to_string()))])),
        ("priority".to_owned(), Value::Integer(PRIORITY)),
    ]);
    top.insert("match".to_owned(), Value::Table(selector));
    top.insert("closed_by_hand".to_owned(), Value::String(path.to_string()));
    if let Some(Value::Table(tiers)) = top.get_mut("tiers") {
        tiers.remove("overflow");
        tiers.insert("use".to_owned(), Value::Array(vec![Value::String("zswap".to_owned())]));
    }
    Ok(top.to_string())
}

/// Takes out all but the version and the tables that the grammar lets stay: what is new there was asked about first.
pub(crate) fn keep_what_stays(top: &mut Table) {
    let stays = |key: &str| SECTIONS.iter().any(|table| table.name == key && table.stays_when_closed);
    top.retain(|key, _| key == "schema" || stays(key));
}

/// The text of a path as the glob that matches it alone.
pub(crate) fn escaped(path: &str) -> String {
    let mut glob = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '*' | '?' | '[' | '{' | '}' => glob.extend(['[', c, ']']),
            // At the beginning it would exclude.
            '!' if glob.is_empty() => glob.push_str("{!}"),
            c => glob.push(c),
        }
    }
    glob
}
