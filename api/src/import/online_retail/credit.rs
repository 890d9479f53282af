//! A credit invoice: a return to the orders that it came from, where they can be told, or else a credit note.

use std::collections::BTreeMap;

use domain::Change;
use event_schemas::{
    AdjustmentEvent, AdjustmentId, BadDebtAdjusted, CreditNoteIssued, CreditNoteLine, OrderEvent, OrderId, OrderItemsReturned,
    OrderRefunded, PaymentEvent, PaymentRefunded, RefundId, ReturnId, Sku, SkuQuantity, StockEvent, StockId, StockReturned,
    StreamId, Timestamp,
};

use crate::import::{
    catalog::{happened, stock_stream},
    ids::id_of,
    online_retail::{NAME, Shop, codes::country, invoice::Invoice, purchases::OrderReturn, row::Row},
};

const TOO_LARGE: &str = "the invoice's total does not fit in minor units";

/// The return of goods to the orders that they came from, with the refund of each.
pub(crate) fn returned(invoice: &Invoice, number: &str, shop: &Shop, returns: &BTreeMap<OrderId, OrderReturn>) -> Vec<Change> {
    let at = invoice.at();
    let mut changes = Vec::new();
    for (order_id, part) in returns {
        let key = format!("{number}|{order_id}");
        let return_id = ReturnId(id_of(NAME, "return", &key));
        let order = StreamId::new(OrderEvent::AGGREGATE, order_id);
        let items = part.items.iter().map(|(sku, quantity)| SkuQuantity { sku: sku.clone(), quantity: *quantity }).collect();
        let reason = format!("credit invoice {number}");
        changes.push(happened(&order, OrderEvent::from(OrderItemsReturned { return_id, items, reason }), at));
        if part.refund_minor > 0 {
            let (payment_id, amount) = (part.payment_id, shop.money(part.refund_minor));
            let payment = StreamId::new(PaymentEvent::AGGREGATE, payment_id);
            let refund_id = RefundId(id_of(NAME, "refund", &key));
            let refunded = PaymentRefunded { refund_id, amount, gateway_reference: number.to_owned() };
            changes.push(happened(&payment, PaymentEvent::from(refunded), at));
            changes.push(happened(&order, OrderEvent::from(OrderRefunded { payment_id, amount }), at));
        }
        changes.extend(part.items.iter().map(|(sku, quantity)| stock_returned(&shop.stock(sku), *quantity, return_id, at)));
    }
    changes
}

fn stock_returned(stock: &StockId, quantity: u32, return_id: ReturnId, at: Timestamp) -> Change {
    let returned = StockReturned { sku: stock.sku.clone(), location: stock.location.clone(), quantity, return_id };
    happened(&stock_stream(stock), StockEvent::from(returned), at)
}

/// A credit note over the whole document; its goods go back on the shelf.
///
/// # Errors
/// When an amount does not fit.
pub(crate) fn credit_note(invoice: &Invoice, head: &Row, shop: &Shop) -> Result<Vec<Change>, &'static str> {
    let at = invoice.at();
    let adjustment_id = AdjustmentId(id_of(NAME, "adjustment", &head.invoice));
    let mut total = 0_i64;
    let mut lines = Vec::with_capacity(invoice.rows.len());
    let mut back: BTreeMap<&Sku, u32> = BTreeMap::new();
    for row in &invoice.rows {
        let amount_minor = row.line_minor.checked_neg().ok_or(TOO_LARGE)?;
        total = total.checked_add(amount_minor).ok_or(TOO_LARGE)?;
        if let Some(sku) = row.sku() {
            let units = back.entry(sku).or_default();
            *units = units.checked_add(row.units()).ok_or(TOO_LARGE)?;
        }
        let (sku, quantity) = (row.sku().cloned(), if row.sku().is_some() { row.units() } else { 0 });
        lines.push(CreditNoteLine { sku, description: row.description.clone(), quantity, amount_minor });
    }
    let note = CreditNoteIssued {
        adjustment_id,
        number: head.invoice.clone(),
        customer_id: head.customer.clone(),
        country: country(&head.country),
        lines,
        total: shop.money(total),
    };
    let stream = StreamId::new(AdjustmentEvent::AGGREGATE, adjustment_id);
    let mut changes = vec![happened(&stream, AdjustmentEvent::from(note), at)];
    let return_id = ReturnId(id_of(NAME, "return", &head.invoice));
    changes.extend(back.into_iter().map(|(sku, units)| stock_returned(&shop.stock(sku), units, return_id, at)));
    Ok(changes)
}

/// A correction of bad debt.
///
/// # Errors
/// When the amount does not fit.
pub(crate) fn bad_debt(invoice: &Invoice, head: &Row, shop: &Shop) -> Result<Vec<Change>, &'static str> {
    let total = invoice.rows.iter().try_fold(0_i64, |sum, row| sum.checked_add(row.line_minor)).ok_or(TOO_LARGE)?;
    let adjustment_id = AdjustmentId(id_of(NAME, "adjustment", &head.invoice));
    let adjusted = BadDebtAdjusted {
        adjustment_id,
        number: head.invoice.clone(),
        amount: shop.money(total),
        reason: head.description.clone(),
        effective_at: None,
    };
    let stream = StreamId::new(AdjustmentEvent::AGGREGATE, adjustment_id);
    Ok(vec![happened(&stream, AdjustmentEvent::from(adjusted), invoice.at())])
}
