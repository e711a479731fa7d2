//! Which copy of a program this is, and what the one before it has noted down.
//!
//! Of two copies on one function the first does the work, and notes for what; the second, which runs right after it, reads
//! the note instead of looking for the slot. Whatever comes between the two (another task, another CPU) changes or loses
//! the note, never the work: a second copy without its note does all of it, and finds what is done to be done.

use aya_ebpf::Global;
use swaptier_common::notes::{ALONE, FIRST, Notes, SECOND};

use crate::{maps::NOTES, shadow::peek};

/// Which copy this is: the loader says.
#[unsafe(no_mangle)]
static COPY: Global<u32> = Global::new(ALONE);

/// Whether another copy may have done all of it before.
#[inline(always)]
pub(crate) fn is_second() -> bool {
    COPY.load() == SECOND
}

/// This CPU's notes.
#[inline(always)]
pub(crate) fn notes() -> Option<*mut Notes> {
    NOTES.get_ptr_mut(0)
}

/// Whether the copy before this one has just seen to `what`, which is never 0. The note serves once.
#[inline(always)]
pub(crate) fn is_seen_to(place: usize, what: u64) -> bool {
    is_second() && says(place, what)
}

/// Whether a note says this. The last copy to read it takes it away.
#[inline(always)]
pub(crate) fn says(place: usize, what: u64) -> bool {
    let Some(notes) = notes() else { return false };
    // SAFETY: callers pass the offset of one of the words.
    let note: *mut u64 = unsafe { notes.byte_add(place).cast() };
    if peek(note) != what {
        return false;
    }
    if COPY.load() != FIRST {
        write(notes, place, 0);
    }
    true
}

/// Notes for the copy after this one, if there is one, that `what` has been seen to.
#[inline(always)]
pub(crate) fn note_down(notes: *mut Notes, place: usize, what: u64) {
    if COPY.load() == FIRST {
        write(notes, place, what);
    }
}

/// Notes something for programs of another function.
#[inline(always)]
pub(crate) fn write(notes: *mut Notes, place: usize, what: u64) {
    // SAFETY: a map value, and callers pass the offset of one of its words.
    unsafe { core::ptr::write_volatile(notes.byte_add(place).cast(), what) };
}
