//! The day of `budget.day`, and what was spent of it, in the state folder: neither a restart nor a clock that is set renews
//! it.
//!
//! A day is 24 hours that passed: by the clock that counts since the boot and cannot be set, and over a boot by the calendar.
//! It begins with the calendar's, in UTC, as long as nobody sets the clock. What a round may write is on disk before it
//! writes (`reserve`); what it did write follows later (`settle`). A file that cannot be read is a day that is spent.

#![expect(clippy::disallowed_methods, reason = "the book of a day's budgets is its file")]

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use swaptier_policies::{Action, DayBook, History, Plan};

use crate::{journal::state_dir, root::Root};

const FILE: &str = "budgets.json";
const VERSION: u32 = 1;
const DAY: u64 = 86_400;
/// What was written less than was reserved is put right no more often than this: each time is a sync of a disk.
const SETTLE: u64 = 60;

/// What the clocks say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Now {
    /// The boot, by the kernel's name of it.
    boot: String,
    /// Seconds since it, those of sleep among them.
    since_boot: u64,
    /// Seconds since 1970, by a clock that may be set.
    unix: u64,
}

impl Now {
    fn read(root: &Root) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Now {
            boot: root.read_value("proc/sys/kernel/random/boot_id").unwrap_or_default(),
            since_boot: since_boot(),
            unix,
        }
    }
}

fn since_boot() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or_default()
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    v: u32,
    /// Seconds of the day that had passed.
    into: u64,
    boot: String,
    since_boot: u64,
    unix: u64,
    #[serde(flatten)]
    book: DayBook,
}

/// The day, and what of it is on disk.
pub(super) struct Days {
    path: PathBuf,
    boot: String,
    /// The day, and its seconds that had passed, at the second `since_boot` of this boot.
    day: u32,
    into: u64,
    since_boot: u64,
    written: Option<DayBook>,
    written_at: u64,
    is_dry: bool,
}

impl Days {
    /// Goes on with the day that is on disk, and says what is wrong with it.
    pub(super) fn start(
        root: &Root,
        state: &Path,
        is_dry: bool,
        history: &mut History,
    ) -> (Days, Option<String>) {
        Days::at(&Now::read(root), state, is_dry, history)
    }

    fn at(now: &Now, state: &Path, is_dry: bool, history: &mut History) -> (Days, Option<String>) {
        let path = state.join(FILE);
        let (kept, trouble) = match read(&path) {
            Ok(kept) => (kept, None),
            Err(why) => {
                let text = format!(
                    "{}: {why}: what was spent of `budget.day` is not known, so nothing more is until the day is over; \
                     without the file, after a restart, the day begins anew",
                    path.display()
                );
                (None, Some(text))
            }
        };
        let (day, into) = match &kept {
            Some(kept) => {
                let passed = match kept.boot == now.boot {
                    true => now.since_boot.saturating_sub(kept.since_boot),
                    false => now.unix.saturating_sub(kept.unix),
                };
                let into = kept.into.saturating_add(passed);
                (kept.book.day.saturating_add(days(into)), into % DAY)
            }
            None => (days(now.unix), now.unix % DAY),
        };
        if trouble.is_some() {
            history.open_day(day, None);
        } else if let Some(kept) = &kept {
            history.open_day(kept.book.day, Some(kept.book.clone()));
        }
        let (written, boot) = (kept.map(|kept| kept.book), now.boot.clone());
        let since_boot = now.since_boot;
        (Days { path, boot, day, into, since_boot, written, written_at: since_boot, is_dry }, trouble)
    }

    /// Number of the day.
    pub(super) fn today(&self) -> u32 {
        self.day_at(since_boot()).0
    }

    fn day_at(&self, since_boot: u64) -> (u32, u64) {
        let into = self.into.saturating_add(since_boot.saturating_sub(self.since_boot));
        (self.day.saturating_add(days(into)), into % DAY)
    }

    /// Before the rounds of a plan begin: all that they may write is spent, on disk.
    ///
    /// # Errors
    /// It cannot be noted: no round may begin.
    pub(super) fn reserve(&mut self, root: &Root, history: &History, plan: &Plan) -> Result<(), String> {
        let promised = plan.steps.iter().filter_map(|step| match step.action {
            Action::Writeback { cgroup, pages, .. } => Some((cgroup, pages)),
            _ => None,
        });
        match history.day_book(promised) {
            // Nothing with a day's budget is planned then.
            None => Ok(()),
            Some(book) if self.written.as_ref().is_some_and(|written| covers(written, &book)) => Ok(()),
            Some(book) => self.write(&Now::read(root), book),
        }
    }

    /// Puts right what was reserved and not written.
    pub(super) fn settle(&mut self, root: &Root, history: &History, is_last: bool) {
        if !is_last && since_boot() < self.written_at.saturating_add(SETTLE) {
            return;
        }
        let book = history.day_book(std::iter::empty()).filter(|book| !book.spent.is_empty());
        if let Some(book) = book.filter(|book| self.written.as_ref() != Some(book))
            && let Err(error) = self.write(&Now::read(root), book)
        {
            // What is on disk says more than was spent: nobody is harmed.
            tracing::debug!(error, "the day's budgets are put right later");
        }
    }

    fn write(&mut self, now: &Now, book: DayBook) -> Result<(), String> {
        if self.is_dry {
            return Ok(());
        }
        let (_, into) = self.day_at(now.since_boot);
        let (since_boot, unix) = (now.since_boot, now.unix);
        let kept = Kept { v: VERSION, into, boot: self.boot.clone(), since_boot, unix, book };
        let text = serde_json::to_vec(&kept).map_err(|error| error.to_string())?;
        let folder = self.path.parent().unwrap_or(&self.path);
        state_dir::replace(folder, FILE, &text).map_err(|error| error.to_string())?;
        (self.written, self.written_at) = (Some(kept.book), now.since_boot);
        Ok(())
    }
}

/// Whether what is on disk says at least as much of the same day.
fn covers(written: &DayBook, book: &DayBook) -> bool {
    let has = |(path, bytes)| written.spent.get(path).is_some_and(|written| written >= bytes);
    written.day == book.day && book.spent.iter().all(has)
}

fn days(seconds: u64) -> u32 {
    u32::try_from(seconds / DAY).unwrap_or(u32::MAX)
}

/// `None`: there is no such file.
fn read(path: &Path) -> Result<Option<Kept>, String> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let kept: Kept = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if kept.v == VERSION { Ok(Some(kept)) } else { Err(format!("version {} is not known here", kept.v)) }
}

#[cfg(test)]
mod tests;
