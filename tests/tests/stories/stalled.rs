//! A node that is stopped while it has the turn to append: the others go on within a bounded time, and it does when it wakes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use test_postgres::{Postgres, signal};
use uuid::Uuid;

use crate::{
    kill::{all_are_there, random, whole},
    process::Process,
    shopper::{Acknowledged, Answer, CREATE, Shopper},
};

const BUYERS: usize = 4;
/// How long the node stands still: longer than it can keep its turn.
const STOPPED: Duration = Duration::from_secs(3);
/// How long anything may take to go on.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was acknowledged, when it was asked for, and how long that took.
type Answers = Vec<(Acknowledged, Instant, Duration)>;

/// Asks a node for carts until it is over.
async fn ask(url: String, over: Arc<AtomicBool>) -> Answers {
    let (shopper, mut answers) = (Shopper::new(&url), Answers::new());
    while !over.load(Ordering::Relaxed) {
        let input = json!({ "currency": "EUR", "idempotencyKey": Uuid::new_v4().to_string() });
        let begun = Instant::now();
        if let Answer::Done(payload) = shopper.answer(CREATE, &input).await {
            answers.push((Acknowledged { query: CREATE, input, payload }, begun, begun.elapsed()));
        }
    }
    answers
}

/// Stops the node at a moment when it has the turn; gives that moment.
fn stop_in_its_turn(server: &Postgres, node: &Process, name: &str) -> Instant {
    let has_turn = format!(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE application_name = '{name}'
         AND locktype = 'advisory' AND objid = x'7475726e'::bigint AND mode = 'ExclusiveLock' AND granted"
    );
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let stopped = Instant::now();
        signal("STOP", node.id());
        if server.psql("shop", &has_turn).trim() == "1" {
            return stopped;
        }
        signal("CONT", node.id());
        std::thread::sleep(Duration::from_millis(random(20)));
    }
    panic!("the node never has the turn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_stopped_in_its_turn_holds_the_others_up_for_a_bounded_time() {
    let Some(server) = Postgres::start() else { return };
    let (folder, database) = (tempfile::tempdir().unwrap(), server.database("shop"));
    let serve = |name: &str| {
        let events = format!("{database}?application_name={name}");
        Process::serve_with(folder.path(), &[("DAYBOOK_EVENTS", &events), ("DAYBOOK_VIEWS", &database)])
    };
    // The first one keeps the views, which answers wait for: that is not what is asked here.
    let nodes = ["going", "stopped"].map(serve);
    let over = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..2 * BUYERS).map(|n| tokio::spawn(ask(nodes[n % 2].url.clone(), over.clone()))).collect();

    let stopped = stop_in_its_turn(&server, &nodes[1], "stopped");
    tokio::time::sleep(STOPPED).await;
    signal("CONT", nodes[1].id());
    let woken = Instant::now();
    tokio::time::sleep(Duration::from_secs(4)).await;
    over.store(true, Ordering::Relaxed);

    let mut acknowledged = Vec::new();
    let (mut longest, mut meanwhile, mut afterwards) = (Duration::ZERO, 0, 0);
    for (n, buyer) in asking.into_iter().enumerate() {
        for (done, begun, took) in tokio::time::timeout(PATIENCE, buyer).await.unwrap().unwrap() {
            let is_going = n % 2 == 0;
            if is_going && begun + took > stopped && begun < woken {
                longest = longest.max(took);
                meanwhile += usize::from(begun > stopped && begun + took < woken);
            }
            afterwards += usize::from(!is_going && begun + took > woken);
            acknowledged.push(done);
        }
    }
    println!(
        "stopped in its turn for {STOPPED:?}: the other node's longest answer took {longest:?}, and it gave {meanwhile} meanwhile; \
         {} acknowledged",
        acknowledged.len()
    );
    assert!(longest < Duration::from_secs(30), "the other node was held up for {longest:?}");
    assert!(meanwhile > 0 && afterwards > 0, "{meanwhile} answers meanwhile, {afterwards} of the woken node");
    let log = event_store::open_read_only(&database).await.unwrap();
    all_are_there(&acknowledged, &whole(&*log).await);
    let verification = replay_tools::verify(log, 1, None, None).await.unwrap();
    assert!(verification.ok, "{verification}");
}
