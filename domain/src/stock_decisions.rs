//! What staff decide about stock.

use event_schemas::{AdjustmentReason, LocationId, Sku, StockId, StockPolicySet};

use crate::{Change, Decision, Refusal, Stock, StockCommand, StockRefusal, World, stream_of};

/// Asks one command of one stock.
pub(crate) fn stock_changes(world: &World<'_>, stock: &StockId, command: StockCommand) -> Result<Vec<Change>, Refusal> {
    Ok(Change::all(stream_of::<Stock>(stock), world.get::<Stock>(stock).decide(command)?))
}

/// Goods came in.
#[derive(Debug, Clone)]
pub struct ReceiveStock {
    /// Of what, and where.
    pub stock: StockId,
    /// How many units.
    pub quantity: u32,
    /// The delivery they belong to, if known.
    pub reference: Option<String>,
}

impl Decision for ReceiveStock {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let Self { stock, quantity, reference } = self.clone();
        stock_changes(world, &self.stock, StockCommand::Receive { stock, quantity, reference })
    }
}

/// Correct the books by hand.
#[derive(Debug, Clone)]
pub struct AdjustStock {
    /// Of what, and where.
    pub stock: StockId,
    /// Units to add, or to take away when negative.
    pub delta: i64,
    /// Why.
    pub reason: AdjustmentReason,
    /// Why, in words.
    pub note: Option<String>,
}

impl Decision for AdjustStock {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let Self { stock, delta, reason, note } = self.clone();
        stock_changes(world, &self.stock, StockCommand::Adjust { stock, delta, reason, note })
    }
}

/// The shelf was counted.
#[derive(Debug, Clone)]
pub struct CountStock {
    /// Of what, and where.
    pub stock: StockId,
    /// Units found.
    pub counted: u32,
}

impl Decision for CountStock {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let Self { stock, counted } = self.clone();
        stock_changes(world, &self.stock, StockCommand::Count { stock, counted })
    }
}

/// Send units from one location to another: both books change, or neither.
#[derive(Debug, Clone)]
pub struct TransferStock {
    /// Of what.
    pub sku: Sku,
    /// Where from.
    pub from: LocationId,
    /// Where to.
    pub to: LocationId,
    /// How many units.
    pub quantity: u32,
}

impl Decision for TransferStock {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        if self.from == self.to {
            return Err(StockRefusal::SameLocation.into());
        }
        let Self { sku, from, to, quantity } = self.clone();
        let (source, target) = (StockId { sku: sku.clone(), location: from.clone() }, StockId { sku, location: to.clone() });
        let arrival = StockCommand::TransferIn { stock: target.clone(), quantity, from };
        let mut changes = stock_changes(world, &source, StockCommand::TransferOut { quantity, to })?;
        changes.extend(stock_changes(world, &target, arrival)?);
        Ok(changes)
    }
}

/// Set the rules for selling a SKU at a location.
#[derive(Debug, Clone)]
pub struct SetStockPolicy {
    /// Of what, and where.
    pub stock: StockId,
    /// Units never offered to shoppers.
    pub safety_stock: u32,
    /// Units that may be sold beyond what is there.
    pub backorder_limit: u32,
    /// Available units at or below which the stock counts as low.
    pub low_stock_threshold: u32,
}

impl Decision for SetStockPolicy {
    fn decide(&self, world: &World<'_>) -> Result<Vec<Change>, Refusal> {
        let Self { stock: StockId { sku, location }, safety_stock, backorder_limit, low_stock_threshold } = self.clone();
        let policy = StockPolicySet { sku, location, safety_stock, backorder_limit, low_stock_threshold };
        stock_changes(world, &self.stock, StockCommand::SetPolicy(policy))
    }
}
