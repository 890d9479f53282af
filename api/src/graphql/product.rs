//! Products: the pages of the shop.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, Error, ID, OutputType as _, SimpleObject};
use event_schemas::{AttributeValue, Timestamp};

use crate::{
    access::{Caller, Permission},
    graphql::{
        actions::{ProductAction, ProductActions, available},
        category::Category,
        global_id::{self, Kind},
        histories::{ProductHistory, of},
        loader::{CategoryById, PriceRangesOf, VariantsOf, load},
        money::Money,
        scalar::Long,
        variant::Variant,
    },
};

/// Whether a product can be bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "projections::ProductState")]
pub(crate) enum ProductState {
    /// Not yet for sale.
    Draft,
    /// For sale.
    Published,
    /// Taken off sale for good.
    Archived,
}

/// An attribute that the store defines.
#[derive(SimpleObject)]
pub(crate) struct Attribute {
    /// Its name, such as `dosha`.
    name: String,
    /// Its values; one unless it is a list. Numbers in decimal digits.
    values: Vec<String>,
}

/// The range of prices of a product's variants in one currency.
#[derive(SimpleObject)]
pub(crate) struct PriceRange {
    /// The price of the cheapest variant.
    lowest: Money,
    /// The price of the dearest variant.
    highest: Money,
}

/// A product: the thing shown on one page of the shop.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct Product {
    /// Its id.
    pub(crate) id: ID,
    /// How many events have happened to it: to be given back as `expectedVersion`.
    version: Long,
    /// Its name as shoppers read it.
    title: String,
    /// Its name in the URL, unique in the store.
    slug: String,
    /// Its description, plain text.
    description: String,
    /// The class of goods that tax rates are looked up by.
    tax_category: String,
    /// Whether it can be bought.
    state: ProductState,
    /// When it was added to the catalog.
    created_at: Timestamp,
    /// When it first went on sale.
    published_at: Option<Timestamp>,
    /// When it last changed.
    updated_at: Timestamp,
    #[graphql(skip)]
    row: Arc<projections::Product>,
    /// Its variants, if they were read together with it.
    #[graphql(skip)]
    at_hand: Option<Vec<(projections::Variant, Vec<projections::VariantPrice>)>>,
}

impl Product {
    /// A product of the views.
    pub(crate) fn new(row: projections::Product) -> Self {
        Self {
            id: global_id::encode(Kind::Product, row.product_id),
            version: Long::of(row.version),
            title: row.title.clone(),
            slug: row.slug.to_string(),
            description: row.description.clone(),
            tax_category: row.tax_category.clone(),
            state: row.state.into(),
            created_at: row.created_at,
            published_at: row.published_at,
            updated_at: row.updated_at,
            row: Arc::new(row),
            at_hand: None,
        }
    }

    /// A product with its variants and their prices.
    pub(crate) fn with_variants(
        row: projections::Product,
        variants: Vec<(projections::Variant, Vec<projections::VariantPrice>)>,
    ) -> Self {
        Self::new(row).holding(variants)
    }

    /// The product with these variants and prices, rather than those of the views.
    pub(crate) fn holding(self, variants: Vec<(projections::Variant, Vec<projections::VariantPrice>)>) -> Self {
        Self { at_hand: Some(variants), ..self }
    }

    /// The product if the caller may see it: shoppers see what is for sale.
    pub(crate) fn visible(ctx: &Context<'_>, row: Option<projections::Product>) -> Result<Option<Self>, Error> {
        let sees_all = ctx.data::<Caller>()?.may(Permission::ViewCatalog);
        Ok(row.filter(|row| sees_all || row.state == projections::ProductState::Published).map(Self::new))
    }
}

#[ComplexObject]
impl Product {
    /// What the caller can do with it now.
    async fn available_actions(&self, ctx: &Context<'_>) -> Result<Vec<ProductAction>, Error> {
        available(ctx, ProductActions(self.row.product_id)).await
    }

    #[graphql(flatten)]
    async fn happened(&self) -> ProductHistory {
        ProductHistory(of::<domain::Product>(self.row.product_id))
    }

    /// Its attributes, by name.
    async fn attributes(&self) -> Vec<Attribute> {
        let values = |value: &AttributeValue| match value {
            AttributeValue::Text(text) => vec![text.clone()],
            AttributeValue::Number(number) => vec![number.to_string()],
            AttributeValue::List(values) => values.clone(),
        };
        self.row.attributes.iter().map(|(name, value)| Attribute { name: name.clone(), values: values(value) }).collect()
    }

    /// Its categories; the first is the one that sales count under.
    async fn categories(&self, ctx: &Context<'_>) -> Result<Vec<Category>, Error> {
        let loads = self.row.category_ids.iter().map(|id| load(ctx, CategoryById(*id)));
        let found = futures::future::try_join_all(loads).await?;
        found.into_iter().filter_map(|row| Category::visible(ctx, row).transpose()).collect()
    }

    /// Its variants, in the order in which they were added.
    async fn variants(&self, ctx: &Context<'_>) -> Result<Vec<Variant>, Error> {
        if let Some(variants) = &self.at_hand {
            return Ok(variants.iter().map(|(row, prices)| Variant::new(row.clone(), Some(prices.clone()))).collect());
        }
        let variants = load(ctx, VariantsOf(self.row.product_id)).await?.unwrap_or_default();
        Ok(variants.into_iter().map(|variant| Variant::new(variant, None)).collect())
    }

    /// The range of its variants' prices, one per currency.
    async fn price_ranges(&self, ctx: &Context<'_>) -> Result<Vec<PriceRange>, Error> {
        let ranges = load(ctx, PriceRangesOf(self.row.product_id)).await?.unwrap_or_default();
        Ok(ranges
            .into_iter()
            .map(|range| PriceRange {
                lowest: Money::new(range.lowest_minor, range.currency),
                highest: Money::new(range.highest_minor, range.currency),
            })
            .collect())
    }
}
