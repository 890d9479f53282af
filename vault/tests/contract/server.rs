//! The PostgreSQL database: what is refused on opening, and a server that is killed, cut off or silent.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use test_postgres::{CutAt, Mode, Postgres, Proxy};
use vault::{Vault, VaultError};

use crate::{Place, key};

/// How long to wait for something that happens by itself.
const PATIENCE: Duration = Duration::from_secs(60);

async fn refused(url: &str) -> VaultError {
    Vault::open(url, key()).await.unwrap_err()
}

/// Asks until there is an answer.
async fn get(vault: &Vault, name: &str) -> Option<String> {
    let begun = Instant::now();
    loop {
        match vault.get(name).await {
            Ok(entry) => return entry.map(|entry| entry.value),
            Err(VaultError::Unavailable(..)) if begun.elapsed() < PATIENCE => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_schema_of_another_application_is_refused_and_left_as_it_is() {
    let Some(server) = Postgres::start() else { return };
    let theirs = [
        "CREATE SCHEMA vault; CREATE TABLE vault.entries (n INT)",
        "CREATE SCHEMA vault; CREATE TABLE vault.entries (n INT); CREATE TABLE vault.vault (n INT);
         CREATE SEQUENCE vault.versions",
        "CREATE SCHEMA vault; CREATE TABLE vault.entries (n INT); CREATE TABLE vault.vault (format TEXT, key_check TEXT);
         CREATE SEQUENCE vault.versions; INSERT INTO vault.vault VALUES ('x', 'y')",
    ];
    for (n, sql) in theirs.iter().enumerate() {
        let name = format!("theirs{n}");
        let url = server.database(&name);
        server.psql(&name, sql);
        let refused = refused(&url).await;
        assert!(matches!(&refused, VaultError::NotAVault(_, reason) if reason.contains("another application")), "{refused}");
        assert_eq!(server.psql(&name, "SELECT count(*) FROM vault.entries").trim(), "0");
    }
    // An empty schema of this name may have been made for us, with the rights that the node has.
    let url = server.database("made");
    server.psql("made", "CREATE SCHEMA vault");
    Place(url).node().await;
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_as_it_is() {
    let Some(server) = Postgres::start() else { return };
    let place = Place(server.database("shop"));
    place.node().await;
    server.psql("shop", "UPDATE vault.vault SET format = 999");
    assert!(matches!(refused(&place.0).await, VaultError::Newer { found: 999, .. }));
    assert_eq!(server.psql("shop", "SELECT format FROM vault.vault").trim(), "999");
}

#[tokio::test]
async fn a_role_that_may_read_the_log_may_not_read_the_vault_and_a_value_cannot_be_read_at_all() {
    let Some(server) = Postgres::start() else { return };
    let place = Place(server.database("shop"));
    place.node().await.put("note/a", None, &"a well known secret", None).await.unwrap();
    server.psql("shop", "CREATE ROLE analyst LOGIN");
    let looked = server.try_psql("shop", "SET ROLE analyst; SELECT * FROM vault.entries").unwrap();
    assert!(!looked.status.success());
    assert!(!server.psql("shop", "SELECT name, encode(sealed, 'escape') FROM vault.entries").contains("well known"));
}

#[tokio::test]
async fn a_value_that_was_changed_or_moved_in_the_database_is_not_believed() {
    let Some(server) = Postgres::start() else { return };
    let place = Place(server.database("shop"));
    let vault = place.node().await;
    for name in ["account/ana", "account/eve", "code/1"] {
        vault.put(name, None, &name, None).await.unwrap();
    }
    server.psql(
        "shop",
        "UPDATE vault.entries SET sealed = (SELECT sealed FROM vault.entries WHERE name = 'account/eve')
             WHERE name = 'account/ana';
         UPDATE vault.entries SET expires_at = 9999999999999999 WHERE name = 'code/1'",
    );
    for name in ["account/ana", "code/1"] {
        let read = vault.get::<String>(name).await;
        assert!(matches!(&read, Err(VaultError::Damaged(of, _)) if of == name), "{read:?}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_named_without_the_password() {
    let error = refused("postgres://ana:s3cret@127.0.0.1:1/shop").await;
    assert!(matches!(&error, VaultError::Unavailable(name, _) if name == "postgres://ana@127.0.0.1:1/shop"), "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    assert!(!refused("postgres://ana:s3cret@h/shop?sslmod=require").await.to_string().contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_synced_even_if_that_is_not_the_servers_default() {
    let Some(server) = Postgres::start_with(&["synchronous_commit=off"]) else { return };
    let vault = Place(server.database("shop")).node().await;
    server.psql(
        "shop",
        "CREATE TABLE seen (setting TEXT);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO seen VALUES (current_setting(''synchronous_commit'')); RETURN NEW; END';
         CREATE TRIGGER see BEFORE INSERT ON vault.entries FOR EACH ROW EXECUTE FUNCTION see()",
    );
    vault.put("note/a", None, &"a", None).await.unwrap();
    assert_eq!(server.psql("shop", "SELECT setting FROM seen").trim(), "on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_is_an_error_and_once_it_is_back_everything_acknowledged_is_there() {
    let Some(mut server) = Postgres::start() else { return };
    let vault = Place(server.database("shop")).node().await;
    vault.put("note/a", None, &"a", None).await.unwrap();
    server.kill();
    assert!(matches!(vault.get::<String>("note/a").await, Err(VaultError::Unavailable(..))));
    let put = vault.put("note/b", None, &"b", None).await;
    assert!(matches!(put, Err(VaultError::Unavailable(..))), "{put:?}");
    assert!(matches!(vault.take::<String>("note/a").await, Err(VaultError::Unavailable(..))));
    server.restart();
    assert_eq!(get(&vault, "note/a").await.as_deref(), Some("a"));
    vault.put("note/c", None, &"c", None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_whose_answer_is_lost_is_given_to_nobody_else() {
    let Some(server) = Postgres::start() else { return };
    let proxy = Proxy::start(server.port());
    let (direct, cut) = (Place(server.database("shop")), Place(proxy.route(&server.url("shop"))));
    let (direct, cut) = (direct.node().await, cut.node().await);
    for (name, at) in [("code/lost-before", CutAt::Before), ("code/lost-after", CutAt::After)] {
        direct.put(name, None, &"a", Some(Utc::now() + TimeDelta::hours(1))).await.unwrap();
        proxy.cut_once(name, at);
        let lost = cut.take::<String>(name).await;
        assert!(matches!(lost, Err(VaultError::Unavailable(..))), "{at:?}: {lost:?}");
        let taken = direct.take::<String>(name).await.unwrap();
        assert_eq!(taken.is_some(), at == CutAt::Before, "{at:?}");
        assert_eq!(get(&cut, name).await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_given_up_and_used_again_when_it_answers() {
    let Some(server) = Postgres::start() else { return };
    let proxy = Proxy::start(server.port());
    let url = proxy.route(&server.database("shop"));
    let vault = Place(url).node().await;
    vault.put("note/a", None, &"a", None).await.unwrap();
    proxy.set(Mode::HalfOpen);
    let silent = tokio::time::timeout(PATIENCE, vault.get::<String>("note/a")).await.expect("it is given up");
    assert!(matches!(silent, Err(VaultError::Unavailable(..))), "{silent:?}");
    proxy.set(Mode::Pass);
    assert_eq!(get(&vault, "note/a").await.as_deref(), Some("a"));
    vault.put("note/b", None, &"b", None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_another_holds_is_waited_for_and_then_given_up() {
    let Some(server) = Postgres::start() else { return };
    let vault = Place(server.database("shop")).node().await;
    let version = vault.put("note/a", None, &"a", None).await.unwrap();
    let mut other = <sqlx::PgConnection as sqlx::Connection>::connect(&server.url("shop")).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT * FROM vault.entries FOR UPDATE").execute(&mut other).await.unwrap();
    let put = vault.put("note/a", Some(version), &"b", None).await;
    assert!(matches!(&put, Err(VaultError::Unavailable(_, reason)) if reason == "it took too long"), "{put:?}");
    // Who reads waits for nobody.
    assert_eq!(vault.get::<String>("note/a").await.unwrap().unwrap().value, "a");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    vault.put("note/a", Some(version), &"b", None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vacuum_may_take_longer_than_a_statement() {
    let Some(server) = Postgres::start() else { return };
    let vault = Place(server.database("shop")).node().await;
    let holding = std::thread::spawn(move || {
        server.psql("shop", "BEGIN; LOCK vault.entries IN SHARE UPDATE EXCLUSIVE MODE; SELECT pg_sleep(11); COMMIT");
        server
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    vault.purge().await.unwrap();
    assert!(begun.elapsed() > Duration::from_secs(5), "it waited");
    vault.put("note/a", None, &"a", None).await.unwrap();
    drop(holding.join().unwrap());
}
