//! A temporary folder for the targets that need files: in memory where that is to be had, so that syncing costs nothing.

use std::path::Path;

/// Makes it. It goes when it is dropped.
pub fn temporary() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    let dir = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
    dir.expect("there is room for a temporary folder")
}
