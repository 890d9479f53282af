//! How fast a run was, beside reading and decoding the same events in the same run, and how much memory it took.

use std::{sync::Arc, time::Instant};

use event_schemas::Position;
use event_store::Log;
use serde::Serialize;

use super::reading::{Pages, Step};
use crate::{Failure, Progress};

/// The pace of a run, for comparison with its baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pace {
    /// Events verified in a second.
    pub events_per_s: f64,
    /// Events read and decoded in a second, nothing else done with them: the baseline.
    pub decoded_per_s: f64,
    /// The one over the other.
    pub ratio: f64,
    /// The most memory that the process has held, in bytes; none where the system does not say.
    pub peak_memory_bytes: Option<u64>,
}

impl Pace {
    pub(super) fn of(events: u64, seconds: f64, decoded_per_s: f64) -> Self {
        let events_per_s = events as f64 / seconds.max(0.001);
        Self { events_per_s, decoded_per_s, ratio: events_per_s / decoded_per_s, peak_memory_bytes: peak_memory() }
    }
}

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { events_per_s, decoded_per_s, ratio, peak_memory_bytes } = self;
        write!(f, "{events_per_s:.0} events a second; read and decoded only, {decoded_per_s:.0}: a ratio of {ratio:.2}")?;
        match peak_memory_bytes {
            Some(bytes) => writeln!(f, "; {} MB of memory at most", bytes / 1_000_000),
            None => writeln!(f),
        }
    }
}

/// How many events a second can be read and decoded: pages are read ahead and decoded on all cores, as `verify` does it.
///
/// # Errors
/// If the log cannot be read.
pub(super) async fn decoded_per_s(log: &Arc<dyn Log>, from: Position, to: Position) -> Result<f64, Failure> {
    let (started, mut progress) = (Instant::now(), Progress::new("reading", to + 1 - from));
    let mut pages = Pages::of(Arc::clone(log), from - 1, to, |record| drop(record.decode()));
    let mut events = 0;
    while let Some(step) = pages.next().await? {
        if let Step::Page(page) = step {
            events += page.len() as u64;
        }
        progress.tick(events);
    }
    Ok(events as f64 / started.elapsed().as_secs_f64().max(0.001))
}

/// The peak of the resident memory, as Linux counts it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
