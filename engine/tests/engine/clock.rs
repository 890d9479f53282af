//! The clock that all nodes of a log share.

use chrono::TimeDelta;
use engine::{Clock as _, LogClock};

use crate::faulty_log::FaultyLog;

#[tokio::test]
async fn an_answer_that_was_under_way_for_too_long_does_not_set_the_clock() {
    let log = FaultyLog::new();
    let clock = LogClock::of(&log).await.unwrap();
    let set_to = clock.now();
    log.tell_time_late();
    let late = clock.synchronise(&log).await.unwrap_err().to_string();
    assert!(late.contains(" ms to tell the time"), "{late}");
    assert!(clock.now() - set_to >= TimeDelta::milliseconds(1_500), "it goes on as it was set");
    assert!(clock.now() - set_to < TimeDelta::minutes(30), "the late answer is an hour off");
    assert!(LogClock::of(&log).await.is_err(), "a clock that was never set is none");
}
