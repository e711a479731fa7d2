//! What the house says of itself in words, against what there is: the files and folders that door plates and the documents
//! name, and the version in the path of the pins. The words around them nobody checks.

use std::path::Path;

use crate::paths;

/// The documents whose every file and folder must be there.
const DOCUMENTS: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"];

/// The files and folders that a text names: what stands between backquotes, is a path and no other word, and ends in `.rs`
/// or `/`. What begins with `/` is the host's.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|word| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
        let is_path = (word.ends_with(".rs") || word.ends_with('/')) && word.bytes().all(is_plain);
        is_path && !word.starts_with(['/', '.'])
    })
}

/// The door plate of a file.
fn plate(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Whether `named` is there for who reads the file at `path`: beside it, in its own folder, or in a folder above, of which a
/// crate's `src` is a part.
fn is_there(path: &Path, named: &str, exists: impl Fn(&Path) -> bool) -> bool {
    let own = path.with_extension("");
    let folders = std::iter::once(own.as_path()).chain(path.ancestors().skip(1));
    folders
        .flat_map(|folder| [folder.to_owned(), folder.join("src")])
        .any(|folder| exists(&folder.join(named)))
}

#[test]
fn every_file_and_folder_that_a_door_plate_names_is_there() {
    let root = paths::root();
    super::check(&["rs"], |path, text| {
        let plate = plate(text);
        let mut gone = named(&plate).filter(|named| !is_there(path, named, |it| root.join(it).exists()));
        gone.next().map(|named| format!("its door plate names `{named}`, which is not there"))
    });
}

#[test]
fn every_file_and_folder_that_a_document_names_is_there() {
    let (root, all) = (paths::root(), super::files(&["rs"]));
    let is_there = |named: &str| {
        let is_it = |path: &Path| match named.strip_suffix('/') {
            Some(folder) => path.ancestors().any(|above| above.ends_with(folder)),
            None => path.ends_with(named),
        };
        root.join(named).exists() || all.iter().any(|path| is_it(path))
    };
    super::check(&["md"], |path, text| {
        if !DOCUMENTS.iter().any(|document| path == Path::new(document)) {
            return None;
        }
        named(text).find(|named| !is_there(named)).map(|named| format!("names `{named}`, which is not there"))
    });
}

/// The versions that a text gives to the folder of the pins.
fn versions(text: &str) -> Vec<u32> {
    let after = |(at, mark): (usize, &str)| {
        let digits: String = text[at + mark.len()..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    text.match_indices("bpf/swaptier/v").filter_map(after).collect()
}

/// What of a text is said of the program as it is: all of a document, the comments of a file.
fn said<'a>(path: &Path, text: &'a str) -> Vec<&'a str> {
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    text.lines().filter(|line| !is_rust || line.trim_start().starts_with("//")).collect()
}

#[test]
fn the_pins_stand_where_the_layout_says() {
    let layout = std::fs::read_to_string(paths::root().join("common/src/lib.rs")).expect("the wire");
    let layout = layout.split_once("pub const LAYOUT: u32 = ").expect("the version of the layout").1;
    let layout: u32 = layout.split(';').next().unwrap_or_default().parse().expect("a number");
    let mut told = 0;
    for path in super::files(&["md", "rs"]) {
        let text = std::fs::read_to_string(&path).expect("a file of the repository");
        for version in said(&path, &text).into_iter().flat_map(versions) {
            assert_eq!(version, layout, "{}: the pins are under v{layout}", path.display());
            told += 1;
        }
    }
    assert!(
        told >= 3,
        "the architecture, the page about the map and the file of the pins say it: found {told}"
    );
}

#[test]
fn what_is_not_there_is_found() {
    let text = "//! As `a.rs` and `b/` say; `c::d`, `/sys/x/`, `two words/` and `.rs` are no files.\n//! `e/f.rs`\nfn f() {} // `g.rs`\n";
    let plate = plate(text);
    assert_eq!(named(&plate).collect::<Vec<_>>(), ["a.rs", "b/", "e/f.rs"]);
    let there = ["crate/src/room/a.rs", "crate/src/other/b.rs", "crate/src/room/file/c.rs", "docs/d.rs"];
    let is = |named: &str| {
        is_there(Path::new("crate/src/room/file.rs"), named, |path| {
            there.iter().any(|it| Path::new(it) == path)
        })
    };
    assert!(["a.rs", "other/b.rs", "c.rs", "docs/d.rs", "room/a.rs"].into_iter().all(is));
    assert!(!["b.rs", "room/b.rs", "file.rs/a.rs", "d.rs"].into_iter().any(is));
    assert_eq!(versions("/sys/fs/bpf/swaptier/v3 and /sys/fs/bpf/swaptier/v12/x, bpf/swaptier/vX"), [3, 12]);
}
