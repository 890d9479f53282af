//! Variants of products: what is bought, at which prices, and how much of it can be sold.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Error, ID, SimpleObject};
use event_schemas::{Money as Amount, Timestamp};

use crate::graphql::{
    global_id::{self, Kind},
    loader::{AvailabilityOf, PricesOf, ProductById, load},
    money::Money,
    product::Product,
    scalar::{CurrencyCode, Long},
};
use crate::shop::Shop;

/// A variant of a product: the thing that is bought.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Variant {
    /// Its id.
    pub(crate) id: ID,
    /// Its stock keeping unit, unique in the store.
    sku: String,
    /// What tells it from its siblings, such as `100 g`.
    name: String,
    /// Its options, such as size: 100 g.
    options: Vec<VariantOption>,
    /// Shipping weight in grams.
    weight_grams: u32,
    #[graphql(skip)]
    row: projections::Variant,
    #[graphql(skip)]
    prices: Option<Vec<projections::VariantPrice>>,
}

/// An option of a variant.
#[derive(SimpleObject)]
pub(crate) struct VariantOption {
    /// The option, such as `size`.
    name: String,
    /// Its value, such as `100 g`.
    value: String,
}

/// The price of a variant in one currency.
#[derive(SimpleObject)]
pub(crate) struct VariantPrice {
    /// The price of one unit.
    price: Money,
    /// From when it holds; at once if null.
    valid_from: Option<Timestamp>,
    /// Until when it holds (exclusive); without end if null.
    valid_until: Option<Timestamp>,
}

/// What can be sold of a variant.
#[derive(SimpleObject)]
pub(crate) struct Availability {
    /// Whether at least one unit can be sold now.
    in_stock: bool,
    /// Units that are there and free.
    available: Long,
}

impl Variant {
    /// A variant of the views, with its prices if they are at hand.
    pub(crate) fn new(row: projections::Variant, prices: Option<Vec<projections::VariantPrice>>) -> Self {
        let options = row.options.iter().map(|(name, value)| VariantOption { name: name.clone(), value: value.clone() });
        Self {
            id: global_id::encode(Kind::Variant, row.variant_id),
            sku: row.sku.to_string(),
            name: row.name.clone(),
            options: options.collect(),
            weight_grams: row.weight_grams,
            row,
            prices,
        }
    }

    async fn price_rows(&self, ctx: &Context<'_>) -> Result<Vec<projections::VariantPrice>, Error> {
        match &self.prices {
            Some(prices) => Ok(prices.clone()),
            None => Ok(load(ctx, PricesOf(self.row.variant_id)).await?.unwrap_or_default()),
        }
    }
}

#[ComplexObject]
impl Variant {
    /// The product that it is a variant of; null when the caller may not see it.
    async fn product(&self, ctx: &Context<'_>) -> Result<Option<Product>, Error> {
        Product::visible(ctx, load(ctx, ProductById(self.row.product_id)).await?)
    }

    /// Its prices, one per currency; in one currency if asked.
    async fn prices(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only the price in this currency.")] currency: Option<CurrencyCode>,
    ) -> Result<Vec<VariantPrice>, Error> {
        let prices = self.price_rows(ctx).await?.into_iter();
        let prices = prices.filter(|price| currency.is_none_or(|CurrencyCode(currency)| price.currency == currency));
        Ok(prices
            .map(|price| VariantPrice {
                price: Money::new(price.price_minor, price.currency),
                valid_from: price.valid_from,
                valid_until: price.valid_until,
            })
            .collect())
    }

    /// The price of one unit that holds now in a currency; null when it is not sold in it.
    async fn price(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The currency.")] currency: CurrencyCode,
    ) -> Result<Option<Money>, Error> {
        let now = ctx.data::<Arc<Shop>>()?.today();
        let holds = |price: &projections::VariantPrice| {
            price.currency == currency.0
                && price.valid_from.is_none_or(|from| from <= now)
                && price.valid_until.is_none_or(|until| now < until)
        };
        let prices = self.price_rows(ctx).await?;
        Ok(prices.iter().find(|price| holds(price)).map(|price| Money(Amount::new(price.price_minor, price.currency))))
    }

    /// What can be sold of it now, over all locations.
    async fn availability(&self, ctx: &Context<'_>) -> Result<Availability, Error> {
        let found = load(ctx, AvailabilityOf(self.row.sku.clone())).await?;
        Ok(Availability {
            in_stock: found.is_some_and(|found| found.sellable > 0),
            available: Long(found.map_or(0, |found| found.available)),
        })
    }
}
