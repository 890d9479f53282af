//! Small invoices written by hand, and what becomes of them.

use std::collections::BTreeMap;

use event_schemas::{
    AdjustmentEvent, AdjustmentReason, ChargeKind, CommerceEvent, OrderEvent, OrderPlaced, PaymentEvent, ProductEvent, StockEvent,
};
use uuid::Uuid;

use crate::import::{
    ImportError, Unrepresented,
    document::{Document, Piece, Tally},
    online_retail::{read, row::HEADER},
};

/// What an import would do, without an engine.
struct Plan {
    documents: Vec<Document>,
    unrepresented: Vec<Unrepresented>,
    rows_read: u64,
}

impl Plan {
    fn of(rows: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.csv");
        std::fs::write(&path, format!("{}\n{}\n", HEADER.join(","), rows.join("\n"))).unwrap();
        let source = read(&path, Uuid::nil()).unwrap();
        let (mut documents, mut unrepresented) = (Vec::new(), source.damaged);
        for piece in source.pieces {
            match piece.unwrap() {
                Piece::Document(document) => documents.push(*document),
                Piece::Unrepresented(rows) => unrepresented.extend(rows),
            }
        }
        Self { documents, unrepresented, rows_read: source.rows_read }
    }

    fn invoice(&self, number: &str) -> &Document {
        self.documents.iter().find(|document| document.key == format!("invoice|{number}")).unwrap()
    }

    fn events(&self, number: &str) -> Vec<&CommerceEvent> {
        self.invoice(number).changes.iter().map(|change| &change.event).collect()
    }

    fn types(&self, number: &str) -> Vec<&str> {
        self.events(number).iter().map(|event| event.event_type()).collect()
    }

    fn placed(&self, number: &str) -> &OrderPlaced {
        match self.events(number)[0] {
            CommerceEvent::Order(OrderEvent::OrderPlaced(placed)) => placed,
            other => panic!("{other:?}"),
        }
    }

    fn totals(&self) -> Tally {
        let mut total = Tally::default();
        self.documents.iter().for_each(|document| total.add(&document.tally));
        total
    }

    /// The lowest level of each SKU at any prefix of the documents, and the last.
    fn stock(&self) -> BTreeMap<String, (i64, i64)> {
        let mut levels: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for change in self.documents.iter().flat_map(|document| &document.changes) {
            let CommerceEvent::Stock(event) = &change.event else { continue };
            let delta = match event {
                StockEvent::StockReceived(received) => i64::from(received.quantity),
                StockEvent::StockAdjusted(adjusted) => adjusted.delta,
                StockEvent::StockShipped(shipped) => -i64::from(shipped.quantity),
                StockEvent::StockReturned(returned) => i64::from(returned.quantity),
                other => panic!("{other:?}"),
            };
            let (lowest, level) = levels.entry(change.stream.aggregate_id.clone()).or_default();
            *level += delta;
            *lowest = (*lowest).min(*level);
        }
        levels
    }
}

const MUGS: &str = "489434,21232,STRAWBERRY CERAMIC MUG,24,2009-12-01 07:45:00,1.25,13085,United Kingdom";

#[test]
fn an_invoice_is_an_order_placed_paid_and_shipped_at_its_time() {
    let plan = Plan::of(&[MUGS, "489434,POST,POSTAGE,2,2009-12-01 07:45:00,9,13085,United Kingdom"]);
    assert_eq!(
        plan.types("489434"),
        ["OrderPlaced", "PaymentOpened", "PaymentCaptured", "OrderPaymentReceived", "OrderFulfilled", "StockShipped"]
    );
    let placed = plan.placed("489434");
    assert_eq!((placed.totals.subtotal_minor, placed.totals.shipping_minor, placed.totals.gross_minor), (3000, 1800, 4800));
    assert_eq!((placed.charges[0].kind, placed.charges[0].description.as_str()), (ChargeKind::Shipping, "2 x POSTAGE"));
    assert_eq!(placed.country.as_ref().unwrap().as_str(), "GB");
    let changes = &plan.invoice("489434").changes;
    assert!(changes.iter().all(|change| change.occurred_at.unwrap().to_rfc3339() == "2009-12-01T07:45:00+00:00"));
}

#[test]
fn interleaved_invoices_come_apart_and_rows_of_one_sku_and_price_are_one_line() {
    let other = MUGS.replace("489434", "489435");
    let plan = Plan::of(&[MUGS, &other, MUGS, &MUGS.replace("1.25", "1.10")]);
    let lines: Vec<_> = plan.placed("489434").lines.iter().map(|line| (line.quantity, line.gross_minor)).collect();
    assert_eq!(lines, [(48, 6000), (24, 2640)]);
    assert_eq!(plan.placed("489435").lines.len(), 1);
    assert_eq!(plan.invoice("489434").rows, [1, 3, 4]);
}

#[test]
fn a_price_finer_than_a_penny_is_rounded_per_line_and_the_difference_told() {
    let row = |quantity| format!("1,PADS,PADS,{quantity},2010-01-19 17:04:00,0.001,16705,United Kingdom");
    let plan = Plan::of(&[&row(1), &row(15)]);
    assert_eq!(plan.placed("1").totals.gross_minor, 2);
    let totals = plan.totals();
    assert_eq!((totals.sales_minor, totals.rounding.to_string().as_str()), (2, "-0.004"));
}

#[test]
fn a_return_goes_to_the_most_recent_purchases_that_still_have_the_units() {
    let plan = Plan::of(&[
        MUGS,
        &MUGS.replace("489434", "489435").replace(",24,", ",6,"),
        "C489440,21232,STRAWBERRY CERAMIC MUG,-10,2009-12-02 09:00:00,1.25,13085,United Kingdom",
    ]);
    let back = ["OrderItemsReturned", "PaymentRefunded", "OrderRefunded", "StockReturned"];
    assert_eq!(plan.types("C489440"), [back, back].concat());
    let refunds = plan.events("C489440").into_iter().filter_map(|event| match event {
        CommerceEvent::Payment(PaymentEvent::PaymentRefunded(refunded)) => Some(refunded.amount.minor),
        _ => None,
    });
    let mut refunds: Vec<_> = refunds.collect();
    refunds.sort_unstable();
    assert_eq!(refunds, [500, 750], "6 units of the later invoice, 4 of the earlier one");
    let totals = plan.totals();
    assert_eq!((totals.returns_minor, totals.rows["rows of returns matched to orders"]), (-1250, 1));
    assert!(plan.invoice("C489440").follows.is_some(), "the orders must be in the log first");
}

#[test]
fn what_was_returned_once_cannot_be_returned_again() {
    let back = "C489440,21232,STRAWBERRY CERAMIC MUG,-24,2009-12-02 09:00:00,1.25,13085,United Kingdom";
    let plan = Plan::of(&[MUGS, back, &back.replace("C489440", "C489441")]);
    assert_eq!(plan.types("C489440")[0], "OrderItemsReturned");
    assert_eq!(plan.types("C489441"), ["CreditNoteIssued", "StockReturned"]);
}

#[test]
fn a_return_is_a_credit_note_when_customer_country_units_or_money_do_not_match() {
    let back = "C1,21232,STRAWBERRY CERAMIC MUG,-1,2009-12-02 09:00:00,1.25,13085,United Kingdom";
    for other in [
        back.replace("13085", "13086"),
        back.replace("13085", ""),
        back.replace("United Kingdom", "EIRE"),
        back.replace("21232", "21233"),
        back.replace(",-1,", ",-25,"),
        back.replace("1.25", "99.99"),
    ] {
        let plan = Plan::of(&[MUGS, &other]);
        assert_eq!(plan.types("C1"), ["CreditNoteIssued", "StockReturned"], "{other}");
    }
    assert_eq!(Plan::of(&[MUGS, back]).types("C1")[0], "OrderItemsReturned");
}

#[test]
fn postage_on_a_credit_invoice_goes_back_with_the_goods_and_alone_as_a_credit_note() {
    let post = |number| format!("{number},POST,POSTAGE,-1,2009-12-02 09:00:00,5,13085,United Kingdom");
    let goods = "C1,21232,STRAWBERRY CERAMIC MUG,-1,2009-12-02 09:00:00,1.25,13085,United Kingdom";
    let plan = Plan::of(&[MUGS, goods, &post("C1"), &post("C2")]);
    let CommerceEvent::Order(OrderEvent::OrderRefunded(refunded)) = plan.events("C1")[2] else { panic!() };
    assert_eq!(refunded.amount.minor, 625);
    let CommerceEvent::Adjustment(AdjustmentEvent::CreditNoteIssued(note)) = plan.events("C2")[0] else { panic!() };
    assert_eq!((note.total.minor, note.lines[0].sku.as_ref(), note.lines[0].quantity), (500, None, 0));
}

#[test]
fn goods_at_no_price_are_free_on_an_order_and_a_correction_of_the_stock_elsewhere() {
    let free = "489434,21233,GIFT,2,2009-12-01 07:45:00,0,13085,United Kingdom";
    let sample = "489450,21233,GIFT,1,2009-12-01 08:00:00,0,13085,United Kingdom";
    let found = "489451,21233,found again,7,2009-12-01 08:00:00,0,,United Kingdom";
    let taken = "489452,21233,damaged,-3,2009-12-01 08:00:00,0,,United Kingdom";
    let plan = Plan::of(&[MUGS, free, sample, found, taken]);
    assert_eq!(plan.placed("489434").lines[1].gross_minor, 0);
    assert_eq!(plan.types("489450"), ["OrderPlaced", "OrderFulfilled", "StockShipped"], "nothing to pay, so no payment");
    let adjusted = |number| match plan.events(number)[..] {
        [CommerceEvent::Stock(StockEvent::StockAdjusted(adjusted))] => (adjusted.delta, adjusted.reason, adjusted.note.clone()),
        _ => panic!(),
    };
    assert_eq!(adjusted("489451"), (7, AdjustmentReason::Found, Some("found again".to_owned())));
    assert_eq!(adjusted("489452"), (-3, AdjustmentReason::Damaged, Some("damaged".to_owned())));
    assert_eq!(plan.totals().orders, 2);
}

#[test]
fn bad_debt_is_given_up_and_counted_apart() {
    let plan = Plan::of(&["A506401,B,Adjust bad debt,1,2010-04-29 13:36:00,-53594.36,,United Kingdom"]);
    assert_eq!(plan.types("A506401"), ["BadDebtAdjusted"]);
    let totals = plan.totals();
    assert_eq!((totals.bad_debt_minor, totals.sales_minor, totals.returns_minor), (-5_359_436, 0, 0));
}

#[test]
fn opening_stock_keeps_every_prefix_of_the_log_at_or_above_zero() {
    let found = "489451,21232,found,100,2009-12-01 08:00:00,0,,United Kingdom";
    let plan = Plan::of(&[MUGS, found, &MUGS.replace("489434", "489435")]);
    let (lowest, level) = plan.stock()["21232@main"];
    assert_eq!((lowest, level), (0, 100));
    let opening = plan.documents.iter().position(|document| document.key == "opening|489434|21232").unwrap();
    assert_eq!(plan.documents[opening].changes[0].occurred_at.unwrap().to_rfc3339(), "2009-12-01T00:00:00+00:00");
    assert_eq!(plan.invoice("489434").follows, Some(opening as u64), "nothing is sold before it is there");
}

#[test]
fn every_stock_code_of_goods_is_a_product_with_its_usual_name_and_first_price() {
    let plan = Plan::of(&[
        "1,21232,?,5,2009-12-01 07:45:00,0,,United Kingdom",
        &MUGS.replace("STRAWBERRY CERAMIC MUG", "MUG"),
        MUGS,
        &MUGS.replace("489434", "489435").replace("1.25", "9.99"),
        &MUGS.replace("21232", "21232a"),
    ]);
    let document = plan.documents.iter().find(|document| document.key == "product|21232").unwrap();
    let types: Vec<_> = document.changes.iter().map(|change| change.event.event_type()).collect();
    assert_eq!(types, ["ProductCreated", "ClaimTaken", "VariantAdded", "ClaimTaken", "VariantPriceSet", "ProductPublished"]);
    let CommerceEvent::Product(ProductEvent::ProductCreated(created)) = &document.changes[0].event else { panic!() };
    assert_eq!(created.title, "STRAWBERRY CERAMIC MUG");
    let CommerceEvent::Product(ProductEvent::VariantPriceSet(price)) = &document.changes[4].event else { panic!() };
    assert_eq!(price.price.minor, 125);
    assert!(plan.documents.iter().any(|document| document.key == "product|21232a"), "codes that differ in case are two");
}

#[test]
fn every_row_is_counted_once_and_damaged_ones_are_told_with_their_reason() {
    let plan = Plan::of(&[
        MUGS,
        "489436,21232,X,two,2009-12-01 07:45:00,1.25,,United Kingdom",
        "489436,21232,X,0,2009-12-01 07:45:00,1.25,,United Kingdom",
        "489436,21232,X,1,2009-12-01 07:45:00,£1,,United Kingdom",
        "489436,21232,X,1,01/12/2009,1.25,,United Kingdom",
        "X489436,21232,X,1,2009-12-01 07:45:00,1.25,,United Kingdom",
        "489436,21232,X,-1,2009-12-01 07:45:00,1.25,,United Kingdom",
        "489436,a@b,X,1,2009-12-01 07:45:00,1.25,,United Kingdom",
        "489436,21232,X,99999999999999,2009-12-01 07:45:00,99999999999,,United Kingdom",
        "489436,\"21232,X",
        "489437,POST,,100,2009-12-01 07:45:00,0,,United Kingdom",
        "489438,21232,X,1,2009-12-01 07:45:00,1.25,13085,United Kingdom",
        "489438,21232,X,1,2009-12-01 07:45:00,1.25,13086,United Kingdom",
    ]);
    let told: BTreeMap<u64, &str> = plan.unrepresented.iter().map(|lost| (lost.row, lost.reason.as_str())).collect();
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), (2..=13).collect::<Vec<_>>());
    assert_eq!(told[&2], "the quantity `two` is not a whole number");
    assert_eq!(told[&10], "a quote is not closed");
    assert_eq!(told[&13], "the rows of the invoice name different customers");
    assert_eq!(plan.rows_read, plan.unrepresented.len() as u64 + plan.totals().rows.values().sum::<u64>());
}

#[test]
fn two_readings_make_the_same_documents() {
    let rows = [MUGS, "C1,21232,STRAWBERRY CERAMIC MUG,-1,2009-12-02 09:00:00,1.25,13085,United Kingdom"];
    let documents =
        |plan: Plan| plan.documents.into_iter().map(|made| (made.key, made.fingerprint, made.changes)).collect::<Vec<_>>();
    assert_eq!(documents(Plan::of(&rows)), documents(Plan::of(&rows)));
}

#[test]
fn another_file_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.csv");
    std::fs::write(&path, "order_id,customer_id\n1,2\n").unwrap();
    assert!(matches!(read(&path, Uuid::nil()), Err(ImportError::Header { .. })));
}
