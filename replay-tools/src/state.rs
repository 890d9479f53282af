//! `state`: an aggregate as it was at a moment, folded from its stream.

use clap::Args;
use domain::State;
use event_schemas::{DecodeError, Position, Recorded, StreamId, rfc3339};
use event_store::{Log, Moment};
use serde::Serialize;
use serde_json::Value;

use crate::{Failure, LogUrl, Report, history::read_stream, json, open};

/// Which aggregate, and when.
#[derive(Debug, Args)]
pub struct StateArgs {
    /// The stream, such as order/0197… or stock/TEA-100@main.
    stream: StreamId,
    #[command(flatten)]
    log: LogUrl,
    /// A position, or a time by which it had been recorded, such as 2026-01-31T18:00:00Z, or had happened, such as
    /// occurred:2026-01-31T18:00:00Z; now if not told.
    #[arg(long, env = "DAYBOOK_AT", value_name = "POSITION|TIME")]
    at: Option<Moment>,
}

impl StateArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let folded = state_at(&*open(&self.log.log).await?, &self.stream, self.at).await?;
        let laid_out = serde_json::to_string_pretty(&folded.state).map_err(|error| Failure::Refused(error.to_string()))?;
        let covered = match (&folded.position, &folded.recorded_at) {
            (Some(position), Some(at)) => format!("{} events, the last at position {position}, recorded {at}", folded.events),
            _ => "it did not exist yet".to_owned(),
        };
        Ok(Report { ok: true, text: format!("{laid_out}\n{}: {covered}\n", self.stream), json: json(&folded)? })
    }
}

/// The state of an aggregate at a moment.
#[derive(Debug, Clone, Serialize)]
pub struct StateAt {
    /// Whose state it is.
    pub stream: String,
    /// How many events of the stream belong to it.
    pub events: usize,
    /// How many of them a newer version of Daybook wrote: they are not in the state.
    pub unknown: usize,
    /// The position of the last of them; none before the first.
    pub position: Option<Position>,
    /// When it was recorded.
    pub recorded_at: Option<String>,
    /// The state; null before the first event.
    pub state: Value,
}

/// Folds a stream up to a moment, or to its end.
///
/// # Errors
/// If the stream is not there, its type is not known to this version, an event of it is damaged, or the log has not come to the
/// moment yet.
pub async fn state_at(log: &dyn Log, stream: &StreamId, at: Option<Moment>) -> Result<StateAt, Failure> {
    let records = read_stream(log, stream, at).await?;
    let Some(mut state) = State::absent(&stream.aggregate_type) else {
        return Err(Failure::Refused(format!("aggregates of type {} are not known to this version", stream.aggregate_type)));
    };
    let mut unknown = 0;
    for record in &records {
        match decode(record)? {
            Some(events) => events.iter().for_each(|event| state.evolve(event)),
            None => unknown += 1,
        }
    }
    let last = records.last();
    let folded = last.map(|_| state_alone(&state)).transpose()?;
    Ok(StateAt {
        stream: stream.to_string(),
        events: records.len(),
        unknown,
        position: last.map(|last| last.position),
        recorded_at: last.map(|last| rfc3339(last.event.recorded_at)),
        state: folded.unwrap_or(Value::Null),
    })
}

fn decode(record: &Recorded) -> Result<Option<Vec<event_schemas::CommerceEvent>>, Failure> {
    match record.decode() {
        Ok(events) => Ok(Some(events)),
        Err(DecodeError::Unknown { .. }) => Ok(None),
        Err(source) => Err(Failure::Decode { position: record.position, source }),
    }
}

/// The state without the name of its aggregate, which the stream says already.
fn state_alone(state: &State) -> Result<Value, Failure> {
    let mut value = json(state)?;
    Ok(value.get_mut("state").map(Value::take).unwrap_or(value))
}
