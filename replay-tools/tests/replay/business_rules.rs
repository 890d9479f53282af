//! The shop's rules, held at every prefix of the log whoever wrote it.

use event_schemas::{
    FulfilmentDelivered, FulfilmentId, OrderFulfilled, OrderItemsReturned, OrderRefunded, PaymentId, ReturnId, SkuQuantity,
};
use replay_tools::Rule;

use crate::{
    shop::{self, Pen, eur},
    tampering::written,
};

/// What `verify` finds, as position and rule.
async fn found(pen: &Pen) -> Vec<(u64, Rule)> {
    written(pen).await.findings.iter().map(|finding| (finding.position, finding.rule)).collect()
}

fn fifty_packets() -> Pen {
    let mut pen = Pen::new();
    pen.command("merchant:ana", vec![(shop::tea_stream(), shop::received(50))]);
    pen
}

#[tokio::test]
async fn the_fifty_first_packet_of_fifty_is_an_oversell() {
    let mut pen = fifty_packets();
    for order in 1..=51 {
        pen.command("shopper", vec![(shop::tea_stream(), shop::reserved(order, 1))]);
    }
    assert_eq!(found(&pen).await, [(52, Rule::Oversell)]);
}

#[tokio::test]
async fn a_count_that_finds_less_than_was_sold_is_nobodys_oversell_but_the_next_sale_is() {
    let mut pen = fifty_packets();
    pen.command("shopper", vec![(shop::tea_stream(), shop::reserved(1, 50))]);
    pen.command("merchant:ana", vec![(shop::tea_stream(), shop::counted(40))]);
    assert_eq!(found(&pen).await, []);
    pen.command("shopper", vec![(shop::tea_stream(), shop::reserved(2, 1))]);
    assert_eq!(found(&pen).await, [(4, Rule::Oversell)]);
}

#[tokio::test]
async fn a_correction_that_takes_what_was_set_aside_is_named() {
    let mut pen = fifty_packets();
    pen.command("shopper", vec![(shop::tea_stream(), shop::reserved(1, 45))]);
    pen.command("merchant:ana", vec![(shop::tea_stream(), shop::lost(5))]);
    assert_eq!(found(&pen).await, []);
    pen.command("merchant:ana", vec![(shop::tea_stream(), shop::lost(1))]);
    assert_eq!(found(&pen).await, [(4, Rule::Oversell)]);
}

#[tokio::test]
async fn up_to_the_backorder_limit_more_may_be_sold_than_is_there() {
    let mut pen = fifty_packets();
    let tea = shop::tea_stream;
    pen.command("merchant:ana", vec![(tea(), shop::backorder_limit(2))]);
    pen.command("shopper", vec![(tea(), shop::reserved(1, 52))]);
    assert_eq!(found(&pen).await, []);
    pen.command("merchant:ana", vec![(tea(), shop::backorder_limit(1))]);
    assert_eq!(found(&pen).await, [(4, Rule::Oversell)]);
}

#[tokio::test]
async fn what_was_shipped_cannot_be_sold_again() {
    let mut pen = fifty_packets();
    let tea = shop::tea_stream;
    pen.command("shopper", vec![(tea(), shop::reserved(1, 50)), (tea(), shop::shipped(1, 50))]);
    pen.command("shopper", vec![(tea(), shop::reserved(2, 1))]);
    assert_eq!(found(&pen).await, [(4, Rule::Oversell)]);
}

#[tokio::test]
async fn more_captured_than_authorised_is_named() {
    let mut pen = Pen::new();
    let payment = || shop::payment_stream(1);
    let events = [shop::opened(1), shop::authorised(eur(1200)), shop::captured(eur(1000)), shop::captured(eur(201))];
    pen.command("process:orders", events.map(|event| (payment(), event)).into());
    assert_eq!(found(&pen).await, [(4, Rule::Payment)]);
}

#[tokio::test]
async fn more_refunded_than_captured_is_named() {
    let mut pen = Pen::new();
    let payment = || shop::payment_stream(1);
    let events = [shop::opened(1), shop::authorised(eur(1200)), shop::captured(eur(1000)), shop::refunded(eur(1001))];
    pen.command("process:orders", events.map(|event| (payment(), event)).into());
    assert_eq!(found(&pen).await, [(4, Rule::Payment)]);
}

#[tokio::test]
async fn an_order_whose_sums_are_not_those_of_its_lines_is_named() {
    let mut order = shop::placed(1);
    order.totals.gross_minor += 1;
    let mut pen = Pen::new();
    pen.command("shopper", vec![(shop::order_stream(1), shop::order(order))]);
    assert_eq!(found(&pen).await, [(1, Rule::Totals)]);
}

#[tokio::test]
async fn money_taken_at_once_needs_no_authorisation_before() {
    let mut pen = Pen::new();
    let payment = || shop::payment_stream(1);
    let events = [shop::opened(1), shop::captured(eur(1200)), shop::refunded(eur(1200))];
    pen.command("import:past", events.map(|event| (payment(), event)).into());
    assert_eq!(found(&pen).await, []);
}

#[tokio::test]
async fn an_order_that_gives_back_more_than_it_had_is_named() {
    let mut pen = fifty_packets();
    let tea = shop::tea_stream;
    pen.command("shopper", vec![(tea(), shop::reserved(1, 2)), (tea(), shop::released(1, 3))]);
    assert_eq!(found(&pen).await, [(3, Rule::Oversell)]);
}

#[tokio::test]
async fn a_credit_note_whose_total_is_not_that_of_its_lines_is_named() {
    let mut pen = Pen::new();
    pen.command("merchant:ana", vec![shop::credit_note(1, 300), shop::credit_note(2, 299)]);
    assert_eq!(found(&pen).await, [(2, Rule::Totals)]);
}

#[tokio::test]
async fn a_shop_that_nobody_administers_any_more_is_named() {
    let mut pen = Pen::new();
    pen.command("process:first", vec![shop::admin(1, true), shop::admin(2, true), shop::admin(1, false)]);
    assert_eq!(found(&pen).await, []);
    pen.command("admin:2", vec![shop::admin(2, false)]);
    pen.command("admin:2", vec![shop::admin(3, false)]);
    assert_eq!(found(&pen).await, [(4, Rule::Admins), (5, Rule::Admins)]);
}

#[tokio::test]
async fn an_order_that_sends_refunds_or_begins_twice_what_it_may_is_named() {
    let items = |quantity| vec![SkuQuantity { sku: shop::tea(), quantity }];
    let (parcel, other) = (FulfilmentId(shop::id(1)), FulfilmentId(shop::id(2)));
    let sent = |fulfilment_id, quantity| OrderFulfilled { fulfilment_id, items: items(quantity), tracking: None };
    let returned =
        |quantity| OrderItemsReturned { return_id: ReturnId(shop::id(3)), items: items(quantity), reason: "broken".to_owned() };
    let refunded = |minor| OrderRefunded { payment_id: PaymentId(shop::id(9)), amount: eur(minor) };
    let events = [
        shop::order(refunded(1)),
        shop::order(shop::placed(1)),
        shop::paid(1),
        shop::order(sent(parcel, 1)),
        shop::order(sent(parcel, 1)),
        shop::order(FulfilmentDelivered { fulfilment_id: other }),
        shop::order(sent(other, 2)),
        shop::order(returned(3)),
        shop::order(returned(1)),
        shop::order(refunded(1200)),
        shop::order(refunded(1)),
        shop::order(shop::placed(1)),
    ];
    let mut pen = Pen::new();
    for event in events {
        pen.command("merchant:ana", vec![(shop::order_stream(1), event)]);
    }
    let wrong = [1, 5, 6, 7, 9, 11, 12];
    assert_eq!(found(&pen).await, wrong.map(|position| (position, Rule::Order)));
}
