//! What is sent: an event of the log as a message of the Standard Webhooks specification.

use std::{collections::BTreeSet, sync::LazyLock};

use event_schemas::{CommerceEvent, Position, Recorded, WebhookId, rfc3339};
use serde::Serialize;
use serde_json::value::RawValue;

/// The aggregates whose events are told. An aggregate that is not listed stays inside: accounts, roles, keys and webhooks
/// concern the shop's own people, claims are its bookkeeping.
const TOLD: [&str; 9] = ["adjustment", "cart", "category", "order", "payment", "product", "promotion", "review", "stock"];

/// The type of a message about an event, such as `order.placed` for the `OrderPlaced` of an `order`; none for events that are
/// never sent.
pub fn event_type(aggregate_type: &str, recorded_type: &str) -> Option<String> {
    if !TOLD.contains(&aggregate_type) {
        return None;
    }
    let mut words: Vec<String> = Vec::new();
    for letter in recorded_type.chars() {
        match words.last_mut() {
            Some(word) if !letter.is_uppercase() => word.push(letter),
            _ => words.push(letter.to_lowercase().collect()),
        }
    }
    // What the aggregate's name says already is not said twice.
    let again = words.len() > 1 && words.first().is_some_and(|word| word == aggregate_type);
    let rest = if again { &words[1..] } else { &words[..] };
    Some(format!("{aggregate_type}.{}", rest.join("_")))
}

/// Every type of message that there is, sorted.
pub fn event_types() -> &'static BTreeSet<String> {
    static TYPES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let schemas = CommerceEvent::schemas();
        schemas.iter().filter_map(|event| event_type(event.aggregate_type, event.event_type)).collect()
    });
    &TYPES
}

/// A message as it goes out: the bytes that are signed are the bytes that are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The same for every try, on every node: receivers know a repeat by it.
    pub(crate) id: String,
    /// JSON.
    pub(crate) body: String,
}

#[derive(Serialize)]
struct Body<'a, D> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: String,
    data: D,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    position: Position,
    stream: String,
    sequence: u64,
    event_type: &'a str,
    event_version: u32,
    /// As the log holds it, byte for byte.
    payload: &'a RawValue,
}

/// The message about an event; none for events that are never sent.
///
/// # Errors
/// If the recorded payload is not JSON: the log is damaged.
pub(crate) fn message_of(webhook_id: WebhookId, recorded: &Recorded) -> Result<Option<Message>, serde_json::Error> {
    let event = &recorded.event;
    let Some(kind) = event_type(&event.stream.aggregate_type, &event.event_type) else { return Ok(None) };
    let data = Data {
        position: recorded.position,
        stream: event.stream.to_string(),
        sequence: event.sequence,
        event_type: &event.event_type,
        event_version: event.event_version,
        payload: serde_json::from_str(&event.payload)?,
    };
    let body = serde_json::to_string(&Body { kind: &kind, timestamp: rfc3339(event.occurred_at), data })?;
    Ok(Some(Message { id: format!("evt_{}_{webhook_id}", recorded.position), body }))
}

/// A message that says nothing, to see whether a webhook is reached.
///
/// # Errors
/// Never for what is built here.
pub(crate) fn test_message(
    webhook_id: WebhookId,
    id: uuid::Uuid,
    now: event_schemas::Timestamp,
) -> Result<Message, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Test {
        webhook: String,
    }
    let data = Test { webhook: webhook_id.to_string() };
    let body = serde_json::to_string(&Body { kind: "webhook.test", timestamp: rfc3339(now), data })?;
    Ok(Message { id: format!("test_{}_{webhook_id}", id.simple()), body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_schemas::{Proposed, StreamId, Timestamp};

    fn recorded(stream: &str, event_type: &'static str) -> Recorded {
        let at = Timestamp::from_timestamp_micros(1_700_000_000_000_000).unwrap();
        let event = Proposed {
            event_id: uuid::Uuid::nil(),
            stream: stream.parse::<StreamId>().unwrap(),
            sequence: 2,
            event_type: event_type.into(),
            event_version: 1,
            payload: "{\"amount\": 1.10}".to_owned(),
            metadata: "{}".to_owned(),
            recorded_at: at,
            occurred_at: at,
            idempotency_scope: None,
        };
        Recorded::at(41, event)
    }

    #[test]
    fn a_type_reads_aggregate_and_what_happened() {
        for (aggregate, event, expected) in [
            ("order", "OrderPlaced", "order.placed"),
            ("order", "OrderPaymentReceived", "order.payment_received"),
            ("order", "FulfilmentDelivered", "order.fulfilment_delivered"),
            ("stock", "StockTransferredOut", "stock.transferred_out"),
            ("product", "VariantPriceSet", "product.variant_price_set"),
            ("adjustment", "CreditNoteIssued", "adjustment.credit_note_issued"),
        ] {
            assert_eq!(event_type(aggregate, event).as_deref(), Some(expected));
        }
    }

    #[test]
    fn every_aggregate_is_told_or_is_known_to_stay_inside() {
        let inside = ["access", "account", "api_key", "audit", "claim", "person", "role", "roster", "webhook"];
        let (mut told, mut seen) = (BTreeSet::new(), 0);
        for event in CommerceEvent::schemas() {
            let kept = inside.contains(&event.aggregate_type);
            let kind = event_type(event.aggregate_type, event.event_type);
            assert_ne!(kind.is_some(), kept, "{}: decide whether it is told", event.aggregate_type);
            seen += usize::from(!kept);
            told.extend(kind);
        }
        assert_eq!((told.len(), &told), (seen, event_types()), "two events have one type");
        let well_formed = |kind: &String| kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'_');
        assert!(told.iter().all(well_formed), "{told:?}");
    }

    #[test]
    fn a_message_holds_the_payload_as_the_log_does_and_is_the_same_each_time() {
        let webhook = WebhookId(uuid::Uuid::from_u128(7));
        let message = message_of(webhook, &recorded("order/o-1", "OrderPlaced")).unwrap().unwrap();
        assert_eq!(message.id, format!("evt_41_{webhook}"));
        assert_eq!(
            message.body,
            "{\"type\":\"order.placed\",\"timestamp\":\"2023-11-14T22:13:20.000000Z\",\"data\":{\"position\":41,\
             \"stream\":\"order/o-1\",\"sequence\":2,\"eventType\":\"OrderPlaced\",\"eventVersion\":1,\
             \"payload\":{\"amount\": 1.10}}}"
        );
        assert_eq!(Ok(Some(message)), message_of(webhook, &recorded("order/o-1", "OrderPlaced")).map_err(|e| e.to_string()));
        assert!(matches!(message_of(webhook, &recorded("account/a-1", "AccountRegistered")), Ok(None)));
    }

    #[test]
    fn the_parts_that_are_signed_have_no_full_stop() {
        let id = message_of(WebhookId(uuid::Uuid::from_u128(7)), &recorded("order/o-1", "OrderPlaced")).unwrap().unwrap().id;
        let test = test_message(WebhookId(uuid::Uuid::from_u128(7)), uuid::Uuid::nil(), Timestamp::default()).unwrap().id;
        assert!(!id.contains('.') && !test.contains('.'));
    }
}
