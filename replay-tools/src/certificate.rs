//! `certificate`: what a range of the log comes to under this version of the code, in hashes that are the same wherever and
//! however often it is replayed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use clap::Args;
use domain::State;
use event_schemas::{CommerceEvent, DecodeError, Position, Recorded, StreamId, replaced_schemas};
use event_store::{Log, Moment, PastLog};
use projections::{ALL, TableDigest, Views};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{Failure, LogUrl, Progress, Report, Tree, hex, json, open};

/// How many events are read at once.
const PAGE: usize = 2_000;
/// How many streams are folded at once.
const STREAMS: usize = 500;

/// Which log, and up to where.
#[derive(Debug, Args)]
pub struct CertificateArgs {
    #[command(flatten)]
    log: LogUrl,
    /// The last position that it covers; the end of the log if not told.
    #[arg(long, env = "DAYBOOK_TO", value_name = "POSITION")]
    to: Option<Position>,
}

impl CertificateArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let certificate = certificate(open(&self.log.log).await?, self.to).await?;
        Ok(Report { ok: true, text: certificate.tell(), json: json(&certificate)? })
    }
}

/// What a log comes to. Only what follows from the events and the code is in it: no time, no place, no name of the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Certificate {
    /// The first position that it covers.
    pub from: Position,
    /// The last position that it covers.
    pub to: Position,
    /// How many events that is.
    pub events: u64,
    /// The Merkle tree head over their digests (RFC 6962).
    pub root: String,
    /// The version of Daybook that replayed them.
    pub daybook: &'static str,
    /// SHA-256 over the JSON Schemas of every event version that this version of Daybook reads, in the order of their names.
    pub schemas: String,
    /// What the views come to, table by table.
    pub views: Vec<ViewState>,
    /// What the aggregates come to, type by type.
    pub aggregates: Vec<AggregateState>,
    /// Events that a newer version of Daybook wrote: they are in the root and in nothing else.
    pub unknown: u64,
    /// SHA-256 over everything above: two certificates are equal if this is.
    pub certificate: String,
}

/// What a table of the views comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ViewState {
    /// The projection that keeps it.
    pub projection: &'static str,
    /// The version of its fold.
    pub version: u32,
    /// The table.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// SHA-256 over its rows in the order of their keys.
    pub sha256: String,
}

impl From<TableDigest> for ViewState {
    fn from(digest: TableDigest) -> Self {
        let TableDigest { projection, version, table, rows, sha256 } = digest;
        Self { projection, version, table, rows, sha256 }
    }
}

/// What the aggregates of a type come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AggregateState {
    /// The type, such as `order`.
    pub aggregate: String,
    /// The version of its state's shape; none for a type of a newer version of Daybook, whose states are not known.
    pub version: Option<u32>,
    /// How many aggregates of the type there are.
    pub count: u64,
    /// SHA-256 over the name and the state (as JSON) of each, in the order of their names.
    pub sha256: String,
}

/// Replays a log up to a position, or to its end, into fresh views and fresh aggregates.
///
/// # Errors
/// If the log ends before the position, cannot be read, was changed after it was recorded, or cannot be folded.
pub async fn certificate(log: Arc<dyn Log>, to: Option<Position>) -> Result<Certificate, Failure> {
    let to = match to {
        Some(to) => to,
        None => log.head().await?.position,
    };
    let log: Arc<dyn Log> = Arc::new(PastLog::at(log, Moment::Position(to)).await?);
    let (tree, streams) = survey(&*log, to).await?;
    let (mut aggregates, mut unknown) = (Vec::new(), 0);
    for (aggregate, ids) in streams {
        let (state, newer) = aggregates_of(&*log, aggregate, ids).await?;
        aggregates.push(state);
        unknown += newer;
    }
    let mut certificate = Certificate {
        from: u64::from(to > 0),
        to,
        events: tree.size(),
        root: hex(&tree.root()),
        daybook: env!("CARGO_PKG_VERSION"),
        schemas: schemas(),
        views: views(log, to).await?,
        aggregates,
        unknown,
        certificate: String::new(),
    };
    certificate.certificate = sha256(certificate.tell().as_bytes());
    Ok(certificate)
}

impl Certificate {
    /// The certificate as lines of text, in an order that is always the same.
    fn tell(&self) -> String {
        let Self { from, to, events, root, daybook, schemas, views, aggregates, unknown, certificate } = self;
        let mut text = format!("positions {from} to {to}, {events} events, of which {unknown} of a newer version\n");
        text.push_str(&format!("root {root}\ndaybook {daybook}\nschemas {schemas}\n"));
        for ViewState { projection, version, table, rows, sha256 } in views {
            text.push_str(&format!("view {projection} {version} {table} {rows} {sha256}\n"));
        }
        for AggregateState { aggregate, version, count, sha256 } in aggregates {
            let version = version.map_or("unknown".to_owned(), |version| version.to_string());
            text.push_str(&format!("aggregate {aggregate} {version} {count} {sha256}\n"));
        }
        if !certificate.is_empty() {
            text.push_str(&format!("certificate {certificate}\n"));
        }
        text
    }
}

type Streams = BTreeMap<String, BTreeSet<String>>;

/// Reads the log once: the tree over its digests, each of which must hold, and which streams there are, by type.
async fn survey(log: &dyn Log, to: Position) -> Result<(Tree, Streams), Failure> {
    let (mut tree, mut streams, mut progress) = (Tree::default(), Streams::new(), Progress::new("reading", to));
    loop {
        let page = log.read(tree.size(), PAGE).await?;
        if page.is_empty() {
            return Ok((tree, streams));
        }
        for record in page {
            if !record.is_intact() {
                return Err(Failure::Refused(format!("position {} was changed after it was recorded", record.position)));
            }
            tree.push(record.digest);
            if record.event.sequence == 1 {
                let StreamId { aggregate_type, aggregate_id } = record.event.stream;
                streams.entry(aggregate_type.into_owned()).or_default().insert(aggregate_id);
            }
        }
        progress.tick(tree.size());
    }
}

/// Folds all aggregates of a type, each from its own stream. Gives how many of their events are of a newer version, too.
async fn aggregates_of(log: &dyn Log, aggregate: String, ids: BTreeSet<String>) -> Result<(AggregateState, u64), Failure> {
    let (mut hash, mut unknown, count) = (Sha256::new(), 0, ids.len() as u64);
    let absent = State::absent(&aggregate);
    let ids: Vec<_> = ids.into_iter().collect();
    for ids in ids.chunks(STREAMS) {
        let stream = |id: &String| StreamId { aggregate_type: aggregate.clone().into(), aggregate_id: id.clone() };
        let streams: Vec<_> = ids.iter().map(stream).collect();
        let firsts = log.read_streams(streams.iter().map(|stream| (stream.clone(), 0)).collect(), PAGE).await?;
        for (stream, mut page) in streams.iter().zip(firsts) {
            let mut state = absent.clone();
            while let Some(last) = page.last().map(|last| last.event.sequence) {
                unknown += fold(state.as_mut(), &page)?;
                let is_over = page.len() < PAGE;
                page = if is_over { Vec::new() } else { log.read_stream(stream, last, PAGE).await? };
            }
            for part in [stream.aggregate_id.as_bytes(), &state_text(state.as_ref())?] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
    }
    let version = absent.map(|absent| absent.version());
    Ok((AggregateState { aggregate, version, count, sha256: hex(&hash.finalize().into()) }, unknown))
}

/// Folds events into a state. Gives how many of them are of a newer version.
fn fold(mut state: Option<&mut State>, page: &[Recorded]) -> Result<u64, Failure> {
    let mut unknown = 0;
    for record in page {
        match (record.decode(), &mut state) {
            (Ok(events), Some(state)) => events.iter().for_each(|event| state.evolve(event)),
            (Ok(_), None) => {}
            (Err(DecodeError::Unknown { .. }), _) => unknown += 1,
            (Err(source), _) => return Err(Failure::Decode { position: record.position, source }),
        }
    }
    Ok(unknown)
}

fn state_text(state: Option<&State>) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(&state).map_err(|error| Failure::Refused(error.to_string()))
}

/// Folds every view into a database of its own, which goes away afterwards.
async fn views(log: Arc<dyn Log>, to: Position) -> Result<Vec<ViewState>, Failure> {
    let scratch = Scratch::new()?;
    let views = Views::open(&scratch.url("views.db"))?;
    let mut progress = Progress::new("folding", to);
    projections::rebuild(log, &views, ALL, |at| progress.tick(at.position)).await?;
    let digested = tokio::task::spawn_blocking(move || projections::digests(&views, ALL)).await;
    let digests = digested.map_err(|error| Failure::Refused(format!("the views were not read to their end: {error}")))??;
    Ok(digests.into_iter().map(ViewState::from).collect())
}

/// A folder for views that nobody keeps. It goes away when this is dropped.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    /// A new folder where this machine keeps what is temporary (`TMPDIR`).
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn new() -> Result<Self, Failure> {
        let made = tempfile::Builder::new().prefix("daybook-replay-").tempdir();
        made.map(Self).map_err(Failure::file(&std::env::temp_dir()))
    }

    /// The address of views in it.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("sqlite:{}", self.0.path().join(name).display())
    }
}

/// One hash of what events look like to this version of the code.
fn schemas() -> String {
    let current = CommerceEvent::schemas().into_iter();
    let current = current.map(|event| ((event.event_type, event.version), event.schema.to_string()));
    let replaced = replaced_schemas().iter().map(|(name, version, schema)| ((*name, *version), (*schema).to_owned()));
    let all: BTreeMap<_, _> = current.chain(replaced).collect();
    let text: String = all.iter().map(|((name, version), schema)| format!("{name} {version} {schema}\n")).collect();
    sha256(text.as_bytes())
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes).into())
}
