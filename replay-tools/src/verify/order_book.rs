//! What must hold of one order: it is placed first and once, no more is sent than was ordered, no more comes back than was sent,
//! and no more money goes back than came in.

use std::collections::{BTreeMap, BTreeSet};

use event_schemas::{Currency, FulfilmentId, Money, OrderEvent, Sku, SkuQuantity};

/// One order. In 128 bits no sum of recorded quantities or amounts overflows.
#[derive(Default)]
pub(super) struct OrderBook {
    currency: Option<Currency>,
    ordered: BTreeMap<Sku, i128>,
    sent: BTreeMap<Sku, i128>,
    returned: BTreeMap<Sku, i128>,
    parcels: BTreeSet<FulfilmentId>,
    received: i128,
    refunded: i128,
}

impl OrderBook {
    pub(super) fn take_in(&mut self, event: &OrderEvent) -> Result<(), String> {
        if let OrderEvent::OrderPlaced(order) = event {
            if self.currency.is_some() {
                return Err(format!("order {} was placed again", order.number));
            }
            self.currency = Some(order.currency);
            for line in &order.lines {
                *self.ordered.entry(line.sku.clone()).or_default() += i128::from(line.quantity);
            }
            return Ok(());
        }
        if self.currency.is_none() {
            return Err(format!("{} before the order was placed", event.event_type()));
        }
        match event {
            OrderEvent::OrderPaymentReceived(paid) => self.received += self.minor(paid.amount)?,
            OrderEvent::OrderRefunded(refunded) => {
                self.refunded += self.minor(refunded.amount)?;
                let Self { received, refunded, .. } = self;
                if *refunded > *received {
                    return Err(format!("{refunded} went back of {received} that came in (minor units)"));
                }
            }
            OrderEvent::OrderFulfilled(parcel) => {
                if !self.parcels.insert(parcel.fulfilment_id) {
                    return Err(format!("fulfilment {} was sent again", parcel.fulfilment_id));
                }
                return add(&mut self.sent, &parcel.items, &self.ordered, "sent", "ordered");
            }
            OrderEvent::FulfilmentDelivered(parcel) if !self.parcels.contains(&parcel.fulfilment_id) => {
                return Err(format!("fulfilment {} was delivered and never sent", parcel.fulfilment_id));
            }
            OrderEvent::OrderItemsReturned(back) => {
                return add(&mut self.returned, &back.items, &self.sent, "came back", "sent");
            }
            OrderEvent::OrderPlaced(_)
            | OrderEvent::OrderCancelled(_)
            | OrderEvent::OrderExpired(_)
            | OrderEvent::OrderReinstated(_)
            | OrderEvent::OrderProcessingStarted(_)
            | OrderEvent::OrderNoteAdded(_)
            | OrderEvent::FulfilmentDelivered(_) => {}
        }
        Ok(())
    }

    fn minor(&self, amount: Money) -> Result<i128, String> {
        match self.currency {
            Some(currency) if currency != amount.currency => Err(format!("{amount} was moved for an order in {currency}")),
            _ => Ok(amount.minor.into()),
        }
    }
}

/// Adds quantities, each of which must stay within its bound.
fn add(
    sums: &mut BTreeMap<Sku, i128>,
    items: &[SkuQuantity],
    bounds: &BTreeMap<Sku, i128>,
    what: &str,
    of: &str,
) -> Result<(), String> {
    let mut result = Ok(());
    for SkuQuantity { sku, quantity } in items {
        let sum = sums.entry(sku.clone()).or_default();
        *sum += i128::from(*quantity);
        let bound = bounds.get(sku).copied().unwrap_or_default();
        if *sum > bound {
            result = Err(format!("{sum} units of {sku} {what} of {bound} {of}"));
        }
    }
    result
}
