//! Operations that schemathesis makes up from the schema, as a stranger and as an admin, against a running shop: nothing may
//! be answered with a 5xx or with an error of the shop's own, and nothing may panic.
//!
//! The long version: `DAYBOOK_FUZZ_CASES=5000 cargo nextest run --release -p stories fuzz`. `DAYBOOK_FUZZ_SEED` repeats a run,
//! whose seed and failing requests stand in its report.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Killed, Process, bearer};

const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");
const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../api/schema.graphql");
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
/// How long a case may take on average, with all that schemathesis does for it.
const PATIENCE: Duration = Duration::from_secs(2);

fn report(run: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr))
}

/// A folder with the programs of `tests/fuzz/requirements.txt`. None, with the reason, where they cannot be had.
fn schemathesis() -> Option<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("python3").args(["-m", "venv"]).arg(folder.path()).output();
    if !made.is_ok_and(|made| made.status.success()) {
        println!("skipped: there is no Python 3 with venv here; ./test.sh installs it");
        return None;
    }
    let pip = ["install", "--quiet", "--disable-pip-version-check", "--no-input", "--requirement"];
    let requirements = format!("{FUZZ}/requirements.txt");
    let install = Command::new(folder.path().join("bin/pip")).args(pip).arg(requirements).output().unwrap();
    let said = report(&install);
    if !install.status.success() && UNREACHABLE.iter().any(|sign| said.contains(sign)) {
        println!("skipped: PyPI cannot be reached from here");
        return None;
    }
    assert!(install.status.success(), "pip install: {said}");
    let program = folder.path().join("bin/schemathesis");
    Some((folder, program))
}

/// Ids and texts of things in the shop, so that some of what is made up is about them.
async fn known(url: &str, authorization: &str) -> Value {
    let query = "{ orders(first: 5) { nodes { id payments { id } } } categories { category { id slug } } \
                 products(first: 3) { nodes { id slug variants { id sku } } } stockLevels(first: 3) { nodes { id } } }";
    let asked = reqwest::Client::new().post(format!("{url}/graphql")).header("Authorization", authorization);
    let answer: Value = asked.json(&json!({ "query": query })).send().await.unwrap().json().await.unwrap();
    let (mut ids, mut texts) = (Vec::new(), vec![json!("main"), json!("DE"), json!("standard"), json!("sandbox_card")]);
    let mut open = vec![&answer["data"]];
    while let Some(value) = open.pop() {
        for (name, value) in value.as_object().into_iter().flatten() {
            match (name.as_str(), value) {
                ("id", Value::String(_)) => ids.push(value.clone()),
                ("sku" | "slug", Value::String(_)) => texts.push(value.clone()),
                _ => open.push(value),
            }
        }
        open.extend(value.as_array().into_iter().flatten());
    }
    assert!(ids.len() > 10, "{answer}");
    json!({ "ids": ids, "texts": texts })
}

/// The number of queries and mutations of the schema. Subscriptions are not made up.
fn operations() -> usize {
    let schema = std::fs::read_to_string(SCHEMA).unwrap();
    crate::examples::root_fields(&schema).iter().filter(|field| !field.starts_with("subscription")).count()
}

/// Runs so many cases of each operation; gives what schemathesis reports, and whether it found nothing.
fn fuzz(program: &Path, shop: &Process, cases: usize, caller: Option<&str>, known: &Value) -> (String, bool) {
    let mut command = Command::new(program);
    command.arg("run").arg(SCHEMA).args(["--url", &format!("{}/graphql", shop.url), "--checks", "answers_for_itself"]);
    command.args(["--max-examples", &cases.to_string(), "--phases", "fuzzing,stateful", "--continue-on-failure"]);
    command.args(["--generation-database", "none", "--no-color", "--no-shrink", "--max-failures", "20", "--warnings", "off"]);
    // A stranger's requests may be malformed; what an admin asks for can mostly be carried out, so that more of it is.
    command.args(["--mode", if caller.is_some() { "positive" } else { "all" }]);
    if let Some(authorization) = caller {
        command.args(["--header", &format!("Authorization: {authorization}")]);
    }
    if let Ok(seed) = std::env::var("DAYBOOK_FUZZ_SEED") {
        command.args(["--seed", &seed]);
    }
    command.env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONPATH", FUZZ).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("FUZZ_KNOWN", known.to_string()).current_dir(program.parent().unwrap()).stdout(Stdio::piped());
    let mut run = command.stderr(Stdio::null()).spawn().map(Killed).unwrap();
    let mut output = run.0.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        text
    });
    let bound = Instant::now() + PATIENCE * u32::try_from(cases * operations()).unwrap();
    let mut ended = None;
    while ended.is_none() && Instant::now() < bound {
        ended = run.0.try_wait().unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(run);
    (reader.join().unwrap(), ended.is_some_and(|status| status.success()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_operations_of_strangers_and_admins_are_answered_without_a_fault_or_a_panic() {
    let Some((_programs, program)) = schemathesis() else { return };
    let wanted: usize = std::env::var("DAYBOOK_FUZZ_CASES").map_or(300, |cases| cases.parse().unwrap());
    let cases = wanted.div_ceil(operations());
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("lines");
    let settings = [("DAYBOOK_DEMO", "true"), ("DAYBOOK_RATE_LIMIT", "off")];
    let mut shop = Process::serve_logged(folder.path(), &settings, &lines);
    let admin = bearer(folder.path(), "admin", &[]);
    let known = known(&shop.url, &admin).await;
    for caller in [None, Some(admin.as_str())] {
        let who = if caller.is_some() { "an admin" } else { "a stranger" };
        let (said, found_nothing) = fuzz(&program, &shop, cases, caller, &known);
        let logged = std::fs::read_to_string(&lines).unwrap();
        let odd: Vec<_> = logged.lines().filter(|line| line.contains("panicked") || line.contains("ERROR")).collect();
        assert!(found_nothing && odd.is_empty() && !shop.is_gone(), "as {who}:\n{said}\nin the log:\n{}", odd.join("\n"));
        let counted = said.lines().filter(|line| line.contains(" generated, ") || line.starts_with("Seed:")).collect::<Vec<_>>();
        assert!(!counted.is_empty(), "{said}");
        println!("as {who}: {}", counted.join(", ").trim());
    }
}
