//! What was seen, decided and done, and how to take it back.
//!
//! Lives here: the undo log with its restore, and the journal of ticks. Nothing here decides or changes a kernel file
//! except `restore.rs`, which only ever writes values that were there before. Callers: `act/`, the agent, the commands.

pub use record::{Change, Kind, is_same_value};
pub use restore::{Fate, Item, Report, preview, restore, restore_where};
pub use ticks::{Entry, Journal, entries, last};
pub use undo::{Undo, UndoError, compact_log};

mod record;
mod restore;
pub(crate) mod state_dir;
mod ticks;
mod undo;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
