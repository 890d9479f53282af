//! What Prometheus reads: the counts of requests, of the engine, and how far the views have come.

use std::fmt::Write;

use engine::Histogram;

use crate::{
    metrics::{gauge, header},
    shop::Shop,
};

impl Shop {
    /// Everything that Prometheus reads, in its text format.
    pub(crate) async fn exposition(&self) -> String {
        let mut text = self.metrics.exposition();
        self.door.exposition(&mut text);
        let engine = self.engine.metrics();
        let counters = [
            ("accepted", "Commands that were carried out.", &engine.accepted),
            ("refused", "Commands that a business rule refused.", &engine.refused),
            ("repeated", "Commands that were recognised by their idempotency key.", &engine.repeated),
            ("faulted", "Commands that failed because of storage.", &engine.faulted),
            ("overloaded", "Commands turned away because too many were waiting.", &engine.overloaded),
            ("events", "Events written.", &engine.events),
            ("head_moved", "Appends that found the head moved by another node.", &engine.head_moved),
            ("cache_hits", "Reads of decisions that found the aggregate at hand.", &engine.cache_hits),
            ("cache_misses", "Aggregates loaded from the log because they were not at hand.", &engine.cache_misses),
        ];
        for (name, help, counter) in counters {
            let name = format!("daybook_engine_{name}_total");
            header(&mut text, &name, "counter", help);
            let _ = writeln!(text, "{name} {}", counter.get());
        }
        gauge(&mut text, "daybook_engine_cache_bytes", "Bytes of aggregate state at hand.", engine.cache_bytes.get());
        gauge(&mut text, "daybook_engine_queue", "Commands that waited when the last batch was closed.", engine.queued.get());
        histogram(&mut text, "daybook_engine_batch_events", "Events in one append.", &engine.batch_events);
        histogram(&mut text, "daybook_engine_append_microseconds", "Time of one durable append.", &engine.append_micros);
        header(&mut text, "daybook_clock_offset_seconds", "gauge", "What this machine's clock lacks to the time of the log.");
        let _ = writeln!(text, "daybook_clock_offset_seconds {}", self.clock.offset().as_seconds_f64());
        gauge(&mut text, "daybook_log_head", "The last position of the log.", self.head());
        if let Some(status) = self.notary.as_ref().map(|notary| notary.notary.status()) {
            let lag = if status.is_elsewhere { 0 } else { self.head().saturating_sub(status.size) };
            gauge(&mut text, "daybook_notary_lag", "Events that the notary's tree is behind the log.", lag);
            gauge(&mut text, "daybook_notary_signed", "Events of the last signed head.", status.signed);
            let broken = u64::from(status.broken.is_some());
            gauge(&mut text, "daybook_notary_broken", "1 when the log is not what was signed before.", broken);
        }
        self.projections(&mut text);
        self.processes(&mut text);
        if let Ok(letters) = self.log.dead_letters().await {
            gauge(&mut text, "daybook_dead_letters", "Work that failed and waits for an operator.", letters.len() as u64);
        }
        text
    }

    fn processes(&self, text: &mut String) {
        let processes = self.processes.status();
        header(text, "daybook_process_position", "gauge", "Up to which event a process has done its work or put it off.");
        for process in &processes {
            let _ = writeln!(text, "daybook_process_position{{name=\"{}\"}} {}", process.name, process.position);
        }
        header(text, "daybook_process_stalled", "gauge", "1 while a process cannot go on.");
        for process in &processes {
            let stalled = u8::from(process.stalled.is_some());
            let _ = writeln!(text, "daybook_process_stalled{{name=\"{}\"}} {stalled}", process.name);
        }
    }

    fn projections(&self, text: &mut String) {
        let freshness = self.freshness.borrow();
        header(text, "daybook_projection_position", "gauge", "The last event in what a projection serves.");
        for projection in &freshness.projections {
            let _ = writeln!(text, "daybook_projection_position{{name=\"{}\"}} {}", projection.name, projection.position);
        }
        header(text, "daybook_projection_lag", "gauge", "Events that a projection is behind the log.");
        for projection in &freshness.projections {
            let _ = writeln!(text, "daybook_projection_lag{{name=\"{}\"}} {}", projection.name, projection.lag);
        }
        header(text, "daybook_projection_state", "gauge", "1 for the state that a projection is in.");
        for projection in &freshness.projections {
            let state = projection.state.as_str();
            let _ = writeln!(text, "daybook_projection_state{{name=\"{}\",state=\"{state}\"}} 1", projection.name);
        }
    }
}

fn histogram(text: &mut String, name: &str, help: &str, histogram: &Histogram) {
    header(text, name, "histogram", help);
    let (buckets, sum) = histogram.cumulative();
    let count = buckets.last().map_or(0, |(_, count)| *count);
    for (bound, below) in buckets {
        let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {below}");
    }
    let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}");
}
