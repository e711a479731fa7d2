//! Looks from the running agent: what it published last, by its control socket. Where none is running, its files are
//! read instead until one is.

use std::time::{Duration, SystemTime};

use super::{Files, Source, Want};
use crate::{
    root::Root,
    serve::{
        client::Connection,
        detail::Detail,
        events::Event,
        protocol::{Answer, Ask},
        without_agent::{Rows, add_others},
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

    /// A connection for one look. `Ok(None)`: nobody is there.
    fn connect(&self) -> Result<Option<Connection>, String> {
        Connection::open(&self.root).map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                "the agent's socket may not be opened: run this as root, or as a member of its group"
                    .to_owned()
            }
            _ => format!("connecting to the agent: {error}"),
        })
    }

    /// What happened since the last look. What cannot be had now is asked for again with the next.
    fn events(&mut self, agent: &mut Connection, newest: u64) -> Vec<Event> {
        // An agent that began anew counts from one again.
        let since = if newest < self.last_event { 0 } else { self.last_event };
        if newest == since {
            return Vec::new();
        }
        match ask(agent, Ask::Events { since }) {
            Ok(Answer::Events { events, last }) => {
                self.last_event = last;
                events
            }
            _ => Vec::new(),
        }
    }
}

fn ask(agent: &mut Connection, ask: Ask) -> Result<Answer, String> {
    match agent.send(ask).and_then(|()| agent.receive(PATIENCE)) {
        Ok(Answer::Refused { message, .. }) => Err(message),
        Ok(answer) => Ok(answer),
        Err(error) => Err(format!("asking the agent: {error}")),
    }
}

/// Of the cgroup that is wanted. It may have gone since the status; the next look says more.
fn detail(agent: &mut Connection, want: &Want) -> Option<Detail> {
    let cgroup = want.detail.clone()?;
    match ask(agent, Ask::Detail { cgroup }) {
        Ok(Answer::Detail(detail)) => Some(*detail),
        _ => None,
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
        let Some(mut agent) = self.connect()? else {
            self.has_agent = false;
            self.last_event = 0;
            return self.files.look(want);
        };
        match ask(&mut agent, Ask::Status)? {
            Answer::Status(mut status) => {
                self.has_agent = true;
                if self.files.rows() == Rows::All
                    && let Some(files) = self.files.look(want)?
                {
                    add_others(&mut status, files.status);
                }
                let events = self.events(&mut agent, status.last_event);
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let age_seconds = (now.as_secs_f64() - status.unix_seconds).max(0.0) as u64;
                Ok(Some(Seen {
                    age_seconds,
                    detail: detail(&mut agent, want),
                    events,
                    status: *status,
                    ..Seen::default()
                }))
            }
            other => Err(format!("the agent answered something else: {other:?}")),
        }
    }
}
