//! `daybook bench commands`: how many decided, durable commands a second, against a raw group commit in the same run.

use std::{path::Path, sync::Arc, time::Duration};

use clap::Args;
use event_store::PostgresAddress;
use serde::Serialize;

use super::{
    BenchError,
    contender::{self, Aggregates, Contender, Nodes, Slice},
    measure::Measured,
    raw_log::RawLog,
    table::{decimal, print_table},
};

/// Slices of a measurement: all contenders take turns, so that what else the machine does hits each of them. Each begins with a
/// command that is not counted, and each hot one has an aggregate of its own.
const TURNS: u32 = 4;

/// `daybook bench commands`
#[derive(Debug, Args)]
pub struct CommandsArgs {
    /// How many callers wait for their own answer at the same time; several measurements by comma.
    #[arg(long, env = "DAYBOOK_SUBMITTERS", value_delimiter = ',', default_value = "1,16,64,256")]
    submitters: Vec<usize>,
    /// How long each measurement takes, in seconds, for each contender.
    #[arg(long, env = "DAYBOOK_SECONDS", default_value_t = 5)]
    seconds: u64,
    /// The log to write to (it must be new), an SQLite file or a PostgreSQL database, in which the baseline also gets its
    /// table; a temporary SQLite file if absent.
    #[arg(long, env = "DAYBOOK_BENCH_EVENTS", hide_env_values = true)]
    pub events: Option<String>,
    /// More than one: also so many nodes on the log (PostgreSQL), with the callers dealt out among them.
    #[arg(long, env = "DAYBOOK_NODES", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// Print one JSON object instead of a table.
    #[arg(long, env = "DAYBOOK_JSON")]
    json: bool,
}

/// One measurement of one contender, beside those of the same turns.
#[derive(Debug, Serialize)]
struct Row {
    aggregates: &'static str,
    submitters: usize,
    contender: &'static str,
    commands_per_s: f64,
    /// Of what the raw group commit did in the same turns.
    of_raw: f64,
    /// Of what one node of Daybook did in the same turns.
    of_daybook: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Measures and prints. `others` are measured in the same turns.
///
/// # Errors
/// When a log cannot be opened or a command fails.
pub async fn run(args: CommandsArgs, others: Vec<Arc<dyn Contender>>) -> Result<(), BenchError> {
    let folder = tempfile::tempdir()?;
    let url = args.events.clone().unwrap_or_else(|| format!("sqlite:{}", folder.path().join("events.db").display()));
    let one = Arc::new(Nodes::start("daybook", &url, 1).await?);
    let row_bytes = row_bytes(&one, &url).await?;
    let mut contenders: Vec<Arc<dyn Contender>> = vec![baseline(&url, folder.path(), row_bytes).await?, one.clone()];
    let mut more = None;
    if args.nodes > 1 {
        let nodes = Arc::new(Nodes::start("nodes", &url, args.nodes.into()).await?);
        contenders.push(nodes.clone());
        more = Some(nodes);
    }
    contenders.extend(others);
    let time = Duration::from_secs(args.seconds.max(1)) / TURNS;
    let mut rows = Vec::new();
    for aggregates in [Aggregates::Cold, Aggregates::Hot] {
        for submitters in &args.submitters {
            rows.extend(measure(&contenders, aggregates, *submitters, time).await?);
        }
    }
    one.drain().await;
    if let Some(nodes) = more {
        nodes.drain().await;
    }
    if args.json {
        let store = url.split(':').next();
        println!("{}", serde_json::json!({ "rows": rows, "store": store, "nodes": args.nodes, "event_bytes": row_bytes }));
        return Ok(());
    }
    println!(
        "decided and durable commands, one event of {row_bytes} bytes each, against a raw group commit of rows of that size;\n\
         in {TURNS} turns, after a command of each node that is not counted; hot: one new aggregate in each turn"
    );
    let cells = rows.iter().map(|row| {
        let Row { aggregates, submitters, contender, .. } = row;
        let [rate, of_raw, of_daybook] =
            [(row.commands_per_s, 0), (row.of_raw, 2), (row.of_daybook, 2)].map(|(x, n)| decimal(x, n));
        let [p50, p99] = [row.p50_ms, row.p99_ms].map(|ms| decimal(ms, 2));
        [(*aggregates).to_owned(), submitters.to_string(), (*contender).to_owned(), rate, of_raw, of_daybook, p50, p99]
    });
    print_table(["aggregates", "submitters", "what", "commands/s", "of raw", "of daybook", "p50 ms", "p99 ms"], cells);
    Ok(())
}

async fn baseline(url: &str, folder: &Path, row_bytes: usize) -> Result<Arc<dyn Contender>, BenchError> {
    Ok(Arc::new(if PostgresAddress::is_one(url) {
        RawLog::postgres(&PostgresAddress::parse(url)?, row_bytes).await?
    } else {
        RawLog::sqlite(&folder.join("raw.db"), row_bytes)?
    }))
}

async fn measure(
    contenders: &[Arc<dyn Contender>],
    aggregates: Aggregates,
    submitters: usize,
    time: Duration,
) -> Result<Vec<Row>, BenchError> {
    let mut measured: Vec<Measured> = contenders.iter().map(|_| Measured::nothing()).collect::<Result<_, _>>()?;
    for _ in 0..TURNS {
        for (contender, measured) in contenders.iter().zip(&mut measured) {
            measured.add(&contender::run(contender, aggregates, submitters, time).await?);
        }
    }
    let [raw, daybook] = [0, 1].map(|n| measured[n].per_second());
    let row = |(contender, measured): (&Arc<dyn Contender>, &Measured)| {
        let commands_per_s = measured.per_second();
        eprintln!("{} {submitters} {}: {commands_per_s:.0}/s", aggregates.name(), contender.name());
        Row {
            aggregates: aggregates.name(),
            submitters,
            contender: contender.name(),
            commands_per_s,
            of_raw: commands_per_s / raw,
            of_daybook: commands_per_s / daybook,
            p50_ms: measured.quantile_ms(0.5),
            p99_ms: measured.quantile_ms(0.99),
        }
    };
    Ok(contenders.iter().zip(&measured).map(row).collect())
}

/// What one event of these commands takes in the log, so that the baseline writes as much.
async fn row_bytes(daybook: &Nodes, url: &str) -> Result<usize, BenchError> {
    daybook.command(0, Slice::of(Aggregates::Hot)).await?;
    let log = event_store::open_read_only(url).await?;
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
