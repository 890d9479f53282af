//! What the model says of what the shop does by itself: money that arrives, holds that are let go, time that runs out.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Answer, Ask, Cart, Effect, Model, Order, goods::on_shelf, money::refund_requested};

impl Model {
    pub(super) fn settling(&self, ask: &Ask, now: i64) -> Answer {
        match ask {
            Ask::RecordPayment { payment, refund } => self.record_payment(*payment, *refund),
            Ask::VoidHoldOfClosedOrder { payment: id } => {
                let payment = self.payment(*id)?;
                let busy = payment.hold() == 0 || payment.capturing > 0 || payment.void_requested;
                let void = self.order(payment.order)?.closed() && !busy;
                Ok(void.then(|| Effect::on("payment", id, "PaymentVoidRequested")).into_iter().collect())
            }
            Ask::RecordRefund { payment: id } => {
                let payment = self.payment(*id)?;
                let order = self.order(payment.order)?;
                let news = payment.refunded - order.refunded;
                if news > order.received - order.refunded {
                    return Err("REFUND_EXCEEDS_RECEIVED");
                }
                let refunded = || Effect::on("order", payment.order, "OrderRefunded").number("/amount/minor", news);
                Ok((news > 0).then(refunded).into_iter().collect())
            }
            Ask::GiveBackToClosedOrder { payment: id, refund } => {
                let payment = self.payment(*id)?;
                if !self.order(payment.order)?.closed() || payment.refundable() == 0 {
                    return Ok(vec![]);
                }
                let asked = payment.request_refund(*refund, None)?;
                Ok(asked.map(|minor| refund_requested(*id, *refund, minor)).into_iter().collect())
            }
            Ask::CancelUnpaid { payment: id, refund } => {
                let payment = self.payment(*id)?;
                let order = self.order(payment.order)?;
                if payment.authorised() > 0 || order.received > 0 || order.closed() || order.paid {
                    return Ok(vec![]);
                }
                let mut effects = vec![Effect::on("order", payment.order, "OrderCancelled")];
                effects.extend(self.let_go(payment.order, order, *refund)?);
                Ok(effects)
            }
            Ask::ExpireCart { cart } => match self.carts.get(cart) {
                None => Err("CART_NOT_FOUND"),
                Some(Cart::CheckedOut | Cart::Expired) => Ok(vec![]),
                Some(Cart::Open(open)) if now < open.expires_at => Err("NOT_DUE"),
                Some(Cart::Open(_)) => Ok(vec![Effect::on("cart", cart, "CartExpired")]),
            },
            Ask::ExpireOrder { order: id, refund } => {
                let order = self.order(*id)?;
                let Some(pay_by) = order.pay_by else { return Ok(vec![]) };
                if order.closed() || order.paid || !order.shipped.is_empty() {
                    return Ok(vec![]);
                }
                let secured = order.payment.and_then(|id| self.payments.get(&id));
                let secured = secured.map_or(0, |payment| payment.authorised() - payment.refunded);
                if now < pay_by || secured >= order.due {
                    return Err("NOT_DUE");
                }
                let mut effects = vec![Effect::on("order", id, "OrderExpired")];
                effects.extend(self.let_go(*id, order, *refund)?);
                Ok(effects)
            }
            Ask::ExpirePayment { payment: id } => {
                let payment = self.payment(*id)?;
                let over = payment.expired || payment.captured > 0;
                Ok((!over).then(|| Effect::on("payment", id, "PaymentExpired")).into_iter().collect())
            }
            other => panic!("{other:?} is not asked by a process"),
        }
    }

    fn record_payment(&self, id: Uuid, refund: Uuid) -> Answer {
        let payment = self.payment(id)?;
        let order = self.order(payment.order)?;
        let arrived = payment.captured - order.received;
        if arrived <= 0 {
            return Ok(vec![]);
        }
        let received = Effect::on("order", payment.order, "OrderPaymentReceived").number("/amount/minor", arrived);
        let mut effects = vec![received.text("/payment_id", id)];
        if order.closed() {
            let covered = !order.cancelled && payment.refundable() >= order.due;
            let again = if covered { self.reinstate(payment.order, order) } else { None };
            let back = arrived.min(payment.refundable());
            match again {
                Some(reinstated) => effects.extend(reinstated),
                None if back > 0 => {
                    let asked = payment.request_refund(refund, Some(back))?;
                    effects.extend(asked.map(|minor| refund_requested(id, refund, minor)));
                }
                None => {}
            }
        } else if !order.paid && order.received - order.refunded + arrived >= order.due {
            for shelf in order.shelves() {
                let (_, paid) = self.shelf(&shelf).held.get(&payment.order).ok_or("STOCK_NOT_RESERVED")?;
                if !paid {
                    effects.push(on_shelf(&shelf, "ReservationCommitted").text("/order_id", payment.order));
                }
            }
        }
        Ok(effects)
    }

    /// What brings an expired order back, unless something that it needs is gone.
    fn reinstate(&self, id: Uuid, order: &Order) -> Option<Vec<Effect>> {
        let mut by_sku: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for shelf in order.shelves() {
            by_sku.entry(shelf.0.clone()).or_default().push(shelf);
        }
        let mut reserved = Vec::new();
        for (sku, shelves) in by_sku {
            let mut left = order.ordered[&sku];
            for shelf in shelves {
                let units = left.min(self.shelf(&shelf).sellable());
                left -= units;
                if units > 0 {
                    if self.shelf(&shelf).held.contains_key(&id) {
                        return None;
                    }
                    reserved.push(on_shelf(&shelf, "StockReserved").text("/order_id", id).number("/quantity", units));
                }
            }
            if left > 0 {
                return None;
            }
        }
        let mut effects = vec![Effect::on("order", id, "OrderReinstated")];
        effects.extend(reserved);
        for promotion in &order.promotions {
            self.promotions.get(promotion)?.must_hold().ok()?;
            effects.push(Effect::on("promotion", promotion, "PromotionRedeemed").text("/order_id", id));
        }
        Some(effects)
    }
}
