//! Thousands of changes behind the back of a log and of its exports, each of which `verify` finds, at the position where it was
//! made. And damage to the bytes of a log's file, as a disk does it, after which nothing else is ever read as verified.
//!
//! The long version: `DAYBOOK_TAMPERINGS=10000 cargo nextest run -p replay-tools many_tamperings`, so many for the rows and the
//! bytes of the SQLite file, the PostgreSQL table and each kind of export. `DAYBOOK_TAMPERING_SEED` repeats a run.

use std::{fs, path::Path};

use event_schemas::{Idempotency, Recorded};
use event_store::{Log, OpenOptions, PostgresLog, ReadError};
use fastrand::Rng;
use replay_tools::{Asked, Failure, Format, Head, Selection, Verification, export, open, verify};
use rusqlite::Connection;
use tempfile::TempDir;
use test_postgres::Postgres;

use crate::shop::{self, Pen};

/// How many events the log has.
const EVENTS: u64 = 25;

fn wanted(by_default: usize) -> usize {
    std::env::var("DAYBOOK_TAMPERINGS").map_or(by_default, |many| many.parse().unwrap())
}

fn random() -> Rng {
    let seed = std::env::var("DAYBOOK_TAMPERING_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("DAYBOOK_TAMPERING_SEED={seed}");
    Rng::with_seed(seed)
}

/// Three orders, one event with an idempotency scope.
fn pen() -> Pen {
    let mut pen = shop::three_orders();
    let last = pen.last();
    let mut metadata: event_schemas::Metadata = serde_json::from_str(&last.metadata).unwrap();
    let scope = "merchant:ana:ship:k-1".to_owned();
    metadata.idempotency = Some(Idempotency { scope: scope.clone(), fingerprint: "f".to_owned() });
    (last.metadata, last.idempotency_scope) = (serde_json::to_string(&metadata).unwrap(), Some(scope));
    pen
}

/// What is done to a log of rows, and the first position where it shows.
#[derive(Debug, Clone, Copy)]
enum Tampering {
    Delete(u64),
    Truncate(u64),
    Swap(u64, u64),
    Insert { at: u64, copy_of: u64 },
}

impl Tampering {
    fn any(random: &mut Rng) -> Self {
        let position = random.u64(1..=EVENTS);
        match random.u8(..4) {
            0 => Self::Delete(position),
            1 => Self::Truncate(position),
            2 => Self::Swap(position, position % EVENTS + 1),
            _ => Self::Insert { at: random.u64(1..=EVENTS + 1), copy_of: position },
        }
    }

    fn shows_at(self) -> u64 {
        match self {
            Self::Delete(position) | Self::Truncate(position) => position,
            Self::Swap(one, other) => one.min(other),
            Self::Insert { at, .. } => at,
        }
    }

    /// As SQL for both stores.
    fn sql(self, table: &str, some_id: &str) -> String {
        match self {
            Self::Delete(position) => format!("DELETE FROM {table} WHERE position = {position};"),
            Self::Truncate(position) => format!("DELETE FROM {table} WHERE position >= {position};"),
            Self::Swap(one, other) => format!(
                "UPDATE {table} SET position = 1000 WHERE position = {one}; UPDATE {table} SET position = {one} WHERE position = {other};
                 UPDATE {table} SET position = {other} WHERE position = 1000;"
            ),
            // The copy needs a place of its own in its stream, or the table would refuse it.
            Self::Insert { at, copy_of } => format!(
                "INSERT INTO {table} SELECT 2000, {some_id}, aggregate_type, aggregate_id, sequence + 500, event_type, event_version,
                 payload, metadata, recorded_at, occurred_at, digest, NULL FROM {table} WHERE position = {copy_of};
                 UPDATE {table} SET position = position + 5000 WHERE position >= {at} AND position < 2000;
                 UPDATE {table} SET position = position - 4999 WHERE position > 5000;
                 UPDATE {table} SET position = {at} WHERE position = 2000;"
            ),
        }
    }
}

/// The first position that `verify` names, if it finds anything.
fn first(verified: Result<Verification, Failure>) -> Option<u64> {
    match verified {
        Ok(found) => found.findings.first().map(|finding| finding.position),
        Err(Failure::Read(ReadError::Damaged { position, .. })) => Some(position),
        Err(error) => panic!("{error}"),
    }
}

async fn verified(url: &str, known: Option<Head>) -> Result<Verification, Failure> {
    verify(open(url).await?, 1, None, known).await
}

fn known(whole: &Verification) -> Option<Head> {
    assert!(whole.ok && whole.events == EVENTS, "{whole}");
    Some(Head { to: whole.to, root: whole.root.clone().unwrap() })
}

const COLUMNS: [&str; 12] = [
    "event_id",
    "aggregate_type",
    "aggregate_id",
    "sequence",
    "event_type",
    "event_version",
    "payload",
    "metadata",
    "recorded_at",
    "occurred_at",
    "digest",
    "idempotency_scope",
];

/// Changes one byte of one column of one row, of what the column is as text. Gives whether the table took it.
fn change_byte(file: &Connection, position: u64, column: &str, random: &mut Rng) -> bool {
    let read = format!("SELECT CAST({column} AS BLOB) FROM events WHERE position = {position}");
    let Some(mut bytes) = file.query_row(&read, (), |row| row.get::<_, Option<Vec<u8>>>(0)).unwrap() else { return false };
    let at = random.usize(..bytes.len());
    bytes[at] ^= random.u8(1..);
    let value = if column == "digest" { "?1" } else { "CAST(?1 AS TEXT)" };
    file.execute(&format!("UPDATE events SET {column} = {value} WHERE position = {position}"), [bytes]).is_ok()
}

#[tokio::test]
async fn every_change_of_a_row_of_a_sqlite_file_is_found_where_it_was_made() {
    let (folder, mut random) = (TempDir::new().unwrap(), random());
    let url = pen().write(folder.path()).await;
    let path = url.strip_prefix("sqlite:").unwrap();
    let (whole, known) = (fs::read(path).unwrap(), known(&verified(&url, None).await.unwrap()));
    let mut done = 0;
    while done < wanted(240) {
        fs::write(path, &whole).unwrap();
        let file = Connection::open(path).unwrap();
        file.execute_batch("PRAGMA synchronous = OFF").unwrap();
        let (what, shows_at, is_taken) = if random.bool() {
            let (position, column) = (random.u64(1..=EVENTS), COLUMNS[random.usize(..COLUMNS.len())]);
            (format!("a byte of {column} at {position}"), position, change_byte(&file, position, column, &mut random))
        } else {
            let tampering = Tampering::any(&mut random);
            let sql = tampering.sql("events", "'00000000-0000-0000-0000-0000000000aa'");
            (format!("{tampering:?}"), tampering.shows_at(), file.execute_batch(&sql).is_ok())
        };
        drop(file);
        if is_taken {
            assert_eq!(first(verified(&url, known.clone()).await), Some(shows_at), "{what}");
            done += 1;
        }
    }
}

/// What was read of a log, and its root.
type Told = (Vec<Recorded>, Option<String>);

/// What `verify` lets pass of a damaged file, or why it does not. Without what was known of it, a file that has lost its end
/// would be one of a smaller log.
async fn believed(url: &str, known: Option<Head>) -> Result<Told, String> {
    let log = match open(url).await {
        Ok(log) => log,
        Err(error) => return Err(error.to_string()),
    };
    match verify(log.clone(), 1, None, known).await {
        Ok(verified) if verified.ok => Ok((log.read(0, 1_000).await.unwrap(), verified.root)),
        Ok(verified) => Err(verified.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// A file with one bit flipped, or cut off, and what was done to it.
fn damaged(whole: &[u8], random: &mut Rng) -> (Vec<u8>, String) {
    let (mut bytes, at, bit) = (whole.to_vec(), random.usize(..whole.len()), random.u8(..8));
    if random.u8(..4) == 0 {
        bytes.truncate(at);
        return (bytes, format!("cut off behind {at} bytes"));
    }
    bytes[at] ^= 1 << bit;
    (bytes, format!("bit {bit} of byte {at} flipped"))
}

#[tokio::test]
async fn of_a_sqlite_file_that_a_disk_has_damaged_nothing_is_believed_that_was_not_recorded() {
    let (folder, mut random) = (TempDir::new().unwrap(), random());
    let url = pen().write(folder.path()).await;
    // Whoever writes a log leaves all of it in the one file when they close it.
    let whole = fs::read(url.strip_prefix("sqlite:").unwrap()).unwrap();
    let known = known(&verified(&url, None).await.unwrap());
    let recorded = believed(&url, known.clone()).await.unwrap();
    let told = async |bytes: &[u8]| {
        // A folder of its own: SQLite keeps files beside each that it reads.
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("events.db");
        fs::write(&path, bytes).unwrap();
        believed(&format!("sqlite:{}", path.display()), known.clone()).await
    };
    // All of them: a page may have kept an old copy that nobody reads.
    let mut bytes = whole.clone();
    (0..whole.len()).filter(|at| whole[*at..].starts_with(b"Green tea")).for_each(|at| bytes[at] ^= 1);
    assert!(told(&bytes).await.is_err_and(|found| found.contains("digest")), "what was sold is not what it was");
    for _ in 0..wanted(60) {
        let (bytes, what) = damaged(&whole, &mut random);
        match told(&bytes).await {
            // It was in a place that holds no event.
            Ok(told) => assert!(told == recorded, "{what}, and it is not noticed: {told:?}"),
            // Why it cannot be read is no accident of the reader's own.
            Err(found) => {
                let is_clear = !found.is_empty() && !["broken off", "broke off", "panic"].iter().any(|word| found.contains(word));
                assert!(is_clear, "{what}: {found}");
            }
        }
    }
}

/// The line that holds a byte, from 1.
fn line_of(text: &[u8], byte: usize) -> u64 {
    1 + text[..byte].iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Changes a text by a byte or by whole lines. Gives it with the line where that shows.
fn tampered(text: &[u8], headers: u64, random: &mut Rng) -> (Vec<u8>, u64) {
    let mut changed = text.to_vec();
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let some_line = |random: &mut Rng| random.usize(usize::try_from(headers).unwrap()..lines.len());
    let line = some_line(random);
    let whole = |lines: Vec<&[u8]>| lines.concat();
    let place = line as u64 + 1;
    match random.u8(..8) {
        0 => (whole([&lines[..line], &lines[line + 1..]].concat()), place),
        1 => {
            let mut copied = lines.clone();
            copied.insert(line, lines[some_line(random)]);
            // A copy of a line before or behind itself is found at the second of the two.
            let shows_at = if copied[line] == lines[line] { place + 1 } else { place };
            (whole(copied), shows_at)
        }
        2 => {
            let mut swapped = lines.clone();
            let other = if line + 1 < lines.len() { line + 1 } else { usize::try_from(headers).unwrap() };
            swapped.swap(line, other);
            (whole(swapped), line.min(other) as u64 + 1)
        }
        3 => {
            let kept = random.usize(..text.len());
            changed.truncate(kept);
            (changed, line_of(text, kept))
        }
        _ => {
            let at = random.usize(..text.len());
            changed[at] ^= random.u8(1..);
            (changed, line_of(text, at))
        }
    }
}

async fn every_change_of_an_export_is_found(format: Format, headers: u64) {
    let (folder, mut random) = (TempDir::new().unwrap(), random());
    let log = open(&pen().write(folder.path()).await).await.unwrap();
    let path = folder.path().join("export");
    let asked = Asked { format, from: 1, to: EVENTS, selection: Selection::default(), resume: false };
    export(&*log, &path, asked).await.unwrap();
    let (whole, url) = (fs::read(&path).unwrap(), format!("{}:{}", format.name(), path.display()));
    let known = known(&verified(&url, None).await.unwrap());
    for _ in 0..wanted(400) {
        let (changed, line) = tampered(&whole, headers, &mut random);
        fs::write(&path, &changed).unwrap();
        let shows_at = line.saturating_sub(headers).max(1);
        let found = first(verified(&url, known.clone()).await);
        assert_eq!(found, Some(shows_at), "{}", differing(&whole, &changed, &path));
    }
}

fn differing(whole: &[u8], changed: &[u8], path: &Path) -> String {
    let at = whole.iter().zip(changed).position(|(one, other)| one != other);
    format!("{} of {} bytes, was {}, differs at {at:?}", path.display(), changed.len(), whole.len())
}

#[tokio::test]
async fn every_change_of_an_export_as_json_lines_is_found_where_it_was_made() {
    every_change_of_an_export_is_found(Format::Jsonl, 0).await;
}

#[tokio::test]
async fn every_change_of_an_export_as_csv_is_found_where_it_was_made() {
    every_change_of_an_export_is_found(Format::Csv, 1).await;
}

/// One character of a column made another, as SQL that says whether the table took it and it is not the same to it.
fn change_character(position: u64, column: &str, random: &mut Rng) -> String {
    let (place, letter) = (random.u8(1..=60), random.alphanumeric());
    let kind = match column {
        "event_id" => "uuid",
        "sequence" => "bigint",
        "payload" | "metadata" => "json",
        "recorded_at" | "occurred_at" => "timestamptz",
        "digest" => {
            let (place, byte) = (random.u8(1..=32), random.u8(..));
            let new = format!("overlay(digest placing '\\x{byte:02x}'::bytea from {place} for 1)");
            return format!(
                "UPDATE daybook.events SET digest = {new} WHERE position = {position} AND digest <> {new} RETURNING 1;"
            );
        }
        _ => "text",
    };
    let new = format!("overlay({column}::text placing '{letter}' from {place} for 1)::{kind}");
    let cast = if kind == "json" { "::text" } else { "" };
    format!(
        "UPDATE daybook.events SET {column} = {new} WHERE position = {position} AND length({column}::text) >= {place}
         AND ({column}){cast} <> ({new}){cast} RETURNING 1;"
    )
}

#[tokio::test]
async fn every_change_of_a_row_of_a_postgresql_table_is_found_where_it_was_made() {
    let Some(server) = Postgres::start() else { return };
    let mut random = random();
    let url = server.database("shop");
    let log = PostgresLog::open(&url, OpenOptions::default()).await.unwrap();
    log.append(0, pen().events().to_vec()).await.unwrap();
    let known = known(&verified(&url, None).await.unwrap());
    server.psql("shop", "CREATE TABLE whole AS SELECT * FROM daybook.events");
    let mut done = 0;
    while done < wanted(80) {
        server.psql("shop", "TRUNCATE daybook.events; INSERT INTO daybook.events SELECT * FROM whole");
        let (what, shows_at, is_taken) = if random.bool() {
            let (position, column) = (random.u64(1..=EVENTS), COLUMNS[random.usize(..COLUMNS.len())]);
            let sql = change_character(position, column, &mut random);
            let done = server.try_psql("shop", &sql).unwrap();
            let is_taken = done.status.success() && done.stdout.starts_with(b"1");
            (format!("a character of {column} at {position}: {sql}"), position, is_taken)
        } else {
            let tampering = Tampering::any(&mut random);
            let done = server.try_psql("shop", &tampering.sql("daybook.events", "gen_random_uuid()")).unwrap();
            (format!("{tampering:?}"), tampering.shows_at(), done.status.success())
        };
        if is_taken {
            assert_eq!(first(verified(&url, known.clone()).await), Some(shows_at), "{what}");
            done += 1;
        }
    }
}
