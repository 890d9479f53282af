//! `daybook bench commands` with two contenders more: the same aggregates and commands through `cqrs-es` and `postgres-es` as
//! they are published, without and with snapshots, on the same PostgreSQL server, in the same turns.

use std::{error::Error, sync::Arc};

use api::bench::{BenchError, CommandsArgs, Contender, Slice};
use async_trait::async_trait;
use clap::Parser;
use cqrs_es::AggregateError;
use domain::{Stock, StockCommand};
use postgres_es::{PostgresCqrs, default_postgress_pool, postgres_cqrs, postgres_snapshot_cqrs};
use sqlx::Executor as _;
use test_postgres::Postgres;

/// Daybook, a raw group commit, and cqrs-es with postgres-es, side by side on PostgreSQL
///
/// Without --events it starts a PostgreSQL server of its own, with the settings it comes with.
#[derive(Debug, Parser)]
#[command(name = "bench-published")]
struct Args {
    #[command(flatten)]
    commands: CommandsArgs,
}

/// What `db/init.sql` of postgres-es makes, in a schema of its own.
const TABLES: &str = "CREATE SCHEMA published; SET search_path = published; CREATE TABLE events (aggregate_type text NOT NULL,
    aggregate_id text NOT NULL, sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL,
    event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)); CREATE TABLE snapshots (aggregate_type text NOT NULL,
    aggregate_id text NOT NULL, last_sequence bigint CHECK (last_sequence >= 0) NOT NULL,
    current_snapshot bigint CHECK (current_snapshot >= 0) NOT NULL, payload json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, last_sequence))";

/// Events of a stream after which a snapshot is taken: as the documentation of cqrs-es has it.
const SNAPSHOT_EVERY: usize = 100;

/// The framework over an event store of its guide, with the pool that the crate offers.
struct Published {
    name: &'static str,
    framework: PostgresCqrs<Stock>,
}

#[async_trait]
impl Contender for Published {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn command(&self, _caller: usize, slice: Slice) -> Result<(), BenchError> {
        let stock = slice.next_stock()?;
        let id = stock.to_string();
        loop {
            let command = StockCommand::Receive { stock: stock.clone(), quantity: 1, reference: None };
            match self.framework.execute(&id, command).await {
                Ok(()) => return Ok(()),
                // Its caller tries again, as its guide says.
                Err(AggregateError::AggregateConflict) => {}
                Err(error) => return Err(BenchError::Command(error.to_string())),
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse().commands;
    let server = if args.events.is_none() { Postgres::start() } else { None };
    if let Some(server) = &server {
        args.events = Some(server.database("bench"));
    }
    let url = args.events.clone().ok_or("there is no PostgreSQL here: name one with --events")?;
    default_postgress_pool(&url).await.execute(TABLES).await?;
    let separator = if url.contains('?') { '&' } else { '?' };
    let pool = default_postgress_pool(&format!("{url}{separator}options=-csearch_path%3Dpublished")).await;
    let published = Published { name: "cqrs-es", framework: postgres_cqrs(pool.clone(), Vec::new(), ()) };
    let framework = postgres_snapshot_cqrs::<Stock>(pool, Vec::new(), SNAPSHOT_EVERY, ());
    let with_snapshots = Published { name: "cqrs-es with snapshots", framework };
    api::bench::commands(args, vec![Arc::new(published), Arc::new(with_snapshots)]).await?;
    Ok(())
}
