//! A log as it was: it ends at its moment, whatever is appended to the log behind it.

use std::sync::Arc;

use event_schemas::{Position, Proposed, Recorded};
use event_store::{AppendError, Bookkeeping as _, Log, Moment, PastError, PastLog};

use crate::facts::{at, event, keyed};

/// An event that was recorded and had occurred so many seconds after the shop opened.
fn dated(event: Proposed, recorded: i64, occurred: i64) -> Proposed {
    Proposed { recorded_at: at(recorded), occurred_at: at(occurred), ..event }
}

/// Six events of two orders, recorded two a second; the fifth happened before all others, which only its time tells.
async fn fill(log: &dyn Log) {
    let events = vec![
        dated(event("a", 1), 10, 10),
        dated(keyed(event("b", 1), "first"), 10, 10),
        dated(event("a", 2), 11, 11),
        dated(event("b", 2), 11, 11),
        dated(event("a", 3), 12, 5),
        dated(keyed(event("b", 3), "last"), 12, 12),
    ];
    assert_eq!(log.append(0, events).await.unwrap(), 6);
}

async fn past(log: &Arc<dyn Log>, moment: Moment) -> PastLog {
    PastLog::at(log.clone(), moment).await.unwrap()
}

fn positions(records: &[Recorded]) -> Vec<Position> {
    records.iter().map(|record| record.position).collect()
}

async fn a_past_log_ends_where_it_was(log: Arc<dyn Log>) {
    fill(&*log).await;
    for (moment, end) in [
        (Moment::Position(0), 0),
        (Moment::Position(4), 4),
        (Moment::Position(6), 6),
        (Moment::Recorded(at(9)), 0),
        (Moment::Recorded(at(10)), 2),
        (Moment::Recorded(at(11)), 4),
        (Moment::Recorded(at(99)), 6),
    ] {
        let past = past(&log, moment).await;
        let whole = past.read(0, usize::MAX).await.unwrap();
        assert_eq!(positions(&whole), (1..=end).collect::<Vec<_>>(), "{moment}");
        assert_eq!(whole, log.read(0, usize::try_from(end).unwrap()).await.unwrap(), "{moment}");
        let (head, last) = (past.head().await.unwrap(), whole.last().map(|last| last.event.recorded_at));
        assert_eq!((head.position, head.recorded_at), (end, last), "{moment}");
        assert_eq!((past.id(), *past.watch().borrow()), (log.id(), end));
        let digests: Vec<_> = whole.iter().map(|record| record.digest).collect();
        assert_eq!(past.digests(0, usize::MAX).await.unwrap(), digests, "{moment}");
    }
    let past = past(&log, Moment::Position(4)).await;
    let (a, b) = (event("a", 1).stream, event("b", 1).stream);
    assert_eq!(positions(&past.read(2, 1).await.unwrap()), [3]);
    assert!(past.read(4, 9).await.unwrap().is_empty());
    assert_eq!(positions(&past.read_stream(&a, 0, 9).await.unwrap()), [1, 3]);
    let streams = past.read_streams(vec![(b, 1), (a, 0)], 1).await.unwrap();
    assert_eq!(streams.iter().map(|records| positions(records)).collect::<Vec<_>>(), [vec![4], vec![1]]);
    assert_eq!(past.find_scopes(vec!["first".to_owned(), "last".to_owned()]).await.unwrap(), [Some(2), None]);
}

async fn what_had_happened_by_a_time_counts_whenever_it_was_recorded(log: Arc<dyn Log>) {
    fill(&*log).await;
    let a = event("a", 1).stream;
    for (time, held, of_a) in [(4, vec![], vec![]), (5, vec![5], vec![5]), (10, vec![1, 2, 5], vec![1, 5])] {
        let past = past(&log, Moment::Occurred(at(time))).await;
        assert_eq!(positions(&past.read(0, usize::MAX).await.unwrap()), held);
        assert_eq!(positions(&past.read(0, 1).await.unwrap()), held.iter().copied().take(1).collect::<Vec<_>>());
        assert_eq!(past.head().await.unwrap().position, held.last().copied().unwrap_or(0));
        assert_eq!(positions(&past.read_stream(&a, 0, 1).await.unwrap()), of_a.iter().copied().take(1).collect::<Vec<_>>());
        let streams = past.read_streams(vec![(a.clone(), 0)], 9).await.unwrap();
        assert_eq!(positions(&streams[0]), of_a);
        assert_eq!(past.digests(0, 9).await.unwrap().len(), held.len());
    }
}

async fn the_past_does_not_grow_and_nothing_is_written_to_it(log: Arc<dyn Log>) {
    fill(&*log).await;
    let past = past(&log, Moment::Recorded(at(99))).await;
    log.append(6, vec![dated(event("c", 1), 13, 13)]).await.unwrap();
    assert_eq!((past.head().await.unwrap().position, past.read(0, 99).await.unwrap().len()), (6, 6));
    let refused = past.append(6, vec![dated(event("d", 1), 14, 14)]).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    assert!(past.save_snapshots(Vec::new()).await.is_err() && past.save_progress(Default::default()).await.is_err());
    assert_eq!(log.head().await.unwrap().position, 7);
    let beyond = PastLog::at(log.clone(), Moment::Position(8)).await;
    assert!(matches!(beyond, Err(PastError::NotYet { position: 8, head: 7 })), "{beyond:?}");
}

async fn a_time_that_has_not_come_is_refused_unless_the_log_has_come_that_far(log: Arc<dyn Log>) {
    let (now, hour) = (log.now().await.unwrap(), chrono::TimeDelta::hours(1));
    for moment in [Moment::Recorded(now + hour), Moment::Occurred(now + hour)] {
        let refused = PastLog::at(log.clone(), moment).await.unwrap_err();
        assert!(matches!(refused, PastError::YetToCome { .. }), "{refused:?}");
        assert!(refused.to_string().contains("has not come yet: it is 2"), "{refused}");
    }
    assert!(PastLog::at(log.clone(), Moment::Recorded(now + chrono::TimeDelta::seconds(2))).await.is_ok(), "clocks differ");
    // A node whose clock was ahead has written: its time is part of the log.
    log.append(0, vec![Proposed { recorded_at: now + hour * 2, ..event("a", 1) }]).await.unwrap();
    assert_eq!(past(&log, Moment::Recorded(now + hour)).await.end().position, 0);
    assert_eq!(past(&log, Moment::Recorded(now + hour * 2)).await.end().position, 1);
}

crate::contract!(
    a_time_that_has_not_come_is_refused_unless_the_log_has_come_that_far,
    a_past_log_ends_where_it_was,
    what_had_happened_by_a_time_counts_whenever_it_was_recorded,
    the_past_does_not_grow_and_nothing_is_written_to_it,
);
