//! `import`: makes a log of an export again, event by event as it was: positions, ids, times, bytes and digests.

use std::{fs::OpenOptions, io::ErrorKind, path::PathBuf};

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
            Err(failure) => return Err(made.away(failure)),
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

    /// Takes it away after a failure, unless another process has written to it meanwhile.
    fn away(self, failure: Failure) -> Failure {
        if let Some(path) = self.0
            && !matches!(failure, Failure::Append(AppendError::HeadMoved { .. }))
        {
            for path in [beside(&path, "-wal"), beside(&path, "-shm"), path] {
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Failure::Refused(format!("{failure}; and {} cannot be removed: {error}", path.display()));
                    }
                    Ok(()) | Err(_) => {}
                }
            }
        }
        failure
    }
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
