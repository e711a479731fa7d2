//! A way to disk closed by hand, against the decision.

use super::file;
use crate::close::FOLDER;
use crate::close::{Unclosed, closing, keep_what_stays};
use crate::decide::wanted_valve;
use crate::file::grammar::TOP;
use crate::{Place, PolicySet, SourceFile};

const BATCH: &str = "schema = 1\n[match]\ncgroup = [\"batch.slice/**\"]\npriority = 50\n[tiers]\nuse = [\"zswap\", \"disk\"]\n\
    zswap_max = \"25%\"\nswap_max = \"8G\"\noverflow = \"keep\"\n[demote]\nolder_than = \"10m\"\nkeep_free = \"10%\"\n\
    budget = { round = \"64M\" }\n";

fn batch() -> SourceFile {
    file("/etc/swaptier/policies.d/batch.toml", BATCH)
}

fn with(closed: &str) -> PolicySet {
    PolicySet::load(&[batch(), file("closed-7.toml", closed)]).unwrap()
}

#[test]
fn a_closed_cgroup_keeps_its_limits_and_writes_nothing_to_disk_and_its_neighbours_are_as_before() {
    let set = with(&closing(&"batch.slice/a".into(), &batch()).unwrap());
    let (closed, other) = (set.resolve("batch.slice/a").unwrap(), set.resolve("batch.slice/b").unwrap());
    assert_eq!((closed.name(), other.name()), ("closed-7.toml", "batch.toml"));
    let (tiers, was) = (closed.tiers().unwrap(), other.tiers().unwrap());
    assert_eq!(tiers.limits, was.limits);
    assert_eq!(wanted_valve(tiers).map(|(to, _)| to), Some(false));
    assert!(closed.demote().is_none() && other.demote().is_some());
    assert_eq!((closed.closes(), other.closes()), (Some(&"batch.slice/a".into()), None));
    // What lies below it has its own policy still; the kernel's valve above it is shut.
    assert_eq!(set.resolve("batch.slice/a/deep").unwrap().name(), "batch.toml");
}

#[test]
fn any_name_of_a_cgroup_is_closed_and_no_other() {
    for path in [
        &b"batch.slice/a*b"[..],
        b"batch.slice/[x]{y}?",
        b"batch.slice/dev-disk\\x2d1",
        b"batch.slice/\"quoted'",
        "batch.slice/データ".as_bytes(),
        b"!batch",
        b"batch.slice/caf\xe9.scope",
        b"batch.slice/caf\\xe9.scope",
        b"batch.slice/\x1b[31m",
    ] {
        let path = crate::CgroupPath::new(path);
        let mut of = batch();
        of.text = of.text.replace("\"batch.slice/**\"", "\"**\"");
        let closed = file("closed-7.toml", &closing(&path, &of).unwrap());
        let set = PolicySet::load(&[of, closed]).unwrap();
        assert_eq!(set.resolve(&path).unwrap().name(), "closed-7.toml", "{path}");
        assert_eq!(set.resolve("batch.slice/aXb").unwrap().name(), "batch.toml", "{path}");
    }
}

#[test]
fn where_nothing_goes_to_disk_or_nothing_would_be_left_there_is_nothing_to_close() {
    let of = |tiers: &str| file("p.toml", &format!("schema = 1\n[match]\ncgroup = [\"**\"]\n{tiers}"));
    let cases = [
        ("", Unclosed::NoTiers),
        ("[tiers]\nuse = []\n", Unclosed::NoDisk),
        ("[tiers]\nuse = [\"zswap\"]\n", Unclosed::NoDisk),
        ("[tiers]\nuse = [\"disk\"]\n", Unclosed::NoZswap),
        ("[tiers]\nuse = nonsense\n", Unclosed::Unreadable),
    ];
    for (tiers, why) in cases {
        assert_eq!(closing(&"a".into(), &of(tiers)), Err(why), "{tiers}");
    }
}

#[test]
fn a_file_closes_by_hand_in_one_folder_only_and_only_what_it_names() {
    let text = closing(&"batch.slice/a".into(), &batch()).unwrap();
    let load = |place: Place, text: &str| {
        let source = SourceFile { place, ..file("x.toml", text) };
        PolicySet::load(&[source]).map(|set| set.len()).map_err(|faults| faults[0].message.clone())
    };
    let at = |folder: &str| Place::File(format!("{folder}/closed-7.toml"));
    assert_eq!(load(at(FOLDER), &text), Ok(1));
    assert_eq!(load(Place::Nowhere, &text), Ok(1), "as a recording holds it");
    for folder in
        ["/etc/swaptier/policies.d", "/usr/lib/swaptier/policies.d", "/run/swaptier/policies.d/below", ""]
    {
        let why = load(at(folder), &text).unwrap_err();
        assert_eq!(why, format!("`closed_by_hand` means nothing outside of {FOLDER}"), "{folder}");
    }
    for (from, to) in [
        ("closed_by_hand = \"batch.slice/a\"", "closed_by_hand = \"batch.slice/b\""),
        ("cgroup = [\"batch.slice/a\"]", "cgroup = [\"**\"]"),
        ("use = [\"zswap\"]", "use = [\"zswap\", \"disk\"]"),
    ] {
        assert!(text.contains(from), "{text}");
        assert!(load(at(FOLDER), &text.replace(from, to)).is_err(), "{to}");
    }
}

#[test]
fn of_all_that_a_file_can_say_only_what_writes_nothing_to_disk_stays() {
    let empty = || toml::Value::Table(toml::Table::new());
    let mut top: toml::Table = TOP.keys.iter().map(|key| ((*key).to_owned(), empty())).collect();
    // A table that no one has decided about.
    top.insert("later".to_owned(), empty());
    keep_what_stays(&mut top);
    let mut left: Vec<&str> = top.keys().map(String::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["match", "schema", "tiers"]);
}
