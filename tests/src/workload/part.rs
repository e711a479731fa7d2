//! A part: pages with their generations, the latency of touching them, and which were found wrong.
//!
//! It decides nothing about when; `drive` and `commands` call it with ranges of pages.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Instant;

use anyhow::Result;
use rustix::mm::Advice;

use super::area::{Area, Mapping};
use super::content::Recipe;
use super::histogram::Histogram;

/// Mismatches printed in full; the rest is counted.
const PRINTED: usize = 200;

/// Hot, warm or cold memory.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    area: Area,
    recipe: Recipe,
    /// Number of the part's first page within the run.
    first: u64,
    /// Of each page, the generation written last.
    generations: Vec<u32>,
    /// Pages found wrong, each once however often it is met.
    wrong: BTreeSet<usize>,
    /// Nanoseconds of the first access in each touch.
    pub(super) latency: Histogram,
    scratch: Vec<u64>,
}

impl Part {
    /// Maps the part; its contents are written by [`Part::fill`].
    ///
    /// # Errors
    /// When the mapping is refused.
    pub(super) fn new(
        name: &'static str,
        first: u64,
        pages: usize,
        recipe: Recipe,
        how: Mapping,
    ) -> Result<Part> {
        Ok(Part {
            name,
            area: Area::new(name, pages, how)?,
            recipe,
            first,
            generations: vec![0; pages],
            wrong: BTreeSet::new(),
            latency: Histogram::default(),
            scratch: vec![0; rustix::param::page_size() / size_of::<u64>()],
        })
    }

    /// Number of pages.
    pub(super) fn pages(&self) -> usize {
        self.area.pages()
    }

    /// How many of its pages were ever found wrong.
    pub(super) fn mismatches(&self) -> usize {
        self.wrong.len()
    }

    /// Writes the contents of page `index` in its present generation.
    pub(super) fn fill(&mut self, index: usize) {
        let (page, generation) = self.identity(index);
        self.recipe.fill(page, generation, self.area.page_mut(index));
    }

    /// Rewrites page `index` with its next generation.
    pub(super) fn write(&mut self, index: usize) {
        self.generations[index] = self.generations[index].wrapping_add(1);
        self.fill(index);
    }

    /// Reads page `index`: the first access is timed, the beginning of the contents compared.
    pub(super) fn touch(&mut self, index: usize) {
        let start = Instant::now();
        std::hint::black_box(self.area.peek(index));
        self.latency.add(start.elapsed().as_nanos() as u64);
        let (page, generation) = self.identity(index);
        if !self.recipe.begins_right(page, generation, self.area.page(index)) {
            self.verify(index);
        }
    }

    /// Compares all of page `index`; a mismatch is printed on stderr and remembered.
    pub(super) fn verify(&mut self, index: usize) -> bool {
        let (page, generation) = self.identity(index);
        let Err(wrong) = self.recipe.check(page, generation, self.area.page(index), &mut self.scratch) else {
            return true;
        };
        if self.wrong.insert(index) && self.wrong.len() <= PRINTED {
            eprintln!("mismatch: {} page {index} (page {page} of the run): {wrong}", self.name);
            if self.wrong.len() == PRINTED {
                eprintln!("mismatch: further pages of the {} part are counted, not printed", self.name);
            }
        }
        false
    }

    /// Asks the kernel to reclaim these pages now (`MADV_PAGEOUT`); it may keep some.
    ///
    /// # Errors
    /// When the kernel does not know the advice.
    pub(super) fn page_out(&self, pages: Range<usize>) -> Result<()> {
        self.area.advise(pages.start, pages.len(), Advice::LinuxPageOut)
    }

    /// Number within the run and present generation of page `index`.
    fn identity(&self, index: usize) -> (u64, u32) {
        (self.first + index as u64, self.generations[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: Recipe = Recipe { seed: 3, random: 30, zero: 10, raw: 10 };

    fn part(shmem: bool) -> Part {
        let mut part = Part::new("cold", 1000, 50, RECIPE, Mapping { shmem, thp: false }).unwrap();
        (0..50).for_each(|i| part.fill(i));
        part
    }

    fn wrong_after(shmem: bool, harm: impl FnOnce(&mut Part)) -> Vec<usize> {
        let mut part = part(shmem);
        harm(&mut part);
        for index in 0..50 {
            part.verify(index);
        }
        part.wrong.iter().copied().collect()
    }

    #[test]
    fn unharmed_memory_verifies_after_writes_and_page_out() {
        for shmem in [false, true] {
            let wrong = wrong_after(shmem, |part| {
                (0..50).step_by(3).for_each(|i| part.write(i));
                part.page_out(0..50).unwrap();
                (0..50).for_each(|i| part.touch(i));
            });
            assert_eq!(wrong, Vec::<usize>::new());
        }
    }

    #[test]
    fn verification_finds_a_flipped_byte_in_exactly_its_page() {
        assert_eq!(wrong_after(false, |part| part.area.page_mut(17)[511] ^= 1), [17]);
    }

    #[test]
    fn verification_finds_a_page_that_came_back_with_old_contents() {
        let stale = |part: &mut Part| {
            let old = part.area.page(20).to_vec();
            part.write(20);
            part.area.page_mut(20).copy_from_slice(&old);
        };
        assert_eq!(wrong_after(false, stale), [20]);
    }

    #[test]
    fn verification_finds_both_of_two_swapped_pages() {
        let swapped = |part: &mut Part| {
            let (five, six) = (part.area.page(5).to_vec(), part.area.page(6).to_vec());
            part.area.page_mut(5).copy_from_slice(&six);
            part.area.page_mut(6).copy_from_slice(&five);
        };
        assert_eq!(wrong_after(false, swapped), [5, 6]);
    }

    #[test]
    fn a_touch_already_notices_a_foreign_page_and_a_later_rewrite_does_not_hide_it() {
        let mut part = part(false);
        let other = part.area.page(8).to_vec();
        part.area.page_mut(9).copy_from_slice(&other);
        part.touch(9);
        part.write(9);
        assert!(part.verify(9));
        assert_eq!((part.mismatches(), part.latency.count()), (1, 1));
    }
}
