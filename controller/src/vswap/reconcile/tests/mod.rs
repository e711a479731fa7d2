//! Plans for small hosts, carried out on a host of paper: from every point at which a process may die, the next plan leads
//! to the same end.

use std::path::Path;

use super::*;
use crate::vswap::found::{Device, DeviceNumber, FileFound, Holds, SwapUse};
use crate::vswap::identity::FileId;
use crate::vswap::{AreaSpec, OverZram, Owner, Transfer, intended};

mod zrams;

fn disk(path: &str, is_file: bool) -> Disk {
    Disk {
        path: path.into(),
        is_file,
        made: None,
        file: None,
        wipe: None,
        reserved_sectors: 0,
        metadata_sectors: 4096,
        data_sectors: 128_000,
    }
}

fn record(name: &str, kind: AreaKind, disks: Vec<Disk>) -> AreaRecord {
    AreaRecord {
        spec: AreaSpec::new(name.parse().unwrap(), kind),
        owner: crate::vswap::Owner::Command,
        want: Want::On,
        parts: vec![
            Part { id: 0, size: Bytes(64 << 30), priority: Some(5) },
            Part { id: 1, size: Bytes(1 << 30), priority: None },
        ],
        disks,
        native: None,
        zram: None,
        transfer: None,
        has_uuids: true,
    }
}

fn encrypted(mut area: AreaRecord) -> AreaRecord {
    area.spec.encrypt = true;
    area
}

/// One area of each make.
fn areas() -> Vec<AreaRecord> {
    let made = Disk { made: Some(Bytes(1 << 30)), ..disk("/pool", true) };
    let one = |area: AreaRecord| AreaRecord { parts: area.parts[..1].to_vec(), ..area };
    vec![
        record("ghost", AreaKind::Ghost, vec![]),
        AreaRecord { native: Some("/state".into()), ..record("header", AreaKind::Ghost, vec![]) },
        AreaRecord { zram: Some(OverZram::default()), ..record("memory", AreaKind::Zram, vec![]) },
        record("main", AreaKind::Virtual, vec![disk("/dev/vda", false), disk("/dev/vdb", false)]),
        encrypted(record("secret", AreaKind::Virtual, vec![disk("/dev/vdc", false)])),
        record("filed", AreaKind::Virtual, vec![made]),
        one(record("plain", AreaKind::Plain, vec![disk("/dev/vdd", false)])),
        encrypted(one(record(
            "cipher",
            AreaKind::Plain,
            vec![Disk { reserved_sectors: 2048, ..disk("/dev/vde", false) }],
        ))),
    ]
}

/// A host of paper, and its list.
#[derive(Clone)]
struct Paper {
    intended: Intended,
    found: Found,
    next: u32,
    inodes: u64,
}

impl Paper {
    fn with(areas: Vec<AreaRecord>) -> Paper {
        let mut paper = Paper {
            intended: Intended { version: intended::VERSION, boot: None, areas },
            found: Found::default(),
            next: 0,
            inodes: 0,
        };
        for letter in 'a'..='f' {
            let number = DeviceNumber { major: 8, minor: letter as u32 };
            paper.found.blocks.insert(format!("/dev/vd{letter}").into(), number);
            paper.found.places.insert(format!("/dev/vd{letter}").into(), Identity::Device(number));
        }
        paper
    }

    fn plan(&self) -> Vec<Step> {
        plan(&self.intended, &self.found)
    }

    fn path(&self, place: &Place) -> PathBuf {
        match place {
            Place::Path(path) => path.clone(),
            Place::Zram(name) => zram_node(self.found.zram_named(name).unwrap().0),
            Place::Device(name) => super::super::dm::node(self.found.devices[name].number),
        }
    }

    /// A new file at this path.
    fn place(&mut self, path: &Path) {
        self.inodes += 1;
        let device = DeviceNumber { major: 8, minor: 1 };
        self.found.places.insert(path.to_path_buf(), Identity::File { device, inode: self.inodes });
    }

    /// The step as the kernel would do it; what it would refuse is a panic.
    fn take(&mut self, step: &Step) {
        match step {
            Step::MakeFile(name, path, size) => {
                self.next += 1;
                let id = FileId { inode: u64::from(self.next), born: Some((1, 0)), device: None };
                self.found.files.insert(path.clone(), FileFound { size: *size, id: Some(id) });
                self.place(path);
                let area = self.intended.area_mut(name).unwrap();
                area.all_disks_mut().filter(|disk| disk.path == *path).for_each(|disk| disk.file = Some(id));
            }
            Step::GhostFile(_, path, size) => {
                self.found.files.insert(path.clone(), FileFound { size: *size, id: None });
                self.place(path);
            }
            Step::Attach(path) => {
                let number = DeviceNumber { major: 7, minor: 0 };
                assert!(self.found.files.contains_key(path), "{step}");
                self.found.blocks.insert(path.clone(), number);
            }
            Step::Load(wanted) => {
                let table = wanted.resolve(&self.found).unwrap_or_else(|| panic!("{step}"));
                let table = table
                    .into_iter()
                    .map(|mut line| {
                        line.parameters = table::with_key(&line.parameters, "c0ffee");
                        line
                    })
                    .collect();
                self.next += 1;
                let number = DeviceNumber { major: 253, minor: self.next };
                let device = Device { number, table: None };
                self.found.devices.entry(wanted.name.clone()).or_insert(device).table = Some(table);
            }
            Step::Clear(meta) => {
                assert!(self.found.devices.contains_key(meta), "{step}");
                let pool = meta.replace("-meta", "-pool");
                assert!(self.found.devices.get(&pool).is_none_or(Device::is_bare), "{step}");
            }
            Step::Volume(pool, _) => assert!(self.found.devices.contains_key(pool), "{step}"),
            Step::NonRotational(name) => assert!(self.found.devices.contains_key(name), "{step}"),
            Step::Header(area, place, _) => {
                assert!(in_use(place, &self.found).is_none(), "{step}: it is in use");
                let _it_is_there = self.path(place);
                if let Place::Zram(name) = place {
                    let number = self.found.zram_named(name).unwrap().0;
                    let zram = self.found.zrams.get_mut(&number).unwrap();
                    assert!(zram.size > Bytes(0) && zram.holds == Holds::Nothing, "{step}");
                    zram.holds = Holds::Header(area.to_string());
                }
            }
            Step::Zram(area, step) => zrams::take(self, area, step),
            Step::On { place, priority, .. } => {
                let usage =
                    SwapUse { size: Bytes(1), used: Bytes(0), priority: priority.map_or(-1, i32::from) };
                let swap = Swap { path: self.path(place), usage };
                let it = identity(place, &self.found).unwrap();
                assert!(self.found.swaps.insert(it, swap).is_none(), "{step}: it is on");
            }
            Step::Off(path) => {
                let before = self.found.swaps.len();
                self.found.swaps.retain(|_, swap| swap.path != *path);
                assert_eq!(self.found.swaps.len() + 1, before, "{step}");
            }
            Step::Discard(path) => assert_eq!(self.found.used_at(path), None, "{step}: it is swap"),
            Step::Remove(name) => {
                assert!(self.found.swap_on(name).is_none(), "{step}: it is swap");
                let number = self.found.devices.remove(name).unwrap_or_else(|| panic!("{step}")).number;
                let number = number.to_string();
                let users = self.found.devices.values().flat_map(Device::lines);
                let mut words = users.flat_map(|line| line.parameters.split(' '));
                assert!(!words.any(|word| word == number), "{step}: something stands on it");
            }
            Step::RemoveFile(_, path, _) => {
                self.found.files.remove(path);
                self.found.blocks.remove(path);
                self.found.places.remove(path);
            }
            Step::Label(..) => {}
            Step::Wipe(name, path) => {
                assert_eq!(self.found.used_at(path), None, "{step}: it is swap");
                let area = self.intended.area_mut(name).unwrap();
                area.disks.iter_mut().filter(|disk| disk.path == *path).for_each(|disk| disk.wipe = None);
            }
            Step::Moved(name) => {
                let area = self.intended.area_mut(name).unwrap();
                let transfer = area.transfer.take().unwrap();
                area.disks[transfer.from] = transfer.to;
            }
            Step::Forget(name) => self.intended.areas.retain(|area| area.spec.name != *name),
        }
    }

    fn settle(&mut self) {
        for step in self.plan() {
            self.take(&step);
        }
    }
}

/// Dies after every number of steps, goes on with a new plan, and compares with a host that was not interrupted.
fn same_end_from_everywhere(start: &Paper) {
    let mut whole = start.clone();
    whole.settle();
    assert_eq!(whole.plan(), [], "a plan for what was carried out is empty");
    for died in 0..start.plan().len() {
        let mut paper = start.clone();
        for step in &start.plan()[..died] {
            paper.take(step);
        }
        paper.settle();
        assert_eq!(paper.plan(), [], "killed after {died} steps");
        assert_eq!(paper.intended, whole.intended);
        assert_eq!(paper.found.swaps.len(), whole.found.swaps.len());
        assert_eq!(paper.found.zrams, whole.found.zrams, "killed after {died} steps");
        assert!(paper.found.devices.keys().eq(whole.found.devices.keys()), "killed after {died} steps");
        assert_eq!(paper.found.files, whole.found.files);
    }
}

#[test]
fn areas_are_made_to_the_end_from_wherever_they_were_left() {
    for area in areas() {
        same_end_from_everywhere(&Paper::with(vec![area]));
    }
    same_end_from_everywhere(&Paper::with(areas()));
}

#[test]
fn areas_go_without_a_trace_from_wherever_they_were_left() {
    for want in [Want::Gone, Want::Off] {
        let mut paper = Paper::with(areas());
        paper.settle();
        paper.intended.areas.iter_mut().for_each(|area| area.want = want);
        same_end_from_everywhere(&paper);
        paper.settle();
        assert!(paper.found.swaps.is_empty());
        assert_eq!(paper.found.devices.is_empty(), want == Want::Gone);
        assert_eq!(paper.found.files.is_empty(), want == Want::Gone);
        assert_eq!(paper.found.zrams.is_empty(), want == Want::Gone);
    }
}

#[test]
fn a_device_without_a_table_is_what_a_killed_process_leaves() {
    for area in areas() {
        let mut whole = Paper::with(vec![area]);
        whole.settle();
        for name in whole.found.devices.keys() {
            let mut paper = Paper::with(whole.intended.areas.clone());
            let empty = Device { number: DeviceNumber { major: 253, minor: 99 }, table: Some(Vec::new()) };
            paper.found.devices.insert(name.clone(), empty);
            paper.settle();
            assert_eq!(paper.plan(), [], "{name}");
        }
    }
}

#[test]
fn nothing_is_done_to_what_is_on_where_tables_and_nodes_cannot_be_seen() {
    let mut paper = Paper::with(areas());
    paper.settle();
    // As from a service with a /dev of its own: no control node, no disks; sysfs still names the devices.
    paper.found.devices.values_mut().for_each(|device| device.table = None);
    paper.found.blocks.clear();
    paper.intended.areas.retain(|area| !area.all_disks().any(|disk| disk.is_file));
    let kept: Vec<Step> =
        paper.plan().into_iter().filter(|step| !matches!(step, Step::Off(_) | Step::Remove(_))).collect();
    assert_eq!(kept, []);
}

#[test]
fn a_pool_grows_under_its_areas() {
    let mut paper =
        Paper::with(vec![encrypted(record("main", AreaKind::Virtual, vec![disk("/dev/vda", false)]))]);
    paper.settle();
    paper.intended.areas[0].disks.push(disk("/dev/vdb", false));
    let names: Vec<String> = paper.plan().iter().map(|step| step.to_string()).collect();
    // From the bottom up, and nothing of what is swapped on is touched.
    assert_eq!(names.len(), 5, "{names:?}");
    for (name, begins) in names.iter().zip([
        "label /dev/vdb",
        "load swaptier-main-meta",
        "load swaptier-main-data",
        "load swaptier-main-crypt",
        "load swaptier-main-pool",
    ]) {
        assert!(name.starts_with(begins), "{name}");
    }
    same_end_from_everywhere(&paper);
}

#[test]
fn a_move_keeps_the_old_disk_until_all_is_copied() {
    let made = Disk { made: Some(Bytes(1 << 30)), ..disk("/pool", true) };
    let mut paper = Paper::with(vec![record("main", AreaKind::Virtual, vec![made])]);
    paper.settle();
    let to = disk("/dev/vdb", false);
    paper.intended.areas[0].transfer = Some(Transfer { from: 0, to: to.clone(), is_copied: false });
    same_end_from_everywhere(&paper);
    paper.settle();
    assert!(paper.found.files.contains_key(&PathBuf::from("/pool")));
    assert_eq!(paper.found.devices["swaptier-main-data"].lines()[0].kind, "mirror");
    // Given up: as before.
    let mut back = paper.clone();
    back.intended.areas[0].transfer = None;
    same_end_from_everywhere(&back);
    // Finished: the new disk alone, and the file that was made is gone.
    paper.intended.areas[0].transfer = Some(Transfer { from: 0, to: to.clone(), is_copied: true });
    same_end_from_everywhere(&paper);
    paper.settle();
    assert_eq!((&paper.intended.areas[0].disks, &paper.intended.areas[0].transfer), (&vec![to], &None));
    assert!(paper.found.files.is_empty());
    assert!(paper.found.swaps.len() == 2, "nothing was switched off");
}

#[test]
fn only_what_is_named_as_ours_is_removed() {
    let mut paper = Paper::with(vec![]);
    for name in [
        "swaptier-gone-0",
        "swaptier-gone-pool",
        "swaptier-gone-meta",
        "swaptier",
        "swaptier-x",
        "swaptier-a-b-0",
        "swaptier-Gone-0",
    ] {
        let empty = Device { number: DeviceNumber { major: 253, minor: 1 }, table: Some(Vec::new()) };
        paper.found.devices.insert(name.to_owned(), empty);
    }
    let removed: Vec<String> = paper.plan().iter().map(ToString::to_string).collect();
    assert_eq!(removed, ["remove swaptier-gone-0", "remove swaptier-gone-pool", "remove swaptier-gone-meta"]);
}

#[test]
fn an_area_of_nobody_is_switched_off_before_its_device_goes() {
    let mut paper = Paper::with(areas());
    paper.settle();
    paper.intended.areas.retain(|area| area.spec.kind == AreaKind::Plain);
    let steps = paper.plan();
    let last_off = steps.iter().rposition(|step| matches!(step, Step::Off(_))).unwrap();
    let first_removal = steps.iter().position(|step| matches!(step, Step::Remove(_))).unwrap();
    assert!(last_off < first_removal);
    assert_eq!(Owner::Command, paper.intended.areas[0].owner);
    paper.settle();
    assert!(paper.found.devices.keys().all(|name| name == "swaptier-cipher-0"));
}

#[test]
fn a_device_is_ours_by_its_uuid_and_not_by_its_name() {
    let mut list = Intended::none(None);
    list.areas.push(record("main", AreaKind::Ghost, vec![]));
    let ours = |name: &str, uuid: &str, list: &Intended| is_ours(name, uuid, list);
    assert!(ours("swaptier-main-0", "SWAPTIER-swaptier-main-0", &list));
    assert!(ours("swaptier-gone-0", "SWAPTIER-swaptier-gone-0", &list));
    for (name, uuid) in [
        ("swaptier-main-0", ""),
        ("swaptier-main-0", "SWAPTIER-swaptier-main-1"),
        ("swaptier-main-0", "LVM-1"),
        ("swaptier-gone-0", ""),
    ] {
        assert!(!ours(name, uuid, &list), "{name} {uuid}");
    }
    // A list of the version before, which gave none.
    list.areas[0].has_uuids = false;
    assert!(ours("swaptier-main-0", "", &list));
    assert!(!ours("swaptier-main-0", "LVM-1", &list) && !ours("swaptier-gone-0", "", &list));
}

#[test]
fn a_file_of_the_right_size_that_is_another_is_not_taken_for_made() {
    let made = Disk { made: Some(Bytes(1 << 30)), ..disk("/pool", true) };
    let mut paper = Paper::with(vec![record("main", AreaKind::Virtual, vec![made])]);
    let stranger =
        FileFound { size: Bytes(1 << 30), id: Some(FileId { inode: 99, born: Some((1, 0)), device: None }) };
    paper.found.files.insert("/pool".into(), stranger);
    assert!(paper.plan()[0].to_string().starts_with("make the file /pool"));
}
