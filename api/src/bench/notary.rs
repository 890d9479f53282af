//! `daybook bench notary`: what the notary costs those who write, and how far it is behind them, in one run.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use event_store::Log;
use notary::{Notary, NotaryConfig, SigningKey};
use serde::Serialize;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    BenchError,
    contender::{self, Aggregates, Contender, Nodes},
    measure::Measured,
    table::{decimal, print_table},
};

/// Slices of a measurement: the two take turns, so that what else the machine does hits both.
const TURNS: u32 = 10;

/// How often the notary's lag is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// `daybook bench notary`
#[derive(Debug, Args)]
pub struct NotaryArgs {
    /// How many callers wait for their own answer at the same time; several measurements by comma.
    #[arg(long, env = "DAYBOOK_SUBMITTERS", value_delimiter = ',', default_value = "1,64,256")]
    submitters: Vec<usize>,
    /// How long each measurement takes, in seconds, with and without the notary.
    #[arg(long, env = "DAYBOOK_SECONDS", default_value_t = 20)]
    seconds: u64,
    /// How often a head is signed, in milliseconds.
    #[arg(long, env = "DAYBOOK_SIGN_EVERY_MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..))]
    sign_every_ms: u64,
    /// Print one JSON object instead of a table.
    #[arg(long, env = "DAYBOOK_JSON")]
    json: bool,
}

/// One measurement.
#[derive(Debug, Serialize)]
struct Row {
    submitters: usize,
    without_per_s: f64,
    with_per_s: f64,
    /// What is left of the commands with the notary beside them.
    ratio: f64,
    lag_p50_ms: f64,
    /// The longest that any event waited until it was in the tree.
    lag_most_ms: f64,
}

/// Measures and prints.
///
/// # Errors
/// When a log cannot be opened or a command fails.
pub(super) async fn run(args: NotaryArgs) -> Result<(), BenchError> {
    let folder = tempfile::tempdir()?;
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let without: Arc<dyn Contender> = Arc::new(Nodes::start("without", &url("without.db"), 1).await?);
    let log = event_store::open(&url("with.db")).await?;
    let with: Arc<dyn Contender> = Arc::new(Nodes::on("with", vec![log.clone()]).await?);
    let key = SigningKey::generate("daybook/bench").map_err(|error| BenchError::Answer(error.to_string()))?;
    let config = NotaryConfig {
        folder: folder.path().join("notary"),
        origin: key.name().to_owned(),
        interval: Duration::from_millis(args.sign_every_ms),
        publish: None,
    };
    let notary = Arc::new(Notary::start(log.clone(), Arc::new(key), config));
    let time = Duration::from_secs(args.seconds.max(1)) / TURNS;
    let mut rows = Vec::new();
    for submitters in &args.submitters {
        let (mut lags, mut measured) = (Vec::new(), [Measured::nothing()?, Measured::nothing()?]);
        for _ in 0..TURNS {
            measured[0].add(&contender::run(&without, Aggregates::Cold, *submitters, time).await?);
            let (stop, watching) = watch_lag(&log, &notary);
            measured[1].add(&contender::run(&with, Aggregates::Cold, *submitters, time).await?);
            stop.send_replace(true);
            lags.extend(watching.await.unwrap_or_default());
        }
        lags.sort_by(f64::total_cmp);
        let [without_per_s, with_per_s] = measured.map(|measured| measured.per_second());
        let row = Row {
            submitters: *submitters,
            without_per_s,
            with_per_s,
            ratio: with_per_s / without_per_s,
            lag_p50_ms: lags.get(lags.len() / 2).copied().unwrap_or_default(),
            lag_most_ms: lags.last().copied().unwrap_or_default(),
        };
        eprintln!("{submitters}: {without_per_s:.0}/s without, {with_per_s:.0}/s with");
        rows.push(row);
    }
    notary.stop().await;
    let status = notary.status();
    if let Some(reason) = status.broken.or(status.trouble) {
        return Err(BenchError::Answer(reason));
    }
    if args.json {
        println!("{}", serde_json::json!({ "rows": rows, "events": status.size, "sign_every_ms": args.sign_every_ms }));
        return Ok(());
    }
    println!(
        "decided and durable commands, one event each, on SQLite: with a notary that signs every {} ms and without,\n\
         in {TURNS} turns; lag: until an event is in the tree",
        args.sign_every_ms
    );
    let cells = rows.iter().map(|row| {
        let [without, with] = [row.without_per_s, row.with_per_s].map(|rate| decimal(rate, 0));
        let [p50, most] = [row.lag_p50_ms, row.lag_most_ms].map(|ms| decimal(ms, 0));
        [row.submitters.to_string(), without, with, decimal(row.ratio, 3), p50, most]
    });
    print_table(["submitters", "without/s", "with/s", "ratio", "lag p50 ms", "lag max ms"], cells);
    Ok(())
}

/// Looks again and again how long it takes until the tree has what the log has, in milliseconds, until it is told to stop.
fn watch_lag(log: &Arc<dyn Log>, notary: &Arc<Notary>) -> (watch::Sender<bool>, JoinHandle<Vec<f64>>) {
    let (stop, stopped) = watch::channel(false);
    let (head, notary) = (log.watch(), notary.clone());
    let looking = async move {
        let mut lags = Vec::new();
        while !*stopped.borrow() {
            let (position, asked) = (*head.borrow(), Instant::now());
            notary.wait_for(position, Duration::from_secs(60)).await;
            lags.push(asked.elapsed().as_secs_f64() * 1000.0);
            tokio::time::sleep(LOOK).await;
        }
        lags
    };
    (stop, tokio::spawn(looking))
}
