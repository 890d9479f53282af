//! The rules of carts, one by one.

use domain::{
    CartLineChange, CreateCart, ExpireCart, MAX_CART_LINES, NewPrice,
    QuantityChange::{Add, Set},
    SetCartDetails, SetCartLines, SetVariantPrice,
};
use event_schemas::{CartId, Money};

use crate::shop::{Shop, coupon, currency, eur, id, minutes, sku};

#[test]
fn quantities_are_added_set_and_taken_out() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let cart = shop.cart_in("EUR");
    shop.must(shop.lines(cart, &[("TEA", Add(2)), ("TEA", Add(1))]));
    let quantity = |shop: &Shop| shop.get::<domain::Cart>(cart).open_at(shop.now).unwrap().line(&sku("TEA")).map(|l| l.quantity);
    assert_eq!(quantity(&shop), Some(3));
    shop.must(shop.lines(cart, &[("TEA", Set(7))]));
    assert_eq!(quantity(&shop), Some(7));
    shop.must(shop.lines(cart, &[("TEA", Set(0))]));
    assert_eq!(quantity(&shop), None);
    assert_eq!(shop.refusal(shop.lines(cart, &[("TEA", Set(0))])).code(), "CART_LINE_NOT_FOUND");
}

#[test]
fn a_line_has_between_1_and_9999_units() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let cart = shop.cart_in("EUR");
    for quantity in [Add(0), Set(10_000), Add(u32::MAX)] {
        let refusal = shop.refusal(shop.lines(cart, &[("TEA", quantity)]));
        assert_eq!((refusal.code(), refusal.field()), ("INVALID_QUANTITY", Some("quantity")));
    }
    shop.must(shop.lines(cart, &[("TEA", Set(9_999))]));
    assert_eq!(shop.refusal(shop.lines(cart, &[("TEA", Add(u32::MAX))])).code(), "INVALID_QUANTITY");
}

#[test]
fn a_cart_has_at_most_100_lines() {
    let mut shop = Shop::new();
    let cart = shop.cart_in("EUR");
    for number in 0..=MAX_CART_LINES {
        shop.sells(&format!("P{number}"), eur(100), 0);
    }
    let line = |number: usize| CartLineChange { sku: sku(&format!("P{number}")), quantity: Set(1) };
    let all = |count: usize, shop: &Shop| SetCartLines {
        cart_id: cart,
        lines: (0..count).map(line).collect(),
        now: shop.now,
        config: shop.config.clone(),
    };
    assert_eq!(shop.refusal(all(MAX_CART_LINES + 1, &shop)).code(), "TOO_MANY_LINES");
    shop.must(all(MAX_CART_LINES, &shop));
}

#[test]
fn what_is_not_for_sale_does_not_get_into_a_cart() {
    let mut shop = Shop::new();
    let (product_id, variant_id) = shop.sells("TEA", eur(450), 10);
    let cart = shop.cart_in("EUR");
    assert_eq!(shop.refusal(shop.lines(cart, &[("GHOST", Add(1))])).code(), "NOT_FOR_SALE");
    let later = NewPrice { price: eur(500), valid_from: Some(shop.now + minutes(60)), valid_until: None };
    shop.must(SetVariantPrice { product_id, variant_id, price: later });
    assert_eq!(shop.refusal(shop.lines(cart, &[("TEA", Add(1))])).code(), "NO_PRICE");
    shop.now += minutes(60);
    shop.must(shop.lines(cart, &[("TEA", Add(1))]));
    shop.must(domain::ArchiveProduct { product_id, reason: "out of season".to_owned() });
    assert_eq!(shop.refusal(shop.lines(cart, &[("TEA", Add(1))])).code(), "NOT_FOR_SALE");
}

#[test]
fn a_cart_holds_one_currency_and_only_one_that_the_shop_sells_in() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let yen = shop.cart_in("JPY");
    assert_eq!(shop.refusal(shop.lines(yen, &[("TEA", Add(1))])).code(), "NO_PRICE");
    let (cart_id, now, config) = (CartId(id(7)), shop.now, shop.config.clone());
    let zloty = CreateCart { cart_id, currency: currency("PLN"), customer_id: None, now, config };
    assert_eq!(shop.refusal(zloty).code(), "CURRENCY_NOT_OFFERED");
}

#[test]
fn a_cart_whose_sum_would_not_fit_refuses_the_line() {
    let mut shop = Shop::new();
    shop.sells("GOLD", eur(i64::MAX / 2), 10);
    let cart = shop.cart_in("EUR");
    shop.must(shop.lines(cart, &[("GOLD", Set(2))]));
    assert_eq!(shop.refusal(shop.lines(cart, &[("GOLD", Set(3))])).code(), "TOTAL_TOO_LARGE");
}

#[test]
fn all_changes_of_lines_happen_or_none() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let cart = shop.cart_in("EUR");
    shop.refusal(shop.lines(cart, &[("TEA", Add(1)), ("GHOST", Add(1))]));
    assert!(shop.get::<domain::Cart>(cart).open_at(shop.now).unwrap().lines.is_empty());
}

#[test]
fn a_cart_lives_24_hours_from_its_last_change() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let cart_id = shop.cart_in("EUR");
    shop.now += minutes(23 * 60);
    shop.must(shop.lines(cart_id, &[("TEA", Add(1))]));
    shop.now += minutes(60);
    let too_early = shop.refusal(ExpireCart { cart_id, now: shop.now });
    assert_eq!((too_early.code(), too_early.not_before()), ("NOT_DUE", Some(shop.now + minutes(23 * 60))));
    shop.now += minutes(23 * 60);
    assert_eq!(shop.refusal(shop.lines(cart_id, &[("TEA", Add(1))])).code(), "CART_EXPIRED");
    assert_eq!(shop.must(ExpireCart { cart_id, now: shop.now }).len(), 1);
    assert_eq!(shop.must(ExpireCart { cart_id, now: shop.now }).len(), 0);
    assert_eq!(shop.refusal(shop.details(cart_id)).code(), "CART_EXPIRED");
}

#[test]
fn a_cart_that_does_not_exist_is_refused_by_name() {
    let mut shop = Shop::new();
    let cart = CartId(id(99));
    assert_eq!(shop.refusal(shop.lines(cart, &[("TEA", Add(1))])).code(), "CART_NOT_FOUND");
    assert_eq!(shop.refusal(shop.details(cart)).code(), "CART_NOT_FOUND");
}

#[test]
fn details_stay_as_they_are_unless_they_are_given_and_the_country_follows_the_address() {
    let mut shop = Shop::new();
    let cart_id = shop.cart_in("EUR");
    shop.must(shop.details(cart_id));
    let nothing = SetCartDetails { email: None, shipping_address: None, shipping_method: None, ..shop.details(cart_id) };
    shop.must(nothing);
    let cart = shop.get::<domain::Cart>(cart_id);
    let cart = cart.open_at(shop.now).unwrap();
    assert_eq!(cart.country.as_ref().map(event_schemas::CountryCode::as_str), Some("DE"));
    assert_eq!(cart.shipping_method.as_deref(), Some("standard"));
    assert!(cart.email.is_some() && cart.shipping_address.is_some() && cart.billing_address.is_none());
}

#[test]
fn unknown_coupons_and_shipping_methods_are_refused_when_they_are_entered() {
    let mut shop = Shop::new();
    let cart = shop.cart_in("EUR");
    let details = SetCartDetails { coupon_codes: Some(vec![coupon("NOPE")]), ..shop.details(cart) };
    let refusal = shop.refusal(details);
    assert_eq!((refusal.code(), refusal.field()), ("COUPON_NOT_FOUND", Some("couponCodes")));
    let details = SetCartDetails { shipping_method: Some("zeppelin".to_owned()), ..shop.details(cart) };
    assert_eq!(shop.refusal(details).code(), "SHIPPING_METHOD_UNAVAILABLE");
}

#[test]
fn prices_in_a_cart_are_in_its_own_currency_even_when_the_product_has_others() {
    let mut shop = Shop::new();
    let (product_id, variant_id) = shop.sells("TEA", eur(450), 10);
    let yen = NewPrice { price: Money::new(700, currency("JPY")), valid_from: None, valid_until: None };
    shop.must(SetVariantPrice { product_id, variant_id, price: yen });
    let cart = shop.cart_in("JPY");
    shop.must(shop.lines(cart, &[("TEA", Set(3))]));
    let state = shop.get::<domain::Cart>(cart);
    let subtotal = domain::cart_subtotal(state.open_at(shop.now).unwrap()).unwrap();
    assert_eq!(subtotal, Money::new(2_100, currency("JPY")));
}
