//! Looking up orders: one by its id, or lists for staff.

use std::sync::Arc;

use async_graphql::{Context, Enum, Error, ID, InputObject, Object};
use event_schemas::{OrderId, PaymentId, Timestamp};
use projections::{OrderFilter, OrderSort};

use crate::{
    access::{Permission, sees},
    graphql::{
        as_of::{self, AsOf},
        global_id::{self, Kind},
        loader::{OrderById, PaymentsOf, load},
        order::Order,
        order_status::{FulfilmentStatus, OrderPaymentStatus, OrderStatus},
        page::{self, List, Paging},
        problem,
        scalar::CurrencyCode,
    },
    shop::Shop,
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
    /// Only of this customer.
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

impl OrderFilterInput {
    fn read(self) -> Result<OrderFilter, Error> {
        let bad = |error: event_schemas::InvalidId| problem::bad_input(error.to_string());
        Ok(OrderFilter {
            customer_id: self.customer_id.map(|id| id.parse()).transpose().map_err(bad)?,
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

/// How to sort orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderSortKey {
    /// By when they were placed.
    Placed,
    /// By when they last changed.
    Updated,
    /// By what the buyer owes, whatever the currency.
    Total,
}

/// How to sort orders.
#[derive(Debug, InputObject)]
pub(crate) struct OrderSortInput {
    /// By what.
    by: OrderSortKey,
    /// Whether the newest or largest comes first.
    #[graphql(default = true)]
    descending: bool,
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
        let payments = load(ctx, PaymentsOf(id)).await?.unwrap_or_default();
        let payments: Vec<PaymentId> = payments.into_iter().map(|payment| payment.payment_id).collect();
        as_of::order(ctx, id, &payments, as_of).await
    }

    /// Orders, the newest first unless `sort` says otherwise.
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the GraphQL field")]
    #[graphql(guard = "Permission::ViewOrders", visible = "sees::orders")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which orders.")] filter: Option<OrderFilterInput>,
        #[graphql(desc = "In which order.")] sort: Option<OrderSortInput>,
        #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<Order>, Error> {
        let filter = filter.unwrap_or_default().read()?;
        let page = Paging { first, after, last, before }.page(ctx)?;
        let sort = sort.unwrap_or(OrderSortInput { by: OrderSortKey::Placed, descending: true });
        let by = match sort.by {
            OrderSortKey::Placed => OrderSort::Placed,
            OrderSortKey::Updated => OrderSort::Updated,
            OrderSortKey::Total => OrderSort::Gross,
        };
        let views = &ctx.data::<Arc<Shop>>()?.views;
        let read = views.read(move |reader| reader.orders(&filter, by, sort.descending, &page)).await;
        Ok(page::list(read.map_err(problem::view)?, Order::new))
    }
}
