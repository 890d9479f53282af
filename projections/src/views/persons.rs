//! Who asked that a person be erased, who was, and which legal holds forbid it?

use std::collections::BTreeMap;

use event_schemas::{CartId, CommerceEvent, CustomerId, OrderId, PersonEvent, PersonId, Position, Timestamp};

use crate::{
    Cart, Column as _, Fact, FoldError, Listed, Order as OrderRow, Page, Projection, Reader, Review, Row as _, Rows, Value,
    ViewError, conditions::Conditions,
};

text_enum! {
    /// What became of a person's data.
    PersonState {
        /// It is kept.
        Kept = "kept",
        /// Somebody asked that it be erased.
        ErasureRequested = "erasure_requested",
        /// It was erased.
        Erased = "erased",
    }
}

row! {
    /// A person whom somebody asked to erase, or to keep. All others are not here.
    Person in "persons" {
        key {
            /// The person: the id of a key.
            person_id: PersonId,
        }
        /// What became of their data.
        state: PersonState,
        /// The customer that they are or were, if known.
        customer_id: Option<CustomerId>,
        /// Who asked last that they be erased.
        requested_by: Option<String>,
        /// Why.
        reason: Option<String>,
        /// When.
        requested_at: Option<Timestamp>,
        /// When they were erased.
        erased_at: Option<Timestamp>,
        /// Legal holds, as a JSON object of names and reasons.
        holds: BTreeMap<String, String>,
    }
    index "position, person_id";
    index "state, position, person_id";
    index "customer_id";
}

/// The persons.
pub const PERSONS: Projection = Projection { name: "persons", version: 1, tables: &[Person::TABLE], for_analysts: false, fold };

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::Person(event) = fact.event else { return Ok(()) };
    let person_id: PersonId = fact.stream.aggregate_id.parse()?;
    if rows.get::<Person>(&(person_id,))?.is_none() {
        rows.put(Person {
            person_id,
            state: PersonState::Kept,
            customer_id: None,
            requested_by: None,
            reason: None,
            requested_at: None,
            erased_at: None,
            holds: BTreeMap::new(),
            position: fact.position,
        })?;
    }
    let person = rows.edit::<Person>(&(person_id,))?.ok_or_else(|| FoldError::unknown("person", person_id))?;
    match event {
        PersonEvent::PersonErasureRequested(event) => {
            person.state = PersonState::ErasureRequested;
            person.customer_id.clone_from(&event.customer_id);
            (person.requested_by, person.reason) = (Some(event.by.clone()), Some(event.reason.clone()));
            person.requested_at = Some(fact.occurred_at);
        }
        PersonEvent::PersonErasureApproved(_) => {}
        PersonEvent::PersonErasureRejected(_) => person.state = PersonState::Kept,
        PersonEvent::PersonErased(_) => (person.state, person.erased_at) = (PersonState::Erased, Some(fact.occurred_at)),
        PersonEvent::LegalHoldPlaced(event) => drop(person.holds.insert(event.name.clone(), event.reason.clone())),
        PersonEvent::LegalHoldLifted(event) => drop(person.holds.remove(&event.name)),
    }
    Ok(())
}

/// What is kept about one or several persons, or a customer.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Carts.
    pub carts: Vec<Cart>,
    /// Orders.
    pub orders: Vec<OrderRow>,
    /// Reviews.
    pub reviews: Vec<Review>,
}

/// Which persons to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PersonFilter {
    /// Only in this state.
    pub state: Option<PersonState>,
    /// Only of this customer.
    pub customer_id: Option<CustomerId>,
}

sortings! {
    /// How to sort persons.
    PersonSort {
        /// By when something last happened to them.
        Changed "changed": "t.position", "t.person_id";
    }
}

impl Reader<'_> {
    /// The person of an id, if somebody asked to erase or to keep them.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn person(&self, id: PersonId) -> Result<Option<Person>, ViewError> {
        self.row(&(id,))
    }

    /// Persons.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn persons(
        &self,
        filter: &PersonFilter,
        sort: PersonSort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<Person>, ViewError> {
        let mut conditions = Conditions::default();
        conditions.many(filter.state.as_ref(), "t.state", true);
        conditions.few(filter.customer_id.as_ref(), "t.customer_id");
        self.page(&conditions, sort.order(descending), page)
    }

    /// Persons who were erased by an event after a position, the first of them first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn erased_after(&self, position: Position, limit: u32) -> Result<Vec<Person>, ViewError> {
        let tail = "WHERE t.state = ? AND t.position > ? ORDER BY t.position, t.person_id LIMIT ?";
        let erased = PersonState::Erased;
        self.rows(tail, &[erased.value(), position.value(), i64::from(limit).value()])
    }

    /// What is kept about a person.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn kept_of_person(&self, id: PersonId) -> Result<Kept, ViewError> {
        self.kept("person_id", &id.value())
    }

    /// What is kept about a customer.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn kept_of_customer(&self, id: &CustomerId) -> Result<Kept, ViewError> {
        self.kept("customer_id", &id.value())
    }

    fn kept(&self, column: &str, value: &Value<'_>) -> Result<Kept, ViewError> {
        let tail = format!("WHERE t.{column} = ?");
        let parameters = [value.clone().into_owned()];
        Ok(Kept {
            carts: self.rows(&tail, &parameters)?,
            orders: self.rows(&tail, &parameters)?,
            reviews: self.rows(&tail, &parameters)?,
        })
    }

    /// Carts after an id, in the order of their ids: to look at all of them, a page at a time.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn carts_after(&self, after: Option<CartId>, limit: u32) -> Result<Vec<Cart>, ViewError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        self.rows("WHERE t.cart_id > ? ORDER BY t.cart_id LIMIT ?", &[after.value(), i64::from(limit).value()])
    }

    /// Orders after an id, in the order of their ids: to look at all of them, a page at a time.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn orders_after(&self, after: Option<OrderId>, limit: u32) -> Result<Vec<OrderRow>, ViewError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        self.rows("WHERE t.order_id > ? ORDER BY t.order_id LIMIT ?", &[after.value(), i64::from(limit).value()])
    }

    /// The reviews of an order.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn reviews_of_order(&self, order: OrderId) -> Result<Vec<Review>, ViewError> {
        self.rows("WHERE t.order_id = ?", &[order.value()])
    }
}
