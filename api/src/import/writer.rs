//! Submits an import's documents to the engine, many at a time, and adds up what came of them.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use engine::{CommandError, Engine, Outcome};
use event_schemas::{Idempotency, Metadata};
use futures::future::{MaybeDone, maybe_done};
use uuid::Uuid;
use vault::Persons;

use crate::import::{
    ImportError, Reconciliation, Unrepresented,
    document::{Document, Piece, Source},
    ids::id_of,
};

/// Documents on their way at once: enough for the engine to fill its batches. A document is never decided before one that
/// is this many places ahead of it, which the opening stock of an import relies on.
pub(crate) const IN_FLIGHT: usize = 256;
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// How far an import has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Rows whose documents are in the log.
    pub rows: u64,
    /// Rows that there are.
    pub rows_total: u64,
    /// Events written by this run.
    pub events: u64,
    /// Time since the import began.
    pub elapsed: Duration,
}

type Answered = (Box<Document>, Result<Outcome, CommandError>);
type Answer = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Brings in a source whose reading began at `begun`. Documents that an earlier run brought in are recognised and add nothing.
///
/// # Errors
/// When the source cannot be read on or the engine fails; what was written until then stays, and another run goes on.
pub(crate) async fn write(
    source: Source,
    engine: &Engine,
    persons: &Persons,
    begun: Instant,
    tell: &mut dyn FnMut(Progress),
) -> Result<Reconciliation, ImportError> {
    let mut writer = Writer {
        reconciliation: Reconciliation::of(&source),
        engine: engine.clone(),
        persons: persons.clone(),
        source: source.name,
        run: Uuid::now_v7(),
        in_flight: VecDeque::new(),
        settled: 0,
        rows_done: 0,
    };
    let mut told = Instant::now();
    for piece in source.pieces {
        match piece? {
            Piece::Unrepresented(rows) => writer.reject(rows),
            Piece::Document(document) => writer.submit(document).await?,
        }
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            tell(writer.progress(begun));
        }
    }
    while writer.settle_one().await? {}
    writer.reconciliation.finish(begun.elapsed());
    tell(writer.progress(begun));
    Ok(writer.reconciliation)
}

struct Writer {
    reconciliation: Reconciliation,
    engine: Engine,
    persons: Persons,
    source: &'static str,
    run: Uuid,
    /// The oldest first.
    in_flight: VecDeque<MaybeDone<Answer>>,
    settled: u64,
    rows_done: u64,
}

impl Writer {
    fn progress(&self, begun: Instant) -> Progress {
        let events = self.reconciliation.events_written();
        Progress { rows: self.rows_done, rows_total: self.reconciliation.rows_read(), events, elapsed: begun.elapsed() }
    }

    fn reject(&mut self, rows: Vec<Unrepresented>) {
        self.rows_done += rows.len() as u64;
        self.reconciliation.reject(rows);
    }

    async fn submit(&mut self, mut document: Box<Document>) -> Result<(), ImportError> {
        self.seal(&mut document).await?;
        while self.in_flight.len() >= IN_FLIGHT || document.follows.is_some_and(|last| last >= self.settled) {
            if !self.settle_one().await? {
                break;
            }
        }
        let (engine, metadata, command) = (self.engine.clone(), self.metadata(&document), document.take_command());
        let answer: Answer = Box::pin(async move {
            // Unconstrained, so that the first poll queues the command in any case: the order of documents is kept.
            let outcome = tokio::task::unconstrained(engine.submit_boxed(command, metadata)).await;
            (document, outcome)
        });
        let mut answer = maybe_done(answer);
        let _ = futures::poll!(&mut answer);
        self.in_flight.push_back(answer);
        Ok(())
    }

    /// Seals what a document says about a person, for somebody new: whom else it is about, the source does not tell.
    async fn seal(&self, document: &mut Document) -> Result<(), ImportError> {
        let mut person = None;
        for change in &mut document.changes {
            for personal in change.event.personal_mut().into_iter().filter(|personal| personal.unsealed().is_some()) {
                let whose = match person {
                    Some(person) => person,
                    None => *person.insert(self.persons.somebody().await?),
                };
                self.persons.seal_in_place(whose, personal).await?;
            }
        }
        Ok(())
    }

    fn metadata(&self, document: &Document) -> Metadata {
        let actor = format!("import:{}", self.source);
        let scope = format!("{actor}|{}", document.key);
        Metadata {
            command_id: id_of(self.source, "command", &document.key),
            correlation_id: Some(self.run),
            causation_id: None,
            trace_id: None,
            idempotency: Some(Idempotency { scope, fingerprint: document.fingerprint.clone() }),
            actor,
        }
    }

    /// Takes the answer to the oldest document on its way; false when there is none.
    async fn settle_one(&mut self) -> Result<bool, ImportError> {
        let Some(mut oldest) = self.in_flight.pop_front() else { return Ok(false) };
        (&mut oldest).await;
        let Some((document, answer)) = Pin::new(&mut oldest).take_output() else { return Ok(false) };
        self.settled += 1;
        self.rows_done += document.rows.len() as u64;
        match answer {
            Ok(outcome) => self.reconciliation.accept(&document, &outcome),
            Err(CommandError::IdempotencyKeyReused) => {
                self.turn_away(&document, "an earlier import brought in another version of")
            }
            Err(CommandError::Refused(refusal)) => self.turn_away(&document, &format!("{refusal}:")),
            Err(error) => return Err(ImportError::NotWritten { document: document.key, error }),
        }
        Ok(true)
    }

    fn turn_away(&mut self, document: &Document, why: &str) {
        let reason = format!("{why} `{}`", document.key);
        if document.rows.is_empty() {
            self.reconciliation.remark(reason);
            return;
        }
        self.reconciliation.reject(document.rows.iter().map(|row| Unrepresented { row: *row, reason: reason.clone() }));
    }
}
