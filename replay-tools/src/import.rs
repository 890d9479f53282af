//! `import`: makes a log of an export again, event by event as it was: positions, ids, times, bytes and digests.

use std::{
    fs::OpenOptions,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use clap::Args;
use event_schemas::{Position, Recorded};
use event_store::{AppendError, Log};

use crate::{ExportLog, Failure, LogUrl, Progress, Report, export_file::beside};

/// How many events are written at once.
const PAGE: usize = 1_000;

/// What to import, and into which log.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The export, in any format. Its manifest must stand beside it and says in which.
    file: PathBuf,
    /// The log to write: made if there is none (and taken away again if that fails), gone on with if it holds the beginning of
    /// the export and nothing else.
    #[command(flatten)]
    log: LogUrl,
}

impl ImportArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let export = ExportLog::open(&self.file)?;
        let made = Made::at(&self.log.log);
        let (imported, to) = match into(&export, &self.log.log).await {
            Ok(imported) => imported,
            Err(failure) => return Err(made.away(failure, &export).await),
        };
        let manifest = export.manifest();
        let (root, there) = (&manifest.root, manifest.events - imported);
        let text =
            format!("imported {imported} events ({there} were there before): positions {} to {to}\nroot {root}\n", manifest.from);
        let json = serde_json::json!({
            "from": manifest.from, "to": to, "events": manifest.events, "imported": imported, "root": root
        });
        Ok(Report { ok: true, text, json })
    }
}

/// Imports into the log at an address, and gives how many events were appended and where it ends then.
async fn into(export: &ExportLog, url: &str) -> Result<(u64, Position), Failure> {
    let log = event_store::open(url).await?;
    let imported = import(export, &*log).await?;
    Ok((imported, log.head().await?.position))
}

/// The file of a log that was not there, made empty: whoever has made it may take it away again.
struct Made(Option<PathBuf>);

impl Made {
    fn at(url: &str) -> Self {
        let path = url.strip_prefix("sqlite:").filter(|path| !path.is_empty()).map(PathBuf::from);
        Self(path.filter(|path| OpenOptions::new().write(true).create_new(true).open(path).is_ok()))
    }

    /// Takes it away after a failure, unless there is anything in it, looked at right before, that is not of the export: another
    /// process has written to it meanwhile.
    async fn away(self, failure: Failure, export: &ExportLog) -> Failure {
        let Some(path) = self.0 else { return failure };
        if matches!(failure, Failure::Append(AppendError::HeadMoved { .. })) || !is_only(export, &path).await.unwrap_or(false) {
            let path = path.display();
            return Failure::Refused(format!(
                "{failure}; and {path} is left as it is: it may hold what another process has written"
            ));
        }
        for path in [beside(&path, "-wal"), beside(&path, "-shm"), path] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Failure::Refused(format!("{failure}; and {} cannot be removed: {error}", path.display()));
                }
                Ok(()) | Err(_) => {}
            }
        }
        failure
    }
}

/// Whether the log in a file holds a beginning of the export and nothing else.
async fn is_only(export: &ExportLog, path: &Path) -> Result<bool, Failure> {
    // On a full disk not even an empty log could be made in it, and there is none to open.
    if is_empty(path) && is_empty(&beside(path, "-wal")) {
        return Ok(true);
    }
    let log = event_store::open_read_only(&format!("sqlite:{}", path.display())).await?;
    let (there, from, to) = (log.head().await?.position, export.manifest().from, export.head().await?.position);
    let is_beside = there > to || (there > 0 && from > 1) || !log.list_snapshots(None, 1).await?.is_empty();
    if is_beside { Ok(false) } else { compare(export, &*log, from, there).await.map(|()| true) }
}

/// Whether nothing was ever written to a file.
fn is_empty(path: &Path) -> bool {
    std::fs::metadata(path).map_or_else(|error| error.kind() == ErrorKind::NotFound, |file| file.len() == 0)
}

/// Appends an export to a log that ends inside it or right before it, and gives how many events were appended.
///
/// # Errors
/// If the log has anything that the export has not, an event is not what was recorded, or the log cannot be written.
pub async fn import(export: &ExportLog, log: &dyn Log) -> Result<u64, Failure> {
    let (from, to) = (export.manifest().from, export.head().await?.position);
    let there = log.head().await?.position;
    if there + 1 < from || there > to {
        return Err(Failure::Refused(format!("the log ends at position {there}, and the export goes from {from} to {to}")));
    }
    compare(export, log, from, there).await?;
    let mut progress = Progress::new("importing", to - there);
    let mut head = there;
    while head < to {
        let page = export.read(head, PAGE).await?;
        for record in &page {
            if !record.is_intact() {
                let position = record.position;
                return Err(Failure::Refused(format!("position {position} of the export was changed after it was recorded")));
            }
        }
        head = log.append(head, page.into_iter().map(|record| record.event).collect()).await?;
        progress.tick(head - there);
    }
    Ok(to - there)
}

/// Holds what the log has already against the export.
async fn compare(export: &ExportLog, log: &dyn Log, from: Position, there: Position) -> Result<(), Failure> {
    let mut after = from - 1;
    while after < there {
        let ours = log.read(after, PAGE).await?;
        let theirs = export.read(after, ours.len()).await?;
        let differs = |(ours, theirs): &(&Recorded, &Recorded)| ours != theirs;
        if let Some((ours, _)) = ours.iter().zip(&theirs).find(differs) {
            let position = ours.position;
            return Err(Failure::Refused(format!("the log has another event at position {position} than the export")));
        }
        let Some(last) = ours.last() else { break };
        after = last.position;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use event_schemas::{Proposed, StreamId, Timestamp};
    use event_store::MemoryLog;
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;
    use crate::{Asked, Format, Selection, export};

    /// An event of a stream of its own. What it says means nothing here.
    fn event(number: u128) -> Proposed {
        let at = Timestamp::from_timestamp(1_767_225_600, 0).unwrap();
        Proposed {
            event_id: Uuid::from_u128(number),
            stream: StreamId::new("stock", number.to_string()),
            sequence: 1,
            event_type: "StockHallmarked".into(),
            event_version: 1,
            payload: "{}".to_owned(),
            metadata: "{}".to_owned(),
            recorded_at: at,
            occurred_at: at,
            idempotency_scope: None,
        }
    }

    /// What becomes of a log that an import had made, which holds these events when it fails; of its file if not even a log was
    /// made.
    async fn left(events: Option<Vec<Proposed>>) -> (bool, String) {
        let folder = TempDir::new().unwrap();
        let (log, file) = (MemoryLog::new(), folder.path().join("shop.jsonl"));
        log.append(0, vec![event(1), event(2), event(3)]).await.unwrap();
        let asked = Asked { format: Format::Jsonl, from: 1, to: 3, selection: Selection::default(), resume: false };
        export(&log, &file, asked).await.unwrap();
        let path = folder.path().join("copy.db");
        let url = format!("sqlite:{}", path.display());
        let made = Made::at(&url);
        if let Some(events) = events {
            let copy = event_store::open(&url).await.unwrap();
            if !events.is_empty() {
                copy.append(0, events).await.unwrap();
            }
        }
        let failure = Failure::Refused("the disk is full".to_owned());
        let said = made.away(failure, &ExportLog::open(&file).unwrap()).await.to_string();
        let mut names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        (names.any(|name| name.to_string_lossy().starts_with("copy.db")), said)
    }

    #[tokio::test]
    async fn what_a_failed_import_made_goes_away_unless_another_process_has_written_to_it() {
        let away = (false, "the disk is full".to_owned());
        assert_eq!(left(None).await, away);
        assert_eq!(left(Some(vec![])).await, away);
        assert_eq!(left(Some(vec![event(1), event(2)])).await, away);
        for events in [vec![event(9)], vec![event(1), event(9)], (1..=4).map(event).collect()] {
            let (is_there, said) = left(Some(events)).await;
            assert!(is_there && said.contains("is left as it is"), "{said}");
        }
    }
}
