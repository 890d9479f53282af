//! Exports in every format: whole, in part, gone on with, taken in again, and changed by somebody.

use std::{collections::BTreeSet, fs, path::Path};

use event_store::{Log, MemoryLog, SqliteLog};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use replay_tools::{Asked, ExportLog, Format, Manifest, Selection, export, from_hex, import, open, verify};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{shop, verbs::Desk};

const FORMATS: [Format; 3] = [Format::Jsonl, Format::Csv, Format::Parquet];

fn asked(format: Format, from: u64, to: u64, resume: bool) -> Asked {
    Asked { format, from, to, selection: Selection::default(), resume }
}

/// A log of three orders, one event of which has everything that a format could stumble over.
async fn log() -> MemoryLog {
    let mut pen = shop::three_orders();
    let last = pen.last();
    last.metadata = last.metadata.replace("merchant:ana", "merchant:a\\\"n,a\\n☕");
    last.occurred_at -= chrono::TimeDelta::microseconds(1_234_567);
    last.idempotency_scope = Some("merchant:ana:ship:\"k\",1".to_owned());
    let log = MemoryLog::new();
    log.append(0, pen.events().to_vec()).await.unwrap();
    log
}

#[tokio::test]
async fn every_format_brings_back_every_event_byte_for_byte() {
    let (log, folder) = (log().await, TempDir::new().unwrap());
    let whole = log.read(0, 100).await.unwrap();
    for format in FORMATS {
        let file = folder.path().join(format!("shop.{}", format.name()));
        let manifest = export(&log, &file, asked(format, 1, 25, false)).await.unwrap();
        assert_eq!((manifest.encoding, manifest.events, manifest.root.len()), (format, 25, 64));
        let opened = open(&format!("{}:{}", format.name(), file.display())).await.unwrap();
        assert_eq!(opened.read(0, 100).await.unwrap(), whole, "{format:?}");
        assert_eq!(opened.read(7, 3).await.unwrap(), whole[7..10], "{format:?}");
        let stream = opened.read_stream(&shop::tea_stream(), 2, 100).await.unwrap();
        assert_eq!(stream, log.read_stream(&shop::tea_stream(), 2, 100).await.unwrap(), "{format:?}");
        let copy = MemoryLog::new();
        assert_eq!(import(&ExportLog::open(&file).unwrap(), &copy).await.unwrap(), 25);
        assert_eq!(copy.read(0, 100).await.unwrap(), whole, "{format:?}");
        let left: BTreeSet<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().contains(".part")), "{left:?}");
    }
}

#[tokio::test]
async fn a_manifest_counts_by_type_and_names_the_schema_that_is_checked_in() {
    let (log, folder) = (log().await, TempDir::new().unwrap());
    let file = folder.path().join("shop.jsonl");
    let manifest = export(&log, &file, asked(Format::Jsonl, 1, 25, false)).await.unwrap();
    assert_eq!(Manifest::of(&file).unwrap(), manifest);
    let events: u64 = manifest.types.values().flat_map(|versions| versions.values()).map(|counted| counted.events).sum();
    assert_eq!((events, manifest.types["StockReserved"][&1].events), (25, 3));
    let said = manifest.types["StockReserved"][&1].schema.as_ref().unwrap();
    let schema = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../event-schemas/schemas/StockReserved.v1.json")).unwrap();
    assert_eq!(*said, sha256(&schema));
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn an_export_goes_on_where_it_was_broken_off_and_with_what_came_since() {
    let (log, folder) = (log().await, TempDir::new().unwrap());
    for format in FORMATS {
        let name = |of: &str| folder.path().join(format!("{of}.{}", format.name()));
        let (whole, grown) = (name("whole"), name("grown"));
        let all = export(&log, &whole, asked(format, 1, 25, false)).await.unwrap();
        export(&log, &grown, asked(format, 1, 9, false)).await.unwrap();
        let refused = export(&log, &grown, asked(format, 1, 25, false)).await.unwrap_err().to_string();
        assert!(refused.contains("is there already"), "{refused}");
        let resumed = export(&log, &grown, asked(format, 1, 25, true)).await.unwrap();
        assert_eq!((resumed.root.clone(), resumed.types.clone(), resumed.events), (all.root.clone(), all.types.clone(), 25));
        let opened = ExportLog::open(&grown).unwrap();
        assert_eq!(opened.read(0, 100).await.unwrap(), log.read(0, 100).await.unwrap(), "{format:?}");
        let shorter = export(&log, &grown, asked(format, 1, 20, true)).await.unwrap_err().to_string();
        assert!(shorter.contains("goes up to position 25 already"), "{shorter}");
    }
}

#[tokio::test]
async fn what_a_crash_left_of_a_text_is_cut_to_what_is_whole_and_gone_on_with() {
    let (log, folder) = (log().await, TempDir::new().unwrap());
    for format in [Format::Jsonl, Format::Csv] {
        let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
        let all = export(&log, &whole, asked(format, 1, 25, false)).await.unwrap();
        let bytes = fs::read(&whole).unwrap();
        for kept in [0, 1, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
            fs::write(beside(&broken, ".part"), &bytes[..kept]).unwrap();
            all.write(&beside(&broken, ".part")).unwrap();
            let refused = export(&log, &broken, asked(format, 1, 25, false)).await.unwrap_err().to_string();
            assert!(refused.contains("--resume"), "{refused}");
            assert_eq!(export(&log, &broken, asked(format, 1, 25, true)).await.unwrap().root, all.root, "{kept} bytes");
            assert_eq!(fs::read(&broken).unwrap(), bytes);
            fs::remove_file(&broken).unwrap();
        }
        fs::remove_file(&whole).unwrap();
    }
}

fn beside(path: &Path, suffix: &str) -> std::path::PathBuf {
    format!("{}{suffix}", path.display()).into()
}

#[tokio::test]
async fn an_export_is_not_gone_on_with_from_another_log_or_for_something_else() {
    let (log, folder) = (log().await, TempDir::new().unwrap());
    let file = folder.path().join("shop.csv");
    export(&log, &file, asked(Format::Csv, 1, 9, false)).await.unwrap();
    let other = MemoryLog::new();
    other.append(0, shop::three_orders().events().to_vec()).await.unwrap();
    let orders = Selection { streams: vec!["order".to_owned()], types: Vec::new() };
    let cases = [
        (&other, asked(Format::Csv, 1, 25, true)),
        (&log, asked(Format::Jsonl, 1, 25, true)),
        (&log, asked(Format::Csv, 2, 25, true)),
        (&log, Asked { selection: orders, ..asked(Format::Csv, 1, 25, true) }),
    ];
    for (log, asked) in cases {
        let refused = export(log, &file, asked).await.unwrap_err().to_string();
        assert!(refused.contains("another log, beginning, selection or format"), "{refused}");
        assert_eq!(ExportLog::open(&file).unwrap().manifest().events, 9, "it is as it was");
    }
}

#[tokio::test]
async fn an_export_that_was_changed_or_is_of_another_history_is_not_gone_on_with() {
    let (events, folder) = (shop::three_orders().events().to_vec(), TempDir::new().unwrap());
    let (log, other) = (MemoryLog::new(), MemoryLog::new());
    log.append(0, events.clone()).await.unwrap();
    let mut forged = events;
    forged[2].occurred_at -= chrono::TimeDelta::seconds(1);
    other.append(0, forged).await.unwrap();
    for format in FORMATS {
        let name = |of: &str| folder.path().join(format!("{of}.{}", format.name()));
        let (ours, theirs) = (name("ours"), name("theirs"));
        let known = export(&log, &ours, asked(format, 1, 9, false)).await.unwrap();
        let forged = export(&other, &theirs, asked(format, 1, 9, false)).await.unwrap();
        let theirs = fs::read(&theirs).unwrap();
        // Under the manifest of what it was, and under one that says that it is of this log.
        for (manifest, expected) in
            [(&known, "is not what was exported"), (&Manifest { log: log.id(), ..forged }, "other events")]
        {
            fs::write(&ours, &theirs).unwrap();
            manifest.write(&ours).unwrap();
            let refused = export(&log, &ours, asked(format, 1, 25, true)).await.unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
            assert!(fs::read(&ours).unwrap() == theirs && !beside(&ours, ".part").exists(), "it is as it was");
        }
        let part = beside(&name("broken"), ".part");
        let group = part.join("00000000.parquet");
        if format == Format::Parquet {
            fs::create_dir(&part).unwrap();
        }
        fs::write(if format == Format::Parquet { &group } else { &part }, &theirs).unwrap();
        known.write(&part).unwrap();
        let refused = export(&log, &name("broken"), asked(format, 1, 25, true)).await.unwrap_err().to_string();
        assert!(refused.contains("other events up to position 9"), "{refused}");
    }
}

#[tokio::test]
async fn an_export_without_one_of_its_lines_is_not_gone_on_with() {
    let (log, folder) = (log().await, TempDir::new().unwrap());
    let orders = Selection { streams: vec!["order".to_owned()], types: Vec::new() };
    for selection in [Selection::default(), orders] {
        let asked = |to, resume| Asked { selection: selection.clone(), ..asked(Format::Jsonl, 1, to, resume) };
        let (file, broken) = (folder.path().join("shop.jsonl"), folder.path().join("broken.jsonl"));
        let known = export(&log, &file, asked(20, false)).await.unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let holed: String = text.split_inclusive('\n').enumerate().filter(|(line, _)| *line != 1).map(|(_, line)| line).collect();
        fs::write(&file, &holed).unwrap();
        let refused = export(&log, &file, asked(25, true)).await.unwrap_err().to_string();
        assert!(refused.contains("is not what was exported"), "{refused}");
        fs::write(beside(&broken, ".part"), &holed).unwrap();
        known.write(&beside(&broken, ".part")).unwrap();
        // What a hole leaves is cut off behind it where every position must be there, and refused where it may be left out.
        let gone_on = export(&log, &broken, asked(20, true)).await;
        if selection.is_everything() {
            assert_eq!(gone_on.unwrap(), known);
        } else {
            assert!(gone_on.unwrap_err().to_string().contains("other events"));
        }
        for left in fs::read_dir(folder.path()).unwrap() {
            fs::remove_file(left.unwrap().path()).unwrap();
        }
    }
}

#[tokio::test]
async fn many_row_groups_are_one_table() {
    let mut pen = shop::Pen::new();
    pen.command("merchant:ana", vec![(shop::tea_stream(), shop::received(10_000))]);
    for order in 1..=4_000 {
        pen.order(order);
    }
    let (log, folder) = (MemoryLog::new(), TempDir::new().unwrap());
    for (page, events) in pen.events().chunks(4_000).enumerate() {
        log.append(page as u64 * 4_000, events.to_vec()).await.unwrap();
    }
    let (file, end) = (folder.path().join("shop.parquet"), pen.events().len() as u64);
    // Broken off twice: after a whole row group, and in the middle of the next.
    export(&log, &file, asked(Format::Parquet, 1, 16_384, false)).await.unwrap();
    export(&log, &file, asked(Format::Parquet, 1, 20_000, true)).await.unwrap();
    let manifest = export(&log, &file, asked(Format::Parquet, 1, end, true)).await.unwrap();
    let opened = open(&format!("parquet:{}", file.display())).await.unwrap();
    assert_eq!((manifest.events, opened.head().await.unwrap().position), (end, end));
    let (there, here) = (opened.read(16_380, 10).await.unwrap(), log.read(16_380, 10).await.unwrap());
    assert_eq!(there, here);
    let again = TempDir::new().unwrap();
    let copy = SqliteLog::open(&again.path().join("copy.db"), event_store::OpenOptions::default()).unwrap();
    assert_eq!(import(&ExportLog::open(&file).unwrap(), &copy).await.unwrap(), end);
    let root = verify(std::sync::Arc::new(copy), 1, None, None).await.unwrap().root.unwrap();
    assert!(root == manifest.root && from_hex(&root).is_some());
}

/// What `verify` says of an export that something is wrong with, as JSON.
fn found(desk: &Desk, url: &str) -> Value {
    let output = desk.run(&["verify", "--json", "--log", url]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn what_can_be_read_before_damage_is_verified_and_counted_against_the_manifest() {
    let desk = Desk::with_three_orders().await;
    for (head, to) in [("cut.json", "20"), ("whole.json", "25")] {
        fs::write(desk.path(head), desk.json(&["verify", "--to", to]).to_string()).unwrap();
    }
    for format in FORMATS {
        let name = format!("shop.{}", format.name());
        desk.text(&["export", "--out", &name, "--format", format.name()]);
        let (file, url) = (desk.path(&name), format!("{}:{name}", format.name()));
        let bytes = fs::read(&file).unwrap();
        if format == Format::Parquet {
            fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
            let said = found(&desk, &url);
            assert_eq!((&said["events"], &said["findings"][0]["position"]), (&json!(0), &json!(1)));
            assert!(said["findings"][0]["message"].as_str().unwrap().contains("none of the 25 events"), "{said}");
            continue;
        }
        let text = String::from_utf8(bytes).unwrap();
        let header = usize::from(format == Format::Csv);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        // Cut off between two events, then within one and changed before it.
        fs::write(&file, lines[..20 + header].concat()).unwrap();
        let said = found(&desk, &url);
        assert_eq!((&said["events"], &said["findings"][0]["position"]), (&json!(20), &json!(21)), "{said}");
        assert!(said["findings"][0]["message"].as_str().unwrap().contains("20 events, and its manifest says 25"), "{said}");
        // Neither a head that goes on behind the damage nor one that ends there takes its place.
        for head in ["cut.json", "whole.json"] {
            let output = desk.run(&["verify", "--log", &url, "--from-head", head, "--report", "report.json"]);
            let report = fs::read_to_string(desk.path("report.json")).unwrap();
            assert!(output.status.code() == Some(1) && report.contains("its manifest says 25"), "{head}: {report}");
            fs::remove_file(desk.path("report.json")).unwrap();
        }
        let changed = lines[..20 + header].concat().replacen("PO-17", "PO-18", 1) + &lines[20 + header][..30];
        fs::write(&file, changed).unwrap();
        let said = found(&desk, &url);
        let places: Vec<_> =
            said["findings"].as_array().unwrap().iter().map(|found| (&found["position"], &found["rule"])).collect();
        assert_eq!(places, [(&json!(1), &json!("digest")), (&json!(21), &json!("positions"))], "{said}");
        let message = said["findings"][1]["message"].as_str().unwrap();
        assert!(message.contains("of the 25 events in its manifest, 20 can be read"), "{message}");
        assert_eq!(found(&desk, &url)["to"], json!(20));
        assert!(
            desk.refusal(&["state", "stock/TEA-100@main", "--log", &url]).contains("position 21"),
            "other verbs believe nothing"
        );
    }
}

#[tokio::test]
async fn a_damaged_page_of_a_table_is_named_by_the_first_row_that_cannot_be_read() {
    let mut pen = shop::Pen::new();
    pen.command("merchant:ana", vec![(shop::tea_stream(), shop::received(10_000))]);
    for order in 1..=2_000 {
        pen.order(order);
    }
    let desk = Desk::with(&pen).await;
    desk.text(&["export", "--out", "shop.parquet", "--format", "parquet"]);
    let file = desk.path("shop.parquet");
    let reader = SerializedFileReader::new(fs::File::open(&file).unwrap()).unwrap();
    let payload = reader.metadata().row_group(0).column(7);
    let ((begin, length), mut bytes) = (payload.byte_range(), fs::read(&file).unwrap());
    let at = usize::try_from(begin + length / 10 * 9).unwrap();
    bytes[at..at + 200].fill(0xff);
    fs::write(&file, bytes).unwrap();
    let said = found(&desk, "parquet:shop.parquet");
    let (position, events) = (said["findings"][0]["position"].as_u64().unwrap(), said["events"].as_u64().unwrap());
    assert!(position == events + 1 && events > 1_000 && events < pen.events().len() as u64, "{said}");
    let message = said["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("the rows behind it in its row group cannot be read: column `payload`: "), "{message}");
}

#[tokio::test]
async fn a_parquet_file_with_any_byte_changed_is_not_believed() {
    let (log, folder) = (log().await, TempDir::new().unwrap());
    let file = folder.path().join("shop.parquet");
    export(&log, &file, asked(Format::Parquet, 1, 25, false)).await.unwrap();
    let bytes = fs::read(&file).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let mut changed = bytes.clone();
        let at = random.usize(..changed.len());
        changed[at] ^= 1 << random.u8(..8);
        fs::write(&file, &changed).unwrap();
        let is_believed = match open(&format!("parquet:{}", file.display())).await {
            Ok(opened) => verify(opened, 1, None, None).await.is_ok_and(|found| found.ok),
            Err(_) => false,
        };
        assert!(!is_believed, "byte {at}");
    }
}

#[tokio::test]
async fn what_there_cannot_be_is_refused_and_what_there_is_not_is_an_empty_export_that_says_so() {
    let desk = Desk::with_three_orders().await;
    for (asked, because) in [
        (["--types", "OrderPlacd"], "there is no event type `OrderPlacd`"),
        (["--types", "OrderPlaced,orderplaced"], "there is no event type `orderplaced`"),
        (["--streams", "orders"], "`orders` is no stream"),
        (["--streams", "order,horoscope/leo"], "`horoscope/leo` is no stream"),
        (["--format", "csv"], "some.jsonl is named as jsonl, and the format is csv"),
    ] {
        let said = desk.refusal(&[&["export", "--out", "some.jsonl"][..], &asked].concat());
        assert!(said.contains(because), "{said}");
    }
    assert!(desk.refusal(&["export", "--out", "some.CSV"]).contains("some.CSV is named as csv, and the format is jsonl"));
    assert!(!desk.path("some.jsonl").exists() && !desk.path("some.CSV").exists());
    let output = desk.run(&["export", "--out", "none.jsonl", "--types", "ProductCreated", "--streams", "order/none"]);
    assert!(output.status.success() && output.stdout.starts_with(b"exported 0 events of positions 1 to 25"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("the export is empty"), "{output:?}");
    let output = desk.run(&["export", "--out", "some.txt", "--types", "OrderPlaced", "--streams", "order"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[tokio::test]
async fn an_export_that_is_called_one_of_another_format_is_refused_by_the_name_of_the_mistake() {
    let desk = Desk::with_three_orders().await;
    desk.text(&["export", "--out", "shop.parquet", "--format", "parquet"]);
    desk.text(&["export", "--out", "shop.jsonl"]);
    for (url, because) in [
        ("csv:shop.parquet", "shop.parquet is not csv but parquet, as its manifest says: parquet:shop.parquet"),
        ("jsonl:shop.parquet", "shop.parquet is not jsonl but parquet"),
        ("parquet:shop.jsonl", "shop.jsonl is not parquet but jsonl"),
    ] {
        let said = desk.refusal(&["verify", "--log", url]);
        assert!(said.contains(because), "{said}");
    }
    let said = desk.refusal(&["verify", "--log", "csv:nothing.csv"]);
    assert!(said.contains("nothing.csv.manifest.json is not there, and only this manifest says"), "{said}");
    fs::create_dir(desk.path("exports")).unwrap();
    desk.text(&["export", "--out", "exports/tea", "--to", "9"]);
    for (url, instead) in [
        ("shop.jsonl", "write jsonl:shop.jsonl"),
        ("shop.parquet", "write parquet:shop.parquet"),
        ("sqlite:shop.parquet", "write parquet:shop.parquet"),
        ("nowhere.csv", "write csv:nowhere.csv"),
        ("exports/tea", "write jsonl:exports/tea"),
        ("exports", "write jsonl:exports/tea"),
    ] {
        let said = desk.refusal(&["verify", "--log", url]);
        assert!(said.contains(instead), "{said}");
    }
    assert!(!desk.refusal(&["verify", "--log", "sqlite:nowhere.csv"]).contains("is an export"));
}
