//! Letting clients in: so many at a time, each served on a task of its own; others wait at the door. For the control
//! socket and for scrapers alike. What a client is told is `server`'s and `metrics/http`'s.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
};

/// Out of file descriptors, most likely: they come back as clients leave.
const PAUSE: Duration = Duration::from_millis(100);

/// Where clients come in.
pub(super) trait Door: Send + Sync {
    /// One who came.
    type Client: Send;

    /// Waits for the next.
    fn next(&self) -> impl Future<Output = io::Result<Self::Client>> + Send;
}

impl Door for UnixListener {
    type Client = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

impl Door for TcpListener {
    type Client = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        Ok(self.accept().await?.0)
    }
}

/// Serves until it is dropped, `places` clients at a time.
pub(super) async fn let_in<D: Door, S>(door: D, places: usize, serve: impl Fn(D::Client) -> S + Send)
where
    S: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(places));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok(client) = door.next().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let served = serve(client);
        tokio::spawn(async move {
            served.await;
            drop(place);
        });
    }
}
