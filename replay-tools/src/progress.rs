//! Progress on standard error, so that a long run shows that it is alive and standard output stays clean.

use std::{
    io::{IsTerminal, Write as _, stderr},
    time::{Duration, Instant},
};

/// Says how far a run has come: every second on a terminal, every ten seconds as a line elsewhere.
#[derive(Debug)]
pub struct Progress {
    doing: &'static str,
    total: u64,
    started: Instant,
    said: Instant,
    terminal: bool,
}

impl Progress {
    /// Progress of `doing` (such as `verifying`) over `total` events.
    pub fn new(doing: &'static str, total: u64) -> Self {
        let now = Instant::now();
        Self { doing, total, started: now, said: now, terminal: stderr().is_terminal() }
    }

    /// Says that `done` events are done, if it is time to say so again.
    pub fn tick(&mut self, done: u64) {
        let pause = Duration::from_secs(if self.terminal { 1 } else { 10 });
        if self.said.elapsed() < pause {
            return;
        }
        self.said = Instant::now();
        let per_second = u128::from(done) * 1000 / self.started.elapsed().as_millis().max(1);
        let line = format!("{}: {done} of {} events, {per_second} a second", self.doing, self.total);
        // A closed standard error must not stop the work that it would have been told about.
        let _ = if self.terminal { write!(stderr(), "\r{line}\x1b[K") } else { writeln!(stderr(), "{line}") };
    }

    /// How long the run has taken.
    pub fn seconds(&self) -> f64 {
        if self.terminal && self.said != self.started {
            let _ = write!(stderr(), "\r\x1b[K");
        }
        (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }
}
