//! The shop in the hands of other people's programs: clients and audits of the npm registry, whose scripts are in
//! `tests/clients`, against a running server.

use std::process::Command;

use tempfile::TempDir;

use crate::process::{Process, binary};

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|run| run.status.success())
}

/// A copy of `tests/clients` with what it needs from the registry. None where there is no Node.js that can run it.
fn clients() -> Option<TempDir> {
    let has_fetch = "process.exit(typeof fetch === 'function' ? 0 : 1)";
    if !works(Command::new("node").args(["--eval", has_fetch])) || !works(Command::new("npm").arg("--version")) {
        println!("skipped: there is no Node.js 18 or newer with npm here; ./test.sh installs it");
        return None;
    }
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/clients")).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
    }
    let install = Command::new("npm").args(["ci", "--prefer-offline"]).current_dir(copy.path()).output().unwrap();
    assert!(install.status.success(), "npm ci: {}", String::from_utf8_lossy(&install.stderr));
    Some(copy)
}

/// Runs a script of clients against a new shop; it names what fails.
fn run(script: &str) {
    let Some(clients) = clients() else { return };
    let folder = tempfile::tempdir().unwrap();
    let shop = Process::serve(folder.path());
    let token =
        Command::new(binary("daybook")).args(["token", "--role", "auditor", "--data"]).arg(folder.path()).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let mut node = Command::new("node");
    node.arg(script).current_dir(clients.path()).env("SHOP_URL", &shop.url).env("AUDITOR_TOKEN", token.trim());
    let run = node.output().unwrap();
    let report = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{script}:\n{report}");
}

#[test]
fn every_audit_of_graphql_over_http_passes() {
    run("audits.mjs");
}

#[test]
fn the_client_of_graphql_ws_is_served_and_each_breach_of_its_protocol_has_its_close_code() {
    run("graphql-ws.mjs");
}

#[test]
fn the_client_of_graphql_sse_is_served() {
    run("graphql-sse.mjs");
}
