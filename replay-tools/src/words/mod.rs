//! What happened, in a sentence a person reads. Personal data stays out: `show` prints it to whoever may see the log.

mod access;
mod audit;
mod buying;
mod catalog;
mod payment;
mod stock;

use event_schemas::{AdjustmentEvent, ClaimEvent, CommerceEvent, Recorded, ReviewEvent, Timestamp, rfc3339};

/// What a recorded event says, in one line. An event of a newer version is named, one that cannot be read says why.
pub fn change(record: &Recorded) -> String {
    match record.decode() {
        Ok(events) if events.is_empty() => format!("{} (means nothing any more)", record.event.event_type),
        Ok(events) => events.iter().map(sentence).collect::<Vec<_>>().join("; "),
        Err(error) => error.to_string(),
    }
}

/// An event in words.
pub fn sentence(event: &CommerceEvent) -> String {
    match event {
        CommerceEvent::Product(event) => catalog::product(event),
        CommerceEvent::Category(event) => catalog::category(event),
        CommerceEvent::Promotion(event) => catalog::promotion(event),
        CommerceEvent::Stock(event) => stock::stock(event),
        CommerceEvent::Cart(event) => buying::cart(event),
        CommerceEvent::Order(event) => buying::order(event),
        CommerceEvent::Payment(event) => payment::payment(event),
        CommerceEvent::Claim(event) => claim(event),
        CommerceEvent::Review(event) => review(event),
        CommerceEvent::Adjustment(event) => adjustment(event),
        CommerceEvent::Account(event) => access::account(event),
        CommerceEvent::Role(event) => access::role(event),
        CommerceEvent::Roster(event) => access::roster(event),
        CommerceEvent::ApiKey(event) => access::api_key(event),
        CommerceEvent::Access(event) => access::access(event),
        CommerceEvent::Audit(event) => audit::audit(event),
        CommerceEvent::Webhook(event) => access::webhook(event),
    }
}

fn claim(event: &ClaimEvent) -> String {
    match event {
        ClaimEvent::ClaimTaken(event) => format!("the name was taken by {}", event.holder),
        ClaimEvent::ClaimReleased(_) => "the name was given back".to_owned(),
    }
}

fn review(event: &ReviewEvent) -> String {
    let ReviewEvent::ReviewSubmitted(event) = event;
    let words = if event.comment.is_some() { ", in words too" } else { "" };
    format!("order {} was reviewed with {} of 5{words}", event.order_id, event.rating)
}

fn adjustment(event: &AdjustmentEvent) -> String {
    match event {
        AdjustmentEvent::CreditNoteIssued(event) => {
            let lines = event.lines.iter().map(|line| counted(line.quantity, &line.description));
            format!("credit note {} gave back {} for {}", event.number, event.total, listed(lines))
        }
        AdjustmentEvent::BadDebtAdjusted(event) => {
            format!("bad debt {} changed the books by {}: {}", event.number, event.amount, event.reason)
        }
    }
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

#[cfg(test)]
mod tests {
    use std::fs;

    use event_schemas::CommerceEvent;

    use super::sentence;

    /// Every event type has a sample, so every event type has a sentence, and none of them is a dump of its fields.
    #[test]
    fn every_event_ever_written_reads_as_a_sentence_without_personal_data() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../event-schemas/samples");
        let mut read = 0;
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let (event_type, version) = name.split_once(".v").unwrap();
            let payload = fs::read_to_string(&path).unwrap();
            for event in CommerceEvent::decode(event_type, version.parse().unwrap(), &payload).unwrap() {
                let words = sentence(&event);
                assert!(words.contains(' ') && !words.contains(['{', '}', '\n']), "{event_type}: {words}");
                assert!(!["Some(", "@example", "Marques"].iter().any(|leak| words.contains(leak)), "{event_type}: {words}");
                read += 1;
            }
        }
        assert!(read > 50, "{read} samples");
    }
}
