//! An export, opened as a log that can only be read: every verb works on a file without a database.

use std::{
    collections::HashMap,
    fs::File,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use event_schemas::{Position, Proposed, Recorded, Sequence, StreamId, Timestamp};
use event_store::{AppendError, Bookkeeping, Head, Log, ReadError, Snapshot, Task};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{Failure, Manifest, Tree, export_file::from_line, hex};

/// An export of a contiguous range of a log. Opening it reads it once and keeps where each line and stream stands: some
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
    first: Position,
    /// Where each line begins, in bytes, and at last where the file ends.
    offsets: Vec<u64>,
    /// The lines of each stream, by a hash of its id: readers look at the id again.
    streams: HashMap<u64, Vec<u32>>,
}

impl ExportLog {
    /// Opens an export and holds it against its manifest.
    ///
    /// # Errors
    /// If a line is missing, out of order or unreadable (named by position), or it is not what its manifest says.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let manifest = Manifest::of(path)?;
        if !manifest.selection.is_everything() {
            let path = path.display();
            return Err(Failure::Refused(format!("{path} holds a selection of events, which cannot stand in for a log")));
        }
        let mut file = Indexed { path: path.to_owned(), first: manifest.from, offsets: vec![0], streams: HashMap::new() };
        let (tree, recorded_at) = file.index()?;
        if tree.size() != manifest.events || hex(&tree.root()) != manifest.root {
            return Err(Failure::Refused(format!(
                "{} has {} events with root {}, and its manifest says {} with root {}",
                path.display(),
                tree.size(),
                hex(&tree.root()),
                manifest.events,
                manifest.root
            )));
        }
        let head = Head { position: (file.first + tree.size()).saturating_sub(1), recorded_at };
        Ok(Self { file: Arc::new(file), manifest, head, watch: watch::Sender::new(head.position) })
    }

    /// What the export says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

impl Indexed {
    /// Reads every line once. Gives the tree over their digests and when the last was recorded.
    fn index(&mut self) -> Result<(Tree, Option<Timestamp>), Failure> {
        let mut lines = BufReader::new(File::open(&self.path).map_err(Failure::file(&self.path))?);
        let (mut tree, mut recorded_at, mut text) = (Tree::default(), None, String::new());
        loop {
            let expected = self.first + tree.size();
            let damaged = |reason| ReadError::Damaged { position: expected, reason };
            text.clear();
            let bytes = lines.read_line(&mut text).map_err(|error| damaged(error.to_string()))?;
            if bytes == 0 {
                return Ok((tree, recorded_at));
            }
            let line = tree.size() + 1;
            let record = from_line(&text).map_err(|reason| damaged(format!("line {line} is not an event: {reason}")))?;
            if record.position != expected {
                return Err(damaged(format!("line {line} holds position {}", record.position)).into());
            }
            let index = u32::try_from(tree.size()).map_err(|_| damaged("the file has more than 2^32 events".to_owned()))?;
            self.streams.entry(hash(&record.event.stream)).or_default().push(index);
            self.offsets.push(self.offsets.last().unwrap_or(&0) + bytes as u64);
            recorded_at = Some(record.event.recorded_at);
            tree.push(record.digest);
        }
    }

    fn lines(&self) -> usize {
        self.offsets.len() - 1
    }

    fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        if after + 1 < self.first {
            let reason = format!("the export begins at position {}", self.first);
            return Err(ReadError::Damaged { position: after + 1, reason });
        }
        let begin = usize::try_from(after + 1 - self.first).unwrap_or(usize::MAX).min(self.lines());
        let end = begin.saturating_add(limit).min(self.lines());
        let mut lines = self.at(begin)?;
        (begin..end).map(|index| self.line(&mut lines, index)).collect()
    }

    fn read_stream(&self, stream: &StreamId, after: Sequence, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        let mut found = Vec::new();
        for index in self.streams.get(&hash(stream)).into_iter().flatten() {
            let index = *index as usize;
            let record = self.line(&mut self.at(index)?, index)?;
            if record.event.stream == *stream && record.event.sequence > after && found.len() < limit {
                found.push(record);
            }
        }
        Ok(found)
    }

    fn at(&self, index: usize) -> Result<BufReader<File>, ReadError> {
        let mut file = File::open(&self.path).map_err(|error| self.unavailable(&error))?;
        file.seek(SeekFrom::Start(self.offsets[index])).map_err(|error| self.unavailable(&error))?;
        Ok(BufReader::new(file))
    }

    fn line(&self, lines: &mut BufReader<File>, index: usize) -> Result<Recorded, ReadError> {
        let mut text = String::new();
        lines.read_line(&mut text).map_err(|error| self.unavailable(&error))?;
        from_line(&text).map_err(|reason| ReadError::Damaged { position: self.first + index as u64, reason })
    }

    fn unavailable(&self, error: &std::io::Error) -> ReadError {
        ReadError::Unavailable(format!("{}: {error}", self.path.display()))
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
        let stream = stream.clone();
        self.with_file(move |file| file.read_stream(&stream, after, limit)).await
    }

    async fn read_streams(&self, streams: Vec<(StreamId, Sequence)>, limit: usize) -> Result<Vec<Vec<Recorded>>, ReadError> {
        let read = move |file: &Indexed| {
            streams.iter().map(|(stream, after)| file.read_stream(stream, *after, limit)).collect::<Result<_, _>>()
        };
        self.with_file(read).await
    }

    async fn find_scopes(&self, scopes: Vec<String>) -> Result<Vec<Option<Position>>, ReadError> {
        self.with_file(move |file| {
            let mut found = vec![None; scopes.len()];
            let mut lines = file.at(0)?;
            for index in 0..file.lines() {
                let record = file.line(&mut lines, index)?;
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
