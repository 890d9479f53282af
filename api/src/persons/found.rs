//! Who somebody is to the shop: all keys that they have come to have, and all streams that are about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use domain::{Account, Person, World};
use event_schemas::{AccountId, CartId, CustomerId, OrderId, PersonId, Personal, Recorded, StreamId};
use projections::{CARTS, Cart, Freshness, NotYet, ORDERS, Order, PERSONS, REVIEWS, Review};

use crate::{graphql::history, persons::PersonsError, shop::Shop};

/// Carts and orders that are looked at in one go when an e-mail address is looked for.
const PAGE: u32 = 500;
/// How long the views may take to come to where the log ends: usually some milliseconds.
const CATCH_UP: Duration = Duration::from_secs(5);

/// Who is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Whoever has a key.
    Person(PersonId),
    /// A customer.
    Customer(CustomerId),
    /// Whoever an order is about.
    Order(OrderId),
    /// Whose account has an e-mail address, and guests who gave it. Every cart and order is opened to find it, some 100,000 a
    /// second: addresses are sealed, each for itself.
    Email(String),
}

/// What is kept about somebody.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Their keys.
    pub(crate) persons: BTreeSet<PersonId>,
    /// The customers that they are: one, unless they gave the same e-mail address as several.
    pub(crate) customers: BTreeSet<CustomerId>,
    /// Which customer a key is of, of those that are a customer's.
    pub(crate) customer_of: BTreeMap<PersonId, CustomerId>,
    /// The streams that are about them: carts, orders, their payments, reviews.
    pub(crate) streams: BTreeSet<StreamId>,
    /// Whether some of it was recorded before personal data was sealed: no key opens it, and none can be destroyed.
    pub(crate) plain: bool,
    /// The e-mail addresses that were given in carts and orders, sealed.
    emails: Vec<Personal<String>>,
}

impl Found {
    /// The customer that they are, if it is one.
    pub(crate) fn customer(&self) -> Option<&CustomerId> {
        let mut customers = self.customers.iter();
        customers.next().filter(|_| customers.next().is_none())
    }

    /// Under which names it is written down that somebody saw it: all keys; without any, the customers.
    pub(crate) fn names(&self) -> Vec<String> {
        let keys: Vec<_> = self.persons.iter().map(ToString::to_string).collect();
        let customers: Vec<_> = self.customers.iter().map(ToString::to_string).collect();
        match (keys.is_empty(), customers.is_empty()) {
            (false, _) => keys,
            (true, false) => customers,
            (true, true) => vec!["unsealed".to_owned()],
        }
    }

    /// Whether it is more than one customer: what is about one of them must not be handed out, or erased, as the other's.
    pub(crate) fn is_several(&self) -> bool {
        self.customers.len() > 1
    }

    /// Whether there is nobody.
    pub(crate) fn is_nobody(&self) -> bool {
        self.persons.is_empty() && self.streams.is_empty()
    }

    /// The accounts that they have.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.customers.iter().filter_map(|customer| customer.as_str().parse().ok())
    }

    fn take_cart(&mut self, cart: &Cart) {
        self.streams.insert(StreamId::new("cart", cart.cart_id));
        self.customers.extend(cart.customer_id.clone());
        self.emails.extend(cart.email.clone());
        self.take(cart.email.as_ref(), cart.customer_id.as_ref());
        self.take(cart.shipping_address.as_ref(), cart.customer_id.as_ref());
        self.take(cart.billing_address.as_ref(), cart.customer_id.as_ref());
    }

    fn take_order(&mut self, order: &Order) {
        self.streams.insert(StreamId::new("order", order.order_id));
        self.streams.extend(order.cart_id.map(|id| StreamId::new("cart", id)));
        self.streams.extend(order.payment_id.map(|id| StreamId::new("payment", id)));
        self.customers.extend(order.customer_id.clone());
        self.emails.extend(order.email.clone());
        self.take(order.email.as_ref(), order.customer_id.as_ref());
        self.take(order.shipping_address.as_ref(), order.customer_id.as_ref());
        self.take(order.billing_address.as_ref(), order.customer_id.as_ref());
    }

    fn take_review(&mut self, review: &Review) {
        self.streams.insert(StreamId::new("review", review.review_id));
        self.customers.extend(review.customer_id.clone());
        self.take(review.title.as_ref(), review.customer_id.as_ref());
        self.take(review.comment.as_ref(), review.customer_id.as_ref());
    }

    fn take<T>(&mut self, personal: Option<&Personal<T>>, customer: Option<&CustomerId>) {
        let Some(personal) = personal else { return };
        self.plain |= !personal.is_sealed();
        let Some(person) = personal.person() else { return };
        self.persons.insert(person);
        if let Some(customer) = customer {
            self.customer_of.entry(person).or_insert_with(|| customer.clone());
        }
    }
}

/// Waits until the views in which persons are looked for show all that the log has now, also what a halted one lacks: what is
/// not seen would neither be erased nor handed out, and nobody would be told.
pub(super) async fn until_all_is_shown(shop: &Shop) -> Result<(), PersonsError> {
    let wanted = shop.log.head().await?.position;
    let mut views = shop.views.watch();
    let shown = |freshness: &Freshness| freshness.position_of(&[&CARTS, &ORDERS, &REVIEWS, &PERSONS]);
    let reached = views.wait_for(|freshness| shown(freshness) >= wanted);
    match tokio::time::timeout(CATCH_UP, reached).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => {
            let applied = shown(&shop.freshness.borrow());
            Err(NotYet { wanted, applied }.into())
        }
    }
}

/// Everything that is kept about somebody. Costs a look at the views for each key, and a read of each stream.
///
/// # Errors
/// When a store fails, or the views stay behind the log: [`PersonsError::NotYet`].
pub(crate) async fn find(shop: &Shop, whom: &Whom) -> Result<Found, PersonsError> {
    until_all_is_shown(shop).await?;
    let mut found = Found::default();
    match whom {
        Whom::Person(person) => drop(found.persons.insert(*person)),
        Whom::Customer(customer) => drop(found.customers.insert(customer.clone())),
        Whom::Order(order) => {
            let order = *order;
            if let Some(row) = shop.views.read(move |reader| reader.order(order)).await? {
                found.take_order(&row);
            }
        }
        Whom::Email(email) => by_email(shop, &BTreeSet::from([address(email)]), &mut found).await?,
    }
    let (mut persons, mut customers, mut streams) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    loop {
        let new_persons: Vec<_> = found.persons.difference(&persons).copied().collect();
        let new_customers: Vec<_> = found.customers.difference(&customers).cloned().collect();
        let new_streams: Vec<_> = found.streams.difference(&streams).cloned().collect();
        if new_persons.is_empty() && new_customers.is_empty() && new_streams.is_empty() {
            break;
        }
        for person in new_persons {
            persons.insert(person);
            let kept = shop.views.read(move |reader| reader.kept_of_person(person)).await?;
            kept.carts.iter().for_each(|row| found.take_cart(row));
            kept.orders.iter().for_each(|row| found.take_order(row));
            kept.reviews.iter().for_each(|row| found.take_review(row));
            let told = shop.views.read(move |reader| reader.person(person)).await?;
            if let Some(customer) = told.and_then(|row| row.customer_id) {
                found.customer_of.entry(person).or_insert_with(|| customer.clone());
                found.customers.insert(customer);
            }
        }
        for customer in new_customers {
            customers.insert(customer.clone());
            if let Some(person) = shop.persons.known_customer(&customer).await? {
                found.persons.insert(person);
                found.customer_of.insert(person, customer.clone());
            }
            let kept = shop.views.read(move |reader| reader.kept_of_customer(&customer)).await?;
            kept.carts.iter().for_each(|row| found.take_cart(row));
            kept.orders.iter().for_each(|row| found.take_order(row));
            kept.reviews.iter().for_each(|row| found.take_review(row));
        }
        for stream in new_streams {
            look_into(shop, &stream, &mut found).await?;
            streams.insert(stream);
        }
    }
    if matches!(whom, Whom::Person(_)) && found.streams.is_empty() && !is_known(shop, &found).await? {
        return Ok(Found::default());
    }
    Ok(found)
}

/// A customer who has no key gets one, which the log can say something about: they have an account, or are
/// known from before anything was sealed.
///
/// # Errors
/// When the log or the vault fails.
pub(crate) async fn with_a_key(shop: &Shop, found: &mut Found) -> Result<(), PersonsError> {
    let Some(customer) = found.customer().cloned() else { return Ok(()) };
    let keys: Vec<_> = found.customer_of.iter().filter(|(_, of)| **of == customer).map(|(person, _)| *person).collect();
    let wants_one = match account_of(shop, &customer).await? {
        // An account whose keys were all destroyed by themselves is there all the same, and can be held and erased.
        Account::Registered(_) => !is_any_readable(shop, &keys).await?,
        // Who was erased is not erased again, and an id that nobody has is nobody's.
        Account::Removed => false,
        Account::Absent => keys.is_empty() && !found.streams.is_empty(),
    };
    if wants_one && let Some(person) = keyed(shop, &customer).await? {
        found.persons.insert(person);
        found.customer_of.insert(person, customer);
    }
    Ok(())
}

/// The person who a customer is, with a key, which is made if there is none. None of whose account was erased meanwhile: the key
/// that was made goes again.
///
/// # Errors
/// When the log or the vault fails.
pub(crate) async fn keyed(shop: &Shop, customer: &CustomerId) -> Result<Option<PersonId>, PersonsError> {
    let person = shop.persons.of_customer(customer).await?;
    if !matches!(account_of(shop, customer).await?, Account::Removed) {
        return Ok(Some(person));
    }
    shop.persons.forget_customer(customer, person).await?;
    Ok(None)
}

async fn is_any_readable(shop: &Shop, persons: &[PersonId]) -> Result<bool, PersonsError> {
    for person in persons {
        if shop.persons.is_readable(*person).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What whoever would erase somebody is told whose key leads to nothing else.
pub(crate) const LEADS_NOWHERE: &str =
    "whose key this is cannot be told: name the customer, an order or an e-mail address of theirs";

/// Whether keys are all that is found, and one of them is not erased yet. Nothing says what else is theirs, such as an account,
/// and destroying the key would leave it, and look like an erasure.
///
/// # Errors
/// When the log fails.
pub(crate) async fn leads_nowhere(shop: &Shop, found: &Found) -> Result<bool, PersonsError> {
    if !found.streams.is_empty() || !found.customers.is_empty() {
        return Ok(false);
    }
    let kept = |world: &World<'_>| found.persons.iter().filter(|id| !world.get::<Person>(*id).erased).count();
    Ok(engine::look(&*shop.log, kept).await? > 0)
}

/// Whether there is nobody, and no account either. That an id could be an account's does not make it one.
///
/// # Errors
/// When the log fails.
pub(crate) async fn is_unknown(shop: &Shop, found: &Found) -> Result<bool, PersonsError> {
    if !found.is_nobody() {
        return Ok(false);
    }
    for customer in &found.customers {
        if account_of(shop, customer).await?.registered().is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The account of a customer as the log has it now; absent for a customer who is no account.
///
/// # Errors
/// When the log fails.
pub(crate) async fn account_of(shop: &Shop, customer: &CustomerId) -> Result<Account, PersonsError> {
    let account = customer.as_str().parse::<AccountId>();
    // Another way to write the id of an account is another customer.
    let Some(account) = account.ok().filter(|account| account.customer_id() == *customer) else { return Ok(Account::Absent) };
    Ok(engine::look(&*shop.log, |world| world.get::<Account>(account).clone()).await?)
}

/// Whether there is a key, or anything was ever said about it.
async fn is_known(shop: &Shop, found: &Found) -> Result<bool, PersonsError> {
    for person in found.persons.iter().copied() {
        let told = shop.views.read(move |reader| reader.person(person)).await?;
        if told.is_some() || shop.persons.is_readable(person).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a view's row does not show: earlier notes, reviews of an order, and keys of details that were replaced.
async fn look_into(shop: &Shop, stream: &StreamId, found: &mut Found) -> Result<(), PersonsError> {
    for recorded in history::whole(&*shop.log, stream).await? {
        found.persons.extend(sealed_in(&recorded)?);
    }
    if let Ok(order) = stream.aggregate_id.parse::<OrderId>()
        && stream.aggregate_type == "order"
    {
        let (row, reviews) = shop.views.read(move |reader| Ok((reader.order(order)?, reader.reviews_of_order(order)?))).await?;
        row.iter().for_each(|row| found.take_order(row));
        reviews.iter().for_each(|row| found.take_review(row));
    }
    Ok(())
}

/// Whose keys open what an event says about a person. A text that somebody typed elsewhere names nobody, whatever it reads.
pub(super) fn sealed_in(recorded: &Recorded) -> Result<BTreeSet<PersonId>, PersonsError> {
    Ok(recorded.sealed_texts()?.into_values().collect())
}

/// An e-mail address as it is compared.
fn address(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Others who gave the same e-mail address.
#[derive(Debug, Default)]
pub(crate) struct Others {
    /// Their keys, of those that can be read.
    pub(crate) persons: BTreeSet<PersonId>,
    /// Whether an account among them has the address.
    has_account: bool,
}

impl Others {
    /// What whoever erases somebody is told of them, if there are any.
    pub(crate) fn in_words(&self) -> Option<String> {
        let keys = match self.persons.len() {
            0 => return None,
            1 => "1 other key is".to_owned(),
            count => format!("{count} other keys are"),
        };
        let account = if self.has_account { ", one of an account" } else { "" };
        Some(format!(
            "{keys} kept under an e-mail address that was given here{account}: nobody has shown that this is the same person; if it \
             is, erase by the address too"
        ))
    }
}

/// Who else gave an e-mail address that was given by who was found: perhaps the same person, who bought as a guest again. That
/// nobody has shown, so they are not erased along, and whoever erases is told. To be asked before, since nobody can tell after.
/// Costs as much as looking for an address.
///
/// # Errors
/// When a store fails.
pub(crate) async fn others_under_same_address(shop: &Shop, found: &Found) -> Result<Others, PersonsError> {
    let (mut addresses, mut others, mut readable) = (BTreeSet::new(), Found::default(), BTreeSet::new());
    for email in &found.emails {
        addresses.extend(shop.persons.open(email).await?.as_deref().map(address));
    }
    for account in found.accounts() {
        addresses.extend(shop.accounts.profile(account).await?.map(|profile| address(&profile.email)));
    }
    if !addresses.is_empty() {
        by_email(shop, &addresses, &mut others).await?;
    }
    let has_account = others.customers.difference(&found.customers).next().is_some();
    for customer in &others.customers {
        others.persons.extend(shop.persons.known_customer(customer).await?);
    }
    for person in others.persons.difference(&found.persons) {
        if shop.persons.is_readable(*person).await? {
            readable.insert(*person);
        }
    }
    Ok(Others { persons: readable, has_account })
}

async fn by_email(shop: &Shop, wanted: &BTreeSet<String>, found: &mut Found) -> Result<(), PersonsError> {
    let mut own = BTreeSet::new();
    for email in wanted {
        own.extend(shop.accounts.account_of(email).await?.map(|account| account.customer_id()));
    }
    found.customers.extend(own.iter().cloned());
    // Nobody has shown that an address is theirs by typing it: a customer is found by the address of their account only.
    let is_others = |customer: Option<&CustomerId>| customer.is_some_and(|customer| !own.contains(customer));
    let mut after: Option<CartId> = None;
    loop {
        let page = shop.views.read(move |reader| reader.carts_after(after, PAGE)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.cart_id);
        for row in &page {
            if !is_others(row.customer_id.as_ref()) && is_among(shop, row.email.as_ref(), wanted).await? {
                found.take_cart(row);
            }
        }
    }
    let mut after: Option<OrderId> = None;
    loop {
        let page = shop.views.read(move |reader| reader.orders_after(after, PAGE)).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.order_id);
        for row in &page {
            if !is_others(row.customer_id.as_ref()) && is_among(shop, row.email.as_ref(), wanted).await? {
                found.take_order(row);
            }
        }
    }
    Ok(())
}

async fn is_among(shop: &Shop, email: Option<&Personal<String>>, wanted: &BTreeSet<String>) -> Result<bool, PersonsError> {
    let Some(email) = email else { return Ok(false) };
    Ok(shop.persons.open(email).await?.is_some_and(|email| wanted.contains(&address(&email))))
}
