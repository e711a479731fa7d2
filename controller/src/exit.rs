//! The exit codes, and the one way an error becomes one: of a command, and of what a client asks the agent for.

use std::process::ExitCode;

/// Why a command ended. The numbers are documented in the README and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed while running.
    Failed = 1,
    /// The command line is not understood (clap gives this one).
    Usage = 2,
    /// A policy or the configuration is invalid.
    Invalid = 3,
    /// This kernel or host cannot do it.
    Unsupported = 4,
    /// Not permitted.
    NotPermitted = 5,
    /// There was nothing to do.
    Nothing = 6,
    /// Another agent holds the state folder, or serves the socket.
    Busy = 7,
}

impl Exit {
    /// The exit with this number; an unknown one is a failure.
    pub fn from_number(number: u8) -> Self {
        let all = [
            Self::Done,
            Self::Usage,
            Self::Invalid,
            Self::Unsupported,
            Self::NotPermitted,
            Self::Nothing,
            Self::Busy,
        ];
        all.into_iter().find(|exit| *exit as u8 == number).unwrap_or(Self::Failed)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with the exit code it ends in. The message says what, where, and what to do.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// The message; may have several lines.
    pub error: anyhow::Error,
}

impl Failure {
    /// An error that ends in this code.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into() }
    }

    /// The message with all its causes, each said once: an error of this crate names its cause itself.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for cause in self.error.chain().map(ToString::to_string) {
            if text.is_empty() {
                text = cause;
            } else if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        text
    }

    /// A message that ends in this code.
    pub fn say(exit: Exit, message: impl std::fmt::Display) -> Self {
        Self { exit, error: anyhow::anyhow!("{message}") }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Exit::Failed, error)
    }
}

/// What a command returns.
pub type Result = std::result::Result<Exit, Failure>;

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context as _;

    use super::*;
    use crate::root::RootError;

    #[test]
    fn a_cause_is_said_once_whoever_says_it() {
        let full = || io::Error::from_raw_os_error(libc::ENOSPC);
        let error = RootError { path: "/x".into(), action: "write", source: full() };
        let text = "write /x: No space left on device (os error 28)";
        assert_eq!(Failure::from(error).text(), text);
        let error = RootError { path: "/x".into(), action: "write", source: full() };
        let failure = Failure::from(Err::<(), _>(error).context("noting the change").unwrap_err());
        assert_eq!(failure.text(), format!("noting the change: {text}"));
        let failure = Failure::from(Err::<(), _>(full()).context("asking").unwrap_err());
        assert_eq!(failure.text(), "asking: No space left on device (os error 28)");
    }
}
