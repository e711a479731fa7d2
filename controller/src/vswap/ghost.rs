//! Whether this kernel takes a swap file with nothing but a header, which no kernel of today does: asked by giving it one.
//! Mainline answers `EINVAL` ("Swap area shorter than signature indicates"). Caller: `works.rs`.

use std::io;
use std::path::{Path, PathBuf};

use super::swapon;
use super::{area::AreaName, header};

/// Pages that the probe's header claims: more than the one it has.
const CLAIMED: u64 = 256;

/// Asks the kernel, with a file of one page in `dir` that is gone again afterwards, whatever came of it.
///
/// # Errors
/// When the file cannot be made; a refusal by the kernel is an answer.
pub fn takes_header_only(dir: &Path, name: &AreaName) -> io::Result<bool> {
    let path = probe_path(dir);
    // What a killed probe left.
    let _none = swapon::off(&path);
    let page_size = rustix::param::page_size();
    std::fs::write(&path, header::page(CLAIMED, header::uuid()?, name, page_size)?)?;
    let answer = swapon::on(&path, None, false);
    let off = if answer.is_ok() { swapon::off(&path) } else { Ok(()) };
    std::fs::remove_file(&path)?;
    off.map(|()| answer.is_ok())
}

/// Where the probe's file is for a moment.
#[must_use]
pub fn probe_path(dir: &Path) -> PathBuf {
    dir.join("ghost-probe")
}
