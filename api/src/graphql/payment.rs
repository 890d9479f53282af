//! Payments: what is held, taken and given back.

use async_graphql::{ComplexObject, Context, Enum, Error, ID, InputObject, Object, OutputType as _, SimpleObject};
use event_schemas::{PaymentId, Timestamp};
use projections::PaymentFilter;

use crate::{
    access::{Caller, Permission, sees},
    graphql::{
        actions::{PaymentAction, PaymentActions, available},
        as_of::{self, AsOf},
        changed::payment_at,
        global_id::{self, Kind},
        histories::{PaymentHistory, of},
        loader::{OrderById, RefundsOf, load},
        money::Money,
        order::Order,
        page::{Narrowing, root_list, sorting},
        problem,
        scalar::{CurrencyCode, Long},
    },
};

/// How far a payment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projections::PaymentStatus")]
pub(crate) enum PaymentStatus {
    /// Opened; the buyer has not confirmed.
    Opened,
    /// The gateway is being asked.
    Processing,
    /// The buyer has to do something at their bank: see `actionUrl`.
    ActionRequired,
    /// The money is held.
    Authorised,
    /// A part of the money was taken.
    PartiallyCaptured,
    /// All of the money was taken.
    Captured,
    /// A part of what was taken went back.
    PartiallyRefunded,
    /// All that was taken went back.
    Refunded,
    /// The gateway declined; the buyer may try again.
    Declined,
    /// Held money was let go.
    Voided,
    /// It can no longer be made.
    Expired,
    /// The buyer's bank took the money back for now.
    Disputed,
}

/// How far a refund has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projections::RefundStatus")]
pub(crate) enum RefundStatus {
    /// The gateway is being asked.
    Requested,
    /// The money went back.
    Refunded,
    /// The gateway would not.
    Failed,
}

/// Money on its way back to the buyer.
#[derive(SimpleObject)]
pub(crate) struct Refund {
    /// How far it has come.
    status: RefundStatus,
    /// How much.
    amount: Money,
    /// Why, or why the gateway would not.
    reason: Option<String>,
    /// When it was asked for, or made.
    requested_at: Timestamp,
    /// When it was made or failed.
    ended_at: Option<Timestamp>,
}

impl From<projections::Refund> for Refund {
    fn from(row: projections::Refund) -> Self {
        Self {
            status: row.status.into(),
            amount: Money::new(row.amount_minor, row.currency),
            reason: row.reason,
            requested_at: row.requested_at,
            ended_at: row.ended_at,
        }
    }
}

/// Why the gateway declined.
#[derive(SimpleObject)]
pub(crate) struct Decline {
    /// The gateway's code, such as `insufficient_funds`.
    code: String,
    /// The gateway's words.
    message: Option<String>,
}

/// A payment for an order. At every moment: authorised ≥ captured ≥ refunded.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Payment {
    /// Its id.
    pub(crate) id: ID,
    /// How many events have happened to it: to be given back as `expectedVersion`.
    version: Long,
    /// How far it has come.
    status: PaymentStatus,
    /// The gateway that moves the money, such as `sandbox`.
    gateway: String,
    /// The method within the gateway, if known.
    method: Option<String>,
    /// What is due.
    amount: Money,
    /// What the gateway held or holds.
    authorised: Money,
    /// What was taken.
    captured: Money,
    /// What went back.
    refunded: Money,
    /// What is in dispute.
    disputed: Money,
    /// Where the buyer goes next, while an action is required.
    action_url: Option<String>,
    /// Why the gateway declined, if it last did.
    decline: Option<Decline>,
    /// When it was opened.
    opened_at: Timestamp,
    /// When it last changed.
    updated_at: Timestamp,
    #[graphql(skip)]
    row: projections::Payment,
    /// Its refunds, when it is shown as it was.
    #[graphql(skip)]
    past_refunds: Option<Vec<projections::Refund>>,
}

impl Payment {
    /// A payment of the views.
    pub(crate) fn new(row: projections::Payment) -> Self {
        let money = |minor| Money::new(minor, row.currency);
        Self {
            id: global_id::encode(Kind::Payment, row.payment_id),
            version: Long::of(row.version),
            status: row.status.into(),
            gateway: row.gateway.clone(),
            method: row.method.clone(),
            amount: money(row.amount_minor),
            authorised: money(row.authorised_minor),
            captured: money(row.captured_minor),
            refunded: money(row.refunded_minor),
            disputed: money(row.disputed_minor),
            action_url: row.action_url.clone(),
            decline: row.decline_code.clone().map(|code| Decline { code, message: row.decline_message.clone() }),
            opened_at: row.opened_at,
            updated_at: row.updated_at,
            row,
            past_refunds: None,
        }
    }

    /// The payment of a row, if it is there for the caller: it belongs to whom its order belongs to.
    pub(crate) fn visible(
        ctx: &Context<'_>,
        row: Option<projections::Payment>,
        order: Option<&projections::Order>,
    ) -> Result<Option<Self>, Error> {
        let caller = ctx.data::<Caller>()?;
        let reached = match order {
            Some(order) => caller.reaches(order.customer_id.as_ref(), Permission::ViewPayments),
            None => caller.may(Permission::ViewPayments),
        };
        Ok(row.filter(|_| reached).map(Self::new))
    }

    /// A payment as it was, with its refunds then.
    pub(crate) fn past(row: projections::Payment, refunds: Vec<projections::Refund>) -> Self {
        Self { past_refunds: Some(refunds), ..Self::new(row) }
    }
}

#[ComplexObject]
impl Payment {
    /// What the caller can do with it now.
    async fn available_actions(&self, ctx: &Context<'_>) -> Result<Vec<PaymentAction>, Error> {
        available(ctx, PaymentActions(self.row.payment_id)).await
    }

    #[graphql(flatten)]
    async fn happened(&self) -> PaymentHistory {
        PaymentHistory(of::<domain::Payment>(self.row.payment_id))
    }

    /// The order that it is for.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>, Error> {
        Order::visible(ctx, load(ctx, OrderById(self.row.order_id)).await?)
    }

    /// Its refunds, the oldest first.
    async fn refunds(&self, ctx: &Context<'_>) -> Result<Vec<Refund>, Error> {
        let refunds = match &self.past_refunds {
            Some(refunds) => refunds.clone(),
            None => load(ctx, RefundsOf(self.row.payment_id)).await?.unwrap_or_default(),
        };
        Ok(refunds.into_iter().map(Refund::from).collect())
    }
}

/// Which payments to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct PaymentFilterInput {
    /// Only with this status.
    status: Option<PaymentStatus>,
    /// Only through this gateway.
    gateway: Option<String>,
    /// Only for this order.
    order_id: Option<ID>,
    /// Only in this currency.
    currency: Option<CurrencyCode>,
    /// Only opened at or after.
    from: Option<Timestamp>,
    /// Only opened before.
    to: Option<Timestamp>,
}

impl Narrowing for PaymentFilterInput {
    type Filter = PaymentFilter;

    fn read(self) -> Result<PaymentFilter, Error> {
        let Self { status, gateway, order_id, currency, from, to } = self;
        let order_id = order_id.map(|id| global_id::decode(Kind::Order, &id).ok_or_else(|| problem::bad_id("orderId")));
        let (status, currency) = (status.map(Into::into), currency.map(|currency| currency.0));
        Ok(PaymentFilter { order_id: order_id.transpose()?, status, gateway, currency, from, to })
    }
}

sorting! {
    /// How to sort payments.
    PaymentSortInput by PaymentSortKey of PaymentSort as "projections::PaymentSort", descending = true {
        /// By when they were opened.
        Opened,
        /// By when they last changed.
        Updated,
        /// By what is due, whatever the currency.
        Amount,
    }
}

root_list! {
    /// Payments, the newest first unless `sort` says otherwise.
    #[graphql(guard = "Permission::ViewPayments", visible = "sees::payments")]
    PaymentList: payments(PaymentFilterInput, PaymentSortInput) -> Payment by Payment::new = payments
}

#[derive(Default)]
pub(crate) struct PaymentQuery;

#[Object]
impl PaymentQuery {
    /// A payment: a customer's for them and for staff, a guest's for whoever knows its id; as it was at a moment, if asked.
    async fn payment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: ID,
        #[graphql(desc = "The moment: now unless given.")] as_of: Option<AsOf>,
    ) -> Result<Option<Payment>, Error> {
        let id: PaymentId = global_id::decode(Kind::Payment, &id).ok_or_else(|| problem::bad_id("id"))?;
        if let Some(as_of) = as_of {
            return as_of::payment(ctx, id, as_of).await;
        }
        payment_at(ctx, Some(id)).await
    }
}
