//! Where an order, its money and its goods stand.

use async_graphql::Enum;

/// Where an order stands, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "event_schemas::OrderStatus")]
pub(crate) enum OrderStatus {
    /// Placed, and not wholly paid.
    Pending,
    /// Wholly paid.
    Paid,
    /// Being prepared in the warehouse.
    Processing,
    /// Some units have left the house.
    PartiallyShipped,
    /// All units have left the house.
    Shipped,
    /// Some units have arrived.
    PartiallyDelivered,
    /// All units have arrived.
    Delivered,
    /// Called off.
    Cancelled,
    /// Not paid in time.
    Expired,
    /// All units came back.
    Returned,
    /// Some units came back.
    PartiallyReturned,
}

/// How far the money of an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "event_schemas::OrderPaymentStatus")]
pub(crate) enum OrderPaymentStatus {
    /// Nothing is held and nothing came in.
    None,
    /// Less than what is due is held.
    PartiallyAuthorised,
    /// What is due is held, nothing is taken.
    Authorised,
    /// Less than what is due came in.
    PartiallyPaid,
    /// Exactly what is due came in.
    Paid,
    /// More than what is due came in and was kept.
    Overpaid,
    /// A part of what came in went back.
    PartiallyRefunded,
    /// All that came in went back.
    Refunded,
}

/// How far the goods of an order have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "event_schemas::FulfilmentStatus")]
pub(crate) enum FulfilmentStatus {
    /// Nothing has left the house.
    Unfulfilled,
    /// Some units have left the house.
    PartiallyShipped,
    /// All units have left the house.
    Shipped,
    /// Some units have arrived.
    PartiallyDelivered,
    /// All units have arrived.
    Delivered,
}

/// What a charge on an order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "event_schemas::ChargeKind")]
pub(crate) enum ChargeKind {
    /// Shipping and handling.
    Shipping,
    /// A fee, such as for gift wrapping, a market place or a bank.
    Fee,
    /// A discount on the whole order, entered by hand (negative).
    Discount,
    /// Any other amount entered by hand.
    Manual,
}
