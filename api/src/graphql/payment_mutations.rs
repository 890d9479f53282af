//! Confirming payments, and moving their money afterwards.

use std::{sync::Arc, time::Duration};

use async_graphql::{Context, Error, ID, Object};
use domain::{ConfirmPayment, Decision, RequestCapture, RequestRefund, RequestVoid};
use event_schemas::{PaymentId, Position, RefundId};
use projections::Reader;

use crate::{
    access::{Permission, sees},
    graphql::{
        command::{MutationInput, Outside, carry_out, input, payload, read_back},
        global_id::{self, Kind},
        money::MoneyInput,
        order::Order,
        own::Thing,
        payment::Payment,
        problem, read_input,
        scalar::Long,
        user_error::UserError,
        warning::{Warning, WarningCode},
    },
    shop::Shop,
};

/// How long a mutation waits for the gateway, and for what follows from its answer, each time.
const SETTLE: Duration = Duration::from_secs(5);

input! {
    /// A payment to confirm.
    PaymentConfirmInput {
        /// The payment.
        payment_id: ID,
        /// The gateway's token for the buyer's means of payment; never a card number. The sandbox takes any token, and plays
        /// `sandbox_decline`, `sandbox_action`, `sandbox_timeout`, `sandbox_never` and `sandbox_twice` as they are named.
        token: String,
        /// Whether to take the money at once, or only to authorise it.
        #[graphql(default = true)]
        capture: bool,
    }
}

input! {
    /// Held money to take.
    PaymentCaptureInput of Payment(payment_id) {
        /// The payment.
        payment_id: ID,
        /// How much; all that is held unless given.
        amount: Option<MoneyInput>,
    }
}

input! {
    /// Held money to let go.
    PaymentVoidInput of Payment(payment_id) {
        /// The payment.
        payment_id: ID,
        /// Why.
        reason: String,
    }
}

input! {
    /// Money to give back.
    PaymentRefundInput of Payment(payment_id) {
        /// The payment.
        payment_id: ID,
        /// How much; all that can go back unless given.
        amount: Option<MoneyInput>,
        /// Why.
        reason: String,
    }
}

payload! {
    /// A payment after a change, with its order.
    PaymentPayload {
        /// The payment; null when nothing was done, or when the views need longer than two seconds to show it.
        payment: Payment,
        /// The order that it is for.
        order: Order,
    }
}

/// Carries out a mutation of a payment, and waits until the gateway's answer and what follows from it are visible.
async fn settled<I: MutationInput, D: Decision>(
    ctx: &Context<'_>,
    operation: &'static str,
    payment_id: ID,
    input: I,
    decision: impl FnOnce(I, &Outside<'_>) -> Result<D, UserError>,
) -> Result<PaymentPayload, Error> {
    let outcome = match carry_out(ctx, operation, input, decision).await? {
        Ok(outcome) => outcome,
        Err(refused) => return Ok(refused.into()),
    };
    let shop = ctx.data::<Arc<Shop>>()?;
    let (settled, waits) = settle(shop, outcome.position).await;
    let (mut payment, mut order) = (None, None);
    let shown = read_back(ctx, settled).await;
    let mut warnings = Warning::unless_shown(shown);
    if waits {
        let message = "the gateway has not answered yet";
        warnings.push(Warning::new(WarningCode::GatewayPending, message));
    }
    if let Some(id) = global_id::decode::<PaymentId>(Kind::Payment, &payment_id).filter(|_| shown) {
        let read = move |reader: &Reader<'_>| {
            let payment = reader.payment(id)?;
            let order = payment.as_ref().map(|payment| reader.order(payment.order_id)).transpose()?;
            Ok((payment, order.flatten()))
        };
        (payment, order) = shop.views.read(read).await.map_err(problem::view)?;
    }
    // The rows say which events made them what they are, so a repeated request gets the same position again.
    let rows = [payment.as_ref().map(|row| row.position), order.as_ref().map(|row| row.position)];
    let position = rows.into_iter().flatten().fold(outcome.position, Position::max);
    let (payment, order) = (Payment::visible(ctx, payment, order.as_ref())?, Order::visible(ctx, order)?);
    Ok(PaymentPayload { payment, order, position: Long::of(position), warnings, ..Default::default() })
}

/// Waits until the gateway was asked and its answer is recorded, then until the order has followed it; gives the position
/// that reflects both. A gateway that takes longer is not waited for: the payment is then still being processed, which is told.
async fn settle(shop: &Shop, requested: Position) -> (Position, bool) {
    let mut position = requested;
    for _ in 0..2 {
        if !shop.processes.wait_for(position, SETTLE).await {
            return (position, true);
        }
        position = shop.head().max(position);
    }
    (position, false)
}

#[derive(Default)]
pub(crate) struct PaymentMutation;

#[Object]
impl PaymentMutation {
    /// Confirms a payment with the buyer's means of payment. The sandbox gateway settles at once; a gateway that needs more
    /// from the buyer says so in `payment.status` and `payment.actionUrl`.
    async fn payment_confirm(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The payment and the token.")] input: PaymentConfirmInput,
    ) -> Result<PaymentPayload, Error> {
        settled(ctx, "paymentConfirm", input.payment_id.clone(), input, |input, outside| {
            let payment_id = read_input::id(Kind::Payment, &input.payment_id, &["paymentId"])?;
            let confirm = ConfirmPayment { payment_id, token: input.token, capture: input.capture, now: outside.now };
            Ok(outside.reaching(Permission::MoveMoney, Thing::Payment(payment_id), confirm))
        })
        .await
    }

    /// Takes held money.
    #[graphql(guard = "Permission::MoveMoney", visible = "sees::move_money")]
    async fn payment_capture(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The payment and the amount.")] input: PaymentCaptureInput,
    ) -> Result<PaymentPayload, Error> {
        settled(ctx, "paymentCapture", input.payment_id.clone(), input, |input, _| {
            let payment_id = read_input::id(Kind::Payment, &input.payment_id, &["paymentId"])?;
            let amount = input.amount.map(|amount| read_input::money(&amount, &["amount"])).transpose()?;
            Ok(RequestCapture { payment_id, amount })
        })
        .await
    }

    /// Lets held money go.
    #[graphql(guard = "Permission::MoveMoney", visible = "sees::move_money")]
    async fn payment_void(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The payment and the reason.")] input: PaymentVoidInput,
    ) -> Result<PaymentPayload, Error> {
        settled(ctx, "paymentVoid", input.payment_id.clone(), input, |input, _| {
            let payment_id = read_input::id(Kind::Payment, &input.payment_id, &["paymentId"])?;
            Ok(RequestVoid { payment_id, reason: input.reason })
        })
        .await
    }

    /// Gives money back.
    #[graphql(guard = "Permission::MoveMoney", visible = "sees::move_money")]
    async fn payment_refund(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The payment, the amount and the reason.")] input: PaymentRefundInput,
    ) -> Result<PaymentPayload, Error> {
        settled(ctx, "paymentRefund", input.payment_id.clone(), input, |input, outside| {
            let payment_id = read_input::id(Kind::Payment, &input.payment_id, &["paymentId"])?;
            let amount = input.amount.map(|amount| read_input::money(&amount, &["amount"])).transpose()?;
            Ok(RequestRefund { payment_id, refund_id: RefundId(outside.new_id()), amount, reason: input.reason })
        })
        .await
    }
}
