//! Sixty days in the life of the demo shop, lived through the same decisions as any shop's.
//!
//! Everything happens at its own moment on a clock that is set by hand, one command after the other, over a log in memory;
//! so the same seed and the same day give the same shop, but for the keys of its customers.

use std::{collections::BTreeMap, sync::Arc};

use chrono::TimeDelta;
use domain::{
    CancelOrder, CartLineChange, Checkout, ConfirmPayment, CreateCart, DeadlineProcess, Decision, DeliverFulfilment, FulfilOrder,
    GatewayProcess, Happened, OrderProcess, Process, QuantityChange, ReceiveStock, RecordGatewayOutcomes, RequestRefund,
    ReturnItems, SetCartDetails, SetCartLines, StoreConfig,
};
use engine::{Clock as _, CommandError, Engine, Gateway as _, Ids as _, ManualClock, SandboxGateway, SeededIds};
use event_schemas::{
    CancelledBy, CartId, CommerceEvent, Currency, FulfilmentId, LocationId, Metadata, Money, OrderEvent, OrderId, PaymentId,
    Position, Recorded, RefundId, ReturnId, Sku, SkuQuantity, StockId, Timestamp,
};
use event_store::{Log, MemoryLog};
use vault::Persons;

use super::{DemoError, people::Market};

/// The seed that ids and chances follow from.
const SEED: u64 = 0xda7b_00c5;

/// Something that is going to happen in the shop.
pub(super) enum Plan {
    /// A shopper fills a cart; `bulk` times the usual quantities.
    Shop { bulk: u32 },
    /// A parcel is packed.
    Fulfil(OrderId),
    /// A parcel arrives.
    Deliver(OrderId, FulfilmentId),
    /// The buyer sends one unit back and gets the money.
    Return(OrderId, PaymentId, SkuQuantity, Money),
    /// The buyer changes their mind.
    Cancel(OrderId),
    /// Goods come in.
    Restock(Sku),
    /// A deadline that was set by the event at this position.
    Deadline(String, Position),
}

/// A line of the catalog that shoppers choose from.
pub(super) struct Offer {
    pub sku: Sku,
}

pub(super) struct History {
    pub log: Arc<MemoryLog>,
    persons: Persons,
    pub engine: Engine,
    pub clock: Arc<ManualClock>,
    pub ids: Arc<SeededIds>,
    pub random: fastrand::Rng,
    pub config: Arc<StoreConfig>,
    pub offers: Vec<Offer>,
    plans: BTreeMap<(Timestamp, u64), Plan>,
    planned: u64,
    deadlines: BTreeMap<String, (Timestamp, u64)>,
    seen: Position,
}

impl History {
    pub async fn begin(config: StoreConfig, opening: Timestamp, persons: Persons) -> Result<Self, DemoError> {
        let (log, clock, ids) = (Arc::new(MemoryLog::new()), Arc::new(ManualClock::new(opening)), Arc::new(SeededIds::new(SEED)));
        let engine = Engine::start(log.clone(), clock.clone(), ids.clone(), engine::Limits::default()).await?;
        Ok(Self {
            log,
            engine,
            clock,
            ids,
            persons,
            random: fastrand::Rng::with_seed(SEED),
            config: Arc::new(config),
            offers: Vec::new(),
            plans: BTreeMap::new(),
            planned: 0,
            deadlines: BTreeMap::new(),
            seen: 0,
        })
    }

    pub fn plan(&mut self, at: Timestamp, plan: Plan) {
        self.planned += 1;
        self.plans.insert((at, self.planned), plan);
    }

    fn plan_in(&mut self, delay: TimeDelta, plan: Plan) {
        self.plan(self.clock.now() + delay, plan);
    }

    /// Lives through everything that was planned before `end`, and what follows from it.
    pub async fn live_until(&mut self, end: Timestamp) -> Result<(), DemoError> {
        while let Some(((at, _), plan)) = self.plans.pop_first() {
            if at >= end {
                break;
            }
            self.clock.set(at);
            match plan {
                Plan::Shop { bulk } => self.shop(bulk).await?,
                Plan::Fulfil(order_id) => self.fulfil(order_id).await?,
                Plan::Deliver(order_id, fulfilment_id) => {
                    self.decide("fulfilment:demo", DeliverFulfilment { order_id, fulfilment_id }).await?;
                }
                Plan::Return(order_id, payment_id, item, amount) => self.give_back(order_id, payment_id, item, amount).await?,
                Plan::Cancel(order_id) => {
                    let (refund_id, reason) = (RefundId(self.ids.next()), "ordered by mistake".to_owned());
                    self.decide("support:demo", CancelOrder { order_id, by: CancelledBy::Customer, reason, refund_id }).await?;
                }
                Plan::Restock(sku) => self.restock(sku, 60).await?,
                Plan::Deadline(key, position) => self.deadline(&key, position).await?,
            }
        }
        self.clock.set(end);
        Ok(())
    }

    /// A shopper's visit, from the cart to the payment, or as far as they get.
    async fn shop(&mut self, bulk: u32) -> Result<(), DemoError> {
        let market = Market::any(&mut self.random);
        let person = market.person(&mut self.random)?;
        let currency = Currency::new(market.currency)?;
        let (cart_id, now, config) = (CartId(self.ids.next()), self.clock.now(), self.config.clone());
        self.decide("customer", CreateCart { cart_id, currency, customer_id: None, now, config: config.clone() }).await?;
        let lines = self.choose(bulk);
        self.decide("customer", SetCartLines { cart_id, lines, now, config: config.clone() }).await?;
        if self.random.u32(0..100) < 12 {
            return Ok(()); // An abandoned cart.
        }
        let whose = self.persons.somebody().await?;
        let details = SetCartDetails {
            cart_id,
            email: Some(self.persons.seal(whose, &person.email).await?),
            shipping_address: Some(self.persons.seal(whose, &person.address).await?),
            billing_address: None,
            country: Some(person.address.country),
            shipping_method: Some("standard".to_owned()),
            coupon_codes: None,
            now,
            config: config.clone(),
        };
        self.decide("customer", details).await?;
        let (order_id, payment_id) = (OrderId(self.ids.next()), PaymentId(self.ids.next()));
        let number = order_id.number();
        let placed = self.try_decide("customer", Checkout { cart_id, order_id, number, payment_id, now, config }).await?;
        if !placed {
            return Ok(()); // Somebody else took the last unit.
        }
        let token = if self.random.u32(0..100) < 3 { "sandbox_decline" } else { "sandbox_card" }.to_owned();
        let declined = token == "sandbox_decline";
        self.decide("customer", ConfirmPayment { payment_id, token, capture: true, now }).await?;
        if !declined {
            self.plan_rest(order_id, payment_id).await?;
        }
        Ok(())
    }

    fn choose(&mut self, bulk: u32) -> Vec<CartLineChange> {
        let mut lines = BTreeMap::new();
        for _ in 0..self.random.usize(1..=4) {
            // The square makes some products much more popular than others.
            let draw = self.random.f64();
            // The draw is below 1, so the index is within the list.
            let index = (draw * draw * self.offers.len() as f64) as usize;
            let quantity = self.random.u32(1..=3) * bulk;
            lines.insert(self.offers[index].sku.clone(), quantity);
        }
        lines.into_iter().map(|(sku, quantity)| CartLineChange { sku, quantity: QuantityChange::Add(quantity) }).collect()
    }

    /// What is going to happen to a paid order.
    async fn plan_rest(&mut self, order_id: OrderId, payment_id: PaymentId) -> Result<(), DemoError> {
        match self.random.u32(0..100) {
            0..3 => self.plan_in(TimeDelta::hours(2), Plan::Cancel(order_id)),
            3..8 => {
                self.plan_in(TimeDelta::hours(20), Plan::Fulfil(order_id));
                if let Some((item, amount)) = self.first_unit(order_id).await? {
                    self.plan_in(TimeDelta::days(9), Plan::Return(order_id, payment_id, item, amount));
                }
            }
            _ => self.plan_in(TimeDelta::hours(20), Plan::Fulfil(order_id)),
        }
        Ok(())
    }

    /// One unit of the first line of an order, with what was paid for it.
    async fn first_unit(&self, order_id: OrderId) -> Result<Option<(SkuQuantity, Money)>, DemoError> {
        let events = self.log.read_stream(&domain::stream_of::<domain::Order>(order_id), 0, 1).await?;
        let Some(recorded) = events.first() else { return Ok(None) };
        Ok(recorded.decode()?.into_iter().find_map(|event| match event {
            CommerceEvent::Order(OrderEvent::OrderPlaced(placed)) => placed.lines.into_iter().next().map(|line| {
                let amount = Money::new(line.gross_minor / i64::from(line.quantity), placed.currency);
                (SkuQuantity { sku: line.sku, quantity: 1 }, amount)
            }),
            _ => None,
        }))
    }

    async fn fulfil(&mut self, order_id: OrderId) -> Result<(), DemoError> {
        let fulfilment_id = FulfilmentId(self.ids.next());
        let tracking = Some(format!("DEMO{:010}", self.random.u32(..)));
        if self.try_decide("fulfilment:demo", FulfilOrder { order_id, fulfilment_id, items: None, tracking }).await? {
            self.plan_in(TimeDelta::hours(52), Plan::Deliver(order_id, fulfilment_id));
        }
        Ok(())
    }

    async fn give_back(
        &mut self,
        order_id: OrderId,
        payment_id: PaymentId,
        item: SkuQuantity,
        amount: Money,
    ) -> Result<(), DemoError> {
        let (return_id, refund_id) = (ReturnId(self.ids.next()), RefundId(self.ids.next()));
        let (restock, reason) = (self.config.locations.first().cloned(), "not as expected".to_owned());
        let items = vec![item];
        self.decide("support:demo", ReturnItems { order_id, return_id, items, reason: reason.clone(), restock }).await?;
        self.decide("support:demo", RequestRefund { payment_id, refund_id, amount: Some(amount), reason }).await
    }

    pub async fn restock(&mut self, sku: Sku, quantity: u32) -> Result<(), DemoError> {
        let stock = StockId { sku, location: LocationId::new("main")? };
        self.decide("merchant:demo", ReceiveStock { stock, quantity, reference: Some("demo delivery".to_owned()) }).await
    }

    /// Decides, and lets the processes answer. A refusal is an error.
    pub async fn decide(&mut self, actor: &str, decision: impl Decision) -> Result<(), DemoError> {
        self.engine.submit(decision, self.metadata(actor)).await?;
        self.react().await
    }

    /// Decides what may be refused: true if it was not.
    async fn try_decide(&mut self, actor: &str, decision: impl Decision) -> Result<bool, DemoError> {
        match self.engine.submit(decision, self.metadata(actor)).await {
            Ok(_) => self.react().await.map(|()| true),
            Err(CommandError::Refused(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn metadata(&self, actor: &str) -> Metadata {
        let (actor, command_id) = (actor.to_owned(), self.ids.next());
        Metadata { actor, command_id, correlation_id: None, causation_id: None, trace_id: None, idempotency: None }
    }

    /// Does what the shop's processes do, one step after the other.
    async fn react(&mut self) -> Result<(), DemoError> {
        loop {
            let page = self.log.read(self.seen, 100).await?;
            let Some(last) = page.last() else { return Ok(()) };
            self.seen = last.position;
            for recorded in &page {
                for event in recorded.decode()? {
                    self.react_to(recorded, &event).await?;
                }
            }
        }
    }

    async fn react_to(&mut self, recorded: &Recorded, event: &CommerceEvent) -> Result<(), DemoError> {
        let processes: [&dyn Process; 3] = [&GatewayProcess, &OrderProcess, &DeadlineProcess];
        for process in processes {
            let reaction = process.react(&happened(recorded, event));
            for key in reaction.settled {
                if let Some(place) = self.deadlines.remove(&key) {
                    self.plans.remove(&place);
                }
            }
            for deadline in reaction.deadlines {
                self.plan(deadline.due_at, Plan::Deadline(deadline.key.clone(), recorded.position));
                self.deadlines.insert(deadline.key, (deadline.due_at, self.planned));
            }
            let actor = format!("process:{}", process.name());
            for decision in reaction.decisions {
                self.engine.submit_boxed(decision, self.metadata(&actor)).await?;
            }
            if let Some(call) = reaction.gateway_call {
                let outcomes = SandboxGateway.call(&call, 0).await?;
                let record = RecordGatewayOutcomes { payment_id: call.payment_id, outcomes };
                self.engine.submit(record, self.metadata(&actor)).await?;
            }
        }
        Ok(())
    }

    async fn deadline(&mut self, key: &str, position: Position) -> Result<(), DemoError> {
        self.deadlines.remove(key);
        let now = self.clock.now();
        for recorded in self.log.read(position - 1, 1).await? {
            for event in recorded.decode()? {
                for decision in DeadlineProcess.on_due(&happened(&recorded, &event), now) {
                    match self.engine.submit_boxed(decision, self.metadata("process:deadlines")).await {
                        Ok(_) => {}
                        Err(CommandError::Refused(refusal)) => {
                            let Some(later) = refusal.not_before() else { return Err(CommandError::Refused(refusal).into()) };
                            self.plan(later, Plan::Deadline(key.to_owned(), position));
                            self.deadlines.insert(key.to_owned(), (later, self.planned));
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        self.react().await
    }
}

fn happened<'a>(recorded: &'a Recorded, event: &'a CommerceEvent) -> Happened<'a> {
    let proposed = &recorded.event;
    Happened {
        position: recorded.position,
        event_id: proposed.event_id,
        recorded_at: proposed.recorded_at,
        stream: &proposed.stream,
        event,
    }
}
