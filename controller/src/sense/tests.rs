//! The walk and the snapshot on a fake root.

use std::os::unix::fs::symlink;

use swaptier_policies::{
    Bytes, CgroupId, CgroupPath, Cold, Knob, Limit, MapHealth, Pages, Seconds, Share, Tiers, Writeback,
};

use super::*;
use crate::{
    fake::FakeRoot,
    root::{cgroup_file, change::Write as _},
};

fn paths(samples: &[CgroupSample]) -> Vec<String> {
    let mut paths: Vec<_> = samples.iter().map(|s| s.path.to_string()).collect();
    paths.sort_unstable();
    paths
}

fn read(fake: &FakeRoot) -> Vec<CgroupSample> {
    CgroupTree::default().read(fake.root()).unwrap()
}

fn one(fake: &FakeRoot, path: &str) -> CgroupSample {
    read(fake).into_iter().find(|s| s.path == path).unwrap()
}

fn beside(health: MapHealth) -> Beside {
    Beside {
        at: Seconds(60),
        day: 3,
        areas: Vec::new(),
        writeback: Writeback::Ready("worker".into()),
        health,
        counts: Default::default(),
        cold: Default::default(),
    }
}

#[test]
fn every_cgroup_is_found_with_its_parent_first() {
    let fake = FakeRoot::host();
    for path in ["batch.slice", "batch.slice/a", "batch.slice/a/deep", "web.slice"] {
        fake.cgroup(path);
    }
    let samples = read(&fake);
    assert_eq!(paths(&samples), ["", "batch.slice", "batch.slice/a", "batch.slice/a/deep", "web.slice"]);
    for (index, sample) in samples.iter().enumerate() {
        let parent = sample.parent.map(|parent| samples.iter().position(|s| s.id == parent).unwrap());
        assert!(parent.is_none_or(|parent| parent < index), "{}", sample.path);
        assert_eq!(parent.map(|parent| samples[parent].path.clone()), sample.path.parent());
        assert_eq!(sample.id.0, fake.root().cgroup_id(&sample.path).unwrap());
    }
}

#[test]
fn a_name_is_bytes_and_none_is_left_out() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    let names = [&b"caf\xe9.scope"[..], b"\x1b[31mred", br"caf\xe9.scope", "データ".as_bytes()];
    let ids = names.map(|name| fake.cgroup(&CgroupPath::from("a").join(name)));
    let samples = read(&fake);
    for (name, id) in names.iter().zip(ids) {
        let found = samples.iter().find(|sample| sample.id.0 == id).unwrap();
        assert_eq!((found.path.name(), found.memory_current), (*name, Some(Bytes(1_048_576))));
    }
    let shown = [r"a/caf\xe9.scope", r"a/\x1b[31mred", r"a/caf\x5cxe9.scope", "a/データ"];
    assert!(
        shown.iter().all(|path| paths(&samples).iter().any(|found| found == path)),
        "{:?}",
        paths(&samples)
    );
}

#[test]
fn every_file_lands_in_its_own_field() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    // All different, so that two fields that are mixed up are seen.
    for (file, text) in [
        ("memory.current", "4096\n"),
        ("memory.high", "8192\n"),
        ("memory.max", "12288\n"),
        ("memory.swap.current", "16384\n"),
        ("memory.swap.max", "20480\n"),
        ("memory.zswap.max", "24576\n"),
        ("memory.zswap.writeback", "0\n"),
        ("memory.stat", "zswap 100\nzswapped 28672\n"),
        ("cgroup.events", "populated 0\nfrozen 1\n"),
    ] {
        fake.write(&format!("sys/fs/cgroup/a/{file}"), text);
    }
    let sample = one(&fake, "a");
    let limit = |bytes| Some(Limit::Bytes(Bytes(bytes)));
    assert_eq!(sample.memory_current, Some(Bytes(4096)));
    assert_eq!((sample.memory_high, sample.memory_max), (limit(8192), limit(12288)));
    assert_eq!(
        (sample.swap_current, sample.settings.limit(Knob::SwapMax)),
        (Some(Bytes(16384)), limit(20480))
    );
    assert_eq!(
        (sample.zswap_current, sample.settings.limit(Knob::ZswapMax)),
        (Some(Bytes(100)), limit(24576))
    );
    assert_eq!((sample.settings.valve(), sample.populated), (Some(false), false));
    assert_eq!(sample.stat.zswapped, Some(28672));
}

#[test]
fn a_file_that_this_kernel_does_not_have_is_unknown_and_the_others_are_not() {
    type IsUnknown = fn(&CgroupSample) -> bool;
    let files: [(&str, IsUnknown); 8] = [
        ("memory.high", |s| s.memory_high.is_none()),
        ("memory.max", |s| s.memory_max.is_none()),
        ("memory.swap.current", |s| s.swap_current.is_none()),
        ("memory.swap.max", |s| s.settings.get(Knob::SwapMax).is_none()),
        ("memory.zswap.max", |s| s.settings.get(Knob::ZswapMax).is_none()),
        ("memory.zswap.writeback", |s| s.settings.valve().is_none()),
        ("memory.stat", |s| s.stat == MemoryStat::default()),
        ("memory.current", |s| s.memory_current.is_none() && s.settings.get(Knob::SwapMax).is_none()),
    ];
    for (file, is_unknown) in files {
        let fake = FakeRoot::host();
        fake.cgroup("a");
        assert!(!is_unknown(&one(&fake, "a")), "{file}");
        fake.remove(&format!("sys/fs/cgroup/a/{file}"));
        let sample = one(&fake, "a");
        assert!(is_unknown(&sample), "{file}");
        let unknown = files.iter().filter(|(_, is_unknown)| is_unknown(&sample)).count();
        // `memory.current` stands for the controller: without it five limits and counters are unknown too.
        assert_eq!(unknown, if file == "memory.current" { 6 } else { 1 }, "{file}");
    }
}

#[test]
fn nonsense_is_unknown_and_never_zero() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    for (file, text) in [
        ("memory.current", "-1\n"),
        ("memory.swap.max", "unlimited\n"),
        ("memory.zswap.writeback", "2\n"),
        ("memory.stat", "zswap x\n"),
        ("memory.zswap.current", "\n"),
    ] {
        fake.write(&format!("sys/fs/cgroup/a/{file}"), text);
    }
    let sample = one(&fake, "a");
    assert_eq!(
        (sample.memory_current, sample.settings.limit(Knob::SwapMax), sample.settings.valve()),
        (None, None, None)
    );
    assert_eq!(sample.zswap_current, None);
}

#[test]
fn compressed_bytes_come_from_zswap_current_where_memory_stat_has_none() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    fake.write("sys/fs/cgroup/a/memory.stat", "anon 1\n");
    assert_eq!(one(&fake, "a").zswap_current, Some(Bytes(2048)));
}

#[test]
fn a_vanished_cgroup_is_left_out_and_is_no_error() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    fake.cgroup("a/b");
    fake.cgroup("c");
    // A directory without `cgroup.events` is what a removed cgroup looks like through its old handle.
    fake.remove("sys/fs/cgroup/a/cgroup.events");
    assert_eq!(paths(&read(&fake)), ["", "c"]);
}

#[test]
fn a_cgroup_made_again_at_the_same_path_is_another_one() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    let mut tree = CgroupTree::default();
    let before = tree.read(fake.root()).unwrap()[1].id;
    fake.replace_cgroup("a");
    fake.cgroup("a");
    let after = tree.read(fake.root()).unwrap()[1].id;
    assert_ne!(before, after);
}

#[test]
fn what_changes_between_two_ticks_is_seen_by_the_second() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    fake.cgroup("a/x");
    let mut tree = CgroupTree::default();
    let mut read = || {
        let samples = tree.read(fake.root()).unwrap();
        (
            paths(&samples).join(" "),
            samples.iter().find(|s| s.path == "a/x").map(|s| s.settings.limit(Knob::SwapMax)),
        )
    };
    assert_eq!(read(), (" a a/x".into(), Some(Some(Limit::Max))));
    fake.write("sys/fs/cgroup/a/x/memory.swap.max", "4096\n");
    assert_eq!(read().1, Some(Some(Limit::Bytes(Bytes(4096)))), "a value");
    fake.cgroup("a/y");
    assert_eq!(read().0, " a a/x a/y", "one more");
    fake.remove("sys/fs/cgroup/a/x");
    fake.cgroup("a/z");
    assert_eq!(read().0, " a a/y a/z", "one less and one more: as many links as before");
    fake.remove("sys/fs/cgroup/a/y");
    fake.remove("sys/fs/cgroup/a/z");
    assert_eq!(read().0, " a", "none");
}

#[test]
fn more_cgroups_than_files_may_be_open_are_all_read() {
    let fake = FakeRoot::host();
    for n in 0..8 {
        fake.cgroup(&format!("a{n}"));
    }
    let mut tree = CgroupTree::with_room(3);
    for _ in 0..2 {
        // Eight and the root.
        assert_eq!(tree.read(fake.root()).unwrap().len(), 9);
        assert_eq!(tree.kept_open(), 3);
    }
    fake.replace_cgroup("a7");
    assert_eq!(
        tree.read(fake.root()).unwrap().len(),
        8,
        "one that is opened each time is still known by its id"
    );
}

#[test]
fn a_link_in_the_hierarchy_is_not_walked_into() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    symlink(fake.path("sys/fs/cgroup/a"), fake.path("sys/fs/cgroup/again")).unwrap();
    assert_eq!(paths(&read(&fake)), ["", "a"]);
}

#[test]
fn a_tower_of_cgroups_ends_at_the_bound_and_that_is_told() {
    let fake = FakeRoot::host();
    let tower = (0..80).map(|n| n.to_string()).collect::<Vec<_>>();
    for depth in 1..=tower.len() {
        fake.cgroup(&tower[..depth].join("/"));
    }
    fake.cgroup("other");
    let mut tree = CgroupTree::default();
    // The root and 64 levels below it, and the other.
    assert_eq!(tree.read(fake.root()).unwrap().len(), 66);
    let within = |path: &str| tree.unseen().within(&path.into());
    assert!(within("0/1").is_some_and(|why| why.contains("64 deep")) && within("other").is_none());
    assert_eq!(tree.unseen().sentences().count(), 1);
}

#[test]
fn a_path_longer_than_the_kernel_takes_is_walked_and_acted_on() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    // 20 names of 250 bytes: 5,020 bytes, of which the kernel takes 4,095 at a time.
    let deep = vec!["n".repeat(250); 20].join("/");
    let mut dir = std::fs::File::open(fake.path("sys/fs/cgroup")).unwrap();
    for name in deep.split('/') {
        rustix::fs::mkdirat(&dir, name, rustix::fs::Mode::RWXU).unwrap();
        let below = rustix::fs::openat(&dir, name, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
        dir = below.unwrap().into();
        for (file, text) in
            [("cgroup.events", "populated 1\n"), ("memory.current", "4096\n"), ("memory.swap.max", "max\n")]
        {
            let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CREATE;
            let made = rustix::fs::openat(&dir, file, flags, rustix::fs::Mode::RWXU).unwrap();
            rustix::io::write(made, text.as_bytes()).unwrap();
        }
    }
    for tree in [&mut CgroupTree::default(), &mut CgroupTree::with_room(2)] {
        for _ in 0..2 {
            let samples = tree.read(fake.root()).unwrap();
            let last = samples.iter().find(|sample| sample.path == deep.as_str()).unwrap();
            assert_eq!((samples.len(), last.memory_current), (22, Some(Bytes(4096))));
            assert_eq!(tree.unseen(), &Unseen::default());
        }
    }
    let found = fake.root().cgroup(&deep).unwrap();
    found.write("memory.swap.max", "8192").unwrap();
    assert_eq!(found.read_value("memory.swap.max").unwrap(), "8192");
}

#[test]
fn what_cannot_be_read_costs_that_cgroup_alone_and_is_told() {
    let fake = FakeRoot::host();
    for path in ["a", "a/x", "b"] {
        fake.cgroup(path);
    }
    // Reading a directory fails, and not because it is gone.
    fake.remove("sys/fs/cgroup/a/x/memory.swap.max");
    std::fs::create_dir(fake.path("sys/fs/cgroup/a/x/memory.swap.max")).unwrap();
    let mut tree = CgroupTree::default();
    let samples = tree.read(fake.root()).unwrap();
    let of = |path: &str| samples.iter().find(|sample| sample.path == path).unwrap();
    assert_eq!(
        (of("a/x").settings.limit(Knob::SwapMax), of("a/x").memory_current),
        (None, Some(Bytes(1_048_576)))
    );
    assert_eq!(of("b").settings.limit(Knob::SwapMax), Some(Limit::Max));
    let within = |path: &str| tree.unseen().within(&path.into());
    assert!(within("a").is_some() && within("a/x").is_some() && within("b").is_none());
    let told: Vec<String> = tree.unseen().sentences().collect();
    assert!(told.len() == 1 && told[0].contains("/a/x: memory.swap.max: "), "{told:?}");
    // `events` too: whoever may live in it lives.
    fake.remove("sys/fs/cgroup/b/cgroup.events");
    std::fs::create_dir(fake.path("sys/fs/cgroup/b/cgroup.events")).unwrap();
    let mut tree = CgroupTree::default();
    let samples = tree.read(fake.root()).unwrap();
    assert!(samples.iter().any(|sample| sample.path == "b" && sample.populated));
    assert!(tree.unseen().within(&"b".into()).is_some());
}

#[test]
fn cgroups_without_the_memory_controller_cost_nothing_however_many_there_are() {
    let fake = FakeRoot::host();
    let control = |path: &str, text: &str| fake.write(&cgroup_file(path, "cgroup.subtree_control"), text);
    control("", "cpu memory pids\n");
    fake.cgroup("a");
    fake.cgroup("user");
    control("user", "cpu pids\n");
    for n in 0..300 {
        fake.write(&format!("sys/fs/cgroup/user/{n}/cgroup.events"), "populated 1\n");
        fake.write(&format!("sys/fs/cgroup/user/{n}/deep/cgroup.events"), "populated 1\n");
    }
    let mut tree = CgroupTree::default();
    let mut read = || (paths(&tree.read(fake.root()).unwrap()).join(" "), tree.unseen().clone());
    for _ in 0..2 {
        assert_eq!(read(), (" a user".to_owned(), Unseen::default()));
    }
    // The controller comes and goes, and the directory looks the same from outside.
    let with = |files: &[(&str, &str)]| {
        for (file, text) in files {
            fake.write(&format!("sys/fs/cgroup/user/7/{file}"), text);
        }
    };
    with(&[("memory.current", "4096\n")]);
    control("user", "cpu memory pids\n");
    assert!(read().0.starts_with(" a user user/0 "), "{}", read().0);
    control("user", "cpu pids\n");
    fake.remove("sys/fs/cgroup/user/7/memory.current");
    assert_eq!(read().0, " a user");
    // Where no cgroup has it, that is said.
    control("", "cpu\n");
    let mut tree = CgroupTree::default();
    assert_eq!(paths(&tree.read(fake.root()).unwrap()), [""]);
    assert_eq!(tree.unseen().sentences().count(), 1);
}

#[test]
fn pressure_is_read_when_it_is_asked_for() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    let mut tree = CgroupTree::default();
    tree.with_pressure = true;
    let samples = tree.read(fake.root()).unwrap();
    assert_eq!(samples[1].pressure.unwrap().some.total, 0);
    assert_eq!(one(&fake, "a").pressure, None);
}

#[test]
fn a_long_memory_stat_is_read_whole() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    let padding: String = (0..4000).map(|n| format!("unknown_counter_{n} 1\n")).collect();
    fake.write("sys/fs/cgroup/a/memory.stat", &format!("{padding}zswapped 8192\n"));
    assert_eq!(one(&fake, "a").stat.zswapped, Some(8192));
}

#[test]
fn a_host_without_cgroup_v2_is_told_from_one_without_the_memory_controller() {
    let fake = FakeRoot::host();
    cgroupfs::check(fake.root()).unwrap();
    fake.write("sys/fs/cgroup/cgroup.controllers", "cpu io\n");
    assert!(matches!(cgroupfs::check(fake.root()), Err(SenseError::NoMemoryController { .. })));
    fake.remove("sys/fs/cgroup/cgroup.controllers");
    assert!(matches!(cgroupfs::check(fake.root()), Err(SenseError::NoCgroup2 { .. })));
    fake.remove("sys/fs/cgroup");
    assert!(matches!(CgroupTree::default().read(fake.root()), Err(SenseError::Read(_))));
}

#[test]
fn a_tick_gives_all_or_an_error() {
    let fake = FakeRoot::host();
    fake.cgroup("a");
    let sensed = collect(fake.root(), &mut CgroupTree::default()).unwrap();
    assert_eq!((sensed.cgroups.len(), sensed.swaps.len()), (2, 1));
    for file in ["proc/meminfo", "proc/swaps", "proc/vmstat", "sys/fs/cgroup"] {
        let fake = FakeRoot::host();
        fake.remove(file);
        let error = collect(fake.root(), &mut CgroupTree::default()).unwrap_err().to_string();
        assert!(error.contains(file), "{error}");
    }
}

#[test]
fn the_snapshot_shows_the_host() {
    let fake = FakeRoot::host();
    let sensed = collect(fake.root(), &mut CgroupTree::default()).unwrap();
    let host = assemble(sensed, beside(MapHealth::Exact)).host;
    assert_eq!(host.ram, Bytes(1_038_860_288));
    // 20 % of 1,038,860,288 = 207,772,057.6, rounded down.
    assert_eq!(host.pool_limit, Some(Bytes(207_772_057)));
    assert_eq!(host.accept_threshold, Some(Share(900_000)));
    assert!(host.zswap_enabled);
}

#[test]
fn unknown_parameters_leave_the_pool_limit_unknown() {
    let fake = FakeRoot::host();
    fake.remove("sys/module/zswap/parameters");
    let sensed = collect(fake.root(), &mut CgroupTree::default()).unwrap();
    let host = assemble(sensed, beside(MapHealth::Exact)).host;
    assert_eq!((host.zswap_enabled, host.pool_limit, host.accept_threshold), (false, None, None));
}

#[test]
fn tiers_are_sums_over_the_subtree_and_cold_is_not() {
    let fake = FakeRoot::host();
    let [top, a, b] = ["top", "top/a", "top/b"].map(|path| CgroupId(fake.cgroup(path)));
    let other = CgroupId(fake.cgroup("other"));
    let sensed = collect(fake.root(), &mut CgroupTree::default()).unwrap();
    let root = sensed.cgroups[0].id;
    let own = |n: u64| Tiers {
        zswap: Pages(n),
        zswap_compressed: Bytes(100 * n),
        phys: Pages(10 * n),
        zero: Pages(20 * n),
        folio: Pages(30 * n),
        unknown: Pages(40 * n),
    };
    let cold = Cold { older_than: Seconds(600), pages: Pages(1), compressed: Bytes(9), oldest: Seconds(700) };
    // An id that no cgroup has: its cgroup is gone, its pages are still charged above it.
    let dead = CgroupId(u64::MAX);
    let beside = Beside {
        counts: [(top, own(1)), (a, own(2)), (b, own(4)), (dead, own(8))].into(),
        cold: [(a, cold)].into(),
        ..beside(MapHealth::Exact)
    };
    let snapshot = assemble(sensed, beside);
    let tiers = |id| snapshot.cgroups[&id].tiers.unwrap();
    assert_eq!((tiers(a), tiers(b)), (own(2), own(4)));
    // 1 + 2 + 4 = 7 below `top`, and the dead cgroup's 8 at the root: 15.
    assert_eq!((tiers(top), tiers(root)), (own(7), own(15)));
    assert_eq!(tiers(other), Tiers::default());
    assert_eq!((snapshot.cgroups[&a].cold, snapshot.cgroups[&top].cold), (Some(cold), None));
}

#[test]
fn without_a_map_every_tier_is_unknown() {
    let fake = FakeRoot::host();
    let id = CgroupId(fake.cgroup("a"));
    let sensed = collect(fake.root(), &mut CgroupTree::default()).unwrap();
    let beside =
        Beside { counts: [(id, Tiers::default())].into(), ..beside(MapHealth::Absent("no BTF".into())) };
    assert_eq!(assemble(sensed, beside).cgroups[&id].tiers, None);
}

#[test]
fn pages_of_the_root_cgroup_itself_are_counted() {
    let fake = FakeRoot::host();
    let sensed = collect(fake.root(), &mut CgroupTree::default()).unwrap();
    // 12,288 KiB by /proc/meminfo, of which the root's memory.stat knows 12,288 bytes.
    assert_eq!(sensed.cgroups[0].stat.zswapped, Some(12_288 * 1024));
}
