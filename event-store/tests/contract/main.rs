//! The contract of a log: every adapter passes the same tests, and what only a file can do wrong is tested beside them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod appends;
mod chance;
mod child;
mod crash;
mod disk;
mod facts;
mod file;
mod kills;
mod notes;
mod past;
mod power;
mod reads;
mod repository;
mod rounds;
mod server;
mod server_faults;
mod tls;

/// Makes a test of each function for each adapter. A function takes a fresh log.
macro_rules! contract {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(std::sync::Arc::new(event_store::MemoryLog::new())).await;
            })+
        }

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let folder = tempfile::tempdir().unwrap();
                let log = event_store::SqliteLog::open(&folder.path().join("events.db"), Default::default()).unwrap();
                super::$name(std::sync::Arc::new(log)).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(server) = test_postgres::Postgres::start() else { return };
                let log = event_store::PostgresLog::open(&server.database("shop"), Default::default()).await.unwrap();
                super::$name(std::sync::Arc::new(log)).await;
            })+
        }
    };
}

use contract;
