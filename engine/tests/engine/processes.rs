//! What follows from a purchase: the gateway's answer, the order's state, deadlines, retries and dead letters.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::{
    Cart, CartLineChange, Checkout, ConfirmPayment, CreateCart, CreateProduct, DeadlineProcess, GatewayAction, GatewayOutcome,
    GatewayProcess, GatewayRequest, Happened, NewPrice, NewVariant, Order, OrderProcess, Payment, Process, PublishProduct,
    QuantityChange, Reaction, ReceiveStock, SetCartDetails, SetCartLines, Stock, StoreConfig, stream_of,
};
use engine::{Clock as _, Engine, Gateway, GatewayError, Ids as _, Limits, ManualClock, Processes, SandboxGateway, SystemIds};
use event_schemas::{
    CartId, CountryCode, Currency, Money, OrderId, PaymentId, PersonId, Personal, ProductCreated, ProductId, Sku, Slug, StreamId,
    Timestamp, VariantId,
};
use event_store::{Bookkeeping, Log, MemoryLog, Progress};
use tokio::sync::Notify;

use crate::{
    faulty_log::FaultyLog,
    shop::{by, receive, tea},
};

struct Shop {
    log: Arc<MemoryLog>,
    clock: Arc<ManualClock>,
    engine: Engine,
    processes: Option<Processes>,
    config: Arc<StoreConfig>,
}

impl Shop {
    /// A shop with ten units of tea at 4.50 EUR.
    async fn open() -> Self {
        Self::open_with(Limits::default()).await
    }

    async fn open_with(limits: Limits) -> Self {
        let log = Arc::new(MemoryLog::new());
        let clock = Arc::new(ManualClock::new(Timestamp::from_timestamp(1_800_000_000, 0).unwrap()));
        let engine = Engine::start(log.clone(), clock.clone(), Arc::new(SystemIds), limits).await.unwrap();
        let mut shop = Self { log, clock, engine, processes: None, config: Arc::new(StoreConfig::default()) };
        shop.start_processes();
        let price = NewPrice { price: Money::new(450, eur()), valid_from: None, valid_until: None };
        let variant = NewVariant {
            variant_id: VariantId(SystemIds.next()),
            sku: tea().sku,
            name: "100 g".to_owned(),
            options: [].into(),
            weight_grams: 110,
            prices: vec![price],
        };
        let product_id = ProductId(SystemIds.next());
        let product = ProductCreated {
            product_id,
            title: "Assam".to_owned(),
            slug: Slug::new("assam").unwrap(),
            description: String::new(),
            category_ids: vec![],
            attributes: [].into(),
            tax_category: "standard".to_owned(),
        };
        shop.engine.submit(CreateProduct { product, variants: vec![variant] }, by("ana")).await.unwrap();
        shop.engine.submit(PublishProduct { product_id }, by("ana")).await.unwrap();
        shop.engine.submit(ReceiveStock { stock: tea(), quantity: 10, reference: None }, by("ana")).await.unwrap();
        shop
    }

    fn start_processes(&mut self) {
        let processes: Vec<Box<dyn Process>> = vec![Box::new(GatewayProcess), Box::new(OrderProcess), Box::new(DeadlineProcess)];
        let gateways: [Arc<dyn Gateway>; 1] = [Arc::new(SandboxGateway)];
        self.processes = Some(Processes::start(self.log.clone(), self.engine.clone(), processes, &gateways));
    }

    /// An order for two units of tea, confirmed with a token.
    async fn buy(&self, token: &str) -> (OrderId, PaymentId) {
        let (cart_id, now, config) = (CartId(SystemIds.next()), self.clock.now(), self.config.clone());
        let create = CreateCart { cart_id, currency: eur(), customer_id: None, now, config: config.clone() };
        self.engine.submit(create, by("shopper")).await.unwrap();
        let lines = vec![CartLineChange { sku: Sku::new("TEA").unwrap(), quantity: QuantityChange::Add(2) }];
        self.engine.submit(SetCartLines { cart_id, lines, now, config: config.clone() }, by("shopper")).await.unwrap();
        let details = SetCartDetails {
            cart_id,
            email: Some(sealed()),
            shipping_address: Some(sealed()),
            billing_address: None,
            country: Some(CountryCode::new("DE").unwrap()),
            shipping_method: Some("standard".to_owned()),
            coupon_codes: None,
            now,
            config: config.clone(),
        };
        self.engine.submit(details, by("shopper")).await.unwrap();
        let (order_id, payment_id) = (OrderId(SystemIds.next()), PaymentId(SystemIds.next()));
        let checkout = Checkout { cart_id, order_id, number: order_id.number(), payment_id, now, config };
        self.engine.submit(checkout, by("shopper")).await.unwrap();
        let confirm = ConfirmPayment { payment_id, token: token.to_owned(), capture: true, now };
        self.engine.submit(confirm, by("shopper")).await.unwrap();
        (order_id, payment_id)
    }

    async fn types(&self, stream: &StreamId) -> Vec<String> {
        let events = self.log.read_stream(stream, 0, 100).await.unwrap();
        events.into_iter().map(|recorded| recorded.event.event_type.into_owned()).collect()
    }

    /// Waits until the stream's last event is of this type.
    async fn until(&self, stream: StreamId, event_type: &str) {
        for _ in 0..3000 {
            if self.types(&stream).await.last().is_some_and(|last| last == event_type) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{stream} never came to {event_type}: {:?}", self.types(&stream).await);
    }

    /// Waits until every process has seen everything.
    async fn settle(&self) {
        loop {
            let head = self.log.head().await.unwrap().position;
            assert!(self.processes.as_ref().unwrap().wait_for(head, Duration::from_secs(60)).await);
            if self.log.head().await.unwrap().position == head {
                return;
            }
        }
    }
}

fn eur() -> Currency {
    Currency::new("EUR").unwrap()
}

/// Something that was sealed.
fn sealed<T>() -> Personal<T> {
    Personal::sealed(PersonId(uuid::Uuid::nil()), &[7; 60])
}

#[tokio::test]
async fn a_confirmed_payment_is_captured_and_pays_the_order_whose_stock_is_committed() {
    let shop = Shop::open().await;
    let (order, payment) = shop.buy("sandbox_card").await;
    shop.until(stream_of::<Order>(order), "OrderPaymentReceived").await;
    shop.settle().await;
    assert_eq!(shop.types(&stream_of::<Payment>(payment)).await.last().unwrap(), "PaymentCaptured");
    assert_eq!(shop.types(&stream_of::<Stock>(tea())).await, ["StockReceived", "StockReserved", "ReservationCommitted"]);
}

#[tokio::test]
async fn what_the_gateway_reports_twice_happens_once() {
    let shop = Shop::open().await;
    let (order, payment) = shop.buy("sandbox_twice").await;
    shop.until(stream_of::<Order>(order), "OrderPaymentReceived").await;
    shop.settle().await;
    let types = shop.types(&stream_of::<Payment>(payment)).await;
    assert_eq!(types.iter().filter(|kind| *kind == "PaymentCaptured").count(), 1, "{types:?}");
}

#[tokio::test]
async fn an_order_whose_payment_was_declined_expires_and_gives_its_stock_back() {
    let shop = Shop::open().await;
    let (order, payment) = shop.buy("sandbox_decline").await;
    shop.until(stream_of::<Payment>(payment), "PaymentDeclined").await;
    shop.settle().await;
    assert_eq!(shop.types(&stream_of::<Order>(order)).await, ["OrderPlaced"], "the buyer may try again");
    shop.clock.advance(TimeDelta::minutes(16));
    shop.until(stream_of::<Order>(order), "OrderExpired").await;
    shop.until(stream_of::<Stock>(tea()), "ReservationReleased").await;
    shop.until(stream_of::<Payment>(payment), "PaymentExpired").await;
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_is_asked_again_later() {
    let shop = Shop::open().await;
    let (order, _) = shop.buy("sandbox_timeout").await;
    shop.settle().await;
    assert_eq!(shop.types(&stream_of::<Order>(order)).await, ["OrderPlaced"]);
    let order = stream_of::<Order>(order);
    for _ in 0..60 {
        // Not as far as the order's own deadline.
        shop.clock.advance(TimeDelta::seconds(5));
        tokio::time::sleep(Duration::from_millis(700)).await;
        if shop.types(&order).await.len() > 1 {
            break;
        }
    }
    shop.until(order, "OrderPaymentReceived").await;
}

#[tokio::test]
async fn a_gateway_that_never_answers_ends_as_a_dead_letter_that_can_be_taken_up_again() {
    let shop = Shop::open().await;
    shop.buy("sandbox_never").await;
    shop.settle().await;
    for _ in 0..200 {
        if !shop.log.dead_letters().await.unwrap().is_empty() {
            break;
        }
        // Far enough for the longest back-off, not as far as the order's own deadline.
        shop.clock.advance(TimeDelta::seconds(80));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let letters = shop.log.dead_letters().await.unwrap();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert!(letter.process == GatewayProcess.name() && letter.attempts > 3, "{letter:?}");
    let processes = shop.processes.as_ref().unwrap();
    assert_eq!(processes.retry(&letter.process, &letter.key).await.unwrap(), Some(letter.clone()));
    assert_eq!(processes.retry(&letter.process, "no such letter").await.unwrap(), None);
    assert!(shop.log.dead_letters().await.unwrap().is_empty());
}

#[tokio::test]
async fn processes_that_lost_their_place_do_everything_again_and_change_nothing() {
    let mut shop = Shop::open().await;
    let (order, _) = shop.buy("sandbox_card").await;
    shop.until(stream_of::<Order>(order), "OrderPaymentReceived").await;
    shop.settle().await;
    shop.processes.take().unwrap().stop().await;
    let before = shop.log.read(0, 1000).await.unwrap();
    // The same events, without what the processes noted.
    shop.log = Arc::new(MemoryLog::new());
    shop.log.append(0, before.iter().map(|recorded| recorded.event.clone()).collect()).await.unwrap();
    shop.engine = Engine::start(shop.log.clone(), shop.clock.clone(), Arc::new(SystemIds), Limits::default()).await.unwrap();
    shop.start_processes();
    shop.settle().await;
    assert!(shop.log.read(0, 1000).await.unwrap() == before);
    assert!(shop.log.dead_letters().await.unwrap().is_empty());
}

#[tokio::test]
async fn more_deadlines_at_once_than_the_queue_holds_are_all_kept() {
    let shop = Shop::open_with(Limits { queue: 2, ..Limits::default() }).await;
    let mut carts = Vec::new();
    for _ in 0..8 {
        let (cart_id, now, config) = (CartId(SystemIds.next()), shop.clock.now(), shop.config.clone());
        let create = CreateCart { cart_id, currency: eur(), customer_id: None, now, config };
        shop.engine.submit(create, by("shopper")).await.unwrap();
        carts.push(cart_id);
    }
    shop.settle().await;
    shop.clock.advance(TimeDelta::hours(25));
    for cart_id in carts {
        shop.until(stream_of::<Cart>(cart_id), "CartExpired").await;
    }
}

/// Asks a gateway whatever happens.
struct Asking;

impl Process for Asking {
    fn name(&self) -> &'static str {
        "asking"
    }

    fn react(&self, event: &Happened<'_>) -> Reaction {
        let (gateway, payment_id, idempotency_key) = ("silent".to_owned(), PaymentId(event.event_id), event.event_id);
        let action = GatewayAction::Void;
        Reaction { gateway_call: Some(GatewayRequest { gateway, payment_id, idempotency_key, action }), ..Reaction::none() }
    }
}

/// Says that it was asked, and no more.
struct Silent(Arc<Notify>);

#[async_trait]
impl Gateway for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    async fn call(&self, _request: &GatewayRequest, _attempt: u32) -> Result<Vec<GatewayOutcome>, GatewayError> {
        self.0.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_process_holds_on_to_its_turn_while_a_gateway_does_not_answer() {
    let (log, asked) = (Arc::new(FaultyLog::new()), Arc::new(Notify::new()));
    let engine = crate::shop::engine(log.clone(), Limits::default()).await;
    let silent: Arc<dyn Gateway> = Arc::new(Silent(asked.clone()));
    let processes = Processes::start(log.clone(), engine.clone(), vec![Box::new(Asking)], &[silent]);
    receive(&engine, 1).await.unwrap();
    asked.notified().await;
    // The call is given up after two seconds; a turn lasts three, and is asked for again after one.
    let before = log.turns_asked();
    tokio::time::timeout(Duration::from_millis(1900), async {
        while log.turns_asked() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the turn is asked for again during the call");
    processes.stop().await;
}

#[tokio::test]
async fn a_node_that_waits_for_its_turn_looks_twice_a_second_unless_somebody_waits_for_the_process() {
    let log = Arc::new(FaultyLog::new());
    log.give_turns_to_others();
    let engine = crate::shop::engine(log.clone(), Limits::default()).await;
    let processes = Processes::start(log.clone(), engine.clone(), vec![Box::new(OrderProcess)], &[]);
    let (looked, begun) = (log.looks(), Instant::now());
    for _ in 0..200 {
        receive(&engine, 1).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (looked, most) = (log.looks() - looked, begun.elapsed().as_millis() / 500 + 2);
    assert!(looked as u128 <= most, "it looked {looked} times in {:?}", begun.elapsed());

    // The node whose turn it is has come so far.
    let place = Progress { process: "orders".to_owned(), checkpoint: Some(200), ..Progress::default() };
    log.save_progress(place).await.unwrap();
    assert!(processes.wait_for(200, Duration::from_secs(60)).await);
    processes.stop().await;
}
