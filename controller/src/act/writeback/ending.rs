//! The end of a round: what it changed is given back, what somebody else wrote meanwhile stands.

use std::collections::BTreeSet;

use swaptier_policies::Ended;

use super::{
    Engine, RoundError,
    eyes::Eyes,
    pins,
    pump::{self, wire::Done},
};
use crate::{
    fault,
    journal::{Change, is_same_value},
    root::{FilePath, change::Write as _},
};

impl Engine {
    /// Ends the round: everything is given back, the cgroup's own valve and the root's only once nothing writes any more.
    /// Returns the files that somebody else wrote meanwhile: they keep what they say.
    pub(super) fn finish(
        &mut self,
        changes: &[Change],
        seqs: &[u64],
        own: &[&Change],
        flicked: usize,
        outcome: &Result<Done, RoundError>,
        (mut eyes, mut foreign): (Eyes, BTreeSet<FilePath>),
    ) -> Vec<String> {
        let numbered = changes.iter().cloned().zip(seqs.iter().copied());
        let (mut own, rest): (Vec<_>, Vec<_>) = numbered.partition(|(change, _)| own.contains(&change));
        let is_settled = match outcome {
            Ok(done) => {
                if let (Some(theirs), Some((change, _))) = (&done.theirs, own.first_mut()) {
                    tracing::warn!(
                        path = %change.path,
                        found = theirs,
                        "/{}: somebody else wrote {theirs} during a round; it stays",
                        change.path
                    );
                    foreign.insert(change.path.clone());
                    change.old.clone_from(theirs);
                }
                done.ended != Ended::Unsettled
            }
            // The pump died: nobody knows how far it was. What it changed goes first, then the way to disk.
            Err(_) => {
                self.give_back(rest.iter().rev().take(flicked), &mut eyes, &mut foreign);
                self.close(&own) && self.is_settled()
            }
        };
        self.give_back(rest.iter().rev(), &mut eyes, &mut foreign);
        if is_settled {
            self.give_back(own.iter().rev(), &mut eyes, &mut BTreeSet::new());
        } else {
            tracing::warn!("zswap's worker has not ended: the cgroup's write-back stays closed until it has");
            self.unsettled.extend(own);
        }
        foreign.iter().map(ToString::to_string).collect()
    }

    /// Gives back the valves that had to stay closed, if zswap's worker has ended by now. Cheap when there are none.
    pub fn tidy(&mut self) {
        if !self.unsettled.is_empty() && self.is_settled() {
            let own = std::mem::take(&mut self.unsettled);
            self.give_back(own.iter().rev(), &mut Eyes::open(), &mut BTreeSet::new());
        }
    }

    fn is_settled(&self) -> bool {
        pump::is_settled(&self.root, &pins(&self.root))
    }

    fn close(&self, own: &[(Change, u64)]) -> bool {
        own.iter().all(|(change, _)| match self.root.write(&change.path, "0") {
            Ok(()) => true,
            Err(error) => error.is_gone(),
        })
    }

    /// Writes the old values. A value that somebody else wrote stays, also one that is like ours: their files are added to
    /// `foreign`.
    fn give_back<'a>(
        &self,
        changes: impl Iterator<Item = &'a (Change, u64)>,
        eyes: &mut Eyes,
        foreign: &mut BTreeSet<FilePath>,
    ) {
        let (mut settled, mut written) = (Vec::new(), BTreeSet::new());
        for (change, seq) in changes {
            // A valve has two values and both were ours for a time.
            let is_ours = |now: &str| {
                [&change.new, &change.old].iter().any(|value| is_same_value(&change.path, now, value))
            };
            foreign.extend(eyes.touched().into_iter().filter(|path| !written.contains(path)));
            let given_back = match self.root.read_value(&change.path) {
                Ok(now) if is_same_value(&change.path, &now, &change.old) => Ok(()),
                Ok(now) if is_ours(&now) && !foreign.contains(&change.path) => {
                    written.insert(change.path.clone());
                    self.root.write(&change.path, &change.old)
                }
                Ok(found) => {
                    tracing::warn!(
                        path = %change.path,
                        found,
                        "/{}: somebody else wrote {found} during a round; left alone",
                        change.path
                    );
                    foreign.insert(change.path.clone());
                    Ok(())
                }
                Err(error) => Err(error),
            };
            match given_back {
                Err(error) if !error.is_gone() => {
                    tracing::error!(%error, "a value of a round stays changed: {error}");
                }
                _ => settled.push(*seq),
            }
            fault::point("round.give-back");
        }
        fault::point("round.given-back");
        self.undo().done(&settled);
    }
}
