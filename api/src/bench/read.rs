//! `daybook bench read`: how many queries a second a running server answers, against a bare GraphQL server of the same run, each
//! in a process of its own.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::{
    BenchError,
    bare_server::BareServer,
    client::Client,
    measure::{Measured, closed_loop},
    table::{decimal, print_table},
};

const TRIVIAL: &str = "{ __typename }";
const LIST: &str =
    "{ products(first: 20) { nodes { id title slug variants { sku name price(currency: \"EUR\") { amountMinor currency } } } } }";
/// The same list as the baseline's schema spells it.
const BARE_LIST: &str =
    "{ products(first: 20) { nodes { id title slug variants { sku name price { amountMinor currency } } } } }";
/// Slices of a measurement: ours and the baseline take turns.
const TURNS: u32 = 4;

/// `daybook bench read`
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// The server to ask.
    #[arg(long, env = "DAYBOOK_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// How many connections ask at the same time.
    #[arg(long, env = "DAYBOOK_CONCURRENCY", default_value_t = 16)]
    concurrency: usize,
    /// How long each measurement takes, in seconds, for the server and for the baseline.
    #[arg(long, env = "DAYBOOK_SECONDS", default_value_t = 5)]
    seconds: u64,
    /// Print one JSON object instead of a table.
    #[arg(long, env = "DAYBOOK_JSON")]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    query: &'static str,
    answer_bytes: usize,
    queries_per_s: f64,
    baseline_per_s: f64,
    ratio: f64,
    p50_ms: f64,
    p99_ms: f64,
    baseline_p99_ms: f64,
}

/// Asks, and prints how fast.
///
/// # Errors
/// When the server cannot be reached or answers with errors.
pub async fn run(args: ReadArgs) -> Result<(), BenchError> {
    let server = Client::new(&args.url);
    let listed = server.run(LIST, json!({})).await?;
    let bare_server = BareServer::start(&listed["products"]["nodes"])?;
    let baseline = Client::new(&bare_server.url);
    let slice = Duration::from_secs(args.seconds.max(1)) / TURNS;
    let mut rows = Vec::new();
    for (query, ours, bare) in [("trivial", TRIVIAL, TRIVIAL), ("20 products", LIST, BARE_LIST)] {
        let (mut measured, mut bare_measured) = (Measured::nothing()?, Measured::nothing()?);
        for _ in 0..TURNS {
            bare_measured.add(&ask(&baseline, bare, args.concurrency, slice).await?);
            measured.add(&ask(&server, ours, args.concurrency, slice).await?);
        }
        let (queries_per_s, baseline_per_s) = (measured.per_second(), bare_measured.per_second());
        rows.push(Row {
            query,
            answer_bytes: server.post(request(ours)?).await?.len(),
            queries_per_s,
            baseline_per_s,
            ratio: queries_per_s / baseline_per_s,
            p50_ms: measured.quantile_ms(0.5),
            p99_ms: measured.quantile_ms(0.99),
            baseline_p99_ms: bare_measured.quantile_ms(0.99),
        });
    }
    if args.json {
        println!("{}", json!({ "rows": rows, "concurrency": args.concurrency }));
        return Ok(());
    }
    println!(
        "queries over {} connections, against a bare async-graphql server that answers from memory in a process of its own",
        args.concurrency
    );
    let cells = rows.iter().map(|row| {
        let [ours, bare] = [row.queries_per_s, row.baseline_per_s].map(|figure| decimal(figure, 0));
        let [ratio, p50, p99, bare_p99] =
            [row.ratio, row.p50_ms, row.p99_ms, row.baseline_p99_ms].map(|figure| decimal(figure, 2));
        [row.query.to_owned(), row.answer_bytes.to_string(), ours, bare, ratio, p50, p99, bare_p99]
    });
    print_table(["query", "bytes", "queries/s", "baseline/s", "ratio", "p50 ms", "p99 ms", "baseline p99"], cells);
    Ok(())
}

fn request(query: &str) -> Result<Vec<u8>, BenchError> {
    Ok(serde_json::to_vec(&json!({ "query": query }))?)
}

async fn ask(client: &Client, query: &str, concurrency: usize, slice: Duration) -> Result<Measured, BenchError> {
    let (client, body) = (client.clone(), request(query)?);
    let ask = move |_, _| {
        let (client, body) = (client.clone(), body.clone());
        async move { client.post(body).await.map(|_| ()) }
    };
    closed_loop(concurrency, slice, ask).await
}
