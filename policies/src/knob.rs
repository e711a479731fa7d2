//! The kernel files of a cgroup that policies set, what they can say, and what was read of them.
//!
//! [`Knob::row`] is the one place that knows a file: its name, its name in a status, what the kernel gives a new cgroup, and
//! whether the root cgroup has one. A new file is a row there, and what a policy wants of it (`decide::tiers`); reading,
//! writing, undoing and showing it follow from the row.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::units::{Bytes, Limit};

/// A kernel file of a cgroup that policies set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knob {
    /// `memory.swap.max`: how much a cgroup may have in swap, in *original* bytes of slots.
    SwapMax,
    /// `memory.swap.high`: swap, in *original* bytes of slots, above which tasks of the cgroup are slowed down while they
    /// allocate, so that somebody can act before they run into the limit.
    SwapHigh,
    /// `memory.zswap.max`: how much a cgroup may have in zswap, in *compressed* bytes. A limit below what is there writes
    /// nothing back: it only refuses what comes next.
    ZswapMax,
    /// `memory.zswap.writeback` (6.8 on): whether pages of a cgroup may go from zswap to disk. The kernel looks at every cgroup
    /// up to the root: a 0 above closes it too.
    ZswapWriteback,
}

/// What is true of a file, whoever sets it.
struct Row {
    file: &'static str,
    name: &'static str,
    says: &'static str,
    fresh: Setting,
    is_on_root: bool,
    is_quiet: bool,
}

impl Knob {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Knob; 4] = [Knob::SwapMax, Knob::SwapHigh, Knob::ZswapMax, Knob::ZswapWriteback];

    fn row(self) -> Row {
        let fresh = Setting::Limit(Limit::Max);
        let limit = |file, name, says| Row { file, name, says, fresh, is_on_root: false, is_quiet: false };
        match self {
            Knob::SwapMax => limit("memory.swap.max", "swap_max", "bytes, or max"),
            Knob::SwapHigh => Row {
                is_quiet: true,
                ..limit(
                    "memory.swap.high",
                    "swap_high",
                    "bytes above which its tasks are slowed down, or max",
                )
            },
            Knob::ZswapMax => limit("memory.zswap.max", "zswap_max", "compressed bytes, or max"),
            Knob::ZswapWriteback => Row {
                file: "memory.zswap.writeback",
                name: "zswap_writeback",
                says: "the way to disk is open",
                fresh: Setting::Valve(true),
                is_on_root: true,
                is_quiet: false,
            },
        }
    }

    /// The name of the file.
    #[must_use]
    pub fn file(self) -> &'static str {
        self.row().file
    }

    /// Its name in a status and in a policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What its value is, in words.
    #[must_use]
    pub fn says(self) -> &'static str {
        self.row().says
    }

    /// What the kernel gives a new cgroup.
    #[must_use]
    pub fn fresh(self) -> Setting {
        self.row().fresh
    }

    /// Whether the root cgroup has this file.
    #[must_use]
    pub fn is_on_root(self) -> bool {
        self.row().is_on_root
    }

    /// Whether a file that says what a new cgroup has is not worth a word: hardly anybody sets it.
    pub(crate) fn is_quiet(self) -> bool {
        self.row().is_quiet
    }

    /// Whose file this is, if any.
    #[must_use]
    pub fn of_file(name: &[u8]) -> Option<Knob> {
        Knob::ALL.into_iter().find(|knob| knob.file().as_bytes() == name)
    }

    fn named(name: &str) -> Option<Knob> {
        Knob::ALL.into_iter().find(|knob| knob.name() == name)
    }

    /// What the text of such a file says; `None`: nothing that it could.
    #[must_use]
    pub fn parse(self, text: &str) -> Option<Setting> {
        let text = text.trim();
        match self.fresh() {
            Setting::Limit(_) if text == "max" => Some(Setting::Limit(Limit::Max)),
            // Digits and nothing else: `u64` itself would take `+1` too.
            Setting::Limit(_) if !text.bytes().all(|byte| byte.is_ascii_digit()) => None,
            Setting::Limit(_) => text.parse().ok().map(|bytes| Setting::Limit(Limit::Bytes(Bytes(bytes)))),
            Setting::Valve(_) => match text {
                "0" => Some(Setting::Valve(false)),
                "1" => Some(Setting::Valve(true)),
                _ => None,
            },
        }
    }
}

/// What such a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// A limit.
    Limit(Limit),
    /// `true`: the way to disk is open.
    Valve(bool),
}

impl Setting {
    /// Whether this lets out more than `other` does.
    #[must_use]
    pub fn is_above(self, other: Setting) -> bool {
        match (self, other) {
            (Setting::Limit(one), Setting::Limit(other)) => one > other,
            (Setting::Valve(one), Setting::Valve(other)) => one && !other,
            _ => false,
        }
    }

    /// What is written into the file.
    #[must_use]
    pub fn kernel_text(self) -> String {
        match self {
            Setting::Limit(Limit::Max) => "max".to_owned(),
            Setting::Limit(Limit::Bytes(bytes)) => bytes.0.to_string(),
            Setting::Valve(is_open) => u8::from(is_open).to_string(),
        }
    }

    /// The same as the kernel keeps it, which rounds limits down to whole pages.
    #[must_use]
    pub fn as_kernel_keeps_it(self, page_size: Bytes) -> Setting {
        match self {
            Setting::Limit(limit) => Setting::Limit(limit.as_kernel_keeps_it(page_size)),
            Setting::Valve(_) => self,
        }
    }
}

impl From<Limit> for Setting {
    fn from(limit: Limit) -> Setting {
        Setting::Limit(limit)
    }
}

impl From<bool> for Setting {
    fn from(is_open: bool) -> Setting {
        Setting::Valve(is_open)
    }
}

/// What was read of these files of one cgroup. A file that is missing, or could not be read, is *unknown*.
///
/// Serialized as a map by [`Knob::name`], a limit as the kernel's own text and a valve as a flag; what is unknown is left out,
/// and so is a file that a reader does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings([Option<Setting>; Knob::ALL.len()]);

impl Settings {
    /// What the kernel gives a new cgroup.
    #[must_use]
    pub fn fresh() -> Settings {
        Settings(Knob::ALL.map(|knob| Some(knob.fresh())))
    }

    /// What the file says.
    #[must_use]
    pub fn get(&self, knob: Knob) -> Option<Setting> {
        self.0[knob as usize]
    }

    /// The limit that the file says.
    #[must_use]
    pub fn limit(&self, knob: Knob) -> Option<Limit> {
        match self.get(knob)? {
            Setting::Limit(limit) => Some(limit),
            Setting::Valve(_) => None,
        }
    }

    /// `memory.zswap.writeback`: whether the way to disk is open.
    #[must_use]
    pub fn valve(&self) -> Option<bool> {
        match self.get(Knob::ZswapWriteback)? {
            Setting::Valve(is_open) => Some(is_open),
            Setting::Limit(_) => None,
        }
    }

    /// Takes in what the file says.
    pub fn set(&mut self, knob: Knob, setting: impl Into<Option<Setting>>) {
        self.0[knob as usize] = setting.into();
    }

    /// These with another value.
    #[must_use]
    pub fn with(mut self, knob: Knob, setting: impl Into<Setting>) -> Settings {
        self.set(knob, setting.into());
        self
    }

    /// These with what was read of a file, if anything was.
    #[must_use]
    pub fn read(mut self, knob: Knob, setting: Option<impl Into<Setting>>) -> Settings {
        self.set(knob, setting.map(Into::into));
        self
    }

    /// These without that file.
    #[must_use]
    pub fn without(mut self, knob: Knob) -> Settings {
        self.set(knob, None);
        self
    }

    /// Whether what the file says is worth a word.
    #[must_use]
    pub fn is_telling(&self, knob: Knob) -> bool {
        !knob.is_quiet() || self.get(knob).is_some_and(|now| now != knob.fresh())
    }

    /// Whether no file is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known().next().is_none()
    }

    /// The files that are known, and what they say.
    pub fn known(&self) -> impl Iterator<Item = (Knob, Setting)> {
        Knob::ALL.into_iter().filter_map(|knob| Some((knob, self.get(knob)?)))
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.known().count()))?;
        for (knob, setting) in self.known() {
            match setting {
                Setting::Limit(_) => map.serialize_entry(knob.name(), &setting.kernel_text())?,
                Setting::Valve(is_open) => map.serialize_entry(knob.name(), &is_open)?,
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Settings, D::Error> {
        deserializer.deserialize_map(ByName)
    }
}

struct ByName;

impl<'de> Visitor<'de> for ByName {
    type Value = Settings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("kernel files by their names in a status")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Settings, A::Error> {
        let mut settings = Settings::default();
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let Some(knob) = Knob::named(&name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            settings.set(
                knob,
                match knob.fresh() {
                    Setting::Limit(_) => knob.parse(&map.next_value::<String>()?),
                    Setting::Valve(_) => Some(Setting::Valve(map.next_value()?)),
                },
            );
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_stands_where_its_number_says() {
        for (place, knob) in Knob::ALL.into_iter().enumerate() {
            assert_eq!(knob as usize, place);
            assert_eq!(
                (Knob::of_file(knob.file().as_bytes()), Knob::named(knob.name())),
                (Some(knob), Some(knob))
            );
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for knob in Knob::ALL {
            for setting in [Limit::Max.into(), Limit::Bytes(Bytes(8192)).into(), true.into(), false.into()] {
                let setting: Setting = setting;
                let is_of_its_kind =
                    std::mem::discriminant(&setting) == std::mem::discriminant(&knob.fresh());
                let read = knob.parse(&format!("{}\n", setting.kernel_text()));
                assert_eq!(
                    read.filter(|read| *read == setting).is_some(),
                    is_of_its_kind,
                    "{knob:?} {setting:?}"
                );
            }
            assert_eq!(knob.parse("2 or more"), None);
        }
    }
}
