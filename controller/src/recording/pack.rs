//! Frames as they are stored: a key frame whole, the others as what differs from their key frame. Pure.
//!
//! A frame never rests on the one before it but on its key alone, so that a damaged block costs one frame, and any
//! frame is reached in two reads. Every collection is rows by key: what is new or changed, and what is gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use swaptier_policies::{
    Bytes, CgroupId, CgroupView, Decision, Held, History, HostView, Outcome, Plan, Seconds, Settled,
    Snapshot, Step, Wants,
};

use super::{Frame, Moved, block::Fault, patch};
use crate::serve::{events::Event, status::Status};

/// How many of the last rounds a frame's status keeps.
const ROUNDS: usize = 16;

/// A frame, split into what differs between ticks and what does not.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Parts {
    cgroups: BTreeMap<CgroupId, CgroupView>,
    ages: BTreeMap<CgroupId, Vec<u64>>,
    held: BTreeMap<u32, Held>,
    status: Value,
}

/// What differs between two maps.
#[derive(Debug, Serialize, Deserialize)]
struct Rows<K, V> {
    gone: Vec<K>,
    set: Vec<(K, V)>,
}

/// A frame as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Packed {
    tick: u64,
    /// Checksum of the terms in force.
    pub(super) terms: u32,
    at: Seconds,
    day: u32,
    page_size: Bytes,
    host: HostView,
    history: Option<History>,
    cgroups: Rows<CgroupId, CgroupView>,
    ages: Rows<CgroupId, Vec<u64>>,
    held: Rows<u32, Held>,
    ended: Vec<Settled>,
    decided: Option<Decided>,
    /// A patch of the status.
    status: Option<Value>,
    events: Vec<Event>,
}

/// A decision but for what was held back.
#[derive(Debug, Serialize, Deserialize)]
struct Decided {
    steps: Vec<Step>,
    wants: Wants,
    outcomes: Vec<Outcome>,
}

impl Packed {
    /// What happened.
    pub(super) fn events(self) -> Vec<Event> {
        self.events
    }
}

impl<K: Ord + Copy, V: Clone + PartialEq> Rows<K, V> {
    fn between(base: &BTreeMap<K, V>, now: &BTreeMap<K, V>) -> Self {
        let is_new = |(key, value): &(&K, &V)| base.get(key) != Some(value);
        Self {
            gone: base.keys().filter(|key| !now.contains_key(key)).copied().collect(),
            set: now.iter().filter(is_new).map(|(key, value)| (*key, value.clone())).collect(),
        }
    }

    fn onto(self, mut base: BTreeMap<K, V>) -> BTreeMap<K, V> {
        for key in &self.gone {
            base.remove(key);
        }
        base.extend(self.set);
        base
    }
}

/// Where in the status it is stored what moved: a reader that does not know of it passes it over.
const MOVED: &str = "moved";

/// The status as rows, with what moved. Of the rounds only the last: the others are in the frames before.
fn shown(status: &Status, moved: &BTreeMap<CgroupId, Moved>) -> Value {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    if let Value::Object(fields) = &mut value
        && !moved.is_empty()
    {
        fields.insert(MOVED.to_owned(), serde_json::to_value(moved).unwrap_or_default());
    }
    if let Some(Value::Array(rounds)) = value.get_mut("rounds") {
        rounds.drain(..rounds.len().saturating_sub(ROUNDS));
    }
    patch::objects(value)
}

/// Packs a frame against the parts of its key; against nothing if it is a key itself. Gives its own parts back.
///
/// `last` is the frame before: what was held back at the last decision is the same until the next.
pub(super) fn pack(frame: Frame, last: Option<&Parts>, key: &Parts, terms: u32) -> Option<(Vec<u8>, Parts)> {
    let Frame { tick, unix_ms: _, snapshot, ended, decision, history, status, ages, moved, events } = frame;
    let Snapshot { at, day, page_size, host, cgroups } = snapshot;
    let (decided, held) = match decision {
        None => (None, last.map(|last| last.held.clone()).unwrap_or_default()),
        Some(Decision { plan, outcomes }) => {
            (Some(Decided { steps: plan.steps, wants: plan.wants, outcomes }), (0..).zip(plan.held).collect())
        }
    };
    let parts = Parts {
        cgroups,
        ages,
        held,
        status: status.as_ref().map_or(Value::Null, |status| shown(status, &moved)),
    };
    let packed = Packed {
        tick,
        terms,
        at,
        day,
        page_size,
        host,
        history,
        cgroups: Rows::between(&key.cgroups, &parts.cgroups),
        ages: Rows::between(&key.ages, &parts.ages),
        held: Rows::between(&key.held, &parts.held),
        ended,
        decided,
        status: patch::between(&key.status, &parts.status),
        events,
    };
    Some((to_bytes(&packed)?, parts))
}

/// The frame of a payload, laid over the parts of its key, and its own parts.
pub(super) fn unpack(packed: Packed, unix_ms: u64, key: Parts) -> Result<(Frame, Parts), Fault> {
    let status = match packed.status {
        Some(patch) => patch::onto(key.status, patch),
        None => key.status,
    };
    let parts = Parts {
        cgroups: packed.cgroups.onto(key.cgroups),
        ages: packed.ages.onto(key.ages),
        held: packed.held.onto(key.held),
        status,
    };
    let decision = match packed.decided {
        None => None,
        Some(Decided { steps, wants, outcomes }) => {
            let plan = Plan { steps, held: parts.held.values().cloned().collect(), wants };
            Some(Decision { plan, outcomes })
        }
    };
    let snapshot = Snapshot {
        at: packed.at,
        day: packed.day,
        page_size: packed.page_size,
        host: packed.host,
        cgroups: parts.cgroups.clone(),
    };
    let frame = Frame {
        tick: packed.tick,
        unix_ms,
        snapshot,
        ended: packed.ended,
        decision,
        history: packed.history,
        status: status_of(&parts.status)?,
        ages: parts.ages.clone(),
        moved: moved_of(&parts.status)?,
        events: packed.events,
    };
    Ok((frame, parts))
}

fn status_of(value: &Value) -> Result<Option<Status>, Fault> {
    if value.is_null() {
        return Ok(None);
    }
    serde_json::from_value(patch::arrays(value.clone())).map(Some).map_err(|_| Fault::Contents)
}

fn moved_of(status: &Value) -> Result<BTreeMap<CgroupId, Moved>, Fault> {
    match status.get(MOVED) {
        Some(moved) => serde_json::from_value(moved.clone()).map_err(|_| Fault::Contents),
        None => Ok(BTreeMap::new()),
    }
}

/// As MessagePack with the name of every field: what a later version has more of is left out, and what it has no more is
/// passed over.
pub(super) fn to_bytes<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    rmp_serde::to_vec_named(value).ok()
}

/// What is stored is not nested deeper. Reading calls itself for each level, so a file must not choose how deep.
const MAX_DEPTH: usize = 64;

/// Reads MessagePack, all of it.
pub(super) fn from_bytes<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<T, Fault> {
    let mut reader = rmp_serde::Deserializer::new(&mut bytes);
    reader.set_max_depth(MAX_DEPTH);
    let value = T::deserialize(&mut reader).map_err(|_| Fault::Contents)?;
    if bytes.is_empty() { Ok(value) } else { Err(Fault::Contents) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of one list of one list …
    fn nested(levels: usize) -> Vec<u8> {
        let mut bytes = vec![0x91; levels];
        bytes.push(0x90);
        bytes
    }

    #[test]
    fn what_is_too_deep_or_longer_than_the_file_or_followed_by_more_is_no_contents() {
        assert!(from_bytes::<Value>(&nested(MAX_DEPTH / 2)).is_ok());
        assert_eq!(from_bytes::<Value>(&nested(MAX_DEPTH)), Err(Fault::Contents));
        assert_eq!(from_bytes::<Value>(&nested(1 << 20)), Err(Fault::Contents));
        // A text and a list of 2^32 − 1, of which nothing is there.
        for mark in [0xdb, 0xdd] {
            assert_eq!(from_bytes::<Value>(&[mark, 0xff, 0xff, 0xff, 0xff]), Err(Fault::Contents));
        }
        let mut bytes = to_bytes(&"ten pages").unwrap();
        assert!(from_bytes::<String>(&bytes).is_ok());
        bytes.push(0xc0);
        assert_eq!(from_bytes::<String>(&bytes), Err(Fault::Contents));
    }
}
