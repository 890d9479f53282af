//! Checking out: one decision over many aggregates, all of it or nothing.

use domain::{
    ArchiveProduct, Cart, CheckoutRefusal, NewPrice, Order, PriceChange, QuantityChange::Set, Refusal, SetCartDetails,
    SetStockPolicy, SetVariantPrice, Shortage, Stock, StoreConfig, UpdateProduct,
};
use event_schemas::{CartId, OrderId, OrderStatus, PaymentId, StockAllocation};

use crate::shop::{Shop, eur, id, location, minutes, sku, stock_id};

#[test]
fn placing_an_order_reserves_its_stock_and_opens_its_payment() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let cart_id = shop.ready_cart("EUR", &[("TEA", 2)]);
    let from = shop.happened.len();
    let checkout = shop.checkout(cart_id);
    shop.must(checkout.clone());
    assert_eq!(shop.types_from(from), ["OrderPlaced", "CartCheckedOut", "StockReserved", "PaymentOpened"]);
    let placed = shop.placed(checkout.order_id);
    assert_eq!((placed.totals.subtotal_minor, placed.totals.shipping_minor, placed.totals.gross_minor), (900, 490, 1_390));
    assert_eq!(placed.pay_by, Some(shop.now + minutes(15)));
    assert_eq!(placed.lines[0].allocations, [StockAllocation { location: location("main"), quantity: 2 }]);
    assert_eq!(shop.get::<Stock>("TEA@main").available(), 8);
    assert_eq!(shop.get::<Order>(checkout.order_id).placed().unwrap().facts.status(), OrderStatus::Pending);
    let again = shop.refusal(checkout);
    assert_eq!(again.code(), "CART_CHECKED_OUT");
}

#[test]
fn an_order_whose_tenth_line_is_out_of_stock_changes_nothing() {
    let mut shop = Shop::new();
    let names: Vec<_> = (1..=10).map(|number| format!("P{number}")).collect();
    for name in &names {
        shop.sells(name, eur(100), if name == "P10" { 0 } else { 5 });
    }
    let lines: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let cart_id = shop.ready_cart("EUR", &lines);
    let checkout = shop.checkout(cart_id);
    let refusal = shop.refusal(checkout.clone());
    assert_eq!(refusal.code(), "INSUFFICIENT_STOCK");
    assert_eq!(refusal.shortages(), [Shortage { sku: sku("P10"), available: 0, requested: 1 }]);
    assert!((1..=10).all(|number| shop.get::<Stock>(format!("P{number}@main")).held() == 0));
    assert_eq!(shop.get::<Order>(checkout.order_id), Order::Absent);
    assert!(shop.get::<Cart>(cart_id).open_at(shop.now).is_ok());
}

#[test]
fn every_line_that_is_short_is_named_with_what_is_left() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 1);
    shop.sells("POT", eur(2_500), 3);
    shop.sells("CUP", eur(800), 9);
    let cart_id = shop.ready_cart("EUR", &[("TEA", 2), ("CUP", 9), ("POT", 4)]);
    let checkout = shop.checkout(cart_id);
    let refusal = shop.refusal(checkout);
    let short = |name, available, requested| Shortage { sku: sku(name), available, requested };
    assert_eq!(refusal.shortages(), [short("TEA", 1, 2), short("POT", 3, 4)]);
    assert_eq!(
        refusal.to_string(),
        "only 1 of TEA can be sold, and 2 were asked for; only 3 of POT can be sold, and 4 were asked for"
    );
}

#[test]
fn a_line_is_split_over_locations_in_their_order_and_backorders_come_last() {
    let config = StoreConfig { locations: vec![location("main"), location("outlet")], ..StoreConfig::default() };
    let mut shop = Shop::with(config);
    shop.sells("TEA", eur(450), 3);
    shop.receives("TEA@outlet", 4);
    let stock = stock_id("TEA@main");
    shop.must(SetStockPolicy { stock, safety_stock: 0, backorder_limit: 2, low_stock_threshold: 0 });
    let (order_id, _) = shop.places(&[("TEA", 8)]);
    let part = |name, quantity| StockAllocation { location: location(name), quantity };
    assert_eq!(shop.placed(order_id).lines[0].allocations, [part("main", 4), part("outlet", 4)]);
    let cart_id = shop.ready_cart("EUR", &[("TEA", 2)]);
    let checkout = shop.checkout(cart_id);
    assert_eq!(shop.refusal(checkout).shortages()[0].available, 1);
}

#[test]
fn a_price_that_has_changed_is_shown_before_it_is_paid() {
    let mut shop = Shop::new();
    let (product_id, variant_id) = shop.sells("TEA", eur(450), 10);
    let cart_id = shop.ready_cart("EUR", &[("TEA", 2)]);
    shop.must(SetVariantPrice {
        product_id,
        variant_id,
        price: NewPrice { price: eur(500), valid_from: None, valid_until: None },
    });
    let checkout = shop.checkout(cart_id);
    let refusal = shop.refusal(checkout.clone());
    assert_eq!(refusal.code(), "PRICE_CHANGED");
    assert_eq!(refusal.price_changes(), [PriceChange { sku: sku("TEA"), old: eur(450), new: eur(500) }]);
    assert_eq!(refusal.to_string(), "the price has changed: TEA from 4.50 EUR to 5.00 EUR");
    shop.must(shop.lines(cart_id, &[("TEA", Set(2))]));
    shop.must(checkout);
}

#[test]
fn what_is_no_longer_for_sale_cannot_be_checked_out() {
    let mut shop = Shop::new();
    let (product_id, _) = shop.sells("TEA", eur(450), 10);
    let cart_id = shop.ready_cart("EUR", &[("TEA", 2)]);
    shop.must(ArchiveProduct { product_id, reason: "recalled".to_owned() });
    let checkout = shop.checkout(cart_id);
    assert_eq!(shop.refusal(checkout), Refusal::Checkout(CheckoutRefusal::NotForSale { skus: vec![sku("TEA")] }));
}

#[test]
fn products_changed_or_archived_later_never_change_an_order_already_placed() {
    let mut shop = Shop::new();
    let (product_id, variant_id) = shop.sells("TEA", eur(450), 10);
    let (order_id, payment_id) = shop.places(&[("TEA", 2)]);
    let before = (shop.placed(order_id), shop.get::<Order>(order_id));
    let price = NewPrice { price: eur(9_900), valid_from: None, valid_until: None };
    shop.must(SetVariantPrice { product_id, variant_id, price });
    let title = Some("Another name".to_owned());
    shop.must(UpdateProduct { product_id, title, slug: None, description: None, tax_category: None, attributes: None });
    shop.must(ArchiveProduct { product_id, reason: "out of season".to_owned() });
    assert_eq!((shop.placed(order_id), shop.get::<Order>(order_id)), before);
    shop.pays(payment_id);
    assert_eq!(shop.get::<Order>(order_id).placed().unwrap().facts.received_minor, 1_390);
}

#[test]
fn an_expired_cart_cannot_be_checked_out() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let cart_id = shop.ready_cart("EUR", &[("TEA", 2)]);
    shop.now += minutes(24 * 60);
    let checkout = shop.checkout(cart_id);
    assert_eq!(shop.refusal(checkout).code(), "CART_EXPIRED");
}

#[test]
fn a_checkout_says_what_it_still_needs() {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    let cart_id = shop.cart_in("EUR");
    let checkout = shop.checkout(cart_id);
    let needs = |shop: &mut Shop, code: &str| assert_eq!(shop.refusal(checkout.clone()).code(), code);
    needs(&mut shop, "CART_EMPTY");
    shop.must(shop.lines(cart_id, &[("TEA", Set(1))]));
    needs(&mut shop, "EMAIL_REQUIRED");
    let all = shop.details(cart_id);
    shop.must(SetCartDetails { shipping_address: None, shipping_method: None, ..all.clone() });
    needs(&mut shop, "SHIPPING_ADDRESS_REQUIRED");
    shop.must(SetCartDetails { shipping_method: None, ..all.clone() });
    needs(&mut shop, "SHIPPING_METHOD_REQUIRED");
    shop.must(all);
    shop.must(checkout);
}

#[test]
fn a_shipping_method_must_serve_the_country() {
    let mut config = StoreConfig::default();
    config.shipping_methods[0].countries = vec![event_schemas::CountryCode::new("FR").unwrap()];
    let mut shop = Shop::with(config);
    shop.sells("TEA", eur(450), 10);
    let cart_id = shop.cart_in("EUR");
    shop.must(shop.lines(cart_id, &[("TEA", Set(1))]));
    let refusal = shop.refusal(shop.details(cart_id));
    assert_eq!((refusal.code(), refusal.field()), ("SHIPPING_METHOD_UNAVAILABLE", Some("shippingMethod")));
    let to_france = SetCartDetails { country: crate::shop::country("FR"), ..shop.details(cart_id) };
    shop.must(to_france);
    let to_germany = SetCartDetails { shipping_method: None, ..shop.details(cart_id) };
    shop.must(to_germany);
    let checkout = shop.checkout(cart_id);
    assert_eq!(shop.refusal(checkout).code(), "SHIPPING_METHOD_UNAVAILABLE");
}

#[test]
fn an_order_that_costs_nothing_is_paid_as_it_is_placed() {
    let mut config = StoreConfig::default();
    for price in &mut config.shipping_methods[0].prices {
        price.rate = domain::ShippingRate::Flat { minor: 0 };
    }
    let mut shop = Shop::with(config);
    shop.sells("SAMPLE", eur(0), 3);
    let from_before = shop.happened.len();
    let (order_id, _) = shop.places(&[("SAMPLE", 1)]);
    assert!(!shop.types_from(from_before).contains(&"PaymentOpened"));
    let placed = shop.placed(order_id);
    assert_eq!((placed.payment_id, placed.pay_by), (None, None));
    assert_eq!(shop.get::<Order>(order_id).placed().unwrap().facts.status(), OrderStatus::Paid);
    let (fulfilment_id, items) = (event_schemas::FulfilmentId(id(5)), None);
    shop.must(domain::FulfilOrder { order_id, fulfilment_id, items, tracking: None });
    assert_eq!(shop.get::<Stock>("SAMPLE@main").on_hand(), 2);
}

#[test]
fn a_total_that_does_not_fit_is_refused_by_name() {
    let mut shop = Shop::new();
    shop.sells("GOLD", eur(i64::MAX - 100), 1);
    let cart_id = shop.ready_cart("EUR", &[("GOLD", 1)]);
    let checkout = shop.checkout(cart_id);
    assert_eq!(shop.refusal(checkout).code(), "TOTAL_TOO_LARGE");
}

#[test]
fn a_checkout_of_nothing_known_is_refused_by_name() {
    let mut shop = Shop::new();
    let (order_id, payment_id) = (OrderId(id(2)), PaymentId(id(3)));
    let checkout = domain::Checkout { order_id, payment_id, ..shop.checkout(CartId(id(1))) };
    assert_eq!(shop.refusal(checkout).code(), "CART_NOT_FOUND");
}

#[test]
fn the_codes_of_refusals_are_listed_once_each_in_order() {
    assert!(Refusal::CODES.is_sorted_by(|one, next| one < next));
}
