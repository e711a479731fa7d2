//! Where things live: the repository, the lab's folder under `target/`, one folder per guest run.
//! Nothing here reads or judges what lies there. Everyone in this crate calls it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// Folders of past guest runs that are kept (for their console logs).
const KEPT_RUNS: usize = 20;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or_else(|| manifest.clone(), Path::to_path_buf)
}

/// Everything the lab fetches, builds and remembers: safe to delete at any time.
pub(crate) fn lab() -> PathBuf {
    root().join("target/lab")
}

/// The target folder of the guest's static binaries.
pub(crate) fn guest_target() -> PathBuf {
    root().join("target/guest")
}

/// Creates `dir` and its parents.
pub(crate) fn create(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))
}

/// Takes the lab's lock called `name`; it is held until the returned file is dropped. Two runs of `xtask` at the
/// same time must not fetch one kernel twice.
pub(crate) fn lock(name: &str) -> Result<File> {
    create(&lab())?;
    let path = lab().join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("    waiting for another run that holds {}", path.display());
        file.lock().with_context(|| format!("locking {}", path.display()))?;
    }
    Ok(file)
}

/// A fresh folder for one guest run. Older ones are thinned out: images of finished runs, then whole folders.
pub(crate) fn new_run() -> Result<PathBuf> {
    let runs = lab().join("runs");
    create(&runs)?;
    thin_out(&runs);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let dir = runs.join(format!("{}-{}", since_epoch.as_millis(), std::process::id()));
    create(&dir)?;
    Ok(dir)
}

/// Best effort: a folder that cannot be read or removed is left for the next time.
fn thin_out(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else { return };
    let mut dirs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    // Names start with the time in milliseconds: sorted by name is sorted by age.
    dirs.sort();
    let mut finished = Vec::new();
    for dir in dirs {
        if !is_running(&dir) {
            drop_images(&dir);
            finished.push(dir);
        }
    }
    let surplus = finished.len().saturating_sub(KEPT_RUNS);
    for dir in finished.iter().take(surplus) {
        let _ = fs::remove_dir_all(dir);
    }
}

/// Whether the `xtask` that made this folder is alive: its process id ends the name.
fn is_running(dir: &Path) -> bool {
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.rsplit('-').next().is_some_and(|pid| Path::new("/proc").join(pid).exists())
}

/// Removes what a run needed only while it ran: disks and the initramfs. Logs stay.
pub(crate) fn drop_images(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|ext| ext == "img" || ext == "cpio") {
            let _ = fs::remove_file(path);
        }
    }
}
