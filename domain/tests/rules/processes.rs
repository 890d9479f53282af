//! The processes: what follows from what happened, and always the same.

use domain::{
    Change, DeadlineProcess, Decision, GatewayAction, GatewayProcess, HistoryRefusal, Order, OrderProcess, Process,
    RecordHistory, Refusal, Stock, stream_of,
};
use event_schemas::{CartExpired, OrderStatus, PaymentAuthorised, PaymentId, StockReceived};

use crate::shop::{Shop, as_happened, eur, id, location, minutes, sku};

fn last(shop: &Shop, event_type: &str) -> (usize, Change) {
    let index = shop.happened.iter().rposition(|change| change.event.event_type() == event_type).unwrap();
    (index, shop.happened[index].clone())
}

fn decide_all(shop: &mut Shop, decisions: Vec<Box<dyn Decision>>) -> usize {
    decisions.into_iter().map(|decision| shop.must(decision).len()).sum()
}

#[test]
fn an_order_sets_a_deadline_that_expires_it_and_being_closed_settles_it() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let (order_id, _) = shop.places(&[("TEA", 2)]);
    let (index, placed) = last(&shop, "OrderPlaced");
    let happened = as_happened(index, &placed, shop.now);
    let deadlines = DeadlineProcess.react(&happened).deadlines;
    assert_eq!((deadlines[0].key.clone(), deadlines[0].due_at), (format!("order/{order_id}"), shop.now + minutes(15)));
    shop.now += minutes(15);
    let due = DeadlineProcess.on_due(&happened, shop.now);
    assert!(decide_all(&mut shop, due) > 0);
    assert_eq!(shop.get::<Order>(order_id).placed().unwrap().facts.status(), OrderStatus::Expired);
    let due = DeadlineProcess.on_due(&happened, shop.now);
    assert_eq!(decide_all(&mut shop, due), 0, "a deadline that fires twice does nothing the second time");
    let (index, expired) = last(&shop, "OrderExpired");
    assert_eq!(DeadlineProcess.react(&as_happened(index, &expired, shop.now)).settled, [deadlines[0].key.clone()]);
}

#[test]
fn a_cart_that_was_touched_says_until_when_to_come_again() {
    let mut shop = Shop::new();
    let cart_id = shop.cart_in("EUR");
    let (index, created) = last(&shop, "CartCreated");
    shop.now += minutes(60);
    shop.must(shop.details(cart_id));
    shop.now += minutes(23 * 60);
    let due = DeadlineProcess.on_due(&as_happened(index, &created, shop.now), shop.now);
    let refusal = shop.refusal(due.into_iter().next().unwrap());
    assert_eq!(refusal.not_before(), Some(shop.now + minutes(60)));
    let expired = Change::now(stream_of::<domain::Cart>(cart_id), event_schemas::CartEvent::from(CartExpired {}));
    assert_eq!(DeadlineProcess.react(&as_happened(0, &expired, shop.now)).settled, [format!("cart/{cart_id}")]);
}

#[test]
fn a_hold_that_runs_out_closes_its_payment_and_calls_its_order_off() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let (order_id, payment_id) = shop.places(&[("TEA", 2)]);
    let expires_at = shop.now + minutes(7 * 24 * 60);
    let amount = eur(1_390);
    let gateway_reference = "hold".to_owned();
    shop.hears(payment_id, domain::GatewayOutcome::Authorised { amount, gateway_reference, expires_at: Some(expires_at) });
    let (index, held) = last(&shop, "PaymentAuthorised");
    let happened = as_happened(index, &held, shop.now);
    assert_eq!(DeadlineProcess.react(&happened).deadlines[0].due_at, expires_at);
    let from = shop.happened.len();
    let due = DeadlineProcess.on_due(&happened, expires_at);
    decide_all(&mut shop, due);
    shop.runs_processes(from);
    assert_eq!(shop.get::<Order>(order_id).placed().unwrap().facts.status(), OrderStatus::Cancelled);
    assert_eq!(shop.get::<Stock>("TEA@main").held(), 0);
}

#[test]
fn a_request_becomes_one_call_whose_key_is_the_event() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let (_, payment_id) = shop.places(&[("TEA", 2)]);
    shop.pays(payment_id);
    let (index, asked) = last(&shop, "PaymentConfirmationRequested");
    let happened = as_happened(index, &asked, shop.now);
    let call = GatewayProcess.react(&happened).gateway_call.unwrap();
    assert_eq!((call.gateway.as_str(), call.payment_id, call.idempotency_key), ("sandbox", payment_id, happened.event_id));
    let token = "tok_visa".to_owned();
    assert_eq!(call.action, GatewayAction::Confirm { token, capture: true, amount: eur(1_390) });
    let (index, captured) = last(&shop, "PaymentCaptured");
    assert_eq!(GatewayProcess.react(&as_happened(index, &captured, shop.now)).gateway_call, None);
}

#[test]
fn a_reaction_that_is_repeated_is_the_same() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let (_, payment_id) = shop.places(&[("TEA", 2)]);
    shop.pays(payment_id);
    let (index, captured) = last(&shop, "PaymentCaptured");
    let react = || format!("{:?}", OrderProcess.react(&as_happened(index, &captured, shop.now)).decisions);
    assert_eq!(react(), react());
    let happened = as_happened(index, &captured, shop.now);
    assert_ne!(happened.derived_id("refund"), happened.derived_id("other"));
}

#[test]
fn what_happens_to_a_payment_without_an_order_is_for_an_operator_to_look_at() {
    let mut shop = Shop::new();
    let stream = stream_of::<domain::Payment>(PaymentId(id(5)));
    let held = PaymentAuthorised { amount: eur(1), gateway_reference: "x".to_owned(), expires_at: None };
    let change = Change::now(stream, event_schemas::PaymentEvent::from(held));
    let decision = OrderProcess.react(&as_happened(0, &change, shop.now)).decisions.remove(0);
    let refusal = shop.refusal(decision);
    assert_eq!((refusal.code(), refusal.not_before()), ("PAYMENT_NOT_FOUND", None));
}

#[test]
fn history_is_taken_as_it_is_and_only_once() {
    let mut shop = Shop::new();
    let stream = stream_of::<Stock>("TEA@main");
    let received = StockReceived { sku: sku("TEA"), location: location("main"), quantity: 5, reference: None };
    let change = Change::now(stream.clone(), event_schemas::StockEvent::from(received));
    let history = RecordHistory { new_streams: vec![stream.clone()], changes: vec![change] };
    shop.must(history.clone());
    assert_eq!(shop.get::<Stock>("TEA@main").on_hand(), 5);
    assert_eq!(shop.refusal(history), Refusal::History(HistoryRefusal::AlreadyRecorded { stream }));
}
