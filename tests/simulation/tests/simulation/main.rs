//! Deterministic simulation: the real engine, several nodes of it, on a simulated log, clock and gateway that fail as a seed
//! says, beside an independent model that knows every answer.
//!
//! `DAYBOOK_SEEDS=10000 cargo nextest run --release -p simulation many_seeds` runs many seeds, from
//! `DAYBOOK_FIRST_SEED` on. A failure prints the seed; `DAYBOOK_SEED=7 … one_seed --no-capture` tells what
//! happened in it, step by step (with `DAYBOOK_BUG=LostWrite`, say, under a planted bug).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod ask;
mod auditor;
mod bugs;
mod clock;
mod closing;
mod gateway;
mod log;
mod model;
mod node;
mod profile;
mod run;
mod shoppers;
mod truth;
mod views;
mod world;

use std::collections::BTreeMap;

use bugs::{Bug, PLANTED};
use run::{Report, run};

/// How many seeds run when nobody says otherwise.
const SEEDS: u64 = 1_000;
/// One seed in so many is also followed by the real runner into SQLite, rebuilt, and compared row by row.
const EVERY: u64 = 50;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// What to do with a seed that failed.
fn failed(report: &Report) -> String {
    let Report { seed, finding, .. } = report;
    format!(
        "seed {seed}: {}\nreplay: DAYBOOK_SEED={seed} cargo nextest run --release -p simulation --no-capture one_seed",
        finding.as_deref().unwrap_or("nothing found")
    )
}

/// What must have happened somewhere in a few hundred seeds, for their silence to mean anything.
const SEEN: &[&str] = &[
    "ALREADY_PAID",
    "ALREADY_SHIPPED",
    "BACKORDERS_OUTSTANDING",
    "CAPTURE_EXCEEDS_AUTHORISED",
    "COUPON_NOT_FOUND",
    "CartExpired",
    "CartLineRemoved",
    "FulfilmentDelivered",
    "INSUFFICIENT_STOCK",
    "INVALID_QUANTITY",
    "NOTHING_AUTHORISED",
    "OrderCancelled",
    "OrderExpired",
    "OrderItemsReturned",
    "OrderRefunded",
    "OrderReinstated",
    "PAYMENT_IN_PROGRESS",
    "PRICE_CHANGED",
    "PROMOTION_USED_UP",
    "PaymentActionRequired",
    "PaymentDeclined",
    "PaymentDisputeClosed",
    "PaymentExpired",
    "PaymentRefundFailed",
    "PaymentVoided",
    "PromotionRestored",
    "REFUND_EXCEEDS_CAPTURED",
    "REFUND_EXISTS",
    "ReservationCommitted",
    "STOCK_SET_ASIDE_FOR_ORDERS",
    "StockReturned",
    "StockShipped",
    "TOO_LATE_TO_PAY",
    "TOO_MANY_UNITS",
    "WRONG_STATE",
    "key reused",
    "no answer",
    "not written",
    "nothing to do",
    "repeated",
    "unknown",
];

#[test]
fn many_seeds_keep_every_promise() {
    let (first, seeds) = (setting("DAYBOOK_FIRST_SEED").unwrap_or(1), setting("DAYBOOK_SEEDS").unwrap_or(SEEDS));
    let (mut commands, mut events, mut failures) = (0, 0, Vec::new());
    let mut counts = BTreeMap::<String, u64>::new();
    for seed in first..first + seeds {
        let mut report = run(seed, None, false);
        commands += report.commands;
        events += report.log.len();
        report.counts.iter().for_each(|(what, count)| *counts.entry(what.clone()).or_default() += count);
        if report.finding.is_none() && seed.is_multiple_of(EVERY) {
            report.finding = views::follow_and_rebuild(std::mem::take(&mut report.log));
        }
        if report.finding.is_some() {
            println!("{}", failed(&report));
            failures.push(report.seed);
        }
        if (seed - first + 1).is_multiple_of(1000) {
            println!("{} seeds, {commands} commands, {events} events, {} failures", seed - first + 1, failures.len());
        }
        if failures.len() >= 10 {
            break;
        }
    }
    println!("seeds {first} to {}: {commands} commands, {events} events\n{counts:#?}", first + seeds - 1);
    assert!(failures.is_empty(), "seeds that break a promise: {failures:?}");
    let unseen: Vec<_> = SEEN.iter().filter(|what| !counts.contains_key(**what)).collect();
    assert!(unseen.is_empty() || seeds < SEEDS, "what never happened was not tested: {unseen:?}");
}

#[test]
#[ignore = "tells one seed: set DAYBOOK_SEED"]
fn one_seed() {
    let Some(seed) = setting("DAYBOOK_SEED") else { return };
    let bug = std::env::var("DAYBOOK_BUG").ok();
    let planted = PLANTED.iter().map(|(planted, ..)| *planted).find(|planted| Some(format!("{planted:?}")) == bug);
    let report = run(seed, planted, true);
    assert!(report.finding.is_none(), "{}", failed(&report));
}

#[test]
fn a_seed_tells_the_same_story_every_time() {
    for seed in [3, 14, 159] {
        let (once, again) = (run(seed, None, false), run(seed, None, false));
        assert_eq!(once, again);
        assert_ne!(once.trace, run(seed + 1, None, false).trace);
    }
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed: Vec<(Bug, &str)> = Vec::new();
    for (bug, what, budget) in PLANTED {
        let found = (1..=*budget).find_map(|seed| run(seed, Some(*bug), false).finding.map(|finding| (seed, finding)));
        match found {
            Some((seeds, finding)) => println!("| {what} | {seeds} | {} |", &finding[..finding.len().min(200)]),
            None => missed.push((*bug, what)),
        }
    }
    assert!(missed.is_empty(), "planted bugs that were not found: {missed:?}");
}
