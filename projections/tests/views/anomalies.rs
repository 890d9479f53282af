//! Anomalies: planted ones are found, ordinary days are not, and the verdicts follow from the events alone.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use event_schemas::*;
use projections::{ANOMALIES, Anomaly, AnomalyFilter, AnomalyMetric, AnomalySort, Page, Severity};

use crate::{
    runner::followed_by,
    shop::{History, day, line, placed},
    store::Home,
};

on_each_store!(
    ordinary_days_raise_nothing,
    a_burst_and_a_silent_day_are_found_with_the_orders_behind_them,
    a_day_without_any_order_is_judged_when_the_next_visitor_comes,
    orders_that_arrive_late_change_the_verdict_on_their_day,
    the_verdicts_do_not_depend_on_the_order_in_which_orders_were_recorded,
    an_anomaly_that_stays_what_it_was_is_no_news,
);

/// Days with about twenty orders each, a little more on Fridays; `special` says otherwise for some.
fn trading(days: i64, special: impl Fn(i64) -> Option<i64>) -> History {
    recorded(orders(days, special))
}

/// The orders of so many days, each with its moment.
fn orders(days: i64, special: impl Fn(i64) -> Option<i64>) -> Vec<(OrderPlaced, Timestamp)> {
    let (mut orders, mut number) = (Vec::new(), 0);
    for today in 0..days {
        let friday = i64::from(day(today, 0).format("%A").to_string() == "Friday");
        let usual = 20 + 6 * friday + [0, 3, -2, 1, -4, 2, 0, -1, 4][today as usize % 9];
        for order in 0..special(today).unwrap_or(usual) {
            number += 1;
            let order_placed = placed(number, "GB", vec![line(number % 5, 1 + (number % 3) as u32, 500)]);
            orders.push((order_placed, day(today, order * 60)));
        }
    }
    orders
}

/// A history of orders, recorded in the order given.
fn recorded(orders: Vec<(OrderPlaced, Timestamp)>) -> History {
    let mut history = History::default();
    for (order, at) in orders {
        history.happens(order.order_id, OrderEvent::from(order), at);
    }
    history
}

fn visited(mut history: History, at: Timestamp) -> History {
    let cart_id = CartId(uuid::Uuid::nil());
    let currency = Currency::new("GBP").unwrap();
    let created = CartCreated { cart_id, currency, customer_id: None, expires_at: day(400, 0) };
    history.happens(cart_id, CartEvent::from(created), at);
    history
}

async fn found(home: &Home, history: &History) -> Vec<Anomaly> {
    static FOUND: AtomicU32 = AtomicU32::new(0);
    let views = home.views(&format!("{}.db", FOUND.fetch_add(1, Relaxed)));
    followed_by(&[&ANOMALIES], &history.log().await, &views, 1_000).await;
    let listed = views
        .read_blocking(|reader| reader.anomalies(&AnomalyFilter::default(), AnomalySort::Day, true, &Page::first(100)))
        .unwrap();
    listed.items.into_iter().map(|(_, anomaly)| anomaly).collect()
}

async fn ordinary_days_raise_nothing(home: Home) {
    assert_eq!(found(&home, &trading(100, |_| None)).await, []);
}

async fn a_burst_and_a_silent_day_are_found_with_the_orders_behind_them(home: Home) {
    let history = trading(90, |today| match today {
        70 => Some(75),
        80 => Some(0),
        _ => None,
    });
    let counts: Vec<_> = found(&home, &history).await.into_iter().filter(|found| found.metric == AnomalyMetric::Orders).collect();
    let days: Vec<_> = counts.iter().map(|found| (found.day, found.observed)).collect();
    assert_eq!(days, [(day(80, 0).date_naive(), 0), (day(70, 0).date_naive(), 75)]);
    let burst = &counts[1];
    assert!(burst.severity >= Severity::High && burst.expected_high < 60, "{burst:?}");
    assert_eq!((burst.orders_behind, burst.positions.len()), (75, 75));
    let recorded = history.recorded();
    let of_the_day = |position: &u64| recorded[*position as usize - 1].event.occurred_at.date_naive() == burst.day;
    assert!(burst.positions.iter().all(of_the_day));
    let silence = &counts[0];
    assert!(silence.reason.starts_with("0 orders in GBP on"), "{}", silence.reason);
    assert!(silence.orders_behind > 100 && silence.positions.len() == 100, "{silence:?}");
}

async fn a_day_without_any_order_is_judged_when_the_next_visitor_comes(home: Home) {
    let history = visited(trading(70, |_| None), day(71, 0));
    let silent: Vec<_> = found(&home, &history).await.iter().map(|anomaly| (anomaly.day, anomaly.observed)).collect();
    assert_eq!(silent, [(day(70, 0).date_naive(), 0)]);
}

async fn orders_that_arrive_late_change_the_verdict_on_their_day(home: Home) {
    let mut history = trading(80, |today| (today == 70).then_some(0));
    assert!(found(&home, &history).await.iter().any(|anomaly| anomaly.day == day(70, 0).date_naive()));
    for number in 0..20 {
        let late = placed(90_000 + number, "GB", vec![line(1, 2, 500)]);
        history.happens(late.order_id, OrderEvent::from(late), day(70, number as i64));
    }
    assert_eq!(found(&home, &visited(history, day(79, 90_000))).await, []);
}

/// What is told of the days, without what depends on the order in which they were recorded.
async fn told(home: &Home, history: &History) -> Vec<(Anomaly, usize)> {
    let told = found(home, history).await.into_iter();
    told.map(|anomaly| (Anomaly { positions: Vec::new(), position: 0, ..anomaly.clone() }, anomaly.positions.len())).collect()
}

async fn the_verdicts_do_not_depend_on_the_order_in_which_orders_were_recorded(home: Home) {
    let special = |today| match today {
        // Only the scatter of the other weekdays says how unusual these are.
        40 => Some(60),
        72 => Some(75),
        74 | 80 => Some(0),
        _ => None,
    };
    let in_order = orders(120, special);
    let expected = told(&home, &visited(recorded(in_order.clone()), day(121, 0))).await;
    assert!(expected.len() >= 4, "{expected:?}");

    let mut days_swapped = in_order.clone();
    // An import has documents of several days on their way at once.
    days_swapped.chunks_mut(60).for_each(<[_]>::reverse);
    assert_eq!(told(&home, &visited(recorded(days_swapped), day(121, 0))).await, expected);

    let (earlier, later): (Vec<_>, Vec<_>) = in_order.into_iter().partition(|(_, at)| *at < day(65, 0));
    let older_last = later.into_iter().chain(earlier).collect();
    assert_eq!(told(&home, &visited(recorded(older_last), day(121, 0))).await, expected);
}

async fn an_anomaly_that_stays_what_it_was_is_no_news(home: Home) {
    let mut history = trading(90, |today| (today == 70).then_some(75));
    let before = found(&home, &history).await;
    // Days are judged in all currencies together, so this one's are judged again, and nothing has changed.
    let late = OrderPlaced { currency: Currency::new("EUR").unwrap(), ..placed(90_000, "IE", vec![line(1, 2, 500)]) };
    history.happens(late.order_id, OrderEvent::from(late), day(65, 90_000));
    let after = found(&home, &visited(history, day(91, 0))).await;
    assert_eq!(after.iter().find(|anomaly| anomaly.day == before[0].day), Some(&before[0]));
}
