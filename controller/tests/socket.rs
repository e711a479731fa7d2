//! The agent's socket under hostile clients: whatever they send, or do not send, the next client is served.
//!
//! What a well-formed request gets is tested beside the server; the messages alone are the fuzz target `socket`.

#![expect(clippy::unwrap_used, reason = "a test that cannot talk to the server has failed")]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use proptest::prelude::*;
use swaptier::root::Root;
use swaptier::serve::protocol::{Answer, Ask};
use swaptier::serve::{SOCKET, client, server::Server};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// A server that has no status yet and whose agent does nothing.
struct World {
    dir: tempfile::TempDir,
    root: Root,
    runtime: Runtime,
    server: Option<Server>,
    _errands: mpsc::Receiver<swaptier::serve::server::Errand>,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path()).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (send, mut errands) = mpsc::channel(1);
        errands.close();
        let server =
            runtime.block_on(async { Server::start(&root, Arc::new(RwLock::new(None)), send) }).unwrap();
        World { dir, root, runtime, server: Some(server), _errands: errands }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(SOCKET)
    }

    fn connect(&self) -> UnixStream {
        let socket = UnixStream::connect(self.path()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    }

    /// Sends the bytes and gives all that comes back.
    fn send(&self, bytes: &[u8]) -> String {
        let mut socket = self.connect();
        // The server may hang up before it has taken all of it.
        let _cut_short = socket.write_all(bytes);
        let _hung_up = socket.shutdown(Shutdown::Write);
        let mut back = String::new();
        match socket.read_to_string(&mut back) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            read => drop(read.unwrap()),
        }
        back
    }

    fn is_served(&self) -> bool {
        let answer = client::ask(&self.root, Ask::Status, Duration::from_secs(20)).unwrap();
        matches!(answer, Some(Answer::Refused { exit: 1, .. }))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _in_the_runtime = self.runtime.enter();
        self.server = None;
    }
}

/// An answer is one line of the protocol; no answer at all means that the client was dropped.
fn check_answer(back: &str) {
    if !back.is_empty() {
        assert_eq!(back.matches('\n').count(), 1, "{back:?}");
        let answer: Answer = serde_json::from_str(back).unwrap();
        assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    }
}

/// Something like a request.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let pieces =
        ["{", "}", "\"v\":2", "\"v\":1", ",", "\"ask\":\"status\"", "\"ask\":\"writeback\"", "\n", "null"];
    let piece = prop_oneof![
        3 => proptest::sample::select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

#[test]
fn any_bytes_get_an_answer_or_a_goodbye() {
    let world = World::new();
    proptest!(ProptestConfig::with_cases(200), |(bytes in request())| {
        check_answer(&world.send(&bytes));
    });
    assert!(world.is_served());
}

#[test]
fn a_request_without_an_end_is_not_read_for_ever() {
    let world = World::new();
    for bytes in [vec![b'['; 1 << 20], vec![b' '; 1 << 20], vec![0; 1 << 20]] {
        check_answer(&world.send(&bytes));
    }
    assert!(world.is_served());
}

#[test]
fn clients_that_say_nothing_do_not_keep_others_out() {
    let world = World::new();
    // One fewer than are served at the same time.
    let silent: Vec<UnixStream> = (0..31).map(|_| world.connect()).collect();
    assert!(world.is_served());
    drop(silent);
    assert!(world.is_served());
}
