//! What happened, in a sentence a person reads: who did what to what, and why. What is personal stays out.

mod access;
mod audit;
mod buying;
mod catalog;
mod payment;
mod person;
mod stock;

use crate::{AdjustmentEvent, ClaimEvent, CommerceEvent, Recorded, ReviewEvent, StreamId, Timestamp, rfc3339};

/// A recorded event as a sentence, such as “ana (support) refunded 12.00 EUR of payment 0197…, because ‘damaged’”. An event of a
/// newer version is named, one that cannot be read says why.
pub fn sentence(record: &Recorded) -> String {
    let metadata = record.metadata();
    sentence_by(&metadata.map_or_else(|_| "somebody".to_owned(), |metadata| doer(&metadata.actor, None)), record)
}

/// The same, by somebody whom the caller names, as [`doer`] does.
pub fn sentence_by(who: &str, record: &Recorded) -> String {
    match record.decode() {
        Ok(events) if events.is_empty() => {
            format!("{who} recorded {}, which means nothing any more", record.event.event_type)
        }
        Ok(events) => {
            let of = subject(&record.event.stream);
            let deeds: Vec<_> = events.iter().map(|event| deed(event, &of)).collect();
            format!("{who} {}", deeds.join(" and "))
        }
        Err(error) => error.to_string(),
    }
}

/// Whoever did it, by the actor of the metadata: `support:0197…` is `0197… (support)`, or by the name of that account if the
/// caller knows it.
pub fn doer(actor: &str, name: Option<&str>) -> String {
    match actor.split_once(':') {
        None if matches!(actor, "customer" | "shopper") => "a shopper".to_owned(),
        None if actor.is_empty() => "somebody".to_owned(),
        None => format!("somebody ({actor})"),
        Some(("process", process)) => format!("the process {process}"),
        Some(("import", source)) => format!("the import of {source}"),
        Some(("api-key", key)) => format!("API key {key}"),
        Some(("address", _)) => "a stranger".to_owned(),
        Some(("customer", customer)) => format!("customer {customer}"),
        Some((role, subject)) => format!("{} ({role})", name.unwrap_or(subject)),
    }
}

/// What a stream is about.
fn subject(stream: &StreamId) -> String {
    let id = &stream.aggregate_id;
    match (&*stream.aggregate_type, id.split_once('@')) {
        ("stock", Some((sku, location))) => format!("{sku} at {location}"),
        ("claim", _) => format!("the name {id}"),
        ("api_key", _) => format!("API key {id}"),
        (kind, _) => format!("{} {id}", kind.replace('_', " ")),
    }
}

/// What whoever recorded an event did with it; `of` is what its stream is about.
fn deed(event: &CommerceEvent, of: &str) -> String {
    match event {
        CommerceEvent::Product(event) => catalog::product(event, of),
        CommerceEvent::Category(event) => catalog::category(event, of),
        CommerceEvent::Promotion(event) => catalog::promotion(event, of),
        CommerceEvent::Stock(event) => stock::stock(event, of),
        CommerceEvent::Cart(event) => buying::cart(event, of),
        CommerceEvent::Order(event) => buying::order(event, of),
        CommerceEvent::Payment(event) => payment::payment(event, of),
        CommerceEvent::Claim(event) => claim(event, of),
        CommerceEvent::Review(event) => review(event),
        CommerceEvent::Adjustment(event) => adjustment(event),
        CommerceEvent::Account(event) => access::account(event, of),
        CommerceEvent::Role(event) => access::role(event, of),
        CommerceEvent::Roster(event) => access::roster(event),
        CommerceEvent::ApiKey(event) => access::api_key(event, of),
        CommerceEvent::Access(event) => access::access(event),
        CommerceEvent::Audit(event) => audit::audit(event),
        CommerceEvent::Webhook(event) => access::webhook(event, of),
        CommerceEvent::Person(event) => person::person(event, of),
    }
}

fn claim(event: &ClaimEvent, of: &str) -> String {
    match event {
        ClaimEvent::ClaimTaken(event) => format!("took {of} for {}", event.holder),
        ClaimEvent::ClaimReleased(_) => format!("gave {of} back"),
    }
}

fn review(event: &ReviewEvent) -> String {
    let ReviewEvent::ReviewSubmitted(event) = event;
    let words = if event.comment.is_some() { ", in words too" } else { "" };
    format!("reviewed order {} with {} of 5{words}", event.order_id, event.rating)
}

fn adjustment(event: &AdjustmentEvent) -> String {
    match event {
        AdjustmentEvent::CreditNoteIssued(event) => {
            let lines = event.lines.iter().map(|line| counted(line.quantity, &line.description));
            format!("issued credit note {} over {} for {}", event.number, event.total, listed(lines))
        }
        AdjustmentEvent::BadDebtAdjusted(event) => {
            format!("changed the books by {} for bad debt {}{}", event.amount, event.number, because(&event.reason))
        }
    }
}

/// A reason as it was given; nothing where none was.
fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(", because ‘{reason}’") }
}

fn counted(quantity: u32, what: &str) -> String {
    if quantity == 0 { what.to_owned() } else { format!("{quantity} × {what}") }
}

fn units(quantity: u32) -> String {
    if quantity == 1 { "1 unit".to_owned() } else { format!("{quantity} units") }
}

fn also(before: &str, value: Option<&impl std::fmt::Display>) -> String {
    value.map_or(String::new(), |value| format!("{before}{value}"))
}

fn until(before: &str, moment: Option<Timestamp>) -> String {
    also(before, moment.map(rfc3339).as_ref())
}

fn listed<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
