//! The independent model: what the shop promises, written from its design with simple data and none of its aggregates.
//!
//! It folds what the log holds and says, for anything that is asked, which events follow or which rule refuses it. That it
//! agrees with the engine at the same place of the log is what the auditor checks.

mod buying;
mod fold;
mod goods;
mod money;
mod orders;
mod settling;

use std::collections::BTreeMap;

use event_schemas::Recorded;
use serde_json::Value;
use uuid::Uuid;

use super::ask::{Ask, Shelf};

/// How long a cart lives after its last change, and how long an order waits for its money, in minutes.
pub const CART_MINUTES: i64 = 60;
pub const RESERVATION_MINUTES: i64 = 15;
pub const LOCATIONS: [&str; 2] = ["main", "north"];
/// Shipping methods with their prices.
pub const METHODS: [(&str, i64); 2] = [("standard", 490), ("pickup", 0)];
/// Microseconds of a minute.
pub const MINUTE: i64 = 60_000_000;

/// The code of the rule that refuses.
pub type Code = &'static str;

/// What an event must say.
#[derive(Debug, Clone, PartialEq)]
enum Fact {
    Number(i64),
    Text(String),
}

/// An event that must follow.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    stream: String,
    kind: &'static str,
    facts: Vec<(&'static str, Fact)>,
}

impl Effect {
    fn on(aggregate: &str, id: impl std::fmt::Display, kind: &'static str) -> Self {
        Self { stream: format!("{aggregate}/{id}"), kind, facts: Vec::new() }
    }

    fn number(mut self, field: &'static str, value: impl Into<i64>) -> Self {
        self.facts.push((field, Fact::Number(value.into())));
        self
    }

    fn text(mut self, field: &'static str, value: impl ToString) -> Self {
        self.facts.push((field, Fact::Text(value.to_string())));
        self
    }

    /// Whether the event is of this stream and kind and says all of this.
    pub fn is(&self, recorded: &Recorded, payload: &Value) -> bool {
        let says = |(field, fact): &(&'static str, Fact)| {
            let value = payload.pointer(field);
            match fact {
                Fact::Number(number) => value.and_then(Value::as_i64) == Some(*number),
                Fact::Text(text) => value.and_then(Value::as_str) == Some(text),
            }
        };
        recorded.event.event_type == self.kind && recorded.event.stream.to_string() == self.stream && self.facts.iter().all(says)
    }
}

/// What follows, or the rule that forbids it.
pub type Answer = Result<Vec<Effect>, Code>;

#[derive(Debug, Default)]
pub struct Stock {
    pub on_hand: i64,
    pub safety: i64,
    pub backorder: i64,
    /// Units set aside by order, and whether the order is paid.
    pub held: BTreeMap<Uuid, (i64, bool)>,
}

#[derive(Debug)]
pub struct Product {
    pub variant: Uuid,
    pub sku: String,
    pub price: i64,
    pub on_sale: bool,
}

#[derive(Debug, Default)]
pub struct OpenCart {
    /// SKU, units and price of one, in the order in which they came.
    pub lines: Vec<(String, i64, i64)>,
    pub email: bool,
    pub address: bool,
    pub method: Option<String>,
    pub coupons: Vec<String>,
    pub expires_at: i64,
}

#[derive(Debug)]
pub enum Cart {
    Open(OpenCart),
    CheckedOut,
    Expired,
}

#[derive(Debug, Clone, Copy)]
pub enum Off {
    Ppm(i64),
    Minor(i64),
}

#[derive(Debug)]
pub struct Promotion {
    pub code: String,
    pub off: Off,
    pub limit: Option<i64>,
    pub uses: i64,
    pub ended: bool,
}

/// Units that a location sends for an order.
#[derive(Debug)]
pub struct Share {
    pub shelf: Shelf,
    pub quantity: i64,
    pub shipped: i64,
}

#[derive(Debug, Default)]
pub struct Order {
    pub due: i64,
    pub received: i64,
    pub refunded: i64,
    pub paid: bool,
    pub cancelled: bool,
    pub expired: bool,
    pub processing: bool,
    pub pay_by: Option<i64>,
    pub payment: Option<Uuid>,
    pub promotions: Vec<Uuid>,
    pub ordered: BTreeMap<String, i64>,
    pub shipped: BTreeMap<String, i64>,
    pub returned: BTreeMap<String, i64>,
    /// Units in each parcel, and whether it arrived.
    pub parcels: BTreeMap<Uuid, (i64, bool)>,
    pub shares: Vec<Share>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attempt {
    #[default]
    None,
    Asked,
    WaitsForBuyer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refund {
    Pending(i64),
    Done,
    Failed,
}

#[derive(Debug, Default, Clone)]
pub struct Payment {
    pub order: Uuid,
    pub amount: i64,
    pub held: i64,
    pub captured: i64,
    pub refunded: i64,
    pub capturing: i64,
    pub disputed: i64,
    pub charged_back: i64,
    pub attempt: Attempt,
    pub void_requested: bool,
    pub expired: bool,
    /// When some hold on the money runs out, if the gateway said so.
    pub held_until: Option<i64>,
    pub refunds: BTreeMap<Uuid, Refund>,
    /// What the gateway called each thing that it did, with the kind of thing.
    pub references: std::collections::BTreeSet<(&'static str, String)>,
}

/// The shop as the log says it is.
#[derive(Debug, Default)]
pub struct Model {
    pub shelves: BTreeMap<Shelf, Stock>,
    empty: Stock,
    pub products: BTreeMap<Uuid, Product>,
    pub carts: BTreeMap<Uuid, Cart>,
    pub promotions: BTreeMap<Uuid, Promotion>,
    pub orders: BTreeMap<Uuid, Order>,
    pub payments: BTreeMap<Uuid, Payment>,
}

impl Model {
    /// What must follow when this is asked at `now`, in microseconds.
    pub fn predict(&self, ask: &Ask, now: i64) -> Answer {
        match ask {
            Ask::Open => Ok(vec![]),
            Ask::Receive { .. } | Ask::Adjust { .. } | Ask::Count { .. } | Ask::Transfer { .. } | Ask::Policy { .. } => {
                self.goods(ask)
            }
            Ask::Price { .. } | Ask::EndPromotion { .. } => self.catalog(ask),
            Ask::NewCart { .. } | Ask::Lines { .. } | Ask::Details { .. } => self.filling(ask, now),
            Ask::Checkout { cart, order, payment } => self.checkout(*cart, *order, *payment, now),
            Ask::Confirm { .. } | Ask::Capture { .. } | Ask::Void { .. } | Ask::Refund { .. } | Ask::Report { .. } => {
                self.money(ask, now)
            }
            Ask::Cancel { .. }
            | Ask::StartProcessing { .. }
            | Ask::Ship { .. }
            | Ask::Deliver { .. }
            | Ask::Return { .. }
            | Ask::Note { .. } => self.fulfilling(ask),
            Ask::RecordPayment { .. }
            | Ask::VoidHoldOfClosedOrder { .. }
            | Ask::RecordRefund { .. }
            | Ask::GiveBackToClosedOrder { .. }
            | Ask::CancelUnpaid { .. }
            | Ask::ExpireCart { .. }
            | Ask::ExpireOrder { .. }
            | Ask::ExpirePayment { .. } => self.settling(ask, now),
        }
    }
}
