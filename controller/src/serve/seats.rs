//! Who is served at the same time: so many of those who may act, so many of those who may look, and of one user of these
//! no more than a few. Whoever finds no seat is told so at once; nobody who may only look takes one of those who act.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::peer::Rights;

/// Seats of those who may act.
pub(super) const ACTING: usize = 32;
/// Seats of those who may look.
pub(super) const LOOKING: usize = 32;
/// Of these, the most that one user has.
pub(super) const EACH: usize = 8;

/// The seats that are taken. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    acting: usize,
    /// By user.
    looking: BTreeMap<u32, usize>,
}

/// One seat, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    /// `None`: one of those who may act.
    looker: Option<u32>,
}

impl Seats {
    /// A seat for this user.
    ///
    /// # Errors
    /// There is none: why, as a sentence.
    pub(super) fn take(&self, uid: u32, rights: Rights) -> Result<Seat, String> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let looker = (rights < Rights::Act).then_some(uid);
        match looker {
            None if taken.acting == ACTING => Err(format!("{ACTING} clients are served already")),
            None => {
                taken.acting += 1;
                Ok(())
            }
            Some(_) if taken.looking.values().sum::<usize>() == LOOKING => {
                Err(format!("{LOOKING} clients that may look are served already"))
            }
            Some(uid) => {
                let own = taken.looking.entry(uid).or_default();
                if *own == EACH {
                    return Err(format!("{EACH} clients of this user are served already"));
                }
                *own += 1;
                Ok(())
            }
        }
        .map(|()| Seat { seats: self.clone(), looker })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        match self.looker {
            None => taken.acting -= 1,
            Some(uid) => {
                if let Some(own) = taken.looking.get_mut(&uid) {
                    *own -= 1;
                }
                taken.looking.retain(|_, own| *own > 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_may_look_lock_nobody_out_who_may_act_and_no_user_the_others() {
        let seats = Seats::default();
        let mut kept: Vec<Seat> = (0..EACH).map(|_| seats.take(1_000, Rights::Look).unwrap()).collect();
        assert!(seats.take(1_000, Rights::Look).is_err_and(|why| why.contains("of this user")));
        for uid in 1_001..1_004 {
            kept.extend((0..EACH).map(|_| seats.take(uid, Rights::Look).unwrap()));
        }
        assert!(seats.take(1_009, Rights::Look).is_err_and(|why| why.contains("may look")));
        // Whoever may do nothing sits with those who look, for the moment it takes to say so.
        assert!(seats.take(1_009, Rights::None).is_err());
        let acting: Vec<Seat> = (0..ACTING).map(|_| seats.take(0, Rights::Act).unwrap()).collect();
        assert!(seats.take(0, Rights::Act).is_err());
        drop(acting);
        assert!(seats.take(0, Rights::Act).is_ok());
        kept.pop();
        assert!(seats.take(1_009, Rights::Look).is_ok(), "one has left");
    }
}
