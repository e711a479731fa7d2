//! What an area is called, what kinds there are, and what somebody may ask for. Pure.
//!
//! What exists is `found.rs`'s, what is intended `intended.rs`'s. Callers: the configuration, the commands, `reconcile/`.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};
use swaptier_policies::Bytes;

/// The longest name: with our own words around it, it must fit what the kernel takes (127 bytes) and a swap label (15).
const LONGEST: usize = 15;

/// What all devices of ours begin with.
pub const PREFIX: &str = "swaptier-";

/// How an area holds pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AreaKind {
    /// No storage: a page is in zswap or stays in memory. The kernel's own header-only file where it takes one, else a
    /// device of one readable page whose body fails, else zram.
    Ghost,
    /// No storage, over a zram device that refuses to take pages.
    Zram,
    /// Slots far above the disk: blocks are taken when a page is written back and given back when its slot is freed.
    Virtual,
    /// A partition, a disk or a file as it is.
    Plain,
}

impl AreaKind {
    /// All kinds.
    pub const ALL: [AreaKind; 4] = [AreaKind::Ghost, AreaKind::Zram, AreaKind::Virtual, AreaKind::Plain];

    /// Its word in files and commands.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            AreaKind::Ghost => "ghost",
            AreaKind::Zram => "zram",
            AreaKind::Virtual => "virtual",
            AreaKind::Plain => "plain",
        }
    }

    /// Whether nothing can ever be written to it: who swaps there must have write-back closed.
    #[must_use]
    pub fn is_ghost(self) -> bool {
        matches!(self, AreaKind::Ghost | AreaKind::Zram)
    }
}

impl fmt::Display for AreaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The name of an area: 1 to 15 of `a-z`, `0-9` and `_`, beginning with a letter. Its devices are named
/// `swaptier-NAME-ROLE`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AreaName(String);

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no name of an area: 1 to {LONGEST} of a-z, 0-9 and _, a letter first", .0.escape_debug())]
pub struct NameError(pub String);

impl AreaName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The device-mapper name of the area's device for `role`: `pool`, `data`, `meta`, `crypt`, or the number of a part.
    #[must_use]
    pub fn device(&self, role: impl fmt::Display) -> String {
        format!("{PREFIX}{}-{role}", self.0)
    }
}

impl fmt::Display for AreaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AreaName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_fine = text.len() <= LONGEST
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if is_fine { Ok(AreaName(text.to_owned())) } else { Err(NameError(text.to_owned())) }
    }
}

impl TryFrom<String> for AreaName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<AreaName> for String {
    fn from(name: AreaName) -> String {
        name.0
    }
}

/// What a configuration or a command wants an area to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AreaSpec {
    /// Its name.
    pub name: AreaName,
    /// Its kind.
    pub kind: AreaKind,
    /// *Original* bytes of its slots. `None`: as much as its device holds (plain), or what this host offers at no cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Bytes>,
    /// Where pages go on disk: the disks of a virtual area's pool, or the device of a plain one; absolute paths of block
    /// devices or files. Empty for kinds without storage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<PathBuf>,
    /// Bytes *on disk* of a file among `devices` that is not there yet and shall be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_size: Option<Bytes>,
    /// Higher is used first: 0 to 32,767. `None`: the kernel chooses, below all that were chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
    /// What is on disk is encrypted with a key that only the kernel's memory holds.
    #[serde(default)]
    pub encrypt: bool,
}

impl AreaSpec {
    /// An area of this name and kind, all else as it comes.
    #[must_use]
    pub fn new(name: AreaName, kind: AreaKind) -> AreaSpec {
        AreaSpec {
            name,
            kind,
            size: None,
            devices: Vec::new(),
            file_size: None,
            priority: None,
            encrypt: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_plain_words() {
        for fine in ["a", "main", "cold_2", "abcdefghijklmno"] {
            assert_eq!(fine.parse::<AreaName>().unwrap().as_str(), fine);
        }
        for wrong in ["", "A", "2a", "_a", "a-b", "a/b", "ä", "abcdefghijklmnop", "a b"] {
            assert!(wrong.parse::<AreaName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_device_is_named_after_its_area() {
        let name: AreaName = "main".parse().unwrap();
        assert_eq!(
            (name.device("pool"), name.device(0)),
            ("swaptier-main-pool".into(), "swaptier-main-0".into())
        );
    }

    #[test]
    fn an_area_of_a_file_is_what_it_says() {
        let spec: AreaSpec = toml::from_str(
            "name = \"main\"\nkind = \"virtual\"\nsize = \"64G\"\ndevices = [\"/dev/vdb\"]\npriority = 5\n",
        )
        .unwrap();
        assert_eq!((spec.kind, spec.size, spec.encrypt), (AreaKind::Virtual, Some(Bytes(64 << 30)), false));
        assert!(toml::from_str::<AreaSpec>("name = \"main\"\nkind = \"virtual\"\nsise = 1\n").is_err());
    }
}
