//! The agent's end of the control socket: a thread of its own, so that no client, however slow or many, takes time from
//! a tick. Readers get what is pinned on the board; whoever asks for an act waits in a queue for the agent's loop.
//!
//! Every client is bounded: so many at a time (`seats`), so long a request, so much time to say it and to take each answer.
//! One who has gone before its turn came gets nothing done. One
//! that does not read has one status in front of it, never a queue of them, and is dropped when its time is up.

#![expect(clippy::disallowed_methods, reason = "the socket is its file")]

use std::{
    fs, io,
    os::{fd::AsFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use swaptier_policies::CgroupPath;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpListener, UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    SOCKET,
    board::{Board, Page},
    crowd::let_in,
    describe,
    metrics::{self, Shape, http, textfile},
    peer::{self, Peer, Rights},
    protocol::{Answer, Ask, Request, VERSION, line},
    seats::{ACTING, LOOKING, Seats},
};
use crate::{
    config::{MetricsConfig, SocketConfig},
    exit::Exit,
    fault, map,
    root::Root,
};

/// Connections at the same time, those that are only told that there is no seat included; others wait to be accepted.
const CLIENTS: usize = ACTING + LOOKING + 64;
/// Bytes a request may have, its end included.
const REQUEST_BYTES: u64 = 16 << 10;
/// How long a client may take to say what it wants, or to take an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether a client that waits for an act is still there.
const STILL_THERE: Duration = Duration::from_millis(50);
/// The least time from one status of a subscription to the next.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);
/// The socket's thread gives way to the agent's by this much.
const NICE: i32 = 5;

/// Something for the agent's loop to do.
#[derive(Debug)]
pub struct Errand {
    /// What.
    pub ask: Ask,
    /// When it was read.
    pub read: std::time::Instant,
    /// Where the answer goes.
    pub client: oneshot::Sender<Answer>,
}

/// The listening socket; removed when dropped.
pub struct Server {
    path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What every connection is served from.
#[derive(Clone)]
struct Desk {
    board: Arc<Board>,
    errands: mpsc::Sender<Errand>,
    readers: Option<u32>,
    shape: Shape,
    seats: Seats,
}

impl Server {
    /// Listens, also for scrapers where that is asked for. Errands go to `errands`.
    ///
    /// # Errors
    /// The socket cannot be made, the group that may look does not exist, or the address for scrapers is taken. A
    /// socket that a dead agent left behind is replaced: the state folder's lock says that it is dead.
    pub fn start(
        root: &Root,
        socket: &SocketConfig,
        metrics: &MetricsConfig,
        board: Arc<Board>,
        errands: mpsc::Sender<Errand>,
    ) -> io::Result<Self> {
        let path = root.host_path(SOCKET);
        let readers = socket.group.as_deref().map(|name| readers(root, name)).transpose()?;
        let scrapers = metrics.listen.map(http::listen).transpose()?;
        let textfile = metrics.textfile.as_ref().map(|path| root.host_path(path));
        let listener = listen(&path, readers)?;
        let desk = Desk {
            board,
            errands,
            readers,
            shape: Shape { cgroups: metrics.cgroups },
            seats: Seats::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("socket".to_owned()).spawn(move || {
            let _as_before = rustix::process::nice(NICE);
            let served = runtime.block_on(async {
                let listener = UnixListener::from_std(listener)?;
                if let Some(scrapers) = scrapers {
                    let scrapers = TcpListener::from_std(scrapers)?;
                    tokio::spawn(http::serve(scrapers, desk.board.clone(), desk.shape));
                }
                if let Some(path) = textfile {
                    tokio::spawn(textfile::keep(path, desk.board.clone(), desk.shape));
                }
                tokio::select! { () = accept(listener, desk) => {}, _ = stopped => {} }
                io::Result::Ok(())
            });
            if let Err(error) = served {
                tracing::error!(%error, "the control socket cannot be waited for, so no command reaches the agent: {error}");
            }
            // A file on a disk that hangs must not keep the agent from ending.
            runtime.shutdown_background();
        })?;
        Ok(Self { path, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ended_before = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // One that panicked serves nobody any more, which is what is wanted.
            let _ = thread.join();
        }
        let _already_gone = fs::remove_file(&self.path);
    }
}

/// The group whose members may look.
///
/// # Errors
/// There is none of this name.
pub(crate) fn readers(root: &Root, name: &str) -> io::Result<u32> {
    peer::group(root, name).ok_or_else(|| {
        let message =
            format!("there is no group {name:?} (`[socket] group`): `groupadd --system {name}` makes it");
        io::Error::new(io::ErrorKind::NotFound, message)
    })
}

/// Makes the socket. Until the last step only the agent's own user can connect.
fn listen(path: &Path, readers: Option<u32>) -> io::Result<std::os::unix::net::UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
        if readers.is_some() {
            // Whoever may connect has to get there; what else lies in the folder is not listed.
            fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?;
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    fault::point("socket.bound");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    if let Some(group) = readers {
        std::os::unix::fs::chown(path, None, Some(group))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    }
    fault::point("socket.ready");
    Ok(listener)
}

async fn accept(listener: UnixListener, desk: Desk) {
    let one = |client| {
        let desk = desk.clone();
        async move {
            if let Err(error) = serve(client, &desk).await {
                tracing::debug!(%error, "a client of the socket was dropped");
            }
        }
    };
    let_in(listener, CLIENTS, one).await;
}

async fn serve(client: UnixStream, desk: &Desk) -> io::Result<()> {
    let who = client.peer_cred()?;
    let peer = Peer::of(client.as_fd(), who.uid(), who.gid())?;
    let rights = peer.may(rustix::process::geteuid().as_raw(), desk.readers);
    let (reader, mut writer) = client.into_split();
    let mut reader = BufReader::new(reader);
    if rights == Rights::None {
        let message = "only root, and whoever is in the group of `[socket] group`, may talk to the agent";
        return send(&mut writer, &line(&refused(Exit::NotPermitted, message.to_owned()))).await;
    }
    let _seat = match desk.seats.take(who.uid(), rights) {
        Ok(seat) => seat,
        Err(why) => {
            let message = format!("{why}: try again when one has left");
            return send(&mut writer, &line(&refused(Exit::Failed, message))).await;
        }
    };
    loop {
        let mut text = String::new();
        let mut bounded = (&mut reader).take(REQUEST_BYTES);
        if timeout(PATIENCE, bounded.read_line(&mut text)).await?? == 0 {
            return Ok(());
        }
        let ask = match understood(&text) {
            Ok(ask) if ask.is_act() && rights < Rights::Act => {
                Err(refused(Exit::NotPermitted, "only root may do this; you may look".to_owned()))
            }
            asked => asked,
        };
        match ask {
            Ok(Ask::Subscribe { interval_ms, detail, events_since }) => {
                let wish = Wish { interval: Duration::from_millis(interval_ms), detail, events_since };
                return subscribe(&mut reader, &mut writer, desk, wish).await;
            }
            Ok(ask) if ask.is_act() => {
                let done = tokio::select! {
                    biased;
                    () = left(&writer) => return Err(io::ErrorKind::BrokenPipe.into()),
                    done = act(ask, desk) => done,
                };
                send(&mut writer, &line(&done)).await?;
            }
            Ok(ask) => send(&mut writer, &answer(ask, desk)).await?,
            Err(refusal) => {
                send(&mut writer, &line(&refusal)).await?;
                // What follows a line that was cut short is the rest of it.
                if !text.ends_with('\n') {
                    return Ok(());
                }
            }
        }
    }
}

fn understood(text: &str) -> Result<Ask, Answer> {
    let failed = |message: String| Err(refused(Exit::Failed, message));
    let request: Request = match serde_json::from_str(text) {
        Ok(request) => request,
        Err(error) => return failed(format!("the request is not understood: {error}")),
    };
    if request.v != VERSION {
        let message = format!("the agent speaks version {VERSION} of the socket, not {}", request.v);
        return failed(format!("{message}: use the `swaptier` that is running as the agent"));
    }
    Ok(request.ask)
}

async fn send(writer: &mut OwnedWriteHalf, text: &str) -> io::Result<()> {
    timeout(PATIENCE, writer.write_all(text.as_bytes())).await?
}

/// Waits until the client has hung up. One that only says no more still waits for its answer.
async fn left(client: &OwnedWriteHalf) {
    loop {
        let mut polled = [PollFd::new(client.as_ref(), PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().contains(PollFlags::HUP) {
            return;
        }
        sleep(STILL_THERE).await;
    }
}

/// Has the agent's loop do it. Dropped when the client has left: then the loop does not begin it any more.
async fn act(ask: Ask, desk: &Desk) -> Answer {
    let (client, replied) = oneshot::channel();
    let errand = Errand { ask, read: std::time::Instant::now(), client };
    let stopping = || refused(Exit::Failed, "the agent is stopping".to_owned());
    match desk.errands.send(errand).await {
        Ok(()) => replied.await.unwrap_or_else(|_| stopping()),
        Err(_) => stopping(),
    }
}

/// The line that answers one request to look.
fn answer(ask: Ask, desk: &Desk) -> Arc<str> {
    let own = |answer: Answer| line(&answer).into();
    desk.board.look(map::now());
    let page = || {
        let message = "the agent has not finished its first look at the host yet";
        desk.board.newest().ok_or_else(|| refused(Exit::Failed, message.to_owned()))
    };
    match ask {
        Ask::Status => page().map_or_else(own, |page| page.line()),
        Ask::Detail { cgroup } => {
            desk.board.watch_closely(map::now());
            page().map_or_else(own, |page| own(detail(&page, &cgroup)))
        }
        Ask::Metrics => {
            page().map_or_else(own, |page| own(Answer::Metrics { text: metrics::render(&page, desk.shape) }))
        }
        Ask::Events { since } => {
            let (events, last) = desk.board.events(since);
            own(Answer::Events { events, last })
        }
        Ask::Describe => own(Answer::Description { fields: describe::fields() }),
        Ask::Subscribe { .. }
        | Ask::Writeback { .. }
        | Ask::Reload { .. }
        | Ask::Close { .. }
        | Ask::Open { .. }
        | Ask::Record { .. } => own(refused(Exit::Failed, "this is answered elsewhere".to_owned())),
    }
}

fn detail(page: &Page, cgroup: &CgroupPath) -> Answer {
    match page.detail(&cgroup.to_string()) {
        Some(detail) => Answer::Detail(Box::new(detail)),
        None => {
            let message = format!("no cgroup {cgroup:?} has a policy or anything in swap");
            refused(Exit::Nothing, message)
        }
    }
}

/// What a subscriber asked for.
struct Wish {
    interval: Duration,
    detail: Option<CgroupPath>,
    events_since: u64,
}

/// Sends the newest page, and what happened, until the client says anything or goes.
async fn subscribe(
    reader: &mut BufReader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
    desk: &Desk,
    mut wish: Wish,
) -> io::Result<()> {
    let mut watch = desk.board.watch();
    let interval = wish.interval.max(LEAST_INTERVAL);
    let mut next = Instant::now();
    let mut word = [0];
    loop {
        let page = watch.borrow_and_update().clone();
        desk.board.look(map::now());
        if wish.detail.is_some() {
            desk.board.watch_closely(map::now());
        }
        if let Some(page) = page {
            let (events, last) = desk.board.events(wish.events_since);
            if !events.is_empty() {
                send(writer, &line(&Answer::Events { events, last })).await?;
            }
            wish.events_since = last;
            send(writer, &page.line()).await?;
            if let Some(cgroup) = &wish.detail {
                send(writer, &line(&detail(&page, cgroup))).await?;
            }
        }
        // Until the interval is over, and there is something new.
        next = Instant::now().max(next + interval);
        tokio::select! {
            _ = reader.read(&mut word) => return Ok(()),
            is_there = async { sleep_until(next).await; watch.changed().await } => {
                if is_there.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// An answer that nothing was done.
pub fn refused(exit: Exit, message: String) -> Answer {
    Answer::Refused { exit: exit as u8, message }
}
