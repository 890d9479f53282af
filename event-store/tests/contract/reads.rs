//! Reading: pages, streams and readers beside a writer.

use std::sync::Arc;

use event_schemas::{Position, Proposed, StreamId};
use event_store::Log;

use crate::{
    contract,
    facts::{event, orders, whole},
};

contract!(
    pages_of_any_size_give_the_same_log,
    reading_after_the_end_gives_nothing,
    digests_are_those_of_the_events_in_pages_of_any_size,
    a_stream_is_read_from_any_sequence_in_pages,
    many_streams_are_read_at_once_in_the_order_asked,
    streams_of_different_types_with_one_id_are_apart,
    readers_beside_a_writer_never_see_a_gap,
    streams_read_together_are_of_one_moment,
);

type AnyLog = Arc<dyn Log>;

async fn pages_of_any_size_give_the_same_log(log: AnyLog) {
    log.append(0, orders("o", 100)).await.unwrap();
    let all = whole(&*log).await;
    for size in [1, 2, 7, 99, 100, 101, usize::MAX] {
        let (mut read, mut after) = (Vec::new(), 0);
        loop {
            let page = log.read(after, size).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() == size || last.position == 100, "a page may only be short at the end");
            after = last.position;
            read.extend(page.into_iter().map(|recorded| recorded.event));
        }
        assert_eq!(read, all);
    }
    assert_eq!(log.read(0, 0).await.unwrap(), vec![]);
}

async fn reading_after_the_end_gives_nothing(log: AnyLog) {
    log.append(0, orders("o", 3)).await.unwrap();
    for after in [3, 4, i64::MAX as u64, u64::MAX] {
        assert_eq!(log.read(after, 10).await.unwrap(), vec![]);
        assert_eq!(log.read_stream(&event("o-1", 1).stream, after, 10).await.unwrap(), vec![]);
    }
}

async fn digests_are_those_of_the_events_in_pages_of_any_size(log: AnyLog) {
    log.append(0, orders("o", 100)).await.unwrap();
    let all: Vec<[u8; 32]> = log.read(0, 200).await.unwrap().into_iter().map(|recorded| recorded.digest).collect();
    assert_eq!(all.len(), 100);
    for (after, limit) in [(0, usize::MAX), (0, 100), (0, 7), (99, 1), (40, 60), (40, 61), (100, 5), (u64::MAX, 5), (3, 0)] {
        let expected: Vec<[u8; 32]> = all.iter().skip(usize::try_from(after).unwrap()).take(limit).copied().collect();
        assert_eq!(log.digests(after, limit).await.unwrap(), expected, "{limit} after {after}");
    }
}

async fn a_stream_is_read_from_any_sequence_in_pages(log: AnyLog) {
    for n in 0..10 {
        log.append(n * 2, vec![event("o", n + 1), event("p", n + 1)]).await.unwrap();
    }
    let stream = StreamId::new("order", "o");
    for (after, limit, sequences) in [(0, 3, 1..=3), (3, 1, 4..=4), (8, 5, 9..=10), (0, usize::MAX, 1..=10)] {
        let read = log.read_stream(&stream, after, limit).await.unwrap();
        let found: Vec<_> = read.iter().map(|recorded| (recorded.event.sequence, recorded.position)).collect();
        assert_eq!(found, sequences.map(|sequence| (sequence, sequence * 2 - 1)).collect::<Vec<_>>());
    }
    assert_eq!(log.read_stream(&StreamId::new("order", "nobody's"), 0, 10).await.unwrap(), vec![]);
}

async fn many_streams_are_read_at_once_in_the_order_asked(log: AnyLog) {
    log.append(0, vec![event("o", 1), event("p", 1), event("o", 2), event("o", 3)]).await.unwrap();
    let order = |id| StreamId::new("order", id);
    let asked = vec![(order("p"), 0), (order("none"), 0), (order("o"), 1), (order("o"), 3), (order("p"), 0)];
    for (limit, expected) in
        [(10, [vec![2], vec![], vec![3, 4], vec![], vec![2]]), (1, [vec![2], vec![], vec![3], vec![], vec![2]])]
    {
        let read = log.read_streams(asked.clone(), limit).await.unwrap();
        let positions: Vec<Vec<Position>> =
            read.iter().map(|stream| stream.iter().map(|recorded| recorded.position).collect()).collect();
        assert_eq!(positions, expected, "at most {limit} of each");
    }
}

async fn streams_of_different_types_with_one_id_are_apart(log: AnyLog) {
    let payment = Proposed { stream: StreamId::new("payment", "o"), ..event("o", 1) };
    log.append(0, vec![event("o", 1), payment.clone()]).await.unwrap();
    let read = log.read_stream(&payment.stream, 0, 10).await.unwrap();
    assert_eq!(read.into_iter().map(|recorded| recorded.event).collect::<Vec<_>>(), [payment]);
}

/// Batches of three events of one stream each, written one after the other by a task of its own.
fn write_batches(log: &AnyLog, batches: u64) -> tokio::task::JoinHandle<()> {
    let log = Arc::clone(log);
    tokio::spawn(async move {
        for n in 0..batches {
            let batch = (1..=3).map(|k| event("busy", n * 3 + k)).collect();
            log.append(n * 3, batch).await.unwrap();
        }
    })
}

async fn readers_beside_a_writer_never_see_a_gap(log: AnyLog) {
    let writer = write_batches(&log, 100);
    let readers: Vec<_> = [1, 10, 1000].map(|size| (Arc::clone(&log), size)).into_iter().map(follow_to_300).collect();
    writer.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
}

fn follow_to_300((log, size): (AnyLog, usize)) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut after = 0;
        while after < 300 {
            let head = log.head().await.unwrap().position;
            let page = log.read(after, size).await.unwrap();
            assert!(after + page.len() as u64 >= head.min(after + size as u64), "what the head covers is readable");
            for recorded in page {
                assert_eq!(recorded.position, after + 1);
                after += 1;
            }
        }
    })
}

async fn streams_read_together_are_of_one_moment(log: AnyLog) {
    let writer = write_batches(&log, 100);
    let stream = StreamId::new("order", "busy");
    loop {
        let read = log.read_streams(vec![(stream.clone(), 0), (stream.clone(), 0)], usize::MAX).await.unwrap();
        assert_eq!(read[0].len() % 3, 0, "a batch is seen whole or not at all");
        assert_eq!(read[0].len(), read[1].len());
        if read[0].len() == 300 {
            break;
        }
    }
    writer.await.unwrap();
}
