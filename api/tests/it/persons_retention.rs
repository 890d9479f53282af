//! Who is known only from carts that expired long ago is erased by itself, and nobody else.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use api::{ServeConfig, access::Role};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chrono::{TimeDelta, Utc};
use event_schemas::{
    Address, CartCreated, CartDetailsSet, CartEvent, CartExpired, CartId, CommerceEvent, CountryCode, LegalHoldPlaced,
    PersonEvent, PersonId, Personal, Proposed, StreamId, Timestamp,
};
use event_store::{Log, SqliteLog};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;
use vault::{Persons, Vault, VaultKey};

use crate::server::{Server, config};

/// Carts expired so many days ago, and the rule erases after 90.
const OLD: i64 = 91;
const RECENT: i64 = 89;

/// The keys of a shop's persons, whether it is served or not.
pub async fn persons_of(folder: &Path) -> Persons {
    let key = VaultKey::from_base64(&std::fs::read_to_string(folder.join("vault.key")).unwrap()).unwrap();
    Persons::new(Vault::open(&format!("sqlite:{}", folder.join("vault.db").display()), key).await.unwrap())
}

/// What happened to a cart: its details were set one after the other, and it expired.
fn cart(number: u128, days_ago: i64, details: Vec<CartDetailsSet>) -> (CartId, Vec<(StreamId, CommerceEvent, Timestamp)>) {
    let (cart_id, at) = (CartId(Uuid::from_u128(number)), Utc::now() - TimeDelta::days(days_ago));
    let created = CartCreated { cart_id, currency: "EUR".parse().unwrap(), customer_id: None, expires_at: at };
    let events = std::iter::once(CartEvent::from(created))
        .chain(details.into_iter().map(CartEvent::from))
        .chain([CartEvent::from(CartExpired {})])
        .map(|event| (StreamId::new("cart", cart_id), event.into(), at));
    (cart_id, events.collect())
}

fn details(email: Option<Personal<String>>, billing_address: Option<Personal<Address>>) -> CartDetailsSet {
    CartDetailsSet {
        email,
        shipping_address: None,
        billing_address,
        country: None,
        shipping_method: None,
        coupon_codes: None,
        expires_at: Utc::now() - TimeDelta::days(OLD),
    }
}

fn billing() -> Address {
    Address {
        name: "Ana Ruiz".to_owned(),
        line1: "Calle Mayor 1".to_owned(),
        line2: None,
        city: "Madrid".to_owned(),
        postal_code: None,
        region: None,
        country: CountryCode::new("ES").unwrap(),
        phone: None,
    }
}

/// Records what happened in the log of a shop that is not served, in streams that are new.
pub async fn write(folder: &Path, mut events: Vec<(StreamId, CommerceEvent, Timestamp)>) {
    // A log records nothing before what it has.
    events.sort_by_key(|(_, _, at)| *at);
    let mut sequences = std::collections::BTreeMap::new();
    let proposed = events.into_iter().map(|(stream, event, at)| {
        let sequence = sequences.entry(stream.clone()).or_insert(0);
        *sequence += 1;
        Proposed {
            event_id: Uuid::now_v7(),
            stream,
            sequence: *sequence,
            event_type: event.event_type().into(),
            event_version: event.version(),
            payload: event.payload().unwrap(),
            metadata: json!({ "actor": "customer", "command_id": Uuid::now_v7() }).to_string(),
            recorded_at: at,
            occurred_at: at,
            idempotency_scope: None,
        }
    });
    let proposed = proposed.collect();
    let log = SqliteLog::open(&folder.join("events.db"), Default::default()).unwrap();
    log.append(log.head().await.unwrap().position, proposed).await.unwrap();
}

async fn email_of(server: &Server, cart: CartId) -> Value {
    let (id, query) = (BASE64.encode(format!("cart:{cart}")), "query($id: ID!) { cart(id: $id) { id email } }");
    let answer = server.run(Some(Role::Admin), query, json!({ "id": id })).await;
    assert_eq!(answer["data"]["cart"]["id"], json!(id), "{answer}");
    answer["data"]["cart"]["email"].clone()
}

async fn until_gone(persons: &Persons, person: PersonId) {
    let begun = Instant::now();
    while persons.is_readable(person).await.unwrap() {
        assert!(begun.elapsed() < Duration::from_secs(120), "the key of {person} is still there");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_known_from_old_carts_only_is_erased_unless_a_legal_hold_forbids_it() {
    let folder = TempDir::new().unwrap();
    let server = Server::reopen(folder).await;
    let Server { running, folder, .. } = server;
    running.shutdown().await;
    let persons = persons_of(folder.path()).await;
    let mut keys = Vec::new();
    for _ in 0..5 {
        keys.push(persons.somebody().await.unwrap());
    }
    let [held, recent, replaced, billed, gone] = keys[..] else { panic!("five") };
    let email = async |person: PersonId| Some(persons.seal(person, &"ana@example.com".to_owned()).await.unwrap());
    // Carts are looked at in the order of their ids: when the last is erased, all others have been looked at.
    let (of_held, mut events) = cart(1, OLD, vec![details(email(held).await, None)]);
    let (of_recent, more) = cart(2, RECENT, vec![details(email(recent).await, None)]);
    events.extend(more);
    let only_billed = persons.seal(billed, &billing()).await.unwrap();
    let (_, more) = cart(3, OLD, vec![details(None, Some(only_billed))]);
    events.extend(more);
    // What was entered first was replaced, and sealed with a key of its own.
    let (of_gone, more) = cart(4, OLD, vec![details(email(replaced).await, None), details(email(gone).await, None)]);
    events.extend(more);
    let hold = LegalHoldPlaced { name: "case 7".to_owned(), reason: "a lawsuit".to_owned() };
    events.push((StreamId::new("person", held), PersonEvent::from(hold).into(), Utc::now() - TimeDelta::days(OLD)));
    write(folder.path(), events).await;

    let rule = ServeConfig { retention: Some("cart=90".parse().unwrap()), ..config(folder.path()) };
    let server = Server::configured(folder, rule).await;
    for person in [billed, replaced, gone] {
        until_gone(&persons, person).await;
    }
    for (person, why) in [(held, "a legal hold"), (recent, "the cart expired a day too late")] {
        assert!(persons.is_readable(person).await.unwrap(), "{why} keeps them");
    }
    assert_eq!(email_of(&server, of_gone).await, Value::Null);
    for cart in [of_held, of_recent] {
        assert_eq!(email_of(&server, cart).await, "ana@example.com");
    }
    let erased = "{ erasures(state: ERASED) { nodes { id requestedBy } } }";
    // The log says it before the keys go; the views follow.
    let begun = Instant::now();
    let told = loop {
        let told = server.run(Some(Role::Admin), erased, json!({})).await["data"]["erasures"]["nodes"].clone();
        if told.as_array().is_some_and(|told| told.len() >= 3) || begun.elapsed() > Duration::from_secs(60) {
            break told;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(told.as_array().map(Vec::len), Some(3), "{told}");
    assert_eq!(told[0]["requestedBy"], "process:retention");
}
