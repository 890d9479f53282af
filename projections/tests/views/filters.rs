//! The filters of every list: none, each restriction alone, and some together. A filter that is new does not compile until it
//! is here as well.

use event_schemas::*;
use projections::*;

use crate::shop::{day, id};

pub fn gbp() -> Currency {
    Currency::new("GBP").unwrap()
}

/// A filter with one restriction, and what it is called.
pub type Restricted<F> = Vec<(&'static str, F)>;

/// Each restriction alone, none, and some together. The pattern names every field, so that none is forgotten.
pub fn product_filters() -> Restricted<ProductFilter> {
    let none = ProductFilter::default;
    let ProductFilter { state: _, category_ids: _, attributes: _, price: _, available: _, search: _ } = none();
    let published = Some(ProductState::Published);
    let category = |number| Some(vec![CategoryId(id(number))]);
    let garden = vec![("origin".to_owned(), vec!["garden 1".to_owned()])];
    let price = |from, to| Some((gbp(), from, to));
    vec![
        ("none", none()),
        ("state", ProductFilter { state: published, ..none() }),
        ("a state that none is in", ProductFilter { state: Some(ProductState::Archived), ..none() }),
        ("category", ProductFilter { category_ids: category(50), ..none() }),
        ("every category", ProductFilter { category_ids: Some((50..53).map(|n| CategoryId(id(n))).collect()), ..none() }),
        ("no category", ProductFilter { category_ids: category(1), ..none() }),
        ("attributes", ProductFilter { attributes: garden.clone(), ..none() }),
        ("price", ProductFilter { price: price(Some(300), Some(2_600)), ..none() }),
        ("the cheapest", ProductFilter { price: price(None, Some(300)), ..none() }),
        ("the dearest", ProductFilter { price: price(Some(2_700), None), ..none() }),
        ("available", ProductFilter { available: Some(true), ..none() }),
        ("search", ProductFilter { search: Some("tea".to_owned()), ..none() }),
        ("a shopper's", ProductFilter { state: published, category_ids: category(51), available: Some(true), ..none() }),
        ("a shopper's, broad", ProductFilter { state: published, attributes: garden, price: price(Some(1), None), ..none() }),
    ]
}

pub fn order_filters() -> Restricted<OrderFilter> {
    let none = OrderFilter::default;
    let OrderFilter {
        customer_id: _,
        statuses: _,
        payment_status: _,
        fulfilment_status: _,
        country: _,
        currency: _,
        number: _,
        from: _,
        to: _,
    } = none();
    let country = || Some(CountryCode::new("GB").unwrap());
    let customer_id = || Some(CustomerId::new("customer-3").unwrap());
    let (pending, cancelled) = (OrderStatus::Pending, OrderStatus::Cancelled);
    vec![
        ("none", none()),
        ("customer", OrderFilter { customer_id: customer_id(), ..none() }),
        ("a status of many", OrderFilter { statuses: Some(vec![pending]), ..none() }),
        ("a status of few", OrderFilter { statuses: Some(vec![cancelled]), ..none() }),
        ("statuses", OrderFilter { statuses: Some(vec![pending, cancelled]), ..none() }),
        ("no status", OrderFilter { statuses: Some(vec![]), ..none() }),
        ("payment status", OrderFilter { payment_status: Some(OrderPaymentStatus::Paid), ..none() }),
        ("fulfilment status", OrderFilter { fulfilment_status: Some(FulfilmentStatus::Shipped), ..none() }),
        ("country", OrderFilter { country: country(), ..none() }),
        ("a country of none", OrderFilter { country: Some(CountryCode::new("NO").unwrap()), ..none() }),
        ("currency", OrderFilter { currency: Some(gbp()), ..none() }),
        ("number", OrderFilter { number: Some("D-7".to_owned()), ..none() }),
        ("a day", OrderFilter { from: Some(day(30, 0)), to: Some(day(31, 0)), ..none() }),
        ("from", OrderFilter { from: Some(day(20, 0)), ..none() }),
        ("to", OrderFilter { to: Some(day(80, 0)), ..none() }),
        ("country and status", OrderFilter { country: country(), statuses: Some(vec![pending, cancelled]), ..none() }),
        ("country from", OrderFilter { country: country(), from: Some(day(3, 0)), ..none() }),
        ("customer and status", OrderFilter { customer_id: customer_id(), statuses: Some(vec![pending]), ..none() }),
    ]
}

pub fn payment_filters() -> Restricted<PaymentFilter> {
    let none = PaymentFilter::default;
    let PaymentFilter { order_id: _, status: _, gateway: _, currency: _, from: _, to: _ } = none();
    vec![
        ("none", none()),
        ("order", PaymentFilter { order_id: Some(OrderId(id(10_007))), ..none() }),
        ("status", PaymentFilter { status: Some(PaymentStatus::Captured), ..none() }),
        ("gateway", PaymentFilter { gateway: Some("sandbox".to_owned()), ..none() }),
        ("currency", PaymentFilter { currency: Some(gbp()), ..none() }),
        ("a currency of none", PaymentFilter { currency: Some(Currency::new("CHF").unwrap()), ..none() }),
        ("from", PaymentFilter { from: Some(day(50, 0)), ..none() }),
        ("to", PaymentFilter { to: Some(day(50, 0)), ..none() }),
        ("both", PaymentFilter { status: Some(PaymentStatus::Captured), gateway: Some("sandbox".to_owned()), ..none() }),
    ]
}

pub fn stock_filters() -> Restricted<StockFilter> {
    let none = StockFilter::default;
    let StockFilter { skus: _, location: _, low: _ } = none();
    let location = || Some(LocationId::new("main").unwrap());
    vec![
        ("none", none()),
        ("skus", StockFilter { skus: Some((3..9).map(|number| crate::shop::sku(&format!("SKU-{number}"))).collect()), ..none() }),
        ("location", StockFilter { location: location(), ..none() }),
        ("low", StockFilter { low: Some(true), ..none() }),
        ("not low", StockFilter { low: Some(false), ..none() }),
        ("both", StockFilter { low: Some(false), location: location(), ..none() }),
    ]
}

pub fn journal_filters() -> Restricted<JournalFilter> {
    let none = JournalFilter::default;
    let JournalFilter { account: _, currency: _, order_id: _, from: _, to: _ } = none();
    let account = || Some("receivable".to_owned());
    vec![
        ("none", none()),
        ("account", JournalFilter { account: account(), ..none() }),
        ("currency", JournalFilter { currency: Some(gbp()), ..none() }),
        ("order", JournalFilter { order_id: Some(OrderId(id(10_007))), ..none() }),
        ("from", JournalFilter { from: Some(day(90, 0)), ..none() }),
        ("to", JournalFilter { to: Some(day(90, 0)), ..none() }),
        ("a month of an account", JournalFilter { account: account(), from: Some(day(40, 0)), to: Some(day(70, 0)), ..none() }),
    ]
}

pub fn anomaly_filters() -> Restricted<AnomalyFilter> {
    let none = AnomalyFilter::default;
    let AnomalyFilter { at_least: _, metric: _, currency: _, from: _, to: _ } = none();
    let at = |number| Some(day(number, 0).date_naive());
    vec![
        ("none", none()),
        ("severity", AnomalyFilter { at_least: Some(Severity::High), ..none() }),
        ("metric", AnomalyFilter { metric: Some(AnomalyMetric::Orders), ..none() }),
        ("currency", AnomalyFilter { currency: Some(gbp()), ..none() }),
        ("from", AnomalyFilter { from: at(30), ..none() }),
        ("to", AnomalyFilter { to: at(30), ..none() }),
    ]
}

pub fn audit_filters() -> Restricted<AuditFilter> {
    let none = AuditFilter::default;
    let AuditFilter { kind: _, reader: _, subject: _ } = none();
    vec![
        ("none", none()),
        ("kind", AuditFilter { kind: Some(AuditKind::Export), ..none() }),
        ("reader", AuditFilter { reader: Some("support:1".to_owned()), ..none() }),
        ("subject", AuditFilter { subject: Some("order/2".to_owned()), ..none() }),
        (
            "all",
            AuditFilter {
                kind: Some(AuditKind::Read),
                reader: Some("support:1".to_owned()),
                subject: Some("order/2".to_owned()),
            },
        ),
    ]
}

pub fn review_filters() -> Restricted<ReviewFilter> {
    let none = ReviewFilter::default;
    let ReviewFilter { order_id: _, rating: _, from: _, to: _ } = none();
    vec![
        ("none", none()),
        ("order", ReviewFilter { order_id: Some(OrderId(id(10_007))), ..none() }),
        ("rating", ReviewFilter { rating: Some(2), ..none() }),
        ("a rating of many", ReviewFilter { rating: Some(5), ..none() }),
        ("a day", ReviewFilter { from: Some(day(30, 0)), to: Some(day(31, 0)), ..none() }),
        ("from", ReviewFilter { from: Some(day(20, 0)), ..none() }),
        ("rating to", ReviewFilter { rating: Some(5), to: Some(day(80, 0)), ..none() }),
    ]
}

pub fn account_filters() -> Restricted<AccountFilter> {
    let none = AccountFilter::default;
    let AccountFilter { verified: _, disabled: _, role: _, from: _, to: _ } = none();
    let role = |name| Some(RoleName::new(name).unwrap());
    vec![
        ("none", none()),
        ("verified", AccountFilter { verified: Some(true), ..none() }),
        ("not verified", AccountFilter { verified: Some(false), ..none() }),
        ("disabled", AccountFilter { disabled: Some(true), ..none() }),
        ("not disabled", AccountFilter { disabled: Some(false), ..none() }),
        ("role", AccountFilter { role: role("support"), ..none() }),
        ("a role of none", AccountFilter { role: role("auditor"), ..none() }),
        ("from", AccountFilter { from: Some(day(1, 0)), ..none() }),
        ("to", AccountFilter { to: Some(day(1, 0)), ..none() }),
        ("verified with a role", AccountFilter { verified: Some(true), role: role("support"), ..none() }),
    ]
}

pub fn access_filters() -> Restricted<AccessFilter> {
    let none = AccessFilter::default;
    let AccessFilter { kind: _, caller: _, account_id: _, from: _, to: _ } = none();
    let of = |kind| AccessFilter { kind: Some(kind), ..none() };
    vec![
        ("none", none()),
        ("denied", of(AccessKind::Denied)),
        ("login failed", of(AccessKind::LoginFailed)),
        ("limited", of(AccessKind::Limited)),
        ("banned", of(AccessKind::Banned)),
        ("caller", AccessFilter { caller: Some("customer".to_owned()), ..none() }),
        ("account", AccessFilter { account_id: Some(AccountId(id(7))), ..none() }),
        ("from", AccessFilter { from: Some(day(1, 0)), ..none() }),
        ("to", AccessFilter { to: Some(day(1, 0)), ..none() }),
        ("a kind of a caller", AccessFilter { caller: Some("customer".to_owned()), ..of(AccessKind::Denied) }),
    ]
}

pub fn promotion_filters() -> Restricted<PromotionFilter> {
    let none = PromotionFilter::default;
    let PromotionFilter { code: _, ended: _, from: _, to: _ } = none();
    vec![
        ("none", none()),
        ("code", PromotionFilter { code: Some(CouponCode::new("CODE7").unwrap()), ..none() }),
        ("ended", PromotionFilter { ended: Some(true), ..none() }),
        ("not ended", PromotionFilter { ended: Some(false), ..none() }),
        ("a day", PromotionFilter { from: Some(day(30, 0)), to: Some(day(31, 0)), ..none() }),
        ("not ended since", PromotionFilter { ended: Some(false), from: Some(day(10, 0)), ..none() }),
    ]
}

pub fn api_key_filters() -> Restricted<ApiKeyFilter> {
    let none = ApiKeyFilter::default;
    let ApiKeyFilter { revoked: _, expires_before: _ } = none();
    vec![
        ("none", none()),
        ("revoked", ApiKeyFilter { revoked: Some(true), ..none() }),
        ("not revoked", ApiKeyFilter { revoked: Some(false), ..none() }),
        ("expires", ApiKeyFilter { expires_before: Some(day(90, 0)), ..none() }),
    ]
}

pub fn webhook_filters() -> Restricted<WebhookFilter> {
    let none = WebhookFilter::default;
    let WebhookFilter { paused: _, undelivered: _ } = none();
    vec![
        ("none", none()),
        ("paused", WebhookFilter { paused: Some(true), ..none() }),
        ("not paused", WebhookFilter { paused: Some(false), ..none() }),
        ("undelivered", WebhookFilter { undelivered: Some(true), ..none() }),
        ("all delivered", WebhookFilter { undelivered: Some(false), ..none() }),
    ]
}

pub fn person_filters() -> Restricted<PersonFilter> {
    let none = PersonFilter::default;
    let PersonFilter { state: _, customer_id: _ } = none();
    vec![
        ("none", none()),
        ("kept", PersonFilter { state: Some(PersonState::Kept), ..none() }),
        ("erased", PersonFilter { state: Some(PersonState::Erased), ..none() }),
        ("customer", PersonFilter { customer_id: Some(CustomerId::new("customer-3").unwrap()), ..none() }),
    ]
}

pub fn access_anomaly_filters() -> Restricted<AccessAnomalyFilter> {
    let none = AccessAnomalyFilter::default;
    let AccessAnomalyFilter { at_least: _, kind: _, from: _, to: _ } = none();
    let at = |number| Some(day(number, 0).date_naive());
    vec![
        ("none", none()),
        ("severity", AccessAnomalyFilter { at_least: Some(Severity::High), ..none() }),
        ("kind", AccessAnomalyFilter { kind: Some(AccessKind::Denied), ..none() }),
        ("from", AccessAnomalyFilter { from: at(1), ..none() }),
        ("to", AccessAnomalyFilter { to: at(1), ..none() }),
    ]
}
