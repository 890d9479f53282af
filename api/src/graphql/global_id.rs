//! Ids of the API: opaque, and one of each kind, so that an order's id never finds a payment.

use std::str::FromStr;

use async_graphql::ID;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use event_schemas::{AccountId, CustomerId, InvalidId, OrderId, StreamId};

/// What an id is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A product.
    Product,
    /// A variant of a product.
    Variant,
    /// A category.
    Category,
    /// A cart.
    Cart,
    /// An order.
    Order,
    /// A shipment of an order.
    Fulfilment,
    /// A payment.
    Payment,
    /// The stock of a SKU at a location.
    Stock,
    /// A promotion.
    Promotion,
    /// A review.
    Review,
    /// An account.
    Account,
    /// A session of an account.
    Session,
    /// A passkey of an account.
    Passkey,
    /// An API key.
    ApiKey,
    /// A webhook.
    Webhook,
}

const KINDS: [(Kind, &str); 15] = [
    (Kind::Product, "product"),
    (Kind::Variant, "variant"),
    (Kind::Category, "category"),
    (Kind::Cart, "cart"),
    (Kind::Order, "order"),
    (Kind::Fulfilment, "fulfilment"),
    (Kind::Payment, "payment"),
    (Kind::Stock, "stock"),
    (Kind::Promotion, "promotion"),
    (Kind::Review, "review"),
    (Kind::Account, "account"),
    (Kind::Session, "session"),
    (Kind::Passkey, "passkey"),
    (Kind::ApiKey, "api_key"),
    (Kind::Webhook, "webhook"),
];

impl Kind {
    fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// The id of a thing.
pub(crate) fn encode(kind: Kind, id: impl std::fmt::Display) -> ID {
    ID(URL_SAFE_NO_PAD.encode(format!("{}:{id}", kind.name())))
}

/// What an id is of, and its own id within that kind.
pub(crate) fn parts(id: &ID) -> Option<(Kind, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id.as_str()).ok()?).ok()?;
    let (name, own) = text.split_once(':')?;
    let (kind, _) = KINDS.iter().find(|(_, known)| *known == name)?;
    Some((*kind, own.to_owned()))
}

/// The stream of the aggregate that an id is of; none if it is not an id of that kind.
pub(crate) fn stream(kind: Kind, id: &ID) -> Option<StreamId> {
    let (named, own) = parts(id)?;
    (named == kind).then(|| StreamId::new(kind.name(), own))
}

/// The thing's own id, if this is an id of that kind.
pub(crate) fn decode<T: FromStr>(kind: Kind, id: &ID) -> Option<T> {
    parts(id).filter(|(found, _)| *found == kind).and_then(|(_, own)| own.parse().ok())
}

/// A customer, by their own id or by the API's id of their account.
///
/// # Errors
/// If it is neither.
pub(crate) fn customer(text: &str) -> Result<CustomerId, InvalidId> {
    match decode::<AccountId>(Kind::Account, &ID(text.to_owned())) {
        Some(account) => Ok(account.customer_id()),
        None => CustomerId::new(text),
    }
}

/// An order, by its own id, by the name of its stream, or by the API's id.
///
/// # Errors
/// If it is none of these.
pub(crate) fn order(text: &str) -> Result<OrderId, String> {
    let own = || text.strip_prefix("order/").unwrap_or(text).parse().ok();
    let wrong = || format!("{text} is no id of an order, neither of the API nor, a UUID, of the log");
    decode(Kind::Order, &ID(text.to_owned())).or_else(own).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_schemas::PaymentId;

    #[test]
    fn an_id_finds_only_things_of_its_kind() {
        let order = OrderId("0197a3f0-7c1e-7000-8000-000000000001".parse().unwrap());
        let id = encode(Kind::Order, order);
        assert_eq!(decode::<OrderId>(Kind::Order, &id), Some(order));
        assert_eq!(decode::<PaymentId>(Kind::Payment, &id), None);
        for malformed in ["", "order", "b3JkZXI6", "b3JkZXI6MQ", "%%%", &order.to_string()] {
            assert_eq!(decode::<OrderId>(Kind::Order, &ID(malformed.to_owned())), None, "{malformed}");
        }
    }

    #[test]
    fn a_customer_is_named_by_either_id() {
        let account = AccountId("0197a3f0-7c1e-7000-8000-000000000001".parse().unwrap());
        for text in [encode(Kind::Account, account).to_string(), account.to_string()] {
            assert_eq!(customer(&text), Ok(account.customer_id()), "{text}");
        }
        let order = encode(Kind::Order, account).to_string();
        assert_eq!(customer(&order).unwrap().as_str(), order, "an id of another system may look like anything");
        assert_eq!(customer("14911").unwrap().as_str(), "14911");
        assert!(customer("").is_err());
    }
}
