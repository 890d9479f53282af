//! Real shops, imported: every row accounted for, and every answer equal to a computation over the files themselves.
//!
//! The data is no part of the project: `DAYBOOK_REAL_DATA` names its folder, else `../shared/data` beside the workspace is
//! looked at, else the stories are skipped.

mod market;
mod odd_days;
mod retail;
mod sales_book;

use std::{path::PathBuf, sync::Arc};

use api::import::{ImportSource, Reconciliation, import};
use domain::StoreConfig;
use engine::{Engine, Limits, SystemClock, SystemIds};
use event_store::Log;
use projections::{Runner, Views};
use vault::{Persons, Vault, VaultKey};

/// A file or folder of the real data; prints why the story is skipped when it is absent.
fn real_data(name: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("DAYBOOK_REAL_DATA").map_or(beside, PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: there is no {name} in {} (set DAYBOOK_REAL_DATA to the folder that has it)", folder.display());
    None
}

/// Imports into a log of this process.
async fn import_into(log: Arc<dyn Log>, source: &ImportSource) -> Reconciliation {
    let engine = Engine::start(log, Arc::new(SystemClock), Arc::new(SystemIds), Limits::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let vault = format!("sqlite:{}", folder.path().join("vault.db").display());
    let persons = Persons::new(Vault::open(&vault, VaultKey::generate()).await.unwrap());
    let reconciliation = import(source, &StoreConfig::default(), &engine, &persons, &mut |_| ()).await.unwrap();
    engine.drain().await;
    reconciliation
}

/// The views over a log, caught up with it.
async fn views_over(log: Arc<dyn Log>, url: &str) -> Views {
    let head = log.head().await.unwrap().position;
    let views = Views::open(url).unwrap();
    let runner = Runner::start(log, views.clone(), projections::ALL).await.unwrap();
    views.wait_for(head, std::time::Duration::from_secs(600)).await.unwrap();
    runner.stop().await;
    views
}
