//! One order of Olist: what its status and dates say happened, with its items, sellers, freight and payments.

use std::collections::BTreeMap;

use domain::Change;
use event_schemas::{
    Address, CancelledBy, ChargeKind, CountryCode, CustomerId, FulfilmentDelivered, FulfilmentId, Money, OrderCancelled,
    OrderCharge, OrderEvent, OrderFulfilled, OrderId, OrderLine, OrderPaymentReceived, OrderPlaced, OrderProcessingStarted,
    OrderTotals, PaymentCaptured, PaymentEvent, PaymentExpired, PaymentId, PaymentOpened, Personal, PricingBasis, RoundingLevel,
    SalesChannel, Sku, SkuQuantity, StreamId, Timestamp,
};

use crate::import::{
    catalog::{happened, product_ids},
    ids::{id_of, secret_id_of},
    olist::{Market, NAME, catalog::Titles, tables::TableRow},
};

/// The gateway that imported money is said to have come through.
const GATEWAY: &str = "imported";
const TOO_LARGE: &str = "the order's total does not fit in minor units";

/// The rows of one order.
pub(crate) struct OrderRows {
    pub order: TableRow,
    pub customer: Option<TableRow>,
    pub items: Vec<TableRow>,
    /// Those that move money.
    pub payments: Vec<TableRow>,
}

/// When what happened, as far as the source says it; what it must have been is filled in.
struct Course {
    placed: Timestamp,
    paid: Option<Timestamp>,
    processing: Option<Timestamp>,
    shipped: Option<Timestamp>,
    delivered: Option<Timestamp>,
    cancelled: Option<Timestamp>,
    /// What had to be filled in or contradicts itself.
    remarks: Vec<&'static str>,
}

impl Course {
    fn of(row: &TableRow) -> Result<Self, String> {
        let (approved, carrier, arrived) = (row.moment(4)?, row.moment(5)?, row.moment(6)?);
        let placed = row.moment(3)?.ok_or("the order has no date of purchase")?;
        let status = row.field(2);
        let (paying, shipping, arriving) = match status {
            "created" | "canceled" | "unavailable" => (false, false, false),
            "approved" | "invoiced" | "processing" => (true, false, false),
            "shipped" => (true, true, false),
            "delivered" => (true, true, true),
            other => return Err(format!("`{}` is not a status of an order", other.chars().take(40).collect::<String>())),
        };
        let latest = [Some(placed), approved, carrier, arrived].into_iter().flatten().max().unwrap_or(placed);
        let mut remarks = Vec::new();
        let mut filled = |known: Option<Timestamp>, must: bool, otherwise: Timestamp, remark: &'static str| {
            if known.is_none() && must {
                remarks.push(remark);
            }
            known.or(must.then_some(otherwise))
        };
        let paid = filled(approved, paying, placed, "orders without a date of approval: paid when placed");
        let shipped =
            filled(carrier, shipping, paid.unwrap_or(placed), "orders without a date of the carrier: shipped when paid");
        let delivered = filled(arrived, arriving, latest, "orders without a date of delivery: delivered when last heard of");
        if approved.zip(carrier).is_some_and(|(approved, carrier)| carrier < approved) {
            remarks.push("orders handed to the carrier before they were approved");
        }
        let processing = paid.filter(|_| matches!(status, "invoiced" | "processing"));
        let cancelled = matches!(status, "canceled" | "unavailable").then_some(latest);
        Ok(Self { placed, paid, processing, shipped, delivered, cancelled, remarks })
    }
}

/// What became of an order.
pub(crate) struct BuiltOrder {
    pub changes: Vec<Change>,
    pub gross_minor: i64,
    pub remarks: Vec<&'static str>,
}

/// What happened with an order.
///
/// # Errors
/// The reason why no event can be made of it.
pub(crate) fn order(rows: &OrderRows, market: &Market, titles: &Titles) -> Result<BuiltOrder, String> {
    let course = Course::of(&rows.order)?;
    let key = rows.order.field(0);
    let order_id = market.order_id(key);
    let stream = StreamId::new(OrderEvent::AGGREGATE, order_id);
    let placed = placed(rows, order_id, market, titles)?;
    let (gross_minor, shipped) = (placed.totals.gross_minor, units(&placed.lines)?);
    let mut remarks = course.remarks.clone();
    let paid_minor = payments_minor(&rows.payments)?;
    if paid_minor != gross_minor {
        remarks.push("orders whose payments are not their total");
    }
    if course.cancelled.is_some() && course.paid.is_some() && paid_minor > 0 {
        remarks.push("cancelled orders whose money the source does not show going back");
    }
    let mut changes = vec![happened(&stream, OrderEvent::from(placed), course.placed)];
    for payment in &rows.payments {
        changes.extend(payment_changes(payment, order_id, &stream, &course, market)?);
    }
    if let Some(at) = course.processing {
        changes.push(happened(&stream, OrderEvent::from(OrderProcessingStarted {}), at));
    }
    if let (Some(at), false) = (course.shipped, shipped.is_empty()) {
        let fulfilment_id = FulfilmentId(id_of(NAME, "fulfilment", key));
        let items = shipped.into_iter().map(|(sku, quantity)| SkuQuantity { sku, quantity }).collect();
        changes.push(happened(&stream, OrderEvent::from(OrderFulfilled { fulfilment_id, items, tracking: None }), at));
        if let Some(at) = course.delivered {
            changes.push(happened(&stream, OrderEvent::from(FulfilmentDelivered { fulfilment_id }), at));
        }
    }
    if let Some(at) = course.cancelled {
        // The source does not say who called it off; its reason is the status that it gives.
        let cancelled = OrderCancelled { by: CancelledBy::System, reason: rows.order.field(2).to_owned() };
        changes.push(happened(&stream, OrderEvent::from(cancelled), at));
    }
    Ok(BuiltOrder { changes, gross_minor, remarks })
}

fn placed(rows: &OrderRows, order_id: OrderId, market: &Market, titles: &Titles) -> Result<OrderPlaced, String> {
    let lines = lines(&rows.items, titles)?;
    let charges = freight(&rows.items)?;
    let sum = |amounts: Vec<i64>| amounts.into_iter().try_fold(0_i64, i64::checked_add).ok_or(TOO_LARGE);
    let subtotal_minor = sum(lines.iter().map(|line| line.gross_minor).collect())?;
    let shipping_minor = sum(charges.iter().map(|charge| charge.gross_minor).collect())?;
    let gross_minor = subtotal_minor.checked_add(shipping_minor).ok_or(TOO_LARGE)?;
    let customer = rows.customer.as_ref();
    let payment_id = rows.payments.first().map(|row| payment_id(row, market));
    Ok(OrderPlaced {
        order_id,
        number: rows.order.field(0).to_owned(),
        channel: SalesChannel::Import,
        cart_id: None,
        customer_id: customer.map(|row| CustomerId::new(row.field(1))).transpose().map_err(|error| error.to_string())?,
        email: None,
        shipping_address: customer.and_then(|row| Personal::unsealed(&address(row, &market.country))),
        billing_address: None,
        country: Some(market.country.clone()),
        currency: market.currency,
        lines,
        charges,
        discounts: Vec::new(),
        totals: OrderTotals {
            subtotal_minor,
            discount_minor: 0,
            shipping_minor,
            net_minor: gross_minor,
            tax_minor: 0,
            gross_minor,
        },
        pricing: PricingBasis { prices_include_tax: false, rounding: RoundingLevel::Line },
        payment_id,
        pay_by: None,
    })
}

/// The source knows where a customer lives, but neither the name nor the street.
fn address(customer: &TableRow, country: &CountryCode) -> Address {
    Address {
        name: String::new(),
        line1: String::new(),
        line2: None,
        city: customer.field(3).to_owned(),
        postal_code: Some(customer.field(2).to_owned()),
        region: Some(customer.field(4).to_owned()),
        country: country.clone(),
        phone: None,
    }
}

/// One line per product, seller and price.
fn lines(items: &[TableRow], titles: &Titles) -> Result<Vec<OrderLine>, String> {
    let mut lines: BTreeMap<(&str, &str, i64), OrderLine> = BTreeMap::new();
    for item in items {
        let unit_price_minor = item.amount(5)?.minor().ok_or(TOO_LARGE)?;
        let (product, seller) = (item.field(2), item.field(3));
        let sku = Sku::new(product).map_err(|error| error.to_string())?;
        let (product_id, variant_id) = product_ids(NAME, &sku);
        let line = lines.entry((product, seller, unit_price_minor)).or_insert_with(|| OrderLine {
            product_id,
            variant_id,
            title: titles.of(&sku).to_owned(),
            category_id: titles.category(&sku),
            sku,
            quantity: 0,
            unit_price_minor,
            discount_minor: 0,
            tax_rate_ppm: 0,
            net_minor: 0,
            tax_minor: 0,
            gross_minor: 0,
            seller: Some(seller.to_owned()),
            allocations: Vec::new(),
        });
        line.quantity = line.quantity.checked_add(1).ok_or(TOO_LARGE)?;
        line.gross_minor = line.gross_minor.checked_add(unit_price_minor).ok_or(TOO_LARGE)?;
        line.net_minor = line.gross_minor;
    }
    Ok(lines.into_values().collect())
}

/// Freight: one charge per seller, because each ships by itself.
fn freight(items: &[TableRow]) -> Result<Vec<OrderCharge>, String> {
    let mut charges: BTreeMap<&str, i64> = BTreeMap::new();
    for item in items {
        let charge = charges.entry(item.field(3)).or_default();
        *charge = charge.checked_add(item.amount(6)?.minor().ok_or(TOO_LARGE)?).ok_or(TOO_LARGE)?;
    }
    let charge = |(seller, gross_minor): (&str, i64)| OrderCharge {
        kind: ChargeKind::Shipping,
        code: "freight".to_owned(),
        description: format!("Freight of seller {seller}"),
        tax_rate_ppm: 0,
        net_minor: gross_minor,
        tax_minor: 0,
        gross_minor,
    };
    Ok(charges.into_iter().map(charge).collect())
}

fn units(lines: &[OrderLine]) -> Result<BTreeMap<Sku, u32>, String> {
    let mut units: BTreeMap<Sku, u32> = BTreeMap::new();
    for line in lines {
        let held = units.entry(line.sku.clone()).or_default();
        *held = held.checked_add(line.quantity).ok_or(TOO_LARGE)?;
    }
    Ok(units)
}

fn payments_minor(payments: &[TableRow]) -> Result<i64, String> {
    let minor = |row: &TableRow| row.amount(4)?.minor().ok_or_else(|| TOO_LARGE.to_owned());
    payments.iter().try_fold(0_i64, |sum, row| sum.checked_add(minor(row)?).ok_or_else(|| TOO_LARGE.to_owned()))
}

fn payment_reference(payment: &TableRow) -> String {
    format!("{}/{}", payment.field(0), payment.field(1))
}

fn payment_id(payment: &TableRow, market: &Market) -> PaymentId {
    PaymentId(secret_id_of(market.log_id, NAME, "payment", &payment_reference(payment)))
}

/// A payment is taken when the order is approved; of an order called off before that, it expires.
fn payment_changes(
    row: &TableRow,
    order_id: OrderId,
    order: &StreamId,
    course: &Course,
    market: &Market,
) -> Result<Vec<Change>, String> {
    let payment_id = payment_id(row, market);
    let stream = StreamId::new(PaymentEvent::AGGREGATE, payment_id);
    let amount = Money::new(row.amount(4)?.minor().ok_or(TOO_LARGE)?, market.currency);
    let opened =
        PaymentOpened { payment_id, order_id, amount, gateway: GATEWAY.to_owned(), method: Some(row.field(2).to_owned()) };
    let mut changes = vec![happened(&stream, PaymentEvent::from(opened), course.placed)];
    if let Some(at) = course.paid {
        let captured = PaymentCaptured { amount, gateway_reference: payment_reference(row) };
        changes.push(happened(&stream, PaymentEvent::from(captured), at));
        changes.push(happened(order, OrderEvent::from(OrderPaymentReceived { payment_id, amount }), at));
    } else if let Some(at) = course.cancelled {
        changes.push(happened(&stream, PaymentEvent::from(PaymentExpired {}), at));
    }
    Ok(changes)
}
