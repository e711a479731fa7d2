//! A cgroup's path: the names from the cgroup root down, as bytes.
//!
//! What is below what is asked here and nowhere else. How a path is shown is `text`'s, the path of a kernel file `file`'s. A path is a label: identity is
//! [`crate::CgroupId`].
//!
//! Properties
//! - `/` separates names; there is none at either end; the root is empty.
//! - As JSON it is its text, as a recording its bytes: both give the same path back.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

mod file;
pub mod text;

pub use file::{CGROUP_ROOT, FilePath};

/// The path of a cgroup below the cgroup root, without a slash at either end: `batch.slice/a`. The root is empty.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CgroupPath(Vec<u8>);

impl CgroupPath {
    /// The root cgroup.
    pub const ROOT: CgroupPath = CgroupPath(Vec::new());

    /// Of these bytes as they are, but for slashes at the ends.
    #[must_use]
    pub fn new(bytes: &[u8]) -> CgroupPath {
        CgroupPath(trimmed(bytes).to_vec())
    }

    /// Of the text that [`fmt::Display`] makes.
    #[must_use]
    pub fn from_shown(text: &str) -> CgroupPath {
        CgroupPath::new(&text::bytes_of(text))
    }

    /// As the kernel has it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is the root cgroup.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The cgroup called `name` in this one.
    #[must_use]
    pub fn join(&self, name: impl AsRef<[u8]>) -> CgroupPath {
        let name = name.as_ref();
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        if !self.is_root() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        CgroupPath(path)
    }

    /// The last name; empty for the root.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.slash().map_or(&self.0, |slash| &self.0[slash + 1..])
    }

    /// The cgroup that this one is in; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<CgroupPath> {
        (!self.is_root()).then(|| CgroupPath(self.slash().map_or(&[][..], |slash| &self.0[..slash]).to_vec()))
    }

    /// All cgroups that this one is in, the nearest first, the root last.
    pub fn above(&self) -> impl Iterator<Item = CgroupPath> + use<> {
        std::iter::successors(self.parent(), CgroupPath::parent)
    }

    /// Whether it lies below `top`, at any depth. No cgroup lies below itself.
    #[must_use]
    pub fn is_below(&self, top: &CgroupPath) -> bool {
        is_below(&self.0, &top.0)
    }

    /// Whether it is `top` or lies below it.
    #[must_use]
    pub fn is_in(&self, top: &CgroupPath) -> bool {
        self == top || self.is_below(top)
    }

    fn slash(&self) -> Option<usize> {
        self.0.iter().rposition(|byte| *byte == b'/')
    }
}

/// Whether `path` lies below `top`: for texts of paths, in which slashes are where they are in the paths.
#[must_use]
pub fn is_below(path: impl AsRef<[u8]>, top: impl AsRef<[u8]>) -> bool {
    let (path, top) = (path.as_ref(), top.as_ref());
    match top.is_empty() {
        true => !path.is_empty(),
        false => path.strip_prefix(top).is_some_and(|rest| rest.first() == Some(&b'/')),
    }
}

fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"/") {
        bytes = rest;
    }
    while let Some(rest) = bytes.strip_suffix(b"/") {
        bytes = rest;
    }
    bytes
}

impl From<&str> for CgroupPath {
    fn from(path: &str) -> CgroupPath {
        CgroupPath::new(path.as_bytes())
    }
}

impl From<String> for CgroupPath {
    fn from(path: String) -> CgroupPath {
        CgroupPath::from(path.as_str())
    }
}

impl AsRef<[u8]> for CgroupPath {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq<str> for CgroupPath {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for CgroupPath {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

/// For people: what cannot be printed is escaped ([`text::shown`]).
impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&text::shown(&self.0))
    }
}

impl fmt::Debug for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for CgroupPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.serialize_str(&text::shown(&self.0)),
            false => serializer.serialize_bytes(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for CgroupPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CgroupPath, D::Error> {
        match deserializer.is_human_readable() {
            true => deserializer.deserialize_str(Shown),
            false => deserializer.deserialize_byte_buf(Raw),
        }
    }
}

/// Reads the text.
struct Shown;

impl Visitor<'_> for Shown {
    type Value = CgroupPath;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path of a cgroup")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<CgroupPath, E> {
        Ok(CgroupPath::from_shown(text))
    }
}

/// Reads the bytes.
struct Raw;

impl<'de> Visitor<'de> for Raw {
    type Value = CgroupPath;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a cgroup's path")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<CgroupPath, E> {
        Ok(CgroupPath::new(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<CgroupPath, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(CgroupPath::new(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Few letters, so that many paths begin alike.
    fn paths() -> impl Strategy<Value = CgroupPath> {
        let name = proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0xe9)], 1..3);
        proptest::collection::vec(name, 0..4)
            .prop_map(|names| names.iter().fold(CgroupPath::ROOT, |path, name| path.join(name)))
    }

    proptest! {
        #[test]
        fn below_is_what_has_the_other_above_it(one in paths(), other in paths()) {
            let is_above = one.above().any(|above| above == other);
            prop_assert_eq!(one.is_below(&other), is_above);
            prop_assert_eq!(is_below(one.to_string(), other.to_string()), is_above, "by their texts");
            prop_assert_eq!(one.is_in(&other), is_above || one == other);
        }

        #[test]
        fn a_path_is_its_parent_and_its_name(path in paths()) {
            let again = path.parent().map(|parent| parent.join(path.name()));
            prop_assert_eq!(again, (!path.is_root()).then(|| path.clone()));
            prop_assert_eq!(path.above().count(), path.as_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty()).count());
        }

        #[test]
        fn json_gives_the_path_back(bytes in any::<Vec<u8>>()) {
            let path = CgroupPath::new(&bytes);
            let json = serde_json::to_string(&path).unwrap();
            prop_assert_eq!(serde_json::from_str::<CgroupPath>(&json).unwrap(), path);
        }
    }

    #[test]
    fn a_name_that_begins_alike_is_not_below() {
        let path = |text: &str| CgroupPath::from(text);
        assert!(path("a/b").is_below(&path("a")) && path("a").is_below(&CgroupPath::ROOT));
        assert!(!path("ab").is_below(&path("a")) && !path("a").is_below(&path("a")));
        assert!(!CgroupPath::ROOT.is_below(&CgroupPath::ROOT));
    }

    #[test]
    fn slashes_at_the_ends_say_nothing() {
        assert_eq!(CgroupPath::from("/a/b/"), "a/b");
        assert!(CgroupPath::from("/").is_root());
    }
}
