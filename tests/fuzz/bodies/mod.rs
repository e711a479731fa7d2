//! What is done with one input of each fuzz target, and what must then be true.
//!
//! Used twice: by libFuzzer (`targets/`, `cargo xtask fuzz`) and, with every input ever kept, by the controller's tests
//! on stable Rust (`controller/tests/corpus.rs`). A body fails by panicking and knows nothing of who calls it.

pub mod config;
pub mod decide;
pub mod dice;
pub mod faults;
pub mod folder;
pub mod host;
pub mod journal;
pub mod kernel;
pub mod policy;
pub mod recording;
pub mod restore;
pub mod socket;
pub mod undo;
pub mod units;

/// One target: its name, which is also its folder below `tests/corpus`, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 11] = [
    ("config", config::try_one),
    ("decide", decide::try_one),
    ("host", host::try_one),
    ("journal", journal::try_one),
    ("kernel", kernel::try_one),
    ("policy", policy::try_one),
    ("recording", recording::try_one),
    ("restore", restore::try_one),
    ("socket", socket::try_one),
    ("undo", undo::try_one),
    ("units", units::try_one),
];
