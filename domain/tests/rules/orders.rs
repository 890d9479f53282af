//! An order after it is placed: paid, shipped, delivered, returned, cancelled, expired, paid too late.

use cqrs_es::test::TestFramework;
use domain::{
    AddOrderNote, CancelOrder, DeliverFulfilment, ExpireOrder, FulfilOrder, GatewayOutcome, Order, OrderCommand, OrderRefusal,
    Payment, RecordPayment, ReturnItems, SealedText, StartProcessing, Stock,
};
use event_schemas::{
    CancelledBy, FulfilmentId, OrderId, OrderPaymentStatus, OrderStatus, PaymentId, RefundId, ReturnId, SkuQuantity,
};

use crate::shop::{Shop, eur, id, location, minutes, sealed, sku};

fn shop_with_tea() -> Shop {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    shop
}

fn items(quantity: u32) -> Vec<SkuQuantity> {
    vec![SkuQuantity { sku: sku("TEA"), quantity }]
}

fn parcel(order_id: OrderId, number: u128, units: Option<u32>) -> FulfilOrder {
    FulfilOrder { order_id, fulfilment_id: FulfilmentId(id(number)), items: units.map(items), tracking: None }
}

fn cancel(order_id: OrderId) -> CancelOrder {
    let (by, reason) = (CancelledBy::Customer, "changed my mind".to_owned());
    CancelOrder { order_id, by, reason, refund_id: RefundId(id(77)) }
}

fn status(shop: &Shop, order_id: OrderId) -> OrderStatus {
    shop.get::<Order>(order_id).placed().unwrap().facts.status()
}

fn money(shop: &Shop, order_id: OrderId) -> OrderPaymentStatus {
    shop.get::<Order>(order_id).placed().unwrap().facts.payment_status()
}

fn tea(shop: &Shop) -> (i64, u64) {
    let stock = shop.get::<Stock>("TEA@main");
    (stock.on_hand(), stock.held())
}

fn expires(shop: &mut Shop, order_id: OrderId) {
    shop.now += minutes(15);
    let from = shop.happened.len();
    shop.must(ExpireOrder { order_id, refund_id: RefundId(id(78)), now: shop.now });
    shop.runs_processes(from);
}

/// At its deadline it is looked at again later, because its money may yet come.
fn is_given_more_time(shop: &mut Shop, order_id: OrderId) {
    shop.now += minutes(15);
    let refusal = shop.refusal(ExpireOrder { order_id, refund_id: RefundId(id(78)), now: shop.now });
    assert_eq!(refusal.not_before(), Some(shop.now + minutes(15)));
}

fn captured(minor: i64, reference: &str) -> GatewayOutcome {
    GatewayOutcome::Captured { amount: eur(minor), gateway_reference: reference.to_owned() }
}

#[test]
fn a_paid_order_is_prepared_shipped_in_parcels_and_delivered() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    assert_eq!(shop.refusal(parcel(order_id, 1, None)).code(), "NOT_PAID");
    assert_eq!(shop.refusal(StartProcessing { order_id }).code(), "NOT_PAID");
    shop.pays(payment_id);
    assert_eq!((status(&shop, order_id), tea(&shop)), (OrderStatus::Paid, (10, 3)));
    shop.must(StartProcessing { order_id });
    assert_eq!(shop.refusal(StartProcessing { order_id }).code(), "WRONG_STATE");
    shop.must(parcel(order_id, 1, Some(1)));
    assert_eq!((status(&shop, order_id), tea(&shop)), (OrderStatus::PartiallyShipped, (9, 2)));
    assert_eq!(shop.refusal(parcel(order_id, 2, Some(3))).code(), "MORE_THAN_ORDERED");
    assert_eq!(shop.refusal(parcel(order_id, 1, Some(1))).code(), "FULFILMENT_EXISTS");
    shop.must(parcel(order_id, 2, None));
    assert_eq!((status(&shop, order_id), tea(&shop)), (OrderStatus::Shipped, (7, 0)));
    for number in [1, 2] {
        shop.must(DeliverFulfilment { order_id, fulfilment_id: FulfilmentId(id(number)) });
    }
    assert_eq!(status(&shop, order_id), OrderStatus::Delivered);
    let again = shop.must(DeliverFulfilment { order_id, fulfilment_id: FulfilmentId(id(1)) });
    assert_eq!(again, [], "a carrier may say it twice");
    let unknown = DeliverFulfilment { order_id, fulfilment_id: FulfilmentId(id(9)) };
    assert_eq!(shop.refusal(unknown).code(), "FULFILMENT_NOT_FOUND");
}

#[test]
fn a_parcel_names_each_sku_once_and_something_of_it() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    shop.pays(payment_id);
    assert_eq!(shop.refusal(parcel(order_id, 1, Some(0))).code(), "NO_ITEMS");
    let twice = FulfilOrder { items: Some([items(1), items(1)].concat()), ..parcel(order_id, 1, None) };
    assert_eq!(shop.refusal(twice).code(), "NO_ITEMS");
    shop.must(parcel(order_id, 1, None));
    assert_eq!(shop.refusal(parcel(order_id, 2, None)).code(), "NO_ITEMS");
}

#[test]
fn no_more_comes_back_than_was_shipped() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    shop.pays(payment_id);
    let back = |quantity, restock| ReturnItems {
        order_id,
        return_id: ReturnId(id(1)),
        items: items(quantity),
        reason: "too strong".to_owned(),
        restock,
    };
    assert_eq!(shop.refusal(back(1, None)).code(), "MORE_THAN_SHIPPED");
    shop.must(parcel(order_id, 1, Some(2)));
    assert_eq!(shop.refusal(back(3, None)).code(), "MORE_THAN_SHIPPED");
    shop.must(back(1, Some(location("main"))));
    assert_eq!((status(&shop, order_id), tea(&shop)), (OrderStatus::PartiallyReturned, (9, 1)));
    shop.must(back(1, None));
    assert_eq!(tea(&shop), (9, 1), "what is not fit to be sold again does not go back on the shelf");
    assert_eq!(shop.refusal(back(1, None)).code(), "MORE_THAN_SHIPPED");
}

#[test]
fn cancelling_an_unpaid_order_gives_its_stock_back_and_closes_its_payment() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    let from = shop.happened.len();
    shop.must(cancel(order_id));
    assert_eq!(shop.types_from(from), ["OrderCancelled", "ReservationReleased", "PaymentExpired"]);
    assert_eq!(tea(&shop), (10, 0));
    let late = domain::ConfirmPayment { payment_id, token: "tok_visa".to_owned(), capture: true, now: shop.now };
    assert_eq!(shop.refusal(late).code(), "WRONG_STATE");
    assert_eq!(shop.refusal(cancel(order_id)).code(), "WRONG_STATE");
}

#[test]
fn cancelling_a_paid_order_gives_the_money_back() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    shop.pays(payment_id);
    let from = shop.happened.len();
    shop.must(cancel(order_id));
    shop.runs_processes(from);
    let expected = ["OrderCancelled", "ReservationReleased", "PaymentRefundRequested", "PaymentRefunded", "OrderRefunded"];
    assert_eq!(shop.types_from(from), expected);
    assert_eq!((tea(&shop), money(&shop, order_id)), ((10, 0), OrderPaymentStatus::Refunded));
}

#[test]
fn what_was_shipped_cannot_be_cancelled() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    shop.pays(payment_id);
    shop.must(parcel(order_id, 1, Some(1)));
    assert_eq!(shop.refusal(cancel(order_id)).code(), "ALREADY_SHIPPED");
}

#[test]
fn an_order_that_is_not_paid_in_time_gives_its_stock_back() {
    let mut shop = shop_with_tea();
    let (order_id, _) = shop.places(&[("TEA", 3)]);
    let early = ExpireOrder { order_id, refund_id: RefundId(id(1)), now: shop.now + minutes(14) };
    let refusal = shop.refusal(early);
    assert_eq!((refusal.code(), refusal.not_before()), ("NOT_DUE", Some(shop.now + minutes(15))));
    expires(&mut shop, order_id);
    assert_eq!((status(&shop, order_id), tea(&shop)), (OrderStatus::Expired, (10, 0)));
    expires(&mut shop, order_id);
    assert_eq!(status(&shop, order_id), OrderStatus::Expired);
}

#[test]
fn a_paid_order_never_expires() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    shop.pays(payment_id);
    expires(&mut shop, order_id);
    assert_eq!((status(&shop, order_id), tea(&shop)), (OrderStatus::Paid, (10, 3)));
}

#[test]
fn an_order_whose_money_is_taken_but_not_recorded_yet_does_not_expire() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    shop.must(domain::RecordGatewayOutcomes { payment_id, outcomes: vec![captured(1_840, "c-1")] });
    is_given_more_time(&mut shop, order_id);
    assert_eq!(status(&shop, order_id), OrderStatus::Pending);
    shop.must(RecordPayment { payment_id, refund_id: RefundId(id(1)), now: shop.now });
    assert_eq!(status(&shop, order_id), OrderStatus::Paid);
}

#[test]
fn money_for_an_expired_order_sets_its_stock_aside_again_when_there_is_enough() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    expires(&mut shop, order_id);
    let from = shop.happened.len();
    shop.hears(payment_id, captured(1_840, "late"));
    let expected = ["PaymentCaptured", "OrderPaymentReceived", "OrderReinstated", "StockReserved"];
    assert_eq!(shop.types_from(from), expected);
    assert_eq!((status(&shop, order_id), tea(&shop)), (OrderStatus::Paid, (10, 3)));
    shop.must(parcel(order_id, 1, None));
    assert_eq!(tea(&shop), (7, 0));
}

#[test]
fn money_for_an_expired_order_goes_back_at_once_when_its_stock_is_gone() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    expires(&mut shop, order_id);
    shop.places(&[("TEA", 8)]);
    let from = shop.happened.len();
    shop.hears(payment_id, captured(1_840, "late"));
    let expected = ["PaymentCaptured", "OrderPaymentReceived", "PaymentRefundRequested", "PaymentRefunded", "OrderRefunded"];
    assert_eq!(shop.types_from(from), expected);
    assert_eq!((status(&shop, order_id), money(&shop, order_id)), (OrderStatus::Expired, OrderPaymentStatus::Refunded));
}

#[test]
fn money_for_a_cancelled_order_goes_back_at_once() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    shop.must(cancel(order_id));
    shop.hears(payment_id, captured(1_840, "late"));
    assert_eq!((status(&shop, order_id), money(&shop, order_id)), (OrderStatus::Cancelled, OrderPaymentStatus::Refunded));
    assert_eq!(tea(&shop), (10, 0));
}

#[test]
fn a_part_of_the_money_is_no_payment_and_goes_back_when_the_order_expires() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    shop.hears(payment_id, captured(1_000, "half"));
    assert_eq!((status(&shop, order_id), money(&shop, order_id)), (OrderStatus::Pending, OrderPaymentStatus::PartiallyPaid));
    expires(&mut shop, order_id);
    assert_eq!((status(&shop, order_id), money(&shop, order_id)), (OrderStatus::Expired, OrderPaymentStatus::Refunded));
    shop.hears(payment_id, captured(840, "rest"));
    assert_eq!(shop.get::<Payment>(payment_id).opened().unwrap().refunded_minor(), 1_840);
}

#[test]
fn an_order_does_not_expire_while_its_money_is_held_and_is_called_off_when_the_hold_is_let_go() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    let held = GatewayOutcome::Authorised { amount: eur(1_840), gateway_reference: "h".to_owned(), expires_at: None };
    shop.hears(payment_id, held);
    is_given_more_time(&mut shop, order_id);
    assert_eq!(status(&shop, order_id), OrderStatus::Pending);
    shop.hears(payment_id, GatewayOutcome::Voided { gateway_reference: "v".to_owned() });
    assert_eq!((status(&shop, order_id), tea(&shop)), (OrderStatus::Cancelled, (10, 0)));
}

#[test]
fn money_held_for_an_order_that_is_closed_is_let_go() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    shop.must(cancel(order_id));
    let from = shop.happened.len();
    let held = GatewayOutcome::Authorised { amount: eur(1_840), gateway_reference: "h".to_owned(), expires_at: None };
    shop.hears(payment_id, held);
    assert_eq!(shop.types_from(from), ["PaymentAuthorised", "PaymentVoidRequested", "PaymentVoided"]);
}

#[test]
fn a_payment_is_recorded_once_however_often_the_order_is_told() {
    let mut shop = shop_with_tea();
    let (_, payment_id) = shop.places(&[("TEA", 3)]);
    shop.pays(payment_id);
    let again = shop.must(RecordPayment { payment_id, refund_id: RefundId(id(1)), now: shop.now });
    assert_eq!(again, []);
}

#[test]
fn nothing_can_be_asked_of_an_order_that_does_not_exist() {
    let commands = [
        OrderCommand::StartProcessing,
        OrderCommand::Expire { now: crate::shop::morning() },
        OrderCommand::Deliver { fulfilment_id: FulfilmentId(id(1)) },
        OrderCommand::Cancel { by: CancelledBy::Staff, reason: "test".to_owned() },
    ];
    for command in commands {
        TestFramework::<Order>::with(()).given_no_previous_events().when(command).then_expect_error(OrderRefusal::NotFound);
    }
    let mut shop = Shop::new();
    let payment_id = PaymentId(id(1));
    let unknown = RecordPayment { payment_id, refund_id: RefundId(id(1)), now: shop.now };
    assert_eq!(shop.refusal(unknown).code(), "PAYMENT_NOT_FOUND");
}

#[test]
fn a_note_is_kept_whatever_the_orders_state_and_says_something() {
    let mut shop = shop_with_tea();
    let (order_id, _) = shop.places(&[("TEA", 1)]);
    let note = |text: &str| AddOrderNote { order_id, note: SealedText::new(sealed(), text) };
    assert_eq!(shop.refusal(note("  ")).code(), "NOTE_INVALID");
    assert_eq!(shop.refusal(note(&"x".repeat(2001))).code(), "NOTE_INVALID");
    expires(&mut shop, order_id);
    shop.must(note("Ana asked to leave it with the neighbour."));
    assert_eq!(status(&shop, order_id), OrderStatus::Expired);
}

#[test]
fn what_is_still_held_after_a_part_was_taken_for_a_cancelled_order_is_let_go() {
    let mut shop = shop_with_tea();
    let (order_id, payment_id) = shop.places(&[("TEA", 3)]);
    let held = GatewayOutcome::Authorised { amount: eur(1_840), gateway_reference: "h".to_owned(), expires_at: None };
    shop.hears(payment_id, held);
    shop.must(domain::RequestCapture { payment_id, amount: Some(eur(40)) });
    shop.must(cancel(order_id));
    let from = shop.happened.len();
    shop.hears(payment_id, captured(40, "c"));
    let types = shop.types_from(from);
    assert!(types.contains(&"PaymentVoidRequested") && types.contains(&"PaymentRefundRequested"), "{types:?}");
}

#[test]
fn money_won_in_a_dispute_over_an_order_that_was_called_off_meanwhile_goes_back() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let (order_id, payment_id) = shop.places(&[("TEA", 2)]);
    shop.pays(payment_id);
    shop.hears(payment_id, GatewayOutcome::Disputed { amount: eur(300), reason: "fraud".to_owned() });
    let from = shop.happened.len();
    shop.must(cancel(order_id));
    shop.runs_processes(from);
    let kept = |shop: &Shop| {
        let payment = shop.get::<Payment>(payment_id);
        let payment = payment.opened().unwrap();
        payment.captured_minor() - payment.refunded_minor()
    };
    assert_eq!(kept(&shop), 300, "what is in dispute cannot go back");
    shop.hears(payment_id, GatewayOutcome::DisputeClosed { won: true });
    assert_eq!((kept(&shop), money(&shop, order_id)), (0, OrderPaymentStatus::Refunded));
}

#[test]
fn money_won_in_a_dispute_over_an_open_order_stays() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let (order_id, payment_id) = shop.places(&[("TEA", 2)]);
    shop.pays(payment_id);
    shop.hears(payment_id, GatewayOutcome::Disputed { amount: eur(300), reason: "fraud".to_owned() });
    shop.hears(payment_id, GatewayOutcome::DisputeClosed { won: true });
    assert_eq!(money(&shop, order_id), OrderPaymentStatus::Paid);
}
