//! Small Olist folders written by hand, and what becomes of them.

use std::{collections::BTreeMap, path::Path};

use event_schemas::{CommerceEvent, OrderEvent, OrderFacts, OrderPlaced, OrderStatus, PaymentEvent, ReviewEvent};
use uuid::Uuid;

use crate::import::{
    ImportError, Unrepresented,
    document::{Document, Piece, Tally},
    olist::read,
};

const ORDERS: &str = "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,\
    order_delivered_carrier_date,order_delivered_customer_date,order_estimated_delivery_date";
const DELIVERED: &str =
    "o1,c1,delivered,2018-08-15 11:30:33,2018-08-15 11:44:11,2018-08-15 12:44:00,2018-08-20 15:15:42,2018-08-27 00:00:00";

/// A folder with one delivered order of two units and two payments, unless a test says otherwise.
struct Folder {
    files: BTreeMap<&'static str, String>,
}

impl Folder {
    fn with_orders(rows: &[&str]) -> Self {
        let file = |header: &str, rows: &[&str]| format!("{header}\n{}\n", rows.join("\n"));
        let items = "order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value";
        let payments = "order_id,payment_sequential,payment_type,payment_installments,payment_value";
        let customers = "customer_id,customer_unique_id,customer_zip_code_prefix,customer_city,customer_state";
        let products = "product_id,product_category_name,product_name_lenght,product_description_lenght,\
            product_photos_qty,product_weight_g,product_length_cm,product_height_cm,product_width_cm";
        let files = BTreeMap::from([
            ("olist_orders_dataset.csv", file(ORDERS, rows)),
            (
                "olist_order_items_dataset.csv",
                file(items, &["o1,1,p1,s1,2018-08-20 00:00:00,39.95,17.93", "o1,2,p1,s1,2018-08-20 00:00:00,39.95,17.93"]),
            ),
            ("olist_order_payments_dataset.csv", file(payments, &["o1,2,voucher,1,50.00", "o1,1,credit_card,8,65.76"])),
            ("olist_customers_dataset.csv", file(customers, &["c1,u1,78135,varzea grande,MT"])),
            ("olist_products_dataset.csv", file(products, &["p1,beleza_saude,51,1069,1,1467,23,16,20"])),
            (
                "product_category_name_translation.csv",
                "product_category_name,product_category_name_english\nbeleza_saude,health_beauty\n".to_owned(),
            ),
        ]);
        Self { files }
    }

    fn and(mut self, name: &'static str, rows: &str) -> Self {
        let file = self.files.entry(name).or_default();
        file.push_str(rows);
        file.push('\n');
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.files.remove(name);
        self
    }

    fn with_reviews(self, rows: &str) -> Self {
        let header = "review_id,order_id,review_score,review_comment_title,review_comment_message,\
            review_creation_date,review_answer_timestamp";
        self.and("olist_order_reviews_dataset.csv", header).and("olist_order_reviews_dataset.csv", rows)
    }

    fn write(&self, dir: &Path) {
        for (name, text) in &self.files {
            std::fs::write(dir.join(name), text).unwrap();
        }
    }

    fn plan(&self) -> Plan {
        let dir = tempfile::tempdir().unwrap();
        self.write(dir.path());
        let source = read(dir.path(), Uuid::nil()).unwrap();
        let (mut documents, mut unrepresented) = (Vec::new(), source.damaged);
        for piece in source.pieces {
            match piece.unwrap() {
                Piece::Document(document) => documents.push(*document),
                Piece::Unrepresented(rows) => unrepresented.extend(rows),
            }
        }
        Plan { documents, unrepresented, rows_read: source.rows_read }
    }
}

/// What an import would do, without an engine.
struct Plan {
    documents: Vec<Document>,
    unrepresented: Vec<Unrepresented>,
    rows_read: u64,
}

impl Plan {
    fn document(&self, key: &str) -> &Document {
        self.documents.iter().find(|document| document.key == key).unwrap()
    }

    fn types(&self, key: &str) -> Vec<&str> {
        self.document(key).changes.iter().map(|change| change.event.event_type()).collect()
    }

    fn placed(&self, key: &str) -> &OrderPlaced {
        match &self.document(key).changes[0].event {
            CommerceEvent::Order(OrderEvent::OrderPlaced(placed)) => placed,
            other => panic!("{other:?}"),
        }
    }

    fn status(&self, key: &str) -> OrderStatus {
        let mut facts = OrderFacts::default();
        for change in &self.document(key).changes {
            if let CommerceEvent::Order(event) = &change.event {
                facts.evolve(event);
            }
        }
        facts.status()
    }

    fn tally(&self) -> Tally {
        let mut total = Tally::default();
        self.documents.iter().for_each(|document| total.add(&document.tally));
        total
    }

    fn accounts_for_every_row(&self) -> bool {
        self.tally().rows.values().sum::<u64>() + self.unrepresented.len() as u64 == self.rows_read
    }
}

#[test]
fn a_delivered_order_keeps_its_dates_seller_freight_and_both_payments() {
    let plan = Folder::with_orders(&[DELIVERED]).plan();
    let payment = ["PaymentOpened", "PaymentCaptured", "OrderPaymentReceived"];
    let expected = [&["OrderPlaced"][..], &payment, &payment, &["OrderFulfilled", "FulfilmentDelivered"]].concat();
    assert_eq!(plan.types("order|o1"), expected);
    let at: Vec<_> = plan.document("order|o1").changes.iter().map(|c| c.occurred_at.unwrap().to_rfc3339()).collect();
    assert_eq!((at[0].as_str(), at[2].as_str()), ("2018-08-15T11:30:33+00:00", "2018-08-15T11:44:11+00:00"));
    assert_eq!((at[7].as_str(), at[8].as_str()), ("2018-08-15T12:44:00+00:00", "2018-08-20T15:15:42+00:00"));
    let placed = plan.placed("order|o1");
    assert_eq!((placed.lines[0].quantity, placed.lines[0].gross_minor, placed.lines[0].seller.as_deref()), (2, 7990, Some("s1")));
    assert_eq!((placed.totals.shipping_minor, placed.totals.gross_minor), (3586, 11576));
    assert_eq!(placed.customer_id.as_ref().unwrap().as_str(), "u1");
    assert_eq!(placed.shipping_address.as_ref().unwrap().plain().unwrap().city, "varzea grande");
    assert_eq!(plan.status("order|o1"), OrderStatus::Delivered);
    assert!(plan.tally().remarks.is_empty() && plan.unrepresented.is_empty() && plan.accounts_for_every_row());
}

#[test]
fn every_status_of_the_source_ends_in_the_status_that_it_means() {
    for (row, status) in [
        ("o1,c1,created,2018-08-15 11:30:33,,,,", OrderStatus::Pending),
        ("o1,c1,approved,2018-08-15 11:30:33,2018-08-15 11:44:11,,,", OrderStatus::Paid),
        ("o1,c1,invoiced,2018-08-15 11:30:33,2018-08-15 11:44:11,,,", OrderStatus::Processing),
        ("o1,c1,processing,2018-08-15 11:30:33,2018-08-15 11:44:11,,,", OrderStatus::Processing),
        ("o1,c1,shipped,2018-08-15 11:30:33,2018-08-15 11:44:11,2018-08-16 00:00:00,,", OrderStatus::Shipped),
        ("o1,c1,unavailable,2018-08-15 11:30:33,2018-08-15 11:44:11,,,", OrderStatus::Cancelled),
        ("o1,c1,canceled,2018-08-15 11:30:33,,,,", OrderStatus::Cancelled),
    ] {
        assert_eq!(Folder::with_orders(&[row]).plan().status("order|o1"), status, "{row}");
    }
}

#[test]
fn dates_that_are_missing_or_contradict_the_status_are_filled_in_and_remarked() {
    let missing = Folder::with_orders(&["o1,c1,delivered,2018-08-15 11:30:33,,,,"]).plan();
    assert_eq!(missing.status("order|o1"), OrderStatus::Delivered);
    assert_eq!(missing.tally().remarks.len(), 3);
    let early = DELIVERED.replace("2018-08-15 12:44:00", "2018-08-15 11:40:00");
    let contradiction = Folder::with_orders(&[&early]).plan();
    assert_eq!(contradiction.tally().remarks["orders handed to the carrier before they were approved"], 1);
}

#[test]
fn an_order_called_off_before_it_was_paid_lets_its_payments_expire() {
    let plan = Folder::with_orders(&["o1,c1,canceled,2018-08-15 11:30:33,,,,"]).plan();
    let payment = ["PaymentOpened", "PaymentExpired"];
    assert_eq!(plan.types("order|o1"), [&["OrderPlaced"][..], &payment, &payment, &["OrderCancelled"]].concat());
}

#[test]
fn payments_that_are_not_the_total_are_kept_as_they_are_and_remarked() {
    let plan = Folder::with_orders(&[DELIVERED])
        .and("olist_order_payments_dataset.csv", "o1,3,voucher,1,1.00")
        .and("olist_order_payments_dataset.csv", "o1,4,not_defined,1,0.00")
        .plan();
    assert_eq!(plan.tally().remarks["orders whose payments are not their total"], 1);
    let captured = plan.document("order|o1").changes.iter().filter_map(|change| match &change.event {
        CommerceEvent::Payment(PaymentEvent::PaymentCaptured(captured)) => Some(captured.amount.minor),
        _ => None,
    });
    assert_eq!(captured.collect::<Vec<_>>(), [6576, 5000, 100]);
    assert_eq!(plan.unrepresented[0].reason, "olist_order_payments_dataset.csv: a payment of 0 moves no money");
    assert!(plan.accounts_for_every_row());
}

#[test]
fn a_review_follows_its_order_and_the_same_one_twice_is_told() {
    let review = "r1,o1,5,MT lindo,\"MT\nlindo\",2018-07-25 00:00:00,2018-07-25 21:37:22";
    let second = "r2,o1,1,,,2018-07-26 00:00:00,2018-07-26 21:37:22";
    let plan = Folder::with_orders(&[DELIVERED]).with_reviews(&[review, review, second].join("\n")).plan();
    let document = plan.document("review|r1|o1");
    let CommerceEvent::Review(ReviewEvent::ReviewSubmitted(submitted)) = &document.changes[0].event else { panic!() };
    assert_eq!((submitted.rating, submitted.comment.as_ref().unwrap().plain().unwrap().as_str()), (5, "MT\nlindo"));
    let order = plan.documents.iter().position(|document| document.key == "order|o1").unwrap();
    assert_eq!(document.follows, Some(order as u64));
    assert_eq!(plan.types("review|r2|o1"), ["ReviewSubmitted"], "an order has one place for a review, taken by the first");
    assert!(plan.unrepresented[0].reason.ends_with("the same review of the same order came before"));
    assert!(plan.accounts_for_every_row());
}

#[test]
fn products_are_called_by_their_translated_category() {
    let plan = Folder::with_orders(&[DELIVERED]).plan();
    assert_eq!(plan.types("category|beleza_saude"), ["CategoryCreated", "ClaimTaken"]);
    assert_eq!(plan.placed("order|o1").lines[0].title, "Health beauty p1");
    let untranslated = Folder::with_orders(&[DELIVERED]).without("product_category_name_translation.csv").plan();
    assert_eq!(untranslated.placed("order|o1").lines[0].title, "Beleza saude p1");
}

#[test]
fn damaged_rows_and_rows_without_their_order_are_told() {
    let plan = Folder::with_orders(&[DELIVERED, "o2,c2,lost,2018-08-15 11:30:33,,,,", DELIVERED, "o3,c3,created,yesterday,,,,"])
        .and("olist_order_items_dataset.csv", "o9,1,p1,s1,2018-08-20 00:00:00,1.00,1.00")
        .and("olist_order_items_dataset.csv", "o1,3,p1,s1,2018-08-20 00:00:00,free,1.00")
        .and("olist_customers_dataset.csv", "c9,u9,1,x,SP")
        .plan();
    let reasons: Vec<_> = plan.unrepresented.iter().map(|lost| lost.reason.as_str()).collect();
    for reason in [
        "olist_order_items_dataset.csv: `free` is not an amount",
        "olist_order_items_dataset.csv: its order is not in the file of orders",
        "olist_customers_dataset.csv: the customer has no order",
        "olist_orders_dataset.csv: the order came before",
        "olist_orders_dataset.csv: the date `yesterday` does not read like 2018-08-15 11:30:33",
    ] {
        assert!(reasons.contains(&reason), "{reason} is not in {reasons:?}");
    }
    assert!(reasons.iter().any(|reason| reason.contains("`lost` is not a status of an order")));
    assert!(plan.accounts_for_every_row());
}

#[test]
fn a_folder_without_orders_or_payments_is_refused_and_one_without_reviews_is_not() {
    let refused = |folder: Folder| {
        let dir = tempfile::tempdir().unwrap();
        folder.write(dir.path());
        matches!(read(dir.path(), Uuid::nil()), Err(ImportError::Missing(_)))
    };
    assert!(refused(Folder::with_orders(&[DELIVERED]).without("olist_orders_dataset.csv")));
    assert!(refused(Folder::with_orders(&[DELIVERED]).without("olist_order_payments_dataset.csv")));
    assert!(!refused(Folder::with_orders(&[DELIVERED])));
}

#[tokio::test]
async fn what_is_about_a_person_is_in_the_log_sealed_and_opens_with_the_vault() {
    use std::sync::Arc;

    use engine::{Engine, Limits, SystemClock, SystemIds};
    use event_store::{Log as _, MemoryLog};
    use vault::{Persons, Vault, VaultKey};

    use crate::import::{ImportSource, import};

    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::with_orders(&[DELIVERED]);
    folder.with_reviews("r1,o1,4,muito bom,recomendo a loja,2018-08-21 00:00:00,2018-08-22 10:00:00").write(dir.path());
    let url = format!("sqlite:{}", dir.path().join("vault.db").display());
    let persons = Persons::new(Vault::open(&url, VaultKey::generate()).await.unwrap());
    let log = Arc::new(MemoryLog::new());
    let engine = Engine::start(log.clone(), Arc::new(SystemClock), Arc::new(SystemIds), Limits::default()).await.unwrap();
    let source = ImportSource::Olist { dir: dir.path().to_owned() };
    for _ in 0..2 {
        import(&source, &domain::StoreConfig::default(), &engine, &persons, &mut |_| ()).await.unwrap();
    }
    let events = log.read(0, usize::MAX).await.unwrap();
    let payload = |kind: &str| {
        let mut found = events.iter().filter(|recorded| recorded.event.event_type == kind);
        let recorded = found.next().unwrap();
        assert!(found.next().is_none(), "a second run adds nothing");
        (recorded.event.payload.clone(), recorded.sealed_texts().unwrap())
    };
    for (kind, known) in [("OrderPlaced", "varzea grande"), ("ReviewSubmitted", "recomendo a loja")] {
        let (recorded, sealed) = payload(kind);
        assert!(recorded.contains("sealed:1:") && !recorded.contains(known) && !recorded.contains("plain:"), "{recorded}");
        let mut opened = serde_json::from_str(&recorded).unwrap();
        persons.open_json(&mut opened, &sealed).await.unwrap();
        assert!(opened.to_string().contains(known), "{opened}");
    }
}
