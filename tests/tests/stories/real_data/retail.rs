//! A wholesaler's year: UCI Online Retail II.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use api::import::ImportSource;
use event_schemas::{Currency, CustomerId};
use event_store::{Log, MemoryLog};
use projections::{
    AnomalyFilter, AnomalyMetric, OrderFilter, OrderSort, Page, Reader, SalesDimension, SalesGrain, SalesQuery, SalesSort,
    ViewError,
};

use super::{import_into, real_data, sales_book::SalesBook, views_over};
use crate::process::{Killed, binary};

const FILE: &str = "online_retail/online_retail_II_2009-2010.csv.zst";

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

fn gbp() -> Currency {
    Currency::new("GBP").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_year_is_accounted_for_to_the_penny_and_answers_as_its_file_does() {
    let Some(file) = real_data(FILE) else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = event_store::open(&format!("sqlite:{}", folder.path().join("events.db").display())).unwrap();
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

    let views = views_over(log, &format!("sqlite:{}", folder.path().join("views.db").display())).await;
    views
        .read(move |reader| {
            revenue_by_month(reader, &book)?;
            best_selling_products(reader, &book)?;
            net_of_returns_by_country(reader, &book)?;
            history_of_one_customer(reader, &book)?;
            anomalies_of_the_year(reader, &book)
        })
        .await
        .unwrap();
}

fn revenue_by_month(reader: &Reader<'_>, book: &SalesBook) -> Result<(), ViewError> {
    let rows = reader.sales(&SalesQuery { grain: SalesGrain::Month, ..SalesQuery::default() })?;
    let answered: BTreeMap<String, i64> = rows
        .iter()
        .map(|row| (row.starts_at.unwrap().format("%Y-%m").to_string(), row.gross_minor))
        .filter(|(_, gross)| *gross != 0)
        .collect();
    assert_eq!(answered, book.revenue_by_month);
    Ok(())
}

fn best_selling_products(reader: &Reader<'_>, book: &SalesBook) -> Result<(), ViewError> {
    let (dimension, sort, limit) = (SalesDimension::Sku, SalesSort::Gross, Some(10));
    let rows = reader.sales(&SalesQuery { dimension, sort, limit, ..SalesQuery::default() })?;
    let answered: Vec<_> = rows.into_iter().map(|row| (row.key.unwrap(), row.gross_minor)).collect();
    assert_eq!(answered, book.best_sellers(10));
    Ok(())
}

fn net_of_returns_by_country(reader: &Reader<'_>, book: &SalesBook) -> Result<(), ViewError> {
    let rows = reader.sales(&SalesQuery { dimension: SalesDimension::Country, ..SalesQuery::default() })?;
    let answered: BTreeMap<String, i64> = rows.into_iter().map(|row| (row.key.unwrap(), row.net_minor)).collect();
    for (name, code) in COUNTRIES {
        assert_eq!(answered[code], book.net_by_country[name], "{name}");
    }
    assert_eq!(answered.values().sum::<i64>(), book.sales + book.returns);
    assert_eq!(answered["unknown"], book.net_by_country["Unspecified"] + book.net_by_country["West Indies"]);
    Ok(())
}

fn history_of_one_customer(reader: &Reader<'_>, book: &SalesBook) -> Result<(), ViewError> {
    let (customer, invoices) = book.busiest_customer();
    let filter = OrderFilter { customer_id: Some(CustomerId::new(customer.as_str()).unwrap()), ..OrderFilter::default() };
    let page = Page::first(1_000);
    let listed = reader.orders(&filter, OrderSort::Placed, false, &page)?;
    let answered: BTreeMap<String, (String, i64)> = listed
        .items
        .iter()
        .map(|(_, order)| (order.number.clone(), (order.placed_at.format("%Y-%m-%d %H:%M:%S").to_string(), order.gross_minor)))
        .collect();
    let expected: BTreeMap<_, _> =
        invoices.iter().map(|(number, purchase)| (number.clone(), (purchase.at.clone(), purchase.pence))).collect();
    assert_eq!(answered, expected, "customer {customer}");
    Ok(())
}

/// What an anomaly says it observed is what the file says of that day.
fn anomalies_of_the_year(reader: &Reader<'_>, book: &SalesBook) -> Result<(), ViewError> {
    let page = Page::first(1_000);
    let listed = reader.anomalies(&AnomalyFilter { currency: Some(gbp()), ..AnomalyFilter::default() }, &page)?;
    assert!(!listed.items.is_empty(), "a year of trade has days out of the ordinary");
    for (_, anomaly) in &listed.items {
        let (revenue, invoices) = book.by_day.get(&anomaly.day.to_string()).cloned().unwrap_or_default();
        match anomaly.metric {
            AnomalyMetric::Revenue => assert_eq!(anomaly.observed, revenue, "{}", anomaly.day),
            // Free samples are orders of nothing, so the view may count one more.
            AnomalyMetric::Orders => assert!((0..=1).contains(&(anomaly.observed - invoices.len() as i64)), "{}", anomaly.day),
        }
        assert!(!anomaly.reason.is_empty() && !anomaly.positions.is_empty(), "{}", anomaly.day);
        assert!(!(anomaly.expected_low..=anomaly.expected_high).contains(&anomaly.observed), "{}", anomaly.reason);
    }
    Ok(())
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
        let head = match event_store::open_read_only(&url) {
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
    let rest: serde_json::Value = serde_json::from_slice(&rest.stdout).unwrap();
    let interrupted = event_store::open_read_only(&url).unwrap();
    let whole = Arc::new(MemoryLog::default());
    let at_once = import_into(whole.clone(), &ImportSource::OnlineRetail { file: part.clone() }).await;
    assert!(rest["events_written"].as_u64().unwrap() <= at_once.events_written() - written, "the kill came in the middle");
    assert_eq!(rest["totals"], at_once.to_json()["totals"]);
    let (interrupted, whole) = (facts(&*interrupted).await, facts(&*whole).await);
    let differs = interrupted.iter().find(|(fact, count)| whole.get(fact) != Some(*count));
    assert_eq!((differs, interrupted.len()), (None, whole.len()));
}
