//! What a start would be refused for by the areas of its configuration, as things are now, in the words of that start. Nothing
//! is changed, and no lock is taken. Caller: `check --host`.

use std::path::{Path, PathBuf};

use swaptier_policies::Bytes;

use super::due::{Due, due};
use crate::{
    config::Config,
    root::Root,
    vswap::{self, AreaError, Intended, Owner, Want, asked, prepare::is_same_disk},
};

/// Slots of an area that has them counted when it is made: what they cost is measured then.
const SOME: Bytes = Bytes(16 << 20);

/// Each thing that would be refused: what would be tried, and why not.
///
/// # Errors
/// The list of areas, in the state folder `dir`, cannot be read.
pub(crate) fn refusals(
    root: &Root,
    config: &Config,
    dir: &Path,
) -> Result<Vec<(String, AreaError)>, AreaError> {
    let mut intended = vswap::store::read(root, dir)?;
    let is_configured = |name| config.areas.iter().any(|area| area.spec.name == name);
    // What is being taken off is gone before anything is made, and its disks are free then.
    let (going, there): (Vec<_>, Vec<_>) =
        std::mem::take(&mut intended.areas).into_iter().partition(|area| {
            area.want == Want::Gone || (area.owner == Owner::Config && !is_configured(area.spec.name.clone()))
        });
    intended.areas = there;
    let freed: Vec<PathBuf> =
        going.iter().flat_map(|area| area.all_disks().map(|disk| disk.path.clone())).collect();
    let is_freed = |path: &PathBuf| freed.iter().any(|other| is_same_disk(other, path));
    let mut refused = Vec::new();
    for due in due(&config.areas, &intended.clone(), |_| Ok(SOME), is_same_disk) {
        let devices = match &due {
            Due::Create(spec) => spec.devices.clone(),
            Due::GrowDisk(_, path, _) => vec![path.clone()],
            _ => Vec::new(),
        };
        if devices.iter().any(is_freed) {
            continue;
        }
        if let Err(error) = try_out(root, &mut intended, &due) {
            refused.push((due.to_string(), error));
        }
    }
    Ok(refused)
}

/// What it would be refused for; what would be made has its disks for those that come after it.
fn try_out(root: &Root, intended: &mut Intended, due: &Due) -> Result<(), AreaError> {
    match due {
        Due::Create(spec) => {
            let record = asked::record(root, intended, spec, Owner::Config, false)?;
            intended.areas.push(record);
        }
        Due::GrowDisk(name, path, size) => {
            let disk = asked::pool_disk(root, intended, path, *size, false)?;
            intended.area_mut(name).into_iter().for_each(|area| area.disks.push(disk.clone()));
        }
        Due::Conflict(_, why) => return Err(AreaError::Refused(why.clone())),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fake::FakeRoot,
        vswap::{AreaRecord, Disk, Store},
    };

    fn refused(fake: &FakeRoot, settings: &str) -> Vec<String> {
        fake.write("etc/swaptier/swaptier.toml", settings);
        let config = crate::config::load(fake.root(), crate::config::Trust::Anyone, None).unwrap();
        let refused = refusals(fake.root(), &config, &fake.path("var/lib/swaptier")).unwrap();
        refused.into_iter().map(|(what, why)| format!("{what}: {why}")).collect()
    }

    fn area(name: &str, kind: &str, device: &str) -> String {
        format!("[[area]]\nname = \"{name}\"\nkind = \"{kind}\"\ndevices = [\"{device}\"]\n")
    }

    #[test]
    fn a_disk_that_cannot_be_reached_is_refused_in_the_words_of_the_start() {
        let fake = FakeRoot::host();
        assert_eq!(refused(&fake, ""), [] as [String; 0]);
        // The kernel has it, and it has no node.
        let [why] = &refused(&fake, &area("main", "virtual", "/dev/vda"))[..] else { panic!() };
        assert!(why.starts_with("create main: /dev/vda: the kernel has this disk (254:0), and"), "{why}");
        // Nobody has this one: that it is not there is said, and not what is wrong with its folder.
        let [why] = &refused(&fake, &area("main", "virtual", "/dev/nosuch"))[..] else { panic!() };
        assert_eq!(why, "create main: /dev/nosuch: is not there; with a size it would be made");
    }

    #[test]
    fn what_the_start_says_of_a_file_is_said_before_it() {
        let fake = FakeRoot::host();
        // A file with data and no signature.
        fake.write("srv/disk", &"x".repeat(1 << 20));
        let path = fake.path("srv/disk");
        let text = area("main", "plain", path.to_str().unwrap());
        let [why] = &refused(&fake, &text)[..] else { panic!() };
        let config = crate::config::load(fake.root(), crate::config::Trust::Anyone, None).unwrap();
        let spec = &config.areas[0].spec;
        let start = vswap::prepare::record(fake.root(), spec, Owner::Config, false).unwrap_err();
        assert_eq!(*why, format!("create main: {start}"));
        assert!(why.contains(path.to_str().unwrap()), "{why}");
    }

    #[test]
    fn a_disk_of_another_area_is_refused_and_one_that_becomes_free_is_not() {
        let fake = FakeRoot::host();
        let device = "/dev/vdz";
        let disk = Disk {
            path: device.into(),
            is_file: false,
            made: None,
            file: None,
            wipe: None,
            reserved_sectors: 0,
            metadata_sectors: 0,
            data_sectors: 8,
        };
        let record = serde_json::json!({
            "spec": { "name": "old", "kind": "plain", "devices": [device] }, "owner": "config", "want": "on",
            "parts": [{ "id": 0, "size": "64M" }], "disks": [],
        });
        let record: AreaRecord = serde_json::from_value(record).unwrap();
        let mut store = Store::open(fake.root(), &fake.path("var/lib/swaptier")).unwrap();
        store.intended.areas.push(AreaRecord { disks: vec![disk], ..record });
        store.save().unwrap();
        let both = format!("{}{}", area("old", "plain", device), area("new", "plain", device));
        assert_eq!(refused(&fake, &both), ["create new: /dev/vdz belongs to the area old"]);
        // The old one goes first.
        assert_eq!(refused(&fake, &area("new", "plain", device)), [] as [String; 0]);
        let other = refused(&fake, &area("old", "virtual", device));
        assert!(
            other[0].starts_with("have old as configured: it is a plain area, swaptier.toml says virtual")
        );
    }
}
