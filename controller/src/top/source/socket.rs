//! Looks from the running agent: what it published last, by its control socket. Where nothing is heard of one, the
//! host's files are read instead until it is.

use std::{
    io,
    time::{Duration, SystemTime},
};

use swaptier_policies::CgroupPath;

use super::{Files, Origin, Source, Want};
use crate::{
    root::Root,
    serve::{
        absence::Absence,
        client::Connection,
        detail::Detail,
        events::Event,
        protocol::{Answer, Ask},
        without_agent::{Rows, add_others},
    },
    top::seen::Seen,
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
    /// Since when it does not answer.
    silent: Option<Absence>,
}

impl Socket {
    /// Asks below this root, and reads these files where nobody answers.
    pub fn new(root: Root, files: Files) -> Socket {
        Socket { root, files, last_event: 0, has_agent: false, silent: None }
    }

    /// What the files say. An agent that does not answer has not since it was first asked in vain.
    fn look_at_files(&mut self, want: &Want, absence: Absence) -> Result<Option<Seen>, String> {
        (self.has_agent, self.last_event) = (false, 0);
        self.silent = matches!(absence, Absence::Silent(_)).then(|| self.silent.unwrap_or(absence));
        self.files.because(self.silent.unwrap_or(absence)).look(want)
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

fn ask(agent: &mut Connection, ask: Ask) -> io::Result<Answer> {
    agent.send(ask)?;
    agent.receive(PATIENCE)
}

/// Of the cgroup that is wanted. It may have gone since the status; the next look says more.
fn detail(agent: &mut Connection, want: &Want) -> Option<Detail> {
    let cgroup = CgroupPath::from_shown(want.detail.as_deref()?);
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
        let asked = SystemTime::now();
        let mut agent = match Connection::open(&self.root) {
            Ok(Some(agent)) => agent,
            Ok(None) => return self.look_at_files(want, Absence::NotRunning),
            Err(error) => match Absence::of(&error, asked) {
                Some(absence) => return self.look_at_files(want, absence),
                None => return Err(format!("connecting to the agent: {error}")),
            },
        };
        let answer = match ask(&mut agent, Ask::Status) {
            Ok(answer) => answer,
            Err(error) => match Absence::of(&error, asked) {
                Some(absence) => return self.look_at_files(want, absence),
                None => return Err(format!("asking the agent: {error}")),
            },
        };
        match answer {
            Answer::Refused { message, .. } => Err(message),
            Answer::Status(mut status) => {
                self.silent = None;
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
