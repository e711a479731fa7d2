//! What was in zswap before the probes, entered from zswap's own trees with length and owner. Attached to nothing: the
//! agent runs it when it starts, a part of an area at a time, while the probes are at work.
//!
//! What a probe has seen stays as it is. A page may leave zswap while we look: so the tree is asked again once the word is
//! there. An end that began before the word was there and is not over yet shows in neither; for those the agent looks
//! again when all is entered.

use core::{ffi::c_void, mem::offset_of};

use aya_ebpf::helpers::generated::bpf_loop;
use swaptier_common::{
    control::Control,
    slot::{BEFORE, State, UNSURE, Word},
};

use crate::{
    kernel::{Owner, ZSWAP_ENTRY, ZSWAP_ENTRY_LENGTH, ZSWAP_ENTRY_OBJCG, cast, load},
    shadow::{Place, add, control, name_counters, now},
    tree::{find, find_or_gap},
};

/// Slots, or runs of slots with nothing in them, that one run looks at. It keeps its processor until it ends.
const STEPS: u32 = 512;

/// Words of the request: the first swap entry, the one after the last, and whether this is the look again.
const REQUEST: usize = 3;

struct Walk {
    entry: u64,
    end: u64,
    is_again: bool,
}

/// Looks at the slots from the first entry on; returns how many were passed. The macro for raw tracepoints returns nothing.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
fn zswap_before(request: *mut c_void) -> u32 {
    let request = request.cast::<[u64; REQUEST]>();
    // SAFETY: the kernel hands a raw tracepoint's arguments over as twelve words.
    let [first, end, again] = unsafe { core::ptr::read(request) };
    let mut walk = Walk { entry: first, end, is_again: again != 0 };
    let step = step as unsafe extern "C" fn(u64, *mut Walk) -> i64;
    // SAFETY: `step` has the signature the helper calls with, and `walk` outlives the call.
    unsafe { bpf_loop(STEPS, step as *mut c_void, core::ptr::from_mut(&mut walk).cast(), 0) };
    (walk.entry - first) as u32
}

unsafe extern "C" fn step(_nth: u64, walk: *mut Walk) -> i64 {
    // SAFETY: the pointer `zswap_before` handed to the helper.
    let walk = unsafe { &mut *walk };
    let entry = walk.entry;
    if entry >= walk.end {
        return 1;
    }
    if walk.is_again {
        walk.entry = entry + 1;
        look_again(entry);
        return 0;
    }
    let (found, slots) = find_or_gap(entry);
    walk.entry = (entry | (slots - 1)) + 1;
    if found != 0 {
        enter(entry, found);
    }
    0
}

/// Enters a slot of which no more is known than that it is in use, or not even that.
#[inline(always)]
fn enter(entry: u64, found: u64) -> Option<()> {
    let place = Place::of(entry, true)?;
    let old = place.get(0);
    if !is_open(old) {
        return None;
    }
    let typed = cast(found, &ZSWAP_ENTRY);
    // SAFETY: it was in the tree a moment ago; a bad address reads as zeroes.
    let (length, objcg) = unsafe {
        (u64::from(load::<u32>(typed, &ZSWAP_ENTRY_LENGTH)), load::<*const u8>(typed, &ZSWAP_ENTRY_OBJCG))
    };
    let owner = Owner::of_objcg(objcg);
    let word = Word::new(State::Zswap, length, owner.index, now()).with(BEFORE);
    // What was unknown has been ended by whatever happened to it since.
    let word = if old.state() == State::Free { word.with(UNSURE) } else { word };
    place.change(0, |seen| (seen == old).then_some(word))?;
    if find(entry) != found {
        place.change(0, |seen| (seen == word).then_some(old));
        return None;
    }
    name_counters(owner);
    add(control()?, offset_of!(Control, found_before), 1);
    Some(())
}

#[inline(always)]
fn is_open(word: Word) -> bool {
    matches!(word.state(), State::Free | State::Unknown)
}

/// What was entered and is not in the tree any more has left in the moment it was entered.
#[inline(always)]
fn look_again(entry: u64) -> Option<()> {
    let place = Place::of(entry, false)?;
    let word = place.get(0);
    if word.state() != State::Zswap || !word.has(UNSURE) {
        return None;
    }
    let is_there = find(entry) != 0;
    let unknown = Word::new(State::Unknown, 0, word.owner(), word.stamp());
    let right = if is_there { word.without(UNSURE) } else { unknown };
    place.change(0, |seen| (seen == word).then_some(right))?;
    add(control()?, offset_of!(Control, found_before), if is_there { 0 } else { u64::MAX });
    Some(())
}
