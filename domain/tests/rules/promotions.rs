//! The rules of promotions and coupons.

use domain::{CancelOrder, CreatePromotion, EndPromotion, ExpireOrder, GatewayOutcome, SetCartDetails};
use event_schemas::{CancelledBy, CartId, Money, OrderId, PaymentId, PromotionCreated, PromotionEffect, PromotionId, RefundId};

use crate::shop::{Shop, coupon, currency, eur, id, minutes};

fn ten_percent(usage_limit: Option<u32>) -> CreatePromotion {
    let promotion = PromotionCreated {
        promotion_id: PromotionId(id(1)),
        name: "Spring".to_owned(),
        code: coupon("SPRING"),
        effect: PromotionEffect::PercentOff { ppm: 100_000 },
        starts_at: None,
        ends_at: None,
        usage_limit,
    };
    CreatePromotion { promotion }
}

fn with_coupon(shop: &mut Shop) -> CartId {
    let cart_id = shop.ready_cart("EUR", &[("TEA", 2)]);
    enters(shop, cart_id);
    cart_id
}

fn enters(shop: &mut Shop, cart_id: CartId) {
    shop.must(SetCartDetails { coupon_codes: Some(vec![coupon("SPRING")]), ..shop.details(cart_id) });
}

fn buys_with_coupon(shop: &mut Shop) -> (OrderId, PaymentId) {
    let cart_id = with_coupon(shop);
    let checkout = shop.checkout(cart_id);
    let ids = (checkout.order_id, checkout.payment_id);
    shop.must(checkout);
    ids
}

fn shop_with_tea() -> Shop {
    let mut shop = Shop::new();
    shop.sells("TEA", eur(450), 10);
    shop
}

#[test]
fn a_coupon_takes_its_share_off_the_goods_and_is_used_with_the_order() {
    let mut shop = shop_with_tea();
    shop.must(ten_percent(None));
    let (order_id, _) = buys_with_coupon(&mut shop);
    let placed = shop.placed(order_id);
    assert_eq!((placed.discounts[0].amount_minor, placed.lines[0].discount_minor), (90, 90));
    assert_eq!((placed.totals.discount_minor, placed.totals.gross_minor), (90, 810 + 490));
    let last = shop.happened.len() - 2;
    assert_eq!(shop.types_from(last), ["PromotionRedeemed", "PaymentOpened"]);
}

#[test]
fn a_coupon_is_used_as_often_as_its_limit_says_and_a_cancelled_order_gives_its_use_back() {
    let mut shop = shop_with_tea();
    shop.must(ten_percent(Some(1)));
    let waiting = with_coupon(&mut shop);
    let (order_id, _) = buys_with_coupon(&mut shop);
    let checkout = shop.checkout(waiting);
    let refusal = shop.refusal(checkout.clone());
    assert_eq!(
        (refusal.code(), refusal.to_string().as_str()),
        ("PROMOTION_USED_UP", "coupon SPRING: the promotion was used 1 times, as often as it can be")
    );
    let (by, reason) = (CancelledBy::Customer, "changed my mind".to_owned());
    shop.must(CancelOrder { order_id, by, reason, refund_id: RefundId(id(7)) });
    shop.must(checkout);
}

#[test]
fn late_money_does_not_bring_back_an_order_whose_coupon_is_used_up() {
    let mut shop = shop_with_tea();
    shop.must(ten_percent(Some(1)));
    let (order_id, payment_id) = buys_with_coupon(&mut shop);
    shop.now += minutes(15);
    shop.must(ExpireOrder { order_id, refund_id: RefundId(id(7)), now: shop.now });
    buys_with_coupon(&mut shop);
    let from = shop.happened.len();
    shop.hears(payment_id, GatewayOutcome::Captured { amount: eur(1_300), gateway_reference: "late".to_owned() });
    assert!(shop.types_from(from).contains(&"PaymentRefunded"));
}

#[test]
fn late_money_that_brings_an_order_back_uses_its_coupon_again() {
    let mut shop = shop_with_tea();
    shop.must(ten_percent(Some(1)));
    let (order_id, payment_id) = buys_with_coupon(&mut shop);
    shop.now += minutes(15);
    shop.must(ExpireOrder { order_id, refund_id: RefundId(id(7)), now: shop.now });
    shop.hears(payment_id, GatewayOutcome::Captured { amount: eur(1_300), gateway_reference: "late".to_owned() });
    let last = shop.happened.len() - 2;
    assert_eq!(shop.types_from(last), ["StockReserved", "PromotionRedeemed"]);
    let cart_id = shop.ready_cart("EUR", &[("TEA", 2)]);
    let details = SetCartDetails { coupon_codes: Some(vec![coupon("SPRING")]), ..shop.details(cart_id) };
    assert_eq!(shop.refusal(details).code(), "PROMOTION_USED_UP");
}

#[test]
fn a_coupon_holds_between_its_dates() {
    let mut shop = shop_with_tea();
    let mut promotion = ten_percent(None);
    promotion.promotion.starts_at = Some(shop.now + minutes(10));
    promotion.promotion.ends_at = Some(shop.now + minutes(20));
    shop.must(promotion);
    let cart_id = shop.ready_cart("EUR", &[("TEA", 2)]);
    let enter = |shop: &Shop| SetCartDetails { coupon_codes: Some(vec![coupon("SPRING")]), ..shop.details(cart_id) };
    assert_eq!(shop.refusal(enter(&shop)).code(), "PROMOTION_NOT_STARTED");
    shop.now += minutes(10);
    shop.must(enter(&shop));
    shop.now += minutes(10);
    let checkout = shop.checkout(cart_id);
    assert_eq!(shop.refusal(checkout).code(), "PROMOTION_ENDED");
}

#[test]
fn an_ended_promotion_gives_its_code_to_the_next() {
    let mut shop = shop_with_tea();
    shop.must(ten_percent(None));
    let mut next = ten_percent(None);
    next.promotion.promotion_id = PromotionId(id(2));
    assert_eq!(shop.refusal(next.clone()).code(), "COUPON_CODE_TAKEN");
    shop.must(EndPromotion { promotion_id: PromotionId(id(1)) });
    shop.must(next);
    assert_eq!(shop.refusal(EndPromotion { promotion_id: PromotionId(id(1)) }).code(), "PROMOTION_ENDED");
    assert_eq!(shop.refusal(EndPromotion { promotion_id: PromotionId(id(3)) }).code(), "PROMOTION_NOT_FOUND");
}

#[test]
fn an_amount_off_holds_in_its_own_currency_only() {
    let mut shop = shop_with_tea();
    let mut promotion = ten_percent(None);
    promotion.promotion.effect = PromotionEffect::AmountOff { amount: Money::new(500, currency("USD")) };
    shop.must(promotion);
    let cart_id = shop.ready_cart("EUR", &[("TEA", 2)]);
    let details = SetCartDetails { coupon_codes: Some(vec![coupon("SPRING")]), ..shop.details(cart_id) };
    assert_eq!(shop.refusal(details).code(), "CURRENCY_MISMATCH");
}

#[test]
fn a_promotion_takes_off_something_and_never_more_than_everything() {
    let mut shop = Shop::new();
    for effect in [
        PromotionEffect::PercentOff { ppm: 0 },
        PromotionEffect::PercentOff { ppm: 1_000_001 },
        PromotionEffect::AmountOff { amount: eur(0) },
        PromotionEffect::AmountOff { amount: eur(-5) },
    ] {
        let mut promotion = ten_percent(None);
        promotion.promotion.effect = effect;
        assert_eq!(shop.refusal(promotion).code(), "INVALID_PROMOTION");
    }
    assert_eq!(shop.refusal(ten_percent(Some(0))).code(), "INVALID_PROMOTION");
}

#[test]
fn the_same_code_twice_is_refused() {
    let mut shop = shop_with_tea();
    shop.must(ten_percent(None));
    let cart_id = shop.ready_cart("EUR", &[("TEA", 2)]);
    let codes = Some(vec![coupon("SPRING"), coupon("SPRING")]);
    let details = SetCartDetails { coupon_codes: codes, ..shop.details(cart_id) };
    assert_eq!(shop.refusal(details).code(), "INVALID_COUPONS");
}
