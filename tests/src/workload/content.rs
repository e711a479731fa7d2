//! What a page holds: a pure function of seed, page number and generation, and the judgement over what was found.
//!
//! No memory is owned and nothing is measured here; `part` asks, page by page.
//!
//! A page that is not all zero begins with three words: a mark of the seed, its page number, its generation. They
//! only make a fault easier to name; verification compares every byte.
//!
//! **Properties**: same seed, page and generation, same bytes · within each hundred pages exactly `zero` zero pages
//! and `raw` raw ones, whatever the generation · an ordinary page is random for `random` percent, then repeats one word.

/// Words before the derived contents: mark, page number, generation.
const HEADER: usize = 3;

/// How the pages of one run are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// Everything differs between two seeds.
    pub seed: u64,
    /// Percent of an ordinary page that is random.
    pub random: u8,
    /// Percent of pages that are all zero.
    pub zero: u8,
    /// Percent of pages that are random throughout.
    pub raw: u8,
}

/// What sort of contents a page has in a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All zero bytes: the kernel keeps such a page without storage.
    Zero,
    /// Random throughout: no compressor gains anything.
    Raw,
    /// Compresses to about `Recipe::random` percent.
    Ordinary,
}

/// What a page held instead of its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The exact contents of another generation of the same page: a write was lost.
    Stale {
        /// The generation found.
        found: u32,
        /// The generation written last.
        wanted: u32,
    },
    /// The exact contents of another page of this run.
    OtherPage {
        /// Its page number.
        found: u64,
        /// Its generation.
        generation: u32,
    },
    /// All zero although contents had been written.
    Lost,
    /// Anything else.
    Damaged {
        /// First wrong byte in the page.
        offset: usize,
        /// How many bytes differ.
        bytes: usize,
    },
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Wrong::Stale { found, wanted } => write!(f, "stale: generation {found} instead of {wanted}"),
            Wrong::OtherPage { found, generation } => {
                write!(f, "holds page {found} (generation {generation}) instead of its own contents")
            }
            Wrong::Lost => f.write_str("lost: all zero instead of its contents"),
            Wrong::Damaged { offset, bytes } => {
                write!(f, "damaged: {bytes} wrong bytes, the first at {offset}")
            }
        }
    }
}

impl Recipe {
    /// The sort of contents of `page` in `generation`. The generation shifts the pattern, so that a page changes
    /// its kind as it is rewritten.
    #[must_use]
    pub fn kind(&self, page: u64, generation: u32) -> Kind {
        // 37 and 31 have no factor in common with 100: each hundred pages meets each remainder once.
        let place = (page.wrapping_mul(37).wrapping_add(u64::from(generation) * 31) % 100) as u8;
        if place < self.zero {
            Kind::Zero
        } else if place < self.zero + self.raw {
            Kind::Raw
        } else {
            Kind::Ordinary
        }
    }

    /// Writes the contents of `page` in `generation` into `into` (one whole page).
    pub fn fill(&self, page: u64, generation: u32, into: &mut [u64]) {
        let kind = self.kind(page, generation);
        if kind == Kind::Zero {
            into.fill(0);
            return;
        }
        let random = match kind {
            Kind::Raw => into.len(),
            _ => (into.len() * usize::from(self.random) / 100).max(HEADER),
        };
        let (head, rest) = into.split_at_mut(HEADER);
        head.copy_from_slice(&self.header(page, generation));
        let mut state = mix(self.seed ^ mix(page) ^ mix(u64::from(generation) | 1 << 40));
        let (noise, tail) = rest.split_at_mut(random - HEADER);
        for word in noise {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            *word = mix(state);
        }
        tail.fill(state);
    }

    /// Is the beginning of the page what it should be? Cheap enough for every touch; `check` is the proof.
    #[must_use]
    pub fn begins_right(&self, page: u64, generation: u32, found: &[u64]) -> bool {
        match self.kind(page, generation) {
            Kind::Zero => found[..HEADER] == [0; HEADER],
            _ => found[..HEADER] == self.header(page, generation),
        }
    }

    /// Compares a whole page with its contents; `scratch` is a page of any contents.
    ///
    /// # Errors
    /// What is wrong with it, as exactly as can be told.
    pub fn check(&self, page: u64, generation: u32, found: &[u64], scratch: &mut [u64]) -> Result<(), Wrong> {
        self.fill(page, generation, scratch);
        if found == scratch {
            return Ok(());
        }
        let (offset, bytes) = difference(found, scratch);
        if found.iter().all(|&word| word == 0) {
            return Err(Wrong::Lost);
        }
        if let Some((number, old)) = self.read_header(found) {
            self.fill(number, old, scratch);
            if found == scratch {
                return Err(match number == page {
                    true => Wrong::Stale { found: old, wanted: generation },
                    false => Wrong::OtherPage { found: number, generation: old },
                });
            }
        }
        Err(Wrong::Damaged { offset, bytes })
    }

    fn header(&self, page: u64, generation: u32) -> [u64; HEADER] {
        [mix(self.seed), page, u64::from(generation)]
    }

    fn read_header(&self, found: &[u64]) -> Option<(u64, u32)> {
        let generation = u32::try_from(found[2]).ok()?;
        (found[0] == mix(self.seed)).then_some((found[1], generation))
    }
}

/// First differing byte and how many differ.
fn difference(found: &[u64], wanted: &[u64]) -> (usize, usize) {
    let bytes = |words: &[u64]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
    let (found, wanted) = (bytes(found), bytes(wanted));
    let differs = |i: &usize| found[*i] != wanted[*i];
    let count = (0..found.len()).filter(differs).count();
    ((0..found.len()).find(differs).unwrap_or(0), count)
}

/// splitmix64's finisher: every input bit moves every output bit.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: Recipe = Recipe { seed: 7, random: 25, zero: 20, raw: 10 };
    const WORDS: usize = 512;

    fn page(recipe: &Recipe, number: u64, generation: u32) -> Vec<u64> {
        let mut words = vec![0xdead_beef; WORDS];
        recipe.fill(number, generation, &mut words);
        words
    }

    /// The first page from `from` on that has this kind in this generation.
    fn of_kind(kind: Kind, from: u64, generation: u32) -> u64 {
        (from..from + 100).find(|&p| RECIPE.kind(p, generation) == kind).unwrap()
    }

    fn check(found: &[u64], number: u64, generation: u32) -> Result<(), Wrong> {
        RECIPE.check(number, generation, found, &mut [0; WORDS])
    }

    #[test]
    fn what_was_filled_verifies() {
        for number in 0..200 {
            let words = page(&RECIPE, number, 3);
            assert_eq!(check(&words, number, 3), Ok(()));
            assert!(RECIPE.begins_right(number, 3, &words));
        }
    }

    #[test]
    fn any_single_flipped_byte_is_found() {
        for kind in [Kind::Ordinary, Kind::Raw, Kind::Zero] {
            let number = of_kind(kind, 0, 1);
            for offset in (0..WORDS * 8).step_by(97) {
                let mut words = page(&RECIPE, number, 1);
                words[offset / 8] ^= 1 << (8 * (offset % 8));
                assert_eq!(check(&words, number, 1), Err(Wrong::Damaged { offset, bytes: 1 }), "{kind:?}");
            }
        }
    }

    #[test]
    fn an_old_generation_is_stale_not_merely_damaged() {
        let number =
            (0..100).find(|&p| RECIPE.kind(p, 4) == Kind::Ordinary && RECIPE.kind(p, 5) == Kind::Ordinary);
        let number = number.unwrap();
        let old = page(&RECIPE, number, 4);
        assert_eq!(check(&old, number, 5), Err(Wrong::Stale { found: 4, wanted: 5 }));
        assert!(!RECIPE.begins_right(number, 5, &old));
    }

    #[test]
    fn swapped_pages_name_each_other() {
        let (a, b) = (of_kind(Kind::Raw, 0, 0), of_kind(Kind::Ordinary, 200, 0));
        assert_eq!(check(&page(&RECIPE, b, 0), a, 0), Err(Wrong::OtherPage { found: b, generation: 0 }));
        assert_eq!(check(&page(&RECIPE, a, 0), b, 0), Err(Wrong::OtherPage { found: a, generation: 0 }));
    }

    #[test]
    fn a_page_that_came_back_empty_is_lost() {
        let number = of_kind(Kind::Ordinary, 0, 0);
        assert_eq!(check(&[0; WORDS], number, 0), Err(Wrong::Lost));
    }

    #[test]
    fn a_page_of_another_seed_is_damage() {
        let other = Recipe { seed: 8, ..RECIPE };
        let number = of_kind(Kind::Raw, 0, 0);
        assert!(matches!(check(&page(&other, number, 0), number, 0), Err(Wrong::Damaged { offset: 0, .. })));
    }

    #[test]
    fn each_hundred_pages_has_the_asked_shares_in_every_generation() {
        for generation in [0, 1, 17, 4_000_000_000] {
            for start in [0, 100, 12_300] {
                let count =
                    |kind| (start..start + 100).filter(|&p| RECIPE.kind(p, generation) == kind).count();
                // 20 % and 10 % of 100; the rest is ordinary.
                assert_eq!((count(Kind::Zero), count(Kind::Raw), count(Kind::Ordinary)), (20, 10, 70));
            }
        }
    }

    #[test]
    fn an_ordinary_page_repeats_one_word_after_its_random_part() {
        let words = page(&RECIPE, of_kind(Kind::Ordinary, 0, 0), 0);
        // 25 % of 512 words are random, header included.
        assert!(words[128..].iter().all(|&w| w == words[128]));
        assert_ne!(words[126], words[128]);
        let distinct: std::collections::BTreeSet<_> = words[..128].iter().collect();
        assert_eq!(distinct.len(), 128);
    }
}
