//! What would have been: orders repriced, days judged by another rule, and views built of it, with nothing changed.

use std::sync::Arc;

use event_schemas::{
    AppliedDiscount, CommerceEvent, CouponCode, OrderPlaced, PromotionCreated, PromotionEffect, PromotionEvent, PromotionId,
    StreamId, Timestamp,
};
use event_store::{Log, MemoryLog};
use projections::{ANOMALIES, AnomalyFilter, AnomalySort, Page, Views};
use replay_tools::{
    AnomalyRule, OtherPrice, OtherPromotion, OtherTax, Outcome, PriceChange, SideBySide, Supposed, rebuild, what_if,
};
use tempfile::TempDir;

use crate::{
    shop::{self, Pen, id},
    verbs::Desk,
};

async fn log(pen: &Pen) -> Arc<MemoryLog> {
    let log = MemoryLog::new();
    log.append(0, pen.events().to_vec()).await.unwrap();
    Arc::new(log)
}

fn euros(outcome: &Outcome) -> SideBySide {
    assert_eq!(outcome.orders.len(), 1);
    *outcome.orders.values().next().unwrap()
}

async fn euros_of(pen: &Pen, supposed: Supposed) -> SideBySide {
    euros(&what_if(log(pen).await, supposed, None).await.unwrap())
}

fn from_20_to(becomes_ppm: u32, country: Option<&str>) -> Supposed {
    let country = country.map(|code| code.parse().unwrap());
    Supposed { taxes: vec![OtherTax { country, rate_ppm: 200_000, becomes_ppm }], ..Supposed::default() }
}

#[tokio::test]
async fn nothing_supposed_is_what_was() {
    let beside = euros_of(&shop::three_orders(), Supposed::default()).await;
    assert_eq!((beside.orders, beside.changed, beside.not_repriced), (3, 0, 0));
    assert_eq!((beside.recorded, beside.recorded.gross_minor), (beside.supposed, 3 * 1200));
}

#[tokio::test]
async fn another_rate_within_the_same_price_moves_money_between_tax_and_net() {
    let beside = euros_of(&shop::three_orders(), from_20_to(100_000, None)).await;
    // Of 9.00 and 3.00 with 10 % within: 0.82 and 0.27, each rounded half to even.
    assert_eq!((beside.changed, beside.supposed.gross_minor, beside.supposed.tax_minor), (3, 3 * 1200, 3 * (82 + 27)));
    assert_eq!(beside.supposed.net_minor, 3 * (1200 - 82 - 27));
    assert_eq!(euros_of(&shop::three_orders(), from_20_to(100_000, Some("DE"))).await.changed, 0, "they name no country");
}

#[tokio::test]
async fn only_orders_of_the_time_supposed_are_repriced() {
    let second = Timestamp::from_timestamp(1_767_225_600 + 6, 0);
    let supposed = Supposed { from: second, ..from_20_to(100_000, None) };
    assert_eq!(euros_of(&shop::three_orders(), supposed).await.changed, 2);
    let supposed = Supposed { until: second, ..from_20_to(100_000, None) };
    assert_eq!(euros_of(&shop::three_orders(), supposed).await.changed, 1);
}

#[tokio::test]
async fn another_price_is_taken_with_its_tax_and_shipping_stays() {
    let dearer = |change| Supposed { prices: vec![OtherPrice { sku: None, category_id: None, change }], ..Supposed::default() };
    // Two packets of 4.95 each, and 3.00 for shipping; 1.65 and 0.50 of that are tax.
    let beside = euros_of(&shop::three_orders(), dearer(PriceChange::ByPpm(100_000))).await;
    assert_eq!((beside.supposed.gross_minor, beside.supposed.tax_minor), (3 * (990 + 300), 3 * (165 + 50)));
    let beside = euros_of(&shop::three_orders(), dearer(PriceChange::ToMinor(0))).await;
    assert_eq!(beside.supposed.gross_minor, 3 * 300);
    let of_coffee = OtherPrice { sku: Some("COFFEE".parse().unwrap()), category_id: None, change: PriceChange::ToMinor(1) };
    assert_eq!(euros_of(&shop::three_orders(), Supposed { prices: vec![of_coffee], ..Supposed::default() }).await.changed, 0);
}

/// An order of two packets that used a coupon of 10 %.
fn with_coupon() -> Pen {
    let (promotion_id, code) = (PromotionId(id(77)), CouponCode::new("TEA10").unwrap());
    let effect = PromotionEffect::PercentOff { ppm: 100_000 };
    let (name, code_again) = ("Tea".to_owned(), code.clone());
    let created = PromotionCreated { promotion_id, name, code, effect, starts_at: None, ends_at: None, usage_limit: None };
    let mut order: OrderPlaced = shop::placed(1);
    order.discounts = vec![AppliedDiscount { promotion_id, code: code_again, amount_minor: 90 }];
    let line = &mut order.lines[0];
    (line.discount_minor, line.gross_minor, line.tax_minor, line.net_minor) = (90, 810, 135, 675);
    let totals = &mut order.totals;
    (totals.discount_minor, totals.gross_minor, totals.tax_minor, totals.net_minor) = (90, 1110, 185, 925);
    let mut pen = Pen::new();
    let promotion = CommerceEvent::from(PromotionEvent::from(created));
    pen.command("merchant:ana", vec![(StreamId::new("promotion", promotion_id), promotion)]);
    pen.command("shopper", vec![(shop::order_stream(1), shop::order(order))]);
    pen
}

#[tokio::test]
async fn a_promotion_can_take_off_more_or_nothing() {
    let other = |effect| {
        let promotion = OtherPromotion { code: CouponCode::new("TEA10").unwrap(), effect };
        Supposed { promotions: vec![promotion], ..Supposed::default() }
    };
    let as_it_was = euros_of(&with_coupon(), Supposed::default()).await;
    assert_eq!((as_it_was.not_repriced, as_it_was.recorded.discount_minor), (0, 90));
    let nothing = euros_of(&with_coupon(), other(None)).await;
    assert_eq!((nothing.supposed.discount_minor, nothing.supposed.gross_minor), (0, 1200));
    let more = euros_of(&with_coupon(), other(Some(PromotionEffect::AmountOff { amount: shop::eur(400) }))).await;
    assert_eq!((more.supposed.discount_minor, more.supposed.gross_minor), (400, 800));
}

#[tokio::test]
async fn an_order_whose_amounts_do_not_follow_from_its_prices_stays_as_it_was() {
    let mut order = shop::placed(1);
    (order.lines[0].unit_price_minor, order.totals.subtotal_minor) = (449, 900);
    let mut pen = Pen::new();
    pen.command("import:past", vec![(shop::order_stream(1), shop::order(order))]);
    let beside = euros_of(&pen, from_20_to(100_000, None)).await;
    assert_eq!((beside.orders, beside.changed, beside.not_repriced), (1, 0, 1));
    assert_eq!(beside.recorded, beside.supposed);
}

/// Orders of some months: a wave over the week with noise, and three odd days.
fn months() -> Pen {
    let mut pen = Pen::new();
    let mut random = fastrand::Rng::with_seed(5);
    let mut number = 0;
    for day in 0..130_i64 {
        let usual = if day % 7 < 5 { 6 } else { 2 };
        let orders = match day {
            70 | 101 => 30,
            110..115 => 0,
            _ => usual + random.i64(-1..=1),
        };
        for _ in 0..orders {
            number += 1;
            let mut order = shop::placed(number);
            order.payment_id = None;
            pen.command("import:past", vec![(shop::order_stream(number), shop::order(order))]);
            pen.last().occurred_at = Timestamp::from_timestamp(1_735_689_600 + day * 86_400 + 3_600, 0).unwrap();
        }
    }
    pen
}

#[tokio::test]
async fn the_shops_own_rule_finds_the_days_that_its_view_finds() {
    let (log, folder) = (log(&months()).await, TempDir::new().unwrap());
    let outcome = what_if(log.clone(), Supposed::default(), None).await.unwrap();
    assert!(outcome.unusual_recorded.is_empty() && outcome.unusual_supposed.is_empty(), "one rule, one past");
    let url = format!("sqlite:{}", folder.path().join("views.db").display());
    rebuild(log, &url, &[&ANOMALIES]).await.unwrap();
    let page = Page::first(100);
    let read = |reader: &projections::Reader<'_>| reader.anomalies(&AnomalyFilter::default(), AnomalySort::Day, true, &page);
    let listed = Views::open(&url).unwrap().read_blocking(read).unwrap();
    let mut view: Vec<_> =
        listed.items.iter().map(|(_, row)| (row.day, row.metric.as_str().to_owned(), row.observed, row.expected)).collect();
    view.sort();
    let ours = outcome.unusual_both.iter().map(|day| (day.day, day.metric.clone(), day.observed, day.expected));
    assert_eq!(ours.collect::<Vec<_>>(), view);
    assert!(view.len() >= 3, "{view:?}");
}

#[tokio::test]
async fn another_rule_finds_more_or_fewer_days() {
    let log = log(&months()).await;
    let under = |anomalies| what_if(log.clone(), Supposed { anomalies, ..Supposed::default() }, None);
    let keener = under(AnomalyRule { chance: 0.2, ..AnomalyRule::default() }).await.unwrap();
    assert!(keener.unusual_recorded.is_empty() && !keener.unusual_supposed.is_empty());
    let deaf = under(AnomalyRule { minimum_orders: 1_000.0, ..AnomalyRule::default() }).await.unwrap();
    assert!(deaf.unusual_both.is_empty() && deaf.unusual_recorded.len() >= 3);
}

#[tokio::test]
async fn views_are_built_as_they_would_be_and_the_log_stays_as_it_is() {
    let (log, folder) = (log(&shop::three_orders()).await, TempDir::new().unwrap());
    let url = format!("sqlite:{}", folder.path().join("shadow.db").display());
    let before = log.read(0, 100).await.unwrap();
    let outcome = what_if(log.clone(), from_20_to(0, None), Some(&url)).await.unwrap();
    assert_eq!((outcome.views.as_deref(), log.read(0, 100).await.unwrap()), (Some(&*url), before));
    let balance = Views::open(&url).unwrap().read_blocking(|reader| reader.trial_balance()).unwrap();
    let of = |account: &str| balance[0].accounts.iter().find(|row| row.account == account).map_or(0, |row| row.balance_minor);
    assert_eq!((of("tax_payable"), of("sales"), of("shipping_income")), (0, -2_700, -900));
    assert_eq!(of("cash:sandbox"), 3_600, "what was paid is what was paid");
}

#[tokio::test]
async fn rules_that_cannot_be_supposed_are_refused_with_the_file_and_the_reason() {
    let desk = Desk::with_three_orders().await;
    for (rules, because) in [
        ("", "EOF while parsing"),
        (r#"{ "tax": [] }"#, "unknown field `tax`"),
        (r#"{ "from": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z" }"#, "until must be later than that"),
        (r#"{ "taxes": [{ "rate_ppm": 200000, "becomes_ppm": 2000000 }] }"#, "more than the whole"),
        (r#"{ "prices": [{ "change": { "to_minor": -1 } }] }"#, "makes a price negative"),
        (r#"{ "anomalies": { "weeks": 1 } }"#, "anomalies.weeks is 1"),
    ] {
        std::fs::write(desk.path("rules.json"), rules).unwrap();
        let said = desk.refusal(&["what-if", "--rules", "rules.json"]);
        assert!(said.contains("rules.json: ") && said.contains(because), "{said}");
    }
    assert!(desk.refusal(&["what-if", "--rules", "nothing.json"]).contains("nothing.json is not there"));
    std::fs::write(desk.path("rules.json"), "{}").unwrap();
    assert!(desk.refusal(&["what-if", "--rules", "rules.json", "--to", "26"]).contains("ends at position 25"));
}
