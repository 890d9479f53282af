//! Why a command was refused, whichever rule it was.

use event_schemas::Timestamp;

use crate::{
    AccessRefusal, AccountRefusal, AdjustmentRefusal, ApiKeyRefusal, AuditRefusal, CartRefusal, CategoryRefusal, CheckoutRefusal,
    ClaimName, ClaimRefusal, HistoryRefusal, OrderRefusal, PaymentRefusal, PersonRefusal, PriceChange, ProductRefusal,
    PromotionRefusal, ReviewRefusal, RoleRefusal, RosterRefusal, Shortage, StaleVersion, StockRefusal, WebhookRefusal,
    pricing::TotalTooLarge,
};

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident($refusal:ident),)+) => {
        /// A business rule that a command broke. The customer reads its message.
        #[derive(Debug, Clone, PartialEq, thiserror::Error)]
        pub enum Refusal {
            $($(#[$doc])* #[error(transparent)] $name(#[from] $refusal),)+
        }

        impl Refusal {
            /// The stable code of the rule, such as `INSUFFICIENT_STOCK`. Clients rely on it; it never changes.
            pub fn code(&self) -> &'static str {
                match self { $(Self::$name(refusal) => refusal.code(),)+ }
            }
        }
    };
}

refusals! {
    /// A rule of products.
    Product(ProductRefusal),
    /// A rule of categories.
    Category(CategoryRefusal),
    /// A rule of stock.
    Stock(StockRefusal),
    /// A rule of carts.
    Cart(CartRefusal),
    /// A rule of checking out.
    Checkout(CheckoutRefusal),
    /// A rule of orders.
    Order(OrderRefusal),
    /// A rule of payments.
    Payment(PaymentRefusal),
    /// A rule of promotions.
    Promotion(PromotionRefusal),
    /// A rule of unique names.
    Claim(ClaimRefusal),
    /// A rule of reviews.
    Review(ReviewRefusal),
    /// A rule of corrections of the books.
    Adjustment(AdjustmentRefusal),
    /// A rule of bringing in history.
    History(HistoryRefusal),
    /// A rule of accounts.
    Account(AccountRefusal),
    /// A rule of roles.
    Role(RoleRefusal),
    /// A rule of administrators.
    Roster(RosterRefusal),
    /// A rule of API keys.
    ApiKey(ApiKeyRefusal),
    /// A rule of what is refused at the door.
    Access(AccessRefusal),
    /// A rule of who looked at what.
    Audit(AuditRefusal),
    /// A rule of webhooks.
    Webhook(WebhookRefusal),
    /// A rule of persons.
    Person(PersonRefusal),
    /// The rule that what is changed is what was looked at.
    Version(StaleVersion),
}

impl From<TotalTooLarge> for Refusal {
    fn from(too_large: TotalTooLarge) -> Self {
        Self::Checkout(too_large.into())
    }
}

impl Refusal {
    /// Every code there is, in alphabetical order.
    pub const CODES: &[&str] = &[
        "ACCOUNT_EXISTS",
        "ACCOUNT_NOT_FOUND",
        "ACCOUNT_NOT_VERIFIED",
        "ADJUSTMENT_EXISTS",
        "ADMIN_EXISTS",
        "ALREADY_PAID",
        "ALREADY_RECORDED",
        "ALREADY_REVIEWED",
        "ALREADY_SHIPPED",
        "API_KEY_EXISTS",
        "API_KEY_NOT_FOUND",
        "BACKORDERS_OUTSTANDING",
        "CAPTURE_EXCEEDS_AUTHORISED",
        "CART_CHECKED_OUT",
        "CART_EMPTY",
        "CART_EXISTS",
        "CART_EXPIRED",
        "CART_LINE_NOT_FOUND",
        "CART_NOT_FOUND",
        "CATEGORY_CYCLE",
        "CATEGORY_EXISTS",
        "CATEGORY_NOT_FOUND",
        "CATEGORY_TOO_DEEP",
        "COUPON_CODE_TAKEN",
        "COUPON_NOT_FOUND",
        "CURRENCY_MISMATCH",
        "CURRENCY_NOT_OFFERED",
        "EMAIL_REQUIRED",
        "ERASURE_NOT_REQUESTED",
        "ERASURE_PENDING",
        "FULFILMENT_EXISTS",
        "FULFILMENT_NOT_FOUND",
        "INSUFFICIENT_STOCK",
        "INVALID_AMOUNT",
        "INVALID_CALLER",
        "INVALID_COUPONS",
        "INVALID_EVENT_TYPES",
        "INVALID_PERMISSIONS",
        "INVALID_PRICE",
        "INVALID_PROMOTION",
        "INVALID_QUANTITY",
        "INVALID_RATING",
        "INVALID_TEXT",
        "INVALID_URL",
        "LAST_ADMIN",
        "LAST_VARIANT",
        "LEGAL_HOLD_EXISTS",
        "LEGAL_HOLD_NOT_FOUND",
        "MORE_THAN_ORDERED",
        "MORE_THAN_RESERVED",
        "MORE_THAN_SHIPPED",
        "NAME_NOT_HELD",
        "NOTE_INVALID",
        "NOTHING_AUTHORISED",
        "NOTHING_TO_SELL",
        "NOT_DUE",
        "NOT_FOR_SALE",
        "NOT_ON_HAND",
        "NOT_PAID",
        "NOT_THE_BUYER",
        "NO_ITEMS",
        "NO_LINES",
        "NO_PRICE",
        "ORDER_EXISTS",
        "ORDER_NOT_FOUND",
        "PAYMENT_EXISTS",
        "PAYMENT_EXPIRED",
        "PAYMENT_IN_PROGRESS",
        "PAYMENT_NOT_FOUND",
        "PAYMENT_TOKEN_MISSING",
        "PERSON_ERASED",
        "PERSON_NOT_FOUND",
        "PERSON_ON_HOLD",
        "PRICE_CHANGED",
        "PRODUCT_ALREADY_PUBLISHED",
        "PRODUCT_ARCHIVED",
        "PRODUCT_EXISTS",
        "PRODUCT_NOT_FOUND",
        "PROMOTION_ENDED",
        "PROMOTION_EXISTS",
        "PROMOTION_NOT_FOUND",
        "PROMOTION_NOT_STARTED",
        "PROMOTION_USED_UP",
        "REFUND_EXCEEDS_CAPTURED",
        "REFUND_EXCEEDS_RECEIVED",
        "REFUND_EXISTS",
        "REVIEW_EXISTS",
        "ROLE_BUILT_IN",
        "ROLE_NOT_FOUND",
        "ROLE_REMOVED",
        "SAME_LOCATION",
        "SECOND_PERSON_REQUIRED",
        "SHIPPING_ADDRESS_REQUIRED",
        "SHIPPING_METHOD_REQUIRED",
        "SHIPPING_METHOD_UNAVAILABLE",
        "SKU_TAKEN",
        "SLUG_TAKEN",
        "STALE_VERSION",
        "STOCK_ALREADY_RESERVED",
        "STOCK_NOT_COMMITTED",
        "STOCK_NOT_RESERVED",
        "STOCK_SET_ASIDE_FOR_ORDERS",
        "TOO_LATE_TO_PAY",
        "TOO_MANY",
        "TOO_MANY_LINES",
        "TOO_MANY_UNITS",
        "TOTAL_TOO_LARGE",
        "VARIANT_EXISTS",
        "VARIANT_NOT_FOUND",
        "WEBHOOK_EXISTS",
        "WEBHOOK_NOT_FOUND",
        "WRONG_STATE",
        "WRONG_TOTAL",
    ];

    /// When to come again, if the refusal is only that it is too early.
    pub fn not_before(&self) -> Option<Timestamp> {
        match self {
            Self::Cart(CartRefusal::NotDue { until }) | Self::Order(OrderRefusal::NotDue { until }) => Some(*until),
            _ => None,
        }
    }

    /// The aggregate that is no longer what was looked at, if that is the reason.
    pub fn stale(&self) -> Option<&StaleVersion> {
        if let Self::Version(stale) = self { Some(stale) } else { None }
    }

    /// What there is too little of, if that is the reason.
    pub fn shortages(&self) -> &[Shortage] {
        match self {
            Self::Checkout(CheckoutRefusal::InsufficientStock { shortages }) => shortages,
            Self::Stock(StockRefusal::Insufficient(shortage)) => std::slice::from_ref(shortage),
            _ => &[],
        }
    }

    /// The prices that have changed, if that is the reason.
    pub fn price_changes(&self) -> &[PriceChange] {
        match self {
            Self::Checkout(CheckoutRefusal::PriceChanged { changes }) => changes,
            _ => &[],
        }
    }

    /// The part of the request that the refusal is about, in the words of the API, where there is one.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Cart(CartRefusal::InvalidQuantity { .. }) | Self::Stock(StockRefusal::NothingToMove) => Some("quantity"),
            Self::Cart(CartRefusal::InvalidCoupons) | Self::Checkout(CheckoutRefusal::Coupon { .. }) => Some("couponCodes"),
            Self::Checkout(CheckoutRefusal::EmailMissing) => Some("email"),
            Self::Checkout(CheckoutRefusal::ShippingAddressMissing) => Some("shippingAddress"),
            Self::Checkout(CheckoutRefusal::ShippingMethodMissing | CheckoutRefusal::ShippingUnavailable { .. }) => {
                Some("shippingMethod")
            }
            Self::Checkout(CheckoutRefusal::CurrencyNotOffered { .. }) => Some("currency"),
            Self::Product(ProductRefusal::InvalidPrice) => Some("price"),
            Self::Product(ProductRefusal::NotForSale { .. } | ProductRefusal::NoPrice { .. }) => Some("sku"),
            Self::Product(ProductRefusal::InvalidText { field, .. }) => Some(field),
            Self::Category(CategoryRefusal::InvalidName) => Some("name"),
            Self::Category(CategoryRefusal::Cycle | CategoryRefusal::TooDeep) => Some("parentId"),
            Self::Claim(ClaimRefusal::Taken { name, .. }) => match name {
                ClaimName::Sku(_) => Some("sku"),
                ClaimName::Slug(_) | ClaimName::CategorySlug(_) => Some("slug"),
                ClaimName::Coupon(_) => Some("code"),
                ClaimName::Review(_) => Some("orderId"),
            },
            Self::Payment(PaymentRefusal::NoToken) => Some("token"),
            Self::Payment(
                PaymentRefusal::CaptureExceedsHeld { .. }
                | PaymentRefusal::RefundExceedsCaptured { .. }
                | PaymentRefusal::NothingToPay,
            ) => Some("amount"),
            Self::Order(OrderRefusal::MoreThanOrdered { .. } | OrderRefusal::MoreThanShipped { .. } | OrderRefusal::NoItems) => {
                Some("items")
            }
            Self::Review(ReviewRefusal::InvalidRating { .. }) => Some("rating"),
            Self::Account(AccountRefusal::InvalidText { field }) => Some(field),
            Self::Role(RoleRefusal::InvalidPermissions) | Self::ApiKey(ApiKeyRefusal::InvalidPermissions) => Some("permissions"),
            Self::Role(RoleRefusal::InvalidDescription) => Some("description"),
            Self::Role(RoleRefusal::BuiltIn { .. } | RoleRefusal::Removed) => Some("name"),
            Self::Role(RoleRefusal::NotFound) => Some("role"),
            Self::ApiKey(ApiKeyRefusal::InvalidLabel) | Self::Webhook(WebhookRefusal::InvalidLabel) => Some("label"),
            Self::Person(refusal) => refusal.field(),
            Self::Webhook(WebhookRefusal::InvalidUrl) => Some("url"),
            Self::Webhook(WebhookRefusal::InvalidTypes) => Some("types"),
            Self::Version(_) => Some("expectedVersion"),
            _ => None,
        }
    }
}
