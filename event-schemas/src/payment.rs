//! What can happen to a payment. At every moment: authorised ≥ captured ≥ refunded.

use crate::{Money, OrderId, PaymentId, RefundId, Timestamp};

event! {
    /// A payment was opened for an order.
    PaymentOpened {
        /// The new payment.
        pub payment_id: PaymentId,
        /// The order it is for.
        pub order_id: OrderId,
        /// How much is due.
        pub amount: Money,
        /// The gateway that will move the money, such as `sandbox`.
        pub gateway: String,
        /// The method within the gateway, such as `card`, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub method: Option<String>,
    }
}

event! {
    /// The buyer confirmed: the gateway is to be asked. Nothing has moved yet.
    PaymentConfirmationRequested {
        /// The gateway's token for the buyer's means of payment; never a card number.
        pub token: String,
        /// Whether to take the money at once or only to authorise it.
        pub capture: bool,
        /// How much.
        pub amount: Money,
        /// The gateway that is to be asked.
        pub gateway: String,
    }
}

event! {
    /// The gateway wants the buyer to do something first, such as a bank's confirmation page.
    PaymentActionRequired {
        /// Where the buyer does it.
        pub action_url: String,
        /// The gateway's id of the attempt.
        pub gateway_reference: String,
    }
}

event! {
    /// The gateway holds the money for us.
    PaymentAuthorised {
        /// How much is held.
        pub amount: Money,
        /// The gateway's id of the authorisation; each is applied once.
        pub gateway_reference: String,
        /// When the hold ends, if the gateway says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub expires_at: Option<Timestamp>,
    }
}

event! {
    /// Staff asked for held money to be taken.
    PaymentCaptureRequested {
        /// How much.
        pub amount: Money,
        /// The gateway that is to be asked.
        pub gateway: String,
    }
}

event! {
    /// The money was taken.
    PaymentCaptured {
        /// How much.
        pub amount: Money,
        /// The gateway's id of the capture; each is applied once.
        pub gateway_reference: String,
    }
}

event! {
    /// Held money is to be let go.
    PaymentVoidRequested {
        /// Why.
        pub reason: String,
        /// The gateway that is to be asked.
        pub gateway: String,
    }
}

event! {
    /// Held money was let go.
    PaymentVoided {
        /// The gateway's id of the void.
        pub gateway_reference: String,
    }
}

event! {
    /// Money is to go back to the buyer.
    PaymentRefundRequested {
        /// The refund.
        pub refund_id: RefundId,
        /// How much.
        pub amount: Money,
        /// Why.
        pub reason: String,
        /// The gateway that is to be asked.
        pub gateway: String,
    }
}

event! {
    /// Money went back to the buyer.
    PaymentRefunded {
        /// The refund.
        pub refund_id: RefundId,
        /// How much.
        pub amount: Money,
        /// The gateway's id of the refund; each is applied once.
        pub gateway_reference: String,
    }
}

event! {
    /// The gateway would not refund.
    PaymentRefundFailed {
        /// The refund.
        pub refund_id: RefundId,
        /// The gateway's reason.
        pub reason: String,
    }
}

event! {
    /// The gateway declined; the buyer may try again with another means of payment.
    PaymentDeclined {
        /// The gateway's code, such as `insufficient_funds`.
        pub code: String,
        /// The gateway's words.
        pub message: String,
    }
}

event! {
    /// The payment can no longer be made: its order is gone.
    PaymentExpired {}
}

event! {
    /// The buyer's bank took the money back for now (a chargeback).
    PaymentDisputed {
        /// How much is in dispute.
        pub amount: Money,
        /// The bank's reason.
        pub reason: String,
    }
}

event! {
    /// A dispute ended.
    PaymentDisputeClosed {
        /// Whether the shop keeps the money.
        pub won: bool,
        /// How much was in dispute.
        pub amount: Money,
    }
}

events! {
    /// Everything that can happen to a payment.
    PaymentEvent of "payment" {
        PaymentOpened = 1,
        PaymentConfirmationRequested = 1,
        PaymentActionRequired = 1,
        PaymentAuthorised = 1,
        PaymentCaptureRequested = 1,
        PaymentCaptured = 1,
        PaymentVoidRequested = 1,
        PaymentVoided = 1,
        PaymentRefundRequested = 1,
        PaymentRefunded = 1,
        PaymentRefundFailed = 1,
        PaymentDeclined = 1,
        PaymentExpired = 1,
        PaymentDisputed = 1,
        PaymentDisputeClosed = 1,
    }
}
