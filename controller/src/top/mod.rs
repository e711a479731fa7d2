//! `swaptier top`: the screen that says what swap is doing, whose it is, how old, what was done about it and why.
//!
//! Event in → state changed → draw reads only. `source/` gives looks at the host (the agent's socket, files, a
//! recording), `seen` is one; `state/` is what the screen is about, `update/` changes it, by events alone; `view/` draws it,
//! `layout` says where everything stands; `columns` and `keys` are the tables from
//! which cells, sorting, help and documentation are made; `runner` is the loop, `terminal` what must be given back;
//! `plain` is the same without a screen. A client of the agent: it writes nothing, and asks the agent to act. Caller:
//! `cli/top`.

pub mod columns;
pub mod keys;
pub mod layout;
pub mod paint;
pub mod plain;
mod runner;
pub mod seen;
pub mod source;
pub mod state;
mod terminal;
pub mod update;
pub mod view;

pub use runner::run;
