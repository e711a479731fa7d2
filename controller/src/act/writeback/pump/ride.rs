//! The kernel pumps while it reclaims: zswap's own shrinker is switched on for the greater part of a round.
//!
//! Whoever reclaims calls the shrinkers, and zswap's writes back the oldest entries of the cgroup that is pressed
//! (mm/zswap.c `zswap_shrinker_scan`). Where that goes on anyway, no store has to be refused for it, and the pump sleeps. Where
//! nobody reclaims, nobody calls it, and strokes do the work. Every other way to disk is closed in such a round, as for strokes.
//!
//! A call looks at a batch of entries before it asks for the switch or the valve again, so the end of a round is left to
//! strokes.

use std::{io, time::Duration};

use super::{aim::Aim, beat::Beat, knob::Lever, wire::Flick};
use crate::{
    fault,
    root::{Root, RootError},
};

/// Pages before the target at which it is switched off: four batches of a shrinker (`SHRINK_BATCH`, mm/shrinker.c), for as
/// many processes that reclaim at once.
const ENDS: u64 = 512;

/// How long the kernel is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// Entries that it must have looked at meanwhile: half of what a stroke's worker looks at, which has a processor for itself.
const WORTH: u64 = 8;

/// Strokes after which a kernel that did not reclaim is waited for again, at most.
const RARELY: u32 = 64;

/// zswap's shrinker, off but for the ride.
pub(super) struct Ride<'a> {
    switch: Lever<'a>,
    state: State,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not begun.
    Waits,
    /// On. The kernel is waited for after so many strokes more, and how many these were the last time.
    On { strokes: u32, of: u32 },
    /// It is over.
    Over,
}

impl State {
    /// What the kernel did while it was waited for.
    fn after(self, is_worth: bool) -> Self {
        match self {
            Self::On { of, .. } if !is_worth => {
                let of = (of * 2).clamp(1, RARELY);
                Self::On { strokes: of, of }
            }
            _ => Self::On { strokes: 0, of: 0 },
        }
    }
}

impl<'a> Ride<'a> {
    pub(super) fn open(root: &Root, switch: &'a Flick, beat: &'a Beat) -> Result<Self, RootError> {
        Lever::open(root, switch, beat).map(|switch| Self { switch, state: State::Waits })
    }

    /// Waits for the kernel, and says whether it does the work: then there is to be no stroke.
    ///
    /// # Errors
    /// Somebody else wrote the switch, or the kernel refuses.
    pub(super) fn goes_on(&mut self, aim: &mut Aim<'_>) -> io::Result<bool> {
        if aim.left() <= ENDS {
            return self.end().map(|()| false);
        }
        match self.state {
            State::Over => return Ok(false),
            State::Waits => self.begin()?,
            State::On { strokes: strokes @ 1.., of } => {
                self.state = State::On { strokes: strokes - 1, of };
                return Ok(false);
            }
            State::On { .. } => {}
        }
        let before = aim.progress();
        aim.meter.wait(LOOK);
        let is_worth = is_worth(before, aim.progress());
        self.state = self.state.after(is_worth);
        Ok(is_worth)
    }

    fn begin(&mut self) -> io::Result<()> {
        self.switch.down()?;
        self.state = State::On { strokes: 0, of: 0 };
        fault::point("pump.ride.on");
        Ok(())
    }

    /// Switches it off.
    ///
    /// # Errors
    /// As [`Ride::goes_on`].
    pub(super) fn end(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::On { .. } => {
                self.switch.up()?;
                fault::point("pump.ride.off");
                Ok(())
            }
            State::Waits | State::Over => Ok(()),
        }
    }
}

/// Whether the kernel has done enough, by entries written and passed over. The counters of a cgroup that is gone are somebody
/// else's soon, and may be lower.
fn is_worth(before: (u64, u64), now: (u64, u64)) -> bool {
    now.0.saturating_sub(before.0) + now.1.saturating_sub(before.1) >= WORTH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_passed_over_entries_count_and_a_counter_that_fell_does_not() {
        assert!(is_worth((5, 5), (9, 9)) && !is_worth((5, 5), (9, 8)));
        assert!(!is_worth((9, 9), (0, 0)) && !is_worth((9, 9), (0, 10)));
    }

    #[test]
    fn a_kernel_that_does_not_reclaim_is_waited_for_ever_more_rarely() {
        let mut state = State::On { strokes: 0, of: 0 };
        let mut waits = Vec::new();
        for _ in 0..9 {
            state = state.after(false);
            let State::On { of, .. } = state else { panic!("{state:?}") };
            waits.push(of);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        assert_eq!(state.after(true), State::On { strokes: 0, of: 0 }, "one that does is waited for at once");
    }

    #[test]
    fn it_is_on_only_in_between_and_never_twice() {
        let fake = crate::fake::FakeRoot::host();
        let path = format!("{}/shrinker_enabled", crate::sense::zswap::PARAMETERS);
        fake.write(&path, "N\n");
        let switch = Flick { path: path.as_str().into(), low: "Y".into(), high: "N".into() };
        let beat = Beat::new().unwrap();
        let mut ride = Ride::open(fake.root(), &switch, &beat).unwrap();
        ride.end().unwrap();
        assert_eq!(fake.read(&path), "N", "it was never on");
        ride.state = State::Waits;
        ride.begin().unwrap();
        assert_eq!(fake.read(&path), "Y");
        ride.end().unwrap();
        ride.end().unwrap();
        assert_eq!((fake.read(&path).as_str(), ride.state), ("N", State::Over));
        // Somebody else's wish stands.
        ride.begin().unwrap();
        fake.write(&path, "maybe");
        assert!(ride.end().is_err() && fake.read(&path) == "maybe");
    }
}
