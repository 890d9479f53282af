//! What an order costs, to the minor unit of every exponent.

use domain::{
    GatewayOutcome, Order, Payment, ShippingMethod, ShippingPrice, ShippingRate, StoreConfig, TaxRate, WeightBand,
    pricing::{Item, TotalTooLarge, amounts, discounts},
};
use event_schemas::{CountryCode, Money, OrderStatus, PricingBasis, PromotionEffect, RoundingLevel};
use proptest::prelude::*;

use crate::shop::{Shop, currency, eur};

const STANDARD: u32 = 190_000;
const FOOD: u32 = 70_000;

fn item(unit_price_minor: i64, quantity: u32, tax_rate_ppm: u32) -> Item {
    Item { unit_price_minor, quantity, tax_rate_ppm }
}

fn basis(prices_include_tax: bool, rounding: RoundingLevel) -> PricingBasis {
    PricingBasis { prices_include_tax, rounding }
}

fn percent(percent: u32) -> PromotionEffect {
    PromotionEffect::PercentOff { ppm: percent * 10_000 }
}

fn taxes(items: &[Item], basis: &PricingBasis) -> Vec<i64> {
    amounts(items, &[], basis).unwrap().iter().map(|amounts| amounts.tax_minor).collect()
}

#[test]
fn tax_within_a_price_is_taken_out_of_it_and_tax_on_a_price_is_put_on_it() {
    let inclusive = amounts(&[item(1_190, 1, STANDARD)], &[], &basis(true, RoundingLevel::Line)).unwrap()[0];
    assert_eq!((inclusive.net_minor, inclusive.tax_minor, inclusive.gross_minor), (1_000, 190, 1_190));
    let exclusive = amounts(&[item(1_000, 1, STANDARD)], &[], &basis(false, RoundingLevel::Line)).unwrap()[0];
    assert_eq!((exclusive.net_minor, exclusive.tax_minor, exclusive.gross_minor), (1_000, 190, 1_190));
}

#[test]
fn rounding_per_line_and_per_order_differ_as_they_should() {
    // 19 % of 0.03 is 0.0057 per line, which rounds to 0.01; three lines together are 0.0171, which rounds to 0.02.
    let lines = [item(3, 1, STANDARD); 3];
    assert_eq!(taxes(&lines, &basis(false, RoundingLevel::Line)), [1, 1, 1]);
    assert_eq!(taxes(&lines, &basis(false, RoundingLevel::Order)), [1, 1, 0]);
}

#[test]
fn rounding_per_order_rounds_once_per_rate() {
    let lines = [item(3, 1, STANDARD), item(7, 1, FOOD), item(3, 1, STANDARD), item(7, 1, FOOD)];
    assert_eq!(taxes(&lines, &basis(false, RoundingLevel::Order)), [1, 1, 0, 0]);
}

#[test]
fn discounts_are_spread_by_largest_remainder_and_one_follows_another() {
    let lines = [item(1_000, 1, 0), item(1_000, 1, 0), item(1_000, 1, 0)];
    let off = discounts(&lines, &[PromotionEffect::AmountOff { amount: eur(100) }]).unwrap();
    assert_eq!((off.by_line, off.goods_minor), (vec![34, 33, 33], 2_900));
    let off = discounts(&lines, &[percent(50), percent(50)]).unwrap();
    assert_eq!((off.by_promotion, off.goods_minor), (vec![1_500, 750], 750));
    let off = discounts(&lines, &[PromotionEffect::AmountOff { amount: eur(9_999) }]).unwrap();
    assert_eq!((off.by_promotion, off.goods_minor), (vec![3_000], 0));
}

#[test]
fn amounts_that_do_not_fit_are_refused_and_never_wrap() {
    assert_eq!(discounts(&[item(i64::MAX, 2, 0)], &[]), Err(TotalTooLarge));
    assert_eq!(discounts(&[item(i64::MAX, 1, 0), item(1, 1, 0)], &[]), Err(TotalTooLarge));
    for rounding in [RoundingLevel::Line, RoundingLevel::Order] {
        assert_eq!(amounts(&[item(i64::MAX, 1, STANDARD)], &[], &basis(false, rounding)), Err(TotalTooLarge));
    }
}

/// A German shop: 19 % and 7 % on food, prices without tax, rounded per order.
fn german_shop() -> Shop {
    let rate = |category: Option<&str>, rate_ppm| TaxRate {
        country: Some(CountryCode::new("DE").unwrap()),
        category: category.map(str::to_owned),
        rate_ppm,
        valid_from: None,
        valid_until: None,
    };
    Shop::with(StoreConfig {
        tax_rates: vec![rate(None, STANDARD), rate(Some("food"), FOOD)],
        prices_include_tax: false,
        rounding: RoundingLevel::Order,
        ..StoreConfig::default()
    })
}

#[test]
fn a_cart_an_order_and_a_payment_of_every_exponent_come_out_to_the_minor_unit() {
    // Currency, unit price, shipping, and then: goods of 3 units, tax of 19 % on goods and shipping, total.
    let cases = [
        ("JPY", 333, 800, 999, 342, 2_141),
        ("EUR", 333, 490, 999, 283, 1_772),
        ("KWD", 3_333, 1_500, 9_999, 2_185, 13_684),
        ("CLF", 33_333, 1_300, 99_999, 19_247, 120_546),
    ];
    for (code, unit, shipping, goods, tax, total) in cases {
        let mut shop = german_shop();
        shop.sells("TEA", Money::new(unit, currency(code)), 10);
        let cart_id = shop.ready_cart(code, &[("TEA", 3)]);
        let checkout = shop.checkout(cart_id);
        let (order_id, payment_id) = (checkout.order_id, checkout.payment_id);
        shop.must(checkout);
        let placed = shop.placed(order_id);
        let totals = &placed.totals;
        assert_eq!((totals.subtotal_minor, totals.tax_minor, totals.gross_minor), (goods, tax, total), "{code}");
        assert_eq!(placed.charges[0].net_minor, shipping, "{code}");
        let payment = shop.get::<Payment>(payment_id);
        assert_eq!(payment.opened().unwrap().amount, Money::new(total, currency(code)), "{code}");
        shop.pays(payment_id);
        let order = shop.get::<Order>(order_id);
        assert_eq!(order.placed().unwrap().facts.status(), OrderStatus::Paid, "{code}");
    }
}

#[test]
fn a_payment_that_is_one_minor_unit_short_does_not_pay_the_order() {
    let mut shop = Shop::new();
    shop.sells("TEA", Money::new(333, currency("JPY")), 10);
    let cart_id = shop.ready_cart("JPY", &[("TEA", 3)]);
    let checkout = shop.checkout(cart_id);
    let (order_id, payment_id) = (checkout.order_id, checkout.payment_id);
    shop.must(checkout);
    let yen = |minor| Money::new(minor, currency("JPY"));
    shop.hears(payment_id, GatewayOutcome::Captured { amount: yen(1_798), gateway_reference: "1".to_owned() });
    assert_eq!(shop.get::<Order>(order_id).placed().unwrap().facts.status(), OrderStatus::Pending);
    shop.hears(payment_id, GatewayOutcome::Captured { amount: yen(1), gateway_reference: "2".to_owned() });
    assert_eq!(shop.get::<Order>(order_id).placed().unwrap().facts.status(), OrderStatus::Paid);
}

#[test]
fn the_most_specific_tax_rate_that_holds_is_taken() {
    let morning = crate::shop::morning();
    let rate = |country: Option<&str>, category: Option<&str>, rate_ppm, days_from: Option<i64>| TaxRate {
        country: country.map(|code| CountryCode::new(code).unwrap()),
        category: category.map(str::to_owned),
        rate_ppm,
        valid_from: days_from.map(|days| morning + chrono::TimeDelta::days(days)),
        valid_until: None,
    };
    let config = StoreConfig {
        tax_rates: vec![
            rate(None, None, 1, None),
            rate(None, Some("food"), 2, None),
            rate(Some("DE"), None, 3, None),
            rate(Some("DE"), Some("food"), 4, Some(-10)),
            rate(Some("DE"), Some("food"), 5, Some(-5)),
            rate(Some("DE"), Some("food"), 6, Some(5)),
        ],
        ..StoreConfig::default()
    };
    let at = |country: &str, category| config.tax_rate_ppm(&CountryCode::new(country).unwrap(), category, morning);
    assert_eq!([at("US", "books"), at("US", "food"), at("DE", "books"), at("DE", "food")], [1, 2, 3, 5]);
    let none = StoreConfig::default();
    assert_eq!(none.tax_rate_ppm(&CountryCode::new("DE").unwrap(), "food", morning), 0);
}

fn method(rate: ShippingRate) -> ShippingMethod {
    ShippingMethod {
        code: "parcel".to_owned(),
        name: "Parcel".to_owned(),
        countries: vec![],
        tax_category: "standard".to_owned(),
        prices: vec![ShippingPrice { currency: currency("EUR"), rate }],
    }
}

#[test]
fn shipping_is_flat_free_from_a_value_on_or_by_weight() {
    let flat = method(ShippingRate::Flat { minor: 490 });
    assert_eq!(flat.price(eur(1), 1), Some(eur(490)));
    assert_eq!(flat.price(Money::new(1, currency("USD")), 1), None, "it is not offered in that currency");
    let free = method(ShippingRate::FreeFrom { minor: 490, goods_minor: 5_000 });
    assert_eq!([free.price(eur(4_999), 1), free.price(eur(5_000), 1)], [Some(eur(490)), Some(eur(0))]);
    let band = |up_to_grams, minor| WeightBand { up_to_grams, minor };
    let heavy = method(ShippingRate::ByWeight { bands: vec![band(500, 300), band(2_000, 600)] });
    assert_eq!([500, 501, 2_000].map(|grams| heavy.price(eur(1), grams)), [Some(eur(300)), Some(eur(600)), Some(eur(600))]);
    assert_eq!(heavy.price(eur(1), 2_001), None, "it is too heavy");
}

#[test]
fn a_configuration_names_only_what_differs() {
    let config: StoreConfig = serde_json::from_str(r#"{"reservation_minutes": 30}"#).unwrap();
    assert_eq!(config, StoreConfig { reservation_minutes: 30, ..StoreConfig::default() });
    assert!(serde_json::from_str::<StoreConfig>(r#"{"reservation_minuets": 30}"#).is_err(), "a typing error is an error");
    let written = serde_json::to_string(&StoreConfig::default()).unwrap();
    assert_eq!(serde_json::from_str::<StoreConfig>(&written).unwrap(), StoreConfig::default());
}

fn any_item() -> impl Strategy<Value = Item> {
    (0..1_000_000_000_i64, 1..10_000_u32, 0..1_000_000_u32).prop_map(|(price, quantity, rate)| item(price, quantity, rate))
}

fn any_effect() -> impl Strategy<Value = PromotionEffect> {
    prop_oneof![
        (1..=1_000_000_u32).prop_map(|ppm| PromotionEffect::PercentOff { ppm }),
        (1..i64::MAX).prop_map(|minor| PromotionEffect::AmountOff { amount: eur(minor) }),
    ]
}

proptest! {
    #[test]
    fn every_amount_adds_up(
        items in prop::collection::vec(any_item(), 1..20),
        effects in prop::collection::vec(any_effect(), 0..4),
        inclusive in any::<bool>(),
        per_order in any::<bool>(),
    ) {
        let rounding = if per_order { RoundingLevel::Order } else { RoundingLevel::Line };
        let off = discounts(&items, &effects).unwrap();
        let total: i64 = items.iter().map(|item| item.unit_price_minor * i64::from(item.quantity)).sum();
        prop_assert_eq!(off.subtotal_minor, total);
        prop_assert_eq!(off.by_line.iter().sum::<i64>(), off.by_promotion.iter().sum::<i64>());
        prop_assert_eq!(off.goods_minor, total - off.by_line.iter().sum::<i64>());
        for (item, priced) in items.iter().zip(amounts(&items, &off.by_line, &basis(inclusive, rounding)).unwrap()) {
            let shown = item.unit_price_minor * i64::from(item.quantity) - priced.discount_minor;
            prop_assert!(shown >= 0 && priced.tax_minor >= 0);
            prop_assert_eq!(priced.net_minor + priced.tax_minor, priced.gross_minor);
            prop_assert_eq!(shown, if inclusive { priced.gross_minor } else { priced.net_minor });
        }
    }
}
