//! Connections: how many there may be, and how long each may take over what.

use std::{
    future::{Ready, ready},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready as poll_ready},
    time::Duration,
};

use axum::http::{Request, StatusCode};
use axum_server::accept::Accept;
use ipnet::IpNet;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};
use tower_service::Service;

use crate::net::{AddressKey, ConnectionLimits, Counts, Held, Standing};

/// How long a client may take over the head of a request, TLS included, from its first byte on.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take no byte of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Files that the process may need besides connections, such as those of its databases.
const OTHER_FILES: usize = 256;
/// Connections that there may be however few files the process may open.
const FEWEST: usize = 64;
/// How HTTP/2 begins. Every limit here is thought for one request after another, so it is not spoken.
const HTTP2: &[u8; 4] = b"PRI ";

/// The connections that are open, and how many may be.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    open: AtomicUsize,
    refused: AtomicU64,
    by_address: Arc<Counts>,
    proxies: Vec<IpNet>,
    limit_local: bool,
}

impl Connections {
    /// None is open yet. Who is no stranger, and a trusted proxy, may open as many as all together.
    pub(crate) fn new(limits: &ConnectionLimits, proxies: Vec<IpNet>, limit_local: bool) -> Arc<Self> {
        Arc::new(Self {
            most: possible(limits.most),
            open: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            by_address: Counts::new(limits.per_address),
            proxies,
            limit_local,
        })
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// How many were closed at once because there were too many.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Entered> {
        let peer = peer.to_canonical();
        let is_near = Standing::of(peer, self.limit_local) != Standing::Stranger;
        let is_free = is_near || self.proxies.iter().any(|network| network.contains(&peer));
        let held = if is_free { None } else { Some(self.by_address.take(AddressKey::of(peer))?) };
        if self.open.fetch_add(1, Relaxed) >= self.most {
            self.open.fetch_sub(1, Relaxed);
            return None;
        }
        Some(Entered { connections: self.clone(), _held: held })
    }
}

/// So many connections, or as many as the process may have files for.
fn possible(wanted: usize) -> usize {
    // Where there is no such file, nobody says.
    let files = std::fs::read_to_string("/proc/self/limits").ok().and_then(|limits| open_files(&limits));
    let most = within_files(wanted, files);
    if most < wanted {
        tracing::warn!(wanted, most, "the process may open too few files for so many connections; raise `ulimit -n`");
    }
    most
}

/// How many files a process may have open that has these limits; `None` for as many as it likes.
fn open_files(limits: &str) -> Option<usize> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

fn within_files(wanted: usize, files: Option<usize>) -> usize {
    files.map_or(wanted, |files| wanted.min(files.saturating_sub(OTHER_FILES).max(FEWEST)))
}

/// A connection that is open, for as long as this is kept.
struct Entered {
    connections: Arc<Connections>,
    _held: Option<Held>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Relaxed);
    }
}

/// Lets connections in.
#[derive(Debug, Clone)]
pub(crate) struct Doorkeeper(pub(crate) Arc<Connections>);

impl<S> Accept<TcpStream, S> for Doorkeeper {
    type Stream = Watched;
    type Service = Conversation<S>;
    type Future = Ready<io::Result<(Watched, Conversation<S>)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.let_in(stream).map(|(stream, peer)| (stream, Conversation { service, peer })))
    }
}

impl Doorkeeper {
    fn let_in(&self, stream: TcpStream) -> io::Result<(Watched, Arc<Peer>)> {
        let address = stream.peer_addr()?;
        let Some(entered) = self.0.enter(address.ip()) else {
            self.0.refused.fetch_add(1, Relaxed);
            return Err(io::Error::other("too many connections"));
        };
        // Answers are written whole: waiting for more would only make them late.
        stream.set_nodelay(true)?;
        let peer = Arc::new(Peer { address, phase: AtomicU8::new(HEAD) });
        let now = Instant::now();
        let watched = Watched {
            stream,
            peer: peer.clone(),
            head_by: now + HEAD_TIMEOUT,
            write_by: None,
            timer: Box::pin(tokio::time::sleep_until(now + HEAD_TIMEOUT)),
            begun_as_http2: 0,
            _entered: entered,
        };
        Ok((watched, peer))
    }
}

/// The client sends the head of a request.
const HEAD: u8 = 0;
/// A request is worked on.
const BUSY: u8 = 1;
/// Nothing is asked. HTTP itself ends a connection that stays so.
const IDLE: u8 = 2;
/// It is a socket now, with limits of its own.
const SOCKET: u8 = 3;

/// Who is at the other end of a connection, and what it is in the middle of.
#[derive(Debug)]
pub(crate) struct Peer {
    address: SocketAddr,
    phase: AtomicU8,
}

impl Peer {
    /// The address.
    pub(crate) fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// What a connection has that nobody let in.
    pub(crate) fn unknown() -> Self {
        Self { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), phase: AtomicU8::new(BUSY) }
    }

    /// An answer with this status is about to be written.
    pub(crate) fn answers(&self, status: StatusCode) {
        self.phase.store(if status == StatusCode::SWITCHING_PROTOCOLS { SOCKET } else { IDLE }, Relaxed);
    }
}

/// The service of one connection: it tells each request who sent it.
#[derive(Debug, Clone)]
pub(crate) struct Conversation<S> {
    service: S,
    peer: Arc<Peer>,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Conversation<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        self.peer.phase.store(BUSY, Relaxed);
        request.extensions_mut().insert(self.peer.clone());
        self.service.call(request)
    }
}

/// A connection whose client may not take for ever.
pub(crate) struct Watched {
    stream: TcpStream,
    peer: Arc<Peer>,
    /// When the head that is being sent must be there.
    head_by: Instant,
    /// When a write that waits must have gone on.
    write_by: Option<Instant>,
    /// Wakes when either is over. It is set only when there is something to wait for, which is seldom.
    timer: Pin<Box<Sleep>>,
    /// How many bytes from the beginning on were those of HTTP/2.
    begun_as_http2: usize,
    _entered: Entered,
}

impl Watched {
    /// An error if `by` is over; else the task is woken then.
    fn wait_until(&mut self, by: Instant, cx: &mut Context<'_>) -> io::Result<()> {
        if self.timer.deadline() != by {
            self.timer.as_mut().reset(by);
        }
        match self.timer.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    fn has_read(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.begun_as_http2 < HTTP2.len() {
            let rest = &HTTP2[self.begun_as_http2..];
            let length = rest.len().min(bytes.len());
            // Anything else that begins so is no request either, so the count need never start again.
            self.begun_as_http2 = if rest[..length] == bytes[..length] { self.begun_as_http2 + length } else { usize::MAX };
            if self.begun_as_http2 == HTTP2.len() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "HTTP/2 is not spoken here"));
            }
        }
        if !bytes.is_empty() && self.peer.phase.compare_exchange(IDLE, HEAD, Relaxed, Relaxed).is_ok() {
            self.head_by = Instant::now() + HEAD_TIMEOUT;
        }
        Ok(())
    }

    /// What a write came to, told to the timers.
    fn has_written(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            let by = *self.write_by.get_or_insert_with(|| Instant::now() + WRITE_TIMEOUT);
            self.wait_until(by, cx)?;
            return Poll::Pending;
        }
        self.write_by = None;
        // A client may send its next request while it reads a long answer.
        if self.peer.phase.load(Relaxed) == HEAD {
            self.head_by = Instant::now() + HEAD_TIMEOUT;
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if self.peer.phase.load(Relaxed) == HEAD {
            let by = self.head_by;
            if read.is_pending() {
                // A write that waits has the timer; its end wakes the task as well.
                let by = self.write_by.map_or(by, |write_by| write_by.min(by));
                self.wait_until(by, cx)?;
            } else if Instant::now() >= by {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        poll_ready!(read)?;
        self.has_read(&buffer.filled()[before..])?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.has_written(written, cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.has_written(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_connections_than_files_for_them() {
        let limits = |files: &str| {
            format!("Limit              Soft Limit     Hard Limit     Units\nMax open files     {files}     files\n")
        };
        assert_eq!(open_files(&limits("1024                 524288              ")), Some(1_024));
        assert_eq!(open_files(&limits("unlimited            unlimited           ")), None);
        assert_eq!(open_files(""), None);
        assert_eq!(within_files(10_000, Some(1_024)), 768);
        assert_eq!(within_files(10_000, Some(100)), 64);
        assert_eq!((within_files(3, Some(100)), within_files(10_000, Some(20_000)), within_files(7, None)), (3, 10_000, 7));
    }
}
