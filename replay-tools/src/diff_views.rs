//! `diff-views`: compares two sets of views row by row, such as the live ones with a fresh rebuild, or the views of one log at
//! two moments.

use std::sync::Arc;

use clap::Args;
use event_store::{Log, Moment, PastLog};
use projections::{Projection, RowDifference, TableDiff, Value as Cell, Views, ViewsDiff};
use serde_json::{Value, json};

use crate::{Failure, LogUrl, Progress, Report, certificate::Scratch, open, rebuild::projections_named};

/// Which views to compare.
#[derive(Debug, Args)]
pub struct DiffViewsArgs {
    /// The first views, sqlite:PATH or postgres://USER@HOST/DATABASE.
    #[arg(required_unless_present = "from", requires = "second")]
    first: Option<String>,
    /// The second views, likewise.
    second: Option<String>,
    #[command(flatten)]
    log: LogUrl,
    /// In place of two sets of views, the first of two moments of the log, both of which are folded anew: a position, a time by
    /// which it had been recorded, or occurred: and a time by which it had happened.
    #[arg(long, env = "DAYBOOK_FROM", value_name = "POSITION|TIME", conflicts_with = "first")]
    from: Option<Moment>,
    /// The second moment; now if not told.
    #[arg(long, env = "DAYBOOK_TO", value_name = "POSITION|TIME", requires = "from")]
    to: Option<Moment>,
    /// Compare the tables of this projection only, such as orders.
    #[arg(long, env = "DAYBOOK_PROJECTION", value_name = "PROJECTION", default_value = "all")]
    projection: String,
}

impl DiffViewsArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let wanted = projections_named(&self.projection)?;
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from.is_after(&to)
        {
            return Err(Failure::Refused("--from is later than --to; change them round".to_owned()));
        }
        let found = match (self.first, self.second, self.from) {
            (Some(first), Some(second), _) => diff_views(&first, &second, wanted).await?,
            (_, _, Some(from)) => diff_moments(open(&self.log.log).await?, from, self.to, wanted).await?,
            (_, _, None) => return Err(Failure::Refused("name two sets of views, or --from and --to".to_owned())),
        };
        Ok(Report { ok: found.is_equal(), text: tell(&found), json: describe(&found) })
    }
}

/// Compares the tables of projections at two addresses, and makes neither.
///
/// # Errors
/// If one of them is not there or cannot be read.
pub async fn diff_views(first: &str, second: &str, wanted: Vec<&'static Projection>) -> Result<ViewsDiff, Failure> {
    compare(Views::open_existing(first)?, Views::open_existing(second)?, wanted).await
}

/// Folds a log up to two moments, the second being its end if it is not told, and compares the views of then.
///
/// # Errors
/// If the log has not come that far, cannot be read, or cannot be folded.
pub async fn diff_moments(
    log: Arc<dyn Log>,
    from: Moment,
    to: Option<Moment>,
    wanted: Vec<&'static Projection>,
) -> Result<ViewsDiff, Failure> {
    let to = match to {
        Some(to) => to,
        None => Moment::Position(log.head().await?.position),
    };
    let scratch = Scratch::new()?;
    let first = fold(log.clone(), from, &scratch.url("from.db"), &wanted).await?;
    compare(first, fold(log, to, &scratch.url("to.db"), &wanted).await?, wanted).await
}

async fn fold(log: Arc<dyn Log>, moment: Moment, into: &str, wanted: &[&'static Projection]) -> Result<Views, Failure> {
    let past = PastLog::at(log, moment).await?;
    let views = Views::open(into)?;
    let mut progress = Progress::new("folding", past.end().position);
    projections::rebuild(Arc::new(past), &views, wanted, |at| progress.tick(at.position)).await?;
    Ok(views)
}

async fn compare(first: Views, second: Views, wanted: Vec<&'static Projection>) -> Result<ViewsDiff, Failure> {
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
