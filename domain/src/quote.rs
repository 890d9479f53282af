//! What a cart comes to: lines, shipping, discounts and totals, as they would be bought now.

use event_schemas::{
    AppliedDiscount, ChargeKind, CountryCode, Money, OrderCharge, OrderLine, OrderTotals, PricingBasis, Timestamp,
};

use crate::{
    CheckoutRefusal, Coupon, Offer, OpenCart, ShippingMethod, StoreConfig,
    pricing::{Amounts, Item, TotalTooLarge, amounts, discounts, sum},
};

/// What a cart comes to. Lines have no allocations yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    /// The lines, in the cart's order.
    pub lines: Vec<OrderLine>,
    /// Shipping, if a method is chosen.
    pub charges: Vec<OrderCharge>,
    /// The promotions used.
    pub discounts: Vec<AppliedDiscount>,
    /// The sums.
    pub totals: OrderTotals,
    /// How the amounts were computed.
    pub pricing: PricingBasis,
}

/// What everything that a quote depends on is, beside the cart.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// What each line is sold as, in the cart's order.
    pub offers: &'a [Offer],
    /// The coupons to apply, in order.
    pub coupons: &'a [Coupon],
    /// Where the parcel goes; without it there is no tax and no shipping yet.
    pub country: Option<&'a CountryCode>,
    /// How it gets there; without it there is no shipping yet.
    pub method: Option<&'a ShippingMethod>,
    /// The moment that tax rates are looked up for.
    pub now: Timestamp,
    /// The store's configuration.
    pub config: &'a StoreConfig,
}

impl Terms<'_> {
    fn rate(&self, category: &str) -> u32 {
        self.country.map_or(0, |country| self.config.tax_rate_ppm(country, category, self.now))
    }
}

/// Computes what a cart comes to. Pure: the same cart on the same terms always comes to the same.
///
/// # Errors
/// If the shipping method is not offered for the parcel, or an amount does not fit in minor units.
pub fn quote(cart: &OpenCart, terms: Terms<'_>) -> Result<Quote, CheckoutRefusal> {
    let item = |(line, offer): (&event_schemas::CartLineSet, &Offer)| Item {
        unit_price_minor: line.unit_price.minor,
        quantity: line.quantity,
        tax_rate_ppm: terms.rate(&offer.tax_category),
    };
    let mut items: Vec<_> = cart.lines.iter().zip(terms.offers).map(item).collect();
    let effects: Vec<_> = terms.coupons.iter().map(|coupon| coupon.effect.clone()).collect();
    let off = discounts(&items, &effects)?;
    if let Some(method) = terms.method {
        let goods = Money::new(off.goods_minor, cart.currency);
        let price = method.price(goods, weight(cart, terms.offers));
        let price = price.ok_or_else(|| CheckoutRefusal::ShippingUnavailable { method: method.code.clone() })?;
        let tax_rate_ppm = terms.rate(&method.tax_category);
        items.push(Item { unit_price_minor: price.minor, quantity: 1, tax_rate_ppm });
    }
    let pricing = PricingBasis { prices_include_tax: terms.config.prices_include_tax, rounding: terms.config.rounding };
    let priced = amounts(&items, &off.by_line, &pricing)?;
    let lines = lines(cart, terms.offers, &items, &priced);
    let charges = charges(terms.method, &items[lines.len()..], &priced[lines.len()..]);
    let discounts = terms.coupons.iter().zip(&off.by_promotion).map(|(coupon, minor)| AppliedDiscount {
        promotion_id: coupon.promotion_id,
        code: coupon.code.clone(),
        amount_minor: *minor,
    });
    let totals = totals(&priced, &charges, off.subtotal_minor)?;
    Ok(Quote { lines, charges, discounts: discounts.collect(), totals, pricing })
}

fn weight(cart: &OpenCart, offers: &[Offer]) -> u64 {
    cart.lines.iter().zip(offers).map(|(line, offer)| u64::from(line.quantity) * u64::from(offer.weight_grams)).sum()
}

fn lines(cart: &OpenCart, offers: &[Offer], items: &[Item], priced: &[Amounts]) -> Vec<OrderLine> {
    let amounts = items.iter().zip(priced);
    let lines = cart.lines.iter().zip(offers).zip(amounts).map(|((line, offer), (item, amounts))| OrderLine {
        product_id: line.product_id,
        variant_id: line.variant_id,
        sku: line.sku.clone(),
        title: line.title.clone(),
        category_id: offer.category_id,
        seller: None,
        quantity: line.quantity,
        unit_price_minor: line.unit_price.minor,
        discount_minor: amounts.discount_minor,
        tax_rate_ppm: item.tax_rate_ppm,
        net_minor: amounts.net_minor,
        tax_minor: amounts.tax_minor,
        gross_minor: amounts.gross_minor,
        allocations: Vec::new(),
    });
    lines.collect()
}

fn charges(method: Option<&ShippingMethod>, items: &[Item], priced: &[Amounts]) -> Vec<OrderCharge> {
    let charges = method.into_iter().zip(items.iter().zip(priced)).map(|(method, (item, amounts))| OrderCharge {
        kind: ChargeKind::Shipping,
        code: method.code.clone(),
        description: method.name.clone(),
        tax_rate_ppm: item.tax_rate_ppm,
        net_minor: amounts.net_minor,
        tax_minor: amounts.tax_minor,
        gross_minor: amounts.gross_minor,
    });
    charges.collect()
}

fn totals(priced: &[Amounts], charges: &[OrderCharge], subtotal_minor: i64) -> Result<OrderTotals, TotalTooLarge> {
    Ok(OrderTotals {
        subtotal_minor,
        discount_minor: sum(priced.iter().map(|amounts| amounts.discount_minor))?,
        shipping_minor: sum(charges.iter().map(|charge| charge.gross_minor))?,
        net_minor: sum(priced.iter().map(|amounts| amounts.net_minor))?,
        tax_minor: sum(priced.iter().map(|amounts| amounts.tax_minor))?,
        gross_minor: sum(priced.iter().map(|amounts| amounts.gross_minor))?,
    })
}
