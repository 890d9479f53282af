//! `daybook bench commands`: how many decided, durable commands a second, against a raw group commit in the same run.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use clap::Args;
use domain::ReceiveStock;
use engine::{CommandError, Engine, Limits, SystemClock, SystemIds};
use event_schemas::{LocationId, Metadata, Sku, StockId};
use event_store::Log;
use serde::Serialize;

use super::{
    BenchError,
    measure::{Measured, closed_loop},
    raw_log::RawLog,
    table::{decimal, print_table},
};

/// Slices of a measurement: ours and the baseline take turns, so that what else the machine does hits both.
const TURNS: u32 = 4;

/// `daybook bench commands`
#[derive(Debug, Args)]
pub struct CommandsArgs {
    /// How many callers wait for their own answer at the same time; several measurements by comma.
    #[arg(long, env = "DAYBOOK_SUBMITTERS", value_delimiter = ',', default_value = "1,16,64,256")]
    submitters: Vec<usize>,
    /// How long each measurement takes, in seconds, for ours and for the baseline.
    #[arg(long, env = "DAYBOOK_SECONDS", default_value_t = 5)]
    seconds: u64,
    /// The log to write to (it must be new); a temporary SQLite file if absent.
    #[arg(long, env = "DAYBOOK_BENCH_EVENTS", hide_env_values = true)]
    events: Option<String>,
    /// Print one JSON object instead of a table.
    #[arg(long, env = "DAYBOOK_JSON")]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    aggregates: &'static str,
    submitters: usize,
    commands_per_s: f64,
    raw_per_s: f64,
    ratio: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Whether each command has its own aggregate or all have the same.
#[derive(Clone, Copy, PartialEq)]
enum Aggregates {
    /// Every command goes to an aggregate that is not at hand: the engine has to ask the log for it.
    Cold,
    /// All commands go to one aggregate.
    Hot,
}

/// Measures and prints.
///
/// # Errors
/// When a log cannot be opened or a command fails.
pub async fn run(args: CommandsArgs) -> Result<(), BenchError> {
    let folder = tempfile::tempdir()?;
    let url = args.events.clone().unwrap_or_else(|| format!("sqlite:{}", folder.path().join("events.db").display()));
    let log = event_store::open(&url).await?;
    let engine = Engine::start(log.clone(), Arc::new(SystemClock), Arc::new(SystemIds), Limits::default()).await?;
    let row_bytes = row_bytes(&engine, &*log).await?;
    let slice = Duration::from_secs(args.seconds.max(1)) / TURNS;
    let mut rows = Vec::new();
    for aggregates in [Aggregates::Cold, Aggregates::Hot] {
        for submitters in &args.submitters {
            let row = measure(&engine, folder.path(), row_bytes, aggregates, *submitters, slice).await?;
            eprintln!("{} {submitters}: {:.0}/s", row.aggregates, row.commands_per_s);
            rows.push(row);
        }
    }
    engine.drain().await;
    if args.json {
        println!("{}", serde_json::json!({ "rows": rows, "store": url.split(':').next(), "event_bytes": row_bytes }));
        return Ok(());
    }
    println!(
        "decided and durable commands, one event of {row_bytes} bytes each, against a raw group commit of rows of that size"
    );
    let cells = rows.iter().map(|row| {
        let figures = [row.commands_per_s, row.raw_per_s].map(|figure| decimal(figure, 0));
        let [ours, raw] = figures;
        let submitters = row.submitters.to_string();
        [row.aggregates.to_owned(), submitters, ours, raw, decimal(row.ratio, 2), decimal(row.p50_ms, 2), decimal(row.p99_ms, 2)]
    });
    print_table(["aggregates", "submitters", "commands/s", "raw/s", "ratio", "p50 ms", "p99 ms"], cells);
    Ok(())
}

async fn measure(
    engine: &Engine,
    folder: &Path,
    row_bytes: usize,
    aggregates: Aggregates,
    submitters: usize,
    slice: Duration,
) -> Result<Row, BenchError> {
    let (mut ours, mut raw) = (Measured::nothing()?, Measured::nothing()?);
    let name = if aggregates == Aggregates::Cold { "cold" } else { "hot" };
    let baseline = RawLog::open(&folder.join(format!("raw-{name}-{submitters}.db")), row_bytes)?;
    for _ in 0..TURNS {
        let writer = baseline.clone();
        let append = move |_, _| {
            let writer = writer.clone();
            async move { if writer.append().await { Ok(()) } else { Err(BenchError::BaselineStopped) } }
        };
        raw.add(&closed_loop(submitters, slice, append).await?);
        let engine = engine.clone();
        let command = move |_, _| {
            let engine = engine.clone();
            async move { receive(&engine, aggregates).await }
        };
        ours.add(&closed_loop(submitters, slice, command).await?);
    }
    let (commands_per_s, raw_per_s) = (ours.per_second(), raw.per_second());
    let (p50_ms, p99_ms) = (ours.quantile_ms(0.5), ours.quantile_ms(0.99));
    Ok(Row { aggregates: name, submitters, commands_per_s, raw_per_s, ratio: commands_per_s / raw_per_s, p50_ms, p99_ms })
}

async fn receive(engine: &Engine, aggregates: Aggregates) -> Result<(), BenchError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let command_id = engine.ids().next();
    let sku = match aggregates {
        Aggregates::Cold => format!("BENCH-{:012}", NEXT.fetch_add(1, Ordering::Relaxed)),
        Aggregates::Hot => "BENCH-HOT".to_owned(),
    };
    let stock = StockId { sku: Sku::new(sku)?, location: LocationId::new("main")? };
    let decision = ReceiveStock { stock, quantity: 1, reference: None };
    let metadata = Metadata {
        actor: "bench".to_owned(),
        command_id,
        correlation_id: None,
        causation_id: None,
        trace_id: None,
        idempotency: None,
    };
    engine.submit(decision, metadata).await.map(|_| ()).map_err(|error: CommandError| BenchError::Command(error.to_string()))
}

/// What one event of these commands takes in the log, so that the baseline writes as much.
async fn row_bytes(engine: &Engine, log: &dyn Log) -> Result<usize, BenchError> {
    receive(engine, Aggregates::Hot).await?;
    let head = log.head().await?;
    let page = log.read(head.position - 1, 1).await?;
    let of = |recorded: &event_schemas::Recorded| {
        let event = &recorded.event;
        let texts =
            [&*event.stream.aggregate_type, &event.stream.aggregate_id, &event.event_type, &event.payload, &event.metadata];
        // Event id and the two times as text, and the digest.
        texts.iter().map(|text| text.len()).sum::<usize>() + 36 + 27 + 27 + 32
    };
    Ok(page.first().map_or(350, of))
}
