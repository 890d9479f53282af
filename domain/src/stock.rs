//! The stock of one SKU at one location: what is there, and what is set aside for whom.

use std::collections::BTreeMap;

use event_schemas::{
    AdjustmentReason, LocationId, OrderId, ReleaseReason, ReservationCommitted, ReservationReleased, ReturnId, Sku,
    StockAdjusted, StockCounted, StockEvent, StockId, StockPolicySet, StockReceived, StockReserved, StockReturned, StockShipped,
    StockTransferredIn, StockTransferredOut, Timestamp,
};
use serde::{Deserialize, Serialize};

/// The most units that one location can hold of one SKU.
pub const MAX_ON_HAND: i64 = u32::MAX as i64;

/// What can be asked of the stock of one SKU at one location.
#[derive(Debug, Clone, PartialEq)]
pub enum StockCommand {
    /// Goods came in.
    Receive {
        /// Of what, and where.
        stock: StockId,
        /// How many units.
        quantity: u32,
        /// The delivery they belong to, if known.
        reference: Option<String>,
    },
    /// Correct the books by hand.
    Adjust {
        /// Of what, and where.
        stock: StockId,
        /// Units to add, or to take away when negative.
        delta: i64,
        /// Why.
        reason: AdjustmentReason,
        /// Why, in words.
        note: Option<String>,
    },
    /// The shelf was counted.
    Count {
        /// Of what, and where.
        stock: StockId,
        /// Units found.
        counted: u32,
    },
    /// Send units to another location.
    TransferOut {
        /// How many units.
        quantity: u32,
        /// Where to.
        to: LocationId,
    },
    /// Take in units from another location.
    TransferIn {
        /// Of what, and where to.
        stock: StockId,
        /// How many units.
        quantity: u32,
        /// Where from.
        from: LocationId,
    },
    /// Set the rules for selling.
    SetPolicy(StockPolicySet),
    /// Set units aside for an order.
    Reserve {
        /// Of what, for the refusal to say.
        sku: Sku,
        /// The order.
        order_id: OrderId,
        /// How many units.
        quantity: u32,
        /// When they are given back unless paid; none for an order that is paid already.
        expires_at: Option<Timestamp>,
    },
    /// The order is paid.
    Commit {
        /// The order.
        order_id: OrderId,
    },
    /// The order is off: give its units back.
    Release {
        /// The order.
        order_id: OrderId,
        /// Why.
        reason: ReleaseReason,
    },
    /// Units leave the house for a paid order.
    Ship {
        /// The order.
        order_id: OrderId,
        /// How many units.
        quantity: u32,
    },
    /// Units come back from a customer, fit to be sold again.
    Return {
        /// Of what, and where to.
        stock: StockId,
        /// How many units.
        quantity: u32,
        /// The return.
        return_id: ReturnId,
    },
}

/// Fewer units can be sold than were asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("only {available} of {sku} can be sold, and {requested} were asked for")]
pub struct Shortage {
    /// The SKU.
    pub sku: Sku,
    /// Units that can be sold now, over all locations that were looked at.
    pub available: u64,
    /// Units asked for.
    pub requested: u32,
}

/// Why a command to stock was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StockRefusal {
    /// A movement of nothing is no movement.
    #[error("the quantity must be at least 1")]
    NothingToMove,
    /// More than [`MAX_ON_HAND`].
    #[error("a location holds at most {MAX_ON_HAND} units of a SKU")]
    TooManyUnits,
    /// Fewer units can be sold than were asked for.
    #[error("{0}")]
    Insufficient(Shortage),
    /// Units set aside for orders cannot be taken away.
    #[error("{held} units are set aside for orders, so of {on_hand} on hand not as many as {requested} can be taken away")]
    SetAsideForOrders {
        /// Units on hand.
        on_hand: i64,
        /// Units set aside for orders.
        held: u64,
        /// Units asked for.
        requested: u64,
    },
    /// More is sold beyond what is there than the new limit allows.
    #[error("{outstanding} units are already sold beyond what is there, more than the limit allows")]
    BackordersOutstanding {
        /// Units set aside beyond those on hand.
        outstanding: u64,
    },
    /// The order has units set aside here already.
    #[error("the order already has units set aside here")]
    AlreadyReserved,
    /// The order has no units set aside here.
    #[error("the order has no units set aside here")]
    NotReserved,
    /// Only a paid order is shipped.
    #[error("the units are set aside for an order that is not paid")]
    NotCommitted,
    /// An order is not sent more than was set aside for it.
    #[error("{reserved} units are set aside for the order, fewer than {requested}")]
    MoreThanReserved {
        /// Units set aside for the order.
        reserved: u32,
        /// Units asked for.
        requested: u32,
    },
    /// Units that are not there cannot leave: the order waits for its backorder.
    #[error("only {on_hand} units are on hand, fewer than {requested}")]
    NotOnHand {
        /// Units on hand.
        on_hand: i64,
        /// Units asked for.
        requested: u32,
    },
    /// A transfer needs two places.
    #[error("a transfer needs two different locations")]
    SameLocation,
}

impl StockRefusal {
    /// The stable code of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NothingToMove => "INVALID_QUANTITY",
            Self::TooManyUnits => "TOO_MANY_UNITS",
            Self::Insufficient(_) => "INSUFFICIENT_STOCK",
            Self::SetAsideForOrders { .. } => "STOCK_SET_ASIDE_FOR_ORDERS",
            Self::BackordersOutstanding { .. } => "BACKORDERS_OUTSTANDING",
            Self::AlreadyReserved => "STOCK_ALREADY_RESERVED",
            Self::NotReserved => "STOCK_NOT_RESERVED",
            Self::NotCommitted => "STOCK_NOT_COMMITTED",
            Self::MoreThanReserved { .. } => "MORE_THAN_RESERVED",
            Self::NotOnHand { .. } => "NOT_ON_HAND",
            Self::SameLocation => "SAME_LOCATION",
        }
    }
}

/// Units set aside for one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Reservation {
    quantity: u32,
    committed: bool,
}

/// The stock of one SKU at one location. One that nothing ever happened to is empty.
///
/// Held units (reserved or committed) never exceed those on hand plus the backorder limit, at the moment they are set aside
/// and after anything that the shop itself decides. A count is a fact, not a decision: when it finds fewer units than are
/// held, it is recorded all the same, nothing more can be sold, and the orders concerned wait as backorders do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stock {
    on_hand: i64,
    held: u64,
    safety_stock: u32,
    backorder_limit: u32,
    reservations: BTreeMap<OrderId, Reservation>,
}

impl Stock {
    /// Units on hand, set aside or not.
    pub fn on_hand(&self) -> i64 {
        self.on_hand
    }

    /// Units set aside for orders, paid (committed) or not yet (reserved).
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Units that may be sold beyond what is there.
    pub fn backorder_limit(&self) -> u32 {
        self.backorder_limit
    }

    /// Units on hand that are free to be sold; never negative.
    pub fn available(&self) -> u64 {
        let free = i128::from(self.on_hand) - i128::from(self.held) - i128::from(self.safety_stock);
        u64::try_from(free).unwrap_or(0)
    }

    /// Units that can be sold: those free on hand, and those that may be sold beyond; never negative.
    pub fn sellable(&self) -> u64 {
        let free = i128::from(self.on_hand) - i128::from(self.held) - i128::from(self.safety_stock);
        u64::try_from(free + i128::from(self.backorder_limit)).unwrap_or(0)
    }

    /// Units set aside for an order here.
    pub fn reserved_for(&self, order_id: OrderId) -> u32 {
        self.reservations.get(&order_id).map_or(0, |reservation| reservation.quantity)
    }

    /// Units held beyond those on hand.
    fn outstanding(&self) -> u64 {
        u64::try_from(i128::from(self.held) - i128::from(self.on_hand)).unwrap_or(0)
    }

    /// The rules. Pure: no clock, no I/O, no randomness.
    ///
    /// # Errors
    /// The first rule that forbids the command.
    pub fn decide(&self, command: StockCommand) -> Result<Vec<StockEvent>, StockRefusal> {
        use StockCommand::{Adjust, Commit, Count, Receive, Release, Reserve, Return, SetPolicy, Ship, TransferIn, TransferOut};
        match command {
            Receive { stock: StockId { sku, location }, quantity, reference } => {
                self.must_take_in(quantity)?;
                Ok(vec![StockReceived { sku, location, quantity, reference }.into()])
            }
            Adjust { stock: StockId { sku, location }, delta, reason, note } => {
                self.must_move(delta)?;
                Ok(vec![StockAdjusted { sku, location, delta, reason, note }.into()])
            }
            Count { stock: StockId { sku, location }, counted } => {
                Ok(vec![StockCounted { sku, location, counted, expected: self.on_hand }.into()])
            }
            TransferOut { quantity, to } => {
                self.must_move(-i64::from(quantity))?;
                Ok(vec![StockTransferredOut { quantity, to }.into()])
            }
            TransferIn { stock: StockId { sku, location }, quantity, from } => {
                self.must_take_in(quantity)?;
                Ok(vec![StockTransferredIn { sku, location, quantity, from }.into()])
            }
            SetPolicy(policy) => {
                let outstanding = self.outstanding();
                if outstanding > u64::from(policy.backorder_limit) && policy.backorder_limit < self.backorder_limit {
                    return Err(StockRefusal::BackordersOutstanding { outstanding });
                }
                Ok(vec![policy.into()])
            }
            Reserve { sku, order_id, quantity, expires_at } => {
                self.must_be_sellable(sku, order_id, quantity)?;
                Ok(vec![StockReserved { order_id, quantity, expires_at }.into()])
            }
            Commit { order_id } => {
                let reservation = self.reservations.get(&order_id).ok_or(StockRefusal::NotReserved)?;
                Ok(if reservation.committed { vec![] } else { vec![ReservationCommitted { order_id }.into()] })
            }
            Release { order_id, reason } => Ok(match self.reserved_for(order_id) {
                0 => vec![],
                quantity => vec![ReservationReleased { order_id, quantity, reason }.into()],
            }),
            Ship { order_id, quantity } => {
                self.must_be_shippable(order_id, quantity)?;
                Ok(vec![StockShipped { order_id, quantity }.into()])
            }
            Return { stock: StockId { sku, location }, quantity, return_id } => {
                self.must_take_in(quantity)?;
                Ok(vec![StockReturned { sku, location, quantity, return_id }.into()])
            }
        }
    }

    fn must_take_in(&self, quantity: u32) -> Result<(), StockRefusal> {
        self.must_move(i64::from(quantity))
    }

    /// Units may come in up to the limit, and leave as long as what is held stays there.
    fn must_move(&self, delta: i64) -> Result<(), StockRefusal> {
        if delta == 0 {
            return Err(StockRefusal::NothingToMove);
        }
        let after = i128::from(self.on_hand) + i128::from(delta);
        if delta > 0 && after > i128::from(MAX_ON_HAND) {
            return Err(StockRefusal::TooManyUnits);
        }
        if delta < 0 && after < i128::from(self.held) {
            let requested = delta.unsigned_abs();
            return Err(StockRefusal::SetAsideForOrders { on_hand: self.on_hand, held: self.held, requested });
        }
        Ok(())
    }

    fn must_be_sellable(&self, sku: Sku, order_id: OrderId, requested: u32) -> Result<(), StockRefusal> {
        if requested == 0 {
            return Err(StockRefusal::NothingToMove);
        }
        if self.reservations.contains_key(&order_id) {
            return Err(StockRefusal::AlreadyReserved);
        }
        let available = self.sellable();
        if u64::from(requested) > available {
            return Err(StockRefusal::Insufficient(Shortage { sku, available, requested }));
        }
        Ok(())
    }

    fn must_be_shippable(&self, order_id: OrderId, requested: u32) -> Result<(), StockRefusal> {
        if requested == 0 {
            return Err(StockRefusal::NothingToMove);
        }
        let reservation = self.reservations.get(&order_id).ok_or(StockRefusal::NotReserved)?;
        if !reservation.committed {
            return Err(StockRefusal::NotCommitted);
        }
        if requested > reservation.quantity {
            return Err(StockRefusal::MoreThanReserved { reserved: reservation.quantity, requested });
        }
        if self.on_hand < i64::from(requested) {
            return Err(StockRefusal::NotOnHand { on_hand: self.on_hand, requested });
        }
        Ok(())
    }

    /// The fold. Total: history is never refused. Takes time logarithmic in the number of open reservations.
    pub fn evolve(&mut self, event: &StockEvent) {
        match event {
            StockEvent::StockReceived(e) => self.moved(e.quantity.into()),
            StockEvent::StockAdjusted(e) => self.moved(e.delta),
            StockEvent::StockCounted(e) => self.on_hand = e.counted.into(),
            StockEvent::StockTransferredOut(e) => self.moved(-i64::from(e.quantity)),
            StockEvent::StockTransferredIn(e) => self.moved(e.quantity.into()),
            StockEvent::StockReturned(e) => self.moved(e.quantity.into()),
            StockEvent::StockPolicySet(e) => {
                self.safety_stock = e.safety_stock;
                self.backorder_limit = e.backorder_limit;
            }
            StockEvent::StockReserved(e) => {
                let none = Reservation { quantity: 0, committed: e.expires_at.is_none() };
                let reservation = self.reservations.entry(e.order_id).or_insert(none);
                self.held -= u64::from(reservation.quantity);
                reservation.quantity = reservation.quantity.saturating_add(e.quantity);
                self.held += u64::from(reservation.quantity);
            }
            StockEvent::ReservationCommitted(e) => {
                if let Some(reservation) = self.reservations.get_mut(&e.order_id) {
                    reservation.committed = true;
                }
            }
            StockEvent::ReservationReleased(e) => self.let_go(e.order_id, e.quantity),
            StockEvent::StockShipped(e) => {
                self.moved(-i64::from(e.quantity));
                self.let_go(e.order_id, e.quantity);
            }
        }
    }

    fn moved(&mut self, delta: i64) {
        self.on_hand = self.on_hand.saturating_add(delta);
    }

    /// Takes units off an order's reservation, and the reservation away once it is used up.
    fn let_go(&mut self, order_id: OrderId, quantity: u32) {
        let Some(reservation) = self.reservations.get_mut(&order_id) else { return };
        let quantity = quantity.min(reservation.quantity);
        reservation.quantity -= quantity;
        self.held -= u64::from(quantity);
        if reservation.quantity == 0 {
            self.reservations.remove(&order_id);
        }
    }
}
