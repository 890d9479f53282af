//! The rules of stock, one by one.

use cqrs_es::test::TestFramework;
use domain::{CountStock, SetStockPolicy, Shortage, Stock, StockCommand, StockRefusal, TransferStock};
use event_schemas::{
    AdjustmentReason, OrderId, ReleaseReason, ReservationCommitted, ReservationReleased, ReturnId, StockAdjusted, StockCounted,
    StockEvent, StockPolicySet, StockReceived, StockReserved, StockReturned, StockShipped,
};

use crate::shop::{Shop, id, location, minutes, morning, sku, stock_id};

fn order() -> OrderId {
    OrderId(id(1))
}

fn received(quantity: u32) -> StockEvent {
    StockReceived { sku: sku("TEA"), location: location("main"), quantity, reference: None }.into()
}

fn counted(counted: u32, expected: i64) -> StockEvent {
    StockCounted { sku: sku("TEA"), location: location("main"), counted, expected }.into()
}

fn reserved(quantity: u32) -> StockEvent {
    StockReserved { order_id: order(), quantity, expires_at: Some(morning() + minutes(15)) }.into()
}

fn committed() -> StockEvent {
    ReservationCommitted { order_id: order() }.into()
}

fn policy(safety_stock: u32, backorder_limit: u32) -> StockPolicySet {
    StockPolicySet { sku: sku("TEA"), location: location("main"), safety_stock, backorder_limit, low_stock_threshold: 0 }
}

fn reserve(quantity: u32) -> StockCommand {
    let expires_at = Some(morning() + minutes(15));
    StockCommand::Reserve { sku: sku("TEA"), order_id: order(), quantity, expires_at }
}

fn adjust(delta: i64) -> StockCommand {
    StockCommand::Adjust { stock: stock_id("TEA@main"), delta, reason: AdjustmentReason::Damaged, note: None }
}

fn given(events: Vec<StockEvent>) -> cqrs_es::test::AggregateTestExecutor<Stock> {
    TestFramework::<Stock>::with(()).given(events)
}

fn folded(events: &[StockEvent]) -> Stock {
    let mut stock = Stock::default();
    events.iter().for_each(|event| stock.evolve(event));
    stock
}

fn short(available: u64, requested: u32) -> StockRefusal {
    StockRefusal::Insufficient(Shortage { sku: sku("TEA"), available, requested })
}

#[test]
fn goods_that_come_in_can_be_reserved_to_the_last_unit() {
    given(vec![received(5)]).when(reserve(5)).then_expect_events(vec![reserved(5)]);
}

#[test]
fn what_is_not_there_cannot_be_reserved_and_the_refusal_says_what_is() {
    given(vec![received(5)]).when(reserve(6)).then_expect_error(short(5, 6));
    given(vec![]).when(reserve(1)).then_expect_error(short(0, 1));
    given(vec![received(5)]).when(reserve(0)).then_expect_error(StockRefusal::NothingToMove);
}

#[test]
fn an_order_reserves_once_at_each_stock() {
    given(vec![received(5), reserved(2)]).when(reserve(2)).then_expect_error(StockRefusal::AlreadyReserved);
}

#[test]
fn safety_stock_is_never_offered() {
    let stock = folded(&[received(5), policy(3, 0).into()]);
    assert_eq!((stock.available(), stock.sellable()), (2, 2));
    given(vec![received(5), policy(3, 0).into()]).when(reserve(3)).then_expect_error(short(2, 3));
}

#[test]
fn backorders_are_sold_up_to_their_limit() {
    given(vec![received(5), policy(0, 2).into()]).when(reserve(7)).then_expect_events(vec![reserved(7)]);
    given(vec![received(5), policy(0, 2).into()]).when(reserve(8)).then_expect_error(short(7, 8));
}

#[test]
fn a_backorder_limit_cannot_be_taken_back_from_under_orders() {
    let held = vec![received(5), policy(0, 2).into(), reserved(7)];
    given(held.clone())
        .when(StockCommand::SetPolicy(policy(0, 1)))
        .then_expect_error(StockRefusal::BackordersOutstanding { outstanding: 2 });
    given(held).when(StockCommand::SetPolicy(policy(1, 2))).then_expect_events(vec![policy(1, 2).into()]);
}

#[test]
fn units_set_aside_for_orders_cannot_be_adjusted_away() {
    let refusal = StockRefusal::SetAsideForOrders { on_hand: 5, held: 4, requested: 2 };
    given(vec![received(5), reserved(4)]).when(adjust(-2)).then_expect_error(refusal);
    let (sku, location) = (sku("TEA"), location("main"));
    let adjusted = StockAdjusted { sku, location, delta: -1, reason: AdjustmentReason::Damaged, note: None };
    given(vec![received(5), reserved(4)]).when(adjust(-1)).then_expect_events(vec![adjusted.into()]);
    given(vec![received(5)]).when(adjust(0)).then_expect_error(StockRefusal::NothingToMove);
    given(vec![received(5)]).when(adjust(i64::MAX)).then_expect_error(StockRefusal::TooManyUnits);
    given(vec![]).when(adjust(i64::MIN)).inspect_result().unwrap_err();
}

#[test]
fn a_count_is_a_fact_even_when_it_finds_fewer_units_than_orders_wait_for() {
    let count = StockCommand::Count { stock: stock_id("TEA@main"), counted: 2 };
    given(vec![received(5), reserved(4)]).when(count).then_expect_events(vec![counted(2, 5)]);
    let stock = folded(&[received(5), reserved(4), counted(2, 5)]);
    assert_eq!((stock.on_hand(), stock.held(), stock.available(), stock.sellable()), (2, 4, 0, 0));
}

#[test]
fn a_released_reservation_is_for_sale_again_and_releasing_twice_does_nothing() {
    let release = || StockCommand::Release { order_id: order(), reason: ReleaseReason::Expired };
    let released: StockEvent = ReservationReleased { order_id: order(), quantity: 4, reason: ReleaseReason::Expired }.into();
    given(vec![received(5), reserved(4)]).when(release()).then_expect_events(vec![released.clone()]);
    given(vec![received(5), reserved(4), released.clone()]).when(release()).then_expect_events(vec![]);
    assert_eq!(folded(&[received(5), reserved(4), released]), folded(&[received(5)]));
}

#[test]
fn only_committed_units_are_shipped_and_no_more_than_were_set_aside() {
    let ship = |quantity| StockCommand::Ship { order_id: order(), quantity };
    given(vec![received(5)]).when(ship(1)).then_expect_error(StockRefusal::NotReserved);
    given(vec![received(5), reserved(4)]).when(ship(1)).then_expect_error(StockRefusal::NotCommitted);
    let paid = vec![received(5), reserved(4), committed()];
    let refusal = StockRefusal::MoreThanReserved { reserved: 4, requested: 5 };
    given(paid.clone()).when(ship(5)).then_expect_error(refusal);
    given(paid).when(ship(4)).then_expect_events(vec![StockShipped { order_id: order(), quantity: 4 }.into()]);
}

#[test]
fn a_backorder_is_not_shipped_before_its_goods_come_in() {
    let sold_beyond = vec![received(1), policy(0, 5).into(), reserved(3), committed()];
    given(sold_beyond)
        .when(StockCommand::Ship { order_id: order(), quantity: 3 })
        .then_expect_error(StockRefusal::NotOnHand { on_hand: 1, requested: 3 });
}

#[test]
fn a_finished_reservation_is_forgotten() {
    let stock = folded(&[received(5), reserved(4), committed(), StockShipped { order_id: order(), quantity: 4 }.into()]);
    assert_eq!(stock, folded(&[received(1)]));
}

#[test]
fn committing_twice_does_nothing_the_second_time() {
    let commit = || StockCommand::Commit { order_id: order() };
    given(vec![received(5), reserved(4)]).when(commit()).then_expect_events(vec![committed()]);
    given(vec![received(5), reserved(4), committed()]).when(commit()).then_expect_events(vec![]);
    given(vec![received(5)]).when(commit()).then_expect_error(StockRefusal::NotReserved);
}

#[test]
fn returned_units_are_for_sale_again() {
    let returned = StockReturned { sku: sku("TEA"), location: location("main"), quantity: 2, return_id: ReturnId(id(9)) };
    assert_eq!(folded(&[returned.into()]).available(), 2);
}

#[test]
fn a_transfer_moves_units_between_two_books_or_not_at_all() {
    let mut shop = Shop::new();
    shop.receives("TEA@main", 5);
    let transfer = |quantity, to: &str| TransferStock { sku: sku("TEA"), from: location("main"), to: location(to), quantity };
    assert_eq!(shop.refusal(transfer(6, "outlet")).code(), "STOCK_SET_ASIDE_FOR_ORDERS");
    assert_eq!(shop.refusal(transfer(1, "main")).code(), "SAME_LOCATION");
    assert_eq!(shop.refusal(transfer(0, "outlet")).code(), "INVALID_QUANTITY");
    shop.must(transfer(2, "outlet"));
    assert_eq!([shop.get::<Stock>("TEA@main").on_hand(), shop.get::<Stock>("TEA@outlet").on_hand()], [3, 2]);
}

#[test]
fn staff_count_and_set_policies_of_stock_that_was_never_heard_of() {
    let mut shop = Shop::new();
    shop.must(CountStock { stock: stock_id("NEW@main"), counted: 7 });
    let stock = stock_id("NEW@main");
    shop.must(SetStockPolicy { stock, safety_stock: 1, backorder_limit: 0, low_stock_threshold: 3 });
    assert_eq!(shop.get::<Stock>("NEW@main").available(), 6);
}
