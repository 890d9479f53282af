//! The tables of a generation, and how a generation comes to be shown.
//!
//! For analysts, all generations of a table are partitions of one relation, and a row of `shown` says which of them counts.
//! So what a transaction sees is decided by its snapshot, and no one has to wait for anyone when a generation takes over.

use super::session::kind;
use crate::{Projection, Table, row::join, store::Dialect};

/// The name of a table in a generation.
fn physical(projection: &Projection, table: &Table, generation: u32) -> String {
    Dialect::Postgres.physical(projection.name, table.name, generation)
}

/// Text sorts by its bytes, as in SQLite.
fn columns(table: &Table) -> String {
    join(table.columns, |column| {
        let collation = if kind(column) == "TEXT" { " COLLATE \"C\"" } else { "" };
        format!("{} {}{collation}{}", column.name, kind(column), if column.nullable { "" } else { " NOT NULL" })
    })
}

/// The relation that has all generations of a table of this shape as its partitions.
pub(super) fn relation(table: &Table) -> String {
    // FNV-1a: a fingerprint against mistakes, not against malice.
    let hash = columns(table).bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{}_{hash:08x}", table.name)
}

/// Makes the tables of a generation, empty and without indexes.
pub(super) fn create(projection: &Projection, generation: u32) -> String {
    let mut sql = format!("CREATE SCHEMA daybook_{}_g{generation};", projection.name);
    for table in projection.tables {
        let key = join(table.key(), |column| column.name.to_owned());
        let (name, columns) = (physical(projection, table, generation), columns(table));
        sql.push_str(&format!(
            "CREATE TABLE {name} ({columns}, generation BIGINT NOT NULL DEFAULT {generation} CHECK (generation = {generation}),
                                  PRIMARY KEY ({key}));"
        ));
    }
    sql
}

/// Makes the indexes of a generation, and lets PostgreSQL look at its tables.
pub(super) fn create_indexes(projection: &Projection, generation: u32) -> String {
    let mut sql = "SET LOCAL statement_timeout = 0;".to_owned();
    for table in projection.tables {
        let name = physical(projection, table, generation);
        for columns in table.indexes {
            sql.push_str(&format!("CREATE INDEX ON {name} ({columns});"));
        }
        sql.push_str(&format!("ANALYZE {name};"));
    }
    sql
}

/// Shows a generation to analysts. Attaching a partition and reading the relation do not lock each other out.
pub(super) fn publish(projection: &Projection, generation: u32) -> String {
    let mut sql = String::new();
    for table in projection.tables {
        let (relation, columns, name) = (relation(table), columns(table), physical(projection, table, generation));
        sql.push_str(&format!(
            "CREATE TABLE IF NOT EXISTS daybook_views.{relation} ({columns}, generation BIGINT NOT NULL)
                 PARTITION BY LIST (generation);
             ALTER TABLE daybook_views.{relation} ATTACH PARTITION {name} FOR VALUES IN ({generation});
             INSERT INTO daybook_views.shown VALUES ('{relation}', {generation})
                 ON CONFLICT (relation) DO UPDATE SET generation = excluded.generation;"
        ));
    }
    sql
}
