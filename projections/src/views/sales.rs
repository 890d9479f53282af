//! What was sold, cancelled and returned in each hour, by country, product, SKU and category? (Reads: `sales_reads.rs`.)
//!
//! Sales count in the hour in which the order was placed; cancellations, refunds and returns in the hour in which they
//! happened. Order-level and line-level sums are separate tables, so that an order of three lines counts once.

use std::collections::BTreeMap;

use event_schemas::{
    AdjustmentEvent, CommerceEvent, CreditNoteIssued, Currency, OrderEvent, OrderId, OrderItemsReturned, OrderPlaced, Sku,
    Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    Fact, FoldError, Projection, Row as _, Rows,
    projection::{add, subtract},
    views::order_money::{TakenBack, take_back},
};

/// What stands in a column when the document names none.
pub(crate) const UNKNOWN: &str = "unknown";

row! {
    /// The sales of one hour in one country and currency, each order counted once. Amounts are minor units.
    HourlySales in "sales_by_hour" {
        key {
            /// The start of the hour, UTC.
            hour: Timestamp,
            /// The country of the order (ISO 3166-1 alpha-2), or `unknown`.
            country: String,
            /// The currency.
            currency: Currency,
        }
        /// Orders placed.
        orders: i64,
        /// Units ordered.
        units: i64,
        /// What buyers owe for them, with tax, shipping and other charges, after discounts.
        gross_minor: i64,
        /// Discounts, positive, already taken off.
        discounts_minor: i64,
        /// The tax in gross.
        tax_minor: i64,
        /// The shipping in gross.
        shipping_minor: i64,
        /// Orders cancelled or expired, less those reinstated.
        cancelled_orders: i64,
        /// What they had counted for in gross, less what was refunded before.
        cancelled_minor: i64,
        /// The tax in it.
        cancelled_tax_minor: i64,
        /// Units that came back.
        returned_units: i64,
        /// Refunds and credit notes, with tax; refunds of cancelled orders are not counted a second time.
        refunds_minor: i64,
        /// The tax in them.
        refunds_tax_minor: i64,
        /// What is left: gross less tax, less cancellations and refunds without their tax.
        net_minor: i64,
    }
}

row! {
    /// The goods of one SKU sold in one hour in one country and currency. Amounts are minor units, goods only.
    HourlySkuSales in "sku_sales_by_hour" {
        key {
            /// The start of the hour, UTC.
            hour: Timestamp,
            /// The SKU.
            sku: Sku,
            /// The product, or `unknown`.
            product_id: String,
            /// The category that the sale counts under, or `unknown`.
            category_id: String,
            /// The country of the order (ISO 3166-1 alpha-2), or `unknown`.
            country: String,
            /// The currency.
            currency: Currency,
        }
        /// Orders with this SKU: sums over hours and countries, not over SKUs.
        sku_orders: i64,
        /// Orders in which this is the first line of its product: sums over everything but categories of one product.
        product_orders: i64,
        /// Orders in which this is the first line of its category: sums over everything.
        category_orders: i64,
        /// Units ordered.
        units: i64,
        /// What buyers owe for them, with tax, after discounts.
        gross_minor: i64,
        /// Discounts, positive, already taken off.
        discounts_minor: i64,
        /// The tax in gross.
        tax_minor: i64,
        /// What cancelled and expired orders had counted for, less what had come back before.
        cancelled_minor: i64,
        /// The tax in it.
        cancelled_tax_minor: i64,
        /// Units that came back.
        returned_units: i64,
        /// What was paid for the units that came back, with tax; for credit notes, what was given back.
        refunds_minor: i64,
        /// The tax in it.
        refunds_tax_minor: i64,
        /// What is left: gross less tax, less cancellations and returns without their tax.
        net_minor: i64,
    }
}

/// A line of an order as sales remember it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoldLine {
    /// The SKU.
    pub sku: Sku,
    /// The product.
    pub product: String,
    /// The category, or `unknown`.
    pub category: String,
    /// Units bought.
    pub units: i64,
    /// What they cost, with tax.
    pub gross: i64,
    /// The tax in it.
    pub tax: i64,
    /// Units that came back.
    pub returned: i64,
}
json_columns!(Vec<SoldLine>);

row! {
    /// What sales remember of each order, to book its returns where they belong. Amounts are minor units.
    SoldOrder in "sales_orders" {
        key {
            /// The order.
            order_id: OrderId,
        }
        /// The country, or `unknown`.
        country: String,
        /// The currency.
        currency: Currency,
        /// What the buyer owes.
        gross_minor: i64,
        /// The tax in it.
        tax_minor: i64,
        /// What came in.
        received_minor: i64,
        /// What went back.
        refunded_minor: i64,
        /// Whether it was cancelled or expired.
        closed: bool,
        /// Its lines, as JSON.
        lines: Vec<SoldLine>,
    }
}

row! {
    /// The product and category that a SKU was last sold under, to book credit notes that name the SKU alone.
    SoldSku in "sales_skus" {
        key {
            /// The SKU.
            sku: Sku,
        }
        /// The product.
        product_id: String,
        /// The category, or `unknown`.
        category_id: String,
    }
}

/// The sales figures.
pub const SALES: Projection = Projection {
    name: "sales",
    version: 1,
    tables: &[HourlySales::TABLE, HourlySkuSales::TABLE, SoldOrder::TABLE, SoldSku::TABLE],
    for_analysts: true,
    fold,
};

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    match fact.event {
        CommerceEvent::Order(OrderEvent::OrderPlaced(placed)) => place(rows, fact, placed),
        CommerceEvent::Order(OrderEvent::OrderItemsReturned(returned)) => take_back_goods(rows, fact, returned),
        CommerceEvent::Order(event) => fold_order(rows, fact, event),
        CommerceEvent::Adjustment(AdjustmentEvent::CreditNoteIssued(note)) => credit(rows, fact, note),
        _ => Ok(()),
    }
}

fn hour_of(fact: &Fact<'_>) -> Result<Timestamp, FoldError> {
    let seconds = fact.occurred_at.timestamp();
    Timestamp::from_timestamp(seconds - seconds.rem_euclid(3_600), 0).ok_or(FoldError::Overflow)
}

/// What is left of sales, without tax; each amount comes with the tax in it.
fn net(sold: (i64, i64), cancelled: (i64, i64), refunded: (i64, i64)) -> Result<i64, FoldError> {
    let kept = subtract(subtract(sold.0, cancelled.0)?, refunded.0)?;
    let tax = subtract(subtract(sold.1, cancelled.1)?, refunded.1)?;
    subtract(kept, tax)
}

fn in_hour(
    rows: &mut Rows<'_>,
    fact: &Fact<'_>,
    (country, currency): (&str, Currency),
    count: impl FnOnce(&mut HourlySales) -> Result<(), FoldError>,
) -> Result<(), FoldError> {
    let hour = hour_of(fact)?;
    let country = country.to_owned();
    let sales = rows.edit_or::<HourlySales>(&(hour, country.clone(), currency), || HourlySales {
        hour,
        country,
        currency,
        orders: 0,
        units: 0,
        gross_minor: 0,
        discounts_minor: 0,
        tax_minor: 0,
        shipping_minor: 0,
        cancelled_orders: 0,
        cancelled_minor: 0,
        cancelled_tax_minor: 0,
        returned_units: 0,
        refunds_minor: 0,
        refunds_tax_minor: 0,
        net_minor: 0,
        position: 0,
    })?;
    count(sales)?;
    let cancelled = (sales.cancelled_minor, sales.cancelled_tax_minor);
    let refunded = (sales.refunds_minor, sales.refunds_tax_minor);
    sales.net_minor = net((sales.gross_minor, sales.tax_minor), cancelled, refunded)?;
    Ok(())
}

fn of_sku(
    rows: &mut Rows<'_>,
    fact: &Fact<'_>,
    line: &SoldLine,
    (country, currency): (&str, Currency),
    count: impl FnOnce(&mut HourlySkuSales) -> Result<(), FoldError>,
) -> Result<(), FoldError> {
    let hour = hour_of(fact)?;
    let (sku, product_id, category_id) = (line.sku.clone(), line.product.clone(), line.category.clone());
    let key = (hour, sku, product_id, category_id, country.to_owned(), currency);
    let (hour, sku, product_id, category_id, country, currency) = key.clone();
    let sales = rows.edit_or::<HourlySkuSales>(&key, || HourlySkuSales {
        hour,
        sku,
        product_id,
        category_id,
        country,
        currency,
        sku_orders: 0,
        product_orders: 0,
        category_orders: 0,
        units: 0,
        gross_minor: 0,
        discounts_minor: 0,
        tax_minor: 0,
        cancelled_minor: 0,
        cancelled_tax_minor: 0,
        returned_units: 0,
        refunds_minor: 0,
        refunds_tax_minor: 0,
        net_minor: 0,
        position: 0,
    })?;
    count(sales)?;
    let cancelled = (sales.cancelled_minor, sales.cancelled_tax_minor);
    let refunded = (sales.refunds_minor, sales.refunds_tax_minor);
    sales.net_minor = net((sales.gross_minor, sales.tax_minor), cancelled, refunded)?;
    Ok(())
}

fn place(rows: &mut Rows<'_>, fact: &Fact<'_>, placed: &OrderPlaced) -> Result<(), FoldError> {
    let country = placed.country.as_ref().map_or(UNKNOWN, |country| country.as_str());
    let market = (country, placed.currency);
    let mut lines = Vec::with_capacity(placed.lines.len());
    let mut units = 0;
    for bought in &placed.lines {
        let line = SoldLine {
            sku: bought.sku.clone(),
            product: bought.product_id.to_string(),
            category: bought.category_id.map_or_else(|| UNKNOWN.to_owned(), |id| id.to_string()),
            units: bought.quantity.into(),
            gross: bought.gross_minor,
            tax: bought.tax_minor,
            returned: 0,
        };
        units = add(units, line.units)?;
        let first = |same: fn(&SoldLine, &SoldLine) -> bool| i64::from(!lines.iter().any(|earlier| same(earlier, &line)));
        let first_of_sku = first(|a, b| a.sku == b.sku);
        let first_of_product = first(|a, b| a.product == b.product);
        let first_of_category = first(|a, b| a.category == b.category);
        of_sku(rows, fact, &line, market, |sales| {
            sales.sku_orders = add(sales.sku_orders, first_of_sku)?;
            sales.product_orders = add(sales.product_orders, first_of_product)?;
            sales.category_orders = add(sales.category_orders, first_of_category)?;
            sales.units = add(sales.units, line.units)?;
            sales.gross_minor = add(sales.gross_minor, line.gross)?;
            sales.discounts_minor = add(sales.discounts_minor, bought.discount_minor)?;
            sales.tax_minor = add(sales.tax_minor, line.tax)?;
            Ok(())
        })?;
        remember_sku(rows, &line)?;
        lines.push(line);
    }
    in_hour(rows, fact, market, |sales| {
        sales.orders = add(sales.orders, 1)?;
        sales.units = add(sales.units, units)?;
        sales.gross_minor = add(sales.gross_minor, placed.totals.gross_minor)?;
        sales.discounts_minor = add(sales.discounts_minor, placed.totals.discount_minor)?;
        sales.tax_minor = add(sales.tax_minor, placed.totals.tax_minor)?;
        sales.shipping_minor = add(sales.shipping_minor, placed.totals.shipping_minor)?;
        Ok(())
    })?;
    Ok(rows.put(SoldOrder {
        order_id: placed.order_id,
        country: country.to_owned(),
        currency: placed.currency,
        gross_minor: placed.totals.gross_minor,
        tax_minor: placed.totals.tax_minor,
        received_minor: 0,
        refunded_minor: 0,
        closed: false,
        lines,
        position: fact.position,
    })?)
}

fn remember_sku(rows: &mut Rows<'_>, line: &SoldLine) -> Result<(), FoldError> {
    let known = rows.get::<SoldSku>(&(line.sku.clone(),))?;
    if known.is_some_and(|known| known.product_id == line.product && known.category_id == line.category) {
        return Ok(());
    }
    let (product_id, category_id) = (line.product.clone(), line.category.clone());
    Ok(rows.put(SoldSku { sku: line.sku.clone(), product_id, category_id, position: 0 })?)
}

/// The part of a line's amount that its first `units` units carry: parts in sequence sum to the whole.
fn share(amount: i64, units: i64, of: i64) -> i64 {
    let share = i128::from(amount) * i128::from(units.clamp(0, of)) / i128::from(of.max(1));
    // A share is at most the amount, so it fits.
    i64::try_from(share).unwrap_or(amount)
}

impl SoldLine {
    /// What the units that came back so far cost: with tax, and the tax in it.
    fn came_back(&self) -> (i64, i64) {
        (share(self.gross, self.returned, self.units), share(self.tax, self.returned, self.units))
    }
}

fn fold_order(rows: &mut Rows<'_>, fact: &Fact<'_>, event: &OrderEvent) -> Result<(), FoldError> {
    let order_id: OrderId = fact.stream.aggregate_id.parse()?;
    let order = rows.edit::<SoldOrder>(&(order_id,))?.ok_or_else(|| FoldError::unknown("order", order_id))?;
    let was_closed = order.closed;
    let totals = (order.gross_minor, order.tax_minor);
    let paid = (&mut order.received_minor, &mut order.refunded_minor);
    let TakenBack { gross, tax } = take_back(event, totals, paid, &mut order.closed)?;
    let closing = i64::from(order.closed) - i64::from(was_closed);
    if (gross, tax, closing) == (0, 0, 0) {
        return Ok(());
    }
    let order = order.clone();
    let market = (order.country.as_str(), order.currency);
    if closing == 0 {
        return in_hour(rows, fact, market, |sales| {
            sales.refunds_minor = add(sales.refunds_minor, gross)?;
            sales.refunds_tax_minor = add(sales.refunds_tax_minor, tax)?;
            Ok(())
        });
    }
    in_hour(rows, fact, market, |sales| {
        sales.cancelled_orders = add(sales.cancelled_orders, closing)?;
        sales.cancelled_minor = add(sales.cancelled_minor, gross)?;
        sales.cancelled_tax_minor = add(sales.cancelled_tax_minor, tax)?;
        Ok(())
    })?;
    for line in &order.lines {
        let (returned, returned_tax) = line.came_back();
        of_sku(rows, fact, line, market, |sales| {
            sales.cancelled_minor = add(sales.cancelled_minor, closing * subtract(line.gross, returned)?)?;
            sales.cancelled_tax_minor = add(sales.cancelled_tax_minor, closing * subtract(line.tax, returned_tax)?)?;
            Ok(())
        })?;
    }
    Ok(())
}

fn take_back_goods(rows: &mut Rows<'_>, fact: &Fact<'_>, returned: &OrderItemsReturned) -> Result<(), FoldError> {
    let order_id: OrderId = fact.stream.aggregate_id.parse()?;
    let order = rows.edit::<SoldOrder>(&(order_id,))?.ok_or_else(|| FoldError::unknown("order", order_id))?;
    let (country, currency) = (order.country.clone(), order.currency);
    let mut parts = Vec::new();
    for item in &returned.items {
        let mut left = i64::from(item.quantity);
        for line in order.lines.iter_mut().filter(|line| line.sku == item.sku) {
            let units = left.min(subtract(line.units, line.returned)?);
            let (gross, tax) = line.came_back();
            line.returned = add(line.returned, units)?;
            let (gross_now, tax_now) = line.came_back();
            left = subtract(left, units)?;
            parts.push((line.clone(), units, subtract(gross_now, gross)?, subtract(tax_now, tax)?));
        }
    }
    let units = returned.items.iter().try_fold(0, |sum, item| add(sum, item.quantity.into()))?;
    in_hour(rows, fact, (&country, currency), |sales| {
        sales.returned_units = add(sales.returned_units, units)?;
        Ok(())
    })?;
    for (line, units, gross, tax) in parts {
        come_back(rows, fact, &line, (&country, currency), (units, gross, tax))?;
    }
    Ok(())
}

fn come_back(
    rows: &mut Rows<'_>,
    fact: &Fact<'_>,
    line: &SoldLine,
    market: (&str, Currency),
    (units, gross, tax): (i64, i64, i64),
) -> Result<(), FoldError> {
    of_sku(rows, fact, line, market, |sales| {
        sales.returned_units = add(sales.returned_units, units)?;
        sales.refunds_minor = add(sales.refunds_minor, gross)?;
        sales.refunds_tax_minor = add(sales.refunds_tax_minor, tax)?;
        Ok(())
    })
}

fn credit(rows: &mut Rows<'_>, fact: &Fact<'_>, note: &CreditNoteIssued) -> Result<(), FoldError> {
    let country = note.country.as_ref().map_or(UNKNOWN, |country| country.as_str());
    let market = (country, note.total.currency);
    let mut units = 0;
    let mut by_sku: BTreeMap<&Sku, (i64, i64)> = BTreeMap::new();
    for line in &note.lines {
        units = add(units, line.quantity.into())?;
        if let Some(sku) = &line.sku {
            let (returned, amount) = by_sku.entry(sku).or_default();
            (*returned, *amount) = (add(*returned, line.quantity.into())?, add(*amount, line.amount_minor)?);
        }
    }
    for (sku, (returned, amount)) in by_sku {
        let known = rows.get::<SoldSku>(&(sku.clone(),))?;
        let unknown = || (UNKNOWN.to_owned(), UNKNOWN.to_owned());
        let (product, category) = known.map_or_else(unknown, |known| (known.product_id.clone(), known.category_id.clone()));
        let line = SoldLine { sku: sku.clone(), product, category, units: 0, gross: 0, tax: 0, returned: 0 };
        come_back(rows, fact, &line, market, (returned, amount, 0))?;
    }
    in_hour(rows, fact, market, |sales| {
        sales.returned_units = add(sales.returned_units, units)?;
        sales.refunds_minor = add(sales.refunds_minor, note.total.minor)?;
        Ok(())
    })
}
