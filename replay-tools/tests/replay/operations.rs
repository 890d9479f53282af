//! The log in PostgreSQL: moved there and back without a difference, verified, backed up and restored as the guide says.

use std::{fs, path::Path, process::Command};

use event_store::{Log, OpenOptions, PostgresLog};
use replay_tools::{Finding, Rule, Verification, open, verify};
use tempfile::TempDir;
use test_postgres::Postgres;

use crate::shop;

/// The shell blocks of the guide, in order.
fn blocks(guide: &str) -> Vec<&str> {
    guide.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn run(block: &str, folder: &Path, server: &Postgres) {
    let tools = Path::new(env!("CARGO_BIN_EXE_daybook-replay")).parent().unwrap();
    let path = format!("{}:{}:{}", tools.display(), server.programs().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", block]).current_dir(folder).env("PATH", path);
    shell.env("POSTGRES", server.database("shop")).env("RESTORED", server.database("restored"));
    let output = shell.output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{block}\n{}\n{}", said(&output.stdout), said(&output.stderr));
}

#[tokio::test]
async fn every_command_of_the_operations_guide_works() {
    let Some(server) = Postgres::start() else { return };
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("shop")).unwrap();
    let original = shop::three_orders().write(&folder.path().join("shop")).await;
    let blocks = blocks(include_str!("../../../docs/operations.md"));
    assert!(blocks.len() >= 6, "{blocks:?}");
    for block in blocks {
        let needs_sqlite = block.contains("sqlite3 ");
        if needs_sqlite && Command::new("sqlite3").arg("-version").output().is_err() {
            println!("skipped: there is no sqlite3 here to take a backup with");
            continue;
        }
        run(block, folder.path(), &server);
    }
    let whole = open(&original).await.unwrap().read(0, 100).await.unwrap();
    for copy in [server.url("shop"), server.url("restored")] {
        assert_eq!(open(&copy).await.unwrap().read(0, 100).await.unwrap(), whole, "position, id, bytes and digest of each event");
    }
    // Two writers must meet at the position first, also in a restored log.
    let first =
        "SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'daybook.events'::regclass ORDER BY indexrelid LIMIT 1";
    assert_eq!(server.psql("restored", first).trim(), "daybook.events_pkey");
    let restored = PostgresLog::open(&server.url("restored"), OpenOptions::default()).await.unwrap();
    assert_eq!(restored.append(25, Vec::new()).await.unwrap(), 25);
}

/// A log of three orders in PostgreSQL, changed behind its back.
async fn tampered(server: &Postgres, name: &str, tamper: &str) -> Verification {
    let url = server.database(name);
    let log = PostgresLog::open(&url, OpenOptions::default()).await.unwrap();
    log.append(0, shop::three_orders().events().to_vec()).await.unwrap();
    server.psql(name, tamper);
    verify(open(&url).await.unwrap(), 1, None, None).await.unwrap()
}

fn places(findings: &[Finding], rule: Rule) -> Vec<u64> {
    findings.iter().filter(|finding| finding.rule == rule).map(|finding| finding.position).collect()
}

#[tokio::test]
async fn verify_finds_in_postgresql_what_was_done_behind_its_back() {
    let Some(server) = Postgres::start() else { return };
    let untouched = tampered(&server, "untouched", "SELECT 1").await;
    assert_eq!((untouched.ok, untouched.events), (true, 25), "{untouched}");

    let byte = "UPDATE daybook.events SET payload = replace(payload::text, '\"quantity\":50', '\"quantity\":51')::json WHERE position = 1";
    let changed = tampered(&server, "changed", byte).await;
    assert_eq!((changed.ok, places(&changed.findings, Rule::Digest)), (false, vec![1]));

    let missing = tampered(&server, "missing", "DELETE FROM daybook.events WHERE position = 13").await;
    assert_eq!((missing.ok, places(&missing.findings, Rule::Positions)[0], missing.events), (false, 13, 24));

    let swap =
        "UPDATE daybook.events SET position = 99 WHERE position = 4; UPDATE daybook.events SET position = 4 WHERE position = 10;
                UPDATE daybook.events SET position = 10 WHERE position = 99";
    let swapped = tampered(&server, "swapped", swap).await;
    assert_eq!((swapped.ok, places(&swapped.findings, Rule::Digest)), (false, vec![4, 10]));
}

#[tokio::test]
async fn no_password_is_printed() {
    let said = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_daybook-replay"))
            .env("DAYBOOK_LOG", "postgres://ana:s3cret@127.0.0.1:1/shop")
            .args(args)
            .output()
            .unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    for args in [&["verify", "--help"][..], &["verify"], &["verify", "--json"]] {
        let said = said(args);
        assert!(!said.is_empty() && !said.contains("s3cret"), "{said}");
    }
}
