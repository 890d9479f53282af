//! The verb `daybook import`: opens the shop's log, brings a source in, and prints the reconciliation.

use std::{io, path::Path, sync::Arc};

use clap::Args;
use engine::{Engine, Limits, LogClock, SystemIds};
use vault::Persons;

use crate::{
    accounts,
    cli::{ShopArgs, say},
    data_folder::{DataFolder, DataFolderError, FolderUse},
    import::{ImportSource, Progress, Reconciliation, import},
    lost_vault, start_logging,
};

/// Flags of `daybook import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  daybook import online-retail online_retail_II_2009-2010.csv.zst --data ./shop
  daybook import olist ./olist --data ./market --json > reconciliation.json

An import can be stopped and run again: it goes on where it was, and a second run adds nothing. It ends with a
reconciliation of every row and of the money; rows that cannot be represented are listed with the reason.")]
pub struct ImportArgs {
    /// Where the shop is kept.
    #[command(flatten)]
    pub shop: ShopArgs,
    /// What to import.
    #[command(subcommand)]
    pub source: ImportSource,
}

/// Why the verb failed, as the operator reads it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Imports a source into the shop's log. The shop must not be served meanwhile; its views follow when it is next.
///
/// # Errors
/// When the shop cannot be opened, the source cannot be read, or the log cannot be written.
pub fn run(args: ImportArgs) -> Result<(), Failure> {
    start_logging(args.shop.log_format, &args.shop.log_level)?;
    // What is elsewhere as well belongs together with the key in the folder.
    let is_alone = args.shop.events.is_none() && args.shop.vault.is_none();
    let is_new = is_alone && is_made(&args.shop.data)?;
    let folder = DataFolder::create(&args.shop.data)?;
    let _lock = folder.lock_with_log(FolderUse::of(&[&args.shop.events]), args.shop.events.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let reconciliation = match runtime.block_on(bring_in(&args, &folder)) {
        Ok(reconciliation) => reconciliation,
        Err(failure) => {
            if is_new && runtime.block_on(is_empty(&folder)) {
                std::fs::remove_dir_all(&args.shop.data)?;
            }
            return Err(failure);
        }
    };
    if args.shop.json {
        say(reconciliation.to_json())?;
    } else {
        say(reconciliation.to_string().trim_end())?;
    }
    // The past of another system has rows that no event can be made of; a merchant's own rows are wishes.
    match reconciliation.unrepresented().len() {
        refused @ 1.. if matches!(args.source, ImportSource::Csv { .. }) => Err(format!("{refused} rows were refused").into()),
        _ => Ok(()),
    }
}

async fn bring_in(args: &ImportArgs, folder: &DataFolder) -> Result<Reconciliation, Failure> {
    let config = folder.settings()?;
    let events = args.shop.events.as_deref();
    let log = event_store::open(&events.map_or_else(|| folder.sqlite_url("events.db"), str::to_owned)).await?;
    let vault = accounts::open_vault(folder, args.shop.vault.as_deref(), events).await?;
    lost_vault::must_not_be_lost(&vault, &*log, false).await?;
    let clock = Arc::new(LogClock::of(&*log).await?);
    let engine = Engine::start(log, clock, Arc::new(SystemIds), Limits::default()).await?;
    let result = import(&args.source, &config, &engine, &Persons::new(vault), &mut tell).await;
    engine.drain().await;
    Ok(result?)
}

/// Makes a folder; whether it was made here: one that was there, whatever it holds, is not to be removed.
fn is_made(path: &Path) -> Result<bool, DataFolderError> {
    let unusable = |error| DataFolderError::Unusable(path.to_owned(), error);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(unusable)?;
    }
    match std::fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(unusable(error)),
    }
}

/// Whether nothing was brought into a folder that was made for it: nobody is to serve the empty shop in there. An import that
/// came further is gone on with by the next.
async fn is_empty(folder: &DataFolder) -> bool {
    match event_store::open_read_only(&folder.sqlite_url("events.db")).await {
        Ok(log) => log.head().await.is_ok_and(|head| head.position == 0),
        // What cannot be looked at is not known to be nothing.
        Err(_) => folder.has("events.db").is_ok_and(|there| !there),
    }
}

/// Progress goes to standard error, so that standard output is the reconciliation alone.
fn tell(progress: Progress) {
    let Progress { rows, rows_total, events, elapsed } = progress;
    let seconds = elapsed.as_secs_f64().max(0.001);
    eprintln!("{rows} of {rows_total} rows, {events} events, {:.0} rows/s", rows as f64 / seconds);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_folder_that_was_made_for_the_import_and_is_known_to_hold_nothing_may_go() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("shops").join("tea");
        assert!(is_made(&path).unwrap());
        assert!(!is_made(&path).unwrap(), "it was there");
        let file = scratch.path().join("note");
        std::fs::write(&file, "").unwrap();
        assert!(!is_made(&file).is_ok_and(|made| made));
        assert!(is_made(&file.join("tea")).is_err());

        let folder = DataFolder::existing(&path).unwrap();
        assert!(is_empty(&folder).await, "no log was made");
        drop(event_store::open(&folder.sqlite_url("events.db")).await.unwrap());
        assert!(is_empty(&folder).await, "nothing is in it");
        let unreadable = DataFolder::create(&scratch.path().join("unreadable")).unwrap();
        std::fs::write(unreadable.file("events.db"), "what is this").unwrap();
        assert!(!is_empty(&unreadable).await, "it may hold anything");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_log_that_cannot_be_looked_for_may_be_there() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = DataFolder::create(scratch.path()).unwrap();
        std::os::unix::fs::symlink("events.db", folder.file("events.db")).unwrap();
        assert!(!folder.file("events.db").exists() && !is_empty(&folder).await);
    }
}
