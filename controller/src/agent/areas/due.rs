//! What the configuration's areas ask for, against the list of areas there are. Pure: the same two lists, the same things
//! to do.
//!
//! Properties
//! - What is there as it shall be is left alone, whoever made it.
//! - Only what a configuration made is removed by one.
//! - What cannot be changed under a running area is a conflict with its reason, and nothing is done about it.

use std::fmt;
use std::path::{Path, PathBuf};

use swaptier_policies::Bytes;

use crate::config::AreaConfig;
use crate::vswap::{AreaKind, AreaName, AreaRecord, AreaSpec, Intended, Owner, Want};

/// One thing to do about an area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// Make it.
    Create(AreaSpec),
    /// Remove it: the configuration has it no more.
    Remove(AreaName),
    /// Add a disk to its pool.
    GrowDisk(AreaName, PathBuf, Option<Bytes>),
    /// Add slots, of this priority.
    GrowSlots(AreaName, Bytes, Option<u16>),
    /// Remove one of its parts.
    DropPart(AreaName, u32),
    /// Finish what was begun, and switch on what is off.
    Settle,
    /// Have the kernel let go of freed slots.
    GiveBack,
    /// It is another than the configuration says, and cannot become it.
    Conflict(AreaName, String),
    /// It would grow; why it cannot.
    Grow(AreaName),
}

impl Due {
    /// Whether an agent can start although it failed: it is tried again.
    pub(super) fn can_wait(&self) -> bool {
        matches!(self, Due::Remove(_) | Due::DropPart(..) | Due::Settle | Due::GiveBack)
    }
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Due::Create(spec) => write!(f, "create {}", spec.name),
            Due::Remove(name) => write!(f, "remove {name}"),
            Due::GrowDisk(name, path, _) => write!(f, "grow {name} by {}", path.display()),
            Due::GrowSlots(name, size, _) => write!(f, "grow {name} by {size} of slots"),
            Due::DropPart(name, id) => write!(f, "take part {id} from {name}"),
            Due::GiveBack => f.write_str("have freed slots given back"),
            Due::Settle => f.write_str("settle the areas"),
            Due::Conflict(name, _) => write!(f, "have {name} as configured"),
            Due::Grow(name) => write!(f, "grow {name}"),
        }
    }
}

/// What is to be done, the removals first: they free what others may need. `size` is that of an area which has none; `is_same`
/// tells whether two names are those of one disk.
pub(super) fn due(
    config: &[AreaConfig],
    intended: &Intended,
    size: impl Fn(&AreaConfig) -> Result<Bytes, String>,
    is_same: impl Fn(&Path, &Path) -> bool,
) -> Vec<Due> {
    let is_configured = |record: &AreaRecord| config.iter().any(|area| area.spec.name == record.spec.name);
    let gone = intended.areas.iter().filter(|record| record.owner == Owner::Config && !is_configured(record));
    let mut due: Vec<Due> = gone.map(|record| Due::Remove(record.spec.name.clone())).collect();
    for area in config {
        match intended.area(&area.spec.name) {
            Some(record) if record.want == Want::On => due.extend(changed(&area.spec, record, &is_same)),
            Some(record) => {
                let why = format!("it is being taken off (it shall be {})", record.want);
                due.push(Due::Conflict(area.spec.name.clone(), why));
            }
            None => due.push(created(area, &size)),
        }
    }
    due
}

fn created(area: &AreaConfig, size: &impl Fn(&AreaConfig) -> Result<Bytes, String>) -> Due {
    let mut spec = area.spec.clone();
    if spec.size.is_none() && spec.kind != AreaKind::Plain {
        match size(area) {
            Ok(size) => spec.size = Some(size),
            Err(why) => return Due::Conflict(spec.name, why),
        }
    }
    Due::Create(spec)
}

fn changed(spec: &AreaSpec, record: &AreaRecord, is_same: &impl Fn(&Path, &Path) -> bool) -> Vec<Due> {
    let now = &record.spec;
    let is_among = |device: &Path, others: &[PathBuf]| others.iter().any(|other| is_same(device, other));
    let conflict = |why: String| vec![Due::Conflict(spec.name.clone(), why)];
    if spec.kind != now.kind {
        return conflict(format!(
            "it is a {} area, swaptier.toml says {}: remove it first",
            now.kind, spec.kind
        ));
    }
    if spec.encrypt != now.encrypt {
        return conflict("`encrypt` cannot be changed while it is there: remove it first".to_owned());
    }
    if let Some(missing) = now.devices.iter().find(|device| !is_among(device, &spec.devices)) {
        let why =
            format!("{} is in use by it and not in swaptier.toml: move its blocks away", missing.display());
        return conflict(why);
    }
    let more = spec.devices.iter().filter(|device| !is_among(device, &now.devices));
    more.map(|device| Due::GrowDisk(spec.name.clone(), device.clone(), spec.file_size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MemoryBudget;
    use swaptier_policies::Marks;

    fn spec(name: &str, kind: AreaKind, devices: &[&str]) -> AreaSpec {
        let devices = devices.iter().map(PathBuf::from).collect();
        AreaSpec { devices, size: Some(Bytes(1 << 30)), ..AreaSpec::new(name.parse().unwrap(), kind) }
    }

    fn configured(spec: AreaSpec) -> AreaConfig {
        AreaConfig { spec, marks: Marks::default(), memory: MemoryBudget::DEFAULT }
    }

    fn record(spec: AreaSpec, owner: Owner) -> AreaRecord {
        let record = serde_json::json!({ "spec": spec, "owner": owner, "want": "on", "parts": [] });
        serde_json::from_value(record).unwrap()
    }

    fn due_of(config: &[AreaSpec], there: &[AreaRecord]) -> Vec<Due> {
        let config: Vec<AreaConfig> = config.iter().cloned().map(configured).collect();
        let intended = Intended { areas: there.to_vec(), ..Intended::none(None) };
        let is_same =
            |one: &Path, other: &Path| one == other || [one, other].iter().all(|it| it.ends_with("link"));
        due(&config, &intended, |_| Err("no size is known".to_owned()), is_same)
    }

    #[test]
    fn what_is_there_as_it_shall_be_is_left_alone_whoever_made_it() {
        let main = spec("main", AreaKind::Virtual, &["/dev/vdb"]);
        for owner in [Owner::Config, Owner::Command] {
            assert_eq!(due_of(std::slice::from_ref(&main), &[record(main.clone(), owner)]), []);
        }
    }

    #[test]
    fn what_is_missing_is_made_after_what_is_too_many_was_removed() {
        let (old, new) = (spec("old", AreaKind::Ghost, &[]), spec("new", AreaKind::Ghost, &[]));
        let there = [record(old.clone(), Owner::Config)];
        let expected = [Due::Remove(old.name), Due::Create(new.clone())];
        assert_eq!(due_of(&[new], &there), expected);
    }

    #[test]
    fn an_area_that_a_command_made_is_never_removed_by_a_configuration() {
        let there = [record(spec("mine", AreaKind::Ghost, &[]), Owner::Command)];
        assert_eq!(due_of(&[], &there), []);
    }

    #[test]
    fn a_new_disk_is_added_and_a_missing_one_is_a_conflict() {
        let now = record(spec("main", AreaKind::Virtual, &["/dev/vdb"]), Owner::Config);
        let more = spec("main", AreaKind::Virtual, &["/dev/vdb", "/dev/vdc"]);
        let grow = Due::GrowDisk(more.name.clone(), "/dev/vdc".into(), None);
        assert_eq!(due_of(&[more], std::slice::from_ref(&now)), [grow]);
        let other = due_of(&[spec("main", AreaKind::Virtual, &["/dev/vdc"])], &[now]);
        let [Due::Conflict(_, why)] = &other[..] else { panic!("{other:?}") };
        assert!(why.starts_with("/dev/vdb is in use by it"), "{why}");
    }

    #[test]
    fn a_disk_by_another_name_is_the_same_disk() {
        let now = record(spec("main", AreaKind::Virtual, &["/dev/disk/by-id/link"]), Owner::Config);
        assert_eq!(due_of(&[spec("main", AreaKind::Virtual, &["/dev/disk/by-path/link"])], &[now]), []);
    }

    #[test]
    fn another_kind_or_key_is_a_conflict() {
        let now = record(spec("main", AreaKind::Virtual, &["/dev/vdb"]), Owner::Config);
        let kind = spec("main", AreaKind::Plain, &["/dev/vdb"]);
        let key = AreaSpec { encrypt: true, ..spec("main", AreaKind::Virtual, &["/dev/vdb"]) };
        for other in [kind, key] {
            let due = due_of(&[other], std::slice::from_ref(&now));
            assert!(matches!(due[..], [Due::Conflict(..)]) && !due[0].can_wait(), "{due:?}");
        }
    }

    #[test]
    fn an_area_without_a_size_that_cannot_have_one_says_why() {
        let sizeless = AreaSpec { size: None, ..spec("main", AreaKind::Ghost, &[]) };
        let why = "no size is known".to_owned();
        assert_eq!(due_of(std::slice::from_ref(&sizeless), &[]), [Due::Conflict(sizeless.name, why)]);
    }
}
