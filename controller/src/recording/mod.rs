//! Recordings: every tick of an agent, compactly, so that it can be looked at again (`top --from`), decided again and
//! decided otherwise (`replay`), and priced (`model`).
//!
//! `frame` is what a tick leaves; `block` its place in a file: found again by its mark, proven by its checksum; `pack` the
//! differences that are stored; `write` the recorder, on a thread of its own; `read` opening, seeking, and what is lost
//! where; `replay` the decision made again. Nothing here decides or touches the host. The text journal that `explain`
//! reads is `journal/`; the format is told in `docs/recording.md`.

mod block;
mod frame;
mod pack;
mod patch;
mod read;
pub mod replay;
mod write;

pub use block::{Fault, VERSION};
pub use frame::{Decision, Frame, Moved, Terms};
pub use read::{Loss, Recording, RecordingError};
pub use write::{Limits, Recorder, Written};

#[cfg(test)]
mod tests;
