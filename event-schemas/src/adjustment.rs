//! Corrections of the books outside any order: credit notes and bad debts.

use crate::{AdjustmentId, CountryCode, CustomerId, Money, Sku, Timestamp};

event! {
    /// Part of a credit note: goods or an amount that the customer is given back.
    CreditNoteLine {
        /// The SKU, when it is goods that stock is kept of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub sku: Option<Sku>,
        /// What it is for.
        pub description: String,
        /// How many units; 0 for a plain amount.
        pub quantity: u32,
        /// The amount given back, positive, in minor units of the note's currency.
        pub amount_minor: i64,
    }
}

event! {
    /// A customer was given money back for goods that match no known order.
    CreditNoteIssued {
        /// The new adjustment.
        pub adjustment_id: AdjustmentId,
        /// The document's number.
        pub number: String,
        /// The customer, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub customer_id: Option<CustomerId>,
        /// The country that reports go by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub country: Option<CountryCode>,
        /// What was given back.
        pub lines: Vec<CreditNoteLine>,
        /// The sum of the lines.
        pub total: Money,
    }
}

event! {
    /// Money that customers owe was given up, or an earlier write-off corrected.
    BadDebtAdjusted {
        /// The new adjustment.
        pub adjustment_id: AdjustmentId,
        /// The document's number.
        pub number: String,
        /// The change to the books: negative when money is given up.
        pub amount: Money,
        /// Why.
        pub reason: String,
        /// The day of the books that it belongs to, when other than the day it was entered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub effective_at: Option<Timestamp>,
    }
}

events! {
    /// Everything that can happen to a correction of the books.
    AdjustmentEvent of "adjustment" {
        CreditNoteIssued = 1,
        BadDebtAdjusted = 1,
    }
}
