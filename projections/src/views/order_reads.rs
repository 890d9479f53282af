//! The reads of the orders: lists with filters and sorting, a customer's history, and batches for a loader.

use std::collections::BTreeMap;

use event_schemas::{CountryCode, Currency, CustomerId, FulfilmentStatus, OrderId, OrderPaymentStatus, OrderStatus, Timestamp};

use crate::{
    Fulfilment, Listed, Order, OrderChargeRow, OrderDiscountRow, OrderLineRow, OrderReturn, Page, Reader, Row, ViewError,
    conditions::Conditions,
};

/// Which orders to list; all that is absent does not restrict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OrderFilter {
    /// Only of this customer.
    pub customer_id: Option<CustomerId>,
    /// Only in one of these states.
    pub statuses: Option<Vec<OrderStatus>>,
    /// Only with this state of the money.
    pub payment_status: Option<OrderPaymentStatus>,
    /// Only with this state of the goods.
    pub fulfilment_status: Option<FulfilmentStatus>,
    /// Only to this country.
    pub country: Option<CountryCode>,
    /// Only in this currency.
    pub currency: Option<Currency>,
    /// Only of this number.
    pub number: Option<String>,
    /// Only placed at or after.
    pub from: Option<Timestamp>,
    /// Only placed before.
    pub to: Option<Timestamp>,
}

sortings! {
    /// How to sort orders.
    OrderSort {
        /// By when they were placed.
        Placed "placed": "t.placed_at", "t.order_id";
        /// By when they last changed.
        Updated "updated": "t.updated_at", "t.order_id";
        /// By what the buyer owes, whatever the currency.
        Gross "gross": "t.gross_minor", "t.order_id";
    }
}

impl Reader<'_> {
    /// The order of an id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn order(&self, id: OrderId) -> Result<Option<Order>, ViewError> {
        self.row(&(id,))
    }

    /// Orders; a customer's history is the list of their orders.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn orders(
        &self,
        filter: &OrderFilter,
        sort: OrderSort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<Order>, ViewError> {
        let in_order = sort == OrderSort::Placed;
        let mut conditions = Conditions::default();
        conditions.few(filter.customer_id.as_ref(), "t.customer_id");
        if let Some(statuses) = &filter.statuses {
            conditions.any_of(statuses, "t.status", in_order);
        }
        conditions.many(filter.payment_status.as_ref(), "t.payment_status", in_order);
        conditions.many(filter.fulfilment_status.as_ref(), "t.fulfilment_status", in_order);
        conditions.many(filter.country.as_ref(), "t.country", in_order);
        conditions.many(filter.currency.as_ref(), "t.currency", in_order);
        conditions.few(filter.number.as_ref(), "t.number");
        conditions.between("t.placed_at", filter.from.as_ref(), filter.to.as_ref(), in_order);
        self.page(&conditions, sort.order(descending), page)
    }

    /// The orders of ids, for a batch in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn orders_by_id(&self, ids: &[OrderId]) -> Result<BTreeMap<OrderId, Order>, ViewError> {
        let rows = self.rows_of::<Order, _>("order_id", ids, "t.order_id")?;
        Ok(rows.into_iter().map(|order| (order.order_id, order)).collect())
    }

    /// The lines of each order, for a batch of orders in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn lines_of(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, Vec<OrderLineRow>>, ViewError> {
        self.details_of(orders, "t.order_id, t.line", |line| line.order_id)
    }

    /// The charges of each order, for a batch of orders in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn charges_of(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, Vec<OrderChargeRow>>, ViewError> {
        self.details_of(orders, "t.order_id, t.charge", |charge| charge.order_id)
    }

    /// The promotions that each order used, for a batch of orders in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn discounts_of(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, Vec<OrderDiscountRow>>, ViewError> {
        self.details_of(orders, "t.order_id, t.code", |discount| discount.order_id)
    }

    /// The parcels of each order, the first shipped first, for a batch of orders in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn fulfilments_of(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, Vec<Fulfilment>>, ViewError> {
        self.details_of(orders, "t.order_id, t.shipped_at, t.fulfilment_id", |parcel| parcel.order_id)
    }

    /// The returns of each order, the oldest first, for a batch of orders in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn returns_of(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, Vec<OrderReturn>>, ViewError> {
        self.details_of(orders, "t.order_id, t.returned_at, t.return_id", |returned| returned.order_id)
    }

    fn details_of<R: Row>(
        &self,
        orders: &[OrderId],
        sort: &str,
        order_of: fn(&R) -> OrderId,
    ) -> Result<BTreeMap<OrderId, Vec<R>>, ViewError> {
        let mut found: BTreeMap<OrderId, Vec<R>> = BTreeMap::new();
        for row in self.rows_of::<R, _>("order_id", orders, sort)? {
            found.entry(order_of(&row)).or_default().push(row);
        }
        Ok(found)
    }
}
