//! Looks from a recording: what the agent had published at each tick, and what happened there.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use swaptier_policies::{CgroupId, PolicySet, path::is_below};

use super::{Jump, Origin, Source, Want};
use crate::{
    recording::{Frame, Moved, Recording, RecordingError},
    serve::{
        board::{Beside, Page},
        detail::{Ages, Law},
        histogram::trimmed,
        status::{CgroupStatus, Status},
    },
    top::seen::{Follows, Seen},
};

/// A recording and a place in it.
pub struct Recorded {
    recording: Recording,
    path: PathBuf,
    /// The frame of the next look.
    next: usize,
    /// How that follows the last one.
    follows: Follows,
    /// The policies that were in force at the last look with details.
    law: Option<InForce>,
}

/// Policies of a recording.
struct InForce {
    /// File names and texts.
    texts: Vec<(String, String)>,
    policies: Arc<PolicySet>,
}

/// Looks before the one that was jumped to of which it is told what happened: five minutes at one a second. They are read
/// without their status, which is quick.
const BEFORE: usize = 300;

impl Recorded {
    /// Opens it, at its first frame.
    ///
    /// # Errors
    /// It cannot be read, or there is no whole frame in it.
    pub fn open(path: &Path) -> Result<Recorded, RecordingError> {
        let recording = Recording::open(path)?;
        Ok(Recorded { recording, path: path.to_owned(), next: 0, follows: Follows::Next, law: None })
    }

    /// What is lost of it, one sentence each.
    pub fn losses(&self) -> Vec<String> {
        self.recording.losses().iter().map(ToString::to_string).collect()
    }

    /// The policies that a frame was decided by; none where they are lost, or this version does not take them.
    fn policies(&mut self, frame: usize) -> Arc<PolicySet> {
        let Ok((_, terms)) = self.recording.frame_and_terms(frame) else { return Arc::default() };
        if self.law.as_ref().is_none_or(|law| law.texts != terms.policies) {
            let (texts, policies) =
                (terms.policies.clone(), Arc::new(terms.policy_set().unwrap_or_default()));
            self.law = Some(InForce { texts, policies });
        }
        self.law.as_ref().map(|law| law.policies.clone()).unwrap_or_default()
    }

    /// The frame that was shown last.
    fn at(&self) -> usize {
        self.next.saturating_sub(1)
    }

    fn last(&self) -> usize {
        self.recording.len().saturating_sub(1)
    }
}

impl Source for Recorded {
    fn origin(&self) -> Origin {
        let (at, all) = (self.at() + 1, self.recording.len());
        let label = format!("{} {at}/{all}", self.path.display());
        Origin { label, is_recorded: true, can_act: false }
    }

    fn look(&mut self, want: &Want) -> Result<Option<Seen>, String> {
        if self.next > self.last() {
            return Ok(None);
        }
        let (number, follows) = (self.next, std::mem::take(&mut self.follows));
        let frame = self.recording.frame(number);
        // Past a damaged one too.
        self.next += 1;
        let mut frame = frame.map_err(|error| error.to_string())?;
        let law = match &want.detail {
            Some(_) => Law { policies: self.policies(number), areas: frame.snapshot.host.areas.clone() },
            None => Law::default(),
        };
        match follows {
            Follows::Next => {}
            Follows::Again => frame.events.clear(),
            Follows::Elsewhere => {
                let before = number.saturating_sub(BEFORE)..number;
                // One that cannot be read is told when it is looked at.
                let earlier = before.filter_map(|number| self.recording.events(number).ok()).flatten();
                frame.events.splice(0..0, earlier.collect::<Vec<_>>());
            }
        }
        Ok(Some(Seen { follows, ..seen(frame, want.detail.as_deref(), law) }))
    }

    fn jump(&mut self, jump: Jump) {
        let at = self.at();
        let by_time = |unix_ms: u64| self.recording.seek(unix_ms);
        let to = match jump {
            Jump::By(looks) => at.saturating_add_signed(isize::try_from(looks).unwrap_or(0)),
            Jump::Seconds(seconds) => {
                let now = self.recording.unix_ms(at).unwrap_or(0);
                by_time(now.saturating_add_signed(seconds.saturating_mul(1000)))
            }
            Jump::To(second) => by_time(second.saturating_mul(1000)),
        };
        let to = to.min(self.last());
        self.follows = match to {
            _ if to == at => Follows::Again,
            _ if to == at + 1 => Follows::Next,
            _ => Follows::Elsewhere,
        };
        self.next = to;
    }
}

/// A frame as it would have been seen. `law` is what it was decided by.
fn seen(frame: Frame, detail: Option<&str>, law: Law) -> Seen {
    let Frame { unix_ms, status, ages, moved, events, .. } = frame;
    let mut status = status.unwrap_or_else(|| Status {
        agent: crate::serve::status::AgentStatus {
            lost: vec!["this frame was recorded without a status".to_owned()],
            ..Default::default()
        },
        ..Status::default()
    });
    status.unix_seconds = unix_ms as f64 / 1000.0;
    let detail = detail.and_then(|path| {
        let row = status.cgroups.iter().find(|row| row.path == path)?;
        let beside = BTreeMap::from([(row.id, beside(&status, row, &ages, moved.get(&CgroupId(row.id))))]);
        Page::new(status.clone(), beside).by(law).detail(path)
    });
    Seen { status, detail, events, ..Seen::default() }
}

/// What the agent knew of one cgroup beside its row. Of what was done to it the last thing alone is recorded.
fn beside(
    status: &Status,
    row: &CgroupStatus,
    ages: &BTreeMap<CgroupId, Vec<u64>>,
    moved: Option<&Moved>,
) -> Beside {
    let path = &row.path;
    let below = |it: &&CgroupStatus| it.path == *path || is_below(&it.path, path);
    let mut zswap_pages = Vec::new();
    for it in status.cgroups.iter().filter(below) {
        let own = ages.get(&CgroupId(it.id)).map_or(&[][..], Vec::as_slice);
        zswap_pages.resize(zswap_pages.len().max(own.len()), 0u64);
        zswap_pages.iter_mut().zip(own).for_each(|(sum, pages)| *sum = sum.saturating_add(*pages));
    }
    let Moved { loaded_pages, written_back_pages, swap_ins } = moved.cloned().unwrap_or_default();
    let ages = (!ages.is_empty() || moved.is_some()).then(|| Ages {
        zswap_pages: trimmed(&zswap_pages),
        loaded_pages,
        written_back_pages,
    });
    Beside { ages, swap_ins, actions: row.last.iter().cloned().collect() }
}
