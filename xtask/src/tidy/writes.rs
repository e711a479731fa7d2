//! Who may change what the kernel has. Files of the kernel are written, and cgroups made and removed, through
//! `root::change` alone; here stands which files take that in, and who undoes what each of them does. That nobody writes past
//! `root` is held by `controller/clippy.toml`.

use std::path::Path;

use super::reach::Reach;
use super::rooms::sources;

/// Each file, and how what it does is undone.
const WRITERS: [(&str, &str); 12] = [
    ("act/file.rs", "the undo log, noted before"),
    ("act/reclaim.rs", "`memory.reclaim` holds no value"),
    ("act/writeback/ending.rs", "gives back by the undo log, and closes a valve again"),
    ("act/writeback/mod.rs", "the undo log; the pump's cgroup is noted in it too"),
    ("act/writeback/pump/guard.rs", "leaves the pump's cgroup"),
    ("act/writeback/pump/knob.rs", "the undo log, noted by the engine before the round"),
    ("act/writeback/pump/link.rs", "puts the pump into its cgroup"),
    ("act/writeback/pump/mod.rs", "gives back what the engine noted"),
    ("journal/restore.rs", "gives back"),
    ("leftovers.rs", "ends and removes what a dead agent left"),
    ("vswap/executor/mod.rs", "the list of areas, noted before"),
    ("vswap/executor/zram.rs", "the list of areas, noted before"),
];

/// Whether a path leads to the changing of files, or could without being seen: by the room as a whole.
fn is_to_change(reach: &Reach) -> bool {
    let names: Vec<&str> = reach.names.iter().map(String::as_str).collect();
    matches!(names[..], ["root"] | ["root", "change" | "*", ..])
}

#[test]
fn nobody_else_can_change_what_the_kernel_has() {
    let mut faults = Vec::new();
    let mut seen = Vec::new();
    for source in sources().into_iter().filter(|source| source.module[0] != "root") {
        let Some(reach) = source.reaches.iter().find(|reach| !reach.is_test && is_to_change(reach)) else {
            continue;
        };
        let name = source.path.strip_prefix("controller/src").unwrap_or(&source.path).to_owned();
        match WRITERS.iter().any(|(file, _)| name == Path::new(file)) {
            true => seen.push(name),
            false => {
                faults.push(format!("{}:{}: takes in `{}`", source.path.display(), reach.line, reach.shown()))
            }
        }
    }
    let gone = WRITERS.iter().filter(|(file, _)| !seen.iter().any(|name| name == Path::new(file)));
    faults
        .extend(gone.map(|(file, _)| format!("controller/src/{file}: is in the list, and changes nothing")));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_way_to_the_changing_of_files_is_seen() {
    let found = |text: &str| {
        let module = ["a".to_owned(), "b".to_owned()];
        let reaches = super::reach::reaches(text, &module, "own", false).expect("Rust");
        reaches.iter().any(is_to_change)
    };
    for text in [
        "use crate::root::change::Write as _;",
        "use crate::{fault, root::{Root, change::{self, Make}}};",
        "use crate::root::*;",
        "use crate::root; fn f() { root::change::Write::write(&x, y, z) }",
        "use super::super::root::{self, Root};",
        "fn f() { crate::root::change::Make::remove_dir(&root, path) }",
    ] {
        assert!(found(text), "{text}");
    }
    for text in [
        "use crate::root::{Root, CgroupDir};",
        "use super::root::change;",
        "fn f(root: &crate::root::Root) {}",
    ] {
        assert!(!found(text), "{text}");
    }
}
