//! Days on which far more was refused at the door than usual.

use event_schemas::*;
use projections::*;

use crate::{
    runner::followed,
    shop::{History, day, id},
    store::Home,
};

on_each_store!(
    a_day_of_far_more_failed_logins_than_usual_is_an_anomaly_with_what_is_behind_it,
    nothing_is_told_before_four_weeks_or_of_a_few,
);

fn failed(times: u32) -> AccessEvent {
    LoginsFailed { account_id: None, times, since: day(0, 0) }.into()
}

/// Failed logins on each of so many days, a few more on some.
fn ordinary(days: i64) -> History {
    let mut history = History::default();
    for number in 0..days {
        history.happens("door", failed(3 + (number % 4) as u32), day(number, 60));
    }
    history
}

async fn told(home: &Home, name: &str, history: &History) -> Vec<AccessAnomaly> {
    let views = home.views(name);
    followed(&history.log().await, &views, 1_000).await;
    let all = AccessAnomalyFilter::default();
    let read = move |reader: &Reader<'_>| reader.access_anomalies(&all, AccessAnomalySort::Day, true, &Page::first(99));
    views.read_blocking(read).unwrap().items.into_iter().map(|(_, anomaly)| anomaly).collect()
}

async fn a_day_of_far_more_failed_logins_than_usual_is_an_anomaly_with_what_is_behind_it(home: Home) {
    let mut history = ordinary(40);
    history.happens("door", failed(400), day(40, 60));
    history.happens("door", failed(100), day(40, 61));
    let limited = CallerLimited { caller: "address:00".to_owned(), limit: "login".to_owned(), times: 9, since: day(0, 0) };
    history.happens("door", AccessEvent::from(limited), day(40, 62));
    assert_eq!(told(&home, "still.db", &history).await, [], "the day is not over");
    // Whoever comes the next day ends it.
    let (cart_id, currency) = (CartId(id(1)), Currency::new("EUR").unwrap());
    let created = CartCreated { cart_id, customer_id: None, currency, expires_at: day(50, 0) };
    history.happens(cart_id, CartEvent::from(created), day(41, 1));
    let found = told(&home, "over.db", &history).await;
    let [anomaly] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((anomaly.day, anomaly.kind, anomaly.observed), (day(40, 0).date_naive(), AccessKind::LoginFailed, 500));
    assert_eq!((anomaly.severity, &anomaly.positions), (Severity::Critical, &vec![41, 42]));
    assert!(anomaly.expected < 10 && anomaly.expected_high < 40, "{anomaly:?}");
    assert!(anomaly.reason.starts_with("500 failed logins on ") && anomaly.reason.contains("; chance "), "{}", anomaly.reason);
}

async fn nothing_is_told_before_four_weeks_or_of_a_few(home: Home) {
    let mut early = ordinary(20);
    early.happens("door", failed(500), day(20, 60));
    early.happens("door", failed(3), day(21, 60));
    assert_eq!(told(&home, "early.db", &early).await, []);
    let mut quiet = History::default();
    quiet.happens("door", failed(1), day(0, 60));
    quiet.happens("door", failed(9), day(60, 60));
    quiet.happens("door", failed(1), day(61, 60));
    assert_eq!(told(&home, "quiet.db", &quiet).await, []);
}
