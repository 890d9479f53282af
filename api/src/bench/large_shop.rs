//! A log as large as is wanted: the demo shop's past, over and over, each time with other products, orders, payments and
//! carts, one past before the other. The categories stay the same, so that they fill as the catalog grows. What belongs together
//! in one past is scattered by title and by id among what belongs to the others, so that a page is not found in one place.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use event_schemas::{Proposed, Timestamp};
use event_store::{Log, MemoryLog};
use serde_json::Value;
use uuid::Uuid;

use super::BenchError;
use crate::demo;

/// Events appended at once.
const BATCH: usize = 5_000;
/// Fields that name something for people, unique in a shop.
const NAMES: [&str; 3] = ["sku", "slug", "number"];

/// Fills an empty log with so many events.
///
/// # Errors
/// When the demo shop cannot be made, or the log cannot be written.
pub(super) async fn fill(log: &dyn Log, events: u64) -> Result<(), BenchError> {
    let (demo, folder) = (MemoryLog::new(), tempfile::tempdir()?);
    demo::fill(&demo, &super::persons(folder.path()).await?, chrono::Utc::now().date_naive()).await?;
    let past: Vec<Proposed> = demo.read(0, usize::MAX).await?.into_iter().map(|recorded| recorded.event).collect();
    let (Some(first), Some(last)) = (past.first(), past.last()) else { return Ok(()) };
    let days = (last.recorded_at - first.recorded_at).num_days() + 1;
    let is_of_category = |event: &&Proposed| event.stream.aggregate_type == "category";
    let kept: BTreeSet<Uuid> = past.iter().filter(is_of_category).flat_map(|event| event.stream.aggregate_id.parse()).collect();
    let about_category = |event: &Proposed| {
        let names_one = || kept.iter().any(|id| event.payload.contains(&id.to_string()));
        is_of_category(&event) || (event.stream.aggregate_type == "claim" && names_one())
    };
    let again: Vec<Proposed> = past.iter().filter(|event| !about_category(event)).cloned().collect();

    let copies = 1 + events.saturating_sub(past.len() as u64).div_ceil(again.len() as u64);
    let (mut head, mut batch) = (log.head().await?.position, Vec::with_capacity(BATCH));
    for number in 0..copies {
        let earlier = TimeDelta::days(days * i64::try_from(copies - 1 - number).unwrap_or(0));
        let copy = Copy { number: u128::from(number), earlier, kept: &kept };
        for event in if number == 0 { &past } else { &again } {
            if head + batch.len() as u64 == events {
                break;
            }
            batch.push(copy.of(event)?);
            if batch.len() == BATCH {
                head = log.append(head, std::mem::take(&mut batch)).await?;
            }
        }
    }
    if !batch.is_empty() {
        log.append(head, batch).await?;
    }
    Ok(())
}

/// One of the pasts.
struct Copy<'k> {
    number: u128,
    earlier: TimeDelta,
    /// What all pasts share.
    kept: &'k BTreeSet<Uuid>,
}

impl Copy<'_> {
    fn of(&self, event: &Proposed) -> Result<Proposed, BenchError> {
        let mut copy = event.clone();
        copy.event_id = self.id(event.event_id);
        copy.stream.aggregate_id = self.stream(&event.stream.aggregate_type, &event.stream.aggregate_id);
        copy.payload = self.document(&event.payload)?;
        copy.metadata = self.document(&event.metadata)?;
        copy.recorded_at = event.recorded_at - self.earlier;
        copy.occurred_at = event.occurred_at - self.earlier;
        Ok(copy)
    }

    /// Another id for each past, by hash: those of one thing are no neighbours.
    fn id(&self, id: Uuid) -> Uuid {
        if self.kept.contains(&id) { id } else { Uuid::new_v5(&id, &self.number.to_be_bytes()) }
    }

    /// Another title for each past, which begins with something by hash: those of one product are no neighbours.
    fn title(&self, title: &str) -> String {
        format!("{:04x} {title}", Uuid::new_v5(&Uuid::from_u128(self.number), title.as_bytes()).as_u128() >> 112)
    }

    fn name(&self, name: &str) -> String {
        if self.number == 0 { name.to_owned() } else { format!("{name}-{}", self.number) }
    }

    /// The stream of a stock is `SKU@LOCATION`, that of a claim `KIND:NAME`.
    fn stream(&self, kind: &str, id: &str) -> String {
        match (kind, id.split_once('@')) {
            ("stock", Some((sku, location))) => format!("{}@{location}", self.name(sku)),
            ("claim", _) => self.name(id),
            _ => self.ids_within(id),
        }
    }

    fn document(&self, json: &str) -> Result<String, BenchError> {
        let mut document: Value = serde_json::from_str(json)?;
        self.rewrite("", &mut document);
        Ok(serde_json::to_string(&document)?)
    }

    fn rewrite(&self, field: &str, value: &mut Value) {
        match value {
            Value::String(text) if NAMES.contains(&field) => *text = self.name(text),
            Value::String(text) if field == "title" => *text = self.title(text),
            Value::String(text) => match text.parse::<Timestamp>() {
                Ok(moment) => *text = event_schemas::rfc3339(moment - self.earlier),
                Err(_) => *text = self.ids_within(text),
            },
            Value::Array(values) => values.iter_mut().for_each(|value| self.rewrite(field, value)),
            Value::Object(fields) => fields.iter_mut().for_each(|(field, value)| self.rewrite(field, value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The text with other ids in it, such as `product/0197…`.
    fn ids_within(&self, text: &str) -> String {
        let part = |part: &str| part.parse().map_or_else(|_| part.to_owned(), |id: Uuid| self.id(id).to_string());
        text.split('/').map(part).collect::<Vec<_>>().join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_large_shop_has_as_many_events_as_were_asked_for_and_every_name_once() {
        let log = MemoryLog::new();
        fill(&log, 120_000).await.unwrap();
        let events = log.read(0, usize::MAX).await.unwrap();
        assert_eq!(events.len(), 120_000);
        assert!(events.is_sorted_by_key(|event| event.event.recorded_at));
        let ids: BTreeSet<_> = events.iter().map(|event| event.event.event_id).collect();
        assert_eq!(ids.len(), events.len());
        let begun = events.iter().filter(|event| event.event.sequence == 1);
        let streams: BTreeSet<_> = begun.clone().map(|event| event.event.stream.clone()).collect();
        assert_eq!(streams.len(), begun.count());
        for view in projections::ALL {
            projections::fold_in_memory(view, events.clone()).unwrap();
        }
    }

    #[test]
    fn the_copies_of_a_product_are_neighbours_neither_by_title_nor_by_id() {
        let (id, kept) = (Uuid::from_u128(7), BTreeSet::new());
        let begins = |number| {
            let copy = Copy { number, earlier: TimeDelta::zero(), kept: &kept };
            let (id, title) = (copy.id(id).to_string(), copy.title("Hill Sencha"));
            [id[..4].to_owned(), title[..4].to_owned()]
        };
        let begins: BTreeSet<_> = (0..100).flat_map(begins).collect();
        assert!(begins.len() > 180, "{begins:?}");
    }
}
