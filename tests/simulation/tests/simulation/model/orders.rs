//! What the model says of orders: paying, calling off, sending, coming back, and where an order stands.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{super::ask::Shelf, Answer, Ask, Code, Effect, Model, Order, goods::on_shelf, money::refund_requested};

/// The most characters of a note.
const MOST_NOTE: usize = 2000;

fn units(of: &BTreeMap<String, i64>) -> i64 {
    of.values().sum()
}

impl Order {
    pub fn closed(&self) -> bool {
        self.cancelled || self.expired
    }

    fn left(&self, sku: &str) -> i64 {
        self.ordered.get(sku).unwrap_or(&0) - self.shipped.get(sku).unwrap_or(&0)
    }

    pub fn unshipped(&self) -> Vec<(String, i64)> {
        let left = self.ordered.keys().map(|sku| (sku.clone(), self.left(sku)));
        left.filter(|(_, units)| *units > 0).collect()
    }

    pub fn returnable(&self, sku: &str) -> i64 {
        self.shipped.get(sku).unwrap_or(&0) - self.returned.get(sku).unwrap_or(&0)
    }

    /// Every shelf that units of it come from, each once.
    pub fn shelves(&self) -> BTreeSet<Shelf> {
        self.shares.iter().map(|share| share.shelf.clone()).collect()
    }

    fn pick(&self, sku: &str, quantity: i64) -> Vec<(Shelf, i64)> {
        let mut left = quantity;
        let mut picked = Vec::new();
        for share in self.shares.iter().filter(|share| share.shelf.0 == sku) {
            let units = left.min(share.quantity - share.shipped);
            if units > 0 {
                picked.push((share.shelf.clone(), units));
                left -= units;
            }
        }
        picked
    }

    /// Where it stands, as `OrderStatus` calls it.
    pub fn status(&self) -> &'static str {
        let (ordered, shipped, returned) = (units(&self.ordered), units(&self.shipped), units(&self.returned));
        let arrived: i64 = self.parcels.values().filter(|(_, arrived)| *arrived).map(|(units, _)| units).sum();
        let rungs = [
            (self.cancelled, "Cancelled"),
            (self.expired, "Expired"),
            (returned > 0 && returned >= ordered, "Returned"),
            (returned > 0, "PartiallyReturned"),
            (arrived > 0 && arrived >= ordered, "Delivered"),
            (arrived > 0, "PartiallyDelivered"),
            (shipped > 0 && shipped >= ordered, "Shipped"),
            (shipped > 0, "PartiallyShipped"),
            (self.processing, "Processing"),
            (self.paid, "Paid"),
        ];
        rungs.iter().find(|(stands, _)| *stands).map_or("Pending", |(_, status)| status)
    }

    fn must_be_preparable(&self) -> Result<(), Code> {
        if self.closed() {
            return Err("WRONG_STATE");
        }
        if self.paid { Ok(()) } else { Err("NOT_PAID") }
    }
}

fn must_name_items(items: &[(String, i64)]) -> Result<(), Code> {
    let different: BTreeSet<_> = items.iter().map(|(sku, _)| sku).collect();
    let named = !items.is_empty() && different.len() == items.len() && items.iter().all(|(_, units)| *units > 0);
    if named { Ok(()) } else { Err("NO_ITEMS") }
}

impl Model {
    pub fn order(&self, id: Uuid) -> Result<&Order, Code> {
        self.orders.get(&id).ok_or("ORDER_NOT_FOUND")
    }

    pub(super) fn must_be_payable(&self, id: Uuid, now: i64) -> Result<(), Code> {
        let order = self.order(id)?;
        if order.closed() || order.paid {
            return Err("WRONG_STATE");
        }
        if order.pay_by.is_some_and(|until| until <= now) { Err("TOO_LATE_TO_PAY") } else { Ok(()) }
    }

    /// All that a closing order gives back.
    pub(super) fn let_go(&self, id: Uuid, order: &Order, refund: Uuid) -> Answer {
        let mut effects = Vec::new();
        for shelf in order.shelves() {
            if let Some((units, _)) = self.shelf(&shelf).held.get(&id) {
                effects.push(on_shelf(&shelf, "ReservationReleased").text("/order_id", id).number("/quantity", *units));
            }
        }
        for promotion in &order.promotions {
            if self.promotions.get(promotion).is_some_and(|promotion| promotion.uses > 0) {
                effects.push(Effect::on("promotion", promotion, "PromotionRestored").text("/order_id", id));
            }
        }
        if let Some(payment_id) = order.payment {
            let payment = self.payment(payment_id)?;
            if payment.refundable() > 0
                && let Some(minor) = payment.request_refund(refund, None)?
            {
                effects.push(refund_requested(payment_id, refund, minor));
            }
            if payment.hold() > 0 && payment.capturing == 0 {
                if payment.request_void()? {
                    effects.push(Effect::on("payment", payment_id, "PaymentVoidRequested"));
                }
            } else if payment.authorised() == 0 && !payment.expired {
                effects.push(Effect::on("payment", payment_id, "PaymentExpired"));
            }
        }
        Ok(effects)
    }

    pub(super) fn fulfilling(&self, ask: &Ask) -> Answer {
        let on = |id: &Uuid, kind| Effect::on("order", id, kind);
        match ask {
            Ask::Cancel { order: id, refund } => {
                let order = self.order(*id)?;
                if order.closed() {
                    return Err("WRONG_STATE");
                }
                if !order.shipped.is_empty() {
                    return Err("ALREADY_SHIPPED");
                }
                let mut effects = vec![on(id, "OrderCancelled")];
                effects.extend(self.let_go(*id, order, *refund)?);
                Ok(effects)
            }
            Ask::StartProcessing { order: id } => {
                let order = self.order(*id)?;
                order.must_be_preparable()?;
                let begun = order.processing || !order.shipped.is_empty();
                if begun { Err("WRONG_STATE") } else { Ok(vec![on(id, "OrderProcessingStarted")]) }
            }
            Ask::Ship { order, parcel, items } => self.ship(*order, *parcel, items.as_deref()),
            Ask::Deliver { order: id, parcel } => {
                let (_, arrived) = self.order(*id)?.parcels.get(parcel).ok_or("FULFILMENT_NOT_FOUND")?;
                let news = (!arrived).then(|| on(id, "FulfilmentDelivered").text("/fulfilment_id", parcel));
                Ok(news.into_iter().collect())
            }
            Ask::Return { order: id, items, restock, .. } => {
                let order = self.order(*id)?;
                let items: Vec<_> = items.iter().map(|(sku, units)| (sku.clone(), i64::from(*units))).collect();
                must_name_items(&items)?;
                if items.iter().any(|(sku, units)| *units > order.returnable(sku)) {
                    return Err("MORE_THAN_SHIPPED");
                }
                let mut effects = vec![on(id, "OrderItemsReturned")];
                for (sku, units) in restock.iter().flat_map(|_| &items) {
                    let shelf = (sku.clone(), restock.clone().unwrap_or_default());
                    self.shelf(&shelf).must_take_in(*units)?;
                    effects.push(on_shelf(&shelf, "StockReturned").number("/quantity", *units));
                }
                Ok(effects)
            }
            Ask::Note { order: id, length } => {
                self.order(*id)?;
                if (1..=MOST_NOTE).contains(length) { Ok(vec![on(id, "OrderNoteAdded")]) } else { Err("NOTE_INVALID") }
            }
            other => panic!("{other:?} is not about an order"),
        }
    }

    fn ship(&self, id: Uuid, parcel: Uuid, items: Option<&[(String, u32)]>) -> Answer {
        let order = self.order(id)?;
        let named = |items: &[(String, u32)]| items.iter().map(|(sku, units)| (sku.clone(), i64::from(*units))).collect();
        let items: Vec<(String, i64)> = items.map_or_else(|| order.unshipped(), named);
        order.must_be_preparable()?;
        must_name_items(&items)?;
        if items.iter().any(|(sku, units)| *units > order.left(sku)) {
            return Err("MORE_THAN_ORDERED");
        }
        if order.parcels.contains_key(&parcel) {
            return Err("FULFILMENT_EXISTS");
        }
        let mut effects = vec![Effect::on("order", id, "OrderFulfilled").text("/fulfilment_id", parcel)];
        for (sku, units) in &items {
            for (shelf, units) in order.pick(sku, *units) {
                self.shelf(&shelf).must_ship(id, units)?;
                effects.push(on_shelf(&shelf, "StockShipped").text("/order_id", id).number("/quantity", units));
            }
        }
        Ok(effects)
    }
}
