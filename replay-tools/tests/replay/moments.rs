//! The past by position, by what was recorded and by what had happened; and what a range of the log comes to.

use event_schemas::Timestamp;
use serde_json::{Value, json};

use crate::{shop, verbs::Desk};

/// Fifty packets of tea, of which ten more had come in the year before, which was written down only now.
async fn late_delivery() -> Desk {
    let mut pen = shop::three_orders();
    pen.command("merchant:ana", vec![(shop::tea_stream(), shop::received(10))]);
    pen.last().occurred_at = "2025-06-01T00:00:00Z".parse::<Timestamp>().unwrap();
    Desk::with(&pen).await
}

#[tokio::test]
async fn what_was_recorded_late_counts_from_when_it_happened() {
    let desk = late_delivery().await;
    let at = |moment: &str| {
        let said = desk.json(&["state", "stock/TEA-100@main", "--at", moment]);
        (said["state"]["on_hand"].clone(), said["events"].clone())
    };
    assert_eq!(at("2025-12-31T00:00:00Z"), (Value::Null, json!(0)), "nothing was known then");
    assert_eq!(at("occurred:2025-12-31T00:00:00Z"), (json!(10), json!(1)), "and this is what there was");
    assert_eq!(at("occurred:2026-01-01T00:00:01Z"), (json!(60), json!(2)));
    assert_eq!(at("2026-01-01T00:00:01Z"), (json!(50), json!(1)));
    let (from, to) = ("occurred:2025-12-31T00:00:00Z", "occurred:2026-01-01T00:00:01Z");
    let said = desk.json(&["diff", "stock/TEA-100@main", "--from", from, "--to", to]);
    assert_eq!(said["events"], json!(1));
    assert!(desk.refusal(&["diff", "stock/TEA-100@main", "--from", to, "--to", from]).contains("later"));
}

#[tokio::test]
async fn no_verb_tells_what_will_be() {
    let desk = late_delivery().await;
    let tomorrow = event_schemas::rfc3339(chrono::Utc::now() + chrono::TimeDelta::days(1));
    let tomorrow = tomorrow.as_str();
    let occurred = format!("occurred:{tomorrow}");
    std::fs::write(desk.path("rules.json"), "{}").unwrap();
    for args in [
        &["state", "stock/TEA-100@main", "--at", tomorrow][..],
        &["state", "stock/TEA-100@main", "--at", &occurred],
        &["diff", "stock/TEA-100@main", "--from", "1", "--to", tomorrow],
        &["diff-views", "--from", "1", "--to", tomorrow, "--projection", "stock"],
        &["export", "--out", "later.jsonl", "--to", tomorrow],
        &["export", "--out", "later.jsonl", "--from", tomorrow],
        &["what-if", "--rules", "rules.json", "--to", &occurred],
        &["evidence-pack", "--out", "later.zip", "--to", tomorrow],
    ] {
        let said = desk.refusal(args);
        assert!(said.contains(tomorrow) && said.contains("has not come yet: it is 2"), "{args:?}: {said}");
    }
    assert!(!desk.path("later.jsonl").exists() && !desk.path("later.zip").exists());
}

#[tokio::test]
async fn no_verb_takes_a_position_that_the_log_does_not_have() {
    let desk = late_delivery().await;
    std::fs::write(desk.path("rules.json"), "{}").unwrap();
    for args in [
        &["state", "stock/TEA-100@main", "--at", "27"][..],
        &["diff", "stock/TEA-100@main", "--from", "27"],
        &["diff", "stock/TEA-100@main", "--from", "1", "--to", "27"],
        &["diff-views", "--from", "1", "--to", "27", "--projection", "stock"],
        &["certificate", "--to", "27"],
        &["head", "--to", "27"],
        &["verify", "--to", "27"],
        &["export", "--out", "later.jsonl", "--to", "27", "--record-as", "ana"],
        &["export", "--out", "later.jsonl", "--from", "28", "--record-as", "ana"],
        &["what-if", "--rules", "rules.json", "--to", "27"],
        &["evidence-pack", "--out", "later.zip", "--to", "27"],
    ] {
        let said = desk.refusal(args);
        assert!(said.contains("ends at position 26"), "{args:?}: {said}");
    }
    for args in [&["verify", "--from", "0"][..], &["export", "--out", "later.jsonl", "--from", "0"]] {
        assert!(desk.refusal(args).contains('1'), "{args:?}");
    }
    assert!(!desk.path("later.jsonl").exists() && !desk.path("later.zip").exists());
    assert_eq!(desk.json(&["verify"])["events"], json!(26), "and nothing was written down about an export that was not made");
    assert_eq!(desk.json(&["state", "stock/TEA-100@main", "--at", "26"])["state"]["on_hand"], json!(54));
    // A time behind the log's end is none that it has not come to.
    let now = event_schemas::rfc3339(chrono::Utc::now());
    assert_eq!(desk.json(&["state", "stock/TEA-100@main", "--at", &now])["state"]["on_hand"], json!(54));
}

#[tokio::test]
async fn what_was_is_told_though_the_last_event_is_damaged() {
    let desk = late_delivery().await;
    desk.tamper("UPDATE events SET recorded_at = 'never' WHERE position = 26");
    assert_eq!(desk.json(&["state", "payment/00000000-0000-0000-0000-0000000f4241", "--at", "4"])["events"], json!(1));
}

#[tokio::test]
async fn the_views_of_two_moments_are_compared_row_by_row() {
    let desk = late_delivery().await;
    let output = desk.run(&["diff-views", "--from", "9", "--to", "17", "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &said["ok"]), (Some(1), &json!(false)));
    let table = |name: &str| {
        let found = said["tables"].as_array().unwrap().iter().find(|table| table["table"] == name).unwrap().clone();
        (found["equal"].clone(), found["only_first"].clone(), found["only_second"].clone(), found["different"].clone())
    };
    assert_eq!(table("orders"), (json!(1), json!(0), json!(1), json!(0)), "the second order came");
    assert_eq!(table("stock_levels"), (json!(0), json!(0), json!(0), json!(1)));
    assert!(desk.text(&["diff-views", "--from", "17", "--to", "17"]).starts_with("the views are equal: "));
    assert!(!desk.run(&["diff-views", "--from", "17"]).status.success(), "the end of the log is another moment");
    let then = "occurred:2025-12-31T00:00:00Z";
    let told =
        String::from_utf8(desk.run(&["diff-views", "--from", then, "--to", "26", "--projection", "stock"]).stdout).unwrap();
    assert!(told.contains("on_hand 10 → 54"), "{told}");
    assert!(desk.refusal(&["diff-views", "--from", "17", "--to", "9"]).contains("--from is later than --to"));
    assert!(desk.refusal(&["diff-views", "--from", "9", "--to", "99"]).contains("ends at position 26"));
    assert!(desk.refusal(&["diff-views", "sqlite:views.db"]).contains("<SECOND>"), "one set of views is none to compare");
}

/// The certificate of a log under an environment.
fn certificate(desk: &Desk, environment: &[(&str, &str)], args: &[&str]) -> Value {
    let output = desk.run_where(environment, &[&["certificate", "--json"], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_certificate_is_the_same_wherever_and_however_often_the_log_is_replayed() {
    let desk = late_delivery().await;
    let said = certificate(&desk, &[("TZ", "UTC")], &[]);
    assert_eq!((&said["from"], &said["to"], &said["events"], &said["unknown"]), (&json!(1), &json!(26), &json!(26), &json!(0)));
    assert_eq!(said["root"], desk.json(&["verify"])["root"]);
    let orders = said["views"].as_array().unwrap().iter().find(|view| view["table"] == "orders").unwrap();
    let stock = said["aggregates"].as_array().unwrap().iter().find(|aggregate| aggregate["aggregate"] == "stock").unwrap();
    assert_eq!((&orders["rows"], &stock["count"]), (&json!(3), &json!(1)));
    let elsewhere: [&[(&str, &str)]; 4] = [
        &[("TZ", "UTC")],
        &[("TZ", "Pacific/Kiritimati"), ("TOKIO_WORKER_THREADS", "1")],
        &[("TZ", "America/St_Johns"), ("TOKIO_WORKER_THREADS", "4"), ("LC_ALL", "tr_TR.UTF-8")],
        &[("RAYON_NUM_THREADS", "1")],
    ];
    for environment in elsewhere {
        assert_eq!(certificate(&desk, environment, &[]), said, "{environment:?}");
    }
    desk.text(&["export", "--out", "shop.jsonl"]);
    assert_eq!(certificate(&desk, &[], &["--log", "jsonl:shop.jsonl"]), said);
    desk.text(&["import", "shop.jsonl", "--log", "sqlite:copy.db"]);
    assert_eq!(certificate(&desk, &[], &["--log", "sqlite:copy.db"]), said, "the log's own id is not in it");
}

#[tokio::test]
async fn a_certificate_of_a_log_in_postgresql_is_that_of_the_same_log_in_sqlite() {
    let Some(server) = test_postgres::Postgres::start() else { return };
    let desk = late_delivery().await;
    let url = server.database("shop");
    desk.text(&["export", "--out", "shop.jsonl"]);
    desk.text(&["import", "shop.jsonl", "--log", &url]);
    for range in [&[][..], &["--to", "12"]] {
        let there = certificate(&desk, &[], &[range, &["--log", &url]].concat());
        assert_eq!(there, certificate(&desk, &[], range), "{range:?}");
    }
}

#[tokio::test]
async fn another_range_is_another_certificate_and_a_changed_record_none() {
    let desk = late_delivery().await;
    let (whole, part) = (certificate(&desk, &[], &[]), certificate(&desk, &[], &["--to", "25"]));
    assert_ne!(whole["certificate"], part["certificate"]);
    let three = Desk::with_three_orders().await;
    assert_eq!(certificate(&three, &[], &[]), part, "what comes behind the range is not in it");
    assert_eq!(certificate(&desk, &[], &["--to", "0"])["events"], json!(0));
    assert!(desk.refusal(&["certificate", "--to", "27"]).contains("ends at position 26"));
    desk.tamper("UPDATE events SET payload = replace(payload, '900', '901') WHERE position = 3");
    assert!(desk.refusal(&["certificate"]).contains("position 3 was changed after it was recorded"));
}
