//! The binary as a person or a script uses it.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shop;

/// A folder with the log of three orders, and what is run in it.
pub struct Desk {
    folder: TempDir,
    pub log: String,
}

impl Desk {
    pub async fn with_three_orders() -> Self {
        Self::with(&shop::three_orders()).await
    }

    pub async fn with(pen: &shop::Pen) -> Self {
        let folder = TempDir::new().unwrap();
        let log = pen.write(folder.path()).await;
        Self { folder, log }
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.run_where(&[], args)
    }

    /// The same with an environment of its own.
    pub fn run_where(&self, environment: &[(&str, &str)], args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daybook-replay"));
        command.current_dir(self.folder.path()).env("DAYBOOK_LOG", &self.log).envs(environment.iter().copied());
        command.args(args).output().unwrap()
    }

    /// What a verb prints, which must succeed.
    pub fn text(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[args, &["--json"]].concat())).unwrap()
    }

    /// What a verb that must fail says on standard error.
    pub fn refusal(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(!output.status.success(), "{args:?} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub fn tamper(&self, sql: &str) {
        let file = self.log.strip_prefix("sqlite:").unwrap();
        rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
    }
}

#[tokio::test]
async fn verify_has_the_fields_that_scripts_rely_on() {
    let desk = Desk::with_three_orders().await;
    let mut said = desk.json(&["verify"]);
    assert!(said["seconds"].take().is_f64() && said["root"].take().is_string());
    let expected = json!({
        "ok": true, "from": 1, "to": 25, "events": 25, "snapshots": 0, "snapshots_left_out": 0,
        "snapshots_earlier": 0, "heads": 0, "findings": [],
        "root": null, "seconds": null,
    });
    assert_eq!(said, expected);
    desk.tamper("UPDATE events SET payload = '{}' WHERE position = 7");
    let output = desk.run(&["verify", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&said["ok"], &said["findings"][0]["position"], &said["findings"][0]["rule"]),
        (&json!(false), &json!(7), &json!("digest"))
    );
    assert!(said["findings"][0]["message"].is_string() && said.get("root").is_none());
}

#[tokio::test]
async fn history_tells_who_did_what_and_when() {
    let desk = Desk::with_three_orders().await;
    let told = desk.text(&["history", "stock/TEA-100@main"]);
    assert!(told.contains("2026-01-01T00:00:01.000000Z  position 1\n"), "{told}");
    assert!(told.contains("    ana (merchant) took in 50 units of TEA-100 at main (PO-17)\n"), "{told}");
    assert!(told.ends_with("stock/TEA-100@main: positions 1 to 25, 10 events\n"), "{told}");
    let said = desk.json(&["history", "stock/TEA-100@main"]);
    assert_eq!((&said["from"], &said["to"], &said["events"]), (&json!(1), &json!(25), &json!(10)));
    assert_eq!(said["history"][0]["metadata"]["actor"], "merchant:ana");
    assert_eq!(said["history"][0]["sentence"], "ana (merchant) took in 50 units of TEA-100 at main (PO-17)");
    assert!(desk.refusal(&["history", "stock/NONE@main"]).contains("no stream stock/NONE@main"));
}

#[tokio::test]
async fn show_prints_a_record_whole_and_says_whether_it_is_intact() {
    let desk = Desk::with_three_orders().await;
    let shown = desk.json(&["show", "3"]);
    assert_eq!((&shown["ok"], &shown["type"], &shown["payload"]["number"]), (&json!(true), &json!("OrderPlaced"), &json!("1")));
    assert!(desk.text(&["show", "3"]).contains("(intact)"));
    desk.tamper("UPDATE events SET payload = replace(payload, '900', '901') WHERE position = 3");
    let output = desk.run(&["show", "3"]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stdout).contains("was changed after it was written"));
    assert!(desk.refusal(&["show", "26"]).contains("ends at position 25"));
    assert!(desk.refusal(&["show", "0"]).contains("0"));
}

#[tokio::test]
async fn state_is_what_it_was_at_a_position_or_a_time() {
    let desk = Desk::with_three_orders().await;
    let on_hand = |args: &[&str]| desk.json(&[&["state", "stock/TEA-100@main"], args].concat())["state"]["on_hand"].clone();
    assert_eq!([on_hand(&["--at", "1"]), on_hand(&["--at", "17"]), on_hand(&[])], [json!(50), json!(46), json!(44)]);
    assert_eq!(on_hand(&["--at", "2026-01-01T00:00:05Z"]), json!(48));
    let before = desk.json(&["state", "stock/TEA-100@main", "--at", "2025-12-31T00:00:00Z"]);
    assert_eq!((&before["state"], &before["events"]), (&Value::Null, &json!(0)));
    assert!(desk.refusal(&["state", "stock/TEA-100@main", "--at", "yesterday"]).contains("yesterday"));
}

#[tokio::test]
async fn diff_names_what_changed_between_two_moments() {
    let desk = Desk::with_three_orders().await;
    let said = desk.json(&["diff", "stock/TEA-100@main", "--from", "1", "--to", "9"]);
    let on_hand = said["changes"].as_array().unwrap().iter().find(|change| change["path"] == "/on_hand").unwrap();
    assert_eq!((&on_hand["before"], &on_hand["after"], &said["events"]), (&json!(50), &json!(48), &json!(3)));
    assert!(desk.text(&["diff", "stock/TEA-100@main", "--from", "1", "--to", "9"]).contains("/on_hand: 50 → 48\n"));
    for (from, to) in [("9", "1"), ("2026-01-01T00:00:00Z", "2000-01-01T00:00:00Z"), ("9", "2000-01-01T00:00:00Z")] {
        assert!(desk.refusal(&["diff", "stock/TEA-100@main", "--from", from, "--to", to]).contains("later"), "{from} {to}");
    }
}

#[tokio::test]
async fn an_export_reads_like_the_log_and_imports_into_the_same_log() {
    let desk = Desk::with_three_orders().await;
    let said = desk.json(&["export", "--out", "shop.jsonl"]);
    let root = desk.json(&["verify"])["root"].clone();
    assert_eq!((&said["events"], &said["root"]), (&json!(25), &root));
    for args in [&["verify"][..], &["history", "stock/TEA-100@main"], &["show", "3"], &["state", "stock/TEA-100@main"]] {
        let of_the_export = desk.text(&[args, &["--log", "jsonl:shop.jsonl"]].concat());
        assert_eq!(without_time(&of_the_export), without_time(&desk.text(args)), "{args:?}");
    }
    let imported = desk.json(&["import", "shop.jsonl", "--log", "sqlite:copy.db"]);
    assert_eq!((&imported["imported"], &imported["root"]), (&json!(25), &root));
    assert_eq!(rows(&desk.path("copy.db")), rows(&desk.path("events.db")));
    assert_eq!(desk.json(&["import", "shop.jsonl", "--log", "sqlite:copy.db"])["imported"], json!(0));
}

fn without_time(text: &str) -> String {
    text.lines().map(|line| line.split(", in ").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn rows(log: &Path) -> Vec<String> {
    let file = rusqlite::Connection::open(log).unwrap();
    let mut select = file.prepare("SELECT * FROM events ORDER BY position").unwrap();
    let columns = select.column_count();
    let row = |row: &rusqlite::Row<'_>| Ok((0..columns).map(|column| format!("{:?} ", row.get_ref_unwrap(column))).collect());
    select.query_map((), row).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn an_import_goes_on_where_it_was_broken_off_and_takes_later_ranges() {
    let desk = Desk::with_three_orders().await;
    desk.text(&["export", "--out", "early.jsonl", "--to", "9"]);
    desk.text(&["export", "--out", "late.jsonl", "--from", "10"]);
    desk.text(&["export", "--out", "all.jsonl"]);
    assert!(desk.refusal(&["import", "late.jsonl", "--log", "sqlite:copy.db"]).contains("from 10 to 25"));
    desk.text(&["import", "early.jsonl", "--log", "sqlite:copy.db"]);
    assert_eq!(desk.json(&["import", "late.jsonl", "--log", "sqlite:copy.db"])["imported"], json!(16));
    desk.text(&["import", "early.jsonl", "--log", "sqlite:broken.db"]);
    assert_eq!(desk.json(&["import", "all.jsonl", "--log", "sqlite:broken.db"])["imported"], json!(16));
    assert_eq!(rows(&desk.path("copy.db")), rows(&desk.path("broken.db")));
}

#[tokio::test]
async fn an_import_that_fails_leaves_nothing_that_it_made_and_all_that_was_there() {
    let desk = Desk::with_three_orders().await;
    desk.text(&["export", "--out", "late.jsonl", "--from", "10"]);
    desk.text(&["export", "--out", "early.jsonl", "--to", "4"]);
    let names = || {
        let names = std::fs::read_dir(desk.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let before = names();
    assert!(desk.refusal(&["import", "late.jsonl", "--log", "sqlite:copy.db"]).contains("from 10 to 25"));
    assert!(desk.refusal(&["import", "late.jsonl", "--log", "sqlite:nowhere/copy.db"]).contains("there is no folder"));
    assert_eq!(names(), before);
    desk.text(&["import", "early.jsonl", "--log", "sqlite:copy.db"]);
    let there = rows(&desk.path("copy.db"));
    assert!(desk.refusal(&["import", "late.jsonl", "--log", "sqlite:copy.db"]).contains("from 10 to 25"));
    assert_eq!((there.len(), rows(&desk.path("copy.db"))), (4, there));
    // Not a log, but somebody's.
    std::fs::write(desk.path("notes.db"), "notes").unwrap();
    desk.refusal(&["import", "early.jsonl", "--log", "sqlite:notes.db"]);
    assert_eq!(std::fs::read(desk.path("notes.db")).unwrap(), b"notes");
}

#[tokio::test]
async fn an_import_never_mixes_two_logs() {
    let desk = Desk::with_three_orders().await;
    let mut other = shop::Pen::new();
    other.command("merchant:ben", vec![(shop::tea_stream(), shop::received(7))]);
    let folder = desk.path("other");
    std::fs::create_dir(&folder).unwrap();
    let other = other.write(&folder).await;
    desk.text(&["export", "--out", "shop.jsonl"]);
    assert!(desk.refusal(&["import", "shop.jsonl", "--log", &other]).contains("another event at position 1"));
}

#[tokio::test]
async fn a_selection_can_be_exported_but_does_not_stand_in_for_a_log() {
    let desk = Desk::with_three_orders().await;
    let said =
        desk.json(&["export", "--out", "some.jsonl", "--streams", "order,payment", "--types", "OrderPlaced,PaymentOpened"]);
    assert_eq!(said["events"], json!(6));
    assert!(desk.refusal(&["import", "some.jsonl", "--log", "sqlite:copy.db"]).contains("selection"));
}

#[tokio::test]
async fn an_export_that_lost_swapped_or_changed_a_line_is_found_by_position() {
    let desk = Desk::with_three_orders().await;
    desk.text(&["export", "--out", "shop.jsonl"]);
    let whole = std::fs::read_to_string(desk.path("shop.jsonl")).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let mut swapped = lines.clone();
    swapped.swap(4, 5);
    let changed = whole.replacen("\"quantity\":50", "\"quantity\":60", 1);
    let cases = [
        ([&lines[..6], &lines[7..]].concat().join("\n"), 7),
        (swapped.join("\n"), 5),
        (changed, 1),
        (whole[..whole.len() - 40].to_owned(), 25),
    ];
    for (text, position) in cases {
        std::fs::write(desk.path("shop.jsonl"), text).unwrap();
        let output = desk.run(&["verify", "--log", "jsonl:shop.jsonl", "--json"]);
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&said["ok"], &said["findings"][0]["position"]), (&json!(false), &json!(position)), "{said}");
        assert!(!desk.run(&["import", "shop.jsonl", "--log", "sqlite:copy.db"]).status.success());
    }
    std::fs::write(desk.path("shop.jsonl"), lines[..20].join("\n") + "\n").unwrap();
    let output = desk.run(&["verify", "--log", "jsonl:shop.jsonl"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && said.starts_with("position 21: positions: "), "{said}");
    assert!(said.contains("20 events, and its manifest says 25"), "{said}");
}

#[tokio::test]
async fn a_log_that_is_not_there_is_an_error_in_words_and_in_json() {
    let desk = Desk::with_three_orders().await;
    let output = desk.run(&["verify", "--log", "sqlite:nowhere.db", "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &said["ok"]), (Some(1), &json!(false)));
    assert!(said["error"].as_str().unwrap().contains("nowhere.db"));
    assert!(!desk.path("nowhere.db").exists());
}

#[tokio::test]
async fn a_log_is_held_against_what_verify_said_of_it_before() {
    let desk = Desk::with_three_orders().await;
    std::fs::write(desk.path("head.json"), desk.text(&["verify", "--json"])).unwrap();
    assert!(desk.text(&["verify", "--from-head", "head.json"]).contains("nothing is wrong"));
    desk.tamper("DELETE FROM events WHERE position = 25");
    assert!(desk.text(&["verify"]).contains("nothing is wrong"));
    let output = desk.run(&["verify", "--from-head", "head.json"]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("position 25: head: the log had 25 events"));
}

#[tokio::test]
async fn views_rebuilt_from_the_log_and_from_its_export_are_equal() {
    let desk = Desk::with_three_orders().await;
    let said = desk.json(&["rebuild", "all"]);
    let orders = said["views"].as_array().unwrap().iter().find(|view| view["name"] == "orders").unwrap();
    let fields: Vec<_> = orders.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["events", "events_per_s", "name", "rows", "seconds", "version"]);
    assert!(orders["events"] == 25 && orders["rows"].as_u64() >= Some(3) && said["seconds"].is_f64(), "{said}");
    desk.text(&["export", "--out", "shop.jsonl"]);
    desk.text(&["rebuild", "all", "--log", "jsonl:shop.jsonl", "--into", "sqlite:again.db"]);
    let compared = desk.json(&["diff-views", "sqlite:views.db", "sqlite:again.db"]);
    assert_eq!((&compared["ok"], &compared["not_compared"]), (&json!(true), &json!([])));
    assert!(compared["tables"].as_array().unwrap().iter().any(|table| table["equal"].as_u64() > Some(0)));
}

#[tokio::test]
async fn a_view_that_was_changed_differs_from_a_rebuild_by_row_and_column() {
    let desk = Desk::with_three_orders().await;
    desk.text(&["rebuild", "stock", "--into", "sqlite:views.db"]);
    desk.text(&["rebuild", "stock", "--into", "sqlite:fresh.db"]);
    let views = rusqlite::Connection::open(desk.path("views.db")).unwrap();
    let compare = ["diff-views", "sqlite:views.db", "sqlite:fresh.db", "--projection", "stock"];
    assert!(desk.text(&compare).starts_with("the views are equal: "));
    assert!(desk.run(&compare[..3]).stdout.starts_with(b"products: not in both\n"));
    let table: String = views
        .query_row("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%stock_levels%'", (), |row| row.get(0))
        .unwrap();
    assert_eq!(views.execute(&format!("UPDATE \"{table}\" SET on_hand = 7"), ()).unwrap(), 1);
    drop(views);
    let output = desk.run(&compare);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && told.contains("on_hand 7 → 44"), "{told}");
}

#[tokio::test]
async fn a_projection_that_is_not_there_is_refused_with_the_ones_that_are() {
    let desk = Desk::with_three_orders().await;
    let said = desk.refusal(&["rebuild", "horoscopes"]);
    assert!(said.contains("horoscopes") && said.contains("orders"), "{said}");
    assert!(desk.refusal(&["diff-views", "sqlite:nowhere.db", "sqlite:nowhere.db"]).contains("nowhere.db"));
    assert!(desk.refusal(&["rebuild", "all", "--log", "jsonl:shop.jsonl"]).contains("shop.jsonl"));
}
