//! Orders: what was bought, and how its money and its goods stand.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Error, ID, OutputType as _, SimpleObject};
use event_schemas::{CustomerId, OrderId, Personal, Timestamp};

use crate::{
    access::{Caller, Permission, sees},
    graphql::{
        actions::{OrderAction, OrderActions, available},
        address::Address,
        global_id::{self, Kind},
        histories::{OrderHistory, of},
        loader::{ChargesOf, DiscountsOf, FulfilmentsOf, LinesOf, PaymentsOf, ReturnsOf, load},
        money::{Money, TaxedMoney},
        order_parts::{Fulfilment, OrderCharge, OrderDiscount, OrderLine, OrderReturn},
        order_status::{FulfilmentStatus, OrderPaymentStatus, OrderStatus},
        payment::Payment,
        personal::opened,
        scalar::{CurrencyCode, Long},
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

/// What is about a person, sealed.
struct PersonalParts {
    email: Option<Personal<String>>,
    shipping_address: Option<Personal<event_schemas::Address>>,
    billing_address: Option<Personal<event_schemas::Address>>,
    note: Option<Personal<String>>,
}

/// An order.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Order {
    /// Its id.
    pub(crate) id: ID,
    /// How many events have happened to it: to be given back as `expectedVersion`.
    version: Long,
    /// The number that people use for it.
    number: String,
    /// Where it stands.
    status: OrderStatus,
    /// How far its money has come.
    payment_status: OrderPaymentStatus,
    /// How far its goods have come.
    fulfilment_status: FulfilmentStatus,
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
    /// When it last changed.
    updated_at: Timestamp,
    #[graphql(skip)]
    personal: PersonalParts,
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
            version: Long::of(row.version),
            status: row.status.into(),
            payment_status: row.payment_status.into(),
            fulfilment_status: row.fulfilment_status.into(),
            currency: CurrencyCode(row.currency),
            subtotal: money(row.subtotal_minor),
            discount: money(row.discount_minor),
            shipping: money(row.shipping_minor),
            total: TaxedMoney::new(row.net_minor, row.tax_minor, row.gross_minor, row.currency),
            received: money(row.received_minor),
            refunded: money(row.refunded_minor),
            country: row.country.map(|country| country.to_string()),
            customer_id: row.customer_id.as_ref().map(ToString::to_string),
            owner: row.customer_id,
            placed_at: row.placed_at,
            pay_by: row.pay_by,
            paid_at: row.paid_at,
            closed_at: row.closed_at,
            cancel_reason: row.cancel_reason,
            personal: PersonalParts {
                email: row.email,
                shipping_address: row.shipping_address,
                billing_address: row.billing_address,
                note: row.note,
            },
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
    /// E-mail for the confirmation; null also when the person was erased.
    async fn email(&self, ctx: &Context<'_>) -> Result<Option<String>, Error> {
        opened(ctx, self.personal.email.as_ref()).await
    }

    /// Where the parcel goes; null also when the person was erased.
    async fn shipping_address(&self, ctx: &Context<'_>) -> Result<Option<Address>, Error> {
        Ok(opened(ctx, self.personal.shipping_address.as_ref()).await?.map(Address::from))
    }

    /// Where the bill goes, if elsewhere; null also when the person was erased.
    async fn billing_address(&self, ctx: &Context<'_>) -> Result<Option<Address>, Error> {
        Ok(opened(ctx, self.personal.billing_address.as_ref()).await?.map(Address::from))
    }

    /// What staff last wrote down about it; `history` has all notes. Null also when the person was erased.
    #[graphql(guard = "Permission::ViewOrders", visible = "sees::orders")]
    async fn note(&self, ctx: &Context<'_>) -> Result<Option<String>, Error> {
        opened(ctx, self.personal.note.as_ref()).await
    }

    /// What the caller can do with it now.
    async fn available_actions(&self, ctx: &Context<'_>) -> Result<Vec<OrderAction>, Error> {
        available(ctx, OrderActions(self.order_id)).await
    }

    #[graphql(flatten)]
    async fn happened(&self) -> OrderHistory {
        OrderHistory(of::<domain::Order>(self.order_id))
    }

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
}
