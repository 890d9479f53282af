//! Opens what an auditor may be given: a log, or an export of one.

use std::{path::Path, sync::Arc};

use event_store::Log;

use crate::{ExportLog, Failure};

/// Opens a log to read: `sqlite:PATH`, `postgres://…`, or `jsonl:PATH`, `csv:PATH` or `parquet:PATH` for an export, whose
/// manifest says which of the three it is.
///
/// # Errors
/// If it is not there, not a log, or an export that is not what its manifest says.
pub async fn open(url: &str) -> Result<Arc<dyn Log>, Failure> {
    match ["jsonl:", "csv:", "parquet:"].iter().find_map(|kind| url.strip_prefix(kind)) {
        Some(path) => Ok(Arc::new(ExportLog::open(Path::new(path))?)),
        None => Ok(event_store::open_read_only(url).await?),
    }
}
