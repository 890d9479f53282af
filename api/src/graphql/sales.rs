//! Sales figures: any measure by one dimension and one grain of time.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, Error, Object, SimpleObject};
use event_schemas::{CategoryId, ProductId, Timestamp};
use projections::SalesQuery as Question;

use crate::{
    access::{Permission, sees},
    graphql::{
        category::Category,
        loader::{CategoryById, ProductById, load},
        money::Money,
        problem,
        product::Product,
        scalar::{CurrencyCode, Long},
    },
    shop::Shop,
};

/// What sales are broken down by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projections::SalesDimension")]
pub(crate) enum SalesDimension {
    /// Nothing: the whole shop.
    None,
    /// The country of the order.
    Country,
    /// The product. Goods only: shipping and other charges belong to no product.
    Product,
    /// The category that sales count under. Goods only.
    Category,
    /// The SKU. Goods only.
    Sku,
}

/// How time is cut. All hours and days are UTC; weeks begin on Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projections::SalesGrain")]
pub(crate) enum SalesGrain {
    /// Not at all.
    None,
    /// By hour.
    Hour,
    /// By day.
    Day,
    /// By week.
    Week,
    /// By month.
    Month,
}

/// How sales are sorted; ties by time, then dimension, then currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projections::SalesSort")]
pub(crate) enum SalesSort {
    /// By time, the earliest first.
    Time,
    /// By net, the largest first.
    Net,
    /// By gross, the largest first.
    Gross,
    /// By units, the most first.
    Units,
}

/// Sales of one slice of time and one value of the dimension, in one currency.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Sales {
    /// The start of the hour, day, week or month, UTC; null without a grain.
    starts_at: Option<Timestamp>,
    /// The country, the product's or category's own id, or the SKU; `unknown` when there is none, null without a dimension.
    key: Option<String>,
    /// The currency of all amounts.
    currency: CurrencyCode,
    /// Orders; with a dimension of goods, orders that hold it.
    orders: Long,
    /// Orders cancelled or expired; 0 with a dimension of goods.
    cancelled_orders: Long,
    /// Units ordered.
    units: Long,
    /// Units that came back.
    returned_units: Long,
    /// What buyers owe, with tax.
    gross: Money,
    /// Discounts, already taken off.
    discounts: Money,
    /// The tax in gross.
    tax: Money,
    /// The shipping in gross; 0 with a dimension of goods.
    shipping: Money,
    /// What cancelled and expired orders had counted for.
    cancelled: Money,
    /// Refunds and credit notes; with a dimension of goods, what was paid for what came back.
    refunds: Money,
    /// What is left, without tax.
    net: Money,
    #[graphql(skip)]
    dimension: SalesDimension,
}

impl Sales {
    fn new(row: projections::SalesRow, dimension: SalesDimension) -> Self {
        let money = |minor| Money::new(minor, row.currency);
        Self {
            starts_at: row.starts_at,
            currency: CurrencyCode(row.currency),
            orders: Long(row.orders),
            cancelled_orders: Long(row.cancelled_orders),
            units: Long(row.units),
            returned_units: Long(row.returned_units),
            gross: money(row.gross_minor),
            discounts: money(row.discounts_minor),
            tax: money(row.tax_minor),
            shipping: money(row.shipping_minor),
            cancelled: money(row.cancelled_minor),
            refunds: money(row.refunds_minor),
            net: money(row.net_minor),
            key: row.key,
            dimension,
        }
    }

    fn key_of<T: std::str::FromStr>(&self, dimension: SalesDimension) -> Option<T> {
        self.key.as_ref().filter(|_| self.dimension == dimension)?.parse().ok()
    }
}

#[ComplexObject]
impl Sales {
    /// The product, when that is the dimension.
    async fn product(&self, ctx: &Context<'_>) -> Result<Option<Product>, Error> {
        match self.key_of::<ProductId>(SalesDimension::Product) {
            Some(id) => Product::visible(ctx, load(ctx, ProductById(id)).await?),
            None => Ok(None),
        }
    }

    /// The category, when that is the dimension.
    async fn category(&self, ctx: &Context<'_>) -> Result<Option<Category>, Error> {
        match self.key_of::<CategoryId>(SalesDimension::Category) {
            Some(id) => Ok(load(ctx, CategoryById(id)).await?.map(Category::new)),
            None => Ok(None),
        }
    }
}

/// Rows of an answer about sales, unless the client says otherwise.
const ROWS: i32 = 1_000;

#[derive(Default)]
pub(crate) struct SalesQuery;

#[Object]
impl SalesQuery {
    /// Sales by one dimension and one grain of time. Currencies are never mixed: each has rows of its own.
    #[graphql(guard = "Permission::ViewSales", visible = "sees::sales")]
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the GraphQL field")]
    async fn sales(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What they are broken down by.", default_with = "SalesDimension::None")] dimension: SalesDimension,
        #[graphql(desc = "How time is cut.", default_with = "SalesGrain::None")] grain: SalesGrain,
        #[graphql(desc = "Only in this currency.")] currency: Option<CurrencyCode>,
        #[graphql(desc = "Only to this country, ISO 3166-1 alpha-2.")] country: Option<String>,
        #[graphql(desc = "Only from this hour on.")] from: Option<Timestamp>,
        #[graphql(desc = "Only before this hour.")] to: Option<Timestamp>,
        #[graphql(desc = "In which order.", default_with = "SalesSort::Time")] sort: SalesSort,
        #[graphql(desc = "At most so many rows: 1000 unless given, at most 10000.")] first: Option<i32>,
    ) -> Result<Vec<Sales>, Error> {
        let limit = first.unwrap_or(ROWS);
        if !(0..=10 * ROWS).contains(&limit) {
            return Err(problem::page_limit(10 * ROWS));
        }
        let country = country.map(|country| country.parse()).transpose();
        let question = Question {
            dimension: dimension.into(),
            grain: grain.into(),
            currency: currency.map(|currency| currency.0),
            country: country.map_err(|error: event_schemas::InvalidId| problem::bad_input(error.to_string()))?,
            from,
            to,
            sort: sort.into(),
            limit: Some(limit.unsigned_abs()),
        };
        let views = &ctx.data::<Arc<Shop>>()?.views;
        let rows = views.read(move |reader| reader.sales(&question)).await.map_err(problem::view)?;
        Ok(rows.into_iter().map(|row| Sales::new(row, dimension)).collect())
    }
}
