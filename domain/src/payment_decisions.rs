//! What buyers and staff decide about payments.

use event_schemas::{Money, PaymentId, RefundId, Timestamp};

use crate::{Change, Decision, Order, Payment, PaymentCommand, Refusal, World, stream_of};

/// Asks one command of one payment.
pub(crate) fn payment_changes(world: &World<'_>, id: PaymentId, command: PaymentCommand) -> Result<Vec<Change>, Refusal> {
    Ok(Change::all(stream_of::<Payment>(id), world.get::<Payment>(id).decide(command)?))
}

/// The buyer confirms a payment with a means of payment: the gateway is to be asked. The order must still wait for it.
#[derive(Debug, Clone)]
pub struct ConfirmPayment {
    /// The payment.
    pub payment_id: PaymentId,
    /// The gateway's token for the buyer's means of payment; never a card number.
    pub token: String,
    /// Whether to take the money at once or only to authorise it.
    pub capture: bool,
    /// The time of asking.
    pub now: Timestamp,
}

impl Decision for ConfirmPayment {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let payment = world.get::<Payment>(self.payment_id).opened()?;
        world.get::<Order>(payment.order_id).must_be_payable_at(self.now)?;
        let command = PaymentCommand::Confirm { token: self.token.clone(), capture: self.capture };
        payment_changes(world, self.payment_id, command)
    }
}

/// Take held money.
#[derive(Debug, Clone)]
pub struct RequestCapture {
    /// The payment.
    pub payment_id: PaymentId,
    /// How much; all that is held if absent.
    pub amount: Option<Money>,
}

impl Decision for RequestCapture {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        payment_changes(world, self.payment_id, PaymentCommand::RequestCapture { amount: self.amount })
    }
}

/// Let held money go.
#[derive(Debug, Clone)]
pub struct RequestVoid {
    /// The payment.
    pub payment_id: PaymentId,
    /// Why.
    pub reason: String,
}

impl Decision for RequestVoid {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        payment_changes(world, self.payment_id, PaymentCommand::RequestVoid { reason: self.reason.clone() })
    }
}

/// Give money back.
#[derive(Debug, Clone)]
pub struct RequestRefund {
    /// The payment.
    pub payment_id: PaymentId,
    /// The new refund.
    pub refund_id: RefundId,
    /// How much; all that can go back if absent.
    pub amount: Option<Money>,
    /// Why.
    pub reason: String,
}

impl Decision for RequestRefund {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let Self { refund_id, amount, reason, .. } = self.clone();
        payment_changes(world, self.payment_id, PaymentCommand::RequestRefund { refund_id, amount, reason })
    }
}

/// Close a payment whose hold has run out. One that was taken stays as it is.
#[derive(Debug, Clone)]
pub struct ExpirePayment {
    /// The payment.
    pub payment_id: PaymentId,
}

impl Decision for ExpirePayment {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        payment_changes(world, self.payment_id, PaymentCommand::Expire)
    }
}
