//! What the configuration's areas ask for, against the list of areas there are. Pure: the same two lists, the same things
//! to do.
//!
//! Properties
//! - What is there as it shall be is left alone, whoever made it.
//! - Only what a configuration made is removed by one.
//! - What cannot be changed under a running area is a conflict with its reason, and nothing is done about it.

use std::fmt;
use std::path::PathBuf;

use swaptier_policies::Bytes;

use crate::config::AreaConfig;
use crate::vswap::{AreaKind, AreaName, AreaRecord, AreaSpec, Intended, Owner, Want};

/// One thing to do about an area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Todo {
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
    /// Look what there is.
    Look,
}

impl Todo {
    /// Whether an agent can start although it failed: it is tried again.
    pub(super) fn can_wait(&self) -> bool {
        matches!(self, Todo::Remove(_) | Todo::DropPart(..) | Todo::Settle | Todo::GiveBack | Todo::Look)
    }
}

impl fmt::Display for Todo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Todo::Create(spec) => write!(f, "create {}", spec.name),
            Todo::Remove(name) => write!(f, "remove {name}"),
            Todo::GrowDisk(name, path, _) => write!(f, "grow {name} by {}", path.display()),
            Todo::GrowSlots(name, size, _) => write!(f, "grow {name} by {size} of slots"),
            Todo::DropPart(name, id) => write!(f, "take part {id} from {name}"),
            Todo::GiveBack => f.write_str("have freed slots given back"),
            Todo::Settle => f.write_str("settle the areas"),
            Todo::Conflict(name, _) => write!(f, "have {name} as configured"),
            Todo::Grow(name) => write!(f, "grow {name}"),
            Todo::Look => f.write_str("look at the areas"),
        }
    }
}

/// What is to be done, the removals first: they free what others may need. `size` is that of an area which has none.
pub(super) fn todo(
    config: &[AreaConfig],
    intended: &Intended,
    size: impl Fn(&AreaConfig) -> Result<Bytes, String>,
) -> Vec<Todo> {
    let is_configured = |record: &AreaRecord| config.iter().any(|area| area.spec.name == record.spec.name);
    let gone = intended.areas.iter().filter(|record| record.owner == Owner::Config && !is_configured(record));
    let mut todo: Vec<Todo> = gone.map(|record| Todo::Remove(record.spec.name.clone())).collect();
    for area in config {
        match intended.area(&area.spec.name) {
            Some(record) if record.want == Want::On => todo.extend(changed(&area.spec, record)),
            Some(record) => {
                let why = format!("it is being taken off (it shall be {:?})", record.want).to_lowercase();
                todo.push(Todo::Conflict(area.spec.name.clone(), why));
            }
            None => todo.push(created(area, &size)),
        }
    }
    todo
}

fn created(area: &AreaConfig, size: &impl Fn(&AreaConfig) -> Result<Bytes, String>) -> Todo {
    let mut spec = area.spec.clone();
    if spec.size.is_none() && spec.kind != AreaKind::Plain {
        match size(area) {
            Ok(size) => spec.size = Some(size),
            Err(why) => return Todo::Conflict(spec.name, why),
        }
    }
    Todo::Create(spec)
}

fn changed(spec: &AreaSpec, record: &AreaRecord) -> Vec<Todo> {
    let now = &record.spec;
    let conflict = |why: String| vec![Todo::Conflict(spec.name.clone(), why)];
    if spec.kind != now.kind {
        return conflict(format!(
            "it is a {} area, swaptier.toml says {}: remove it first",
            now.kind, spec.kind
        ));
    }
    if spec.encrypt != now.encrypt {
        return conflict("`encrypt` cannot be changed while it is there: remove it first".to_owned());
    }
    if let Some(missing) = now.devices.iter().find(|device| !spec.devices.contains(device)) {
        let why =
            format!("{} is in use by it and not in swaptier.toml: move its blocks away", missing.display());
        return conflict(why);
    }
    let more = spec.devices.iter().filter(|device| !now.devices.contains(device));
    more.map(|device| Todo::GrowDisk(spec.name.clone(), device.clone(), spec.file_size)).collect()
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

    fn todo_of(config: &[AreaSpec], there: &[AreaRecord]) -> Vec<Todo> {
        let config: Vec<AreaConfig> = config.iter().cloned().map(configured).collect();
        let intended = Intended { areas: there.to_vec(), ..Intended::none(None) };
        todo(&config, &intended, |_| Err("no size is known".to_owned()))
    }

    #[test]
    fn what_is_there_as_it_shall_be_is_left_alone_whoever_made_it() {
        let main = spec("main", AreaKind::Virtual, &["/dev/vdb"]);
        for owner in [Owner::Config, Owner::Command] {
            assert_eq!(todo_of(std::slice::from_ref(&main), &[record(main.clone(), owner)]), []);
        }
    }

    #[test]
    fn what_is_missing_is_made_after_what_is_too_many_was_removed() {
        let (old, new) = (spec("old", AreaKind::Ghost, &[]), spec("new", AreaKind::Ghost, &[]));
        let there = [record(old.clone(), Owner::Config)];
        let expected = [Todo::Remove(old.name), Todo::Create(new.clone())];
        assert_eq!(todo_of(&[new], &there), expected);
    }

    #[test]
    fn an_area_that_a_command_made_is_never_removed_by_a_configuration() {
        let there = [record(spec("mine", AreaKind::Ghost, &[]), Owner::Command)];
        assert_eq!(todo_of(&[], &there), []);
    }

    #[test]
    fn a_new_disk_is_added_and_a_missing_one_is_a_conflict() {
        let now = record(spec("main", AreaKind::Virtual, &["/dev/vdb"]), Owner::Config);
        let more = spec("main", AreaKind::Virtual, &["/dev/vdb", "/dev/vdc"]);
        let grow = Todo::GrowDisk(more.name.clone(), "/dev/vdc".into(), None);
        assert_eq!(todo_of(&[more], std::slice::from_ref(&now)), [grow]);
        let other = todo_of(&[spec("main", AreaKind::Virtual, &["/dev/vdc"])], &[now]);
        let [Todo::Conflict(_, why)] = &other[..] else { panic!("{other:?}") };
        assert!(why.starts_with("/dev/vdb is in use by it"), "{why}");
    }

    #[test]
    fn another_kind_or_key_is_a_conflict() {
        let now = record(spec("main", AreaKind::Virtual, &["/dev/vdb"]), Owner::Config);
        let kind = spec("main", AreaKind::Plain, &["/dev/vdb"]);
        let key = AreaSpec { encrypt: true, ..spec("main", AreaKind::Virtual, &["/dev/vdb"]) };
        for other in [kind, key] {
            let todo = todo_of(&[other], std::slice::from_ref(&now));
            assert!(matches!(todo[..], [Todo::Conflict(..)]) && !todo[0].can_wait(), "{todo:?}");
        }
    }

    #[test]
    fn an_area_without_a_size_that_cannot_have_one_says_why() {
        let sizeless = AreaSpec { size: None, ..spec("main", AreaKind::Ghost, &[]) };
        let why = "no size is known".to_owned();
        assert_eq!(todo_of(std::slice::from_ref(&sizeless), &[]), [Todo::Conflict(sizeless.name, why)]);
    }
}
