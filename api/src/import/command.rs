//! The verb `daybook import`: opens the shop's log, brings a source in, and prints the reconciliation.

use std::sync::Arc;

use clap::Args;
use engine::{Engine, Limits, LogClock, SystemIds};
use vault::Persons;

use crate::{
    accounts,
    cli::ShopArgs,
    data_folder::{DataFolder, FolderUse},
    import::{ImportSource, Progress, import},
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
    let folder = DataFolder::create(&args.shop.data)?;
    let _lock = folder.lock(FolderUse::of(&[&args.shop.events]))?;
    let config = folder.settings()?;
    let events = args.shop.events.clone();
    let url = args.shop.events.unwrap_or_else(|| folder.sqlite_url("events.db"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let reconciliation = runtime.block_on(async {
        let log = event_store::open(&url).await?;
        let vault = accounts::open_vault(&folder, args.shop.vault.as_deref(), events.as_deref()).await?;
        lost_vault::must_not_be_lost(&vault, &*log, false).await?;
        let clock = Arc::new(LogClock::of(&*log).await?);
        let engine = Engine::start(log, clock, Arc::new(SystemIds), Limits::default()).await?;
        let result = import(&args.source, &config, &engine, &Persons::new(vault), &mut tell).await;
        engine.drain().await;
        result.map_err(Failure::from)
    })?;
    if args.shop.json {
        println!("{}", reconciliation.to_json());
    } else {
        print!("{reconciliation}");
    }
    // The past of another system has rows that no event can be made of; a merchant's own rows are wishes.
    match reconciliation.unrepresented().len() {
        refused @ 1.. if matches!(args.source, ImportSource::Csv { .. }) => Err(format!("{refused} rows were refused").into()),
        _ => Ok(()),
    }
}

/// Progress goes to standard error, so that standard output is the reconciliation alone.
fn tell(progress: Progress) {
    let Progress { rows, rows_total, events, elapsed } = progress;
    let seconds = elapsed.as_secs_f64().max(0.001);
    eprintln!("{rows} of {rows_total} rows, {events} events, {:.0} rows/s", rows as f64 / seconds);
}
