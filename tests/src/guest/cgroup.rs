//! A cgroup that lasts as long as its guard: created, set, entered by children, killed and removed at drop.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::kernel;
use super::wait::wait_for;

/// Where the cgroup v2 hierarchy is mounted.
pub const ROOT: &str = "/sys/fs/cgroup";

/// Guard of a cgroup of ours.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    /// The same where only text will do; not the cgroup's name where that is no UTF-8.
    label: String,
}

impl Cgroup {
    /// Creates `path` (such as `demo.slice/cold`) and what is above it, with the memory controller on.
    ///
    /// # Errors
    /// When a directory or the controller is refused, and when the cgroup exists: it would not be ours to kill.
    pub fn create(path: &str) -> Result<Cgroup> {
        Cgroup::create_of_bytes(Path::new(path))
    }

    /// The same with a name that may be no text.
    ///
    /// # Errors
    /// As [`Cgroup::create`].
    pub fn create_of_bytes(path: &Path) -> Result<Cgroup> {
        let mut above = PathBuf::from(ROOT);
        for name in path {
            let control = above.join("cgroup.subtree_control");
            if !kernel::read(&control)?.split(' ').any(|c| c == "memory") {
                kernel::write(&control, "+memory")?;
            }
            above.push(name);
            let last = above == Path::new(ROOT).join(path);
            if last || !above.exists() {
                std::fs::create_dir(&above).with_context(|| format!("creating {}", above.display()))?;
            }
        }
        Ok(Cgroup { path: path.to_owned(), label: path.display().to_string() })
    }

    /// The same with files set, in order: `[("memory.high", "64M")]`.
    ///
    /// # Errors
    /// As [`Cgroup::create`] and [`Cgroup::set`].
    pub fn with(path: &str, files: &[(&str, &str)]) -> Result<Cgroup> {
        let cgroup = Cgroup::create(path)?;
        files.iter().try_for_each(|(file, value)| cgroup.set(file, value))?;
        Ok(cgroup)
    }

    /// Its path beneath the root of the hierarchy, as policies match it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.label
    }

    /// Its identity: the inode of its directory.
    ///
    /// # Errors
    /// When it is gone.
    pub fn id(&self) -> Result<u64> {
        use std::os::unix::fs::MetadataExt;
        Ok(std::fs::metadata(self.file("")).with_context(|| format!("looking at {}", self.label))?.ino())
    }

    /// Absolute path of one of its files.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        Path::new(ROOT).join(&self.path).join(name)
    }

    /// Writes one of its files.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn set(&self, file: &str, value: &str) -> Result<()> {
        kernel::write(self.file(file), value)
    }

    /// Reads one of its files.
    ///
    /// # Errors
    /// When it does not exist on this kernel.
    pub fn get(&self, file: &str) -> Result<String> {
        kernel::read(self.file(file))
    }

    /// One line of its memory.stat: bytes for memory, counts for events.
    ///
    /// # Errors
    /// When this kernel has no such line.
    pub fn stat(&self, key: &str) -> Result<u64> {
        kernel::stat(self.file("memory.stat"), key)
    }

    /// Asks the kernel to reclaim so many bytes here (`memory.reclaim`); it may find less.
    ///
    /// # Errors
    /// When the kernel refuses for any reason but having found less.
    pub fn reclaim(&self, bytes: &str) -> Result<()> {
        match self.set("memory.reclaim", bytes) {
            Err(error) if error.downcast_ref().is_some_and(is_again) => Ok(()),
            other => other,
        }
    }

    /// Makes `command` start inside this cgroup: everything it allocates after the exec is charged here.
    ///
    /// # Errors
    /// When cgroup.procs cannot be opened.
    pub fn enter<'c>(&self, command: &'c mut Command) -> Result<&'c mut Command> {
        let path = self.file("cgroup.procs");
        let procs = OpenOptions::new().write(true).open(&path);
        let procs = procs.with_context(|| format!("opening {}", path.display()))?;
        // SAFETY: the closure only writes to a descriptor opened before the fork; it allocates nothing.
        Ok(unsafe { command.pre_exec(move || (&procs).write_all(b"0")) })
    }

    fn remove(&self) -> Result<()> {
        self.set("cgroup.kill", "1")?;
        wait_for("the killed cgroup to be empty", Duration::from_secs(30), || {
            Ok(self.get("cgroup.events")?.contains("populated 0"))
        })?;
        let directory = self.file("");
        std::fs::remove_dir(&directory).with_context(|| format!("removing {}", directory.display()))?;
        // Empty slices above go with their last child; one that is in use refuses.
        let mut above = self.path.parent();
        while let Some(path) = above.filter(|p| !p.as_os_str().is_empty()) {
            if std::fs::remove_dir(Path::new(ROOT).join(path)).is_err() {
                break;
            }
            above = path.parent();
        }
        Ok(())
    }
}

fn is_again(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("cgroup {} is left behind: {error:#}", self.label);
        }
    }
}
