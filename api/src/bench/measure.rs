//! Closed-loop measuring: a number of callers, each with one request at a time, and how long each waited.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::{CreationError, Histogram};

/// What a closed loop achieved.
pub(super) struct Measured {
    /// Requests that were answered.
    pub count: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Microseconds from 1 to a minute, to three digits.
    latencies: Histogram<u64>,
}

impl Measured {
    pub fn nothing() -> Result<Self, CreationError> {
        let latencies = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        Ok(Self { count: 0, elapsed: Duration::ZERO, latencies })
    }

    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// The latency, in milliseconds, that this share of the requests did not exceed.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// Joins the figures of another slice of the same measurement.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.elapsed += other.elapsed;
        // Both have the same bounds, so nothing can fall outside.
        let _ = self.latencies.add(&other.latencies);
    }
}

/// Runs `callers` loops for `duration`; each makes its requests one after the other with `request(caller, turn)`.
///
/// # Errors
/// The first error of any request ends its caller's loop and is given back.
pub(super) async fn closed_loop<R, F, E>(callers: usize, duration: Duration, request: R) -> Result<Measured, E>
where
    R: Fn(usize, u64) -> F + Clone + Send + 'static,
    F: Future<Output = Result<(), E>> + Send,
    E: From<CreationError> + Send + 'static,
{
    let stop = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (request, stop) = (request.clone(), stop.clone());
            tokio::spawn(async move {
                let mut measured = Measured::nothing()?;
                while !stop.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    request(caller, measured.count).await?;
                    measured.latencies.saturating_record(u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX));
                    measured.count += 1;
                }
                Ok::<_, E>(measured)
            })
        })
        .collect();
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    let mut measured = Measured::nothing()?;
    for task in tasks {
        let Ok(caller) = task.await else { continue };
        measured.add(&caller?);
    }
    measured.elapsed = begun.elapsed();
    Ok(measured)
}
