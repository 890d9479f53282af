//! One hash for all rows of a read model, in an order that every store has: two sets of views are the same if theirs are.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::{Projection, Table, Value, ViewError, Views, diff::Scan};

/// The rows of a table in one hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDigest {
    /// The projection that keeps it.
    pub projection: &'static str,
    /// The version of its fold.
    pub version: u32,
    /// The table.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// SHA-256 in hexadecimal, over the names of its columns and then all rows in the order of their keys: for each cell a byte
    /// for its kind, and 64 bits big-endian for a number, or the length and the UTF-8 bytes of a text.
    pub sha256: String,
}

/// The digests of all tables of the projections, in one snapshot. Blocks: run it off the async threads.
///
/// # Errors
/// If the store cannot be read, or does not serve one of the tables.
pub fn digests(views: &Views, projections: &[&'static Projection]) -> Result<Vec<TableDigest>, ViewError> {
    views.read_blocking(|reader| {
        let tables = projections.iter().flat_map(|projection| projection.tables.iter().map(move |table| (projection, *table)));
        let digest = |(projection, table): (&&'static Projection, &'static Table)| {
            let mut rows = Scan::new(reader, table);
            let (mut hash, mut count) = (Sha256::new(), 0);
            table.columns.iter().for_each(|column| text(&mut hash, column.name));
            while let Some(row) = rows.next()? {
                row.iter().for_each(|cell| self::cell(&mut hash, cell));
                count += 1;
            }
            let sha256 = hex(&hash.finalize());
            Ok(TableDigest { projection: projection.name, version: projection.version, table: table.name, rows: count, sha256 })
        };
        tables.map(digest).collect()
    })
}

fn cell(hash: &mut Sha256, cell: &Value<'_>) {
    match cell {
        Value::Null => hash.update([0]),
        Value::Integer(number) => {
            hash.update([1]);
            hash.update(number.to_be_bytes());
        }
        Value::Text(value) => {
            hash.update([2]);
            text(hash, value);
        }
    }
}

fn text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text.as_bytes());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
