//! The schema `analytics`: documented views of what serves, and a role that may read them and nothing else.
//!
//! A view selects the generation that the reader's own snapshot says serves (see `tables.rs`), so a rebuild changes no view.
//! A view is made anew only when its definition changes with a new version of Daybook. That, and dropping what no one reads
//! any more, takes locks that wait for transactions of analysts: it is tried now and then, and given up at once when someone
//! is in the way, so that neither the runner nor another reader ever waits for an analyst.

use std::collections::BTreeMap;

use super::{
    connection::PostgresConnection,
    get,
    tables::relation,
    wire::{PATIENCE, is_in_the_way},
};
use crate::{ALL, ColumnInfo, Meaning, Projection, Table, ViewError, store::Connection as _};

/// The role that analysts are members of.
const ROLE: &str = "daybook_analyst";
/// How long what an analyst may still look for is kept, so that no transaction that has just begun misses it.
const KEPT: &str = "60 s";
/// `invalid_table_definition`: a view cannot be replaced by one with other columns, only dropped and made again.
const OTHER_COLUMNS: &str = "42P16";
/// `dependent_objects_still_exist`: someone has built on a view.
const BUILT_UPON: &str = "2BP01";

const ABOUT: &str = "What the shop knows, for analysts: one view for each kind of thing, kept up to date from the log of \
    events. Amounts are whole minor units (pennies, cents) of the currency beside them; moments are in UTC; `position` is \
    the place in the log of the last event that changed a row. Nothing personal is here. See analytics.freshness.";

/// A view and the statements that make and describe it.
struct Definition {
    view: &'static str,
    sql: String,
}

/// Brings the schema up to date and drops what was replaced, as far as no one is in the way.
pub(super) fn tend(connection: &PostgresConnection, serving: &[(&'static Projection, u32)]) -> Result<(), ViewError> {
    let analysts = has_role(connection)?;
    let rows = connection.wire.run("SELECT view, definition FROM daybook_views.described")?;
    let described = rows.iter().map(|row| Ok((get::<String>(row, 0)?, get::<String>(row, 1)?)));
    let described = described.collect::<Result<BTreeMap<_, _>, ViewError>>()?;
    let mut is_current = true;
    for definition in definitions(serving, analysts) {
        if described.get(definition.view) != Some(&definition.sql) {
            is_current &= define(connection, &definition)?;
        }
    }
    if is_current {
        drop_retired(connection)?;
        drop_unused_relations(connection)?;
    }
    Ok(())
}

/// Whether the role of analysts is there. It is made if this server may.
fn has_role(connection: &PostgresConnection) -> Result<bool, ViewError> {
    let there = format!("SELECT 1 FROM pg_roles WHERE rolname = '{ROLE}'");
    if !connection.wire.run(&there)?.is_empty() {
        return Ok(true);
    }
    if connection.asked_for_role.replace(true) {
        return Ok(false);
    }
    match connection.wire.try_run(&format!("CREATE ROLE {ROLE} NOLOGIN"), PATIENCE) {
        Ok(_) => Ok(true),
        Err(error) if error.as_database_error().is_some() => {
            tracing::warn!(%error, "nobody can be let into the schema analytics yet: let an administrator run CREATE ROLE {ROLE} NOLOGIN");
            Ok(false)
        }
        Err(error) => Err(connection.wire.failed(&error)),
    }
}

fn definitions(serving: &[(&'static Projection, u32)], analysts: bool) -> Vec<Definition> {
    let grant = |what: &str| if analysts { format!("GRANT {what} TO {ROLE};") } else { String::new() };
    let usage = grant("USAGE ON SCHEMA analytics");
    let schema = format!("CREATE SCHEMA IF NOT EXISTS analytics; COMMENT ON SCHEMA analytics IS {}; {usage}", text(ABOUT));
    let mut found = vec![Definition { view: "", sql: schema }];
    found.push(Definition { view: "freshness", sql: format!("{} {}", freshness(), grant("SELECT ON analytics.freshness")) });
    let shown = serving.iter().filter(|(projection, _)| projection.for_analysts);
    for table in shown.flat_map(|(projection, _)| projection.tables) {
        let sql = format!("{} {}", view(table), grant(&format!("SELECT ON analytics.{}", table.name)));
        found.push(Definition { view: table.name, sql });
    }
    found
}

/// How far those views have come that analysts may see.
fn freshness() -> String {
    let hidden = ALL.iter().filter(|projection| !projection.for_analysts);
    let hidden = hidden.map(|projection| format!("'{}'", projection.name)).collect::<Vec<_>>().join(", ");
    format!("{FRESHNESS_VIEW} AND projection NOT IN ({hidden}); {FRESHNESS_COMMENTS}")
}

const FRESHNESS_VIEW: &str = "
    CREATE OR REPLACE VIEW analytics.freshness AS
        SELECT projection, tables, version, position, seen_at::timestamptz AS seen_at,
               halted_since::timestamptz AS halted_since, halted_reason
        FROM daybook_views.projections WHERE serving = 1";

const FRESHNESS_COMMENTS: &str = "
    COMMENT ON VIEW analytics.freshness IS 'How far the views have come. One row for each projection, which keeps one or more of the views.';
    COMMENT ON COLUMN analytics.freshness.projection IS 'The projection.';
    COMMENT ON COLUMN analytics.freshness.tables IS 'The views that it keeps, separated by commas.';
    COMMENT ON COLUMN analytics.freshness.version IS 'The version of the rules by which it was made.';
    COMMENT ON COLUMN analytics.freshness.position IS 'The log position of the last event that it has seen.';
    COMMENT ON COLUMN analytics.freshness.seen_at IS 'When that event was recorded.';
    COMMENT ON COLUMN analytics.freshness.halted_since IS 'When it halted at an event that it cannot read; null while it goes on.';
    COMMENT ON COLUMN analytics.freshness.halted_reason IS 'Why it halted.';";

/// Makes the view of a table and says what it and its columns mean. Personal columns are left out.
fn view(table: &Table) -> String {
    let (name, relation) = (table.name, relation(table));
    let shown: Vec<_> = table.columns.iter().filter(|column| column.meaning != Meaning::Personal).collect();
    let columns = shown.iter().map(|column| selected(column)).collect::<Vec<_>>().join(", ");
    let mut sql = format!(
        "CREATE OR REPLACE VIEW analytics.{name} AS SELECT {columns} FROM daybook_views.{relation}
         WHERE generation = (SELECT s.generation FROM daybook_views.shown AS s WHERE s.relation = '{relation}');
         COMMENT ON VIEW analytics.{name} IS {};",
        text(table.about)
    );
    for column in shown {
        sql.push_str(&format!("COMMENT ON COLUMN analytics.{name}.{} IS {};", column.name, text(column.about)));
    }
    sql
}

/// A column in the type that an analyst's tools know it by.
fn selected(column: &ColumnInfo) -> String {
    let name = column.name;
    match column.meaning {
        Meaning::Number | Meaning::Text | Meaning::Personal => name.to_owned(),
        Meaning::YesNo => format!("{name} <> 0 AS {name}"),
        Meaning::Moment => format!("{name}::timestamptz AS {name}"),
        Meaning::Day => format!("{name}::date AS {name}"),
        Meaning::Json => format!("{name}::jsonb AS {name}"),
    }
}

/// What is said of something, as a literal.
fn text(about: &str) -> String {
    format!("'{}'", about.trim().replace('\'', "''"))
}

/// Makes a view anew; whether that was possible.
fn define(connection: &PostgresConnection, definition: &Definition) -> Result<bool, ViewError> {
    let Definition { view, sql } = definition;
    let note = format!(
        "INSERT INTO daybook_views.described VALUES ('{view}', {}) ON CONFLICT (view) DO UPDATE SET definition = excluded.definition",
        text(sql)
    );
    match attempt(connection, &format!("{sql} {note}"))? {
        Attempt::Done => Ok(true),
        Attempt::Refused(code) if code == OTHER_COLUMNS => {
            match attempt(connection, &format!("DROP VIEW analytics.{view}; {sql} {note}"))? {
                Attempt::Done => Ok(true),
                Attempt::Refused(code) if code == BUILT_UPON => {
                    tracing::warn!(
                        view,
                        "the view in the schema analytics has new columns, but others were built upon it: drop those"
                    );
                    Ok(false)
                }
                Attempt::Refused(_) | Attempt::InTheWay => Ok(false),
            }
        }
        Attempt::Refused(_) | Attempt::InTheWay => Ok(false),
    }
}

/// How an attempt ended.
enum Attempt {
    Done,
    /// Someone holds what it needs.
    InTheWay,
    /// The database says no, with this code.
    Refused(String),
}

/// Runs statements in a transaction of their own that waits for no one.
fn attempt(connection: &PostgresConnection, sql: &str) -> Result<Attempt, ViewError> {
    connection.begin()?;
    let Err(error) = connection.wire.try_run(&format!("SET LOCAL lock_timeout = '50ms'; {sql}; COMMIT"), PATIENCE) else {
        return Ok(Attempt::Done);
    };
    let failure = connection.wire.failed(&error);
    if connection.is_lost() {
        return Err(failure);
    }
    connection.roll_back();
    if is_in_the_way(&error) {
        return Ok(Attempt::InTheWay);
    }
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
    tracing::warn!(error = %failure, code, "the schema analytics could not be changed");
    Ok(Attempt::Refused(code))
}

/// Drops the generations that were replaced a while ago.
fn drop_retired(connection: &PostgresConnection) -> Result<(), ViewError> {
    let old = format!("SELECT projection, generation FROM daybook_views.retired WHERE retired_at < now() - interval '{KEPT}'");
    for row in connection.wire.run(&old)? {
        let (projection, generation): (String, i64) = (get(&row, 0)?, get(&row, 1)?);
        let sql = format!(
            "DROP SCHEMA daybook_{projection}_g{generation} CASCADE;
             DELETE FROM daybook_views.retired WHERE projection = '{projection}' AND generation = {generation}"
        );
        // Whoever is in the way of one is mostly in the way of all: waiting again for each would hold up the views.
        if let Attempt::InTheWay = attempt(connection, &sql)? {
            break;
        }
    }
    Ok(())
}

/// Drops the relations of older shapes that have no generation left.
fn drop_unused_relations(connection: &PostgresConnection) -> Result<(), ViewError> {
    let unused = "SELECT relation FROM daybook_views.shown WHERE NOT EXISTS (
        SELECT FROM pg_inherits WHERE inhparent = to_regclass('daybook_views.' || relation))";
    for row in connection.wire.run(unused)? {
        let relation: String = get(&row, 0)?;
        let sql = format!(
            "DROP TABLE IF EXISTS daybook_views.{relation}; DELETE FROM daybook_views.shown WHERE relation = '{relation}'"
        );
        attempt(connection, &sql)?;
    }
    Ok(())
}
