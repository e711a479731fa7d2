//! The word of one swap slot: what it holds, how long, whose, since when.
//!
//! Layout, low bits first: state 3, length 13, cgroup index 16, stamp 24, history 8.

/// Where the data of a slot is. The names follow the kernel's proposal for virtual swap slots
/// (NONE/PHYS/ZERO/ZSWAP/FOLIO), <https://lkml.iu.edu/hypermail/linux/kernel/2606.0/01395.html>.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not in use, or never seen.
    Free = 0,
    /// Allocated; the only copy is the folio in the swap cache.
    Folio = 1,
    /// Compressed in zswap.
    Zswap = 2,
    /// All zero bytes: no storage anywhere.
    Zero = 3,
    /// On the swap device.
    Phys = 4,
    /// In use before the probes were attached; where its data is is not known yet.
    Unknown = 5,
}

impl State {
    /// The state in three bits; a pattern no state has reads as [`State::Unknown`].
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        match bits & 7 {
            0 => Self::Free,
            1 => Self::Folio,
            2 => Self::Zswap,
            3 => Self::Zero,
            4 => Self::Phys,
            _ => Self::Unknown,
        }
    }
}

/// History bit: read back into memory since it was last stored or written.
pub const LOADED: u64 = 1 << 2;
/// History bit: the data on the device came out of zswap (write-back), not straight from memory.
pub const WRITTEN_BACK: u64 = 1 << 3;
/// History bit: it was in zswap before the probes saw anything. The stamp is the second in which it was found, and its age
/// *at least* the time since.
pub const BEFORE: u64 = 1 << 4;
/// History bit: no event could have ended it before it was entered, so one that was under way then may have been missed. It is
/// looked at once more.
pub const UNSURE: u64 = 1 << 5;

const LENGTH_SHIFT: u32 = 3;
const OWNER_SHIFT: u32 = 16;
const STAMP_SHIFT: u32 = 32;
const HISTORY_SHIFT: u32 = 56;
const LENGTH_MASK: u64 = (1 << 13) - 1;
/// Stamps count seconds modulo this many (194 days).
pub const STAMP_MASK: u64 = (1 << 24) - 1;

/// A slot's word, unpacked by value. All-zero means "never used".
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word(pub u64);

impl Word {
    /// A word with no history.
    #[inline(always)]
    pub const fn new(state: State, length: u64, owner: u16, stamp: u64) -> Self {
        Self(
            state as u64
                | (length & LENGTH_MASK) << LENGTH_SHIFT
                | (owner as u64) << OWNER_SHIFT
                | (stamp & STAMP_MASK) << STAMP_SHIFT,
        )
    }

    /// Where the slot's data is.
    #[inline(always)]
    pub const fn state(self) -> State {
        State::from_bits(self.0)
    }

    /// *Compressed* bytes in zswap, or those it last had there. 4,096 means stored raw.
    #[inline(always)]
    pub const fn length(self) -> u64 {
        self.0 >> LENGTH_SHIFT & LENGTH_MASK
    }

    /// Index of the owner's counters: the kernel's 16-bit memory cgroup id; 0 when a page had none.
    #[inline(always)]
    pub const fn owner(self) -> u16 {
        (self.0 >> OWNER_SHIFT) as u16
    }

    /// Second of the last change (`CLOCK_MONOTONIC`), modulo 2^24.
    #[inline(always)]
    pub const fn stamp(self) -> u64 {
        self.0 >> STAMP_SHIFT & STAMP_MASK
    }

    /// Seconds between the stamp and `now` (`CLOCK_MONOTONIC` seconds, any width).
    #[inline(always)]
    pub const fn age(self, now: u64) -> u64 {
        now.wrapping_sub(self.stamp()) & STAMP_MASK
    }

    /// The history bits.
    #[inline(always)]
    pub const fn history(self) -> u64 {
        self.0 >> HISTORY_SHIFT
    }

    /// Whether all of these history bits are set.
    #[inline(always)]
    pub const fn has(self, bits: u64) -> bool {
        self.history() & bits == bits
    }

    /// The same word in another state.
    #[inline(always)]
    #[must_use]
    pub const fn in_state(self, state: State) -> Self {
        Self(self.0 & !7 | state as u64)
    }

    /// The same word with these history bits set.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, bits: u64) -> Self {
        Self(self.0 | bits << HISTORY_SHIFT)
    }

    /// The same word with these history bits cleared.
    #[inline(always)]
    #[must_use]
    pub const fn without(self, bits: u64) -> Self {
        Self(self.0 & !(bits << HISTORY_SHIFT))
    }
}

/// Bits of a `swp_entry_t` below the area's type: `SWP_TYPE_SHIFT` of include/linux/swapops.h, the same on
/// every 64-bit architecture (it is not the page-table form).
pub const TYPE_SHIFT: u32 = 58;

/// The area a raw `swp_entry_t` names.
#[inline(always)]
pub const fn entry_type(entry: u64) -> u32 {
    (entry >> TYPE_SHIFT) as u32
}

/// The page offset a raw `swp_entry_t` names in its area.
#[inline(always)]
pub const fn entry_offset(entry: u64) -> u64 {
    entry & ((1 << TYPE_SHIFT) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_every_field_apart() {
        let word = Word::new(State::Zswap, 4096, 0xabcd, 0x12_3456).with(LOADED | WRITTEN_BACK);
        assert_eq!(
            (word.state(), word.length(), word.owner(), word.stamp(), word.history()),
            (State::Zswap, 4096, 0xabcd, 0x12_3456, LOADED | WRITTEN_BACK)
        );
        assert!(word.has(LOADED) && !word.without(LOADED).has(LOADED));
    }

    #[test]
    fn age_survives_the_wrap_of_the_stamp() {
        // Stored 5 s before the wrap, read 3 s after it: 8 s.
        let word = Word::new(State::Zswap, 1, 1, STAMP_MASK - 4);
        assert_eq!(word.age((1 << 24) + 3), 8);
    }

    #[test]
    fn no_pattern_is_outside_the_states() {
        for bits in 0..8 {
            let state = State::from_bits(bits);
            assert!(state as u64 == bits || state == State::Unknown);
        }
    }
}
