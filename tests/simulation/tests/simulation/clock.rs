//! The clock that all nodes of a log share goes by time that is measured, not by the machine's.

use std::time::Duration;

use chrono::TimeDelta;
use engine::{Clock as _, LogClock};
use event_store::MemoryLog;

#[tokio::test(start_paused = true)]
async fn between_two_answers_of_the_log_time_goes_on_whatever_the_machines_clock_does() {
    let clock = LogClock::of(&MemoryLog::default()).await.unwrap();
    // What is measured stands still while this machine's clock goes on.
    let set_to = clock.now();
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(clock.now(), set_to);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(clock.now() - set_to, TimeDelta::seconds(60));
    assert!((clock.offset() - TimeDelta::seconds(60)).abs() < TimeDelta::seconds(30));
}
