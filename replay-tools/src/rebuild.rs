//! `rebuild`: folds the log into fresh views, and says what each of them took.

use std::{path::Path, sync::Arc};

use clap::Args;
use event_store::Log;
use projections::{ALL, Projection, RebuildReport, RebuiltView, ViewError, Views};
use serde_json::{Value, json};

use crate::{Failure, LogUrl, Progress, Report, open};

/// What to rebuild, and where.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// The projection, such as orders, or `all`.
    projection: String,
    #[command(flatten)]
    log: LogUrl,
    /// The views to build into, sqlite:PATH or postgres://USER@HOST/DATABASE: fresh ones, or those of a server that is
    /// stopped, which serve until the new ones are whole. If not told, views.db beside a log that is a file.
    #[arg(long, env = "DAYBOOK_INTO", hide_env_values = true, value_name = "URL")]
    into: Option<String>,
}

impl RebuildArgs {
    pub(crate) async fn run(self) -> Result<Report, Failure> {
        let wanted = projections_named(&self.projection)?;
        let log = open(&self.log.log).await?;
        let into = match self.into {
            Some(into) => into,
            None => beside(&self.log.log)?,
        };
        let report = rebuild(log, &into, &wanted).await?;
        Ok(Report { ok: true, text: tell(&report, &into), json: describe(&report) })
    }
}

/// Builds projections into the views at an address, as far as the log goes now.
///
/// # Errors
/// If the log or the views cannot be used, belong to each other's strangers, or an event cannot be folded.
pub async fn rebuild(log: Arc<dyn Log>, into: &str, wanted: &[&'static Projection]) -> Result<RebuildReport, Failure> {
    let views = Views::open(into)?;
    let mut progress = Progress::new("rebuilding", log.head().await?.position);
    let report = projections::rebuild(log, &views, wanted, |at| progress.tick(at.position)).await?;
    Ok(report)
}

/// The projection of a name, or all of them.
pub(crate) fn projections_named(name: &str) -> Result<Vec<&'static Projection>, Failure> {
    if name == "all" {
        return Ok(ALL.to_vec());
    }
    match ALL.iter().find(|projection| projection.name == name) {
        Some(projection) => Ok(vec![*projection]),
        None => {
            let known: Vec<_> = ALL.iter().map(|projection| projection.name).collect();
            Err(Failure::Refused(format!("{}; there are {}", ViewError::UnknownProjection(name.to_owned()), known.join(", "))))
        }
    }
}

/// The views of the folder that the log stands in.
fn beside(log: &str) -> Result<String, Failure> {
    let folder = log.strip_prefix("sqlite:").map(|path| Path::new(path).with_file_name("views.db"));
    let views = folder.ok_or_else(|| {
        Failure::Refused("say where to build the views: --into sqlite:PATH or --into postgres://USER@HOST/DATABASE".to_owned())
    })?;
    Ok(format!("sqlite:{}", views.display()))
}

fn per_second(view: &RebuiltView) -> u128 {
    u128::from(view.events) * 1_000_000 / view.spent.as_micros().max(1)
}

fn tell(report: &RebuildReport, into: &str) -> String {
    let mut text = String::new();
    for view in &report.views {
        let (name, seconds) = (format!("{} version {}", view.name, view.version), view.spent.as_secs_f64());
        text.push_str(&format!("{name:<28} {:>10} rows in {seconds:>8.3} s, {} events a second\n", view.rows, per_second(view)));
    }
    let (to, seconds) = (report.position, report.elapsed.as_secs_f64());
    text.push_str(&format!("positions 1 to {to} are in {into}, in {seconds:.3} s\n"));
    text
}

fn describe(report: &RebuildReport) -> Value {
    let view = |view: &RebuiltView| {
        json!({
            "name": view.name,
            "version": view.version,
            "events": view.events,
            "rows": view.rows,
            "seconds": view.spent.as_secs_f64(),
            "events_per_s": per_second(view),
        })
    };
    json!({ "views": report.views.iter().map(view).collect::<Vec<_>>(), "seconds": report.elapsed.as_secs_f64() })
}
