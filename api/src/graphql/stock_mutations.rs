//! What staff do with stock.

use async_graphql::{Context, Enum, Error, Object};
use domain::{AdjustStock, CountStock, Decision, ReceiveStock, SetStockPolicy, Stock, StoreConfig, TransferStock, stream_of};
use event_schemas::{LocationId, StockId, StreamId};

use crate::{
    access::{Permission, sees},
    graphql::{
        changed::stock_at,
        command::{MutationInput, Outside, carry_out, input, payload, read_back},
        read_input,
        scalar::Long,
        stock::StockLevel,
        user_error::UserError,
        warning::{Warning, WarningCode},
    },
};

/// Why stock is corrected by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "event_schemas::AdjustmentReason")]
pub(crate) enum AdjustmentReason {
    /// Units can no longer be sold.
    Damaged,
    /// Units are not where they should be.
    Lost,
    /// Units turned up that the books did not know.
    Found,
    /// Units were stolen.
    Theft,
    /// An earlier entry was wrong.
    Correction,
    /// Anything else: the note says what.
    Other,
}

input! {
    /// Goods that came in.
    StockReceiveInput at |input, config| stream_at(config, &input.sku, input.location.as_deref()) => {
        /// What came in.
        sku: String,
        /// Where it is; the store's first location unless given.
        location: Option<String>,
        /// How many units.
        quantity: Long,
        /// The delivery or purchase order that they belong to.
        reference: Option<String>,
    }
}

input! {
    /// A correction of the books by hand.
    StockAdjustInput at |input, config| stream_at(config, &input.sku, input.location.as_deref()) => {
        /// What is held.
        sku: String,
        /// Where it is held; the store's first location unless given.
        location: Option<String>,
        /// Units to add, or to take away when negative.
        delta: Long,
        /// Why.
        reason: AdjustmentReason,
        /// Why, in words.
        note: Option<String>,
    }
}

input! {
    /// A count of the shelf.
    StockCountInput at |input, config| stream_at(config, &input.sku, input.location.as_deref()) => {
        /// What is held.
        sku: String,
        /// Where it is held; the store's first location unless given.
        location: Option<String>,
        /// Units found.
        counted: Long,
    }
}

input! {
    /// Units to send from one location to another. The expected version is that of the stock where they come from.
    StockTransferInput at |input, config| stream_at(config, &input.sku, Some(&input.from)) => {
        /// What is sent.
        sku: String,
        /// Where from.
        from: String,
        /// Where to.
        to: String,
        /// How many units.
        quantity: Long,
    }
}

input! {
    /// The rules for selling a SKU at a location.
    StockPolicySetInput at |input, config| stream_at(config, &input.sku, input.location.as_deref()) => {
        /// What is held.
        sku: String,
        /// Where it is held; the store's first location unless given.
        location: Option<String>,
        /// Units never offered to shoppers.
        #[graphql(default)]
        safety_stock: u32,
        /// Units that may be sold beyond what is there.
        #[graphql(default)]
        backorder_limit: u32,
        /// Available units at or below which the stock counts as low.
        #[graphql(default)]
        low_stock_threshold: u32,
    }
}

payload! {
    /// A stock level after a change.
    StockPayload {
        /// The stock level; null when nothing was done, or when the views need longer than two seconds to show it.
        stock: StockLevel,
    }
}

payload! {
    /// The stock levels of both ends of a transfer.
    StockTransferPayload {
        /// Where the units came from.
        from: StockLevel,
        /// Where they are now.
        to: StockLevel,
    }
}

/// The stock of a SKU at a location of the store: units anywhere else could never be sold.
fn stock_id(outside: &Outside<'_>, sku: &str, location: Option<&str>, field: &str) -> Result<StockId, UserError> {
    let locations = &outside.config.locations;
    let location: LocationId = match (location, locations.first()) {
        (Some(location), _) => read_input::name(location, &[field])?,
        (None, Some(first)) => first.clone(),
        (None, None) => return Err(UserError::invalid(&[field], "the store has no location")),
    };
    if !locations.contains(&location) {
        return Err(UserError::invalid(&[field], format!("the store has no location `{location}`")));
    }
    Ok(StockId { sku: read_input::name(sku, &["sku"])?, location })
}

/// The stream of the stock of an input.
fn stream_at(config: &StoreConfig, sku: &str, location: Option<&str>) -> Option<StreamId> {
    let location = location.map_or_else(|| config.locations.first().cloned(), |location| location.parse().ok())?;
    Some(stream_of::<Stock>(StockId { sku: sku.parse().ok()?, location }))
}

/// What a change of a stock warns of: more may be promised of it than is left.
fn stock_warnings(shown: bool, stock: Option<&StockLevel>) -> Vec<Warning> {
    let oversold = stock.filter(|stock| stock.is_oversold()).map(|stock| {
        let message = format!("more of {} is set aside for orders than is there", stock.held());
        Warning::about(WarningCode::StockOversold, stock.held(), message)
    });
    Warning::unless_shown(shown).into_iter().chain(oversold).collect()
}

async fn changed<I: MutationInput, D: Decision>(
    ctx: &Context<'_>,
    operation: &'static str,
    input: I,
    decision: impl FnOnce(I, &Outside<'_>) -> Result<(StockId, D), UserError>,
) -> Result<StockPayload, Error> {
    let mut id = None;
    let outcome = carry_out(ctx, operation, input, |input, outside| {
        let (stock, decision) = decision(input, outside)?;
        id = Some(stock);
        Ok(decision)
    });
    let outcome = match outcome.await? {
        Ok(outcome) => outcome,
        Err(refused) => return Ok(refused.into()),
    };
    let shown = read_back(ctx, outcome.position).await;
    let stock = if shown { stock_at(ctx, id).await? } else { None };
    let warnings = stock_warnings(shown, stock.as_ref());
    Ok(StockPayload { stock, position: Long::of(outcome.position), warnings, ..Default::default() })
}

#[derive(Default)]
pub(crate) struct StockMutation;

#[Object]
impl StockMutation {
    /// Books goods that came in.
    #[graphql(guard = "Permission::EditStock", visible = "sees::edit_stock")]
    async fn stock_receive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The goods.")] input: StockReceiveInput,
    ) -> Result<StockPayload, Error> {
        changed(ctx, "stockReceive", input, |input, outside| {
            let stock = stock_id(outside, &input.sku, input.location.as_deref(), "location")?;
            let quantity = read_input::quantity(input.quantity, &["quantity"])?;
            Ok((stock.clone(), ReceiveStock { stock, quantity, reference: input.reference }))
        })
        .await
    }

    /// Corrects the books by hand.
    #[graphql(guard = "Permission::EditStock", visible = "sees::edit_stock")]
    async fn stock_adjust(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The correction.")] input: StockAdjustInput,
    ) -> Result<StockPayload, Error> {
        changed(ctx, "stockAdjust", input, |input, outside| {
            let stock = stock_id(outside, &input.sku, input.location.as_deref(), "location")?;
            let adjustment =
                AdjustStock { stock: stock.clone(), delta: input.delta.0, reason: input.reason.into(), note: input.note };
            Ok((stock, adjustment))
        })
        .await
    }

    /// Books a count of the shelf; the difference to the books is shrinkage, or a find.
    #[graphql(guard = "Permission::EditStock", visible = "sees::edit_stock")]
    async fn stock_count(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The count.")] input: StockCountInput,
    ) -> Result<StockPayload, Error> {
        changed(ctx, "stockCount", input, |input, outside| {
            let stock = stock_id(outside, &input.sku, input.location.as_deref(), "location")?;
            let counted = read_input::quantity(input.counted, &["counted"])?;
            Ok((stock.clone(), CountStock { stock, counted }))
        })
        .await
    }

    /// Sends units from one location to another: both books change, or neither.
    #[graphql(guard = "Permission::EditStock", visible = "sees::edit_stock")]
    async fn stock_transfer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The units and both locations.")] input: StockTransferInput,
    ) -> Result<StockTransferPayload, Error> {
        let mut ends = None;
        let outcome = carry_out(ctx, "stockTransfer", input, |input, outside| {
            let from = stock_id(outside, &input.sku, Some(&input.from), "from")?;
            let to = stock_id(outside, &input.sku, Some(&input.to), "to")?;
            let quantity = read_input::quantity(input.quantity, &["quantity"])?;
            ends = Some((from.clone(), to.clone()));
            Ok(TransferStock { sku: from.sku, from: from.location, to: to.location, quantity })
        });
        let outcome = match outcome.await? {
            Ok(outcome) => outcome,
            Err(refused) => return Ok(refused.into()),
        };
        let shown = read_back(ctx, outcome.position).await;
        let (from, to) = match ends {
            Some((from, to)) if shown => (stock_at(ctx, Some(from)).await?, stock_at(ctx, Some(to)).await?),
            _ => (None, None),
        };
        let warnings = stock_warnings(shown, from.as_ref());
        Ok(StockTransferPayload { from, to, position: Long::of(outcome.position), warnings, ..Default::default() })
    }

    /// Sets the rules for selling a SKU at a location.
    #[graphql(guard = "Permission::EditStock", visible = "sees::edit_stock")]
    async fn stock_policy_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The rules.")] input: StockPolicySetInput,
    ) -> Result<StockPayload, Error> {
        changed(ctx, "stockPolicySet", input, |input, outside| {
            let stock = stock_id(outside, &input.sku, input.location.as_deref(), "location")?;
            let StockPolicySetInput { safety_stock, backorder_limit, low_stock_threshold, .. } = input;
            Ok((stock.clone(), SetStockPolicy { stock, safety_stock, backorder_limit, low_stock_threshold }))
        })
        .await
    }
}
