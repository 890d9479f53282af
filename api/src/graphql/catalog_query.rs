//! The catalog as shoppers search it: lists with filters and sorting, and single products.

use std::sync::Arc;

use async_graphql::{Context, Enum, Error, ID, InputObject, Object};
use event_schemas::{CategoryId, ProductId, Slug};
use projections::{Listed, Page, ProductFilter, ProductSort, Reader, ViewError};

use crate::{
    access::{Caller, Permission},
    graphql::{
        as_of::{self, AsOf},
        facets::ProductFacets,
        global_id::{self, Kind},
        loader::{ProductById, load},
        page::{self, List, Paging},
        problem,
        product::{Product, ProductState},
        scalar::{CurrencyCode, Long},
    },
    shop::Shop,
};

/// Which products to list; all that is absent does not restrict.
#[derive(Debug, Default, InputObject)]
pub(crate) struct ProductFilterInput {
    /// Only in this category or one below it, by its name in the URL.
    category: Option<String>,
    /// Only those whose title holds each of these words, or which have a variant of this SKU.
    text: Option<String>,
    /// Only with a variant at a price in this range.
    price: Option<PriceFilterInput>,
    /// Only with all of these attribute values.
    attributes: Option<Vec<AttributeFilterInput>>,
    /// Only those with (or without) a variant that can be sold now.
    in_stock: Option<bool>,
    /// Only in this state. Shoppers only see what is published.
    state: Option<ProductState>,
}

/// A range of prices in one currency.
#[derive(Debug, InputObject)]
pub(crate) struct PriceFilterInput {
    /// The currency.
    currency: CurrencyCode,
    /// From (inclusive), in minor units.
    from_minor: Option<Long>,
    /// To (inclusive), in minor units.
    to_minor: Option<Long>,
}

/// Accepted values of an attribute.
#[derive(Debug, InputObject)]
pub(crate) struct AttributeFilterInput {
    /// The attribute.
    name: String,
    /// The values: one of them is enough.
    values: Vec<String>,
}

/// How to sort products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ProductSortKey {
    /// By title.
    Title,
    /// By the price of the cheapest variant, in the currency of `sort.currency`; products without one come last.
    Price,
    /// By when they were added.
    Created,
}

/// How to sort products.
#[derive(Debug, InputObject)]
pub(crate) struct ProductSortInput {
    /// By what.
    by: ProductSortKey,
    /// Whether the largest comes first.
    #[graphql(default)]
    descending: bool,
    /// The currency of the prices to sort by.
    currency: Option<CurrencyCode>,
}

impl ProductFilterInput {
    /// The filter of the view, but for the category, which has to be looked up.
    fn read(self, sees_all: bool) -> (Option<String>, ProductFilter) {
        let published = projections::ProductState::Published;
        let filter = ProductFilter {
            state: if sees_all { self.state.map(Into::into) } else { Some(published) },
            category_ids: None,
            attributes: self.attributes.into_iter().flatten().map(|attribute| (attribute.name, attribute.values)).collect(),
            price: self.price.map(|price| (price.currency.0, price.from_minor.map(|l| l.0), price.to_minor.map(|l| l.0))),
            available: self.in_stock,
            search: self.text.filter(|text| !text.trim().is_empty()),
        };
        (self.category, filter)
    }
}

/// A page of products, with their variants and prices when those are asked for: one snapshot, one way to the views.
struct Listing {
    category: Option<String>,
    filter: ProductFilter,
    sort: ProductSort,
    descending: bool,
    page: Page,
    with_variants: bool,
}

type WithVariants = (projections::Product, Option<Vec<(projections::Variant, Vec<projections::VariantPrice>)>>);

impl Listing {
    fn read(mut self, reader: &Reader<'_>) -> Result<Listed<WithVariants>, ViewError> {
        self.filter.category_ids = below(reader, self.category.as_deref())?;
        let listed = reader.products(&self.filter, self.sort, self.descending, &self.page)?;
        let (mut variants, mut prices) = Default::default();
        if self.with_variants {
            let ids: Vec<ProductId> = listed.items.iter().map(|(_, product)| product.product_id).collect();
            variants = reader.variants_of(&ids)?;
            let ids: Vec<_> = variants.values().flatten().map(|variant| variant.variant_id).collect();
            prices = reader.prices_of(&ids)?;
        }
        let items = listed.items.into_iter().map(|(cursor, product)| {
            let variants = variants.remove(&product.product_id).unwrap_or_default().into_iter();
            let at_hand = variants.map(|variant| {
                let prices = prices.remove(&variant.variant_id).unwrap_or_default();
                (variant, prices)
            });
            (cursor, (product, self.with_variants.then(|| at_hand.collect())))
        });
        let items = items.collect();
        Ok(Listed { items, has_next: listed.has_next, has_previous: listed.has_previous, total: listed.total })
    }
}

/// The category of this name and all below it; none at all for a name that no category has.
fn below(reader: &Reader<'_>, category: Option<&str>) -> Result<Option<Vec<CategoryId>>, ViewError> {
    let Some(slug) = category else { return Ok(None) };
    let category = slug.parse::<Slug>().ok().map(|slug| reader.category_by_slug(&slug)).transpose()?.flatten();
    match category {
        Some(category) => reader.category_with_all_below(category.category_id).map(Some),
        None => Ok(Some(Vec::new())),
    }
}

async fn listed(
    ctx: &Context<'_>,
    filter: ProductFilterInput,
    sort: Option<ProductSortInput>,
    paging: Paging,
) -> Result<List<Product>, Error> {
    let (category, filter) = filter.read(ctx.data::<Caller>()?.may(Permission::ViewCatalog));
    let descending = sort.as_ref().is_some_and(|sort| sort.descending);
    let sort = match sort {
        None => ProductSort::Title,
        Some(ProductSortInput { by: ProductSortKey::Title, .. }) => ProductSort::Title,
        Some(ProductSortInput { by: ProductSortKey::Created, .. }) => ProductSort::Created,
        Some(ProductSortInput { by: ProductSortKey::Price, currency: Some(CurrencyCode(currency)), .. }) => {
            ProductSort::Price(currency)
        }
        Some(_) => return Err(problem::bad_input("sorting by price needs `currency`")),
    };
    let look = ctx.look_ahead();
    let with_variants =
        look.field("nodes").field("variants").exists() || look.field("edges").field("node").field("variants").exists();
    let listing = Listing { category, filter, sort, descending, page: paging.page(ctx)?, with_variants };
    let read = ctx.data::<Arc<Shop>>()?.views.read(move |reader| listing.read(reader)).await.map_err(problem::view)?;
    Ok(page::list(read, |(row, variants)| match variants {
        Some(variants) => Product::with_variants(row, variants),
        None => Product::new(row),
    }))
}

#[derive(Default)]
pub(crate) struct CatalogQuery;

#[Object]
impl CatalogQuery {
    /// Products, by title unless `sort` says otherwise. Shoppers see what is for sale.
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the GraphQL field")]
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which products.")] filter: Option<ProductFilterInput>,
        #[graphql(desc = "In which order.")] sort: Option<ProductSortInput>,
        #[graphql(desc = "At most so many, from the start; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many, from the end.")] last: Option<i32>,
        #[graphql(desc = "Only what comes before this cursor.")] before: Option<String>,
    ) -> Result<List<Product>, Error> {
        listed(ctx, filter.unwrap_or_default(), sort, Paging { first, after, last, before }).await
    }

    /// What a list of products could be narrowed by, with counts.
    async fn product_facets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which products.")] filter: Option<ProductFilterInput>,
        #[graphql(desc = "The currency of the ranges of prices.")] currency: Option<CurrencyCode>,
    ) -> Result<ProductFacets, Error> {
        let (category, mut filter) = filter.unwrap_or_default().read(ctx.data::<Caller>()?.may(Permission::ViewCatalog));
        let currency = currency.map(|currency| currency.0);
        let read = ctx.data::<Arc<Shop>>()?.views.read(move |reader| {
            filter.category_ids = below(reader, category.as_deref())?;
            reader.product_facets(&filter, currency)
        });
        Ok(ProductFacets::new(read.await.map_err(problem::view)?, currency))
    }

    /// Products whose title holds each of the words, or which have a variant of that SKU.
    async fn search(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The words, or a SKU.")] text: String,
        #[graphql(desc = "At most so many; 20 unless given, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only what comes after this cursor.")] after: Option<String>,
    ) -> Result<List<Product>, Error> {
        let filter = ProductFilterInput { text: Some(text), ..ProductFilterInput::default() };
        listed(ctx, filter, None, Paging { first, after, ..Paging::default() }).await
    }

    /// A product, by its id or its name in the URL; as it was at a moment, if asked. Shoppers see what is for sale.
    async fn product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Option<ID>,
        #[graphql(desc = "Its name in the URL.")] slug: Option<String>,
        #[graphql(desc = "The moment: now unless given.")] as_of: Option<AsOf>,
    ) -> Result<Option<Product>, Error> {
        let id: Option<ProductId> = match (id, &slug) {
            (Some(id), None) => Some(global_id::decode(Kind::Product, &id).ok_or_else(|| problem::bad_id("id"))?),
            (None, Some(_)) => None,
            _ => return Err(problem::bad_input("give `id` or `slug`, one of them")),
        };
        let row = match (id, slug.and_then(|slug| slug.parse::<Slug>().ok())) {
            (Some(id), _) => load(ctx, ProductById(id)).await?,
            (None, Some(slug)) => {
                let views = &ctx.data::<Arc<Shop>>()?.views;
                views.read(move |reader| reader.product_by_slug(&slug)).await.map_err(problem::view)?
            }
            (None, None) => None,
        };
        match (row, as_of) {
            (Some(row), Some(as_of)) => as_of::product(ctx, row.product_id, as_of).await,
            (row, _) => Product::visible(ctx, row),
        }
    }
}
