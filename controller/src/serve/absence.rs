//! Why nothing is heard of the agent: none is running, it does not answer, or it may not be asked; and what the kernel's
//! files cannot say then. Pure, but for what the system's error says. Callers: the commands that show files instead.

use std::{
    fmt, io,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::text::clock;

/// Why nothing is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Nobody listens.
    NotRunning,
    /// It listens, and does not answer since this second since 1970.
    Silent(u64),
    /// Its socket is not this user's to open.
    NotAllowed,
}

impl Absence {
    /// What an error of the socket means for a question asked at `asked`; `None`: something else.
    #[must_use]
    pub fn of(error: &io::Error, asked: SystemTime) -> Option<Absence> {
        match error.kind() {
            // A socket with a time to read says the first.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                let since = asked.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
                Some(Absence::Silent(since))
            }
            io::ErrorKind::PermissionDenied => Some(Absence::NotAllowed),
            _ => None,
        }
    }

    /// What is not known without the agent, as a sentence.
    #[must_use]
    pub fn costs(self) -> String {
        format!("{self}: what is on disk, how old pages are and what was written back is not known")
    }

    /// What to do about it, for those whom it keeps from acting.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Absence::NotRunning => "start `swaptier agent`",
            Absence::Silent(_) => {
                "it is stopped or hangs (`systemctl status swaptier`); the watchdog of its unit ends one that hangs"
            }
            Absence::NotAllowed => "it speaks to root, and to the group of `[socket] group` in swaptier.toml",
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absence::NotRunning => f.write_str("no agent is running"),
            Absence::Silent(since) => write!(f, "the agent does not answer since {} UTC", clock(*since)),
            Absence::NotAllowed => f.write_str("the agent may not be asked by this user"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_silence_is_told_apart_with_what_to_do() {
        // 12:03:44 of some day.
        let asked = UNIX_EPOCH + Duration::from_secs(3 * 86_400 + 12 * 3_600 + 3 * 60 + 44);
        let of = |kind: io::ErrorKind| Absence::of(&kind.into(), asked);
        let silent = of(io::ErrorKind::WouldBlock).unwrap();
        assert_eq!(silent.to_string(), "the agent does not answer since 12:03:44 UTC");
        assert!(silent.costs().contains("is not known") && silent.remedy().contains("hangs"));
        assert_eq!(of(io::ErrorKind::TimedOut), Some(silent));
        let denied = of(io::ErrorKind::PermissionDenied).unwrap();
        assert!(
            denied.to_string().contains("may not be asked") && denied.remedy().contains("[socket] group")
        );
        assert_eq!(of(io::ErrorKind::UnexpectedEof), None, "that is a fault, and no absence");
        assert!(Absence::NotRunning.costs().starts_with("no agent is running: "));
    }
}
