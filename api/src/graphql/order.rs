//! Orders: what was bought, and how its money and its goods stand.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Error, ID, SimpleObject};
use event_schemas::{CustomerId, OrderId, StreamId, Timestamp};

use crate::{
    access::{Caller, Permission, sees},
    graphql::{
        address::Address,
        global_id::{self, Kind},
        history::{self, HistoryEntry},
        loader::{ChargesOf, DiscountsOf, FulfilmentsOf, LinesOf, PaymentsOf, ReturnsOf, load},
        money::{Money, TaxedMoney},
        order_parts::{Fulfilment, OrderCharge, OrderDiscount, OrderLine, OrderReturn},
        order_status::{FulfilmentStatus, OrderAction, OrderPaymentStatus, OrderStatus},
        page::{List, Paging},
        payment::Payment,
        scalar::CurrencyCode,
    },
};

/// The parts of an order as it was.
#[derive(Debug)]
pub(crate) struct OrderDetails {
    pub(crate) lines: Vec<projections::OrderLineRow>,
    pub(crate) charges: Vec<projections::OrderChargeRow>,
    pub(crate) discounts: Vec<projections::OrderDiscountRow>,
    pub(crate) fulfilments: Vec<projections::Fulfilment>,
    pub(crate) returns: Vec<projections::OrderReturn>,
    pub(crate) payments: Vec<projections::Payment>,
}

/// An order.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Order {
    /// Its id.
    pub(crate) id: ID,
    /// The number that people use for it.
    number: String,
    /// Where it stands.
    status: OrderStatus,
    /// How far its money has come.
    payment_status: OrderPaymentStatus,
    /// How far its goods have come.
    fulfilment_status: FulfilmentStatus,
    /// What may be done next.
    available_actions: Vec<OrderAction>,
    /// The currency of all its amounts.
    currency: CurrencyCode,
    /// Its lines before discount, as shown to the shopper.
    subtotal: Money,
    /// All discounts on its lines, positive.
    discount: Money,
    /// Shipping, with tax.
    shipping: Money,
    /// What the buyer owes.
    total: TaxedMoney,
    /// What came in.
    received: Money,
    /// What went back.
    refunded: Money,
    /// E-mail for the confirmation.
    email: Option<String>,
    /// Where the parcel goes.
    shipping_address: Option<Address>,
    /// Where the bill goes, if elsewhere.
    billing_address: Option<Address>,
    /// The country that tax, shipping and reports go by.
    country: Option<String>,
    /// The customer, if known.
    customer_id: Option<String>,
    /// When it was placed.
    placed_at: Timestamp,
    /// When it expires unless paid.
    pay_by: Option<Timestamp>,
    /// When it was wholly paid.
    paid_at: Option<Timestamp>,
    /// When it was cancelled or expired.
    closed_at: Option<Timestamp>,
    /// Why it was cancelled.
    cancel_reason: Option<String>,
    /// What staff last wrote down about it; `history` has all notes.
    #[graphql(guard = "Permission::ViewOrders", visible = "sees::orders")]
    note: Option<String>,
    /// When it last changed.
    updated_at: Timestamp,
    #[graphql(skip)]
    order_id: OrderId,
    #[graphql(skip)]
    owner: Option<CustomerId>,
    /// Its parts, when it is shown as it was.
    #[graphql(skip)]
    past: Option<Arc<OrderDetails>>,
}

impl Order {
    /// An order of the views.
    pub(crate) fn new(row: projections::Order) -> Self {
        let money = |minor| Money::new(minor, row.currency);
        Self {
            id: global_id::encode(Kind::Order, row.order_id),
            status: row.status.into(),
            payment_status: row.payment_status.into(),
            fulfilment_status: row.fulfilment_status.into(),
            available_actions: row.facts.available_actions().into_iter().map(Into::into).collect(),
            currency: CurrencyCode(row.currency),
            subtotal: money(row.subtotal_minor),
            discount: money(row.discount_minor),
            shipping: money(row.shipping_minor),
            total: TaxedMoney::new(row.net_minor, row.tax_minor, row.gross_minor, row.currency),
            received: money(row.received_minor),
            refunded: money(row.refunded_minor),
            email: row.email.map(|email| email.0),
            shipping_address: row.shipping_address.as_ref().map(Address::from),
            billing_address: row.billing_address.as_ref().map(Address::from),
            country: row.country.map(|country| country.to_string()),
            customer_id: row.customer_id.as_ref().map(ToString::to_string),
            owner: row.customer_id,
            placed_at: row.placed_at,
            pay_by: row.pay_by,
            paid_at: row.paid_at,
            closed_at: row.closed_at,
            cancel_reason: row.cancel_reason,
            note: row.note.map(|note| note.0),
            updated_at: row.updated_at,
            number: row.number,
            order_id: row.order_id,
            past: None,
        }
    }

    /// The order of a row, if it is there for the caller: a customer's order is for them and for staff.
    pub(crate) fn visible(ctx: &Context<'_>, row: Option<projections::Order>) -> Result<Option<Self>, Error> {
        let caller = ctx.data::<Caller>()?;
        let reached = row.filter(|row| caller.reaches(row.customer_id.as_ref(), Permission::ViewOrders));
        Ok(reached.map(Self::new))
    }

    /// An order as it was, with its parts then.
    pub(crate) fn past(row: projections::Order, details: OrderDetails) -> Self {
        Self { past: Some(Arc::new(details)), ..Self::new(row) }
    }
}

#[ComplexObject]
impl Order {
    /// Its lines as bought.
    async fn lines(&self, ctx: &Context<'_>) -> Result<Vec<OrderLine>, Error> {
        let rows = match &self.past {
            Some(past) => past.lines.clone(),
            None => load(ctx, LinesOf(self.order_id)).await?.unwrap_or_default(),
        };
        Ok(rows.into_iter().map(|row| OrderLine::new(row, self.currency.0)).collect())
    }

    /// Shipping and other charges.
    async fn charges(&self, ctx: &Context<'_>) -> Result<Vec<OrderCharge>, Error> {
        let rows = match &self.past {
            Some(past) => past.charges.clone(),
            None => load(ctx, ChargesOf(self.order_id)).await?.unwrap_or_default(),
        };
        Ok(rows.into_iter().map(|row| OrderCharge::new(row, self.currency.0)).collect())
    }

    /// The promotions that it used.
    async fn discounts(&self, ctx: &Context<'_>) -> Result<Vec<OrderDiscount>, Error> {
        let rows = match &self.past {
            Some(past) => past.discounts.clone(),
            None => load(ctx, DiscountsOf(self.order_id)).await?.unwrap_or_default(),
        };
        Ok(rows.into_iter().map(|row| OrderDiscount::new(row, self.currency.0)).collect())
    }

    /// Its parcels, the first shipped first.
    async fn fulfilments(&self, ctx: &Context<'_>) -> Result<Vec<Fulfilment>, Error> {
        let rows = match &self.past {
            Some(past) => past.fulfilments.clone(),
            None => load(ctx, FulfilmentsOf(self.order_id)).await?.unwrap_or_default(),
        };
        Ok(rows.into_iter().map(Fulfilment::from).collect())
    }

    /// Its returns, the oldest first.
    async fn returns(&self, ctx: &Context<'_>) -> Result<Vec<OrderReturn>, Error> {
        let rows = match &self.past {
            Some(past) => past.returns.clone(),
            None => load(ctx, ReturnsOf(self.order_id)).await?.unwrap_or_default(),
        };
        Ok(rows.into_iter().map(OrderReturn::from).collect())
    }

    /// Its payments, the oldest first; none if the caller may not see them.
    async fn payments(&self, ctx: &Context<'_>) -> Result<Vec<Payment>, Error> {
        if !ctx.data::<Caller>()?.reaches(self.owner.as_ref(), Permission::ViewPayments) {
            return Ok(Vec::new());
        }
        let rows = match &self.past {
            Some(past) => past.payments.clone(),
            None => load(ctx, PaymentsOf(self.order_id)).await?.unwrap_or_default(),
        };
        Ok(rows.into_iter().map(Payment::new).collect())
    }

    /// What happened to it, the oldest first.
    #[graphql(guard = "Permission::ViewOrders", visible = "sees::orders")]
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, from the start.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<HistoryEntry>, Error> {
        history::of(ctx, StreamId::new("order", self.order_id), Paging { first, after, last, before }).await
    }
}
