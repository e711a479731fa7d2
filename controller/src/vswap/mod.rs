//! Ghost and virtual swap areas: what they are, how they are made of the kernel's devices, and how a host is brought to
//! have exactly the ones it shall have.
//!
//! Lives here: names and kinds of areas (`area`), what is intended and on disk before it is made (`intended`), what the
//! kernel has (`found`), the pure step from the one to the other (`reconcile`), and the hands. Which policy may swap into
//! which area is not known here: that is `swaptier_policies`' to decide. Callers: `cli/ghost.rs`, `cli/vswap.rs`, the agent.

pub mod area;
pub mod found;
pub mod intended;
pub mod pool;

pub use area::{AreaKind, AreaName, AreaSpec, NameError};
pub use found::{Area, Found, PartFound};
pub use intended::{AreaRecord, Disk, Intended, Owner, Part, Transfer, Want};
pub use pool::{PoolMode, PoolStatus};
