//! Power cuts and bad disks under a PostgreSQL server: the same disk, below a real server.

use std::{sync::Arc, time::Instant};

use event_store::{AppendError, Log, OpenOptions, PostgresLog};
use test_postgres::Postgres;

use super::{disk::Disk, report, rounds};
use crate::{
    facts::{orders, whole},
    kills::{some_batches, start_writer},
    rounds::{Ledger, appended, read},
};

/// A server on a disk that can lose power, and a log on it.
struct Machine {
    server: Postgres,
    disk: Disk,
    log: Arc<dyn Log>,
}

impl Machine {
    /// Starts it, with some settings of the server; with `without_sync` Daybook does not look at them.
    async fn start(settings: &[&str], without_sync: bool) -> Option<Self> {
        // Small files, because each sync copies one. Asynchronous commits would be written by themselves within a second.
        let settings = [settings, &["wal_writer_delay=10s"]].concat();
        let mut server = Postgres::stopped_with(&settings, &["--wal-segsize=1"])?;
        server.restart();
        let url = server.database("shop");
        let open = async || {
            let options = OpenOptions { without_sync, ..OpenOptions::default() };
            PostgresLog::open(&url, options).await.unwrap()
        };
        drop(open().await);
        // Everything until here is on the disk.
        server.stop();
        let disk = Disk::over(&server.data())?;
        disk.settle();
        server.set_environment(disk.environment());
        server.restart();
        let log: Arc<dyn Log> = Arc::new(open().await);
        Some(Self { server, disk, log })
    }

    /// Lets the log be written for a round, cuts the power, and gives what is wrong afterwards.
    async fn write_and_cut(&mut self, ledger: &mut Ledger, round: u64) -> Result<(), String> {
        let (mut acknowledged, writer) = start_writer(&self.log, round);
        some_batches(&mut acknowledged, &mut self.disk.chance).await;
        if self.disk.chance.below(4) == 0 {
            // Pages of tables are written and synced as well, and files of the write-ahead log used again.
            self.server.psql("shop", "CHECKPOINT");
            some_batches(&mut acknowledged, &mut self.disk.chance).await;
        }
        self.server.kill();
        writer.await.unwrap();
        self.disk.cut_power();
        self.server.try_restart()?;
        let last = *acknowledged.borrow();
        ledger.check(&*self.log, round, Some(last)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_power_cut_takes_an_acknowledged_event_from_postgresql() {
    let Some(mut machine) = Machine::start(&[], false).await else { return };
    let (mut ledger, begun) = (Ledger::default(), Instant::now());
    for round in 1..=rounds() {
        let checked = machine.write_and_cut(&mut ledger, round).await;
        assert_eq!(checked, Ok(()), "power cut {round}, seed {}", machine.disk.chance.seed);
    }
    ledger.close(&*machine.log).await;
    report("PostgreSQL", &machine.disk, ledger.acknowledged, begun);
}

/// Cuts the power until something acknowledged is gone.
async fn is_noticed(mut machine: Machine) {
    let mut ledger = Ledger::default();
    for round in 1..=5 {
        if let Err(lost) = machine.write_and_cut(&mut ledger, round).await {
            return println!("power cut {round}: {}", lost.lines().last().unwrap_or_default());
        }
    }
    panic!("the test does not notice a loss, seed {}", machine.disk.chance.seed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_fsync_a_power_cut_takes_acknowledged_events_from_postgresql() {
    let Some(machine) = Machine::start(&["fsync=off"], true).await else { return };
    is_noticed(machine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_synchronous_commits_a_power_cut_takes_acknowledged_events_from_postgresql() {
    let Some(machine) = Machine::start(&[], false).await else { return };
    // Daybook sets it for its sessions, so it must be taken from it behind its back.
    machine.server.psql(
        "shop",
        "CREATE FUNCTION hurry() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM set_config(''synchronous_commit'', ''off'', true); RETURN NULL; END';
         CREATE TRIGGER hurry BEFORE INSERT ON daybook.events FOR EACH STATEMENT EXECUTE FUNCTION hurry()",
    );
    is_noticed(machine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_sync_failed_is_unknown_and_then_there_whole_or_not() {
    let Some(mut machine) = Machine::start(&[], false).await else { return };
    let log = machine.log.clone();
    log.append(0, orders("first", 2)).await.unwrap();
    let batch = orders("unsure", 50);
    machine.disk.refuse_syncs(1);
    // The server ends all its sessions and recovers from what it has written.
    let outcome = log.append(2, batch.clone()).await;
    assert!(matches!(outcome, Err(AppendError::OutcomeUnknown(_))), "{outcome:?}");
    machine.server.wait().unwrap();
    assert!(machine.server.log().contains("PANIC"), "{}", machine.server.log());
    // As the engine resolves it: offered again at the same place.
    let again = appended(&*log, 2, batch.clone()).await;
    assert!(matches!(again, Ok(52) | Err(AppendError::HeadMoved { head: 52 })), "{again:?}");
    let events = whole(&*log).await;
    assert!(events[2..].iter().map(|event| event.event_id).eq(batch.iter().map(|event| event.event_id)));
}

/// Fills the disk below some of the server's files, makes room again, and looks what became of what was acknowledged.
async fn fills_up(begins: &str, is_refused: fn(&AppendError) -> bool) {
    let Some(mut machine) = Machine::start(&[], false).await else { return };
    let log = machine.log.clone();
    let mut head = log.append(0, orders("first", 50)).await.unwrap();
    machine.disk.fill(Some(begins));
    let refused = loop {
        match log.append(head, orders(&head.to_string(), 50)).await {
            // The server can go down between two batches, when it writes what was put off.
            Ok(end) | Err(AppendError::HeadMoved { head: end }) => head = end,
            Err(refused) => break refused,
        }
    };
    println!("{begins}: refused at {head}: {refused}");
    assert!(is_refused(&refused), "{refused:?}");
    let again = log.append(head, orders("again", 50)).await;
    assert!(again.is_err(), "{again:?}");

    machine.disk.fill(None);
    // A server that could not write its log has ended; its operator starts it again.
    if machine.server.wait().is_err() {
        machine.server.restart();
    }
    let (found, _) = read(&*log, 0).await.unwrap();
    assert!((found - head) % 50 == 0 && found <= head + 100, "{found} of {head} acknowledged are there");
    let end = appended(&*log, found, orders("after", 50)).await.unwrap();
    assert_eq!((end, whole(&*log).await.len() as u64), (found + 50, found + 50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_tables_refuses_whole_batches_and_takes_them_again_once_there_is_space() {
    fills_up("/base/", |refused| matches!(refused, AppendError::Unavailable(reason) if reason == "the disk is full")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_write_ahead_log_loses_nothing_and_the_log_goes_on_once_there_is_space() {
    fills_up("/pg_wal/", |refused| matches!(refused, AppendError::Unavailable(_) | AppendError::OutcomeUnknown(_))).await;
}
