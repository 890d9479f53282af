//! The door of personal data: what comes in is sealed for the person whom it is about, what goes out is opened.
//!
//! Nothing behind the door can read it (ADR 16). A person who was erased has no key: what was about them is null.

use std::{collections::BTreeSet, sync::Arc};

use async_graphql::{Context, Error};
use domain::Cart;
use event_schemas::{CartId, CommerceEvent, CustomerId, OrderEvent, OrderId, PersonId, Personal, Recorded, StreamId};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use vault::PersonError;

use crate::{
    graphql::{audit_query::shown, problem},
    shop::Shop,
};

/// Opens a value; none if there is none, or if the person was erased. That staff are shown it is noted.
///
/// # Errors
/// When the vault fails, the value was tampered with, or it cannot be noted.
pub(crate) async fn opened<T: DeserializeOwned>(ctx: &Context<'_>, sealed: Option<&Personal<T>>) -> Result<Option<T>, Error> {
    let Some(sealed) = sealed else { return Ok(None) };
    // Who sees it is noted before it is opened. What was recorded before personal data was sealed is of nobody in particular.
    let whose = sealed.person().map_or("unsealed".to_owned(), |person| person.to_string());
    shown(ctx, &StreamId::new("person", whose))?;
    ctx.data::<Arc<Shop>>()?.persons.open(sealed).await.map_err(|error| problem::fault(&error))
}

/// The payload of an event with all that is sealed in it opened; null where the person was erased.
///
/// # Errors
/// As [`opened`].
pub(crate) async fn opened_event(ctx: &Context<'_>, recorded: &Recorded) -> Result<Value, Error> {
    let mut payload = serde_json::from_str(&recorded.event.payload).unwrap_or_default();
    // What cannot be read as an event is told as it is, sealed.
    let sealed = recorded.sealed_texts().unwrap_or_default();
    for person in sealed.values().collect::<BTreeSet<_>>() {
        shown(ctx, &StreamId::new("person", person))?;
    }
    let opened = ctx.data::<Arc<Shop>>()?.persons.open_json(&mut payload, &sealed).await;
    opened.map(|()| payload).map_err(|error| problem::fault(&error))
}

/// Seals a value, if there is one.
///
/// # Errors
/// When the vault fails.
pub(crate) async fn sealed<T: Serialize>(
    ctx: &Context<'_>,
    person: PersonId,
    value: Option<&T>,
) -> Result<Option<Personal<T>>, Error> {
    let Some(value) = value else { return Ok(None) };
    let sealed = ctx.data::<Arc<Shop>>()?.persons.seal(person, value).await;
    sealed.map(Some).map_err(|error| problem::fault(&error))
}

/// For whom what is entered in a cart is sealed: for its customer, else for who was entered before, else for somebody new.
///
/// # Errors
/// When the log or the vault fails.
pub(crate) async fn person_of_cart(ctx: &Context<'_>, id: CartId) -> Result<PersonId, Error> {
    let shop = ctx.data::<Arc<Shop>>()?;
    let cart = cart(shop, id).await?;
    let before = match &cart {
        Cart::Open(open) => {
            let address = open.shipping_address.as_ref().or(open.billing_address.as_ref());
            open.email.as_ref().and_then(Personal::person).or_else(|| address.and_then(Personal::person))
        }
        Cart::Absent | Cart::CheckedOut { .. } | Cart::Expired { .. } => None,
    };
    person(shop, cart.customer_id(), before).await.map_err(|error| problem::fault(&error))
}

/// For whom what is written about an order is sealed: for its customer, else for who placed it, else for somebody new.
///
/// # Errors
/// When the log or the vault fails.
pub(crate) async fn person_of_order(ctx: &Context<'_>, id: OrderId) -> Result<PersonId, Error> {
    let shop = ctx.data::<Arc<Shop>>()?;
    let first = shop.log.read_stream(&StreamId::new(OrderEvent::AGGREGATE, id), 0, 1).await;
    let (mut customer, mut before) = (None, None);
    for recorded in first.map_err(|error| problem::fault(&error))? {
        for event in recorded.decode().map_err(|error| problem::fault(&error))? {
            if let CommerceEvent::Order(OrderEvent::OrderPlaced(placed)) = event {
                let address = placed.shipping_address.as_ref().or(placed.billing_address.as_ref());
                let entered = placed.email.as_ref().and_then(Personal::person);
                before = entered.or_else(|| address.and_then(Personal::person));
                customer = placed.customer_id;
            }
        }
    }
    person(shop, customer.as_ref(), before).await.map_err(|error| problem::fault(&error))
}

/// Whether what was entered can still be read, so that a parcel can go there.
///
/// # Errors
/// When the log or the vault fails.
pub(crate) async fn is_erased(ctx: &Context<'_>, id: CartId) -> Result<bool, Error> {
    let shop = ctx.data::<Arc<Shop>>()?;
    let Cart::Open(open) = cart(shop, id).await? else { return Ok(false) };
    let email = open.email.as_ref().and_then(Personal::person);
    for person in email.into_iter().chain(open.shipping_address.as_ref().and_then(Personal::person)) {
        if !shop.persons.is_readable(person).await.map_err(|error| problem::fault(&error))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A cart as the log has it now.
async fn cart(shop: &Shop, id: CartId) -> Result<Cart, Error> {
    let cart = engine::look(&*shop.log, |world| world.get::<Cart>(id).clone()).await;
    cart.map_err(|error| problem::fault(&error))
}

async fn person(shop: &Shop, customer: Option<&CustomerId>, before: Option<PersonId>) -> Result<PersonId, PersonError> {
    if let Some(customer) = customer {
        return shop.persons.of_customer(customer).await;
    }
    match before {
        Some(person) if shop.persons.is_readable(person).await? => Ok(person),
        Some(_) | None => shop.persons.somebody().await,
    }
}
