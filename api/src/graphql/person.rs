//! Persons, for whoever protects data: everything that is kept about one, and whom somebody asked to erase.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{ComplexObject, Context, Enum, Error, ID, InputObject, Json, Object, SimpleObject};
use event_schemas::{OrderId, PersonId, StreamId, Timestamp};
use projections::PersonFilter;

use crate::{
    access::{Caller, Permission, sees},
    graphql::{
        audit_query::{exported, shown},
        global_id::{self, Kind},
        page::{self, List, Narrowing, Paging, sorting},
        problem,
    },
    persons::{self, Found, PersonsError, Reader, Whom},
    shop::Shop,
};

/// What became of a person's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projections::PersonState")]
pub(crate) enum PersonState {
    /// It is kept.
    Kept,
    /// Somebody asked that it be erased, and a second person has to agree.
    ErasureRequested,
    /// It was erased.
    Erased,
}

/// A reason in law to keep what is known about a person.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct LegalHold {
    /// Its name.
    name: String,
    /// Why.
    reason: String,
}

/// A person whose data is sealed. Who bought as a guest and as a customer has several keys, and is one person here.
#[derive(Debug, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Person {
    /// The ids of their keys, as they stand in sealed texts: `sealed:1:ID:…`.
    ids: Vec<String>,
    /// The customers that they are; none for a guest.
    customer_ids: Vec<String>,
    /// What became of their data.
    state: PersonState,
    /// Who asked last that it be erased.
    requested_by: Option<String>,
    /// Why.
    reason: Option<String>,
    /// When.
    requested_at: Option<Timestamp>,
    /// When it was erased.
    erased_at: Option<Timestamp>,
    /// Why they cannot be erased.
    legal_holds: Vec<LegalHold>,
    /// Whether some of it was recorded by a version of Daybook that did not seal it. No erasure reaches that.
    has_unsealed: bool,
    #[graphql(skip)]
    found: Found,
}

#[ComplexObject]
impl Person {
    /// Everything about them, for them to read: accounts, and every event of carts, orders, payments and reviews. That it was
    /// taken along is written down first, with the reason of the header `Daybook-Reason`.
    async fn data(&self, ctx: &Context<'_>) -> Result<Json<serde_json::Value>, Error> {
        if self.found.is_several() {
            return Err(problem::bad_input(several(&self.found)));
        }
        for whom in self.found.names() {
            exported(ctx, &StreamId::new("person", whom), "json").await?;
        }
        persons::copy_of(ctx.data::<Arc<Shop>>()?, &self.found, Reader::Protector).await.map(Json).map_err(|error| fault(&error))
    }
}

/// That somebody asked to erase a person, or to keep them.
#[derive(Debug, SimpleObject)]
pub(crate) struct PersonRecord {
    /// The id of the person's key.
    id: String,
    /// The customer that they are or were, if known.
    customer_id: Option<String>,
    /// What became of their data.
    state: PersonState,
    /// Who asked last that it be erased.
    requested_by: Option<String>,
    /// Why.
    reason: Option<String>,
    /// When.
    requested_at: Option<Timestamp>,
    /// When it was erased.
    erased_at: Option<Timestamp>,
    /// Why they cannot be erased.
    legal_holds: Vec<LegalHold>,
}

impl From<projections::Person> for PersonRecord {
    fn from(row: projections::Person) -> Self {
        Self {
            id: row.person_id.to_string(),
            customer_id: row.customer_id.map(|id| id.to_string()),
            state: row.state.into(),
            requested_by: row.requested_by,
            reason: row.reason,
            requested_at: row.requested_at,
            erased_at: row.erased_at,
            legal_holds: holds(row.holds),
        }
    }
}

fn holds(holds: BTreeMap<String, String>) -> Vec<LegalHold> {
    holds.into_iter().map(|(name, reason)| LegalHold { name, reason }).collect()
}

/// Why nothing is erased or handed out when more than one customer is found, for whoever protects data.
pub(crate) fn several(found: &Found) -> String {
    let customers: Vec<_> = found.customers.iter().map(ToString::to_string).collect();
    format!("these are several customers, name one: {}", customers.join(", "))
}

/// A failure of a store, or of the views to come along, as the caller is told of it.
pub(crate) fn fault(error: &PersonsError) -> Error {
    match error {
        PersonsError::NotYet(not_yet) => problem::not_yet_visible(not_yet),
        other => problem::fault(other),
    }
}

/// Who is found, with what became of them; null if there is nobody.
///
/// # Errors
/// When a store fails.
pub(crate) async fn told(ctx: &Context<'_>, found: Found) -> Result<Option<Person>, Error> {
    let shop = ctx.data::<Arc<Shop>>()?;
    if persons::is_unknown(shop, &found).await.map_err(|error| fault(&error))? {
        return Ok(None);
    }
    let ids: Vec<PersonId> = found.persons.iter().copied().collect();
    let rows = shop.views.read(move |reader| ids.iter().map(|id| reader.person(*id)).collect::<Result<Vec<_>, _>>());
    let rows: Vec<_> = rows.await.map_err(problem::view)?.into_iter().flatten().collect();
    let erased = rows.iter().filter(|row| row.state == projections::PersonState::Erased).count();
    let requested = rows.iter().find(|row| row.state == projections::PersonState::ErasureRequested);
    let state = match requested {
        Some(_) => PersonState::ErasureRequested,
        None if erased > 0 && erased == found.persons.len() => PersonState::Erased,
        None => PersonState::Kept,
    };
    let said = requested.or_else(|| rows.iter().max_by_key(|row| row.requested_at));
    Ok(Some(Person {
        ids: found.persons.iter().map(ToString::to_string).collect(),
        customer_ids: found.customers.iter().map(ToString::to_string).collect(),
        state,
        requested_by: said.and_then(|row| row.requested_by.clone()),
        reason: said.and_then(|row| row.reason.clone()),
        requested_at: said.and_then(|row| row.requested_at),
        erased_at: rows.iter().filter_map(|row| row.erased_at).max(),
        legal_holds: holds(rows.iter().flat_map(|row| row.holds.clone()).collect()),
        has_unsealed: found.plain,
        found,
    }))
}

/// Who is meant: one of these says it.
///
/// # Errors
/// If none does, or several do, or it is no id.
pub(crate) fn whom(
    person_id: Option<&str>,
    customer_id: Option<&str>,
    email: Option<&str>,
    order_id: Option<&ID>,
) -> Result<Whom, Error> {
    match (person_id, customer_id, email, order_id) {
        (Some(id), None, None, None) => id.parse().map(Whom::Person).map_err(|_| problem::bad_id("personId")),
        (None, Some(id), None, None) => global_id::customer(id).map(Whom::Customer).map_err(|_| problem::bad_id("customerId")),
        (None, None, Some(email), None) => Ok(Whom::Email(email.to_owned())),
        (None, None, None, Some(id)) => {
            global_id::decode::<OrderId>(Kind::Order, id).map(Whom::Order).ok_or_else(|| problem::bad_id("orderId"))
        }
        _ => Err(problem::bad_input("name a person by `personId`, `customerId`, `email` or `orderId`, by one of them")),
    }
}

/// Which persons to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct ErasureFilterInput {
    /// Only with this state, such as those that wait for a second person.
    state: Option<PersonState>,
    /// Only of this customer: by the customer's id, or their account's.
    customer_id: Option<String>,
}

impl Narrowing for ErasureFilterInput {
    type Filter = PersonFilter;

    fn read(self) -> Result<PersonFilter, Error> {
        let bad = |error: event_schemas::InvalidId| problem::bad_input(error.to_string());
        let customer_id = self.customer_id.map(|id| global_id::customer(&id)).transpose().map_err(bad)?;
        Ok(PersonFilter { state: self.state.map(Into::into), customer_id })
    }
}

sorting! {
    /// How to sort persons.
    ErasureSortInput by ErasureSortKey of PersonSort as "projections::PersonSort", descending = true {
        /// By when something last happened to them.
        Changed,
    }
}

#[derive(Default)]
pub(crate) struct PersonQuery;

#[Object]
impl PersonQuery {
    /// A person, by one of these; null if nothing is known about them. By e-mail address every cart and order is opened, which
    /// takes a second for some 100,000.
    #[graphql(guard = "Permission::ProtectData", visible = "sees::protect_data")]
    async fn person(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of a key of theirs.")] person_id: Option<String>,
        #[graphql(desc = "The customer that they are: the customer's id, or their account's.")] customer_id: Option<String>,
        #[graphql(desc = "An e-mail address that they gave.")] email: Option<String>,
        #[graphql(desc = "An order of theirs.")] order_id: Option<ID>,
    ) -> Result<Option<Person>, Error> {
        let whom = whom(person_id.as_deref(), customer_id.as_deref(), email.as_deref(), order_id.as_ref())?;
        let found = persons::find(ctx.data::<Arc<Shop>>()?, &whom).await.map_err(|error| fault(&error))?;
        let told = told(ctx, found).await?;
        for id in told.iter().flat_map(|person| person.found.names()) {
            shown(ctx, &StreamId::new("person", id))?;
        }
        Ok(told)
    }

    /// Persons whom somebody asked to erase or to keep, the last changed first unless `sort` says otherwise.
    #[graphql(guard = "Permission::ProtectData", visible = "sees::protect_data")]
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the GraphQL field")]
    async fn erasures(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only with this state: the same as in `filter`.")] state: Option<PersonState>,
        #[graphql(desc = "Which of them; all unless given.")] filter: Option<ErasureFilterInput>,
        #[graphql(desc = "In which order.")] sort: Option<ErasureSortInput>,
        #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<PersonRecord>, Error> {
        let page = Paging { first, after, last, before }.page(ctx)?;
        let views = &ctx.data::<Arc<Shop>>()?.views;
        let filter = filter.unwrap_or_default();
        let filter = ErasureFilterInput { state: state.or(filter.state), ..filter }.read()?;
        let (by, descending) = ErasureSortInput::of(sort);
        let listed = views.read(move |reader| reader.persons(&filter, by, descending, &page)).await.map_err(problem::view)?;
        Ok(page::list(listed, PersonRecord::from))
    }
}

/// Everything that is kept about the caller; null for who is no customer.
///
/// # Errors
/// When a store fails.
pub(crate) async fn own_data(ctx: &Context<'_>) -> Result<Option<Json<serde_json::Value>>, Error> {
    let Some(customer) = ctx.data::<Caller>()?.customer_id() else { return Ok(None) };
    let shop = ctx.data::<Arc<Shop>>()?;
    let found = persons::find(shop, &Whom::Customer(customer)).await.map_err(|error| fault(&error))?;
    if found.is_several() {
        return Err(problem::bad_input("what is kept is not of you alone: ask the shop"));
    }
    persons::copy_of(shop, &found, Reader::Themselves).await.map(|data| Some(Json(data))).map_err(|error| fault(&error))
}
