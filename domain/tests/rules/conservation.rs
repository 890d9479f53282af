//! A shop in which anything happens in any order: what is set aside, used, paid and sent always adds up over all aggregates.

use domain::{
    CancelOrder, Decision, EndPromotion, ExpireOrder, FulfilOrder, GatewayOutcome, InTurn, Order, Payment, Promotion,
    RecordPayment, RecordRefund, RequestRefund, ReturnItems, SetCartDetails, Stock, StoreConfig,
};
use event_schemas::{
    CancelledBy, FulfilmentId, OrderId, PaymentId, PromotionCreated, PromotionEffect, PromotionId, RefundId, ReturnId,
    SkuQuantity,
};
use proptest::prelude::*;

use crate::shop::{Shop, coupon, eur, location, minutes, sku};

/// Something that someone does to one of the orders placed so far, or to the shop.
#[derive(Debug, Clone)]
enum Step {
    Buy { tea: u32, cups: u32, with_coupon: bool },
    Capture { order: usize, minor: i64 },
    Authorise { order: usize },
    Tell { order: usize },
    Cancel { order: usize },
    WaitAndExpire { order: usize },
    Ship { order: usize, units: u32 },
    Return { order: usize, units: u32 },
    Refund { order: usize, minor: i64 },
    Receive { units: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let order = || 0..6_usize;
    prop_oneof![
        4 => (1..6_u32, 0..3_u32, any::<bool>()).prop_map(|(tea, cups, with_coupon)| Step::Buy { tea, cups, with_coupon }),
        4 => (order(), prop_oneof![Just(100_000_i64), 1..2_000_i64]).prop_map(|(order, minor)| Step::Capture { order, minor }),
        1 => order().prop_map(|order| Step::Authorise { order }),
        3 => order().prop_map(|order| Step::Tell { order }),
        2 => order().prop_map(|order| Step::Cancel { order }),
        2 => order().prop_map(|order| Step::WaitAndExpire { order }),
        3 => (order(), 1..4_u32).prop_map(|(order, units)| Step::Ship { order, units }),
        1 => (order(), 1..4_u32).prop_map(|(order, units)| Step::Return { order, units }),
        1 => (order(), 1..2_000_i64).prop_map(|(order, minor)| Step::Refund { order, minor }),
        1 => (1..5_u32).prop_map(|units| Step::Receive { units }),
    ]
}

struct Story {
    shop: Shop,
    orders: Vec<(OrderId, PaymentId)>,
}

const PROMOTION: PromotionId = PromotionId(uuid::Uuid::from_u128(7));

impl Story {
    /// Two places, tea at both, and a coupon that three orders may use.
    fn begin() -> Self {
        let locations = vec![location("main"), location("outlet")];
        let mut shop = Shop::with(StoreConfig { locations, ..StoreConfig::default() });
        shop.sells("TEA", eur(450), 6);
        shop.receives("TEA@outlet", 4);
        shop.sells("CUP", eur(800), 5);
        let promotion = PromotionCreated {
            promotion_id: PROMOTION,
            name: "Spring".to_owned(),
            code: coupon("SPRING"),
            effect: PromotionEffect::PercentOff { ppm: 100_000 },
            starts_at: None,
            ends_at: None,
            usage_limit: Some(3),
        };
        shop.must(domain::CreatePromotion { promotion });
        Self { shop, orders: Vec::new() }
    }

    /// A refusal is an answer like any other: it changes nothing, and the books are checked after it all the same.
    fn tries(&mut self, decision: impl Decision) {
        let from = self.shop.happened.len();
        if self.shop.decide(decision).is_ok() {
            self.answers(from);
        }
    }

    /// The gateway answers what it is asked; what it says reaches the orders only with [`Step::Tell`].
    fn answers(&mut self, from: usize) {
        let mut index = from;
        while index < self.shop.happened.len() {
            self.shop.calls_gateway(index);
            index += 1;
        }
    }

    fn take(&mut self, step: Step) {
        let chosen = |order: usize| self.orders.get(order).copied();
        let refund_id = RefundId(self.shop.id());
        match step {
            Step::Buy { tea, cups, with_coupon } => self.buys(tea, cups, with_coupon),
            Step::Receive { units } => self.shop.receives("TEA@outlet", units),
            Step::Capture { order, minor } => {
                let Some((_, payment_id)) = chosen(order) else { return };
                let due = self.shop.get::<Payment>(payment_id).opened().unwrap().amount.minor;
                let (amount, gateway_reference) = (eur(minor.min(due)), self.shop.id().to_string());
                let outcome = GatewayOutcome::Captured { amount, gateway_reference };
                self.tries(domain::RecordGatewayOutcomes { payment_id, outcomes: vec![outcome] });
            }
            Step::Authorise { order } => {
                let Some((_, payment_id)) = chosen(order) else { return };
                self.tries(domain::ConfirmPayment { payment_id, token: "tok".to_owned(), capture: false, now: self.shop.now });
            }
            Step::Tell { order } => {
                let Some((_, payment_id)) = chosen(order) else { return };
                let told = RecordPayment { payment_id, refund_id, now: self.shop.now };
                self.tries(told);
                self.tries(RecordRefund { payment_id });
            }
            Step::Cancel { order } => {
                let Some((order_id, _)) = chosen(order) else { return };
                self.tries(CancelOrder { order_id, by: CancelledBy::Staff, reason: "test".to_owned(), refund_id });
            }
            Step::WaitAndExpire { order } => {
                let Some((order_id, _)) = chosen(order) else { return };
                self.shop.now += minutes(5);
                self.tries(ExpireOrder { order_id, refund_id, now: self.shop.now });
            }
            Step::Ship { order, units } => {
                let Some((order_id, _)) = chosen(order) else { return };
                let fulfilment_id = FulfilmentId(self.shop.id());
                let items = Some(vec![SkuQuantity { sku: sku("TEA"), quantity: units }]);
                self.tries(FulfilOrder { order_id, fulfilment_id, items, tracking: None });
            }
            Step::Return { order, units } => {
                let Some((order_id, _)) = chosen(order) else { return };
                let (return_id, items) = (ReturnId(self.shop.id()), vec![SkuQuantity { sku: sku("TEA"), quantity: units }]);
                let restock = Some(location("main"));
                self.tries(ReturnItems { order_id, return_id, items, reason: "test".to_owned(), restock });
            }
            Step::Refund { order, minor } => {
                let Some((_, payment_id)) = chosen(order) else { return };
                let (amount, reason) = (Some(eur(minor)), "test".to_owned());
                self.tries(RequestRefund { payment_id, refund_id, amount, reason });
            }
        }
    }

    fn buys(&mut self, tea: u32, cups: u32, with_coupon: bool) {
        let lines: Vec<_> = [("TEA", tea), ("CUP", cups)].into_iter().filter(|(_, units)| *units > 0).collect();
        let cart_id = self.shop.ready_cart("EUR", &lines);
        if with_coupon {
            let details = SetCartDetails { coupon_codes: Some(vec![coupon("SPRING")]), ..self.shop.details(cart_id) };
            if self.shop.decide(details).is_err() {
                return;
            }
        }
        let checkout = self.shop.checkout(cart_id);
        let ids = (checkout.order_id, checkout.payment_id);
        if self.shop.decide(checkout).is_ok() {
            self.orders.push(ids);
        }
    }

    /// What must be true of the whole shop after every step.
    fn must_add_up(&self) {
        let orders: Vec<_> = self.orders.iter().map(|(id, payment)| (*id, *payment, self.shop.get::<Order>(id))).collect();
        let placed: Vec<_> = orders.iter().map(|(id, payment, order)| (*id, *payment, order.placed().unwrap())).collect();
        for name in ["TEA", "CUP"] {
            let stocks = ["main", "outlet"].map(|place| self.shop.get::<Stock>(format!("{name}@{place}")));
            let open = placed.iter().filter(|(_, _, order)| !order.facts.is_closed());
            let owed: u64 = open.map(|(_, _, order)| u64::from(order.facts.unshipped(&sku(name)))).sum();
            assert_eq!(stocks.iter().map(Stock::held).sum::<u64>(), owed, "{name} set aside, and owed to open orders");
            assert!(stocks.iter().all(|stock| i128::from(stock.held()) <= i128::from(stock.on_hand())));
        }
        let uses = placed.iter().filter(|(_, _, order)| !order.facts.is_closed() && !order.promotions.is_empty()).count();
        let left = 3 - uses;
        let promotion = self.shop.get::<Promotion>(PROMOTION);
        assert_eq!(promotion.effect_at(self.shop.now, crate::shop::currency("EUR")).is_ok(), left > 0, "{uses} uses");
        for (_, payment_id, order) in placed {
            let payment = self.shop.get::<Payment>(payment_id);
            let payment = payment.opened().unwrap();
            assert!(order.received_from(payment_id) <= payment.captured_minor());
            assert!(order.refunded_to(payment_id) <= payment.refunded_minor());
            assert!(order.facts.shipped.is_empty() || order.facts.is_paid());
        }
    }

    /// After everyone was told everything: no money is kept for an order that is closed, and no order is paid without money.
    fn must_be_settled(&mut self) {
        for (order_id, payment_id) in self.orders.clone() {
            for _ in 0..2 {
                self.take(Step::Tell { order: self.orders.iter().position(|(id, _)| *id == order_id).unwrap() });
            }
            let order = self.shop.get::<Order>(order_id);
            let payment = self.shop.get::<Payment>(payment_id);
            let (facts, payment) = (&order.placed().unwrap().facts, payment.opened().unwrap());
            assert_eq!(facts.received_minor, payment.captured_minor());
            assert_eq!(facts.refunded_minor, payment.refunded_minor());
            assert!(!facts.is_closed() || payment.refundable_minor() == 0, "money is kept for a closed order");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_in_whatever_order_stock_coupons_and_money_add_up(steps in prop::collection::vec(step(), 0..40)) {
        let mut story = Story::begin();
        for step in steps {
            story.take(step);
            story.must_add_up();
        }
        story.must_be_settled();
        story.must_add_up();
    }
}

#[test]
fn two_decisions_in_turn_happen_together_or_not_at_all() {
    let mut story = Story::begin();
    let end = || EndPromotion { promotion_id: PROMOTION };
    let twice = InTurn { first: end(), second: Some(end()) };
    assert_eq!(story.shop.refusal(twice).code(), "PROMOTION_ENDED");
    let alone = InTurn { first: end(), second: None::<EndPromotion> };
    assert_eq!(story.shop.must(alone).len(), 2);
}
