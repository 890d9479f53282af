//! Payment gateways: the outside that moves money, and the sandbox that plays one.

use std::time::Duration;

use async_trait::async_trait;
use domain::{GatewayAction, GatewayOutcome, GatewayRequest};
use event_schemas::Money;

/// Why a gateway gave no answer. The call is repeated with the same idempotency key.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GatewayError {
    /// It did not answer in time. Money may have moved; repeating the call tells.
    #[error("the gateway did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// It cannot be reached or answers nonsense.
    #[error("the gateway is not available: {0}")]
    Unavailable(String),
}

/// A payment gateway. Calls with the same idempotency key are the same call.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// Its name, as in `PaymentOpened`.
    fn name(&self) -> &'static str;

    /// Asks the gateway, for the first time or again after `attempt` failures, and gives what it reports: facts in order,
    /// possibly one twice.
    ///
    /// # Errors
    /// [`GatewayError`] when there is no answer.
    async fn call(&self, request: &GatewayRequest, attempt: u32) -> Result<Vec<GatewayOutcome>, GatewayError>;
}

/// A gateway that moves no money and answers by the token (or the amount) it is given, always in the same way.
///
/// | token | amount, minor units | outcome |
/// |---|---|---|
/// | `sandbox_decline` | 66601 | declined, `insufficient_funds` |
/// | `sandbox_action` | 66602 | the buyer must act; confirm again with another token |
/// | `sandbox_timeout` | 66603 | no answer to the first two calls, then success |
/// | `sandbox_never` | 66604 | no answer, ever: ends as a dead letter |
/// | `sandbox_twice` | 66605 | success, reported twice |
/// | any other | any other | success |
///
/// A refund of 66606 is refused.
#[derive(Debug, Default, Clone, Copy)]
pub struct SandboxGateway;

/// How long the sandbox says it would have taken when it plays a time-out.
const SANDBOX_TIMEOUT: Duration = Duration::from_millis(200);
/// A refund of this amount is refused.
const REFUSED_REFUND_MINOR: i64 = 66_606;

#[async_trait]
impl Gateway for SandboxGateway {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn call(&self, request: &GatewayRequest, attempt: u32) -> Result<Vec<GatewayOutcome>, GatewayError> {
        let reference = |what: &str| format!("sandbox_{what}_{}", request.idempotency_key.simple());
        match &request.action {
            GatewayAction::Confirm { token, capture, amount } => confirm(token, *amount, *capture, attempt, &reference),
            GatewayAction::Capture { amount } => {
                Ok(vec![GatewayOutcome::Captured { amount: *amount, gateway_reference: reference("capture") }])
            }
            GatewayAction::Void => Ok(vec![GatewayOutcome::Voided { gateway_reference: reference("void") }]),
            GatewayAction::Refund { refund_id, amount } if amount.minor == REFUSED_REFUND_MINOR => {
                let reason = "the sandbox refuses refunds of this amount".to_owned();
                Ok(vec![GatewayOutcome::RefundFailed { refund_id: *refund_id, reason }])
            }
            GatewayAction::Refund { refund_id, amount } => Ok(vec![GatewayOutcome::Refunded {
                refund_id: *refund_id,
                amount: *amount,
                gateway_reference: reference("refund"),
            }]),
        }
    }
}

fn confirm(
    token: &str,
    amount: Money,
    capture: bool,
    attempt: u32,
    reference: &dyn Fn(&str) -> String,
) -> Result<Vec<GatewayOutcome>, GatewayError> {
    let success = || {
        let mut reports =
            vec![GatewayOutcome::Authorised { amount, gateway_reference: reference("authorisation"), expires_at: None }];
        if capture {
            reports.push(GatewayOutcome::Captured { amount, gateway_reference: reference("capture") });
        }
        reports
    };
    match (token, amount.minor) {
        ("sandbox_decline", _) | (_, 66_601) => Ok(vec![GatewayOutcome::Declined {
            code: "insufficient_funds".to_owned(),
            message: "the card has insufficient funds".to_owned(),
        }]),
        ("sandbox_action", _) | (_, 66_602) => Ok(vec![GatewayOutcome::ActionRequired {
            action_url: "https://sandbox.invalid/3ds".to_owned(),
            gateway_reference: reference("action"),
        }]),
        ("sandbox_timeout", _) | (_, 66_603) if attempt < 2 => Err(GatewayError::TimedOut(SANDBOX_TIMEOUT)),
        ("sandbox_never", _) | (_, 66_604) => Err(GatewayError::TimedOut(SANDBOX_TIMEOUT)),
        ("sandbox_twice", _) | (_, 66_605) => Ok(success().into_iter().flat_map(|report| [report.clone(), report]).collect()),
        _ => Ok(success()),
    }
}
