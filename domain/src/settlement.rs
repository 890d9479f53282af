//! What money does to an order: received in time, received too late, gone back, or never coming.

use event_schemas::{
    CancelledBy, Currency, Money, OrderId, OrderPaymentReceived, OrderRefunded, PaymentId, RefundId, ReleaseReason, Sku,
    SkuAllocation, StockId, Timestamp,
};

use crate::{
    Change, Decision, Order, OrderCommand, Payment, PaymentCommand, PaymentRefusal, PlacedOrder, Promotion, PromotionCommand,
    Refusal, Stock, StockCommand, World,
    order_decisions::{let_go, look_at_stocks, order_changes},
    payment_decisions::payment_changes,
    stock_decisions::stock_changes,
    stream_of,
};

/// Tell an order what was taken for it and is not recorded there yet. Told twice, it does nothing.
///
/// The order becomes paid and its stock committed. One that has expired meanwhile is reinstated if all its stock and
/// promotions can be had again; else, and for one that was cancelled, the money goes back at once.
#[derive(Debug, Clone)]
pub struct RecordPayment {
    /// The payment.
    pub payment_id: PaymentId,
    /// The id of the refund, if the money goes back.
    pub refund_id: RefundId,
    /// The time of asking.
    pub now: Timestamp,
}

impl Decision for RecordPayment {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let payment = world.get::<Payment>(self.payment_id).opened()?;
        let order_id = payment.order_id;
        let order = world.get::<Order>(order_id).placed()?;
        look_at_stocks(world, order);
        let arrived = payment.captured_minor() - order.received_from(self.payment_id);
        if arrived <= 0 {
            return Ok(vec![]);
        }
        let amount = Money::new(arrived, payment.amount.currency);
        let received = OrderPaymentReceived { payment_id: self.payment_id, amount };
        let mut changes = order_changes(world, order_id, OrderCommand::ReceivePayment(received))?;
        if order.facts.is_closed() {
            let kept = arrived.min(payment.refundable_minor());
            let again = if order.facts.cancelled || !is_covered(world, order) {
                None
            } else {
                reinstate(world, order_id, order, self.now)
            };
            match again {
                Some(reinstated) => changes.extend(reinstated),
                None if kept > 0 => changes.extend(self.give_back(world, Money::new(kept, amount.currency))?),
                None => {}
            }
        } else if order.facts.is_covered_with(arrived) && !order.facts.is_paid() {
            for (sku, location) in order.stocks() {
                let stock = StockId { sku: sku.clone(), location: location.clone() };
                changes.extend(stock_changes(world, &stock, StockCommand::Commit { order_id })?);
            }
        }
        Ok(changes)
    }
}

impl RecordPayment {
    fn give_back(&self, world: &World<'_>, amount: Money) -> Result<Vec<Change>, Refusal> {
        let reason = "the order was closed before the money arrived".to_owned();
        let command = PaymentCommand::RequestRefund { refund_id: self.refund_id, amount: Some(amount), reason };
        payment_changes(world, self.payment_id, command)
    }
}

/// Whether what was taken for an order, and is not going back, covers what is due.
fn is_covered(world: &World<'_>, order: &PlacedOrder) -> bool {
    let payments = order.payments().into_iter().filter_map(|id| world.get::<Payment>(id).opened().ok());
    payments.fold(0_i64, |sum, payment| sum.saturating_add(payment.refundable_minor())) >= order.facts.due_minor
}

/// Sets aside again what an expired order held, at the locations that it was to come from; `None` unless all can be had.
fn reinstate(world: &World<'_>, order_id: OrderId, order: &PlacedOrder, now: Timestamp) -> Option<Vec<Change>> {
    let mut allocations = Vec::new();
    for (sku, locations) in by_sku(order) {
        let wanted = order.facts.ordered.get(sku).copied().unwrap_or(0);
        let free = |location| world.get::<Stock>(StockId { sku: sku.clone(), location }).sellable();
        let free: Vec<_> = locations.into_iter().map(|location| (location.clone(), free(location))).collect();
        let mut left = wanted;
        for (location, free) in free {
            let quantity = left.min(u32::try_from(free).unwrap_or(u32::MAX));
            if quantity > 0 {
                allocations.push(SkuAllocation { sku: sku.clone(), location, quantity });
            }
            left -= quantity;
        }
        if left > 0 {
            return None;
        }
    }
    let mut changes = order_changes(world, order_id, OrderCommand::Reinstate { allocations: allocations.clone() }).ok()?;
    for SkuAllocation { sku, location, quantity } in allocations {
        let stock = StockId { sku: sku.clone(), location };
        let command = StockCommand::Reserve { sku, order_id, quantity, expires_at: None };
        changes.extend(stock_changes(world, &stock, command).ok()?);
    }
    changes.extend(redeem_again(world, order_id, order, order.currency, now)?);
    Some(changes)
}

fn redeem_again(
    world: &World<'_>,
    order_id: OrderId,
    order: &PlacedOrder,
    currency: Currency,
    now: Timestamp,
) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    for id in &order.promotions {
        let customer_id = order.customer_id.clone();
        let command = PromotionCommand::Redeem { order_id, customer_id, currency, now };
        changes.extend(Change::all(stream_of::<Promotion>(id), world.get::<Promotion>(id).decide(command).ok()?));
    }
    Some(changes)
}

/// The locations that each SKU of an order was to come from.
fn by_sku(order: &PlacedOrder) -> std::collections::BTreeMap<&Sku, Vec<event_schemas::LocationId>> {
    let mut locations = std::collections::BTreeMap::<_, Vec<_>>::new();
    for (sku, location) in order.stocks() {
        locations.entry(sku).or_default().push(location.clone());
    }
    locations
}

/// Tell an order what went back to its buyer and is not recorded there yet. Told twice, it does nothing.
#[derive(Debug, Clone)]
pub struct RecordRefund {
    /// The payment.
    pub payment_id: PaymentId,
}

impl Decision for RecordRefund {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let payment = world.get::<Payment>(self.payment_id).opened()?;
        let order = world.get::<Order>(payment.order_id).placed()?;
        let left = payment.refunded_minor() - order.refunded_to(self.payment_id);
        if left <= 0 {
            return Ok(vec![]);
        }
        let amount = Money::new(left, payment.amount.currency);
        let refunded = OrderRefunded { payment_id: self.payment_id, amount };
        order_changes(world, payment.order_id, OrderCommand::RecordRefund(refunded))
    }
}

/// A payment came to nothing (voided or expired): call its order off, if it still waits for money and has none.
#[derive(Debug, Clone)]
pub struct CancelUnpaidOrder {
    /// The payment.
    pub payment_id: PaymentId,
    /// The id of the refund; none is needed, because nothing was taken.
    pub refund_id: RefundId,
}

impl Decision for CancelUnpaidOrder {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let payment = world.get::<Payment>(self.payment_id).opened()?;
        let order = world.get::<Order>(payment.order_id).placed()?;
        if payment.authorised_minor() > 0 || order.facts.received_minor > 0 || order.facts.is_closed() || order.facts.is_paid() {
            return Ok(vec![]);
        }
        let reason = "the payment came to nothing";
        let command = OrderCommand::Cancel { by: CancelledBy::System, reason: reason.to_owned() };
        let mut changes = order_changes(world, payment.order_id, command)?;
        let why = (ReleaseReason::PaymentFailed, reason);
        changes.extend(let_go(world, payment.order_id, order, why, self.refund_id)?);
        Ok(changes)
    }
}

/// Money was held for an order that is closed: let it go. While it is being taken there is nothing to do: what was taken goes
/// back once that is known.
#[derive(Debug, Clone)]
pub struct VoidHoldOfClosedOrder {
    /// The payment.
    pub payment_id: PaymentId,
}

impl Decision for VoidHoldOfClosedOrder {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let payment = world.get::<Payment>(self.payment_id).opened()?;
        let order = world.get::<Order>(payment.order_id).placed()?;
        if !order.facts.is_closed() || payment.hold_minor() == 0 {
            return Ok(vec![]);
        }
        let reason = "the order was closed before the money was held".to_owned();
        match payment_changes(world, self.payment_id, PaymentCommand::RequestVoid { reason }) {
            Err(Refusal::Payment(PaymentRefusal::InProgress)) => Ok(vec![]),
            decided => decided,
        }
    }
}

/// Money was won in a dispute: if its order was closed meanwhile, it goes back to the buyer, as all other money of the order
/// did.
#[derive(Debug, Clone)]
pub struct GiveBackToClosedOrder {
    /// The payment.
    pub payment_id: PaymentId,
    /// The id of the refund.
    pub refund_id: RefundId,
}

impl Decision for GiveBackToClosedOrder {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let payment = world.get::<Payment>(self.payment_id).opened()?;
        let order = world.get::<Order>(payment.order_id).placed()?;
        if !order.facts.is_closed() || payment.refundable_minor() == 0 {
            return Ok(vec![]);
        }
        let reason = "the order was closed while the money was in dispute".to_owned();
        let command = PaymentCommand::RequestRefund { refund_id: self.refund_id, amount: None, reason };
        payment_changes(world, self.payment_id, command)
    }
}
