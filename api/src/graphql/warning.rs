//! What a mutation tells beside what it did: done otherwise than asked, or in the way of what comes next. Never an error.

use async_graphql::{Enum, SimpleObject};
use domain::CheckoutRefusal;

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum WarningCode {
    /// A line of the cart has fewer units than were asked for: so many can be sold now.
    QuantityReduced,
    /// A line of the cart asks for more than can be sold now.
    InsufficientStock,
    /// A line of the cart can no longer be bought.
    NotForSale,
    /// The price is no longer what the cart shows; setting the line again agrees to the new one.
    PriceChanged,
    /// A coupon code of the cart cannot be used now; `message` says why.
    CouponNotApplicable,
    /// The chosen shipping method does not serve this cart.
    ShippingMethodUnavailable,
    /// It cannot be checked out as it is; `message` says why.
    CannotCheckOut,
    /// More units are set aside for orders than are there.
    StockOversold,
    /// The gateway has not answered yet: the payment shows the outcome when it has.
    GatewayPending,
    /// An e-mail address was given under other keys too, which are kept: perhaps by the same person, who can be erased by the
    /// address then.
    SameAddressKept,
    /// It is done, and the views need longer than two seconds to show it: ask again with `Daybook-Min-Position`.
    NotYetVisible,
}

/// Something that whoever asked should know although it was done.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Warning {
    /// What it is about, for programs.
    pub(crate) code: WarningCode,
    /// What it is about, for people.
    pub(crate) message: String,
    /// The thing that it is about: the SKU of a line or a stock level, a coupon code, the code of a shipping method; null when
    /// it is about the whole.
    pub(crate) target: Option<String>,
}

impl Warning {
    /// A warning about one thing.
    pub(crate) fn about(code: WarningCode, target: impl ToString, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), target: Some(target.to_string()) }
    }

    /// A warning about the whole.
    pub(crate) fn new(code: WarningCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), target: None }
    }

    /// What a mutation warns of whose effect the views show, or do not show yet.
    pub(crate) fn unless_shown(shown: bool) -> Vec<Self> {
        let message = "this is done and durable, and not visible yet";
        if shown { Vec::new() } else { vec![Self::new(WarningCode::NotYetVisible, message)] }
    }

    /// What stands in the way of a checkout, as warnings: one for each line or code.
    pub(crate) fn of(obstacle: &CheckoutRefusal) -> Vec<Self> {
        match obstacle {
            CheckoutRefusal::InsufficientStock { shortages } => {
                let short = |short: &domain::Shortage| Self::about(WarningCode::InsufficientStock, &short.sku, short.to_string());
                shortages.iter().map(short).collect()
            }
            CheckoutRefusal::NotForSale { skus } => {
                let gone = |sku| Self::about(WarningCode::NotForSale, sku, format!("{sku} is no longer for sale"));
                skus.iter().map(gone).collect()
            }
            CheckoutRefusal::PriceChanged { changes } => {
                let changed = |change: &domain::PriceChange| {
                    let message = format!("the price of {} has changed from {} to {}", change.sku, change.old, change.new);
                    Self::about(WarningCode::PriceChanged, &change.sku, message)
                };
                changes.iter().map(changed).collect()
            }
            CheckoutRefusal::Coupon { code, .. } => {
                vec![Self::about(WarningCode::CouponNotApplicable, code, obstacle.to_string())]
            }
            CheckoutRefusal::ShippingUnavailable { method } => {
                vec![Self::about(WarningCode::ShippingMethodUnavailable, method, obstacle.to_string())]
            }
            CheckoutRefusal::EmptyCart
            | CheckoutRefusal::CurrencyNotOffered { .. }
            | CheckoutRefusal::EmailMissing
            | CheckoutRefusal::ShippingAddressMissing
            | CheckoutRefusal::ShippingMethodMissing
            | CheckoutRefusal::TotalTooLarge(_) => vec![Self::new(WarningCode::CannotCheckOut, obstacle.to_string())],
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{PromotionRefusal, Shortage};
    use event_schemas::{CouponCode, Sku};

    use super::*;

    #[test]
    fn what_stands_in_the_way_is_told_line_by_line_and_code_by_code() {
        let skus = ["A", "B"].map(|sku| Sku::new(sku).unwrap());
        let shortage = |sku: &Sku| Shortage { sku: sku.clone(), available: 1, requested: 3 };
        let short = Warning::of(&CheckoutRefusal::InsufficientStock { shortages: skus.iter().map(shortage).collect() });
        let targets: Vec<_> = short.iter().map(|warning| (warning.code, warning.target.as_deref())).collect();
        assert_eq!(targets, [(WarningCode::InsufficientStock, Some("A")), (WarningCode::InsufficientStock, Some("B"))]);
        let code = CouponCode::new("TEA").unwrap();
        let coupon = Warning::of(&CheckoutRefusal::Coupon { code, reason: PromotionRefusal::Ended });
        assert_eq!((coupon[0].code, coupon[0].target.as_deref()), (WarningCode::CouponNotApplicable, Some("TEA")));
        assert!(coupon[0].message.contains("has ended"), "{}", coupon[0].message);
        let empty = Warning::of(&CheckoutRefusal::EmptyCart);
        assert_eq!((empty[0].code, &empty[0].target), (WarningCode::CannotCheckOut, &None));
    }
}
