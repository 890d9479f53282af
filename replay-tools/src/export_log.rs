//! An export, opened as a log that can only be read: every verb works on a file without a database.

use std::{
    collections::HashMap,
    fs::File,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use event_schemas::{Position, Proposed, Recorded, Sequence, StreamId, Timestamp};
use event_store::{AppendError, Bookkeeping, Head, Log, ReadError, Snapshot, Task};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    Failure, Manifest, Tree,
    export_source::{Placed, Source},
    hex,
};

/// An export of a contiguous range of a log. Opening it reads it once and keeps where each event and stream stands: some
/// 30 bytes an event.
#[derive(Debug)]
pub struct ExportLog {
    file: Arc<Indexed>,
    manifest: Manifest,
    head: Head,
    watch: watch::Sender<Position>,
}

#[derive(Debug)]
struct Indexed {
    path: PathBuf,
    source: Source,
    first: Position,
    /// Where each event begins, and at last where the file ends.
    places: Vec<u64>,
    /// The events of each stream, by a hash of its id: readers look at the id again.
    streams: HashMap<u64, Vec<u32>>,
}

impl ExportLog {
    /// Opens an export and holds it against its manifest.
    ///
    /// # Errors
    /// If an event is missing, out of order or unreadable (named by position), or it is not what its manifest says.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let (log, damage) = Self::open_beginning(path)?;
        damage.map_or(Ok(log), |damage| Err(damage.into()))
    }

    /// Opens what can be read of an export before it is damaged, and says what the damage is.
    ///
    /// # Errors
    /// If nothing can be read, or it is not what its manifest says without any event being damaged.
    pub(crate) fn open_beginning(path: &Path) -> Result<(Self, Option<ReadError>), Failure> {
        let manifest = Manifest::of(path)?;
        if !manifest.selection.is_everything() {
            let path = path.display();
            return Err(Failure::Refused(format!("{path} holds a selection of events, which cannot stand in for a log")));
        }
        let (first, events) = (manifest.from, manifest.events);
        let source = Source::open(path, manifest.encoding).map_err(|failure| match failure {
            Failure::Refused(reason) => {
                let reason = format!("{reason}: none of the {events} events that its manifest says can be read");
                Failure::Read(ReadError::Damaged { position: first, reason })
            }
            failure => failure,
        })?;
        let mut file = Indexed { path: path.to_owned(), source, first, places: vec![0], streams: HashMap::new() };
        let (tree, recorded_at, damage) = file.index(events)?;
        let held = damage.map_or_else(|| file.hold_against(&manifest, &tree), |damage| Err(damage.into()));
        let damage = match held {
            Ok(()) => None,
            Err(Failure::Read(damage @ ReadError::Damaged { .. })) => Some(damage),
            Err(failure) => return Err(failure),
        };
        let head = Head { position: (first + tree.size()).saturating_sub(1), recorded_at };
        Ok((Self { file: Arc::new(file), manifest, head, watch: watch::Sender::new(head.position) }, damage))
    }

    /// What the export says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// SHA-256 of a file, hexadecimal.
pub(crate) fn sha256(path: &Path) -> Result<String, Failure> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).map_err(Failure::file(path))?;
    std::io::copy(&mut file, &mut hasher).map_err(Failure::file(path))?;
    Ok(hex(&hasher.finalize().into()))
}

impl Indexed {
    /// Reads every event once, up to the first that cannot be read. Gives the tree over their digests, when the last was
    /// recorded, and what is wrong with the next of as many `events` as there should be.
    fn index(&mut self, events: u64) -> Result<(Tree, Option<Timestamp>, Option<ReadError>), Failure> {
        let (mut tree, mut recorded_at, mut damage) = (Tree::default(), None, None);
        let (mut places, mut streams) = (vec![0], HashMap::<u64, Vec<u32>>::new());
        for placed in self.events_from(0)? {
            let expected = self.first + tree.size();
            let placed = placed.and_then(|(record, next)| match record.position {
                position if position != expected => Err(format!("it holds position {position}")),
                _ => Ok((record, next, u32::try_from(tree.size()).map_err(|_| "there are more than 2^32 events")?)),
            });
            let (record, next, index) = match placed {
                Ok(placed) => placed,
                Err(why) => {
                    let (number, before) = (tree.size() + 1, tree.size());
                    let reason = format!(
                        "event {number} of the file: {why}; of the {events} events in its manifest, {before} can be read"
                    );
                    damage = Some(ReadError::Damaged { position: expected, reason });
                    break;
                }
            };
            streams.entry(hash(&record.event.stream)).or_default().push(index);
            places.push(next);
            recorded_at = Some(record.event.recorded_at);
            tree.push(record.digest);
        }
        (self.places, self.streams) = (places, streams);
        Ok((tree, recorded_at, damage))
    }

    /// Holds what was read against the manifest.
    fn hold_against(&self, manifest: &Manifest, tree: &Tree) -> Result<(), Failure> {
        let shown = self.path.display();
        if tree.size() != manifest.events {
            let position = self.first + tree.size().min(manifest.events);
            let reason = format!("{shown} has {} events, and its manifest says {}", tree.size(), manifest.events);
            return Err(ReadError::Damaged { position, reason }.into());
        }
        if hex(&tree.root()) != manifest.root {
            self.find_changed()?;
            let (root, said) = (hex(&tree.root()), &manifest.root);
            return Err(Failure::Refused(format!("{shown} has root {root}, and its manifest says {said}")));
        }
        if let Some(said) = &manifest.sha256
            && sha256(&self.path)? != *said
        {
            self.find_changed()?;
            return Err(Failure::Refused(format!("{shown} is not byte for byte what was exported, though its events are")));
        }
        Ok(())
    }

    /// Looks for the first event that is not what was recorded.
    fn find_changed(&self) -> Result<(), ReadError> {
        for (placed, index) in self.events_from(0)?.zip(0..) {
            let Recorded { position, event, .. } = match self.event(index, placed)? {
                record if record.is_intact() => continue,
                record => record,
            };
            let reason = format!("{} version {} was changed after it was recorded", event.event_type, event.event_version);
            return Err(ReadError::Damaged { position, reason });
        }
        Ok(())
    }

    fn events(&self) -> usize {
        self.places.len() - 1
    }

    fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        if after + 1 < self.first {
            let reason = format!("the export begins at position {}", self.first);
            return Err(ReadError::Damaged { position: after + 1, reason });
        }
        let begin = usize::try_from(after + 1 - self.first).unwrap_or(usize::MAX).min(self.events());
        let end = begin.saturating_add(limit).min(self.events());
        let events = self.events_from(self.places[begin])?.take(end - begin);
        events.zip(begin..).map(|(placed, index)| self.event(index, placed)).collect()
    }

    /// Goes through the file in its order, whatever the order of the streams: each row group of a table is then read once.
    fn read_streams(&self, asked: &[(StreamId, Sequence)], limit: usize) -> Result<Vec<Vec<Recorded>>, ReadError> {
        let mut places = Vec::new();
        for (number, (stream, _)) in asked.iter().enumerate() {
            places.extend(self.streams.get(&hash(stream)).into_iter().flatten().map(|index| (*index as usize, number)));
        }
        places.sort_unstable();
        let mut found = vec![Vec::new(); asked.len()];
        for (index, number) in places {
            let (stream, after) = &asked[number];
            if found[number].len() == limit {
                continue;
            }
            let Some(placed) = self.events_from(self.places[index])?.next() else { break };
            let record = self.event(index, placed)?;
            if record.event.stream == *stream && record.event.sequence > *after {
                found[number].push(record);
            }
        }
        Ok(found)
    }

    fn events_from(&self, place: u64) -> Result<Box<dyn Iterator<Item = Result<Placed, String>> + '_>, ReadError> {
        let unavailable = |error| ReadError::Unavailable(format!("{}: {error}", self.path.display()));
        self.source.from(place).map_err(unavailable)
    }

    fn event(&self, index: usize, placed: Result<Placed, String>) -> Result<Recorded, ReadError> {
        let damaged = |reason| ReadError::Damaged { position: self.first + index as u64, reason };
        placed.map(|(record, _)| record).map_err(damaged)
    }
}

fn hash(stream: &StreamId) -> u64 {
    let mut hasher = DefaultHasher::new();
    stream.hash(&mut hasher);
    hasher.finish()
}

impl ExportLog {
    async fn with_file<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Indexed) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let file = Arc::clone(&self.file);
        let done = tokio::task::spawn_blocking(move || work(&file)).await;
        done.map_err(|error| ReadError::Unavailable(error.to_string()))?
    }
}

fn only_read() -> String {
    "an export can only be read; import it into a log first".to_owned()
}

#[async_trait]
impl Log for ExportLog {
    fn id(&self) -> Uuid {
        self.manifest.log
    }

    async fn append(&self, _: Position, _: Vec<Proposed>) -> Result<Position, AppendError> {
        Err(AppendError::Unavailable(only_read()))
    }

    async fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        self.with_file(move |file| file.read(after, limit)).await
    }

    async fn read_stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        let mut found = self.read_streams(vec![(stream.clone(), after)], limit).await?;
        Ok(found.pop().unwrap_or_default())
    }

    async fn read_streams(&self, streams: Vec<(StreamId, Sequence)>, limit: usize) -> Result<Vec<Vec<Recorded>>, ReadError> {
        self.with_file(move |file| file.read_streams(&streams, limit)).await
    }

    async fn find_scopes(&self, scopes: Vec<String>) -> Result<Vec<Option<Position>>, ReadError> {
        self.with_file(move |file| {
            let mut found = vec![None; scopes.len()];
            for (placed, index) in file.events_from(0)?.zip(0..) {
                let record = file.event(index, placed)?;
                let scope = record.event.idempotency_scope.as_ref();
                if let Some(asked) = scopes.iter().position(|asked| Some(asked) == scope) {
                    found[asked] = Some(record.position);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn head(&self) -> Result<Head, ReadError> {
        Ok(self.head)
    }

    fn watch(&self) -> watch::Receiver<Position> {
        self.watch.subscribe()
    }
}

/// An export holds events and nothing else: no snapshot, no checkpoint, no task.
#[async_trait]
impl Bookkeeping for ExportLog {
    async fn load_snapshots(&self, streams: Vec<StreamId>) -> Result<Vec<Option<Snapshot>>, ReadError> {
        Ok(vec![None; streams.len()])
    }

    async fn list_snapshots(&self, _: Option<StreamId>, _: usize) -> Result<Vec<Snapshot>, ReadError> {
        Ok(Vec::new())
    }

    async fn save_snapshots(&self, _: Vec<Snapshot>) -> Result<(), ReadError> {
        Err(ReadError::Unavailable(only_read()))
    }

    async fn checkpoint(&self, _: &str) -> Result<Position, ReadError> {
        Ok(0)
    }

    async fn save_progress(&self, _: event_store::Progress) -> Result<(), ReadError> {
        Err(ReadError::Unavailable(only_read()))
    }

    async fn due_tasks(&self, _: &str, _: Timestamp, _: usize) -> Result<Vec<Task>, ReadError> {
        Ok(Vec::new())
    }

    async fn next_due(&self, _: &str) -> Result<Option<Timestamp>, ReadError> {
        Ok(None)
    }

    async fn dead_letters(&self) -> Result<Vec<Task>, ReadError> {
        Ok(Vec::new())
    }
}
