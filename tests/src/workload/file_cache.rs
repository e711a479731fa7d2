//! A file (or the beginning of a block device) whose pages are kept hot in the page cache, and proved like memory.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use super::content::Recipe;
use super::histogram::Histogram;
use super::stop;

/// Page numbers of the file begin here, far beyond those of any memory part.
const FIRST: u64 = 1 << 40;

/// The file; a regular one is removed at drop.
#[derive(Debug)]
pub(super) struct FileCache {
    file: File,
    path: PathBuf,
    remove: bool,
    pages: u64,
    recipe: Recipe,
    page: Vec<u8>,
    scratch: Vec<u64>,
    wrong: u64,
    /// Nanoseconds of each page's read.
    pub(super) latency: Histogram,
}

impl FileCache {
    /// Writes `bytes` (rounded up to pages) of contents and waits until they are on the device.
    ///
    /// # Errors
    /// Whatever creating, writing or syncing meets, with the path.
    pub(super) fn create(place: &Path, bytes: u64, recipe: Recipe) -> Result<FileCache> {
        let kind =
            std::fs::metadata(place).with_context(|| format!("looking at {}", place.display()))?.file_type();
        let remove = !kind.is_block_device();
        let path = match remove {
            true => place.join(format!("swaptier-workload-{}.cache", std::process::id())),
            false => place.to_owned(),
        };
        let file = OpenOptions::new().read(true).write(true).create(remove).open(&path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        let page_size = rustix::param::page_size();
        let mut cache = FileCache {
            file,
            path,
            remove,
            pages: bytes.div_ceil(page_size as u64),
            recipe,
            page: vec![0; page_size],
            scratch: vec![0; page_size / size_of::<u64>()],
            wrong: 0,
            latency: Histogram::default(),
        };
        cache.write_all().with_context(|| format!("writing {}", cache.path.display()))?;
        Ok(cache)
    }

    /// Number of pages.
    pub(super) fn pages(&self) -> u64 {
        self.pages
    }

    /// Pages found wrong by [`FileCache::verify`].
    pub(super) fn mismatches(&self) -> u64 {
        self.wrong
    }

    /// Reads a few bytes of every page, which is what keeps it in the cache; ends early when asked to stop.
    ///
    /// # Errors
    /// When a read fails.
    pub(super) fn touch_all(&mut self) -> Result<()> {
        let mut word = [0; 8];
        for index in 0..self.pages {
            if stop::asked() {
                break;
            }
            let start = Instant::now();
            self.read(index, &mut word)?;
            self.latency.add(start.elapsed().as_nanos() as u64);
        }
        Ok(())
    }

    /// Compares every page with its contents.
    ///
    /// # Errors
    /// When a read fails.
    pub(super) fn verify(&mut self) -> Result<()> {
        for index in 0..self.pages {
            let mut page = std::mem::take(&mut self.page);
            self.read(index, &mut page)?;
            let words: Vec<u64> = page
                .chunks_exact(8)
                .map(|c| u64::from_le_bytes(c.try_into().expect("eight bytes")))
                .collect();
            self.page = page;
            if let Err(wrong) = self.recipe.check(FIRST + index, 0, &words, &mut self.scratch) {
                self.wrong += 1;
                eprintln!("mismatch: {} page {index}: {wrong}", self.path.display());
            }
        }
        Ok(())
    }

    fn write_all(&mut self) -> std::io::Result<()> {
        for index in 0..self.pages {
            self.recipe.fill(FIRST + index, 0, &mut self.scratch);
            for (bytes, word) in self.page.chunks_exact_mut(8).zip(&self.scratch) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            self.file.write_all_at(&self.page, index * self.page.len() as u64)?;
        }
        // Clean pages are what reclaim takes first, and what a page cache mostly holds.
        self.file.sync_all()
    }

    fn read(&self, index: u64, into: &mut [u8]) -> Result<()> {
        let at = index * rustix::param::page_size() as u64;
        self.file.read_exact_at(into, at).with_context(|| format!("reading {} at {at}", self.path.display()))
    }
}

impl Drop for FileCache {
    fn drop(&mut self) {
        if self.remove {
            // Nobody is left to tell; the directory is the caller's scratch space.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: Recipe = Recipe { seed: 5, random: 50, zero: 10, raw: 10 };

    #[test]
    fn a_file_verifies_and_is_gone_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = FileCache::create(dir.path(), 10 * 4096 - 1, RECIPE).unwrap();
        cache.touch_all().unwrap();
        cache.verify().unwrap();
        assert_eq!((cache.pages(), cache.mismatches(), cache.latency.count()), (10, 0, 10));
        drop(cache);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_changed_byte_in_the_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = FileCache::create(dir.path(), 10 * 4096, RECIPE).unwrap();
        let mut byte = [0];
        cache.file.read_exact_at(&mut byte, 5000).unwrap();
        cache.file.write_all_at(&[!byte[0]], 5000).unwrap();
        cache.verify().unwrap();
        assert_eq!(cache.mismatches(), 1);
    }

    #[test]
    fn a_place_that_does_not_exist_is_named() {
        let error = FileCache::create(Path::new("/nonexistent/place"), 4096, RECIPE).unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/place"));
    }
}
