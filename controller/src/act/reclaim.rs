//! Writes `memory.reclaim`: asks the kernel to push this much of a cgroup out of RAM, now. Callers: the gate of the
//! write-back engine, and offloading.
//!
//! Nothing of it can be undone, so nothing is noted. One write can take as long as its reclaim: it is always under the
//! deadline, and a caller asks in small bites.

use swaptier_policies::{Bytes, Outcome};

use super::{Target, Writer};
use crate::root::{Root, RootError, cgroup_file, change::Write as _};

/// The kernel's file (5.19 on).
pub const FILE: &str = "memory.reclaim";

/// The word of [`Swappiness::Max`].
pub const SWAPPINESS_MAX: &str = "swappiness=max";

/// Words by which anonymous memory is reclaimed and no page cache, best first. The second is a wish: without
/// `swappiness=max` the kernel's older lists may prefer page cache where there is plenty.
pub const ANONYMOUS: [&str; 2] = [SWAPPINESS_MAX, "swappiness=200"];

/// Words by which only zswap is reclaimed, that is written back: as first proposed for the kernel, and as proposed later.
pub const ZSWAP_ONLY: [&str; 2] = ["zswap_writeback_only", "source=zswap"];

/// What to prefer: anonymous memory or page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swappiness {
    /// 0 to 200 (6.12 on); 0 is page cache only.
    Value(u8),
    /// Anonymous memory only (6.18 on).
    Max,
}

/// Asks for `bytes` of the cgroup at `target`.
pub async fn ask(writer: &Writer, target: Target, bytes: Bytes, swappiness: Option<Swappiness>) -> Outcome {
    let path = target.path(FILE);
    let text = text(bytes, swappiness);
    if writer.is_dry() {
        return Outcome::Would { path, from: String::new(), to: text };
    }
    let root = writer.root().clone();
    let place = path.clone();
    let work = move || {
        let written = match target.open(&root) {
            Ok(Some(cgroup)) => cgroup.write(FILE, &text),
            Ok(None) => return Outcome::Gone { path },
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => Outcome::Reclaimed { path, asked: bytes, whole: true },
            // Fewer bytes than asked for: as much as there was.
            Err(e) if e.errno() == Some(libc::EAGAIN) => {
                Outcome::Reclaimed { path, asked: bytes, whole: false }
            }
            Err(e) if e.is_gone() => Outcome::Gone { path },
            Err(e) => Outcome::Failed { path, error: e.to_string() },
        }
    };
    writer.busy().run(&place, writer.deadline(), work).await
}

/// Whether the kernel knows this word. It is asked for nothing: words are looked at first, so no page is touched.
///
/// # Errors
/// It cannot be asked: no such file, or no right to write it.
pub fn takes(root: &Root, word: &str) -> Result<bool, RootError> {
    match root.write(&cgroup_file("", FILE), &format!("0 {word}")) {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(libc::EAGAIN) => Ok(true),
        Err(error) if error.errno() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What is written into the file.
pub(super) fn text(bytes: Bytes, swappiness: Option<Swappiness>) -> String {
    match swappiness {
        None => bytes.0.to_string(),
        Some(Swappiness::Value(value)) => format!("{} swappiness={value}", bytes.0),
        Some(Swappiness::Max) => format!("{} {SWAPPINESS_MAX}", bytes.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn a_word_is_tried_by_asking_for_nothing() {
        let fake = FakeRoot::host();
        assert!(takes(fake.root(), ZSWAP_ONLY[0]).is_err(), "no file is not the same as no word");
        fake.write("sys/fs/cgroup/memory.reclaim", "");
        assert!(takes(fake.root(), ZSWAP_ONLY[0]).is_ok_and(|takes| takes));
        assert_eq!(fake.read("sys/fs/cgroup/memory.reclaim"), "0 zswap_writeback_only");
    }

    #[test]
    fn the_kernels_keys_are_spelled_as_it_takes_them() {
        assert_eq!(text(Bytes(4096), None), "4096");
        assert_eq!(text(Bytes(4096), Some(Swappiness::Value(0))), "4096 swappiness=0");
        assert_eq!(text(Bytes(4096), Some(Swappiness::Max)), "4096 swappiness=max");
    }
}
