//! The agent's socket: what a client gets, and hostile clients. Whatever they send, or do not send or read, the next
//! client is served and the agent's side never waits.
//!
//! The messages alone are the fuzz target `socket`; who may ask for what is tested beside `peer`, and with real users
//! in a guest.

#![expect(clippy::disallowed_methods, reason = "tests make and read files of their own")]
#![expect(clippy::unwrap_used, reason = "a test that cannot talk to the server has failed")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use swaptier::config::{MetricsConfig, SocketConfig};
use swaptier::root::Root;
use swaptier::serve::board::{Board, Page};
use swaptier::serve::client::{self, Connection};
use swaptier::serve::events::{EventKind, News};
use swaptier::serve::protocol::{Answer, Ask};
use swaptier::serve::status::{CgroupStatus, Status};
use swaptier::serve::{
    SOCKET,
    server::{Errand, Server},
};
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that has no status yet and whose agent does nothing.
struct World {
    dir: tempfile::TempDir,
    root: Root,
    board: Arc<Board>,
    _server: Server,
    _errands: mpsc::Receiver<swaptier::serve::server::Errand>,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path()).unwrap();
        let (send, mut errands) = mpsc::channel(1);
        errands.close();
        let (socket, metrics) = (SocketConfig::default(), MetricsConfig::default());
        let board = Arc::new(Board::default());
        let server = Server::start(&root, &socket, &metrics, board.clone(), send).unwrap();
        World { dir, root, board, _server: server, _errands: errands }
    }

    /// Publishes a tick with so many cgroups.
    fn pin(&self, tick: u64, cgroups: u64) {
        let row = |id| CgroupStatus { path: format!("a/{id}"), id, ..CgroupStatus::default() };
        let mut status =
            Status { schema: 1, cgroups: (2..cgroups + 2).map(row).collect(), ..Status::default() };
        status.agent.tick = tick;
        self.board.pin(Page::new(status, BTreeMap::new()));
    }

    fn ask(&self, ask: Ask) -> Answer {
        client::ask(&self.root, ask, PATIENCE).unwrap().unwrap()
    }

    fn subscribe(&self, interval_ms: u64, detail: Option<&str>) -> Connection {
        let mut connection = Connection::open(&self.root).unwrap().unwrap();
        let detail = detail.map(str::to_owned);
        connection
            .send(Ask::Subscribe { interval_ms, detail: detail.map(Into::into), events_since: 0 })
            .unwrap();
        connection
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

/// Each answer is one line of the protocol; no answer at all means that the client was dropped.
fn check_answers(back: &str) {
    assert!(back.is_empty() || back.ends_with('\n'), "{back:?}");
    for line in back.lines() {
        let answer: Answer = serde_json::from_str(line).unwrap();
        assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    }
}

/// 0 where it is no status.
fn tick_of(answer: Answer) -> u64 {
    if let Answer::Status(status) = answer { status.agent.tick } else { 0 }
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
        check_answers(&world.send(&bytes));
    });
    assert!(world.is_served());
}

#[test]
fn a_request_without_an_end_is_not_read_for_ever() {
    let world = World::new();
    for bytes in [vec![b'['; 1 << 20], vec![b' '; 1 << 20], vec![0; 1 << 20]] {
        check_answers(&world.send(&bytes));
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

#[test]
fn the_socket_is_its_owners_alone_unless_a_group_is_named() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let world = World::new();
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(world.path()), 0o600);
    std::fs::create_dir_all(world.dir.path().join("etc")).unwrap();
    let own = std::fs::metadata(world.dir.path()).unwrap().gid();
    std::fs::write(world.dir.path().join("etc/group"), format!("readers:x:{own}:\n")).unwrap();
    let start = |group: &str| {
        let socket = SocketConfig { group: Some(group.to_owned()) };
        let board = Arc::new(Board::default());
        Server::start(&world.root, &socket, &MetricsConfig::default(), board, mpsc::channel(1).0)
    };
    let server = start("readers").unwrap();
    let there = std::fs::metadata(world.path()).unwrap();
    assert_eq!((there.permissions().mode() & 0o777, there.gid()), (0o660, own));
    assert_eq!(mode(world.dir.path().join("run/swaptier")), 0o711);
    drop(server);
    assert!(!world.path().exists(), "a socket nobody listens on");
    let error = start("nobody-has-this-name").err().unwrap().to_string();
    assert!(error.contains("nobody-has-this-name") && error.contains("groupadd"), "{error}");
}

#[test]
fn one_connection_asks_many_things_and_gets_an_answer_to_each() {
    let world = World::new();
    world.pin(7, 3);
    let mut connection = Connection::open(&world.root).unwrap().unwrap();
    for _ in 0..3 {
        connection.send(Ask::Status).unwrap();
        assert_eq!(tick_of(connection.receive(PATIENCE).unwrap()), 7);
    }
    connection.send(Ask::Detail { cgroup: "a/3".into() }).unwrap();
    let Answer::Detail(detail) = connection.receive(PATIENCE).unwrap() else { panic!("no detail") };
    assert_eq!((detail.row.id, detail.tick), (3, 7));
    connection.send(Ask::Detail { cgroup: "b".into() }).unwrap();
    assert!(matches!(connection.receive(PATIENCE).unwrap(), Answer::Refused { exit: 6, .. }));
    connection.send(Ask::Metrics).unwrap();
    let Answer::Metrics { text } = connection.receive(PATIENCE).unwrap() else { panic!("no metrics") };
    assert!(text.contains("swaptier_agent_ticks_total 7"), "{text}");
    connection.send(Ask::Describe).unwrap();
    let Answer::Description { fields } = connection.receive(PATIENCE).unwrap() else { panic!("no fields") };
    assert!(fields.iter().any(|field| field.name == "cgroups[].zswap_pages" && field.unit == "pages"));
}

#[test]
fn a_subscriber_gets_the_newest_and_what_happened_and_nothing_twice() {
    let world = World::new();
    world.board.tell(100, News::of(EventKind::Started, "ready"));
    world.pin(1, 2);
    let mut subscriber = world.subscribe(0, Some("a/2"));
    let Answer::Events { events, last: 1 } = subscriber.receive(PATIENCE).unwrap() else {
        panic!("no events")
    };
    assert_eq!((events.len(), events[0].text.as_str()), (1, "ready"));
    assert_eq!(tick_of(subscriber.receive(PATIENCE).unwrap()), 1);
    assert!(matches!(subscriber.receive(PATIENCE).unwrap(), Answer::Detail(_)));
    // Nothing new: nothing comes.
    let error = subscriber.receive(Duration::from_millis(400)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    for tick in 2..6 {
        world.pin(tick, 2);
    }
    // Of four ticks at once the newest comes, or the first of them and then the newest.
    let mut seen = tick_of(subscriber.receive(PATIENCE).unwrap());
    while seen < 5 {
        match subscriber.receive(PATIENCE).unwrap() {
            Answer::Status(status) => {
                assert!(status.agent.tick > seen, "{} after {seen}", status.agent.tick);
                seen = status.agent.tick;
            }
            Answer::Detail(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_subscriber_that_reads_nothing_holds_up_nobody_and_is_dropped() {
    let world = World::new();
    // 20,000 rows are some megabytes: far more than a socket holds.
    world.pin(1, 20_000);
    let stuck: Vec<Connection> = (0..4).map(|_| world.subscribe(0, None)).collect();
    let begun = Instant::now();
    for tick in 2..40 {
        let before = Instant::now();
        world.pin(tick, 100);
        assert!(before.elapsed() < Duration::from_millis(200), "publishing waited {:?}", before.elapsed());
    }
    assert_eq!(tick_of(world.ask(Ask::Status)), 39);
    drop(stuck);
    assert!(begun.elapsed() < Duration::from_secs(8), "readers waited for the stuck: {:?}", begun.elapsed());
    // One that stays stuck is let go when its time is up: what it finds then is the end.
    let mut stuck = UnixStream::connect(world.path()).unwrap();
    world.pin(50, 20_000);
    stuck.write_all(b"{\"v\":2,\"ask\":\"subscribe\"}\n").unwrap();
    std::thread::sleep(Duration::from_secs(12));
    stuck.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    let ended = stuck.read_to_end(&mut rest);
    assert!(ended.is_ok() && !rest.ends_with(b"\n"), "{ended:?}, {} bytes", rest.len());
}

#[test]
fn an_act_waits_for_the_loop_and_is_told_when_that_has_ended() {
    let world = World::new();
    world.pin(1, 1);
    assert!(matches!(world.ask(Ask::Reload { dry_run: false }), Answer::Refused { exit: 1, .. }));
}

/// Root is never kept out by those who may only look; here it is shown for clients of one user who may act, who are bounded
/// as well and told so. (Who has which seat is told beside `seats`, and tried with real users in a guest.)
#[test]
fn a_client_without_a_seat_is_told_so_at_once() {
    let world = World::new();
    world.pin(1, 1);
    let mut subscribers: Vec<Connection> = (0..32).map(|_| world.subscribe(0, None)).collect();
    for subscriber in &mut subscribers {
        assert_eq!(tick_of(subscriber.receive(PATIENCE).unwrap()), 1);
    }
    let Answer::Refused { exit: 1, message } = world.ask(Ask::Status) else { panic!("served") };
    assert!(message.contains("served already") && message.contains("try again"), "{message}");
    // One who asks when the refusal has been said and the connection is closed hears it all the same.
    let mut slow = Connection::open(&world.root).unwrap().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    slow.send(Ask::Status).unwrap();
    assert!(matches!(slow.receive(PATIENCE).unwrap(), Answer::Refused { exit: 1, .. }));
    drop(subscribers.pop());
    let until = Instant::now() + PATIENCE;
    while tick_of(world.ask(Ask::Status)) != 1 {
        assert!(Instant::now() < until, "the seat of one who left stays taken");
    }
}

/// A loop that is busy, and a client that does not wait for it.
#[test]
fn what_a_client_asked_for_is_not_done_once_it_has_gone() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::at(dir.path()).unwrap();
    let (send, mut errands) = mpsc::channel(4);
    let (socket, metrics) = (SocketConfig::default(), MetricsConfig::default());
    let _server = Server::start(&root, &socket, &metrics, Arc::new(Board::default()), send).unwrap();
    let reload = Ask::Reload { dry_run: false };
    let gone = client::ask(&root, reload.clone(), Duration::from_millis(300)).unwrap_err();
    assert_eq!(gone.kind(), std::io::ErrorKind::WouldBlock);
    let Errand { ask, client, .. } = errands.blocking_recv().unwrap();
    let until = Instant::now() + PATIENCE;
    while !client.is_closed() {
        assert!(Instant::now() < until, "the loop does not learn that {ask:?} is nobody's any more");
        std::thread::sleep(Duration::from_millis(10));
    }
    // One that says no more, and waits, is there.
    let mut waiting = UnixStream::connect(dir.path().join(SOCKET)).unwrap();
    waiting.write_all(b"{\"v\":2,\"ask\":\"reload\"}\n").unwrap();
    waiting.shutdown(Shutdown::Write).unwrap();
    let Errand { client, .. } = errands.blocking_recv().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(!client.is_closed());
    client.send(Answer::Done { message: "one policy".into() }).unwrap();
    let mut back = String::new();
    waiting.read_to_string(&mut back).unwrap();
    assert!(back.contains("one policy"), "{back}");
}

#[test]
fn metrics_are_served_over_http_on_this_host() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::at(dir.path()).unwrap();
    // A port that is free now.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let metrics = MetricsConfig { listen: Some(free), ..MetricsConfig::default() };
    let board = Arc::new(Board::default());
    let (send, _errands) = mpsc::channel(1);
    let _server = Server::start(&root, &SocketConfig::default(), &metrics, board.clone(), send).unwrap();
    let get = |request: &str| {
        let mut client = std::net::TcpStream::connect(free).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut back = String::new();
        client.read_to_string(&mut back).unwrap();
        back
    };
    let scrape = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    assert!(get(scrape).starts_with("HTTP/1.1 503 "), "before the first tick there is nothing to say");
    board.pin(Page::new(Status::default(), BTreeMap::new()));
    let classic = get(scrape);
    assert!(classic.starts_with("HTTP/1.1 200 OK\r\n") && classic.contains("text/plain; version=0.0.4"));
    assert!(classic.contains("\nswaptier_agent_ticks_total 0"), "{classic}");
    let open = get("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n");
    assert!(
        open.contains("application/openmetrics-text; version=1.0.0") && open.ends_with("# EOF\n"),
        "{open}"
    );
    assert!(get("GET / HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(
        get("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").starts_with("HTTP/1.1 405 ")
    );
    assert!(get("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let outside = swaptier::serve::metrics::http::listen(([0, 0, 0, 0], 0).into());
    assert!(outside.unwrap_err().to_string().contains("outside this host"));
}

#[test]
fn the_metrics_file_is_replaced_whole() {
    use swaptier::serve::metrics::textfile;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("swaptier.prom");
    for text in ["one 1\n", "two 2\n"] {
        textfile::write(&path, text).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    assert!(textfile::write(&dir.path().join("missing/swaptier.prom"), "x\n").is_err());
}
