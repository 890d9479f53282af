//! Products and stock as every import writes them: one variant per product, names claimed, published when there is a price.

use std::collections::BTreeMap;

use domain::Change;
use event_schemas::{
    CategoryId, ClaimTaken, CommerceEvent, LocationId, Money, ProductCreated, ProductEvent, ProductId, ProductPublished, Sku,
    Slug, StockEvent, StockId, StockReceived, StreamId, Timestamp, VariantAdded, VariantId, VariantPriceSet,
};

use crate::import::ids::id_of;

/// A product of the source.
#[derive(Debug, Clone)]
pub(crate) struct ImportedProduct {
    pub sku: Sku,
    pub title: String,
    pub description: String,
    pub slug: Slug,
    pub categories: Vec<CategoryId>,
    /// The price of one unit; without one the product is not put on sale.
    pub price: Option<Money>,
    pub weight_grams: u32,
}

/// The product and variant ids of a SKU of a source.
pub(crate) fn product_ids(source: &str, sku: &Sku) -> (ProductId, VariantId) {
    (ProductId(id_of(source, "product", sku.as_str())), VariantId(id_of(source, "variant", sku.as_str())))
}

/// The stock of a SKU at the shop's main location.
pub(crate) fn stock_stream(stock: &StockId) -> StreamId {
    StreamId::new(StockEvent::AGGREGATE, stock)
}

/// An event that happened at a moment of the past.
pub(crate) fn happened(stream: &StreamId, event: impl Into<CommerceEvent>, at: Timestamp) -> Change {
    Change { stream: stream.clone(), event: event.into(), occurred_at: Some(at) }
}

/// The claim of a name that is unique in the store.
pub(crate) fn claim(kind: &str, name: &str, holder: &StreamId, at: Timestamp) -> Change {
    let stream = StreamId::new("claim", format_args!("{kind}:{name}"));
    happened(&stream, event_schemas::ClaimEvent::from(ClaimTaken { holder: holder.to_string() }), at)
}

/// What happens when a product enters the catalog.
pub(crate) fn product_changes(source: &str, product: ImportedProduct, at: Timestamp) -> Vec<Change> {
    let (product_id, variant_id) = product_ids(source, &product.sku);
    let stream = StreamId::new(ProductEvent::AGGREGATE, product_id);
    let created = ProductCreated {
        product_id,
        title: product.title,
        slug: product.slug.clone(),
        description: product.description,
        category_ids: product.categories,
        attributes: BTreeMap::new(),
        tax_category: "standard".to_owned(),
    };
    let added = VariantAdded {
        variant_id,
        sku: product.sku.clone(),
        name: String::new(),
        options: BTreeMap::new(),
        weight_grams: product.weight_grams,
    };
    let mut changes = vec![
        happened(&stream, ProductEvent::from(created), at),
        claim("slug", product.slug.as_str(), &stream, at),
        happened(&stream, ProductEvent::from(added), at),
        claim("sku", product.sku.as_str(), &stream, at),
    ];
    if let Some(price) = product.price {
        let set = VariantPriceSet { variant_id, price, valid_from: None, valid_until: None };
        changes.push(happened(&stream, ProductEvent::from(set), at));
        changes.push(happened(&stream, ProductEvent::from(ProductPublished {}), at));
    }
    changes
}

/// Goods that are there to begin with.
pub(crate) fn received(stock: &StockId, quantity: u32, reference: &str, at: Timestamp) -> Change {
    let (sku, location): (Sku, LocationId) = (stock.sku.clone(), stock.location.clone());
    let reference = Some(reference.to_owned());
    happened(&stock_stream(stock), StockEvent::from(StockReceived { sku, location, quantity, reference }), at)
}
