//! What state an order is in: derived from its facts by one pure fold, which the rules and the views share.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FulfilmentId, OrderEvent, OrderPlaced, PaymentEvent, Sku, SkuQuantity};

/// Where an order stands, as people say it. Derived, never recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Placed, and not wholly paid.
    Pending,
    /// Wholly paid.
    Paid,
    /// Being prepared in the warehouse.
    Processing,
    /// Some units have left the house.
    PartiallyShipped,
    /// All units have left the house.
    Shipped,
    /// Some units have arrived.
    PartiallyDelivered,
    /// All units have arrived.
    Delivered,
    /// Called off.
    Cancelled,
    /// Not paid in time.
    Expired,
    /// All units came back.
    Returned,
    /// Some units came back.
    PartiallyReturned,
}

/// How far the money of an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderPaymentStatus {
    /// Nothing is held and nothing came in.
    None,
    /// Less than what is due is held.
    PartiallyAuthorised,
    /// What is due is held, nothing is taken.
    Authorised,
    /// Less than what is due came in.
    PartiallyPaid,
    /// Exactly what is due came in.
    Paid,
    /// More than what is due came in and was kept.
    Overpaid,
    /// A part of what came in went back.
    PartiallyRefunded,
    /// All that came in went back.
    Refunded,
}

/// How far the goods of an order have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FulfilmentStatus {
    /// Nothing has left the house.
    Unfulfilled,
    /// Some units have left the house.
    PartiallyShipped,
    /// All units have left the house.
    Shipped,
    /// Some units have arrived.
    PartiallyDelivered,
    /// All units have arrived.
    Delivered,
}

/// A parcel of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parcel {
    /// What is in it.
    pub items: Vec<SkuQuantity>,
    /// Whether it has arrived.
    pub delivered: bool,
}

/// The facts of one order that its status follows from. Amounts are minor units of the order's currency.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OrderFacts {
    /// What the buyer owes.
    pub due_minor: i64,
    /// What is held by gateways, taken or not. Only [`OrderFacts::evolve_payment`] knows of it.
    pub authorised_minor: i64,
    /// What came in.
    pub received_minor: i64,
    /// What went back.
    pub refunded_minor: i64,
    /// Whether all that is due was there at some moment; a later refund does not undo it.
    pub paid: bool,
    /// Whether it was called off.
    pub cancelled: bool,
    /// Whether it was not paid in time, and was not reinstated since.
    pub expired: bool,
    /// Whether the warehouse has begun.
    pub processing: bool,
    /// Units ordered, by SKU.
    pub ordered: BTreeMap<Sku, u32>,
    /// Units that left the house, by SKU.
    pub shipped: BTreeMap<Sku, u32>,
    /// Units that came back, by SKU.
    pub returned: BTreeMap<Sku, u32>,
    /// Parcels that left the house.
    pub parcels: BTreeMap<FulfilmentId, Parcel>,
}

fn add(units: &mut BTreeMap<Sku, u32>, sku: &Sku, quantity: u32) {
    let held = units.entry(sku.clone()).or_default();
    *held = held.saturating_add(quantity);
}

fn sum(units: &BTreeMap<Sku, u32>) -> u64 {
    units.values().map(|quantity| u64::from(*quantity)).sum()
}

impl OrderFacts {
    /// The facts of an order that was just placed.
    pub fn of(placed: &OrderPlaced) -> Self {
        let mut facts = Self { due_minor: placed.totals.gross_minor, ..Self::default() };
        facts.paid = facts.is_covered_with(0);
        placed.lines.iter().for_each(|line| add(&mut facts.ordered, &line.sku, line.quantity));
        facts
    }

    /// Folds an event of the order. Total: history is never refused.
    pub fn evolve(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::OrderPlaced(placed) => *self = Self::of(placed),
            OrderEvent::OrderPaymentReceived(received) => {
                self.paid |= self.is_covered_with(received.amount.minor);
                self.received_minor = self.received_minor.saturating_add(received.amount.minor);
            }
            OrderEvent::OrderRefunded(refunded) => {
                self.refunded_minor = self.refunded_minor.saturating_add(refunded.amount.minor);
            }
            OrderEvent::OrderCancelled(_) => self.cancelled = true,
            OrderEvent::OrderExpired(_) => self.expired = true,
            OrderEvent::OrderReinstated(_) => self.expired = false,
            OrderEvent::OrderProcessingStarted(_) => self.processing = true,
            OrderEvent::OrderNoteAdded(_) => {}
            OrderEvent::OrderFulfilled(parcel) => {
                parcel.items.iter().for_each(|item| add(&mut self.shipped, &item.sku, item.quantity));
                let items = parcel.items.clone();
                self.parcels.insert(parcel.fulfilment_id, Parcel { items, delivered: false });
            }
            OrderEvent::FulfilmentDelivered(delivered) => {
                if let Some(parcel) = self.parcels.get_mut(&delivered.fulfilment_id) {
                    parcel.delivered = true;
                }
            }
            OrderEvent::OrderItemsReturned(returned) => {
                returned.items.iter().for_each(|item| add(&mut self.returned, &item.sku, item.quantity));
            }
        }
    }

    /// Folds an event of one of the order's payments: only what is held follows from it, the rest the order itself says.
    pub fn evolve_payment(&mut self, event: &PaymentEvent) {
        match event {
            PaymentEvent::PaymentAuthorised(held) => {
                self.authorised_minor = self.authorised_minor.saturating_add(held.amount.minor);
            }
            PaymentEvent::PaymentVoided(_) | PaymentEvent::PaymentExpired(_) => self.authorised_minor = self.received_minor,
            PaymentEvent::PaymentOpened(_)
            | PaymentEvent::PaymentConfirmationRequested(_)
            | PaymentEvent::PaymentActionRequired(_)
            | PaymentEvent::PaymentCaptureRequested(_)
            | PaymentEvent::PaymentCaptured(_)
            | PaymentEvent::PaymentVoidRequested(_)
            | PaymentEvent::PaymentRefundRequested(_)
            | PaymentEvent::PaymentRefunded(_)
            | PaymentEvent::PaymentRefundFailed(_)
            | PaymentEvent::PaymentDeclined(_)
            | PaymentEvent::PaymentDisputed(_)
            | PaymentEvent::PaymentDisputeClosed(_) => {}
        }
    }

    /// Whether all that is due came in. An order that costs nothing is paid as it is placed.
    pub fn is_paid(&self) -> bool {
        self.paid
    }

    /// Whether all that is due is there once more money arrives, less what went back.
    pub fn is_covered_with(&self, more_minor: i64) -> bool {
        self.received_minor.saturating_sub(self.refunded_minor).saturating_add(more_minor) >= self.due_minor
    }

    /// Whether the order was called off or ran out of time.
    pub fn is_closed(&self) -> bool {
        self.cancelled || self.expired
    }

    /// Units of a SKU that are ordered and have not left the house.
    pub fn unshipped(&self, sku: &Sku) -> u32 {
        let of = |units: &BTreeMap<Sku, u32>| units.get(sku).copied().unwrap_or(0);
        of(&self.ordered).saturating_sub(of(&self.shipped))
    }

    /// Units of a SKU that have left the house and have not come back.
    pub fn returnable(&self, sku: &Sku) -> u32 {
        let of = |units: &BTreeMap<Sku, u32>| units.get(sku).copied().unwrap_or(0);
        of(&self.shipped).saturating_sub(of(&self.returned))
    }

    /// Where the order stands.
    pub fn status(&self) -> OrderStatus {
        if self.cancelled {
            return OrderStatus::Cancelled;
        }
        if self.expired {
            return OrderStatus::Expired;
        }
        let returned = sum(&self.returned);
        if returned > 0 {
            return if returned >= sum(&self.ordered) { OrderStatus::Returned } else { OrderStatus::PartiallyReturned };
        }
        match self.fulfilment_status() {
            FulfilmentStatus::PartiallyShipped => OrderStatus::PartiallyShipped,
            FulfilmentStatus::Shipped => OrderStatus::Shipped,
            FulfilmentStatus::PartiallyDelivered => OrderStatus::PartiallyDelivered,
            FulfilmentStatus::Delivered => OrderStatus::Delivered,
            FulfilmentStatus::Unfulfilled if self.processing => OrderStatus::Processing,
            FulfilmentStatus::Unfulfilled if self.is_paid() => OrderStatus::Paid,
            FulfilmentStatus::Unfulfilled => OrderStatus::Pending,
        }
    }

    /// How far the money has come.
    pub fn payment_status(&self) -> OrderPaymentStatus {
        if self.refunded_minor > 0 {
            let all = self.refunded_minor >= self.received_minor;
            return if all { OrderPaymentStatus::Refunded } else { OrderPaymentStatus::PartiallyRefunded };
        }
        if self.received_minor > self.due_minor {
            return OrderPaymentStatus::Overpaid;
        }
        if self.is_paid() {
            return OrderPaymentStatus::Paid;
        }
        if self.received_minor > 0 {
            return OrderPaymentStatus::PartiallyPaid;
        }
        match self.authorised_minor {
            held if held >= self.due_minor => OrderPaymentStatus::Authorised,
            held if held > 0 => OrderPaymentStatus::PartiallyAuthorised,
            _ => OrderPaymentStatus::None,
        }
    }

    /// How far the goods have come.
    pub fn fulfilment_status(&self) -> FulfilmentStatus {
        let (ordered, shipped) = (sum(&self.ordered), sum(&self.shipped));
        let arrived: u64 = self
            .parcels
            .values()
            .filter(|parcel| parcel.delivered)
            .flat_map(|parcel| &parcel.items)
            .map(|item| u64::from(item.quantity))
            .sum();
        match (arrived, shipped) {
            (0, 0) => FulfilmentStatus::Unfulfilled,
            (0, shipped) if shipped < ordered => FulfilmentStatus::PartiallyShipped,
            (0, _) => FulfilmentStatus::Shipped,
            (arrived, _) if arrived < ordered => FulfilmentStatus::PartiallyDelivered,
            _ => FulfilmentStatus::Delivered,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        CancelledBy, Currency, FulfilmentDelivered, Money, OrderCancelled, OrderExpired, OrderFulfilled, OrderItemsReturned,
        OrderPaymentReceived, OrderProcessingStarted, OrderRefunded, OrderReinstated, PaymentId, ReturnId,
    };

    fn tea() -> Sku {
        Sku::new("TEA").unwrap()
    }

    /// Two units of tea for 9.00 EUR.
    fn placed() -> OrderFacts {
        OrderFacts { due_minor: 900, ordered: BTreeMap::from([(tea(), 2)]), ..OrderFacts::default() }
    }

    fn euros(minor: i64) -> Money {
        Money::new(minor, Currency::new("EUR").unwrap())
    }

    fn received(minor: i64) -> OrderEvent {
        OrderPaymentReceived { payment_id: PaymentId(Uuid::nil()), amount: euros(minor) }.into()
    }

    fn refunded(minor: i64) -> OrderEvent {
        OrderRefunded { payment_id: PaymentId(Uuid::nil()), amount: euros(minor) }.into()
    }

    fn shipped(parcel: u128, quantity: u32) -> OrderEvent {
        let items = vec![SkuQuantity { sku: tea(), quantity }];
        OrderFulfilled { fulfilment_id: FulfilmentId(Uuid::from_u128(parcel)), items, tracking: None }.into()
    }

    fn delivered(parcel: u128) -> OrderEvent {
        FulfilmentDelivered { fulfilment_id: FulfilmentId(Uuid::from_u128(parcel)) }.into()
    }

    fn returned(quantity: u32) -> OrderEvent {
        let items = vec![SkuQuantity { sku: tea(), quantity }];
        OrderItemsReturned { return_id: ReturnId(Uuid::nil()), items, reason: "too strong".to_owned() }.into()
    }

    #[test]
    fn every_step_of_an_order_has_its_status() {
        let mut order = placed();
        assert_eq!(order.status(), OrderStatus::Pending);
        let steps = [
            (received(900), OrderStatus::Paid),
            (OrderProcessingStarted {}.into(), OrderStatus::Processing),
            (shipped(1, 1), OrderStatus::PartiallyShipped),
            (delivered(1), OrderStatus::PartiallyDelivered),
            (shipped(2, 1), OrderStatus::PartiallyDelivered),
            (delivered(2), OrderStatus::Delivered),
            (returned(1), OrderStatus::PartiallyReturned),
            (returned(1), OrderStatus::Returned),
        ];
        for (event, status) in steps {
            order.evolve(&event);
            assert_eq!(order.status(), status, "after {}", event.event_type());
        }
    }

    #[test]
    fn an_expired_order_that_is_reinstated_is_open_again_and_a_cancelled_one_stays_cancelled() {
        let mut order = placed();
        order.evolve(&OrderExpired {}.into());
        assert_eq!(order.status(), OrderStatus::Expired);
        order.evolve(&OrderReinstated { allocations: vec![] }.into());
        assert_eq!(order.status(), OrderStatus::Pending);
        order.evolve(&OrderCancelled { by: CancelledBy::Customer, reason: "changed my mind".to_owned() }.into());
        order.evolve(&received(900));
        assert_eq!(order.status(), OrderStatus::Cancelled);
    }

    #[test]
    fn the_money_has_an_axis_of_its_own() {
        let mut order = placed();
        assert_eq!(order.payment_status(), OrderPaymentStatus::None);
        let steps = [
            (received(500), OrderPaymentStatus::PartiallyPaid),
            (received(400), OrderPaymentStatus::Paid),
            (received(1), OrderPaymentStatus::Overpaid),
            (refunded(1), OrderPaymentStatus::PartiallyRefunded),
            (refunded(900), OrderPaymentStatus::Refunded),
        ];
        for (event, status) in steps {
            order.evolve(&event);
            assert_eq!(order.payment_status(), status, "after {}", event.event_type());
        }
    }

    #[test]
    fn money_that_went_back_does_not_count_as_paid() {
        let mut order = placed();
        [received(500), refunded(500), received(400)].iter().for_each(|event| order.evolve(event));
        assert_eq!(order.status(), OrderStatus::Pending);
        [received(500), refunded(900)].iter().for_each(|event| order.evolve(event));
        assert_eq!(order.status(), OrderStatus::Paid, "a refund after it was paid does not undo that");
    }
}
