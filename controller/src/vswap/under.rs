//! What is under a swap area, as the kernel says, whoever made it: storage, memory, or nothing. No node is opened but
//! device-mapper's control; all else is sysfs.
//!
//! Properties
//! - What cannot be looked at is told with its reason, and nobody takes it for storage: a write to an area without any fails
//!   again and again, while one that is never written to only waits.

use std::cell::OnceCell;

use swaptier_policies::AreaKind;

use super::area::PREFIX;
use super::dm::Dm;
use super::found::Target;
use crate::root::{DeviceNumber, Identity, Root, device_dir};
use crate::sense::SwapArea;

/// The kernel's word for a file with nothing but a header, where it takes one.
const NATIVE: &str = "ghost";
/// Tables of device-mapper that are somebody's who keeps storage under them, by how their identifiers begin.
const OF_STORAGE: [&str; 5] = ["LVM-", "CRYPT-", "mpath-", "DMRAID-", "part"];
/// A zram device that may take no more memory than this holds its own header and nothing else.
const HEADER_ALONE: u64 = 64 << 10;

/// Looks at what is under areas. Device-mapper is opened when the first of them stands on it.
#[derive(Debug)]
pub(super) struct Looker<'a> {
    root: &'a Root,
    dm: OnceCell<Option<Dm>>,
}

impl<'a> Looker<'a> {
    /// One for this host.
    #[must_use]
    pub(super) fn new(root: &'a Root) -> Looker<'a> {
        Looker { root, dm: OnceCell::new() }
    }

    /// What is under this area.
    ///
    /// # Errors
    /// Why that cannot be told from here, as the end of a sentence.
    pub(super) fn under(&self, area: &SwapArea) -> Result<AreaKind, String> {
        under(self.root, area, |name| self.table(name))
    }

    /// The table of a device, by device-mapper's name for it.
    fn table(&self, name: &str) -> Option<Vec<Target>> {
        let open = || self.root.is_system().then(Dm::open_if_there).flatten();
        self.dm.get_or_init(open).as_ref()?.table(name).ok().map(|(_, table)| table)
    }
}

fn under(
    root: &Root,
    area: &SwapArea,
    table: impl Fn(&str) -> Option<Vec<Target>>,
) -> Result<AreaKind, String> {
    match (area.kind.as_str(), area.identity) {
        (NATIVE, _) => Ok(AreaKind::GhostNative),
        ("file", Some(Identity::File { .. })) => {
            let bytes = root.identity(&area.path).map_or(0, |(_, bytes)| bytes);
            // A header may claim more than there is, on a kernel that takes that.
            Ok(if bytes < area.size.0 { AreaKind::GhostNative } else { AreaKind::Plain })
        }
        ("file", _) => Err("the file is hidden from this process".to_owned()),
        ("partition", Some(Identity::Device(number))) => on_device(root, number, table),
        ("partition", _) => Err("no block device of that name is in /sys/class/block".to_owned()),
        (kind, _) => Err(format!("/proc/swaps calls it `{}`", kind.escape_debug())),
    }
}

fn on_device(
    root: &Root,
    number: DeviceNumber,
    table: impl Fn(&str) -> Option<Vec<Target>>,
) -> Result<AreaKind, String> {
    let name = root.device_name(number).ok_or_else(|| format!("{number} is not in /sys/dev/block"))?;
    if name.strip_prefix("zram").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())) {
        return zram(root, number);
    }
    let Some(mapped) = root.mapped_name(number) else {
        return match name.starts_with("dm-") {
            true => Err(format!("{}/dm/name cannot be read", device_dir(number))),
            false => Ok(AreaKind::Plain),
        };
    };
    let Some(table) = table(&mapped) else {
        let uuid = root.mapped_uuid(number);
        return match OF_STORAGE.iter().any(|prefix| uuid.starts_with(prefix)) {
            true => Ok(AreaKind::Plain),
            false => Err(format!("the table of `{mapped}` cannot be read without /dev/mapper/control")),
        };
    };
    let holds_nothing = |line: &Target| matches!(line.kind.as_str(), "error" | "zero");
    if table.is_empty() || table.iter().any(holds_nothing) {
        return Ok(AreaKind::GhostDm);
    }
    // Of a thin volume of ours the pool decides, also where nobody noted it.
    let is_thin = table.iter().any(|line| line.kind == "thin") && mapped.starts_with(PREFIX);
    Ok(if is_thin { AreaKind::Virtual } else { AreaKind::Plain })
}

/// The fourth number of `mm_stat` is the limit; 0 is none.
fn zram(root: &Root, number: DeviceNumber) -> Result<AreaKind, String> {
    let file = format!("{}/mm_stat", device_dir(number));
    let text = root.read_value(&file).map_err(|error| error.to_string())?;
    let limit = text.split_ascii_whitespace().nth(3).and_then(|limit| limit.parse::<u64>().ok());
    match limit {
        Some(limit) if (1..=HEADER_ALONE).contains(&limit) => Ok(AreaKind::GhostZram),
        Some(_) => Ok(AreaKind::Zram),
        None => Err(format!("/{file} says no limit")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fake::FakeRoot;
    use crate::sense::swaps;

    fn target(kind: &str) -> Target {
        Target { start: 0, sectors: 8, kind: kind.to_owned(), parameters: String::new() }
    }

    /// What is under the one area of `line`, with this table of every device.
    fn seen(fake: &FakeRoot, line: &str, table: Option<&[&str]>) -> Result<AreaKind, String> {
        fake.write("proc/swaps", &format!("Filename Type Size Used Priority\n{line}\n"));
        let areas = swaps::read(fake.root()).unwrap();
        under(fake.root(), &areas[0], |_| table.map(|kinds| kinds.iter().map(|kind| target(kind)).collect()))
    }

    /// A host with a disk, and a device of device-mapper.
    fn host(name: &str, uuid: &str) -> FakeRoot {
        let fake = FakeRoot::host();
        fake.block("dm-3", "253:3");
        fake.write("sys/devices/virtual/block/dm-3/dm/name", &format!("{name}\n"));
        fake.write("sys/devices/virtual/block/dm-3/dm/uuid", &format!("{uuid}\n"));
        fake
    }

    #[test]
    fn what_cannot_be_looked_at_is_never_taken_for_storage() {
        let fake = host("swaptier-big-0", "");
        fake.block("zram0", "252:0");
        for line in [
            "/dm-3 partition 8 0 1",
            "/dev/dm-3 partition 8 0 1",
            "/dev/zram0 partition 8 0 1",
            "/dev/vdz partition 8 0 1",
            "/hidden file 8 0 1",
            "/dev/vda other 8 0 1",
            "nonsense",
        ] {
            assert!(seen(&fake, line, None).is_err(), "{line}");
        }
    }

    #[test]
    fn a_table_says_what_holds_pages_and_without_one_only_a_known_owner_does() {
        for path in ["/dev/dm-3", "/dm-3", "/dev/mapper/foreign"] {
            let line = format!("{path} partition 8 0 1");
            let of = |uuid: &str, table: Option<&[&str]>| seen(&host("foreign", uuid), &line, table);
            assert_eq!(of("", Some(&["linear", "error"])), Ok(AreaKind::GhostDm), "{path}");
            assert_eq!(of("LVM-x", Some(&["linear", "zero"])), Ok(AreaKind::GhostDm));
            assert_eq!(of("", Some(&["linear", "linear"])), Ok(AreaKind::Plain));
            assert_eq!(
                of("", Some(&["thin"])),
                Ok(AreaKind::Plain),
                "somebody else's pool is theirs to watch"
            );
            assert_eq!(of("LVM-x", None), Ok(AreaKind::Plain));
            assert!(of("", None).is_err());
        }
        let ours = host("swaptier-main-0", "");
        assert_eq!(seen(&ours, "/dm-3 partition 8 0 1", Some(&["thin"])), Ok(AreaKind::Virtual));
    }

    #[test]
    fn a_native_ghost_is_known_by_the_kernels_word_or_by_its_length() {
        let fake = FakeRoot::host();
        assert_eq!(seen(&fake, "/anywhere ghost 1048576 0 1", None), Ok(AreaKind::GhostNative));
        fake.write("swap", &"x".repeat(8192));
        // 8 KiB hold a header and 4 KiB of slots.
        assert_eq!(seen(&fake, "/swap file 4 0 1", None), Ok(AreaKind::Plain));
        assert_eq!(seen(&fake, "/swap file 1024 0 1", None), Ok(AreaKind::GhostNative));
    }

    #[test]
    fn a_disk_is_storage_and_zram_is_what_its_limit_says() {
        let fake = FakeRoot::host();
        assert_eq!(seen(&fake, "/dev/vda partition 8 0 1", None), Ok(AreaKind::Plain));
        fake.block("zram1", "252:1");
        let limited = |limit: &str| {
            fake.write(
                "sys/devices/virtual/block/zram1/mm_stat",
                &format!("4096 3081 28672 {limit} 0 0 0 0 0\n"),
            );
            seen(&fake, "/dev/zram1 partition 8 0 1", None)
        };
        assert_eq!(limited("0"), Ok(AreaKind::Zram));
        assert_eq!(limited("4096"), Ok(AreaKind::GhostZram));
        assert_eq!(limited("1073741824"), Ok(AreaKind::Zram));
        assert_eq!(fake.root().identity(Path::new("/nowhere")), None);
    }
}
