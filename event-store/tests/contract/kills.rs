//! kill -9 in rounds: of the process that writes, of a process of the server, and of the whole server. Nothing acknowledged is lost.
//!
//! `DAYBOOK_KILL_ROUNDS` sets how many rounds each test has (a few unless told), `DAYBOOK_SEED` the moments.

use std::{
    path::Path,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use event_schemas::Position;
use event_store::Log;
use test_postgres::Postgres;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{
    chance::Chance,
    child::{self, Told},
    rounds::{self, Ledger, setting},
};

const ROUND: &str = "DAYBOOK_TEST_ROUND";
/// How many rounds there are of killing a process that writes, unless told.
const WRITERS: u64 = 25;
/// How many there are of killing a server, or a process of one.
const SERVERS: u64 = 5;

fn report(what: &str, rounds: u64, chance: &Chance, ledger: &Ledger, begun: Instant) {
    let each = begun.elapsed() / u32::try_from(rounds).unwrap();
    println!(
        "{what} killed {rounds} times, seed {}: {} events acknowledged, 0 of them lost; {} more were written; {each:?} a round",
        chance.seed, ledger.acknowledged, ledger.unacknowledged
    );
    assert!(ledger.acknowledged as u64 > rounds, "{} acknowledged events show nothing", ledger.acknowledged);
}

/// Starts a child that writes the log at an address, and kills it, again and again.
async fn kill_writers(what: &str, url: &str, look: impl AsyncFn() -> Arc<dyn Log>) {
    let (rounds, mut chance, begun) = (setting("DAYBOOK_KILL_ROUNDS", WRITERS), Chance::new(), Instant::now());
    let mut ledger = Ledger::default();
    for round in 1..=rounds {
        let mut command = child::command("kills::child_writes_until_it_is_killed", Path::new(url));
        command.env(ROUND, round.to_string());
        let mut writer = Told::start(command);
        // One in ten dies while it starts and opens the log.
        let acknowledged = if chance.below(10) > 0 { writer.by_ref().take(chance.below(20) + 1).last() } else { None };
        sleep(Duration::from_micros(chance.below(20_000) as u64));
        writer.kill();
        let acknowledged = writer.last().or(acknowledged);
        let checked = ledger.check(&*look().await, round, acknowledged).await;
        assert_eq!(checked, Ok(()), "round {round}, seed {}", chance.seed);
    }
    ledger.close(&*look().await).await;
    report(what, rounds, &chance, &ledger, begun);
}

#[tokio::test]
#[ignore = "the child of the rounds of killed writers"]
async fn child_writes_until_it_is_killed() {
    let Some(url) = child::path() else { return };
    let log = event_store::open(url.to_str().unwrap()).await.unwrap();
    panic!("{}", rounds::write(&*log, setting(ROUND, 0), child::tell).await);
}

#[tokio::test]
async fn a_writer_of_sqlite_that_is_killed_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("events.db").display());
    kill_writers("a writer of SQLite", &url, async || event_store::open(&url).await.unwrap()).await;
}

#[tokio::test]
async fn a_writer_of_postgresql_that_is_killed_loses_nothing_acknowledged() {
    let Some(server) = Postgres::start() else { return };
    let url = server.database("shop");
    drop(event_store::open(&url).await.unwrap());
    let log = event_store::open_read_only(&url).await.unwrap();
    kill_writers("a writer of PostgreSQL", &url, async || log.clone()).await;
}

/// Writes through one log for a round; gives the positions acknowledged, and the last of them at the end.
pub fn start_writer(log: &Arc<dyn Log>, round: u64) -> (watch::Receiver<Position>, JoinHandle<()>) {
    let (told, acknowledged) = watch::channel(0);
    let log = Arc::clone(log);
    let writer = tokio::spawn(async move {
        let tell = |position| {
            told.send_replace(position);
        };
        rounds::write(&*log, round, tell).await;
    });
    (acknowledged, writer)
}

/// Waits until some batches were acknowledged, and a moment more.
pub async fn some_batches(acknowledged: &mut watch::Receiver<Position>, chance: &mut Chance) {
    for _ in 0..=chance.below(20) {
        // A session that died with the server may be what ends the writer, before it has written anything.
        if acknowledged.changed().await.is_err() {
            break;
        }
    }
    tokio::time::sleep(Duration::from_micros(chance.below(5_000) as u64)).await;
}

/// Kills something of a server under a log that stays open, again and again, until the writer has felt it.
async fn kill_servers(what: &str, kill: impl Fn(&mut Postgres, &mut Chance), back: impl Fn(&mut Postgres)) {
    let Some(mut server) = Postgres::start() else { return };
    let (rounds, mut chance, begun) = (setting("DAYBOOK_KILL_ROUNDS", SERVERS), Chance::new(), Instant::now());
    let log = event_store::open(&server.database("shop")).await.unwrap();
    let mut ledger = Ledger::default();
    for round in 1..=rounds {
        let (mut acknowledged, mut writer) = start_writer(&log, round);
        some_batches(&mut acknowledged, &mut chance).await;
        loop {
            kill(&mut server, &mut chance);
            if timeout(Duration::from_secs(1), &mut writer).await.is_ok() {
                break;
            }
        }
        back(&mut server);
        let last = *acknowledged.borrow();
        let checked = ledger.check(&*log, round, Some(last)).await;
        assert_eq!(checked, Ok(()), "round {round}, seed {}", chance.seed);
    }
    ledger.close(&*log).await;
    report(what, rounds, &chance, &ledger, begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_server_that_is_killed_loses_nothing_acknowledged() {
    kill_servers("a PostgreSQL server", |server, _| server.kill(), Postgres::restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_server_of_which_a_process_is_killed_loses_nothing_acknowledged() {
    let kill = |server: &mut Postgres, chance: &mut Chance| {
        // Sessions of the log, and what works behind them; the server ends and recovers when any of them dies.
        let lasting = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()
            AND backend_type IN ('client backend', 'checkpointer', 'background writer', 'walwriter')";
        let Ok(found) = server.try_psql("shop", lasting) else { return };
        let pids: Vec<u32> = String::from_utf8_lossy(&found.stdout).lines().map(|pid| pid.trim().parse().unwrap()).collect();
        if !pids.is_empty() {
            test_postgres::signal("KILL", pids[chance.below(pids.len())]);
        }
    };
    kill_servers("a process of a PostgreSQL server", kill, |server| server.wait().unwrap()).await;
}
