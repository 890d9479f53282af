//! Opens what an auditor may be given: a log, or an export of one.

use std::{path::Path, sync::Arc};

use clap::ValueEnum as _;
use event_store::{Log, ReadError};

use crate::{ExportLog, Failure, Format, Manifest, export_file::MANIFEST};

/// Opens a log to read: `sqlite:PATH`, `postgres://…`, or `jsonl:PATH`, `csv:PATH` or `parquet:PATH` for an export, whose
/// manifest must say the same.
///
/// # Errors
/// If it is not there, not a log, or an export that is not what its manifest says.
pub async fn open(url: &str) -> Result<Arc<dyn Log>, Failure> {
    let (log, damage) = open_beginning(url).await?;
    damage.map_or(Ok(log), |damage| Err(damage.into()))
}

/// The same, but of an export that is damaged opens what can be read before the damage, and says what that is.
///
/// # Errors
/// As [`open`], but for damage that something can be read before.
pub(crate) async fn open_beginning(url: &str) -> Result<(Arc<dyn Log>, Option<ReadError>), Failure> {
    let named = url.split_once(':').and_then(|(kind, path)| Some((Format::from_str(kind, false).ok()?, path)));
    let Some((format, path)) = named else {
        let opened = event_store::open_read_only(url).await;
        return match opened {
            Ok(log) => Ok((log, None)),
            Err(error) => Err(meant_export(url).unwrap_or_else(|| error.into())),
        };
    };
    let path = Path::new(path);
    let encoding = Manifest::of(path)?.encoding;
    if encoding != format {
        let (shown, format, encoding) = (path.display(), format.name(), encoding.name());
        return Err(Failure::Refused(format!(
            "{shown} is not {format} but {encoding}, as its manifest says: {encoding}:{shown}"
        )));
    }
    let (log, damage) = ExportLog::open_beginning(path)?;
    Ok((Arc::new(log), damage))
}

/// What to write for an export that was named as if it were a log.
fn meant_export(url: &str) -> Option<Failure> {
    let path = Path::new(url.strip_prefix("sqlite:").unwrap_or(url));
    let in_folder = std::fs::read_dir(path).into_iter().flatten().filter_map(|entry| {
        let entry = entry.ok()?.path();
        Some(entry.with_file_name(entry.file_name()?.to_str()?.strip_suffix(MANIFEST)?))
    });
    let export = in_folder.min().unwrap_or_else(|| path.to_owned());
    let format = match Manifest::of(&export) {
        Ok(manifest) => manifest.encoding,
        Err(_) => Format::by_name(&export).filter(|_| !url.contains(':'))?,
    };
    let (format, export) = (format.name(), export.display());
    Some(Failure::Refused(format!("{url} is an export and no log: write {format}:{export}")))
}
