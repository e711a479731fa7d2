//! Looks from the running agent: what it published last, by its control socket. Where none is running, its files are
//! read instead until one is.

use std::time::Duration;

use super::{Files, Source, Want};
use crate::{
    root::Root,
    serve::{
        client,
        detail::Detail,
        events::Event,
        protocol::{Answer, Ask},
    },
    top::{seen::Seen, state::Origin},
};

/// How long the agent may take to answer a question about what it has published.
const PATIENCE: Duration = Duration::from_secs(5);

/// The agent, or files while there is none.
pub struct Socket {
    root: Root,
    files: Files,
    /// Number of the last event that was seen.
    last_event: u64,
    has_agent: bool,
}

impl Socket {
    /// Asks below this root, and reads these files where nobody answers.
    pub fn new(root: Root, files: Files) -> Socket {
        Socket { root, files, last_event: 0, has_agent: false }
    }

    /// One question. `Ok(None)`: nobody is there.
    fn ask(&self, ask: Ask) -> Result<Option<Answer>, String> {
        match client::ask(&self.root, ask, PATIENCE) {
            Ok(Some(Answer::Refused { message, .. })) => Err(message),
            Ok(answer) => Ok(answer),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                Err("the agent's socket may not be opened: run this as root, or as a member of its group"
                    .to_owned())
            }
            Err(error) => Err(format!("asking the agent: {error}")),
        }
    }

    fn detail(&self, want: &Want) -> Option<Detail> {
        let cgroup = want.detail.clone()?;
        match self.ask(Ask::Detail { cgroup }) {
            Ok(Some(Answer::Detail(detail))) => Some(*detail),
            // The cgroup may have gone since the status; the next look says more.
            _ => None,
        }
    }

    fn events(&mut self, newest: u64) -> Vec<Event> {
        // An agent that began anew counts from one again.
        let since = if newest < self.last_event { 0 } else { self.last_event };
        if newest == since {
            return Vec::new();
        }
        match self.ask(Ask::Events { since }) {
            Ok(Some(Answer::Events { events, last })) => {
                self.last_event = last;
                events
            }
            _ => Vec::new(),
        }
    }
}

impl Source for Socket {
    fn origin(&self) -> Origin {
        match self.has_agent {
            true => Origin { label: "agent".to_owned(), is_recorded: false, can_act: true },
            false => self.files.origin(),
        }
    }

    fn look(&mut self, want: &Want) -> Result<Option<Seen>, String> {
        match self.ask(Ask::Status)? {
            Some(Answer::Status(status)) => {
                self.has_agent = true;
                let events = self.events(status.last_event);
                Ok(Some(Seen { detail: self.detail(want), events, status: *status }))
            }
            Some(other) => Err(format!("the agent answered something else: {other:?}")),
            None => {
                self.has_agent = false;
                self.last_event = 0;
                self.files.look(want)
            }
        }
    }
}
