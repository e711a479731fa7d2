//! What was seen, decided and done, and how to take it back.
//!
//! Lives here: the undo log with its restore, and the journal of ticks. Nothing here decides or changes a kernel file
//! except `restore.rs`, which only ever writes values that were there before. Callers: `act/`, the agent, the commands.

#![expect(clippy::disallowed_methods, reason = "the state folder is this room's")]

pub use error::UndoError;
pub use record::{Change, Kind, is_same_value, words};
pub use replayed::compact_log;
pub use restore::{Item, Report, Undone, preview, restore, restore_where};
pub use ticks::{Entry, Journal, entries, last};
pub use undo::Undo;

mod error;
mod log;
mod record;
mod replayed;
mod restore;
pub(crate) mod state_dir;
mod ticks;
mod undo;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
