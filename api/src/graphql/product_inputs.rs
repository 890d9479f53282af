//! What staff say about products and variants.

use std::collections::BTreeMap;

use async_graphql::{ID, InputObject};
use domain::{NewPrice, NewVariant};
use event_schemas::{AttributeValue, CategoryId, Timestamp, VariantId};

use crate::graphql::{
    command::{Outside, input},
    global_id::Kind,
    money::MoneyInput,
    read_input,
    scalar::Long,
    user_error::UserError,
};

/// An attribute of a product: one of text, number or list.
#[derive(Debug, InputObject)]
pub(crate) struct AttributeInput {
    /// Its name, such as `dosha`.
    name: String,
    /// Free text.
    text: Option<String>,
    /// A whole number.
    number: Option<Long>,
    /// Several values.
    list: Option<Vec<String>>,
}

/// An option of a variant, such as size: 100 g.
#[derive(Debug, InputObject)]
pub(crate) struct OptionInput {
    /// The option.
    name: String,
    /// Its value.
    value: String,
}

/// A price in one currency.
#[derive(Debug, InputObject)]
pub(crate) struct PriceInput {
    /// The price of one unit.
    price: MoneyInput,
    /// From when it holds; at once unless given.
    valid_from: Option<Timestamp>,
    /// Until when it holds (exclusive); without end unless given.
    valid_until: Option<Timestamp>,
}

/// A variant of a product, with its prices.
#[derive(Debug, InputObject)]
pub(crate) struct VariantInput {
    /// Its stock keeping unit, unique in the store.
    sku: String,
    /// What tells it from its siblings, such as `100 g`; may be empty for an only variant.
    #[graphql(default)]
    name: String,
    /// Its options.
    options: Option<Vec<OptionInput>>,
    /// Shipping weight in grams.
    #[graphql(default)]
    weight_grams: u32,
    /// Its prices, one per currency.
    prices: Option<Vec<PriceInput>>,
}

input! {
    /// A product to add to the catalog, not yet for sale.
    ProductCreateInput {
        /// Its name as shoppers read it.
        pub(crate) title: String,
        /// Its name in the URL, unique in the store.
        pub(crate) slug: String,
        /// Its description, plain text.
        pub(crate) description: Option<String>,
        /// Its categories; the first is the one that sales count under.
        pub(crate) category_ids: Option<Vec<ID>>,
        /// Its attributes.
        pub(crate) attributes: Option<Vec<AttributeInput>>,
        /// The class of goods that tax rates are looked up by; `standard` unless given.
        pub(crate) tax_category: Option<String>,
        /// Its variants.
        pub(crate) variants: Option<Vec<VariantInput>>,
    }
}

input! {
    /// Changes of a product; absent fields stay as they are.
    ProductUpdateInput of Product(product_id) {
        /// The product.
        pub(crate) product_id: ID,
        /// Its name as shoppers read it.
        pub(crate) title: Option<String>,
        /// Its name in the URL; the old one becomes free.
        pub(crate) slug: Option<String>,
        /// Its description, plain text.
        pub(crate) description: Option<String>,
        /// All its categories; the first is the one that sales count under.
        pub(crate) category_ids: Option<Vec<ID>>,
        /// All its attributes.
        pub(crate) attributes: Option<Vec<AttributeInput>>,
        /// The class of goods that tax rates are looked up by.
        pub(crate) tax_category: Option<String>,
    }
}

input! {
    /// A product to put on sale.
    ProductPublishInput of Product(product_id) {
        /// The product.
        pub(crate) product_id: ID,
    }
}

input! {
    /// A product to take off sale for good.
    ProductArchiveInput of Product(product_id) {
        /// The product.
        pub(crate) product_id: ID,
        /// Why.
        pub(crate) reason: String,
    }
}

input! {
    /// A variant to add to a product.
    VariantAddInput of Product(product_id) {
        /// The product.
        pub(crate) product_id: ID,
        /// The variant.
        pub(crate) variant: VariantInput,
    }
}

input! {
    /// A variant to take out of a product.
    VariantRemoveInput of Product(product_id) {
        /// The product.
        pub(crate) product_id: ID,
        /// The variant.
        pub(crate) variant_id: ID,
    }
}

input! {
    /// A price for a variant, replacing the one in the same currency.
    VariantPriceSetInput of Product(product_id) {
        /// The product.
        pub(crate) product_id: ID,
        /// The variant.
        pub(crate) variant_id: ID,
        /// The price.
        pub(crate) price: PriceInput,
    }
}

impl PriceInput {
    pub(crate) fn read(&self, field: &[&str]) -> Result<NewPrice, UserError> {
        let price = read_input::money(&self.price, field)?;
        Ok(NewPrice { price, valid_from: self.valid_from, valid_until: self.valid_until })
    }
}

impl VariantInput {
    pub(crate) fn read(self, outside: &Outside<'_>, field: &str) -> Result<NewVariant, UserError> {
        let prices = self.prices.iter().flatten().map(|price| price.read(&[field, "prices"])).collect::<Result<_, _>>()?;
        Ok(NewVariant {
            variant_id: VariantId(outside.new_id()),
            sku: read_input::name(&self.sku, &[field, "sku"])?,
            name: self.name,
            options: self.options.into_iter().flatten().map(|option| (option.name, option.value)).collect(),
            weight_grams: self.weight_grams,
            prices,
        })
    }
}

/// Attributes by name; each has one kind of value.
pub(crate) fn attributes(attributes: Vec<AttributeInput>) -> Result<BTreeMap<String, AttributeValue>, UserError> {
    let one_of = || UserError::invalid(&["attributes"], "an attribute has one of `text`, `number` and `list`");
    let read = |attribute: AttributeInput| {
        let value = match (attribute.text, attribute.number, attribute.list) {
            (Some(text), None, None) => AttributeValue::Text(text),
            (None, Some(number), None) => AttributeValue::Number(number.0),
            (None, None, Some(list)) => AttributeValue::List(list),
            _ => return Err(one_of()),
        };
        Ok((attribute.name, value))
    };
    attributes.into_iter().map(read).collect()
}

/// Ids of categories.
pub(crate) fn categories(ids: &[ID]) -> Result<Vec<CategoryId>, UserError> {
    ids.iter().map(|id| read_input::id(Kind::Category, id, &["categoryIds"])).collect()
}
