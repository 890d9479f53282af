//! An export as Parquet, read by those who will read it: DuckDB, pandas and polars, from the Python package index.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Output},
};

use event_store::{Log, MemoryLog};
use replay_tools::{Asked, Format, Selection, export};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shop;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parquet");
/// What pip says when it cannot get at the registry, or there is nothing for this Python.
const UNREACHABLE: [&str; 8] = [
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "Failed to establish a new connection",
    "ProxyError",
    "SSLError",
    "Requires-Python",
];

fn report(run: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr))
}

/// A Python with the readers. None, with the reason, where they cannot be had.
fn python() -> Option<(TempDir, PathBuf)> {
    let folder = TempDir::new().unwrap();
    let made = Command::new("python3").args(["-m", "venv"]).arg(folder.path()).output();
    if !made.is_ok_and(|made| made.status.success()) {
        println!("skipped: there is no Python 3 with venv here; ./test.sh installs it");
        return None;
    }
    let pip = ["install", "--quiet", "--disable-pip-version-check", "--no-input", "--requirement"];
    let requirements = format!("{FOLDER}/requirements.txt");
    let install = Command::new(folder.path().join("bin/pip")).args(pip).arg(requirements).output().unwrap();
    let said = report(&install);
    if !install.status.success() && UNREACHABLE.iter().any(|sign| said.contains(sign)) {
        println!("skipped: PyPI cannot be reached from here, or has nothing for this Python");
        return None;
    }
    assert!(install.status.success(), "pip install: {said}");
    let program = folder.path().join("bin/python");
    Some((folder, program))
}

#[tokio::test]
async fn duckdb_pandas_and_polars_read_the_same_from_an_export() {
    let Some((_venv, python)) = python() else { return };
    let mut pen = shop::three_orders();
    pen.last().idempotency_scope = Some("merchant:ana:ship:☕".to_owned());
    let (log, folder) = (MemoryLog::new(), TempDir::new().unwrap());
    log.append(0, pen.events().to_vec()).await.unwrap();
    let file = folder.path().join("shop.parquet");
    let asked = Asked { format: Format::Parquet, from: 1, to: 25, selection: Selection::default(), resume: false };
    export(&log, &file, asked).await.unwrap();
    let run = Command::new(python).arg(format!("{FOLDER}/read.py")).arg(&file).output().unwrap();
    assert!(run.status.success(), "{}", report(&run));
    let mut by_type: BTreeMap<&str, u64> = BTreeMap::new();
    pen.events().iter().for_each(|event| *by_type.entry(&event.event_type).or_default() += 1);
    let first = pen.events()[0].recorded_at.timestamp_micros();
    let answers: Vec<Value> =
        String::from_utf8(run.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = ["duckdb", "pandas", "polars"].map(|tool| {
        json!({ "tool": tool, "events": 25, "by_type": by_type, "quantity": 6, "last": 25, "first_recorded": first,
            "scopes": ["merchant:ana:ship:☕"] })
    });
    assert_eq!(answers, expected);
}
