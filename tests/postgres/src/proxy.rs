//! A network between a program and the server that can be slow, be cut, or swallow everything: also at the very moment of a commit.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, sleep},
    time::Duration,
};

/// How often a connection looks whether something changed.
const LOOK: Duration = Duration::from_millis(5);

/// What happens to everything that is sent, on connections that are there and on new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is passed on.
    Pass,
    /// It is passed on so much later, each way.
    Delay(Duration),
    /// Connections are closed, and new ones are closed at once.
    Cut,
    /// Nothing is passed on before the mode changes, and neither side is told: as when a cable is gone.
    HalfOpen,
}

/// Where a connection is cut, once, around something that the client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutAt {
    /// Before it is passed on: the server never sees it.
    Before,
    /// After it was passed on, and the server has answered: the client never sees the answer.
    After,
}

/// A proxy in front of a server on the loopback address; gone when dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    server: u16,
    mode: Mutex<Mode>,
    trap: Mutex<Option<(Vec<u8>, CutAt)>>,
    closed: AtomicBool,
}

impl Proxy {
    /// Starts a proxy in front of the server on a port.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn start(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its number").port();
        listener.set_nonblocking(true).expect("a listener that can be ended");
        let state = State { server, mode: Mutex::new(Mode::Pass), trap: Mutex::default(), closed: AtomicBool::new(false) };
        let state = Arc::new(state);
        let accepting = Arc::clone(&state);
        thread::spawn(move || {
            while !accepting.closed.load(Ordering::Relaxed) {
                match listener.accept() {
                    // A server that is not there answers as it would without a proxy: the connection is closed.
                    Ok((client, _)) => drop(accepting.connect(client)),
                    Err(_) => sleep(LOOK),
                }
            }
        });
        Self { port, state }
    }

    /// The proxy's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// An address of the server, by way of the proxy.
    pub fn route(&self, url: &str) -> String {
        url.replace(&format!("127.0.0.1:{}", self.state.server), &format!("127.0.0.1:{}", self.port))
    }

    /// Changes what happens from now on.
    pub fn set(&self, mode: Mode) {
        *self.state.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    /// Cuts the next connection on which the client sends some text, such as `COMMIT`; the others go on.
    pub fn cut_once(&self, text: &str, at: CutAt) {
        *self.state.trap.lock().unwrap_or_else(PoisonError::into_inner) = Some((text.as_bytes().to_vec(), at));
    }

    /// Whether the connection that [`Proxy::cut_once`] is to cut has not been cut yet.
    pub fn is_armed(&self) -> bool {
        self.state.trap.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::Relaxed);
    }
}

impl State {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        client.set_nonblocking(false)?;
        if self.mode() == Mode::Cut {
            return client.shutdown(Shutdown::Both);
        }
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server))?;
        for side in [&client, &server] {
            side.set_nodelay(true)?;
            side.set_read_timeout(Some(LOOK))?;
        }
        // Set when the answer of the server is to be kept back, and the connection cut with it.
        let sprung = Arc::new(AtomicBool::new(false));
        let (from, to) = (client.try_clone()?, server.try_clone()?);
        let (state, trap) = (Arc::clone(self), Arc::clone(&sprung));
        thread::spawn(move || state.pump(&from, &to, |sent| state.is_trapped(sent, &trap)));
        let state = Arc::clone(self);
        thread::spawn(move || state.pump(&server, &client, |_| sprung.load(Ordering::Acquire)));
        Ok(())
    }

    /// Passes bytes on until a side closes, or `cuts` says of some that they are not to arrive.
    fn pump(&self, mut from: &TcpStream, mut to: &TcpStream, cuts: impl Fn(&[u8]) -> bool) {
        let mut buffer = vec![0; 1 << 16];
        // The end of what came before: what is looked for may come in two pieces.
        let mut seen = Vec::new();
        while !self.closed.load(Ordering::Relaxed) && self.mode() != Mode::Cut {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
                Err(_) => break,
            };
            while self.mode() == Mode::HalfOpen && !self.closed.load(Ordering::Relaxed) {
                sleep(LOOK);
            }
            seen.extend_from_slice(&buffer[..count]);
            if cuts(&seen) {
                break;
            }
            seen.drain(..seen.len().saturating_sub(256));
            if let Mode::Delay(time) = self.mode() {
                sleep(time);
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        for side in [from, to] {
            drop(side.shutdown(Shutdown::Both));
        }
    }

    /// Whether what a client has sent springs the trap so that it is not passed on.
    fn is_trapped(&self, sent: &[u8], sprung: &AtomicBool) -> bool {
        let mut trap = self.trap.lock().unwrap_or_else(PoisonError::into_inner);
        let found = trap.as_ref().is_some_and(|(text, _)| sent.windows(text.len()).any(|piece| piece == text));
        match trap.take_if(|_| found) {
            Some((_, CutAt::Before)) => true,
            Some((_, CutAt::After)) => {
                sprung.store(true, Ordering::Release);
                false
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers every message with `ok`, and the proxy in front of it.
    fn answering() -> (Proxy, Arc<Mutex<Vec<u8>>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap().port());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hearing = Arc::clone(&heard);
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let hearing = Arc::clone(&hearing);
                thread::spawn(move || {
                    let mut buffer = [0; 64];
                    while let Ok(count @ 1..) = client.read(&mut buffer) {
                        hearing.lock().unwrap().extend_from_slice(&buffer[..count]);
                        drop(client.write_all(b"ok"));
                    }
                });
            }
        });
        (proxy, heard)
    }

    fn ask(proxy: &Proxy, text: &str) -> io::Result<usize> {
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()))?;
        client.set_read_timeout(Some(Duration::from_secs(2)))?;
        client.write_all(text.as_bytes())?;
        client.read(&mut [0; 64])
    }

    #[test]
    fn what_is_cut_before_is_never_heard_and_what_is_cut_after_is_never_answered() {
        let (proxy, heard) = answering();
        assert_eq!(ask(&proxy, "BEGIN").unwrap(), 2);
        proxy.cut_once("COMMIT", CutAt::Before);
        assert_eq!(ask(&proxy, "COMMIT 1").unwrap_or(0), 0);
        proxy.cut_once("COMMIT", CutAt::After);
        assert_eq!(ask(&proxy, "COMMIT 2").unwrap_or(0), 0);
        assert_eq!(ask(&proxy, "COMMIT 3").unwrap(), 2);
        assert_eq!(String::from_utf8_lossy(&heard.lock().unwrap()), "BEGINCOMMIT 2COMMIT 3");
    }

    #[test]
    fn half_open_is_silence_cut_is_the_end_and_delay_is_slow() {
        let (proxy, _heard) = answering();
        proxy.set(Mode::HalfOpen);
        assert!(ask(&proxy, "a").is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
        proxy.set(Mode::Cut);
        assert_eq!(ask(&proxy, "a").unwrap_or(0), 0);
        proxy.set(Mode::Delay(Duration::from_millis(100)));
        let begun = std::time::Instant::now();
        assert_eq!(ask(&proxy, "a").unwrap(), 2);
        assert!(begun.elapsed() >= Duration::from_millis(200));
    }
}
