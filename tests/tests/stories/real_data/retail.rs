//! A wholesaler's year: UCI Online Retail II.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use api::import::ImportSource;
use chrono::NaiveDate;

use event_store::{Log, MemoryLog};
use serde_json::{Value, json};

use super::{
    import_into,
    odd_days::{Told, odd_days},
    real_data,
    sales_book::{Purchase, SalesBook},
    views_over,
};
use crate::process::{Killed, Process, binary};

const FILE: &str = "online_retail/online_retail_II_2009-2010.csv.zst";

/// The day half-way between the first and the last of the file.
const MIDDLE: &str = "2010-06-05";

/// The countries that the story compares one by one, as the file and as ISO 3166 call them. The rest is compared as a sum.
const COUNTRIES: [(&str, &str); 12] = [
    ("United Kingdom", "GB"),
    ("EIRE", "IE"),
    ("Netherlands", "NL"),
    ("Germany", "DE"),
    ("France", "FR"),
    ("Sweden", "SE"),
    ("Denmark", "DK"),
    ("Switzerland", "CH"),
    ("Spain", "ES"),
    ("Australia", "AU"),
    ("RSA", "ZA"),
    ("Channel Islands", "JE"),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_year_is_accounted_for_to_the_penny_and_answers_as_its_file_does() {
    let Some(file) = real_data(FILE) else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = event_store::open(&format!("sqlite:{}", folder.path().join("events.db").display())).await.unwrap();
    let source = ImportSource::OnlineRetail { file: file.clone() };
    let first = import_into(log.clone(), &source).await;
    let book = SalesBook::read(&file);

    assert_eq!((book.rows, book.sale_rows, book.credit_rows), (525_461, 511_565, 10_206), "the facts of the file");
    assert_eq!((book.sale_invoices.len(), book.credit_invoices.len()), (20_951, 4_592));
    let told = first.to_json();
    assert_eq!(told["rows_read"], book.rows);
    assert!(first.accounts_for_every_row(), "{first}");
    assert_eq!(told["totals"]["sales_minor"], book.sales);
    assert_eq!(told["totals"]["returns_minor"], book.returns);
    assert_eq!(told["totals"]["bad_debt_minor"], book.bad_debt);
    assert_eq!((book.sales, book.returns, book.bad_debt), (1_030_589_201, -62_985_537, -13_655_202));
    assert_eq!(told["totals"]["rounding"], "0.014");
    assert_eq!(told["orders"], 20_953, "every priced invoice, and two of free samples for a customer");
    assert_eq!(first.unrepresented().len(), 7, "carriage of nothing: {:?}", first.unrepresented());

    let head = log.head().await.unwrap().position;
    assert_eq!(told["events_written"], head);
    let second = import_into(log.clone(), &source).await;
    assert_eq!(second.events_written(), 0);
    assert_eq!(log.head().await.unwrap().position, head);
    assert_eq!((&second.to_json()["totals"], second.rows()), (&told["totals"], first.rows()));

    views_over(log.clone(), &format!("sqlite:{}", folder.path().join("views.db").display())).await;
    let analyst = Analyst::of_the_shop_in(folder.path());
    revenue(&analyst, "MONTH", &book.revenue_by_month).await;
    best_selling_products(&analyst, &book).await;
    net_of_returns_by_country(&analyst, &book).await;
    history_of_one_customer(&analyst, &book).await;
    anomalies_of_the_year(&analyst, &book, &*log).await;
    drop((analyst, log));
    the_year_as_it_was_at_its_middle(folder.path(), &file).await;
}

/// The shop as it was when half of the year had happened answers as the rows of the file up to there do.
async fn the_year_as_it_was_at_its_middle(folder: &Path, file: &Path) {
    let begun = Instant::now();
    let analyst = Analyst::of(folder, Process::serve_as_of(folder, &format!("occurred:{MIDDLE}T00:00:00Z")));
    println!("the year as it was on {MIDDLE}: ready after {:.1} s, with views built from nothing", begun.elapsed().as_secs_f64());
    let book = SalesBook::read_before(file, MIDDLE);
    assert!(book.revenue_by_day.len() > 100 && book.returns < 0, "half a year has sales and returns");
    revenue(&analyst, "DAY", &book.revenue_by_day).await;
    revenue(&analyst, "MONTH", &book.revenue_by_month).await;
    best_selling_products(&analyst, &book).await;
    net_of_returns_by_country(&analyst, &book).await;
    history_of_one_customer(&analyst, &book).await;
    let listed = analyst.ask("{ orders(first: 1) { totalCount } }", Value::Null).await;
    let placed: usize = book.days().values().map(BTreeMap::len).sum();
    assert_eq!(long(&listed["orders"]["totalCount"]), placed as i64);
}

/// Someone who asks a served shop over GraphQL.
struct Analyst {
    shop: Process,
    client: reqwest::Client,
    token: String,
}

impl Analyst {
    fn of_the_shop_in(folder: &Path) -> Self {
        Self::of(folder, Process::serve(folder))
    }

    /// Of a shop that is served from a folder.
    fn of(folder: &Path, shop: Process) -> Self {
        let mut token = Command::new(binary("daybook"));
        let token = token.args(["token", "--role", "admin", "--data"]).arg(folder).output().unwrap();
        let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
        Self { shop, client: reqwest::Client::new(), token }
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let request = self.client.post(format!("{}/graphql", self.shop.url)).bearer_auth(&self.token).json(&body);
        let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["errors"], Value::Null, "{query}");
        answer["data"].take()
    }
}

/// A `Long`, which JSON may carry as text.
fn long(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value} is not a Long"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not text")).to_owned()
}

/// Revenue by a grain of time, whose beginnings are named as far as the keys of the book go.
async fn revenue(analyst: &Analyst, grain: &str, expected: &BTreeMap<String, i64>) {
    let width = expected.keys().next().unwrap().len();
    let query = format!("{{ sales(grain: {grain}) {{ startsAt gross {{ amountMinor }} }} }}");
    let data = analyst.ask(&query, Value::Null).await;
    let rows = data["sales"].as_array().unwrap().iter();
    let sold = rows.map(|row| (text(&row["startsAt"])[..width].to_owned(), long(&row["gross"]["amountMinor"])));
    let answered: BTreeMap<_, _> = sold.filter(|(_, pence)| *pence != 0).collect();
    assert_eq!(&answered, expected);
}

async fn best_selling_products(analyst: &Analyst, book: &SalesBook) {
    let query = "{ sales(dimension: SKU, sort: GROSS, first: 10) { key gross { amountMinor } } }";
    let data = analyst.ask(query, Value::Null).await;
    let rows = data["sales"].as_array().unwrap().iter();
    let answered: Vec<_> = rows.map(|row| (text(&row["key"]), long(&row["gross"]["amountMinor"]))).collect();
    assert_eq!(answered, book.best_sellers(10));
}

async fn net_of_returns_by_country(analyst: &Analyst, book: &SalesBook) {
    let data = analyst.ask("{ sales(dimension: COUNTRY) { key net { amountMinor } } }", Value::Null).await;
    let rows = data["sales"].as_array().unwrap().iter();
    let answered: BTreeMap<_, _> = rows.map(|row| (text(&row["key"]), long(&row["net"]["amountMinor"]))).collect();
    for (name, code) in COUNTRIES {
        assert_eq!(answered[code], book.net_by_country[name], "{name}");
    }
    assert_eq!(answered.values().sum::<i64>(), book.sales + book.returns);
    // The West Indies buy in the second half of the year only.
    let unknown = ["Unspecified", "West Indies"].map(|name| book.net_by_country.get(name).copied().unwrap_or(0));
    assert_eq!(answered["unknown"], unknown.iter().sum::<i64>());
}

async fn history_of_one_customer(analyst: &Analyst, book: &SalesBook) {
    let query = "query($customer: String!, $after: String) {
        orders(filter: { customerId: $customer }, sort: { by: PLACED, descending: false }, first: 100, after: $after) {
            edges { node { number placedAt total { gross { amountMinor } } } } pageInfo { hasNextPage endCursor } } }";
    let (customer, invoices) = book.busiest_customer();
    let (mut answered, mut after) = (BTreeMap::new(), Value::Null);
    loop {
        let data = analyst.ask(query, json!({ "customer": customer, "after": after })).await;
        for edge in data["orders"]["edges"].as_array().unwrap() {
            let (order, at) = (&edge["node"], text(&edge["node"]["placedAt"])[..19].replace('T', " "));
            answered.insert(text(&order["number"]), Purchase { at, pence: long(&order["total"]["gross"]["amountMinor"]) });
        }
        if data["orders"]["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = data["orders"]["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(&answered, invoices, "customer {customer}");
}

/// The shop tells the odd days that its method finds in the file, all of them and no other, with the same figures and words;
/// and the positions that it names are of orders behind them.
async fn anomalies_of_the_year(analyst: &Analyst, book: &SalesBook, log: &dyn Log) {
    let days = book.days();
    assert_eq!(days.values().map(BTreeMap::len).sum::<usize>(), 20_953, "with two of free samples for a customer");
    let odd = odd_days(&days);

    let query = "{ anomalies(filter: { currency: \"GBP\" }, first: 100) { nodes {
        day metric observed expected expectedLow expectedHigh tailProbability severity reason ordersBehind positions } } }";
    let data = analyst.ask(query, Value::Null).await;
    let answered = data["anomalies"]["nodes"].as_array().unwrap();
    let told: BTreeMap<_, _> = answered.iter().map(|anomaly| (day_and_metric(anomaly), told(anomaly))).collect();
    assert_eq!(told.iter().collect::<Vec<_>>(), odd.iter().map(|(at, odd)| (at, &odd.told)).collect::<Vec<_>>());

    for anomaly in answered {
        let behind = &odd[&day_and_metric(anomaly)].behind;
        assert_eq!(long(&anomaly["ordersBehind"]), behind.len() as i64, "{anomaly}");
        let mut named = BTreeSet::new();
        for position in anomaly["positions"].as_array().unwrap() {
            let event = log.read(long(position) as u64 - 1, 1).await.unwrap().remove(0).event;
            let placed: Value = serde_json::from_str(&event.payload).unwrap();
            assert_eq!(event.event_type, "OrderPlaced");
            named.insert(text(&placed["number"]));
        }
        assert!(named.is_subset(behind), "{anomaly}");
        assert_eq!(named.len(), behind.len().min(100), "{anomaly}");
    }
}

fn day_and_metric(anomaly: &Value) -> (NaiveDate, String) {
    (text(&anomaly["day"]).parse().unwrap(), text(&anomaly["metric"]))
}

fn told(anomaly: &Value) -> Told {
    Told {
        observed: long(&anomaly["observed"]),
        expected: long(&anomaly["expected"]),
        expected_low: long(&anomaly["expectedLow"]),
        expected_high: long(&anomaly["expectedHigh"]),
        tail_probability: text(&anomaly["tailProbability"]),
        severity: text(&anomaly["severity"]),
        reason: text(&anomaly["reason"]),
    }
}

/// The first rows of the file, written plain.
fn beginning_of(file: &Path, rows: usize, to: &Path) {
    let text = BufReader::new(zstd::Decoder::new(std::fs::File::open(file).unwrap()).unwrap());
    let mut plain = std::io::BufWriter::new(std::fs::File::create(to).unwrap());
    for line in text.lines().take(rows + 1) {
        writeln!(plain, "{}", line.unwrap()).unwrap();
    }
}

/// Every event, without what differs from run to run: event ids, the moment of recording, and the order in which documents
/// that were on their way together reached the log.
async fn facts(log: &dyn Log) -> BTreeMap<(String, String, String), u64> {
    let mut facts = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = log.read(after, 5_000).await.unwrap();
        let Some(last) = page.last() else { return facts };
        after = last.position;
        for event in page.into_iter().map(|recorded| recorded.event) {
            let fact = (event.stream.to_string(), event.event_type.into_owned(), event.payload);
            *facts.entry(fact).or_default() += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_and_run_again_adds_exactly_the_rest() {
    let Some(file) = real_data(FILE) else { return };
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part.csv");
    beginning_of(&file, 40_000, &part);
    let events = folder.path().join("events.db");
    let url = format!("sqlite:{}", events.display());
    let run = || {
        let mut command = Command::new(binary("daybook"));
        command.args(["import", "online-retail"]).arg(&part).arg("--json").arg("--data").arg(folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command
    };

    let killed = Killed(run().spawn().unwrap());
    let written = loop {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        let head = match event_store::open_read_only(&url).await {
            Ok(log) => log.head().await.map_or(0, |head| head.position),
            Err(_) => 0,
        };
        if head > 20_000 {
            break head;
        }
    };
    drop(killed);

    let rest = run().output().unwrap();
    assert!(rest.status.success());
    let rest: Value = serde_json::from_slice(&rest.stdout).unwrap();
    let interrupted = event_store::open_read_only(&url).await.unwrap();
    let whole = Arc::new(MemoryLog::with_id(interrupted.id()));
    let at_once = import_into(whole.clone(), &ImportSource::OnlineRetail { file: part.clone() }).await;
    assert!(rest["events_written"].as_u64().unwrap() <= at_once.events_written() - written, "the kill came in the middle");
    assert_eq!(rest["totals"], at_once.to_json()["totals"]);
    let (interrupted, whole) = (facts(&*interrupted).await, facts(&*whole).await);
    let differs = interrupted.iter().find(|(fact, count)| whole.get(fact) != Some(*count));
    assert_eq!((differs, interrupted.len()), (None, whole.len()));
}
