//! A swap area of the guest: its header written here (no mkswap needed), switched on by a guard, off at drop.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{kernel, preamble};

/// Bit of swapon(2) that says a priority follows in the low bits (linux/swap.h).
const SWAP_FLAG_PREFER: libc::c_int = 0x8000;
const MAGIC: &[u8; 10] = b"SWAPSPACE2";

/// Guard of a swap area in use.
#[derive(Debug)]
pub struct SwapArea {
    path: PathBuf,
}

impl SwapArea {
    /// Writes a header for `pages` (the whole device without) to the block device `path` and switches it on.
    ///
    /// # Errors
    /// Outside a guest; when the device holds anything but zeroes or an old swap header; when swapon refuses.
    pub fn set_up(path: &Path, pages: Option<u64>, priority: u16) -> Result<SwapArea> {
        preamble::require_guest()?;
        write_header(path, pages).with_context(|| format!("making {} a swap area", path.display()))?;
        let name = CString::new(path.as_os_str().as_encoded_bytes()).context("a path with a null byte")?;
        let flags = SWAP_FLAG_PREFER | libc::c_int::from(priority & 0x7fff);
        // SAFETY: a terminated string and plain flags; the kernel checks the rest.
        if unsafe { libc::swapon(name.as_ptr(), flags) } != 0 {
            return Err(std::io::Error::last_os_error())
                .with_context(|| format!("swapon {}", path.display()));
        }
        Ok(SwapArea { path: path.to_owned() })
    }

    /// Bytes of slots in use.
    ///
    /// # Errors
    /// When the area is no longer listed.
    pub fn used(&self) -> Result<u64> {
        let path = self.path.to_string_lossy();
        let area = kernel::swaps()?.into_iter().find(|a| a.path == path);
        Ok(area.with_context(|| format!("{path} is not in /proc/swaps"))?.used)
    }
}

impl Drop for SwapArea {
    fn drop(&mut self) {
        if let Err(error) = switch_off(&self.path) {
            eprintln!("swap area left on: {error:#}");
        }
    }
}

/// swapoff(2): brings everything back into memory, which takes its time.
///
/// # Errors
/// When memory does not suffice or the area is not in use.
pub fn switch_off(path: &Path) -> Result<()> {
    let name = CString::new(path.as_os_str().as_encoded_bytes()).context("a path with a null byte")?;
    // SAFETY: a terminated string.
    match unsafe { libc::swapoff(name.as_ptr()) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()).with_context(|| format!("swapoff {}", path.display())),
    }
}

fn write_header(path: &Path, pages: Option<u64>) -> Result<()> {
    let mut device = OpenOptions::new().read(true).write(true).open(path)?;
    let page = rustix::param::page_size();
    let whole = device.seek(SeekFrom::End(0))? / page as u64;
    let pages = pages.unwrap_or(whole);
    if pages > whole {
        bail!("{pages} pages asked for, it has {whole}");
    }
    require_unused(&device, page)?;
    device.write_all_at(&header(pages, page)?, 0)?;
    device.sync_all().context("syncing the header")
}

/// A device that holds something is not ours, whatever its name is.
fn require_unused(device: &File, page: usize) -> Result<()> {
    let mut first = vec![0; page];
    device.read_exact_at(&mut first, 0)?;
    if first.iter().any(|&b| b != 0) && !first.ends_with(MAGIC) {
        bail!("it holds something that is neither blank nor swap: not touched");
    }
    Ok(())
}

/// The first page of a swap area: `union swap_header` of linux/swap.h, version 1, no bad pages.
fn header(pages: u64, page_size: usize) -> Result<Vec<u8>> {
    let Some(last) = pages.checked_sub(1).and_then(|p| u32::try_from(p).ok()).filter(|&p| p >= 9) else {
        bail!("a swap area of {pages} pages: it needs 10 at least, and fewer than 2^32");
    };
    let mut header = vec![0; page_size];
    header[1024..1028].copy_from_slice(&1u32.to_ne_bytes());
    header[1028..1032].copy_from_slice(&last.to_ne_bytes());
    header[page_size - MAGIC.len()..].copy_from_slice(MAGIC);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_what_the_kernel_reads() {
        let header = header(256, 4096).unwrap();
        // Version at 1024, last page at 1028 (256 pages: the last is 255), bad pages at 1032.
        let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
        assert_eq!((header.len(), word(1024), word(1028), word(1032)), (4096, 1, 255, 0));
        assert_eq!(&header[4086..], b"SWAPSPACE2");
    }

    #[test]
    fn sizes_the_kernel_would_refuse_are_refused_here() {
        for pages in [0, 9, 1 << 33] {
            assert!(header(pages, 4096).is_err(), "{pages}");
        }
    }

    #[test]
    fn a_device_with_contents_is_not_touched() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        file.as_file().write_all_at(b"ext4 or so", 1080).unwrap();
        let before = std::fs::read(file.path()).unwrap();
        assert!(
            format!("{:#}", write_header(file.path(), None).unwrap_err()).contains("neither blank nor swap")
        );
        assert_eq!(std::fs::read(file.path()).unwrap(), before);
    }

    #[test]
    fn a_blank_device_takes_a_header_twice() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        write_header(file.path(), None).unwrap();
        write_header(file.path(), Some(100)).unwrap();
        assert!(write_header(file.path(), Some(257)).is_err());
    }
}
