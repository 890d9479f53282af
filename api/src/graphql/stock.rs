//! Stock: how many units are where, and how many of them can be sold.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Error, ID, InputObject, Object, OutputType as _, SimpleObject};
use event_schemas::{LocationId, Sku, StockId, StreamId, Timestamp};
use projections::StockFilter;

use crate::{
    access::{Permission, sees},
    graphql::{
        as_of::{self, AsOf},
        global_id::{self, Kind},
        histories::StockHistory,
        page::{Narrowing, root_list, sorting},
        problem,
        scalar::Long,
    },
    shop::Shop,
};

/// The stock of one SKU at one location.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct StockLevel {
    /// Its id.
    pub(crate) id: ID,
    /// How many events have happened to it: to be given back as `expectedVersion`.
    version: Long,
    /// What is held.
    sku: String,
    /// Where it is held.
    location: String,
    /// Units on the shelf, set aside or not.
    on_hand: Long,
    /// Units set aside for orders that are not paid yet.
    reserved: Long,
    /// Units set aside for paid orders, not shipped yet.
    committed: Long,
    /// Units never offered to shoppers.
    safety_stock: Long,
    /// Units that may be sold beyond what is there.
    backorder_limit: Long,
    /// Units that are there and free; below 0 when sold on backorder.
    available: Long,
    /// Available units at or below which the stock counts as low; null when no policy was set.
    low_stock_threshold: Option<Long>,
    /// Whether the stock is low.
    low: bool,
    /// When it last changed.
    updated_at: Timestamp,
    #[graphql(skip)]
    stream: StreamId,
}

impl StockLevel {
    /// A stock level of the views.
    pub(crate) fn new(row: projections::StockLevel) -> Self {
        let id = StockId { sku: row.sku.clone(), location: row.location.clone() };
        Self {
            id: global_id::encode(Kind::Stock, &id),
            version: Long::of(row.version),
            sku: row.sku.to_string(),
            location: row.location.to_string(),
            on_hand: Long(row.on_hand),
            reserved: Long(row.reserved),
            committed: Long(row.committed),
            safety_stock: Long(row.safety_stock),
            backorder_limit: Long(row.backorder_limit),
            available: Long(row.available),
            low_stock_threshold: row.low_stock_threshold.map(Long),
            low: row.low,
            updated_at: row.updated_at,
            stream: StreamId::new("stock", id),
        }
    }

    /// What is held.
    pub(crate) fn held(&self) -> &str {
        &self.sku
    }

    /// Whether more is set aside for orders than is there.
    pub(crate) fn is_oversold(&self) -> bool {
        self.reserved.0.saturating_add(self.committed.0) > self.on_hand.0
    }
}

#[ComplexObject]
impl StockLevel {
    #[graphql(flatten)]
    async fn happened(&self) -> StockHistory {
        StockHistory(self.stream.clone())
    }
}

/// Which stock levels to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct StockFilterInput {
    /// Only these SKUs.
    skus: Option<Vec<String>>,
    /// Only this location.
    location: Option<String>,
    /// Only low stock, or only stock that is not low.
    low: Option<bool>,
}

impl Narrowing for StockFilterInput {
    type Filter = StockFilter;

    fn read(self) -> Result<StockFilter, Error> {
        let skus = self.skus.map(|skus| skus.iter().map(|sku| sku.parse::<Sku>()).collect::<Result<Vec<_>, _>>()).transpose();
        let location = self.location.map(|location| location.parse::<LocationId>()).transpose();
        let bad = |error: event_schemas::InvalidId| problem::bad_input(error.to_string());
        Ok(StockFilter { skus: skus.map_err(bad)?, location: location.map_err(bad)?, low: self.low })
    }
}

sorting! {
    /// How to sort stock levels.
    StockSortInput by StockSortKey of StockSort as "projections::StockSort", descending = false {
        /// By SKU, then location.
        Sku,
        /// By the units that are there and free.
        Available,
        /// By when they last changed.
        Updated,
    }
}

root_list! {
    /// Stock levels, by SKU and location unless `sort` says otherwise.
    #[graphql(guard = "Permission::ViewStock", visible = "sees::stock")]
    StockLevelList: stock_levels(StockFilterInput, StockSortInput) -> StockLevel by StockLevel::new = stock_levels
}

/// The stock id of a SKU at a location; at the store's first location if none is named.
///
/// # Errors
/// For a malformed SKU or location.
pub(crate) fn stock_id(shop: &Shop, sku: &str, location: Option<&str>) -> Result<StockId, Error> {
    let bad = |error: event_schemas::InvalidId| problem::bad_input(error.to_string());
    let location = match (location, shop.config.locations.first()) {
        (Some(location), _) => location.parse().map_err(bad)?,
        (None, Some(first)) => first.clone(),
        (None, None) => return Err(problem::bad_input("name a `location`: the store has none of its own")),
    };
    Ok(StockId { sku: sku.parse().map_err(bad)?, location })
}

#[derive(Default)]
pub(crate) struct StockQuery;

#[Object]
impl StockQuery {
    /// The stock of one SKU at one location; as it was at a moment, if asked.
    #[graphql(guard = "Permission::ViewStock", visible = "sees::stock")]
    async fn stock(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is held.")] sku: String,
        #[graphql(desc = "Where; the store's first location unless given.")] location: Option<String>,
        #[graphql(desc = "The moment: now unless given.")] as_of: Option<AsOf>,
    ) -> Result<Option<StockLevel>, Error> {
        let shop = ctx.data::<Arc<Shop>>()?;
        let id = stock_id(shop, &sku, location.as_deref())?;
        if let Some(as_of) = as_of {
            return as_of::stock(ctx, &id, as_of).await;
        }
        let row = shop.views.read(move |reader| reader.stock_level(&id)).await.map_err(problem::view)?;
        Ok(row.map(StockLevel::new))
    }
}
