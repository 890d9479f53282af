//! The door of personal data: what comes in is sealed for the person whom it is about, what goes out is opened.
//!
//! Nothing behind the door can read it (ADR 16). A person who was erased has no key: what was about them is null.

use std::{collections::BTreeSet, sync::Arc};

use async_graphql::{Context, Error};
use domain::{Account, Cart, Change, CheckoutRefusal, Decision, PersonRefusal, Refusal, World};
use event_schemas::{
    CartId, CommerceEvent, CustomerId, OrderEvent, OrderId, PersonErased, PersonEvent, PersonId, Personal, Recorded, StreamId,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;
use vault::PersonError;

use crate::{
    access::Permission,
    graphql::{RequestContext, audit_query::shown, history, problem, user_error::UserError},
    persons,
    shop::Shop,
};

/// Why something that was sent cannot be sealed.
pub(crate) enum NotSealed {
    /// It is malformed.
    Invalid(UserError),
    /// Whom it is about was erased: there is no key to seal it with, and nothing is written about them any more.
    Erased,
    /// The log or the vault failed.
    Failed(Error),
}

impl NotSealed {
    fn fault(error: impl std::fmt::Display) -> Self {
        Self::Failed(problem::fault(&error))
    }

    /// What is sealed, or the rule that [`Looked`] refuses it by; apart from what is malformed, and that from a failure.
    pub(crate) fn apart<T>(sealed: Result<T, Self>) -> Result<Result<Result<T, Refusal>, UserError>, Error> {
        match sealed {
            Ok(sealed) => Ok(Ok(Ok(sealed))),
            Err(Self::Erased) => Ok(Ok(Err(PersonRefusal::Erased.into()))),
            Err(Self::Invalid(user_error)) => Ok(Err(user_error)),
            Err(Self::Failed(error)) => Err(error),
        }
    }
}

impl From<Error> for NotSealed {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<UserError> for NotSealed {
    fn from(user_error: UserError) -> Self {
        Self::Invalid(user_error)
    }
}

/// A decision, or the rule that forbids it, which took a look at the vault. A decision all the same: a command that is sent again
/// with its key gets its first answer, whoever was erased since.
#[derive(Debug)]
pub(crate) struct Looked<D>(pub(crate) Result<D, Refusal>);

impl<D: Decision> Decision for Looked<D> {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        self.0.as_ref().map_err(Clone::clone)?.decide(world)
    }
}

/// Opens a value; none if there is none, or if the person was erased. That staff are shown it is noted.
///
/// # Errors
/// When the vault fails, the value was tampered with, or it cannot be noted.
pub(crate) async fn opened<T: DeserializeOwned>(ctx: &Context<'_>, sealed: Option<&Personal<T>>) -> Result<Option<T>, Error> {
    let Some(sealed) = sealed else { return Ok(None) };
    let opened = ctx.data::<Arc<Shop>>()?.persons.open(sealed).await.map_err(|error| problem::fault(&error))?;
    // Who sees it is noted before it is given out; of who was erased there is nothing to see. What was recorded before personal
    // data was sealed is of nobody in particular.
    if opened.is_some() {
        let whose = sealed.person().map_or("unsealed".to_owned(), |person| person.to_string());
        shown(ctx, &StreamId::new("person", whose))?;
    }
    Ok(opened)
}

/// The payload of an event with all that is sealed in it opened; null where the person was erased.
///
/// # Errors
/// As [`opened`].
pub(crate) async fn opened_event(ctx: &Context<'_>, recorded: &Recorded) -> Result<Value, Error> {
    let mut payload = serde_json::from_str(&recorded.event.payload).unwrap_or_default();
    // What cannot be read as an event is told as it is, sealed.
    let sealed = recorded.sealed_texts().unwrap_or_default();
    let persons = &ctx.data::<Arc<Shop>>()?.persons;
    for person in sealed.values().collect::<BTreeSet<_>>() {
        if persons.is_readable(*person).await.map_err(|error| problem::fault(&error))? {
            shown(ctx, &StreamId::new("person", person))?;
        }
    }
    persons.open_json(&mut payload, &sealed).await.map(|()| payload).map_err(|error| problem::fault(&error))
}

/// Seals a value. For nobody it becomes a text that no key opens: the decision then refuses it, since what it is about is not
/// there for the caller.
///
/// # Errors
/// When the person was erased, or the vault fails.
pub(crate) async fn sealed<T: Serialize>(
    ctx: &Context<'_>,
    person: Option<PersonId>,
    value: &T,
) -> Result<Personal<T>, NotSealed> {
    let Some(person) = person else { return Ok(Personal::sealed(PersonId(Uuid::nil()), &[0; 40])) };
    let sealed = ctx.data::<Arc<Shop>>()?.persons.seal(person, value).await;
    sealed.map_err(|error| match error {
        // Since it was looked whether they were.
        PersonError::Erased(_) => NotSealed::Erased,
        error => NotSealed::fault(error),
    })
}

/// Seals a value, if there is one.
///
/// # Errors
/// As [`sealed`].
pub(crate) async fn sealed_if<T: Serialize>(
    ctx: &Context<'_>,
    person: Option<PersonId>,
    value: Option<&T>,
) -> Result<Option<Personal<T>>, NotSealed> {
    match value {
        Some(value) => sealed(ctx, person, value).await.map(Some),
        None => Ok(None),
    }
}

/// For whom what is entered in a cart is sealed: for its customer, else for who was entered before, else for somebody new.
/// Nobody, and without a look at the vault, when there is no such open cart for the caller.
///
/// # Errors
/// When the customer was erased, or the log or the vault fails.
pub(crate) async fn person_of_cart(ctx: &Context<'_>, id: CartId) -> Result<Option<PersonId>, NotSealed> {
    let shop = ctx.data::<Arc<Shop>>()?;
    let cart = cart(shop, id).await?;
    let Cart::Open(open) = &cart else { return Ok(None) };
    if !reaches(ctx, cart.customer_id(), Permission::EditOrders)? {
        return Ok(None);
    }
    let address = open.shipping_address.as_ref().or(open.billing_address.as_ref());
    let before = open.email.as_ref().and_then(Personal::person).or_else(|| address.and_then(Personal::person));
    person(shop, cart.customer_id(), before).await.map(Some)
}

/// For whom what is written about an order is sealed: for its customer, else for who placed it, else for somebody new. Nobody,
/// and without a look at the vault, when there is no such order for the caller; `everyones` is the permission for all orders.
///
/// # Errors
/// When who placed it was erased, or the log or the vault fails.
pub(crate) async fn person_of_order(
    ctx: &Context<'_>,
    id: OrderId,
    everyones: Permission,
) -> Result<Option<PersonId>, NotSealed> {
    let shop = ctx.data::<Arc<Shop>>()?;
    let first = shop.log.read_stream(&StreamId::new(OrderEvent::AGGREGATE, id), 0, 1).await;
    for recorded in first.map_err(NotSealed::fault)? {
        for event in recorded.decode().map_err(NotSealed::fault)? {
            let CommerceEvent::Order(OrderEvent::OrderPlaced(placed)) = event else { continue };
            if !reaches(ctx, placed.customer_id.as_ref(), everyones)? {
                return Ok(None);
            }
            let address = placed.shipping_address.as_ref().or(placed.billing_address.as_ref());
            let entered = placed.email.as_ref().and_then(Personal::person);
            let before = entered.or_else(|| address.and_then(Personal::person));
            let person = match (&placed.customer_id, before) {
                (None, Some(guest)) => guest_of_order(shop, guest).await?,
                (customer, before) => person(shop, customer.as_ref(), before).await?,
            };
            return Ok(Some(person));
        }
    }
    Ok(None)
}

/// What of a cart of the caller's is missing since whom it is about was erased: it has to be entered again.
///
/// # Errors
/// When the log or the vault fails.
pub(crate) async fn erased_of_cart(ctx: &Context<'_>, id: CartId) -> Result<Option<CheckoutRefusal>, Error> {
    let shop = ctx.data::<Arc<Shop>>()?;
    let cart = cart(shop, id).await?;
    let Cart::Open(open) = &cart else { return Ok(None) };
    if !reaches(ctx, cart.customer_id(), Permission::EditOrders)? {
        return Ok(None);
    }
    let email = open.email.as_ref().and_then(Personal::person);
    let address = open.shipping_address.as_ref().and_then(Personal::person);
    for (person, missing) in [(email, CheckoutRefusal::EmailMissing), (address, CheckoutRefusal::ShippingAddressMissing)] {
        if let Some(person) = person
            && !shop.persons.is_readable(person).await.map_err(|error| problem::fault(&error))?
        {
            return Ok(Some(missing));
        }
    }
    Ok(None)
}

fn reaches(ctx: &Context<'_>, owner: Option<&CustomerId>, everyones: Permission) -> Result<bool, Error> {
    Ok(ctx.data::<Arc<RequestContext>>()?.caller.reaches(owner, everyones))
}

/// A cart as the log has it now.
async fn cart(shop: &Shop, id: CartId) -> Result<Cart, Error> {
    let cart = engine::look(&*shop.log, |world| world.get::<Cart>(id).clone()).await;
    cart.map_err(|error| problem::fault(&error))
}

async fn person(shop: &Shop, customer: Option<&CustomerId>, before: Option<PersonId>) -> Result<PersonId, NotSealed> {
    if let Some(customer) = customer {
        return customers_person(shop, customer).await;
    }
    let readable = match before {
        Some(person) => shop.persons.is_readable(person).await.map_err(NotSealed::fault)?,
        None => false,
    };
    match before.filter(|_| readable) {
        Some(person) => Ok(person),
        None => shop.persons.somebody().await.map_err(NotSealed::fault),
    }
}

/// A guest's cart may be filled in again by somebody else; nothing comes of a guest's order that is not about them. A key that is
/// gone, and not by an erasure, is replaced.
async fn guest_of_order(shop: &Shop, guest: PersonId) -> Result<PersonId, NotSealed> {
    if shop.persons.is_readable(guest).await.map_err(NotSealed::fault)? {
        return Ok(guest);
    }
    // The log said it before the key went.
    match erasure_of(shop, guest).await? {
        Some(_) => Err(NotSealed::Erased),
        None => shop.persons.somebody().await.map_err(NotSealed::fault),
    }
}

/// A customer whose key was destroyed gets another, unless they were erased as a customer: their account is about to be gone.
async fn customers_person(shop: &Shop, customer: &CustomerId) -> Result<PersonId, NotSealed> {
    let known = shop.persons.known_customer(customer).await.map_err(NotSealed::fault)?;
    if let Some(known) = known {
        if shop.persons.is_readable(known).await.map_err(NotSealed::fault)? {
            return Ok(known);
        }
        if erasure_of(shop, known).await?.is_some_and(|erased| erased.customer_id.as_ref() == Some(customer)) {
            return Err(NotSealed::Erased);
        }
    }
    // Who has just been erased with their account is forgotten, and may have a session for a moment. No key is made for them.
    let keyed = match persons::account_of(shop, customer).await.map_err(NotSealed::fault)? {
        Account::Removed => None,
        Account::Absent | Account::Registered(_) => persons::keyed(shop, customer).await.map_err(NotSealed::fault)?,
    };
    keyed.ok_or(NotSealed::Erased)
}

/// That a person was erased, as the log says; nothing if it does not.
async fn erasure_of(shop: &Shop, person: PersonId) -> Result<Option<PersonErased>, Error> {
    let history = history::whole(&*shop.log, &StreamId::new("person", person)).await;
    for recorded in history.map_err(|error| problem::fault(&error))? {
        for event in recorded.decode().map_err(|error| problem::fault(&error))? {
            if let CommerceEvent::Person(PersonEvent::PersonErased(erased)) = event {
                return Ok(Some(erased));
            }
        }
    }
    Ok(None)
}
