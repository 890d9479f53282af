//! `daybook import`: brings a shop's past in through the same events, restartable, with a reconciliation at the end.
//!
//! A source is read into documents (an invoice, an order, a product), each of which becomes one command with its own
//! idempotency key. So a run that was killed is simply run again, and a second run adds nothing. `docs/import.md` says how
//! the columns of each source become events.

mod amount;
mod catalog;
mod command;
mod document;
mod ids;
mod merchant;
mod olist;
mod online_retail;
mod reconciliation;
mod rows;
mod writer;

use std::{io, path::PathBuf, time::Instant};

use clap::{Subcommand, ValueEnum};
use domain::StoreConfig;
use engine::{CommandError, Engine};
use vault::{PersonError, Persons};

pub use command::{ImportArgs, run};
pub use document::Unrepresented;
pub use reconciliation::Reconciliation;
pub use writer::Progress;

/// What to import.
#[derive(Debug, Clone, Subcommand)]
pub enum ImportSource {
    /// A year of a gift wholesaler: the CSV of "UCI Online Retail II", plain or .zst.
    #[command(after_help = "Example:\n  daybook import online-retail online_retail_II_2009-2010.csv.zst --data ./shop")]
    OnlineRetail {
        /// The CSV file.
        file: PathBuf,
    },
    /// A Brazilian market place: the folder with the Olist CSV files, plain or .zst; reviews may be absent.
    #[command(after_help = "Example:\n  daybook import olist ./olist --data ./shop")]
    Olist {
        /// The folder.
        dir: PathBuf,
    },
    /// A merchant's own products or stock; the shop's rules apply. Customers have no place of their own yet.
    #[command(after_help = "Columns:
  products  sku,title,description,price,currency,weight_grams   without a price it is not put on sale
  stock     sku,location,quantity,reference                     units that came in, such as to `main`

Examples:
  daybook import csv products products.csv --data ./shop
  daybook import csv stock delivery-17.csv --data ./shop")]
    Csv {
        /// What the file holds
        kind: CsvKind,
        /// The CSV file, plain or .zst
        file: PathBuf,
    },
}

/// What a merchant's own CSV file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CsvKind {
    /// Products with one variant each
    Products,
    /// Goods that came in
    Stock,
}

/// Why an import ended early. What was written until then stays, and another run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not the one that is meant: nothing was written.
    #[error("{path} begins with the columns `{found}` instead of `{expected}`")]
    Header {
        /// The file.
        path: String,
        /// The columns that belong there.
        expected: String,
        /// The columns that are there.
        found: String,
    },
    /// A setting of the source's mapping is not valid: a bug.
    #[error("the mapping of {name} is broken: {reason}")]
    Setting {
        /// The source's name.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A file that belongs to the source is not there: nothing was written.
    #[error("{0} is missing (plain or with .zst)")]
    Missing(String),
    /// Personal data could not be sealed: the vault failed.
    #[error(transparent)]
    Persons(#[from] PersonError),
    /// The engine could not write.
    #[error("document `{document}` was not written: {error}")]
    NotWritten {
        /// The document's key.
        document: String,
        /// What the engine says.
        error: CommandError,
    },
}

/// Imports a source into the store of that configuration, telling progress about once a second.
///
/// # Errors
/// See [`ImportError`]. Rows that no event can be made of are no error: the reconciliation lists them.
pub async fn import(
    source: &ImportSource,
    config: &StoreConfig,
    engine: &Engine,
    persons: &Persons,
    tell: &mut dyn FnMut(Progress),
) -> Result<Reconciliation, ImportError> {
    let begun = Instant::now();
    let source = match source {
        ImportSource::OnlineRetail { file } => online_retail::read(file, engine.log_id())?,
        ImportSource::Olist { dir } => olist::read(dir, engine.log_id())?,
        ImportSource::Csv { kind: CsvKind::Products, file } => merchant::products(file)?,
        ImportSource::Csv { kind: CsvKind::Stock, file } => merchant::stock(file, &config.locations)?,
    };
    writer::write(source, engine, persons, begun, tell).await
}
