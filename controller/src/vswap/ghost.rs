//! How a ghost is made: of a file with nothing but a header where the kernel takes one, else by device-mapper, else over
//! zram. No kernel of today takes the first, which is asked by giving it one: mainline answers `EINVAL` ("Swap area shorter
//! than signature indicates"). Caller: `works.rs`.

use std::io;
use std::path::{Path, PathBuf};

use super::area::{AreaKind, AreaName, AreaSpec};
use super::error::{AreaError, Result};
use super::header;
use super::intended::{AreaRecord, OverZram};
use super::modules::Modules;
use super::swapon;
use crate::root::Root;

/// Pages that the probe's header claims: more than the one it has.
const CLAIMED: u64 = 256;

/// What a ghost is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// A file of one page.
    Native,
    /// A page of memory and the `error` target.
    Dm,
    /// A zram device that takes no page.
    Zram,
}

/// Fills in what the area is made of: what was asked for, else the best that this host has. In a dry run the kernel is not
/// asked whether it takes a file.
///
/// # Errors
/// What was asked for cannot be had.
pub(super) fn settle_means(
    root: &Root,
    dir: &Path,
    spec: &AreaSpec,
    asked: Option<Means>,
    is_dry: bool,
    record: &mut AreaRecord,
) -> Result<()> {
    let asked = if spec.kind == AreaKind::Zram { Some(Means::Zram) } else { asked };
    let has_native = || !is_dry && takes_header_only(dir, &spec.name).unwrap_or(false);
    let means = match asked {
        Some(Means::Native) if !is_dry && !has_native() => {
            let why =
                "this kernel takes no swap file with nothing but a header: use `--kind dm`, or `--kind zram`";
            return Err(AreaError::Refused(format!("ghost area {}: {why}", spec.name)));
        }
        Some(means) => means,
        None if has_native() => Means::Native,
        None => without_native(&Modules::read(root)),
    };
    match means {
        Means::Native => record.native = Some(dir.to_path_buf()),
        Means::Zram => record.zram = Some(OverZram::default()),
        Means::Dm => {}
    }
    Ok(())
}

/// zram only where it is there and device-mapper is not: it has a table with an entry for each slot.
fn without_native(modules: &Modules<'_>) -> Means {
    let has_dm = modules.has("dm_mod") && modules.has("loop");
    if !has_dm && modules.has("zram") { Means::Zram } else { Means::Dm }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRoot;

    #[test]
    fn zram_is_the_last_resort() {
        let fake = FakeRoot::host();
        fake.write("proc/sys/kernel/osrelease", "6.12.1\n");
        let means = |list: &str| {
            fake.write("lib/modules/6.12.1/modules.dep", list);
            without_native(&Modules::read(fake.root()))
        };
        let (dm, looped, zram) = (
            "kernel/drivers/md/dm-mod.ko:\n",
            "kernel/drivers/block/loop.ko:\n",
            "kernel/drivers/block/zram/zram.ko:\n",
        );
        assert_eq!(means(&[dm, looped, zram].concat()), Means::Dm);
        assert_eq!(means(&[dm, zram].concat()), Means::Zram, "the page of memory needs a loop device");
        assert_eq!(means(zram), Means::Zram);
        assert_eq!(means(""), Means::Dm, "its error says what is missing");
    }
}
