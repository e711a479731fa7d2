//! The path of a kernel file relative to the host's root, as bytes: a cgroup's path is in it, and that is any bytes.
//!
//! Shown like a cgroup's path (`text`). In JSON, which the undo log is, it is a plain text where
//! it is UTF-8, as it always was, and else `{"escaped": …}`: what is read is what was written.

use std::{ffi::OsStr, fmt, os::unix::ffi::OsStrExt as _, path::Path};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CgroupPath, text};

/// Where cgroup v2 is mounted, relative to the root.
pub const CGROUP_ROOT: &str = "sys/fs/cgroup";

/// `sys/fs/cgroup/a/memory.swap.max`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(Vec<u8>);

impl FilePath {
    /// The file called `name` in this directory.
    #[must_use]
    pub fn join(&self, name: impl AsRef<[u8]>) -> FilePath {
        FilePath([self.0.as_slice(), b"/", name.as_ref()].concat())
    }

    /// The last name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// The directory that it is in; empty at the top.
    #[must_use]
    pub fn dir(&self) -> FilePath {
        let slash = self.0.iter().rposition(|byte| *byte == b'/');
        FilePath(slash.map_or_else(Vec::new, |slash| self.0[..slash].to_vec()))
    }

    /// The cgroup whose file it is; `None`: it is none below the cgroup root.
    #[must_use]
    pub fn cgroup(&self) -> Option<CgroupPath> {
        let dir = self.dir();
        let below = dir.0.strip_prefix(CGROUP_ROOT.as_bytes())?;
        (below.is_empty() || below.starts_with(b"/")).then(|| CgroupPath::new(below))
    }
}

impl From<&str> for FilePath {
    fn from(path: &str) -> FilePath {
        FilePath(path.as_bytes().to_vec())
    }
}

impl From<String> for FilePath {
    fn from(path: String) -> FilePath {
        FilePath(path.into_bytes())
    }
}

impl From<&String> for FilePath {
    fn from(path: &String) -> FilePath {
        FilePath::from(path.as_str())
    }
}

impl From<&FilePath> for FilePath {
    fn from(path: &FilePath) -> FilePath {
        path.clone()
    }
}

impl From<Vec<u8>> for FilePath {
    fn from(path: Vec<u8>) -> FilePath {
        FilePath(path)
    }
}

/// What an outcome is about is a file, or the cgroup itself.
impl From<&CgroupPath> for FilePath {
    fn from(path: &CgroupPath) -> FilePath {
        FilePath(path.as_bytes().to_vec())
    }
}

impl AsRef<[u8]> for FilePath {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<Path> for FilePath {
    fn as_ref(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

impl PartialEq<str> for FilePath {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for FilePath {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&text::shown(&self.0))
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// As it stands in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written<'a> {
    Text(std::borrow::Cow<'a, str>),
    Escaped { escaped: std::borrow::Cow<'a, str> },
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(plain) => Written::Text(plain.into()),
            Err(_) => Written::Escaped { escaped: text::shown(&self.0) },
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FilePath, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(plain) => FilePath(plain.into_owned().into_bytes()),
            Written::Escaped { escaped } => FilePath(text::bytes_of(&escaped)),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn json_gives_the_path_back(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            let path = FilePath(bytes);
            let json = serde_json::to_string(&path).unwrap();
            prop_assert_eq!(serde_json::from_str::<FilePath>(&json).unwrap(), path);
        }
    }

    #[test]
    fn a_path_is_written_as_it_was_before_wherever_it_is_text() {
        let file = |cgroup: &[u8]| FilePath::from(CGROUP_ROOT).join(cgroup).join("memory.swap.max");
        let json = |cgroup: &[u8]| serde_json::to_string(&file(cgroup)).unwrap();
        assert_eq!(json(b"a"), r#""sys/fs/cgroup/a/memory.swap.max""#);
        assert_eq!(json(br"a\xe9"), r#""sys/fs/cgroup/a\\xe9/memory.swap.max""#, "a backslash is one");
        assert_eq!(json(b"a\xe9"), r#"{"escaped":"sys/fs/cgroup/a\\xe9/memory.swap.max"}"#);
    }

    #[test]
    fn the_cgroup_of_a_file_is_its_folder_below_the_cgroup_root() {
        let cgroup = |path: &str| FilePath::from(path).cgroup().map(|cgroup| cgroup.to_string());
        assert_eq!(cgroup("sys/fs/cgroup/a/b/memory.swap.max").as_deref(), Some("a/b"));
        assert_eq!(cgroup("sys/fs/cgroup/memory.zswap.writeback").as_deref(), Some(""), "the root's");
        assert_eq!(cgroup("sys/fs/cgroups/a"), None);
        assert_eq!(cgroup("sys/module/zswap/parameters/enabled"), None);
    }
}
