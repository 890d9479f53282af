//! Buyers and staff: what they ask next, mostly something that makes sense as the shop stands, sometimes nonsense.

use domain::{GatewayOutcome, QuantityChange};
use fastrand::Rng;
use uuid::Uuid;

use super::{
    ask::{Ask, Shelf, euros},
    model::{Attempt, Cart, LOCATIONS, Model, OpenCart, Order, Payment},
};

pub const SKUS: [&str; 8] = ["HOT", "TEA", "MUG", "POT", "JAM", "OIL", "PEN", "HAT"];
pub const COUPONS: [&str; 4] = ["TENTH", "FIVER", "ONCE", "FREE"];

/// Who asks, at one moment.
pub struct Shopper<'a> {
    pub model: &'a Model,
    pub rng: &'a mut Rng,
    /// Chance of nonsense in a thousand.
    pub hostile: u32,
}

impl Shopper<'_> {
    fn odds(&mut self, one_in: u32) -> bool {
        self.rng.u32(..one_in) == 0
    }

    /// A new id. They grow with the shop, so that the last ones are the latest.
    fn id(&mut self) -> Uuid {
        let so_far = self.model.carts.len() + self.model.orders.len();
        Uuid::from_u128((so_far as u128) << 100 | u128::from(self.rng.u64(..)))
    }

    fn sku(&mut self) -> String {
        // Every second wish is for the one hot SKU.
        let index = if self.rng.bool() { 0 } else { self.rng.usize(..SKUS.len()) };
        SKUS[index].to_owned()
    }

    fn shelf(&mut self) -> Shelf {
        let place = LOCATIONS[usize::from(self.odds(4))];
        (self.sku(), place.to_owned())
    }

    fn quantity(&mut self, most: u32) -> u32 {
        if self.rng.u32(..1000) < self.hostile {
            [0, u32::MAX, 10_000, 9_999][self.rng.usize(..4)]
        } else {
            self.rng.u32(1..=most)
        }
    }

    /// Any of what fits, or now and then of what does not; an id that nothing has when there is none.
    fn pick<'m, T: 'm>(&mut self, all: impl Iterator<Item = (&'m Uuid, &'m T)>, fits: impl Fn(&T) -> bool) -> Uuid {
        let careless = self.odds(12);
        let ids: Vec<Uuid> = all.filter(|(_, one)| careless || fits(one)).map(|(id, _)| *id).collect();
        // Mostly one of the latest, which is where things still happen.
        let from = if self.rng.bool() { ids.len().saturating_sub(4) } else { 0 };
        if ids.is_empty() { self.id() } else { ids[self.rng.usize(from..ids.len())] }
    }

    fn cart(&mut self, fits: impl Fn(&OpenCart) -> bool) -> Uuid {
        let model = self.model;
        self.pick(model.carts.iter(), |cart| matches!(cart, Cart::Open(open) if fits(open)))
    }

    fn order(&mut self, fits: impl Fn(&Order) -> bool) -> Uuid {
        let model = self.model;
        self.pick(model.orders.iter(), fits)
    }

    fn payment(&mut self, fits: impl Fn(&Payment) -> bool) -> Uuid {
        let model = self.model;
        self.pick(model.payments.iter(), fits)
    }

    /// An amount around what is there.
    fn amount(&mut self, of: i64) -> Option<i64> {
        match self.rng.u32(..10) {
            0 => Some([0, -5, i64::MAX, of + 1][self.rng.usize(..4)]),
            1..=4 => Some(self.rng.i64(1..=of.max(2))),
            _ => None,
        }
    }

    pub fn next(&mut self) -> Ask {
        let model = self.model;
        let open = |cart: &&Cart| matches!(cart, Cart::Open(_));
        let ready = |open: &OpenCart| open.email && open.address && open.method.is_some() && !open.lines.is_empty();
        let is_ready = |cart: &Cart| matches!(cart, Cart::Open(open) if ready(open));
        // What there is nothing for is asked rarely.
        let ways = [
            (7, true),
            (2, true),
            (8, model.carts.values().filter(open).count() < 6),
            (20, model.carts.values().any(|cart| open(&cart))),
            (16, model.carts.values().any(is_ready)),
            (26, !model.payments.is_empty()),
            (22, !model.orders.is_empty()),
        ];
        let weights: Vec<u32> = ways.iter().map(|(weight, fits)| if *fits { weight * 10 } else { 1 }).collect();
        let mut draw = self.rng.u32(..weights.iter().sum::<u32>());
        let way = weights.iter().position(|weight| {
            let chosen = draw < *weight;
            draw = draw.saturating_sub(*weight);
            chosen
        });
        match way {
            Some(0) => self.goods(),
            Some(1) => self.catalog(),
            Some(2) => Ask::NewCart { cart: self.id() },
            Some(3) => self.filling(),
            Some(4) => Ask::Checkout { cart: self.cart(ready), order: self.id(), payment: self.id() },
            Some(5) => self.paying(),
            _ => self.fulfilling(),
        }
    }

    fn goods(&mut self) -> Ask {
        let shelf = self.shelf();
        match self.rng.u32(..10) {
            0..=4 => Ask::Receive { shelf, quantity: self.quantity(8) },
            5 => {
                let hostile = self.rng.u32(..1000) < self.hostile;
                let delta = if hostile { [i64::MIN, i64::MAX, 0][self.rng.usize(..3)] } else { self.rng.i64(-4..=4) };
                Ask::Adjust { shelf, delta }
            }
            6 => Ask::Count { shelf, counted: self.rng.u32(..12) },
            7 => {
                let to = LOCATIONS[self.rng.usize(..2)].to_owned();
                Ask::Transfer { sku: shelf.0, from: shelf.1, to, quantity: self.quantity(4) }
            }
            _ => Ask::Policy { shelf, safety: self.rng.u32(..3), backorder: self.rng.u32(..4) },
        }
    }

    fn catalog(&mut self) -> Ask {
        if self.odds(8) {
            let model = self.model;
            return Ask::EndPromotion { promotion: self.pick(model.promotions.iter(), |promotion| !promotion.ended) };
        }
        let model = self.model;
        let product = self.pick(model.products.iter(), |product| product.on_sale);
        let variant = model.products.get(&product).map_or(product, |product| product.variant);
        Ask::Price { product, variant, minor: self.rng.i64(-20..2_000) }
    }

    fn filling(&mut self) -> Ask {
        if self.rng.bool() {
            let cart = self.cart(|open| open.lines.len() < 3);
            let count = self.rng.usize(1..=3);
            let mut lines = Vec::new();
            for _ in 0..count {
                let sku = if self.rng.u32(..1000) < self.hostile { "GONE".to_owned() } else { self.sku() };
                let change = match self.rng.u32(..8) {
                    0 => QuantityChange::Set(0),
                    1 | 2 => QuantityChange::Set(self.quantity(4)),
                    _ => QuantityChange::Add(self.quantity(3)),
                };
                lines.push((sku, change));
            }
            return Ask::Lines { cart, lines };
        }
        let cart = self.cart(|open| open.method.is_none());
        let method = ["standard", "standard", "pickup", "by-owl"][self.rng.usize(..4)].to_owned();
        let coupons = (0..self.rng.usize(..3)).map(|_| COUPONS[self.rng.usize(..COUPONS.len())].to_owned()).collect();
        let unknown = self.odds(20);
        Ask::Details {
            cart,
            email: !self.odds(10),
            address: !self.odds(10),
            method: (!self.odds(6)).then_some(method),
            coupons: self.odds(2).then_some(if unknown { vec!["NEVER".to_owned()] } else { coupons }),
        }
    }

    fn paying(&mut self) -> Ask {
        match self.rng.u32(..20) {
            0..=8 => {
                let waits = |payment: &Payment| payment.attempt != Attempt::Asked && payment.authorised() < payment.amount;
                let payment = self.payment(|payment| waits(payment) && !payment.expired);
                let tokens = ["card", "card", "card", "card", "card", "card", "decline", "action", "never", ""];
                let token = tokens[self.rng.usize(..tokens.len())].to_owned();
                Ask::Confirm { payment, token, capture: self.rng.u32(..3) > 0 }
            }
            9..=12 => {
                let payment = self.payment(|payment| payment.hold() > 0);
                let hold = self.model.payments.get(&payment).map_or(100, Payment::hold);
                Ask::Capture { payment, amount: self.amount(hold) }
            }
            13 => Ask::Void { payment: self.payment(|payment| payment.hold() > 0) },
            14..=17 => {
                let payment = self.payment(|payment| payment.captured > payment.refunded);
                let known = self.model.payments.get(&payment);
                let before = known.and_then(|known| known.refunds.keys().next().copied());
                let refundable = known.map_or(100, Payment::refundable);
                let refund = before.filter(|_| self.odds(6)).unwrap_or_else(|| self.id());
                Ask::Refund { payment, refund, amount: self.amount(refundable) }
            }
            18 => {
                let payment = self.payment(|payment| payment.disputed > 0);
                Ask::Report { payment, outcomes: vec![GatewayOutcome::DisputeClosed { won: self.rng.bool() }] }
            }
            _ => {
                let payment = self.payment(|payment| payment.refundable() > 0);
                let most = self.model.payments.get(&payment).map_or(1, Payment::refundable);
                let amount = euros(self.rng.i64(1..=most.max(1)));
                Ask::Report { payment, outcomes: vec![GatewayOutcome::Disputed { amount, reason: "never came".to_owned() }] }
            }
        }
    }

    fn fulfilling(&mut self) -> Ask {
        match self.rng.u32(..20) {
            0..=3 => Ask::Cancel { order: self.order(|order| !order.closed() && order.shipped.is_empty()), refund: self.id() },
            4..=6 => Ask::StartProcessing { order: self.order(|order| order.paid && !order.processing) },
            7..=12 => {
                let order = self.order(|order| order.paid && !order.closed() && !order.unshipped().is_empty());
                let left = self.model.orders.get(&order).map_or_else(Vec::new, Order::unshipped);
                let some = left.first().map(|(sku, _)| vec![(sku.clone(), self.quantity(2))]);
                Ask::Ship { order, parcel: self.id(), items: some.filter(|_| self.odds(3)) }
            }
            13..=15 => {
                let order = self.order(|order| order.parcels.values().any(|(_, arrived)| !arrived));
                let parcel = self.model.orders.get(&order).and_then(|order| order.parcels.keys().next().copied());
                Ask::Deliver { order, parcel: parcel.unwrap_or(order) }
            }
            16..=18 => {
                let order = self.order(|order| !order.shipped.is_empty());
                let sku = self.model.orders.get(&order).and_then(|order| order.shipped.keys().next().cloned());
                let items = vec![(sku.unwrap_or_else(|| self.sku()), self.quantity(2))];
                let place = LOCATIONS[self.rng.usize(..2)].to_owned();
                Ask::Return { order, id: self.id(), items, restock: self.rng.bool().then_some(place) }
            }
            _ => Ask::Note { order: self.order(|_| true), length: [0, 3, 2000, 2001][self.rng.usize(..4)] },
        }
    }
}
