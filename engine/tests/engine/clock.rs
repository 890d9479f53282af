//! The clock that all nodes of a log share.

use std::time::Duration;

use chrono::TimeDelta;
use engine::{Clock as _, LogClock};

use crate::faulty_log::FaultyLog;

#[tokio::test(start_paused = true)]
async fn between_two_answers_of_the_log_time_goes_on_whatever_the_machines_clock_does() {
    let clock = LogClock::of(&FaultyLog::new()).await.unwrap();
    // What is measured stands still while this machine's clock goes on.
    let set_to = clock.now();
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(clock.now(), set_to);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(clock.now() - set_to, TimeDelta::seconds(60));
    assert!((clock.offset() - TimeDelta::seconds(60)).abs() < TimeDelta::seconds(30));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_under_way_for_too_long_does_not_set_the_clock() {
    let log = FaultyLog::new();
    let clock = LogClock::of(&log).await.unwrap();
    let set_to = clock.now();
    log.tell_time_late();
    let late = clock.synchronise(&log).await.unwrap_err().to_string();
    assert!(late.contains("1500 ms"), "{late}");
    assert_eq!(clock.now() - set_to, TimeDelta::milliseconds(1_500));
    assert!(LogClock::of(&log).await.is_err(), "a clock that was never set is none");
}
