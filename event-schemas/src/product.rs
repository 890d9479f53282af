//! What can happen to a product and its variants.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CategoryId, Money, ProductId, Sku, Slug, Timestamp, VariantId};

/// A typed attribute that the store defines, used for facets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AttributeValue {
    /// Free text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Several values of a list.
    List(Vec<String>),
}

event! {
    /// A product was added to the catalog, not yet for sale.
    ProductCreated {
        /// The new product.
        pub product_id: ProductId,
        /// Its name as shoppers read it.
        pub title: String,
        /// Its name in the URL, unique in the store.
        pub slug: Slug,
        /// Its description, plain text.
        pub description: String,
        /// Its categories; the first is the one that sales count under.
        pub category_ids: Vec<CategoryId>,
        /// Attributes that the store defines, by name.
        pub attributes: BTreeMap<String, AttributeValue>,
        /// The class of goods that tax rates are looked up by, such as `standard`.
        pub tax_category: String,
    }
}

event! {
    /// The texts or the tax category of a product were changed; all fields as they are now.
    ProductDetailsChanged {
        /// Its name as shoppers read it.
        pub title: String,
        /// Its name in the URL.
        pub slug: Slug,
        /// Its description, plain text.
        pub description: String,
        /// The class of goods that tax rates are looked up by.
        pub tax_category: String,
    }
}

event! {
    /// The categories of a product were set; the first is the one that sales count under.
    ProductCategorised {
        /// All its categories now.
        pub category_ids: Vec<CategoryId>,
    }
}

event! {
    /// The attributes of a product were set.
    ProductAttributesSet {
        /// All its attributes now.
        pub attributes: BTreeMap<String, AttributeValue>,
    }
}

event! {
    /// A variant was added to a product.
    VariantAdded {
        /// The new variant.
        pub variant_id: VariantId,
        /// Its stock keeping unit, unique in the store.
        pub sku: Sku,
        /// What tells it from its siblings, such as `100 g`.
        pub name: String,
        /// Its options, such as `size` → `100 g`.
        pub options: BTreeMap<String, String>,
        /// Shipping weight in grams.
        pub weight_grams: u32,
    }
}

event! {
    /// A variant was taken out of a product; its SKU may be used again.
    VariantRemoved {
        /// The variant.
        pub variant_id: VariantId,
        /// The SKU it had.
        pub sku: Sku,
    }
}

event! {
    /// A variant was given a price in one currency, replacing the one it had in that currency.
    VariantPriceSet {
        /// The variant.
        pub variant_id: VariantId,
        /// The price of one unit.
        pub price: Money,
        /// From when it holds; at once if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub valid_from: Option<Timestamp>,
        /// Until when it holds (exclusive); without end if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub valid_until: Option<Timestamp>,
    }
}

event! {
    /// A product went on sale.
    ProductPublished {}
}

event! {
    /// A product was taken off sale for good; orders already placed keep it as it was.
    ProductArchived {
        /// Why, in the words of whoever did it.
        pub reason: String,
    }
}

events! {
    /// Everything that can happen to a product.
    ProductEvent of "product" {
        ProductCreated = 1,
        ProductDetailsChanged = 1,
        ProductCategorised = 1,
        ProductAttributesSet = 1,
        VariantAdded = 1,
        VariantRemoved = 1,
        VariantPriceSet = 1,
        ProductPublished = 1,
        ProductArchived = 1,
    }
}
