//! Failures at every step of appending, publishing, projecting and taking snapshots: what was acknowledged is there, once, everything
//! else comes to the same end as without the failure, and the views are those of a rebuild.
//!
//! `steps.rs` kills a process on SQLite before each system call that changes a file; `postgres.rs` refuses statements, ends sessions
//! and cuts connections at named steps.

mod postgres;
mod steps;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    CartLineChange, Checkout, ConfirmPayment, CreateCart, CreateProduct, DeadlineProcess, Decision, GatewayProcess, NewPrice,
    NewVariant, OrderProcess, Process, PublishProduct, QuantityChange, ReceiveStock, SetCartDetails, SetCartLines, StoreConfig,
};
use engine::{CommandError, Engine, Fault, Gateway, Limits, Processes, SandboxGateway, SystemClock, SystemIds};
use event_schemas::{
    CartId, CountryCode, Currency, Idempotency, LocationId, Metadata, Money, OrderId, PaymentId, PersonId, Personal, Position,
    ProductCreated, ProductId, Recorded, Sku, Slug, StockId, VariantId,
};
use event_store::Log;
use projections::{ALL, Runner, Views};
use uuid::Uuid;

/// How long anything may take to come to its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A shop in this process: all that writes and reads, over a log and a store of views.
struct Shop {
    log: Arc<dyn Log>,
    views: Views,
    engine: Engine,
    processes: Processes,
    runner: Runner,
}

/// Makes a decision; a command that is asked again makes it again.
type Decide = Box<dyn Fn() -> Box<dyn Decision>>;

fn command<D: Decision + Clone + 'static>(decision: D) -> Decide {
    Box::new(move || Box::new(decision.clone()))
}

impl Shop {
    async fn open(log: &str, views: &str) -> Self {
        let log = event_store::open(log).await.unwrap();
        let limits = Limits { snapshot_every: 3, ..Limits::default() };
        let engine = Engine::start(log.clone(), Arc::new(SystemClock), Arc::new(SystemIds), limits).await.unwrap();
        let views = Views::open(views).unwrap();
        let runner = Runner::start(log.clone(), views.clone(), ALL).await.unwrap();
        let all: Vec<Box<dyn Process>> = vec![Box::new(GatewayProcess), Box::new(OrderProcess), Box::new(DeadlineProcess)];
        let gateways: [Arc<dyn Gateway>; 1] = [Arc::new(SandboxGateway)];
        let processes = Processes::start(log.clone(), engine.clone(), all, &gateways);
        Self { log, views, engine, processes, runner }
    }

    /// Stocks a SKU and sells two units of it, and waits until all that follows has been done and is in the views. Every command
    /// is asked again under its key until it is answered, and then told with its position.
    async fn work(&self, run: u64, mut told: impl FnMut(&str, Position)) {
        for (number, decide) in purchase(run).iter().enumerate() {
            let key = format!("test|work|{run}-{number}");
            let position = self.carry_out(decide, &key).await;
            told(&key, position);
        }
        let begun = Instant::now();
        loop {
            let head = self.head().await;
            assert!(self.processes.wait_for(head, PATIENCE).await, "the processes do not come to {head}");
            if self.head().await == head {
                return self.views.wait_for(head, PATIENCE).await.map(drop).unwrap();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not come to an end");
        }
    }

    async fn head(&self) -> Position {
        let begun = Instant::now();
        loop {
            match self.log.head().await {
                Ok(head) => return head.position,
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn carry_out(&self, decide: &Decide, key: &str) -> Position {
        let begun = Instant::now();
        loop {
            let idempotency = Some(Idempotency { scope: key.to_owned(), fingerprint: key.replace('|', " ") });
            let (actor, command_id) = ("test".to_owned(), Uuid::now_v7());
            let metadata = Metadata { actor, command_id, correlation_id: None, causation_id: None, trace_id: None, idempotency };
            match self.engine.submit_boxed(decide(), metadata).await {
                Ok(outcome) => return outcome.position,
                Err(CommandError::Fault(Fault::NotWritten(_) | Fault::NotRead(_) | Fault::OutcomeUnknown(_))) => {}
                Err(error) => panic!("{key}: {error}"),
            }
            assert!(begun.elapsed() < PATIENCE, "{key} is not answered");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn close(self) {
        self.processes.stop().await;
        self.engine.drain().await;
        self.runner.stop().await;
    }
}

/// The commands of a purchase, with ids of its run. What was received comes in parts, so that there is a snapshot to take.
fn purchase(run: u64) -> Vec<Decide> {
    let id = |number: u128| Uuid::from_u128((u128::from(run) << 64) | 0x7000_8000_0000_0000_0000 | number);
    let (product_id, cart_id) = (ProductId(id(1)), CartId(id(2)));
    let (order_id, payment_id) = (OrderId(id(3)), PaymentId(id(4)));
    let (sku, currency) = (Sku::new(format!("TEA-{run}")).unwrap(), Currency::new("EUR").unwrap());
    let (now, config) = (chrono::Utc::now(), Arc::new(StoreConfig::default()));
    let product = ProductCreated {
        product_id,
        title: "Assam".to_owned(),
        slug: Slug::new(format!("assam-{run}")).unwrap(),
        description: String::new(),
        category_ids: vec![],
        attributes: BTreeMap::new(),
        tax_category: "standard".to_owned(),
    };
    let variant = NewVariant {
        variant_id: VariantId(id(5)),
        sku: sku.clone(),
        name: String::new(),
        options: BTreeMap::new(),
        weight_grams: 110,
        prices: vec![NewPrice { price: Money::new(450, currency), valid_from: None, valid_until: None }],
    };
    let stock = StockId { sku: sku.clone(), location: LocationId::new("main").unwrap() };
    let mut commands = vec![command(CreateProduct { product, variants: vec![variant] }), command(PublishProduct { product_id })];
    commands.extend((0..4).map(|_| command(ReceiveStock { stock: stock.clone(), quantity: 1, reference: None })));
    commands.push(command(CreateCart { cart_id, currency, customer_id: None, now, config: config.clone() }));
    let lines = vec![CartLineChange { sku, quantity: QuantityChange::Add(2) }];
    commands.push(command(SetCartLines { cart_id, lines, now, config: config.clone() }));
    commands.push(command(SetCartDetails {
        cart_id,
        email: Some(Personal::sealed(PersonId(Uuid::nil()), &[7; 60])),
        shipping_address: Some(Personal::sealed(PersonId(Uuid::nil()), &[7; 200])),
        billing_address: None,
        country: Some(CountryCode::new("DE").unwrap()),
        shipping_method: Some("standard".to_owned()),
        coupon_codes: None,
        now,
        config: config.clone(),
    }));
    commands.push(command(Checkout { cart_id, order_id, number: order_id.number(), payment_id, now, config }));
    commands.push(command(ConfirmPayment { payment_id, token: "sandbox_card".to_owned(), capture: true, now }));
    commands
}

/// What happened, stream by stream, whatever their ids: the kinds of streams, and the types of events that each has.
fn shape(events: &[Recorded]) -> BTreeSet<Vec<String>> {
    let mut streams: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let types = streams.entry(event.event.stream.to_string()).or_default();
        types.push(event.event.event_type.to_string());
    }
    streams.into_values().collect()
}

/// Every acknowledged command is in the log, once, and no further on than was told.
fn all_are_there(acknowledged: &BTreeMap<String, Position>, events: &[Recorded]) {
    let scopes: Vec<_> =
        events.iter().filter_map(|event| Some((event.event.idempotency_scope.as_deref()?, event.position))).collect();
    for (key, position) in acknowledged {
        let found: Vec<Position> = scopes.iter().filter(|(scope, _)| scope == key).map(|(_, position)| *position).collect();
        assert!(found.len() == 1 && found[0] <= *position, "{key} was acknowledged at {position}, and is at {found:?}");
    }
}
