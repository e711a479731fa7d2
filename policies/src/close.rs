//! A cgroup whose way to disk is closed by hand: the policy it has, narrowed to that one cgroup and to zswap.
//!
//! What comes of it is an ordinary policy file, so that everything else (the decision, `explain`, `check`, a recording)
//! knows of it without being told. Where the file lies, and how it goes again, is the agent's.
//!
//! Properties: the narrowed policy wins for its cgroup and for no other; its limits are those of the policy it was made
//! of; it writes nothing to disk.

use std::fmt;

use toml::{Table, Value};

use crate::file::{self, fault::SourceFile};
use crate::rules::Use;

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
pub fn closing(path: &str, of: &SourceFile) -> Result<String, Unclosed> {
    let policy = file::read(of).map_err(|_| Unclosed::Unreadable)?;
    match policy.tiers().map(|tiers| tiers.uses) {
        None => return Err(Unclosed::NoTiers),
        Some(Use::Nothing | Use::Zswap) => return Err(Unclosed::NoDisk),
        Some(Use::Disk) => return Err(Unclosed::NoZswap),
        Some(Use::ZswapThenDisk) => {}
    }
    let mut top: Table = of.text.parse().map_err(|_| Unclosed::Unreadable)?;
    for later in ["demote", "offload", "guard"] {
        top.remove(later);
    }
    let selector = Table::from_iter([
        ("cgroup".to_owned(), Value::Array(vec![Value::String(escaped(path))])),
        ("priority".to_owned(), Value::Integer(PRIORITY)),
    ]);
    top.insert("match".to_owned(), Value::Table(selector));
    if let Some(Value::Table(tiers)) = top.get_mut("tiers") {
        tiers.remove("overflow");
        tiers.insert("use".to_owned(), Value::Array(vec![Value::String("zswap".to_owned())]));
    }
    Ok(top.to_string())
}

/// A path as the glob that matches it alone.
fn escaped(path: &str) -> String {
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
