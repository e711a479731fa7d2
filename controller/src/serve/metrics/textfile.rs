//! The metrics as a file for node_exporter's textfile collector: written whole, then renamed, so that a scrape never
//! sees half of it.

#![expect(clippy::disallowed_methods, reason = "the file for node_exporter is its own")]

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{Shape, classic, render};
use crate::serve::board::Board;

/// How often the agent writes it: scrapers look every 15 s or less often.
const EVERY: Duration = Duration::from_secs(15);

/// Writes the classic text `text` to `path`.
///
/// # Errors
/// The folder is missing or may not be written; nothing is left of the attempt.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    // The collector reads `*.prom` alone.
    name.push(".new");
    let new = path.with_file_name(name);
    let written = write_new(&new, text).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _never_made = fs::remove_file(&new);
    }
    written
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The collector runs as a user of its own, whatever our umask is.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

/// Why nothing could be written to `path`, as far as that can be told without trying: its folder.
pub(crate) fn hindrance(path: &Path) -> Option<io::Error> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    match fs::metadata(folder) {
        Err(error) => Some(error),
        Ok(meta) if !meta.is_dir() => Some(io::ErrorKind::NotADirectory.into()),
        Ok(_) => {
            let is_read_only = rustix::fs::statvfs(folder)
                .is_ok_and(|stat| stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
            is_read_only.then(|| io::ErrorKind::ReadOnlyFilesystem.into())
        }
    }
}

/// What is said then.
pub(crate) fn not_written(path: &str, error: &io::Error) -> String {
    format!("the metrics file {path} is not written: {error}")
}

/// Writes it again and again, as long as the agent lives.
pub(in crate::serve) async fn keep(path: PathBuf, board: Arc<Board>, shape: Shape) {
    let mut watch = board.watch();
    let (mut failed, shown) = (false, path.display().to_string());
    loop {
        let page = watch.borrow_and_update().clone();
        if let Some(page) = page {
            board.look(crate::map::now());
            let (path, text) = (path.clone(), classic(&render(&page, shape)));
            // A disk may take its time.
            let written = tokio::task::spawn_blocking(move || write(&path, &text)).await;
            match written.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
                Ok(()) => failed = false,
                Err(error) if !failed => {
                    tracing::warn!(path = %shown, %error, "{}", not_written(&shown, &error));
                    failed = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(EVERY).await;
        }
        if watch.changed().await.is_err() {
            return;
        }
    }
}
