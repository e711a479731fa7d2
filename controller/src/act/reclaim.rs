//! Writes `memory.reclaim`: asks the kernel to push this much of a cgroup out of RAM, now. Callers: the gate of the
//! write-back engine, and offloading.
//!
//! Nothing of it can be undone, so nothing is noted. One write can take as long as its reclaim: it is always under the
//! deadline, and a caller asks in small bites.

use swaptier_policies::Bytes;

use super::{Hands, Outcome, Target};

/// The kernel's file (5.19 on).
pub const FILE: &str = "memory.reclaim";

/// What to prefer: anonymous memory or page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swappiness {
    /// 0 to 200 (6.12 on); 0 is page cache only.
    Value(u8),
    /// Anonymous memory only (6.18 on).
    Max,
}

/// Asks for `bytes` of the cgroup at `target`.
pub async fn ask(hands: &Hands, target: Target, bytes: Bytes, swappiness: Option<Swappiness>) -> Outcome {
    let path = target.path(FILE);
    let text = text(bytes, swappiness);
    if hands.is_dry() {
        return Outcome::Would { path, from: String::new(), to: text };
    }
    let root = hands.root().clone();
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
    hands.busy().run(&place, hands.deadline(), work).await
}

/// What is written into the file.
pub(super) fn text(bytes: Bytes, swappiness: Option<Swappiness>) -> String {
    match swappiness {
        None => bytes.0.to_string(),
        Some(Swappiness::Value(value)) => format!("{} swappiness={value}", bytes.0),
        Some(Swappiness::Max) => format!("{} swappiness=max", bytes.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_keys_are_spelled_as_it_takes_them() {
        assert_eq!(text(Bytes(4096), None), "4096");
        assert_eq!(text(Bytes(4096), Some(Swappiness::Value(0))), "4096 swappiness=0");
        assert_eq!(text(Bytes(4096), Some(Swappiness::Max)), "4096 swappiness=max");
    }
}
