//! Ghost and virtual swap areas: what they are, how they are made of the kernel's devices, and how a host is brought to
//! have exactly the ones it shall have.
//!
//! Lives here: names and kinds of areas (`area`), what is intended and on disk before it is made (`intended`), what the
//! kernel has (`found`), the pure step from the one to the other (`reconcile`), and the hands. Which policy may swap into
//! which area is not known here: that is `swaptier_policies`' to decide. Callers: `cli/ghost.rs`, `cli/vswap.rs`, the agent.

pub mod area;
pub mod cost;
pub mod dm;
pub mod drain;
pub mod error;
mod files;
pub mod forecast;
pub mod found;
pub mod ghost;
pub mod hands;
pub mod header;
pub mod intended;
pub mod label;
pub mod look;
mod loopdev;
pub mod modules;
pub mod pool;
pub mod prepare;
pub mod reconcile;
mod safety;
pub mod store;
pub mod swapon;
pub mod table;
pub mod transfer;
pub mod works;
mod zram;

pub use area::{AreaKind, AreaName, AreaSpec, NameError};
pub use error::AreaError;
pub use forecast::Forecast;
pub use found::{Area, Found, PartFound, SwapUse};
pub use ghost::Means;
pub use hands::Hands;
pub use intended::{AreaRecord, Disk, Intended, OverZram, Owner, Part, Transfer, Want, ZramNote};
pub use pool::{PoolMode, PoolStatus};
pub use reconcile::{Step, plan};
pub use store::Store;
pub use works::Works;
