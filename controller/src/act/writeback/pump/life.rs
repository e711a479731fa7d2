//! Whether the agent lives, told as soon as it does not.
//!
//! A killed process closes its pipes only after it has given back all its memory, which takes long when that is much
//! and locked. That it is exiting is a flag of its main thread from the first moment on.

use std::{fs::File, os::unix::fs::FileExt as _};

/// `PF_EXITING` and `PF_SIGNALED` of the kernel (include/linux/sched.h).
const EXITING: u64 = 0x4 | 0x400;

/// The process that started this one.
pub(super) struct Life {
    /// Its `/proc/PID/stat`, which stays its own when the number is given out anew. `None`: it cannot be read, and the
    /// end of the input must do.
    stat: Option<File>,
}

impl Life {
    /// That of the parent.
    pub(super) fn of_parent() -> Self {
        let parent = rustix::process::getppid().filter(|parent| !parent.is_init());
        let path = parent.map(|parent| format!("/proc/{}/stat", parent.as_raw_nonzero()));
        Self { stat: path.and_then(|path| File::open(path).ok()) }
    }

    /// It is dying or dead.
    pub(super) fn is_over(&self) -> bool {
        let Some(stat) = &self.stat else { return false };
        let mut text = [0; 512];
        match stat.read_at(&mut text, 0) {
            Ok(read) => std::str::from_utf8(&text[..read]).is_ok_and(is_exiting),
            Err(_gone) => true,
        }
    }
}

/// Reads the flags, the ninth field; the second, the name, may hold spaces and brackets.
fn is_exiting(stat: &str) -> bool {
    let flags = stat.rsplit_once(") ").and_then(|(_, fields)| fields.split(' ').nth(6)?.parse().ok());
    flags.is_some_and(|flags: u64| flags & EXITING != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exiting_process_is_told_by_its_flags() {
        // 0x400100: alive. 0x400104: exiting.
        assert!(!is_exiting("7 (a) b) S 1 7 7 0 -1 4194560 100 0"));
        assert!(is_exiting("7 (a) b) R 1 7 7 0 -1 4194564 100 0"));
        assert!(!is_exiting("nonsense"));
        assert!(!Life::of_parent().is_over(), "cargo waits for its tests");
    }
}
