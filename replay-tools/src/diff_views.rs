//! `diff-views`: compares two sets of views row by row, such as the live ones with a fresh rebuild.

use clap::Args;
use projections::{Projection, RowDifference, TableDiff, Value as Cell, Views, ViewsDiff};
use serde_json::{Value, json};

use crate::{Failure, Report, rebuild::projections_named};

/// Which views to compare.
#[derive(Debug, Args)]
pub struct DiffViewsArgs {
    /// The first views, sqlite:PATH or postgres://USER@HOST/DATABASE.
    first: String,
    /// The second views, likewise.
    second: String,
    /// Compare the tables of this projection only, such as orders.
    #[arg(long, env = "DAYBOOK_PROJECTION", value_name = "PROJECTION", default_value = "all")]
    projection: String,
}

impl DiffViewsArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let found = diff_views(&self.first, &self.second, projections_named(&self.projection)?).await?;
        Ok(Report { ok: found.is_equal(), text: tell(&found), json: describe(&found) })
    }
}

/// Compares the tables of projections at two addresses, and makes neither.
///
/// # Errors
/// If one of them is not there or cannot be read.
pub async fn diff_views(first: &str, second: &str, wanted: Vec<&'static Projection>) -> Result<ViewsDiff, Failure> {
    let (first, second) = (Views::open_existing(first)?, Views::open_existing(second)?);
    let compared = tokio::task::spawn_blocking(move || projections::diff(&first, &second, &wanted)).await;
    Ok(compared.map_err(|error| Failure::Refused(format!("the comparison did not end: {error}")))??)
}

fn tell(found: &ViewsDiff) -> String {
    let mut text = String::new();
    for table in found.tables.iter().filter(|table| !table.is_equal()) {
        let TableDiff { table: name, equal, only_first, only_second, different, .. } = table;
        text.push_str(&format!(
            "{name}: {different} rows differ, {only_first} only in the first, {only_second} only in the second, {equal} are equal\n"
        ));
        for row in &table.examples {
            text.push_str(&tell_row(row));
        }
    }
    for table in &found.not_compared {
        text.push_str(&format!("{table}: not in both\n"));
    }
    let rows: u64 = found.tables.iter().map(|table| table.equal).sum();
    let verdict = if found.is_equal() { "the views are equal" } else { "the views differ" };
    text.push_str(&format!("{verdict}: {rows} equal rows in {} tables\n", found.tables.len()));
    text
}

fn tell_row(row: &RowDifference) -> String {
    let cell = |value: &Cell<'_>| plain(value).to_string();
    let key = row.key.iter().map(cell).collect::<Vec<_>>().join(", ");
    if row.columns.is_empty() {
        return format!("    {key}: only in one\n");
    }
    let columns = row.columns.iter().map(|(name, first, second)| format!("{name} {} → {}", cell(first), cell(second)));
    format!("    {key}: {}\n", columns.collect::<Vec<_>>().join(", "))
}

fn describe(found: &ViewsDiff) -> Value {
    let table = |table: &TableDiff| {
        json!({
            "table": table.table,
            "equal": table.equal,
            "only_first": table.only_first,
            "only_second": table.only_second,
            "different": table.different,
            "examples": table.examples.iter().map(example).collect::<Vec<_>>(),
        })
    };
    json!({
        "ok": found.is_equal(),
        "tables": found.tables.iter().map(table).collect::<Vec<_>>(),
        "not_compared": found.not_compared,
    })
}

fn example(row: &RowDifference) -> Value {
    let columns = row.columns.iter().map(|(column, first, second)| {
        let change = json!({ "first": plain(first), "second": plain(second) });
        ((*column).to_owned(), change)
    });
    json!({ "key": row.key.iter().map(plain).collect::<Vec<_>>(), "columns": Value::Object(columns.collect()) })
}

fn plain(cell: &Cell<'_>) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(number) => (*number).into(),
        Cell::Text(text) => (&**text).into(),
    }
}
