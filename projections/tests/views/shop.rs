//! A small shop that writes its own history: named events at named times, and a busy month of them.

use std::{collections::BTreeMap, sync::Arc};

use event_schemas::*;
use event_store::{Log, MemoryLog};
use uuid::Uuid;

pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub fn sku(text: &str) -> Sku {
    Sku::new(text).unwrap()
}

pub fn pounds(minor: i64) -> Money {
    Money::new(minor, Currency::new("GBP").unwrap())
}

/// Midday of a day of 2026, counted from 1 January, plus seconds.
pub fn day(day: i64, seconds: i64) -> Timestamp {
    let new_year: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    new_year + chrono::TimeDelta::days(day) + chrono::TimeDelta::seconds(seconds)
}

/// A history under construction.
#[derive(Default)]
pub struct History {
    pub events: Vec<Proposed>,
    sequences: BTreeMap<StreamId, Sequence>,
}

impl History {
    pub fn happens(&mut self, stream_id: impl std::fmt::Display, event: impl Into<CommerceEvent>, at: Timestamp) {
        let event = event.into();
        let stream = StreamId::new(event.aggregate_type(), stream_id);
        let sequence = self.sequences.entry(stream.clone()).or_default();
        *sequence += 1;
        self.events.push(Proposed {
            event_id: id(1_000_000 + self.events.len() as u128),
            stream,
            sequence: *sequence,
            event_type: event.event_type().into(),
            event_version: event.version(),
            payload: event.payload().unwrap(),
            metadata: format!(r#"{{"actor":"test","command_id":"{}"}}"#, Uuid::nil()),
            recorded_at: day(400, self.events.len() as i64),
            occurred_at: at,
            idempotency_scope: None,
        });
    }

    /// The history as the log would record it.
    pub fn recorded(&self) -> Vec<Recorded> {
        (1..).zip(&self.events).map(|(position, event)| Recorded::at(position, event.clone())).collect()
    }

    /// A log that holds the history.
    pub async fn log(&self) -> Arc<MemoryLog> {
        let log = Arc::new(MemoryLog::new());
        log.append(0, self.events.clone()).await.unwrap();
        log
    }
}

/// A product of a number with one variant `SKU-n` at a price, published, with 1,000 units in stock.
pub fn product(history: &mut History, number: u128, price_minor: i64) {
    let product_id = ProductId(id(100 + number));
    let variant_id = VariantId(id(500 + number));
    let created = ProductCreated {
        product_id,
        title: format!("Tea {number}"),
        slug: Slug::new(format!("tea-{number}")).unwrap(),
        description: "Leaves".to_owned(),
        category_ids: vec![CategoryId(id(50 + number % 3))],
        attributes: BTreeMap::from([("origin".to_owned(), AttributeValue::Text(format!("garden {}", number % 2)))]),
        tax_category: "standard".to_owned(),
    };
    history.happens(product_id, ProductEvent::from(created), day(0, 0));
    let added = VariantAdded {
        variant_id,
        sku: sku(&format!("SKU-{number}")),
        name: "100 g".to_owned(),
        options: BTreeMap::new(),
        weight_grams: 100,
    };
    history.happens(product_id, ProductEvent::from(added), day(0, 1));
    let price = VariantPriceSet { variant_id, price: pounds(price_minor), valid_from: None, valid_until: None };
    history.happens(product_id, ProductEvent::from(price), day(0, 2));
    history.happens(product_id, ProductEvent::from(ProductPublished {}), day(0, 3));
    let location = LocationId::new("main").unwrap();
    let received = StockReceived { sku: sku(&format!("SKU-{number}")), location, quantity: 1_000, reference: None };
    history.happens(format!("SKU-{number}@main"), StockEvent::from(received), day(0, 4));
}

/// An order line of a SKU number at 20 % tax, tax included.
pub fn line(number: u128, quantity: u32, unit_price_minor: i64) -> OrderLine {
    let gross_minor = unit_price_minor * i64::from(quantity);
    let tax_minor = tax_within_ppm(gross_minor, 200_000);
    OrderLine {
        product_id: ProductId(id(100 + number)),
        variant_id: VariantId(id(500 + number)),
        sku: sku(&format!("SKU-{number}")),
        title: format!("Tea {number}"),
        category_id: Some(CategoryId(id(50 + number % 3))),
        quantity,
        unit_price_minor,
        discount_minor: 0,
        tax_rate_ppm: 200_000,
        net_minor: gross_minor - tax_minor,
        tax_minor,
        gross_minor,
        seller: None,
        allocations: vec![],
    }
}

/// An order of these lines with 3.00 of untaxed shipping.
pub fn placed(number: u128, country: &str, lines: Vec<OrderLine>) -> OrderPlaced {
    let sum = |part: fn(&OrderLine) -> i64| lines.iter().map(part).sum::<i64>();
    let totals = OrderTotals {
        subtotal_minor: sum(|line| line.gross_minor),
        discount_minor: 0,
        shipping_minor: 300,
        net_minor: sum(|line| line.net_minor) + 300,
        tax_minor: sum(|line| line.tax_minor),
        gross_minor: sum(|line| line.gross_minor) + 300,
    };
    let shipping = OrderCharge {
        kind: ChargeKind::Shipping,
        code: "post".to_owned(),
        description: "Post".to_owned(),
        tax_rate_ppm: 0,
        net_minor: 300,
        tax_minor: 0,
        gross_minor: 300,
    };
    OrderPlaced {
        order_id: OrderId(id(10_000 + number)),
        number: format!("D-{number}"),
        channel: SalesChannel::Storefront,
        cart_id: None,
        customer_id: Some(CustomerId::new(format!("customer-{}", number % 7)).unwrap()),
        email: Some(Personal::sealed(PersonId(id(1)), &[7; 60])),
        shipping_address: None,
        billing_address: None,
        country: Some(CountryCode::new(country).unwrap()),
        currency: Currency::new("GBP").unwrap(),
        lines,
        charges: vec![shipping],
        discounts: vec![],
        totals,
        pricing: PricingBasis { prices_include_tax: true, rounding: RoundingLevel::Line },
        payment_id: Some(PaymentId(id(20_000 + number))),
        pay_by: Some(day(0, 900)),
    }
}

/// Places an order, sets its stock aside and opens its payment.
pub fn place(history: &mut History, order: &OrderPlaced, at: Timestamp) {
    let order_id = order.order_id;
    for line in &order.lines {
        let reserved = StockReserved { order_id, quantity: line.quantity, expires_at: order.pay_by };
        history.happens(format!("{}@main", line.sku), StockEvent::from(reserved), at);
    }
    history.happens(order_id, OrderEvent::from(order.clone()), at);
    let payment_id = order.payment_id.unwrap();
    let amount = pounds(order.totals.gross_minor);
    let opened = PaymentOpened { payment_id, order_id, amount, gateway: "sandbox".to_owned(), method: None };
    history.happens(payment_id, PaymentEvent::from(opened), at);
}

/// Takes the money of an order.
pub fn pay(history: &mut History, order: &OrderPlaced, at: Timestamp) {
    let (order_id, payment_id) = (order.order_id, order.payment_id.unwrap());
    let (amount, gateway_reference) = (pounds(order.totals.gross_minor), "ref".to_owned());
    let authorised = PaymentAuthorised { amount, gateway_reference: gateway_reference.clone(), expires_at: None };
    history.happens(payment_id, PaymentEvent::from(authorised), at);
    history.happens(payment_id, PaymentEvent::from(PaymentCaptured { amount, gateway_reference }), at);
    history.happens(order_id, OrderEvent::from(OrderPaymentReceived { payment_id, amount }), at);
    for line in &order.lines {
        let committed = ReservationCommitted { order_id };
        history.happens(format!("{}@main", line.sku), StockEvent::from(committed), at);
    }
}

/// Ships all of an order in one parcel.
pub fn ship(history: &mut History, order: &OrderPlaced, at: Timestamp) {
    let order_id = order.order_id;
    for line in &order.lines {
        let shipped = StockShipped { order_id, quantity: line.quantity };
        history.happens(format!("{}@main", line.sku), StockEvent::from(shipped), at);
    }
    let items = order.lines.iter().map(|line| SkuQuantity { sku: line.sku.clone(), quantity: line.quantity }).collect();
    let fulfilled = OrderFulfilled { fulfilment_id: FulfilmentId(id(1)), items, tracking: None };
    history.happens(order_id, OrderEvent::from(fulfilled), at);
}

/// Gives back a part of the money of an order.
pub fn refund(history: &mut History, order: &OrderPlaced, minor: i64, at: Timestamp) {
    let (order_id, payment_id) = (order.order_id, order.payment_id.unwrap());
    let refund_id = RefundId(id(30_000 + history.events.len() as u128));
    let refunded = PaymentRefunded { refund_id, amount: pounds(minor), gateway_reference: "ref".to_owned() };
    history.happens(payment_id, PaymentEvent::from(refunded), at);
    let refunded = OrderRefunded { payment_id, amount: pounds(minor) };
    history.happens(order_id, OrderEvent::from(refunded), at);
}

/// Calls an order off and gives its stock back.
pub fn cancel(history: &mut History, order: &OrderPlaced, at: Timestamp) {
    let order_id = order.order_id;
    for line in &order.lines {
        let reason = ReleaseReason::Cancelled;
        let released = ReservationReleased { order_id, quantity: line.quantity, reason };
        history.happens(format!("{}@main", line.sku), StockEvent::from(released), at);
    }
    let cancelled = OrderCancelled { by: CancelledBy::Customer, reason: "changed my mind".to_owned() };
    history.happens(order_id, OrderEvent::from(cancelled), at);
}

/// Some days of a shop with five products: orders that are paid, shipped, refunded, cancelled or left unpaid, and carts.
pub fn busy_days(days: i64) -> History {
    let mut history = History::default();
    for number in 0..5 {
        product(&mut history, number, 250 + 100 * number as i64);
    }
    let mut number = 0;
    for today in 1..=days {
        for hour in 0..(3 + today % 4) {
            number += 1;
            let at = day(today, hour * 3_600);
            let lines = (0..1 + number % 3).map(|n| line((number + n) % 5, 1 + (number % 2) as u32, 250)).collect();
            let order = placed(number, ["GB", "FR", "DE"][number as usize % 3], lines);
            visit(&mut history, number, at);
            place(&mut history, &order, at);
            match number % 6 {
                0 => cancel(&mut history, &order, at),
                1 => {}
                _ => {
                    pay(&mut history, &order, at);
                    ship(&mut history, &order, at);
                }
            }
            if number % 6 == 5 {
                refund(&mut history, &order, 199, at);
            }
        }
    }
    history
}

/// A cart with two lines, one of which is taken out again.
fn visit(history: &mut History, number: u128, at: Timestamp) {
    let cart_id = CartId(id(40_000 + number));
    let (currency, expires_at) = (Currency::new("GBP").unwrap(), day(390, 0));
    history.happens(cart_id, CartEvent::from(CartCreated { cart_id, currency, customer_id: None, expires_at }), at);
    for tea in 0..2 {
        let set = CartLineSet {
            product_id: ProductId(id(100 + tea)),
            variant_id: VariantId(id(500 + tea)),
            sku: sku(&format!("SKU-{tea}")),
            title: format!("Tea {tea}"),
            quantity: 2,
            unit_price: pounds(250),
            expires_at,
        };
        history.happens(cart_id, CartEvent::from(set), at);
    }
    let removed = CartLineRemoved { sku: sku("SKU-1"), expires_at };
    history.happens(cart_id, CartEvent::from(removed), at);
}
