//! A shop in memory: states by stream, decisions run until nothing is missing, and named facts to begin with.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use chrono::TimeDelta;
use domain::{
    AggregateRoot, CartLineChange, Change, Checkout, ConfirmPayment, CreateCart, CreateProduct, DeadlineProcess, Decision,
    GatewayAction, GatewayOutcome, GatewayProcess, Happened, NewPrice, NewVariant, OrderProcess, Process, PublishProduct,
    QuantityChange, ReceiveStock, RecordGatewayOutcomes, Refusal, SetCartDetails, SetCartLines, State, States, StoreConfig,
    World,
};
use event_schemas::{
    CartId, CommerceEvent, CountryCode, CouponCode, Currency, LocationId, Money, OrderId, OrderPlaced, PaymentId, PersonId,
    Personal, ProductCreated, ProductId, Sequence, Sku, Slug, StockId, StreamId, Timestamp, VariantId,
};
use uuid::Uuid;

/// The morning on which all stories begin.
pub fn morning() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

pub fn minutes(count: i64) -> TimeDelta {
    TimeDelta::minutes(count)
}

pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub fn sku(text: &str) -> Sku {
    Sku::new(text).unwrap()
}

pub fn currency(code: &str) -> Currency {
    Currency::new(code).unwrap()
}

pub fn eur(minor: i64) -> Money {
    Money::new(minor, currency("EUR"))
}

pub fn location(name: &str) -> LocationId {
    LocationId::new(name).unwrap()
}

pub fn stock_id(text: &str) -> StockId {
    text.parse().unwrap()
}

pub fn coupon(code: &str) -> CouponCode {
    CouponCode::new(code).unwrap()
}

/// Something that was sealed; the rules cannot tell what.
pub fn sealed<T>() -> Personal<T> {
    Personal::sealed(PersonId(Uuid::from_u128(1)), &[7; 60])
}

pub fn country(code: &str) -> Option<CountryCode> {
    Some(CountryCode::new(code).unwrap())
}

/// Everything that happened in a shop, and how it stands.
#[derive(Clone)]
pub struct Shop {
    states: BTreeMap<StreamId, State>,
    pub happened: Vec<Change>,
    pub config: Arc<StoreConfig>,
    pub now: Timestamp,
    next_id: u128,
}

impl States for Shop {
    fn state(&self, stream: &StreamId) -> Option<&State> {
        self.states.get(stream)
    }

    fn version(&self, stream: &StreamId) -> Option<Sequence> {
        self.states.get(stream)?;
        Some(self.happened.iter().filter(|change| change.stream == *stream).count() as Sequence)
    }
}

impl Shop {
    pub fn new() -> Self {
        Self::with(StoreConfig::default())
    }

    pub fn with(config: StoreConfig) -> Self {
        let (states, happened) = (BTreeMap::new(), Vec::new());
        Self { states, happened, config: Arc::new(config), now: morning(), next_id: 1_000 }
    }

    pub fn id(&mut self) -> Uuid {
        self.next_id += 1;
        id(self.next_id)
    }

    /// Runs a decision until nothing that it reads is missing, and lets what it decides happen.
    pub fn decide(&mut self, decision: impl Decision) -> Result<Vec<Change>, Refusal> {
        for _ in 0..50 {
            let world = World::new(self);
            let result = decision.decide(&world);
            let missing = world.into_missing();
            if missing.is_empty() {
                let changes = result?;
                self.happen(&changes);
                return Ok(changes);
            }
            for stream in missing {
                let absent = State::absent(&stream.aggregate_type).unwrap();
                self.states.insert(stream, absent);
            }
        }
        panic!("{decision:?} never has enough");
    }

    /// What is, as far as it takes to answer.
    pub fn look<T>(&mut self, ask: impl Fn(&World<'_>) -> T) -> T {
        for _ in 0..50 {
            let world = World::new(self);
            let answer = ask(&world);
            let missing = world.into_missing();
            if missing.is_empty() {
                return answer;
            }
            for stream in missing {
                let absent = State::absent(&stream.aggregate_type).unwrap();
                self.states.insert(stream, absent);
            }
        }
        panic!("this never has enough");
    }

    fn happen(&mut self, changes: &[Change]) {
        for change in changes {
            let absent = || State::absent(&change.stream.aggregate_type).unwrap();
            self.states.entry(change.stream.clone()).or_insert_with(absent).evolve(&change.event);
            self.happened.push(change.clone());
        }
    }

    /// Runs a decision that must succeed.
    pub fn must(&mut self, decision: impl Decision) -> Vec<Change> {
        self.decide(decision).unwrap_or_else(|refusal| panic!("refused: {refusal}"))
    }

    /// Why a decision is refused, which it must be.
    pub fn refusal(&mut self, decision: impl Decision) -> Refusal {
        let before = self.happened.len();
        let refusal = self.decide(decision).expect_err("this must be refused");
        assert_eq!(self.happened.len(), before, "a refusal changes nothing");
        assert!(Refusal::CODES.contains(&refusal.code()), "{} is not listed", refusal.code());
        refusal
    }

    pub fn get<A: AggregateRoot>(&self, id: impl std::fmt::Display) -> A {
        self.states.get(&StreamId::new(A::TYPE, id)).and_then(A::of).cloned().unwrap_or_default()
    }

    /// Puts a published product with one variant on sale, and units of it on the shelf.
    pub fn sells(&mut self, name: &str, price: Money, units: u32) -> (ProductId, VariantId) {
        let (product_id, variant_id) = (ProductId(self.id()), VariantId(self.id()));
        let product = ProductCreated {
            product_id,
            title: name.to_owned(),
            slug: Slug::new(name.to_lowercase()).unwrap(),
            description: String::new(),
            category_ids: vec![],
            attributes: BTreeMap::new(),
            tax_category: "standard".to_owned(),
        };
        let price = NewPrice { price, valid_from: None, valid_until: None };
        let variant = NewVariant {
            variant_id,
            sku: sku(name),
            name: String::new(),
            options: BTreeMap::new(),
            weight_grams: 100,
            prices: vec![price],
        };
        self.must(CreateProduct { product, variants: vec![variant] });
        self.must(PublishProduct { product_id });
        if units > 0 {
            self.receives(&format!("{name}@main"), units);
        }
        (product_id, variant_id)
    }

    pub fn receives(&mut self, stock: &str, quantity: u32) {
        self.must(ReceiveStock { stock: stock_id(stock), quantity, reference: None });
    }

    /// An empty cart in a currency.
    pub fn cart_in(&mut self, code: &str) -> CartId {
        let cart_id = CartId(self.id());
        let (currency, now, config) = (currency(code), self.now, self.config.clone());
        self.must(CreateCart { cart_id, currency, customer_id: None, now, config });
        cart_id
    }

    pub fn lines(&self, cart_id: CartId, lines: &[(&str, QuantityChange)]) -> SetCartLines {
        let lines = lines.iter().map(|(name, quantity)| CartLineChange { sku: sku(name), quantity: *quantity }).collect();
        SetCartLines { cart_id, lines, now: self.now, config: self.config.clone() }
    }

    pub fn details(&self, cart_id: CartId) -> SetCartDetails {
        SetCartDetails {
            cart_id,
            email: Some(sealed()),
            shipping_address: Some(sealed()),
            billing_address: None,
            country: country("DE"),
            shipping_method: Some("standard".to_owned()),
            coupon_codes: None,
            now: self.now,
            config: self.config.clone(),
        }
    }

    /// A cart with these lines that lacks nothing for checking out.
    pub fn ready_cart(&mut self, code: &str, lines: &[(&str, u32)]) -> CartId {
        let cart_id = self.cart_in(code);
        let lines: Vec<_> = lines.iter().map(|(name, quantity)| (*name, QuantityChange::Set(*quantity))).collect();
        self.must(self.lines(cart_id, &lines));
        self.must(self.details(cart_id));
        cart_id
    }

    pub fn checkout(&mut self, cart_id: CartId) -> Checkout {
        let (order_id, payment_id) = (OrderId(self.id()), PaymentId(self.id()));
        let number = format!("N-{}", self.next_id);
        Checkout { cart_id, order_id, number, payment_id, now: self.now, config: self.config.clone() }
    }

    /// Places an order for these lines in euros.
    pub fn places(&mut self, lines: &[(&str, u32)]) -> (OrderId, PaymentId) {
        let cart_id = self.ready_cart("EUR", lines);
        let checkout = self.checkout(cart_id);
        let ids = (checkout.order_id, checkout.payment_id);
        self.must(checkout);
        ids
    }

    /// Confirms a payment, and lets gateway and processes do their part.
    pub fn pays(&mut self, payment_id: PaymentId) {
        let from = self.happened.len();
        self.must(ConfirmPayment { payment_id, token: "tok_visa".to_owned(), capture: true, now: self.now });
        self.runs_processes(from);
    }

    /// What a gateway answers when all goes well, and everything that follows, beginning with the change at `from`.
    pub fn runs_processes(&mut self, from: usize) {
        let mut queue: VecDeque<usize> = (from..self.happened.len()).collect();
        while let Some(index) = queue.pop_front() {
            let before = self.happened.len();
            self.reacts_to(index);
            queue.extend(before..self.happened.len());
        }
    }

    fn reacts_to(&mut self, index: usize) {
        let change = self.happened[index].clone();
        let happened = as_happened(index, &change, self.now);
        let decisions = OrderProcess.react(&happened).decisions.into_iter().chain(DeadlineProcess.react(&happened).decisions);
        for decision in decisions {
            self.must(decision);
        }
        self.calls_gateway(index);
    }

    /// Asks the gateway what a change asks of it; all goes well.
    pub fn calls_gateway(&mut self, index: usize) {
        let change = self.happened[index].clone();
        let happened = as_happened(index, &change, self.now);
        let Some(call) = GatewayProcess.react(&happened).gateway_call else { return };
        let gateway_reference = call.idempotency_key.to_string();
        let outcome = match call.action {
            GatewayAction::Confirm { capture: true, amount, .. } | GatewayAction::Capture { amount } => {
                GatewayOutcome::Captured { amount, gateway_reference }
            }
            GatewayAction::Confirm { amount, .. } => GatewayOutcome::Authorised { amount, gateway_reference, expires_at: None },
            GatewayAction::Void => GatewayOutcome::Voided { gateway_reference },
            GatewayAction::Refund { refund_id, amount } => GatewayOutcome::Refunded { refund_id, amount, gateway_reference },
        };
        self.must(RecordGatewayOutcomes { payment_id: call.payment_id, outcomes: vec![outcome] });
    }

    /// What the gateway says about a payment, and everything that follows.
    pub fn hears(&mut self, payment_id: PaymentId, outcome: GatewayOutcome) {
        let from = self.happened.len();
        self.must(RecordGatewayOutcomes { payment_id, outcomes: vec![outcome] });
        self.runs_processes(from);
    }

    /// The types of what happened, from an index on.
    pub fn types_from(&self, from: usize) -> Vec<&'static str> {
        self.happened[from..].iter().map(|change| change.event.event_type()).collect()
    }

    /// The order as it was placed.
    pub fn placed(&self, order_id: OrderId) -> OrderPlaced {
        let placed = self.happened.iter().find_map(|change| match &change.event {
            CommerceEvent::Order(event_schemas::OrderEvent::OrderPlaced(placed)) if placed.order_id == order_id => {
                Some(placed.clone())
            }
            _ => None,
        });
        placed.unwrap()
    }
}

/// A change as a process sees it; its id follows from its place.
pub fn as_happened(index: usize, change: &Change, now: Timestamp) -> Happened<'_> {
    let position = index as u64 + 1;
    Happened {
        position,
        event_id: Uuid::from_u128(u128::from(position) << 64),
        recorded_at: now,
        stream: &change.stream,
        event: &change.event,
    }
}
