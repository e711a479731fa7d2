//! The agent's end of the control socket. Readers are served from the last published status and cost the agent
//! nothing; whoever asks for an act waits in a queue of its own for the agent's loop.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{
    SOCKET,
    protocol::{Answer, Ask, Request, VERSION},
    status::Status,
};
use crate::{fault, root::Root};

/// Clients served at the same time; others wait to be accepted.
const CLIENTS: usize = 32;
/// Bytes a request may have.
const REQUEST_BYTES: u64 = 16 << 10;
/// How long a client may take to say what it wants, or to take its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something for the agent's loop to do, and where the answer goes.
pub type Errand = (Ask, oneshot::Sender<Answer>);

/// The status as it was last published.
pub type Published = Arc<RwLock<Option<Status>>>;

/// The listening socket; removed when dropped.
pub struct Server {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Listens. Errands go to `errands`.
    ///
    /// # Errors
    /// The socket cannot be made. One that a dead agent left behind is replaced: the state folder's lock says that it
    /// is dead.
    pub fn start(root: &Root, published: Published, errands: mpsc::Sender<Errand>) -> io::Result<Self> {
        let path = root.host_path(SOCKET);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fault::point("socket.bound");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        fault::point("socket.ready");
        let task = tokio::spawn(accept(listener, published, errands));
        Ok(Self { path, task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        let _already_gone = fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, published: Published, errands: mpsc::Sender<Errand>) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((client, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: they come back as clients leave.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (published, errands) = (published.clone(), errands.clone());
        tokio::spawn(async move {
            if let Err(error) = serve(client, &published, &errands).await {
                tracing::debug!(%error, "a client of the socket was dropped");
            }
            drop(place);
        });
    }
}

async fn serve(
    mut client: UnixStream,
    published: &Published,
    errands: &mpsc::Sender<Errand>,
) -> io::Result<()> {
    let answer = if is_trusted(&client)? {
        let (reader, _) = client.split();
        let mut line = String::new();
        timeout(PATIENCE, BufReader::new(reader.take(REQUEST_BYTES)).read_line(&mut line)).await??;
        answer(&line, published, errands).await
    } else {
        refused(5, "only root may talk to the agent".to_owned())
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    timeout(PATIENCE, client.write_all(text.as_bytes())).await?
}

/// Root, or whoever runs the agent: told by the kernel, not by the client.
fn is_trusted(client: &UnixStream) -> io::Result<bool> {
    let uid = client.peer_cred()?.uid();
    Ok(uid == 0 || uid == rustix::process::geteuid().as_raw())
}

async fn answer(line: &str, published: &Published, errands: &mpsc::Sender<Errand>) -> Answer {
    let request: Request = match serde_json::from_str(line) {
        Ok(request) => request,
        Err(error) => return refused(1, format!("the request is not understood: {error}")),
    };
    if request.v != VERSION {
        return refused(1, format!("the agent speaks version {VERSION} of the socket, not {}", request.v));
    }
    if request.ask == Ask::Status {
        let status = published.read().map(|status| status.clone()).unwrap_or_default();
        return match status {
            Some(status) => Answer::Status(Box::new(status)),
            None => refused(1, "the agent has not finished its first look at the host yet".to_owned()),
        };
    }
    let (reply, replied) = oneshot::channel();
    match errands.send((request.ask, reply)).await {
        Ok(()) => replied.await.unwrap_or_else(|_| refused(1, "the agent is stopping".to_owned())),
        Err(_) => refused(1, "the agent is stopping".to_owned()),
    }
}

/// An answer that nothing was done.
pub fn refused(exit: u8, message: String) -> Answer {
    Answer::Refused { exit, message }
}
