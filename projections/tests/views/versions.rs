//! The version of a row is that of its aggregate: what its rules are asked with, whatever else changes the row.

use std::collections::BTreeMap;

use event_schemas::*;
use event_store::Log as _;
use projections::*;

use crate::{
    access::many,
    runner::followed,
    shop::{History, busy_days, day, id},
    store::Home,
};

on_each_store!(a_version_counts_what_happened_to_the_thing_itself);

fn webhooks_own_events(history: &mut History) {
    let webhook_id = WebhookId(id(80_001));
    let events: Vec<WebhookEvent> = vec![
        WebhookPaused { reason: WebhookPauseReason::Staff }.into(),
        WebhookDeliveryRetried { position: 3 }.into(),
        WebhookResumed {}.into(),
    ];
    events.into_iter().for_each(|event| history.happens(webhook_id, event, day(40, 0)));
}

/// The rows of a table by the id of their aggregate.
fn versions<R: Row>(reader: &Reader<'_>, version: fn(&R) -> (String, Sequence)) -> BTreeMap<String, Sequence> {
    reader.rows::<R>("", &[]).unwrap().iter().map(version).collect()
}

async fn a_version_counts_what_happened_to_the_thing_itself(home: Home) {
    let mut history = busy_days(30);
    many(&mut history, 20);
    webhooks_own_events(&mut history);
    let log = history.log().await;
    let mut last: BTreeMap<String, BTreeMap<String, Sequence>> = BTreeMap::new();
    for recorded in log.read(0, 1_000_000).await.unwrap() {
        let stream = recorded.event.stream;
        last.entry(stream.aggregate_type.to_string())
            .or_default()
            .insert(stream.aggregate_id.to_string(), recorded.event.sequence);
    }
    let views = home.views("views.db");
    followed(&log, &views, 1_000).await;
    let mut seen = 0;
    let compared = views.read_blocking(|reader| {
        macro_rules! compare {
            ($($kind:literal: $row:ty = |$it:ident| $id:expr),+ $(,)?) => {$(
                let shown = versions::<$row>(reader, |$it| ($id.to_string(), $it.version));
                assert_eq!(shown, last.get($kind).cloned().unwrap_or_default(), "{}", $kind);
                seen += shown.len();
            )+};
        }
        compare!(
            "product": Product = |row| row.product_id,
            "category": Category = |row| row.category_id,
            "cart": Cart = |row| row.cart_id,
            "order": Order = |row| row.order_id,
            "payment": Payment = |row| row.payment_id,
            "stock": StockLevel = |row| StockId { sku: row.sku.clone(), location: row.location.clone() },
            "promotion": Promotion = |row| row.promotion_id,
            "account": Account = |row| row.account_id,
            "api_key": ApiKey = |row| row.api_key_id,
            "webhook": Webhook = |row| row.webhook_id,
        );
        Ok(())
    });
    compared.unwrap();
    assert!(seen > 100, "{seen}");
}
