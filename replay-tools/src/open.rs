//! Opens what an auditor may be given: a log, or an export of one.

use std::{path::Path, sync::Arc};

use clap::ValueEnum as _;
use event_store::Log;

use crate::{ExportLog, Failure, Format, Manifest};

/// Opens a log to read: `sqlite:PATH`, `postgres://…`, or `jsonl:PATH`, `csv:PATH` or `parquet:PATH` for an export, whose
/// manifest must say the same.
///
/// # Errors
/// If it is not there, not a log, or an export that is not what its manifest says.
pub async fn open(url: &str) -> Result<Arc<dyn Log>, Failure> {
    let named = url.split_once(':').and_then(|(kind, path)| Some((Format::from_str(kind, false).ok()?, path)));
    let Some((format, path)) = named else { return Ok(event_store::open_read_only(url).await?) };
    let path = Path::new(path);
    let encoding = Manifest::of(path)?.encoding;
    if encoding != format {
        let (shown, format, encoding) = (path.display(), format.name(), encoding.name());
        return Err(Failure::Refused(format!(
            "{shown} is not {format} but {encoding}, as its manifest says: {encoding}:{shown}"
        )));
    }
    Ok(Arc::new(ExportLog::open(path)?))
}
