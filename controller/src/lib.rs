//! The shell of swaptier: everything that touches the world. What to do is decided by `swaptier_policies`.
//!
//! One direction: `hooks` → `map` → `sense` → decision → `act` → `journal`. This file declares the rooms and holds
//! nothing else.

#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "tests make and read files of their own"))]

pub mod act;
pub mod agent;
pub mod cli;
pub mod config;
pub mod exit;
pub mod fault;
pub mod hooks;
pub mod journal;
pub mod leftovers;
pub mod logs;
pub mod map;
pub mod probe;
pub mod recording;
pub mod root;
pub mod sense;
pub mod serve;
pub mod text;
pub mod top;
pub mod vswap;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod scenarios;
