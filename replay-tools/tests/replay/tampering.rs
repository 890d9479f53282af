//! Whatever is done to a log behind its back, `verify` names the position.

use std::sync::Arc;

use event_store::MemoryLog;
use replay_tools::{Finding, Head, Rule, Verification, open, verify};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::shop::{self, Pen};

/// A log of three orders in a file, changed by `tamper` behind the log's back.
async fn tampered(tamper: &str) -> Verification {
    let folder = TempDir::new().unwrap();
    let url = shop::three_orders().write(folder.path()).await;
    let file = Connection::open(url.strip_prefix("sqlite:").unwrap()).unwrap();
    file.execute_batch(tamper).unwrap();
    drop(file);
    verify(open(&url).await.unwrap(), 1, None, None).await.unwrap()
}

fn places(findings: &[Finding]) -> Vec<(u64, Rule)> {
    findings.iter().map(|finding| (finding.position, finding.rule)).collect()
}

#[tokio::test]
async fn an_untouched_log_verifies_and_its_root_is_that_of_its_digests() {
    let found = tampered("").await;
    assert!(found.ok && found.findings.is_empty(), "{found}");
    assert_eq!((found.from, found.to, found.events), (1, 25, 25));
    let folder = TempDir::new().unwrap();
    let again = verify(open(&shop::three_orders().write(folder.path()).await).await.unwrap(), 1, None, None).await.unwrap();
    assert_eq!((found.root.as_ref().map(String::len), &found.root), (Some(64), &again.root));
}

#[tokio::test]
async fn an_empty_log_verifies() {
    let found = verify(Arc::new(MemoryLog::new()), 1, None, None).await.unwrap();
    assert_eq!((found.ok, found.from, found.to, found.events), (true, 1, 0, 0));
}

#[tokio::test]
async fn one_changed_byte_of_one_payload_is_named_by_position() {
    let found =
        tampered("UPDATE events SET payload = replace(payload, '\"quantity\":50', '\"quantity\":51') WHERE position = 1").await;
    assert_eq!(places(&found.findings), [(1, Rule::Digest)]);
    assert!(!found.ok && found.root.is_none());
}

#[tokio::test]
async fn one_missing_row_is_named_by_position_and_the_rest_is_still_looked_at() {
    let found = tampered("DELETE FROM events WHERE position = 13").await;
    assert_eq!(found.findings[0].position, 13);
    assert_eq!(found.findings[0].rule, Rule::Positions);
    assert_eq!((found.ok, found.to, found.events), (false, 25, 24));
}

#[tokio::test]
async fn a_missing_first_row_is_named() {
    let found = tampered("DELETE FROM events WHERE position = 1").await;
    assert_eq!((found.findings[0].position, found.findings[0].rule), (1, Rule::Positions));
}

#[tokio::test]
async fn one_swapped_pair_is_named_at_both_places() {
    let swap = "UPDATE events SET position = -1 WHERE position = 4;
                UPDATE events SET position = 4 WHERE position = 10;
                UPDATE events SET position = 10 WHERE position = -1";
    let found = tampered(swap).await;
    let digests: Vec<_> = found.findings.iter().filter(|f| f.rule == Rule::Digest).map(|f| f.position).collect();
    assert_eq!((digests, found.findings[0].position), (vec![4, 10], 4));
}

#[tokio::test]
async fn every_other_column_is_covered_too() {
    for (column, value) in [
        ("event_id", "'00000000-0000-0000-0000-0000000000aa'"),
        ("event_type", "'StockCounted'"),
        ("event_version", "9"),
        ("metadata", "replace(metadata, 'shopper', 'nobody')"),
        ("recorded_at", "'2026-01-01T00:00:02.000001Z'"),
        ("occurred_at", "'2020-01-01T00:00:00.000000Z'"),
        ("digest", "zeroblob(32)"),
    ] {
        let found = tampered(&format!("UPDATE events SET {column} = {value} WHERE position = 2")).await;
        assert!(places(&found.findings).contains(&(2, Rule::Digest)), "{column}: {found}");
    }
}

#[tokio::test]
async fn text_that_is_no_longer_text_is_named_and_passed_over() {
    let found = tampered("UPDATE events SET payload = CAST(x'7bff7d' AS TEXT) WHERE position = 5").await;
    assert_eq!((found.findings[0].position, found.events), (5, 24), "{found}");
}

#[tokio::test]
async fn a_scope_that_is_not_in_the_metadata_is_named() {
    let found = tampered("UPDATE events SET idempotency_scope = 'shopper:checkout:k' WHERE position = 2").await;
    assert_eq!(places(&found.findings), [(2, Rule::Metadata)]);
}

#[tokio::test]
async fn a_forged_event_with_a_right_digest_still_breaks_its_schema() {
    let mut pen = shop::three_orders();
    pen.last().payload = r#"{"order_id":"00000000-0000-0000-0000-000000000003","quantity":-2}"#.to_owned();
    let found = written(&pen).await;
    assert_eq!(places(&found.findings), [(25, Rule::Schema), (25, Rule::Decode)]);
}

#[tokio::test]
async fn an_event_of_another_aggregate_in_a_stream_is_named() {
    let mut pen = shop::three_orders();
    pen.command("shopper", vec![(shop::order_stream(1), shop::received(1))]);
    assert_eq!(places(&written(&pen).await.findings), [(26, Rule::Decode)]);
}

#[tokio::test]
async fn an_event_of_a_newer_version_is_carried_and_counted() {
    let mut pen = shop::three_orders();
    (pen.last().event_type, pen.last().event_version) = ("StockHallmarked".into(), 3);
    let found = written(&pen).await;
    assert!(found.ok, "{found}");
    assert_eq!(found.unknown.get("StockHallmarked version 3"), Some(&1));
    assert!(found.to_string().contains("StockHallmarked"));
}

#[tokio::test]
async fn an_event_of_an_older_version_is_held_to_the_schema_it_was_written_under() {
    let adjusted = |reason: &str| {
        let mut pen = shop::three_orders();
        pen.command("merchant:ana", vec![(shop::tea_stream(), shop::lost(1))]);
        pen.last().event_version = 1;
        pen.last().payload = format!(r#"{{"sku":"TEA-100","location":"main","delta":-1,"reason":{reason}}}"#);
        pen
    };
    assert!(written(&adjusted("\"mice\"")).await.ok);
    assert_eq!(written(&adjusted("7")).await.findings[0].rule, Rule::Schema);
}

#[tokio::test]
async fn commands_that_interleave_and_events_that_come_twice_are_named() {
    let mut pen = shop::three_orders();
    let (metadata, first_id) = (pen.events()[1].metadata.clone(), pen.events()[1].event_id);
    pen.last().metadata = metadata;
    pen.last().event_id = first_id;
    assert_eq!(places(&written(&pen).await.findings), [(25, Rule::EventId), (25, Rule::Command)]);
}

/// What `verify` says of a log written as it is.
pub async fn written(pen: &Pen) -> Verification {
    let folder = TempDir::new().unwrap();
    verify(open(&pen.write(folder.path()).await).await.unwrap(), 1, None, None).await.unwrap()
}

#[tokio::test]
async fn a_range_is_verified_without_the_past_and_beyond_the_end_is_refused() {
    let folder = TempDir::new().unwrap();
    let url = shop::three_orders().write(folder.path()).await;
    let found = verify(open(&url).await.unwrap(), 10, Some(20), None).await.unwrap();
    assert_eq!((found.ok, found.from, found.to, found.events, &found.root), (true, 10, 20, 11, &None));
    for (from, to) in [(1, Some(26)), (27, None), (9, Some(7))] {
        assert!(verify(open(&url).await.unwrap(), from, to, None).await.is_err(), "{from} to {to:?}");
    }
}

#[tokio::test]
async fn a_log_wrong_everywhere_stops_after_enough_findings() {
    let mut pen = Pen::new();
    for _ in 0..200 {
        pen.command("merchant:ana", vec![(shop::order_stream(1), shop::received(1))]);
    }
    let found = written(&pen).await;
    assert_eq!((found.ok, found.findings.len()), (false, 100));
}

#[tokio::test]
async fn a_log_cut_short_or_rewritten_with_right_digests_does_not_match_what_was_known_of_it() {
    let known = written(&shop::three_orders()).await;
    let known = Some(Head { to: known.to, root: known.root.unwrap() });
    let held_against = |pen: Pen| {
        let known = known.clone();
        async move {
            let folder = TempDir::new().unwrap();
            let found = verify(open(&pen.write(folder.path()).await).await.unwrap(), 1, None, known).await.unwrap();
            places(&found.findings)
        }
    };
    let mut longer = shop::three_orders();
    longer.order(4);
    assert_eq!(held_against(longer).await, []);
    let mut shorter = Pen::new();
    shorter.command("merchant:ana", vec![(shop::tea_stream(), shop::received(50))]);
    shorter.order(1).order(2);
    assert_eq!(held_against(shorter).await, [(18, Rule::Head)]);
    let mut rewritten = shop::three_orders();
    rewritten.last().occurred_at += chrono::TimeDelta::seconds(1);
    assert_eq!(held_against(rewritten).await, [(25, Rule::Head)]);
}
