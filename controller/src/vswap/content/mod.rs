//! What a device or a file holds before it is written to, and whether that may be overwritten. Three looks: libblkid's for
//! signatures, both ends for anything at all, and the body in samples. Reads only; the judgement is pure.
//!
//! May be taken: what is empty; a swap area that is off, if its header is the only signature; and what has the label of a
//! pool of ours as its only signature, for that says that its content ends with the boot that made it.
//!
//! Density of the samples: 64 KiB at each multiple of the smallest power of two (64 KiB at least) that leaves no more than
//! 1,024 of them: each MiB of a disk up to 1 GiB, each GiB of one of 1 TiB. Holes and unwritten blocks of a file are left out,
//! and each piece of data behind a hole is looked at where it begins.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use swaptier_policies::Bytes;

use super::blkid::{self, Sign};
use super::disk::{page_size, size_of};
use super::error::{AreaError, Result};
use super::{header, label};

/// How much at both ends of a device must be empty before it counts as blank: further in than any file system, volume
/// manager or partition table keeps its own sign.
const ENDS: u64 = 1 << 20;
/// Bytes of one sample, and samples at most.
const SAMPLE: u64 = 64 << 10;
const SAMPLES: u64 = 1024;
/// So often signatures are wiped: each time at least one goes.
const WIPES: usize = 16;

/// What is on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing was found.
    Blank,
    /// A swap area with this label, and nothing else: what it held is gone with the boot that wrote it.
    Swap(Option<String>),
    /// The label of an area of ours, and nothing else: the area's name.
    Ours(Option<String>),
    /// Something else.
    Foreign(Foreign),
}

/// Something that is not to be overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Foreign {
    /// Signatures.
    Signs(Vec<Sign>),
    /// No signature, and bytes that are not zero: the first that was seen.
    Data(u64),
}

/// What a device or file holds.
///
/// # Errors
/// When it cannot be read: then nothing of it may be overwritten.
pub(super) fn content(file: &File) -> io::Result<Content> {
    let size = size_of(file)?;
    let signs = if size == 0 { Vec::new() } else { blkid::signs(file)? };
    let mut first = vec![0; page_size().min(usize::try_from(size).unwrap_or(usize::MAX))];
    file.read_exact_at(&mut first, 0)?;
    // Only where no signature says what it is.
    let is_unsigned = signs.is_empty() && !first.starts_with(label::MAGIC) && !first.ends_with(header::MAGIC);
    let data = if is_unsigned { first_data(file, size)? } else { None };
    Ok(judge(&first, signs, data))
}

/// From the first page, the signatures, and the place of the first data that was seen.
fn judge(first: &[u8], signs: Vec<Sign>, data: Option<u64>) -> Content {
    let is_our_swap = |sign: &Sign| {
        sign.kind == "swap" && sign.at == Some((page_size() - header::MAGIC.len()) as u64) && !sign.is_table
    };
    // libblkid sees none in a file that is nothing but a header.
    let has_swap = first.len() == page_size() && first.ends_with(header::MAGIC);
    let others: Vec<Sign> = signs.into_iter().filter(|sign| !is_our_swap(sign)).collect();
    match (others.is_empty(), data) {
        (false, _) => Content::Foreign(Foreign::Signs(others)),
        (true, _) if first.starts_with(label::MAGIC) => Content::Ours(label::area(first)),
        (true, _) if has_swap => Content::Swap(header::label(first)),
        (true, Some(at)) => Content::Foreign(Foreign::Data(at)),
        (true, None) => Content::Blank,
    }
}

/// Where something is that is not zero: at the ends, or in a sample of the body.
fn first_data(file: &File, size: u64) -> io::Result<Option<u64>> {
    let ends = ENDS.min(size);
    for (from, length) in [(0, ends), (size - ends, ends)] {
        if let Some(at) = data_in(file, from, length)? {
            return Ok(Some(at));
        }
    }
    // Without read-ahead, which would read what lies between the samples.
    let _it_is_slower_then = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Random);
    let is_file = file.metadata()?.is_file();
    let stride = size.div_ceil(SAMPLES).next_power_of_two().max(SAMPLE);
    let mut at = 0;
    while at < size {
        if is_file {
            match next_data(file, at)? {
                Some(data) => at = data,
                None => return Ok(None),
            }
        }
        if let Some(found) = data_in(file, at, SAMPLE.min(size - at))? {
            return Ok(Some(found));
        }
        at = (at / stride + 1) * stride;
    }
    Ok(None)
}

/// The first byte from there on that is not zero.
fn data_in(file: &File, from: u64, length: u64) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes.iter().position(|byte| *byte != 0).map(|index| from + index as u64))
}

/// Where a file's next data is. `None`: only holes follow. A file system that cannot tell says that all is data.
fn next_data(file: &File, from: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from)) {
        Ok(at) => Ok(Some(at)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => Ok(Some(from)),
        Err(error) => Err(error.into()),
    }
}

/// A device or file that holds something of somebody else's is not touched.
///
/// # Errors
/// What it holds, and what to do; when it cannot be read.
pub(super) fn require_free(file: &File, path: &Path) -> Result<Content> {
    match content(file).map_err(AreaError::io("read", path))? {
        Content::Foreign(foreign) => Err(refusal(path, &foreign)),
        content => Ok(content),
    }
}

/// Why it is not touched, and how it would be.
pub(super) fn refusal(path: &Path, foreign: &Foreign) -> AreaError {
    let path = path.display();
    AreaError::Refused(format!(
        "{path} {foreign}: it is not touched. If nobody needs that, `swaptier vswap create`, `grow` and `move` take the \
         device with `--wipe` all the same, and what it holds is lost"
    ))
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Foreign::Data(at) => {
                write!(f, "has no signature, and holds data ({} from its beginning)", Bytes(*at))
            }
            Foreign::Signs(signs) => {
                f.write_str("holds ")?;
                for (index, sign) in signs.iter().enumerate() {
                    write!(f, "{}{}", if index == 0 { "" } else { ", " }, sign.kind)?;
                    f.write_str(if sign.is_table { " (a table of partitions)" } else { "" })?;
                    if let Some(label) = &sign.label {
                        write!(f, " \"{}\"", label.escape_debug())?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Makes what lies at both ends, and every signature, unreadable: for a device that somebody gave with `--wipe`.
///
/// # Errors
/// When it cannot be written, or a signature stays.
pub(super) fn wipe(file: &File) -> io::Result<()> {
    let size = size_of(file)?;
    let mut signs = blkid::signs(file)?;
    // One may come to light when another is gone.
    for _ in 0..WIPES {
        for (at, length) in signs.iter().filter_map(|sign| Some((sign.at?, sign.length))) {
            file.write_all_at(&vec![0; usize::try_from(length).unwrap_or(0)], at)?;
        }
        signs = blkid::signs(file)?;
        if signs.is_empty() {
            break;
        }
    }
    let ends = ENDS.min(size);
    let zeros = vec![0; usize::try_from(ends).unwrap_or(0)];
    file.write_all_at(&zeros, 0)?;
    file.write_all_at(&zeros, size - ends)?;
    file.sync_all()?;
    match blkid::signs(file)?.first() {
        None => Ok(()),
        Some(sign) => Err(io::Error::other(format!("its signature of {} stays", sign.kind))),
    }
}

#[cfg(test)]
mod tests;
