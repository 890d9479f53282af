//! A market place: Olist.

use std::{collections::BTreeMap, path::Path};

use api::import::ImportSource;
use event_schemas::OrderStatus;
use projections::{OrderFilter, OrderSort, Page};

use super::{import_into, real_data, views_over};

/// The rows of a file of the folder, by column.
fn table(dir: &Path, name: &str) -> Vec<BTreeMap<String, String>> {
    let plain = dir.join(name);
    let text: Box<dyn std::io::Read> = match std::fs::File::open(&plain) {
        Ok(file) => Box::new(file),
        Err(_) => Box::new(zstd::Decoder::new(std::fs::File::open(dir.join(format!("{name}.zst"))).unwrap()).unwrap()),
    };
    csv::Reader::from_reader(text).deserialize().map(Result::unwrap).collect()
}

/// An amount of two decimals in centavos.
fn centavos(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<2}").parse().unwrap()
}

/// What Daybook makes of a status of the source.
fn status_of(source: &str) -> OrderStatus {
    match source {
        "created" => OrderStatus::Pending,
        "approved" => OrderStatus::Paid,
        "invoiced" | "processing" => OrderStatus::Processing,
        "shipped" => OrderStatus::Shipped,
        "delivered" => OrderStatus::Delivered,
        "canceled" | "unavailable" => OrderStatus::Cancelled,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_a_market_place_is_there_with_its_status_payments_and_reviews() {
    let Some(dir) = real_data("olist") else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = event_store::open(&format!("sqlite:{}", folder.path().join("events.db").display())).await.unwrap();
    let source = ImportSource::Olist { dir: dir.clone() };
    let first = import_into(log.clone(), &source).await;
    let orders = table(&dir, "olist_orders_dataset.csv");
    let items = table(&dir, "olist_order_items_dataset.csv");
    let payments = table(&dir, "olist_order_payments_dataset.csv");

    let told = first.to_json();
    assert!(first.accounts_for_every_row(), "{first}");
    assert_eq!(told["orders"], orders.len());
    let sold: i64 = items.iter().map(|item| centavos(&item["price"]) + centavos(&item["freight_value"])).sum();
    assert_eq!(told["totals"]["sales_minor"], sold);
    let empty = payments.iter().filter(|payment| centavos(&payment["payment_value"]) == 0).count();
    assert_eq!(first.unrepresented().len(), empty, "{:?}", first.unrepresented());
    assert_eq!(told["events"]["PaymentOpened"], payments.len() - empty);
    assert_eq!(told["events"]["ReviewSubmitted"], table(&dir, "olist_order_reviews_dataset.csv").len());
    assert_eq!(import_into(log.clone(), &source).await.events_written(), 0);

    let views = views_over(log, &format!("sqlite:{}", folder.path().join("views.db").display())).await;
    let listed = views
        .read(|reader| reader.orders(&OrderFilter::default(), OrderSort::Placed, false, &Page::first(200_000)))
        .await
        .unwrap();
    let answered: BTreeMap<_, _> = listed.items.iter().map(|(_, order)| (order.number.clone(), order)).collect();
    let mut due: BTreeMap<&str, i64> = BTreeMap::new();
    for item in &items {
        *due.entry(&item["order_id"]).or_default() += centavos(&item["price"]) + centavos(&item["freight_value"]);
    }
    let mut paid: BTreeMap<&str, i64> = BTreeMap::new();
    for payment in &payments {
        *paid.entry(&payment["order_id"]).or_default() += centavos(&payment["payment_value"]);
    }
    for order in &orders {
        let (id, answered) = (order["order_id"].as_str(), answered[&order["order_id"]]);
        // An order without items owes nothing, so it counts as paid from the start.
        if due.contains_key(id) {
            assert_eq!(answered.status, status_of(&order["order_status"]), "{id}");
        }
        assert_eq!(answered.gross_minor, due.get(id).copied().unwrap_or(0), "{id}");
        let approved = !order["order_approved_at"].is_empty() || order["order_status"] == "delivered";
        let expected = if approved { paid.get(id).copied().unwrap_or(0) } else { 0 };
        assert_eq!(answered.received_minor, expected, "{id}");
    }
}
