//! Bringing aggregates from the log to where decisions can read them.

use std::collections::BTreeMap;

use domain::State;
use event_schemas::{Recorded, Sequence, StreamId};
use event_store::{Log, ReadError, Snapshot};

use crate::{cache::Cache, engine::Fault};

/// Events of one stream that are read at once. With snapshots it is seldom more; after an import there are none yet.
const PAGE: usize = 1000;

/// Loads streams into the cache. Gives those that cannot be read, with the reason.
///
/// Some may be read later than others; that the log has not moved on is seen when what was decided upon them is written.
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
    let tails = log.read_streams(known.iter().cloned().zip(after).collect(), PAGE).await?;
    for ((stream, (mut state, snapshot)), tail) in known.into_iter().zip(starts).zip(tails) {
        let snapshot = snapshot.map_or((0, 0), |snapshot| (snapshot.sequence, snapshot.state.len()));
        match fold_on(log, &stream, &mut state, snapshot.0, tail).await? {
            Ok((sequence, folded)) => cache.insert(stream, state, sequence, snapshot, folded),
            Err(fault) => drop(unreadable.insert(stream, fault)),
        }
    }
    Ok(unreadable)
}

/// Folds the rest of a stream, of which `page` was read already. Gives its last sequence and how many bytes were folded.
async fn fold_on(
    log: &dyn Log,
    stream: &StreamId,
    state: &mut State,
    mut sequence: Sequence,
    mut page: Vec<Recorded>,
) -> Result<Result<(Sequence, usize), Fault>, ReadError> {
    let mut folded = 0;
    loop {
        if let Err(fault) = fold(state, &page) {
            return Ok(Err(fault));
        }
        sequence = page.last().map_or(sequence, |last| last.event.sequence);
        folded += page.iter().map(|recorded| recorded.event.payload.len()).sum::<usize>();
        if page.len() < PAGE {
            return Ok(Ok((sequence, folded)));
        }
        page = log.read_stream(stream, sequence, PAGE).await?;
    }
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
