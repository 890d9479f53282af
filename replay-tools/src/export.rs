//! `export`: writes events to a file that stands for itself, line by line, with a manifest of what must be in it.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use event_schemas::Position;
use event_store::Log;

use crate::{Failure, LogUrl, Manifest, Progress, Report, Selection, Tree, export_file, hex, json, open};

/// How many events are read at once.
const PAGE: usize = 1_000;

/// The formats of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object per line, one line per event, with a manifest beside the file.
    Jsonl,
}

/// What to export.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    log: LogUrl,
    /// The file to write; its manifest is written to FILE.manifest.json.
    #[arg(long, env = "DAYBOOK_OUT", value_name = "FILE")]
    out: PathBuf,
    /// The format.
    #[arg(long, env = "DAYBOOK_FORMAT", default_value = "jsonl")]
    format: Format,
    /// The first position.
    #[arg(long, env = "DAYBOOK_FROM", value_name = "POSITION", default_value_t = 1)]
    from: Position,
    /// The last position; the head if not told.
    #[arg(long, env = "DAYBOOK_TO", value_name = "POSITION")]
    to: Option<Position>,
    /// Only these streams, such as order/0197…, or all of a type, such as order; separated by commas.
    #[arg(long, env = "DAYBOOK_STREAMS", value_name = "STREAMS", value_delimiter = ',')]
    streams: Vec<String>,
    /// Only these event types, such as OrderPlaced; separated by commas.
    #[arg(long, env = "DAYBOOK_TYPES", value_name = "TYPES", value_delimiter = ',')]
    types: Vec<String>,
}

impl ExportArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let log = open(&self.log.log).await?;
        let Format::Jsonl = self.format;
        let selection = Selection { streams: self.streams, types: self.types };
        let manifest = export(&*log, &self.out, self.from, self.to, selection).await?;
        let Manifest { from, to, events, root, .. } = &manifest;
        let file = self.out.display();
        let text = format!("exported {events} events of positions {from} to {to} to {file}\nroot {root}\n");
        Ok(Report { ok: true, text, json: json(&manifest)? })
    }
}

/// Writes the events from `from` up to `to`, or to the head, that a selection takes. The file appears under its name when
/// it is whole, and its manifest after it.
///
/// # Errors
/// If the log cannot be read, an event is not what was recorded, or the file cannot be written.
pub async fn export(
    log: &dyn Log,
    out: &Path,
    from: Position,
    to: Option<Position>,
    selection: Selection,
) -> Result<Manifest, Failure> {
    let head = log.head().await?.position;
    let (from, to) = (from.max(1), to.unwrap_or(head));
    if to > head || from > to + 1 {
        return Err(Failure::Refused(format!("positions {from} to {to} are not in a log that ends at position {head}")));
    }
    let part = beside(out, ".part");
    let mut file = BufWriter::new(File::create(&part).map_err(Failure::file(&part))?);
    let mut progress = Progress::new("exporting", to + 1 - from);
    let (mut tree, mut after) = (Tree::default(), from - 1);
    while after < to {
        let limit = usize::try_from(to - after).unwrap_or(PAGE).min(PAGE);
        for record in log.read(after, limit).await? {
            if !record.is_intact() {
                let position = record.position;
                return Err(Failure::Refused(format!("position {position} was changed after it was recorded; see verify")));
            }
            if selection.takes(&record.event) {
                let line = export_file::to_line(&record).map_err(|error| Failure::Refused(error.to_string()))?;
                writeln!(file, "{line}").map_err(Failure::file(&part))?;
                tree.push(record.digest);
            }
            after = record.position;
        }
        progress.tick(after + 1 - from);
    }
    let file = file.into_inner().map_err(|error| Failure::file(&part)(error.into_error()))?;
    file.sync_all().map_err(Failure::file(&part))?;
    std::fs::rename(&part, out).map_err(Failure::file(out))?;
    let (format, events, root) = (export_file::FORMAT.to_owned(), tree.size(), hex(&tree.root()));
    let manifest = Manifest { format, log: log.id(), from, to, events, root, selection };
    write_manifest(&manifest, &Manifest::path_of(out))?;
    Ok(manifest)
}

fn write_manifest(manifest: &Manifest, path: &Path) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(manifest).map_err(|error| Failure::Refused(error.to_string()))?;
    let part = beside(path, ".part");
    std::fs::write(&part, text + "\n").map_err(Failure::file(&part))?;
    std::fs::rename(&part, path).map_err(Failure::file(path))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
