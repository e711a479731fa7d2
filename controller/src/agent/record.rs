//! The agent's recorder: when it records, what a frame is made of, and what `swaptier record` is told. How it is stored is
//! `recording/`'s.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use swaptier_policies::{CgroupId, Decision, History, Settled, Snapshot, SourceFile};

use super::{Options, view::MapView};
use crate::{
    config::Config,
    exit::Exit,
    recording::{Frame, Limits, Moved, Recorder, Terms},
    root::Root,
    serve::{
        board::{Beside, Page},
        events::Event,
        histogram::trimmed,
        protocol::Answer,
        server::refused,
    },
};

/// The longest that a command may have the agent record for. It asks again before that is over.
const LONGEST: Duration = Duration::from_secs(600);

/// The recorder, and why it runs.
pub(super) struct Tape {
    recorder: Option<Recorder>,
    /// `[record] enabled`.
    is_standing: bool,
    /// Until when a command wants it.
    until: Option<Instant>,
    limits: Limits,
    terms: Terms,
}

impl Tape {
    pub(super) fn start(root: &Root, options: &Options, config: &Config, policies: &[SourceFile]) -> Self {
        let by = if options.dry_run { "agent --dry-run" } else { "agent" };
        let terms = Terms::of(root, by, options.config.as_deref(), config, policies);
        let limits = Limits {
            folder: root.host_path(config.record.folder(&config.agent.state_dir)),
            file_size: config.record.file_size.0,
            files: config.record.files,
        };
        let mut tape =
            Self { recorder: None, is_standing: config.record.enabled, until: None, limits, terms };
        if tape.is_standing {
            // An agent that cannot record does all the rest.
            let _said = tape.begin();
        }
        tape
    }

    fn begin(&mut self) -> Result<(), String> {
        if self.recorder.is_some() {
            return Ok(());
        }
        let folder = self.limits.folder.display().to_string();
        match Recorder::start(self.limits.clone(), self.terms.clone()) {
            Ok(recorder) => {
                tracing::info!(folder, "every tick is recorded into {folder}");
                self.recorder = Some(recorder);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(folder, %error, "nothing is recorded into {folder}: {error}");
                Err(format!("{folder}: {error}"))
            }
        }
    }

    /// Before a tick: what decisions remember, if its frame is to be a key.
    pub(super) fn history(&self, history: &History) -> Option<History> {
        self.recorder.as_ref().filter(|recorder| recorder.wants_key()).map(|_| history.clone())
    }

    /// Whether there is anything to do for it.
    pub(super) fn is_on(&self) -> bool {
        self.recorder.is_some()
    }

    /// After a tick: hands its frame over, and ends a recording that nobody wants any more.
    pub(super) fn take(&mut self, frame: Frame) {
        if let Some(recorder) = &mut self.recorder {
            recorder.take(frame);
        }
        self.end_if_over();
    }

    fn end_if_over(&mut self) {
        let is_wanted = self.is_standing || self.until.is_some_and(|until| Instant::now() < until);
        if !is_wanted && let Some(recorder) = self.recorder.take() {
            let ((frames, bytes), dropped) = (recorder.written(), recorder.dropped());
            tracing::info!(
                frames,
                bytes,
                dropped,
                "the recording ends: {frames} frames in {bytes} bytes, {dropped} dropped"
            );
            // Its last frames may wait for a slow disk; the loop does not.
            std::thread::spawn(move || drop(recorder));
            self.until = None;
        }
    }

    /// The policies were read anew.
    pub(super) fn reloaded(&mut self, policies: &[SourceFile]) {
        self.terms.follow(policies);
        if let Some(recorder) = &mut self.recorder {
            recorder.change_terms(self.terms.clone());
        }
    }

    /// A command wants the next `seconds` recorded; 0: it does not any more.
    pub(super) fn answer(&mut self, seconds: u64) -> Answer {
        if seconds > 0
            && let Err(error) = self.begin()
        {
            return refused(Exit::Failed, format!("nothing can be recorded: {error}"));
        }
        self.until = (seconds > 0).then(|| Instant::now() + Duration::from_secs(seconds).min(LONGEST));
        let (frames, bytes) = self.recorder.as_ref().map_or((0, 0), Recorder::written);
        let dropped = self.recorder.as_ref().map_or(0, Recorder::dropped);
        self.end_if_over();
        let folder = self.limits.folder.display().to_string();
        Answer::Recording { folder, frames, bytes, dropped }
    }
}

/// The frame of one tick.
pub(super) fn frame(
    tick: u64,
    snapshot: Snapshot,
    (history, ended, decision): (Option<History>, Vec<Settled>, Option<Decision>),
    view: &MapView,
    page: &Page,
    events: Vec<Event>,
) -> Frame {
    let ages: BTreeMap<CgroupId, Vec<u64>> = view
        .ages
        .iter()
        .map(|(id, ages)| (*id, trimmed(ages)))
        .filter(|(_, ages)| !ages.is_empty())
        .collect();
    let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let unix_ms = u64::try_from(unix_ms).unwrap_or(u64::MAX);
    let moved = page.beside.iter().filter_map(|(id, beside)| Some((CgroupId(*id), moved(beside)?))).collect();
    Frame {
        tick,
        unix_ms,
        snapshot,
        ended,
        decision,
        history,
        status: Some(page.status.clone()),
        ages,
        moved,
        events,
    }
}

/// What moved of a cgroup; `None`: nothing.
fn moved(beside: &Beside) -> Option<Moved> {
    let ages = beside.ages.clone().unwrap_or_default();
    let moved = Moved {
        loaded_pages: ages.loaded_pages,
        written_back_pages: ages.written_back_pages,
        swap_ins: beside.swap_ins.clone(),
    };
    (moved != Moved::default()).then_some(moved)
}
