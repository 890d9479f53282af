//! The server itself: connections in, requests to the router, and an end that lets what has begun be finished.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use axum_server::{
    Handle, Server,
    accept::Accept,
    service::SendService,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::rt::TokioTimer;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::net::{
    TlsFiles,
    connection::{Connections, Doorkeeper},
};

/// How long a connection may be open while nothing is asked.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a client may take over the handshake of TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest head of a request, in bytes, and what is read or written at once.
const BUFFER: usize = 64 * 1024;

/// A server that takes connections.
pub(crate) struct Serving {
    handle: Handle<SocketAddr>,
    task: JoinHandle<()>,
    /// Reads the certificate again when it is told to.
    reloading: Option<JoinHandle<()>>,
}

impl Serving {
    /// Takes no more connections and ends those that are idle; the others may finish what has begun for `patience`, and are
    /// cut off then. Whether all finished.
    pub(crate) async fn stop(self, patience: Duration) -> bool {
        let Self { handle, mut task, reloading } = self;
        handle.graceful_shutdown(None);
        let finished = tokio::time::timeout(patience, &mut task).await.is_ok();
        if !finished {
            handle.shutdown();
            // It only has to notice.
            let _ = task.await;
        }
        if let Some(reloading) = reloading {
            reloading.abort();
        }
        finished
    }
}

/// Serves the router on a listener, over TLS if there is a certificate.
pub(crate) fn serve(
    listener: TcpListener,
    router: Router,
    connections: Arc<Connections>,
    tls: Option<(RustlsConfig, TlsFiles)>,
) -> Serving {
    let handle = Handle::new();
    let server = Server::<SocketAddr>::from_listener(listener).handle(handle.clone());
    let doorkeeper = Doorkeeper(connections);
    let Some((config, files)) = tls else {
        return Serving { handle, task: run(server.acceptor(doorkeeper), router), reloading: None };
    };
    let acceptor = RustlsAcceptor::new(config.clone()).handshake_timeout(HANDSHAKE_TIMEOUT).acceptor(doorkeeper);
    let task = run(server.acceptor(acceptor), router);
    // Before anyone can know that it listens: without this, the signal would end the process.
    let reloading = match hang_up() {
        Ok(signals) => Some(tokio::spawn(reload(signals, config, files))),
        Err(error) => {
            tracing::error!(%error, "the certificate will not be read again on SIGHUP");
            None
        }
    };
    Serving { handle, task, reloading }
}

fn run<A>(mut server: Server<SocketAddr, A>, router: Router) -> JoinHandle<()>
where
    A: Accept<TcpStream, Router> + Clone + Send + Sync + 'static,
    A::Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
    A::Service: SendService<axum::http::Request<hyper::body::Incoming>> + Send,
    A::Future: Send,
{
    // What a client takes from the first byte of a head on is watched by the connection itself; this is for the silence before.
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT).max_buf_size(BUFFER);
    tokio::spawn(async move {
        if let Err(error) = server.serve(router.into_make_service()).await {
            tracing::error!(%error, "the server stopped by itself");
        }
    })
}

/// Reads the certificate again whenever the process is told to with SIGHUP.
async fn reload(mut signals: HangUps, config: RustlsConfig, files: TlsFiles) {
    while signals.recv().await.is_some() {
        match files.reload(&config).await {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(error) => tracing::error!(%error, "the certificate could not be read again; the old one stays"),
        }
    }
}

#[cfg(unix)]
type HangUps = tokio::signal::unix::Signal;

#[cfg(unix)]
fn hang_up() -> io::Result<HangUps> {
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
}

/// Where there is no SIGHUP, a new certificate takes a restart.
#[cfg(not(unix))]
struct HangUps;

#[cfg(not(unix))]
impl HangUps {
    async fn recv(&mut self) -> Option<()> {
        None
    }
}

#[cfg(not(unix))]
fn hang_up() -> io::Result<HangUps> {
    Ok(HangUps)
}
