//! Snapshots: `verify` holds each against the events of its stream, since no digest covers them and rights are read through them.

use std::{path::Path, sync::Arc};

use domain::State;
use event_schemas::{AccountEvent, AccountId, AccountRegistered, AccountRoleGranted, CommerceEvent, StreamId};
use event_store::{Bookkeeping as _, Log, PostgresLog, Snapshot, SqliteLog};
use replay_tools::{EvidencePack, Rule, verify};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    shop::{self, Pen, id},
    verbs::Desk,
};

fn account() -> StreamId {
    StreamId::new("account", id(41))
}

/// Three orders, and an account of a customer; 27 events.
fn pen() -> Pen {
    let mut pen = shop::three_orders();
    let registered: AccountEvent = AccountRegistered { account_id: AccountId(id(41)) }.into();
    let granted: AccountEvent = AccountRoleGranted { role: "customer".parse().unwrap() }.into();
    let events = [registered, granted].map(|event| (account(), CommerceEvent::from(event)));
    pen.command("shopper", events.to_vec());
    pen
}

/// What the engine would keep of a stream.
async fn snapshot(log: &dyn Log, stream: &StreamId) -> Snapshot {
    let mut state = State::absent(&stream.aggregate_type).unwrap();
    let records = log.read_stream(stream, 0, 1_000).await.unwrap();
    records.iter().flat_map(|record| record.decode().unwrap()).for_each(|event| state.evolve(&event));
    let (sequence, state_version) = (records.len() as u64, state.version());
    Snapshot { stream: stream.clone(), sequence, state_version, state: serde_json::to_string(&state).unwrap() }
}

/// The same with another state.
fn forged(snapshot: &Snapshot, change: impl FnOnce(&mut Value)) -> Snapshot {
    let mut state = serde_json::from_str(&snapshot.state).unwrap();
    change(&mut state);
    Snapshot { state: state.to_string(), ..snapshot.clone() }
}

/// How many snapshots were compared and left out, and what was found, as position, rule and words.
async fn found(log: &Arc<dyn Log>, from: u64) -> (u64, u64, Vec<(u64, Rule, String)>) {
    let found = verify(Arc::clone(log), from, None, None).await.unwrap();
    assert_eq!(found.ok, found.findings.is_empty());
    let findings = found.findings.into_iter().map(|finding| (finding.position, finding.rule, finding.message));
    (found.snapshots.unwrap(), found.snapshots_left_out, findings.collect())
}

/// Whatever log it is in, a role that only a snapshot knows of is found, and so is a level of stock.
async fn a_forged_state_is_found(log: Arc<dyn Log>) {
    log.append(0, pen().events().to_vec()).await.unwrap();
    let (ana, tea) = (snapshot(&*log, &account()).await, snapshot(&*log, &shop::tea_stream()).await);
    log.save_snapshots(vec![ana.clone(), tea.clone()]).await.unwrap();
    assert_eq!(found(&log, 1).await, (2, 0, vec![]));
    let admin = forged(&ana, |state| state["state"]["Registered"]["roles"] = json!(["admin", "customer"]));
    assert_ne!(admin, ana);
    let more = forged(&tea, |state| state["state"]["on_hand"] = json!(1_000));
    log.save_snapshots(vec![admin, more]).await.unwrap();
    let stream = format!("the snapshot of {} at sequence 2 is not what its events come to", account());
    let expected = vec![
        (
            25,
            Rule::Snapshot,
            "the snapshot of stock/TEA-100@main at sequence 10 is not what its events come to: `/on_hand` is another".to_owned(),
        ),
        (27, Rule::Snapshot, format!("{stream}: `/Registered/roles/0` is another and 1 more")),
    ];
    assert_eq!(found(&log, 1).await, (2, 0, expected.clone()));
    assert_eq!(found(&log, 26).await, (2, 0, expected), "wherever the run begins");
}

fn sqlite(folder: &Path) -> SqliteLog {
    SqliteLog::open(&folder.join("events.db"), Default::default()).unwrap()
}

#[tokio::test]
async fn a_role_that_only_a_snapshot_knows_of_is_found_in_sqlite() {
    let folder = TempDir::new().unwrap();
    a_forged_state_is_found(Arc::new(sqlite(folder.path()))).await;
}

#[tokio::test]
async fn a_role_that_only_a_snapshot_knows_of_is_found_in_postgresql() {
    let Some(server) = test_postgres::Postgres::start() else { return };
    a_forged_state_is_found(Arc::new(PostgresLog::open(&server.database("shop"), Default::default()).await.unwrap())).await;
}

#[tokio::test]
async fn what_a_snapshot_says_must_be_there_and_readable_and_of_other_versions_is_left_out() {
    let folder = TempDir::new().unwrap();
    let log: Arc<dyn Log> = Arc::new(sqlite(folder.path()));
    log.append(0, pen().events().to_vec()).await.unwrap();
    let ana = snapshot(&*log, &account()).await;
    let (tea, order) = (snapshot(&*log, &shop::tea_stream()).await, snapshot(&*log, &shop::order_stream(1)).await);
    let of = |stream: StreamId| Snapshot { stream, ..ana.clone() };
    log.save_snapshots(vec![
        Snapshot { sequence: 7, ..ana.clone() },
        of(StreamId::new("account", "nobody")),
        Snapshot { state: "{".to_owned(), ..tea },
        Snapshot { state_version: order.state_version + 1, state: "{}".to_owned(), ..order },
        of(StreamId::new("horoscope", "leo")),
    ])
    .await
    .unwrap();
    let (compared, left_out, found) = found(&log, 1).await;
    assert_eq!((compared, left_out), (3, 2));
    let found: Vec<_> = found.iter().map(|(position, _, message)| (*position, message.as_str())).collect();
    assert_eq!(found[0], (0, "the snapshot of account/nobody at sequence 2 is beyond the end of its stream at sequence 0"));
    assert!(found[1].0 == 25 && found[1].1.contains("at sequence 10 cannot be read: EOF"), "{found:?}");
    assert!(found[2].0 == 27 && found[2].1.ends_with("at sequence 7 is beyond the end of its stream at sequence 2"), "{found:?}");
    assert_eq!(found.len(), 3);
}

#[tokio::test]
async fn a_state_behind_an_event_that_this_version_does_not_know_cannot_be_compared_and_that_is_found() {
    let mut pen = pen();
    // The last event of the account is one of tomorrow; the engine would still go on from a snapshot behind it.
    pen.last().event_type = "AccountWasHallmarked".into();
    let folder = TempDir::new().unwrap();
    let log: Arc<dyn Log> = Arc::new(sqlite(folder.path()));
    log.append(0, pen.events().to_vec()).await.unwrap();
    assert_eq!(found(&log, 1).await, (0, 0, vec![]), "the event itself is carried");
    let state = State::absent("account").unwrap();
    let (state_version, state) = (state.version(), serde_json::to_string(&state).unwrap());
    log.save_snapshots(vec![Snapshot { stream: account(), sequence: 2, state_version, state }]).await.unwrap();
    let (compared, left_out, found) = found(&log, 1).await;
    assert_eq!((compared, left_out, found.len()), (1, 0, 1), "{found:?}");
    let (position, rule, message) = &found[0];
    assert_eq!((*position, *rule), (27, Rule::Snapshot));
    assert!(message.contains("at sequence 2 cannot be compared: position 27: "), "{message}");
}

#[tokio::test]
async fn the_report_says_how_many_snapshots_there_were_also_of_a_run_behind_a_head_and_of_an_export() {
    let desk = Desk::with(&pen()).await;
    let url = desk.log.strip_prefix("sqlite:").unwrap().to_owned();
    let log = SqliteLog::open(Path::new(&url), Default::default()).unwrap();
    log.save_snapshots(vec![snapshot(&log, &account()).await, snapshot(&log, &shop::tea_stream()).await]).await.unwrap();
    drop(log);
    desk.text(&["notary-key", "generate", "--name", "daybook/tea", "--out", "k"]);
    std::fs::write(desk.path("head.txt"), desk.text(&["head", "--key", "k"])).unwrap();
    let all = ["verify", "--resume-from", "head.txt", "--all-snapshots"];
    for args in [&["verify"][..], &all] {
        assert!(desk.text(args).contains("\nsnapshots: 2\n"), "{args:?}");
        assert_eq!(desk.json(args)["snapshots"], json!(2));
    }
    // What a run of every night costs goes by what is new; what it leaves out for that, it says. Rights it never leaves out.
    let resumed = &all[..3];
    let words = "\nsnapshots: 1; 1 more were taken before position 28, and were not compared again\n";
    assert!(desk.text(resumed).contains(words));
    // A pack of a beginning sees the log as it was, and none of what is kept beside it now.
    desk.text(&["evidence-pack", "--out", "all.zip"]);
    desk.text(&["evidence-pack", "--out", "past.zip", "--to", "27"]);
    let packed = |name: &str| {
        let report = EvidencePack::open(&desk.path(name)).unwrap().read("verify.json").unwrap();
        serde_json::from_slice::<Value>(&report).unwrap()
    };
    assert_eq!(packed("all.zip")["verification"]["snapshots"], json!(2));
    let past = packed("past.zip");
    assert_eq!(past["verification"]["snapshots"], Value::Null);
    assert!(past["in_words"].as_str().unwrap().contains("\nsnapshots: not compared\n"), "{past}");
    desk.text(&["export", "--out", "shop.jsonl"]);
    assert!(desk.text(&["verify", "--log", "jsonl:shop.jsonl"]).contains("\nsnapshots: 0\n"));
    desk.tamper("UPDATE snapshots SET payload = replace(payload, '[\"customer\"]', '[\"admin\"]')");
    for args in [&["verify"][..], &all, resumed] {
        let output = desk.run(args);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success() && said.starts_with("position 27: snapshot: the snapshot of account/"), "{said}");
    }
}

#[tokio::test]
async fn a_run_that_had_to_stop_says_that_no_snapshot_was_compared() {
    let desk = Desk::with(&pen()).await;
    let log = SqliteLog::open(Path::new(desk.log.strip_prefix("sqlite:").unwrap()), Default::default()).unwrap();
    let mut more = pen();
    for number in 100..190 {
        more.order(number);
    }
    log.append(27, more.events()[27..].to_vec()).await.unwrap();
    log.save_snapshots(vec![snapshot(&log, &account()).await]).await.unwrap();
    drop(log);
    desk.tamper("UPDATE events SET digest = zeroblob(32) WHERE position > 27");
    let args = [&["verify"][..], &["verify", "--json"]];
    let [words, json] = args.map(|args| String::from_utf8(desk.run(args).stdout).unwrap());
    assert!(words.contains("100 findings, which was enough to stop") && words.contains("\nsnapshots: not compared\n"), "{words}");
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["snapshots"], Value::Null);
}
