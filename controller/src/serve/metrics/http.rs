//! The metrics over HTTP, for a Prometheus on this host. Only an address of the host itself is listened on: there is no
//! authentication, and whose memory is how cold is nobody else's business.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, time::timeout};

use super::{Shape, classic, render};
use crate::serve::{board::Board, crowd::let_in};

/// Connections served at the same time; others wait.
const CLIENTS: usize = 8;
/// How long one connection may last, and how long its request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Listens.
///
/// # Errors
/// The address is not one of this host alone, or is in use.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    if !address.ip().is_loopback() {
        let message = format!("`[metrics] listen`: {address} can be reached from outside this host");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until it is dropped.
pub(in crate::serve) async fn serve(listener: TcpListener, board: Arc<Board>, shape: Shape) {
    let one = |client| {
        let board = board.clone();
        async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answer = answer(&request, &board, shape);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false)
                .serve_connection(TokioIo::new(client), service);
            match timeout(PATIENCE, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a scraper was dropped"),
                Err(_) => tracing::debug!("a scraper took too long and was dropped"),
            }
        }
    };
    let_in(listener, CLIENTS, one).await;
}

fn answer(request: &Request<Incoming>, board: &Board, shape: Shape) -> Response<Full<Bytes>> {
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let accepts = |kind: &str| {
        let wanted = request.headers().get_all(ACCEPT);
        wanted.iter().any(|value| value.to_str().is_ok_and(|text| text.contains(kind)))
    };
    match (is_get, request.uri().path()) {
        (false, _) => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        (true, "/metrics") => {
            board.look(crate::map::now());
            let Some(page) = board.newest() else {
                return plain(StatusCode::SERVICE_UNAVAILABLE, "the agent has not looked at the host yet\n");
            };
            let open = render(&page, shape);
            let (kind, text) = match accepts("application/openmetrics-text") {
                true => (OPEN, open),
                false => (CLASSIC, classic(&open)),
            };
            let mut response = Response::new(Full::new(Bytes::from(text)));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            response
        }
        (true, _) => plain(StatusCode::NOT_FOUND, "the metrics are at /metrics\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
