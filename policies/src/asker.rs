//! Who asks for a change. A fact with a type: nothing is decided by the text of a reason or by the name of a file.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who asks for a change of a kernel file, or for pages to be written back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asker {
    /// The host's swap areas: a gate that is closed, limits of a disk that is full.
    Areas,
    /// The policy in the file of this name.
    Policy(String),
    /// `swaptier.toml`.
    Settings,
    /// A person, by a command.
    Hand,
    /// A round of write-back, for as long as it runs; and the pump, for its own cgroup.
    Round,
    /// Nobody that this version knows: a record of another one, in its words.
    Other(String),
}

impl Asker {
    /// The policy, if it is one.
    #[must_use]
    pub fn policy(&self) -> Option<&str> {
        match self {
            Asker::Policy(name) => Some(name),
            Asker::Areas | Asker::Settings | Asker::Hand | Asker::Round | Asker::Other(_) => None,
        }
    }
}

/// As it stands beside a reason: a policy by the name of its file.
impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Asker::Areas => "the swap areas",
            Asker::Policy(name) => name,
            Asker::Settings => "swaptier.toml",
            Asker::Hand => "a command",
            Asker::Round => "a round of write-back",
            Asker::Other(words) => words,
        })
    }
}
