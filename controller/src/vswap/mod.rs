//! Ghost and virtual swap areas: what they are, how they are made of the kernel's devices, and how a host is brought to
//! have exactly the ones it shall have.
//!
//! Lives here: names and kinds of areas (`area`), what is intended and on disk before it is made (`intended`), what the
//! kernel has (`found`), the pure step from the one to the other (`reconcile`), and the executor; and the areas as a decision
//! sees them, whoever made them (`seen`). Which policy may swap into which area is not known here: that is
//! `swaptier_policies`' to decide. Callers: `cli/areas/`, the agent.

#![expect(
    clippy::disallowed_methods,
    reason = "disks, the files of areas and modules are the host's: below another root there are no areas"
)]

pub mod area;
pub mod asked;
mod blkid;
mod claims;
mod content;
pub mod disk;
pub mod dm;
pub mod drain;
pub mod error;
pub mod executor;
mod files;
pub mod forecast;
pub mod found;
pub mod ghost;
pub mod header;
mod identity;
mod in_use;
pub mod intended;
pub mod label;
pub mod look;
mod loopdev;
pub mod modules;
pub mod operations;
pub mod pool;
pub mod prepare;
pub mod reconcile;
mod safety;
pub mod seen;
pub mod store;
pub mod swapon;
pub mod table;
pub mod transfer;
mod under;
mod zram;

pub use area::{AreaKind, AreaName, AreaSpec, NameError};
pub use error::AreaError;
pub use executor::Executor;
pub use forecast::Forecast;
pub use found::{Area, Found, PartFound, SwapUse};
pub use ghost::Means;
pub use identity::FileId;
pub use intended::{AreaRecord, Disk, Intended, OverZram, Owner, Part, Transfer, Want, ZramNote};
pub use operations::Operations;
pub use pool::{PoolMode, PoolStatus};
pub use reconcile::{Step, plan};
pub use seen::Seen;
pub use store::Store;
