//! The commands' end of the control socket.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use super::{
    SOCKET,
    protocol::{Answer, Ask, Request, VERSION},
};
use crate::root::Root;

/// Asks the agent. `None` when no agent is listening.
///
/// # Errors
/// The agent is there and cannot be talked to, or does not answer within `at_most`.
pub fn ask(root: &Root, ask: Ask, at_most: Duration) -> io::Result<Option<Answer>> {
    let mut socket = match UnixStream::connect(root.host_path(SOCKET)) {
        Ok(socket) => socket,
        Err(error) if is_nobody(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    socket.set_read_timeout(Some(at_most))?;
    writeln!(socket, "{}", serde_json::to_string(&Request { v: VERSION, ask })?)?;
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the agent closed the connection without an answer",
        ));
    }
    Ok(Some(serde_json::from_str(&line)?))
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
