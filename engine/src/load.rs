//! Bringing aggregates from the log to where decisions can read them.

use std::collections::BTreeMap;

use domain::{Change, State};
use event_schemas::{Position, Recorded, StreamId};
use event_store::{Log, ReadError, Snapshot};
use uuid::Uuid;

use crate::{
    cache::Cache,
    engine::{CommandError, Fault, Outcome, Request},
};

/// Loads streams into the cache, in one consistent read of the log. Gives those that cannot be read, with the reason.
pub(crate) async fn load(
    log: &dyn Log,
    cache: &mut Cache,
    streams: Vec<StreamId>,
) -> Result<BTreeMap<StreamId, Fault>, ReadError> {
    let snapshots = log.load_snapshots(streams.clone()).await?;
    let starts: Vec<(State, Option<Snapshot>)> = streams.iter().zip(snapshots).filter_map(|(s, snap)| start(s, snap)).collect();
    let mut unreadable = BTreeMap::new();
    if starts.len() < streams.len() {
        for stream in &streams {
            if State::absent(&stream.aggregate_type).is_none() {
                let reason = format!("`{}` is no aggregate type of this version of Daybook", stream.aggregate_type);
                unreadable.insert(stream.clone(), Fault::Broken(reason));
            }
        }
    }
    let known: Vec<StreamId> = streams.into_iter().filter(|stream| !unreadable.contains_key(stream)).collect();
    let after = starts.iter().map(|(_, snapshot)| snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence));
    let tails = log.read_streams(known.iter().cloned().zip(after).collect()).await?;
    for ((stream, (mut state, snapshot)), tail) in known.into_iter().zip(starts).zip(tails) {
        let snapshot = snapshot.map_or((0, 0), |snapshot| (snapshot.sequence, snapshot.state.len()));
        match fold(&mut state, &tail) {
            Ok(()) => {
                let sequence = tail.last().map_or(snapshot.0, |last| last.event.sequence);
                let folded = tail.iter().map(|recorded| recorded.event.payload.len()).sum();
                cache.insert(stream, state, sequence, snapshot, folded);
            }
            Err(fault) => {
                unreadable.insert(stream, fault);
            }
        }
    }
    Ok(unreadable)
}

/// Where folding starts: the snapshot if it has today's shape, else the absent state.
fn start(stream: &StreamId, snapshot: Option<Snapshot>) -> Option<(State, Option<Snapshot>)> {
    let absent = State::absent(&stream.aggregate_type)?;
    let usable = snapshot.filter(|snapshot| snapshot.state_version == absent.version());
    let saved = usable.as_ref().and_then(|snapshot| serde_json::from_str(&snapshot.state).ok());
    Some(match saved {
        Some(state) => (state, usable),
        None => (absent, None),
    })
}

fn fold(state: &mut State, events: &[Recorded]) -> Result<(), Fault> {
    for recorded in events {
        // Deciding upon a history that is only half understood would be a guess.
        let decoded = recorded.decode().map_err(|error| Fault::Unreadable(format!("position {}: {error}", recorded.position)))?;
        decoded.iter().for_each(|event| state.evolve(event));
    }
    Ok(())
}

/// Answers a command whose idempotency key the log already holds, from the events that it wrote then.
pub(crate) async fn answer_from_log(log: &dyn Log, position: Position, request: Request) {
    let answer = first_answer(log, position, &request).await;
    request.answer(answer);
}

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
