//! The walk for every processor: first the slots in use are picked out, which takes no branch that could be guessed
//! wrong, then each is added to the table.

use std::sync::atomic::{AtomicU64, Ordering};

use swaptier_common::{
    FRAME_SLOTS,
    slot::{State, Word},
};

use super::table::Table;

pub(super) fn walk(table: &mut Table, words: &[AtomicU64]) {
    let mut used = [0; FRAME_SLOTS];
    for frame in words.chunks(FRAME_SLOTS) {
        let mut count = 0;
        for word in frame {
            let word = word.load(Ordering::Relaxed);
            used[count % FRAME_SLOTS] = word;
            count += usize::from(Word(word).state() != State::Free);
        }
        used[..count].iter().for_each(|word| table.add(Word(*word)));
    }
}
