//! How does each payment stand: what is held, taken and given back?

use std::collections::BTreeMap;

use event_schemas::{CommerceEvent, Currency, Money, OrderId, PaymentEvent, PaymentId, PaymentOpened, RefundId, Timestamp};

use crate::{
    Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError, conditions::Conditions, projection::add,
};

text_enum! {
    /// How far a payment has come.
    PaymentStatus {
        /// Opened; the buyer has not confirmed.
        Opened = "opened",
        /// The gateway is being asked.
        Processing = "processing",
        /// The buyer has to do something at their bank.
        ActionRequired = "action_required",
        /// The money is held.
        Authorised = "authorised",
        /// A part of the money was taken.
        PartiallyCaptured = "partially_captured",
        /// All of the money was taken.
        Captured = "captured",
        /// A part of what was taken went back.
        PartiallyRefunded = "partially_refunded",
        /// All that was taken went back.
        Refunded = "refunded",
        /// The gateway declined; the buyer may try again.
        Declined = "declined",
        /// Held money was let go.
        Voided = "voided",
        /// It can no longer be made.
        Expired = "expired",
        /// The buyer's bank took the money back for now.
        Disputed = "disputed",
    }
}

row! {
    /// A payment for an order. Amounts are minor units of its currency.
    Payment in "payments" {
        key {
            /// The payment.
            payment_id: PaymentId,
        }
        /// The order that it is for.
        order_id: OrderId,
        /// The gateway that moves the money.
        gateway: String,
        /// The method within the gateway.
        method: Option<String>,
        /// How far it has come.
        status: PaymentStatus,
        /// The currency.
        currency: Currency,
        /// What is due.
        amount_minor: i64,
        /// What the gateway held or holds.
        authorised_minor: i64,
        /// What was taken.
        captured_minor: i64,
        /// What went back.
        refunded_minor: i64,
        /// What is in dispute.
        disputed_minor: i64,
        /// Where the buyer goes next, while an action is required.
        action_url: Option<String>,
        /// The gateway's code when it last declined.
        decline_code: Option<String>,
        /// The gateway's words when it last declined.
        decline_message: Option<String>,
        /// When it was opened.
        opened_at: Timestamp,
        /// When it last changed.
        updated_at: Timestamp,
    }
    version of "payment";
    index "order_id, opened_at";
    index "opened_at, payment_id";
    index "status, opened_at, payment_id";
    index "gateway, opened_at, payment_id";
    index "currency, opened_at, payment_id";
    index "updated_at, payment_id";
    index "amount_minor, payment_id";
}

text_enum! {
    /// How far a refund has come.
    RefundStatus {
        /// The gateway is being asked.
        Requested = "requested",
        /// The money went back.
        Refunded = "refunded",
        /// The gateway would not.
        Failed = "failed",
    }
}

row! {
    /// A refund of a payment. The amount is minor units of its currency.
    Refund in "refunds" {
        key {
            /// The refund.
            refund_id: RefundId,
        }
        /// The payment.
        payment_id: PaymentId,
        /// How far it has come.
        status: RefundStatus,
        /// The currency.
        currency: Currency,
        /// How much.
        amount_minor: i64,
        /// Why, or why the gateway would not.
        reason: Option<String>,
        /// When it was asked for, or made.
        requested_at: Timestamp,
        /// When it was made or failed.
        ended_at: Option<Timestamp>,
    }
    index "payment_id, requested_at";
}

/// The payments and their refunds.
pub const PAYMENTS: Projection =
    Projection { name: "payments", version: 2, tables: &[Payment::TABLE, Refund::TABLE], for_analysts: true, fold };

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::Payment(event) = fact.event else { return Ok(()) };
    if let PaymentEvent::PaymentOpened(opened) = event {
        return open(rows, fact, opened);
    }
    let payment_id: PaymentId = fact.stream.aggregate_id.parse()?;
    fold_refund(rows, fact, payment_id, event)?;
    let payment = rows.edit::<Payment>(&(payment_id,))?.ok_or_else(|| FoldError::unknown("payment", payment_id))?;
    payment.updated_at = fact.occurred_at;
    move_on(payment, event)
}

fn open(rows: &mut Rows<'_>, fact: &Fact<'_>, opened: &PaymentOpened) -> Result<(), FoldError> {
    Ok(rows.put(Payment {
        payment_id: opened.payment_id,
        order_id: opened.order_id,
        gateway: opened.gateway.clone(),
        method: opened.method.clone(),
        status: PaymentStatus::Opened,
        currency: opened.amount.currency,
        amount_minor: opened.amount.minor,
        authorised_minor: 0,
        captured_minor: 0,
        refunded_minor: 0,
        disputed_minor: 0,
        action_url: None,
        decline_code: None,
        decline_message: None,
        opened_at: fact.occurred_at,
        updated_at: fact.occurred_at,
        version: fact.sequence,
        position: fact.position,
    })?)
}

fn move_on(payment: &mut Payment, event: &PaymentEvent) -> Result<(), FoldError> {
    payment.action_url = None;
    match event {
        PaymentEvent::PaymentOpened(_) => {}
        PaymentEvent::PaymentConfirmationRequested(_) => payment.status = PaymentStatus::Processing,
        PaymentEvent::PaymentActionRequired(action) => {
            payment.status = PaymentStatus::ActionRequired;
            payment.action_url = Some(action.action_url.clone());
        }
        PaymentEvent::PaymentAuthorised(held) => {
            payment.authorised_minor = add(payment.authorised_minor, held.amount.minor)?;
            payment.status = settled(payment);
        }
        PaymentEvent::PaymentCaptured(taken) => {
            payment.captured_minor = add(payment.captured_minor, taken.amount.minor)?;
            payment.authorised_minor = payment.authorised_minor.max(payment.captured_minor);
            payment.status = settled(payment);
        }
        PaymentEvent::PaymentRefunded(refunded) => {
            payment.refunded_minor = add(payment.refunded_minor, refunded.amount.minor)?;
            payment.status = settled(payment);
        }
        PaymentEvent::PaymentVoided(_) => {
            payment.status = if payment.captured_minor > 0 { settled(payment) } else { PaymentStatus::Voided };
        }
        PaymentEvent::PaymentDeclined(declined) => {
            payment.status = PaymentStatus::Declined;
            payment.decline_code = Some(declined.code.clone());
            payment.decline_message = Some(declined.message.clone());
        }
        PaymentEvent::PaymentExpired(_) => payment.status = PaymentStatus::Expired,
        PaymentEvent::PaymentDisputed(disputed) => {
            payment.disputed_minor = add(payment.disputed_minor, disputed.amount.minor)?;
            payment.status = PaymentStatus::Disputed;
        }
        PaymentEvent::PaymentDisputeClosed(closed) => {
            payment.disputed_minor = add(payment.disputed_minor, -closed.amount.minor)?;
            if !closed.won {
                payment.refunded_minor = add(payment.refunded_minor, closed.amount.minor)?;
            }
            payment.status = settled(payment);
        }
        // These ask for something; the payment stands as it did until the gateway answers.
        PaymentEvent::PaymentCaptureRequested(_)
        | PaymentEvent::PaymentVoidRequested(_)
        | PaymentEvent::PaymentRefundRequested(_)
        | PaymentEvent::PaymentRefundFailed(_) => {}
    }
    Ok(())
}

fn settled(payment: &Payment) -> PaymentStatus {
    let Payment { amount_minor, captured_minor, refunded_minor, .. } = *payment;
    match (captured_minor, refunded_minor) {
        (0, _) => PaymentStatus::Authorised,
        (captured, refunded) if refunded >= captured => PaymentStatus::Refunded,
        (_, refunded) if refunded > 0 => PaymentStatus::PartiallyRefunded,
        (captured, _) if captured < amount_minor => PaymentStatus::PartiallyCaptured,
        _ => PaymentStatus::Captured,
    }
}

fn fold_refund(rows: &mut Rows<'_>, fact: &Fact<'_>, payment_id: PaymentId, event: &PaymentEvent) -> Result<(), FoldError> {
    let new = |refund_id: RefundId, amount: Money, reason: Option<String>| Refund {
        refund_id,
        payment_id,
        status: RefundStatus::Requested,
        currency: amount.currency,
        amount_minor: amount.minor,
        reason,
        requested_at: fact.occurred_at,
        ended_at: None,
        position: fact.position,
    };
    match event {
        PaymentEvent::PaymentRefundRequested(asked) => {
            rows.put(new(asked.refund_id, asked.amount, Some(asked.reason.clone())))?;
        }
        PaymentEvent::PaymentRefunded(refunded) => {
            let refund = rows.edit_or(&(refunded.refund_id,), || new(refunded.refund_id, refunded.amount, None))?;
            (refund.status, refund.ended_at) = (RefundStatus::Refunded, Some(fact.occurred_at));
        }
        PaymentEvent::PaymentRefundFailed(failed) => {
            if let Some(refund) = rows.edit::<Refund>(&(failed.refund_id,))? {
                (refund.status, refund.ended_at) = (RefundStatus::Failed, Some(fact.occurred_at));
                refund.reason = Some(failed.reason.clone());
            }
        }
        _ => {}
    }
    Ok(())
}

/// Which payments to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PaymentFilter {
    /// Only of this order.
    pub order_id: Option<OrderId>,
    /// Only of this status.
    pub status: Option<PaymentStatus>,
    /// Only through this gateway.
    pub gateway: Option<String>,
    /// Only in this currency.
    pub currency: Option<Currency>,
    /// Only opened at or after.
    pub from: Option<Timestamp>,
    /// Only opened before.
    pub to: Option<Timestamp>,
}

sortings! {
    /// How to sort payments.
    PaymentSort {
        /// By when they were opened.
        Opened "opened": "t.opened_at", "t.payment_id";
        /// By when they last changed.
        Updated "updated": "t.updated_at", "t.payment_id";
        /// By what is due, whatever the currency.
        Amount "amount": "t.amount_minor", "t.payment_id";
    }
}

impl Reader<'_> {
    /// The payment of an id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn payment(&self, id: PaymentId) -> Result<Option<Payment>, ViewError> {
        self.row(&(id,))
    }

    /// Payments.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn payments(
        &self,
        filter: &PaymentFilter,
        sort: PaymentSort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<Payment>, ViewError> {
        let in_order = sort == PaymentSort::Opened;
        let mut conditions = Conditions::default();
        conditions.few(filter.order_id.as_ref(), "t.order_id");
        conditions.many(filter.status.as_ref(), "t.status", in_order);
        conditions.many(filter.gateway.as_ref(), "t.gateway", in_order);
        conditions.many(filter.currency.as_ref(), "t.currency", in_order);
        conditions.between("t.opened_at", filter.from.as_ref(), filter.to.as_ref(), in_order);
        self.page(&conditions, sort.order(descending), page)
    }

    /// The payments of each order, the oldest first, for a batch of orders in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn payments_of(&self, orders: &[OrderId]) -> Result<BTreeMap<OrderId, Vec<Payment>>, ViewError> {
        let mut found: BTreeMap<OrderId, Vec<Payment>> = BTreeMap::new();
        for payment in self.rows_of::<Payment, _>("order_id", orders, "t.order_id, t.opened_at, t.payment_id")? {
            found.entry(payment.order_id).or_default().push(payment);
        }
        Ok(found)
    }

    /// The refunds of each payment, the oldest first, for a batch of payments in one statement.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn refunds_of(&self, payments: &[PaymentId]) -> Result<BTreeMap<PaymentId, Vec<Refund>>, ViewError> {
        let mut found: BTreeMap<PaymentId, Vec<Refund>> = BTreeMap::new();
        for refund in self.rows_of::<Refund, _>("payment_id", payments, "t.payment_id, t.requested_at, t.refund_id")? {
            found.entry(refund.payment_id).or_default().push(refund);
        }
        Ok(found)
    }
}
