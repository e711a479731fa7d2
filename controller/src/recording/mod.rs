//! Recordings: every tick of an agent, compactly, so that it can be looked at again (`top --from`), decided again and
//! decided otherwise (`replay`), and priced (`model`).
//!
//! `frame` is what a tick leaves, `terms` what else a replay needs; `block` its place in a file: found again by its mark, proven by its checksum; `pack` the
//! differences that are stored; `write` the recorder, on a thread of its own; `read` opening, seeking, and what is lost
//! where; `replay` the decision made again. Nothing here decides, and nothing but `terms` looks at the host. The text journal that `explain`
//! reads is `journal/`; the format is told in `docs/recording.md`.

#![expect(clippy::disallowed_methods, reason = "recordings are this room's files")]

mod block;
mod frame;
mod pack;
mod patch;
mod read;
pub mod replay;
mod terms;
mod write;

pub use block::{Fault, VERSION};
pub use frame::{Frame, Moved};
pub use read::{Loss, Recording, RecordingError};
pub use terms::Terms;
pub use write::{Limits, Recorder, Written};

#[cfg(test)]
mod tests;
