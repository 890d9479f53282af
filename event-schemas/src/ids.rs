//! Ids: each kind of thing has its own type, so that an order can never be looked up by a payment's id.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Text that is not a valid id, SKU or code, with the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {kind}: {rule}")]
pub struct InvalidId {
    /// What the text was meant to be, such as `SKU`.
    pub kind: &'static str,
    /// The text, cut to 80 characters.
    pub text: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl InvalidId {
    pub(crate) fn new(kind: &'static str, text: &str, rule: &'static str) -> Self {
        Self { kind, text: text.chars().take(80).collect(), rule }
    }
}

macro_rules! uuid_id {
    ($($(#[$meta:meta])* $name:ident: $kind:literal;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId::new($kind, text, "it must be a UUID"))
            }
        }
    )+};
}

uuid_id! {
    /// A product: the thing shown on one page of the shop.
    ProductId: "product id";
    /// A variant of a product: the thing that is bought.
    VariantId: "variant id";
    /// A category of the product tree.
    CategoryId: "category id";
    /// A shopping cart. It is unguessable, and whoever knows it may use the cart.
    CartId: "cart id";
    /// An order.
    OrderId: "order id";
    /// A payment for an order.
    PaymentId: "payment id";
    /// One refund of a payment.
    RefundId: "refund id";
    /// One shipment of an order, whole or partial.
    FulfilmentId: "fulfilment id";
    /// One return of goods.
    ReturnId: "return id";
    /// A promotion.
    PromotionId: "promotion id";
    /// A review of a purchase.
    ReviewId: "review id";
    /// A correction of the books outside any order: a credit note or a bad debt.
    AdjustmentId: "adjustment id";
    /// An account: a person who can sign in.
    AccountId: "account id";
    /// A key by which a service calls the API.
    ApiKeyId: "API key id";
    /// A webhook: a URL that is told of events.
    WebhookId: "webhook id";
    /// A person whose data is sealed: the id of the key that opens it. A customer is one; so is whoever buys as a guest.
    PersonId: "person id";
}

impl AccountId {
    /// The customer that whoever has the account buys as.
    pub fn customer_id(&self) -> CustomerId {
        CustomerId(self.to_string())
    }
}

impl OrderId {
    /// The number that people use for the order, such as `7K3Q-9ZPX-20AB`: 60 bits of a hash of the id in Crockford's base 32.
    ///
    /// A hash, because whoever knows the id of a guest's order may see it, and numbers are printed on parcels.
    pub fn number(&self) -> String {
        const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let hash = Uuid::new_v5(&self.0, b"order number").as_u128();
        let digit = |place: u32| char::from(DIGITS[(hash >> (5 * place) & 31) as usize]);
        let group = |first: u32| (first..first + 4).map(digit).collect::<String>();
        format!("{}-{}-{}", group(0), group(4), group(8))
    }
}

macro_rules! text_id {
    ($($(#[$meta:meta])* $name:ident: $kind:literal, $rule:literal, $valid:expr;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks the text and takes it as it is.
            ///
            /// # Errors
            /// [`InvalidId`] naming the rule that the text breaks.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(InvalidId::new($kind, &text, $rule)) }
            }

            /// The text.
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> { Self::new(text) }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    )+};
}

fn printable(text: &str, most: usize) -> bool {
    !text.is_empty() && text.chars().count() <= most && text.trim() == text && !text.chars().any(char::is_control)
}

fn slug_shaped(text: &str, most: usize) -> bool {
    !text.is_empty()
        && text.len() <= most
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

text_id! {
    /// A stock keeping unit: the merchant's own code for a variant, unique within the store.
    Sku: "SKU", "1 to 64 printable characters without `@`, not starting or ending with a space",
        |text| printable(text, 64) && !text.contains('@');
    /// A place that holds stock, such as `main`.
    LocationId: "location", "1 to 32 of a-z, 0-9 and `-`", |text| slug_shaped(text, 32);
    /// A customer's id, given by whoever keeps the accounts.
    CustomerId: "customer id", "1 to 64 printable characters", |text| printable(text, 64);
    /// A name in a URL, unique among the store's products or categories.
    Slug: "slug", "1 to 120 of a-z, 0-9 and `-`", |text| slug_shaped(text, 120);
    /// A coupon code as shoppers type it; upper case, so that typing it in any case finds it.
    CouponCode: "coupon code", "3 to 40 of A-Z, 0-9, `-` and `_`", |text| {
        (3..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    /// The name of a role, such as `merchant`.
    RoleName: "role", "1 to 32 of a-z, 0-9 and `-`, beginning with a letter", |text| {
        (1..=32).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    /// A country, ISO 3166-1 alpha-2, such as `GB`.
    CountryCode: "country code", "two letters A-Z (ISO 3166-1 alpha-2)",
        |text| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
}

impl RoleName {
    /// The roles that every store has. What they permit is part of Daybook.
    pub const BUILT_IN: [&str; 8] = ["customer", "support", "merchant", "fulfilment", "finance", "analyst", "auditor", "admin"];

    /// The role that every account has from the beginning.
    pub fn customer() -> Self {
        Self("customer".to_owned())
    }

    /// The role that may do everything.
    pub fn admin() -> Self {
        Self("admin".to_owned())
    }

    /// Whether every store has it.
    pub fn is_built_in(&self) -> bool {
        Self::BUILT_IN.contains(&self.as_str())
    }

    /// Whether a store cannot define it for itself: the built-in ones, and `shopper`, as `customer` was once called.
    pub fn is_reserved(&self) -> bool {
        self.is_built_in() || self.as_str() == "shopper"
    }
}

/// One SKU at one location: the id of a stock stream, written `SKU@location`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StockId {
    /// What is held.
    pub sku: Sku,
    /// Where it is held.
    pub location: LocationId,
}

impl fmt::Display for StockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.sku, self.location)
    }
}

impl FromStr for StockId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (sku, location) =
            text.split_once('@').ok_or_else(|| InvalidId::new("stock id", text, "it must read SKU@location"))?;
        Ok(Self { sku: Sku::new(sku)?, location: LocationId::new(location)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_refuses_what_would_break_a_stock_id() {
        assert!(Sku::new("TEA-100").is_ok());
        for bad in ["", " TEA", "a@b", "tab\there", &"x".repeat(65)] {
            assert!(Sku::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_stock_id_reads_back_what_it_prints() {
        let id: StockId = "TEA-100@main".parse().unwrap();
        assert_eq!(id.to_string(), "TEA-100@main");
        assert!("TEA-100".parse::<StockId>().is_err());
    }

    #[test]
    fn an_order_number_follows_from_the_id_and_does_not_give_it_away() {
        let id = OrderId(Uuid::from_u128(7));
        assert_eq!((id.number().len(), id.number()), (14, OrderId(Uuid::from_u128(7)).number()));
        assert_ne!(id.number(), OrderId(Uuid::from_u128(8)).number());
    }

    #[test]
    fn a_role_begins_with_a_letter_and_an_account_buys_as_itself() {
        assert!(RoleName::new("night-shift2").is_ok() && RoleName::new("x".repeat(32)).is_ok());
        for bad in ["", "2nd", "-a", "Admin", "a b", "ädmin", &"x".repeat(33)] {
            assert!(RoleName::new(bad).is_err(), "{bad:?}");
        }
        let id = AccountId(Uuid::from_u128(7));
        assert_eq!(CustomerId::new(id.to_string()), Ok(id.customer_id()));
    }

    #[test]
    fn an_invalid_id_in_a_payload_is_refused_when_it_is_read() {
        assert!(serde_json::from_str::<Sku>("\"a@b\"").is_err());
    }
}
