//! Counts and times of requests, in the text format that Prometheus reads.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// What a request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OperationKind {
    /// A query.
    Query,
    /// A mutation.
    Mutation,
    /// A subscription; counted when it starts.
    Subscription,
    /// Nothing that could be run.
    Unreadable,
}

const KINDS: [(OperationKind, &str); 4] = [
    (OperationKind::Query, "query"),
    (OperationKind::Mutation, "mutation"),
    (OperationKind::Subscription, "subscription"),
    (OperationKind::Unreadable, "unreadable"),
];

/// Upper edges of the latency buckets, in microseconds.
const EDGES: [u64; 12] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];

#[derive(Debug, Default)]
struct Requests {
    buckets: [AtomicU64; EDGES.len()],
    count: AtomicU64,
    micros: AtomicU64,
    errors: AtomicU64,
}

/// Counts since the process began.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: [Requests; KINDS.len()],
    /// Sockets that are open now.
    pub(crate) sockets: AtomicU64,
    /// Subscriptions that run now.
    pub(crate) subscriptions: AtomicU64,
}

impl Metrics {
    /// Counts a request that was answered.
    pub(crate) fn answered(&self, kind: OperationKind, took: Duration, failed: bool) {
        let Some(requests) = KINDS.iter().position(|(known, _)| *known == kind).and_then(|at| self.requests.get(at)) else {
            return;
        };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = EDGES.iter().position(|edge| micros <= *edge) {
            requests.buckets[bucket].fetch_add(1, Relaxed);
        }
        requests.count.fetch_add(1, Relaxed);
        requests.micros.fetch_add(micros, Relaxed);
        requests.errors.fetch_add(u64::from(failed), Relaxed);
    }

    /// What Prometheus reads.
    pub(crate) fn exposition(&self) -> String {
        let mut text = String::new();
        header(&mut text, "daybook_request_seconds", "histogram", "Time to answer an operation.");
        for (requests, (_, kind)) in self.requests.iter().zip(KINDS) {
            let mut below = 0;
            for (edge, bucket) in EDGES.iter().zip(&requests.buckets) {
                below += bucket.load(Relaxed);
                let edge = seconds(*edge);
                let _ = writeln!(text, "daybook_request_seconds_bucket{{kind=\"{kind}\",le=\"{edge}\"}} {below}");
            }
            let (count, sum) = (requests.count.load(Relaxed), seconds(requests.micros.load(Relaxed)));
            let _ = writeln!(text, "daybook_request_seconds_bucket{{kind=\"{kind}\",le=\"+Inf\"}} {count}");
            let _ = writeln!(text, "daybook_request_seconds_sum{{kind=\"{kind}\"}} {sum}");
            let _ = writeln!(text, "daybook_request_seconds_count{{kind=\"{kind}\"}} {count}");
        }
        header(&mut text, "daybook_request_errors_total", "counter", "Operations answered with at least one error.");
        for (requests, (_, kind)) in self.requests.iter().zip(KINDS) {
            let _ = writeln!(text, "daybook_request_errors_total{{kind=\"{kind}\"}} {}", requests.errors.load(Relaxed));
        }
        gauge(&mut text, "daybook_sockets", "WebSockets that are open.", self.sockets.load(Relaxed));
        gauge(&mut text, "daybook_subscriptions", "Subscriptions that are running.", self.subscriptions.load(Relaxed));
        text
    }
}

/// Microseconds as decimal seconds.
fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// The two lines that introduce a metric.
pub(crate) fn header(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A metric with one value.
pub(crate) fn gauge(text: &mut String, name: &str, help: &str, value: u64) {
    header(text, name, "gauge", help);
    let _ = writeln!(text, "{name} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up_and_seconds_are_decimal() {
        let metrics = Metrics::default();
        metrics.answered(OperationKind::Query, Duration::from_micros(90), false);
        metrics.answered(OperationKind::Query, Duration::from_micros(1_500), true);
        let text = metrics.exposition();
        assert!(text.contains("daybook_request_seconds_bucket{kind=\"query\",le=\"0.002500\"} 2\n"), "{text}");
        assert!(text.contains("daybook_request_seconds_bucket{kind=\"query\",le=\"0.001000\"} 1\n"));
        assert!(text.contains("daybook_request_seconds_sum{kind=\"query\"} 0.001590\n"));
        assert!(text.contains("daybook_request_errors_total{kind=\"query\"} 1\n"));
    }
}
