//! Several nodes on one log in PostgreSQL: nothing is lost, nothing is done twice, and each gets its share.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{AdjustStock, ReceiveStock};
use engine::{CommandError, Engine, Fault, Limits, SystemClock, SystemIds};
use event_schemas::{AdjustmentReason, Position, StockId};
use event_store::{Log, PostgresLog};
use test_postgres::{CutAt, Postgres, Proxy};

use crate::shop::{by, stock};

async fn node(url: &str) -> (Engine, Arc<PostgresLog>) {
    let log = Arc::new(PostgresLog::open(url, Default::default()).await.unwrap());
    let engine = Engine::start(log.clone(), Arc::new(SystemClock), Arc::new(SystemIds), Limits::default()).await.unwrap();
    (engine, log)
}

async fn receive(engine: &Engine, stock: StockId) -> Result<Position, CommandError> {
    let outcome = engine.submit(ReceiveStock { stock, quantity: 1, reference: None }, by("ana")).await?;
    Ok(outcome.position)
}

async fn take(engine: &Engine, stock: StockId) -> Result<Position, CommandError> {
    let decision = AdjustStock { stock, delta: -1, reason: AdjustmentReason::Lost, note: None };
    Ok(engine.submit(decision, by("ben")).await?.position)
}

/// What one node got done: the positions acknowledged to it, and how long each took.
struct Share {
    positions: Vec<Position>,
    took: Vec<Duration>,
    head_moved: u64,
}

impl Share {
    fn p99(&mut self) -> Duration {
        self.took.sort_unstable();
        self.took[self.took.len() * 99 / 100]
    }
}

/// Keeps nodes busy for some time: submitters that wait for their own answer, each on a stock of its own but for every tenth
/// command, which goes to one that all nodes share.
async fn work(url: &str, nodes: usize, submitters: usize, time: Duration) -> Vec<Share> {
    let mut running = Vec::new();
    for _ in 0..nodes {
        running.push(node(url).await.0);
    }
    let mut working = Vec::new();
    for (n, engine) in running.iter().enumerate() {
        let submitters: Vec<_> =
            (0..submitters).map(|m| tokio::spawn(submit(engine.clone(), format!("{n}-{m}"), time))).collect();
        working.push(submitters);
    }
    let mut shares = Vec::new();
    for (engine, submitters) in running.iter().zip(working) {
        let mut share = Share { positions: Vec::new(), took: Vec::new(), head_moved: 0 };
        for submitter in submitters {
            for (position, took) in submitter.await.unwrap() {
                share.positions.push(position);
                share.took.push(took);
            }
        }
        share.head_moved = engine.metrics().head_moved.get();
        engine.drain().await;
        shares.push(share);
    }
    shares
}

async fn submit(engine: Engine, name: String, time: Duration) -> Vec<(Position, Duration)> {
    let (begun, mut done) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let stock = if done.len() % 10 == 9 { stock("SHARED") } else { stock(&format!("OWN-{name}")) };
        let submitted = Instant::now();
        let position = receive(&engine, stock).await.unwrap();
        done.push((position, submitted.elapsed()));
    }
    done
}

/// How long each measurement takes.
fn seconds() -> Duration {
    let seconds = std::env::var("DAYBOOK_NODES_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_nodes_share_a_log_fairly_and_lose_nothing() {
    let Some(server) = Postgres::start() else { return };
    let time = seconds();
    for nodes in [1, 2, 3] {
        let name = format!("shop{nodes}");
        let url = server.database(&name);
        // The same load on however many nodes.
        let mut shares = work(&url, nodes, 66 / nodes, time).await;
        let log = PostgresLog::open(&url, Default::default()).await.unwrap();
        let events = log.read(0, usize::MAX).await.unwrap();
        assert!(events.iter().zip(1..).all(|(event, position)| event.position == position && event.is_intact()));
        let acknowledged: HashSet<Position> = shares.iter().flat_map(|share| share.positions.iter().copied()).collect();
        let count: usize = shares.iter().map(|share| share.positions.len()).sum();
        assert_eq!((acknowledged.len(), events.len()), (count, count), "each command is one event, and each event one command's");
        let per_second = |count: usize| count as f64 / time.as_secs_f64();
        let all: Vec<String> = shares
            .iter_mut()
            .map(|share| {
                format!("{:.0}/s (p99 {:?}, head moved {})", per_second(share.positions.len()), share.p99(), share.head_moved)
            })
            .collect();
        println!("{nodes} nodes: {:.0}/s = {}", per_second(count), all.join(" + "));
        let (least, most) = (shares.iter().map(|s| s.positions.len()).min(), shares.iter().map(|s| s.positions.len()).max());
        assert!(least.unwrap() * 10 > most.unwrap(), "{nodes} nodes do not share: {all:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stalls_in_its_turn_delays_the_others_for_a_bounded_time() {
    let Some(server) = Postgres::start() else { return };
    let url = server.database("shop");
    let (engine, _log) = node(&url).await;
    // Another node that has the turn, and does not come back.
    let holder = server.database("shop");
    let stalled = std::thread::spawn(move || {
        let sql = "BEGIN; SELECT pg_advisory_xact_lock(x'7475726e'::bigint); SELECT pg_sleep(6)";
        (server.psql("shop", sql), server)
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (rival, _rival_log) = node(&holder).await;
    for n in 0..5 {
        let begun = Instant::now();
        // Both write, so that one of them loses a race and queues behind the stalled one.
        let (one, other) = tokio::join!(receive(&engine, stock(&format!("A-{n}"))), receive(&rival, stock(&format!("B-{n}"))));
        assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
        // A lost race, and a wait for a turn of at most 250 ms each time that one is lost.
        // Otherwise it would be what is left of the six seconds.
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    drop(stalled.join().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_commit_is_cut_off_is_answered_once_and_done_once() {
    let Some(server) = Postgres::start() else { return };
    let proxy = Proxy::start(server.port());
    let (engine, log) = node(&proxy.route(&server.database("shop"))).await;
    receive(&engine, stock("FIRST")).await.unwrap();
    for (sku, at) in [("LOST", CutAt::Before), ("KEPT", CutAt::After)] {
        // Only the event itself has this text: nothing that is read before it does.
        let reference = format!("delivery of {sku}");
        proxy.cut_once(&reference, at);
        let received = ReceiveStock { stock: stock(sku), quantity: 1, reference: Some(reference) };
        let position = engine.submit(received, by("ana")).await.unwrap().position;
        let written = log.read_stream(&event_schemas::StreamId::new("stock", stock(sku)), 0, 10).await.unwrap();
        assert_eq!((written.len(), written[0].position), (1, position), "{sku}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_lost_what_a_node_has_seen_is_not_written_on() {
    let Some(server) = Postgres::start() else { return };
    let (engine, log) = node(&server.database("shop")).await;
    for n in 0..3 {
        receive(&engine, stock(&format!("S-{n}"))).await.unwrap();
    }
    // An older backup was put back.
    server.psql("shop", "DELETE FROM daybook.events WHERE position = 3");
    for _ in 0..2 {
        let refused = receive(&engine, stock("NEW")).await;
        assert!(
            matches!(&refused, Err(CommandError::Fault(Fault::HistoryLost(reason))) if reason.contains("position")),
            "{refused:?}"
        );
    }
    assert_eq!(log.head().await.unwrap().position, 2);
    assert!(engine.lost().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_decides_nothing_more_once_others_have_filled_a_gap_in_what_it_has_seen() {
    let Some(server) = Postgres::start() else { return };
    // How many events the other node writes where one was lost: the log ends where this node has seen it end, or beyond.
    for (round, written) in [1, 2].into_iter().enumerate() {
        let url = server.database(&format!("shop{round}"));
        let ((writer, log), (refuser, _)) = (node(&url).await, node(&url).await);
        for n in 0..3 {
            receive(&writer, stock(&format!("S-{n}"))).await.unwrap();
        }
        assert!(matches!(take(&refuser, stock("NONE")).await, Err(CommandError::Refused(_))), "it has seen the log's end");
        server.psql(&format!("shop{round}"), "DELETE FROM daybook.events WHERE position = 3");
        let (other, _) = node(&url).await;
        for n in 0..written {
            receive(&other, stock(&format!("OTHER-{n}"))).await.unwrap();
        }
        // A node that has just heard of the log relies on that for a second.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        for _ in 0..2 {
            let (wrote, refused) = (receive(&writer, stock("NEW")).await, take(&refuser, stock("NONE")).await);
            assert!(matches!(&wrote, Err(CommandError::Fault(Fault::HistoryLost(_)))), "{written}: {wrote:?}");
            assert!(matches!(&refused, Err(CommandError::Fault(Fault::HistoryLost(_)))), "{written}: {refused:?}");
        }
        assert!(writer.lost().is_some() && refuser.lost().is_some() && other.lost().is_none());
        assert_eq!(log.head().await.unwrap().position, 2 + written);
        receive(&node(&url).await.0, stock("NEW")).await.expect("a node that is started again goes by what is there");
    }
}
