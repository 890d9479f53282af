//! `daybook bench`: how fast this machine is at what Daybook does, each figure against a baseline of the same run.

mod bare_server;
mod checkout;
mod client;
mod commands;
mod contender;
mod large_shop;
mod lists;
mod measure;
mod notary;
mod raw_log;
mod read;
mod rebuild;
mod table;

use std::path::Path;

use clap::{Args, Subcommand};
use vault::{Persons, Vault, VaultKey};

use self::{checkout::CheckoutArgs, lists::ListsArgs, read::ReadArgs, rebuild::RebuildArgs};
pub use self::{
    commands::{CommandsArgs, run as commands},
    contender::{Contender, Slice},
};

/// Flags of `daybook bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  daybook bench commands                             decided, durable commands against a raw group commit
  daybook bench commands --submitters 64 --seconds 20 --json
  daybook bench checkout --concurrency 32            whole purchases; needs `daybook serve --demo` in another terminal
  daybook bench read                                 queries against a bare GraphQL server; needs a running server
  daybook bench lists                                lists in shops of 10 thousand, 1 million and 5 million events
  daybook bench notary                               commands with a notary beside them and without
  daybook bench rebuild                              every view of the demo shop, or of --log URL

Figures depend on the machine and on what else it does; the ratio to the baseline of the same run depends on neither as much.")]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Commands through the engine, durable, without HTTP
    Commands(CommandsArgs),
    /// Whole purchases over HTTP, against a running server
    Checkout(CheckoutArgs),
    /// Queries over HTTP, against a running server and a bare GraphQL server
    Read(ReadArgs),
    /// The bare GraphQL server, which `read` starts by itself
    #[command(hide = true)]
    BareServer,
    /// Pages of the lists of products and orders, in shops of different size
    Lists(ListsArgs),
    /// Commands with a notary beside them and without, and how far it is behind
    Notary(notary::NotaryArgs),
    /// Every view folded from the log, against reading and decoding the log alone, on as many threads
    Rebuild(RebuildArgs),
}

/// Runs a benchmark and prints its figures.
///
/// # Errors
/// See [`BenchError`].
pub async fn run(args: BenchArgs) -> Result<(), BenchError> {
    match args.what {
        What::Commands(args) => commands(args, Vec::new()).await,
        What::Checkout(args) => checkout::run(args).await,
        What::Read(args) => read::run(args).await,
        What::BareServer => bare_server::run().await,
        What::Lists(args) => lists::run(args).await,
        What::Notary(args) => notary::run(args).await,
        What::Rebuild(args) => rebuild::run(args).await,
    }
}

/// Persons with keys of their own, in a folder that goes again.
async fn persons(folder: &Path) -> Result<Persons, BenchError> {
    let url = format!("sqlite:{}", folder.join("vault.db").display());
    Ok(Persons::new(Vault::open(&url, VaultKey::generate()).await?))
}

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A file or connection.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] event_store::OpenError),
    /// The log cannot be written.
    #[error(transparent)]
    Append(#[from] event_store::AppendError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] event_store::ReadError),
    /// The baseline's file.
    #[error(transparent)]
    Baseline(#[from] rusqlite::Error),
    /// The baseline's table in PostgreSQL.
    #[error("PostgreSQL: {0}")]
    Server(#[from] sqlx::Error),
    /// The baseline's writer or server stopped; what it wrote to its log or standard error says why.
    #[error("the baseline stopped")]
    BaselineStopped,
    /// A command of the measurement failed.
    #[error("a command failed: {0}")]
    Command(String),
    /// The server cannot be reached.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// A request or an answer is not what it should be.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// What was to be bought is sold out.
    #[error("sold out")]
    SoldOut,
    /// The server answered with an error.
    #[error("{0}")]
    Answer(String),
    /// The views cannot be built.
    #[error(transparent)]
    Views(#[from] projections::ViewError),
    /// An event cannot be read.
    #[error(transparent)]
    Decode(#[from] event_schemas::DecodeError),
    /// The keys of persons cannot be kept.
    #[error(transparent)]
    Vault(#[from] vault::VaultError),
    /// The demo shop cannot be made.
    #[error(transparent)]
    Demo(#[from] crate::demo::DemoError),
    /// The latencies cannot be counted.
    #[error(transparent)]
    Latencies(#[from] hdrhistogram::CreationError),
    /// An id of the measurement is not valid.
    #[error(transparent)]
    Id(#[from] event_schemas::InvalidId),
}
