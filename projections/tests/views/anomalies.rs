//! Anomalies: planted ones are found, ordinary days are not, and the verdicts follow from the events alone.

use event_schemas::*;
use projections::{ANOMALIES, Anomaly, AnomalyFilter, AnomalyMetric, Page, Severity};

use crate::{
    runner::{followed_by, views_in},
    shop::{History, day, line, placed},
};

/// Days with about twenty orders each, a little more on Fridays; `special` says otherwise for some.
fn trading(days: i64, special: impl Fn(i64) -> Option<i64>) -> History {
    let (mut history, mut number) = (History::default(), 0);
    for today in 0..days {
        let friday = i64::from(day(today, 0).format("%A").to_string() == "Friday");
        let usual = 20 + 6 * friday + [0, 3, -2, 1, -4, 2, 0, -1, 4][today as usize % 9];
        for order in 0..special(today).unwrap_or(usual) {
            number += 1;
            let order_placed = placed(number, "GB", vec![line(number % 5, 1 + (number % 3) as u32, 500)]);
            history.happens(order_placed.order_id, OrderEvent::from(order_placed), day(today, order * 60));
        }
    }
    history
}

async fn found(history: &History) -> Vec<Anomaly> {
    let folder = tempfile::tempdir().unwrap();
    let views = views_in(&folder, "views.db");
    followed_by(&[&ANOMALIES], &history.log().await, &views, 1_000).await;
    let listed = views.read_blocking(|reader| reader.anomalies(&AnomalyFilter::default(), &Page::first(100))).unwrap();
    listed.items.into_iter().map(|(_, anomaly)| anomaly).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ordinary_days_raise_nothing() {
    assert_eq!(found(&trading(100, |_| None)).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_and_a_silent_day_are_found_with_the_orders_behind_them() {
    let history = trading(90, |today| match today {
        70 => Some(75),
        80 => Some(0),
        _ => None,
    });
    let counts: Vec<_> = found(&history).await.into_iter().filter(|found| found.metric == AnomalyMetric::Orders).collect();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_without_any_order_is_judged_when_the_next_visitor_comes() {
    let mut history = trading(70, |_| None);
    let cart_id = CartId(uuid::Uuid::nil());
    let currency = Currency::new("GBP").unwrap();
    let created = CartCreated { cart_id, currency, customer_id: None, expires_at: day(400, 0) };
    history.happens(cart_id, CartEvent::from(created), day(71, 0));
    let silent: Vec<_> = found(&history).await.iter().map(|anomaly| (anomaly.day, anomaly.observed)).collect();
    assert_eq!(silent, [(day(70, 0).date_naive(), 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_arrive_late_change_the_verdict_on_their_day() {
    let mut history = trading(80, |today| (today == 70).then_some(0));
    assert!(found(&history).await.iter().any(|anomaly| anomaly.day == day(70, 0).date_naive()));
    for number in 0..20 {
        let late = placed(90_000 + number, "GB", vec![line(1, 2, 500)]);
        history.happens(late.order_id, OrderEvent::from(late), day(70, number as i64));
    }
    assert_eq!(found(&history).await, []);
}
