//! How a ghost is made: of a file with nothing but a header where the kernel takes one, else by device-mapper, else over
//! zram. No kernel of today takes the first, which is asked by giving it one: mainline answers `EINVAL` ("Swap area shorter
//! than signature indicates"). Caller: `operations/`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::area::{AreaKind, AreaName, AreaSpec};
use super::error::{AreaError, Result};
use super::files;
use super::intended::{AreaRecord, OverZram};
use super::modules::Modules;
use super::{safety, swapon};
use crate::root::Root;
use swaptier_policies::Bytes;

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
    let native = || if is_dry { Native::Refused } else { try_native(root, dir, &spec.name) };
    let means = match asked {
        Some(Means::Native) if !is_dry => match native() {
            Native::Taken => Means::Native,
            other => {
                let hint = "use `--kind dm`, or `--kind zram`";
                return Err(AreaError::Refused(format!("ghost area {}: {other}: {hint}", spec.name)));
            }
        },
        Some(means) => means,
        None if native() == Native::Taken => Means::Native,
        None => without_native(&Modules::read(root)),
    };
    match means {
        // The folder itself, whatever link leads there.
        Means::Native => record.native = Some(dir.canonicalize().map_err(AreaError::io("look up", dir))?),
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

/// What came of asking the kernel whether it takes a file with nothing but a header.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Native {
    Taken,
    Refused,
    /// It could not be asked, and why.
    NotTried(String),
}

impl fmt::Display for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Native::Taken => f.write_str("this kernel takes a swap file with nothing but a header"),
            Native::Refused => f.write_str("this kernel takes no swap file with nothing but a header"),
            Native::NotTried(why) => {
                write!(
                    f,
                    "whether this kernel takes a swap file with nothing but a header cannot be tried: {why}"
                )
            }
        }
    }
}

/// A file system that carries no swap files at all answers like a kernel that has no such ghosts.
fn try_native(root: &Root, dir: &Path, name: &AreaName) -> Native {
    if let Err(why) = safety::check_file_system(root, dir) {
        return Native::NotTried(format!("the state folder {} {why}", dir.display()));
    }
    match takes_header_only(dir, name) {
        Ok(true) => Native::Taken,
        Ok(false) => Native::Refused,
        Err(error) => Native::NotTried(format!("{}: {error}", probe_path(dir).display())),
    }
}

/// Asks the kernel, with a file of one page in `dir` that is gone again afterwards, whatever came of it.
///
/// # Errors
/// When the file cannot be made; a refusal by the kernel is an answer.
pub fn takes_header_only(dir: &Path, name: &AreaName) -> io::Result<bool> {
    let path = probe_path(dir);
    // What a killed probe left.
    let _none = swapon::off(&path);
    let claimed = Bytes(CLAIMED * rustix::param::page_size() as u64);
    files::make_ghost(name, &path, claimed).map_err(io::Error::other)?;
    let answer = swapon::on(&path, None, false);
    let off = if answer.is_ok() { swapon::off(&path) } else { Ok(()) };
    std::fs::remove_file(&path)?;
    off?;
    match answer {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        // No right to ask, no memory, no room for one more area.
        Err(error) => Err(error),
    }
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
    fn a_folder_that_carries_no_swap_files_says_nothing_of_the_kernel() {
        let fake = FakeRoot::host();
        // /proc is on no block device, like a tmpfs.
        let answer = try_native(fake.root(), Path::new("/proc"), &"g".parse().unwrap());
        let Native::NotTried(why) = &answer else { panic!("{answer:?}") };
        assert!(
            why.starts_with("the state folder /proc is on a file system without a block device"),
            "{why}"
        );
        assert!(answer.to_string().starts_with("whether this kernel takes"), "{answer}");
    }

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
