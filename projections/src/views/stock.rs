//! How many units of each SKU are where, and how many of them can be sold?

use std::collections::BTreeMap;

use event_schemas::{
    CommerceEvent, LocationId, OrderId, Sku, StockEvent, StockId, StockPolicySet, StockReserved, StreamId, Timestamp,
};

use crate::{
    Fact, FoldError, Listed, Page, Projection, Reader, Row as _, Rows, ViewError,
    conditions::Conditions,
    projection::{add, subtract},
};

row! {
    /// The stock of one SKU at one location.
    StockLevel in "stock_levels" {
        key {
            /// What is held.
            sku: Sku,
            /// Where it is held.
            location: LocationId,
        }
        /// Units on the shelf, set aside or not.
        on_hand: i64,
        /// Units set aside for orders that are not paid yet.
        reserved: i64,
        /// Units set aside for paid orders, not shipped yet.
        committed: i64,
        /// Units never offered to shoppers.
        safety_stock: i64,
        /// Units that may be sold beyond what is there.
        backorder_limit: i64,
        /// Units that can be sold: on hand less reserved, committed and safety stock; below 0 when sold on backorder.
        available: i64,
        /// Available units at or below which the stock counts as low; none when no policy was set.
        low_stock_threshold: Option<i64>,
        /// Whether the stock is low.
        low: bool,
        /// When it last changed.
        updated_at: Timestamp,
    }
    version of "stock";
    index "low, sku, location";
    index "location, sku";
    index "available, sku, location";
    index "updated_at, sku, location";
}

text_enum! {
    /// What became of units that were set aside.
    ReservationState {
        /// Set aside until the order is paid.
        Reserved = "reserved",
        /// Set aside for a paid order.
        Committed = "committed",
    }
}

row! {
    /// Units of one SKU at one location that are set aside for an order. Gone once they are shipped or released.
    Reservation in "stock_reservations" {
        key {
            /// The order.
            order_id: OrderId,
            /// What is set aside.
            sku: Sku,
            /// Where it is held.
            location: LocationId,
        }
        /// How many units.
        quantity: i64,
        /// Whether the order is paid.
        state: ReservationState,
        /// When the units are given back unless the order is paid.
        expires_at: Option<Timestamp>,
    }
}

/// The stock levels.
pub const STOCK: Projection =
    Projection { name: "stock", version: 2, tables: &[StockLevel::TABLE, Reservation::TABLE], for_analysts: true, fold };

fn held_in(stream: &StreamId) -> Result<(Sku, LocationId), FoldError> {
    let StockId { sku, location } = stream.aggregate_id.parse()?;
    Ok((sku, location))
}

/// Changes the level of the event's stream; one that is new begins at nothing.
fn level(
    rows: &mut Rows<'_>,
    fact: &Fact<'_>,
    change: impl FnOnce(&mut StockLevel) -> Result<(), FoldError>,
) -> Result<(), FoldError> {
    let key = held_in(fact.stream)?;
    let (sku, location) = key.clone();
    let level = rows.edit_or::<StockLevel>(&key, || StockLevel {
        sku,
        location,
        on_hand: 0,
        reserved: 0,
        committed: 0,
        safety_stock: 0,
        backorder_limit: 0,
        available: 0,
        low_stock_threshold: None,
        low: false,
        updated_at: fact.occurred_at,
        version: fact.sequence,
        position: fact.position,
    })?;
    change(level)?;
    let set_aside = add(add(level.reserved, level.committed)?, level.safety_stock)?;
    level.available = subtract(level.on_hand, set_aside)?;
    level.low = level.low_stock_threshold.is_some_and(|threshold| level.available <= threshold);
    level.updated_at = fact.occurred_at;
    Ok(())
}

fn move_on_hand(rows: &mut Rows<'_>, fact: &Fact<'_>, delta: i64) -> Result<(), FoldError> {
    level(rows, fact, |level| {
        level.on_hand = add(level.on_hand, delta)?;
        Ok(())
    })
}

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::Stock(event) = fact.event else { return Ok(()) };
    match event {
        StockEvent::StockReceived(received) => move_on_hand(rows, fact, received.quantity.into()),
        StockEvent::StockAdjusted(adjusted) => move_on_hand(rows, fact, adjusted.delta),
        StockEvent::StockCounted(counted) => level(rows, fact, |level| {
            level.on_hand = counted.counted.into();
            Ok(())
        }),
        StockEvent::StockTransferredOut(left) => move_on_hand(rows, fact, -i64::from(left.quantity)),
        StockEvent::StockTransferredIn(arrived) => move_on_hand(rows, fact, arrived.quantity.into()),
        StockEvent::StockReturned(returned) => move_on_hand(rows, fact, returned.quantity.into()),
        StockEvent::StockPolicySet(policy) => set_policy(rows, fact, policy),
        StockEvent::StockReserved(reserved) => reserve(rows, fact, reserved),
        StockEvent::ReservationCommitted(committed) => commit(rows, fact, committed.order_id),
        StockEvent::ReservationReleased(released) => take_back(rows, fact, released.order_id, released.quantity.into(), false),
        StockEvent::StockShipped(shipped) => take_back(rows, fact, shipped.order_id, shipped.quantity.into(), true),
    }
}

fn set_policy(rows: &mut Rows<'_>, fact: &Fact<'_>, policy: &StockPolicySet) -> Result<(), FoldError> {
    level(rows, fact, |level| {
        level.safety_stock = policy.safety_stock.into();
        level.backorder_limit = policy.backorder_limit.into();
        level.low_stock_threshold = Some(policy.low_stock_threshold.into());
        Ok(())
    })
}

fn reserve(rows: &mut Rows<'_>, fact: &Fact<'_>, reserved: &StockReserved) -> Result<(), FoldError> {
    let (sku, location) = held_in(fact.stream)?;
    let key = (reserved.order_id, sku.clone(), location.clone());
    let state = if reserved.expires_at.is_some() { ReservationState::Reserved } else { ReservationState::Committed };
    let quantity = i64::from(reserved.quantity);
    let new = || Reservation {
        order_id: reserved.order_id,
        sku,
        location,
        quantity: 0,
        state,
        expires_at: reserved.expires_at,
        position: fact.position,
    };
    let held = rows.edit_or::<Reservation>(&key, new)?;
    held.quantity = add(held.quantity, quantity)?;
    level(rows, fact, |level| set_aside(level, state, quantity))
}

fn set_aside(level: &mut StockLevel, state: ReservationState, quantity: i64) -> Result<(), FoldError> {
    let units = if state == ReservationState::Reserved { &mut level.reserved } else { &mut level.committed };
    *units = add(*units, quantity)?;
    Ok(())
}

fn commit(rows: &mut Rows<'_>, fact: &Fact<'_>, order_id: OrderId) -> Result<(), FoldError> {
    let (sku, location) = held_in(fact.stream)?;
    let Some(held) = rows.edit::<Reservation>(&(order_id, sku, location))? else { return Ok(()) };
    let (quantity, state) = (held.quantity, held.state);
    (held.state, held.expires_at) = (ReservationState::Committed, None);
    level(rows, fact, |level| {
        set_aside(level, state, -quantity)?;
        set_aside(level, ReservationState::Committed, quantity)
    })
}

/// Ends (a part of) a reservation; shipped units leave the shelf too, also those that were never set aside.
fn take_back(rows: &mut Rows<'_>, fact: &Fact<'_>, order_id: OrderId, quantity: i64, shipped: bool) -> Result<(), FoldError> {
    let (sku, location) = held_in(fact.stream)?;
    let key = (order_id, sku, location);
    let mut ended = None;
    if let Some(held) = rows.edit::<Reservation>(&key)? {
        let units = quantity.min(held.quantity);
        held.quantity = subtract(held.quantity, units)?;
        ended = Some((held.state, units));
        if held.quantity == 0 {
            rows.delete::<Reservation>(&key)?;
        }
    }
    level(rows, fact, |level| {
        if let Some((state, units)) = ended {
            set_aside(level, state, -units)?;
        }
        if shipped {
            level.on_hand = subtract(level.on_hand, quantity)?;
        }
        Ok(())
    })
}

/// Which stock levels to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StockFilter {
    /// Only these SKUs.
    pub skus: Option<Vec<Sku>>,
    /// Only this location.
    pub location: Option<LocationId>,
    /// Only low stock (or only stock that is not low).
    pub low: Option<bool>,
}

sortings! {
    /// How to sort stock levels.
    StockSort {
        /// By SKU, then location.
        Sku "sku": "t.sku", "t.location";
        /// By the units that are there and free.
        Available "available": "t.available", "t.sku", "t.location";
        /// By when they last changed.
        Updated "updated": "t.updated_at", "t.sku", "t.location";
    }
}

impl Reader<'_> {
    /// The stock of one SKU at one location.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn stock_level(&self, id: &StockId) -> Result<Option<StockLevel>, ViewError> {
        self.row(&(id.sku.clone(), id.location.clone()))
    }

    /// The stock of each SKU at all its locations, for a batch of SKUs in one statement. A SKU that was never
    /// stocked is absent.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn stock_of(&self, skus: &[Sku]) -> Result<BTreeMap<Sku, Vec<StockLevel>>, ViewError> {
        let mut found: BTreeMap<Sku, Vec<StockLevel>> = BTreeMap::new();
        for level in self.rows_of::<StockLevel, _>("sku", skus, "t.sku, t.location")? {
            found.entry(level.sku.clone()).or_default().push(level);
        }
        Ok(found)
    }

    /// Stock levels.
    ///
    /// # Errors
    /// If the store cannot be read or a cursor is of another list.
    pub fn stock_levels(
        &self,
        filter: &StockFilter,
        sort: StockSort,
        descending: bool,
        page: &Page,
    ) -> Result<Listed<StockLevel>, ViewError> {
        let in_order = sort == StockSort::Sku;
        let mut conditions = Conditions::default();
        if let Some(skus) = &filter.skus {
            conditions.few_of(skus, "t.sku");
        }
        conditions.many(filter.location.as_ref(), "t.location", in_order);
        conditions.many(filter.low.as_ref(), "t.low", in_order);
        self.page(&conditions, sort.order(descending), page)
    }
}
