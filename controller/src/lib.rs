//! The shell of swaptier: everything that touches the world. What to do is decided by `swaptier_policies`.
//!
//! One direction: `hooks` → `map` → `sense` → decision → `act` → `journal`. This file declares the rooms and holds
//! nothing else.

pub mod act;
pub mod config;
pub mod hooks;
pub mod journal;
pub mod map;
pub mod root;
pub mod sense;

#[cfg(test)]
mod fake;
