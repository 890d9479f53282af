//! The shop in the hands of other people's programs: clients, audits and generators of the npm registry, whose scripts are in
//! `tests/clients`, against a running server.

use std::{
    fs::File,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::process::{Killed, Process, bearer};

/// The folder of clients.
pub const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// What npm says when it cannot get at the registry.
const UNREACHABLE: [&str; 8] =
    ["EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH", "ENOTFOUND", "ERR_SOCKET_TIMEOUT", "ETIMEDOUT", "FETCH_ERROR"];
/// What it says when something on the way refuses, such as a proxy.
const REFUSED: [&str; 5] = ["E403", "E407", "E502", "E503", "E504"];
/// How long npm may take for anything.
const PATIENCE: Duration = Duration::from_secs(300);

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|run| run.status.success())
}

/// Copies a folder with what is in it, but for what npm installs and what is left out.
fn copy(from: &Path, to: &Path, without: &str) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let (name, target) = (entry.file_name(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        } else if name != "node_modules" && name != without {
            copy(&entry.path(), &target, without);
        }
    }
}

/// A copy of a folder of clients with what it needs from the registry. None, with the reason, where that cannot be had.
pub fn installed(folder: &str, node: u32, without: &str) -> Option<TempDir> {
    let new_enough = format!("process.exit(parseInt(process.versions.node) >= {node} ? 0 : 1)");
    if !works(Command::new("node").args(["--eval", &new_enough])) || !works(Command::new("npm").arg("--version")) {
        println!("skipped: there is no Node.js {node} or newer with npm here; ./test.sh installs the one of the distribution");
        return None;
    }
    let here = tempfile::tempdir().unwrap();
    copy(Path::new(folder), here.path(), without);
    match npm_ci(here.path()) {
        Ok(()) => Some(here),
        Err(why) => {
            println!("skipped: the npm registry cannot be reached from here ({why})");
            None
        }
    }
}

/// Installs what a folder needs from the registry, unless that cannot be reached: then it gives the reason.
fn npm_ci(folder: &Path) -> Result<(), String> {
    // Behind a proxy that refuses to connect, `npm ci` would try for ever; this says so at once. Where there is no network at
    // all, everything may still be in npm's cache.
    if let Err(said) = npm(folder, &["ping", "--fetch-retries=0"])
        && let Some(code) = code_in(&said, &REFUSED)
    {
        return Err(code);
    }
    npm(folder, &["ci", "--prefer-offline"]).map_err(|said| {
        let code = code_in(&said, &UNREACHABLE).or_else(|| code_in(&said, &REFUSED));
        code.unwrap_or_else(|| panic!("npm ci: {said}"))
    })
}

/// Which of these codes npm ended with.
fn code_in(said: &str, codes: &[&str]) -> Option<String> {
    let code = codes.iter().find(|code| said.contains(&format!("code {code}\n")));
    code.map(|code| (*code).to_owned())
}

/// Runs npm in a folder; gives what it says if it fails, or finds no end.
fn npm(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let told = folder.join("npm.log");
    let mut command = Command::new("npm");
    command.args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(File::create(&told).unwrap());
    let (begun, mut npm) = (Instant::now(), command.spawn().map(Killed).unwrap());
    while begun.elapsed() < PATIENCE {
        match npm.0.try_wait().unwrap() {
            Some(ended) if ended.success() => return Ok(()),
            Some(_) => return Err(std::fs::read_to_string(&told).unwrap()),
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    Err("npm error code ETIMEDOUT\n".to_owned())
}

fn report(run: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr))
}

fn succeed(command: &mut Command) -> String {
    let run = command.output().unwrap();
    assert!(run.status.success(), "{command:?}:\n{}", report(&run));
    report(&run)
}

/// Runs a script of clients against a new shop; it names what fails.
fn run(script: &str) {
    let Some(clients) = installed(CLIENTS, 18, "typescript") else { return };
    let folder = tempfile::tempdir().unwrap();
    // Webhooks may be sent to this machine, where the receivers of the scripts are.
    let shop = Process::serve_with(folder.path(), &[("DAYBOOK_WEBHOOK_ALLOW", "127.0.0.1")]);
    let mut node = Command::new("node");
    node.arg(script).current_dir(clients.path()).env("SHOP_URL", &shop.url);
    for (variable, role) in [("AUDITOR_TOKEN", "auditor"), ("MERCHANT_TOKEN", "merchant")] {
        node.env(variable, bearer(folder.path(), role, &[]).trim_start_matches("Bearer "));
    }
    succeed(&mut node);
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

#[test]
fn the_library_of_standard_webhooks_takes_what_the_shop_sends_and_nothing_else() {
    run("webhooks.mjs");
}

#[test]
fn the_schema_breaks_no_client_of_the_last_release_but_where_it_says_why() {
    let Some(clients) = installed(CLIENTS, 18, "typescript") else { return };
    let said = succeed(
        Command::new("node")
            .arg("schema.mjs")
            .current_dir(clients.path())
            .env("SCHEMA_RELEASED", format!("{REPOSITORY}/api/schema.released.graphql"))
            .env("SCHEMA", format!("{REPOSITORY}/api/schema.graphql"))
            .env("BREAKING_CHANGES", format!("{REPOSITORY}/docs/api/breaking-changes.json")),
    );
    println!("{said}");
}

/// The types are generated from the schema and the example operations, as the README of `docs/api` shows. That mistakes do
/// not compile is for the compiler to say: it fails where a line that should be an error is none.
#[test]
fn a_client_that_graphql_code_generator_made_compiles_in_strict_mode_and_buys_a_product() {
    let Some(client) = installed(&format!("{CLIENTS}/typescript"), 20, "out") else { return };
    let here = client.path();
    std::fs::copy(format!("{REPOSITORY}/api/schema.graphql"), here.join("schema.graphql")).unwrap();
    copy(Path::new(&format!("{REPOSITORY}/docs/api/operations")), &here.join("operations"), "");
    let installed = |program: &str| Command::new(here.join("node_modules/.bin").join(program));
    succeed(installed("graphql-codegen").args(["--config", "codegen.json"]).current_dir(here));
    succeed(installed("tsc").args(["--project", "."]).current_dir(here));
    let data = tempfile::tempdir().unwrap();
    let shop = Process::serve_with(data.path(), &[("DAYBOOK_DEMO", "true")]);
    let bought = succeed(Command::new("node").arg("out/buy.js").current_dir(here).env("SHOP_URL", &shop.url));
    assert!(bought.starts_with("bought "), "{bought}");
}
