//! What does the shop sell, in which variants, at which prices? (The reads are in `product_reads.rs`.)

use std::collections::BTreeMap;

use event_schemas::{
    AttributeValue, CategoryId, CommerceEvent, Currency, ProductCreated, ProductEvent, ProductId, Sku, Slug, Timestamp,
    VariantAdded, VariantId, VariantPriceSet, VariantRemoved,
};

use crate::{Fact, FoldError, Projection, Row as _, Rows};

text_enum! {
    /// Whether a product can be bought.
    ProductState {
        /// Not yet for sale.
        Draft = "draft",
        /// For sale.
        Published = "published",
        /// Taken off sale for good.
        Archived = "archived",
    }
}

row! {
    /// A product: the thing shown on one page of the shop.
    Product in "products" {
        key {
            /// The product.
            product_id: ProductId,
        }
        /// Its name as shoppers read it.
        title: String,
        /// The same in lower case, to search and sort by.
        title_lower: String,
        /// Its name in the URL.
        slug: Slug,
        /// Its description, plain text.
        description: String,
        /// The class of goods that tax rates are looked up by.
        tax_category: String,
        /// Whether it can be bought.
        state: ProductState,
        /// Its categories, as a JSON list; the first is the one that sales count under.
        category_ids: Vec<CategoryId>,
        /// Its attributes by name, as a JSON object of `{"text": …}`, `{"number": …}` or `{"list": […]}`.
        attributes: BTreeMap<String, AttributeValue>,
        /// Its variants in the order in which they were added, as a JSON list.
        variant_ids: Vec<VariantId>,
        /// When it was added to the catalog.
        created_at: Timestamp,
        /// When it first went on sale.
        published_at: Option<Timestamp>,
        /// When it was taken off sale.
        archived_at: Option<Timestamp>,
        /// When it last changed.
        updated_at: Timestamp,
    }
    version of "product";
    index "slug";
    index "title_lower, product_id";
    index "created_at, product_id";
    index "state, title_lower, product_id";
    index "state, created_at, product_id";
}

row! {
    /// A category that a product is in.
    ProductCategory in "product_categories" {
        key {
            /// The category.
            category_id: CategoryId,
            /// The product.
            product_id: ProductId,
        }
        /// 1 for the category that sales count under, 2 for the next, and so on.
        place: u32,
    }
    index "product_id";
}

row! {
    /// A value of an attribute of a product; a list has a row for each of its values.
    ProductAttribute in "product_attributes" {
        key {
            /// The attribute.
            name: String,
            /// The value; numbers in decimal digits.
            value: String,
            /// The product.
            product_id: ProductId,
        }
    }
    index "product_id";
}

row! {
    /// A variant of a product: the thing that is bought.
    Variant in "variants" {
        key {
            /// The variant.
            variant_id: VariantId,
        }
        /// The product.
        product_id: ProductId,
        /// Its stock keeping unit.
        sku: Sku,
        /// What tells it from its siblings.
        name: String,
        /// Its options, as a JSON object.
        options: BTreeMap<String, String>,
        /// Shipping weight in grams.
        weight_grams: u32,
        /// When it was added.
        created_at: Timestamp,
    }
    index "product_id, created_at";
    index "sku";
}

row! {
    /// The price of a variant in one currency.
    VariantPrice in "variant_prices" {
        key {
            /// The variant.
            variant_id: VariantId,
            /// The currency.
            currency: Currency,
        }
        /// The product.
        product_id: ProductId,
        /// The price of one unit in minor units.
        price_minor: i64,
        /// From when it holds; at once if null.
        valid_from: Option<Timestamp>,
        /// Until when it holds (exclusive); without end if null.
        valid_until: Option<Timestamp>,
    }
}

row! {
    /// The range of prices of a product's variants in one currency.
    ProductPrice in "product_prices" {
        key {
            /// The product.
            product_id: ProductId,
            /// The currency.
            currency: Currency,
        }
        /// The price of its cheapest variant in minor units.
        lowest_minor: i64,
        /// The price of its dearest variant in minor units.
        highest_minor: i64,
    }
    index "currency, lowest_minor, product_id";
    index "currency, highest_minor, product_id";
}

/// The catalog as shoppers see it.
pub const PRODUCTS: Projection = Projection {
    name: "products",
    version: 2,
    tables: &[
        Product::TABLE,
        ProductCategory::TABLE,
        ProductAttribute::TABLE,
        Variant::TABLE,
        VariantPrice::TABLE,
        ProductPrice::TABLE,
    ],
    for_analysts: true,
    fold,
};

fn fold(rows: &mut Rows<'_>, fact: &Fact<'_>) -> Result<(), FoldError> {
    let CommerceEvent::Product(event) = fact.event else { return Ok(()) };
    let product_id: ProductId = fact.stream.aggregate_id.parse()?;
    match event {
        ProductEvent::ProductCreated(created) => create(rows, fact, created),
        ProductEvent::ProductDetailsChanged(details) => change(rows, fact, product_id, |product| {
            product.title.clone_from(&details.title);
            product.title_lower = details.title.to_lowercase();
            product.slug.clone_from(&details.slug);
            product.description.clone_from(&details.description);
            product.tax_category.clone_from(&details.tax_category);
        }),
        ProductEvent::ProductCategorised(categorised) => {
            let old = change(rows, fact, product_id, |product| {
                std::mem::replace(&mut product.category_ids, categorised.category_ids.clone())
            })?;
            old.into_iter().try_for_each(|category_id| rows.delete::<ProductCategory>(&(category_id, product_id)))?;
            put_categories(rows, product_id, &categorised.category_ids)
        }
        ProductEvent::ProductAttributesSet(set) => {
            let old =
                change(rows, fact, product_id, |product| std::mem::replace(&mut product.attributes, set.attributes.clone()))?;
            attribute_rows(product_id, &old).try_for_each(|row| rows.delete::<ProductAttribute>(&row.key()))?;
            Ok(attribute_rows(product_id, &set.attributes).try_for_each(|row| rows.put(row))?)
        }
        ProductEvent::VariantAdded(added) => add_variant(rows, fact, product_id, added),
        ProductEvent::VariantRemoved(removed) => remove_variant(rows, fact, product_id, removed),
        ProductEvent::VariantPriceSet(set) => set_price(rows, fact, product_id, set),
        ProductEvent::ProductPublished(_) => change(rows, fact, product_id, |product| {
            product.state = ProductState::Published;
            product.published_at.get_or_insert(fact.occurred_at);
        }),
        ProductEvent::ProductArchived(_) => change(rows, fact, product_id, |product| {
            product.state = ProductState::Archived;
            product.archived_at = Some(fact.occurred_at);
        }),
    }
}

fn change<T>(
    rows: &mut Rows<'_>,
    fact: &Fact<'_>,
    product_id: ProductId,
    change: impl FnOnce(&mut Product) -> T,
) -> Result<T, FoldError> {
    let product = rows.edit::<Product>(&(product_id,))?.ok_or_else(|| FoldError::unknown("product", product_id))?;
    product.updated_at = fact.occurred_at;
    Ok(change(product))
}

fn create(rows: &mut Rows<'_>, fact: &Fact<'_>, created: &ProductCreated) -> Result<(), FoldError> {
    rows.put(Product {
        product_id: created.product_id,
        title: created.title.clone(),
        title_lower: created.title.to_lowercase(),
        slug: created.slug.clone(),
        description: created.description.clone(),
        tax_category: created.tax_category.clone(),
        state: ProductState::Draft,
        category_ids: created.category_ids.clone(),
        attributes: created.attributes.clone(),
        variant_ids: Vec::new(),
        created_at: fact.occurred_at,
        published_at: None,
        archived_at: None,
        updated_at: fact.occurred_at,
        version: fact.sequence,
        position: fact.position,
    })?;
    put_categories(rows, created.product_id, &created.category_ids)?;
    Ok(attribute_rows(created.product_id, &created.attributes).try_for_each(|row| rows.put(row))?)
}

fn put_categories(rows: &mut Rows<'_>, product_id: ProductId, category_ids: &[CategoryId]) -> Result<(), FoldError> {
    for (place, category_id) in (1..).zip(category_ids) {
        if rows.get::<ProductCategory>(&(*category_id, product_id))?.is_none() {
            rows.put(ProductCategory { category_id: *category_id, product_id, place, position: 0 })?;
        }
    }
    Ok(())
}

fn attribute_rows(
    product_id: ProductId,
    attributes: &BTreeMap<String, AttributeValue>,
) -> impl Iterator<Item = ProductAttribute> + '_ {
    attributes.iter().flat_map(move |(name, value)| {
        let values = match value {
            AttributeValue::Text(text) => vec![text.clone()],
            AttributeValue::Number(number) => vec![number.to_string()],
            AttributeValue::List(values) => values.clone(),
        };
        values.into_iter().map(move |value| ProductAttribute { name: name.clone(), value, product_id, position: 0 })
    })
}

fn add_variant(rows: &mut Rows<'_>, fact: &Fact<'_>, product_id: ProductId, added: &VariantAdded) -> Result<(), FoldError> {
    change(rows, fact, product_id, |product| product.variant_ids.push(added.variant_id))?;
    Ok(rows.put(Variant {
        variant_id: added.variant_id,
        product_id,
        sku: added.sku.clone(),
        name: added.name.clone(),
        options: added.options.clone(),
        weight_grams: added.weight_grams,
        created_at: fact.occurred_at,
        position: fact.position,
    })?)
}

fn remove_variant(
    rows: &mut Rows<'_>,
    fact: &Fact<'_>,
    product_id: ProductId,
    removed: &VariantRemoved,
) -> Result<(), FoldError> {
    let variant_id = removed.variant_id;
    rows.delete::<Variant>(&(variant_id,))?;
    change(rows, fact, product_id, |product| product.variant_ids.retain(|held| *held != variant_id))?;
    for currency in Currency::all() {
        if rows.get::<VariantPrice>(&(variant_id, currency))?.is_some() {
            rows.delete::<VariantPrice>(&(variant_id, currency))?;
            price_range(rows, product_id, currency)?;
        }
    }
    Ok(())
}

fn set_price(rows: &mut Rows<'_>, fact: &Fact<'_>, product_id: ProductId, set: &VariantPriceSet) -> Result<(), FoldError> {
    change(rows, fact, product_id, |_| ())?;
    rows.put(VariantPrice {
        variant_id: set.variant_id,
        currency: set.price.currency,
        product_id,
        price_minor: set.price.minor,
        valid_from: set.valid_from,
        valid_until: set.valid_until,
        position: fact.position,
    })?;
    price_range(rows, product_id, set.price.currency)
}

/// Finds the cheapest and the dearest variant again.
fn price_range(rows: &mut Rows<'_>, product_id: ProductId, currency: Currency) -> Result<(), FoldError> {
    let variant_ids = rows.get::<Product>(&(product_id,))?.map(|product| product.variant_ids.clone()).unwrap_or_default();
    let mut prices = Vec::with_capacity(variant_ids.len());
    for variant_id in variant_ids {
        prices.extend(rows.get::<VariantPrice>(&(variant_id, currency))?.map(|price| price.price_minor));
    }
    let range = prices.iter().min().zip(prices.iter().max());
    Ok(match range {
        None => rows.delete::<ProductPrice>(&(product_id, currency)),
        Some((lowest, highest)) => {
            rows.put(ProductPrice { product_id, currency, lowest_minor: *lowest, highest_minor: *highest, position: 0 })
        }
    }?)
}
