//! What an order would have come to: the rules of pricing, applied to what it was placed with.

use std::collections::BTreeMap;

use domain::pricing::{Amounts, Item, TotalTooLarge, amounts, discounts, sum};
use event_schemas::{
    AppliedDiscount, ChargeKind, OrderCharge, OrderLine, OrderPlaced, OrderTotals, PromotionEffect, PromotionId, Timestamp,
    share_ppm,
};

use super::rules::{PriceChange, Supposed};

/// What each promotion was created to take off.
pub(super) type Effects = BTreeMap<PromotionId, PromotionEffect>;

/// What became of an order.
pub(super) enum Repriced {
    /// It comes to this; maybe to what it came to.
    To(Box<OrderPlaced>),
    /// Its amounts do not follow from its prices and promotions, as with orders that were imported: it stays as it was.
    AsItWas,
}

/// Reprices an order. It stays as it was if its own amounts cannot be computed again, or were not placed in the time supposed.
///
/// # Errors
/// If what it would come to does not fit in 64 bits.
pub(super) fn reprice(
    order: &OrderPlaced,
    placed_at: Timestamp,
    effects: &Effects,
    supposed: &Supposed,
) -> Result<Repriced, TotalTooLarge> {
    if computed(order, effects, &Supposed::default()).ok().flatten().as_ref() != Some(order) {
        return Ok(Repriced::AsItWas);
    }
    let is_meant = supposed.from.is_none_or(|from| placed_at >= from) && supposed.until.is_none_or(|until| placed_at < until);
    let changed = if is_meant { computed(order, effects, supposed)? } else { None };
    Ok(Repriced::To(Box::new(changed.unwrap_or_else(|| order.clone()))))
}

/// The order with its amounts computed from prices, rates and promotions; none if one of its promotions is not known.
fn computed(order: &OrderPlaced, effects: &Effects, supposed: &Supposed) -> Result<Option<OrderPlaced>, TotalTooLarge> {
    let mut order = order.clone();
    let mut lines = Vec::with_capacity(order.lines.len());
    for line in &order.lines {
        let tax_rate_ppm = rate(&order, line.tax_rate_ppm, supposed);
        lines.push(Item { unit_price_minor: price(line, supposed)?, quantity: line.quantity, tax_rate_ppm });
    }
    let mut taken = Vec::with_capacity(order.discounts.len());
    for discount in &order.discounts {
        let Some(effect) = effect(discount, effects, supposed) else { return Ok(None) };
        taken.push(effect);
    }
    let off = discounts(&lines, &taken)?;
    let (includes_tax, goods) = (order.pricing.prices_include_tax, lines.len());
    let mut items = lines;
    for charge in &order.charges {
        let unit_price_minor = if includes_tax { charge.gross_minor } else { charge.net_minor };
        items.push(Item { unit_price_minor, quantity: 1, tax_rate_ppm: rate(&order, charge.tax_rate_ppm, supposed) });
    }
    let priced = amounts(&items, &off.by_line, &order.pricing)?;
    for (line, (item, amounts)) in order.lines.iter_mut().zip(items.iter().zip(&priced)) {
        set_line(line, item, amounts);
    }
    for (charge, (item, amounts)) in order.charges.iter_mut().zip(items.iter().zip(&priced).skip(goods)) {
        set_charge(charge, item, amounts);
    }
    for (discount, minor) in order.discounts.iter_mut().zip(&off.by_promotion) {
        discount.amount_minor = *minor;
    }
    let shipping = order.charges.iter().filter(|charge| charge.kind == ChargeKind::Shipping);
    order.totals = OrderTotals {
        subtotal_minor: off.subtotal_minor,
        discount_minor: sum(priced.iter().map(|amounts| amounts.discount_minor))?,
        shipping_minor: sum(shipping.map(|charge| charge.gross_minor))?,
        net_minor: sum(priced.iter().map(|amounts| amounts.net_minor))?,
        tax_minor: sum(priced.iter().map(|amounts| amounts.tax_minor))?,
        gross_minor: sum(priced.iter().map(|amounts| amounts.gross_minor))?,
    };
    Ok(Some(order))
}

fn set_line(line: &mut OrderLine, item: &Item, amounts: &Amounts) {
    (line.unit_price_minor, line.tax_rate_ppm) = (item.unit_price_minor, item.tax_rate_ppm);
    line.discount_minor = amounts.discount_minor;
    (line.net_minor, line.tax_minor, line.gross_minor) = (amounts.net_minor, amounts.tax_minor, amounts.gross_minor);
}

fn set_charge(charge: &mut OrderCharge, item: &Item, amounts: &Amounts) {
    charge.tax_rate_ppm = item.tax_rate_ppm;
    (charge.net_minor, charge.tax_minor, charge.gross_minor) = (amounts.net_minor, amounts.tax_minor, amounts.gross_minor);
}

fn rate(order: &OrderPlaced, rate_ppm: u32, supposed: &Supposed) -> u32 {
    let fits = |country: &Option<_>| country.is_none() || *country == order.country;
    let other = supposed.taxes.iter().find(|tax| tax.rate_ppm == rate_ppm && fits(&tax.country));
    other.map_or(rate_ppm, |tax| tax.becomes_ppm)
}

fn price(line: &OrderLine, supposed: &Supposed) -> Result<i64, TotalTooLarge> {
    let mut minor = line.unit_price_minor;
    for other in &supposed.prices {
        let is_sku = other.sku.as_ref().is_none_or(|sku| *sku == line.sku);
        let is_category = other.category_id.is_none() || other.category_id == line.category_id;
        if !(is_sku && is_category) {
            continue;
        }
        minor = match other.change {
            PriceChange::ToMinor(minor) => minor,
            PriceChange::ByPpm(ppm) => {
                let share = share_ppm(minor, ppm.unsigned_abs()).ok_or(TotalTooLarge)?;
                if ppm < 0 { minor.checked_sub(share) } else { minor.checked_add(share) }.ok_or(TotalTooLarge)?
            }
        };
    }
    Ok(minor)
}

/// What a promotion takes off; none if it is not known. One that takes off nothing is one of 0 %.
fn effect(discount: &AppliedDiscount, effects: &Effects, supposed: &Supposed) -> Option<PromotionEffect> {
    let other = supposed.promotions.iter().find(|other| other.code == discount.code);
    match other {
        Some(other) => Some(other.effect.clone().unwrap_or(PromotionEffect::PercentOff { ppm: 0 })),
        None => effects.get(&discount.promotion_id).cloned(),
    }
}
