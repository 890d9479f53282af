//! The audit recorder: who was shown personal data of others, and who took data along, become events.
//!
//! Reads are gathered for a second, so that a page of a hundred orders is one event, and what somebody has seen is not written
//! again within a minute. They are kept until they are written; when too many wait, because the log takes none, nobody of staff
//! is shown personal data any more (ADR 22).

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{MAX_AUDITED, RecordAudit};
use engine::{CommandError, Engine};
use event_schemas::{AuditEvent, DataExported, Metadata, PersonalDataRead, Timestamp};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};

/// How long what was seen is not written again for the same reader.
const WINDOW: Duration = Duration::from_secs(60);
/// How long reads are gathered before they are written, and how long until a failed write is tried again.
const GATHER: Duration = Duration::from_secs(1);
/// Subjects of reads that may wait to be written.
const WAITING: usize = 20_000;
/// Reads that are remembered so as not to write them again; when there are more, some are written twice.
const REMEMBERED: usize = 50_000;
/// The most events of one command.
const AT_ONCE: usize = 200;
/// The most characters of the name of a reader, or of a subject.
const LONGEST: usize = 200;

/// Somebody was shown something personal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shown {
    /// Who, as in [`Metadata::actor`].
    pub(crate) reader: String,
    /// Why, as a reference.
    pub(crate) reason: Option<String>,
    /// Whose or of what, as a stream.
    pub(crate) subject: String,
    /// What, as a field.
    pub(crate) field: String,
}

/// So many reads wait to be written that no more can be noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("who is shown personal data cannot be written down now, so it is not shown; try again shortly")]
pub(crate) struct NotRecorded;

/// Who looked, why, and at whose data.
type Look = (String, Option<String>, String);

/// What of it, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    fields: BTreeSet<String>,
    since: Timestamp,
}

#[derive(Debug, Default)]
struct Notes {
    /// What was noted within this window.
    known: HashSet<Shown>,
    /// What is to be written.
    waiting: BTreeMap<Look, Seen>,
    /// What is being written: if that fails or is cut off, it is written again, twice rather than not at all.
    on_its_way: BTreeMap<Look, Seen>,
}

impl Notes {
    /// Notes a read; whether there is something to write that was not there before.
    fn note(&mut self, shown: Shown, now: Timestamp) -> Result<bool, NotRecorded> {
        if self.known.contains(&shown) {
            return Ok(false);
        }
        let look = (shown.reader.clone(), shown.reason.clone(), shown.subject.clone());
        if self.waiting.len() + self.on_its_way.len() >= WAITING && !self.waiting.contains_key(&look) {
            return Err(NotRecorded);
        }
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let seen = self.waiting.entry(look).or_insert_with(|| Seen { fields: BTreeSet::new(), since: now });
        seen.fields.insert(shown.field.clone());
        self.known.insert(shown);
        Ok(true)
    }

    /// What is to be written now; see [`Notes::landed`].
    fn take_waiting(&mut self) -> Vec<AuditEvent> {
        for (look, before) in std::mem::take(&mut self.on_its_way) {
            let seen = self.waiting.entry(look).or_insert_with(|| before.clone());
            seen.fields.extend(before.fields);
            seen.since = seen.since.min(before.since);
        }
        self.on_its_way = std::mem::take(&mut self.waiting);
        events(&self.on_its_way)
    }

    /// What was on its way is written.
    fn landed(&mut self) {
        self.on_its_way.clear();
    }
}

/// The events of what was looked at: one for everybody's data of which the same reader saw the same fields for the same reason.
fn events(looks: &BTreeMap<Look, Seen>) -> Vec<AuditEvent> {
    type Group<'a> = (&'a String, &'a Option<String>, Vec<&'a String>);
    let mut groups: BTreeMap<Group<'_>, (Vec<&String>, Timestamp)> = BTreeMap::new();
    for ((reader, reason, subject), seen) in looks {
        let group = (reader, reason, seen.fields.iter().take(MAX_AUDITED).collect());
        let (subjects, since) = groups.entry(group).or_insert_with(|| (Vec::new(), seen.since));
        subjects.push(subject);
        *since = (*since).min(seen.since);
    }
    let mut events = Vec::new();
    for ((reader, reason, fields), (subjects, since)) in groups {
        events.extend(subjects.chunks(MAX_AUDITED).map(|subjects| {
            AuditEvent::from(PersonalDataRead {
                reader: reader.clone(),
                fields: fields.iter().map(|field| (*field).clone()).collect(),
                subjects: subjects.iter().map(|subject| (*subject).clone()).collect(),
                reason: reason.clone(),
                since,
            })
        }));
    }
    events
}

/// A reader or a subject as an event takes it.
fn short(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    if text.trim().is_empty() { "unknown".to_owned() } else { text }
}

/// The audit recorder of this node.
pub(crate) struct AuditLog {
    notes: Mutex<Notes>,
    noted: Notify,
    engine: Engine,
    /// Whether there is a log to write to; else whoever runs the server is told.
    writes: bool,
}

impl AuditLog {
    /// A recorder that writes through this engine, and the task that does so until it is aborted; see [`AuditLog::finish`].
    pub(crate) fn start(engine: Engine) -> (Arc<Self>, JoinHandle<()>) {
        Self::started(engine, true)
    }

    /// A recorder of a shop whose log cannot be written: a line of the server's own log stands for each event.
    pub(crate) fn start_unwritten(engine: Engine) -> (Arc<Self>, JoinHandle<()>) {
        Self::started(engine, false)
    }

    fn started(engine: Engine, writes: bool) -> (Arc<Self>, JoinHandle<()>) {
        let log = Arc::new(Self { notes: Mutex::default(), noted: Notify::new(), engine, writes });
        let writer = tokio::spawn(Self::write_down(Arc::clone(&log)));
        (log, writer)
    }

    /// Notes that somebody is about to be shown something personal. Quick, and never waits for the log.
    ///
    /// # Errors
    /// [`NotRecorded`] when it must not be shown.
    pub(crate) fn shown(&self, shown: Shown) -> Result<(), NotRecorded> {
        let now = self.engine.clock().now();
        if self.notes().note(Shown { reader: short(&shown.reader), subject: short(&shown.subject), ..shown }, now)? {
            self.noted.notify_one();
        }
        Ok(())
    }

    /// Writes down that data is about to be taken along. What was written is durable when this returns.
    ///
    /// # Errors
    /// [`NotRecorded`] when it must not be taken along.
    pub(crate) async fn exported(&self, export: DataExported) -> Result<(), NotRecorded> {
        let export = DataExported { exporter: short(&export.exporter), ..export };
        self.submit(vec![export.into()]).await.map_err(|error| {
            tracing::error!(%error, "that data was to be taken along could not be written to the log");
            NotRecorded
        })
    }

    async fn write_down(log: Arc<Self>) {
        let mut window = Instant::now() + WINDOW;
        loop {
            tokio::select! {
                () = log.noted.notified() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep_until(window) => {
                    log.notes().known.clear();
                    window = Instant::now() + WINDOW;
                }
            }
            if !log.write().await {
                log.noted.notify_one();
            }
        }
    }

    /// Writes what is noted, when the shop closes.
    pub(crate) async fn finish(&self) {
        self.write().await;
    }

    /// Writes what waits; whether all of it is written.
    async fn write(&self) -> bool {
        let events = self.notes().take_waiting();
        for some in events.chunks(AT_ONCE) {
            match self.submit(some.to_vec()).await {
                Ok(()) => {}
                // It would be refused again: the operator has to know what it was.
                Err(CommandError::Refused(refusal)) => {
                    tracing::error!(%refusal, ?some, "who looked at what could not be written")
                }
                Err(error) => {
                    tracing::error!(%error, "who looked at personal data could not be written to the log yet");
                    return false;
                }
            }
        }
        self.notes().landed();
        true
    }

    async fn submit(&self, events: Vec<AuditEvent>) -> Result<(), CommandError> {
        if !self.writes {
            for event in events {
                let event = event.payload().unwrap_or_default();
                tracing::info!(target: "daybook::audit", event, "personal data was shown, and the log cannot be written");
            }
            return Ok(());
        }
        let metadata = Metadata {
            actor: "process:audit".to_owned(),
            command_id: self.engine.ids().next(),
            correlation_id: None,
            causation_id: None,
            trace_id: None,
            idempotency: None,
        };
        let record = RecordAudit { day: self.engine.clock().now().date_naive(), events };
        self.engine.submit_in_turn(Box::new(record), metadata).await.map(drop)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(reader: &str, subject: usize, field: &str) -> Shown {
        let subject = format!("person/{subject}");
        Shown { reader: reader.to_owned(), reason: None, subject, field: field.to_owned() }
    }

    fn reads(looks: &BTreeMap<Look, Seen>) -> Vec<(String, usize, usize)> {
        let told = |event: AuditEvent| match event {
            AuditEvent::PersonalDataRead(read) => (read.reader, read.fields.len(), read.subjects.len()),
            AuditEvent::DataExported(export) => panic!("{export:?}"),
        };
        events(looks).into_iter().map(told).collect()
    }

    #[test]
    fn a_page_that_was_looked_at_is_one_event_for_each_hundred_and_looking_again_is_none() {
        let (mut notes, now) = (Notes::default(), chrono::Utc::now());
        for _ in 0..3 {
            for subject in 0..150 {
                for field in ["email", "shippingAddress"] {
                    notes.note(shown("support:ana", subject, field), now).unwrap();
                }
            }
        }
        notes.note(shown("support:ben", 7, "email"), now).unwrap();
        let ana = "support:ana".to_owned();
        assert_eq!(reads(&notes.waiting), [(ana.clone(), 2, 100), (ana, 2, 50), ("support:ben".to_owned(), 1, 1)]);
        notes.waiting.clear();
        assert_eq!(notes.note(shown("support:ana", 7, "email"), now), Ok(false));
        notes.known.clear();
        assert_eq!(notes.note(shown("support:ana", 7, "email"), now), Ok(true));
    }

    #[test]
    fn another_reason_is_another_look() {
        let (mut notes, now) = (Notes::default(), chrono::Utc::now());
        let with = |reason: &str| Shown { reason: Some(reason.to_owned()), ..shown("support:ana", 1, "email") };
        for shown in [shown("support:ana", 1, "email"), with("TICKET-1"), with("TICKET-2")] {
            assert_eq!(notes.note(shown, now), Ok(true));
        }
        assert_eq!(reads(&notes.waiting).len(), 3);
    }

    #[test]
    fn what_cannot_be_written_waits_and_when_too_much_waits_nothing_more_is_shown() {
        let (mut notes, now) = (Notes::default(), chrono::Utc::now());
        for subject in 0..WAITING {
            notes.note(shown("support:ana", subject, "email"), now).unwrap();
        }
        assert_eq!(notes.note(shown("support:ana", WAITING, "email"), now), Err(NotRecorded));
        assert_eq!(notes.note(shown("support:ana", 0, "note"), now), Ok(true), "it goes with what waits");
        let later = now + chrono::TimeDelta::seconds(5);
        assert_eq!(notes.take_waiting().len(), 1 + WAITING.div_ceil(100));
        assert_eq!(notes.note(shown("support:ana", WAITING, "email"), later), Err(NotRecorded), "it is not written yet");
        // The write failed: all of it is written again, with what came meanwhile.
        assert_eq!(notes.take_waiting().len(), 1 + WAITING.div_ceil(100));
        let first = notes.on_its_way.get(&("support:ana".to_owned(), None, "person/0".to_owned())).unwrap();
        assert_eq!((notes.on_its_way.len(), first.fields.len(), first.since), (WAITING, 2, now));
        notes.landed();
        assert!(notes.take_waiting().is_empty());
        assert_eq!(notes.note(shown("support:ana", WAITING, "email"), later), Ok(true));
    }
}
