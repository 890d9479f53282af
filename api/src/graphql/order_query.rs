//! Looking up orders: one by its id, or lists for staff.

use async_graphql::{Context, Error, ID, InputObject, Object};
use event_schemas::{OrderId, Timestamp};
use projections::OrderFilter;

use crate::{
    access::{Permission, sees},
    graphql::{
        as_of::{self, AsOf},
        global_id::{self, Kind},
        loader::{OrderById, load},
        order::Order,
        order_status::{FulfilmentStatus, OrderPaymentStatus, OrderStatus},
        page::{Narrowing, root_list, sorting},
        problem,
        scalar::CurrencyCode,
    },
};

/// Which orders to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct OrderFilterInput {
    /// Only in one of these states.
    statuses: Option<Vec<OrderStatus>>,
    /// Only with this state of the money.
    payment_status: Option<OrderPaymentStatus>,
    /// Only with this state of the goods.
    fulfilment_status: Option<FulfilmentStatus>,
    /// Only of this customer: by the customer's id, or their account's.
    customer_id: Option<String>,
    /// Only to this country, ISO 3166-1 alpha-2.
    country: Option<String>,
    /// Only in this currency.
    currency: Option<CurrencyCode>,
    /// Only of this number.
    number: Option<String>,
    /// Only placed at or after.
    from: Option<Timestamp>,
    /// Only placed before.
    to: Option<Timestamp>,
}

impl Narrowing for OrderFilterInput {
    type Filter = OrderFilter;

    fn read(self) -> Result<OrderFilter, Error> {
        let bad = |error: event_schemas::InvalidId| problem::bad_input(error.to_string());
        Ok(OrderFilter {
            customer_id: self.customer_id.map(|id| global_id::customer(&id)).transpose().map_err(bad)?,
            statuses: self.statuses.map(|statuses| statuses.into_iter().map(Into::into).collect()),
            payment_status: self.payment_status.map(Into::into),
            fulfilment_status: self.fulfilment_status.map(Into::into),
            country: self.country.map(|country| country.parse()).transpose().map_err(bad)?,
            currency: self.currency.map(|currency| currency.0),
            number: self.number,
            from: self.from,
            to: self.to,
        })
    }
}

sorting! {
    /// How to sort orders.
    OrderSortInput by OrderSortKey of OrderSort as "projections::OrderSort", descending = true {
        /// By when they were placed.
        Placed,
        /// By when they last changed.
        Updated,
        /// By what the buyer owes, whatever the currency.
        #[graphql(name = "TOTAL")]
        Gross,
    }
}

root_list! {
    /// Orders, the newest first unless `sort` says otherwise.
    #[graphql(guard = "Permission::ViewOrders", visible = "sees::orders")]
    OrderList: orders(OrderFilterInput, OrderSortInput) -> Order by Order::new = orders
}

#[derive(Default)]
pub(crate) struct OrderQuery;

#[Object]
impl OrderQuery {
    /// An order: a customer's for them and for staff, a guest's for whoever knows its id; as it was at a moment, if asked.
    async fn order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
        #[graphql(desc = "The moment: now unless given.")] as_of: Option<AsOf>,
    ) -> Result<Option<Order>, Error> {
        let id: OrderId = global_id::decode(Kind::Order, &id).ok_or_else(|| problem::bad_id("id"))?;
        let Some(as_of) = as_of else {
            return Order::visible(ctx, load(ctx, OrderById(id)).await?);
        };
        as_of::order(ctx, id, as_of).await
    }
}
