//! A copy of everything that is kept about a person, for them to read (the right of access).

use engine::Clock as _;
use event_schemas::{rfc3339, words};
use serde_json::{Value, json};

use crate::{
    graphql::history,
    persons::{Found, PersonsError},
    shop::Shop,
};

/// For whom a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Whoever protects data.
    Protector,
    /// The person. What staff wrote about their case is not for them: legal holds, who asked for what and why, notes.
    Themselves,
}

/// Everything about somebody as one JSON document: who they are to the shop, their account, and every event of every stream
/// about them, opened, with a sentence beside it. What was erased is null.
///
/// # Errors
/// When a store fails.
pub(crate) async fn copy_of(shop: &Shop, found: &Found, reader: Reader) -> Result<Value, PersonsError> {
    let mut accounts = Vec::new();
    for account in found.accounts() {
        let Some(profile) = shop.accounts.profile(account).await? else { continue };
        accounts.push(json!({
            "id": account.to_string(),
            "email": profile.email,
            "displayName": profile.display_name,
            "hasPassword": profile.has_password,
            "secondFactor": profile.second_factor,
            "passkeys": profile.passkeys.len(),
            "linkedIssuers": profile.linked_issuers,
        }));
    }
    let accounts_streams = found.accounts().map(|account| event_schemas::StreamId::new("account", account));
    let is_whole = reader == Reader::Protector;
    let own = found.persons.iter().filter(|_| is_whole).map(|person| event_schemas::StreamId::new("person", person));
    let mut streams = Vec::new();
    for stream in found.streams.iter().cloned().chain(accounts_streams).chain(own) {
        let mut events = Vec::new();
        for recorded in history::whole(&*shop.log, &stream).await? {
            if !is_whole && recorded.event.event_type == "OrderNoteAdded" {
                continue;
            }
            let mut data = serde_json::from_str(&recorded.event.payload).unwrap_or_default();
            shop.persons.open_json(&mut data, &recorded.sealed_texts()?).await?;
            events.push(json!({
                "position": recorded.position,
                "type": recorded.event.event_type,
                "recordedAt": rfc3339(recorded.event.recorded_at),
                "occurredAt": rfc3339(recorded.event.occurred_at),
                "sentence": words::sentence(&recorded),
                "data": data,
            }));
        }
        if !events.is_empty() {
            streams.push(json!({ "stream": stream.to_string(), "events": events }));
        }
    }
    Ok(json!({
        "madeAt": rfc3339(shop.clock.now()),
        "persons": found.persons.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "customers": found.customers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "accounts": accounts,
        "streams": streams,
    }))
}
