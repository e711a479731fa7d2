//! The commands' end of the control socket.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use super::{
    SOCKET,
    protocol::{Answer, Ask, Request, VERSION, line},
};
use crate::root::Root;

/// A connection to the agent: any number of requests, one after the other, or one subscription.
#[derive(Debug)]
pub struct Connection {
    socket: BufReader<UnixStream>,
    /// What was read of the next answer.
    line: Vec<u8>,
}

impl Connection {
    /// Connects. `None` when no agent is listening.
    ///
    /// # Errors
    /// The agent is there and may not be talked to.
    pub fn open(root: &Root) -> io::Result<Option<Connection>> {
        match UnixStream::connect(root.host_path(SOCKET)) {
            Ok(socket) => Ok(Some(Connection { socket: BufReader::new(socket), line: Vec::new() })),
            Err(error) if is_nobody(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a request. An agent that has closed its end already (it has no seat left) may have said why: that is
    /// for [`Self::receive`] to tell.
    ///
    /// # Errors
    /// The request cannot be written.
    pub fn send(&mut self, ask: Ask) -> io::Result<()> {
        match self.socket.get_mut().write_all(line(&Request { v: VERSION, ask }).as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent,
        }
    }

    /// The next answer, waited for at most this long: what a subscriber reads again and again.
    ///
    /// # Errors
    /// None came in time ([`io::ErrorKind::WouldBlock`]), or the agent has gone ([`io::ErrorKind::UnexpectedEof`]).
    /// After the first, half an answer may have been read: the next call goes on with it.
    pub fn receive(&mut self, at_most: Duration) -> io::Result<Answer> {
        self.socket.get_ref().set_read_timeout(Some(at_most))?;
        self.socket.read_until(b'\n', &mut self.line)?;
        if !self.line.ends_with(b"\n") {
            let message = "the agent closed the connection without an answer";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        let answer = serde_json::from_slice(&self.line);
        self.line.clear();
        Ok(answer?)
    }
}

/// Asks the agent one thing. `None` when no agent is listening.
///
/// # Errors
/// The agent is there and cannot be talked to, or does not answer within `at_most`.
pub fn ask(root: &Root, ask: Ask, at_most: Duration) -> io::Result<Option<Answer>> {
    let Some(mut connection) = Connection::open(root)? else { return Ok(None) };
    connection.send(ask)?;
    connection.receive(at_most).map(Some)
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
