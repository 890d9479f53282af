//! A small shop's log, written through the log's own door: fixtures are named facts.

use std::{collections::BTreeMap, path::Path};

use event_schemas::{
    AccountId, AdjustmentEvent, AdjustmentId, AdjustmentReason, AdminAdded, AdminRemoved, CommerceEvent, CreditNoteIssued,
    CreditNoteLine, Currency, LocationId, Metadata, Money, OrderCharge, OrderId, OrderLine, OrderPaymentReceived, OrderPlaced,
    OrderTotals, PaymentAuthorised, PaymentCaptured, PaymentEvent, PaymentId, PaymentOpened, PaymentRefunded, PricingBasis,
    ProductId, Proposed, RefundId, ReleaseReason, ReservationCommitted, ReservationReleased, RosterEvent, RoundingLevel,
    SalesChannel, Sku, StockAdjusted, StockCounted, StockEvent, StockPolicySet, StockReceived, StockReserved, StockShipped,
    StreamId, Timestamp, VariantId,
};
use event_store::{Log, OpenOptions, SqliteLog};
use uuid::Uuid;

/// Ids are numbers that read well in a failing test.
pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub fn order_stream(order: u128) -> StreamId {
    StreamId::new("order", id(order))
}

pub fn payment_stream(order: u128) -> StreamId {
    StreamId::new("payment", id(1_000_000 + order))
}

pub fn tea_stream() -> StreamId {
    StreamId::new("stock", "TEA-100@main")
}

pub fn tea() -> Sku {
    Sku::new("TEA-100").unwrap()
}

pub fn main_location() -> LocationId {
    LocationId::new("main").unwrap()
}

pub fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::new("EUR").unwrap())
}

pub fn received(quantity: u32) -> CommerceEvent {
    let reference = Some("PO-17".to_owned());
    StockEvent::from(StockReceived { sku: tea(), location: main_location(), quantity, reference }).into()
}

pub fn lost(units: i64) -> CommerceEvent {
    let (reason, note) = (AdjustmentReason::Lost, None);
    StockEvent::from(StockAdjusted { sku: tea(), location: main_location(), delta: -units, reason, note }).into()
}

pub fn counted(counted: u32) -> CommerceEvent {
    StockEvent::from(StockCounted { sku: tea(), location: main_location(), counted, expected: 50 }).into()
}

pub fn backorder_limit(backorder_limit: u32) -> CommerceEvent {
    let (sku, location) = (tea(), main_location());
    StockEvent::from(StockPolicySet { sku, location, safety_stock: 0, backorder_limit, low_stock_threshold: 0 }).into()
}

pub fn released(order: u128, quantity: u32) -> CommerceEvent {
    let reason = ReleaseReason::Cancelled;
    StockEvent::from(ReservationReleased { order_id: OrderId(id(order)), quantity, reason }).into()
}

pub fn reserved(order: u128, quantity: u32) -> CommerceEvent {
    StockEvent::from(StockReserved { order_id: OrderId(id(order)), quantity, expires_at: None }).into()
}

pub fn committed(order: u128) -> CommerceEvent {
    StockEvent::from(ReservationCommitted { order_id: OrderId(id(order)) }).into()
}

pub fn shipped(order: u128, quantity: u32) -> CommerceEvent {
    StockEvent::from(StockShipped { order_id: OrderId(id(order)), quantity }).into()
}

/// Two packets of tea at 4.50 each with 20 % tax within, and 3.00 shipping.
pub fn placed(order: u128) -> OrderPlaced {
    OrderPlaced {
        order_id: OrderId(id(order)),
        number: format!("{order}"),
        channel: SalesChannel::Storefront,
        cart_id: None,
        payment_id: Some(PaymentId(id(1_000_000 + order))),
        customer_id: None,
        email: None,
        shipping_address: None,
        billing_address: None,
        country: None,
        currency: eur(0).currency,
        lines: vec![OrderLine {
            product_id: ProductId(id(1)),
            variant_id: VariantId(id(2)),
            sku: tea(),
            title: "Green tea 100 g".to_owned(),
            category_id: None,
            quantity: 2,
            unit_price_minor: 450,
            discount_minor: 0,
            tax_rate_ppm: 200_000,
            net_minor: 750,
            tax_minor: 150,
            gross_minor: 900,
            seller: None,
            allocations: Vec::new(),
        }],
        charges: vec![OrderCharge {
            kind: event_schemas::ChargeKind::Shipping,
            code: "standard".to_owned(),
            description: "Standard shipping".to_owned(),
            tax_rate_ppm: 200_000,
            net_minor: 250,
            tax_minor: 50,
            gross_minor: 300,
        }],
        discounts: Vec::new(),
        totals: OrderTotals {
            subtotal_minor: 900,
            discount_minor: 0,
            shipping_minor: 300,
            net_minor: 1000,
            tax_minor: 200,
            gross_minor: 1200,
        },
        pricing: PricingBasis { prices_include_tax: true, rounding: RoundingLevel::Line },
        pay_by: None,
    }
}

pub fn order(event: impl Into<event_schemas::OrderEvent>) -> CommerceEvent {
    event.into().into()
}

pub fn paid(order: u128) -> CommerceEvent {
    self::order(OrderPaymentReceived { payment_id: PaymentId(id(1_000_000 + order)), amount: eur(1200) })
}

pub fn opened(order: u128) -> CommerceEvent {
    let (payment_id, order_id) = (PaymentId(id(1_000_000 + order)), OrderId(id(order)));
    let gateway = "sandbox".to_owned();
    PaymentEvent::from(PaymentOpened { payment_id, order_id, amount: eur(1200), gateway, method: None }).into()
}

pub fn authorised(amount: Money) -> CommerceEvent {
    let gateway_reference = "auth-1".to_owned();
    PaymentEvent::from(PaymentAuthorised { amount, gateway_reference, expires_at: None }).into()
}

pub fn captured(amount: Money) -> CommerceEvent {
    PaymentEvent::from(PaymentCaptured { amount, gateway_reference: "capture-1".to_owned() }).into()
}

pub fn refunded(amount: Money) -> CommerceEvent {
    let (refund_id, gateway_reference) = (RefundId(id(9)), "refund-1".to_owned());
    PaymentEvent::from(PaymentRefunded { refund_id, amount, gateway_reference }).into()
}

/// A credit note over one line of 3.00, and the total that it claims.
pub fn credit_note(note: u128, total_minor: i64) -> (StreamId, CommerceEvent) {
    let line = CreditNoteLine { sku: None, description: "goodwill".to_owned(), quantity: 0, amount_minor: 300 };
    let issued = CreditNoteIssued {
        adjustment_id: AdjustmentId(id(note)),
        number: format!("C{note}"),
        customer_id: None,
        country: None,
        lines: vec![line],
        total: eur(total_minor),
    };
    (StreamId::new("adjustment", id(note)), AdjustmentEvent::from(issued).into())
}

/// An account joins or leaves the administrators.
pub fn admin(account: u128, joins: bool) -> (StreamId, CommerceEvent) {
    let account_id = AccountId(id(account));
    let event: RosterEvent = if joins { AdminAdded { account_id }.into() } else { AdminRemoved { account_id }.into() };
    (StreamId::new("roster", "admins"), event.into())
}

/// Writes commands to a log, one second apart from 2026-01-01T00:00:01Z on.
pub struct Pen {
    proposed: Vec<Proposed>,
    sequences: BTreeMap<StreamId, u64>,
    commands: u128,
}

impl Pen {
    pub fn new() -> Self {
        Self { proposed: Vec::new(), sequences: BTreeMap::new(), commands: 0 }
    }

    /// One command by an actor, with the events it decided.
    pub fn command(&mut self, actor: &str, events: Vec<(StreamId, CommerceEvent)>) -> &mut Self {
        self.commands += 1;
        let at = Timestamp::from_timestamp(1_767_225_600 + i64::try_from(self.commands).unwrap(), 0).unwrap();
        let metadata = Metadata {
            actor: actor.to_owned(),
            command_id: id(5_000_000 + self.commands),
            correlation_id: None,
            causation_id: None,
            trace_id: None,
            idempotency: None,
        };
        for (stream, event) in events {
            let sequence = self.sequences.entry(stream.clone()).or_default();
            *sequence += 1;
            self.proposed.push(Proposed {
                event_id: id(7_000_000 + self.proposed.len() as u128),
                stream,
                sequence: *sequence,
                event_type: event.event_type().into(),
                event_version: event.version(),
                payload: event.payload().unwrap(),
                metadata: serde_json::to_string(&metadata).unwrap(),
                recorded_at: at,
                occurred_at: at,
                idempotency_scope: None,
            });
        }
        self
    }

    /// The last event written, to change before it is stored.
    pub fn last(&mut self) -> &mut Proposed {
        self.proposed.last_mut().unwrap()
    }

    /// An order of two packets of tea: placed, paid and shipped; ten events in four commands.
    pub fn order(&mut self, order: u128) -> &mut Self {
        let (stream, payment, stock) = (order_stream(order), payment_stream(order), tea_stream());
        self.command(
            "shopper",
            vec![
                (stock.clone(), reserved(order, 2)),
                (stream.clone(), self::order(placed(order))),
                (payment.clone(), opened(order)),
            ],
        );
        self.command("process:orders", vec![(payment.clone(), authorised(eur(1200))), (payment, captured(eur(1200)))]);
        self.command("process:orders", vec![(stream, paid(order)), (stock.clone(), committed(order))]);
        self.command("merchant:ana", vec![(stock, shipped(order, 2))])
    }

    pub fn events(&self) -> &[Proposed] {
        &self.proposed
    }

    /// Writes what was said to a new log file, as its URL, and closes it.
    pub async fn write(&self, folder: &Path) -> String {
        let path = folder.join("events.db");
        let log = SqliteLog::open(&path, OpenOptions::default()).unwrap();
        log.append(0, self.proposed.clone()).await.unwrap();
        format!("sqlite:{}", path.display())
    }
}

/// Fifty packets of tea came in, and three orders were placed, paid and shipped: 25 events.
pub fn three_orders() -> Pen {
    let mut pen = Pen::new();
    pen.command("merchant:ana", vec![(tea_stream(), received(50))]);
    for order in 1..=3 {
        pen.order(order);
    }
    pen
}
