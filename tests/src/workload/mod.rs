//! The workload generator: memory in a hot, a warm and a cold part, each page of which can be derived again.
//!
//! `args` what is asked · `content` what a page holds (pure) · `area` the mapping · `part` pages, generations and
//! what was found wrong · `file_cache` a file that is kept hot · `drive` phases and the closing verification ·
//! `commands` the same phases driven from stdin · `histogram`, `report` what is printed · `stop` SIGTERM.
//!
//! It knows nothing of cgroups or swap: the guest tests ([`crate::guest`]) put it where it swaps.

mod area;
mod args;
mod commands;
mod content;
mod drive;
mod file_cache;
mod histogram;
mod part;
mod report;
mod stop;

pub use args::{Args, Nonsense, parse_size};
pub use content::{Kind, Recipe, Wrong};
pub use drive::run;
pub use histogram::Histogram;
pub use report::{Answer, Latency, Report};
