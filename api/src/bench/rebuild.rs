//! `daybook bench rebuild`: how fast every view is folded from the log, against reading and decoding the same log, on as many
//! threads and in pages of the same size.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use event_schemas::{Position, Recorded};
use event_store::{Log, ReadError};
use projections::Views;
use serde_json::json;
use tokio::task::JoinHandle;

use super::{
    BenchError,
    table::{decimal, print_table},
};
use crate::demo;

/// Events read at once: as many as a rebuild reads.
const PAGE: usize = 8_192;

/// `daybook bench rebuild`
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// The log to fold, such as sqlite:./daybook-data/events.db; the demo shop's if absent.
    #[arg(long, env = "DAYBOOK_BENCH_LOG", hide_env_values = true, value_name = "URL")]
    log: Option<String>,
    /// Print one JSON object instead of a table.
    #[arg(long, env = "DAYBOOK_JSON")]
    json: bool,
}

/// Folds into fresh views in a temporary folder, and prints how fast.
///
/// # Errors
/// When the log cannot be read or folded.
pub async fn run(args: RebuildArgs) -> Result<(), BenchError> {
    let folder = tempfile::tempdir()?;
    let log = match &args.log {
        Some(url) => event_store::open_read_only(url).await?,
        None => {
            let log = event_store::open(&format!("sqlite:{}", folder.path().join("events.db").display())).await?;
            demo::fill(&*log, &super::persons(folder.path()).await?, chrono::Utc::now().date_naive()).await?;
            log
        }
    };
    // Before and after, so that what the machine did meanwhile shows in both.
    let before = decode_all(&log).await?;
    let views = Views::open(&format!("sqlite:{}", folder.path().join("views.db").display()))?;
    let report = projections::rebuild(log.clone(), &views, projections::ALL, |_| {}).await?;
    let after = decode_all(&log).await?;
    let events = report.position as f64;
    let decoded_per_s = 2.0 * events / (before + after).as_secs_f64();
    let events_per_s = events / report.elapsed.as_secs_f64();
    let ratio = events_per_s / decoded_per_s;
    if args.json {
        let view = |view: &projections::RebuiltView| {
            json!({ "name": view.name, "version": view.version, "events": view.events, "rows": view.rows,
                "seconds": view.spent.as_secs_f64(), "events_per_s": events / view.spent.as_secs_f64() })
        };
        let views: Vec<_> = report.views.iter().map(view).collect();
        println!(
            "{}",
            json!({ "views": views, "seconds": report.elapsed.as_secs_f64(), "events": report.position,
            "events_per_s": events_per_s, "decoded_per_s": decoded_per_s, "ratio": ratio })
        );
        return Ok(());
    }
    let rows = report.views.iter().map(|view| {
        let seconds = view.spent.as_secs_f64();
        [view.name.to_owned(), view.rows.to_string(), decimal(seconds, 3), decimal(events / seconds, 0)]
    });
    print_table(["view", "rows", "seconds", "events/s"], rows);
    println!(
        "all views: {} events in {:.2} s, {events_per_s:.0}/s; reading and decoding alone, reading ahead as well: \
         {decoded_per_s:.0}/s; ratio {ratio:.2}",
        report.position,
        report.elapsed.as_secs_f64()
    );
    Ok(())
}

/// Reads and decodes every event, and gives the time it took. A rebuild reads ahead while it folds, so this has two threads as
/// well: the next page is read while one is decoded.
async fn decode_all(log: &Arc<dyn Log>) -> Result<Duration, BenchError> {
    let begun = Instant::now();
    let mut ahead = read(log, 0);
    loop {
        let page = ahead.await.map_err(std::io::Error::from)??;
        let Some(last) = page.last() else { return Ok(begun.elapsed()) };
        ahead = read(log, last.position);
        for recorded in &page {
            std::hint::black_box(recorded.decode()?);
        }
    }
}

fn read(log: &Arc<dyn Log>, after: Position) -> JoinHandle<Result<Vec<Recorded>, ReadError>> {
    let log = Arc::clone(log);
    tokio::spawn(async move { log.read(after, PAGE).await })
}
