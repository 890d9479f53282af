//! A plain invoice: an order that was placed, paid and shipped at one moment, or a correction of the stock, or both.

use std::collections::BTreeMap;

use domain::Change;
use event_schemas::{
    AdjustmentReason, ChargeKind, FulfilmentId, OrderCharge, OrderEvent, OrderFulfilled, OrderId, OrderLine,
    OrderPaymentReceived, OrderPlaced, OrderTotals, PaymentCaptured, PaymentEvent, PaymentId, PaymentOpened, PricingBasis,
    RoundingLevel, SalesChannel, Sku, SkuQuantity, StockAdjusted, StockAllocation, StockEvent, StockId, StockShipped, StreamId,
};

use crate::import::{
    catalog::{happened, product_ids, stock_stream},
    ids::{id_of, secret_id_of},
    online_retail::{
        NAME, Shop,
        codes::country,
        invoice::{Invoice, Role},
        row::{Item, Row},
    },
};

/// The gateway that imported money is said to have come through.
const GATEWAY: &str = "imported";
const TOO_LARGE: &str = "the invoice's total does not fit in minor units";

/// The order of an invoice, as later returns need to know it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sale {
    pub order_id: OrderId,
    pub payment_id: PaymentId,
    /// What the buyer paid, in pence; not below zero.
    pub paid_minor: i64,
    /// Units by SKU.
    pub shipped: BTreeMap<Sku, u32>,
}

/// The order of a plain invoice; `None` if it has no row that is one.
///
/// # Errors
/// When an amount does not fit.
pub(crate) fn order(
    invoice: &Invoice,
    shop: &Shop,
    title: impl Fn(&Row) -> String,
) -> Result<Option<(Sale, Vec<Change>)>, &'static str> {
    let rows: Vec<&Row> = invoice.roles().filter(|(_, role)| *role == Role::Ordered).map(|(row, _)| row).collect();
    let Some(head) = rows.first() else { return Ok(None) };
    let lines = lines(&rows, shop, title)?;
    let charges: Vec<OrderCharge> = rows.iter().filter_map(|row| charge(row)).collect();
    let totals = totals(&lines, &charges)?;
    let mut shipped: BTreeMap<Sku, u32> = BTreeMap::new();
    for line in &lines {
        let units = shipped.entry(line.sku.clone()).or_default();
        *units = units.checked_add(line.quantity).ok_or(TOO_LARGE)?;
    }
    let sale = Sale {
        order_id: OrderId(secret_id_of(shop.log_id, NAME, "order", &head.invoice)),
        payment_id: PaymentId(secret_id_of(shop.log_id, NAME, "payment", &head.invoice)),
        paid_minor: totals.gross_minor.max(0),
        shipped,
    };
    let placed = OrderPlaced {
        order_id: sale.order_id,
        number: head.invoice.clone(),
        channel: SalesChannel::Import,
        cart_id: None,
        customer_id: head.customer.clone(),
        email: None,
        shipping_address: None,
        billing_address: None,
        country: country(&head.country),
        currency: shop.currency,
        lines,
        charges,
        discounts: Vec::new(),
        totals,
        pricing: PricingBasis { prices_include_tax: false, rounding: RoundingLevel::Line },
        payment_id: (sale.paid_minor > 0).then_some(sale.payment_id),
        pay_by: None,
    };
    let changes = order_changes(invoice, shop, &sale, placed);
    Ok(Some((sale, changes)))
}

fn order_changes(invoice: &Invoice, shop: &Shop, sale: &Sale, placed: OrderPlaced) -> Vec<Change> {
    let at = invoice.at();
    let order = StreamId::new(OrderEvent::AGGREGATE, sale.order_id);
    let payment = StreamId::new(PaymentEvent::AGGREGATE, sale.payment_id);
    let (order_id, payment_id, number) = (sale.order_id, sale.payment_id, placed.number.clone());
    let amount = shop.money(sale.paid_minor);
    let mut changes = vec![happened(&order, OrderEvent::from(placed), at)];
    if sale.paid_minor > 0 {
        let opened = PaymentOpened { payment_id, order_id, amount, gateway: GATEWAY.to_owned(), method: None };
        let captured = PaymentCaptured { amount, gateway_reference: number.clone() };
        changes.push(happened(&payment, PaymentEvent::from(opened), at));
        changes.push(happened(&payment, PaymentEvent::from(captured), at));
        changes.push(happened(&order, OrderEvent::from(OrderPaymentReceived { payment_id, amount }), at));
    }
    if sale.shipped.is_empty() {
        return changes;
    }
    let fulfilment_id = FulfilmentId(id_of(NAME, "fulfilment", &number));
    let items = sale.shipped.iter().map(|(sku, quantity)| SkuQuantity { sku: sku.clone(), quantity: *quantity }).collect();
    changes.push(happened(&order, OrderEvent::from(OrderFulfilled { fulfilment_id, items, tracking: None }), at));
    for (sku, quantity) in &sale.shipped {
        let shipped = StockShipped { order_id, quantity: *quantity };
        changes.push(happened(&stock_stream(&shop.stock(sku)), StockEvent::from(shipped), at));
    }
    changes
}

/// Goods, one line per SKU and price in the order of the file. Each row is rounded as a whole, so a line's gross is exact
/// even where its unit price is finer than a penny.
fn lines(rows: &[&Row], shop: &Shop, title: impl Fn(&Row) -> String) -> Result<Vec<OrderLine>, &'static str> {
    let mut lines: Vec<OrderLine> = Vec::new();
    let mut known: BTreeMap<(&Sku, i64), usize> = BTreeMap::new();
    for row in rows {
        let Some(sku) = row.sku() else { continue };
        let unit_price_minor = row.price.minor().ok_or(TOO_LARGE)?;
        if let Some(line) = known.get(&(sku, unit_price_minor)).and_then(|index| lines.get_mut(*index)) {
            line.quantity = line.quantity.checked_add(row.units()).ok_or(TOO_LARGE)?;
            line.gross_minor = line.gross_minor.checked_add(row.line_minor).ok_or(TOO_LARGE)?;
            line.net_minor = line.gross_minor;
            continue;
        }
        known.insert((sku, unit_price_minor), lines.len());
        let (product_id, variant_id) = product_ids(NAME, sku);
        lines.push(OrderLine {
            product_id,
            variant_id,
            sku: sku.clone(),
            title: title(row),
            category_id: None,
            quantity: row.units(),
            unit_price_minor,
            discount_minor: 0,
            tax_rate_ppm: 0,
            net_minor: row.line_minor,
            tax_minor: 0,
            gross_minor: row.line_minor,
            seller: None,
            allocations: Vec::new(),
        });
    }
    for line in &mut lines {
        line.allocations = vec![StockAllocation { location: shop.location.clone(), quantity: line.quantity }];
    }
    Ok(lines)
}

/// What a row charges that is no goods.
fn charge(row: &Row) -> Option<OrderCharge> {
    let Item::Charge(kind) = &row.item else { return None };
    Some(OrderCharge {
        kind: *kind,
        code: row.code.clone(),
        description: row.charge_text(),
        tax_rate_ppm: 0,
        net_minor: row.line_minor,
        tax_minor: 0,
        gross_minor: row.line_minor,
    })
}

fn totals(lines: &[OrderLine], charges: &[OrderCharge]) -> Result<OrderTotals, &'static str> {
    let sum = |amounts: Vec<i64>| amounts.into_iter().try_fold(0_i64, i64::checked_add).ok_or(TOO_LARGE);
    let subtotal_minor = sum(lines.iter().map(|line| line.gross_minor).collect())?;
    let shipping = charges.iter().filter(|charge| charge.kind == ChargeKind::Shipping);
    let shipping_minor = sum(shipping.map(|charge| charge.gross_minor).collect())?;
    let gross_minor = sum(charges.iter().map(|charge| charge.gross_minor).chain([subtotal_minor]).collect())?;
    Ok(OrderTotals { subtotal_minor, discount_minor: 0, shipping_minor, net_minor: gross_minor, tax_minor: 0, gross_minor })
}

/// The corrections of the stock on a plain invoice, one per row, with the row's description as the note.
pub(crate) fn stock_corrections(invoice: &Invoice, shop: &Shop) -> Vec<Change> {
    let corrected = invoice.roles().filter(|(_, role)| *role == Role::StockCorrected);
    corrected.filter_map(|(row, _)| Some(stock_correction(row, &shop.stock(row.sku()?)))).collect()
}

fn stock_correction(row: &Row, stock: &StockId) -> Change {
    let adjusted = StockAdjusted {
        sku: stock.sku.clone(),
        location: stock.location.clone(),
        delta: row.quantity,
        reason: adjustment_reason(row),
        note: Some(row.description.clone()).filter(|note| !note.is_empty()),
    };
    happened(&stock_stream(stock), StockEvent::from(adjusted), row.at)
}

/// The reason that the words of whoever corrected the stock point to.
fn adjustment_reason(row: &Row) -> AdjustmentReason {
    const REASONS: &[(AdjustmentReason, &[&str])] = &[
        (
            AdjustmentReason::Damaged,
            &["damage", "damges", "smash", "broken", "crush", "wet", "rust", "faulty", "mouldy", "dirty"],
        ),
        (AdjustmentReason::Lost, &["missing", "lost", "mia", "gone", "cant find", "short"]),
        (AdjustmentReason::Found, &["found"]),
        (AdjustmentReason::Correction, &["wrong", "error", "mix", "sold as", "adjust", "amend", "count", "check", "incorrect"]),
    ];
    let words = row.description.to_lowercase();
    let fits = |(_, signs): &&(AdjustmentReason, &[&str])| signs.iter().any(|sign| words.contains(sign));
    match REASONS.iter().find(fits) {
        // "rust fixed" and the like bring units back: only what leaves is damaged or lost.
        Some((AdjustmentReason::Damaged | AdjustmentReason::Lost, _)) if row.quantity > 0 => AdjustmentReason::Found,
        Some((reason, _)) => *reason,
        None if row.quantity > 0 => AdjustmentReason::Found,
        None => AdjustmentReason::Other,
    }
}
