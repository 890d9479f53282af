//! Facets: what else a list of products could be narrowed by, with counts.

use async_graphql::{ComplexObject, Context, Error, SimpleObject};
use event_schemas::{CategoryId, Currency};

use crate::graphql::{
    category::Category,
    loader::{CategoryById, load},
    money::Money,
    scalar::Long,
};

/// How many of the listed products are in a category.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct CategoryFacet {
    /// How many products.
    products: Long,
    #[graphql(skip)]
    category_id: CategoryId,
}

#[ComplexObject]
impl CategoryFacet {
    /// The category; null when shoppers do not see it.
    async fn category(&self, ctx: &Context<'_>) -> Result<Option<Category>, Error> {
        Category::visible(ctx, load(ctx, CategoryById(self.category_id)).await?)
    }
}

/// How many of the listed products have a value of an attribute.
#[derive(SimpleObject)]
pub(crate) struct AttributeFacet {
    /// The attribute.
    name: String,
    /// The value.
    value: String,
    /// How many products.
    products: Long,
}

/// How many of the listed products have their lowest price in a range.
#[derive(SimpleObject)]
pub(crate) struct PriceFacet {
    /// From this price.
    from: Money,
    /// Up to and including this price.
    to: Money,
    /// How many products.
    products: Long,
}

/// What else the list could be narrowed by.
#[derive(SimpleObject)]
pub(crate) struct ProductFacets {
    /// By category, the largest first.
    categories: Vec<CategoryFacet>,
    /// By attribute and value, the largest first within an attribute.
    attributes: Vec<AttributeFacet>,
    /// By lowest price, in at most five ranges of equal width; empty unless a currency was given.
    prices: Vec<PriceFacet>,
}

impl ProductFacets {
    /// The facets of the view; prices are in `currency`.
    pub(crate) fn new(facets: projections::ProductFacets, currency: Option<Currency>) -> Self {
        let category = |facet: projections::CategoryFacet| CategoryFacet {
            products: Long::of(facet.products),
            category_id: facet.category_id,
        };
        let attribute = |facet: projections::AttributeFacet| AttributeFacet {
            name: facet.name,
            value: facet.value,
            products: Long::of(facet.products),
        };
        let price = |facet: projections::PriceFacet| {
            let money = |minor| currency.map(|currency| Money::new(minor, currency));
            Some(PriceFacet { from: money(facet.from_minor)?, to: money(facet.to_minor)?, products: Long::of(facet.products) })
        };
        Self {
            categories: facets.categories.into_iter().map(category).collect(),
            attributes: facets.attributes.into_iter().map(attribute).collect(),
            prices: facets.prices.into_iter().filter_map(price).collect(),
        }
    }
}
