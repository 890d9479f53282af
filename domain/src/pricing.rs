//! What an order costs: pure functions from prices, promotions and rates to amounts that add up to the minor unit.

use std::collections::BTreeMap;

use event_schemas::{PricingBasis, PromotionEffect, RoundingLevel, allocate, share_ppm, tax_within_ppm};

/// The amounts do not fit in 64 bits of minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the total is too large")]
pub struct TotalTooLarge;

/// Something to be paid for: a line of goods, or shipping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The price of one unit in minor units, as shown to the shopper.
    pub unit_price_minor: i64,
    /// How many units.
    pub quantity: u32,
    /// Tax rate in parts per million.
    pub tax_rate_ppm: u32,
}

impl Item {
    fn total(self) -> Result<i64, TotalTooLarge> {
        self.unit_price_minor.checked_mul(self.quantity.into()).ok_or(TotalTooLarge)
    }
}

/// What an item comes to, in minor units. `gross = net + tax`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Its share of discounts, positive, as shown to the shopper.
    pub discount_minor: i64,
    /// Without tax.
    pub net_minor: i64,
    /// Tax.
    pub tax_minor: i64,
    /// Net plus tax.
    pub gross_minor: i64,
}

/// Discounts on goods: what each promotion takes off, and what that means for each line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discounts {
    /// By promotion, in the order given.
    pub by_promotion: Vec<i64>,
    /// By line.
    pub by_line: Vec<i64>,
    /// The goods before discount.
    pub subtotal_minor: i64,
    /// The goods after discount.
    pub goods_minor: i64,
}

/// Takes promotions off lines one after another, each off what the ones before have left, spread by largest remainder.
///
/// # Errors
/// When an amount does not fit.
pub fn discounts(lines: &[Item], effects: &[PromotionEffect]) -> Result<Discounts, TotalTooLarge> {
    let mut left = lines.iter().map(|line| line.total()).collect::<Result<Vec<_>, _>>()?;
    let subtotal_minor = sum(left.iter().copied())?;
    let mut goods_minor = subtotal_minor;
    let mut by_promotion = Vec::with_capacity(effects.len());
    let mut by_line = vec![0_i64; lines.len()];
    for effect in effects {
        let off = match effect {
            PromotionEffect::PercentOff { ppm } => share_ppm(goods_minor, *ppm).ok_or(TotalTooLarge)?,
            PromotionEffect::AmountOff { amount } => amount.minor,
        };
        let off = off.clamp(0, goods_minor.max(0));
        let weights: Vec<u64> = left.iter().map(|minor| u64::try_from(*minor).unwrap_or(0)).collect();
        // No part is larger than its weight, because the whole is not larger than the sum of the weights.
        for (line, part) in allocate(off, &weights).into_iter().enumerate() {
            left[line] -= part;
            by_line[line] += part;
        }
        goods_minor -= off;
        by_promotion.push(off);
    }
    Ok(Discounts { by_promotion, by_line, subtotal_minor, goods_minor })
}

/// Net, tax and gross of items after their discounts.
///
/// With [`RoundingLevel::Order`], tax is rounded once per rate over all items given, and spread by largest remainder.
///
/// # Errors
/// When an amount does not fit.
pub fn amounts(items: &[Item], discounts: &[i64], basis: &PricingBasis) -> Result<Vec<Amounts>, TotalTooLarge> {
    let mut priced = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let discount_minor = discounts.get(index).copied().unwrap_or(0);
        let shown = item.total()?.checked_sub(discount_minor).ok_or(TotalTooLarge)?;
        priced.push((shown, item.tax_rate_ppm, discount_minor));
    }
    let taxes = match basis.rounding {
        RoundingLevel::Line => priced.iter().map(|(shown, rate, _)| tax(*shown, *rate, basis)).collect::<Result<Vec<_>, _>>()?,
        RoundingLevel::Order => taxes_by_rate(&priced, basis)?,
    };
    priced
        .into_iter()
        .zip(taxes)
        .map(|((shown, _, discount_minor), tax_minor)| {
            let (net_minor, gross_minor) = if basis.prices_include_tax {
                (shown - tax_minor, shown)
            } else {
                (shown, shown.checked_add(tax_minor).ok_or(TotalTooLarge)?)
            };
            Ok(Amounts { discount_minor, net_minor, tax_minor, gross_minor })
        })
        .collect()
}

fn taxes_by_rate(priced: &[(i64, u32, i64)], basis: &PricingBasis) -> Result<Vec<i64>, TotalTooLarge> {
    let mut by_rate: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, (_, rate, _)) in priced.iter().enumerate() {
        by_rate.entry(*rate).or_default().push(index);
    }
    let mut taxes = vec![0; priced.len()];
    for (rate, indexes) in by_rate {
        let whole = tax(sum(indexes.iter().map(|index| priced[*index].0))?, rate, basis)?;
        let weights: Vec<u64> = indexes.iter().map(|index| u64::try_from(priced[*index].0).unwrap_or(0)).collect();
        for (index, part) in indexes.into_iter().zip(allocate(whole, &weights)) {
            taxes[index] = part;
        }
    }
    Ok(taxes)
}

fn tax(shown: i64, rate_ppm: u32, basis: &PricingBasis) -> Result<i64, TotalTooLarge> {
    if basis.prices_include_tax { Ok(tax_within_ppm(shown, rate_ppm)) } else { share_ppm(shown, rate_ppm).ok_or(TotalTooLarge) }
}

/// The sum of amounts.
///
/// # Errors
/// When it does not fit.
pub fn sum(amounts: impl IntoIterator<Item = i64>) -> Result<i64, TotalTooLarge> {
    amounts.into_iter().try_fold(0_i64, i64::checked_add).ok_or(TotalTooLarge)
}
