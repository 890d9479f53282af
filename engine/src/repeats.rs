//! Repeated commands: what the log holds already is not decided again, but answered as it was.

use std::sync::Arc;

use domain::Change;
use event_schemas::Position;
use event_store::Log;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    EngineMetrics,
    engine::{CommandError, Fault, Outcome, Request},
};

/// How many are answered at the same time. They do not wait for a batch, so nothing else would bound them, and they read the log
/// beside everyone else.
const PLACES: usize = 256;

/// Answers repeated commands beside the decider's loop.
pub(crate) struct Repeats {
    log: Arc<dyn Log>,
    metrics: Arc<EngineMetrics>,
    places: Arc<Semaphore>,
}

impl Repeats {
    pub fn new(log: Arc<dyn Log>, metrics: Arc<EngineMetrics>) -> Self {
        Self { log, metrics, places: Arc::new(Semaphore::new(PLACES)) }
    }

    /// Answers a command whose idempotency key the log holds at `position`; one too many is refused as overload.
    pub fn answer(&self, position: Position, request: Request) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.metrics.overloaded.add(1);
            return request.answer(Err(CommandError::overloaded()));
        };
        self.metrics.repeated.add(1);
        let log = self.log.clone();
        tokio::spawn(async move {
            let answer = first_answer(&*log, position, &request).await;
            // Whoever is answered may ask again at once, and must find the place free.
            drop(place);
            request.answer(answer);
        });
    }
}

/// What a command is answered by the events that it wrote then.
async fn first_answer(log: &dyn Log, position: Position, request: &Request) -> Result<Outcome, CommandError> {
    let broken = |reason: String| Fault::NotRead(format!("position {position}: {reason}"));
    let (mut changes, mut last, mut command) = (Vec::new(), position, None::<Uuid>);
    loop {
        let after = last.saturating_sub(u64::from(command.is_none()));
        let page = log.read(after, 64).await.map_err(Fault::from)?;
        if page.is_empty() {
            return Ok(Outcome { position: last, changes, repeated: true });
        }
        for recorded in page {
            let metadata = recorded.metadata().map_err(|error| broken(error.to_string()))?;
            if *command.get_or_insert(metadata.command_id) != metadata.command_id {
                return Ok(Outcome { position: last, changes, repeated: true });
            }
            if recorded.position == position && metadata.idempotency != request.metadata.idempotency {
                return Err(CommandError::IdempotencyKeyReused);
            }
            last = recorded.position;
            let occurred_at = (recorded.event.occurred_at != recorded.event.recorded_at).then_some(recorded.event.occurred_at);
            let events = recorded.decode().map_err(|error| broken(error.to_string()))?;
            changes.extend(events.into_iter().map(|event| Change { stream: recorded.event.stream.clone(), event, occurred_at }));
        }
    }
}
