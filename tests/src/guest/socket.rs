//! The agent's socket without a command between: what it says, and how soon. A command takes longer to start than the agent
//! to answer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

const SOCKET: &str = "/run/swaptier/swaptier.sock";
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to the agent.
#[derive(Debug)]
pub struct Socket(BufReader<UnixStream>);

impl Socket {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn open() -> Result<Socket> {
        let socket = UnixStream::connect(SOCKET).with_context(|| format!("connecting to {SOCKET}"))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Socket(BufReader::new(socket)))
    }

    /// Sends a request: the fields of it, without the version.
    ///
    /// # Errors
    /// The agent has gone.
    pub fn send(&mut self, mut request: Value) -> Result<()> {
        request["v"] = json!(2);
        Ok(writeln!(self.0.get_mut(), "{request}")?)
    }

    /// The next answer.
    ///
    /// # Errors
    /// None comes within a minute, or the agent has gone.
    pub fn receive(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("an answer: {line:?}"))
    }
}

/// Asks one thing, and says how long the answer took.
///
/// # Errors
/// There is none.
pub fn ask(request: Value) -> Result<(Value, Duration)> {
    let begun = Instant::now();
    let mut socket = Socket::open()?;
    socket.send(request)?;
    Ok((socket.receive()?, begun.elapsed()))
}
