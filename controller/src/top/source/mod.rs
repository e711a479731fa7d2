//! Where looks come from, behind one trait: the agent's socket, cgroup files alone, or a recording.
//!
//! Sources read; none of them draws, and none changes anything. Called by the loop's reading thread and by `plain`.

mod files;
mod recorded;
mod socket;

use std::time::Duration;

pub use files::Files;
pub use recorded::Recorded;
pub use socket::Socket;

use super::seen::Seen;

/// Where looks come from, as far as the screen cares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// `agent`, `cgroup files`, or the file of a recording.
    pub label: String,
    /// It is a recording: time can be moved in.
    pub is_recorded: bool,
    /// Somebody is there who can act.
    pub can_act: bool,
}

/// Where to in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// So many looks on, or back.
    By(i64),
    /// So many seconds on, or back.
    Seconds(i64),
    /// To the last look at or before this second since 1970.
    To(u64),
}

/// What a source is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// The path of a cgroup whose details are wanted too.
    pub detail: Option<String>,
    /// From one look to the next.
    pub pace: Duration,
}

/// A place that looks come from.
pub trait Source: Send {
    /// What it is.
    fn origin(&self) -> Origin;

    /// The next look. `None`: there is none any more, as at the end of a recording; the one before stands.
    ///
    /// # Errors
    /// There is nothing to see now: why, as a sentence. The next call may see again.
    fn look(&mut self, want: &Want) -> Result<Option<Seen>, String>;

    /// Goes elsewhere; the next look is from there. Only a recording can.
    fn jump(&mut self, _jump: Jump) {}
}
