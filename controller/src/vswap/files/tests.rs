//! Files in a folder, and what takes their place.

use super::super::label;
use super::*;

const SIZE: Bytes = Bytes(1 << 20);

fn main() -> AreaName {
    "main".parse().unwrap()
}

fn other() -> AreaName {
    "other".parse().unwrap()
}

/// Makes the file and says what was noted.
fn made(path: &Path) -> FileId {
    let mut noted = None;
    make(&main(), path, SIZE, None, |id| {
        assert!(!path.exists(), "it is noted before it has a name");
        noted = Some(id);
        Ok(())
    })
    .unwrap();
    noted.unwrap()
}

#[test]
fn a_file_that_was_made_is_removed_and_none_that_took_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("swap");
    let id = made(&path);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), SIZE.0);
    assert_eq!(remove(&main(), &path, Some(id)).unwrap(), None);
    assert!(!path.exists());
    // Gone is gone.
    assert_eq!(remove(&main(), &path, Some(id)).unwrap(), None);
    // Another of the same size, all noise: what an encrypted area's looks like.
    let noise: Vec<u8> = (0..SIZE.0).map(|at| (at.wrapping_mul(2_654_435_761) >> 7) as u8).collect();
    std::fs::write(&path, &noise).unwrap();
    let why = remove(&main(), &path, Some(id)).unwrap().unwrap();
    assert!(why.ends_with("is not the file that was made for the area: it is left where it is"), "{why}");
    assert_eq!(std::fs::read(&path).unwrap(), noise);
    // Nor is one with the right name in it, for what was made is another.
    std::fs::write(&path, label::page(&main(), page_size())).unwrap();
    assert!(remove(&main(), &path, Some(id)).unwrap().is_some() && path.exists());
}

#[test]
fn a_file_of_ours_in_which_somebody_put_something_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("swap");
    let id = made(&path);
    File::options().write(true).open(&path).unwrap().write_all_at(b"letters", 300_000).unwrap();
    let why = remove(&main(), &path, Some(id)).unwrap().unwrap();
    assert!(why.ends_with("holds something that no area wrote: it is left where it is"), "{why}");
    assert!(path.exists());
}

#[test]
fn without_a_note_the_name_in_the_file_decides() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let write = |name: &str, content: &[u8]| std::fs::write(path(name), content).unwrap();
    write("passwd", b"root:x:0:0:root:/root:/bin/bash\n");
    write("blank", &[0; 8192]);
    write("empty", b"");
    write("ours", &label::page(&main(), page_size()));
    write("others", &label::page(&other(), page_size()));
    write("ghost", &header::page(256, [7; 16], &main(), page_size()).unwrap());
    write("mkswap", &header::page(256, [7; 16], &other(), page_size()).unwrap());
    std::os::unix::fs::symlink(path("ours"), path("link")).unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    let names = ["passwd", "link", "folder", "blank", "empty", "others", "mkswap", "ours", "ghost", "gone"];
    let told: Vec<&str> =
        names.into_iter().filter(|name| remove(&main(), &path(name), None).unwrap().is_some()).collect();
    assert_eq!(told, ["passwd", "link", "folder", "blank", "empty", "others", "mkswap"]);
    let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["blank", "empty", "folder", "link", "mkswap", "others", "passwd"]);
}

#[test]
fn a_file_is_made_where_there_is_nothing_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let (fresh, taken) = (dir.path().join("fresh"), dir.path().join("taken"));
    let id = made(&fresh);
    // Noted and begun: it becomes as large as it shall be.
    make(&main(), &fresh, Bytes(2 << 20), Some(id), |_| Ok(())).unwrap();
    assert_eq!(std::fs::metadata(&fresh).unwrap().len(), 2 << 20);
    let refused = |name: &Path| {
        let never = |_| -> Result<()> { panic!("it is not ours") };
        make(&main(), name, SIZE, Some(FileId { inode: 1, ..id }), never).unwrap_err().to_string()
    };
    for content in [&b"letters"[..], &[0; 4096], &label::page(&other(), page_size())] {
        std::fs::write(&taken, content).unwrap();
        assert!(refused(&taken).contains("is not the file that was made for main"));
        assert_eq!(std::fs::read(&taken).unwrap(), content);
    }
    // A list of the version before has no note: the label says whose it is.
    std::fs::write(&taken, label::page(&main(), page_size())).unwrap();
    make(&main(), &taken, SIZE, None, |_| Ok(())).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&taken, &link).unwrap();
    assert!(make(&main(), &link, SIZE, None, |_| Ok(())).is_err(), "a link is not followed");
}

#[test]
fn a_note_that_cannot_be_written_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("swap");
    let full = |_| Err(AreaError::Refused("no room".to_owned()));
    assert!(make(&main(), &path, SIZE, None, full).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_ghosts_file_is_written_over_nothing_but_its_like() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("swaptier-main-0");
    make_ghost(&main(), &path, SIZE).unwrap();
    make_ghost(&main(), &path, SIZE).unwrap();
    assert!(make_ghost(&other(), &path, SIZE).is_err());
    std::fs::write(&path, b"letters").unwrap();
    assert!(make_ghost(&main(), &path, SIZE).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"letters");
}
