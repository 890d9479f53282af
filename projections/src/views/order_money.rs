//! How much of an order's revenue has been taken back: the one rule that sales and the journal share.

use event_schemas::OrderEvent;

use crate::{
    FoldError,
    projection::{add, subtract},
};

/// What sales and the journal keep of an order's money, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OrderMoney {
    gross: i64,
    tax: i64,
    received: i64,
    refunded: i64,
    /// Cancelled or expired, and not reinstated.
    closed: bool,
}

/// Revenue taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TakenBack {
    /// With tax.
    pub gross: i64,
    /// The tax in it.
    pub tax: i64,
}

impl OrderMoney {
    /// All that was taken back so far: everything once the order is closed, else what was refunded, except what the buyer
    /// had paid too much, which never was revenue. Its tax is in proportion, and sums to the order's tax in the end.
    fn taken_back(&self) -> TakenBack {
        if self.closed {
            return TakenBack { gross: self.gross, tax: self.tax };
        }
        let overpaid = self.received.saturating_sub(self.gross).max(0);
        let gross = self.refunded.saturating_sub(overpaid).clamp(0, self.gross.max(0));
        let share = i128::from(self.tax) * i128::from(gross) / i128::from(self.gross.max(1));
        // A share of the tax is at most the tax, so it fits.
        TakenBack { gross, tax: i64::try_from(share).unwrap_or(self.tax) }
    }

    /// What an event of the order takes back in addition; negative when it gives revenue again.
    fn evolve(&mut self, event: &OrderEvent) -> Result<TakenBack, FoldError> {
        let before = self.taken_back();
        match event {
            OrderEvent::OrderPaymentReceived(received) => self.received = add(self.received, received.amount.minor)?,
            OrderEvent::OrderRefunded(refunded) => self.refunded = add(self.refunded, refunded.amount.minor)?,
            OrderEvent::OrderCancelled(_) | OrderEvent::OrderExpired(_) => self.closed = true,
            OrderEvent::OrderReinstated(_) => self.closed = false,
            OrderEvent::OrderPlaced(_)
            | OrderEvent::OrderProcessingStarted(_)
            | OrderEvent::OrderNoteAdded(_)
            | OrderEvent::OrderFulfilled(_)
            | OrderEvent::FulfilmentDelivered(_)
            | OrderEvent::OrderItemsReturned(_) => {}
        }
        let after = self.taken_back();
        Ok(TakenBack { gross: subtract(after.gross, before.gross)?, tax: subtract(after.tax, before.tax)? })
    }
}

/// Folds an event into the columns that a view keeps of an order: its gross and tax, what came in and went back, and
/// whether it is closed. Gives what the event takes back in addition.
pub(crate) fn take_back(
    event: &OrderEvent,
    (gross, tax): (i64, i64),
    (received, refunded): (&mut i64, &mut i64),
    closed: &mut bool,
) -> Result<TakenBack, FoldError> {
    let mut money = OrderMoney { gross, tax, received: *received, refunded: *refunded, closed: *closed };
    let taken_back = money.evolve(event)?;
    (*received, *refunded, *closed) = (money.received, money.refunded, money.closed);
    Ok(taken_back)
}

#[cfg(test)]
mod tests {
    use event_schemas::{Currency, Money, OrderExpired, OrderRefunded, OrderReinstated, PaymentId};
    use uuid::Uuid;

    use super::*;

    /// 120.00 with 20.00 of tax, paid.
    fn paid() -> OrderMoney {
        OrderMoney { gross: 12_000, tax: 2_000, received: 12_000, refunded: 0, closed: false }
    }

    fn refund(money: &mut OrderMoney, minor: i64) -> TakenBack {
        let amount = Money::new(minor, Currency::new("GBP").unwrap());
        money.evolve(&OrderRefunded { payment_id: PaymentId(Uuid::nil()), amount }.into()).unwrap()
    }

    #[test]
    fn refunds_in_parts_take_back_the_whole_tax_in_the_end() {
        let mut money = paid();
        let parts = [refund(&mut money, 1_001), refund(&mut money, 4_999), refund(&mut money, 6_000)];
        assert_eq!(parts.map(|part| part.gross), [1_001, 4_999, 6_000]);
        assert_eq!(parts.iter().map(|part| part.tax).sum::<i64>(), 2_000);
    }

    #[test]
    fn what_was_paid_too_much_goes_back_without_taking_revenue() {
        let mut money = OrderMoney { received: 12_500, ..paid() };
        assert_eq!(refund(&mut money, 500), TakenBack { gross: 0, tax: 0 });
        assert_eq!(refund(&mut money, 1_200), TakenBack { gross: 1_200, tax: 200 });
    }

    #[test]
    fn a_refund_after_a_cancellation_takes_nothing_back_a_second_time() {
        let mut money = paid();
        assert_eq!(refund(&mut money, 1_200), TakenBack { gross: 1_200, tax: 200 });
        let cancelled = money.evolve(&OrderExpired {}.into()).unwrap();
        assert_eq!(cancelled, TakenBack { gross: 10_800, tax: 1_800 });
        assert_eq!(refund(&mut money, 10_800), TakenBack { gross: 0, tax: 0 });
    }

    #[test]
    fn a_reinstated_order_is_revenue_again() {
        let mut money = OrderMoney { closed: true, ..paid() };
        let reinstated = money.evolve(&OrderReinstated { allocations: vec![] }.into()).unwrap();
        assert_eq!(reinstated, TakenBack { gross: -12_000, tax: -2_000 });
    }
}
