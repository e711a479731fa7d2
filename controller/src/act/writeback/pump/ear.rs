//! What the agent says: the next message, and in the middle of a round whether there is one.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader},
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::wire::{Message, Put};

/// The pump's end of the agent's words, and what has to be put back if there are no more.
pub(super) struct Ear {
    input: BufReader<File>,
    pub(super) undo: Vec<Put>,
}

impl Ear {
    /// Listens on standard input.
    pub(super) fn of_stdin() -> io::Result<Self> {
        Ok(Self::of(io::stdin().as_fd().try_clone_to_owned()?))
    }

    fn of(input: OwnedFd) -> Self {
        Self { input: BufReader::new(File::from(input)), undo: Vec::new() }
    }

    /// Listens to an agent that says nothing, for as long as the other value lives.
    #[cfg(test)]
    pub(super) fn of_nobody() -> (Self, OwnedFd) {
        let (read, write) = rustix::pipe::pipe().unwrap();
        (Self::of(read), write)
    }

    /// Waits for the next message. `None`: the agent is gone.
    pub(super) fn next(&mut self) -> io::Result<Option<Message>> {
        let mut line = String::new();
        match self.input.read_line(&mut line)? {
            0 => Ok(None),
            _ => Ok(Some(serde_json::from_str(&line)?)),
        }
    }

    /// Takes in what is said in the middle of a round. Returns whether the round is to end: it is told so, or there is nobody
    /// any more who could.
    pub(super) fn is_told_to_end(&mut self) -> bool {
        while self.is_spoken_to(Duration::ZERO) {
            match self.next() {
                Ok(Some(Message::Also { undo })) => self.undo.extend(undo),
                Ok(Some(Message::End) | None) | Err(_) => return true,
                // Nothing else is said before the answer.
                Ok(Some(Message::Prepare { .. } | Message::Work(_) | Message::Over)) => {}
            }
        }
        self.is_ended()
    }

    /// Whether the agent's end is closed.
    pub(super) fn is_ended(&self) -> bool {
        self.polled(Duration::ZERO).contains(PollFlags::HUP)
    }

    /// Whether there is something to take in, waited for at most so long: the next message, or that there are no more.
    pub(super) fn is_spoken_to(&self, at_most: Duration) -> bool {
        let heard = || self.polled(at_most).intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        !self.input.buffer().is_empty() || heard()
    }

    fn polled(&self, at_most: Duration) -> PollFlags {
        let mut polled = [PollFd::from_borrowed_fd(self.input.get_ref().as_fd(), PollFlags::IN)];
        let at_most =
            Timespec { tv_sec: at_most.as_secs() as i64, tv_nsec: i64::from(at_most.subsec_nanos()) };
        match poll(&mut polled, Some(&at_most)) {
            Ok(_) => polled[0].revents(),
            Err(Errno::INTR) => PollFlags::empty(),
            // What cannot be polled is read.
            Err(_) => PollFlags::IN,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn put(path: &str) -> Put {
        Put { path: path.into(), old: "1".to_owned(), new: "0".to_owned() }
    }

    #[test]
    fn what_is_said_in_the_middle_of_a_round_is_heard_whole_and_first() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let (mut ear, mut agent) = (Ear::of(read), File::from(write));
        let mut say =
            |message: &Message| writeln!(agent, "{}", serde_json::to_string(message).unwrap()).unwrap();
        say(&Message::Prepare { undo: vec![put("a")] });
        let Some(Message::Prepare { undo }) = ear.next().unwrap() else { panic!("no message") };
        ear.undo = undo;
        assert!(!ear.is_told_to_end(), "nothing was said");
        say(&Message::Also { undo: vec![put("b")] });
        say(&Message::Also { undo: vec![put("c")] });
        assert!(!ear.is_told_to_end());
        // What concerns the whole host stays first.
        assert_eq!(ear.undo, [put("a"), put("b"), put("c")]);
        // Two messages that come at once: the second waits in the buffer, where no poll shows it.
        say(&Message::Also { undo: vec![put("d")] });
        say(&Message::End);
        assert!(ear.is_told_to_end());
        assert_eq!(ear.undo.len(), 4);
        assert!(!ear.is_ended());
        drop(agent);
        assert!(ear.is_told_to_end() && ear.is_ended() && ear.next().unwrap().is_none());
    }
}
