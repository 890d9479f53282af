//! An order, from placed to delivered and back: what was promised, what was paid, what was shipped.

use std::collections::{BTreeMap, BTreeSet};

use event_schemas::{
    CancelledBy, Currency, CustomerId, FulfilmentDelivered, FulfilmentId, LocationId, Money, OrderCancelled, OrderEvent,
    OrderExpired, OrderFacts, OrderFulfilled, OrderItemsReturned, OrderNoteAdded, OrderPaymentReceived, OrderPlaced,
    OrderProcessingStarted, OrderRefunded, OrderReinstated, OrderStatus, PaymentId, PromotionId, Sku, SkuAllocation, SkuQuantity,
    Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::SealedText;

/// What can be asked of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderCommand {
    /// Place it.
    Place(Box<OrderPlaced>),
    /// Money arrived.
    ReceivePayment(OrderPaymentReceived),
    /// Money went back.
    RecordRefund(OrderRefunded),
    /// Call it off.
    Cancel {
        /// Who does it.
        by: CancelledBy,
        /// Why.
        reason: String,
    },
    /// Give up waiting for the money.
    Expire {
        /// The time of asking.
        now: Timestamp,
    },
    /// It was paid after it expired, and its stock could be set aside again.
    Reinstate {
        /// Where the units come from now.
        allocations: Vec<SkuAllocation>,
    },
    /// Begin to prepare it.
    StartProcessing,
    /// Write something down about it.
    AddNote(SealedText),
    /// Send a parcel.
    Fulfil(OrderFulfilled),
    /// A parcel arrived.
    Deliver {
        /// The parcel.
        fulfilment_id: FulfilmentId,
    },
    /// Goods came back.
    ReturnItems(OrderItemsReturned),
}

/// The most characters that a note may have.
const MOST_NOTE_CHARS: usize = 2000;

/// Why a command to an order was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OrderRefusal {
    /// There is no such order.
    #[error("there is no such order")]
    NotFound,
    /// The id is in use.
    #[error("the order exists already")]
    AlreadyExists,
    /// An order is of something.
    #[error("an order needs at least one line, with at least one unit each")]
    NoLines,
    /// The order's state forbids it.
    #[error("that is not possible while the order is {status:?}")]
    WrongState {
        /// Where the order stands.
        status: OrderStatus,
    },
    /// The order's time to be paid is over.
    #[error("the order was to be paid by {pay_by}")]
    TooLateToPay {
        /// When it was to be paid.
        pay_by: Timestamp,
    },
    /// Only a paid order is prepared and shipped.
    #[error("the order is not paid")]
    NotPaid,
    /// What has left the house cannot be called off, only returned.
    #[error("a part of the order has been shipped; it can be returned, not cancelled")]
    AlreadyShipped,
    /// A parcel holds something, and each SKU once.
    #[error("name at least one item, each SKU once, with at least one unit")]
    NoItems,
    /// No more is shipped than was ordered.
    #[error("only {left} of {sku} are left to ship, and {requested} were named")]
    MoreThanOrdered {
        /// The SKU.
        sku: Sku,
        /// Units that are left to ship.
        left: u32,
        /// Units named.
        requested: u32,
    },
    /// No more comes back than was shipped.
    #[error("only {left} of {sku} can come back, and {requested} were named")]
    MoreThanShipped {
        /// The SKU.
        sku: Sku,
        /// Units that were shipped and have not come back.
        left: u32,
        /// Units named.
        requested: u32,
    },
    /// A fulfilment's id means one parcel.
    #[error("a fulfilment with this id exists already")]
    FulfilmentExists,
    /// The order has no such parcel.
    #[error("the order has no such fulfilment")]
    FulfilmentNotFound,
    /// No more goes back than came in.
    #[error("no more can go back for the order than came in")]
    RefundExceedsReceived,
    /// All amounts of an order are in its currency.
    #[error("the order is in {order}, not in {payment}")]
    CurrencyMismatch {
        /// The order's currency.
        order: Currency,
        /// The payment's currency.
        payment: Currency,
    },
    /// A note says something, and not too much.
    #[error("a note has 1 to {MOST_NOTE_CHARS} characters")]
    NoteInvalid,
    /// It is too early to give up.
    #[error("the order may be paid until {until}")]
    NotDue {
        /// Until when it may be paid.
        until: Timestamp,
    },
}

impl OrderRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "ORDER_NOT_FOUND",
            Self::AlreadyExists => "ORDER_EXISTS",
            Self::NoLines => "NO_LINES",
            Self::WrongState { .. } => "WRONG_STATE",
            Self::TooLateToPay { .. } => "TOO_LATE_TO_PAY",
            Self::NotPaid => "NOT_PAID",
            Self::AlreadyShipped => "ALREADY_SHIPPED",
            Self::NoItems => "NO_ITEMS",
            Self::MoreThanOrdered { .. } => "MORE_THAN_ORDERED",
            Self::MoreThanShipped { .. } => "MORE_THAN_SHIPPED",
            Self::FulfilmentExists => "FULFILMENT_EXISTS",
            Self::FulfilmentNotFound => "FULFILMENT_NOT_FOUND",
            Self::NoteInvalid => "NOTE_INVALID",
            Self::RefundExceedsReceived => "REFUND_EXCEEDS_RECEIVED",
            Self::CurrencyMismatch { .. } => "CURRENCY_MISMATCH",
            Self::NotDue { .. } => "NOT_DUE",
        }
    }
}

/// What came in and went back through one payment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Flow {
    received: i64,
    refunded: i64,
}

/// Units of a SKU that one location sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Allocation {
    sku: Sku,
    location: LocationId,
    quantity: u32,
    shipped: u32,
}

/// An order that was placed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlacedOrder {
    /// The facts that its status follows from.
    pub facts: OrderFacts,
    /// The currency of all its amounts.
    pub currency: Currency,
    /// The customer, if known.
    pub customer_id: Option<CustomerId>,
    /// When it expires unless paid.
    pub pay_by: Option<Timestamp>,
    /// The promotions that it used.
    pub promotions: Vec<PromotionId>,
    payment_id: Option<PaymentId>,
    flows: BTreeMap<PaymentId, Flow>,
    allocations: Vec<Allocation>,
}

impl PlacedOrder {
    /// Its payments: the one opened for it first, then all that money came from.
    pub fn payments(&self) -> Vec<PaymentId> {
        let others = self.flows.keys().copied().filter(|id| Some(*id) != self.payment_id);
        self.payment_id.into_iter().chain(others).collect()
    }

    /// What came in through a payment, in minor units.
    pub fn received_from(&self, payment_id: PaymentId) -> i64 {
        self.flows.get(&payment_id).map_or(0, |flow| flow.received)
    }

    /// What went back through a payment, in minor units.
    pub fn refunded_to(&self, payment_id: PaymentId) -> i64 {
        self.flows.get(&payment_id).map_or(0, |flow| flow.refunded)
    }

    /// Where its units are set aside.
    pub fn stocks(&self) -> BTreeSet<(&Sku, &LocationId)> {
        self.allocations.iter().map(|held| (&held.sku, &held.location)).collect()
    }

    /// From where units of a SKU are sent next. Fewer than asked for when stock is not kept of some of them.
    pub fn pick(&self, sku: &Sku, quantity: u32) -> Vec<(LocationId, u32)> {
        let mut left = quantity;
        let mut picked = Vec::new();
        for held in self.allocations.iter().filter(|held| held.sku == *sku) {
            let units = left.min(held.quantity.saturating_sub(held.shipped));
            if units > 0 {
                picked.push((held.location.clone(), units));
            }
            left -= units;
        }
        picked
    }

    /// All that is left to ship.
    pub fn unshipped(&self) -> Vec<SkuQuantity> {
        let left = self.facts.ordered.keys().map(|sku| SkuQuantity { sku: sku.clone(), quantity: self.facts.unshipped(sku) });
        left.filter(|item| item.quantity > 0).collect()
    }

    fn must_be(&self, allowed: bool) -> Result<(), OrderRefusal> {
        if allowed { Ok(()) } else { Err(OrderRefusal::WrongState { status: self.facts.status() }) }
    }

    fn must_be_in(&self, amount: Money) -> Result<(), OrderRefusal> {
        let (order, payment) = (self.currency, amount.currency);
        if order == payment { Ok(()) } else { Err(OrderRefusal::CurrencyMismatch { order, payment }) }
    }

    fn decide(&self, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderRefusal> {
        use OrderCommand::{
            AddNote, Cancel, Deliver, Expire, Fulfil, Place, ReceivePayment, RecordRefund, Reinstate, ReturnItems,
            StartProcessing,
        };
        let facts = &self.facts;
        match command {
            Place(_) => Err(OrderRefusal::AlreadyExists),
            // Money that arrived is a fact, whatever the order's state.
            ReceivePayment(received) => {
                self.must_be_in(received.amount)?;
                Ok(vec![received.into()])
            }
            RecordRefund(refunded) => {
                self.must_be_in(refunded.amount)?;
                let left = self.received_from(refunded.payment_id) - self.refunded_to(refunded.payment_id);
                if refunded.amount.minor > left { Err(OrderRefusal::RefundExceedsReceived) } else { Ok(vec![refunded.into()]) }
            }
            Cancel { by, reason } => {
                self.must_be(!facts.is_closed())?;
                if !facts.shipped.is_empty() {
                    return Err(OrderRefusal::AlreadyShipped);
                }
                Ok(vec![OrderCancelled { by, reason }.into()])
            }
            Expire { now } => match self.pay_by {
                Some(_) if facts.is_closed() || facts.is_paid() || !facts.shipped.is_empty() => Ok(vec![]),
                Some(until) if now < until => Err(OrderRefusal::NotDue { until }),
                Some(_) => Ok(vec![OrderExpired {}.into()]),
                None => Ok(vec![]),
            },
            Reinstate { allocations } => {
                self.must_be(facts.expired && !facts.cancelled)?;
                Ok(vec![OrderReinstated { allocations }.into()])
            }
            StartProcessing => {
                self.must_be_preparable()?;
                self.must_be(!facts.processing && facts.shipped.is_empty())?;
                Ok(vec![OrderProcessingStarted {}.into()])
            }
            AddNote(note) => add_note(note),
            Fulfil(parcel) => {
                self.must_be_preparable()?;
                must_name_items(&parcel.items)?;
                for SkuQuantity { sku, quantity: requested } in parcel.items.clone() {
                    let left = facts.unshipped(&sku);
                    if requested > left {
                        return Err(OrderRefusal::MoreThanOrdered { sku, left, requested });
                    }
                }
                let used = facts.parcels.contains_key(&parcel.fulfilment_id);
                if used { Err(OrderRefusal::FulfilmentExists) } else { Ok(vec![parcel.into()]) }
            }
            Deliver { fulfilment_id } => {
                let parcel = facts.parcels.get(&fulfilment_id).ok_or(OrderRefusal::FulfilmentNotFound)?;
                Ok(if parcel.delivered { vec![] } else { vec![FulfilmentDelivered { fulfilment_id }.into()] })
            }
            ReturnItems(returned) => {
                must_name_items(&returned.items)?;
                for SkuQuantity { sku, quantity: requested } in returned.items.clone() {
                    let left = facts.returnable(&sku);
                    if requested > left {
                        return Err(OrderRefusal::MoreThanShipped { sku, left, requested });
                    }
                }
                Ok(vec![returned.into()])
            }
        }
    }

    fn must_be_preparable(&self) -> Result<(), OrderRefusal> {
        self.must_be(!self.facts.is_closed())?;
        if self.facts.is_paid() { Ok(()) } else { Err(OrderRefusal::NotPaid) }
    }

    fn evolve(&mut self, event: &OrderEvent) {
        self.facts.evolve(event);
        match event {
            OrderEvent::OrderPaymentReceived(e) => {
                let flow = self.flows.entry(e.payment_id).or_default();
                flow.received = flow.received.saturating_add(e.amount.minor);
            }
            OrderEvent::OrderRefunded(e) => {
                let flow = self.flows.entry(e.payment_id).or_default();
                flow.refunded = flow.refunded.saturating_add(e.amount.minor);
            }
            OrderEvent::OrderReinstated(e) => {
                let set_aside = |from: &SkuAllocation| Allocation {
                    sku: from.sku.clone(),
                    location: from.location.clone(),
                    quantity: from.quantity,
                    shipped: 0,
                };
                self.allocations = e.allocations.iter().map(set_aside).collect();
            }
            OrderEvent::OrderFulfilled(e) => e.items.iter().for_each(|item| self.ship(&item.sku, item.quantity)),
            OrderEvent::OrderPlaced(_)
            | OrderEvent::OrderCancelled(_)
            | OrderEvent::OrderExpired(_)
            | OrderEvent::OrderProcessingStarted(_)
            | OrderEvent::OrderNoteAdded(_)
            | OrderEvent::FulfilmentDelivered(_)
            | OrderEvent::OrderItemsReturned(_) => {}
        }
    }

    fn ship(&mut self, sku: &Sku, quantity: u32) {
        let mut left = quantity;
        for held in self.allocations.iter_mut().filter(|held| held.sku == *sku) {
            let units = left.min(held.quantity.saturating_sub(held.shipped));
            held.shipped += units;
            left -= units;
        }
    }
}

fn add_note(note: SealedText) -> Result<Vec<OrderEvent>, OrderRefusal> {
    if !note.has_at_most(MOST_NOTE_CHARS) {
        return Err(OrderRefusal::NoteInvalid);
    }
    Ok(vec![OrderNoteAdded { note: note.text }.into()])
}

fn must_name_items(items: &[SkuQuantity]) -> Result<(), OrderRefusal> {
    let different: BTreeSet<_> = items.iter().map(|item| &item.sku).collect();
    let named = !items.is_empty() && different.len() == items.len() && items.iter().all(|item| item.quantity > 0);
    if named { Ok(()) } else { Err(OrderRefusal::NoItems) }
}

/// An order. How it stands beyond being placed is derived: see [`OrderFacts::status`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Does not exist yet.
    #[default]
    Absent,
    /// Was placed.
    Placed(Box<PlacedOrder>),
}

impl Order {
    /// The order, unless it does not exist.
    ///
    /// # Errors
    /// [`OrderRefusal::NotFound`].
    pub fn placed(&self) -> Result<&PlacedOrder, OrderRefusal> {
        match self {
            Self::Absent => Err(OrderRefusal::NotFound),
            Self::Placed(order) => Ok(order),
        }
    }

    /// Whether a buyer may pay at `now`.
    ///
    /// # Errors
    /// If the order does not exist, is closed, paid already or out of time.
    pub fn must_be_payable_at(&self, now: Timestamp) -> Result<(), OrderRefusal> {
        let order = self.placed()?;
        order.must_be(!order.facts.is_closed() && !order.facts.is_paid())?;
        match order.pay_by {
            Some(pay_by) if pay_by <= now => Err(OrderRefusal::TooLateToPay { pay_by }),
            _ => Ok(()),
        }
    }

    /// The rules. Pure: no clock, no I/O, no randomness.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: OrderCommand) -> Result<Vec<OrderEvent>, OrderRefusal> {
        match (self, command) {
            (Self::Absent, OrderCommand::Place(order)) => {
                let filled = !order.lines.is_empty() && order.lines.iter().all(|line| line.quantity > 0);
                if filled { Ok(vec![(*order).into()]) } else { Err(OrderRefusal::NoLines) }
            }
            (Self::Absent, _) => Err(OrderRefusal::NotFound),
            (Self::Placed(order), command) => order.decide(command),
        }
    }

    /// The fold. Total: history is never refused.
    pub fn evolve(&mut self, event: &OrderEvent) {
        match (&mut *self, event) {
            (Self::Absent, OrderEvent::OrderPlaced(placed)) => *self = Self::Placed(Box::new(as_placed(placed))),
            (Self::Absent, _) => {}
            (Self::Placed(order), event) => order.evolve(event),
        }
    }
}

fn as_placed(placed: &OrderPlaced) -> PlacedOrder {
    let allocations = placed.lines.iter().flat_map(|line| {
        line.allocations.iter().map(|from| Allocation {
            sku: line.sku.clone(),
            location: from.location.clone(),
            quantity: from.quantity,
            shipped: 0,
        })
    });
    PlacedOrder {
        facts: OrderFacts::of(placed),
        currency: placed.currency,
        customer_id: placed.customer_id.clone(),
        pay_by: placed.pay_by,
        promotions: placed.discounts.iter().map(|discount| discount.promotion_id).collect(),
        payment_id: placed.payment_id,
        flows: BTreeMap::new(),
        allocations: allocations.collect(),
    }
}
